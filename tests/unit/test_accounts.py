"""Accounts: what they sign, what is filled in for them, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest

from execlayer import Account, Chain, Wei, errors
from tests.unit.conftest import ETHER, Unchanged

REVERTS = "0x60006000fd"
"""Creation code that reverts at once."""

HIGH = 2**128


def test_the_well_known_accounts_are_those_of_other_development_tools(chain: Chain, alice: Account) -> None:
    assert alice.address == "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
    assert alice.key.secret.hex().startswith("ac0974bec39a17e3")
    again = chain.account("0x" + alice.key.secret.hex())
    assert again == alice and hash(again) == hash(alice) and again != chain.accounts[1] and again != alice.address
    assert chain.account(alice.key.secret).key == alice.key and str(alice) == alice.address


def test_what_is_not_said_is_filled_in(chain: Chain, alice: Account, bob: Account) -> None:
    assert chain.base_fee is not None
    cap = 2 * chain.base_fee + 10**9
    [transaction] = chain.mine([alice.sign(bob, "1.5 ether")]).transactions[:]
    assert (transaction.kind, transaction.nonce, transaction.chain_id) == (2, 1, chain.chain_id)
    assert (transaction.sender, transaction.to, transaction.data) == (alice.address, bob.address, b"")
    assert (transaction.value, transaction.gas_limit) == (3 * ETHER // 2, 21_000)
    assert (transaction.max_fee_per_gas, transaction.max_priority_fee_per_gas) == (cap, 10**9)
    assert isinstance(transaction.value, Wei) and len(transaction.signature) == 3


def test_what_is_said_stands_in_the_transaction(chain: Chain, alice: Account, bob: Account) -> None:
    raw = alice.sign(bob.address, 3, data=b"\x01\x02", nonce=1, gas_limit=50_000, max_fee="5 gwei", tip="2 gwei")
    [transaction] = chain.mine([raw]).transactions[:]
    assert (transaction.data, transaction.gas_limit, transaction.raw) == (b"\x01\x02", 50_000, raw)
    assert (transaction.max_fee_per_gas, transaction.max_priority_fee_per_gas) == (5 * 10**9, 2 * 10**9)


def test_a_gas_price_makes_a_transaction_of_the_older_kind(chain: Chain, alice: Account, bob: Account) -> None:
    receipt = alice.transfer(bob, 1, gas_price="7 gwei")
    assert (receipt.kind, receipt.transaction.kind, receipt.gas_price) == (0, 0, 7 * 10**9)
    warm = [(bob.address, [1, "0x" + "02" * 32])]
    with_list = alice.transfer(bob, 1, gas_price="7 gwei", access_list=warm, gas_limit=50_000)
    assert with_list.kind == 1 and with_list.gas_used == 21_000 + 2_400 + 2 * 1_900


def test_a_low_fee_cap_lowers_the_tip_that_nobody_asked_for(chain: Chain, alice: Account, bob: Account) -> None:
    receipt = alice.transfer(bob, 1, max_fee=chain.base_fee)
    assert receipt.transaction.max_priority_fee_per_gas == receipt.transaction.max_fee_per_gas == receipt.gas_price


def test_the_gas_that_is_needed_is_estimated(chain: Chain, alice: Account, bob: Account) -> None:
    assert chain.core.estimate_gas(alice.address, bob.address, 1, b"") == 21_000
    data = b"\x01" * 10
    receipt = alice.transfer(bob, 1, data=data)
    # The floor of Prague (EIP-7623) is above the 16 gas a byte that a transfer would pay: 10 for each of 4 tokens.
    assert receipt.gas_used == receipt.transaction.gas_limit == 21_000 + 40 * len(data)
    with pytest.raises(errors.CallUnsuccessful):
        alice.sign(None, data=REVERTS)


def test_one_that_ran_and_failed_is_an_outcome(alice: Account) -> None:
    before = alice.balance
    receipt = alice.transfer(None, data=REVERTS, gas_limit=100_000)
    assert not receipt.ok and receipt.logs == []
    assert alice.balance == before - receipt.fee and alice.nonce == 2


def test_the_next_nonce_counts_those_that_wait(chain: Chain, alice: Account, bob: Account) -> None:
    assert [alice.nonce, chain.nonce(alice)] == [1, 1]
    alice.send(bob, 1)
    assert [alice.nonce, chain.nonce(alice)] == [2, 1]


@pytest.mark.parametrize(
    ("field", "fields"),
    [
        *(("to", {"to": value}) for value in ("0x12", 5, b"\x01" * 21, "bob", True)),
        *(("value", {"value": value}) for value in (-1, 2**256, 1.5, "1 euro", "0.5 wei", None, b"1", True)),
        *(("data", {"data": value, "gas_limit": 50_000}) for value in ("abc", 5, "0xabc", None)),
        *(("data", {"data": value}) for value in ("abc", 5)),
        *(("nonce", {"nonce": value}) for value in (-1, 2**64, 1.5, "1", True)),
        *(("gas_limit", {"gas_limit": value}) for value in (-1, 2**64, 1.5, "21000")),
        *(("max_fee", {"max_fee": value}) for value in (-1, 1.5, "much", True)),
        *(("tip", {"tip": value}) for value in (-1, 1.5, "much")),
        *(("gas_price", {"gas_price": value}) for value in (-1, 1.5, "much")),
        ("max_fee_per_gas", {"max_fee": HIGH}),
        ("max_priority_fee_per_gas", {"tip": HIGH, "max_fee": 1}),
        ("gas_price", {"gas_price": HIGH}),
        *(("access_list", {"access_list": value}) for value in (5, [1])),
        ("access_list address", {"access_list": [("0x12", [])]}),
        ("access_list slot", {"access_list": [("0x" + "11" * 20, [-1])]}),
    ],
)
def test_an_argument_that_cannot_be_used_is_named(
    alice: Account, bob: Account, unchanged: Unchanged, field: str, fields: dict[str, Any]
) -> None:
    for act in (alice.sign, alice.send, alice.transfer):
        with pytest.raises(errors.InvalidArgument, match=f"^{field} is ") as caught:
            act(**{"to": bob, **fields})
        assert caught.value.field == field and caught.value.expected in str(caught.value)
    unchanged()


@pytest.mark.parametrize(
    ("error", "fields", "numbers"),
    [
        (errors.InvalidNonce, {"nonce": 0}, {"expected": 1, "actual": 0}),
        (errors.InsufficientGas, {"gas_limit": 20_999}, {"required": 21_000, "available": 20_999}),
        (errors.GasLimitTooHigh, {"gas_limit": 2**24 + 1}, {"limit": 2**24 + 1, "max": 2**24}),
        (errors.TipAboveFee, {"tip": 3, "max_fee": 2}, {"tip": 3, "max_fee": 2}),
        (errors.InsufficientBalance, {"value": "10_001 ether", "gas_limit": 21_000}, None),
        (errors.InsufficientBalance, {"value": 2**256 - 1, "gas_limit": 21_000}, None),
    ],
)
def test_a_refused_transaction_carries_its_numbers(
    alice: Account,
    bob: Account,
    unchanged: Unchanged,
    error: type[errors.TransactionRejected],
    fields: dict[str, Any],
    numbers: dict[str, int] | None,
) -> None:
    with pytest.raises(error) as caught:
        alice.transfer(bob, **fields)
    assert numbers is None or {name: getattr(caught.value, name) for name in numbers} == numbers
    if isinstance(caught.value, errors.InsufficientBalance):
        assert caught.value.required > caught.value.available == alice.balance
    unchanged()


def test_a_transaction_of_another_chain_is_refused(chain: Chain, alice: Account, unchanged: Unchanged) -> None:
    fees: dict[str, Any] = {"max_fee_per_gas": 10**10, "max_priority_fee_per_gas": 1}
    raw = alice.key.sign_transaction(chain_id=1, nonce=1, gas_limit=21_000, to=alice.address, value=0, data=b"", **fees)
    with pytest.raises(errors.WrongChain) as caught:
        chain.submit(raw)
    assert (caught.value.expected, caught.value.actual) == (31337, 1)
    unchanged()


@pytest.mark.parametrize("fields", [{"max_fee": 1, "tip": 0}, {"nonce": 5}])
def test_transfer_says_when_its_transaction_waits_on(
    chain: Chain, alice: Account, bob: Account, fields: dict[str, Any]
) -> None:
    with pytest.raises(errors.StillWaiting, match="waits on") as caught:
        alice.transfer(bob, 1, **fields)
    assert (chain.pending, bob.balance) == (1, 10_001 * ETHER)
    with pytest.raises(errors.UnknownTransaction):
        chain.receipt(caught.value.hash)

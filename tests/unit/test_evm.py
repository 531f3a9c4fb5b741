"""Calls and transactions on a state by itself and on a chain: outcomes, wishes, estimates, batches."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execlayer import Account, Chain, ChainSpec, errors, evm

ALICE = "0x00000000000000000000000000000000000000A1"
BOB = "0x00000000000000000000000000000000000000B0"
CODE = "0x00000000000000000000000000000000000000C0"

RETURN = "5f5260205ff3"
"""Returns the word on top of the stack."""


def number(outcome: Any) -> int:
    assert outcome.ok, outcome
    return int.from_bytes(outcome.output, "big")


def returning(opcodes: str) -> dict[str, Any]:
    return {CODE: {"code": f"0x{opcodes}{RETURN}"}}


def test_a_call_ends_in_one_of_three_ways() -> None:
    success = evm.call(returning("602a"), CODE)
    assert (success.status, success.ok, number(success), success.error) == ("success", True, 42, None)
    revert = evm.call({CODE: {"code": "0x60aa5f5360015ffd"}}, CODE)
    assert (revert.status, revert.ok, revert.output, revert.error) == ("revert", False, b"\xaa", "execution reverted")
    halt = evm.call({CODE: {"code": "0xfe"}}, CODE, gas=40_000)
    assert (halt.status, halt.output, halt.error, halt.gas_used) == ("halt", b"", "invalid opcode 0xfe", 40_000)
    assert repr(halt) == 'Outcome(status=halt, gas_used=40000, error="invalid opcode 0xfe")'
    assert "<th>status</th><td>halt</td>" in halt._repr_html_()


def test_a_revert_with_a_reason_says_it() -> None:
    text = b"not today"
    data = bytes.fromhex("08c379a0") + (32).to_bytes(32, "big") + len(text).to_bytes(32, "big") + text.ljust(32, b"\0")
    # CODECOPY of what stands behind the code, REVERT.
    code = bytes.fromhex(f"60{len(data):02x}600a5f3960{len(data):02x}5ffd") + data
    outcome = evm.call({CODE: {"code": code}}, CODE)
    assert outcome.output == data and outcome.error == "execution reverted: not today"


def test_a_creation_names_the_contract_and_its_code() -> None:
    outcome = evm.call({}, None, "0x60fe5f5360015ff3", sender=ALICE)
    assert outcome.created is not None and outcome.output == b"\xfe"
    assert outcome.diff[outcome.created]["code"] == b"\xfe"
    assert outcome.diff[outcome.created]["nonce"] == (0, 1)


def test_logs_come_with_the_outcome() -> None:
    # LOG1 with one byte of data and the topic 7.
    outcome = evm.call({CODE: {"code": "0x60aa5f53600760015fa1"}}, CODE)
    [log] = outcome.logs
    assert (log.address, log.data, log.index) == (CODE, b"\xaa", 0)
    assert log.topics == ["0x" + "00" * 31 + "07"]


def test_a_transaction_pays_and_counts_and_a_call_does_not() -> None:
    state = evm.State({ALICE: {"balance": 10**18, "nonce": 3}})
    block = {"base_fee": 7, "beneficiary": CODE}
    paid = evm.transact(state, sender=ALICE, to=BOB, value=5, max_fee=10, tip=2, block=block)
    assert (paid.gas_used, paid.gas_price) == (21_000, 9)
    assert paid.diff == {
        ALICE: {"balance": (10**18, 10**18 - 5 - 9 * 21_000), "nonce": (3, 4)},
        BOB: {"balance": (0, 5)},
        CODE: {"balance": (0, 2 * 21_000)},
    }
    called = evm.call(state, BOB, sender=ALICE, value=5, block=block)
    assert called.diff[ALICE] == {"balance": (10**18, 10**18 - 5), "nonce": (3, 4)}
    assert state.accounts[ALICE]["nonce"] == 3


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"nonce": 4}, errors.InvalidNonce),
        ({"value": 10**18 + 1}, errors.InsufficientBalance),
        ({"gas": 20_999}, errors.InsufficientGas),
        ({"gas": 2**24 + 1}, errors.GasLimitTooHigh),
        ({"max_fee": 6}, errors.FeeTooLow),
        ({"sender": CODE}, errors.SenderHasCode),
    ],
)
def test_a_transaction_follows_every_rule_of_a_block(fields: dict[str, Any], error: type[Exception]) -> None:
    state: dict[str, Any] = {ALICE: {"balance": 10**18, "nonce": 3}, CODE: {"code": "0x00", "balance": 10**18}}
    described: dict[str, Any] = {"sender": ALICE, "to": BOB, "max_fee": 7, "gas": 100_000, **fields}
    with pytest.raises(error):
        evm.transact(state, block={"base_fee": 7}, **described)


def test_a_signed_transaction_is_taken_as_it_is(chain: Chain, alice: Account, bob: Account) -> None:
    before = bob.balance
    raw = alice.sign(bob, 7)
    outcome = evm.transact(chain, raw)
    assert outcome.diff[bob.address]["balance"] == (before, before + 7)
    assert bob.balance == before
    assert outcome.gas_used == alice.transfer(bob, 7).gas_used
    with pytest.raises(errors.InvalidNonce):
        evm.transact(chain, raw)
    with pytest.raises(errors.InvalidTransaction):
        evm.transact(chain, b"\x02nonsense")


def test_states_follow_each_other() -> None:
    state = evm.State({ALICE: {"balance": 100}, CODE: {"code": "0x5f54600101805f55"}})
    first = evm.transact(state, sender=ALICE, to=CODE)
    second = state.after(first)
    assert second.accounts[CODE]["storage"] == {0: 1}
    third = second.after(evm.transact(second, sender=ALICE, to=CODE))
    assert third.accounts[CODE]["storage"] == {0: 2}
    assert evm.State(third.accounts) == third != second
    with pytest.raises(ValueError, match="of another state"):
        second.after(first)


@given(
    st.dictionaries(
        st.binary(min_size=20, max_size=20),
        st.fixed_dictionaries(
            {},
            optional={
                "balance": st.integers(0, 2**256 - 1),
                "nonce": st.integers(0, 2**64 - 1),
                "code": st.binary(max_size=8),
                "storage": st.dictionaries(st.integers(0, 2**256 - 1), st.integers(1, 2**256 - 1), max_size=3),
            },
        ),
        max_size=4,
    )
)
def test_a_state_gives_back_what_it_was_made_of(accounts: dict[Any, Any]) -> None:
    state = evm.State(accounts)
    assert len(state) == len(accounts)
    told = state.accounts
    for address, fields in accounts.items():
        expected = {"balance": 0, "nonce": 0, "code": b"", "storage": {}, **fields}
        assert {bytes.fromhex(name[2:]): value for name, value in told.items()}[address] == expected
    assert evm.State(told) == state


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"state": {"0x12": {}}}, "address"),
        ({"state": {CODE: {"balence": 5}}}, "field of an account"),
        ({"state": {CODE: 5}}, "account"),
        ({"state": 5}, "state"),
        ({"data": "abc"}, "data"),
        ({"gas": -1}, "gas"),
        ({"sender": "me"}, "sender"),
        ({"block": {"numbr": 5}}, "field of a block"),
        ({"block": {"number": 2**64}}, "number"),
        ({"overrides": {CODE: {"stat": {}}}}, "override of an account"),
        ({"overrides": {CODE: {"state": {"zero": 1}}}}, "slot"),
    ],
)
def test_nonsense_is_named(arguments: dict[str, Any], field: str) -> None:
    with pytest.raises(errors.InvalidArgument) as caught:
        evm.call(**{"state": {}, "to": CODE, **arguments})
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("opcode", "field", "value"),
    [
        ("43", "number", 12), ("42", "timestamp", 34), ("45", "gas_limit", 56_000), ("41", "beneficiary", int(BOB, 16)),
        ("44", "prev_randao", 78), ("4a", "blob_base_fee", 90),
    ],
)  # fmt: skip
def test_the_block_is_seen_as_it_is_wanted(chain: Chain, opcode: str, field: str, value: int) -> None:
    wanted = {field: BOB if field == "beneficiary" else value}
    assert number(evm.call(returning(opcode), CODE, block=wanted)) == value
    assert number(chain.call(CODE, overrides=returning(opcode), block=wanted)) == value


def test_before_the_merge_there_is_a_difficulty() -> None:
    code = {CODE: {"code": "0x4460005260206000f3"}}
    assert number(evm.call(code, CODE, block={"difficulty": 5}, spec=ChainSpec.london())) == 5


def test_accounts_are_seen_as_they_are_wanted(chain: Chain) -> None:
    assert number(evm.call(returning("47"), CODE, overrides={CODE: {"balance": 5}})) == 5
    state = {CODE: {"code": f"0x5f5460015401{RETURN}", "storage": {0: 10, 1: 20}}}
    assert number(evm.call(state, CODE)) == 30
    assert number(evm.call(state, CODE, overrides={CODE: {"state_diff": {1: 2}}})) == 12
    assert number(evm.call(state, CODE, overrides={CODE: {"state": {1: 2}}})) == 2
    moved = {"0x0000000000000000000000000000000000000004": {"move_precompile_to": BOB}}
    assert evm.call({}, BOB, b"abc", overrides=moved).output == b"abc"
    with pytest.raises(errors.NoPrecompile) as caught:
        evm.call({}, BOB, overrides={CODE: {"move_precompile_to": BOB}})
    assert int(caught.value.address, 16) == int(CODE, 16)
    with pytest.raises(errors.StateOverriddenTwice):
        evm.call({}, BOB, overrides={CODE: {"state": {}, "state_diff": {}}})
    assert chain.call(CODE, overrides={CODE: {"code": "0x00"}}, sender=CODE).ok


def test_a_chain_is_asked_at_any_block(chain: Chain, alice: Account, bob: Account) -> None:
    alice.transfer(bob, 5)
    balance = {CODE: {"code": f"0x73{bob.address[2:]}31{RETURN}"}}
    for at in (0, 1, 2):
        assert number(chain.call(CODE, overrides=balance, at=at)) == chain.balance(bob, at)
    # Other rules than the chain's: PUSH0 is not London's.
    assert chain.call(CODE, overrides=balance, spec=ChainSpec.london()).error == "invalid opcode 0x5f"
    chain.close()
    with pytest.raises(errors.ChainClosed):
        chain.call(CODE)


def test_an_estimate_is_the_least_that_suffices(chain: Chain) -> None:
    # Writes a slot and clears another.
    code = {CODE: {"code": "0x60015f555f600155", "state_diff": {1: 1}}}
    least = chain.estimate_gas(CODE, overrides=code)
    assert chain.call(CODE, overrides=code, gas=least).ok
    assert not chain.call(CODE, overrides=code, gas=least - 1).ok
    with pytest.raises(errors.CallUnsuccessful):
        evm.estimate_gas({CODE: {"code": "0x5f5ffd"}}, CODE)
    with pytest.raises(errors.GasExceeded) as caught:
        evm.estimate_gas({CODE: {"code": "0x5b5f56"}}, CODE, gas=60_000)
    assert caught.value.allowance == 60_000


def test_an_access_list_can_be_used_as_it_comes(chain: Chain) -> None:
    code = {CODE: {"code": f"0x60015473{BOB[2:]}3101{RETURN}"}}
    listed, outcome = chain.access_list(CODE, overrides=code)
    assert [(address, [int(slot, 16) for slot in slots]) for address, slots in listed] == [
        (BOB, []),
        (CODE, [1]),
    ]
    again = chain.call(CODE, overrides=code, access_list=listed)
    assert again.gas_used == outcome.gas_used


# ---- batches --------------------------------------------------------------------------------------------------------


def echo() -> dict[str, Any]:
    """Returns its word; reverts with it where it is 1, halts where it is 2."""
    return {CODE: {"code": "0x5f35805f528060011460175780600214601c5760205ff35b60205ffd5bfe"}}


def test_a_batch_is_its_calls_one_by_one() -> None:
    state = evm.State(echo())
    batch = [(CODE, (index % 5).to_bytes(32, "big")) for index in range(1_000)]
    for threads in (1, 3, None):
        table = evm.calls(state, batch, threads=threads, gas=60_000)
        assert len(table) == 1_000
        for index in range(7):
            single = evm.call(state, *batch[index], gas=60_000)
            assert table[index] == (single.status, single.output)
            assert table.gas_used[index] == single.gas_used
            # A code doesn't tell which opcode was invalid.
            assert (single.error or "").startswith(table.error(index) or "")
            assert (table.error(index) is None) == single.ok
        assert table.ok.tolist() == [index % 5 not in (1, 2) for index in range(1_000)]
    assert repr(table) == "<1000 calls, 600 succeeded>"
    assert table[-1] == ("success", (4).to_bytes(32, "big")) and len(table[1:3]) == 2
    with pytest.raises(ValueError, match="32 bytes"):
        table.words()


def test_a_batch_tells_refusals_by_name_and_goes_on() -> None:
    table = evm.calls({ALICE: {"balance": 5}}, [(BOB, b"", 5), (BOB, b"", 6), (BOB, b"")], sender=ALICE)
    assert [table[index][0] for index in range(3)] == ["success", "refused", "success"]
    assert table.error(1) == "InsufficientBalance" and table.error(0) is None
    assert table.gas_used.tolist() == [21_000, 0, 21_000]


def test_an_empty_batch_is_an_empty_table() -> None:
    table = evm.calls({}, [])
    assert len(table) == 0 and table.words().shape == (0, 32) and list(table) == []


@pytest.mark.parametrize(
    ("batch", "field"),
    [([(BOB,)], "call"), ([b"x"], "call"), ([(5, b"")], "to"), ([(BOB, 5)], "data"), ([(BOB, b"", -1)], "value")],
)
def test_a_batch_that_is_none_is_refused(batch: list[Any], field: str) -> None:
    with pytest.raises(errors.InvalidArgument) as caught:
        evm.calls({}, batch)
    assert caught.value.field == field
    with pytest.raises(errors.InvalidArgument, match="threads"):
        evm.calls({}, [(BOB, b"")], threads=0)


def test_a_batch_lets_other_threads_run(chain: Chain) -> None:
    """The thread that counts can only do so while the batch has let go of the interpreter."""
    counted = 0
    stop = threading.Event()

    def count() -> None:
        nonlocal counted
        while not stop.is_set():
            counted += 1

    counter = threading.Thread(target=count)
    loop = {CODE: {"code": "0x5b5f56"}}
    counter.start()
    try:
        before = counted
        table = chain.calls([(CODE, b"")] * 20, overrides=loop, gas=1_000_000, threads=1)
        during = counted - before
    finally:
        stop.set()
        counter.join()
    assert not table.ok.any() and table.error(0) == "out of gas"
    assert during > 0


def test_a_batch_runs_functions_in_python_one_after_the_other() -> None:
    threads = set()

    def note(site: Any) -> int:
        threads.add(threading.get_ident())
        return 7

    spec = ChainSpec.osaka().with_opcode(0x0C, "NOTE", note, gas=1, pops=0, pushes=1)
    table = evm.calls(returning("0c"), [(CODE, b"")] * 600, spec=spec, threads=4)
    assert (table.words()[:, 31] == 7).all() and len(threads) == 1

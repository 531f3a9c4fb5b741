"""What a block changed, out of a trace of it; the state that orders are tried on goes on by that."""

from __future__ import annotations

from typing import Any

import pytest

from execlayer.orders.simulation import BESIDES, Changes, changes

A, B, C, MINER, SAVER = ("0x" + digit * 40 for digit in "abcde")
ONE, TWO = ("0x" + f"{number:064x}" for number in (1, 2))


def block(count: int = 1) -> dict[str, Any]:
    return {"miner": MINER.upper().replace("0X", "0x"), "transactions": ["0x"] * count}


def trace(pre: dict[str, Any], post: dict[str, Any]) -> dict[str, Any]:
    return {"txHash": "0x", "result": {"pre": pre, "post": post}}


def known(*traces: dict[str, Any], **more: Any) -> Changes:
    return changes({**block(len(traces)), **more}, traces)


def test_accounts_and_slots_that_a_transaction_left_otherwise_are_changed_and_no_others() -> None:
    found = known(
        trace(
            {A: {"balance": "0x5", "nonce": 1}, B: {"balance": "0x0", "storage": {ONE: TWO}}},
            {A: {"nonce": 2}, B: {"storage": {ONE: ONE}}},
        )
    )
    assert found.account(A) and not found.account(B) and not found.account(C)
    assert found.slot((B, ONE)) and not found.slot((B, TWO)) and not found.slot((A, ONE))


def test_a_slot_that_became_zero_and_an_account_that_came_or_went_are_changed() -> None:
    found = known(
        trace({B: {"balance": "0x0", "storage": {ONE: TWO}}}, {B: {}, C: {"balance": "0x1"}}),
        trace({A: {"balance": "0x0", "nonce": 1, "code": "0x60"}}, {}),
    )
    assert found.slot((B, ONE)) and not found.account(B)
    assert found.account(C) and not found.slot((C, ONE))
    assert found.account(A) and found.slot((A, TWO)), "with everything that it held"


def test_what_a_block_does_beside_its_transactions_counts_as_changed() -> None:
    found = known(withdrawals=[{"address": SAVER, "amount": "0x1"}])
    assert found.account(MINER) and found.account(SAVER)
    assert all(found.slot((one, ONE)) for one in BESIDES)
    assert not found.account(A)


def test_names_are_compared_as_they_are_and_not_as_they_are_written() -> None:
    checksummed = "0x" + "Aa" * 20
    found = known(trace({}, {checksummed: {"balance": "0x1", "storage": {ONE.upper().replace("0X", "0x"): TWO}}}))
    assert found.account(checksummed.lower()) and found.slot((checksummed.lower(), ONE))


@pytest.mark.parametrize(
    "told", [None, [], [{}], [{"error": "too slow"}], [trace({}, {}), trace({}, {})], [{"result": 5}]]
)
def test_what_is_no_trace_of_each_transaction_is_not_believed(told: Any) -> None:
    with pytest.raises((TypeError, KeyError, AttributeError)):
        changes(block(), told)

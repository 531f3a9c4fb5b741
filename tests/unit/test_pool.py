"""What waits, as scripts see it: sums, explanations, events, an order of one's own, what survives a restart."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from execlayer import Account, Chain
from execlayer.errors import (
    InvalidArgument,
    InvalidNonce,
    JournalUnwritable,
    PoolFull,
    ReplacementUnderpriced,
    UnknownTransaction,
)
from execlayer.pool import Columns, Obstacle, PoolEvent

GWEI = 10**9


def signed(sender: Account, nonce: int, tip: int = GWEI, **fields: Any) -> bytes:
    """A transfer of one wei that pays this tip."""
    call = {"to": bytes([9] * 20), "value": 1, "data": b"", "gas_limit": 21_000, **fields}
    return sender.key.sign_transaction(
        chain_id=31_337, nonce=nonce, max_fee_per_gas=10 * GWEI + tip, max_priority_fee_per_gas=tip, **call
    )


def hashes(chain: Chain) -> list[str]:
    return [transaction.hash for transaction in chain.head.transactions[:]]


def test_sums_follow_what_comes_and_goes() -> None:
    chain = Chain.dev()
    alice, bob = chain.accounts[:2]
    first, gap, deploy = chain.submit([signed(alice, 0), signed(alice, 2), signed(bob, 0, to=None, gas_limit=60_000)])
    state = chain.pool.state()
    assert (state.total, state.pending, state.queued, len(chain.pool)) == (3, 2, 1, 3)
    assert (state.classes["transfer"], state.classes["deploy"], state.gas) == (2, 1, 102_000)
    assert state.fee_rate == 11 * GWEI
    assert 0 < state.size_bytes < state.memory_bytes
    assert state.oldest_seconds is not None and state.oldest_seconds < 60
    assert [chain.pool.standing(str(one)) for one in (first, gap, deploy, "0x" + "00" * 32)] == [
        "pending",
        "queued",
        "pending",
        None,
    ]
    assert list(chain.pool) == [first, gap, deploy] and str(gap) in chain.pool
    assert repr(chain.pool) == f"Pool(pending=2, queued=1, memory_bytes={state.memory_bytes})"
    assert chain.pool.drop(str(gap)) and not chain.pool.drop(str(gap))
    chain.pool.clear()
    assert chain.pool.state().memory_bytes == 0 and chain.pool.state().oldest_seconds is None


def test_an_explanation_says_what_would_include_a_transaction() -> None:
    chain = Chain.dev()
    alice, bob, carol = chain.accounts[:3]
    best, gap = (chain.submit(signed(alice, nonce, 2 * GWEI)) for nonce in (0, 2))
    poor = chain.submit(
        carol.key.sign_transaction(
            chain_id=31_337,
            nonce=0,
            gas_limit=21_000,
            to=bytes([9] * 20),
            value=1,
            data=b"",
            max_fee_per_gas=1,
            max_priority_fee_per_gas=0,
        )
    )
    told = chain.pool.explain(best)
    assert told is not None
    assert (told.class_, told.priority, told.tip, told.factor, told.place) == ("transfer", 1.0, 2 * GWEI, 1.0, 0)
    assert (told.fee_weight, told.priority_weight, told.history, told.obstacle) == (0.5, 0.5, None, None)
    assert told.rank is not None
    behind = chain.pool.explain(gap)
    assert behind is not None and behind.obstacle == Obstacle("gap", nonce=1) and behind.place is None
    capped = chain.pool.explain(poor)
    assert capped is not None and capped.obstacle == Obstacle("fee_cap", required=chain.base_fee)
    assert chain.pool.explain("0x" + "00" * 32) is None
    chain.mine()
    again = chain.pool.explain(chain.submit(signed(alice, 1)))
    assert again is not None and again.history is not None and again.history.included == 1
    assert bob.nonce == 0


def test_followers_hear_what_happens_in_order() -> None:
    chain = Chain.dev()
    alice, bob = chain.accounts[:2]
    events = chain.pool.subscribe()
    assert events.wait() == []
    second = chain.submit(signed(alice, 1))
    first = chain.submit(signed(alice, 0))
    better = chain.submit(signed(alice, 0, 20 * GWEI), private=True)
    dropped = chain.submit(signed(bob, 0))
    chain.pool.drop(dropped)
    chain.mine()
    heard = events.wait()
    assert [(event.change, event.hash, event.detail) for event in heard] == [
        ("added", second, "queued"),
        ("added", first, "pending"),
        ("promoted", second, None),
        ("replaced", first, better),
        ("added", better, "pending"),
        ("added", dropped, "pending"),
        ("dropped", dropped, "asked"),
        ("included", better, None),
        ("included", second, None),
    ]
    assert heard[4] == PoolEvent("added", better, alice.address, 0, "pending", True)
    assert events.wait() == [] and events.lost == 0


def test_a_follower_that_is_too_slow_is_told_how_much_it_lost() -> None:
    chain = Chain.dev()
    events = chain.pool.subscribe()
    alice = chain.accounts[0]
    transaction = signed(alice, 0)
    for _ in range(9_000):
        chain.pool.drop(chain.submit(transaction))
    assert len(events.wait()) + events.lost == 18_000
    assert events.lost > 0


@given(st.lists(st.tuples(st.floats(width=64), st.integers(0, 6)), max_size=200))
def test_base_scores_of_many_are_each_fee_times_its_priority(rows: list[tuple[float, int]]) -> None:
    fees, classes = np.array([fee for fee, _ in rows], np.float64), [class_ for _, class_ in rows]
    with np.errstate(all="ignore"):
        expected = fees * np.array([2.0, 1.0, 1.0, 1.0, 1.0, 1.0, 4.0])[np.array(classes, int)]
    scores = Chain.dev(priorities={"deploy": 2.0}).pool.score_batch(fees, classes)
    assert np.array_equal(scores, expected, equal_nan=True)


@pytest.mark.parametrize(
    ("fees", "classes", "field", "told"),
    [
        ([1.0, 2.0, 3.0], [1, 2], "classes", "as many as there are fees: 3, not 2"),
        ([1.0], [9], "classes", "the one at 0 is 9"),
        ([1.0], [1.5], "classes", "a row of places in CLASSES"),
        ([1.0], [300], "classes", "a row of places in CLASSES"),
        ([[1.0]], [1], "fees", "a row of numbers"),
        (["many"], [1], "fees", "a row of numbers"),
        (None, [1], "fees", "a row of numbers"),
    ],
)
def test_columns_that_cannot_be_scored_are_named(fees: Any, classes: Any, field: str, told: str) -> None:
    with pytest.raises(InvalidArgument, match=re.escape(told)) as caught:
        Chain.dev().pool.score_batch(fees, classes)
    assert caught.value.field == field


def test_an_order_of_ones_own_sees_columns_once_a_block() -> None:
    chain = Chain.dev()
    people = chain.accounts[:4]
    sent = [chain.submit(signed(person, 0, tip=(index + 1) * GWEI)) for index, person in enumerate(people)]
    seen: list[Columns] = []

    def latest_first(columns: Columns) -> Any:
        seen.append(columns)
        scores = columns["arrival"].astype(float)
        scores[columns["tip"] == 2 * GWEI] = np.nan
        return scores

    chain.pool.order = latest_first
    chain.mine()
    assert hashes(chain) == [sent[3], sent[2], sent[0]]
    assert len(seen) == 1
    columns = seen[0]
    assert sorted(columns["tip"]) == [GWEI, 2 * GWEI, 3 * GWEI, 4 * GWEI]
    assert set(columns["gas_limit"]) == {21_000} and set(columns["nonce"]) == {0}
    senders = {"0x" + bytes(row).hex() for row in columns["sender"]}
    assert senders == {person.address.lower() for person in people}
    assert {bytes(row) for row in columns["recipient"]} == {bytes([9] * 20)}
    assert {"0x" + bytes(row).hex() for row in columns["hash"]} == set(sent)
    chain.pool.order = None
    chain.mine()
    assert hashes(chain) == [sent[1]]


def test_an_order_that_fails_or_answers_nonsense_makes_no_block() -> None:
    chain = Chain.dev()
    chain.submit(signed(chain.accounts[0], 0))

    def broken(columns: Columns) -> Any:
        raise RuntimeError("no idea")

    chain.pool.order = broken
    with pytest.raises(RuntimeError, match="no idea"):
        chain.mine()
    chain.pool.order = lambda columns: np.zeros(3)
    with pytest.raises(InvalidArgument, match="a buffer of 1 float64"):
        chain.mine()
    chain.pool.order = lambda columns: "first come"
    with pytest.raises(InvalidArgument, match="the order gave 'first come', expected a number for each candidate"):
        chain.mine()
    with pytest.raises(InvalidArgument, match="a function of columns"):
        chain.pool.order = 7  # type: ignore[assignment]
    assert chain.head.number == 0 and chain.pending == 1


def test_the_rules_of_replacement_and_nonces_are_geths() -> None:
    chain = Chain.dev()
    alice = chain.accounts[0]
    chain.submit(signed(alice, 0, 10 * GWEI))
    with pytest.raises(ReplacementUnderpriced) as caught:
        chain.submit(signed(alice, 0, 11 * GWEI))
    assert (caught.value.required, caught.value.actual) == (22 * GWEI, 21 * GWEI)
    chain.submit(signed(alice, 0, 12 * GWEI))
    chain.mine()
    with pytest.raises(InvalidNonce):
        chain.submit(signed(alice, 0, 30 * GWEI))


def test_a_full_pool_refuses_and_lets_go_of_the_worst() -> None:
    chain = Chain.dev(max_transactions=2)
    alice, bob, carol = chain.accounts[:3]
    worst = chain.submit(signed(alice, 0, 1 * GWEI))
    chain.submit(signed(bob, 0, 2 * GWEI))
    with pytest.raises(PoolFull):
        chain.submit(signed(carol, 0, 1 * GWEI))
    chain.submit(signed(carol, 0, 3 * GWEI))
    assert worst not in chain.pool and len(chain.pool) == 2


@pytest.mark.parametrize(
    "settings",
    [
        {"max_memory": 1},
        {"max_memory": "much"},
        {"fee_weight": 0.1},
        {"replacement_percent": 101},
        {"max_blob_transactions": -1},
        {"remembered_senders": 0},
        {"fee_threshold": float("nan")},
        {"priorities": {"fast": 1.0}},
        {"priorities": {"call": -1.0}},
        {"priorities": 3},
        {"system_senders": ["0x12"]},
        {"batch_size": 0},
        {"presimulate": "maybe"},
        {"unheard_of": 1},
    ],
)
def test_settings_that_cannot_be_are_named(settings: dict[str, Any]) -> None:
    with pytest.raises((InvalidArgument, TypeError)) as caught:
        Chain.dev(**settings)
    assert next(iter(settings)) in str(caught.value) or "unheard_of" in str(caught.value)


def test_classes_have_priorities() -> None:
    chain = Chain.dev(priorities={"deploy": 8.0}, system_senders=[Chain.dev().accounts[3].address])
    alice, bob, carol, dave = chain.accounts[:4]
    transfer = chain.submit(signed(alice, 0, 2 * GWEI))
    deploy = chain.submit(signed(bob, 0, 1 * GWEI, to=None, gas_limit=60_000))
    system = chain.submit(signed(dave, 0, 1 * GWEI))
    chain.mine()
    assert hashes(chain) == [deploy, system, transfer]
    assert carol.nonce == 0


def test_what_waits_survives_a_restart(tmp_path: Path) -> None:
    with Chain.open(tmp_path) as chain:
        alice, bob = chain.accounts[:2]
        mined = chain.submit(signed(alice, 0))
        chain.mine()
        kept = [chain.submit(signed(bob, 1)), chain.submit(signed(alice, 1), private=True)]
        gone = chain.submit(signed(alice, 2))
        chain.pool.drop(gone)
    with Chain.open(tmp_path) as chain:
        assert list(chain.pool) == kept
        assert chain.pool.state().private == 1
        assert chain.receipt(mined).ok
    path = tmp_path / "pool.journal"
    # What a kill left unfinished is cut away.
    path.write_bytes(path.read_bytes() + b"\x40\x00\x00\x00half")
    with Chain.open(tmp_path) as chain:
        assert list(chain.pool) == kept
        chain.submit(signed(bob, 0))
        chain.mine()
        assert len(chain.head.transactions) == 3
    path.write_bytes(b"something else, and longer than a header is")
    with pytest.raises(JournalUnwritable, match="no journal of this version"):
        Chain.open(tmp_path)


def test_an_anchor_brings_the_pool_back() -> None:
    chain = Chain.dev()
    alice, bob = chain.accounts[:2]
    waiting = chain.submit(signed(alice, 0))
    with chain.anchor():
        chain.submit(signed(bob, 0))
        chain.mine()
        assert len(chain.pool) == 0
    assert list(chain.pool) == [waiting]


def test_figures_say_what_was_done() -> None:
    chain = Chain.dev()
    alice = chain.accounts[0]
    for nonce in range(5):
        chain.submit(signed(alice, nonce))
    chain.mine()
    done = chain.pool.execution()
    assert (done.blocks, done.processed, done.gas, done.errors) == (1, 5, 105_000, {})
    assert 0 < done.mean_seconds <= 1 and 0 < done.p99_seconds <= 1
    stats = chain.pool.stats()
    assert stats.ranked >= 5 and 0 <= stats.cache_hit_rate <= 1 and stats.cache_hits > 0
    assert stats.fee_weight + stats.priority_weight == pytest.approx(1)
    figures = chain.pool.metrics()
    assert figures["execlayer_execution_processed_total"] == 5 and figures["execlayer_pool_pending"] == 0
    assert figures['execlayer_pool_transactions{class="call"}'] == 0
    assert figures["execlayer_score_fee_weight"] == 0.5
    assert figures["execlayer_score_cache_hits_total"] == stats.cache_hits


def test_what_was_learnt_about_senders_survives_a_restart(tmp_path: Path) -> None:
    with Chain.open(tmp_path) as chain:
        for nonce in range(3):
            chain.submit(signed(chain.accounts[0], nonce))
        chain.mine()
    with Chain.open(tmp_path) as chain:
        told = chain.pool.explain(chain.submit(signed(chain.accounts[0], 3)))
        assert told is not None and told.history is not None and told.history.included == 3


def test_private_transactions_are_shown_to_no_client() -> None:
    from execlayer._core import Rpc

    chain = Chain.dev()
    alice, bob = chain.accounts[:2]
    private = chain.submit(signed(alice, 0), private=True)
    public = chain.submit(signed(bob, 0))
    rpc = Rpc(chain.core)

    def ask(method: str, *params: Any) -> Any:
        import json

        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        return json.loads(rpc.handle_with(json.dumps(request).encode(), None, {}))["result"]

    assert ask("eth_getTransactionByHash", private) is None
    assert ask("eth_getTransactionByHash", public)["from"] == bob.address.lower()
    content = ask("txpool_content")
    assert list(content["pending"]) == [bob.address] and content["queued"] == {}
    assert content["pending"][bob.address]["0"]["hash"] == public
    assert list(ask("txpool_inspect")["pending"]) == [bob.address]
    assert ask("txpool_contentFrom", bob.address)["pending"]["0"]["hash"] == public
    assert [one["hash"] for one in ask("eth_pendingTransactions")] == [public]
    [ranked] = ask("execlayer_poolRanking")
    assert (ranked["hash"], ranked["class"], ranked["factor"]) == (public, "transfer", 1.0)
    chain.mine()
    assert ask("eth_getTransactionByHash", private)["hash"] == private


def test_a_transaction_in_no_block_has_no_receipt() -> None:
    chain = Chain.dev()
    waiting = chain.submit(signed(chain.accounts[0], 0))
    with pytest.raises(UnknownTransaction):
        chain.receipt(waiting)

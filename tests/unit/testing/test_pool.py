"""The lab's pool by itself: its bounds, and that a block never breaks a sender's order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execlayer.server.methods import RpcError
from execlayer.testing.chainlab.pool import Pending, Pool, PoolRules

Spec = tuple[int, int, int, int]
SPECS = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 12), st.integers(0, 300), st.integers(0, 300)), max_size=60
)
RULES = PoolRules(executable_per_sender=4, queued_per_sender=3)


def pending(sender: int, nonce: int, tip: int, max_fee: int, place: int = 0) -> Pending:
    return Pending(bytes([place]), f"0x{place:064x}", f"0x{sender:040x}", nonce, max_fee, tip, 21_000, 0)


@given(SPECS, st.integers(0, 200))
def test_whatever_comes_blocks_are_in_order_and_bounds_hold(specs: list[Spec], base_fee: int) -> None:
    pool = Pool(RULES)
    for place, (sender, nonce, tip, max_fee) in enumerate(specs):
        try:
            pool.add(pending(sender, nonce, tip, max_fee, place), nonce=2, balance=1)
        except RpcError as error:
            assert error.code == -32000
    nonces = dict.fromkeys(pool.senders(), 2)
    executable, queued = pool.counts(nonces.__getitem__)
    assert executable + queued == len(pool)
    assert executable <= 4 * len(nonces)
    # Those behind a gap that is filled later may be more than were queued at any time, never more than both together.
    assert all(sum(one.sender == sender for one in pool) <= 4 + 3 for sender in nonces)
    block = pool.best(dict(nonces), base_fee, 10 * 21_000)
    assert len(block) <= 10
    for one in block:
        assert one.tip_above(base_fee) >= 0
        assert one.nonce == nonces[one.sender]
        nonces[one.sender] += 1


@given(st.integers(0, 10**12), st.integers(0, 10**12), st.integers(0, 10**12), st.integers(0, 10**12))
def test_a_replacement_is_taken_exactly_from_a_tenth_more_on_both(
    tip: int, fee: int, new_tip: int, new_fee: int
) -> None:
    tip, new_tip = min(tip, fee), min(new_tip, new_fee)
    pool = Pool()
    pool.add(pending(1, 0, tip, fee, 1), nonce=0, balance=0)
    enough = new_tip * 10 >= tip * 11 and new_fee * 10 >= fee * 11
    try:
        pool.add(pending(1, 0, new_tip, new_fee, 2), nonce=0, balance=0)
    except RpcError as error:
        assert (error.message, enough) == ("replacement transaction underpriced", False)
    else:
        assert enough


def test_what_the_chain_has_passed_is_forgotten_and_what_it_takes_back_returns() -> None:
    pool = Pool()
    waiting = [pending(1, nonce, 1, 1, nonce) for nonce in range(3)]
    for one in waiting:
        pool.add(one, nonce=0, balance=0)
    assert pool.next_nonce(waiting[0].sender, 0) == 3
    pool.settle({waiting[0].sender: 2})
    assert [one.nonce for one in pool] == [2]
    rival = pending(1, 1, 5, 5, 9)
    pool.requeue([rival])
    pool.requeue(waiting)
    assert sorted(one.hash for one in pool) == sorted(one.hash for one in (waiting[0], rival, waiting[2]))
    pool.settle({waiting[0].sender: 3})
    assert (len(pool), pool.senders()) == (0, [])


def test_a_large_transaction_leaves_its_room_to_others() -> None:
    pool = Pool()
    for sender, tip in ((1, 9), (2, 1)):
        pool.add(pending(sender, 0, tip, tip, sender), nonce=0, balance=0)
    nonces = dict.fromkeys(pool.senders(), 0)
    assert len(pool.best(nonces, 0, 21_000)) == 1
    assert pool.best(nonces, 0, 20_999) == []


@pytest.mark.parametrize("raw", ["0x", "0x1234", "nonsense", b""])
def test_what_is_no_transaction_is_refused(raw: str | bytes) -> None:
    with pytest.raises(RpcError):
        Pending.read(raw)

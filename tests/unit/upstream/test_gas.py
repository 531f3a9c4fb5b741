"""Base fees to the wei, and tips from what others paid."""

from __future__ import annotations

from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from execlayer import Chain
from execlayer.testing import FakeNode
from execlayer.upstream import Client, Endpoint, Failover, FeeOracle
from execlayer.upstream.errors import ReplyMalformed
from execlayer.upstream.gas import Fees, Pricing, next_base_fee, typical_tip
from execlayer.upstream.ring import Header

GWEI = 10**9


def header(base_fee: int, used: int, limit: int = 30_000_000) -> Header:
    return Header(1, "0x", "0x", 0, base_fee, used, limit)


@pytest.mark.parametrize(
    ("base_fee", "used", "expected"),
    [
        (1_000, 15_000_000, 1_000),
        (1_000, 30_000_000, 1_125),
        (1_000, 0, 875),
        (7, 15_000_001, 8),
        (7, 14_999_999, 7),
        (0, 30_000_000, 1),
        (1_000_000_000, 20_000_000, 1_041_666_666),
    ],
)
def test_the_next_base_fee_follows_from_the_header(base_fee: int, used: int, expected: int) -> None:
    assert next_base_fee(header(base_fee, used)) == expected


@given(st.integers(0, 10**15), st.integers(0, 60_000_000))
def test_the_base_fee_moves_by_an_eighth_at_most(base_fee: int, used: int) -> None:
    after = next_base_fee(header(base_fee, used, 60_000_000))
    assert base_fee - base_fee // 8 <= after <= base_fee + max(base_fee // 8, 1)


def test_our_own_chain_agrees_block_by_block() -> None:
    chain = Chain.dev()
    alice, bob = chain.accounts[:2]
    for count in (0, 3, 0, 1):
        for _ in range(count):
            alice.send(bob, 1)
        block = chain.mine()
        assert block.base_fee is not None
        found = Header(0, "", "", 0, block.base_fee, block.gas_used, block.gas_limit)
        assert chain.base_fee == next_base_fee(found)


def test_the_typical_tip_is_the_median_of_blocks_that_were_not_empty() -> None:
    history = {"reward": [["0x5"], ["0x0"], ["0x9"], ["0x7"]], "gasUsedRatio": [0.5, 0, 1, 0.1]}
    assert typical_tip(history) == 7
    assert typical_tip({"reward": [["0x0"]], "gasUsedRatio": [0]}) is None


async def oracle(nursery: trio.Nursery, history: Any, **pricing: Any) -> FeeOracle:
    node = FakeNode({"eth_chainId": "0x1", "eth_blockNumber": "0x1", "eth_feeHistory": history})
    await nursery.start(node.run)
    failover = Failover([Client(Endpoint(url="http://localhost"), connect=node.connect)], chain_id=1)
    await nursery.start(failover.run)
    found = FeeOracle(failover, Pricing(**pricing))
    assert node.asked
    return found


async def test_fees_last_when_the_base_fee_doubles_and_stay_under_the_cap(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    fees = await oracle(nursery, {"reward": [[hex(3 * GWEI)]], "gasUsedRatio": [1]})
    head = header(10 * GWEI, 15_000_000)
    assert fees.fees(head) == Fees(10 * GWEI, GWEI, 21 * GWEI)
    await fees.refresh()
    assert fees.fees(head) == Fees(10 * GWEI, 3 * GWEI, 23 * GWEI)
    assert fees.fees(header(60 * GWEI, 15_000_000)) == Fees(60 * GWEI, 3 * GWEI, 100 * GWEI)


async def test_tips_below_the_least_are_raised_to_it(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    fees = await oracle(nursery, {"reward": [["0x1"]], "gasUsedRatio": [1]}, tip_min_wei=5, max_fee_wei=7)
    await fees.refresh()
    assert fees.tip == 5
    assert fees.fees(header(0, 0)) == Fees(0, 5, 5)
    assert fees.fees(header(3, 15_000_000)) == Fees(3, 5, 7)


@pytest.mark.parametrize(
    "history", [None, {}, {"reward": None, "gasUsedRatio": []}, {"reward": [[]], "gasUsedRatio": [1]}]
)
async def test_a_history_that_is_none_leaves_the_tip_as_it_was(
    nursery: trio.Nursery, autojump_clock: MockClock, history: Any
) -> None:
    fees = await oracle(nursery, history)
    with pytest.raises(ReplyMalformed):
        await fees.refresh()
    assert fees.tip == GWEI

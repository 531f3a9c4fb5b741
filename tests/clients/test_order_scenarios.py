"""What the network does to orders that are out, one scenario after the other, on real nodes and real pools.

Nothing here sleeps: a test goes on when the engine has taken a step. Where time has to pass, the engine's clock jumps.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import trio

from execlayer.artifacts import artifact
from execlayer.orders import Lender, OrderEngine, Report, Signal
from execlayer.testing import Silent, Status
from execlayer.testing.chainlab import Chainlab
from execlayer.testing.chainlab.pool import Pending
from execlayer.testing.serving import Ask, Serving, Session

from .nodes import KINDS, DevNode, dev_keys, running
from .packages import INSTALL_SECONDS
from .test_market import AMOUNT, CAPITAL, FAR, REF
from .test_orders import Deployed, opened
from .trading import PATIENCE_SECONDS, Desk

pytestmark = pytest.mark.timeout(INSTALL_SECONDS + 120)
RIVAL = "0x" + "88" * 20
DEEP = {"confirmation_blocks": 6}
GWEI = 10**9

BASE_FEE_CALLS = {"anvil": "anvil_setNextBlockBaseFeePerGas", "hardhat": "hardhat_setNextBlockBaseFeePerGas"}
"""How a node is told the next base fee; ours only ever has the one that the rules give."""


@pytest.fixture(scope="module", params=KINDS)
def node(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevNode]:
    with running(request.param, tmp_path_factory.mktemp(request.param)) as node:
        yield node


@pytest.fixture(scope="module")
def deployed(node: DevNode) -> Deployed:
    return Deployed()


@pytest.fixture
async def desk(node: DevNode, deployed: Deployed, tmp_path: Path, nursery: trio.Nursery) -> AsyncIterator[Desk]:
    async for desk in opened(node, deployed, tmp_path, nursery):
        yield desk


async def submitted(desk: Desk, engine: OrderEngine, sub: str, signal: Signal | None = None) -> int:
    """The number of a new order that has come so far."""
    answer = await engine.submit(signal or await desk.signal())
    assert answer.status is not None
    await desk.until(answer.status.order_id, sub)
    return answer.status.order_id


async def mined(desk: Desk, count: int = 1, **how: Any) -> None:
    """Makes blocks one by one; the engine has seen each before the next."""
    for _ in range(count):
        await desk.lab.mine(**how)
        await desk.holds(lambda engine: engine.stats()["head"] == desk.lab.head)


def waiting(lab: Chainlab) -> Pending:
    """The one transaction in the pool."""
    [found] = lab.pool
    assert isinstance(found, Pending)
    return found


def fills(desk: Desk) -> list[tuple[str, bool]]:
    """What blocks did to the ledger."""
    return [(fill.kind, fill.success) for one in desk.reports for fill in one.fills]


def ledger(reports: Sequence[Report]) -> int:
    """The sum of all fills and reversals, in wei."""
    all_fills = [fill for one in reports for fill in one.fills]
    return sum(fill.realized_wei * (-1 if fill.kind == "reversal" else 1) for fill in all_fills)


class Jumping:
    """The engine's clock, which can be put forward."""

    def __init__(self) -> None:
        self.ahead_ns = 0

    def __call__(self) -> tuple[int, int]:
        return time.monotonic_ns() + self.ahead_ns, time.time_ns() + self.ahead_ns


# ---- capital that is lent -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("action", "lender"), [("flash_loan", "lender"), ("pool_loan", "pool_lender")])
async def test_a_loan_of_either_kind_earns_exactly_what_was_predicted(desk: Desk, action: Any, lender: str) -> None:
    async with desk.running() as engine:
        profit = await desk.market.loan_profit(CAPITAL, CAPITAL * 9 // 10_000)
        signal = await desk.signal(
            action=action,
            amounts=[CAPITAL],
            lender=Lender(address=getattr(desk.market, lender), fee_bps=9),
            expected_profit=profit,
            expected_profit_wei=profit // 2_000,
            gas_estimate=260_000,
        )
        order = await submitted(desk, engine, "in_pool", signal)
        await desk.until(order, "confirmed", mine=True)
        [fill] = [fill for one in desk.reports for fill in one.fills]
        assert fill.realized == profit == await desk.earned()
        assert fill.realized_wei == profit // 2_000 - fill.gas_used * fill.gas_price


# ---- blocks that are taken back -------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [2, 5])
@pytest.mark.parametrize(
    ("settled_before", "last"), [(False, "fill"), (True, "reinstatement")], ids=["unsettled", "settled"]
)
async def test_a_reorganisation_takes_a_fill_back_and_brings_it_again(
    desk: Desk, depth: int, settled_before: bool, last: str
) -> None:
    settings = desk.settings(execution_engine={} if settled_before else DEEP)
    async with desk.running(settings) as engine:
        signal = await desk.signal()
        order = await submitted(desk, engine, "in_pool", signal)
        await mined(desk, depth)
        await desk.until(order, "confirmed" if settled_before else "mined")
        await desk.lab.reorg(depth)
        await desk.holds(lambda _: len(fills(desk)) == 3)
        assert fills(desk) == [("fill", True), ("reversal", True), (last, True)]
        await desk.until(order, "confirmed", mine=True)
        stats = engine.stats()
        assert (stats["reorgs"], stats["orders_completed"], stats["orders_failed"]) == (1, 1, 0)
        assert ledger(desk.reports) == stats["total_realized_wei"]
        assert await desk.earned() == signal.expected_profit


async def test_an_order_that_succeeded_fails_where_the_new_branch_has_it_behind_a_rival(
    desk: Desk, node: DevNode
) -> None:
    async with desk.running(desk.settings(execution_engine=DEEP)) as engine:
        order = await submitted(desk, engine, "in_pool")
        ours = waiting(desk.lab).raw
        market, call = desk.market, artifact("Arbitrageur").call
        pools = (market.cheap.pair, market.dear.pair)
        rival = await market.trader.sign(
            market.arbitrageur, call("flashSwap", REF, *pools, market.base, AMOUNT, 1, RIVAL, FAR)
        )
        await mined(desk, 2)
        await desk.until(order, "mined")
        await desk.lab.reorg(2, blocks=[[rival, ours], [], []])
        report = await desk.until(order, "closed", mine=True)
        assert report.status is not None and report.status.failure == "TransactionReverted"
        # Why is seen behind the rival only: from a trace, which one of the nodes gives.
        assert report.error is not None
        assert "InsufficientProfit" in report.error.text or node.kind != "anvil"
        assert fills(desk) == [("fill", True), ("reversal", True), ("fill", False)]
        [lost] = [fill for one in desk.reports for fill in one.fills if not fill.success]
        assert ledger(desk.reports) == -lost.gas_used * lost.gas_price == engine.stats()["total_realized_wei"]
        assert await desk.earned() == 0


# ---- fees -----------------------------------------------------------------------------------------------------------


async def spike(desk: Desk, node: DevNode, base_fee: int) -> None:
    """An empty block with this base fee."""
    if node.kind not in BASE_FEE_CALLS:
        pytest.skip(f"the base fee of {node.kind} can't be set")
    await desk.lab.node.call(BASE_FEE_CALLS[node.kind], hex(base_fee))
    await mined(desk, transactions=[])


async def test_a_base_fee_that_jumps_makes_what_waits_dearer_within_its_bounds(desk: Desk, node: DevNode) -> None:
    async with desk.running() as engine:
        signal = await desk.signal()
        order = await submitted(desk, engine, "in_pool", signal)
        before = waiting(desk.lab)
        await spike(desk, node, before.max_fee + GWEI)
        report = await desk.until(order, "replacing")
        first, second = report.attempts
        assert (second.kind, second.nonce) == ("speed_up", first.nonce)
        assert second.max_fee * 8 > first.max_fee * 9 and second.max_priority * 8 > first.max_priority * 9
        await desk.until(order, "confirmed", mine=True)
        [fill] = [fill for one in desk.reports for fill in one.fills]
        assert (fill.tx_hash, fill.realized) == (second.hash, signal.expected_profit)


async def test_no_fee_above_the_cap_is_signed_and_what_waits_goes_on_waiting(desk: Desk, node: DevNode) -> None:
    async with desk.running() as engine:
        signal = await desk.signal()
        order = await submitted(desk, engine, "in_pool", signal)
        cap = engine.settings.execution_engine.max_gas_price
        await spike(desk, node, 2 * cap)
        refused = await engine.submit(await desk.signal())
        assert refused.status is not None and refused.status.failure == "GasPriceTooHigh"
        assert engine.stats()["active_orders"] == 1
        await spike(desk, node, GWEI)
        report = await desk.until(order, "confirmed", mine=True)
        assert all(one.max_fee <= cap for one in report.attempts)
        assert await desk.earned() == signal.expected_profit


async def test_a_faster_transaction_lands_in_the_place_of_the_first(desk: Desk) -> None:
    async with desk.running() as engine:
        order = await submitted(desk, engine, "in_pool")
        engine.speed_up(order)
        faster = (await desk.until(order, "replacing")).attempts[-1]
        await desk.holds(lambda _: waiting(desk.lab).hash == faster.hash)
        await desk.until(order, "confirmed", mine=True)
        assert [fill.tx_hash for one in desk.reports for fill in one.fills] == [faster.hash]


async def test_a_cancel_that_comes_too_late_loses_to_the_original(desk: Desk) -> None:
    async with desk.running() as engine:
        signal = await desk.signal()
        order = await submitted(desk, engine, "in_pool", signal)
        original = waiting(desk.lab)
        engine.cancel(order)
        await desk.until(order, "cancelling")
        await desk.lab.mine(transactions=[original.raw])
        report = await desk.until(order, "confirmed", mine=True)
        assert report.status is not None and report.status.state == "Completed"
        assert fills(desk) == [("fill", True)]
        assert await desk.earned() == signal.expected_profit


# ---- a pool that forgets --------------------------------------------------------------------------------------------


async def test_what_the_pool_dropped_is_sent_again_as_the_same_bytes(desk: Desk) -> None:
    async with desk.running(desk.settings(execution_engine={"retry_attempts": 0})) as engine:
        signal = await desk.signal()
        order = await submitted(desk, engine, "in_pool", signal)
        dropped = waiting(desk.lab)
        assert desk.lab.pool.drop(dropped.hash)
        while not len(desk.lab.pool):
            await mined(desk, transactions=[])
            await engine.results.wait_news()
        assert waiting(desk.lab).raw == dropped.raw
        report = await desk.until(order, "confirmed", mine=True)
        assert [one.hash for one in report.attempts] == [dropped.hash]
        assert await desk.earned() == signal.expected_profit


async def test_what_no_pool_keeps_is_taken_back_at_its_deadline_and_only_then_counts_as_dropped(desk: Desk) -> None:
    clock = Jumping()
    async with desk.running(desk.settings(execution_engine={"retry_attempts": 0}), clock=clock) as engine:
        order = await submitted(desk, engine, "in_pool")
        original = waiting(desk.lab).hash
        for _ in range(4):
            desk.lab.pool.drop(original)
            await mined(desk, transactions=[])
        assert engine.stats()["orders_failed"] == 0
        clock.ahead_ns += engine.settings.execution_engine.confirmation_deadline
        await desk.until(order, "cancelling")
        desk.lab.pool.drop(original)
        report = await desk.until(order, "closed", mine=True)
        assert report.status is not None and "overdue" in report.status.flags
        assert report.status.failure == "TransactionDropped"
        assert [one.kind for one in report.attempts] == ["original", "cancel"]
        assert await desk.earned() == 0


# ---- nodes that lie, lag, or are gone -------------------------------------------------------------------------------


async def test_a_subscription_that_says_nothing_is_found_out_and_missed_blocks_are_read(desk: Desk) -> None:
    settings = desk.settings(rpc_endpoints={"heads": {"poll_seconds": 0.05, "silence_seconds": 0.5}})
    async with desk.running(settings) as engine:
        signal = await desk.signal()
        order = await submitted(desk, engine, "in_pool", signal)
        with desk.lab.faults.during(Silent()) as silence:
            block = desk.lab.head + 1
            await desk.lab.mine(5)
            await desk.until(order, "confirmed")
            assert silence.happened > 0
        [fill] = [fill for one in desk.reports for fill in one.fills]
        assert (fill.block, fill.realized) == (block, signal.expected_profit)


@dataclass
class Lagging:
    """A node of the same chain that is some blocks behind, and knows nothing of what is in them or waits."""

    lab: Chainlab
    blocks: int
    url: str = ""
    lies: bool = False
    """Whether it counts one transaction too many of each sender."""

    async def answer(self, ask: Ask) -> Any:
        if ask.method == "eth_getTransactionCount" and self.lies:
            return hex(int(await self.lab.answer(ask), 16) + 1)
        if ask.method in ("eth_getTransactionByHash", "eth_getTransactionReceipt", "eth_getBlockReceipts"):
            return None
        return await self.lab.answer(replace(ask, stale_blocks=self.blocks))

    def opened(self, session: Session) -> None:
        """Nobody subscribes over HTTP."""

    def closed(self, session: Session) -> None:
        """Nor leaves."""


@asynccontextmanager
async def lagging(lab: Chainlab, blocks: int) -> AsyncIterator[Lagging]:
    """Such a node, while the block lasts."""
    node = Lagging(lab, blocks)
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    node.url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, Serving(node).serve, listeners)
        yield node
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("first", ["current", "behind"])
async def test_of_two_nodes_that_disagree_the_one_that_shows_the_block_is_believed(desk: Desk, first: str) -> None:
    async with lagging(desk.lab, 2) as behind:
        urls = [desk.lab.url, behind.url] if first == "current" else [behind.url, desk.lab.url]
        settings = desk.settings(
            urls=urls, rpc_endpoints={"heads": {"poll_seconds": 0.02}}, execution_engine={"retry_attempts": 0}
        )
        async with desk.running(settings) as engine:
            signal = await desk.signal()
            order = await submitted(desk, engine, "in_pool", signal)
            lag = 0 if first == "current" else behind.blocks
            for _ in range(6):
                await desk.lab.mine()
                await desk.holds(lambda engine: engine.stats()["head"] >= desk.lab.head - lag)
            report = await desk.until(order, "confirmed")
            assert len(report.attempts) == 1
            stats = engine.stats()
            assert (stats["orders_completed"], stats["orders_failed"], stats["lanes_frozen"]) == (1, 0, 0)
            assert await desk.earned() == signal.expected_profit


async def test_an_engine_begins_when_two_nodes_agree_on_its_senders(desk: Desk) -> None:
    async with lagging(desk.lab, 0) as other, trio.open_nursery() as nursery:
        other.lies = True
        settings = desk.settings(urls=[desk.lab.url, other.url], rpc_endpoints={"heads": {"poll_seconds": 0.02}})
        engine = OrderEngine(settings, dev_keys()[1:2])
        nursery.start_soon(engine.run)
        with trio.fail_after(PATIENCE_SECONDS):
            await engine._watch.feed.wait_for(desk.lab.head)
            await desk.lab.mine()
            await engine._watch.feed.wait_for(desk.lab.head)
            assert not engine.is_ready
            other.lies = False
            await engine._watch.known.wait()
        nursery.cancel_scope.cancel()


async def refused(desk: Desk, engine: OrderEngine, clock: Jumping) -> str:
    """Why a signal is that does not pay."""
    answer = await engine.submit(await desk.signal(expected_profit_wei=1, created_unix_ns=clock()[1]))
    assert answer.status is not None
    return answer.status.failure


async def test_a_minute_without_any_node_fails_no_order_that_is_out(desk: Desk) -> None:
    clock = Jumping()
    settings = desk.settings(urls=[desk.lab.websocket_url, desk.lab.url], execution_engine={"metrics_interval": "50ms"})
    async with desk.running(settings, clock=clock) as engine:
        signal = await desk.signal()
        first = await submitted(desk, engine, "in_pool", signal)
        second = await desk.signal(valid_until_block=desk.lab.head + 1)
        with desk.lab.faults.during(Status(503)):
            # At once, before anybody has noticed.
            await engine.submit(second)
            await desk.holds(lambda engine: not engine.stats()["endpoints_up"])
            for _ in range(6):
                clock.ahead_ns += 10 * 10**9
                await engine.results.wait_news()
            await desk.holds(lambda engine: "no_endpoint" in {one.name for one in engine.monitor.alerts})
            stats = engine.stats()
            assert (stats["orders_failed"], stats["active_orders"], stats["cut_off"]) == (0, 2, 1)
            # Nothing new is taken, and what the operator halts or resumes changes nothing about that.
            engine.halt(False)
            assert await refused(desk, engine, clock) == "Halted"
        # Monitoring is back by itself; signals are taken once every sender was counted, be there a new block or not.
        await desk.holds(lambda engine: not engine.stats()["cut_off"])
        assert engine.stats()["head"] == desk.lab.head
        assert await refused(desk, engine, clock) == "InsufficientProfit"
        await desk.until(first, "confirmed", mine=True)
        assert await desk.earned() == signal.expected_profit
        assert engine.stats()["lanes_frozen"] == 0


# ---- builders -------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def bidding(desk: Desk) -> AsyncIterator[OrderEngine]:
    """An engine that asks the lab's builder only."""
    relay = {"enabled": True, "relays": [{"url": desk.lab.url, "name": "builder"}]}
    settings = desk.settings(submission_strategy={"type": "private"}, mev_protection=relay)
    async with desk.running(settings) as engine:
        yield engine


async def test_a_bundle_that_would_revert_is_in_no_block_and_costs_nothing(desk: Desk) -> None:
    async with bidding(desk) as engine:
        right = await desk.signal()
        order = await submitted(desk, engine, "in_relay", replace(right, expected_profit=2 * right.expected_profit))
        report = await desk.until(order, "closed", mine=True)
        assert report.status is not None and report.status.failure == "MEVBundleFailed"
        assert "residual" in report.status.flags
        assert (fills(desk), engine.stats()["total_gas_wei"]) == ([], 0)
        sender = report.attempts[0].sender
        assert (
            int(await desk.lab.node.call("eth_getTransactionCount", sender, "latest"), 16) == report.attempts[0].nonce
        )
        assert desk.lab.builder.statistics.included == 0


async def test_a_bundle_that_was_cancelled_in_time_lands_nowhere(desk: Desk) -> None:
    async with bidding(desk) as engine:
        order = await submitted(desk, engine, "in_relay")
        engine.cancel(order)
        await desk.holds(lambda _: desk.lab.builder.statistics.cancelled > 0 and not desk.lab.builder.waiting)
        report = await desk.until(order, "closed", mine=True)
        assert report.status is not None and report.status.failure == "Cancelled"
        assert (fills(desk), await desk.earned()) == ([], 0)


async def test_a_cancelled_bundle_that_wins_all_the_same_is_a_completed_order(desk: Desk) -> None:
    async with bidding(desk) as engine:
        signal = await desk.signal()
        order = await submitted(desk, engine, "in_relay", signal)
        [bid, *_] = [bundle.transactions[0] for bundle in desk.lab.builder.waiting]
        engine.cancel(order)
        await desk.holds(lambda _: not desk.lab.builder.waiting)
        await desk.lab.mine(transactions=[bid.raw])
        report = await desk.until(order, "confirmed", mine=True)
        assert report.status is not None and report.status.state == "Completed"
        assert await desk.earned() == signal.expected_profit


async def test_a_bundle_that_lands_after_its_order_was_closed_corrects_the_ledger(desk: Desk) -> None:
    async with bidding(desk) as engine:
        signal = await desk.signal()
        order = await submitted(desk, engine, "in_relay", signal)
        await desk.holds(lambda _: len(desk.lab.builder.waiting) == 3)
        raw = desk.lab.builder.waiting[0].transactions[0].raw
        desk.lab.builder.waiting.clear()
        closed = await desk.until(order, "closed", mine=True)
        assert closed.status is not None and "residual" in closed.status.flags
        await desk.lab.mine(transactions=[raw])
        await desk.holds(lambda _: fills(desk) == [("late", True)])
        assert await desk.earned() == signal.expected_profit
        assert engine.stats()["total_realized_wei"] == ledger(desk.reports) > 0


async def test_a_bundle_is_replaced_by_itself_when_the_engine_starts_again(desk: Desk) -> None:
    signal = await desk.signal()
    async with bidding(desk) as engine:
        order = await submitted(desk, engine, "in_relay", signal)
        await desk.holds(lambda _: len(desk.lab.builder.waiting) == 3)
    async with bidding(desk):
        await desk.holds(lambda _: desk.lab.builder.statistics.replaced == 3)
        report = await desk.until(order, "confirmed", mine=True)
        assert len(report.attempts) == 1
        assert (desk.lab.builder.statistics.included, await desk.earned()) == (1, signal.expected_profit)


async def test_of_alternatives_for_one_slot_one_lands_and_the_other_goes_on_elsewhere(desk: Desk) -> None:
    relay = {"enabled": True, "relays": [{"url": desk.lab.url, "name": "builder"}]}
    senders = {"private_sharing": 2, "lane_depth": 1}
    settings = desk.settings(submission_strategy={"type": "private"}, mev_protection=relay, senders=senders)
    async with desk.running(settings) as engine:
        orders = []
        for share in (3, 2, 4, 5):
            amount = AMOUNT // 50
            profit = await desk.market.flash_swap_profit(amount)
            signal = await desk.signal(
                amounts=[amount], expected_profit=profit * share // 10, expected_profit_wei=profit // 2_000
            )
            orders.append(await submitted(desk, engine, "in_relay", signal))
        slots = {(one["sender"], one["nonce"]) for one in engine.orders}
        assert len(slots) < len(orders)
        for order in orders:
            await desk.until(order, "confirmed", "closed", mine=True)
        landed = [fill for one in desk.reports for fill in one.fills if fill.kind == "fill"]
        assert len({fill.tx_hash for fill in landed}) == len(landed) == engine.stats()["orders_completed"] > 1

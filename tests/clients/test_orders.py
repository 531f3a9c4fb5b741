"""The order engine on real nodes and real Uniswap V2 pools: a signal goes in, profit is settled, nothing is lost."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import trio

from execlayer import Transaction
from execlayer.errors import SenderInUse
from execlayer.orders import (
    ContractNotFound,
    EngineGone,
    FrameRefused,
    Hop,
    OrderEngine,
    OrderSettings,
    open_client,
)
from execlayer.orders.control import NotRunning, Refused, ask
from execlayer.testing import Drop, Status
from execlayer.testing.chainlab import LabRules, open_chainlab
from execlayer.testing.market import Market
from execlayer.upstream import Client, Endpoint

from .nodes import KINDS, DevNode, dev_keys, running
from .packages import INSTALL_SECONDS
from .test_market import AMOUNT
from .test_order_tutorial import free_port
from .trading import Desk, open_trading

pytestmark = pytest.mark.timeout(INSTALL_SECONDS + 120)


@dataclass
class Deployed:
    """The market of a node, deployed once; each test returns to it."""

    market: Market | None = None


@pytest.fixture(scope="module")
def anvil(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevNode]:
    with running("anvil", tmp_path_factory.mktemp("anvil")) as node:
        yield node


@pytest.fixture(scope="module")
def deployed() -> Deployed:
    return Deployed()


async def opened(node: DevNode, deployed: Deployed, folder: Path, nursery: trio.Nursery) -> AsyncIterator[Desk]:
    client = Client(Endpoint(url=node.url, timeout_seconds=20))
    await nursery.start(client.run)
    if deployed.market is None:
        deployed.market = await open_trading(client)
    deployed.market.trader.upstream = client
    snapshot = await client.call("evm_snapshot")
    async with open_chainlab(node.url, rules=LabRules(requires_signature=True)) as lab:
        yield Desk(deployed.market, lab, folder)
    assert await client.call("evm_revert", snapshot)
    nursery.cancel_scope.cancel()


@pytest.fixture
async def desk(anvil: DevNode, deployed: Deployed, tmp_path: Path, nursery: trio.Nursery) -> AsyncIterator[Desk]:
    async for desk in opened(anvil, deployed, tmp_path, nursery):
        yield desk


async def test_a_signal_becomes_a_settled_arbitrage_with_its_profit(desk: Desk) -> None:
    async with desk.running() as engine, open_client(engine.addresses[0], source_id=7) as client:
        signal = await desk.signal()
        answer = await client.send(signal)
        assert answer.kind == "ack" and answer.status is not None
        assert (answer.status.state, answer.status.signal_id, answer.status.source_id) == ("Submitted", 1, 7)
        order = answer.status.order_id
        await desk.until(order, "in_pool")
        done = await desk.until(order, "confirmed", mine=True)
        assert done.kind == "result" and done.status is not None and done.status.is_terminal
        [fill] = [fill for one in desk.reports for fill in one.fills]
        assert (fill.success, fill.realized) == (True, signal.expected_profit)
        assert await desk.earned() == signal.expected_profit
        cost = fill.gas_used * fill.gas_price
        assert fill.realized_wei == signal.expected_profit_wei - cost
        stats = engine.stats()
        assert (stats["orders_completed"], stats["total_realized_wei"]) == (1, fill.realized_wei)
        assert stats["success_rate"] == 1.0


async def test_the_same_signal_twice_is_one_order(desk: Desk) -> None:
    async with desk.running() as engine, open_client(engine.addresses[0], source_id=7) as client:
        signal = await desk.signal()
        first, second = await client.send(signal), await client.send(signal)
        assert first.status is not None and second.status is not None
        assert first.status.order_id == second.status.order_id
        await desk.until(first.status.order_id, "confirmed", mine=True)
        stats = engine.stats()
        assert (stats["orders_created"], stats["duplicates"]) == (1, 1)
        assert await desk.earned() == signal.expected_profit


async def test_what_is_too_old_or_does_not_pay_is_refused_with_its_reason(desk: Desk) -> None:
    async with desk.running() as engine:
        old = await desk.signal()
        stale = await engine.submit(await desk.signal(created_unix_ns=old.created_unix_ns - 11 * 10**9))
        assert stale.status is not None and stale.status.failure == "StaleSignal"
        poor = await engine.submit(await desk.signal(expected_profit_wei=10**9))
        assert poor.status is not None and poor.status.failure == "InsufficientProfit"
        foreign = await engine.submit(await desk.signal(chain_id=5))
        assert foreign.status is not None
        report = await desk.until(foreign.status.order_id, "closed")
        assert report.error is not None and "chain_id" in report.error.text
        assert engine.stats()["validation_failures"] == 3


async def test_a_frame_that_makes_no_sense_is_refused_and_ends_the_connection(desk: Desk) -> None:
    async with desk.running() as engine:
        host, port = engine.addresses[0].rsplit(":", 1)
        stream = await trio.open_tcp_stream(host, int(port))
        async with stream:
            await stream.send_all(b"GET / HTTP/1.1\r\n\r\n")
            answer = b""
            while data := await stream.receive_some():
                answer += data
        assert answer[:6] == b"XLO1\x01\x13"
        async with open_client(engine.addresses[0], source_id=7) as client:
            assert (await client.heartbeat()).kind == "ack"
        with pytest.raises(FrameRefused, match="length of the field"):
            await engine.submit(await desk.signal(hops=[Hop()]))
        assert engine.stats()["orders_created"] == 0


async def test_a_shortfall_on_chain_is_told_with_its_reason(desk: Desk) -> None:
    async with desk.running() as engine:
        signal = await desk.signal()
        greedy = await desk.signal(expected_profit=2 * signal.expected_profit)
        answer = await engine.submit(greedy)
        assert answer.status is not None
        report = await desk.until(answer.status.order_id, "closed", mine=True)
        assert report.status is not None and report.status.failure == "TransactionReverted"
        assert await desk.earned() == 0
        [fill] = [fill for one in desk.reports for fill in one.fills]
        assert not fill.success and fill.realized_wei == -fill.gas_used * fill.gas_price


async def test_a_lost_reply_makes_the_same_bytes_go_again_and_never_twice_into_a_block(desk: Desk) -> None:
    async with desk.running() as engine:
        desk.lab.faults.add(Drop(after=True), "eth_sendRawTransaction")
        answer = await engine.submit(await desk.signal())
        assert answer.status is not None
        await desk.until(answer.status.order_id, "in_pool")
        assert len(desk.lab.pool) == 1
        await desk.until(answer.status.order_id, "confirmed", mine=True)
        assert engine.stats()["orders_completed"] == 1


async def test_a_block_that_is_taken_back_takes_its_fill_with_it(desk: Desk) -> None:
    async with desk.running() as engine:
        signal = await desk.signal()
        answer = await engine.submit(signal)
        assert answer.status is not None
        order = answer.status.order_id
        await desk.until(order, "in_pool")
        await desk.lab.mine()
        await desk.until(order, "mined")
        await desk.lab.reorg(1)
        await desk.until(order, "orphaned")
        await desk.until(order, "confirmed", mine=True)
        kinds = [fill.kind for one in desk.reports for fill in one.fills]
        assert kinds == ["fill", "reversal", "fill"]
        assert await desk.earned() == signal.expected_profit
        assert engine.stats()["reorgs"] == 1


async def test_a_transaction_that_waits_is_made_faster_and_a_cancelled_one_is_taken_away(desk: Desk) -> None:
    async with desk.running() as engine:
        first = await engine.submit(await desk.signal())
        assert first.status is not None
        await desk.until(first.status.order_id, "in_pool")
        [before] = desk.reports[-1].attempts
        engine.speed_up(first.status.order_id)
        await desk.until(first.status.order_id, "replacing")
        after = desk.reports[-1].attempts[-1]
        assert (after.kind, after.nonce) == ("speed_up", before.nonce)
        assert after.max_fee * 8 > before.max_fee * 9 and after.max_priority * 8 > before.max_priority * 9
        engine.cancel(first.status.order_id)
        report = await desk.until(first.status.order_id, "closed", mine=True)
        assert report.status is not None and report.status.failure == "Cancelled"
        assert await desk.earned() == 0


async def test_with_its_only_endpoint_down_an_order_waits_and_then_goes_out(desk: Desk) -> None:
    async with desk.running() as engine:
        signal = await desk.signal()
        with desk.lab.faults.during(Status(503)):
            answer = await engine.submit(signal)
            assert answer.status is not None and answer.status.state == "Submitted"
            await desk.holds(lambda engine: not engine.stats()["endpoints_up"])
            assert len(desk.lab.pool) == 0
        await desk.until(answer.status.order_id, "confirmed", mine=True)
        assert await desk.earned() == signal.expected_profit


async def test_an_engine_that_ends_goes_on_where_it_was_and_takes_no_signal_twice(desk: Desk) -> None:
    signal = await desk.signal()
    async with desk.running() as engine, open_client(engine.addresses[0], source_id=7) as client:
        answer = await client.send(signal)
        assert answer.status is not None
        await desk.until(answer.status.order_id, "in_pool")
    with pytest.raises(EngineGone):
        await client.send(signal)
    desk.reports.clear()
    async with desk.running() as engine, open_client(engine.addresses[0], source_id=7) as client:
        again = await client.send(signal)
        assert again.status is not None and again.status.order_id == answer.status.order_id
        await desk.until(answer.status.order_id, "confirmed", mine=True)
        assert engine.stats()["orders_created"] == 1
    assert await desk.earned() == signal.expected_profit


async def test_a_bundle_lands_first_in_its_block_and_its_bytes_never_go_public(desk: Desk) -> None:
    relay = {"enabled": True, "relays": [{"url": desk.lab.url, "name": "builder"}]}
    settings = desk.settings(submission_strategy={"type": "private"}, mev_protection=relay)
    async with desk.running(settings) as engine:
        signal = await desk.signal()
        answer = await engine.submit(signal)
        assert answer.status is not None
        await desk.until(answer.status.order_id, "in_relay")
        assert len(desk.lab.pool) == 0
        report = await desk.until(answer.status.order_id, "confirmed", mine=True)
        [fill] = [fill for one in desk.reports for fill in one.fills]
        assert (fill.tx_index, fill.realized) == (0, signal.expected_profit)
        assert [one.channel for one in report.attempts] == ["private"]


async def test_a_window_without_a_builder_falls_back_to_the_public_at_the_same_nonce(desk: Desk) -> None:
    relay = {"enabled": True, "relays": [{"url": "http://127.0.0.1:9", "name": "builder"}]}
    strategy = {"type": "hybrid", "private_timeout": "300ms"}
    async with desk.running(desk.settings(submission_strategy=strategy, mev_protection=relay)) as engine:
        signal = await desk.signal()
        answer = await engine.submit(signal)
        assert answer.status is not None
        await desk.until(answer.status.order_id, "in_pool")
        report = await desk.until(answer.status.order_id, "confirmed", mine=True)
        assert [one.channel for one in report.attempts] == ["private", "public"]
        assert len({one.nonce for one in report.attempts}) == 1
        assert await desk.earned() == signal.expected_profit


async def test_a_simulation_refuses_what_would_revert_before_anything_is_signed(desk: Desk) -> None:
    async with desk.running(desk.settings(execution_engine={"presim": "always", "conflict": "simulate"})) as engine:
        signal = await desk.signal()
        greedy = await engine.submit(await desk.signal(expected_profit=2 * signal.expected_profit))
        assert greedy.status is not None
        report = await desk.until(greedy.status.order_id, "closed")
        assert report.status is not None and report.status.failure == "SimulationFailed"
        assert report.error is not None and "InsufficientProfit" in report.error.text
        assert report.attempts == ()
        good = await engine.submit(signal)
        assert good.status is not None
        await desk.until(good.status.order_id, "in_pool")
        # What takes the same profit after it would find nothing left.
        late = await engine.submit(await desk.signal())
        assert late.status is not None
        report = await desk.until(late.status.order_id, "closed")
        assert report.status is not None and report.status.failure == "SimulationFailed"
        await desk.until(good.status.order_id, "confirmed", mine=True)
        assert await desk.earned() == signal.expected_profit


async def test_a_foreign_transaction_with_our_key_freezes_its_lane(desk: Desk) -> None:
    async with desk.running() as engine:
        key = dev_keys()[1]
        nonce = int(await desk.lab.node.call("eth_getTransactionCount", key.address, "latest"), 16)
        raw = key.sign_transaction(
            chain_id=31_337,
            nonce=nonce,
            gas_limit=21_000,
            to=key.address,
            value=0,
            data=b"",
            max_fee_per_gas=10**11,
            max_priority_fee_per_gas=10**9,
        )
        await desk.lab.mine(transactions=[raw])
        assert Transaction.decode(raw).sender == key.address
        await desk.holds(lambda engine: engine.stats()["lanes_frozen"])
        assert any(one.name == "nonce_conflict" for one in engine.monitor.alerts)
        answer = await engine.submit(await desk.signal())
        assert answer.status is not None
        report = await desk.until(answer.status.order_id, "confirmed", mine=True)
        assert report.attempts[0].sender != key.address
        engine.thaw(key.address)
        assert not engine.stats()["lanes_frozen"]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "anvil"])
async def test_the_way_from_signal_to_profit_is_the_same_on_other_nodes(
    kind: str, tmp_path: Path, nursery: trio.Nursery
) -> None:
    with running(kind, tmp_path) as node:
        async for desk in opened(node, Deployed(), tmp_path, nursery):
            async with desk.running(desk.settings(urls=[desk.lab.url])) as engine:
                signal = await desk.signal()
                answer = await engine.submit(signal)
                assert answer.status is not None
                await desk.until(answer.status.order_id, "confirmed", mine=True)
                assert await desk.earned() == signal.expected_profit


async def test_a_second_engine_with_the_same_key_is_refused_and_the_first_goes_on(desk: Desk) -> None:
    async with desk.running() as engine:
        journal = {"dir": desk.folder / "another", "locks": desk.folder / "locks"}
        second = OrderEngine(desk.settings(journal=journal), dev_keys()[1:2])
        with pytest.raises(SenderInUse) as refused:
            await second.run()
        assert refused.value.sender == dev_keys()[1].address
        answer = await engine.submit(await desk.signal())
        assert answer.status is not None
        await desk.until(answer.status.order_id, "confirmed", mine=True)


async def test_an_engine_does_not_start_without_its_contract(desk: Desk) -> None:
    tree = desk.settings().model_dump()
    nowhere = OrderSettings.model_validate({**tree, "contract": "0x" + "77" * 20})
    other = OrderSettings.model_validate({**tree, "contract_code_hash": "0x" + "77" * 32})
    for settings, reason in ((nowhere, "no code"), (other, "hashes to")):
        with pytest.RaisesGroup(ContractNotFound, flatten_subgroups=True) as refused:
            await OrderEngine(settings, dev_keys()[1:2]).run()
        assert reason in str(refused.value.exceptions[0])


async def test_a_running_engine_is_asked_and_told_and_shows_its_figures(desk: Desk) -> None:
    port = free_port()
    settings = desk.settings(protocol={"metrics": f"127.0.0.1:{port}"})
    async with desk.running(settings) as engine:
        answer = await engine.submit(await desk.signal())
        assert answer.status is not None
        [order] = await ask(settings.control, do="orders")
        assert (order["order_id"], order["signal_id"]) == (answer.status.order_id, 1)
        await ask(settings.control, do="cancel", order=order["order_id"])
        report = await desk.until(order["order_id"], "closed", mine=True)
        assert report.status is not None and report.status.failure == "Cancelled"
        told = await ask(settings.control, do="status")
        assert (told["orders_failed"], told["recent_failures"][0]["failure"]) == (1, "Cancelled")
        for wrong in ({"do": "explode"}, {"do": "cancel"}, {"do": "thaw", "sender": "0x12"}):
            with pytest.raises(Refused):
                await ask(settings.control, **wrong)
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await stream.send_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")
            page = b""
            while data := await stream.receive_some():
                page += bytes(data)
        assert page.startswith(b"HTTP/1.1 200 OK") and b"execlayer_orders_failed_total 1" in page
    with pytest.raises(NotRunning):
        await ask(settings.control, do="status")


async def test_an_engine_stops_in_order(desk: Desk) -> None:
    engine = OrderEngine(desk.settings(), dev_keys()[1:4])
    async with trio.open_nursery() as nursery:
        await nursery.start(engine.run)
        async with open_client(engine.addresses[0], source_id=7) as client:
            answer = await client.send(await desk.signal(amounts=[AMOUNT]))
            assert answer.status is not None
            engine.stop()
    assert not engine.is_ready
    assert list((desk.folder / "journal").glob("snapshot-*.xls"))

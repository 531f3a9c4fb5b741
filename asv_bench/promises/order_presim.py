"""Trying orders before they are signed: the flash swap between two real Uniswap V2 pools, on our EVM over the state of
a node, as the engine does it with ``presim = "always"``.

The node is ours, a process of its own; the pools are those of the client tests' lock file, and without Node.js there is
no row. Every order has to pass its trial, and the gas limit that it is signed with has to come from it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from time import time_ns

import pytest
import trio

from asv_bench.promises.order_chain import AMOUNT, settings, signal
from asv_bench.promises.orders import Every, part, quantile
from asv_bench.promises.row import Row, WrongAnswer
from execlayer.orders import OrderEngine, OrderSettings, Signal
from execlayer.orders.wire import Header
from execlayer.testing.market import Market, amount_in, amount_out
from execlayer.upstream import Client, Endpoint
from tests.clients.nodes import dev_keys, running
from tests.clients.trading import SENDERS, open_trading

ORDERS = 3_000


def rows() -> Iterator[Row]:
    """The promises, where they can be measured."""
    with tempfile.TemporaryDirectory() as name:
        try:
            with running("execlayer", Path(name)) as node:
                yield from trio.run(measure, node.url, Path(name))
        except pytest.skip.Exception:
            return


async def measure(url: str, folder: Path) -> list[Row]:
    """Deploys, and has as many signals tried, signed and sent as there come."""
    keys = dev_keys()[1 : 1 + SENDERS]
    async with trio.open_nursery() as nursery:
        client = await nursery.start(Client(Endpoint(url=url, timeout_seconds=60)).run)
        market = await open_trading(client)
        profit = await market_profit(market)
        times, seconds = await tried(OrderEngine(wanted(market, url, folder), keys), market, profit, folder)
        nursery.cancel_scope.cancel()
    return [
        Row("orders, trial of a two-pool arbitrage on our EVM, p50", "at_most", quantile(times, 0.5) * 1e6, "µs", 200),
        Row("orders, trial of a two-pool arbitrage on our EVM, p99", "at_most", quantile(times, 0.99) * 1e6, "µs", 1e3),
        Row(
            "orders, signals tried, signed and sent, each on our EVM",
            "at_least",
            ORDERS / seconds,
            "a second",
            2_000,
        ),
    ]


async def market_profit(market: Market) -> int:
    """Of one flash swap of the usual amount, as the pools stand: nothing is ever mined, so each makes as much."""
    cheap, dear = await market.reserves(market.cheap), await market.reserves(market.dear)
    return amount_out(AMOUNT, *dear) - amount_in(AMOUNT, cheap[1], cheap[0])


def wanted(market: Market, url: str, folder: Path) -> OrderSettings:
    """As on a chain, but tried."""
    tree = settings(market, url, folder).model_dump()
    tree["execution_engine"]["presim"] = "always"
    tree["senders"]["lane_depth"] = ORDERS
    return OrderSettings.model_validate(tree)


def frames(market: Market, profit: int) -> bytes:
    """Signals of one source."""

    def made(number: int) -> Signal:
        return replace(signal(market, number, profit), created_unix_ns=time_ns())

    headers = [Header(sequence=number, sent_unix_ns=time_ns(), source_id=9) for number in range(1, ORDERS + 1)]
    return b"".join(made(header.sequence).to_frame(header) for header in headers)


async def tried(engine: OrderEngine, market: Market, profit: int, folder: Path) -> tuple[list[float], float]:
    """Each trial's time, and the seconds that all orders took until they were out."""
    out, trials = Every(), Every()
    engine.monitor.times |= {"signal_processing_time": out, "presim_time": trials}
    async with trio.open_nursery() as nursery:
        await nursery.start(engine.run)
        # The first one has the state fetched: what a warm state gives is the promise.
        first = await engine.submit(replace(signal(market, 10**6, profit), created_unix_ns=time_ns()))
        with trio.fail_after(30):
            while not trials.kept:
                await trio.sleep(0.01)
        assert first.status is not None
        path = folder / "frames"
        path.write_bytes(frames(market, profit))
        out.kept.clear()
        trials.kept.clear()
        out.began = 0.0
        with part("source", engine.addresses[0], str(path), "0"), trio.move_on_after(60):
            while len(out.kept) < ORDERS:
                await trio.sleep(0.01)
        stats, seconds = engine.stats(), out.last - out.began
        told = (len(out.kept), len(trials.kept), stats["orders_submitted"], stats["orders_failed"])
        if told != (ORDERS, ORDERS, ORDERS + 1, 0):
            raise WrongAnswer(f"orders, tried: sent, tried, submitted and failed are {told}, {stats['failures']}")
        nursery.cancel_scope.cancel()
    return trials.kept, seconds

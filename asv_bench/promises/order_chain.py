"""The order engine against a chain: a hundred real arbitrages a second for a minute, on real Uniswap V2 pools, in
blocks of twelve seconds, until the last one is settled.

The chain is anvil behind chainlab, and the pools are those of the client tests' lock file; without Node.js there is no
row. It takes a good minute and a half. What the recipient holds at the end has to be what the reports add up to.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from asv_bench.promises.orders import MIB, Every, quantile
from asv_bench.promises.row import Row, WrongAnswer
from execlayer import Key
from execlayer.artifacts import artifact
from execlayer.orders import OrderEngine, OrderSettings, Report, Signal
from execlayer.testing.chainlab import LabRules, open_chainlab
from execlayer.testing.market import Market, Trader, amount_in, amount_out, open_market
from execlayer.upstream import Client, Endpoint
from tests.clients.nodes import CHAIN_ID, dev_keys, running
from tests.clients.test_market import RECIPIENT, uniswap

RATE, SECONDS, BLOCK_SECONDS = 100, 60, 12
SENDERS = 400
"""With 16 unsettled transactions each: what a minute and a slow block want."""

AMOUNT = 10**13
"""So little that six thousand of them hardly move the price."""

SETTLING_SECONDS = 120


def rows() -> Iterator[Row]:
    """The promise, where it can be measured."""
    with tempfile.TemporaryDirectory() as name:
        try:
            with running("anvil", Path(name)) as node:
                yield from trio.run(measure, node.url, Path(name))
        except pytest.skip.Exception:
            return


async def measure(url: str, folder: Path) -> list[Row]:
    """Deploys, sends, waits for the last, and counts."""
    keys = [Key((10**6 + number).to_bytes(32, "big")) for number in range(SENDERS)]
    async with trio.open_nursery() as nursery:
        client = await nursery.start(Client(Endpoint(url=url, timeout_seconds=60)).run)
        market = await deployed(client, keys)
        command = [sys.executable, "-m", "asv_bench.promises.order_chain", url]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as lab:
            try:
                assert lab.stdout is not None
                found = await trade(market, lab.stdout.readline().strip(), keys, folder)
            finally:
                lab.kill()
        nursery.cancel_scope.cancel()
    return found


async def network(url: str) -> None:
    """The lab, a process of its own: makes blocks until it is ended."""
    async with open_chainlab(url, rules=LabRules(block_seconds=BLOCK_SECONDS)) as lab:
        print(lab.websocket_url, flush=True)
        await trio.sleep_forever()


async def deployed(client: Client, keys: list[Key]) -> Market:
    """A market that takes orders from all of the keys."""
    await client.call("evm_setAutomine", False)
    # Room for a block's worth of arbitrages at this rate.
    await client.call("evm_setBlockGasLimit", hex(10**9))
    trader = Trader(client, dev_keys()[0])
    market = await open_market(trader, uniswap("UniswapV2Factory"), uniswap("UniswapV2Pair"))
    for key in keys:
        await client.call("anvil_setBalance", key.address, hex(10**21))
        allow = artifact("Arbitrageur").call("setOperator", key.address, True)
        await trader.do(market.arbitrageur, allow)
    await trader.do(market.quote, artifact("Token").call("mint", RECIPIENT, 1))
    return market


async def signals(market: Market) -> list[Signal]:
    """All of them, each on what the ones before it have left."""
    cheap, dear = await market.reserves(market.cheap), await market.reserves(market.dear)
    made = []
    for number in range(1, RATE * SECONDS + 1):
        owed = amount_in(AMOUNT, cheap[1], cheap[0])
        got = amount_out(AMOUNT, *dear)
        cheap, dear = (cheap[0] - AMOUNT, cheap[1] + owed), (dear[0] + AMOUNT, dear[1] - got)
        made.append(signal(market, number, got - owed))
    return made


def signal(market: Market, number: int, profit: int) -> Signal:
    return Signal(
        signal_id=number,
        created_unix_ns=0,
        chain_id=CHAIN_ID,
        pools=[market.cheap.pair, market.dear.pair],
        tokens=[market.base, market.quote],
        amounts=[AMOUNT],
        profit_token=market.quote,
        expected_profit=profit,
        # Not what it is worth: such small ones pay for no gas. The ledger goes by the figure all the same.
        expected_profit_wei=10**17,
        gas_estimate=210_000,
    )


def settings(market: Market, url: str, folder: Path) -> OrderSettings:
    node = {"url": url, "timeout_seconds": 30}
    return OrderSettings.model_validate(
        {
            "chain_id": CHAIN_ID,
            "contract": market.arbitrageur,
            "recipient": RECIPIENT,
            "execution_engine": {
                "presim": "off",
                "conflict": "ignore",
                "confirmation_blocks": 1,
                "max_concurrent_orders": 10_000,
                "max_state_lag": 1_000_000,
                "submission_deadline": "300s",
            },
            # A block may take as long to build as it has: the one after it is no reason to pay more.
            "replacement": {"after_blocks": 5},
            "channels": {"execution": 100_000},
            "submission_strategy": {"type": "public"},
            "rpc_endpoints": {"primary": node},
            "journal": {"dir": folder / "journal"},
            "protocol": {"listen": "127.0.0.1:0"},
        }
    )


async def trade(market: Market, url: str, keys: list[Key], folder: Path) -> list[Row]:
    """Sends at an even rate; what came of it."""
    engine = OrderEngine(settings(market, url, folder), keys)
    times = Every()
    engine.monitor.times["signal_processing_time"] = times
    wanted = await signals(market)
    ended: dict[int, Report] = {}
    realized = [0]
    most = 0
    async with trio.open_nursery() as nursery:
        await nursery.start(engine.run)
        nursery.start_soon(collect, engine, ended, realized)
        begin = trio.current_time()
        for number, one in enumerate(wanted):
            await trio.sleep_until(begin + number / RATE)
            await engine.submit(replace(one, created_unix_ns=time.time_ns()))
            most = max(most, number + 1 - len(ended))
        sent = trio.current_time() - begin
        with trio.move_on_after(SETTLING_SECONDS):
            while len(ended) < len(wanted):
                await trio.sleep(0.1)
        stats = engine.stats()
        nursery.cancel_scope.cancel()
    held = await market.balance(market.quote, RECIPIENT) - 1
    told = (stats["orders_completed"], stats["orders_failed"], realized[0])
    if told != (len(wanted), 0, held):
        failures = f"{stats['failures']}, {stats['active_orders']} live"
        raise WrongAnswer(f"orders, on a chain: completed, failed and profit are {told}, it holds {held} ({failures})")
    return [
        Row("orders, real arbitrages a second for 60 s, all settled", "at_least", len(wanted) / sent, "a second", 99.5),
        Row("orders, most in flight at once on the chain", "at_least", most, "orders", 1_000),
        *(
            Row(f"orders, signal to last byte on the chain, p{share:g}", "at_most", taken * 1e3, "ms", target)
            for share, target in ((50, 1.0), (99, 5.0), (99.9, 50.0))
            for taken in [quantile(times.kept, share / 100)]
        ),
        Row("orders, memory after 6,000 orders on the chain", "at_most", stats["memory_bytes"] / MIB, "MiB", 512),
    ]


async def collect(engine: OrderEngine, ended: dict[int, Report], realized: list[int]) -> None:
    """Takes results as they come."""
    async for report in engine.updates():
        realized[0] += sum(fill.realized * (-1 if fill.kind == "reversal" else 1) for fill in report.fills)
        if report.status is not None and report.status.is_terminal:
            ended[report.status.order_id] = report


if __name__ == "__main__":
    trio.run(network, sys.argv[1])

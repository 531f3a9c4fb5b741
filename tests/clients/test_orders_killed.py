"""An engine's process is killed again and again under load: no signal is lost, none is executed twice, and what it told
stays what it told.
"""

from __future__ import annotations

import json
import random
import signal
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from subprocess import PIPE

import pytest
import trio

from execlayer._core import keccak256
from execlayer.orders import EngineGone, Report, Signal, open_client
from execlayer.testing.market import amount_in, amount_out

from .nodes import DevNode, dev_keys
from .packages import INSTALL_SECONDS
from .test_market import RECIPIENT
from .test_orders import Deployed, anvil, deployed, opened
from .trading import SENDERS, Desk

pytestmark = pytest.mark.timeout(INSTALL_SECONDS + 180)
__all__ = ["anvil", "deployed"]
SIGNALS, KILLS = 60, 5
AMOUNT = 10**13
SEED = 20_250_101
PATIENCE_SECONDS = 120
ARBITRAGE = "0x" + keccak256(b"Arbitrage(bytes32,address,uint256,uint256)").hex()
SETTINGS = """
chain_id = 31337
contract = "{contract}"
recipient = "{recipient}"

[execution_engine]
presim = "off"
conflict = "ignore"
confirmation_blocks = 1
max_state_lag = 1000

[submission_strategy]
type = "public"

[rpc_endpoints.primary]
url = "{url}"

[senders]
keys = [{keys}]

[journal]
dir = "journal"

[protocol]
listen = "{listen}"
"""


@pytest.fixture
async def desk(anvil: DevNode, deployed: Deployed, tmp_path: Path, nursery: trio.Nursery) -> AsyncIterator[Desk]:
    async for desk in opened(anvil, deployed, tmp_path, nursery):
        yield desk


@dataclass
class Source:
    """Sends until each signal is known, hears until each order has ended; whatever happens to the engine meanwhile."""

    address: str
    signals: list[Signal]
    known: dict[int, int] = field(default_factory=dict)
    """Orders by signal."""

    told: dict[int, Report] = field(default_factory=dict)
    """Results by sequence."""

    done: trio.Event = field(default_factory=trio.Event)

    async def send(self) -> None:
        left = list(self.signals)
        while left:
            try:
                async with open_client(self.address, source_id=7) as client:
                    while left:
                        answer = await client.send(replace(left[0], created_unix_ns=time.time_ns()))
                        assert answer.kind == "ack" and answer.status is not None, answer
                        self.known[left[0].signal_id] = answer.status.order_id
                        left.pop(0)
                        await trio.sleep(0.05)
            except* EngineGone:
                await trio.sleep(0.05)

    async def hear(self) -> None:
        while not self.done.is_set():
            try:
                async with open_client(self.address, source_id=8) as client:
                    async for one in client.results(max(self.told, default=0)):
                        assert self.told.setdefault(one.sequence, one) == one
                        if len(self.ended) == len(self.signals):
                            self.done.set()
            except* EngineGone:
                pass
            await trio.sleep(0.05)

    @property
    def ended(self) -> dict[int, list[Report]]:
        """Final reports by order."""
        found: dict[int, list[Report]] = {}
        for one in self.told.values():
            if one.status is not None and one.status.is_terminal:
                found.setdefault(one.status.order_id, []).append(one)
        return found


async def engine_process(desk: Desk) -> trio.Process:
    command = [sys.executable, "-m", "execlayer", "orders", "run", "--json"]
    process: trio.Process = await trio.lowlevel.open_process(command, cwd=desk.folder, stdout=PIPE)
    assert process.stdout is not None
    ready = bytes(await process.stdout.receive_some())
    assert json.loads(ready)["event"] == "ready"
    return process


async def small_signals(desk: Desk) -> list[Signal]:
    """So little each that all of them pay, one after the other."""
    market = desk.market
    cheap, dear = await market.reserves(market.cheap), await market.reserves(market.dear)
    made = []
    for _ in range(SIGNALS):
        owed, got = amount_in(AMOUNT, cheap[1], cheap[0]), amount_out(AMOUNT, *dear)
        cheap, dear = (cheap[0] - AMOUNT, cheap[1] + owed), (dear[0] + AMOUNT, dear[1] - got)
        made.append(await desk.signal(amounts=[AMOUNT], expected_profit=got - owed, expected_profit_wei=10**17))
    return made


async def test_killed_under_load_an_engine_loses_no_signal_and_does_none_twice(desk: Desk) -> None:
    chance = random.Random(SEED)
    folder, listen = desk.folder, str(desk.folder / "signals")
    keys = [folder / f"key-{number}" for number in range(SENDERS)]
    for path, key in zip(keys, dev_keys()[1:], strict=False):
        path.write_text(key.secret.hex())
    names = ", ".join(json.dumps(str(path)) for path in keys)
    contract, url = desk.market.arbitrageur, desk.lab.websocket_url
    text = SETTINGS.format(contract=contract, recipient=RECIPIENT, url=url, keys=names, listen=listen)
    (folder / "orders.toml").write_text(text)
    source = Source(listen, await small_signals(desk))
    first = desk.lab.head

    with trio.fail_after(PATIENCE_SECONDS):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(desk.lab.run_blocks, 0.3)
            process = await engine_process(desk)
            nursery.start_soon(source.send)
            nursery.start_soon(source.hear)
            for _ in range(KILLS):
                await trio.sleep(chance.uniform(0.05, 0.8))
                process.kill()
                await process.wait()
                process = await engine_process(desk)
            await source.done.wait()
            nursery.start_soon(partial(process.wait))
            process.send_signal(signal.SIGINT)
            await process.wait()
            nursery.cancel_scope.cancel()

    assert process.returncode == 0
    assert sorted(source.known) == [one.signal_id for one in source.signals]
    assert len(set(source.known.values())) == SIGNALS
    assert set(source.ended) == set(source.known.values())
    assert sorted(source.told) == list(range(1, len(source.told) + 1))
    states = {one.status.sub for reports in source.ended.values() for one in reports if one.status is not None}
    assert states == {"confirmed"}
    wanted = {"fromBlock": hex(first), "toBlock": "latest", "address": contract, "topics": [ARBITRAGE]}
    logs = await desk.lab.node.call("eth_getLogs", wanted)
    assert len({log["topics"][1] for log in logs}) == len(logs) == SIGNALS
    realized = sum(
        fill.realized * (-1 if fill.kind == "reversal" else 1) for one in source.told.values() for fill in one.fills
    )
    assert await desk.earned() == realized == sum(one.expected_profit for one in source.signals)

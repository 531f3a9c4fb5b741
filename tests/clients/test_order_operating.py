"""What an operator does to an engine that has orders out: other settings, a halt. Nothing that is out is lost."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pytest
import trio

from execlayer.errors import InvalidConfig, JournalStopped
from execlayer.orders import EngineGone, Hop, OrderEngine, OrderSettings, open_client
from execlayer.orders.control import ask
from execlayer.orders.journals import verify
from execlayer.orders.settings import load

from .nodes import DevNode, dev_keys
from .packages import INSTALL_SECONDS
from .test_market import RECIPIENT
from .test_order_scenarios import submitted
from .test_orders import Deployed, anvil, deployed, opened
from .test_orders_killed import SETTINGS
from .trading import SENDERS, Desk

pytestmark = pytest.mark.timeout(INSTALL_SECONDS + 120)
__all__ = ["anvil", "deployed"]
PATIENCE_SECONDS = 30


@pytest.fixture
async def desk(anvil: DevNode, deployed: Deployed, tmp_path: Path, nursery: trio.Nursery) -> AsyncIterator[Desk]:
    async for desk in opened(anvil, deployed, tmp_path, nursery):
        yield desk


async def failure(desk: Desk, engine: OrderEngine) -> str:
    """Why the next signal is refused; empty where it is not."""
    answer = await engine.submit(await desk.signal())
    assert answer.status is not None
    return answer.status.failure


def other(settings: OrderSettings, **tables: dict[str, Any]) -> OrderSettings:
    tree = settings.model_dump()
    return OrderSettings.model_validate({**tree, **{name: {**tree[name], **table} for name, table in tables.items()}})


@pytest.mark.parametrize("presim", ["off", "always"])
async def test_limits_are_reloaded_under_an_order_that_is_out(desk: Desk, presim: str) -> None:
    settings = desk.settings(execution_engine={"presim": presim})
    async with desk.running(settings) as engine:
        first = await desk.signal()
        order = await submitted(desk, engine, "in_pool", first)
        done = await engine.reload(
            other(settings, limits={"max_order_value": 7}, senders={"lane_depth": 3}, alerts={"timeout": "1s"})
        )
        assert done.taken == ("limits.max_order_value", "alerts.timeout")
        assert done.needs_restart == ("senders.lane_depth",)
        assert await failure(desk, engine) == "LimitExceeded"
        assert engine.stats()["limit_refusals"] == 1
        await engine.reload(settings)
        assert await failure(desk, engine) == ""
        await desk.until(order, "confirmed", mine=True)
        assert await desk.earned() == first.expected_profit
    assert verify(settings, dev_keys()[1 : 1 + SENDERS])["orders_created"] == 3


async def test_other_settings_after_a_restart_leave_an_order_its_time_and_its_name(desk: Desk) -> None:
    signal = await desk.signal()
    async with desk.running() as engine:
        order = await submitted(desk, engine, "in_pool", signal)
    async with desk.running(desk.settings(limits={"max_capital": 10**30})) as engine:
        for _ in range(4):
            await engine.results.wait_news()
        again = await engine.submit(signal)
        assert again.status is not None
        assert (again.status.order_id, again.status.flags) == (order, ())
        report = await desk.until(order, "confirmed", mine=True)
        assert [one.kind for one in report.attempts] == ["original"]


async def test_settings_that_can_not_be_used_change_nothing(desk: Desk) -> None:
    settings = desk.settings()
    async with desk.running(settings) as engine:
        with pytest.raises(InvalidConfig, match="nothing"):
            await engine.reload(
                other(settings, alerts={"rules": desk.folder / "nothing"}, limits={"max_order_value": 7})
            )
        assert engine.settings == settings
        assert await failure(desk, engine) == ""


async def test_while_the_halt_file_is_there_no_order_is_taken(desk: Desk) -> None:
    path = desk.folder / "halt"
    async with desk.running(desk.settings(limits={"halt_file": path})) as engine:
        order = await submitted(desk, engine, "in_pool")
        path.touch()
        await desk.holds(lambda engine: engine.stats()["halted"])
        assert await failure(desk, engine) == "Halted"
        assert "halted" in {one.name for one in engine.monitor.alerts}
        path.unlink()
        await desk.holds(lambda engine: not engine.stats()["halted"])
        assert await failure(desk, engine) == ""
        await desk.until(order, "confirmed", mine=True)


async def test_an_engine_starts_halted_where_the_file_is_there_already(desk: Desk) -> None:
    path = desk.folder / "halt"
    path.touch()
    async with desk.running(desk.settings(limits={"halt_file": path})) as engine:
        assert await failure(desk, engine) == "Halted"


async def test_a_journal_that_can_not_be_written_is_told_of_before_everything_ends(desk: Desk) -> None:
    def refuse(clock: tuple[int, int]) -> None:
        raise JournalStopped("no space left")

    with pytest.RaisesGroup(JournalStopped, flatten_subgroups=True):
        async with desk.running() as engine:
            engine._step(refuse)
            await trio.sleep_forever()
    assert desk.engine is not None
    assert [one.name for one in desk.engine.monitor.alerts] == ["journal_unwritable"]


async def test_a_process_reads_its_settings_again_and_halts_by_signals(desk: Desk) -> None:
    key = desk.folder / "key"
    key.write_text(dev_keys()[1].secret.hex())
    path = desk.folder / "orders.toml"
    text = SETTINGS.format(
        contract=desk.market.arbitrageur,
        recipient=RECIPIENT,
        url=desk.lab.websocket_url,
        keys=json.dumps(str(key)),
        listen=desk.folder / "signals",
    )
    path.write_text(text)
    settings = load(path)
    command = [sys.executable, "-m", "execlayer", "orders", "run", "--json"]
    process: trio.Process = await trio.lowlevel.open_process(command, cwd=desk.folder, stdout=PIPE)
    said = Lines(process)
    with killed_after(process), trio.fail_after(PATIENCE_SECONDS):
        assert (await said.next())["event"] == "ready"
        path.write_text(f"{text}\n[limits]\nmax_capital = 7\n[senders.no_such]\n")
        process.send_signal(signal.SIGHUP)
        assert (await said.next())["event"] == "reload_refused"
        path.write_text(f"{text}\n[limits]\nmax_capital = 7\n[channels]\nexecution = 5\n")
        process.send_signal(signal.SIGHUP)
        assert await said.next() == {
            "event": "reloaded",
            "taken": ["limits.max_capital"],
            "needs_restart": ["channels.execution"],
        }
        for number, word, halted in ((signal.SIGUSR1, "halt", 1), (signal.SIGUSR2, "resume", 0)):
            process.send_signal(number)
            assert (await said.next())["event"] == word
            assert (await ask(settings.control, do="status"))["halted"] == halted
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0


@contextmanager
def killed_after(process: trio.Process) -> Iterator[None]:
    """Leaves no process behind."""
    try:
        yield
    finally:
        process.kill()


class Lines:
    """What a process says, line by line; it may say a line in pieces."""

    def __init__(self, process: trio.Process) -> None:
        assert process.stdout is not None
        self._stream, self._held = process.stdout, b""

    async def next(self) -> dict[str, Any]:
        while b"\n" not in self._held:
            data = bytes(await self._stream.receive_some())
            assert data, "it has ended"
            self._held += data
        line, self._held = self._held.split(b"\n", 1)
        told: dict[str, Any] = json.loads(line)
        return told


async def test_a_frame_that_is_longer_than_allowed_is_refused_and_ends_the_connection(desk: Desk) -> None:
    settings = desk.settings(protocol={"max_frame": 400})
    async with desk.running(settings) as engine:
        signal = await desk.signal()
        async with open_client(engine.addresses[0], source_id=7) as client:
            assert (await client.send(signal)).kind == "ack"
            longer = replace(signal, signal_id=9, pools=[*signal.pools, *signal.pools], hops=[Hop()] * 4)
            with pytest.raises(EngineGone):
                while (answer := await client.send(longer)).kind != "ack":
                    assert answer.kind == "nack"
        assert engine.stats()["orders_created"] == 1

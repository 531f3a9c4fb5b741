"""`python -m asv_bench.soak --minutes 60 --rate 50`: runs, prints a line of JSON, and fails where a signal has not
exactly one outcome, an order has failed, or memory has grown.

What an engine remembers is bounded: orders that have ended (here so few that they are soon all there), their timers,
and what 256 blocks held of its transactions. Some minutes fill that; whatever grows afterwards is a leak, and a
straight line through the memory of each later second shows it.
"""

from __future__ import annotations

import argparse
import json
import signal as signals
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import trio

from asv_bench.promises.orders import signal
from asv_bench.soak.chain import CHAIN_ID
from execlayer import Key
from execlayer.orders import Report, open_client
from execlayer.orders.control import ask

MIB = 1 << 20
SENDERS = 32
BLOCK_SECONDS = 1.0
RETENTION = 2_000
"""Orders that have ended and are remembered."""

GROWTH_MAX = 1.10
SLACK_MIB = 8.0
"""Of memory in the last quarter over the second one, in a run that is too short to see more."""

FILLING_SECONDS = 360
"""After so long everything bounded is full."""

FLAT_MIB = 2.0
"""Most that memory may grow from then to the end, along the straight line: allocators breathe."""

SETTLING_SECONDS = 60
SETTINGS = """
chain_id = {chain_id}
contract = "0xcccccccccccccccccccccccccccccccccccccccc"
recipient = "0xdddddddddddddddddddddddddddddddddddddddd"

[execution_engine]
presim = "off"
conflict = "ignore"
max_state_lag = 1_000_000
retention_max = {retention}
confirmation_deadline = "60s"

[submission_strategy]
type = "public"

# The same node twice: where one way to it has lost a reply, the other one is there.
[rpc_endpoints.primary]
url = "{url}"
name = "one"

[rpc_endpoints.secondary]
url = "{url}"
name = "other"

[senders]
keys = [{keys}]

[journal]
dir = "journal"
backup_dir = "backup"
snapshot = "10s"

[protocol]
listen = "{listen}"
"""


@dataclass
class Told:
    """What came of a soak."""

    minutes: float
    signals: int = 0
    completed: int = 0
    failed: int = 0
    repeated: int = 0
    """Results that came a second time, or for an order that had ended already, corrections aside."""

    reorgs: int = 0
    rpc_failures: int = 0
    memory_mib_start: float = 0.0
    """Of the engine's process: the median of the second quarter, when everything bounded is full."""

    memory_mib_end: float = 0.0
    """The median of the last quarter."""

    memory_mib_grown: float = 0.0
    """From when everything bounded was full to the end, along a straight line; 0 where the run was too short."""

    memory_mib_most: float = 0.0
    memory_mib: list[float] = field(default_factory=list)
    """Each tenth of the time."""

    p99_ms: float = 0.0
    """A signal's time to its last byte."""

    alerts: list[str] = field(default_factory=list)

    @property
    def wrong(self) -> list[str]:
        """What must not be."""
        found = []
        if self.completed != self.signals or self.failed or self.repeated:
            found.append(
                f"{self.completed} of {self.signals} completed, {self.failed} failed, {self.repeated} repeated"
            )
        if self.memory_mib_end > self.memory_mib_start * GROWTH_MAX + SLACK_MIB:
            found.append(f"memory grew from {self.memory_mib_start:.0f} to {self.memory_mib_end:.0f} MiB")
        if self.memory_mib_grown > FLAT_MIB:
            found.append(f"memory grew by {self.memory_mib_grown:.1f} MiB after everything bounded was full")
        return found


def grown(memory: list[float]) -> float:
    """How much higher a straight line through these ends than it begins."""
    if len(memory) < 2:
        return 0.0
    return statistics.linear_regression(range(len(memory)), memory).slope * (len(memory) - 1)


@contextmanager
def process(*command: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """One that ends with the block, at the latest."""
    with subprocess.Popen([sys.executable, "-m", *command], cwd=folder, stdout=subprocess.PIPE, text=True) as running:
        try:
            yield running
        finally:
            running.kill()


def soak(minutes: float, rate: float) -> Told:
    """Runs it; what came of it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with process("asv_bench.soak.chain", str(BLOCK_SECONDS), folder=Path.cwd()) as chain:
            assert chain.stdout is not None
            listen = write_settings(folder, chain.stdout.readline().strip())
            with process("execlayer", "orders", "run", "--json", folder=folder) as engine:
                assert engine.stdout is not None and json.loads(engine.stdout.readline())["event"] == "ready"
                told = trio.run(drive, listen, folder / "journal" / "control", minutes, rate)
                engine.send_signal(signals.SIGTERM)
                assert engine.wait(SETTLING_SECONDS) == 0, "the engine did not end in order"
    return told


def write_settings(folder: Path, url: str) -> str:
    """Keys and settings; where the engine listens."""
    for number in range(SENDERS):
        (folder / f"key-{number}").write_text(Key((10**6 + number).to_bytes(32, "big")).secret.hex())
    keys = ", ".join(f'"key-{number}"' for number in range(SENDERS))
    listen = str(folder / "signals")
    text = SETTINGS.format(chain_id=CHAIN_ID, retention=RETENTION, url=url, keys=keys, listen=listen)
    (folder / "orders.toml").write_text(text)
    return listen


async def drive(listen: str, control: Path, minutes: float, rate: float) -> Told:
    """Sends at an even rate, takes what comes, looks at memory each second; then waits for the last."""
    told, ended, memory = Told(minutes), set[int](), list[float]()
    until = trio.current_time() + minutes * 60
    async with trio.open_nursery() as nursery:
        nursery.start_soon(collect, listen, told, ended)
        nursery.start_soon(watch, control, memory)
        async with open_client(listen, source_id=7) as client:
            begin = trio.current_time()
            while trio.current_time() < until:
                told.signals += 1
                await client.post(signal(told.signals))
                await trio.sleep_until(begin + told.signals / rate)
        with trio.move_on_after(SETTLING_SECONDS):
            while len(ended) < told.signals:
                await trio.sleep(0.1)
        nursery.cancel_scope.cancel()
    status = await ask(control, do="status")
    quarter = len(memory) // 4
    told.memory_mib_start = statistics.median(memory[quarter : 2 * quarter])
    told.memory_mib_end = statistics.median(memory[-quarter:])
    full = memory[FILLING_SECONDS:]
    told.memory_mib_grown = grown(full) if len(full) >= FILLING_SECONDS else 0.0
    told.memory_mib_most = max(memory)
    told.memory_mib = [round(one, 1) for one in memory[:: max(len(memory) // 10, 1)]]
    told.completed, told.failed = status["orders_completed"], status["orders_failed"]
    told.reorgs, told.rpc_failures = status["reorgs"], status["rpc_failures"]
    told.p99_ms = status["times"]["signal_processing_time"]["p99"] * 1e3
    told.alerts = sorted({one["name"] for one in status["alerts"]})
    return told


async def collect(listen: str, told: Told, ended: set[int]) -> None:
    """Each order ends once; corrections after that come with fills."""
    last = 0
    async with open_client(listen, source_id=8) as client:
        async for one in client.results():
            told.repeated += one.sequence <= last
            last = max(last, one.sequence)
            if is_end(one) and one.status is not None:
                told.repeated += one.status.order_id in ended
                ended.add(one.status.order_id)


def is_end(one: Report) -> bool:
    return one.status is not None and one.status.is_terminal and not one.fills


async def watch(control: Path, memory: list[float]) -> None:
    """The engine's memory, each second."""
    while True:
        status: dict[str, Any] = await ask(control, do="status")
        memory.append(status["memory_bytes"] / MIB)
        await trio.sleep(1)


def main() -> int:
    """Exit code 1 where something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m asv_bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--rate", type=float, default=50.0, help="signals a second")
    options = parser.parse_args()
    told = soak(options.minutes, options.rate)
    print(json.dumps({**asdict(told), "wrong": told.wrong}))
    return 1 if told.wrong else 0


if __name__ == "__main__":
    sys.exit(main())

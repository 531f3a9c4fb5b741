"""An engine under load for a minute: ten thousand signals a second, each signed, sent, taken by a node, settled by a
head that comes each second, and its results delivered; what a signal alone takes; a plain web3.py client beside it.

`python -m asv_bench.promises.order_load --seconds 60 --rate 10000` runs the load alone and prints all of its figures.
Node, source and consumer are processes of their own, so their work isn't counted. Nothing may be lost: every signal an
order, every order completed, every result delivered.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import trio

from asv_bench.promises import orders
from asv_bench.promises.order_parts import CHAIN_ID, CONTRACT
from asv_bench.promises.orders import MIB, SENDERS_FEW, Every, key, node, quantile, settings, signal, web3_seconds
from asv_bench.promises.row import Row, WrongAnswer
from execlayer.orders import OrderEngine, OrderSettings
from execlayer.orders.process import return_large_blocks, spare_collector

RATE, SECONDS, SENDERS = 10_000, 60, 1_250
LIVE_MAX = 20_000
SETTLING_SECONDS = 60
SINGLE = 200

part = partial(orders.part, module="order_load_parts")
"""One of the processes around the engine."""


@dataclass
class Load:
    """What came of it."""

    seconds: float
    signals: int
    a_second: float
    """From the first signal to the last byte of the last transaction."""

    p50_ms: float
    p99_ms: float
    p999_ms: float
    """A signal's arrival to the last byte of its transaction."""

    cpu_us: float
    """Of the engine's process, for an order: results, receipts, journal and all."""

    memory_mib: float
    host_load: float
    """Of the machine, in the last minute."""


def loaded(seconds: int, rate: int) -> Load:
    """Runs it. *Errors*: :class:`WrongAnswer` where anything was lost."""
    with tempfile.TemporaryDirectory() as name:
        keys = [key(number) for number in range(1, SENDERS + 1)]
        with part("node") as process:
            assert process.stdout is not None
            return_large_blocks()
            engine = OrderEngine(wanted(Path(name), int(process.stdout.readline())), keys)
            return trio.run(drive, engine, seconds, rate)


def wanted(folder: Path, port: int) -> OrderSettings:
    """Nothing simulated; room for two seconds' orders."""
    tree = settings(folder, port).model_dump()
    tree["execution_engine"] |= {"max_concurrent_orders": LIVE_MAX, "confirmation_blocks": 0}
    tree["channels"] |= {"execution": 100_000}
    tree["rpc_endpoints"]["primary"] |= {"timeout_seconds": 20, "waiting_max": 100_000}
    tree["rpc_endpoints"]["heads"] = {"poll_seconds": 0.2}
    return OrderSettings.model_validate(tree)


async def drive(engine: OrderEngine, seconds: int, rate: int) -> Load:
    """Sends at an even rate, and waits for the last result."""
    times, count = Every(), seconds * rate
    engine.monitor.times["signal_processing_time"] = times
    async with trio.open_nursery() as nursery:
        await nursery.start(engine.run)
        # As `execlayer orders run` does.
        spare_collector()
        address = engine.addresses[0]
        with ExitStack() as stack:
            stack.enter_context(part("consumer", address))
            cpu = time.process_time()
            stack.enter_context(part("source", address, str(count), str(rate)))
            with trio.move_on_after(seconds + SETTLING_SECONDS):
                while (core := engine.core.stats())["orders_completed"] < count or core["results_waiting"]:
                    await trio.sleep(0.25)
            cpu = time.process_time() - cpu
        stats = engine.stats()
        told = (stats["signals_received"], stats["orders_completed"], len(times.kept), stats["results_waiting"])
        lost = {name: stats[name] for name in ("signals_expired", "signals_crowded_out", "sequence_gaps", "failures")}
        if told != (count, count, count, 0) or any(lost.values()):
            raise WrongAnswer(
                f"orders, under load: received, completed, sent and waiting are {told} of {count}; {lost}"
            )
        nursery.cancel_scope.cancel()
    elapsed = times.last - times.began
    p50, p99, p999 = (quantile(times.kept, share) * 1e3 for share in (0.5, 0.99, 0.999))
    memory = stats["memory_bytes"] / MIB
    return Load(elapsed, count, count / elapsed, p50, p99, p999, cpu / count * 1e6, memory, os.getloadavg()[0])


async def alone(folder: Path, port: int) -> list[float]:
    """Signals one after the other, each when the one before is out; the seconds that each took."""
    times = Every()
    engine = OrderEngine(settings(folder, port), [key(number) for number in range(1, SENDERS_FEW + 1)])
    engine.monitor.times["signal_processing_time"] = times
    async with trio.open_nursery() as nursery:
        await nursery.start(engine.run)
        for number in range(1, SINGLE + 1):
            answer = await engine.submit(signal(number))
            if not answer.attempts and (answer.status is None or answer.status.state != "Submitted"):
                raise WrongAnswer(f"orders, a signal alone: {answer}")
            with trio.fail_after(5):
                while len(times.kept) < number:
                    await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    return times.kept


def rows() -> Iterator[Row]:
    """All promises about load."""
    load = loaded(SECONDS, RATE)
    name = f"orders, {SECONDS} s of signals, a head each second settles all:"
    yield Row(f"{name} a second", "at_least", load.a_second, "a second", RATE * 0.99)
    yield Row(f"{name} p50", "at_most", load.p50_ms, "ms", 5.0)
    yield Row(f"{name} p99", "at_most", load.p99_ms, "ms", 1_000)
    yield Row(f"{name} p99.9", "at_most", load.p999_ms, "ms", 1_000)
    yield Row(f"{name} memory", "at_most", load.memory_mib, "MiB", 512)
    with tempfile.TemporaryDirectory() as folder, node() as port:
        theirs = web3_seconds(port) * 1e6
        cpu = f"{name} CPU of an order"
        yield Row(cpu, "faster", load.cpu_us, "µs", 2.0, theirs=theirs, rival="web3.py, sign and send only")
        times = trio.run(alone, Path(folder), port)
    # The first order of a sender proves its signer.
    yield Row("orders, a signal alone, the slowest of many", "at_most", max(times[1:]) * 1e3, "ms", 5.0)


def main() -> int:
    """Prints what a load came to."""
    parser = argparse.ArgumentParser(prog="python -m asv_bench.promises.order_load", description=__doc__)
    parser.add_argument("--seconds", type=int, default=SECONDS)
    parser.add_argument("--rate", type=int, default=RATE, help="signals a second")
    options = parser.parse_args()
    print(json.dumps({"chain": CHAIN_ID, "contract": CONTRACT, **asdict(loaded(options.seconds, options.rate))}))
    return 0


if __name__ == "__main__":
    sys.exit(main())

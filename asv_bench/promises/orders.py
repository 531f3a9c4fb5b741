"""The order engine as a whole, sockets and journal included: how long a signal takes, how many a second, memory, a
restart; and the same work done by a plain web3.py client beside it.

Node and source are processes of their own, so their work isn't counted. The engine's answer is checked in each row:
every signal an order, every order signed and sent, none twice.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import trio

from asv_bench.promises.order_parts import CHAIN_ID, CONTRACT, GWEI, HEAD_NUMBER
from asv_bench.promises.row import Row, WrongAnswer
from execlayer import Key, _core
from execlayer.orders import OrderEngine, OrderSettings, Signal
from execlayer.orders.monitor import Histogram
from execlayer.orders.wire import Header

RATE, PACED = 1_000, 5_000
FLOOD = 20_000
SENDERS_FEW, SENDERS_MANY = 320, 1_250
LIVE = 1_000
RECORDS = 1_000_000
"""Of the journal, after the last snapshot, when the engine starts again."""

RIVAL_ORDERS = 300
MIB = 1 << 20


class Every(Histogram):
    """Keeps every time, for exact quantiles; and when the first signal came and the last one was out."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[float] = []
        self.began = self.last = 0.0

    def note(self, seconds: float) -> None:
        super().note(seconds)
        self.kept.append(seconds)
        self.last = time.monotonic()
        self.began = self.began or self.last - seconds


def key(number: int) -> Key:
    """A sender's."""
    return Key(number.to_bytes(32, "big"))


def settings(folder: Path, port: int, **execution: object) -> OrderSettings:
    """Room for everything, nothing simulated."""
    node = {"url": f"http://127.0.0.1:{port}", "timeout_seconds": 120, "waiting_max": 2 * FLOOD}
    return OrderSettings.model_validate(
        {
            "chain_id": CHAIN_ID,
            "contract": CONTRACT,
            "recipient": "0x" + "dd" * 20,
            "execution_engine": {
                "max_concurrent_orders": FLOOD,
                "presim": "off",
                "conflict": "ignore",
                "signal_max_age_ms": 30_000,
                "max_state_lag": 1_000,
                **execution,
            },
            "channels": {"signal": FLOOD, "execution": 10 * FLOOD},
            "submission_strategy": {"type": "public"},
            "rpc_endpoints": {"primary": node},
            "journal": {"dir": folder / "journal"},
            "protocol": {"listen": "127.0.0.1:0"},
        }
    )


def signal(number: int) -> Signal:
    """One that pays."""
    return Signal(
        signal_id=number,
        created_unix_ns=time.time_ns(),
        chain_id=CHAIN_ID,
        pools=["0x" + "22" * 20, "0x" + "33" * 20],
        tokens=["0x" + "44" * 20, "0x" + "11" * 20],
        amounts=[5],
        profit_token="0x" + "11" * 20,
        expected_profit=10**18,
        expected_profit_wei=10**18,
        gas_estimate=200_000,
        state_block=HEAD_NUMBER,
    )


def frames(count: int) -> bytes:
    """Signals of one source."""
    now = time.time_ns()
    headers = (Header(sequence=number, sent_unix_ns=now, source_id=9) for number in range(1, count + 1))
    return b"".join(signal(header.sequence).to_frame(header) for header in headers)


@contextmanager
def part(*words: str, module: str = "order_parts") -> Iterator[subprocess.Popen[str]]:
    """One of the processes around the engine."""
    command = [sys.executable, "-m", f"asv_bench.promises.{module}", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def node(*words: str) -> Iterator[int]:
    """Its port."""
    with part("node", *words) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())


async def fed(engine: OrderEngine, folder: Path, count: int, rate: int) -> tuple[Every, float]:
    """Runs an engine until so many signals went out; each one's time, and the seconds that all took."""
    times = Every()
    engine.monitor.times["signal_processing_time"] = times
    async with trio.open_nursery() as nursery:
        await nursery.start(engine.run)
        path = folder / "frames"
        path.write_bytes(frames(count))
        with part("source", engine.addresses[0], str(path), str(rate)):
            with trio.move_on_after(60):
                while len(times.kept) < count:
                    await trio.sleep(0.01)
            seconds = times.last - times.began
        stats = engine.stats()
        told = (len(times.kept), stats["orders_submitted"], stats["orders_failed"], stats["active_orders"])
        if told != (count, count, 0, count):
            raise WrongAnswer(f"orders, the engine: sent, submitted, failed and live are {told}, not all of {count}")
        nursery.cancel_scope.cancel()
    return times, seconds


def quantile(times: list[float], share: float) -> float:
    """The exact one."""
    return sorted(times)[int((len(times) - 1) * share)]


def rows() -> Iterator[Row]:
    """All promises of the whole engine."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        yield from paced(folder / "paced")
        yield from flooded(folder / "flood")
        yield from restarted(folder / "restart")
        yield from beside_web3(folder / "web3")


def paced(folder: Path) -> Iterator[Row]:
    """A thousand a second, for some seconds."""
    folder.mkdir()
    keys = [key(number) for number in range(1, SENDERS_FEW + 1)]
    with node() as port:
        times, _ = trio.run(fed, OrderEngine(settings(folder, port), keys), folder, PACED, RATE)
    # The first order of each sender proves its signer; the promise is about all that follow.
    later = times.kept[SENDERS_FEW:]
    yield Row("orders, signal to last byte at 1,000/s, p50", "at_most", quantile(later, 0.5) * 1e3, "ms", 1.0)
    yield Row("orders, signal to last byte at 1,000/s, p99", "at_most", quantile(later, 0.99) * 1e3, "ms", 5.0)


def flooded(folder: Path) -> Iterator[Row]:
    """As many as there come, and nobody answers."""
    folder.mkdir()
    keys = [key(number) for number in range(1, SENDERS_MANY + 1)]
    with node("silent") as port:
        _, seconds = trio.run(fed, OrderEngine(settings(folder, port), keys), folder, FLOOD, 0)
    yield Row(
        "orders, signals through all of the engine to a null sink", "at_least", FLOOD / seconds, "a second", 10_000
    )


def restarted(folder: Path) -> Iterator[Row]:
    """A thousand live orders, taken up by another process; its memory, when all are out again."""
    folder.mkdir()
    with node() as port:
        keys = [key(number) for number in range(1, SENDERS_FEW + 1)]
        trio.run(fed, OrderEngine(settings(folder, port), keys), folder, LIVE, 0)
        wear(OrderEngine(settings(folder, port), keys)._open())
        command = [sys.executable, "-m", "asv_bench.promises.orders", str(folder), str(port)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        if done.returncode:
            raise WrongAnswer(f"orders, a restart: {done.stderr.strip().splitlines()[-1]}")
    seconds, live, memory = done.stdout.split()
    if int(live) != LIVE:
        raise WrongAnswer(f"orders, a restart: {live} of {LIVE} orders")
    name = "orders, restart with 1,000 live orders and 1,000,000 records of the journal"
    yield Row(name, "at_most", float(seconds), "s", 2.0)
    yield Row("orders, memory with 1,000 live orders", "at_most", int(memory) / MIB, "MiB", 512)


def wear(core: _core.OrderEngine) -> None:
    """Fills the journal with signals that don't pay, each with its outcome, and takes no snapshot."""
    last, sequence = core.next_record + RECORDS, 0
    while core.next_record < last:
        now = time.time_ns()
        headers = [Header(sequence=sequence + one, sent_unix_ns=now, source_id=10) for one in range(1, 101)]
        poor = [replace(signal(one.sequence), expected_profit_wei=1).to_frame(one) for one in headers]
        _, nacks = core.frames((time.monotonic_ns(), now), poor, True)
        if any(nacks):
            raise WrongAnswer("orders, a worn journal: a frame was refused")
        sequence += len(headers)
        core.delivered((time.monotonic_ns(), now), 2**63)
    core.sync()


async def take_up(folder: Path, port: int) -> None:
    """Starts on a journal; says how long that took, how many orders live, and the process's memory."""
    begin = time.monotonic()
    engine = OrderEngine(settings(folder, port), [key(number) for number in range(1, SENDERS_FEW + 1)])
    async with trio.open_nursery() as nursery:
        await nursery.start(engine.run)
        seconds = time.monotonic() - begin
        stats = engine.stats()
        print(seconds, stats["active_orders"], stats["memory_bytes"])
        nursery.cancel_scope.cancel()


def web3_seconds(port: int) -> float:
    """CPU that a plain client takes for an order whose every field it is given: it encodes, signs, sends and hears."""
    from web3 import HTTPProvider, Web3

    web3 = Web3(HTTPProvider(f"http://127.0.0.1:{port}"))
    contract = web3.eth.contract(abi=_abi())
    account = web3.eth.account.from_key(key(1).secret)
    addresses = [Web3.to_checksum_address("0x" + byte * 20) for byte in ("22", "33", "44", "dd")]
    times = []
    for nonce in range(RIVAL_ORDERS):
        begin = time.process_time()
        arguments = (b"\1" * 32, *addresses[:3], 5, 1, addresses[3], 2**40)
        transaction = {
            "to": Web3.to_checksum_address(CONTRACT),
            "data": contract.encode_abi("flashSwap", args=list(arguments)),
            "nonce": nonce,
            "gas": 240_000,
            "value": 0,
            "chainId": CHAIN_ID,
            "maxFeePerGas": 3 * GWEI,
            "maxPriorityFeePerGas": GWEI,
        }
        signed = account.sign_transaction(transaction)
        told = web3.eth.send_raw_transaction(signed.raw_transaction)
        times.append(time.process_time() - begin)
        if bytes(told) != _core.keccak256(bytes(signed.raw_transaction)):
            raise WrongAnswer("orders, web3.py: the node echoes another hash")
    return statistics.mean(times)


def beside_web3(folder: Path) -> Iterator[Row]:
    """The engine's share of a processor, and a plain client's."""
    folder.mkdir()
    with node() as port:
        theirs = web3_seconds(port)
        keys = [key(number) for number in range(1, SENDERS_FEW + 1)]
        begin = time.process_time()
        trio.run(fed, OrderEngine(settings(folder, port), keys), folder, PACED, RATE)
        ours = (time.process_time() - begin) / PACED
    name = "orders, CPU of an order at 1,000/s, validation, journal, reports and all"
    yield Row(name, "faster", ours * 1e6, "µs", 2.0, theirs=theirs * 1e6, rival="web3.py, sign and send only")


def _abi() -> list[dict[str, object]]:
    from execlayer.artifacts import artifact

    return list(artifact("Arbitrageur").abi)


if __name__ == "__main__":
    trio.run(take_up, Path(sys.argv[1]), int(sys.argv[2]))

"""Ten thousand calls of one contract, each asking for another holder's balance: from Python in one crossing, in Rust
alone, and through pyrevm one at a time.

All sides read the same state, and every answer is compared with what it has to be.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from eth_utils.crypto import keccak

from asv_bench.promises.row import Row, WrongAnswer
from execlayer import evm

ROOT = Path(__file__).resolve().parents[2]
CALLS = 10_000
ROUNDS = 15
ALLOWED = 1.2
"""How many times the Rust time Python may take."""
RIVAL = 5.0
"""How many times faster than pyrevm."""

TOKEN = "0x00000000000000000000000000000000000000C0"
CODE = "5f355f5260405f20545f5260205ff3"
"""Call data's word as key of the mapping in slot 0; what it holds is returned."""


def scene() -> tuple[dict[int, int], list[bytes]]:
    """The token's storage, and the call data."""
    holders = [(7919 * index + 1).to_bytes(32, "big") for index in range(CALLS)]
    slots = {int.from_bytes(keccak(holder + bytes(32)), "big"): index + 1 for index, holder in enumerate(holders)}
    return slots, holders


def ours(slots: dict[int, int], holders: list[bytes], threads: int | None) -> float:
    """Seconds of the quickest round in Python, on so many threads; None: one for each core."""
    state = evm.State({TOKEN: {"code": f"0x{CODE}", "storage": slots}})
    batch = [(TOKEN, holder) for holder in holders]
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.perf_counter()
        table = evm.calls(state, batch, threads=threads, gas=100_000)
        best = min(best, time.perf_counter() - start)
    balances = table.words()[:, -4:].copy().view(">u4").ravel()
    if not table.ok.all() or not np.array_equal(balances, np.arange(1, CALLS + 1)):
        raise WrongAnswer("the balances are not those that were put there")
    return best


def rust(slots: dict[int, int], holders: list[bytes]) -> float:
    """Seconds of the quickest round in Rust."""
    with tempfile.TemporaryDirectory() as folder:
        lines = [f"{slot:#066x} {value:#x}" for slot, value in slots.items()]
        Path(folder, "slots.txt").write_text("\n".join(lines))
        Path(folder, "calls.txt").write_text("\n".join(f"0x{holder.hex()}" for holder in holders))
        Path(folder, "code.txt").write_text(f"0x{CODE}")
        command = ["cargo", "run", "--quiet", "--release", "--manifest-path", "rust/compare/Cargo.toml", "--"]
        done = subprocess.run([*command, "calls", folder], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    answer = json.loads(done.stdout)
    if answer["sum"] != CALLS * (CALLS + 1) // 2:
        raise WrongAnswer(f"Rust's balances add up to {answer['sum']}")
    return float(answer["seconds"])


def pyrevm(slots: dict[int, int], holders: list[bytes]) -> float | None:
    """Seconds of the quickest round through pyrevm; None where it isn't installed."""
    try:
        import pyrevm as rival
    except ImportError:
        sys.stderr.write("pyrevm has no wheel here: its row is left out\n")
        return None
    machine: Any = rival.EVM()
    machine.insert_account_info(TOKEN, rival.AccountInfo(code=bytes.fromhex(CODE)))
    for slot, value in slots.items():
        machine.insert_account_storage(TOKEN, slot, value)
    caller = "0x0000000000000000000000000000000000000000"
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        answers = [machine.message_call(caller=caller, to=TOKEN, calldata=holder) for holder in holders]
        best = min(best, time.perf_counter() - start)
    if [int.from_bytes(answer, "big") for answer in answers] != list(range(1, CALLS + 1)):
        raise WrongAnswer("pyrevm's balances are others")
    return best


def rows() -> Iterator[Row]:
    """The promises of batches of calls."""
    slots, holders = scene()
    mine = ours(slots, holders, threads=1)
    micros = 1e6 / CALLS
    name = "10,000 calls in a batch from Python"
    theirs = rust(slots, holders)
    yield Row(
        f"{name}, one thread", "faster", mine * micros, "µs each", 1 / ALLOWED, theirs * micros, "the same in Rust"
    )
    rival = pyrevm(slots, holders)
    if rival is not None:
        mine = ours(slots, holders, threads=None)
        yield Row(f"{name}, all cores", "faster", mine * micros, "µs each", RIVAL, rival * micros, "pyrevm")

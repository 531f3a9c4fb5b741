"""Ten thousand signed transfers from bytes to a sealed block: through the Python package, and in Rust alone.

Both sides read the same genesis and the same bytes, and must end with the same state root.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from asv_bench.promises.row import Row, WrongAnswer
from execlayer import Chain, Key

ROOT = Path(__file__).resolve().parents[2]
TRANSFERS = 10_000
SENDERS = 100
ROUNDS = 7
ALLOWED = 1.3
"""How many times the Rust time Python may take."""


def genesis(keys: list[Key]) -> dict[str, object]:
    """A chain whose blocks hold all the transfers, and whose senders can pay for them."""
    forks = ["homestead", "eip150", "eip155", "eip158", "byzantium", "constantinople", "petersburg", "istanbul"]
    blocks = {f"{fork}Block": 0 for fork in [*forks, "berlin", "london"]}
    config = {"chainId": 7, "terminalTotalDifficulty": 0, "shanghaiTime": 0, **blocks}
    alloc = {key.address: {"balance": hex(10**20)} for key in keys}
    return {"config": config, "difficulty": "0x0", "gasLimit": hex(21_000 * TRANSFERS * 2), "alloc": alloc}


def rows() -> Iterator[Row]:
    """The promise of scripting."""
    keys = [Key((index + 1).to_bytes(32, "big")) for index in range(SENDERS)]
    raw = [
        keys[index % SENDERS].sign_transaction(
            chain_id=7,
            nonce=index // SENDERS,
            gas_limit=21_000,
            to=(index + 10**6).to_bytes(20, "big"),
            value=1,
            data=b"",
            max_fee_per_gas=10**10,
            max_priority_fee_per_gas=1,
        )
        for index in range(TRANSFERS)
    ]
    begun = genesis(keys)
    best, root = float("inf"), ""
    for _ in range(ROUNDS):
        with Chain.dev(begun) as chain:
            start = time.perf_counter()
            block = chain.mine(raw, timestamp=1)
            best = min(best, time.perf_counter() - start)
            root = block.state_root
            if len(block.transactions) != TRANSFERS:
                raise WrongAnswer(f"{len(block.transactions)} of {TRANSFERS} transfers are in the block")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "genesis.json").write_text(json.dumps(begun))
        Path(folder, "transactions.hex").write_text("".join(f"0x{one.hex()}\n" for one in raw))
        command = ["cargo", "run", "--quiet", "--release", "--manifest-path", "rust/compare/Cargo.toml", "--"]
        done = subprocess.run([*command, "batch", folder], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    rust = json.loads(done.stdout)
    if rust["state_root"] != root:
        raise WrongAnswer(f"Python ended with state root {root}, Rust with {rust['state_root']}")
    name = "10,000 raw transfers to a sealed block, from Python"
    micros = 1e6 / TRANSFERS
    yield Row(name, "faster", best * micros, "µs each", 1 / ALLOWED, rust["seconds"] * micros, "the same in Rust")

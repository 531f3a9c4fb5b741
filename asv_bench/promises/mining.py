"""A block of 2,000 transfers: imported here (senders recovered, executed, every root compared, on the disk before it is
acknowledged), while anvil mines the same transfers.

The comparison is in anvil's favour on purpose: it recovers senders when transactions are submitted, which is not timed,
and keeps its chain in memory. Its time is that of one ``evm_mine`` over HTTP. Both take turns, and the median counts.
Without Node.js, by whose registry anvil comes, there is no row.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pytest
import trio

from asv_bench.promises.row import Row, WrongAnswer
from execlayer import Chain, Key
from execlayer.upstream import Client, Endpoint
from tests.clients.nodes import CHAIN_ID, dev_keys, running

TRANSFERS, ROUNDS = 2_000, 7
GAS_LIMIT = 60_000_000
ETHER = 10**18


def rows() -> Iterator[Row]:
    """The promise, where it can be measured."""
    with tempfile.TemporaryDirectory() as name:
        try:
            with running("anvil", Path(name)) as node:
                yield trio.run(measure, node.url, Path(name))
        except pytest.skip.Exception:
            return


def genesis(keys: list[Key]) -> dict[str, object]:
    """Cancun's rules and as much money as anvil gives to the same accounts."""
    blocks = ("homestead", "eip150", "eip155", "eip158", "byzantium", "constantinople", "petersburg", "istanbul")
    forks = {f"{name}Block": 0 for name in (*blocks, "berlin", "london")}
    config = {"chainId": CHAIN_ID, **forks, "terminalTotalDifficulty": 0, "shanghaiTime": 0, "cancunTime": 0}
    alloc = {key.address: {"balance": hex(10_000 * ETHER)} for key in keys}
    return {"config": config, "difficulty": "0x0", "gasLimit": hex(GAS_LIMIT), "alloc": alloc}


def transfers(keys: list[Key], block: int) -> list[bytes]:
    """A block's transfers: from each key as many, each to somebody new."""
    each = TRANSFERS // len(keys)
    return [
        key.sign_transaction(
            chain_id=CHAIN_ID,
            nonce=block * each + number,
            gas_limit=21_000,
            to=(2**96 + (block * len(keys) + place) * each + number).to_bytes(20),
            value=1,
            data=b"",
            max_fee_per_gas=100 * 10**9,
            max_priority_fee_per_gas=10**9,
        )
        for place, key in enumerate(keys)
        for number in range(each)
    ]


async def measure(url: str, folder: Path) -> Row:
    """Both in turn."""
    keys = dev_keys()
    ours, theirs = [], []
    maker = Chain.dev(genesis(keys))
    with Chain.open(folder / "chain", genesis(keys)) as chain:
        async with trio.open_nursery() as nursery:
            client = await nursery.start(Client(Endpoint(url=url, timeout_seconds=60)).run)
            await client.call("evm_setAutomine", False)
            await client.call("evm_setBlockGasLimit", hex(GAS_LIMIT))
            for block in range(ROUNDS):
                batch = transfers(keys, block)
                await client.batch([("eth_sendRawTransaction", ("0x" + raw.hex(),)) for raw in batch])
                begun = time.perf_counter()
                await client.call("evm_mine")
                theirs.append(time.perf_counter() - begun)
                mined = await client.call("eth_getBlockByNumber", "latest", False)
                if len(mined["transactions"]) != TRANSFERS:
                    raise WrongAnswer(f"anvil mined {len(mined['transactions'])} of {TRANSFERS} transfers")

                raw = maker.mine(batch, timestamp=12 * (block + 1)).raw
                begun = time.perf_counter()
                chain.import_block(raw)
                ours.append(time.perf_counter() - begun)
                if chain.head != maker.head or len(chain.head.transactions) != TRANSFERS:
                    raise WrongAnswer("the block that was imported is not the head")
            nursery.cancel_scope.cancel()
    return Row(
        "durable import of a block of 2,000 transfers",
        "faster",
        median(ours) * 1e3,
        "ms",
        1.0,
        median(theirs) * 1e3,
        "anvil mines it, senders known, in memory",
    )

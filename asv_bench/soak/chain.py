"""A chain that never ends and never grows: whatever it is sent stands in its next block, and old blocks are forgotten.
Now and then the newest block is taken back, and now and then a reply is lost.

`python -m asv_bench.soak.chain BLOCK_SECONDS` prints its URL and serves until it is ended.
"""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from typing import Any

import trio

from execlayer import Transaction
from execlayer.server.methods import RpcError
from execlayer.testing import Drop
from execlayer.testing.serving import Ask, Serving, Session

CHAIN_ID = 31_337
GWEI = 10**9
GAS = 160_000
KEPT = 300
"""Blocks that are remembered."""

REORG_EVERY, LOST_EVERY = 30, 50
"""Each so many blocks the newest is taken back; each so many blocks a transaction's reply is lost."""


@dataclass
class Block:
    """One, with the transactions in it, and how many each sender has sent by then."""

    header: dict[str, Any]
    transactions: list[Transaction]
    counts: dict[str, int]


@dataclass
class Chain:
    """All of it."""

    blocks: dict[int, Block] = field(default_factory=dict)
    waiting: dict[tuple[str, int], Transaction] = field(default_factory=dict)
    sessions: list[Session] = field(default_factory=list)
    salt: int = 0

    def __post_init__(self) -> None:
        self.genesis = self._made(0, "0x" + "00" * 32, [], {})
        self.blocks[0] = self.genesis

    @property
    def head(self) -> Block:
        return self.blocks[max(self.blocks)]

    def mine(self) -> None:
        """The next block: of each sender what waits without a gap."""
        head = self.head
        counts, inside = dict(head.counts), []
        for sender, nonce in sorted(self.waiting):
            if nonce == counts.get(sender, 0):
                inside.append(self.waiting.pop((sender, nonce)))
                counts[sender] = nonce + 1
            elif nonce < counts.get(sender, 0):
                del self.waiting[sender, nonce]
        number = int(head.header["number"], 16) + 1
        self.blocks[number] = self._made(number, head.header["hash"], inside, counts)
        self.blocks.pop(number - KEPT, None)
        for session in self.sessions:
            for name in session.subscriptions:
                session.push(name, self.head.header)

    def take_back(self) -> None:
        """The newest block is none any more; what was in it waits again."""
        gone = self.blocks.pop(max(self.blocks))
        for one in gone.transactions:
            self.waiting.setdefault((one.sender, one.nonce), one)

    def _made(self, number: int, parent: str, inside: list[Transaction], counts: dict[str, int]) -> Block:
        self.salt += 1
        header = {
            "number": hex(number),
            "hash": f"0x{self.salt:064x}",
            "parentHash": parent,
            "timestamp": hex(int(time.time())),
            "baseFeePerGas": hex(GWEI),
            "gasUsed": hex(15_000_000),
            "gasLimit": hex(30_000_000),
        }
        return Block(header, inside, counts)

    # ---- what is asked ----------------------------------------------------------------------------------------------

    async def answer(self, ask: Ask) -> Any:
        """A node's answer. A transaction that came before is taken again: its reply may have been lost."""
        match ask.method, ask.params:
            case "eth_chainId", _:
                return hex(CHAIN_ID)
            case "eth_blockNumber", _:
                return self.head.header["number"]
            case "eth_getBlockByNumber", ["0x0", *_]:
                return self.genesis.header
            case "eth_getBlockByNumber", ["latest", *_]:
                return self.head.header
            case "eth_getBlockByNumber", ["finalized", *_]:
                return self.blocks[max(min(self.blocks), max(self.blocks) - 64)].header
            case "eth_getBlockByNumber", [str(number), *_]:
                found = self.blocks.get(int(number, 16))
                return found and found.header
            case (("eth_getBlockByHash" | "eth_getBlockReceipts" as method), [str(name), *_]):
                named = self._named(name)
                return named and (named.header if method == "eth_getBlockByHash" else receipts(named))
            case "eth_getTransactionCount", [str(sender), at]:
                known = self._named(at["blockHash"]) if isinstance(at, dict) else self.head
                if known is None:
                    raise RpcError(-32001, "no such block")
                return hex(known.counts.get(sender.lower(), 0))
            case "eth_sendRawTransaction", [str(raw)]:
                new = Transaction.decode(raw)
                if new.nonce >= self.head.counts.get(new.sender.lower(), 0):
                    self.waiting.setdefault((new.sender.lower(), new.nonce), new)
                return new.hash
            case "eth_getTransactionByHash", [str(name)]:
                return next(({"hash": name} for one in self.waiting.values() if one.hash == name), None)
            case "eth_subscribe", ["newHeads"] if ask.session is not None:
                ask.session.subscriptions[hex(len(ask.session.subscriptions))] = ask.params
                return next(reversed(ask.session.subscriptions))
            case "eth_getCode", _:
                return "0x00"
            case "eth_getBalance", _:
                return hex(10**24)
            case "eth_feeHistory", _:
                return {"reward": [[hex(GWEI)]], "gasUsedRatio": [0.5]}
            case _:
                raise RpcError(-32601, f"{ask.method} is not known here")

    def opened(self, session: Session) -> None:
        """A client came."""
        self.sessions.append(session)

    def closed(self, session: Session) -> None:
        """It is gone."""
        self.sessions.remove(session)

    def _named(self, name: str) -> Block | None:
        return next((one for one in reversed(self.blocks.values()) if one.header["hash"] == name), None)


def receipts(block: Block) -> list[dict[str, Any]]:
    """All of a block's transactions succeed."""
    return [
        {
            "transactionHash": one.hash,
            "blockHash": block.header["hash"],
            "transactionIndex": hex(index),
            "status": "0x1",
            "gasUsed": hex(GAS),
            "effectiveGasPrice": hex(2 * GWEI),
            "logs": [],
        }
        for index, one in enumerate(block.transactions)
    ]


async def serve(block_seconds: float) -> None:
    """Makes blocks and answers until it is ended."""
    chain = Chain()
    serving = Serving(chain)
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serving.serve, listeners)
        print(f"ws://127.0.0.1:{listeners[0].socket.getsockname()[1]}", flush=True)
        made = 0
        while True:
            await trio.sleep(block_seconds)
            made += 1
            if made % REORG_EVERY == 0:
                chain.take_back()
                chain.mine()
            if made % LOST_EVERY == 0:
                serving.faults.add(Drop(after=True), "eth_sendRawTransaction")
            chain.mine()


if __name__ == "__main__":
    trio.run(serve, float(sys.argv[1]))

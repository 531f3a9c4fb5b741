"""What stands around an order engine under load, each a process of its own.

`python -m asv_bench.promises.order_load_parts node` prints the port of a node that takes every transaction and has all
of them in its next block, a second later. `… source ADDRESS COUNT RATE` sends signals as they are due. `… consumer
ADDRESS` takes results.
"""

from __future__ import annotations

import json
import re
import sys
import time
from dataclasses import replace
from functools import partial
from typing import Any

import trio

from asv_bench.promises import order_parts
from asv_bench.promises.order_parts import HEAD_NUMBER, PACE_SECONDS
from asv_bench.promises.orders import signal
from execlayer import _core
from execlayer.orders.wire import Header, Splitter, acknowledgement

BLOCK_SECONDS = 1.0
KEPT = 8
"""Blocks whose receipts are remembered; the one that is so deep is final."""

RAW = re.compile(rb'"id":(\d+),"method":"eth_sendRawTransaction","params":\["0x([0-9a-f]+)"\]')
RECEIPT = (
    '{"transactionHash":"0x%s","blockHash":"%s","transactionIndex":"0x%x","status":"0x1","gasUsed":"0x27100",'
    '"effectiveGasPrice":"0x77359400","logs":[]}'
)


class Chain:
    """Blocks, the newest last. It counts no sender's transactions: a count of none contradicts nobody."""

    def __init__(self) -> None:
        self.number = HEAD_NUMBER
        self.waiting: list[str] = []
        self.inside: dict[str, str] = {}

    def take(self, raw: bytes) -> str:
        """A transaction; its hash."""
        found = _core.keccak256(bytes.fromhex(raw.decode())).hex()
        self.waiting.append(found)
        return found

    def mine(self) -> None:
        """The next block, with all that waits."""
        self.number += 1
        block = self.block(self.number)["hash"]
        receipts = (RECEIPT % (one, block, index) for index, one in enumerate(self.waiting))
        self.inside[block] = "[" + ",".join(receipts) + "]"
        self.waiting = []
        while len(self.inside) > KEPT:
            del self.inside[next(iter(self.inside))]

    def block(self, number: int) -> dict[str, Any]:
        """A header."""
        return order_parts.block(number)

    def answer(self, method: str, params: list[Any]) -> str:
        """What a node says, as JSON."""
        match method:
            case "eth_blockNumber":
                found: Any = hex(self.number)
            case "eth_getBlockByNumber":
                deep = {"latest": self.number, "finalized": max(self.number - KEPT, HEAD_NUMBER)}
                found = self.block(deep.get(params[0], 0) or int(params[0], 16))
            case "eth_getBlockByHash":
                found = self.block(int(params[0], 16) - 1)
            case "eth_getBlockReceipts":
                return self.inside.get(params[0], "[]")
            case _:
                found = order_parts.answer(method, params)
        return json.dumps(found)

    def reply(self, body: bytes) -> bytes:
        """The response to a request's body."""
        if b"eth_sendRawTransaction" in body:
            told = [
                f'{{"jsonrpc":"2.0","id":{int(id_)},"result":"0x{self.take(raw)}"}}' for id_, raw in RAW.findall(body)
            ]
        else:
            asked = json.loads(body)
            calls = asked if isinstance(asked, list) else [asked]
            told = [
                f'{{"jsonrpc":"2.0","id":{one["id"]},"result":{self.answer(one["method"], one.get("params", []))}}}'
                for one in calls
            ]
        text = ("[" + ",".join(told) + "]" if body.startswith(b"[") else told[0]).encode()
        return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(text) + text


async def node() -> None:
    """Serves until it is ended."""
    chain = Chain()
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(
            partial(trio.serve_tcp, partial(order_parts.serve, chain.reply), 0, host="127.0.0.1")
        )
        print(listeners[0].socket.getsockname()[1], flush=True)
        while True:
            await trio.sleep(BLOCK_SECONDS)
            chain.mine()


async def connected(address: str) -> trio.SocketStream:
    host, port = address.rsplit(":", 1)
    return await trio.open_tcp_stream(host, int(port))


async def source(address: str, count: int, rate: int) -> None:
    """Sends, evenly, signals of now; waits until it is ended."""
    one, sent = signal(1), 0
    async with await connected(address) as stream:
        begin = time.monotonic()
        while sent < count:
            due, now = min(int((time.monotonic() - begin) * rate), count), time.time_ns()
            headers = (Header(sequence=number, sent_unix_ns=now, source_id=9) for number in range(sent + 1, due + 1))
            fresh = (replace(one, signal_id=head.sequence, created_unix_ns=now).to_frame(head) for head in headers)
            if frames := b"".join(fresh):
                await stream.send_all(frames)
                sent = due
            await trio.sleep(PACE_SECONDS)
        await trio.sleep_forever()


async def consumer(address: str) -> None:
    """Takes results, each part that comes at once acknowledged together."""
    splitter, last = Splitter(), 0
    async with await connected(address) as stream:
        while True:
            await stream.send_all(acknowledgement(last, sent_unix_ns=time.time_ns(), source_id=8))
            frames: list[bytes] = []
            while not frames:
                data = await stream.receive_some(1 << 18)
                if not data:
                    return
                frames = list(splitter.feed(bytes(data)))
            last = int.from_bytes(frames[-1][8:16], "little")


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["node"]:
            trio.run(node)
        case ["source", address, count, rate]:
            trio.run(source, address, int(count), int(rate))
        case ["consumer", address]:
            trio.run(consumer, address)

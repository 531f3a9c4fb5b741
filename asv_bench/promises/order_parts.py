"""What stands around the order engine in its benchmark, each a process of its own: a node that says what a node says
and does nothing, and a source of signals.

`python -m asv_bench.promises.order_parts node [silent]` prints its port. `… source ADDRESS FRAMES RATE` sends a file's
frames, RATE a second, all at once where that is 0.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import trio

from execlayer import _core

CHAIN_ID = 31_337
CONTRACT = "0x" + "cc" * 20
GWEI = 10**9
HEAD_NUMBER = 100
PACE_SECONDS = 0.001


def block(number: int) -> dict[str, Any]:
    """A block of the chain that never moves."""
    return {
        "number": hex(number),
        "hash": "0x" + f"{number + 1:064x}",
        "parentHash": "0x" + f"{number:064x}",
        "timestamp": hex(1_700_000_000),
        "baseFeePerGas": hex(GWEI),
        "gasUsed": hex(15_000_000),
        "gasLimit": hex(30_000_000),
        "transactions": [],
    }


def answer(method: str, params: list[Any]) -> Any:
    """What a node says."""
    match method:
        case "eth_chainId":
            return hex(CHAIN_ID)
        case "eth_blockNumber":
            return hex(HEAD_NUMBER)
        case "eth_getBlockByNumber":
            return block(0 if params[0] == "0x0" else HEAD_NUMBER)
        case "eth_getCode":
            return "0x00"
        case "eth_getTransactionCount":
            return "0x0"
        case "eth_getBalance":
            return hex(10**24)
        case "eth_feeHistory":
            return {"reward": [[hex(GWEI)]], "gasUsedRatio": [0.5]}
        case "eth_sendRawTransaction":
            return "0x" + _core.keccak256(bytes.fromhex(params[0][2:])).hex()
        case _:
            return []


def reply(body: bytes, silent: bool) -> bytes | None:
    """The response to a request's body; None where it gets none."""
    if silent and b"eth_sendRawTransaction" in body:
        return None
    asked = json.loads(body)
    calls = asked if isinstance(asked, list) else [asked]
    told = [
        {"jsonrpc": "2.0", "id": one["id"], "result": answer(one["method"], one.get("params", []))} for one in calls
    ]
    text = json.dumps(told if isinstance(asked, list) else told[0]).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(text) + text


Reply = Callable[[bytes], bytes | None]
"""The response to a request's body; None where it gets none."""


async def serve(reply: Reply, stream: trio.SocketStream) -> None:
    """One connection, however it ends: the next engine finds the node as it was."""
    with suppress(trio.BrokenResourceError):
        await converse(reply, stream)


async def converse(reply: Reply, stream: trio.SocketStream) -> None:
    """Requests and replies."""
    held = bytearray()
    while data := await stream.receive_some(1 << 20):
        held += data
        replies = []
        while (head := held.find(b"\r\n\r\n")) >= 0:
            length = int(bytes(held[:head]).lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            if len(held) < head + 4 + length:
                break
            replies.append(reply(bytes(held[head + 4 : head + 4 + length])))
            del held[: head + 4 + length]
        if found := b"".join(one for one in replies if one is not None):
            await stream.send_all(found)


async def node(silent: bool) -> None:
    """Serves until it is ended."""
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(
            partial(trio.serve_tcp, partial(serve, partial(reply, silent=silent)), 0, host="127.0.0.1")
        )
        print(listeners[0].socket.getsockname()[1], flush=True)


async def source(address: str, frames: list[bytes], rate: int) -> None:
    """Sends, evenly, and waits for nothing."""
    host, port = address.rsplit(":", 1)
    async with await trio.open_tcp_stream(host, int(port)) as stream:
        begin, sent = time.monotonic(), 0
        while sent < len(frames):
            due = len(frames) if rate == 0 else int((time.monotonic() - begin) * rate)
            if due > sent:
                await stream.send_all(b"".join(frames[sent:due]))
                sent = min(due, len(frames))
            await trio.sleep(PACE_SECONDS)
        # The engine reads to the end before it sees ours.
        await stream.send_eof()
        await stream.receive_some()


def split(data: bytes) -> list[bytes]:
    """Frames that lie one after the other."""
    frames = []
    while data:
        length = 40 + int.from_bytes(data[32:36], "little")
        frames.append(data[:length])
        data = data[length:]
    return frames


if __name__ == "__main__":
    if sys.argv[1] == "node":
        trio.run(node, "silent" in sys.argv)
    else:
        trio.run(source, sys.argv[2], split(Path(sys.argv[3]).read_bytes()), int(sys.argv[4]))

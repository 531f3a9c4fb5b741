"""A signer that speaks Web3Signer's HTTP API, with keys of its own: small, real, and as wayward as a test wants."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import trio
from eth_keys.datatypes import PrivateKey

from execlayer import Key
from execlayer._core import keccak256

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
Reply = tuple[int, bytes]


@dataclass
class Web3Signer:
    """One that runs at ``url``."""

    keys: Sequence[Key]
    url: str = ""
    asked: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    """Method, target, headers and body of every request."""

    wayward: Callable[[str], Reply | None] | None = None
    """Answers instead, where it does not give None."""

    hangs: bool = False
    high: bool = False
    """Whether ``s`` is in the upper half."""

    def answer(self, method: str, target: str, body: bytes) -> Reply:
        """As Web3Signer does."""
        names = {public_key(key): key for key in self.keys}
        if (method, target) == ("GET", "/api/v1/eth1/publicKeys"):
            return 200, json.dumps(list(names)).encode()
        key = names.get(target.removeprefix("/api/v1/eth1/sign/"))
        if method != "POST" or key is None:
            return 404, b"Public Key not found"
        data = bytes.fromhex(json.loads(body)["data"].removeprefix("0x"))
        signature = key.sign(keccak256(data))
        r, s, v = signature[:32], int.from_bytes(signature[32:64]), signature[64] % 27
        if self.high:
            s, v = ORDER - s, 1 - v
        return 200, b"0x" + (r + s.to_bytes(32) + bytes([27 + v])).hex().encode()

    async def serve(self, stream: trio.SocketStream) -> None:
        """One connection, request after request."""
        held = b""
        with trio.move_on_after(30):
            while True:
                while b"\r\n\r\n" not in held:
                    data = await stream.receive_some()
                    if not data:
                        return
                    held += data
                head, _, held = held.partition(b"\r\n\r\n")
                first, *lines = head.decode().split("\r\n")
                method, target, _ = first.split(" ")
                headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
                length = int(headers.get("content-length", "0"))
                while len(held) < length:
                    held += await stream.receive_some()
                body, held = held[:length], held[length:]
                self.asked.append((method, target, headers, body))
                if self.hangs:
                    await trio.sleep_forever()
                strange = self.wayward(target) if self.wayward is not None else None
                status, said = strange if strange is not None else self.answer(method, target, body)
                answer = f"HTTP/1.1 {status} Said\r\nContent-Type: text/plain\r\nContent-Length: {len(said)}\r\n\r\n"
                await stream.send_all(answer.encode() + said)


def public_key(key: Key) -> str:
    """As Web3Signer names keys: 64 bytes, not compressed."""
    return "0x" + PrivateKey(key.secret).public_key.to_bytes().hex()


@asynccontextmanager
async def open_web3signer(*keys: Key) -> AsyncIterator[Web3Signer]:
    """Runs one on loopback while the block lasts."""
    signer = Web3Signer(keys)
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, signer.serve, 0, host="127.0.0.1"))
        signer.url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        yield signer
        nursery.cancel_scope.cancel()

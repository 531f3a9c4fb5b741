"""A server without sockets: connections over in-memory streams, and a core that only knows how to echo."""

from __future__ import annotations

import json
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import trio
import trio.testing

from execlayer.server.connection import HttpConnection, IpcConnection, Service
from execlayer.server.http1 import Admission
from execlayer.server.limits import Limits
from execlayer.server.methods import Methods
from execlayer.server.peer import Heads

Stream = trio.StapledStream[trio.testing.MemorySendStream, trio.testing.MemoryReceiveStream]


class EchoSession:
    """Remembers what it was told to notify of."""

    def __init__(self) -> None:
        self.pending: list[bytes] = []
        self.moved = threading.Event()

    def notifications(self) -> list[bytes]:
        pending, self.pending = self.pending, []
        return pending

    def wait(self, seconds: float) -> bool:
        moved = self.moved.wait(min(seconds, 0.05))
        self.moved.clear()
        return moved


class EchoCore:
    """Answers every method with its parameters: ``slow`` through the thread, everything else at once."""

    def __init__(self) -> None:
        self.reserved: set[str] = set()
        self.sessions: list[EchoSession] = []

    def handle_nowait(self, request: bytes, session: Any = None) -> bytes | None:
        try:
            calls = _calls(request)
        except ValueError:
            return self.refuse(request, -32700, "parse error")
        if any(call.get("method") in {"slow", *self.reserved} for call in calls):
            return None
        return self.handle_with(request, session, {})

    def foreign(self, request: bytes) -> list[tuple[int, str, str | None]]:
        found = [(index, call) for index, call in enumerate(_calls(request)) if call.get("method") in self.reserved]
        return [
            (index, call["method"], json.dumps(call["params"]) if "params" in call else None) for index, call in found
        ]

    def handle_with(self, request: bytes, session: Any, replies: dict[int, Any]) -> bytes:
        answers = []
        for index, call in enumerate(_calls(request)):
            result, error = replies.get(index, (json.dumps(call.get("params")), None))
            if "id" in call and error is not None:
                code, message, data = error
                answers.append({"id": call["id"], "error": {"code": code, "message": message, "data": data}})
            elif "id" in call:
                answers.append({"id": call["id"], "result": json.loads(result)})
        if not answers:
            return b""
        return json.dumps(answers if request.lstrip().startswith(b"[") else answers[0]).encode()

    def refuse(self, request: bytes, code: int, message: str) -> bytes:
        return json.dumps({"id": None, "error": {"code": code, "message": message}}).encode()

    def reserve(self, name: str) -> None:
        if name.startswith("eth_") or name in self.reserved:
            raise ValueError(f"the method {name} is served already")
        self.reserved.add(name)

    def session(self) -> EchoSession:
        self.sessions.append(EchoSession())
        return self.sessions[-1]


def _calls(request: bytes) -> list[dict[str, Any]]:
    body = json.loads(request)
    calls = body if isinstance(body, list) else [body]
    if not all(isinstance(call, dict) for call in calls):
        raise ValueError("no request")
    return calls


@pytest.fixture
def core() -> EchoCore:
    return EchoCore()


@pytest.fixture
def methods(core: EchoCore) -> Methods:
    return Methods(core)


Connect = Callable[..., "Client"]


class Client:
    """The other end of a connection."""

    def __init__(self, stream: Stream, connection: HttpConnection | IpcConnection) -> None:
        self.stream = stream
        self.connection = connection
        self.done = trio.Event()
        self._buffer = b""

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def receive(self) -> bytes:
        """One HTTP answer, body and all; empty at the end of the connection."""
        while b"\r\n\r\n" not in self._buffer:
            if not await self._more():
                assert not self._buffer, self._buffer
                return b""
        head, _, rest = self._buffer.partition(b"\r\n\r\n")
        lengths = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
        length = int(lengths[0].split(b":")[1]) if lengths else 0
        while len(rest) < length:
            assert await self._more(), "the connection ended inside an answer"
            rest = self._buffer.partition(b"\r\n\r\n")[2]
        self._buffer = rest[length:]
        return head + b"\r\n\r\n" + rest[:length]

    async def line(self) -> bytes:
        """One line of an IPC connection; empty at its end."""
        while b"\n" not in self._buffer:
            if not await self._more():
                return b""
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    async def rest(self) -> bytes:
        """Everything until the connection ends."""
        while await self._more():
            pass
        rest, self._buffer = self._buffer, b""
        return rest

    async def _more(self) -> bool:
        data = await self.stream.receive_some(65_536)
        self._buffer += data
        return bool(data)


@pytest.fixture
async def connect(methods: Methods, core: EchoCore, nursery: trio.Nursery) -> AsyncIterator[Connect]:
    """Opens connections to a server with the given limits."""

    def open_one(
        limits: Limits | None = None, admission: Admission | None = None, kind: type[Any] = HttpConnection
    ) -> Client:
        limits = limits or Limits()
        heads = Heads(core.session())
        service = Service(methods, limits, admission or Admission(), heads, trio.CapacityLimiter(limits.threads))
        ours, theirs = trio.testing.memory_stream_pair()
        client = Client(theirs, kind(ours, service))

        async def run() -> None:
            await client.connection.run()
            client.done.set()

        nursery.start_soon(heads.watch)
        nursery.start_soon(run)
        return client

    yield open_one
    nursery.cancel_scope.cancel()


def post(body: bytes, headers: bytes = b"Content-Type: application/json\r\n") -> bytes:
    return b"POST / HTTP/1.1\r\nHost: localhost\r\n%sContent-Length: %d\r\n\r\n%s" % (headers, len(body), body)


def call(method: str = "echo", params: object = (), id: object = 1) -> bytes:  # noqa: A002
    return json.dumps({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).encode()


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


def result(answer: bytes) -> Any:
    return json.loads(answer.partition(b"\r\n\r\n")[2])["result"]

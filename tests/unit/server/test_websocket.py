"""A WebSocket over an in-memory stream, the client's side played by wsproto."""

from __future__ import annotations

import base64
import json
from collections import deque

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    Pong,
    Request,
    TextMessage,
)

from execlayer.server.connection import HttpConnection, Service
from execlayer.server.http1 import Admission
from execlayer.server.limits import Limits
from execlayer.server.methods import Methods
from execlayer.server.peer import Heads

from .conftest import Client, Connect, EchoCore, call, status


class WebSocketClient:
    def __init__(self, client: Client) -> None:
        self.client = client
        self.protocol = WSConnection(ConnectionType.CLIENT)
        self.events: deque[Event] = deque()

    async def open(self, **headers: str) -> Event:
        pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
        await self.send(Request(host="localhost", target="/", extra_headers=pairs))
        return await self.event()

    async def send(self, event: Event) -> None:
        await self.client.send(self.protocol.send(event))

    async def event(self) -> Event:
        while not self.events:
            data = await self.client.stream.receive_some()
            self.protocol.receive_data(bytes(data) or None)
            self.events.extend(self.protocol.events())
        return self.events.popleft()

    async def message(self) -> object:
        event = await self.event()
        assert isinstance(event, TextMessage), event
        return json.loads(event.data)


@pytest.fixture
async def socket(connect: Connect) -> WebSocketClient:
    socket = WebSocketClient(connect(Limits(body_bytes=1_000, idle_seconds=30)))
    assert isinstance(await socket.open(), AcceptConnection)
    return socket


async def test_messages_are_answered_in_order(socket: WebSocketClient) -> None:
    for number in range(3):
        await socket.send(TextMessage(call(params=[number], id=number).decode()))
    assert [await socket.message() for _ in range(3)] == [{"id": n, "result": [n]} for n in range(3)]


async def test_binary_messages_and_fragments_are_messages_too(socket: WebSocketClient) -> None:
    await socket.send(BytesMessage(call(params=[1])))
    assert await socket.message() == {"id": 1, "result": [1]}
    text = call(params=["ä"]).decode()
    await socket.send(TextMessage(text[:20], message_finished=False))
    await socket.send(Ping(b"between"))
    assert await socket.event() == Pong(b"between")
    await socket.send(TextMessage(text[20:]))
    assert await socket.message() == {"id": 1, "result": ["ä"]}


async def test_a_message_right_behind_the_handshake_is_served(connect: Connect) -> None:
    client = connect()
    key = base64.b64encode(bytes(16))
    frame = call(params=[5])
    masked = b"\x81" + bytes([0x80 | len(frame)]) + bytes(4) + frame
    await client.send(
        b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key + b"\r\n\r\n" + masked
    )
    assert status(await client.receive()) == 101
    answer = await client.stream.receive_some()
    assert json.loads(answer[2:]) == {"id": 1, "result": [5]}


async def test_a_message_may_be_as_large_as_the_limit_and_no_larger(socket: WebSocketClient) -> None:
    frame = call(params=[""]).decode()
    await socket.send(TextMessage(frame.replace('""', f'"{"x" * (1_000 - len(frame))}"')))
    assert isinstance(await socket.event(), TextMessage)
    await socket.send(TextMessage("x" * 1_001))
    event = await socket.event()
    assert isinstance(event, CloseConnection)
    assert (event.code, event.reason) == (1009, "message is larger than 1000 bytes")


async def test_a_slow_call_does_not_hold_up_quick_ones(socket: WebSocketClient, methods: Methods) -> None:
    go = trio.Event()

    async def hold() -> str:
        await go.wait()
        return "held"

    methods.register("hold", hold)
    await socket.send(TextMessage(call("hold", [], 1).decode()))
    await socket.send(TextMessage(call("echo", [], 2).decode()))
    assert await socket.message() == {"id": 2, "result": []}
    go.set()
    assert await socket.message() == {"id": 1, "result": "held"}


async def test_calls_at_once_are_bounded(connect: Connect, methods: Methods) -> None:
    running, most, go = 0, 0, trio.Event()

    async def hold() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await go.wait()
        running -= 1

    methods.register("hold", hold)
    socket = WebSocketClient(connect(Limits(calls_at_once=3)))
    await socket.open()
    for number in range(6):
        await socket.send(TextMessage(call("hold", [], number).decode()))
    await trio.testing.wait_all_tasks_blocked()
    go.set()
    assert {json.dumps(await socket.message()) for _ in range(6)} == {
        json.dumps({"id": number, "result": None}) for number in range(6)
    }
    assert most == 3


async def test_notifications_are_pushed(socket: WebSocketClient, core: EchoCore) -> None:
    await socket.send(TextMessage(call().decode()))
    await socket.message()
    watching, session = core.sessions
    session.pending = [b'{"n":1}', b'{"n":2}']
    watching.moved.set()
    assert [await socket.message(), await socket.message()] == [{"n": 1}, {"n": 2}]


async def test_a_goodbye_is_answered(socket: WebSocketClient) -> None:
    await socket.send(CloseConnection(1000))
    assert await socket.event() == CloseConnection(1000, "")
    await socket.client.done.wait()


async def test_a_broken_frame_ends_the_connection(socket: WebSocketClient) -> None:
    await socket.client.send(b"\xff\xff\xff")
    event = await socket.event()
    assert isinstance(event, CloseConnection)
    assert event.code == 1002


async def test_a_silent_client_is_pinged_and_then_closed(
    socket: WebSocketClient, autojump_clock: trio.testing.MockClock
) -> None:
    started = trio.current_time()
    ping = await socket.event()
    assert isinstance(ping, Ping)
    await socket.send(ping.response())
    assert isinstance(await socket.event(), Ping)
    await socket.client.done.wait()
    assert trio.current_time() - started == pytest.approx(90)


async def test_stopping_says_goodbye(socket: WebSocketClient) -> None:
    socket.client.connection.stop()
    event = await socket.event()
    assert isinstance(event, CloseConnection)
    assert event.code == 1001


async def test_a_strangers_page_is_refused(connect: Connect) -> None:
    client = connect()
    await client.send(
        WSConnection(ConnectionType.CLIENT).send(Request("localhost", "/", extra_headers=[(b"Origin", b"http://x")]))
    )
    assert status(await client.receive()) == 403
    named = WebSocketClient(connect(admission=Admission(origins=frozenset({"http://x"}))))
    assert isinstance(await named.open(Origin="http://x"), AcceptConnection)


async def test_half_a_handshake_is_refused(connect: Connect) -> None:
    client = connect()
    await client.send(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    assert status(await client.receive()) == 400
    assert await client.receive() == b""


@settings(deadline=None)
@given(st.lists(st.binary(max_size=100), max_size=5))
def test_arbitrary_frames_end_in_a_close_and_nothing_worse(pieces: list[bytes]) -> None:
    async def main() -> None:
        core = EchoCore()
        service = Service(Methods(core), Limits(), Admission(), Heads(core.session()), trio.CapacityLimiter(1))
        ours, theirs = trio.testing.memory_stream_pair()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(HttpConnection(ours, service).run)
            await theirs.send_all(WSConnection(ConnectionType.CLIENT).send(Request("localhost", "/")))
            assert (await theirs.receive_some()).startswith(b"HTTP/1.1 101 ")
            try:
                for piece in pieces:
                    await theirs.send_all(piece)
                await theirs.send_stream.aclose()
            except trio.BrokenResourceError:
                pass
            while await theirs.receive_some():
                pass

    trio.run(main)

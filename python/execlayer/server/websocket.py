"""WebSocket messages over a stream, after HTTP has handed it over. The protocol itself is wsproto's."""

from __future__ import annotations

from collections import deque

import trio
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
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from . import http1
from .limits import Limits

RECEIVE_BYTES = 65_536

NORMAL, GOING_AWAY, PROTOCOL_ERROR, TOO_LARGE = 1000, 1001, 1002, 1009
"""Close codes of RFC 6455."""


class WebSocket:
    """Whole messages in, text messages out. Owns the stream from the upgrade on."""

    def __init__(self, stream: trio.abc.Stream, limits: Limits) -> None:
        self._stream = stream
        self._limits = limits
        self._protocol = WSConnection(ConnectionType.SERVER)
        self._sending = trio.StrictFIFOLock()
        self._messages: deque[bytes] = deque()
        self._parts: list[bytes] = []
        self._size = 0
        self._closed = False

    async def accept(self, request: http1.Request, rest: bytes) -> None:
        """Answers the upgrade; ``rest`` is what came behind it. Raises :class:`RemoteProtocolError` where the request
        is no proper handshake; nothing was sent then."""
        headers = [(name, value) for name, value in request.headers.items()]
        self._protocol.initiate_upgrade_connection(headers, request.target)
        if not any(isinstance(event, Request) for event in self._protocol.events()):
            raise RemoteProtocolError("not a WebSocket handshake")
        await self._send_event(AcceptConnection())
        await self._take(rest)

    async def receive(self) -> bytes | None:
        """The next message, text or binary alike; None: the connection is over."""
        pinged = False
        while not self._messages:
            if self._closed:
                return None
            data = None
            with trio.move_on_after(self._limits.idle_seconds):
                try:
                    data = await self._stream.receive_some(RECEIVE_BYTES)
                except (trio.BrokenResourceError, trio.ClosedResourceError):
                    data = b""
            if data is None and not pinged:
                pinged = True
                await self._send_event(Ping())
            elif not data:
                self._closed = True
            else:
                pinged = False
                await self._take(bytes(data))
        return self._messages.popleft()

    async def send(self, message: bytes) -> None:
        """Sends a text message. One that the client doesn't take in time breaks the connection."""
        await self._send_event(TextMessage(message.decode()))

    async def close(self, code: int, reason: str = "") -> None:
        """Says goodbye, unless it was said."""
        if not self._closed:
            self._closed = True
            await self._send_event(CloseConnection(code, reason))

    async def _take(self, data: bytes) -> None:
        try:
            self._protocol.receive_data(data)
            for event in self._protocol.events():
                await self._on_event(event)
                if self._closed:
                    return
        except RemoteProtocolError as error:
            self._closed = True
            await self._send_event(error.event_hint or CloseConnection(PROTOCOL_ERROR))

    async def _on_event(self, event: Event) -> None:
        match event:
            case TextMessage() | BytesMessage():
                part = event.data.encode() if isinstance(event.data, str) else bytes(event.data)
                self._size += len(part)
                if self._size > self._limits.body_bytes:
                    await self.close(TOO_LARGE, f"message is larger than {self._limits.body_bytes} bytes")
                    return
                self._parts.append(part)
                if event.message_finished:
                    self._messages.append(b"".join(self._parts))
                    self._parts, self._size = [], 0
            case Ping():
                await self._send_event(event.response())
            case CloseConnection():
                self._closed = True
                await self._send_event(event.response())
            case Pong():
                pass

    async def _send_event(self, event: Event) -> None:
        async with self._sending:
            try:
                data = self._protocol.send(event)
            except LocalProtocolError as error:
                raise trio.BrokenResourceError("the WebSocket is closed") from error
            with trio.move_on_after(self._limits.send_seconds) as scope:
                await self._stream.send_all(data)
            if scope.cancelled_caught:
                raise trio.BrokenResourceError("the client does not read")

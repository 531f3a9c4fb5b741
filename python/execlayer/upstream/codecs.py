"""The three ways to carry JSON-RPC, as values: requests to bytes, bytes to answers. Know no socket and no clock.

A codec is one connection's. Whatever bytes come in, ``feed`` gives answers or raises :class:`Broken`, :class:`TooLarge`
or :class:`~execlayer.upstream.errors.EndpointRefused`; memory is bounded by the endpoint's limits while they grow.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import httptools
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from .endpoint import Endpoint
from .errors import EndpointRefused
from .messages import TEXT_SHOWN_CHARS
from .splitter import Splitter


class Broken(ValueError):
    """What came is not of this protocol, and nothing after it can be trusted."""


class TooLarge(ValueError):
    """A reply grew past the limit."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply's bytes, unread. Over HTTP with its status."""

    body: bytes
    status: int = 200
    retry_after_seconds: float | None = None

    @property
    def is_accepted(self) -> bool:
        """Whether HTTP has nothing against it."""
        return 200 <= self.status < 300


class Codec(Protocol):
    """One connection's protocol."""

    ordered: bool
    """Whether replies come in the order of requests; if not, ids tell."""

    ready: bool
    """Whether requests may be sent."""

    closing: bool
    """Whether the other side takes no further requests on this connection."""

    def opening(self) -> bytes:
        """What is sent before anything else."""

    def frame(self, body: bytes, headers: bytes) -> bytes:
        """A request's bytes. ``headers`` are HTTP's, line for line; other protocols have none."""

    def feed(self, data: bytes) -> list[Answer]:
        """Takes what arrived, ``b""`` for the end; the answers that are whole now."""

    def outgoing(self) -> bytes:
        """What the protocol itself has to say now, such as a pong."""


def codec_for(endpoint: Endpoint) -> Codec:
    """A fresh connection's codec."""
    match endpoint.scheme:
        case "http" | "https":
            return HttpCodec(endpoint)
        case "ws" | "wss":
            return WebSocketCodec(endpoint)
        case "ipc":
            return IpcCodec(endpoint)


def request_head(endpoint: Endpoint) -> bytes:
    """All of an HTTP request before its length: ``head + b"<length>\\r\\n" + more headers + b"\\r\\n" + body`` is a
    whole request. Who writes requests elsewhere begins them with this."""
    lines = [f"POST {endpoint.target} HTTP/1.1", f"Host: {endpoint.authority}", "Content-Type: application/json"]
    lines += [f"{name}: {value}" for name, value in endpoint.request_headers.items()]
    return "\r\n".join([*lines, "Content-Length: "]).encode("ascii")


class HttpCodec:
    """HTTP/1.1 with keep-alive. Requests may be sent before earlier ones are answered."""

    ordered = True
    ready = True

    def __init__(self, endpoint: Endpoint) -> None:
        self.closing = False
        self._head = request_head(endpoint)
        self._endpoint = endpoint
        self._parser = httptools.HttpResponseParser(self)
        self._answers: list[Answer] = []
        self._error: Exception | None = None
        self._reply = _Reply()

    def opening(self) -> bytes:
        return b""

    def outgoing(self) -> bytes:
        return b""

    def frame(self, body: bytes, headers: bytes = b"") -> bytes:
        return b"%s%d\r\n%s\r\n%s" % (self._head, len(body), headers, body)

    def feed(self, data: bytes) -> list[Answer]:
        if not data:
            self.closing = True
            self._end()
            return self._take()
        before = self._reply
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            raise Broken("the server changed the protocol unasked") from None
        except httptools.HttpParserError as error:
            raise self._error or Broken(f"malformed HTTP: {error}") from None
        if self._reply is before and self._reply.in_head:
            # Of a head that doesn't end, the parser tells nothing until a header is whole: count what it was fed.
            self._count_head(len(data))
            if self._error is not None:
                raise self._error
        return self._take()

    def _take(self) -> list[Answer]:
        answers, self._answers = self._answers, []
        return answers

    def _end(self) -> None:
        """The connection's end is a reply's end where nothing else says its length."""
        reply = self._reply
        if reply.in_body and not reply.headers.keys() & {b"content-length", b"transfer-encoding"}:
            self.on_message_complete()

    # What httptools calls.

    def on_message_begin(self) -> None:
        self._reply = _Reply(in_head=True)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._reply.headers[name.lower()] = value
        self._count_head(len(name) + len(value) + 4)

    def on_headers_complete(self) -> None:
        reply = self._reply
        reply.in_head, reply.in_body = False, True
        reply.status = self._parser.get_status_code()
        length = reply.headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > self._endpoint.reply_bytes_max:
            self._fail(TooLarge("reply"))

    def on_body(self, body: bytes) -> None:
        reply = self._reply
        reply.size += len(body)
        if reply.size > self._endpoint.reply_bytes_max:
            self._fail(TooLarge("reply"))
        reply.body.append(body)

    def on_message_complete(self) -> None:
        reply = self._reply
        self._reply = _Reply()
        if reply.status < 200:
            return  # 100 Continue and its kind announce a reply, they are none
        if not self._parser.should_keep_alive() or reply.headers.get(b"connection", b"").lower() == b"close":
            self.closing = True
        self._answers.append(Answer(b"".join(reply.body), reply.status, _seconds(reply.headers.get(b"retry-after"))))

    def _count_head(self, size: int) -> None:
        self._reply.head_size += size
        if self._reply.head_size > self._endpoint.head_bytes_max:
            self._fail(Broken(f"the reply's head is larger than {self._endpoint.head_bytes_max} bytes"))

    def _fail(self, error: Exception) -> None:
        # httptools puts its own error in place of what a callback raises; ours is kept beside it.
        self._error = error
        raise error


@dataclass(slots=True)
class _Reply:
    """A reply that is arriving."""

    in_head: bool = False
    in_body: bool = False
    status: int = 0
    headers: dict[bytes, bytes] = field(default_factory=dict)
    body: list[bytes] = field(default_factory=list)
    head_size: int = 0
    size: int = 0


def _seconds(text: bytes | None) -> float | None:
    """``Retry-After`` where it is a number; dates are not worth their clock."""
    return float(text) if text is not None and text.isdigit() and len(text) < 9 else None


class WebSocketCodec:
    """Text messages. The handshake comes first."""

    ordered = False

    def __init__(self, endpoint: Endpoint) -> None:
        self.ready = False
        self.closing = False
        self._endpoint = endpoint
        self._protocol = WSConnection(ConnectionType.CLIENT)
        self._outgoing: list[bytes] = []
        self._parts: list[bytes] = []
        self._size = 0
        self._rejected: RejectConnection | None = None

    def opening(self) -> bytes:
        endpoint = self._endpoint
        headers = [(name.encode(), value.encode()) for name, value in endpoint.request_headers.items()]
        request = Request(host=endpoint.authority, target=endpoint.target, extra_headers=headers)
        return bytes(self._protocol.send(request))

    def outgoing(self) -> bytes:
        outgoing, self._outgoing = self._outgoing, []
        return b"".join(outgoing)

    def frame(self, body: bytes, headers: bytes = b"") -> bytes:  # noqa: ARG002  # only HTTP has headers
        try:
            return bytes(self._protocol.send(TextMessage(body.decode())))
        except LocalProtocolError as error:
            raise Broken("the WebSocket is closed") from error

    def feed(self, data: bytes) -> list[Answer]:
        if not data:
            self.closing = True
            return []
        answers: list[Answer] = []
        try:
            self._protocol.receive_data(data)
            for event in self._protocol.events():
                self._on_event(event, answers)
        except (RemoteProtocolError, LocalProtocolError, UnicodeDecodeError) as error:
            raise Broken(f"malformed WebSocket: {error}") from None
        return answers

    def _on_event(self, event: Event, answers: list[Answer]) -> None:
        match event:
            case AcceptConnection():
                self.ready = True
            case RejectConnection():
                if not event.has_body:
                    raise self._refusal(event, "")
                self._rejected = event
            case RejectData():
                if self._rejected is not None:
                    raise self._refusal(self._rejected, bytes(event.data).decode("utf-8", "replace"))
            case TextMessage() | BytesMessage():
                part = event.data.encode() if isinstance(event.data, str) else bytes(event.data)
                self._size += len(part)
                if self._size > self._endpoint.reply_bytes_max:
                    raise TooLarge("reply")
                self._parts.append(part)
                if event.message_finished:
                    answers.append(Answer(b"".join(self._parts)))
                    self._parts, self._size = [], 0
            case Ping():
                self._outgoing.append(bytes(self._protocol.send(event.response())))
            case CloseConnection():
                self.closing = True
                self._outgoing.append(bytes(self._protocol.send(event.response())))
            case _:
                pass

    def _refusal(self, event: RejectConnection, text: str) -> EndpointRefused:
        return refusal(self._endpoint, Answer(text.encode(), event.status_code))


class IpcCodec:
    """JSON values one after another, as geth's UNIX socket has them."""

    ordered = False
    ready = True

    def __init__(self, endpoint: Endpoint) -> None:
        self.closing = False
        self._splitter = Splitter(endpoint.reply_bytes_max, "reply")

    def opening(self) -> bytes:
        return b""

    def outgoing(self) -> bytes:
        return b""

    def frame(self, body: bytes, headers: bytes = b"") -> bytes:  # noqa: ARG002  # only HTTP has headers
        return body + b"\n"

    def feed(self, data: bytes) -> list[Answer]:
        if not data:
            self.closing = True
            return []
        try:
            return [Answer(value) for value in self._splitter.feed(data)]
        except ValueError as error:
            raise (TooLarge if "larger" in str(error) else Broken)(str(error)) from None


def refusal(endpoint: Endpoint, answer: Answer) -> EndpointRefused:
    """The error that an HTTP status other than 2xx is."""
    return EndpointRefused(
        f"{endpoint.name} answered with HTTP status {answer.status}",
        endpoint=endpoint.name,
        status=answer.status,
        text=answer.body[:TEXT_SHOWN_CHARS].decode("utf-8", "replace").strip(),
        retry_after_seconds=answer.retry_after_seconds,
    )

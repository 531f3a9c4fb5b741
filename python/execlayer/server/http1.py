"""HTTP/1.1 as values: bytes in, requests out; answers to bytes. Knows no socket and no clock.

:class:`Parser` takes what arrives, in pieces of any size, and gives the requests that are whole. It enforces the bounds
on heads and bodies while they grow, so that memory is bounded whatever a client sends. The first thing that is wrong
ends the connection with an :class:`HttpError` that says what it was.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from ipaddress import ip_address

import httptools

from .limits import Limits


class HttpError(Exception):
    """A request that gets an answer of its own instead of reaching a method."""

    def __init__(self, status: HTTPStatus, reason: str, headers: bytes = b"") -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.headers = headers


@dataclass(slots=True)
class Request:
    """One request, whole."""

    method: str
    target: bytes
    headers: dict[bytes, bytes]
    """Names in lower case; of a name that repeats, values joined by commas."""
    body: bytes = b""
    keep_alive: bool = True

    def header(self, name: bytes) -> str:
        """A header's value, stripped; empty where it is absent."""
        return self.headers.get(name, b"").decode("latin-1").strip()

    @property
    def wants_websocket(self) -> bool:
        return self.header(b"upgrade").lower() == "websocket"


@dataclass(slots=True)
class Parser:
    """Cuts what arrives into requests.

    ``feed`` returns those that became whole. ``phase`` tells what it is in the middle of, which is what time-outs hang
    on; ``upgraded`` holds the bytes that followed a WebSocket request, which are no HTTP any more.
    """

    limits: Limits
    phase: str = "idle"
    """``idle`` between requests, ``head`` or ``body`` inside one."""
    upgraded: bytes | None = None
    expects_continue: bool = False
    """The client waits for ``100 Continue`` before it sends the body."""
    _parser: httptools.HttpRequestParser = field(init=False)
    _ready: list[Request] = field(default_factory=list)
    _request: Request = field(init=False)
    _body: list[bytes] = field(default_factory=list)
    _head_bytes: int = 0
    _body_bytes: int = 0
    _error: HttpError | None = None

    def __post_init__(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._request = Request("", b"", {})

    def feed(self, data: bytes) -> list[Request]:
        """Takes what arrived; the requests that are whole now. Raises :class:`HttpError`, after which it is spent; the
        requests that came whole before the bad one are in :meth:`take`."""
        while data:
            data = self._feed(data)
        return self.take()

    def _feed(self, data: bytes) -> bytes:
        """Takes what arrived; returns what has to be fed again."""
        started_before = self.phase == "head"
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            rest = data[upgrade.args[0] :]
            if self._ready[-1].wants_websocket:
                self.upgraded = rest
                return b""
            # An upgrade that we don't know (h2c, for one) is ignored, as the standard wants it.
            self._parser = httptools.HttpRequestParser(self)
            return rest
        except httptools.HttpParserError as error:
            raise self._error or HttpError(HTTPStatus.BAD_REQUEST, f"malformed HTTP: {error}") from None
        if self.phase == "head" and started_before:
            # Of a head that doesn't end, the parser tells us nothing until a header is whole: count what we feed it.
            self._head_bytes += len(data)
            if self._head_bytes > self.limits.head_bytes:
                raise self._head_too_large()
        return b""

    def take(self) -> list[Request]:
        """Whole requests that were not handed out yet."""
        ready, self._ready = self._ready, []
        return ready

    # What httptools calls.

    def on_message_begin(self) -> None:
        self.phase = "head"
        self.expects_continue = False
        self._request = Request("", b"", {})
        self._body = []
        self._head_bytes = self._body_bytes = 0

    def on_url(self, url: bytes) -> None:
        self._request.target += url
        self._count_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        headers, name = self._request.headers, name.lower()
        headers[name] = headers[name] + b", " + value if name in headers else value
        self._count_head(len(name) + len(value) + 4)

    def on_headers_complete(self) -> None:
        request = self._request
        request.method = self._parser.get_method().decode("latin-1")
        request.keep_alive = self._parser.should_keep_alive()
        self.phase = "body"
        self.expects_continue = b"expect" in request.headers and request.header(b"expect").lower() == "100-continue"
        length = request.headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > self.limits.body_bytes:
            self._fail(self._body_too_large())

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self._body_bytes > self.limits.body_bytes:
            self._fail(self._body_too_large())
        self._body.append(body)

    def on_message_complete(self) -> None:
        self._request.body = b"".join(self._body)
        self._body = []
        self._ready.append(self._request)
        self.phase = "idle"
        self.expects_continue = False

    def _count_head(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > self.limits.head_bytes:
            self._fail(self._head_too_large())

    def _fail(self, error: HttpError) -> None:
        # httptools swallows what a callback raises into an error of its own; ours is kept beside it.
        self._error = error
        raise error

    def _head_too_large(self) -> HttpError:
        reason = f"request line and headers are larger than {self.limits.head_bytes} bytes"
        return HttpError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, reason)

    def _body_too_large(self) -> HttpError:
        reason = f"request body is larger than {self.limits.body_bytes} bytes"
        return HttpError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, reason)


CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s\r\n%s"
_CLOSE = b"Connection: close\r\n"


def json_response(body: bytes, *, keep_alive: bool, headers: bytes = b"") -> bytes:
    """An answer of methods. A request of notifications only has none: 204."""
    if not keep_alive:
        headers += _CLOSE
    if not body:
        return b"HTTP/1.1 204 No Content\r\n%s\r\n" % headers
    return _JSON % (len(body), headers, body)


def text_response(status: HTTPStatus, text: str, *, keep_alive: bool, headers: bytes = b"") -> bytes:
    """A line for people."""
    body = (text + "\n").encode()
    if not keep_alive:
        headers += _CLOSE
    head = f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: text/plain; charset=utf-8\r\n"
    return head.encode() + b"Content-Length: %d\r\n%s\r\n%s" % (len(body), headers, body)


@dataclass(frozen=True)
class Admission:
    """Who may ask, by the headers that browsers cannot forge.

    A page on the web can make its visitor's browser talk to a server on loopback. So the body must be declared as JSON
    (which a page may not do unasked), other origins must be named, and the host must be an address or a name we know (a
    name that was made to point here is neither).
    """

    origins: frozenset[str] = frozenset()
    """Origins of pages that may call; ``*`` for all."""
    hosts: frozenset[str] = frozenset({"localhost"})
    """Host names, besides plain addresses; ``*`` for all."""

    def check_host(self, request: Request) -> None:
        host = _host_name(request.header(b"host"))
        if "*" in self.hosts or not host or host in self.hosts or _is_address(host):
            return
        raise HttpError(HTTPStatus.FORBIDDEN, f"host {host!r} is not served here")

    def check_origin(self, request: Request) -> None:
        """For WebSockets, which browsers open across origins without asking."""
        origin = request.header(b"origin")
        if origin and not self.allows(origin):
            raise HttpError(HTTPStatus.FORBIDDEN, f"origin {origin!r} is not allowed")

    def check_call(self, request: Request) -> None:
        """Whether this is a call at all, and one that a page could not have made behind its visitor's back."""
        if request.method != "POST":
            allow = b"Allow: POST, OPTIONS\r\n"
            raise HttpError(HTTPStatus.METHOD_NOT_ALLOWED, "JSON-RPC is called with POST", allow)
        kind = request.header(b"content-type").partition(";")[0].strip().lower()
        if kind not in ("application/json", "application/json-rpc", "application/jsonrequest"):
            reason = "invalid content type, only application/json is supported"
            raise HttpError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, reason)

    def allows(self, origin: str) -> bool:
        return "*" in self.origins or origin.lower() in self.origins

    def cors_headers(self, request: Request) -> bytes:
        """What lets a page read the answer; nothing where no page asks, or a stranger."""
        origin = request.header(b"origin")
        if not origin or not self.allows(origin):
            return b""
        return b"Access-Control-Allow-Origin: %s\r\nVary: Origin\r\n" % origin.encode("latin-1")

    def preflight(self, request: Request) -> bytes:
        """The answer to a browser's question beforehand."""
        headers = self.cors_headers(request)
        if headers:
            headers += b"Access-Control-Allow-Methods: POST\r\nAccess-Control-Allow-Headers: Content-Type\r\n"
            headers += b"Access-Control-Max-Age: 600\r\n"
        return json_response(b"", keep_alive=request.keep_alive, headers=headers)


def _host_name(host: str) -> str:
    """The host without its port, in lower case, brackets of IPv6 taken off."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.rpartition(":")[0].lower() if host.count(":") == 1 else host.lower()


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True

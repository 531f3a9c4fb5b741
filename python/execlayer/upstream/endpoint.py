"""Where another node is, and how much it may cost us."""

from __future__ import annotations

import ssl
from base64 import b64encode
from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Literal, TypeAlias
from urllib.parse import SplitResult, unquote, urlsplit

import trio
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, field_validator, model_validator

from ..config import LOOPBACK, Settings

Role = Literal["submit", "read", "heads"]
Scheme = Literal["http", "https", "ws", "wss", "ipc"]
PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
SCHEMES = (*PORTS, "ipc")


class Endpoint(Settings):
    """One node. Every bound has a unit; none can be switched off.

    >>> Endpoint(url="https://rpc.example.org/v3/secret").name
    'https://rpc.example.org'
    """

    url: str
    """``http``, ``https``, ``ws`` or ``wss``, or the path of a UNIX socket (with or without ``ipc://``)."""

    name: str = ""
    """What logs, metrics and errors call it; by default the URL without path and credentials, which may be secrets."""

    roles: frozenset[Role] = frozenset({"submit", "read", "heads"})
    """What it is asked for."""

    timeout_seconds: PositiveFloat = 2.0
    """From a request to its reply, a connection's opening included."""

    connections: PositiveInt = 4
    """Most connections at once. Over WebSocket and IPC one carries everything."""

    waiting_max: PositiveInt = 10_000
    """Requests without a reply; one more is refused."""

    reply_bytes_max: PositiveInt = 64 * 1024 * 1024
    """One reply. A block's receipts may have tens of megabytes."""

    headers: dict[str, str] = Field(default_factory=dict, repr=False)
    """More headers of HTTP, such as credentials."""

    allow_plaintext: bool = False
    """Whether ``http`` and ``ws`` may lead to other machines than this one."""

    certificate_sha256: str | None = None
    """Fingerprint of the only certificate that is taken, in hex; by default the system's authorities judge it."""

    head_bytes_max: NonNegativeInt = 32 * 1024
    """A reply's status line and headers."""

    @field_validator("url")
    @classmethod
    def _known_scheme(cls, url: str) -> str:
        if url.startswith("/"):
            return f"ipc://{url}"
        parts = urlsplit(url)
        if parts.scheme not in SCHEMES:
            raise ValueError(f"scheme {parts.scheme!r} is none of {', '.join(SCHEMES)}")
        if parts.scheme != "ipc" and not parts.hostname:
            raise ValueError("no host")
        _ = parts.port  # raises where it is no port
        return url

    @field_validator("headers")
    @classmethod
    def _whole_headers(cls, headers: dict[str, str]) -> dict[str, str]:
        for name, value in headers.items():
            if not name.isascii() or not value.isascii() or {"\r", "\n", "\0"} & {*name, *value} or ":" in name:
                raise ValueError(f"header {name!r} can't be sent")
        return headers

    @model_validator(mode="after")
    def _plaintext_stays_here(self) -> Endpoint:
        if self.scheme in ("http", "ws") and self.host not in LOOPBACK and not self.allow_plaintext:
            raise ValueError(f"{self.scheme} to {self.host} is not encrypted: use {self.scheme}s, or allow_plaintext")
        if not self.name:
            shown = self.url if self.scheme == "ipc" else f"{self.scheme}://{self.authority}"
            object.__setattr__(self, "name", shown)
        return self

    @property
    def _parts(self) -> SplitResult:
        return urlsplit(self.url)

    @property
    def scheme(self) -> Scheme:
        scheme: Scheme = self._parts.scheme  # type: ignore[assignment]  # checked by _known_scheme
        return scheme

    @property
    def host(self) -> str:
        return self._parts.hostname or ""

    @property
    def port(self) -> int:
        return self._parts.port or PORTS.get(self.scheme, 0)

    @property
    def path(self) -> str:
        """The socket's path of an ``ipc`` URL."""
        return unquote(self.url.removeprefix("ipc://"))

    @property
    def target(self) -> str:
        """What stands in HTTP's request line."""
        parts = self._parts
        return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    @property
    def authority(self) -> str:
        """Host, and port where it isn't the scheme's own, as HTTP's ``Host`` has it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self._parts.port in (None, PORTS.get(self.scheme)) else f"{host}:{self.port}"

    @property
    def request_headers(self) -> dict[str, str]:
        """Those that every request carries besides HTTP's own; credentials of the URL among them."""
        parts, headers = self._parts, dict(self.headers)
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            headers["Authorization"] = "Basic " + b64encode(pair.encode()).decode()
        return headers


Connector: TypeAlias = Callable[[Endpoint], Awaitable[trio.abc.Stream]]
"""Opens a connection; ``OSError`` or ``ssl.SSLError`` where there is none to be had."""


async def connect(endpoint: Endpoint) -> trio.abc.Stream:
    """A connection to where the endpoint is, encrypted where its scheme says so."""
    if endpoint.scheme == "ipc":
        return await trio.open_unix_socket(endpoint.path)
    plain = await trio.open_tcp_stream(endpoint.host, endpoint.port)
    if endpoint.scheme in ("http", "ws"):
        return plain
    context = ssl.create_default_context()
    if endpoint.certificate_sha256 is not None:
        # The fingerprint says more than any authority; a self-signed certificate is as good.
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    secure = trio.SSLStream(plain, context, server_hostname=endpoint.host, https_compatible=True)
    try:
        await secure.do_handshake()
        if endpoint.certificate_sha256 is not None:
            _check_pin(secure, endpoint.certificate_sha256)
    except BaseException as error:
        await trio.aclose_forcefully(plain)
        if isinstance(error, trio.BrokenResourceError):
            raise OSError(f"no TLS: {error.__cause__ or error}") from error
        raise
    return secure


def _check_pin(secure: trio.SSLStream[trio.SocketStream], pin: str) -> None:
    found = sha256(secure.getpeercert(binary_form=True)).hexdigest()
    if found != pin.replace(":", "").lower():
        raise OSError(f"the certificate's fingerprint is {found}, not the one that was pinned")

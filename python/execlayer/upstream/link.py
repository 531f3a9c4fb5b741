"""One connection to a node: requests written together, replies matched, every request settled exactly once.

Requests that wait are joined into one write of up to :data:`COALESCED_MAX`: a write costs far more than its bytes.
Where replies come in order, one that is late ends the connection, as nothing behind it can come either; elsewhere only
the late one fails. When the connection ends, what was written is lost (nobody knows whether it was taken), and what was
not yet written goes back to the client, which sends it on another.
"""

from __future__ import annotations

import re
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import trio

from .codecs import Answer, Broken, TooLarge, codec_for
from .endpoint import Connector, Endpoint
from .errors import (
    EndpointRefused,
    EndpointTimeout,
    EndpointUnreachable,
    ReplyLost,
    ReplyMalformed,
    ReplyTooLarge,
    UpstreamError,
)
from .messages import Malformed, Message, Notice, read

COALESCED_MAX = 32
"""Requests in one write."""

RECEIVE_BYTES = 65_536

LARGE_BYTES = 32 * 1024
_REPLY = re.compile(rb'\s*\{\s*"jsonrpc"\s*:\s*"2.0"\s*,\s*"id"\s*:\s*(\d{1,19})\s*,\s*"result"')
"""How nodes begin the reply to one request."""


@dataclass(slots=True, eq=False)
class Exchange:
    """A request on its way to its reply."""

    body: bytes
    settle: Callable[[Answer | UpstreamError], None]
    """Told the outcome, once. Runs in the reader's task: it must be quick and must not raise."""

    ids: tuple[int, ...] = ()
    """The calls in it, where replies may come out of order."""

    headers: bytes = b""
    framed: bool = False
    """Whether ``body`` is a whole request of the transport already."""

    written: Callable[[], None] | None = None
    """Told when its last byte was handed to the kernel."""

    deadline: float = 0.0
    settled: bool = False

    def finish(self, outcome: Answer | UpstreamError) -> None:
        """Settles it, unless it was."""
        if not self.settled:
            self.settled = True
            self.settle(outcome)


class _Given(Exception):
    """The connection is given up, for the reason that every request on it is told."""

    def __init__(self, reason: UpstreamError) -> None:
        super().__init__(str(reason))
        self.reason = reason


@dataclass(eq=False)
class Link:
    """One connection. ``post`` before, while and after it opens; ``run`` until it ends."""

    endpoint: Endpoint
    connect: Connector
    subscriptions: dict[str, Callable[[Any], None]] = field(default_factory=dict)
    """Who is told what a subscription says; its end, with the connection's, is told to ``on_end``."""

    def __post_init__(self) -> None:
        self.ended = False
        self._codec = codec_for(self.endpoint)
        self._outbox: deque[Exchange] = deque()
        self._posted: deque[Exchange] = deque()
        self._sent: deque[Exchange] = deque()
        self._by_id: dict[int, Exchange] = {}
        self._wake = trio.Event()
        self._posting = trio.Event()
        self._scope = trio.CancelScope()
        self.unsent: list[Exchange] = []
        """What was never written, once it has ended."""
        self.on_end: list[Callable[[], None]] = []

    @property
    def waiting(self) -> int:
        """Requests without a reply."""
        return len(self._outbox) + len(self._sent) + len(self._by_id)

    @property
    def takes(self) -> bool:
        """Whether another request may be posted here."""
        return not self.ended and not self._codec.closing

    def post(self, exchange: Exchange) -> None:
        """Queues a request."""
        self._outbox.append(exchange)
        self._posted.append(exchange)
        self._wake.set()
        self._posting.set()

    def close(self) -> None:
        """Ends the connection."""
        self._scope.cancel()

    async def run(self) -> None:
        """Opens the connection and serves it until it ends; requests that were not written are in ``unsent`` then.

        *Errors*: none; requests are told. Where no connection comes about, those that wait get the reason.
        """
        name = self.endpoint.name
        reason: UpstreamError = ReplyLost(f"{name} closed the connection", endpoint=name, reason="closed")
        try:
            with self._scope:
                try:
                    stream = await self._open()
                except UpstreamError as error:
                    self.ended = True
                    for exchange in self._outbox:
                        exchange.finish(error)
                    return
                async with stream:
                    reason = await self._serve(stream, reason)
        finally:
            self.ended = True
            self.unsent = [exchange for exchange in self._outbox if not exchange.settled]
            for exchange in [*self._sent, *self._by_id.values()]:
                exchange.finish(reason)
            self._outbox.clear()
            self._sent.clear()
            self._by_id.clear()
            for tell in self.on_end:
                tell()

    async def _open(self) -> trio.abc.Stream:
        """Connects, within the time for a request."""
        endpoint = self.endpoint
        failed = f"no connection to {endpoint.name}"
        with trio.move_on_after(endpoint.timeout_seconds):
            try:
                stream = await self.connect(endpoint)
            except (OSError, ssl.SSLError, trio.BrokenResourceError) as error:
                reason = str(error) or type(error).__name__
                raise EndpointUnreachable(f"{failed}: {reason}", endpoint=endpoint.name, reason=reason) from error
            try:
                await self._shake_hands(stream)
            except BaseException:
                await trio.aclose_forcefully(stream)
                raise
            return stream
        reason = f"not within {endpoint.timeout_seconds:g} s"
        raise EndpointUnreachable(f"{failed}: {reason}", endpoint=endpoint.name, reason=reason)

    async def _shake_hands(self, stream: trio.abc.Stream) -> None:
        try:
            if opening := self._codec.opening():
                await stream.send_all(opening)
            while not self._codec.ready:
                data = bytes(await stream.receive_some(RECEIVE_BYTES))
                if not data:
                    raise Broken("the handshake was not finished")  # noqa: TRY301  # told as every other trouble here
                self._on_data(data)
        except (Broken, trio.BrokenResourceError, _Given) as error:
            name, reason = self.endpoint.name, str(error)
            raise EndpointUnreachable(f"no connection to {name}: {reason}", endpoint=name, reason=reason) from error

    async def _serve(self, stream: trio.abc.Stream, reason: UpstreamError) -> UpstreamError:
        """Writes and reads until either side ends it; what to tell those that wait for a reply."""
        name = self.endpoint.name
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write, stream)
                nursery.start_soon(self._watch)
                await self._read(stream)
                nursery.cancel_scope.cancel()
        except* _Given as group:
            reason = _first(group)
        except* (trio.BrokenResourceError, trio.ClosedResourceError, ssl.SSLError, OSError) as broken:
            text = str(broken.exceptions[0]) or "broken"
            reason = ReplyLost(f"the connection to {name} broke: {text}", endpoint=name, reason=text)
        return reason

    async def _write(self, stream: trio.abc.Stream) -> None:
        codec = self._codec
        while True:
            data: list[bytes] = [codec.outgoing()]
            taken: list[Exchange] = []
            while self._outbox and len(taken) < COALESCED_MAX and codec.ready and not codec.closing:
                exchange = self._outbox.popleft()
                if exchange.settled:
                    continue
                data.append(exchange.body if exchange.framed else codec.frame(exchange.body, exchange.headers))
                taken.append(exchange)
                # From here on it counts as sent: a write that fails may have got some of it across.
                self._expect(exchange)
            joined = b"".join(data)
            if not joined:
                self._wake = trio.Event()
                await self._wake.wait()
                continue
            await stream.send_all(joined)
            for exchange in taken:
                if exchange.written is not None:
                    exchange.written()

    def _expect(self, exchange: Exchange) -> None:
        if self._codec.ordered:
            self._sent.append(exchange)
        else:
            for number in exchange.ids:
                self._by_id[number] = exchange

    async def _read(self, stream: trio.abc.Stream) -> None:
        while not self._codec.closing:
            data = bytes(await stream.receive_some(RECEIVE_BYTES))
            self._on_data(data)
            self._wake.set()

    async def _watch(self) -> None:
        """Fails requests whose time is over. All have the same time, so that they end in the order they came."""
        while True:
            while self._posted and self._posted[0].settled:
                self._posted.popleft()
            if not self._posted:
                self._posting = trio.Event()
                await self._posting.wait()
                continue
            oldest = self._posted[0]
            await trio.sleep_until(oldest.deadline)
            if oldest.settled:
                continue
            error = timeout(self.endpoint)
            if self._codec.ordered:
                oldest.finish(error)
                name, text = self.endpoint.name, "an earlier reply did not come in time"
                raise _Given(ReplyLost(f"the connection to {name} was given up: {text}", endpoint=name, reason=text))
            self._forget(oldest)
            oldest.finish(error)

    def _forget(self, exchange: Exchange) -> None:
        for number in exchange.ids:
            self._by_id.pop(number, None)

    # ---- replies ----------------------------------------------------------------------------------------------------

    def _on_data(self, data: bytes) -> None:
        endpoint = self.endpoint
        try:
            for answer in self._codec.feed(data):
                self._on_answer(answer)
        except TooLarge:
            limit = endpoint.reply_bytes_max
            text = f"a reply of {endpoint.name} is larger than {limit} bytes"
            raise _Given(ReplyTooLarge(text, endpoint=endpoint.name, limit=limit)) from None
        except EndpointRefused:
            raise
        except (Broken, Malformed) as error:
            raise _Given(malformed(endpoint, str(error))) from None

    def _on_answer(self, answer: Answer) -> None:
        if self._codec.ordered:
            if not self._sent:
                raise Broken("a reply that nothing was asked for")
            self._sent.popleft().finish(answer)
            return
        # Megabytes are read by whoever asked for them, where their beginning says who that is: a block's receipts must
        # not keep everybody else waiting.
        if len(answer.body) > LARGE_BYTES and (begin := _REPLY.match(answer.body)):
            exchange = self._by_id.get(int(begin[1]))
            if exchange is not None and len(exchange.ids) == 1:
                self._forget(exchange)
                exchange.finish(answer)
                return
        messages = read(answer.body)
        if isinstance(messages[0], Notice):
            for notice in messages:
                if isinstance(notice, Notice) and notice.subscription in self.subscriptions:
                    self.subscriptions[notice.subscription](notice.value)
            return
        exchange = self._exchange_of(messages)
        # None: a reply that came too late. Whoever asked was told so.
        if exchange is not None:
            self._forget(exchange)
            exchange.finish(answer)

    def _exchange_of(self, messages: list[Message]) -> Exchange | None:
        ids = [message.id for message in messages if not isinstance(message, Notice) and message.id is not None]
        if not ids and len({*map(id, self._by_id.values())}) == 1:
            return next(iter(self._by_id.values()))
        if not ids:
            raise Broken("a reply that doesn't say to which request")
        return self._by_id.get(ids[0])


def _first(group: BaseExceptionGroup[_Given]) -> UpstreamError:
    for error in group.exceptions:
        return error.reason if isinstance(error, _Given) else _first(error)
    raise AssertionError("a group is never empty")


def timeout(endpoint: Endpoint) -> EndpointTimeout:
    """The error for a reply that did not come."""
    seconds = endpoint.timeout_seconds
    return EndpointTimeout(f"{endpoint.name} did not answer in {seconds:g} s", endpoint=endpoint.name, seconds=seconds)


def malformed(endpoint: Endpoint, reason: str) -> ReplyMalformed:
    """The error for a reply that is none."""
    return ReplyMalformed(f"{endpoint.name} sent no proper reply: {reason}", endpoint=endpoint.name, reason=reason)

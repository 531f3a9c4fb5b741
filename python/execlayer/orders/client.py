"""A client of an engine: sends signals, hears what becomes of them. For strategies that live in a process of their own.

>>> async with open_client("127.0.0.1:9545", source_id=7) as client:                                # doctest: +SKIP
...     answer = await client.send(signal)
...     async for report in client.results():
...         ...
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import trio

from ..errors import ExeclayerError
from .reports import Report, report
from .wire import AuthKey, FrameRefused, Header, Signal, Splitter, acknowledgement, heartbeat

ANSWER_SECONDS = 10.0
WAITING_MAX = 10_000
"""Reports that wait to be taken; while there are so many, nothing more is read."""


class EngineGone(ExeclayerError):
    """The connection to the engine ended. What became of a signal on its way shows when it is sent again: the same
    signal never makes a second order."""

    address: str
    reason: str


class SignalClient:
    """A connection to an engine; made by :func:`open_client`."""

    def __init__(self, stream: trio.abc.Stream, address: str, source_id: int, auth: AuthKey | None) -> None:
        self.address = address
        self.source_id = source_id
        self._stream, self._auth = stream, auth
        # Above all that this source has ever sent, also before a restart.
        self._sequence = time.time_ns()
        self._sending = trio.Lock()
        self._waiting: dict[int, Callable[[Report | None], None]] = {}
        self._give, self._take = trio.open_memory_channel[Report](WAITING_MAX)
        self._reason = ""

    async def send(self, signal: Signal) -> Report:
        """Sends a signal; the engine's answer: the order's status, or why the frame was refused.

        *Errors*: :class:`EngineGone`; :class:`~execlayer.orders.wire.FrameRefused` for values that no signal can have.
        """
        return await self._ask(lambda header: signal.to_frame(header, self._auth))

    async def cancel(self, signal: Signal) -> Report:
        """Says that a signal is no longer wanted."""
        return await self._ask(lambda header: signal.to_cancel(header, self._auth))

    async def heartbeat(self) -> Report:
        """Asks for a sign of life."""
        return await self._ask(lambda header: heartbeat(header, self._auth))

    async def post(self, *signals: Signal) -> None:
        """Sends signals without asking for answers: their results tell."""
        async with self._sending:
            frames = [one.to_frame(self._header(wants_ack=False), self._auth) for one in signals]
            await self._write(b"".join(frames))

    def results(self, after: int = 0) -> Reports:
        """Updates and results of all orders, after a sequence, until the connection ends. Each is acknowledged when the
        next one is asked for; what was not comes again on the next connection."""
        return Reports(self, after)

    # ---- inside -----------------------------------------------------------------------------------------------------

    def _header(self, *, wants_ack: bool) -> Header:
        self._sequence += 1
        return Header(
            sequence=self._sequence, sent_unix_ns=time.time_ns(), source_id=self.source_id, wants_ack=wants_ack
        )

    async def _ask(self, make: Callable[[Header], bytes]) -> Report:
        answers: list[Report | None] = []
        done = trio.Event()

        def settle(found: Report | None) -> None:
            answers.append(found)
            done.set()

        async with self._sending:
            header = self._header(wants_ack=True)
            data = make(header)
            self._waiting[header.sequence] = settle
            await self._write(data)
        try:
            with trio.move_on_after(ANSWER_SECONDS):
                await done.wait()
        finally:
            self._waiting.pop(header.sequence, None)
        if not answers or answers[0] is None:
            raise self._gone(self._reason or f"no answer within {ANSWER_SECONDS:g} s")
        return answers[0]

    async def _acknowledge(self, sequence: int) -> None:
        data = acknowledgement(sequence, sent_unix_ns=time.time_ns(), source_id=self.source_id, auth=self._auth)
        async with self._sending:
            await self._write(data)

    async def _write(self, data: bytes) -> None:
        try:
            await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise self._gone(str(error) or "closed") from error

    async def run(self) -> None:
        """Reads until the connection ends."""
        splitter = Splitter()
        try:
            while data := await self._stream.receive_some(65_536):
                for frame in splitter.feed(bytes(data)):
                    await self._on_report(report(frame))
            self._reason = "the engine closed the connection"
        except (trio.BrokenResourceError, trio.ClosedResourceError, FrameRefused) as error:
            self._reason = str(error) or "closed"
        finally:
            self._give.close()
            for settle in list(self._waiting.values()):
                settle(None)

    async def _on_report(self, found: Report) -> None:
        if found.kind in ("ack", "nack"):
            settle = self._waiting.pop(found.sequence, None)
            if settle is not None:
                settle(found)
            return
        await self._give.send(found)

    def _gone(self, reason: str) -> EngineGone:
        return EngineGone(f"the engine at {self.address} is gone: {reason}", address=self.address, reason=reason)


class Reports:
    """What an engine tells, one after the other. Whoever has enough just stops: there is nothing to close."""

    def __init__(self, client: SignalClient, after: int) -> None:
        self._client = client
        self._last = after

    def __aiter__(self) -> Reports:
        return self

    async def __anext__(self) -> Report:
        await self._client._acknowledge(self._last)
        try:
            found = await self._client._take.receive()
        except trio.EndOfChannel:
            raise StopAsyncIteration from None
        self._last = found.sequence
        return found


@asynccontextmanager
async def open_client(address: str, *, source_id: int, auth: AuthKey | None = None) -> AsyncIterator[SignalClient]:
    """Connects to an engine at ``host:port`` or at a UNIX socket's path, while the block lasts. A source has one
    connection at a time: frames that come out of its order are dropped. *Errors*: :class:`EngineGone`."""
    host, colon, port = address.rpartition(":")
    try:
        if not colon or "/" in address:
            stream: trio.SocketStream = await trio.open_unix_socket(address)
        else:
            stream = await trio.open_tcp_stream(host.strip("[]"), int(port))
    except (OSError, ValueError) as error:
        raise EngineGone(f"no engine at {address}: {error}", address=address, reason=str(error)) from error
    client = SignalClient(stream, address, source_id, auth)
    async with stream, trio.open_nursery() as nursery:
        nursery.start_soon(client.run)
        yield client
        nursery.cancel_scope.cancel()

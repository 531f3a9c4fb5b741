"""Where signals come in and results go out: XLO/1 over TCP or a UNIX socket, both on any connection.

A connection's frames go to the :class:`~execlayer.orders.intake.Intake` as they arrive; its answers come back on it.
Who sends an acknowledgement (type 0x12) is a consumer from then on: it gets results after the sequence that it named,
and each further one says how far it is. A connection whose answers nobody reads is not read.
"""

from __future__ import annotations

import socket
from collections import deque
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from ..errors import CannotListen
from .results import Consumer
from .wire import FrameRefused, Splitter, decode

if TYPE_CHECKING:
    from .engine import OrderEngine

ACK = 0x12
"""The type of a consumer's frames."""

RECEIVE_BYTES = 65_536
OUTGOING_BYTES_MAX = 4 * 1024 * 1024
"""Answers that wait to be written; above it the connection is not read."""

CLOSING = range(101, 106)
"""Refusals after which nobody knows where the next frame begins."""

BROKEN = (trio.BrokenResourceError, trio.ClosedResourceError, OSError)


class Doors:
    """The listeners of an engine."""

    def __init__(self, engine: OrderEngine) -> None:
        self._engine = engine
        self._open = 0
        self._listening = trio.CancelScope()

    async def run(self, *, task_status: trio.TaskStatus[list[str]] = trio.TASK_STATUS_IGNORED) -> None:
        """Listens until cancelled; started with the addresses. *Errors*: :class:`~execlayer.errors.CannotListen`."""
        listen = self._engine.settings.protocol.listen
        listeners, shown, path = await open_listeners(listen)
        try:
            async with trio.open_nursery() as connections:
                task_status.started(shown)
                with self._listening:
                    await trio.serve_listeners(self._serve, listeners, handler_nursery=connections)
                await trio.sleep_forever()
        finally:
            if path is not None:
                path.unlink(missing_ok=True)

    def close_intake(self) -> None:
        """Takes no more connections; those that are open still get results."""
        self._listening.cancel()

    async def _serve(self, stream: trio.SocketStream) -> None:
        if self._open >= self._engine.settings.protocol.connections_max:
            await stream.aclose()
            return
        self._open += 1
        try:
            async with stream:
                await Session(self._engine, stream).run()
        except* BROKEN:
            pass
        finally:
            self._open -= 1


class Session:
    """One connection."""

    def __init__(self, engine: OrderEngine, stream: trio.SocketStream) -> None:
        self._engine, self._stream = engine, stream
        self.trusted = _is_here(stream)
        self._outgoing: deque[bytes] = deque()
        self._outgoing_bytes = 0
        self._wake = trio.Event()
        self._flushed = trio.Event()
        self._consumer: Consumer | None = None
        self._reading = trio.CancelScope()
        self._done = False

    def give(self, frame: bytes) -> None:
        """Queues an answer."""
        self._outgoing.append(frame)
        self._outgoing_bytes += len(frame)
        self._wake.set()

    async def run(self) -> None:
        """Serves until either side ends it."""
        with ExitStack() as stack:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._write, nursery.cancel_scope)
                with self._reading:
                    await self._read(stack, nursery)
                self._done = True
                self._wake.set()

    async def _read(self, stack: ExitStack, nursery: trio.Nursery) -> None:
        splitter = Splitter()
        engine = self._engine
        frame_max = engine.settings.protocol.max_frame
        while True:
            data = await self._stream.receive_some(RECEIVE_BYTES)
            if not data:
                return
            frames: list[bytes] = []
            whole = True
            try:
                for frame in splitter.feed(data):
                    # Cut, the core says what is wrong with it.
                    frames.append(frame[:frame_max])
                    whole = whole and len(frame) <= frame_max
            except FrameRefused:
                # The core says what is wrong with it, in a frame.
                frames.append(splitter.rest[:RECEIVE_BYTES])
                whole = False
            if not await self._take(frames, stack, nursery) or not whole:
                return

    async def _take(self, frames: list[bytes], stack: ExitStack, nursery: trio.Nursery) -> bool:
        """What came together; whether the connection can be read on."""
        signals = []
        for frame in frames:
            if len(frame) > 5 and frame[5] == ACK:
                if not self._acknowledged(frame, stack, nursery):
                    return False
            else:
                signals.append(frame)
        if not signals:
            return True
        while self._outgoing_bytes > OUTGOING_BYTES_MAX:
            self._flushed = trio.Event()
            await self._flushed.wait()
        self._engine.intake.give(signals, self)
        return True

    def refused(self, nack: bytes) -> None:
        """Says what was wrong with a frame, and reads no further where nobody knows where the next one begins."""
        self.give(nack)
        if int.from_bytes(nack[44:46], "little") in CLOSING:
            self._reading.cancel()

    def _acknowledged(self, frame: bytes, stack: ExitStack, nursery: trio.Nursery) -> bool:
        must_prove = self._engine.settings.protocol.require_auth and not self.trusted
        try:
            sequence = decode(frame, self._engine.auth_keys.values() if must_prove else None)["sequence"]
        except FrameRefused:
            self._engine.monitor.counters["signal_processing_errors"] += 1
            return False
        if self._consumer is not None:
            self._consumer.acknowledge(sequence)
        else:
            self._consumer = stack.enter_context(self._engine.results.consumer(sequence))
            nursery.start_soon(self._announce)
            self._wake.set()
        return True

    async def _announce(self) -> None:
        while True:
            await self._engine.results.wait_news()
            self._wake.set()

    async def _write(self, scope: trio.CancelScope) -> None:
        while True:
            parts = list(self._outgoing)
            self._outgoing.clear()
            self._outgoing_bytes = 0
            self._flushed.set()
            if self._consumer is not None:
                parts += self._consumer.take()
            if parts:
                await self._stream.send_all(b"".join(parts))
            elif self._done:
                scope.cancel()
                await trio.lowlevel.checkpoint()
            else:
                self._wake = trio.Event()
                await self._wake.wait()


def _is_here(stream: trio.SocketStream) -> bool:
    """Whether the other side is a process of this machine."""
    peer = stream.socket.getpeername()
    return not isinstance(peer, tuple) or peer[0] in ("127.0.0.1", "::1")


async def open_listeners(listen: str) -> tuple[list[trio.SocketListener], list[str], Path | None]:
    """Listeners at ``host:port`` or at a UNIX socket's path; with how they are reached and, for a socket, its file."""
    host, colon, port = listen.rpartition(":")
    try:
        if not colon or "/" in listen:
            path = Path(listen)
            return [open_unix(path)], [str(path)], path
        listeners = await trio.open_tcp_listeners(int(port), host=host.strip("[]"))
        names = [one.socket.getsockname()[:2] for one in listeners]
    except (OSError, ValueError) as error:
        raise CannotListen(f"can't listen at {listen}: {error}", address=listen, reason=str(error)) from error
    return list(listeners), [f"{name}:{number}" for name, number in names], None


def open_unix(path: Path) -> trio.SocketListener:
    """A UNIX socket that only this user can open; a dead one at its place is taken away. *Errors*:
    :class:`~execlayer.errors.CannotListen`."""
    plain = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_socket():
            path.unlink()
        plain.bind(str(path))
        path.chmod(0o600)
        plain.listen(128)
    except OSError as error:
        plain.close()
        raise CannotListen(f"can't listen at {path}: {error}", address=str(path), reason=str(error)) from error
    return trio.SocketListener(trio.socket.from_stdlib_socket(plain))

"""The server as a whole: listeners, admission of connections, an orderly end."""

from __future__ import annotations

import logging
import os
import socket
import stat
from collections.abc import Callable, Iterable
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Protocol

import trio

from ..errors import CannotListen
from .connection import GONE, HttpConnection, IpcConnection, Service
from .http1 import Admission, text_response
from .limits import Limits
from .methods import Methods
from .peer import Heads

log = logging.getLogger(__name__)

ANOTHER_PORT = "stop who listens there, or take another port (--port, rpc.port; 0 is any that is free)"


class Connection(Protocol):
    async def run(self) -> None: ...

    def stop(self) -> None: ...


class Endpoints(tuple[str, ...]):
    """Where the server listens: ``http://host:port`` for each address (WebSocket is at the same place), and the IPC
    path."""

    __slots__ = ()

    @property
    def url(self) -> str:
        return self[0]


async def serve(
    methods: Methods,
    host: str | None = "127.0.0.1",
    port: int = 8545,
    *,
    ipc: str | os.PathLike[str] | None = None,
    limits: Limits | None = None,
    origins: Iterable[str] = (),
    hosts: Iterable[str] = ("localhost",),
    task_status: trio.TaskStatus[Endpoints] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serves JSON-RPC over HTTP and WebSocket at ``host:port``, and over a UNIX socket at ``ipc``, until cancelled.

    Only this machine can connect unless another ``host`` is given. ``port=0`` picks a free one; ``task_status.started``
    tells where. ``origins`` are those of web pages that may call, ``hosts`` the names under which the server may be
    addressed besides plain addresses; ``"*"`` stands for any.

    *Errors*: :class:`~execlayer.errors.CannotListen` where an address cannot be had. What goes wrong with one client
    ends that client's connection.

    *Resources*: when cancelled, listeners close first and idle connections at once; running requests have
    ``limits.drain_seconds`` to finish and be answered. The IPC socket's file is removed.
    """
    limits = limits or Limits()
    admission = Admission(frozenset(origin.lower() for origin in origins), frozenset(name.lower() for name in hosts))
    heads = Heads(methods.core.session())
    service = Service(methods, limits, admission, heads, trio.CapacityLimiter(limits.threads))
    gatherer = _Gatherer(limits)
    listeners: list[tuple[trio.SocketListener, Callable[[trio.abc.Stream], Connection]]] = []
    endpoints: list[str] = []
    opened: Path | None = None
    async with trio.open_nursery() as nursery:
        connections = await nursery.start(gatherer.hold)
        try:
            if host is not None:
                for listener in await listen(host, port):
                    listeners.append((listener, lambda stream: HttpConnection(stream, service)))
                    endpoints.append(url_of(listener))
            if ipc is not None:
                listeners.append((_open_ipc(Path(ipc)), lambda stream: IpcConnection(stream, service)))
                opened = Path(ipc)
                endpoints.append(str(ipc))
            nursery.start_soon(heads.watch)
            for listener, make in listeners:
                handler = partial(gatherer.admit, make)
                nursery.start_soon(partial(trio.serve_listeners, handler, [listener], handler_nursery=connections))
            task_status.started(Endpoints(endpoints))
            await trio.sleep_forever()
        finally:
            gatherer.stop()
            for listener, _ in listeners:
                listener.socket.close()
            if opened is not None:
                _remove(opened)


class _Gatherer:
    """Holds the connections: not too many, and not longer than the server lives."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._connections: set[Connection] = set()
        self._stopping = trio.Event()

    async def hold(self, *, task_status: trio.TaskStatus[trio.Nursery]) -> None:
        """The nursery of all connections, which outlives the server's cancellation by the time that draining takes."""
        with trio.CancelScope(shield=True) as scope:
            async with trio.open_nursery() as nursery:
                task_status.started(nursery)
                await self._stopping.wait()
                scope.deadline = trio.current_time() + self._limits.drain_seconds
                for connection in self._connections:
                    connection.stop()

    def stop(self) -> None:
        self._stopping.set()

    async def admit(self, make: Callable[[trio.abc.Stream], Connection], stream: trio.abc.Stream) -> None:
        """Serves a new connection; whatever happens in it stays in it."""
        if len(self._connections) >= self._limits.connections:
            await _refuse(stream, self._limits.connections)
            return
        connection = make(stream)
        self._connections.add(connection)
        try:
            await connection.run()
        except* GONE:
            pass
        except* Exception:
            log.exception("a connection failed")
        finally:
            self._connections.discard(connection)


async def _refuse(stream: trio.abc.Stream, most: int) -> None:
    text = f"all {most} connections are taken"
    with trio.move_on_after(1):
        async with stream:
            try:
                await stream.send_all(text_response(HTTPStatus.SERVICE_UNAVAILABLE, text, keep_alive=False))
            except GONE:
                return


async def listen(host: str, port: int, advice: str = ANOTHER_PORT) -> list[trio.SocketListener]:
    """Listens at an address. *Errors*: :class:`~execlayer.errors.CannotListen`, with what to do about it."""
    try:
        return await trio.open_tcp_listeners(port, host=host)
    except OSError as error:
        raise _cannot_listen(f"{host}:{port}", error.strerror or str(error), advice) from error


def _cannot_listen(address: str, reason: str, advice: str) -> CannotListen:
    return CannotListen(f"can't listen at {address}: {reason}; {advice}", address=address, reason=reason)


def url_of(listener: trio.SocketListener) -> str:
    """Where it listens."""
    host, port = listener.socket.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _open_ipc(path: Path) -> trio.SocketListener:
    """Listens on a UNIX socket that only this user can open. A file that a dead server left is replaced."""
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with probe:
        try:
            probe.connect(str(path))
        except FileNotFoundError:
            pass
        except ConnectionRefusedError:
            if stat.S_ISSOCK(path.lstat().st_mode):
                path.unlink()
        else:
            raise _cannot_listen(str(path), "in use by another server", "stop it, or take another path")
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listening.bind(str(path))
        listening.listen(128)
    except OSError:
        listening.close()
        raise
    finally:
        os.umask(before)
    listening.setblocking(False)
    return trio.SocketListener(trio.socket.from_stdlib_socket(listening))


def _remove(path: Path) -> None:
    path.unlink(missing_ok=True)

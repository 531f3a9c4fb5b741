"""One connection, from its first byte to its last: HTTP requests one after another, or a WebSocket.

A connection is always in one of few phases, and each has its time-out: nothing that a client does or leaves undone
holds a connection for longer than the limits say.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from http import HTTPStatus

import trio
from wsproto.utilities import RemoteProtocolError

from ..upstream.splitter import Splitter
from .http1 import CONTINUE, Admission, HttpError, Parser, Request, json_response, text_response
from .limits import Limits
from .methods import Methods
from .peer import Heads, converse
from .websocket import GOING_AWAY, RECEIVE_BYTES, WebSocket

log = logging.getLogger(__name__)

GONE = (trio.BrokenResourceError, trio.ClosedResourceError)
"""What a stream raises when the other side is no more: the usual end of a connection."""


@dataclass(frozen=True)
class Service:
    """What all connections of a server share."""

    methods: Methods
    limits: Limits
    admission: Admission
    heads: Heads
    limiter: trio.CapacityLimiter


class HttpConnection:
    """Serves one HTTP/1.1 connection, with keep-alive and pipelining.

    Requests that came together are answered together, in one write. ``stop`` lets the request that is running finish,
    and ends the connection then.
    """

    def __init__(self, stream: trio.abc.Stream, service: Service) -> None:
        self._stream = stream
        self._service = service
        self._limits = service.limits
        self._parser = Parser(service.limits)
        self._scope = trio.CancelScope()
        self._stopping = False
        self._waiting = False
        self._early: bytes | None = None

    def stop(self) -> None:
        """Ends the connection as soon as no request is running."""
        self._stopping = True
        if self._waiting:
            self._scope.cancel()

    async def run(self) -> None:
        """Serves until either side ends it; the stream is closed then."""
        async with self._stream:
            try:
                with self._scope:
                    while await self._serve_some():
                        pass
            except* GONE:
                pass
            if self._scope.cancelled_caught and self._parser.phase != "idle" and not self._stopping:
                await self._say_too_slow()

    async def _serve_some(self) -> bool:
        """Receives once and answers what became whole; whether the connection goes on."""
        data = await self._receive()
        if not data:
            return False
        phase = self._parser.phase
        error: HttpError | None = None
        try:
            requests = self._parser.feed(data)
        except HttpError as wrong:
            requests, error = self._parser.take(), wrong
        if self._parser.phase != "idle" and (requests or self._parser.phase != phase):
            self._begin_phase()
        answers: list[bytes] = []
        keep_alive = True
        for request in requests:
            if request.wants_websocket and self._parser.upgraded is not None and request is requests[-1]:
                await self._send(b"".join(answers))
                await self._upgrade(request)
                return False
            keep_alive = keep_alive and request.keep_alive and not self._stopping
            answers.append(await self._answer(request, keep_alive))
            if not keep_alive:
                break
        if error is not None and keep_alive:
            keep_alive = False
            answers.append(text_response(error.status, error.reason, keep_alive=False))
        if self._parser.expects_continue and keep_alive:
            self._parser.expects_continue = False
            answers.append(CONTINUE)
        if answers:
            await self._send(b"".join(answers))
        return keep_alive

    async def _receive(self) -> bytes:
        if self._early is not None:
            data, self._early = self._early, None
            return data
        if self._parser.phase == "idle":
            if self._stopping:
                return b""
            self._scope.deadline = trio.current_time() + self._limits.idle_seconds
        self._waiting = self._parser.phase == "idle"
        try:
            return bytes(await self._stream.receive_some(RECEIVE_BYTES))
        finally:
            self._waiting = False

    def _begin_phase(self) -> None:
        """The time for a head or a body counts from its beginning, however often a little of it arrives."""
        seconds = self._limits.head_seconds if self._parser.phase == "head" else self._limits.body_seconds
        self._scope.deadline = trio.current_time() + seconds

    async def _send(self, data: bytes) -> None:
        """Sends within the time for it, whatever is left of the deadline of the phase."""
        if not data:
            return
        deadline = self._scope.deadline
        self._scope.deadline = trio.current_time() + self._limits.send_seconds
        await self._stream.send_all(data)
        self._scope.deadline = deadline

    async def _answer(self, request: Request, keep_alive: bool) -> bytes:
        admission = self._service.admission
        try:
            admission.check_host(request)
            if request.method == "OPTIONS":
                return admission.preflight(request)
            admission.check_call(request)
        except HttpError as error:
            refusal = text_response(error.status, error.reason, keep_alive=keep_alive, headers=error.headers)
            return refusal if request.method != "HEAD" else refusal[: refusal.index(b"\r\n\r\n") + 4]
        answer = self._service.methods.answer_nowait(request.body)
        if answer is None:
            answer = await self._answer_long(request.body)
        return json_response(answer, keep_alive=keep_alive, headers=admission.cors_headers(request))

    async def _answer_long(self, body: bytes) -> bytes:
        """Answers on a thread while listening whether the client is still there; without one the call is dropped."""
        deadline, self._scope.deadline = self._scope.deadline, float("inf")
        answer = b""

        async def watch() -> None:
            # What arrives is the beginning of the next request; it waits until this one is answered, and so does
            # whatever follows it, in the socket's own buffer.
            if self._early is None and self._parser.upgraded is None:
                self._early = bytes(await self._stream.receive_some(RECEIVE_BYTES))
                if not self._early:
                    raise trio.BrokenResourceError("the client left")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch)
            limits = self._limits
            answer = await self._service.methods.answer(
                body, seconds=limits.call_seconds, limiter=self._service.limiter
            )
            nursery.cancel_scope.cancel()
        self._scope.deadline = deadline
        return answer

    async def _upgrade(self, request: Request) -> None:
        service = self._service
        try:
            service.admission.check_host(request)
            service.admission.check_origin(request)
            socket = WebSocket(self._stream, self._limits)
            self._scope.deadline = float("inf")
            await socket.accept(request, self._parser.upgraded or b"")
        except HttpError as error:
            await self._send(text_response(error.status, error.reason, keep_alive=False))
            return
        except RemoteProtocolError as error:
            await self._send(text_response(HTTPStatus.BAD_REQUEST, f"malformed upgrade: {error}", keep_alive=False))
            return
        self._waiting = True
        try:
            await converse(socket, service.methods, service.heads, self._limits, service.limiter)
        finally:
            with trio.move_on_after(1, shield=True):
                await socket.close(GOING_AWAY)

    async def _say_too_slow(self) -> None:
        with trio.move_on_after(1):
            text = f"the rest of the request's {self._parser.phase} did not come in time"
            try:
                await self._stream.send_all(text_response(HTTPStatus.REQUEST_TIMEOUT, text, keep_alive=False))
            except GONE:
                return


class IpcConnection:
    """Serves one connection of a UNIX socket: JSON values in, JSON lines out."""

    def __init__(self, stream: trio.abc.Stream, service: Service) -> None:
        self._stream = stream
        self._service = service
        self._splitter = Splitter(service.limits.body_bytes)
        self._sending = trio.StrictFIFOLock()
        self._values: list[bytes] = []
        self._scope = trio.CancelScope()

    def stop(self) -> None:
        """Ends the connection."""
        self._scope.cancel()

    async def run(self) -> None:
        """Serves until either side ends it; the stream is closed then."""
        async with self._stream:
            with self._scope:
                service = self._service
                await converse(self, service.methods, service.heads, service.limits, service.limiter)

    async def receive(self) -> bytes | None:
        """The next request; None: the connection is over."""
        while not self._values:
            data = await self._stream.receive_some(RECEIVE_BYTES)
            if not data:
                return None
            try:
                self._values = self._splitter.feed(bytes(data))[::-1]
            except ValueError as error:
                log.debug("IPC client refused: %s", error)
                await self.send(self._service.methods.core.refuse(b"", -32700, str(error)))
                return None
        return self._values.pop()

    async def send(self, message: bytes) -> None:
        """Sends one answer or notification; a client that doesn't take it in time is gone."""
        async with self._sending:
            with trio.move_on_after(self._service.limits.send_seconds) as scope:
                await self._stream.send_all(message + b"\n")
            if scope.cancelled_caught:
                raise trio.BrokenResourceError("the client does not read")

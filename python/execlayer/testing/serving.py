"""JSON-RPC served from Python over any stream, with faults on the way: what fakes and the lab have in common.

The real server (``execlayer.server``) answers bytes from Rust and does its best; this one answers values from Python
and does its worst when it is told to.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any, Protocol, TypeVar

import trio
from wsproto.utilities import RemoteProtocolError

from ..errors import ExeclayerError
from ..server.http1 import HttpError, Parser, Request, json_response, text_response
from ..server.limits import Limits
from ..server.methods import RpcError
from ..server.websocket import GOING_AWAY, WebSocket
from ..upstream.messages import Malformed, parse
from .faults import NOTIFICATION, Dead, Delay, Drop, Duplicate, Fault, Faults, Garble, Stale, Status, Truncate

log = logging.getLogger(__name__)

RECEIVE_BYTES = 65_536
NOTICES_MAX = 10_000
"""Notifications that wait to be sent to one client; further ones are lost, as a real node's are."""

T = TypeVar("T")

GONE = (trio.BrokenResourceError, trio.ClosedResourceError)


@dataclass(eq=False)
class Session:
    """One client that can be pushed to."""

    subscriptions: dict[str, Any] = field(default_factory=dict)
    """What each of its subscriptions asked for."""

    _send: trio.MemorySendChannel[bytes] | None = None

    def push(self, subscription: str, value: Any) -> None:
        """Tells the client something; lost where it doesn't listen."""
        params = {"subscription": subscription, "result": value}
        body = json.dumps({"jsonrpc": "2.0", "method": NOTIFICATION, "params": params}).encode()
        if self._send is not None:
            try:
                self._send.send_nowait(body)
            except (trio.WouldBlock, *GONE):
                log.debug("a notification was lost")


@dataclass(frozen=True, slots=True)
class Ask:
    """One call, with what its answer may depend on."""

    method: str
    params: list[Any]
    session: Session | None
    """Of a client that can be pushed to; None over HTTP."""

    body: bytes
    """The whole request that the call came in."""

    headers: dict[bytes, bytes]
    """HTTP's, names in lower case."""

    stale_blocks: int = 0
    """The answer is to be as if so many of the newest blocks had not come."""


class Answerer(Protocol):
    """Who has the answers."""

    async def answer(self, ask: Ask) -> Any:
        """A call's result. ``RpcError`` goes to the client as it is."""

    def opened(self, session: Session) -> None:
        """A client came that can be pushed to."""

    def closed(self, session: Session) -> None:
        """It is gone."""


class _Cut(Exception):
    """The connection is to end, after these bytes."""

    def __init__(self, last: bytes = b"") -> None:
        super().__init__("cut")
        self.last = last


class Serving:
    """Serves connections for an answerer, with its faults."""

    def __init__(self, answerer: Answerer, faults: Faults | None = None) -> None:
        self.faults = faults or Faults()
        self._answerer = answerer
        self._limits = Limits(body_bytes=64 * 1024 * 1024)

    async def serve(self, stream: trio.abc.Stream) -> None:
        """Serves one connection until either side ends it."""
        async with stream:
            try:
                await self._http(stream)
            except* _Cut as group:
                with trio.move_on_after(1):
                    await _send_last(stream, _cut_of(group).last)
            except* GONE:
                pass
            except* Exception:
                log.exception("a connection failed")

    async def _http(self, stream: trio.abc.Stream) -> None:
        parser = Parser(self._limits)
        while data := bytes(await stream.receive_some(RECEIVE_BYTES)):
            try:
                requests = parser.feed(data)
            except HttpError as error:
                await stream.send_all(text_response(error.status, error.reason, keep_alive=False))
                return
            for request in requests:
                if request.wants_websocket and parser.upgraded is not None:
                    await self._websocket(stream, request, parser.upgraded)
                    return
                answer = await self._answer(request.body, request.headers, None)
                await stream.send_all(
                    answer if answer.startswith(b"HTTP/") else json_response(answer, keep_alive=request.keep_alive)
                )
                if not request.keep_alive:
                    return

    async def _websocket(self, stream: trio.abc.Stream, request: Request, rest: bytes) -> None:
        socket = WebSocket(stream, self._limits)
        try:
            await socket.accept(request, rest)
        except RemoteProtocolError as error:
            await stream.send_all(text_response(HTTPStatus.BAD_REQUEST, str(error), keep_alive=False))
            return
        send, receive = trio.open_memory_channel[bytes](NOTICES_MAX)
        session = Session(_send=send)
        self._answerer.opened(session)

        async def answer(body: bytes) -> None:
            answer = await self._answer(body, request.headers, session)
            if answer.startswith(b"HTTP/"):
                raise _Cut  # there are no statuses here
            if answer:
                await socket.send(answer)

        async def push() -> None:
            async for body in receive:
                if not self.faults.take(NOTIFICATION):
                    await socket.send(body)

        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(push)
                while (body := await socket.receive()) is not None:
                    nursery.start_soon(answer, body)
                nursery.cancel_scope.cancel()
        finally:
            send.close()
            self._answerer.closed(session)
            with trio.move_on_after(1, shield=True):
                await socket.close(GOING_AWAY)

    # ---- one request ------------------------------------------------------------------------------------------------

    async def _answer(self, body: bytes, headers: dict[bytes, bytes], session: Session | None) -> bytes:
        """A request's answer; a whole HTTP response where a fault wants another status."""
        try:
            value = parse(body)
        except Malformed:
            return json.dumps(_error(None, RpcError(-32700, "parse error"))).encode()
        calls = value if isinstance(value, list) else [value]
        faults = [fault for call in calls for fault in self.faults.take(_name(call))]
        before = _first(faults, Drop)
        if before is not None and not before.after:
            raise _Cut
        if _first(faults, Dead):
            await trio.sleep_forever()
        status = _first(faults, Status)
        if status is not None:
            return _refusal(status)
        stale = _first(faults, Stale)
        carry_out = partial(self._carry_out, calls, body, headers, session, stale.blocks if stale else 0)
        answers = await carry_out()
        if _first(faults, Duplicate):
            answers = await carry_out()
        answer = json.dumps(answers if isinstance(value, list) else answers[0]).encode() if answers else b""
        for fault in faults:
            answer = await self._spoil(fault, answer)
        return answer

    async def _spoil(self, fault: Fault, answer: bytes) -> bytes:
        match fault:
            case Drop(after=True):
                raise _Cut
            case Delay(seconds):
                await trio.sleep(seconds)
            case Truncate(size_bytes):
                whole = json_response(answer, keep_alive=True)
                head = whole.index(b"\r\n\r\n") + 4
                raise _Cut(whole[: head + min(size_bytes, max(len(answer) - 1, 0))])
            case Garble(text):
                return text
            case _:
                pass
        return answer

    async def _carry_out(
        self, calls: Sequence[Any], body: bytes, headers: dict[bytes, bytes], session: Session | None, stale: int
    ) -> list[Any]:
        answers = []
        for call in calls:
            if not isinstance(call, dict) or not isinstance(call.get("method"), str):
                answers.append(_error(None, RpcError(-32600, "invalid request")))
                continue
            params = call.get("params", [])
            ask = Ask(call["method"], params if isinstance(params, list) else [params], session, body, headers, stale)
            try:
                result = await self._answerer.answer(ask)
                answers.append({"jsonrpc": "2.0", "id": call.get("id"), "result": result})
            except RpcError as error:
                answers.append(_error(call.get("id"), error))
            except ExeclayerError as error:
                answers.append(_error(call.get("id"), RpcError(-32000, str(error))))
            except Exception:
                log.exception("%s failed", ask.method)
                answers.append(_error(call.get("id"), RpcError(-32603, f"internal error in {ask.method}")))
        wanted = [not isinstance(call, dict) or "id" in call for call in calls]
        return [answer for answer, is_wanted in zip(answers, wanted, strict=True) if is_wanted]


def _name(call: Any) -> str:
    return str(call.get("method")) if isinstance(call, dict) else ""


def _error(number: Any, error: RpcError) -> dict[str, Any]:
    told: dict[str, Any] = {"code": error.code, "message": error.message}
    if error.data is not None:
        told["data"] = error.data
    return {"jsonrpc": "2.0", "id": number, "error": told}


def _first(faults: Sequence[Fault], kind: type[T]) -> T | None:
    return next((fault for fault in faults if isinstance(fault, kind)), None)


def _refusal(status: Status) -> bytes:
    after = status.retry_after_seconds
    headers = b"" if after is None else b"Retry-After: %d\r\n" % after
    known = HTTPStatus(status.code)
    return text_response(known, known.phrase, keep_alive=True, headers=headers)


def _cut_of(group: BaseExceptionGroup[_Cut]) -> _Cut:
    error = group.exceptions[0]
    return error if isinstance(error, _Cut) else _cut_of(error)


async def _send_last(stream: trio.abc.Stream, last: bytes) -> None:
    try:
        await stream.send_all(last)
    except GONE:
        return

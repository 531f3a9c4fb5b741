"""Our own chain behind the face of a client: what is written for nodes works in the same process, without a socket."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio

from .. import _core
from .client import BATCH_MAX, NOTICES_MAX, Outcome
from .codecs import Answer
from .endpoint import Role
from .errors import CallRefused, EndpointUnreachable
from .messages import Call, Failure, Notice, Result, read, write, write_batch

PATIENCE_SECONDS = 0.1
"""How long a thread stays in Rust without hearing that nobody waits for it any more."""


class LocalClient:
    """A chain of this process: ``LocalClient(Chain.dev().core)``.

    With ``automine`` a transaction gets a block at once.
    """

    def __init__(self, chain: _core.Chain, *, name: str = "local", automine: bool = True) -> None:
        self._rpc = _core.Rpc(chain, automine=automine)
        self._name = name
        self._next_id = 1
        self._nursery: trio.Nursery | None = None

    @property
    def name(self) -> str:
        """What errors call it."""
        return self._name

    @property
    def roles(self) -> frozenset[Role]:
        """It is good for everything."""
        return frozenset({"submit", "read", "heads"})

    @property
    def can_subscribe(self) -> bool:
        """It can push."""
        return True

    async def run(self, *, task_status: trio.TaskStatus[LocalClient] = trio.TASK_STATUS_IGNORED) -> None:
        """Serves :meth:`post` until cancelled; everything else works without."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            try:
                task_status.started(self)
                await trio.sleep_forever()
            finally:
                self._nursery = None

    async def call(self, method: str, *params: Any) -> Any:
        """A method's result. *Errors*: :class:`CallRefused`."""
        number = self._take_ids(1)
        [message] = read(await self._answer(write(number, (method, params))))
        if isinstance(message, Result):
            return message.value
        raise self._refused(message)

    async def batch(self, calls: Sequence[Call]) -> list[Any]:
        """The results of several calls, in order; :class:`CallRefused` in the place of one that was refused."""
        results: list[Any] = []
        for start in range(0, len(calls), BATCH_MAX):
            part = calls[start : start + BATCH_MAX]
            messages = read(await self._answer(write_batch(self._take_ids(len(part)), part)))
            results += [one.value if isinstance(one, Result) else self._refused(one) for one in messages]
        return results

    def post(
        self,
        body: bytes,
        settle: Callable[[Outcome], None],
        *,
        ids: tuple[int, ...] = (),  # noqa: ARG002  # one answer, one request
        headers: bytes = b"",  # noqa: ARG002  # no HTTP here
        framed: bool = False,
        written: Callable[[], None] | None = None,
    ) -> None:
        """As :meth:`Client.post <execlayer.upstream.client.Client.post>`; whole HTTP requests are cut to their body."""
        if framed:
            body = body.partition(b"\r\n\r\n")[2]

        async def answer() -> None:
            settle(Answer(await self._answer(body)))

        if self._nursery is None:
            text = f"{self._name} is not running"
            settle(EndpointUnreachable(text, endpoint=self._name, reason="not running"))
            return
        if written is not None:
            written()
        self._nursery.start_soon(answer)

    @asynccontextmanager
    async def subscribe(self, *params: Any) -> AsyncIterator[trio.MemoryReceiveChannel[Any]]:
        """What the chain tells from here on: ``subscribe("newHeads")``. *Errors*: :class:`CallRefused`."""
        session = self._rpc.session()
        [message] = read(self._rpc.handle_with(write(self._take_ids(1), ("eth_subscribe", params)), session, {}))
        if not isinstance(message, Result):
            raise self._refused(message)
        send, receive = trio.open_memory_channel[Any](NOTICES_MAX)

        async def pump() -> None:
            with send:
                while True:
                    for body in session.notifications():
                        for notice in read(body):
                            assert isinstance(notice, Notice)
                            await send.send(notice.value)
                    await trio.to_thread.run_sync(session.wait, PATIENCE_SECONDS, abandon_on_cancel=True)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(pump)
            with receive:
                yield receive
            nursery.cancel_scope.cancel()

    def drop_connections(self) -> None:
        """There are none."""

    def _take_ids(self, count: int) -> int:
        first, self._next_id = self._next_id, self._next_id + count
        return first

    async def _answer(self, body: bytes) -> bytes:
        answer = self._rpc.handle_nowait(body)
        if answer is None:
            return await trio.to_thread.run_sync(self._rpc.handle_with, body, None, {}, abandon_on_cancel=True)
        await trio.lowlevel.checkpoint()
        return answer

    def _refused(self, message: Any) -> CallRefused:
        assert isinstance(message, Failure)
        text = f"{self._name} refused the call: {message.text} ({message.code})"
        return CallRefused(text, endpoint=self._name, code=message.code, reason=message.text, data=message.data)

"""A client that can be pushed to, over WebSocket or IPC: its requests are answered, its subscriptions told.

Requests are answered in the order they come, long ones as they finish (their ids tell which is which). Nothing is
queued for a client: its session in the core remembers how far it has been told, so one that reads slowly is told later.
"""

from __future__ import annotations

from typing import Protocol

import trio

from .limits import Limits
from .methods import Methods, Session


class Messages(Protocol):
    """Whole requests in, whole answers out."""

    async def receive(self) -> bytes | None: ...

    async def send(self, message: bytes) -> None: ...


class Heads:
    """Tells many tasks that the chain's head has moved, or the pool changed while somebody follows it: one thread waits
    in the core, all peers on an event."""

    WAIT_SECONDS = 3_600
    """Waiting ends early when it is cancelled, so it may be long."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._moved = trio.Event()
        self._asked = trio.Event()

    async def wait_moved(self) -> None:
        """Returns at the next move after this call."""
        self._asked.set()
        await self._moved.wait()

    async def watch(self) -> None:
        """The task that keeps the others informed; it rests until somebody asks."""
        while True:
            await self._asked.wait()
            if await trio.to_thread.run_sync(self._session.wait, self.WAIT_SECONDS):
                self._asked = trio.Event()
                self._moved.set()
                self._moved = trio.Event()


async def converse(
    messages: Messages, methods: Methods, heads: Heads, limits: Limits, limiter: trio.CapacityLimiter
) -> None:
    """Serves one client until it is gone. What it left running is abandoned."""
    session = methods.core.session()
    slots = trio.Semaphore(limits.calls_at_once)

    async def answer_long(request: bytes) -> None:
        try:
            answer = await methods.answer(request, session, seconds=limits.call_seconds, limiter=limiter)
        finally:
            slots.release()
        if answer:
            await messages.send(answer)

    async def push() -> None:
        while True:
            while notifications := session.notifications():
                for notification in notifications:
                    await messages.send(notification)
            await heads.wait_moved()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(push)
        while (request := await messages.receive()) is not None:
            answer = methods.answer_nowait(request, session)
            if answer is None:
                await slots.acquire()
                nursery.start_soon(answer_long, request)
            elif answer:
                await messages.send(answer)
        nursery.cancel_scope.cancel()

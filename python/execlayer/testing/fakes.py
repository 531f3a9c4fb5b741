"""A node that is only a table of answers, for tests that need no chain: in memory, without sockets.

>>> node = FakeNode({"eth_chainId": "0x1", "eth_getBalance": lambda address, block: "0x0"})

``Client(endpoint, connect=node.connect)`` talks to it, over HTTP or WebSocket as the endpoint's URL says.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import trio
import trio.testing

from ..server.methods import RpcError
from .faults import Faults
from .serving import Ask, Serving, Session


class FakeNode:
    """Answers from a table: a value, or a function of the parameters, sync or async, that may raise ``RpcError``.

    While :meth:`run` runs, each call of :meth:`connect` gives one end of a stream to it. ``eth_subscribe`` works, and
    what :meth:`push` is given goes to all subscriptions.
    """

    def __init__(self, methods: Mapping[str, Any] | None = None) -> None:
        self.methods: dict[str, Any] = dict(methods or {})
        self.asked: list[tuple[str, list[Any]]] = []
        """Every call that reached it, in order."""

        self.stale_blocks: list[int] = []
        """For each call that was to be answered as of an earlier block, how many blocks earlier."""

        self.connections = 0
        """How many were ever opened."""

        self.reachable = True
        """While false, nobody can connect."""

        self.sessions: list[Session] = []
        self.faults = Faults()
        self._serving = Serving(self, self.faults)
        self._nursery: trio.Nursery | None = None
        self._scopes: set[trio.CancelScope] = set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serves until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            await trio.sleep_forever()

    async def connect(self, _: Any) -> trio.abc.Stream:
        """A connection to it."""
        await trio.lowlevel.checkpoint()
        if not self.reachable or self._nursery is None:
            raise ConnectionRefusedError("nobody listens")
        ours, theirs = trio.testing.memory_stream_pair()
        self.connections += 1
        self._nursery.start_soon(self._hold, ours)
        return theirs

    async def _hold(self, stream: trio.abc.Stream) -> None:
        with trio.CancelScope() as scope:
            self._scopes.add(scope)
            try:
                await self._serving.serve(stream)
            finally:
                self._scopes.discard(scope)

    def drop_connections(self) -> None:
        """Ends all connections, at once."""
        for scope in self._scopes:
            scope.cancel()

    def push(self, value: Any) -> None:
        """Tells all subscriptions."""
        for session in self.sessions:
            for subscription in session.subscriptions:
                session.push(subscription, value)

    async def answer(self, ask: Ask) -> Any:
        """What the table says."""
        self.asked.append((ask.method, ask.params))
        if ask.stale_blocks:
            self.stale_blocks.append(ask.stale_blocks)
        if ask.method == "eth_subscribe" and ask.session is not None and ask.method not in self.methods:
            name = f"0x{len(ask.session.subscriptions) + 1:x}"
            ask.session.subscriptions[name] = ask.params
            return name
        if ask.method not in self.methods:
            raise RpcError(-32601, f"the method {ask.method} does not exist")
        found = self.methods[ask.method]
        if not callable(found):
            return found
        answer = found(*ask.params)
        return await answer if hasattr(answer, "__await__") else answer

    def opened(self, session: Session) -> None:
        """A client came that can be pushed to."""
        self.sessions.append(session)

    def closed(self, session: Session) -> None:
        """It is gone."""
        self.sessions.remove(session)

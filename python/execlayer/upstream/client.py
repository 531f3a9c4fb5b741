"""A node to be asked: calls, batches, raw requests and subscriptions over as few connections as do.

>>> async with trio.open_nursery() as nursery:                                                      # doctest: +SKIP
...     client = await nursery.start(Client(Endpoint(url="http://127.0.0.1:8545")).run)
...     await client.call("eth_blockNumber")

Connections open when they are needed: an idle one is taken first, then a new one is opened up to the endpoint's
number, then the one with the fewest requests takes another. Nothing is sent twice: whoever may repeat a request, the
caller knows.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

import trio

from .codecs import Answer, refusal
from .endpoint import Connector, Endpoint, Role, connect
from .errors import Backlogged, CallRefused, EndpointUnreachable, SubscriptionLost, UpstreamError
from .link import Exchange, Link, malformed, timeout
from .messages import Call, Failure, Malformed, Message, Notice, Result, read, write, write_batch

BATCH_MAX = 50
"""Calls in one request; longer batches go as several."""

NOTICES_MAX = 1_024
"""Notifications that wait to be taken; one more ends the subscription."""

Outcome = Answer | UpstreamError
"""How a raw request ended: an answer's bytes (whatever they say), or why there is none."""


class Upstream(Protocol):
    """What can be asked like a node: a client of one, or our own chain. :class:`Client` says what each does."""

    @property
    def name(self) -> str: ...

    @property
    def roles(self) -> frozenset[Role]: ...

    @property
    def can_subscribe(self) -> bool: ...

    async def run(self, *, task_status: trio.TaskStatus[Any] = trio.TASK_STATUS_IGNORED) -> None: ...

    async def call(self, method: str, *params: Any) -> Any: ...

    async def batch(self, calls: Sequence[Call]) -> list[Any]: ...

    def post(
        self,
        body: bytes,
        settle: Callable[[Outcome], None],
        *,
        ids: tuple[int, ...] = (),
        headers: bytes = b"",
        framed: bool = False,
        written: Callable[[], None] | None = None,
    ) -> None: ...

    def subscribe(self, *params: Any) -> AbstractAsyncContextManager[trio.MemoryReceiveChannel[Any]]: ...

    def drop_connections(self) -> None: ...


class Client:
    """One endpoint. Calls work while :meth:`run` does."""

    def __init__(self, endpoint: Endpoint, *, connect: Connector = connect) -> None:
        self.endpoint = endpoint
        self._connect = connect
        self._links: list[Link] = []
        self._nursery: trio.Nursery | None = None
        self._next_id = 1
        self._most = 1 if endpoint.scheme in ("ws", "wss", "ipc") else endpoint.connections

    @property
    def name(self) -> str:
        """What errors call the endpoint."""
        return self.endpoint.name

    @property
    def roles(self) -> frozenset[Role]:
        """What the endpoint is for."""
        return self.endpoint.roles

    @property
    def waiting(self) -> int:
        """Requests without a reply."""
        return sum(link.waiting for link in self._links)

    @property
    def can_subscribe(self) -> bool:
        """Whether the node can push; over HTTP it can't."""
        return self.endpoint.scheme in ("ws", "wss", "ipc")

    async def run(self, *, task_status: trio.TaskStatus[Client] = trio.TASK_STATUS_IGNORED) -> None:
        """Keeps the connections until cancelled.

        *Resources*: when it ends, connections are closed and requests that still wait are told so.
        """
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            try:
                task_status.started(self)
                await trio.sleep_forever()
            finally:
                self._nursery = None

    # ---- requests ---------------------------------------------------------------------------------------------------

    async def call(self, method: str, *params: Any) -> Any:
        """A method's result.

        *Errors*: :class:`CallRefused` is the node's own; any other :class:`UpstreamError` says by ``sent`` whether the
        call may have had its effect.
        """
        number = self._take_ids(1)
        [result] = await self._ask(write(number, (method, params)), [number])
        if isinstance(result, CallRefused):
            raise result
        return result

    async def batch(self, calls: Sequence[Call]) -> list[Any]:
        """The results of several calls, in order; :class:`CallRefused` in the place of one that was refused.

        More than :data:`BATCH_MAX` go as several requests, one after the other. *Errors*: as :meth:`call`.
        """
        results: list[Any] = []
        for start in range(0, len(calls), BATCH_MAX):
            part = calls[start : start + BATCH_MAX]
            first = self._take_ids(len(part))
            results += await self._ask(write_batch(first, part), list(range(first, first + len(part))))
        return results

    async def exchange(self, body: bytes, *, headers: bytes = b"", ids: tuple[int, ...] = ()) -> Answer:
        """A request's bytes against the answer's, whatever it says; see :meth:`post`. *Errors*: as :meth:`call`."""
        outcome: Outcome | None = None
        settled = trio.Event()

        def settle(found: Outcome) -> None:
            nonlocal outcome
            outcome = found
            settled.set()

        self.post(body, settle, headers=headers, ids=ids)
        await settled.wait()
        assert outcome is not None
        if isinstance(outcome, UpstreamError):
            raise outcome
        return outcome

    def post(
        self,
        body: bytes,
        settle: Callable[[Outcome], None],
        *,
        ids: tuple[int, ...] = (),
        headers: bytes = b"",
        framed: bool = False,
        written: Callable[[], None] | None = None,
    ) -> None:
        """Sends a request without waiting: ``settle`` is told how it ended, exactly once.

        ``ids`` are those of the calls in it, by which replies are matched over WebSocket and IPC. ``headers`` are more
        lines for HTTP, each with its end. With ``framed`` the body is a whole HTTP request already (see
        :func:`~execlayer.upstream.codecs.request_head`). ``written`` is called when the kernel has its last byte.

        *Errors*: :class:`Backlogged` where too many wait; ``settle`` is not called then.
        """
        limit = self.endpoint.waiting_max
        if self.waiting >= limit:
            message = f"{limit} requests to {self.name} wait for a reply already"
            raise Backlogged(message, endpoint=self.name, limit=limit)
        deadline = trio.current_time() + self.endpoint.timeout_seconds
        self._post(Exchange(body, settle, ids, headers, framed, written, deadline))

    @asynccontextmanager
    async def subscribe(self, *params: Any) -> AsyncIterator[trio.MemoryReceiveChannel[Any]]:
        """What the node tells from here on, as ``eth_subscribe`` takes it: ``subscribe("newHeads")``. It has a
        connection of its own, which ends with it.

        *Errors*: as :meth:`call`; :class:`SubscriptionLost` over HTTP. The channel ends with the connection, and where
        :data:`NOTICES_MAX` notifications wait unread.
        """
        if not self.can_subscribe:
            message = f"{self.name} can't push: a WebSocket or a UNIX socket is needed"
            raise SubscriptionLost(message, endpoint=self.name, reason="HTTP")
        send, receive = trio.open_memory_channel[Any](NOTICES_MAX)
        link = self._open_link()
        link.on_end.append(send.close)
        number = self._take_ids(1)
        done = trio.Event()
        outcome: list[Message | UpstreamError] = []

        def notify(value: Any) -> None:
            try:
                send.send_nowait(value)
            except trio.WouldBlock:
                send.close()
            except (trio.ClosedResourceError, trio.BrokenResourceError):
                pass

        def settle(found: Outcome) -> None:
            # Here and not when the waiting task gets its turn: the first notification may be in the same packet.
            message = found if isinstance(found, UpstreamError) else read(found.body)[0]
            if isinstance(message, Result):
                link.subscriptions[str(message.value)] = notify
            outcome.append(message)
            done.set()

        try:
            deadline = trio.current_time() + self.endpoint.timeout_seconds
            link.post(Exchange(write(number, ("eth_subscribe", params)), settle, (number,), deadline=deadline))
            await done.wait()
            told = outcome[0]
            if isinstance(told, UpstreamError):
                raise told
            if not isinstance(told, Result):
                raise self._refused(told)
            with receive:
                yield receive
        finally:
            link.close()

    def drop_connections(self) -> None:
        """Ends every connection that carries requests; the next request opens a new one."""
        for link in self._links:
            link.close()

    # ---- inside -----------------------------------------------------------------------------------------------------

    def _take_ids(self, count: int) -> int:
        first, self._next_id = self._next_id, self._next_id + count
        return first

    async def _ask(self, body: bytes, ids: list[int]) -> list[Any]:
        answer = await self.exchange(body, ids=tuple(ids))
        if not answer.is_accepted and not answer.body.lstrip().startswith((b"{", b"[")):
            raise refusal(self.endpoint, answer)
        try:
            messages = read(answer.body)
        except Malformed as error:
            # What is no JSON-RPC and comes with an error's status is the gateway's word, not the node's.
            reason = malformed(self.endpoint, str(error)) if answer.is_accepted else refusal(self.endpoint, answer)
            raise reason from None
        found: dict[int | None, Message] = {one.id: one for one in messages if not isinstance(one, Notice)}
        if None in found and len(found) == 1:
            raise self._refused(found[None])
        if set(found) != set(ids) or len(messages) != len(ids):
            raise malformed(self.endpoint, "the ids are not those that were asked for")
        ordered = [found[number] for number in ids]
        return [one.value if isinstance(one, Result) else self._refused(one) for one in ordered]

    def _refused(self, message: Message) -> CallRefused:
        assert isinstance(message, Failure)
        text = f"{self.name} refused the call: {message.text} ({message.code})"
        return CallRefused(text, endpoint=self.name, code=message.code, reason=message.text, data=message.data)

    def _post(self, exchange: Exchange) -> None:
        try:
            self._link().post(exchange)
        except UpstreamError as error:
            exchange.finish(error)

    def _link(self) -> Link:
        """The connection that takes the next request."""
        usable = [link for link in self._links if link.takes]
        best = min(usable, key=lambda link: link.waiting, default=None)
        if best is not None and (best.waiting == 0 or len(usable) >= self._most):
            return best
        link = self._open_link()
        self._links.append(link)
        return link

    def _open_link(self) -> Link:
        if self._nursery is None:
            text = "the client is not running"
            raise EndpointUnreachable(f"{self.name}: {text}", endpoint=self.name, reason=text)
        link = Link(self.endpoint, self._connect)
        self._nursery.start_soon(self._hold, link)
        return link

    async def _hold(self, link: Link) -> None:
        """Runs a connection; what it could not send goes to another."""
        try:
            await link.run()
        finally:
            if link in self._links:
                self._links.remove(link)
            for exchange in link.unsent:
                if trio.current_time() < exchange.deadline:
                    self._post(exchange)
                else:
                    exchange.finish(timeout(self.endpoint))

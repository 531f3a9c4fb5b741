"""Where requests go: public nodes that stand in for each other, and relays. Bytes out, bytes back; what they say is the
core's to read.

A node is known twice: one client asks it (:class:`~execlayer.upstream.Failover` looks after that one), another carries
what the core has written. So the core's request numbers never meet those of our questions on one connection, and no
answer to a question ever stands in the way of a transaction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import trio

from ..upstream import Answer, Client, Endpoint, Failover
from ..upstream.client import Outcome
from ..upstream.codecs import request_head
from ..upstream.endpoint import Connector, connect
from ..upstream.errors import Backlogged
from ..upstream.failover import Event, Member
from .pace import Pace
from .settings import OrderSettings

Row = tuple[bytes, bool, str | None]
"""An endpoint as the core wants it: the head of its HTTP requests, whether public, and the dialect of a relay."""


@dataclass(frozen=True)
class Listener:
    """Who hears how requests fare."""

    written: Callable[[tuple[int, ...]], None]
    replied: Callable[[tuple[int, ...], int | None, bytes], None]
    usable: Callable[[int, bool], None]
    """An endpoint can be used, or can't."""

    event: Callable[[Event], None]


class Endpoints:
    """All endpoints of an engine, by the numbers that the core knows them by: nodes first, then relays."""

    def __init__(self, settings: OrderSettings, listener: Listener, connect: Connector = connect) -> None:
        nodes, relays = settings.rpc_endpoints.endpoints, settings.relays
        self._listener = listener
        self.names = [one.name for one in (*nodes, *relays)]
        self._clients = [Client(one, connect=connect) for one in (*nodes, *relays)]
        builder = settings.mev_protection.builder
        patience_seconds = settings.submission_strategy.private_timeout / 1e9
        self._paces = {
            number: Pace(relay.requests_per_second, patience_seconds)
            for number, relay in enumerate(relays, start=len(nodes))
        }
        self.rows = [_row(node) for node in nodes] + [_row(relay, relay.dialect or builder) for relay in relays]
        self.failover = Failover(
            [Client(one, connect=connect) for one in nodes],
            chain_id=settings.chain_id,
            backoff=settings.rpc_endpoints.backoff,
            report=self._report,
        )

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Keeps them until cancelled; started when each node has had its first trial."""
        async with trio.open_nursery() as nursery:
            for client in self._clients:
                await nursery.start(client.run)
            await nursery.start(self.failover.run)
            for pace in self._paces.values():
                nursery.start_soon(pace.run)
            task_status.started()

    def send(self, endpoint: int, requests: tuple[int, ...], body: bytes) -> None:
        """Writes the core's bytes, which hold one request or a batch; the listener hears the rest."""
        client, listener = self._clients[endpoint], self._listener

        def settle(outcome: Outcome) -> None:
            if isinstance(outcome, Answer):
                listener.replied(requests, 200 if outcome.is_accepted else outcome.status, outcome.body)
                return
            member = self._member(endpoint)
            if member is not None and member.admitted:
                self.failover.fail(member, outcome)
            listener.replied(requests, None, str(outcome).encode())

        def written() -> None:
            listener.written(requests)

        def post() -> None:
            try:
                client.post(body, settle, ids=requests, framed=bool(self.rows[endpoint][0]), written=written)
            except Backlogged as error:
                listener.replied(requests, None, str(error).encode())

        pace = self._paces.get(endpoint)
        if pace is None:
            post()
        else:
            pace.ask(post, lambda: listener.replied(requests, None, b"the relay's rate limit left no time for it"))

    def paced(self) -> dict[str, int]:
        """Requests to relays that had to wait for their rate limits, and those of them that were not sent for it."""
        paces = self._paces.values()
        return {
            "relay_requests_delayed": sum(one.delayed for one in paces),
            "relay_requests_dropped": sum(one.dropped for one in paces),
        }

    @property
    def waiting(self) -> int:
        """Requests of the core without a reply."""
        return sum(client.waiting for client in self._clients)

    def _member(self, endpoint: int) -> Member | None:
        members = self.failover.members
        return members[endpoint] if endpoint < len(members) else None

    def _report(self, event: Event) -> None:
        self._listener.event(event)
        if event.kind != "critical":
            self._listener.usable(self.names.index(event.endpoint), event.kind == "admitted")


def _row(endpoint: Endpoint, dialect: str | None = None) -> Row:
    submit = dialect is None and "submit" in endpoint.roles
    head = request_head(endpoint) if endpoint.scheme in ("http", "https") else b""
    return head, submit, dialect

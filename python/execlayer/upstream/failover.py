"""Several endpoints that stand in for each other, in the order they are given: primary, secondary, fallback.

An endpoint that fails is left alone for 1 s, 2 s, 4 s … 64 s (each 20 % more or less, so that many do not come back at
once) and then tried: it is admitted again when it knows its newest block and serves the right chain. An answer that
refuses a call is no failure. Nobody is asked before it was admitted for the first time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal

import trio
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from ..config import Settings
from .client import Outcome, Upstream
from .endpoint import Role
from .errors import (
    Backlogged,
    CallRefused,
    EndpointRefused,
    NoEndpoint,
    ReplyMalformed,
    ReplyTooLarge,
    UpstreamError,
    WrongChainId,
)
from .messages import Call


class Backoff(Settings):
    """How long a failed endpoint is left alone."""

    base_seconds: PositiveFloat = 1.0
    """After the first failure; twice as long after each further one."""

    exponent_max: NonNegativeInt = 6
    """How often it is doubled at most."""

    jitter: float = Field(default=0.2, ge=0, lt=1)
    """Most that a pause is longer or shorter, as a share of it."""

    failures_max: PositiveInt = 10
    """So many failures in a row are reported as critical."""

    def pause_seconds(self, failures: int, random: Random) -> float:
        """The pause after so many failures in a row."""
        pause: float = self.base_seconds * 2 ** min(failures - 1, self.exponent_max)
        return pause * random.uniform(1 - self.jitter, 1 + self.jitter)


@dataclass(frozen=True, slots=True)
class Event:
    """What became of an endpoint."""

    kind: Literal["admitted", "failed", "critical"]
    endpoint: str
    failures: int
    """In a row."""

    reason: UpstreamError | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """What an endpoint said, and how far it was when it said so: what it doesn't know may be because it lags."""

    value: Any
    endpoint: str
    head: int


@dataclass(eq=False)
class Member:
    """An endpoint and how it stands."""

    upstream: Upstream
    admitted: bool = False
    failures: int = 0
    head: int = 0
    pause_seconds_min: float = 0.0
    lost: trio.Event = field(default_factory=trio.Event)


class Failover:
    """Endpoints of one chain. ``report`` hears of each change; it must be quick and must not raise."""

    def __init__(
        self,
        upstreams: Sequence[Upstream],
        *,
        chain_id: int,
        backoff: Backoff | None = None,
        random: Random | None = None,
        report: Callable[[Event], None] = lambda _: None,
    ) -> None:
        self.members = [Member(upstream) for upstream in upstreams]
        self.chain_id = chain_id
        self._backoff = backoff or Backoff()
        self._random = random or Random()
        self._report = report
        self._changed = trio.Event()

    async def run(self, *, task_status: trio.TaskStatus[Failover] = trio.TASK_STATUS_IGNORED) -> None:
        """Keeps the endpoints until cancelled; started when each has had its first trial."""
        async with trio.open_nursery() as nursery:
            async with trio.open_nursery() as starting:
                for member in self.members:
                    starting.start_soon(nursery.start, member.upstream.run)
            async with trio.open_nursery() as starting:
                for member in self.members:
                    starting.start_soon(nursery.start, self._keep, member)
            task_status.started(self)

    # ---- who is fit -------------------------------------------------------------------------------------------------

    def fit(self, role: Role) -> list[Member]:
        """Those that may be asked now, best first."""
        return [one for one in self.members if one.admitted and role in one.upstream.roles]

    async def wait_fit(self, role: Role) -> Member:
        """The best that may be asked, as soon as there is one."""
        while not (fit := self.fit(role)):
            await self._changed.wait()
        return fit[0]

    def fail(self, member: Member, error: UpstreamError) -> None:
        """Notes that an endpoint failed; it is left alone from now on."""
        member.failures += 1
        if isinstance(error, EndpointRefused):
            member.pause_seconds_min = min(error.retry_after_seconds or 0.0, 64.0)
        self._report(Event("failed", member.upstream.name, member.failures, error))
        if member.failures == self._backoff.failures_max:
            self._report(Event("critical", member.upstream.name, member.failures, error))
        if member.admitted:
            member.admitted = False
            member.lost.set()
            self._tell()

    async def _keep(self, member: Member, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """An endpoint's own task: trial, admission, waiting for its failure, pause."""
        while True:
            await self._try(member)
            task_status.started() if task_status is not trio.TASK_STATUS_IGNORED else None
            task_status = trio.TASK_STATUS_IGNORED
            if member.admitted:
                await member.lost.wait()
            pause = self._backoff.pause_seconds(member.failures, self._random)
            await trio.sleep(max(pause, member.pause_seconds_min))

    async def _try(self, member: Member) -> None:
        upstream = member.upstream
        try:
            chain_id, head = await upstream.batch([("eth_chainId", ()), ("eth_blockNumber", ())])
            member.head = quantity(upstream, head)
            actual = quantity(upstream, chain_id)
            if actual != self.chain_id:
                text = f"{upstream.name} serves chain {actual}, not {self.chain_id}"
                raise WrongChainId(text, endpoint=upstream.name, expected=self.chain_id, actual=actual)
        except UpstreamError as error:
            self.fail(member, error)
            return
        member.admitted, member.failures, member.pause_seconds_min = True, 0, 0.0
        member.lost = trio.Event()
        self._report(Event("admitted", upstream.name, 0))
        self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = trio.Event()

    # ---- asking -----------------------------------------------------------------------------------------------------

    async def read(self, method: str, *params: Any, role: Role = "read") -> Reading:
        """A method's result from the first endpoint that answers.

        *Errors*: :class:`CallRefused` where that answer is a refusal; :class:`NoEndpoint` where nobody answers.
        """
        [reading] = await self.read_batch([(method, params)], role=role)
        if isinstance(reading.value, CallRefused):
            raise reading.value
        return reading

    async def read_batch(self, calls: Sequence[Call], *, role: Role = "read") -> list[Reading]:
        """The results of several calls, all from the first endpoint that answers; refusals stand in their place.

        *Errors*: :class:`NoEndpoint`.
        """
        for member in self.fit(role):
            readings = await self._read(member, calls)
            if readings is not None:
                return readings
        raise no_endpoint(role)

    async def read_many(self, calls: Sequence[Call], *, count: int, role: Role = "read") -> list[list[Reading]]:
        """As :meth:`read_batch` from up to ``count`` endpoints at once, for what one alone is not believed."""
        found: list[list[Reading]] = []

        async def ask(member: Member) -> None:
            readings = await self._read(member, calls)
            if readings is not None:
                found.append(readings)

        async with trio.open_nursery() as nursery:
            for member in self.fit(role)[:count]:
                nursery.start_soon(ask, member)
        return found

    async def _read(self, member: Member, calls: Sequence[Call]) -> list[Reading] | None:
        upstream = member.upstream
        try:
            values = await upstream.batch(calls)
            for (method, _), value in zip(calls, values, strict=True):
                if method == "eth_blockNumber" and isinstance(value, str):
                    member.head = max(member.head, quantity(upstream, value))
        except (Backlogged, ReplyTooLarge):
            return None  # this request's trouble, not the endpoint's
        except UpstreamError as error:
            self.fail(member, error)
            return None
        return [Reading(value, upstream.name, member.head) for value in values]

    def submit(
        self,
        body: bytes,
        settle: Callable[[str, Outcome], None],
        *,
        fanout: int = 2,
        ids: tuple[int, ...] = (),
        written: Callable[[], None] | None = None,
    ) -> list[str]:
        """Sends a request's bytes to the best ``fanout`` endpoints at once, without waiting; their names.

        ``settle`` is told each one's outcome with its name. *Errors*: :class:`NoEndpoint`, and nothing was sent.
        """
        taken: list[str] = []
        for member in self.fit("submit"):
            if len(taken) == fanout:
                break
            try:
                member.upstream.post(body, self._settling(member, settle), ids=ids, written=written)
            except Backlogged:
                continue
            taken.append(member.upstream.name)
        if not taken:
            raise no_endpoint("submit")
        return taken

    def _settling(self, member: Member, settle: Callable[[str, Outcome], None]) -> Callable[[Outcome], None]:
        def told(outcome: Outcome) -> None:
            if isinstance(outcome, UpstreamError) and member.admitted:
                self.fail(member, outcome)
            settle(member.upstream.name, outcome)

        return told


def quantity(upstream: Upstream, value: Any) -> int:
    """A number as JSON-RPC writes them. *Errors*: :class:`ReplyMalformed`; a refusal that stands in its place."""
    if isinstance(value, UpstreamError):
        raise value
    try:
        return int(value, 16)
    except (TypeError, ValueError):
        reason = f"{str(value)[:40]!r} is no quantity"
        raise ReplyMalformed(f"{upstream.name}: {reason}", endpoint=upstream.name, reason=reason) from None


def no_endpoint(role: str) -> NoEndpoint:
    """The error where nobody is left."""
    return NoEndpoint(f"no endpoint for {role} is fit to be asked", role=role)

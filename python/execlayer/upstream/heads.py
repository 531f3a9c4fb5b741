"""Follows a chain's head: a subscription where there is one, a poll beside it that notices when it has gone silent.

A subscription can be alive and say nothing. So a poll asks every 2 s; when it has been ahead of the subscription twice
in a row, or nothing new has come for 24 s (two slots), connections are dropped, and the chain is caught up by number.
Where a header does not stand on the one before it, parents are fetched down to the common ancestor. Each change is told
once, in order; what the endpoint behind it said of "removed" logs is not needed.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import trio
from pydantic import PositiveFloat

from ..config import Settings
from .client import Upstream
from .errors import ReplyMalformed, UpstreamError
from .failover import Failover, Member
from .ring import Change, Header, Ring


class Watch(Settings):
    """How closely the head is followed."""

    poll_seconds: PositiveFloat = 2.0
    """Between two looks at the newest block, beside a subscription too."""

    silence_seconds: PositiveFloat = 24.0
    """Without a new head for so long the connection is distrusted."""


class HeadFeed:
    """The head of the chain that some endpoints serve. ``tell`` and ``caught_up`` (who is asked from now on has told
    its head) must be quick and must not raise."""

    def __init__(
        self,
        failover: Failover,
        tell: Callable[[Change], None],
        *,
        watch: Watch | None = None,
        caught_up: Callable[[], None] = lambda: None,
    ) -> None:
        self.ring = Ring()
        self.is_current = False
        """Whether somebody is asked for the head, and has told it at least once."""

        self.resubscriptions = 0
        """How often a subscription was given up because it had ended or gone silent."""

        self._failover = failover
        self._tell = tell
        self._watch = watch or Watch()
        self._caught_up = caught_up
        self._lock = trio.Lock()
        self._news = trio.Event()
        self._news_at = 0.0

    async def run(self, *, task_status: trio.TaskStatus[HeadFeed] = trio.TASK_STATUS_IGNORED) -> None:
        """Follows until cancelled; started with the first header. A failing endpoint is left for the next."""
        started = False
        while True:
            member = await self._failover.wait_fit("heads")
            try:
                await self._poll(member)
                if not started:
                    task_status.started(self)
                    started = True
                self.is_current = True
                self._caught_up()
                await self._follow(member)
            except* UpstreamError as group:
                # Refusals too: who can't tell its head is of no use here.
                if member.admitted:
                    self._failover.fail(member, _first(group))
            finally:
                self.is_current = False

    async def wait_for(self, number: int) -> Header:
        """The canonical header of a height, once there is one."""
        while (header := self.ring.at(number)) is None:
            await self._news.wait()
        return header

    # ---- two sources ------------------------------------------------------------------------------------------------

    async def _follow(self, member: Member) -> None:
        """Until the endpoint fails, or stops being fit for another's reason."""
        async with trio.open_nursery() as nursery:
            if member.upstream.can_subscribe:
                nursery.start_soon(self._stream, member)
            else:
                nursery.start_soon(self._poll_for_ever, member)
            await member.lost.wait()
            nursery.cancel_scope.cancel()

    async def _poll_for_ever(self, member: Member) -> None:
        while True:
            await trio.sleep(self._watch.poll_seconds)
            await self._poll(member)

    async def _stream(self, member: Member) -> None:
        """One subscription after another, each on a connection of its own."""
        while True:
            stream = _Stream()
            async with member.upstream.subscribe("newHeads") as notices, trio.open_nursery() as nursery:
                nursery.start_soon(self._watch_stream, member, stream, nursery.cancel_scope)
                async for value in notices:
                    header = _header(member.upstream, value)
                    stream.newest = max(stream.newest, header.number)
                    await self._accept(member, header)
                nursery.cancel_scope.cancel()
            self.resubscriptions += 1
            if stream.newest < 0:
                # One that never told anything would be opened and closed as fast as the network allows.
                await trio.sleep(self._watch.poll_seconds)

    async def _watch_stream(self, member: Member, stream: _Stream, scope: trio.CancelScope) -> None:
        """Polls beside a subscription; cancels its scope where it lags or is silent."""
        self._news_at = trio.current_time()
        polled = -1
        while True:
            expected, polled = polled, await self._poll(member)
            # What the poll saw a while ago must have come by now; what it saw this moment may be on its way.
            if expected > stream.baseline and stream.newest < expected:
                break
            if stream.baseline < 0:
                stream.baseline = polled
            if trio.current_time() - self._news_at >= self._watch.silence_seconds:
                break
            await trio.sleep(self._watch.poll_seconds)
        scope.cancel()

    async def _poll(self, member: Member) -> int:
        upstream = member.upstream
        header = _header(upstream, await upstream.call("eth_getBlockByNumber", "latest", False))
        await self._accept(member, header)
        return header.number

    # ---- one chain --------------------------------------------------------------------------------------------------

    async def _accept(self, member: Member, header: Header) -> None:
        async with self._lock:
            member.head = max(member.head, header.number)
            if self.ring.holds(header.number, header.hash):
                return
            branch = await self._branch(member.upstream, header)
            if branch is None:
                return
            change = self.ring.attach(branch)
        self._news_at = trio.current_time()
        self._tell(change)
        self._news.set()
        self._news = trio.Event()

    async def _branch(self, upstream: Upstream, header: Header) -> list[Header] | None:
        """The headers from the one that stands on the ring up to this one; just this one where that is too far down.
        None: the endpoint doesn't know its own block's parent (it lags, or the block is gone already); it will tell
        of another."""
        head, oldest = self.ring.head, self.ring.oldest
        if head is None or oldest is None or header.number - head.number >= self.ring.size:
            return [header]
        branch = await self._by_number(upstream, head.number + 1, header)
        while branch[0].number > oldest.number and not self.ring.holds(branch[0].number - 1, branch[0].parent_hash):
            value = await upstream.call("eth_getBlockByHash", branch[0].parent_hash, False)
            if value is None:
                return None
            parent = _header(upstream, value)
            if (parent.number, parent.hash) != (branch[0].number - 1, branch[0].parent_hash):
                raise _malformed(upstream, "a block's parent is another than was asked for")
            branch.insert(0, parent)
        return branch

    async def _by_number(self, upstream: Upstream, first: int, header: Header) -> list[Header]:
        """The headers from a height up to this one, in few requests; just this one where they don't make a chain."""
        numbers = range(first, header.number)
        values = await upstream.batch([("eth_getBlockByNumber", (hex(number), False)) for number in numbers])
        try:
            found = [*map(Header.from_json, values), header]
        except ValueError:
            return [header]
        linked = all(
            (after.number, after.parent_hash) == (before.number + 1, before.hash) for before, after in pairwise(found)
        )
        return found if linked else [header]


class _Stream:
    """How far one subscription is."""

    def __init__(self) -> None:
        self.baseline = -1
        """The head when it began."""

        self.newest = -1


def _header(upstream: Upstream, value: Any) -> Header:
    try:
        return Header.from_json(value)
    except ValueError as error:
        raise _malformed(upstream, str(error)) from None


def _malformed(upstream: Upstream, reason: str) -> ReplyMalformed:
    return ReplyMalformed(f"{upstream.name}: {reason}", endpoint=upstream.name, reason=reason)


def _first(group: BaseExceptionGroup[UpstreamError]) -> UpstreamError:
    error = group.exceptions[0]
    return error if isinstance(error, UpstreamError) else _first(error)

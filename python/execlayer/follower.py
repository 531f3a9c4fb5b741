"""Keeps a chain at the head of another node's: blocks are fetched as bytes and taken once they were executed here.

The head is watched as :mod:`execlayer.upstream` does, over one endpoint or several; the bytes come by
``debug_getRawBlock``. The other side says which branch is canonical: where it reorganises, so does the chain, within
its history window. What breaks a rule is refused, whoever says so, and ends the service; nothing is believed but which
block is the head.

>>> chain = Chain.open("copy", "genesis.json")                                                      # doctest: +SKIP
>>> follower = Follower(chain, [Client(Endpoint(url="http://127.0.0.1:8545"))])                     # doctest: +SKIP
>>> async with trio.open_nursery() as nursery:                                                      # doctest: +SKIP
...     await nursery.start(follower.run)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import trio

from .chain import Chain
from .errors import OtherGenesis, UnknownBlock, UnknownParent
from .upstream import CallRefused, Failover, HeadFeed, Upstream
from .upstream.errors import NoEndpoint
from .upstream.failover import Reading
from .upstream.heads import Watch
from .upstream.ring import Header

PORTION = 8
"""Blocks that are fetched in one request; a full one is some hundred kilobytes."""


class Follower:
    """A service that brings a chain to another's head and keeps it there."""

    def __init__(
        self,
        chain: Chain,
        upstreams: Sequence[Upstream],
        *,
        watch: Watch | None = None,
        tell: Callable[[int, int], None] = lambda _height, _target: None,
    ) -> None:
        """``tell`` hears of each portion of blocks: how high the chain is now, and how high the other's head."""
        self._chain = chain
        self._failover = Failover(upstreams, chain_id=chain.chain_id)
        self._watch = watch or Watch()
        self._tell = tell
        self._changed = trio.Event()

    async def run(self, *, task_status: trio.TaskStatus[Follower] = trio.TASK_STATUS_IGNORED) -> None:
        """Follows until cancelled; started when the chain has reached the other's head for the first time.

        *Errors*: :class:`~execlayer.errors.ImportRefused` in one of its forms for a block that breaks a rule;
        :class:`~execlayer.errors.OtherGenesis` where the other chain begins with another block; ``StateNotKept`` where
        it reorganised deeper than the history window; :class:`~execlayer.upstream.CallRefused` where the other side
        doesn't hand out blocks. The chain is then at the last block that was taken. An endpoint that fails is waited
        for.
        """
        started = False
        async with trio.open_nursery() as nursery:
            await nursery.start(self._failover.run)
            feed = HeadFeed(self._failover, lambda _: self._changed.set(), watch=self._watch)
            await nursery.start(feed.run)
            while True:
                self._changed = trio.Event()
                if feed.ring.head is not None and await self._reach(feed.ring.head):
                    if not started:
                        task_status.started(self)
                        started = True
                    await self._changed.wait()
                    continue
                # It went on meanwhile, or nobody answers. It may be the same head when it can be asked again.
                with trio.move_on_after(self._watch.poll_seconds):
                    await self._changed.wait()

    async def _reach(self, target: Header) -> bool:
        """Brings the chain to a head of the other's; False where that is no longer what it has."""
        try:
            common = await self._common(target)
            for first in range(common + 1, target.number + 1, PORTION):
                numbers = range(first, min(first + PORTION, target.number + 1))
                for raw in await self._fetch(numbers):
                    await trio.to_thread.run_sync(self._chain.import_block, raw)
                self._tell(numbers[-1], target.number)
            if self._chain.head.hash != target.hash:
                # A branch that is not longer became canonical over there, or the head was set back.
                await trio.to_thread.run_sync(self._chain.set_head, target.hash)
        except (_Gone, NoEndpoint, UnknownParent, UnknownBlock):
            return False
        return True

    async def _common(self, target: Header) -> int:
        """A height up to which both chains are the same; not always the last."""
        number, step = min(self._chain.head.number, target.number), 1
        while True:
            theirs = target.hash if number == target.number else await self._hash(number)
            ours = self._chain.block(number).hash
            if theirs == ours:
                return number
            if number == 0:
                raise OtherGenesis(
                    f"the chain to follow begins with block {theirs}, this one with {ours}", held=ours, given=theirs
                )
            number, step = max(0, number - step), 2 * step

    async def _hash(self, number: int) -> str:
        block = (await self._failover.read("eth_getBlockByNumber", hex(number), False)).value
        if not isinstance(block, dict):
            raise _Gone
        return str(block.get("hash"))

    async def _fetch(self, numbers: Iterable[int]) -> list[bytes]:
        readings = await self._failover.read_batch([("debug_getRawBlock", (hex(number),)) for number in numbers])
        return [_raw(reading) for reading in readings]


class _Gone(Exception):
    """The endpoint does not have a block that it must have had a moment ago."""


def _raw(reading: Reading) -> bytes:
    value: Any = reading.value
    if isinstance(value, CallRefused):
        raise value
    try:
        return bytes.fromhex(value.removeprefix("0x"))
    except (AttributeError, ValueError):
        raise _Gone from None

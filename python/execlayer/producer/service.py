"""The producer: a Trio service that makes blocks when its mode says so, and whenever it is asked.

It holds no chain state. What a block holds, in batches, and how a batch is repaired, is decided in Rust within one
call; the producer decides when, sees what came of it, and chooses what becomes of those that had to stay out.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import trio

from .._core import Block, Mined
from ..chain import Chain
from ..errors import ExeclayerError
from ..pool import PoolEvents

Mode: TypeAlias = Literal["automine", "interval", "manual"]
"""``automine``: a block as soon as a transaction can be included. ``interval``: one every so often, empty or not.
``manual``: only when asked."""

Policy: TypeAlias = Callable[[str, ExeclayerError], Literal["keep", "drop"]]
"""What becomes of a transaction that had to stay out of a block, by its hash and the reason. What could never be
included is gone already; of the rest, ``keep`` leaves it to later blocks."""

PATIENCE_SECONDS = 0.1
"""How long a thread stays in Rust without hearing that nobody waits for it any more."""


@dataclass(frozen=True, slots=True)
class Produced:
    """A block, and what had to stay out of it."""

    block: Block
    skipped: tuple[tuple[str, ExeclayerError], ...]


class Producer:
    """Makes the blocks of a chain. :meth:`run` is the service; the other methods talk to it while it runs.

    ``mine`` makes a block in place of the chain's own :meth:`~execlayer.Chain.produce`. ``publish`` is called with each
    block after it is the chain's head, on Trio's thread.
    """

    def __init__(
        self,
        chain: Chain,
        mode: Mode = "automine",
        *,
        block_time_seconds: float = 12.0,
        mine: Callable[[], Mined] | None = None,
        policy: Policy | None = None,
        publish: Callable[[Produced], None] | None = None,
    ) -> None:
        self._chain = chain
        self._mine = mine or chain.produce
        self._mode = mode
        self._block_time_seconds = block_time_seconds
        self._policy = policy
        self._publish = publish
        self._one_at_a_time = trio.Lock()
        self._stopping = trio.Event()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Makes blocks until it is stopped or cancelled.

        Stopped, it finishes the block that is being made; cancelled, it gives it up, and what was to stand in it waits
        on.

        *Errors*: what mining raises ends the service: a store that can't be written is nothing to be retried in a loop.
        """
        events = self._chain.pool.subscribe() if self._mode == "automine" else None
        task_status.started()
        async with trio.open_nursery() as nursery:
            if self._mode == "interval":
                nursery.start_soon(self._at_intervals)
            elif events is not None:
                nursery.start_soon(self._as_they_come, events)
            await self._stopping.wait()
            async with self._one_at_a_time:
                nursery.cancel_scope.cancel()

    async def tick(self) -> Produced:
        """Makes a block now, whatever the mode."""
        async with self._one_at_a_time:
            mined = await trio.to_thread.run_sync(self._mine)
            produced = Produced(mined.block, tuple(mined.skipped))
            for transaction, reason in produced.skipped:
                if self._policy is not None and self._policy(transaction, reason) == "drop":
                    self._chain.pool.drop(transaction)
            if self._publish is not None:
                self._publish(produced)
            return produced

    def stop(self) -> None:
        """Ends :meth:`run` after the block that is being made."""
        self._stopping.set()

    async def _at_intervals(self) -> None:
        due = trio.current_time()
        while True:
            # From the last due time, not from now: the time that mining takes doesn't add up.
            due = max(due + self._block_time_seconds, trio.current_time())
            await trio.sleep_until(due)
            await self.tick()

    async def _as_they_come(self, events: PoolEvents) -> None:
        # Those that wait already are not told of.
        await self._while_there_are_any()
        while True:
            heard = await trio.to_thread.run_sync(events.wait, PATIENCE_SECONDS)
            if any(event.change in ("added", "promoted") for event in heard):
                await self._while_there_are_any()

    async def _while_there_are_any(self) -> None:
        """Blocks until nothing is left that the next one could hold."""
        left = math.inf
        while 0 < (waiting := self._chain.pool.ready()) < left:
            await self.tick()
            # Those that were left out wait for a change, not for the next block in a row.
            left = waiting

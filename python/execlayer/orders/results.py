"""Results on their way to those who take them: from the core's outbox, in sequence, again until they are acknowledged.

A consumer begins after the last result that it has. A result is delivered once all consumers that are connected have
acknowledged it; one that goes away is no longer waited for.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager

import trio

AT_ONCE = 100
"""Results taken from the core in one call."""


class Consumer:
    """One that takes results."""

    def __init__(self, results: Results, sequence: int, *, watches: bool) -> None:
        self.watches = watches
        """Whether it only looks on: nothing counts as delivered because of it."""

        self.cursor = sequence
        """The last result it was given."""

        self.acknowledged = sequence
        self._results = results

    def take(self) -> list[bytes]:
        """What comes next; nothing where there is nothing new."""
        found = self._results.read(self.cursor + 1, AT_ONCE)
        if found:
            self.cursor = found[-1][0]
        return [frame for _, frame in found]

    def acknowledge(self, sequence: int) -> None:
        """Everything up to this one has arrived; what it was not given yet is not."""
        self.acknowledged = max(self.acknowledged, min(sequence, self.cursor))
        self._results.settle()


class Results:
    """All consumers of an engine."""

    def __init__(self, read: Callable[[int, int], list[tuple[int, bytes]]], delivered: Callable[[int], None]) -> None:
        self.read = read
        self._delivered = delivered
        self._settled = 0
        self._consumers: set[Consumer] = set()
        self._news = trio.Event()
        self._awaited = False

    @contextmanager
    def consumer(self, sequence: int = 0, *, watches: bool = False) -> Iterator[Consumer]:
        """Somebody who takes results after this one, while the block lasts."""
        one = Consumer(self, sequence, watches=watches)
        self._consumers.add(one)
        try:
            yield one
        finally:
            self._consumers.discard(one)
            self.settle()

    def settle(self) -> None:
        """Tells the core what all have."""
        if all(one.watches for one in self._consumers):
            return
        lowest = min(one.acknowledged for one in self._consumers)
        if lowest > self._settled:
            self._settled = lowest
            self._delivered(lowest)

    def tell(self) -> None:
        """There may be something new."""
        if self._awaited:
            self._awaited = False
            self._news.set()
            self._news = trio.Event()

    async def wait_news(self) -> None:
        """Until there may be something new."""
        self._awaited = True
        await self._news.wait()

    async def follow(self, *, watches: bool = False) -> AsyncGenerator[bytes, None]:
        """Results as they come, in this process; each counts as delivered when the next one is asked for."""
        with self.consumer(watches=watches) as one:
            while True:
                frames = one.take()
                for frame in frames:
                    yield frame
                one.acknowledge(one.cursor)
                if not frames:
                    await self.wait_news()

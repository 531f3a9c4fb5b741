"""How fast a relay may be asked: so many requests a second, evenly, with a second's worth at once.

What is beyond that waits its turn, and is given up when it could not be written in time for whom it was meant: a bundle
for a block that exists is worth nothing. Both are counted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import trio


@dataclass(frozen=True, slots=True)
class _Errand:
    do: Callable[[], None]
    give_up: Callable[[], None]
    deadline: float


class Pace:
    """One relay's. Requests keep their order."""

    def __init__(self, per_second: float, patience_seconds: float) -> None:
        self._per_second, self._patience = per_second, patience_seconds
        self._burst = max(per_second, 1.0)
        self._free, self._at = self._burst, 0.0
        self._waiting: deque[_Errand] = deque()
        self._wake = trio.Event()
        self.delayed = 0
        """Requests that had to wait."""

        self.dropped = 0
        """Those of them that waited for too long."""

    def ask(self, do: Callable[[], None], give_up: Callable[[], None]) -> None:
        """Does it at once, or as soon as the pace allows; gives it up where that would be too late."""
        if not self._waiting and self._take():
            do()
            return
        self.delayed += 1
        if len(self._waiting) >= self._per_second * self._patience:
            # Those before it take all the time that it has.
            self.dropped += 1
            give_up()
            return
        self._waiting.append(_Errand(do, give_up, trio.current_time() + self._patience))
        self._wake.set()

    async def run(self) -> None:
        """Serves what waits, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            while self._waiting:
                if not self._take():
                    await trio.sleep((1 - self._free) / self._per_second)
                    continue
                errand = self._waiting.popleft()
                if trio.current_time() <= errand.deadline:
                    errand.do()
                else:
                    self.dropped += 1
                    errand.give_up()

    def _take(self) -> bool:
        """Whether one more may go now."""
        now = trio.current_time()
        self._free = min(self._burst, self._free + (now - self._at) * self._per_second)
        self._at = now
        if self._free < 1 - 1e-9:
            return False
        self._free -= 1
        return True

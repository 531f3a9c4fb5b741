"""Signals between the doors and the core: the most profitable first, so many at once; what can't be kept is told so.

As long as the core takes signals they go through without waiting. While it does not (nobody takes the results), or when
they come faster than it works, they wait in a channel of bounded length, which loses what has expired and then the
least profitable; each loss is counted and answered with a Nack.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import trio

from .. import _core
from .reports import Report, report

if TYPE_CHECKING:
    from .engine import OrderEngine


class Origin(Protocol):
    """Where a frame came from."""

    trusted: bool
    """Whether its frames need not be signed."""

    def give(self, frame: bytes) -> None:
        """Takes an answer to it."""

    def refused(self, nack: bytes) -> None:
        """Takes the answer to a frame that was none."""


class Answers:
    """Takes the answers to frames of this process."""

    trusted = True

    def __init__(self) -> None:
        self.reports: list[Report] = []

    def give(self, frame: bytes) -> None:
        self.reports.append(report(frame))

    refused = give


class Intake:
    """One engine's."""

    def __init__(self, engine: OrderEngine, clock: Callable[[], tuple[int, int]]) -> None:
        settings = engine.settings
        max_age_ns = settings.execution_engine.signal_max_age_ms * 10**6
        self._engine, self._clock = engine, clock
        self._channel = _core.OrderChannel(settings.channels.signal, max_age_ns, settings.source_id)
        self._batch_max = settings.execution_engine.batch_max
        self._open = trio.Event()

    @property
    def waiting(self) -> int:
        """Signals that wait."""
        return len(self._channel)

    def give(self, frames: list[bytes], origin: Origin) -> None:
        """Takes frames that came together."""
        self._tell(self._channel.put(self._clock(), frames, origin))
        if self._engine.intake_is_open:
            self._serve()
        self.go_on()

    def go_on(self) -> None:
        """Signals may be taken again."""
        if self.waiting:
            self._open.set()

    async def run(self) -> None:
        """Serves what had to wait, until cancelled."""
        while True:
            await self._open.wait()
            self._open = trio.Event()
            while self.waiting and self._engine.intake_is_open:
                self._serve()
                await trio.lowlevel.checkpoint()

    def close(self) -> None:
        """Refuses what waits: nothing is taken any more."""
        self._tell(self._channel.close(self._clock()))

    def _serve(self) -> None:
        """A batch."""
        for origin, began_ns, frames in self._channel.take(self._batch_max):
            for nack in self._engine.take_frames(frames, origin.trusted, origin, began_ns):
                if nack is not None:
                    self._engine.monitor.counters["signal_processing_errors"] += 1
                    origin.refused(nack)

    def _tell(self, lost: list[tuple[Origin, bytes, bool]]) -> None:
        for origin, nack, expired in lost:
            self._engine.monitor.counters["signals_expired" if expired else "signals_crowded_out"] += 1
            origin.give(nack)

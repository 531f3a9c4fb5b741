"""Signals between the doors and the core: at once while it takes them, else kept, and told where they are not."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import trio
from trio.testing import wait_all_tasks_blocked

from execlayer.orders.intake import Intake
from execlayer.orders.monitor import Monitor
from execlayer.orders.reports import report

from . import twin
from .test_engine import WALL


@dataclass
class Core:
    """Stands where the engine does: takes what it is given, while it is open."""

    capacity: int = 100
    batch_max: int = 100
    intake_is_open: bool = True
    now_ns: int = WALL
    taken: list[list[int]] = field(default_factory=list)
    monitor: Monitor = field(default_factory=Monitor)

    def __post_init__(self) -> None:
        execution = SimpleNamespace(signal_max_age_ms=10_000, batch_max=self.batch_max)
        channels = SimpleNamespace(signal=self.capacity)
        self.settings = SimpleNamespace(execution_engine=execution, channels=channels, source_id=3)

    def take_frames(self, frames: list[bytes], trusted: bool, origin: Any, came_ns: int) -> list[bytes | None]:
        assert trusted and came_ns == 5
        self.taken.append([int.from_bytes(one[8:16], "little") for one in frames])
        return [b"no" if len(one) < 40 else None for one in frames]

    def intake(self) -> Intake:
        engine: Any = self
        return Intake(engine, lambda: (5, self.now_ns))


@dataclass
class Source:
    """A connection."""

    source_id: int
    trusted: bool = True
    given: list[bytes] = field(default_factory=list)
    refusals: list[bytes] = field(default_factory=list)

    def give(self, frame: bytes) -> None:
        self.given.append(frame)

    def refused(self, nack: bytes) -> None:
        self.refusals.append(nack)

    def signal(self, number: int, wei: int, created: int = WALL) -> bytes:
        parts = twin.signal_parts(signal_id=number, created=created, profit=wei, wei=wei, state_block=100)
        return twin.encode(1, number, WALL, self.source_id, parts)

    def told(self) -> list[tuple[int, int]]:
        """Sequence and code of each refusal that it got."""
        reports = [report(one) for one in self.given]
        assert all(one.kind == "nack" and one.error is not None for one in reports)
        return [(one.sequence, one.error.code) for one in reports if one.error is not None]


def test_signals_go_through_at_once_while_they_are_taken() -> None:
    core, one = Core(), Source(1)
    intake = core.intake()
    intake.give([one.signal(1, 5), one.signal(2, 9)], one)
    assert (core.taken, intake.waiting, one.given) == ([[1, 2]], 0, [])


async def test_what_waited_is_served_most_profitable_first_so_many_at_once(nursery: trio.Nursery) -> None:
    core = Core(intake_is_open=False, batch_max=2)
    intake = core.intake()
    for number in range(1, 6):
        intake.give([Source(number).signal(number, 10 * (number % 4) + 1)], Source(number))
    nursery.start_soon(intake.run)
    await wait_all_tasks_blocked()
    assert core.taken == [] and intake.waiting == 5
    core.intake_is_open = True
    intake.go_on()
    await wait_all_tasks_blocked()
    # 3 is worth 31, 2 is worth 21, 1 and 5 as much as each other, 4 the least.
    assert core.taken == [[3], [2], [1], [5], [4]]


def test_a_full_channel_drops_what_expired_then_the_least_profitable_and_says_so() -> None:
    core = Core(capacity=2, intake_is_open=False)
    old, poor, good, better = (Source(number) for number in range(1, 5))
    intake = core.intake()
    intake.give([old.signal(1, 10**18, created=WALL - 10_000_000_001)], old)
    intake.give([poor.signal(1, 5)], poor)
    intake.give([good.signal(1, 7)], good)
    intake.give([better.signal(1, 9)], better)
    assert (old.told(), poor.told(), good.told(), better.told()) == ([(1, 2)], [(1, 10)], [], [])
    assert core.monitor.counters == {"signals_expired": 1, "signals_crowded_out": 1}
    assert intake.waiting == 2


def test_what_waits_at_the_end_is_refused() -> None:
    core, one = Core(intake_is_open=False), Source(1)
    intake = core.intake()
    intake.give([one.signal(1, 5), one.signal(2, 5)], one)
    intake.close()
    assert (one.told(), intake.waiting) == ([(1, 18), (2, 18)], 0)


def test_a_frame_that_is_none_is_refused_by_name() -> None:
    core, one = Core(), Source(1)
    core.intake().give([b"no frame"], one)
    assert one.refusals == [b"no"]
    assert core.monitor.counters["signal_processing_errors"] == 1

"""A relay's pace: what it allows goes at once, the rest evenly, and what would be too late not at all."""

from __future__ import annotations

from itertools import pairwise

import trio
from trio.testing import MockClock

from execlayer.orders.pace import Pace


class Asked:
    """Who asks, and when each request went or was given up."""

    def __init__(self, pace: Pace) -> None:
        self.pace = pace
        self.went: list[tuple[int, float]] = []
        self.gone: list[int] = []

    def ask(self, number: int) -> None:
        self.pace.ask(
            lambda: self.went.append((number, round(trio.current_time(), 6))), lambda: self.gone.append(number)
        )


async def started(nursery: trio.Nursery, per_second: float, patience_seconds: float) -> Asked:
    asked = Asked(Pace(per_second, patience_seconds))
    nursery.start_soon(asked.pace.run)
    await trio.testing.wait_all_tasks_blocked()
    return asked


async def test_a_seconds_worth_goes_at_once_and_the_rest_evenly_in_order(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    asked = await started(nursery, 10, 5)
    begin = trio.current_time()
    for number in range(25):
        asked.ask(number)
    assert [number for number, _ in asked.went] == list(range(10))
    await trio.sleep(3)
    assert [number for number, _ in asked.went] == list(range(25))
    times = [at - begin for _, at in asked.went[10:]]
    assert all(abs(later - earlier - 0.1) < 1e-6 for earlier, later in pairwise(times))
    assert (asked.pace.delayed, asked.pace.dropped, asked.gone) == (15, 0, [])
    asked.ask(25)
    assert asked.went[-1][0] == 25


async def test_what_could_not_go_in_time_is_given_up_at_once_and_counted(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    asked = await started(nursery, 2, 1)
    for number in range(6):
        asked.ask(number)
    assert asked.gone == [4, 5]
    await trio.sleep(2)
    assert [number for number, _ in asked.went] == [0, 1, 2, 3]
    assert (asked.pace.delayed, asked.pace.dropped) == (4, 2)


async def test_a_relay_that_allows_less_than_one_a_second_is_asked_all_the_same(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    asked = await started(nursery, 0.5, 10)
    begin = trio.current_time()
    for number in range(3):
        asked.ask(number)
    await trio.sleep(10)
    assert [(number, at - begin) for number, at in asked.went] == [(0, 0), (1, 2), (2, 4)]


async def test_what_waited_beyond_its_time_is_given_up(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    asked = Asked(Pace(4, 1))
    for number in range(6):
        asked.ask(number)
    # Nobody served it for a while: the event loop was busy.
    await trio.sleep(5)
    nursery.start_soon(asked.pace.run)
    await trio.sleep(1)
    assert [number for number, _ in asked.went] == [0, 1, 2, 3]
    assert asked.gone == [4, 5]

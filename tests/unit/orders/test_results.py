"""Who takes results, what counts as delivered, and what looks on without taking any."""

from __future__ import annotations

import trio
import trio.testing

from execlayer.orders.monitor import Monitor
from execlayer.orders.results import Results

from . import twin

FRAMES = [(number, bytes([number])) for number in range(1, 6)]


class Outbox:
    """What the core would hold."""

    def __init__(self) -> None:
        self.delivered: list[int] = []
        self.results = Results(self.read, self.delivered.append)

    def read(self, first: int, limit: int) -> list[tuple[int, bytes]]:
        return [one for one in FRAMES if one[0] >= first][:limit]


def test_a_result_is_delivered_once_all_that_are_connected_have_it() -> None:
    outbox = Outbox()
    with outbox.results.consumer() as slow:
        with outbox.results.consumer(2) as quick:
            assert (slow.take(), quick.take()) == ([one for _, one in FRAMES], [one for _, one in FRAMES[2:]])
            quick.acknowledge(5)
            assert outbox.delivered == []
            slow.acknowledge(3)
            assert outbox.delivered == [3]
        slow.acknowledge(1)
        assert outbox.delivered == [3]
        # The quick one is gone: only the slow one is waited for.
        slow.acknowledge(99)
        assert outbox.delivered == [3, 5]


def test_what_was_not_given_can_not_be_acknowledged() -> None:
    outbox = Outbox()
    with outbox.results.consumer() as one:
        one.acknowledge(4)
        assert outbox.delivered == []


def test_whoever_looks_on_delivers_nothing_but_is_waited_for() -> None:
    outbox = Outbox()
    with outbox.results.consumer(watches=True) as watcher:
        watcher.take()
        watcher.acknowledge(5)
        assert outbox.delivered == []
        with outbox.results.consumer() as one:
            one.take()
            one.acknowledge(2)
            assert outbox.delivered == [2]


async def test_a_follower_hears_of_what_comes_later(autojump_clock: trio.testing.MockClock) -> None:
    held: list[tuple[int, bytes]] = []
    delivered: list[int] = []
    results = Results(lambda first, limit: [one for one in held if one[0] >= first][:limit], delivered.append)
    heard: list[bytes] = []

    async def follow() -> None:
        async for one in results.follow():
            heard.append(one)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(follow)
        await trio.testing.wait_all_tasks_blocked()
        for step in FRAMES[:3]:
            held.append(step)
            results.tell()
            await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert heard == [one for _, one in FRAMES[:3]]
    assert delivered == [1, 2, 3]


def test_a_final_result_is_timed_or_kept_and_an_update_is_neither() -> None:
    def told(kind: int, state: int) -> bytes:
        status = bytearray(48)
        status[22], status[40:48] = state, (3 * 10**9).to_bytes(8, "little")
        made = twin.encode(kind, 1, 0, 0, [(0x101, bytes(status))])
        assert twin.status(twin.decode(made)[1][0x101][0])["state"] == state
        return made

    monitor = Monitor()
    for kind, state in ((0x11, 3), (0x10, 4), (0x10, 5)):
        monitor.note_result(told(kind, state))
    assert monitor.times["confirmation_time"].count == 1
    assert 2 < monitor.times["confirmation_time"].quantile(0.5) <= 6
    assert list(monitor.failed) == [told(0x10, 5)]

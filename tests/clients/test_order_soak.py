"""The soak, short: what runs for an hour has to run at all, and has to see what is wrong."""

from __future__ import annotations

import pytest

from asv_bench.soak.__main__ import Told, grown, soak


@pytest.mark.timeout(120)
def test_a_short_soak_loses_nothing_and_its_memory_stays_flat() -> None:
    told = soak(0.2, 50)
    assert told.wrong == []
    assert told.signals == told.completed > 500
    assert 0 < told.memory_mib_most < 512


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"completed": 9}, "9 of 10 completed"),
        ({"failed": 1}, "1 failed"),
        ({"repeated": 1}, "1 repeated"),
        ({"memory_mib_end": 119.0}, "memory grew from 100 to 119 MiB"),
        ({"memory_mib_grown": 2.1}, "memory grew by 2.1 MiB"),
    ],
)
def test_what_is_wrong_is_seen(changes: dict[str, float], reason: str) -> None:
    right = {"signals": 10, "completed": 10, "memory_mib_start": 100.0, "memory_mib_end": 118.0}
    assert Told(1.0, **right).wrong == []  # type: ignore[arg-type]
    [wrong] = Told(1.0, **{**right, **changes}).wrong  # type: ignore[arg-type]
    assert reason in wrong


def test_growth_is_seen_through_what_goes_up_and_down() -> None:
    waves = [50.0 + second % 7 for second in range(700)]
    assert abs(grown(waves)) < 0.1
    assert 2.9 < grown([value + 3 * second / 700 for second, value in enumerate(waves)]) < 3.1
    assert grown([]) == grown([50.0]) == 0

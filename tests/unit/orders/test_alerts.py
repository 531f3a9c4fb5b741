"""Alerts reach the program that is named; one that hangs or fails holds nothing up."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import trio

from execlayer.orders.alerts import Alerts, log_alert
from execlayer.orders.monitor import Alert

from .test_keys import settings_with

ALERT = Alert("critical", "lane_frozen", 7, "somebody else uses the key", 1)


def alerts(folder: Path, *command: str, **changes: Any) -> Alerts:
    table = {"command": list(command), **changes}
    return Alerts(settings_with(folder, alerts=table, channels={"monitoring": 2}))


async def test_each_alert_is_given_as_json(tmp_path: Path) -> None:
    out = tmp_path / "out"
    program = f"import sys; open({str(out)!r}, 'a').write(sys.stdin.read() + '\\n')"
    told = alerts(tmp_path, sys.executable, "-c", program)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(told.run)
        told.tell(ALERT)
        told.tell(ALERT)
        with trio.fail_after(20):
            while not out.exists() or len(out.read_text().splitlines()) < 2:  # noqa: ASYNC110  # another process
                await trio.sleep(0.02)
        nursery.cancel_scope.cancel()
    first = json.loads(out.read_text().splitlines()[0])
    assert (first["level"], first["name"], first["order_id"]) == ("critical", "lane_frozen", 7)


@pytest.mark.parametrize(
    "command", [["no-such-program"], [sys.executable, "-c", "raise SystemExit(1)"], ["sleep", "60"]]
)
async def test_a_program_that_does_not_take_it_is_told_of(
    command: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told = alerts(tmp_path, *command, timeout="200ms")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(told.run)
        told.tell(ALERT)
        with trio.fail_after(20):
            while "did not take an alert" not in caplog.text:  # noqa: ASYNC110  # the log wakes nobody
                await trio.sleep(0.02)
        nursery.cancel_scope.cancel()
    assert caplog.text.count(command[0]) >= 1


def test_a_full_queue_is_told_of_and_no_program_needs_none(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    told = alerts(tmp_path, "cat")
    for _ in range(3):
        told.tell(ALERT)
    assert caplog.text.count("nobody takes alerts") == 1
    alerts(tmp_path).tell(ALERT)
    log_alert(ALERT)
    assert caplog.text.count("lane_frozen: somebody else uses the key") == 1

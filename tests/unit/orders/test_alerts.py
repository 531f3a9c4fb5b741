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
    return Alerts(settings_with(folder, alerts=table).alerts, 2)


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


async def posted(folder: Path, status: bytes) -> tuple[list[bytes], Alerts]:
    """What a web server was sent that answers with this status."""
    bodies: list[bytes] = []

    async def serve(stream: trio.SocketStream) -> None:
        held = b""
        while b"\r\n\r\n" not in held or len(held.split(b"\r\n\r\n", 1)[1]) < _length(held):
            held += bytes(await stream.receive_some())
        bodies.append(held.split(b"\r\n\r\n", 1)[1])
        await stream.send_all(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")

    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}/hook/secret"
    told = alerts(folder, webhook={"url": url})
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        nursery.start_soon(told.run)
        told.tell(ALERT)
        with trio.fail_after(20):
            await told.flush()
        nursery.cancel_scope.cancel()
    return bodies, told


def _length(held: bytes) -> int:
    head = held.split(b"\r\n\r\n", 1)[0].lower()
    return int(head.split(b"content-length:")[1].split(b"\r\n")[0])


async def test_an_alert_is_posted_to_an_address(tmp_path: Path) -> None:
    [body], _ = await posted(tmp_path, b"200 OK")
    assert json.loads(body)["text"] == ALERT.text


async def test_an_address_that_refuses_is_told_of_without_its_secret(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    await posted(tmp_path, b"500 Internal Server Error")
    assert "did not take an alert" in caplog.text and "secret" not in caplog.text


async def test_who_is_told_can_change(tmp_path: Path) -> None:
    told = alerts(tmp_path, "no-such-program")
    told.use(settings_with(tmp_path).alerts)
    told.tell(ALERT)
    await told.flush()
    assert told._take.statistics().current_buffer_used == 0


def test_alerts_are_not_posted_over_what_is_no_web(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="can't be posted over wss"):
        alerts(tmp_path, webhook={"url": "wss://example.org"})

"""Alerts on their way to people: each goes to the program that the settings name, one after the other.

A program that hangs or fails holds nothing up: alerts that find the queue full are only in the log.
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict
from subprocess import CalledProcessError

import trio

from .monitor import Alert
from .settings import OrderSettings

log = logging.getLogger(__name__)


def log_alert(alert: Alert) -> None:
    """Says it where the process's log goes."""
    log.log(logging.ERROR if alert.level == "critical" else logging.WARNING, "%s: %s", alert.name, alert.text)


class Alerts:
    """One engine's."""

    def __init__(self, settings: OrderSettings) -> None:
        self._command = settings.alerts.command
        self._timeout_seconds = settings.alerts.timeout / 1e9
        self._give, self._take = trio.open_memory_channel[Alert](settings.channels.monitoring)

    def tell(self, alert: Alert) -> None:
        """Queues one."""
        if self._command:
            try:
                self._give.send_nowait(alert)
            except trio.WouldBlock:
                log.warning("nobody takes alerts: %s", self._command[0])

    async def run(self) -> None:
        """Tells until cancelled."""
        async for alert in self._take:
            try:
                with trio.fail_after(self._timeout_seconds):
                    told = json.dumps(asdict(alert)).encode()
                    await trio.run_process(self._command, stdin=told, capture_stdout=True, capture_stderr=True)
            except (OSError, CalledProcessError, trio.TooSlowError) as error:
                log.warning("%s did not take an alert: %s", self._command[0], error)

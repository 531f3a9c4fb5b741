"""Alerts on their way to people: to the log at once, then to whom the settings name (a program, a web address), one
alert after the other.

A program that hangs or an address that refuses holds nothing up: alerts that find the queue full are only in the log.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from functools import partial
from subprocess import CalledProcessError

import trio

from ..upstream import Answer, Client, Endpoint, UpstreamError
from ..upstream.endpoint import Connector, connect
from .monitor import Alert
from .settings import People

log = logging.getLogger(__name__)

Sink = Callable[[bytes], Awaitable[None]]


class NotTaken(Exception):
    """Who was to be told did not want to hear it."""


def log_alert(alert: Alert) -> None:
    """Says it where the process's log goes."""
    log.log(logging.ERROR if alert.level == "critical" else logging.WARNING, "%s: %s", alert.name, alert.text)


class Alerts:
    """One engine's."""

    def __init__(self, people: People, waiting_max: int, *, connect: Connector = connect) -> None:
        self._connect = connect
        self._busy = False
        self._told = trio.Event()
        self._give, self._take = trio.open_memory_channel[Alert](waiting_max)
        self.use(people)

    def use(self, people: People) -> None:
        """Tells these from now on."""
        self._timeout_seconds = people.timeout / 1e9
        self._sinks: dict[str, Sink] = {}
        if people.command:
            self._sinks[people.command[0]] = partial(_run, list(people.command))
        if people.webhook is not None:
            self._sinks[people.webhook.name] = partial(_post, people.webhook, self._connect)

    def tell(self, alert: Alert) -> None:
        """Queues one."""
        if self._sinks:
            try:
                self._give.send_nowait(alert)
            except trio.WouldBlock:
                log.warning("nobody takes alerts: %s", ", ".join(self._sinks))

    async def run(self) -> None:
        """Tells until cancelled."""
        async for alert in self._take:
            self._busy = True
            told = json.dumps(asdict(alert)).encode()
            for name, sink in [*self._sinks.items()]:
                try:
                    with trio.fail_after(self._timeout_seconds):
                        await sink(told)
                except (OSError, CalledProcessError, trio.TooSlowError, UpstreamError, NotTaken) as error:
                    log.warning("%s did not take an alert: %s", name, error)
            self._busy = False
            if not self._take.statistics().current_buffer_used:
                self._told.set()

    async def flush(self) -> None:
        """Until everything queued was told, each within its time."""
        if self._sinks and (self._busy or self._take.statistics().current_buffer_used):
            self._told = trio.Event()
            await self._told.wait()


async def _run(command: list[str], told: bytes) -> None:
    """A program gets it on its standard input."""
    await trio.run_process(command, stdin=told, capture_stdout=True, capture_stderr=True)


async def _post(endpoint: Endpoint, connect: Connector, told: bytes) -> None:
    """An address of the web gets it as a request's body."""
    found: Answer | UpstreamError
    async with trio.open_nursery() as nursery:
        client = await nursery.start(Client(endpoint, connect=connect).run)
        try:
            found = await client.exchange(told)
        except UpstreamError as error:
            found = error
        nursery.cancel_scope.cancel()
    if isinstance(found, UpstreamError):
        raise found
    if not found.is_accepted:
        raise NotTaken(f"HTTP status {found.status}")

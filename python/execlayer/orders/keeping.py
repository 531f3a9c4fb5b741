"""The journal's upkeep: syncs each 10 ms, snapshots, and copies of both for a second disk."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import trio

from .. import _core
from .monitor import Monitor
from .settings import OrderSettings

SYNC_SECONDS = 0.01
SNAPSHOT_RECORDS = 100_000
"""So many records after the last snapshot the next one is due, however little time has passed."""


class Keeper:
    """One engine's. It asks for the core each time and keeps none: whoever holds a core holds its senders, and a thread
    that has given its result still holds what it was started with for a moment."""

    def __init__(self, settings: OrderSettings, core: Callable[[], _core.OrderEngine], monitor: Monitor) -> None:
        self._settings, self._core, self._monitor = settings, core, monitor
        self._synced = 0

    async def run(self) -> None:
        """Keeps up until cancelled. *Errors*: :class:`~execlayer.errors.JournalError`: nothing may go on then."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._sync)
            nursery.start_soon(self._snapshot)
            if self._settings.journal.backup_dir is not None:
                nursery.start_soon(self._backup, self._settings.journal.backup_dir)

    def close(self) -> None:
        """The last of each; for a thread."""
        self.snapshot()
        self.sync()

    def sync(self) -> None:
        """Makes what was written survive a loss of power; for a thread."""
        self._core().sync()

    def snapshot(self) -> None:
        """Writes one; for a thread."""
        self._core().snapshot()

    async def _sync(self) -> None:
        while True:
            await trio.sleep(SYNC_SECONDS)
            newest = self._core().next_record
            if newest != self._synced:
                began = time.monotonic()
                await trio.to_thread.run_sync(self.sync)
                self._synced = newest
                self._monitor.times["journal_sync_time"].note(time.monotonic() - began)

    async def _snapshot(self) -> None:
        """After some time or many records, whichever is first."""
        every = self._settings.journal.snapshot / 1e9
        taken_at, taken = trio.current_time(), self._core().next_record
        while True:
            await trio.sleep(min(every, 1.0))
            newest = self._core().next_record
            due = trio.current_time() - taken_at >= every or newest - taken >= SNAPSHOT_RECORDS
            if due and newest != taken:
                await trio.to_thread.run_sync(self.snapshot)
                taken_at, taken = trio.current_time(), newest

    async def _backup(self, target: Path) -> None:
        while True:
            await trio.to_thread.run_sync(back_up, self._settings, target)
            await trio.sleep(self._settings.journal.backup_every / 1e9)


def back_up(settings: OrderSettings, target: Path) -> int:
    """Copies what is new of the journal, and the settings (which name keys and hold none); how many files that were.

    A segment only grows, so a copy that is as long is as good. Each file appears whole: it is copied aside first.
    """
    target.mkdir(parents=True, exist_ok=True)
    copied = 0
    for source in sorted(settings.journal.dir.glob("*.xl*")):
        copy = target / source.name
        if copy.exists() and copy.stat().st_size == source.stat().st_size:
            continue
        aside = copy.with_suffix(copy.suffix + ".part")
        shutil.copyfile(source, aside)
        aside.replace(copy)
        copied += 1
    (target / "settings.json").write_text(
        settings.model_dump_json(indent=2, exclude={"rpc_endpoints", "mev_protection"})
    )
    return copied

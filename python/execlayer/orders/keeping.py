"""The journal's upkeep: syncs each 10 ms, snapshots, copies of both for a second disk, and the end of what is old."""

from __future__ import annotations

import json
import logging
import math
import shutil
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from subprocess import CalledProcessError

import trio

from .. import _core
from .monitor import Monitor
from .settings import OrderSettings

log = logging.getLogger(__name__)

SYNC_SECONDS = 0.01
RETIRE_SECONDS = 3_600.0
SNAPSHOT_RECORDS = 100_000
"""So many records after the last snapshot the next one is due, however little time has passed."""


class Keeper:
    """One engine's. It asks for the core each time and keeps none: whoever holds a core holds its senders, and a thread
    that has given its result still holds what it was started with for a moment."""

    def __init__(self, settings: OrderSettings, core: Callable[[], _core.OrderEngine], monitor: Monitor) -> None:
        self._settings, self._core, self._monitor = settings, core, monitor
        self._synced = 0
        self.idle = trio.Lock()
        """Whoever holds it has the core alone: no thread of ours is in it."""

    async def run(self) -> None:
        """Keeps up until cancelled. *Errors*: :class:`~execlayer.errors.JournalError`: nothing may go on then."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._sync)
            nursery.start_soon(self._snapshot)
            nursery.start_soon(self._retire)
            if self._settings.journal.backup_dir is not None or self._settings.journal.backup_command:
                nursery.start_soon(self._backup)

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
                async with self.idle:
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
                async with self.idle:
                    await trio.to_thread.run_sync(self.snapshot)
                taken_at, taken = trio.current_time(), newest

    async def _backup(self) -> None:
        """Every so often, and whenever a segment is full."""
        journal = self._settings.journal
        done_at, segment, known = -math.inf, "", dict[str, int]()
        while True:
            newest = max((one.name for one in journal.dir.glob("*.xlj")), default="")
            if newest != segment or trio.current_time() - done_at >= journal.backup_every / 1e9:
                done_at, segment = trio.current_time(), newest
                if journal.backup_dir is not None:
                    await trio.to_thread.run_sync(back_up, self._settings, journal.backup_dir)
                if journal.backup_command:
                    known = await self._tell_grown(known)
            await trio.sleep(min(1.0, journal.backup_every / 1e9))

    async def _tell_grown(self, known: dict[str, int]) -> dict[str, int]:
        """Has the program look after what is new; what it did not do it is told of again."""
        journal = self._settings.journal
        sizes = {str(one): one.stat().st_size for one in sorted(journal.dir.glob("*.xl*"))}
        files = [path for path, size in sizes.items() if known.get(path) != size]
        told = json.dumps({"journal": str(journal.dir), "files": files}).encode()
        try:
            with trio.fail_after(journal.backup_every / 1e9):
                await trio.run_process(
                    list(journal.backup_command), stdin=told, capture_stdout=True, capture_stderr=True
                )
        except (OSError, CalledProcessError, trio.TooSlowError) as error:
            log.warning("%s did not take a backup: %s", journal.backup_command[0], error)
            return known
        return sizes

    async def _retire(self) -> None:
        """Has old records go, here and in the copy."""
        journal = self._settings.journal
        while True:
            for folder in (journal.dir, journal.backup_dir):
                if folder is not None and folder.is_dir():
                    oldest = time.time() - journal.retain / 1e9
                    for gone in await trio.to_thread.run_sync(retire, folder, oldest, int(journal.retain_bytes)):
                        log.info("%s is old and went", gone)
            await trio.sleep(RETIRE_SECONDS)


def number(path: Path) -> int:
    """The record that a file of the journal begins with, or stands for."""
    return int(path.stem.rpartition("-")[2])


def retire(folder: Path, oldest_unix: float, bytes_max: int) -> list[Path]:
    """Removes segments from the oldest on, while they are older or all together are more than this, and all snapshots
    but the last two. What the older one of those needs to start from stays, however old it is."""
    segments, snapshots = sorted(folder.glob("journal-*.xlj")), sorted(folder.glob("snapshot-*.xls"))
    gone = snapshots[:-2]
    needed = number(snapshots[-2]) + 1 if len(snapshots) > 1 else 0
    total = sum(one.stat().st_size for one in segments)
    for segment, following in pairwise(segments):
        is_wanted = segment.stat().st_mtime >= oldest_unix and total <= bytes_max
        if is_wanted or number(following) > needed:
            break
        total -= segment.stat().st_size
        gone.append(segment)
    for one in gone:
        one.unlink()
    return gone


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
        settings.model_dump_json(indent=2, exclude={"rpc_endpoints", "mev_protection", "alerts"})
    )
    return copied

"""An engine's journal after the fact: proved, played with other settings, restored. None of it needs the engine, and
none of it changes the journal.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import _core
from ..errors import ExeclayerError
from .keeping import number
from .monitor import LANE, Monitor, derived, failed
from .reports import FAILURES, report
from .settings import OrderSettings

COMPARED = (
    *("signals_received", "orders_created", "orders_submitted", "orders_completed", "orders_failed", "replacements"),
    *("cancels", "total_gas_wei", "total_realized_wei"),
)
"""Figures that two histories are compared by."""

RESULTS_READ = 10_000
"""Results that nobody has taken and that are looked at for failures."""


class JournalEmpty(ExeclayerError):
    """There is nothing in the folder."""

    path: str


class RestoreFailed(ExeclayerError):
    """A restored journal is not the one that was kept."""

    figure: str
    expected: Any
    actual: Any


def _named(figures: dict[str, Any]) -> dict[str, Any]:
    return {**figures, "failures": {FAILURES[code]: count for code, count in figures["failures"]}}


def verify(settings: OrderSettings, keys: list[_core.Key], folder: Path | None = None) -> dict[str, Any]:
    """Plays the journal again and compares each decision and each signed byte; the figures that come out, and under
    ``first_record`` where it began: at 1, or after the oldest snapshot where older records have gone with time.

    *Errors*: :class:`~execlayer.errors.JournalDiverged` with the first record that differs, :class:`JournalEmpty`,
    :class:`~execlayer.errors.JournalRetired` where no snapshot is left to begin from.
    """
    folder = folder or settings.journal.dir
    figures = _core.verify_orders(str(folder), settings.chain_id, keys) if folder.is_dir() else None
    if figures is None:
        raise JournalEmpty(f"no journal in {folder}", path=str(folder))
    return _named(figures)


@dataclass(frozen=True, slots=True)
class WhatIf:
    """What other settings would have made of a journal."""

    figures: dict[str, tuple[Any, Any]]
    """Each as it was, and as it would have been."""

    orders: list[dict[str, Any]]
    """Orders that would have gone another way: ``order_id``, and under ``was`` and ``would`` their state, failure,
    transactions signed, highest fee and profit."""


def what_if(settings: OrderSettings, keys: list[_core.Key], other: OrderSettings) -> WhatIf:
    """What other settings would have made of the same signals and the same chain.

    The world is taken to answer the other engine as it answered this one; what this one never did, nobody answers.
    """
    was = verify(settings, keys)
    figures = _core.replay_orders(str(settings.journal.dir), settings.chain_id, keys, other.core_settings())
    assert figures is not None, "it was verified just now"
    would = _named(figures)
    return WhatIf({name: (was[name], would[name]) for name in (*COMPARED, "failures")}, figures["orders"])


@dataclass(frozen=True, slots=True)
class Drill:
    """A restore that worked."""

    files: int
    figures: dict[str, Any]
    live_orders: int


def drill(settings: OrderSettings, keys: list[_core.Key]) -> Drill:
    """Restores the newest copy (the journal itself where there are no copies) into a folder of its own, twice: from its
    newest snapshot, as an engine starts, and as :func:`verify` does, from the first record or the oldest snapshot. Both
    must agree in every figure.

    *Errors*: :class:`RestoreFailed`, and those of :func:`verify`.
    """
    source = settings.journal.backup_dir or settings.journal.dir
    files = sorted(source.glob("*.xl*")) if source.is_dir() else []
    if not files:
        raise JournalEmpty(f"nothing to restore in {source}", path=str(source))
    with tempfile.TemporaryDirectory() as scratch:
        restored = Path(scratch) / "journal"
        _copy(files, restored)
        proved = verify(settings, keys, restored)
        started, live = _started(settings, keys, restored)
    for name in COMPARED:
        if proved[name] != started[name]:
            older = f"record {proved['first_record']} on"
            text = f"{name} is {started[name]} from the newest snapshot, {proved[name]} from {older}"
            raise RestoreFailed(text, figure=name, expected=proved[name], actual=started[name])
    return Drill(len(files), proved, live)


def picture(settings: OrderSettings) -> dict[str, Any]:
    """What a journal says of its engine, in the form of a running one's answer to ``status``. What no journal knows
    (times, nodes, alerts) is empty. *Errors*: :class:`JournalEmpty`, those of a start."""
    folder = settings.journal.dir
    segments, snapshots = sorted(folder.glob("journal-*.xlj")), sorted(folder.glob("snapshot-*.xls"))
    if not segments:
        raise JournalEmpty(f"no journal in {folder}", path=str(folder))
    start = number(snapshots[-1]) if snapshots else 0
    # The last segment that begins at the start, or before; and what comes after it.
    first = max((one for one in segments if number(one) <= start + 1), default=segments[0])
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "journal"
        _copy([*snapshots[-1:], *(one for one in segments if one >= first)], copy)
        engine = _open(settings, [], copy)
        stats, subs = _named(engine.stats()), Counter(row[4] for row in engine.orders())
        lanes: list[dict[str, Any]] = [dict(zip(LANE, row, strict=True)) for row in engine.lanes()]
        told = [report(frame) for _, frame in engine.results(0, RESULTS_READ)]
        del engine
    ended = [one for one in told if one.kind == "result" and one.status is not None and one.status.failure]
    stats |= derived(stats, stats["failures"])
    return {
        **stats,
        "environment": settings.environment,
        "chain_id": settings.chain_id,
        "ready": 0,
        "addresses": [],
        "signals_waiting": 0,
        "orders": dict(subs),
        "lanes": lanes,
        "times": {},
        "alerts": [],
        "recent_failures": [failed(one) for one in ended],
        "success_rate": Monitor().success_rate(stats),
        "landing_rate": {},
        "endpoints_up": None,
        "memory_bytes": None,
    }


def _copy(files: list[Path], folder: Path) -> None:
    folder.mkdir()
    for file in files:
        shutil.copyfile(file, folder / file.name)


def _started(settings: OrderSettings, keys: list[_core.Key], folder: Path) -> tuple[dict[str, Any], int]:
    """The figures of an engine that starts on a journal, and how many orders are live."""
    engine = _open(settings, keys, folder)
    return _named(engine.stats()), len(engine.orders())


def _open(settings: OrderSettings, keys: list[_core.Key], folder: Path) -> _core.OrderEngine:
    return _core.OrderEngine(
        str(folder),
        lock_folder=str(folder.with_suffix(".locks")),
        chain_id=settings.chain_id,
        contract=settings.contract,
        recipient=settings.recipient,
        keys=keys,
        endpoints=[],
        **settings.core_terms(),
        allowed=list(settings.allowed),
        engine_id=settings.engine_id,
    )

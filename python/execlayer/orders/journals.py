"""An engine's journal after the fact: proved, played with other settings, restored. None of it needs the engine, and
none of it changes the journal.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import _core
from ..errors import ExeclayerError
from .reports import FAILURES
from .settings import OrderSettings

COMPARED = (
    *("signals_received", "orders_created", "orders_submitted", "orders_completed", "orders_failed", "replacements"),
    *("cancels", "total_gas_wei", "total_realized_wei"),
)
"""Figures that two histories are compared by."""


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
    """Plays the whole journal again and compares each decision and each signed byte; the figures that come out.

    *Errors*: :class:`~execlayer.errors.JournalDiverged` with the first record that differs, :class:`JournalEmpty`.
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
    """Restores the newest copy (the journal itself where there are no copies) into a folder of its own: once from its
    snapshot, as an engine starts, once from the first record. Both must agree in every figure.

    *Errors*: :class:`RestoreFailed`, and those of :func:`verify`.
    """
    source = settings.journal.backup_dir or settings.journal.dir
    files = sorted(source.glob("*.xl*")) if source.is_dir() else []
    if not files:
        raise JournalEmpty(f"nothing to restore in {source}", path=str(source))
    with tempfile.TemporaryDirectory() as scratch:
        restored = Path(scratch) / "journal"
        restored.mkdir()
        for file in files:
            shutil.copyfile(file, restored / file.name)
        proved = verify(settings, keys, restored)
        engine = _core.OrderEngine(
            str(restored),
            lock_folder=str(Path(scratch) / "locks"),
            chain_id=settings.chain_id,
            contract=settings.contract,
            recipient=settings.recipient,
            keys=keys,
            endpoints=[],
            settings=settings.core_settings(),
            allowed=list(settings.allowed),
            prices=dict(settings.prices),
            engine_id=settings.engine_id,
        )
        started = _named(engine.stats())
        live = len(engine.orders())
        del engine
    for name in COMPARED:
        if proved[name] != started[name]:
            text = f"{name} is {started[name]} from the snapshot, {proved[name]} from the first record"
            raise RestoreFailed(text, figure=name, expected=proved[name], actual=started[name])
    return Drill(len(files), proved, live)

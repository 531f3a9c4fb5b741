"""Settings that a running engine takes over: limits, fees, prices and alerts. Everything else needs a restart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..config import Settings
from .settings import OrderSettings

TAKEN = (
    *("limits", "replacement", "alerts", "prices", "mev_protection.min_priority_fee"),
    "submission_strategy.fallback_gas_multiplier",
    *(f"execution_engine.{name}" for name in ("max_gas_price", "net_ratio_bps", "min_net_profit_wei", "slippage_bps")),
)
"""A table stands for all that is in it."""


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What became of other settings."""

    settings: OrderSettings
    """What holds now."""

    taken: tuple[str, ...]
    """Paths that have changed."""

    needs_restart: tuple[str, ...]
    """Paths that differ and stay as they were."""


def merge(old: OrderSettings, new: OrderSettings) -> Reloaded:
    """The old settings with what can be taken over of the new ones."""
    taken, left = [], []
    merged: Settings = old
    for path in differences(old, new):
        if any(path == one or path.startswith(f"{one}.") for one in TAKEN):
            taken.append(path)
            merged = _put(merged, new, path.split("."))
        else:
            left.append(path)
    assert isinstance(merged, OrderSettings)
    return Reloaded(merged, tuple(taken), tuple(left))


def differences(old: Settings, new: Settings, path: str = "") -> Iterator[str]:
    """The paths of all settings that are not the same."""
    for name in type(old).model_fields:
        before, after = getattr(old, name), getattr(new, name)
        if isinstance(before, Settings) and type(before) is type(after):
            yield from differences(before, after, f"{path}{name}.")
        elif before != after:
            yield path + name


def _put(into: Settings, source: Settings, path: list[str]) -> Settings:
    name, *rest = path
    value = getattr(source, name)
    return into.model_copy(update={name: _put(getattr(into, name), value, rest) if rest else value})

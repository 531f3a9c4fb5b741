"""When somebody is told: rules from a file over the engine's figures, looked at in the process itself.

The file that ships is ``alerts.toml`` beside this one. docs/orders/alerts.yml has the same rules for Prometheus: ``make
docs`` writes it. Knows no clock.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pydantic import model_validator

from ..config import Settings, read_settings
from .monitor import COUNTED, GAUGES, Histogram

SHIPPED = Path(__file__).with_name("alerts.toml")
AGAIN_SECONDS = 60.0
"""A rule that goes on to hold is told again after this; also how long what rises per minute is looked at."""

P99 = "signal_processing_p99"
FIGURES = frozenset({*COUNTED, *GAUGES, P99, "rpc_failures"})
"""What a rule may look at."""

Level: TypeAlias = Literal["critical", "warning"]


class Rule(Settings):
    """One figure against one bound."""

    level: Level
    name: str
    figure: str
    per_minute: bool = False
    """Whether its rise within a minute counts, not its value."""

    above: float | None = None
    below: float | None = None
    share_of: str | None = None
    """The bound is a share of this figure."""

    text: str
    """What is told; ``{value}`` is the figure."""

    @model_validator(mode="after")
    def _sound(self) -> Rule:
        unknown = {self.figure, self.share_of or self.figure} - FIGURES
        if unknown:
            raise ValueError(f"{', '.join(sorted(unknown))} is none of the figures: {', '.join(sorted(FIGURES))}")
        if (self.above is None) == (self.below is None):
            raise ValueError("one of above and below is wanted")
        try:
            self.text.format(value=0.0)
        except (LookupError, ValueError) as error:
            raise ValueError(f"its text can't be filled in: {error}") from None
        return self

    def holds(self, value: float, figures: Mapping[str, Any]) -> bool:
        """Whether the figure is beyond its bound."""
        share = float(figures[self.share_of]) if self.share_of is not None else 1.0
        if self.above is not None:
            return value > self.above * share
        assert self.below is not None
        return value < self.below * share


class Event(Settings):
    """What the engine says by itself, and how grave that is."""

    level: Level
    name: str


class Rules(Settings):
    """A file of them."""

    rule: tuple[Rule, ...] = ()
    event: tuple[Event, ...] = ()

    @property
    def levels(self) -> dict[str, Level]:
        """How grave each event is."""
        return {one.name: one.level for one in self.event}


def read_rules(path: Path | None = None) -> Rules:
    """The rules of a file, or those that ship. *Errors*: :class:`~execlayer.errors.InvalidConfig`."""
    return read_settings(Rules, path or SHIPPED)


class Rounds:
    """Looks at the rules from time to time: each is told when it begins to hold, and again after a minute."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self._told: dict[tuple[str, str], float] = {}
        self._past: deque[tuple[float, Mapping[str, Any], Histogram]] = deque()

    def look(self, now: float, figures: Mapping[str, Any], times: Histogram) -> list[tuple[Rule, str]]:
        """The rules that are to be told now, with their texts. ``times``: of signals, ever since the start."""
        while self._past and now - self._past[0][0] > AGAIN_SECONDS:
            self._past.popleft()
        self._past.append((now, figures, times.copy()))
        _, before, times_before = self._past[0]
        figures = {**figures, P99: times.since(times_before).quantile(0.99)}
        held: list[tuple[Rule, float]] = []
        for rule in self.rules.rule:
            value = float(figures[rule.figure])
            if rule.per_minute:
                value -= float(before[rule.figure])
            if rule.holds(value, figures):
                held.append((rule, value))
        # What is critical need not be warned of as well.
        critical = {rule.name for rule, _ in held if rule.level == "critical"}
        telling = []
        for rule, value in held:
            key = (rule.level, rule.name)
            covered = rule.level == "warning" and rule.name in critical
            if not covered and now - self._told.get(key, -AGAIN_SECONDS) >= AGAIN_SECONDS:
                self._told[key] = now
                telling.append((rule, rule.text.format(value=value)))
        return telling


# ---- for Prometheus -------------------------------------------------------------------------------------------------

PREFIX = "execlayer_orders_"


def _expression(rule: Rule) -> str:
    if rule.figure == P99:
        buckets = f"rate({PREFIX}signal_processing_time_seconds_bucket[1m])"
        left = f"histogram_quantile(0.99, {buckets})"
    elif rule.per_minute:
        left = f"sum(increase({PREFIX}{rule.figure.removeprefix('orders_')}_total[1m]))"
    else:
        left = PREFIX + rule.figure
    sign, bound = (">", rule.above) if rule.above is not None else ("<", rule.below)
    share = f" * {PREFIX}{rule.share_of}" if rule.share_of is not None else ""
    return f"{left} {sign} {bound:g}{share}"


def prometheus_rules(rules: Rules) -> str:
    """The same rules as a file for Prometheus."""
    told = [(rule.level, f"{rule.name}_{rule.level}", _expression(rule)) for rule in rules.rule]
    for event in rules.event:
        rose = f"sum(increase({PREFIX}alerts_total{{name='{event.name}'}}[1m])) > 0"
        told.append((event.level, event.name, rose))
    told.append(("critical", "not_ready", f"{PREFIX}ready == 0 or absent({PREFIX}ready)"))
    lines = [
        "# Rules for Prometheus, written by `make docs`; the engine looks at the same ones by itself.",
        "groups:",
        "  - name: execlayer_orders",
        "    rules:",
    ]
    for level, name, expression in told:
        lines += [f"      - alert: {name}", f"        labels: {{ level: {level} }}", f'        expr: "{expression}"']
    return "\n".join(lines) + "\n"


if __name__ == "__main__":  # for `make docs`
    sys.stdout.write(prometheus_rules(read_rules()))

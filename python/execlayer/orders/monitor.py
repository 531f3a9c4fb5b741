"""What an engine counts and times beside its core, and how it is shown: Prometheus text, quantiles, alert rules.

Knows no socket and no clock.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

BOUNDS_SECONDS: tuple[float, ...] = tuple(1e-6 * 2**step for step in range(28))
"""From a microsecond to two minutes, each twice the one before."""

TIMES = ("signal_processing_time", "ack_time", "confirmation_time", "presim_time", "journal_sync_time")
COUNTERS = ("capacity_rejections", "validation_failures", "timeout_failures", "signal_processing_errors", "sim_drift")
REFUSALS = (
    "InsufficientProfit",
    "StaleSignal",
    "GasPriceTooHigh",
    "InvalidParameters",
    "CapacityExceeded",
    "DuplicateSignal",
    "SimulationFailed",
    "PoolStateMismatch",
    "DeadlineExpired",
    "LimitExceeded",
    "Halted",
    "Unauthorized",
)
"""Failures of orders that were never sent."""

RESULT, COMPLETED = 0x10, 4
KIND_AT, STATUS_AT = 5, 44
STATUS_FIELD = (0x101).to_bytes(2, "little") + (48).to_bytes(2, "little")
"""Where a result's status lies in its frame (docs of ``rust/orders/src/wire``), and what stands in front of it."""

RECENT = 100
"""Alerts and failures that are kept for whoever looks."""


class Histogram:
    """Times, by powers of two."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_SECONDS) + 1)
        self.total_seconds = 0.0

    def note(self, seconds: float) -> None:
        """Counts one."""
        self.counts[bisect_left(BOUNDS_SECONDS, seconds)] += 1
        self.total_seconds += seconds

    @property
    def count(self) -> int:
        """How many."""
        return sum(self.counts)

    def quantile(self, share: float) -> float:
        """The bound below which this share lies; 0 of nothing."""
        wanted, seen = share * self.count, 0
        for place, count in enumerate(self.counts):
            seen += count
            if count and seen >= wanted:
                return BOUNDS_SECONDS[min(place, len(BOUNDS_SECONDS) - 1)]
        return 0.0

    def since(self, before: Histogram) -> Histogram:
        """What came after an earlier copy of this one."""
        later = Histogram()
        later.counts = [now - then for now, then in zip(self.counts, before.counts, strict=True)]
        later.total_seconds = self.total_seconds - before.total_seconds
        return later

    def copy(self) -> Histogram:
        """As it is now."""
        return self.since(Histogram())


@dataclass(frozen=True, slots=True)
class Alert:
    """Something that a person should know."""

    level: Literal["critical", "warning"]
    name: str
    order_id: int
    """0: none."""

    text: str
    unix_ns: int


@dataclass
class Monitor:
    """One engine's."""

    times: dict[str, Histogram] = field(default_factory=lambda: {name: Histogram() for name in TIMES})
    counters: Counter[str] = field(default_factory=Counter)
    rpc_failures: Counter[str] = field(default_factory=Counter)
    alerts: deque[Alert] = field(default_factory=lambda: deque(maxlen=RECENT))
    failed: deque[bytes] = field(default_factory=lambda: deque(maxlen=RECENT))
    """Results of orders that failed, as they were told."""

    def note_result(self, frame: bytes) -> None:
        """Looks at an order's last report, no further than needed: there may be thousands a second."""
        if frame[KIND_AT] != RESULT or frame[STATUS_AT - 4 : STATUS_AT] != STATUS_FIELD:
            return
        if frame[STATUS_AT + 22] == COMPLETED:
            since = int.from_bytes(frame[STATUS_AT + 40 : STATUS_AT + 48], "little")
            self.times["confirmation_time"].note(since / 1e9)
        else:
            self.failed.append(frame)


def success_rate(stats: Mapping[str, Any]) -> float:
    """Of orders that were sent, those that made it; 1 of none."""
    done, failed = stats["orders_completed"], stats["orders_failed_submitted"]
    return float(done / (done + failed)) if done + failed else 1.0


# ---- rules ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Interval:
    """What the rules look at: the figures now, how they have changed in the last minute, and times of that minute."""

    stats: Mapping[str, Any]
    rise: Mapping[str, float]
    p99_seconds: float


@dataclass(frozen=True, slots=True)
class Rule:
    """When to tell somebody; the same rules ship for Prometheus in docs/orders/alerts.yml."""

    level: Literal["critical", "warning"]
    name: str
    holds: Callable[[Interval], bool]
    text: Callable[[Interval], str]


RULES: tuple[Rule, ...] = (
    Rule(
        "critical",
        "success_rate",
        lambda now: now.stats["success_rate"] < 0.90,
        lambda now: f"{now.stats['success_rate']:.1%} of the orders that were sent made it",
    ),
    Rule(
        "warning",
        "success_rate",
        lambda now: 0.90 <= now.stats["success_rate"] < 0.95,
        lambda now: f"{now.stats['success_rate']:.1%} of the orders that were sent made it",
    ),
    Rule(
        "critical",
        "signal_processing_p99",
        lambda now: now.p99_seconds > 0.010,
        lambda now: f"one signal in a hundred takes more than {now.p99_seconds * 1e3:.1f} ms",
    ),
    Rule(
        "warning",
        "signal_processing_p99",
        lambda now: 0.005 < now.p99_seconds <= 0.010,
        lambda now: f"one signal in a hundred takes more than {now.p99_seconds * 1e3:.1f} ms",
    ),
    Rule(
        "critical",
        "rpc_failures",
        lambda now: now.rise["rpc_failures"] > 10,
        lambda now: f"{now.rise['rpc_failures']:.0f} failures of endpoints in a minute",
    ),
    Rule(
        "critical",
        "orders_failed",
        lambda now: now.rise["orders_failed_submitted"] > 5,
        lambda now: f"{now.rise['orders_failed_submitted']:.0f} orders that were sent failed in a minute",
    ),
    Rule(
        "warning",
        "validation_failures",
        lambda now: now.rise["validation_failures"] > 10,
        lambda now: f"{now.rise['validation_failures']:.0f} signals were refused in a minute",
    ),
    Rule(
        "warning",
        "active_orders",
        lambda now: now.stats["active_orders"] > 0.8 * now.stats["max_concurrent_orders"],
        lambda now: f"{now.stats['active_orders']} orders at once",
    ),
    Rule(
        "warning",
        "head_lag",
        lambda now: now.stats["head_lag_seconds"] > 24,
        lambda now: f"the newest block is {now.stats['head_lag_seconds']:.0f} s old",
    ),
    Rule("critical", "no_endpoint", lambda now: now.stats["endpoints_up"] == 0, lambda _: "no node answers"),
    Rule(
        "critical",
        "lane_frozen",
        lambda now: now.stats["lanes_frozen"] > 0,
        lambda now: f"{now.stats['lanes_frozen']} lanes are frozen",
    ),
)
RISING = ("rpc_failures", "orders_failed_submitted", "validation_failures")


# ---- Prometheus -----------------------------------------------------------------------------------------------------

_COUNTED = (
    *("signals_received", "orders_created", "orders_submitted", "orders_completed", "orders_failed", "duplicates"),
    *("sequence_gaps", "replacements", "cancels", "reorgs", "nonce_holes_filled", "submission_failures"),
    *(
        "orders_failed_submitted",
        "validation_failures",
        "timeout_failures",
        "capacity_rejections",
        "signal_processing_errors",
        "sim_drift",
    ),
)
_GAUGES = (
    *("active_orders", "queue_depth", "results_waiting", "head", "halted", "success_rate", "head_lag_seconds"),
    *("memory_bytes", "cpu_seconds", "ready", "endpoints_up", "lanes_frozen", "max_concurrent_orders"),
)


def prometheus(stats: Mapping[str, Any], monitor: Monitor) -> str:
    """All figures, in the text format of Prometheus."""
    lines: list[str] = []

    def put(name: str, kind: str, rows: list[tuple[str, float]]) -> None:
        lines.append(f"# TYPE execlayer_orders_{name} {kind}")
        lines.extend(f"execlayer_orders_{name}{labels} {value}" for labels, value in rows)

    for name in _COUNTED:
        put(f"{name.removeprefix('orders_')}_total", "counter", [("", stats[name])])
    put("failed_by_reason_total", "counter", [(f'{{reason="{name}"}}', n) for name, n in stats["failures"].items()])
    put("rpc_failures_total", "counter", [(f'{{endpoint="{n}"}}', v) for n, v in monitor.rpc_failures.items()])
    put("profit_wei", "gauge", [("", stats["total_realized_wei"])])
    put("gas_cost_wei", "gauge", [("", stats["total_gas_wei"])])
    for name in _GAUGES:
        # What the system does not tell is not told on.
        put(name, "gauge", [("", float(value)) for value in (stats[name],) if value is not None])
    put("lane_depth", "gauge", [(f'{{sender="{one["sender"]}"}}', one["depth"]) for one in stats["lanes"]])
    for name, histogram in monitor.times.items():
        rows, seen = [], 0
        for bound, count in zip((*BOUNDS_SECONDS, float("inf")), histogram.counts, strict=True):
            seen += count
            shown = "+Inf" if bound == float("inf") else f"{bound:.9g}"
            rows.append((f'_bucket{{le="{shown}"}}', float(seen)))
        rows += [("_sum", histogram.total_seconds), ("_count", float(histogram.count))]
        put(f"{name}_seconds", "histogram", rows)
    return "\n".join(lines) + "\n"

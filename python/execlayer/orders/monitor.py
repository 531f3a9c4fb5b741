"""What an engine counts and times beside its core, and how it is shown: Prometheus text, quantiles, rates.

Knows no socket and no clock.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from .reports import Report, report

BOUNDS_SECONDS: tuple[float, ...] = tuple(1e-6 * 2**step for step in range(28))
"""From a microsecond to two minutes, each twice the one before."""

TIMES = (
    *("signal_processing_time", "validation_time", "submission_time", "ack_time", "confirmation_time", "presim_time"),
    "journal_sync_time",
)
COUNTERS = ("timeout_failures", "signal_processing_errors", "signals_expired", "signals_crowded_out")
"""What is counted beside the core."""

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

BUNDLE_FIELD = (0x106).to_bytes(2, "little") + (60).to_bytes(2, "little")
"""What stands in front of each bundle of a result."""

HOUR_SECONDS = 3_600.0
"""How far back the success rate looks."""

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
    told: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Alerts, by level and name."""

    reorgs: Counter[int] = field(default_factory=Counter)
    """Reorganisations, by how many blocks were taken back."""

    bid: Counter[int] = field(default_factory=Counter)
    """Orders that have ended and that a relay (its number) had."""

    landed: Counter[int] = field(default_factory=Counter)
    """Those of them whose bundle is in the chain."""

    failed: deque[bytes] = field(default_factory=lambda: deque(maxlen=RECENT))
    """Results of orders that failed, as they were told."""

    _past: deque[tuple[float, int, int]] = field(default_factory=deque)
    """Completed and failed orders as they were, of the last hour."""

    def note_result(self, frame: bytes) -> None:
        """Looks at an order's last report, no further than needed: there may be thousands a second."""
        if frame[KIND_AT] != RESULT or frame[STATUS_AT - 4 : STATUS_AT] != STATUS_FIELD:
            return
        if BUNDLE_FIELD in frame:
            self._note_bundles(report(frame))
        if frame[STATUS_AT + 22] == COMPLETED:
            since = int.from_bytes(frame[STATUS_AT + 40 : STATUS_AT + 48], "little")
            self.times["confirmation_time"].note(since / 1e9)
        else:
            self.failed.append(frame)

    def _note_bundles(self, told: Report) -> None:
        # Corrections come with fills; the last report of an order itself has none.
        if told.status is None or told.fills:
            return
        relays = {one.relay for one in told.bundles}
        self.bid.update(relays)
        if told.status.state == "Completed" and told.attempts and told.attempts[-1].channel == "private":
            self.landed.update(relays)

    def sample(self, now: float, stats: Mapping[str, Any]) -> None:
        """Remembers how many orders have ended, for the rates of the last hour."""
        while self._past and now - self._past[0][0] > HOUR_SECONDS:
            self._past.popleft()
        self._past.append((now, *_ended(stats)))

    def success_rate(self, stats: Mapping[str, Any]) -> float:
        """Of the last hour's orders that were sent, those that made it; 1 of none. A bundle that no builder took cost
        nothing and counts for neither."""
        done, failed = _ended(stats)
        if self._past:
            done, failed = done - self._past[0][1], failed - self._past[0][2]
        return done / (done + failed) if done + failed else 1.0

    def landing_rates(self, names: Sequence[str]) -> dict[str, float]:
        """For each relay that had orders, the share of them that landed."""
        return {names[relay]: self.landed[relay] / count for relay, count in self.bid.items() if relay < len(names)}


LANE = ("sender", "confirmed", "next", "depth", "holes", "frozen", "paused", "balance")
"""What the core says of a lane, in its order."""


def derived(stats: Mapping[str, Any], failures: Mapping[str, int]) -> dict[str, Any]:
    """Figures that follow from the core's and from why orders failed."""
    refused = sum(failures.get(name, 0) for name in REFUSALS)
    reverted, completed = failures.get("TransactionReverted", 0), stats["orders_completed"]
    return {
        "failures": dict(failures),
        "validation_failures": refused,
        "capacity_rejections": failures.get("CapacityExceeded", 0),
        "limit_refusals": failures.get("LimitExceeded", 0),
        "orders_failed_submitted": stats["orders_failed"] - refused,
        "revert_rate": reverted / (reverted + completed) if reverted + completed else 0.0,
    }


def failed(told: Report) -> dict[str, Any]:
    """An order's failure, as it is shown."""
    assert told.status is not None
    reason = told.error.text if told.error else ""
    return {"order": told.status.order_id, "failure": told.status.failure, "reason": reason}


def _ended(stats: Mapping[str, Any]) -> tuple[int, int]:
    return stats["orders_completed"], stats["orders_failed_submitted"] - stats["failures"].get("MEVBundleFailed", 0)


# ---- Prometheus -----------------------------------------------------------------------------------------------------

COUNTED = (
    *("signals_received", "orders_created", "orders_submitted", "orders_completed", "orders_failed", "duplicates"),
    *("sequence_gaps", "replacements", "cancels", "reorgs", "nonce_holes_filled", "submission_failures"),
    *(
        "orders_failed_submitted",
        "validation_failures",
        "timeout_failures",
        "capacity_rejections",
        "signal_processing_errors",
        "signals_expired",
        "signals_crowded_out",
        "relay_requests_delayed",
        "relay_requests_dropped",
        "sim_drift",
        "limit_refusals",
    ),
)
GAUGES = (
    *(
        "active_orders",
        "queue_depth",
        "results_waiting",
        "head",
        "halted",
        "cut_off",
        "success_rate",
        "head_lag_seconds",
    ),
    *("memory_bytes", "cpu_seconds", "ready", "endpoints_up", "lanes_frozen", "max_concurrent_orders"),
    *("orders_affordable", "revert_rate", "signals_waiting"),
)


def prometheus(stats: Mapping[str, Any], monitor: Monitor) -> str:
    """All figures, in the text format of Prometheus."""
    lines: list[str] = []

    def put(name: str, kind: str, rows: list[tuple[str, float]]) -> None:
        lines.append(f"# TYPE execlayer_orders_{name} {kind}")
        lines.extend(f"execlayer_orders_{name}{labels} {value}" for labels, value in rows)

    for name in COUNTED:
        put(f"{name.removeprefix('orders_')}_total", "counter", [("", stats[name])])
    put("failed_by_reason_total", "counter", [(f'{{reason="{name}"}}', n) for name, n in stats["failures"].items()])
    put("rpc_failures_total", "counter", [(f'{{endpoint="{n}"}}', v) for n, v in monitor.rpc_failures.items()])
    put("reorgs_by_depth_total", "counter", [(f'{{depth="{n}"}}', v) for n, v in sorted(monitor.reorgs.items())])
    told = sorted(monitor.told.items())
    put("alerts_total", "counter", [(f'{{level="{level}",name="{name}"}}', n) for (level, name), n in told])
    put("landing_rate", "gauge", [(f'{{relay="{name}"}}', rate) for name, rate in stats["landing_rate"].items()])
    put("profit_wei", "gauge", [("", stats["total_realized_wei"])])
    put("gas_cost_wei", "gauge", [("", stats["total_gas_wei"])])
    for name in GAUGES:
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

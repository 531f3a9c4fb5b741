"""Figures: histograms, rules, and the page that Prometheus reads; the rules that ship name figures that exist."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from execlayer.orders.monitor import BOUNDS_SECONDS, HOUR_SECONDS, Histogram, Monitor, prometheus
from execlayer.orders.reports import report
from execlayer.orders.rules import prometheus_rules, read_rules

from . import twin

ALERTS = Path(__file__).resolve().parents[3] / "docs" / "orders" / "alerts.yml"
ZERO = (
    "signals_received",
    "orders_created",
    "orders_submitted",
    "orders_completed",
    "orders_failed",
    "duplicates",
    "sequence_gaps",
    "replacements",
    "cancels",
    "reorgs",
    "nonce_holes_filled",
    "submission_failures",
    "validation_failures",
    "timeout_failures",
    "capacity_rejections",
    "signal_processing_errors",
    "signals_expired",
    "signals_crowded_out",
    "signals_waiting",
    "relay_requests_delayed",
    "relay_requests_dropped",
    "cut_off",
    "sim_drift",
    "orders_failed_submitted",
    "active_orders",
    "queue_depth",
    "results_waiting",
    "head",
    "halted",
    "head_lag_seconds",
    "memory_bytes",
    "cpu_seconds",
    "lanes_frozen",
    "total_realized_wei",
    "total_gas_wei",
    "limit_refusals",
    "rpc_failures",
    "revert_rate",
)
CALM: dict[str, Any] = {
    **dict.fromkeys(ZERO, 0),
    "failures": {"StaleSignal": 2},
    "landing_rate": {"builder": 0.5},
    "orders_affordable": 1_000,
    "lanes": [{"sender": "0xab", "depth": 3}],
    "success_rate": 1.0,
    "endpoints_up": 1,
    "ready": 1,
    "max_concurrent_orders": 10,
}


@given(st.lists(st.floats(1e-6, 100), min_size=1), st.sampled_from([0.5, 0.9, 0.99, 1.0]))
def test_a_quantile_is_the_bound_above_the_true_one(times: list[float], share: float) -> None:
    histogram = Histogram()
    for one in times:
        histogram.note(one)
    ordered = sorted(times)
    true = ordered[max(0, -(-int(share * 1000) * len(ordered) // 1000) - 1)]
    found = histogram.quantile(share)
    assert true <= found <= max(2 * true, BOUNDS_SECONDS[0])
    assert histogram.count == len(times) and histogram.copy().since(histogram).count == 0


def test_of_nothing_there_is_no_quantile() -> None:
    assert Histogram().quantile(0.99) == 0


def ended(completed: int, failed: int, not_included: int = 0) -> dict[str, Any]:
    failures = {"MEVBundleFailed": not_included}
    return {"orders_completed": completed, "orders_failed_submitted": failed, "failures": failures}


def test_the_success_rate_is_the_last_hours_and_bundles_that_nobody_took_count_for_nothing() -> None:
    monitor = Monitor()
    assert monitor.success_rate(ended(0, 0)) == 1
    assert monitor.success_rate(ended(3, 1)) == 0.75
    assert monitor.success_rate(ended(3, 5, not_included=4)) == 0.75
    monitor.sample(0.0, ended(0, 10))
    monitor.sample(60.0, ended(3, 10))
    assert monitor.success_rate(ended(3, 11)) == 0.75
    monitor.sample(HOUR_SECONDS + 1, ended(3, 11))
    assert monitor.success_rate(ended(4, 11)) == 0.5


def private_result(order: int, state: int, *, correction: bool = False) -> bytes:
    """The last report of an order that the second endpoint had a bundle of."""
    sub, failure = (13, 0) if state == 4 else (15, 9)
    status = (
        order.to_bytes(8, "little")
        + bytes(14)
        + bytes([state, sub])
        + failure.to_bytes(2, "little")
        + b"\0\1"
        + bytes(20)
    )
    attempt = bytes(52) + bytes([0, 2]) + bytes(42)
    bundle = bytes(56) + (1).to_bytes(2, "little") + bytes(2)
    fill = [(0x103, bytes(168))] if correction else []
    return twin.encode(0x10, order, 0, 0, [(0x101, status), (0x102, attempt), *fill, (0x106, bundle)])


def test_a_relays_landing_rate_is_the_share_of_its_orders_that_are_in_the_chain() -> None:
    monitor = Monitor()
    for order, state in ((1, 4), (2, 5), (3, 5), (4, 4)):
        monitor.note_result(private_result(order, state))
    monitor.note_result(private_result(4, 4, correction=True))
    assert monitor.landing_rates(["node", "builder"]) == {"builder": 0.5}
    assert [report(one).status.order_id for one in monitor.failed] == [2, 3]  # type: ignore[union-attr]


def test_the_page_is_in_prometheus_format_and_the_shipped_rules_name_what_is_on_it() -> None:
    monitor = Monitor()
    monitor.times["ack_time"].note(0.003)
    monitor.rpc_failures["a"] += 1
    monitor.told["critical", "sim_drift"] += 1
    monitor.reorgs[2] += 1
    page = prometheus(CALM, monitor)
    line = re.compile(r'(# TYPE \w+ (counter|gauge|histogram)|\w+(\{\w+="[^"]*"(,\w+="[^"]*")*\})? [-+.\deinf]+)')
    assert all(line.fullmatch(one) for one in page.splitlines()), page
    assert 'execlayer_orders_ack_time_seconds_bucket{le="+Inf"} 1.0' in page
    names = set(re.findall(r"^(\w+)", page, re.MULTILINE))
    wanted = set(re.findall(r"execlayer_orders_\w+", ALERTS.read_text())) - {"execlayer_orders"}
    assert wanted and wanted <= names
    assert ALERTS.read_text() == prometheus_rules(read_rules())

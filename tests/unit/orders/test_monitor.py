"""Figures: histograms, rules, and the page that Prometheus reads; the rules that ship name figures that exist."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execlayer.orders.monitor import (
    BOUNDS_SECONDS,
    RISING,
    RULES,
    Histogram,
    Interval,
    Monitor,
    prometheus,
    success_rate,
)

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
)
CALM: dict[str, Any] = {
    **dict.fromkeys(ZERO, 0),
    "failures": {"StaleSignal": 2},
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


def test_of_nothing_there_is_no_quantile_and_nothing_failed() -> None:
    assert Histogram().quantile(0.99) == 0
    assert success_rate({"orders_completed": 0, "orders_failed_submitted": 0}) == 1
    assert success_rate({"orders_completed": 3, "orders_failed_submitted": 1}) == 0.75


@pytest.mark.parametrize(
    ("changes", "p99", "rise", "expected"),
    [
        ({}, 0.0, {}, set()),
        ({"success_rate": 0.94}, 0.0, {}, {("warning", "success_rate")}),
        ({"success_rate": 0.89}, 0.0, {}, {("critical", "success_rate")}),
        ({}, 0.006, {}, {("warning", "signal_processing_p99")}),
        ({}, 0.011, {}, {("critical", "signal_processing_p99")}),
        ({}, 0.0, {"rpc_failures": 11}, {("critical", "rpc_failures")}),
        ({}, 0.0, {"orders_failed_submitted": 6}, {("critical", "orders_failed")}),
        ({}, 0.0, {"validation_failures": 11}, {("warning", "validation_failures")}),
        ({"active_orders": 8}, 0.0, {}, set()),
        ({"active_orders": 9}, 0.0, {}, {("warning", "active_orders")}),
        ({"head_lag_seconds": 25}, 0.0, {}, {("warning", "head_lag")}),
        ({"endpoints_up": 0}, 0.0, {}, {("critical", "no_endpoint")}),
        ({"lanes_frozen": 1}, 0.0, {}, {("critical", "lane_frozen")}),
    ],
)
def test_each_rule_holds_on_its_side_of_the_bound(
    changes: dict[str, Any], p99: float, rise: dict[str, float], expected: set[tuple[str, str]]
) -> None:
    now = Interval(CALM | changes, dict.fromkeys(RISING, 0.0) | rise, p99)
    held = [rule for rule in RULES if rule.holds(now)]
    assert {(rule.level, rule.name) for rule in held} == expected
    assert all(rule.text(now) for rule in held)


def test_the_page_is_in_prometheus_format_and_the_shipped_rules_name_what_is_on_it() -> None:
    monitor = Monitor()
    monitor.times["ack_time"].note(0.003)
    monitor.rpc_failures["a"] += 1
    page = prometheus(CALM, monitor)
    line = re.compile(r'(# TYPE \w+ (counter|gauge|histogram)|\w+(\{\w+="[^"]*"\})? [-+.\deinf]+)')
    assert all(line.fullmatch(one) for one in page.splitlines()), page
    assert 'execlayer_orders_ack_time_seconds_bucket{le="+Inf"} 1.0' in page
    names = set(re.findall(r"^(\w+)", page, re.MULTILINE))
    wanted = set(re.findall(r"execlayer_orders_\w+", ALERTS.read_text())) - {"execlayer_orders"}
    assert wanted and wanted <= names

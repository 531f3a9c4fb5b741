"""When people are told: the rules that ship, each on both sides of its bound, and what is no rule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from execlayer.errors import InvalidConfig
from execlayer.orders.monitor import Histogram
from execlayer.orders.rules import AGAIN_SECONDS, Rounds, Rules, prometheus_rules, read_rules

from .test_monitor import CALM

SHOULD_BE_EVENTS = {"nonce_conflict", "sim_drift", "journal_unwritable", "fill_reversed"}


def told(after: dict[str, Any], before: dict[str, Any] | None = None, p99: float = 0.0) -> set[tuple[str, str]]:
    """What the shipped rules say of figures that were calm, or as given, before."""
    rounds, times = Rounds(read_rules()), Histogram()
    assert rounds.look(0.0, CALM | (before or {}), times) == []
    if p99:
        times.note(p99)
    found = rounds.look(10.0, CALM | (before or {}) | after, times)
    assert all(text for _, text in found)
    return {(rule.level, rule.name) for rule, _ in found}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, set()),
        ({"success_rate": 0.95}, set()),
        ({"success_rate": 0.949}, {("warning", "success_rate")}),
        ({"success_rate": 0.90}, {("warning", "success_rate")}),
        ({"success_rate": 0.899}, {("critical", "success_rate")}),
        ({"rpc_failures": 10}, set()),
        ({"rpc_failures": 11}, {("critical", "rpc_failures")}),
        ({"orders_failed_submitted": 5}, set()),
        ({"orders_failed_submitted": 6}, {("critical", "orders_failed")}),
        ({"validation_failures": 10}, set()),
        ({"validation_failures": 11}, {("warning", "validation_failures")}),
        ({"limit_refusals": 1}, {("critical", "limit_hit")}),
        ({"active_orders": 8}, set()),
        ({"active_orders": 9}, {("warning", "active_orders")}),
        ({"head_lag_seconds": 24}, set()),
        ({"head_lag_seconds": 24.1}, {("warning", "head_lag")}),
        ({"endpoints_up": 0}, {("critical", "no_endpoint")}),
        ({"lanes_frozen": 1}, {("critical", "lane_frozen")}),
        ({"orders_affordable": 100}, set()),
        ({"orders_affordable": 99}, {("warning", "sender_balance")}),
    ],
)
def test_each_rule_holds_on_its_side_of_the_bound(changes: dict[str, Any], expected: set[tuple[str, str]]) -> None:
    assert told(changes) == expected


@pytest.mark.parametrize(
    ("p99", "expected"),
    [
        (0.004, set()),
        (0.008, {("warning", "signal_processing_p99")}),
        (0.015, {("critical", "signal_processing_p99")}),
    ],
)
def test_slow_signals_are_told_of(p99: float, expected: set[tuple[str, str]]) -> None:
    assert told({}, p99=p99) == expected


def test_what_was_before_the_minute_does_not_count() -> None:
    assert told({"rpc_failures": 1_005}, {"rpc_failures": 1_000}) == set()
    rounds, times = Rounds(read_rules()), Histogram()
    rounds.look(0.0, CALM, times)
    rounds.look(AGAIN_SECONDS, CALM | {"rpc_failures": 9}, times)
    assert rounds.look(AGAIN_SECONDS + 1, CALM | {"rpc_failures": 18}, times) == []


def test_a_rule_that_goes_on_to_hold_is_told_once_a_minute() -> None:
    rounds, times = Rounds(read_rules()), Histogram()
    figures = CALM | {"lanes_frozen": 1}
    said = [len(rounds.look(now, figures, times)) for now in (0.0, 10.0, AGAIN_SECONDS - 1, AGAIN_SECONDS, 2 * 60.0)]
    assert said == [1, 0, 0, 1, 1]


def test_everything_that_should_wake_somebody_is_in_the_file() -> None:
    levels = read_rules().levels
    assert {name for name, level in levels.items() if level == "critical"} >= SHOULD_BE_EVENTS
    assert levels["order_overdue"] == "warning"
    page = prometheus_rules(read_rules())
    assert page.count("- alert:") == len(read_rules().rule) + len(levels) + 1


def test_a_file_of_ones_own_stands_in_for_the_shipped_one(tmp_path: Path) -> None:
    path = tmp_path / "rules.toml"
    path.write_text('[[rule]]\nlevel = "warning"\nname = "busy"\nfigure = "queue_depth"\nabove = 3\ntext = "{value}"\n')
    rounds = Rounds(read_rules(path))
    assert [text for _, text in rounds.look(0.0, CALM | {"queue_depth": 4}, Histogram())] == ["4.0"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"figure": "luck"}, "none of the figures"),
        ({"share_of": "luck"}, "none of the figures"),
        ({"below": 1}, "one of above and below"),
        ({"above": None}, "one of above and below"),
        ({"text": "{other}"}, "filled in"),
        ({"level": "loud"}, "critical"),
        ({"colour": "red"}, "Extra inputs"),
    ],
)
def test_what_is_no_rule_is_refused_with_its_reason(change: dict[str, Any], reason: str) -> None:
    rule = {"level": "warning", "name": "busy", "figure": "queue_depth", "above": 3, "text": "{value}", **change}
    with pytest.raises(ValueError, match=reason):
        Rules.model_validate({"rule": [{name: value for name, value in rule.items() if value is not None}]})


def test_a_file_that_can_not_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfig, match=r"nothing\.toml"):
        read_rules(tmp_path / "nothing.toml")

"""Which settings a running engine takes over, and which it only names."""

from __future__ import annotations

from pathlib import Path

import pytest

from execlayer.orders.reload import TAKEN, differences, merge
from execlayer.orders.settings import OrderSettings

from .test_keys import settings_with


def test_limits_fees_prices_and_alerts_are_taken_and_everything_else_is_named(tmp_path: Path) -> None:
    old = settings_with(tmp_path)
    new = settings_with(
        tmp_path,
        limits={"max_capital": 7},
        alerts={"command": ["page"]},
        prices={"0x" + "55" * 20: 10**18},
        mev_protection={"min_priority_fee": 5, "enabled": False},
        execution_engine={"max_gas_price": 9, "max_concurrent_orders": 3},
        senders={"lane_depth": 2},
    )
    done = merge(old, new)
    assert set(done.taken) == {
        "limits.max_capital",
        "alerts.command",
        "prices",
        "mev_protection.min_priority_fee",
        "execution_engine.max_gas_price",
    }
    assert set(done.needs_restart) >= {
        "mev_protection.enabled",
        "execution_engine.max_concurrent_orders",
        "senders.lane_depth",
    }
    merged = done.settings
    assert (merged.limits.max_capital, merged.alerts.command, merged.mev_protection.min_priority_fee) == (
        7,
        ("page",),
        5,
    )
    assert (merged.execution_engine.max_concurrent_orders, merged.mev_protection.enabled) == (1000, True)
    assert set(differences(merged, new)) == set(done.needs_restart)


def test_the_same_settings_change_nothing(tmp_path: Path) -> None:
    old = settings_with(tmp_path)
    done = merge(old, settings_with(tmp_path))
    assert (done.settings, done.taken, done.needs_restart) == (old, (), ())


@pytest.mark.parametrize("path", TAKEN)
def test_each_path_that_is_taken_is_one_of_a_setting(path: str) -> None:
    table: object = OrderSettings
    for name in path.split("."):
        fields = table.model_fields  # type: ignore[attr-defined]
        assert name in fields, path
        table = fields[name].annotation

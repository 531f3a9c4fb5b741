"""The page of settings is true: every one is there, with words; and every one that the design names exists."""

from __future__ import annotations

from pathlib import Path

from execlayer.orders.reference import TABLES, page, rows
from execlayer.orders.settings import OrderSettings

PAGE = Path(__file__).resolve().parents[3] / "docs" / "orders" / "settings.md"
WANTED = {
    "execution_engine": "max_concurrent_orders default_gas_limit max_gas_price confirmation_blocks retry_attempts "
    "signal_max_age_ms submission_deadline confirmation_deadline slippage_bps net_ratio_bps min_net_profit_wei "
    "gas_buffer_pct monitor_interval metrics_interval retention retention_max batch_max presim conflict max_state_lag",
    "channels": "execution monitoring",
    "submission_strategy": "type private_timeout private_max_blocks fallback_gas_multiplier fallback_public fanout",
    "replacement": "bump price_trigger_pct after_blocks",
    "rpc_endpoints": "primary secondary fallback",
    "rpc_endpoints.backoff": "base_seconds exponent_max failures_max",
    "mev_protection": "enabled relays identity_key min_priority_fee",
    "senders": "keys lane_depth gap_fill private_sharing",
    "limits": "max_order_value max_capital max_gas_per_hour max_loss_per_hour max_failures_in_row",
    "journal": "dir durability segment snapshot backup_every retain retain_bytes",
    "protocol": "listen require_auth hmac_keys max_frame",
}


def test_the_page_is_what_the_source_says() -> None:
    assert PAGE.read_text() == page(), "run `make docs`"


def test_every_setting_has_words() -> None:
    silent = [f"{table}.{name}" for table, name, _, text in rows(OrderSettings) if not text]
    assert silent == []


def test_every_table_has_what_the_design_wants() -> None:
    known: dict[str, set[str]] = {}
    for table, name, _, _ in rows(OrderSettings):
        known.setdefault(table, set()).add(name)
    missing = {table: set(names.split()) - known[table] for table, names in WANTED.items()}
    assert not any(missing.values()), missing
    assert all(f"## {title}" in page() for title in TABLES)

"""What can be set about an engine: files, environment, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from execlayer.config import load as load_node
from execlayer.errors import InvalidConfig
from execlayer.orders.durations import nanoseconds
from execlayer.orders.settings import OrderSettings, load

from .test_engine import opened

EXAMPLES = Path(__file__).resolve().parents[3] / "docs" / "orders" / "settings"
LEAST = """
chain_id = 31337
contract = "0x5FbDB2315678afecb367f032d93F642f64180aa3"
recipient = "0x9999999999999999999999999999999999999999"
[rpc_endpoints.primary]
url = "ws://127.0.0.1:8545"
[journal]
dir = "journal"
"""


def written(folder: Path, text: str = "") -> Path:
    path = folder / "orders.toml"
    head, _, tables = text.partition("\n[")
    path.write_text(head + LEAST + (f"\n[{tables}" if tables else ""))
    return path


@pytest.mark.parametrize("name", ["development", "staging", "production"])
def test_the_examples_can_be_loaded_and_are_taken_by_the_core(name: str, tmp_path: Path) -> None:
    settings = load(EXAMPLES / f"{name}.toml")
    assert settings.environment == name
    opened(tmp_path, **settings.core_settings())


def test_the_defaults_are_the_cores(tmp_path: Path) -> None:
    settings = load(written(tmp_path))
    assert settings.execution_engine.presim == "always"
    told = settings.core_settings()
    assert (told["submission_deadline_ns"], told["fallback_gas_bps"]) == (30 * 10**9, 11_000)
    assert settings.journal.dir == tmp_path / "journal" and settings.control == tmp_path / "journal" / "control"


def test_the_environment_wins_and_is_not_the_nodes(tmp_path: Path) -> None:
    environ = {
        "EXECLAYER_ORDERS__LIMITS__MAX_CAPITAL": "7",
        "EXECLAYER_ORDERS__PROTOCOL__LISTEN": "a.sock",
        "HOME": "x",
    }
    settings = load(written(tmp_path), environ=environ)
    assert (settings.limits.max_capital, settings.protocol.listen) == (7, "a.sock")
    assert load_node(environ=environ) == load_node()


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("[limits]\nmax_loss = 1", "limits.max_loss"),
        ("[execution_engine]\nsubmission_deadline = '30'", "execution_engine.submission_deadline"),
        ("[execution_engine]\nsignal_max_age_ms = 30001", "execution_engine.signal_max_age_ms"),
        ("[submission_strategy]\ntype = 'loud'", "submission_strategy.type"),
        ("[rpc_endpoints.secondary]\nurl = 'http://node.example.org'", "rpc_endpoints.secondary"),
        ("[rpc_endpoints.secondary]\nurl = 'ws://127.0.0.1:8545'", "rpc_endpoints"),
        ("engine_id = '0x12'", "engine_id"),
    ],
)
def test_a_setting_that_can_not_be_is_named(tmp_path: Path, text: str, field: str) -> None:
    with pytest.raises(InvalidConfig) as refused:
        load(written(tmp_path, text if text.startswith("engine") else f"\n{text}"))
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("text", "expected"), [("250ms", 250_000_000), ("5m", 300 * 10**9), ("1 h", 3600 * 10**9), (7, 7)]
)
def test_times_have_units(text: Any, expected: int) -> None:
    assert nanoseconds(text) == expected


@pytest.mark.parametrize("text", ["30", "s", "1.5s", "-1s", None, True, "1 year"])
def test_what_is_no_time_is_refused(text: Any) -> None:
    with pytest.raises(ValueError, match="unit"):
        nanoseconds(text)


def test_settings_are_one_value_that_nobody_changes(tmp_path: Path) -> None:
    settings = load(written(tmp_path))
    with pytest.raises(ValueError, match="frozen"):
        settings.chain_id = 1
    assert OrderSettings.model_validate(settings.model_dump()) == settings

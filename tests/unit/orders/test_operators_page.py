"""The page for operators speaks of settings, alerts and commands that exist."""

from __future__ import annotations

import re
from pathlib import Path

from execlayer.cli.orders import ACTIONS
from execlayer.orders.reference import rows
from execlayer.orders.rules import read_rules
from execlayer.orders.settings import OrderSettings

TEXT = (Path(__file__).resolve().parents[3] / "docs" / "orders" / "operators.md").read_text()
TABLES = {table.partition(".")[0] for table, *_ in rows(OrderSettings) if table}


def test_every_setting_that_is_named_exists() -> None:
    known = {f"{table}.{name}" for table, name, *_ in rows(OrderSettings)}
    named = set(re.findall(rf"`((?:{'|'.join(TABLES)})\.\w+)", TEXT))
    assert len(named) > 10
    assert named <= known, named - known


def test_every_alert_of_its_table_is_one_and_what_ships_is_in_it() -> None:
    told = set(re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (`.*?) \|", TEXT, re.MULTILINE))))
    rules = read_rules()
    known = {one.name for one in rules.rule} | set(rules.levels)
    assert told <= known, told - known
    assert {one.name for one in rules.rule if one.level == "critical"} <= told
    assert {name for name, level in rules.levels.items() if level == "critical"} <= told


def test_every_command_is_one() -> None:
    used = set(re.findall(r"execlayer orders ([\w-]+)", TEXT)) | set(re.findall(r"`(halt|resume|thaw|dash)\b", TEXT))
    assert {"run", "status", "verify", "drill", "replay", "thaw", "halt", "resume"} <= used
    assert used <= set(ACTIONS), used - set(ACTIONS)

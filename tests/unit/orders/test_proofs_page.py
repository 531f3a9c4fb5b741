"""The page of proofs names tests that there are."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
TEXT = (ROOT / "docs" / "orders" / "proofs.md").read_text()


def sources(place: str) -> str:
    """What stands at a place as the page names it: a Python file, a file of the core, or a folder of its tests."""
    core = ROOT / "rust" / "orders"
    if place.startswith("test_"):
        found = sorted((ROOT / "tests").rglob(place))
    elif place.endswith(".rs"):
        found = [core / "src" / place]
    else:
        found = sorted((core / "tests" / place).glob("*.rs"))
    assert found, place
    return "\n".join(one.read_text() for one in found)


def test_every_test_that_is_named_exists() -> None:
    named = re.findall(r"`([\w./]+)::(\w+)`", TEXT)
    assert len(named) > 50
    for place, name in named:
        assert re.search(rf"\b(?:fn|def) {name}\b", sources(place)), f"{place}::{name}"


def test_all_twenty_properties_stand_there() -> None:
    assert [int(number) for number in re.findall(r"^\| (\d+) \|", TEXT, re.MULTILINE)] == list(range(1, 21))
    assert {"look", "overhear", "judge", "is_settled"} <= set(re.findall(r"fn (\w+)", sources("model")))

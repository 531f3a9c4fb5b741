"""The state machine seen from Python is Rust's table."""

from __future__ import annotations

from pathlib import Path

from execlayer.orders import STATE_OF, TRANSITIONS

ROOT = Path(__file__).resolve().parents[3]


def test_the_world_sees_exactly_eight_transitions() -> None:
    seen = {(STATE_OF[origin], STATE_OF[row.target]) for row in TRANSITIONS for origin in row.origins}
    assert {pair for pair in seen if pair[0] != pair[1]} == {
        ("Created", "Validated"),
        ("Created", "Failed"),
        ("Validated", "Submitted"),
        ("Validated", "Failed"),
        ("Submitted", "Pending"),
        ("Submitted", "Failed"),
        ("Pending", "Completed"),
        ("Pending", "Failed"),
    }


def test_sub_states_stand_in_the_order_of_their_numbers() -> None:
    assert list(STATE_OF)[:3] == ["received", "checked", "queued"]
    assert list(STATE_OF)[15] == "closed"


def test_every_row_is_in_the_diagram() -> None:
    page = (ROOT / "docs" / "orders" / "states.md").read_text()
    for row in TRANSITIONS:
        for origin in row.origins:
            assert f"    {origin} --> {row.target}: {row.event}\n" in page

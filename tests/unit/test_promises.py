"""The rows of `make bench`: what counts as kept, and that a wrong answer never becomes a figure."""

from __future__ import annotations

import pytest

from asv_bench.promises.row import Row, WrongAnswer


def row(**changes: object) -> Row:
    fields: dict[str, object] = {
        "name": "n",
        "kind": "faster",
        "ours": 1.0,
        "theirs": 2.0,
        "rival": "r",
        "unit": "s",
        "target": 2.0,
    }
    return Row.from_json({**fields, **changes})


def test_a_comparison_is_kept_at_its_target_and_not_below() -> None:
    assert row().kept
    assert not row(theirs=1.99).kept
    assert row().to_json()["verdict"] == "ok"
    assert row(theirs=1.0).to_json()["verdict"] == "short"


def test_a_note_stays_with_its_row() -> None:
    assert row(note="p50 2 µs").to_json()["note"] == "p50 2 µs"
    assert "note" not in row().to_json()


def test_bounds_are_kept_on_their_side() -> None:
    assert row(kind="at_least", ours=10.0, target=10.0, theirs=None, rival="").kept
    assert not row(kind="at_least", ours=9.9, target=10.0, theirs=None, rival="").kept
    assert row(kind="at_most", ours=10.0, target=10.0, theirs=None, rival="").kept
    assert not row(kind="at_most", ours=10.1, target=10.0, theirs=None, rival="").kept


def test_a_wrong_answer_is_never_a_row() -> None:
    with pytest.raises(WrongAnswer, match="transfers: roots differ"):
        Row.from_json({"name": "transfers", "wrong": "roots differ"})


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"kind": "better"}, "unknown kind"),
        ({"theirs": None}, "needs the other side"),
        ({"ours": 0.0}, "nothing measured"),
        ({"extra": 1}, "unknown fields"),
    ],
)
def test_malformed_rows_are_refused(changes: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        row(**changes)

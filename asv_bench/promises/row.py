"""A promise as a value, in the one form that every producer gives and the table and the JSON are made from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["faster", "at_least", "at_most"]
"""`faster`: theirs / ours must reach the target (both are costs). The others: ours must stay on its side of it."""


class WrongAnswer(Exception):
    """A benchmark's answer was wrong, so its time means nothing."""


@dataclass(frozen=True)
class Row:
    """One promise, measured."""

    name: str
    kind: Kind
    ours: float
    unit: str
    target: float
    theirs: float | None = None
    rival: str = ""
    note: str = ""
    """What else was measured, in words."""

    def __post_init__(self) -> None:
        if self.kind not in ("faster", "at_least", "at_most"):
            raise ValueError(f"{self.name}: unknown kind of promise {self.kind!r}")
        if self.kind == "faster" and (self.theirs is None or not self.rival):
            raise ValueError(f"{self.name}: a comparison needs the other side and its name")
        if self.ours <= 0:
            raise ValueError(f"{self.name}: ours is {self.ours}, which nothing measured can be")

    @property
    def ratio(self) -> float:
        """How many times better than the other side, or than the bound; at least `needed` is kept."""
        if self.kind == "at_least":
            return self.ours / self.target
        if self.kind == "at_most":
            return self.target / self.ours
        assert self.theirs is not None
        return self.theirs / self.ours

    @property
    def needed(self) -> float:
        """The ratio that the promise asks for."""
        return self.target if self.kind == "faster" else 1.0

    @property
    def kept(self) -> bool:
        """Whether the promise holds in this run."""
        return self.ratio >= self.needed

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Row:
        """Reads what a producer printed. `{"wrong": …}` raises `WrongAnswer`."""
        if "wrong" in fields:
            raise WrongAnswer(f"{fields.get('name', 'a benchmark')}: {fields['wrong']}")
        unknown = set(fields) - set(cls.__dataclass_fields__)
        if unknown:
            raise ValueError(f"unknown fields in a row: {sorted(unknown)}")
        return cls(**fields)

    def to_json(self) -> dict[str, Any]:
        """The row with what follows from it."""
        return {
            "name": self.name,
            "kind": self.kind,
            "ours": self.ours,
            "theirs": self.theirs,
            "rival": self.rival,
            "unit": self.unit,
            "ratio": round(self.ratio, 3),
            "target": self.target,
            "verdict": "ok" if self.kept else "short",
            **({"note": self.note} if self.note else {}),
        }

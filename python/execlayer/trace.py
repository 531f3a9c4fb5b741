"""What a call or transaction did, step by step and message by message."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TextIO, overload

if TYPE_CHECKING:
    from . import _core
    from .units import Wei


@dataclass(frozen=True, slots=True)
class Call:
    """A message from one account to another."""

    kind: str
    """The opcode that sent it: CALL, STATICCALL, DELEGATECALL, CALLCODE, CREATE or CREATE2."""
    sender: str
    to: str
    """Whose code ran; the contract made."""
    value: Wei
    gas: int
    """Gas that it could use."""
    gas_used: int
    input: bytes
    """Call data, or the code that makes the contract."""
    output: bytes
    """What it returned, or why it reverted; the code of a contract made."""
    error: str | None
    """Why it failed; None where it succeeded."""
    calls: list[Call] = field(default_factory=list, repr=False)
    """What it sent itself, in order."""

    def line(self) -> str:
        """The call in a line."""
        parts = [self.kind, self.sender, "→", self.to]
        if self.value:
            parts.append(f"[{self.value}]")
        if self.input:
            parts.append(_short(self.input))
        parts.append(f"({self.gas_used:,} of {self.gas:,} gas)")
        if self.error:
            parts += ["✗", self.error]
        elif self.output:
            parts += ["⇒", _short(self.output)]
        return " ".join(parts)

    def walk(self) -> Iterator[tuple[int, Call]]:
        """This call and all below it, in the order in which they began, each with its depth."""
        waiting = [(0, self)]
        while waiting:
            depth, call = waiting.pop()
            yield depth, call
            waiting.extend((depth + 1, below) for below in reversed(call.calls))


_SHOWN = 36
"""Bytes of data that a line shows: a selector and a word."""


def _short(data: bytes) -> str:
    return f"0x{data[:_SHOWN].hex()}" + (f"… {len(data)} bytes" if len(data) > _SHOWN else "")


class Steps(Sequence[dict[str, Any]]):
    """Steps in the order in which they ran, each a dict with the fields of EIP-3155, its numbers as numbers."""

    __slots__ = ("_core",)

    def __init__(self, core: _core.Steps) -> None:
        self._core = core

    def __len__(self) -> int:
        return len(self._core)

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> list[dict[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        if isinstance(index, slice):
            return [self._core[at] for at in range(*index.indices(len(self)))]
        return self._core[index]

    def line(self, index: int) -> str:
        """A step as its EIP-3155 line."""
        return self._core.line(index)

    @property
    def dropped(self) -> int:
        """How many more there were, for which there was no room."""
        return self._core.dropped

    def __repr__(self) -> str:
        return f"<{len(self)} steps>"


class Trace:
    """What happened: the outcome, the tree of calls, and the steps where they were asked for.

    >>> from execlayer import evm
    >>> trace = evm.trace({"0x00000000000000000000000000000000000000aa": {"code": "0x600160020100"}},
    ...                   "0x00000000000000000000000000000000000000aa", steps=True)
    >>> [step["opName"] for step in trace.steps]
    ['PUSH1', 'PUSH1', 'ADD', 'STOP']
    """

    __slots__ = ("_core", "_root")

    def __init__(self, core: _core.Trace) -> None:
        self._core = core
        self._root: Call | None = None

    @property
    def outcome(self) -> _core.Outcome:
        """How it ended, what it cost, what it changed."""
        return self._core.outcome

    @property
    def root(self) -> Call:
        """The transaction's own message, with all that it sent below it."""
        if self._root is None:
            calls: list[Call] = []
            for parent, *rest in self._core.calls():
                call = Call(*rest)
                calls.append(call)
                if parent is not None:
                    calls[parent].calls.append(call)
            self._root = calls[0]
        return self._root

    @property
    def steps(self) -> Steps:
        """Every step. *Errors*: ``ValueError`` where they weren't asked for."""
        steps = self._core.steps
        if steps is None:
            raise ValueError("steps were not recorded: ask for them by steps=True")
        return Steps(steps)

    def lines(self) -> Iterator[str]:
        """The steps as EIP-3155 lines: JSON, one object each."""
        steps = self.steps
        return (steps.line(index) for index in range(len(steps)))

    def tree(self) -> str:
        """The calls as text, a line each, those below one indented."""
        lines = []
        open_below: list[int] = []
        for depth, call in self.root.walk():
            del open_below[depth:]
            # How many of each level are still to come decides whether its line goes on.
            if depth:
                open_below[depth - 1] -= 1
                bars = "".join("│  " if left else "   " for left in open_below[: depth - 1])
                bars += "├─ " if open_below[depth - 1] else "└─ "
            else:
                bars = ""
            lines.append(bars + call.line())
            open_below.append(len(call.calls))
        return "\n".join(lines)

    def print(self, file: TextIO | None = None) -> None:
        """Writes the tree of calls, to standard output by default."""
        (file or sys.stdout).write(self.tree() + "\n")

    def __repr__(self) -> str:
        return f"<Trace: {self.outcome!r}>"

"""The newest headers of a chain, as somebody who watches it holds them. Knows no socket and no clock.

What always holds: headers follow each other by number and by hash, and there are at most as many as the ring's size.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

HEADERS_KEPT = 128
"""Some 25 minutes of mainnet: twice as far as finality is behind the head on a good day."""


@dataclass(frozen=True, slots=True)
class Header:
    """What is kept of a block's header."""

    number: int
    hash: str
    parent_hash: str
    timestamp: int
    base_fee: int
    """0 on chains without one."""

    gas_used: int
    gas_limit: int

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """From a block or header of JSON-RPC. *Errors*: ``ValueError``."""
        try:
            digest, parent = value["hash"], value["parentHash"]
            if not (isinstance(digest, str) and isinstance(parent, str) and len(digest) == len(parent) == 66):
                raise ValueError("a hash is none")
            names = ("number", "timestamp", "gasUsed", "gasLimit")
            number, timestamp, used, limit = (int(value[name], 16) for name in names)
            base_fee = int(value.get("baseFeePerGas") or "0x0", 16)
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"no header: {error!r}") from None
        return cls(number, digest, parent, timestamp, base_fee, used, limit)


@dataclass(frozen=True, slots=True)
class Change:
    """A step of the canonical chain. Both lists go from the oldest to the newest."""

    removed: tuple[Header, ...]
    added: tuple[Header, ...]
    gap: bool = False
    """Whether headers between the two are not known: everything that hangs on blocks has to be looked up anew."""


class Ring:
    """The canonical chain's newest headers."""

    def __init__(self, size: int = HEADERS_KEPT) -> None:
        self._headers: deque[Header] = deque(maxlen=size)

    @property
    def size(self) -> int:
        return self._headers.maxlen or 0

    @property
    def head(self) -> Header | None:
        """The newest."""
        return self._headers[-1] if self._headers else None

    @property
    def oldest(self) -> Header | None:
        return self._headers[0] if self._headers else None

    def at(self, number: int) -> Header | None:
        """The canonical header of a height; None where it is not kept."""
        if not self._headers or not 0 <= (place := number - self._headers[0].number) < len(self._headers):
            return None
        return self._headers[place]

    def holds(self, number: int, block_hash: str) -> bool:
        """Whether this block is canonical."""
        found = self.at(number)
        return found is not None and found.hash == block_hash

    def attach(self, branch: Sequence[Header]) -> Change:
        """Makes a branch canonical, oldest first, whose first block stands on a block of the ring; blocks beside it
        are removed. A branch that stands on nothing known replaces everything."""
        assert branch
        for before, after in pairwise(branch):
            assert (after.number, after.parent_hash) == (before.number + 1, before.hash)
        first = branch[0]
        gap = bool(self._headers) and not self.holds(first.number - 1, first.parent_hash)
        keep = 0 if gap or not self._headers else first.number - self._headers[0].number
        removed = tuple(self._headers)[keep:]
        for _ in removed:
            self._headers.pop()
        self._headers.extend(branch)
        return Change(removed, tuple(branch), gap)

"""What execution tells about itself, as values."""

from __future__ import annotations

from dataclasses import dataclass, fields

from . import _core


@dataclass(frozen=True, slots=True)
class ExecutionStats:
    """Figures of one block, or sums over blocks: how much ran side by side, and what that cost in vain."""

    parallel: int
    """Transactions that ran side by side."""
    sequential: int
    """Transactions that ran one after the other."""
    units: int
    """Groups of transactions that were expected to touch the same places."""
    unit_mean: float
    """Transactions in a group, on average."""
    again: int
    """How often transactions ran again because two workers had touched the same place."""
    conflict_ratio: float
    """Transactions that did, as a share of all."""
    seconds: float
    lost_seconds: float
    """Of them, what was done in vain or a second time."""


@dataclass(frozen=True, slots=True)
class BlockStats(ExecutionStats):
    """How a block was executed."""

    unit_max: int
    """Transactions in the largest group."""


@dataclass(frozen=True, slots=True)
class ChainStats(ExecutionStats):
    """What a chain has executed since it was opened."""

    blocks: int
    blocks_parallel: int
    """Blocks that ran on several workers."""
    blocks_verified: int
    """Blocks whose answer was compared with the sequential one."""

    def metrics(self) -> dict[str, float]:
        """The figures under the names by which Prometheus knows them."""
        ratios = ("unit_mean", "conflict_ratio")
        figures = {
            f"execlayer_parallel_{field.name}" + ("" if field.name in ratios else "_total"): getattr(self, field.name)
            for field in fields(self)
            if field.name not in ("parallel", "sequential")
        }
        for mode in ("parallel", "sequential"):
            figures[f'execlayer_parallel_transactions_total{{mode="{mode}"}}'] = getattr(self, mode)
        return figures


class Execution:
    """What executing a block gave."""

    __slots__ = ("_core",)

    def __init__(self, core: _core.Execution) -> None:
        self._core = core

    @property
    def block(self) -> _core.Block:
        """The block, with the receipts of this execution."""
        return self._core.block

    @property
    def receipts(self) -> _core.Receipts:
        """How each transaction ended, in order."""
        return self._core.receipts

    @property
    def state_root(self) -> str:
        """Root over all accounts afterwards."""
        return self._core.state_root

    @property
    def lattice_hash(self) -> str:
        """Checksum of the lattice hash over all accounts afterwards."""
        return self._core.lattice_hash

    @property
    def speedup(self) -> float | None:
        """How many times as fast as one thread it was; None unless it was verified, which is when both have run."""
        return self._core.speedup

    @property
    def conflicts(self) -> _core.Conflicts:
        """What stands in the way of executing it in parallel; found out by executing it once more."""
        return self._core.conflicts

    def stats(self) -> BlockStats:
        """How it was executed, in numbers."""
        return BlockStats(**self._core.stats())

    def __repr__(self) -> str:
        return repr(self._core)

"""What waits for a block: looked at, explained, followed, put into an order of one's own.

>>> from execlayer import Chain
>>> chain = Chain.dev()
>>> chain.pool.state().total
0
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from . import _core
from .errors import InvalidArgument

if TYPE_CHECKING:
    import numpy as np

CLASSES = ("deploy", "transfer", "call", "model", "inference", "training", "system")
"""What kinds of work there are. The column ``class`` of candidates holds a name's place in this list."""

CANDIDATES = 100_000
"""How many of the best an order of one's own chooses from: more than five blocks of transfers."""


@dataclass(frozen=True, slots=True)
class MempoolState:
    """Sums over what waits, kept up as transactions come and go."""

    total: int
    pending: int
    """Those that can be selected, as far as nonces are concerned."""
    queued: int
    """Those that stand behind a gap."""
    fee_rate: int
    """Wei per gas that is offered at most, averaged over all waiting gas."""
    gas: int
    size_bytes: int
    memory_bytes: int
    oldest_seconds: float | None
    classes: dict[str, int]
    blob_transactions: int
    private: int


@dataclass(frozen=True, slots=True)
class PoolStats:
    """How scoring does: the cache of senders' factors, vector code, and the weights with what moves them."""

    cache_hits: int
    cache_misses: int
    cache_hit_rate: float
    cache_size: int
    cache_capacity: int
    ranked: int
    simd_utilisation: float
    fee_weight: float
    priority_weight: float
    fee_pressure: float
    congestion: float
    median_tip: int


@dataclass(frozen=True, slots=True)
class ExecutionMetrics:
    """What making blocks has done since the chain was opened."""

    blocks: int
    processed: int
    gas: int
    mean_seconds: float
    p99_seconds: float
    cache_hit_rate: float
    simd_utilisation: float
    errors: dict[str, int]
    batch_size: int
    aborted_batches: int


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What keeps a transaction out of the next block."""

    kind: Literal["gap", "predecessor", "fee_cap", "blob_fee_cap", "tip", "size"]
    nonce: int | None = None
    """Of a gap: the one that is missing."""
    hash: str | None = None
    """Of a predecessor: the first of the sender's that is not in the block either."""
    required: int | None = None
    """Of a fee: the least that would do."""


@dataclass(frozen=True, slots=True)
class History:
    """What came of a sender's earlier transactions."""

    included: int
    reverted: int
    skipped: int


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a transaction stands where it stands, by the block that would be made now."""

    class_: str
    priority: float
    tip: int | None
    """What a unit of its gas would give; None where it can't pay the base fee."""
    factor: float
    """The sender's, from 0.5 to 2."""
    history: History | None
    fee_weight: float
    priority_weight: float
    median_tip: int
    rank: float | None
    place: int | None
    """Its place in the next block; None where it would not be in it."""
    obstacle: Obstacle | None
    """What keeps it out of it."""


class PoolEvent(NamedTuple):
    """Something that happened to a waiting transaction."""

    change: Literal["added", "promoted", "demoted", "replaced", "included", "dropped"]
    hash: str
    sender: str
    nonce: int
    detail: str | None
    """Of an added one its standing, of a replaced one the other's hash, of a dropped one the reason."""
    private: bool


class PoolEvents:
    """Follows the pool from where it was made. Safe from any thread; :meth:`wait` lets other threads run."""

    def __init__(self, core: _core.PoolEvents) -> None:
        self._core = core
        self.lost = 0
        """How many events were lost so far, because they weren't asked for in time."""

    def wait(self, seconds: float = 0.0) -> list[PoolEvent]:
        """What has happened since the last call; where nothing has, what happens first within that time."""
        events, lost = self._core.wait(seconds)
        self.lost += lost
        return [PoolEvent(*event) for event in events]


Columns: TypeAlias = "dict[str, np.ndarray[Any, Any]]"
"""Candidates, a numpy array for each of their properties: ``tip`` (effective), ``fee_cap``, ``gas_limit``, ``nonce``,
``arrival``, ``size_bytes``, ``since_ms``, ``class``, ``blobs``, and as bytes ``sender``, ``recipient``, ``hash``."""

Order: TypeAlias = Callable[[Columns], Any]
"""Scores for candidates: the best score goes first, as far as nonces allow; NaN stays out of the block."""


class Pool:
    """The transactions that wait. ``chain.pool`` is the only one of a chain."""

    def __init__(self, core: _core.Chain) -> None:
        self._chain = core
        self._order: Order | None = None

    @property
    def _waiting(self) -> _core.Pool:
        return self._chain.pool

    def __repr__(self) -> str:
        state = self.state()
        return f"Pool(pending={state.pending}, queued={state.queued}, memory_bytes={state.memory_bytes})"

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[str]:
        """Hashes of all that wait, the oldest first."""
        return iter(self._waiting.hashes())

    def __contains__(self, transaction: str | bytes) -> bool:
        return self._waiting.standing(transaction) is not None

    def standing(self, transaction: str | bytes) -> str | None:
        """``pending``, ``queued``, or None where it doesn't wait."""
        return self._waiting.standing(transaction)

    def ready(self) -> int:
        """How many the next block could choose from: their turn has come and they can pay the base fee."""
        return len(self._waiting.candidates(CANDIDATES))

    def state(self) -> MempoolState:
        """What waits, in sums."""
        return MempoolState(**self._waiting.state())

    def stats(self) -> PoolStats:
        """How scoring does."""
        return PoolStats(**self._waiting.stats())

    def execution(self) -> ExecutionMetrics:
        """What making blocks has done so far."""
        return ExecutionMetrics(**self._waiting.execution())

    def metrics(self) -> dict[str, float]:
        """All figures under the names by which Prometheus knows them, labels included."""
        state, stats, done = self.state(), self.stats(), self.execution()
        figures: dict[str, float] = {
            f"execlayer_pool_{name}": getattr(state, name)
            for name in (
                *("pending", "queued", "private", "blob_transactions"),
                *("fee_rate", "gas", "size_bytes", "memory_bytes"),
            )
        }
        figures["execlayer_pool_oldest_seconds"] = state.oldest_seconds or 0.0
        for class_, count in state.classes.items():
            figures[f'execlayer_pool_transactions{{class="{class_}"}}'] = count
        for name in PoolStats.__slots__:
            counted = "_total" if name in ("cache_hits", "cache_misses", "ranked") else ""
            figures[f"execlayer_score_{name}{counted}"] = getattr(stats, name)
        for name in ("mean_seconds", "p99_seconds", "batch_size"):
            figures[f"execlayer_execution_{name}"] = getattr(done, name)
        for name in ("blocks", "processed", "gas", "aborted_batches"):
            figures[f"execlayer_execution_{name}_total"] = getattr(done, name)
        for kind, count in done.errors.items():
            figures[f'execlayer_execution_errors_total{{kind="{kind}"}}'] = count
        return figures

    def explain(self, transaction: str | bytes) -> Explanation | None:
        """Why it stands where it stands and what would include it; None where it doesn't wait."""
        told = self._waiting.explain(transaction)
        if told is None:
            return None
        class_, history, obstacle = told.pop("class"), told.pop("history"), told.pop("obstacle")
        return Explanation(
            class_=class_,
            history=None if history is None else History(**history),
            obstacle=None if obstacle is None else Obstacle(**obstacle),
            **told,
        )

    def drop(self, transaction: str | bytes) -> bool:
        """Takes one out, and says whether it was there. Those of its sender that follow it wait behind the gap."""
        return self._waiting.drop(transaction)

    def clear(self) -> None:
        """Takes all out."""
        self._waiting.clear()

    def subscribe(self) -> PoolEvents:
        """Follows what happens from here on, private transactions included."""
        return PoolEvents(self._waiting.events())

    def score_batch(self, fees: Any, classes: Any) -> np.ndarray[Any, Any]:
        """Base scores: each fee times this pool's priority of its class, by the vector code that ranks what waits.

        ``fees`` are numbers, ``classes`` places in :data:`CLASSES`, one for each fee.

        >>> from execlayer import Chain
        >>> Chain.dev(priorities={"deploy": 2.0}).pool.score_batch([3.0, 3.0], [0, 1]).tolist()
        [6.0, 3.0]
        """
        import numpy as np

        fees = _column("fees", fees, np.float64, "a row of numbers")
        classes = _column("classes", classes, np.uint8, "a row of places in CLASSES")
        return np.frombuffer(self._waiting.score_batch(fees.data, classes.data), dtype=np.float64)

    @property
    def order(self) -> Order | None:
        """A function that scores the candidates of each block that :meth:`Chain.mine` makes; None: the pool's ranks.

        It is called once a block, with columns of the best candidates by rank.

        >>> from execlayer import Chain
        >>> chain = Chain.dev()
        >>> chain.pool.order = lambda columns: -columns["arrival"].astype(float)  # first come, first served
        """
        return self._order

    @order.setter
    def order(self, order: Order | None) -> None:
        if order is not None and not callable(order):
            raise InvalidArgument(
                f"order is {order!r}, expected a function of columns, or None",
                field="order",
                value=order,
                expected="a function of columns, or None",
            )
        self._order = order

    def mine_ordered(self, order: Order, timestamp: int | None) -> _core.Mined:
        """Makes a block in an order of one's own. *Errors*: what ``order`` raises; no block is made then."""
        import numpy as np

        candidates = self._waiting.candidates(CANDIDATES)
        given = order(_columns(candidates))
        try:
            scores = np.ascontiguousarray(given, dtype=np.float64)
        except (TypeError, ValueError):
            expected = "a number for each candidate"
            raise InvalidArgument(
                f"the order gave {given!r}, expected {expected}", field="order", value=given, expected=expected
            ) from None
        return self._chain.mine_ordered(candidates, scores.data, timestamp)


def _column(field: str, given: Any, dtype: type, expected: str) -> np.ndarray[Any, Any]:
    """A row of numbers; rounded where they are floats, and else to the letter."""
    import numpy as np

    with suppress(TypeError, ValueError, OverflowError):
        column: np.ndarray[Any, Any] = np.asarray(given, dtype=dtype)
        if column.ndim == 1 and (dtype is np.float64 or np.array_equal(column, given)):
            return np.ascontiguousarray(column)
    raise InvalidArgument(f"{field} is {given!r}, expected {expected}", field=field, value=given, expected=expected)


def _columns(candidates: _core.Candidates) -> Columns:
    import numpy as np

    raw = candidates.columns()
    columns: Columns = {name: np.frombuffer(raw[name], dtype=dtype) for name, dtype in _DTYPES.items()}
    for name, width in (("sender", 20), ("recipient", 20), ("hash", 32)):
        columns[name] = np.frombuffer(raw[name], dtype=np.uint8).reshape(-1, width)
    return columns


_DTYPES = {
    "tip": "f8",
    "fee_cap": "f8",
    "gas_limit": "u8",
    "nonce": "u8",
    "arrival": "u8",
    "size_bytes": "u8",
    "since_ms": "u8",
    "class": "u1",
    "blobs": "u1",
}

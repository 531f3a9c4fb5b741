"""What the engine says in XLO/1, as values: acknowledgements, updates and results of orders.

:func:`report` gives one or raises :class:`~execlayer.orders.wire.FrameRefused`, nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast

from .wire import AuthKey, FrameRefused, decode

KIND_UNKNOWN = 106
"""The protocol's code for a message that is not the engine's."""

FLAGS = ("terminal", "revoked", "cancel_asked", "overdue", "residual")
FAILURES = (
    "",
    "InsufficientProfit",
    "StaleSignal",
    "GasPriceTooHigh",
    "InvalidParameters",
    "TransactionReverted",
    "InsufficientFunds",
    "TransactionDropped",
    "NetworkTimeout",
    "MEVBundleFailed",
    "CapacityExceeded",
    "DuplicateSignal",
    "SimulationFailed",
    "PoolStateMismatch",
    "DeadlineExpired",
    "NonceConflict",
    "Cancelled",
    "LimitExceeded",
    "Halted",
    "Unauthorized",
)
"""Why orders fail, by their numbers."""


@dataclass(frozen=True, slots=True)
class Status:
    """Where an order is."""

    order_id: int
    signal_id: int
    source_id: int
    strategy_id: int
    state: str
    sub: str
    failure: str
    """Empty: none."""

    replacements: int
    flags: tuple[str, ...]
    order_seq: int
    event_unix_ns: int
    ns_since_receipt: int

    @property
    def is_terminal(self) -> bool:
        """Whether the order has ended."""
        return "terminal" in self.flags


@dataclass(frozen=True, slots=True)
class Attempt:
    """A signed transaction of an order."""

    hash: str
    sender: str
    kind: str
    channel: str
    nonce: int
    max_fee: int
    max_priority: int
    gas_limit: int
    target_block: int


@dataclass(frozen=True, slots=True)
class Fill:
    """What a block did to an order's ledger."""

    kind: str
    success: bool
    legs: int
    tx_index: int
    block: int
    block_hash: str
    tx_hash: str
    profit_token: str
    depth: int
    realized: int
    """Profit, in the token."""

    realized_wei: int
    """Profit in wei after gas."""

    builder_payment_wei: int
    gas_used: int
    gas_price: int


@dataclass(frozen=True, slots=True)
class Leg:
    """One swap of a fill."""

    pool: str
    token_in: str
    token_out: str
    log_index: int
    amount_in: int
    amount_out: int


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a frame or an order was refused, or failed."""

    code: int
    text: str
    revert: bytes
    rpc_code: int

    @property
    def name(self) -> str:
        """The failure's name; empty where the code is the wire's own."""
        return FAILURES[self.code] if self.code < len(FAILURES) else ""


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle at a relay."""

    bundle_hash: str
    uuid: str
    target_block: int
    relay: int
    attempts: int


Kind: TypeAlias = Literal["result", "update", "ack", "nack"]
KINDS = ("result", "update", "ack", "nack")


@dataclass(frozen=True, slots=True)
class Report:
    """A message of the engine."""

    kind: Kind
    sequence: int
    """Of a result or update: its place in the outbox. Of an answer: that of the frame it answers."""

    status: Status | None
    attempts: tuple[Attempt, ...] = ()
    fills: tuple[Fill, ...] = ()
    legs: tuple[Leg, ...] = ()
    error: Trouble | None = None
    bundles: tuple[Bundle, ...] = ()


def report(data: bytes, keys: Iterable[AuthKey] | None = None) -> Report:
    """Reads what the engine says. *Errors*: :class:`FrameRefused`."""
    told = decode(data, keys)
    kind = told["kind"]
    if kind not in KINDS:
        reason = f"a {kind} is none of the engine's messages"
        raise FrameRefused(reason, code=KIND_UNKNOWN, offset=5)
    return Report(
        cast("Kind", kind),
        told["sequence"],
        None if told["status"] is None else _status(told["status"]),
        tuple(Attempt(**_named(one, attempt="kind")) for one in told["transactions"]),
        tuple(Fill(**_named(one, fill="kind")) for one in told["fills"]),
        tuple(Leg(**one) for one in told["legs"]),
        None if told["error"] is None else _trouble(told["error"]),
        tuple(Bundle(**one | {"uuid": one["uuid"].hex()}) for one in told["bundles"]),
    )


def _status(told: dict[str, Any]) -> Status:
    flags = tuple(name for name in FLAGS if told.pop(name))
    return Status(**told | {"failure": told["failure"] or "", "flags": flags})


def _named(told: dict[str, Any], **names: str) -> dict[str, Any]:
    return {names.get(name, name): value for name, value in told.items()}


def _trouble(told: dict[str, Any]) -> Trouble:
    return Trouble(told["code"], told["text"], told["revert"], told["rpc_code"])

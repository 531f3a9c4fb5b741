"""What the engine says in XLO/1, as values: acknowledgements, updates and results of orders.

:func:`report` gives one or raises :class:`~execlayer.orders.wire.FrameRefused`, nothing else.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from .states import STATE_OF
from .wire import ACK, CHANNELS, HEADER_BYTES, NACK, RESULT, UPDATE, AuthKey, decode, refuse

_STATUS, _TX, _FILL, _LEG, _ERROR, _BUNDLE = range(0x101, 0x107)
SUBSTATES = tuple(STATE_OF)
ATTEMPTS = ("original", "speed_up", "cancel", "filler")
FILLS = ("fill", "reversal", "reinstatement", "late")
FLAGS = {1: "terminal", 2: "revoked", 4: "cancel_asked", 8: "overdue", 16: "residual"}
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
_KINDS: dict[int, Kind] = {RESULT: "result", UPDATE: "update", ACK: "ack", NACK: "nack"}


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


def report(data: bytes, keys: dict[int, AuthKey] | None = None) -> Report:
    """Reads what the engine says. *Errors*: :class:`FrameRefused`."""
    found = decode(data, keys)
    kind = _KINDS.get(found.kind)
    if kind is None:
        raise refuse(f"message type {found.kind:#x} is none of the engine's", 5)
    try:
        parts: dict[str, Any] = {
            name: tuple(read(value) for value in found.fields.get(number, [])) for name, number, read in _READERS
        }
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise refuse(f"a field is not what its type says: {error}", HEADER_BYTES) from None
    parts["status"] = parts["status"][0] if parts["status"] else None
    parts["error"] = parts["error"][0] if parts["error"] else None
    return Report(kind, found.header.sequence, **parts)


def _hex(data: bytes) -> str:
    return "0x" + data.hex()


def _status(value: bytes) -> Status:
    order, signal, source, strategy, _, sub, failure, count, flags, seq, event, since = struct.unpack(
        "<QQIHBBHBBIQQ", value
    )
    names = tuple(name for bit, name in FLAGS.items() if flags & bit)
    word = SUBSTATES[sub]
    return Status(
        order, signal, source, strategy, STATE_OF[word], word, FAILURES[failure], count, names, seq, event, since
    )


def _attempt(value: bytes) -> Attempt:
    digest, sender, kind, channel, *rest = struct.unpack("<32s20sBBxxQQQQQ", value)
    return Attempt(_hex(digest), _hex(sender), ATTEMPTS[kind], CHANNELS[channel], *rest)


def _signed(value: bytes) -> int:
    return int.from_bytes(value, "little", signed=True)


def _fill(value: bytes) -> Fill:
    kind, success, legs, index, block, block_hash, tx_hash, token, depth, made, wei, paid, gas, price = struct.unpack(
        "<BBHIQ32s32s20sI16s16s16sQQ", value
    )
    names = (_hex(block_hash), _hex(tx_hash), _hex(token))
    money = (_signed(made), _signed(wei), int.from_bytes(paid, "little"))
    return Fill(FILLS[kind], bool(success), legs, index, block, *names, depth, *money, gas, price)


def _leg(value: bytes) -> Leg:
    pool, token_in, token_out, index, paid, got = struct.unpack("<20s20s20sI32s32s", value)
    amounts = (int.from_bytes(paid, "little"), int.from_bytes(got, "little"))
    return Leg(_hex(pool), _hex(token_in), _hex(token_out), index, *amounts)


def _trouble(value: bytes) -> Trouble:
    code, _, _, rpc_code, reverted, text = struct.unpack_from("<HBBiHH", value)
    if len(value) != 12 + reverted + text:
        raise struct.error("the error's length")
    return Trouble(code, value[12 + reverted :].decode(), value[12 : 12 + reverted], rpc_code)


def _bundle(value: bytes) -> Bundle:
    digest, uuid, block, relay, attempts = struct.unpack("<32s16sQHH", value)
    return Bundle(_hex(digest), uuid.hex(), block, relay, attempts)


_READERS: tuple[tuple[str, int, Callable[[bytes], Any]], ...] = (
    ("status", _STATUS, _status),
    ("attempts", _TX, _attempt),
    ("fills", _FILL, _fill),
    ("legs", _LEG, _leg),
    ("error", _ERROR, _trouble),
    ("bundles", _BUNDLE, _bundle),
)

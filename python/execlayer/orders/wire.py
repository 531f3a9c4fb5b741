"""XLO/1 for whoever sends signals and takes results: values, and the frames that say them. Knows no socket, no clock.

>>> from execlayer.orders.wire import Header, heartbeat
>>> heartbeat(Header(sequence=1, sent_unix_ns=0, source_id=9)).hex()
'584c4f3101030000010000000000000000000000000000000900000000000000000000009b66d53f'

Rust writes and reads every frame (``rust/orders/src/wire``). Bytes are a frame or :class:`FrameRefused`, nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from .. import _core
from ..errors import FrameRefused as FrameRefused
from ..errors import InvalidArgument

Action: TypeAlias = Literal["flash_swap", "flash_loan", "pool_loan", "raw_call"]
Channel: TypeAlias = Literal["default", "public", "private", "hybrid"]

_BITS = {
    **dict.fromkeys(("strategy_id", "slippage_bps", "tip_share_bps", "confidence_bps", "fee", "fee_bps"), 16),
    **dict.fromkeys(("signal_id", "created_unix_ns", "chain_id", "gas_estimate", "state_block", "max_fee"), 64),
    **dict.fromkeys(("max_priority", "valid_until_block", "valid_until_ns"), 64),
    "required_capital": 128,
    "kind": 8,
    "expected_profit": -128,
    "expected_profit_wei": -128,
}
"""How wide numbers are; below zero where they have a sign."""


@dataclass(frozen=True, slots=True)
class AuthKey:
    """A shared secret with the number that frames name it by."""

    id: int
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What stands in front of every message."""

    sequence: int
    sent_unix_ns: int
    source_id: int
    wants_ack: bool = False
    is_test: bool = False

    @property
    def envelope(self) -> tuple[int, int, int, bool, bool]:
        """As Rust takes it."""
        return self.source_id, self.sequence, self.sent_unix_ns, self.wants_ack, self.is_test


def _pair(auth: AuthKey | None) -> tuple[int, bytes] | None:
    return None if auth is None else (auth.id, auth.secret)


def decode(data: bytes, keys: Iterable[AuthKey] | None = None) -> dict[str, Any]:
    """What exactly one frame says, by the names of the protocol. With ``keys`` it has to carry the code of one of them.
    *Errors*: :class:`FrameRefused`."""
    return _core.decode_frame(data, keys=None if keys is None else [(key.id, key.secret) for key in keys])


class Splitter:
    """Cuts a stream into frames. Memory is bounded by one frame and what was fed at once."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The frames that are whole now; :class:`FrameRefused` where none can begin here."""
        held = self._held
        held += data
        while (length := _core.frame_length(bytes(held[:40]))) is not None and length <= len(held):
            yield bytes(held[:length])
            del held[:length]

    @property
    def rest(self) -> bytes:
        """What begins no frame, or not a whole one."""
        return bytes(self._held)


# ---- what sources send ----------------------------------------------------------------------------------------------


def _check(of: Any, *names: str) -> None:
    """Says which number does not fit; what else is wrong Rust says."""
    for name in names:
        value, bits = getattr(of, name), _BITS[name]
        least, most = (0, 2**bits) if bits > 0 else (-(2 ** (-bits - 1)), 2 ** (-bits - 1))
        if value is not None and not (isinstance(value, int) and least <= value < most):
            expected = f"a whole number of {abs(bits)} bits"
            raise InvalidArgument(
                f"{name}: expected {expected}, got {value!r}", field=name, value=value, expected=expected
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """How one pool of the path is used."""

    kind: int = 0
    zero_for_one: bool = False
    fee: int = 0
    """In hundredths of a percent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lender:
    """Who lends the capital."""

    address: str
    kind: int = 0
    fee_bps: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """An arbitrage that somebody found. Amounts are in the smallest unit."""

    signal_id: int
    """With source and strategy its name: the same name is the same signal, however often it is sent."""

    created_unix_ns: int
    chain_id: int
    pools: Sequence[str]
    tokens: Sequence[str]
    amounts: Sequence[int]
    profit_token: str
    expected_profit: int
    """In the profit token."""

    expected_profit_wei: int
    """What that is worth in wei."""

    required_capital: int = 0
    gas_estimate: int = 0
    """0: unknown."""

    state_block: int = 0
    """The block it was computed on."""

    strategy_id: int = 0
    action: Action = "flash_swap"
    channel: Channel = "default"
    slippage_bps: int | None = None
    tip_share_bps: int | None = None
    max_fee: int = 0
    max_priority: int = 0
    valid_until_block: int = 0
    valid_until_ns: int = 0
    confidence_bps: int = 0
    contract: str | None = None
    hops: Sequence[Hop] = ()
    raw_call: bytes | None = None
    lender: Lender | None = None

    def to_frame(self, header: Header, auth: AuthKey | None = None) -> bytes:
        """Its bytes. *Errors*: :class:`~execlayer.errors.InvalidArgument` for a value that its field can't hold,
        :class:`FrameRefused` for a signal that nobody would take."""
        _check(self, *(name for name in self.__slots__ if name in _BITS))
        for hop in self.hops:
            _check(hop, "kind", "fee")
        if (lender := self.lender) is not None:
            _check(lender, "kind", "fee_bps")
        return _core.encode_signal(
            header.envelope,
            signal_id=self.signal_id,
            created_unix_ns=self.created_unix_ns,
            chain_id=self.chain_id,
            expected_profit=self.expected_profit,
            expected_profit_wei=self.expected_profit_wei,
            required_capital=self.required_capital,
            profit_token=self.profit_token,
            pools=self.pools,
            tokens=self.tokens,
            amounts=self.amounts,
            state_block=self.state_block,
            strategy_id=self.strategy_id,
            action=self.action,
            channel=self.channel,
            gas_estimate=self.gas_estimate,
            slippage_bps=self.slippage_bps,
            tip_share_bps=self.tip_share_bps,
            max_fee=self.max_fee or None,
            max_priority=self.max_priority or None,
            valid_until_block=self.valid_until_block or None,
            valid_until_ns=self.valid_until_ns or None,
            confidence_bps=self.confidence_bps,
            contract=self.contract,
            hops=[(hop.kind, hop.zero_for_one, hop.fee) for hop in self.hops] or None,
            raw_call=self.raw_call,
            lender=None if lender is None else (lender.address, lender.kind, lender.fee_bps),
            auth=_pair(auth),
        )

    def to_cancel(self, header: Header, auth: AuthKey | None = None) -> bytes:
        """Bytes that say it is no longer wanted."""
        _check(self, "signal_id", "created_unix_ns", "chain_id", "strategy_id")
        return _core.encode_cancel(
            header.envelope,
            signal_id=self.signal_id,
            created_unix_ns=self.created_unix_ns,
            chain_id=self.chain_id,
            strategy_id=self.strategy_id,
            auth=_pair(auth),
        )


def heartbeat(header: Header, auth: AuthKey | None = None) -> bytes:
    """A source is alive."""
    return _core.encode_heartbeat(header.envelope, auth=_pair(auth))


def acknowledgement(sequence: int, *, sent_unix_ns: int, source_id: int, auth: AuthKey | None = None) -> bytes:
    """A consumer has everything up to this result; the first one on a connection asks for what comes after it."""
    return _core.encode_ack((source_id, sequence, sent_unix_ns, False, False), auth=_pair(auth))

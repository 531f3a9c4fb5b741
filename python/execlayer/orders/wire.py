"""XLO/1 for whoever sends signals and takes results: frames to values and back. Knows no socket and no clock.

>>> from execlayer.orders.wire import Header, decode, heartbeat
>>> heartbeat(Header(sequence=1, sent_unix_ns=0, source_id=9)).hex()
'584c4f3101030000010000000000000000000000000000000900000000000000000000009b66d53f'

The engine itself reads and writes frames in Rust (``rust/orders/src/wire``); golden vectors and a third, plainer reader
in the tests hold the two together. :func:`decode` gives a message or raises :class:`FrameRefused`, nothing else.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from ..errors import ExeclayerError

HEADER = struct.Struct("<4sBBHQQIHHII")
HEADER_BYTES = HEADER.size
FRAME_BYTES_MAX = 65_536
MAGIC, VERSION = b"XLO1", 1
ACK_WANTED, TEST = 1, 2

SIGNAL, CANCEL, HEARTBEAT, RESULT, UPDATE, ACK, NACK = 0x01, 0x02, 0x03, 0x10, 0x11, 0x12, 0x13
_IDENTITY, _ECONOMICS, _ADDRESSES, _HOPS, _RAW_CALL, _LENDER = range(1, 7)
_AUTH = 0xFFFF
_REPEATED = {0x102, 0x103, 0x104, 0x106}
_NO_BPS = 0xFFFF

Action: TypeAlias = Literal["flash_swap", "loan", "pool_loan", "raw_call"]
Channel: TypeAlias = Literal["default", "public", "private", "hybrid"]
ACTIONS: tuple[Action, ...] = ("flash_swap", "loan", "pool_loan", "raw_call")
CHANNELS: tuple[Channel, ...] = ("default", "public", "private", "hybrid")


class FrameRefused(ExeclayerError, ValueError):
    """Bytes that are no frame, or not one of somebody we know."""

    reason: str
    offset: int


def refuse(reason: str, offset: int) -> FrameRefused:
    """The error for what is wrong at a byte."""
    return FrameRefused(f"{reason} at byte {offset}", reason=reason, offset=offset)


# ---- frames ---------------------------------------------------------------------------------------------------------


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return tuple(table)


_CRC = _crc_table()


def crc32c(data: bytes, total: int = 0) -> int:
    """Castagnoli's checksum.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    total ^= 0xFFFFFFFF
    table = _CRC
    for byte in data:
        total = (total >> 8) ^ table[(total ^ byte) & 0xFF]
    return total ^ 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class AuthKey:
    """A shared secret with the number that frames name it by."""

    id: int
    secret: bytes = field(repr=False)

    def code(self, head: bytes, body: bytes) -> bytes:
        """Of a frame whose checksum is zeroed, without the field that holds the code."""
        return hmac.new(self.secret, head[:36] + bytes(4) + body, hashlib.sha256).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What stands in front of every message."""

    sequence: int
    sent_unix_ns: int
    source_id: int
    wants_ack: bool = False
    is_test: bool = False


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame whose form is right."""

    kind: int
    header: Header
    fields: dict[int, list[bytes]]


def frame(kind: int, header: Header, fields: Sequence[tuple[int, bytes]], auth: AuthKey | None = None) -> bytes:
    """A message's bytes. *Errors*: :class:`FrameRefused` for one above the limit."""
    if sum(len(value) for _, value in fields) > FRAME_BYTES_MAX:
        raise refuse("the frame is above the limit", FRAME_BYTES_MAX)
    body = b"".join(struct.pack("<HH", number, len(value)) + value + bytes(-len(value) % 4) for number, value in fields)
    flags = (ACK_WANTED if header.wants_ack else 0) | (TEST if header.is_test else 0)
    extra = 40 if auth is not None else 0
    source = (header.sequence, header.sent_unix_ns, header.source_id)
    count = len(fields) + (auth is not None)
    head = HEADER.pack(MAGIC, VERSION, kind, flags, *source, count, 0, len(body) + extra, 0)
    if HEADER_BYTES + len(body) + extra > FRAME_BYTES_MAX:
        raise refuse("the frame is above the limit", FRAME_BYTES_MAX)
    if auth is not None:
        body += struct.pack("<HHI", _AUTH, 36, auth.id) + auth.code(head, body)
    return head[:36] + struct.pack("<I", crc32c(body, crc32c(head[:36]))) + body


def frame_length(data: bytes | bytearray) -> int | None:
    """How long the frame is that a stream's bytes begin with; None while too little of it is there."""
    if not MAGIC.startswith(bytes(data[:4])):
        raise refuse("the frame does not start with XLO1", 0)
    if len(data) > 4 and data[4] != VERSION:
        raise refuse("version unknown", 4)
    if len(data) < 36:
        return None
    length = HEADER_BYTES + int.from_bytes(data[32:36], "little")
    if length > FRAME_BYTES_MAX:
        raise refuse("frame above the limit", 32)
    return length


def decode(data: bytes, keys: dict[int, AuthKey] | None = None) -> Frame:
    """Reads exactly one frame. With ``keys`` its code must be right for one of them."""
    length = frame_length(data)
    if length is None or length != len(data):
        raise refuse("the length is not the frame's", 32)
    _, _, kind, flags, sequence, sent, source, count, zero, _, checksum = HEADER.unpack_from(data)
    if checksum != crc32c(data[40:], crc32c(data[:36])):
        raise refuse("checksum wrong", 36)
    if flags & ~(ACK_WANTED | TEST):
        raise refuse("flag unknown", 6)
    if zero:
        raise refuse("reserved byte not zero", 30)
    fields: dict[int, list[bytes]] = {}
    offset, last, found = HEADER_BYTES, -1, 0
    auth_at = 0
    while offset < len(data):
        if len(data) - offset < 4:
            raise refuse("length of the field is not its type's", offset)
        number, size = struct.unpack_from("<HH", data, offset)
        end = offset + 4 + size
        padded = end + -size % 4
        if padded > len(data):
            raise refuse("length of the field is not its type's", offset + 2)
        if number < last or (number == last and number not in _REPEATED):
            raise refuse("fields not in ascending order", offset)
        if any(data[end:padded]):
            raise refuse("reserved byte not zero", end)
        fields.setdefault(number, []).append(data[offset + 4 : end])
        auth_at, offset, last, found = offset, padded, number, found + 1
    if found != count:
        raise refuse("number of fields is not the frame's", 28)
    if keys is not None:
        _authenticate(data, fields, auth_at, keys)
    return Frame(kind, Header(sequence=sequence, sent_unix_ns=sent, source_id=source, **_flags(flags)), fields)


def _flags(flags: int) -> dict[str, bool]:
    return {"wants_ack": bool(flags & ACK_WANTED), "is_test": bool(flags & TEST)}


def _authenticate(data: bytes, fields: dict[int, list[bytes]], at: int, keys: dict[int, AuthKey]) -> None:
    [code] = fields.get(_AUTH, [b""])
    if len(code) != 36:
        raise refuse("authentication required", len(data))
    key = keys.get(int.from_bytes(code[:4], "little"))
    if key is None:
        raise refuse("authentication key unknown", at + 4)
    if not hmac.compare_digest(code[4:], key.code(data, data[HEADER_BYTES:at])):
        raise refuse("authentication code wrong", at + 8)


class Splitter:
    """Cuts a stream into frames. Memory is bounded by one frame and what was fed at once."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The frames that are whole now; :class:`FrameRefused` where none can begin here."""
        held = self._held
        held += data
        while (length := frame_length(held)) is not None and length <= len(held):
            yield bytes(held[:length])
            del held[:length]

    @property
    def rest(self) -> bytes:
        """What begins no frame, or not a whole one."""
        return bytes(self._held)


# ---- what sources send ----------------------------------------------------------------------------------------------


def _address(name: str, text: str | None) -> bytes:
    if text is None:
        return bytes(20)
    try:
        data = bytes.fromhex(text.removeprefix("0x"))
    except (ValueError, AttributeError):
        data = b""
    if len(data) != 20:
        raise refuse(f"{name} is {text!r}, which is no address", 0)
    return data


def _number(name: str, value: int, size: int, *, signed: bool = False) -> bytes:
    try:
        return value.to_bytes(size, "little", signed=signed)
    except (OverflowError, AttributeError):
        raise refuse(f"{name} is {value!r}, which is no whole number of {8 * size} bits", 0) from None


def _bps(name: str, value: int | None) -> int:
    if value is None:
        return _NO_BPS
    if not 0 <= value <= 10_000:
        raise refuse(f"{name} is {value}, which is not from 0 to 10,000", 0)
    return value


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
        """Its bytes. *Errors*: :class:`FrameRefused` for a value that its field can't hold."""
        fields = [(_IDENTITY, self._identity()), (_ECONOMICS, self._economics()), (_ADDRESSES, self._addresses())]
        if self.hops:
            hops = [
                _number("hop's kind", hop.kind, 1) + bytes([hop.zero_for_one]) + _number("hop's fee", hop.fee, 2)
                for hop in self.hops
            ]
            fields.append((_HOPS, b"".join(hops)))
        if self.raw_call is not None:
            fields.append((_RAW_CALL, self.raw_call))
        if self.lender is not None:
            kind, fee = _number("lender's kind", self.lender.kind, 1), _number("lender's fee", self.lender.fee_bps, 2)
            fields.append((_LENDER, _address("lender", self.lender.address) + kind + b"\0" + fee))
        return frame(SIGNAL, header, fields, auth)

    def to_cancel(self, header: Header, auth: AuthKey | None = None) -> bytes:
        """Bytes that say it is no longer wanted."""
        return frame(CANCEL, header, [(_IDENTITY, self._identity())], auth)

    def _identity(self) -> bytes:
        if self.action not in ACTIONS or self.channel not in CHANNELS:
            raise refuse(f"action {self.action!r} or channel {self.channel!r} is unknown", 0)
        return (
            _number("signal_id", self.signal_id, 8)
            + _number("created_unix_ns", self.created_unix_ns, 8)
            + _number("strategy_id", self.strategy_id, 2)
            + bytes([ACTIONS.index(self.action), CHANNELS.index(self.channel), 0, 0, 0, 0])
            + _number("chain_id", self.chain_id, 8)
        )

    def _economics(self) -> bytes:
        slippage = _bps("slippage_bps", self.slippage_bps)
        share = _bps("tip_share_bps", self.tip_share_bps)
        names = ("max_fee", "max_priority", "state_block", "valid_until_block", "valid_until_ns")
        return (
            _number("expected_profit", self.expected_profit, 16, signed=True)
            + _number("expected_profit_wei", self.expected_profit_wei, 16, signed=True)
            + _number("required_capital", self.required_capital, 16)
            + _number("gas_estimate", self.gas_estimate, 8)
            + struct.pack("<HHI", slippage, share, 0)
            + b"".join(_number(name, getattr(self, name), 8) for name in names)
            + struct.pack("<H6x", _bps("confidence_bps", self.confidence_bps))
        )

    def _addresses(self) -> bytes:
        for name, count, least, most in (
            ("pools", len(self.pools), 1, 8),
            ("tokens", len(self.tokens), 2, 9),
            ("amounts", len(self.amounts), 1, 8),
        ):
            if not least <= count <= most:
                raise refuse(f"{count} {name}, not from {least} to {most}", 0)
        return b"".join(
            [
                _address("contract", self.contract),
                _address("profit_token", self.profit_token),
                bytes([len(self.pools), len(self.tokens), len(self.amounts), 0]),
                *[_address("pools", one) for one in self.pools],
                *[_address("tokens", one) for one in self.tokens],
                *[_number("amounts", one, 32) for one in self.amounts],
            ]
        )


def heartbeat(header: Header, auth: AuthKey | None = None) -> bytes:
    """A source is alive."""
    return frame(HEARTBEAT, header, [], auth)


def acknowledgement(sequence: int, *, sent_unix_ns: int, source_id: int, auth: AuthKey | None = None) -> bytes:
    """A consumer has everything up to this result; the first one on a connection asks for what comes after it."""
    return frame(ACK, Header(sequence=sequence, sent_unix_ns=sent_unix_ns, source_id=source_id), [], auth)

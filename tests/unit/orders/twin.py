"""XLO/1 read a second time, from the protocol's description alone: the plain twin of Rust's codec."""

from __future__ import annotations

import struct
from typing import Any

HEADER = struct.Struct("<4sBBHQQIHHII")


def crc32c(data: bytes) -> int:
    """Castagnoli, bit by bit."""
    total = 0xFFFFFFFF
    for byte in data:
        total ^= byte
        for _ in range(8):
            total = (total >> 1) ^ (0x82F63B78 if total & 1 else 0)
    return total ^ 0xFFFFFFFF


def i128(data: bytes) -> int:
    """A signed number of sixteen bytes."""
    return int.from_bytes(data, "little", signed=True)


def fields(body: bytes) -> dict[int, list[bytes]]:
    """The fields of a body; repeated ones in order."""
    found: dict[int, list[bytes]] = {}
    offset = last = 0
    while offset < len(body):
        kind, length = struct.unpack_from("<HH", body, offset)
        assert kind >= last, "fields ascend"
        end = offset + 4 + length
        padded = end + -length % 4
        assert not any(body[end:padded]), "padding is zero"
        found.setdefault(kind, []).append(body[offset + 4 : end])
        offset, last = padded, kind
    assert offset == len(body)
    return found


def decode(frame: bytes) -> tuple[dict[str, int], dict[int, list[bytes]]]:
    """A frame's header and fields; raises AssertionError for what is none."""
    magic, version, kind, flags, sequence, sent, source, count, zero, length, checksum = HEADER.unpack_from(frame)
    assert (magic, version, zero) == (b"XLO1", 1, 0)
    assert length == len(frame) - 40
    assert checksum == crc32c(frame[:36] + frame[40:])
    found = fields(frame[40:])
    assert count == sum(map(len, found.values()))
    return {"kind": kind, "flags": flags, "sequence": sequence, "sent": sent, "source": source}, found


def status(value: bytes) -> dict[str, Any]:
    """Field 0101."""
    names = "order signal source strategy state sub failure replacements flags order_seq event_ns since_ns"
    return dict(zip(names.split(), struct.unpack("<QQIHBBHBBIQQ", value), strict=True))


def encode(kind: int, sequence: int, sent: int, source: int, parts: list[tuple[int, bytes]], flags: int = 0) -> bytes:
    """A frame of these fields."""
    body = b"".join(struct.pack("<HH", number, len(value)) + value + bytes(-len(value) % 4) for number, value in parts)
    head = HEADER.pack(b"XLO1", 1, kind, flags, sequence, sent, source, len(parts), 0, len(body), 0)[:36]
    return head + struct.pack("<I", crc32c(head + body)) + body


def signal_parts(
    *,
    signal_id: int,
    created: int,
    profit: int,
    wei: int,
    capital: int = 1,
    gas: int = 200_000,
    state_block: int = 0,
    chain_id: int = 1,
    channel: int = 1,
    amount: int = 5,
) -> list[tuple[int, bytes]]:
    """Fields 0001 to 0003 of a flash swap over two pools."""
    none = 0xFFFF
    identity = struct.pack("<QQHBBIQ", signal_id, created, 3, 0, channel, 0, chain_id)
    economics = (
        profit.to_bytes(16, "little", signed=True)
        + wei.to_bytes(16, "little", signed=True)
        + capital.to_bytes(16, "little")
        + struct.pack("<QHHIQQQQQH6x", gas, none, none, 0, 0, 0, state_block, 0, 0, 0)
    )
    paths = [bytes([byte]) * 20 for byte in (0x22, 0x33, 0x44, 0x11)]
    addresses = bytes(20) + b"\x11" * 20 + bytes([2, 2, 1, 0]) + b"".join(paths) + amount.to_bytes(32, "little")
    return [(1, identity), (2, economics), (3, addresses)]

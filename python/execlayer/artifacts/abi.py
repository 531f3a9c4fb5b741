"""As much of Solidity's ABI as the shipped contracts need: words, bytes and text, and arrays of words.

Numbers are ``int``, addresses ``0x`` text, fixed bytes ``bytes``. Tuples and nested arrays are not known.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

WORD = 32


def encode(types: Sequence[str], values: Sequence[Any]) -> bytes:
    """The arguments of a call."""
    if len(types) != len(values):
        raise ValueError(f"{len(types)} arguments are wanted ({', '.join(types)}), got {len(values)}")
    heads, tails = [], b""
    for kind, value in zip(types, values, strict=True):
        if _is_dynamic(kind):
            heads.append((len(types) * WORD + len(tails)).to_bytes(WORD))
            tails += _tail(kind, value)
        else:
            heads.append(_word(kind, value))
    return b"".join(heads) + tails


def decode(types: Sequence[str], data: bytes) -> tuple[Any, ...]:
    """The values of an answer, an error or an event. *Errors*: ``ValueError`` where the data is too short."""
    values = []
    for place, kind in enumerate(types):
        word = _at(data, place * WORD, WORD)
        values.append(_read_tail(kind, data, int.from_bytes(word)) if _is_dynamic(kind) else _read_word(kind, word))
    return tuple(values)


def _is_dynamic(kind: str) -> bool:
    return kind.endswith("[]") or kind in ("bytes", "string")


def _tail(kind: str, value: Any) -> bytes:
    if kind.endswith("[]"):
        return len(value).to_bytes(WORD) + b"".join(_word(kind[:-2], one) for one in value)
    raw = value.encode() if kind == "string" else bytes(value)
    return len(raw).to_bytes(WORD) + raw.ljust(-(-len(raw) // WORD) * WORD, b"\0")


def _word(kind: str, value: Any) -> bytes:
    if kind == "address":
        raw = bytes.fromhex(value.removeprefix("0x"))
        if len(raw) != 20:
            raise ValueError(f"an address is wanted, got {len(raw)} bytes")
        return raw.rjust(WORD, b"\0")
    if kind.startswith("bytes"):
        if len(value) != int(kind.removeprefix("bytes")):
            raise ValueError(f"{kind} is wanted, got {len(value)} bytes")
        return bytes(value).ljust(WORD, b"\0")
    if kind == "bool":
        return int(value).to_bytes(WORD)
    if kind.startswith("uint") and 0 <= value < 1 << int(kind.removeprefix("uint")):
        return int(value).to_bytes(WORD)
    raise ValueError(f"{value!r} is no {kind}")


def _at(data: bytes, start: int, size: int) -> bytes:
    found = data[start : start + size]
    if len(found) != size:
        raise ValueError(f"{size} bytes are wanted at {start}, of {len(data)}")
    return found


def _read_tail(kind: str, data: bytes, start: int) -> Any:
    length = int.from_bytes(_at(data, start, WORD))
    start += WORD
    if kind.endswith("[]"):
        words = _at(data, start, length * WORD)
        return [_read_word(kind[:-2], words[place : place + WORD]) for place in range(0, len(words), WORD)]
    raw = _at(data, start, length)
    return raw.decode("utf-8", "replace") if kind == "string" else raw


def _read_word(kind: str, word: bytes) -> Any:
    if kind == "address":
        return "0x" + word[12:].hex()
    if kind.startswith("bytes"):
        return word[: int(kind.removeprefix("bytes"))]
    number = int.from_bytes(word)
    return bool(number) if kind == "bool" else number

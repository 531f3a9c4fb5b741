"""Amounts of ether: always whole wei inside, and readable at the edges.

>>> wei("1.5 ether")
Wei('1.5 ether')
>>> wei("21 gwei") == 21_000_000_000
True
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TypeAlias

from .errors import InvalidArgument

UNITS: dict[str, int] = {"wei": 0, "kwei": 3, "mwei": 6, "gwei": 9, "szabo": 12, "finney": 15, "ether": 18, "eth": 18}
"""Decimal places of each unit."""

_AMOUNT = re.compile(r"([0-9][0-9_,]*(?:\.[0-9]+)?)\s*([a-z]+)", re.IGNORECASE | re.ASCII)
_EXPECTED = "an int in wei from 0 to 2**256 - 1, or text such as '1 ether' or '2.5 gwei'"
_END = 1 << 256
_LONGEST_TEXT = 160  # characters; 2**256 - 1 wei has 78 digits


class Wei(int):
    """An amount in wei: an ``int`` that prints itself in the unit that suits it."""

    __slots__ = ()

    @property
    def ether(self) -> Decimal:
        """In ether, exactly."""
        return Decimal(int(self)).scaleb(-18)

    @property
    def gwei(self) -> Decimal:
        """In gwei, exactly."""
        return Decimal(int(self)).scaleb(-9)

    def __str__(self) -> str:
        size = abs(int(self))
        # The largest unit of which it is at least a thousandth; no digit is left out.
        unit = next((unit for unit in ("ether", "gwei") if size >= 10 ** (UNITS[unit] - 3)), "wei")
        places = UNITS[unit]
        whole, rest = divmod(size, 10**places)
        decimals = f".{rest:0{places}d}".rstrip("0") if rest else ""
        return f"{'-' if self < 0 else ''}{whole:,}{decimals} {unit}"

    def __repr__(self) -> str:
        return f"Wei({str(self)!r})"

    def __format__(self, spec: str) -> str:
        return format(int(self), spec) if spec else str(self)


Amount: TypeAlias = int | str
"""What is taken where an amount is wanted: whole wei, or text with a unit."""


def wei(amount: Amount, field: str = "amount") -> Wei:
    """Reads an amount. ``field`` is what an error calls it.

    *Errors*: :class:`InvalidArgument` for other types, unknown units, parts of a wei and numbers out of range.
    """
    if isinstance(amount, str):
        return _parse(amount, field)
    if isinstance(amount, bool) or not isinstance(amount, int) or not 0 <= amount < _END:
        raise _wrong(field, amount)
    return Wei(amount)


def _parse(text: str, field: str) -> Wei:
    match = _AMOUNT.fullmatch(text.strip()) if len(text) <= _LONGEST_TEXT else None
    places = UNITS.get(match[2].lower()) if match else None
    if match is None or places is None:
        raise _wrong(field, text)
    whole, _, decimals = match[1].replace(",", "").replace("_", "").partition(".")
    if len(decimals.rstrip("0")) > places:
        raise _wrong(field, text)
    amount = int(whole + decimals.rstrip("0").ljust(places, "0"))
    if amount >= _END:
        raise _wrong(field, text)
    return Wei(amount)


def _wrong(field: str, value: object) -> InvalidArgument:
    shown = repr(value) if len(repr(value)) <= 80 else repr(value)[:79] + "…"
    return InvalidArgument(f"{field} is {shown}, expected {_EXPECTED}", field=field, value=value, expected=_EXPECTED)

"""Amounts: what is read, what is refused, how they print."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execlayer.errors import InvalidArgument
from execlayer.units import UNITS, Wei, wei

END = 2**256


@pytest.mark.parametrize(
    ("text", "amount"),
    [
        ("1 ether", 10**18),
        ("1.5 ETHER", 15 * 10**17),
        ("2 eth", 2 * 10**18),
        ("0.000000000000000001 ether", 1),
        ("21 gwei", 21 * 10**9),
        ("1,000 wei", 1000),
        ("1_000wei", 1000),
        (" 3 wei ", 3),
        ("1.000 wei", 1),
        (0, 0),
        (END - 1, END - 1),
        (f"{END - 1} wei", END - 1),
    ],
)
def test_amounts_are_read_exactly(text: int | str, amount: int) -> None:
    assert wei(text) == amount
    assert isinstance(wei(text), Wei)


@pytest.mark.parametrize(
    "wrong",
    ["", "1", "ether", "1 dollar", "-1 ether", "1e18 wei", "0.1 wei", "1.0000000000000000001 ether", "٣ ether",
     f"{END} wei", "9" * 100_000 + " wei", -1, END, 1.0, True, None, b"1 ether", [1]],
)  # fmt: skip
def test_what_is_no_amount_is_refused_by_name(wrong: object) -> None:
    with pytest.raises(InvalidArgument, match=r"^price is ") as caught:
        wei(wrong, "price")  # type: ignore[arg-type]
    assert caught.value.field == "price"
    assert caught.value.value == wrong
    assert len(str(caught.value)) < 250


@given(st.integers(0, END - 1))
def test_what_is_printed_reads_back(amount: int) -> None:
    assert wei(str(Wei(amount))) == amount


@given(st.integers(0, END - 1), st.sampled_from(sorted(UNITS)))
def test_every_amount_can_be_written_in_every_unit(amount: int, unit: str) -> None:
    whole, rest = divmod(amount, 10 ** UNITS[unit])
    if whole < END // 10 ** UNITS[unit]:
        assert wei(f"{whole}.{rest:0{UNITS[unit] or 1}d} {unit}" if UNITS[unit] else f"{amount} wei") == amount


@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        amount = wei(text)
    except InvalidArgument:
        return
    assert 0 <= amount < END


def test_amounts_print_in_the_unit_that_suits_them() -> None:
    assert str(Wei(0)) == "0 wei"
    assert str(Wei(999)) == "999 wei"
    assert str(Wei(42_000 * 10**9)) == "42,000 gwei"
    assert str(Wei(10**15)) == "0.001 ether"
    assert str(Wei(10**15 - 1)) == "999,999.999999999 gwei"
    assert str(Wei(10**18 + 1)) == "1.000000000000000001 ether"
    assert str(Wei(12_345 * 10**17)) == "1,234.5 ether"
    assert str(Wei(-(10**18))) == "-1 ether"
    assert repr(Wei(10**18)) == "Wei('1 ether')"
    assert f"{Wei(10**18)}" == "1 ether"
    assert f"{Wei(1000):,d}" == "1,000"
    assert Wei(15 * 10**17).ether == Decimal("1.5")
    assert Wei(1).gwei == Decimal("1E-9")

"""Frames as Rust writes and reads them for Python, held against the plain twin."""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execlayer import errors
from execlayer._core import decode_frame, encode_cancel, encode_heartbeat, encode_signal, frame_length

from . import twin

SENT = 1_700_000_000_000_000_000
U64 = st.integers(0, 2**64 - 1)
PATH = {
    "profit_token": b"\x11" * 20,
    "pools": [b"\x22" * 20, b"\x33" * 20],
    "tokens": [b"\x44" * 20, b"\x11" * 20],
}


def signal(**fields: Any) -> dict[str, Any]:
    given: dict[str, Any] = {
        "signal_id": 7,
        "created_unix_ns": SENT,
        "chain_id": 1,
        "strategy_id": 3,
        "expected_profit": 469578256709118226712,
        "expected_profit_wei": 10**17,
        "required_capital": 22 * 10**21,
        "gas_estimate": 201126,
        "state_block": 16,
        "amounts": [10710773076393409305],
        **PATH,
    }
    return given | fields


def test_the_golden_frames_are_written() -> None:
    frame = encode_signal((9, 1, SENT, False, False), **signal())
    assert (len(frame), frame[36:40].hex()) == (352, "f637865d")
    empty = encode_heartbeat((9, 1, 0, False, False))
    assert empty.hex() == "584c4f31010300000100000000000000" + "00" * 8 + "0900000000000000000000009b66d53f"


@given(
    signal_id=U64,
    sequence=U64,
    profit=st.integers(-(2**127), 2**127 - 1),
    wei=st.integers(-(2**127), 2**127 - 1),
    capital=st.integers(0, 2**128 - 1),
    gas=U64,
    block=U64,
    amount=st.integers(0, 2**256 - 1),
    ack=st.booleans(),
)
def test_rust_and_the_twin_write_the_same_bytes_and_read_them_back(
    signal_id: int, sequence: int, profit: int, wei: int, capital: int, gas: int, block: int, amount: int, ack: bool
) -> None:
    ours = encode_signal(
        (9, sequence, SENT, ack, False),
        **signal(
            signal_id=signal_id,
            expected_profit=profit,
            expected_profit_wei=wei,
            required_capital=capital,
            gas_estimate=gas,
            state_block=block,
            amounts=[amount],
        ),
    )
    parts = twin.signal_parts(
        signal_id=signal_id,
        created=SENT,
        profit=profit,
        wei=wei,
        capital=capital,
        gas=gas,
        state_block=block,
        channel=0,
        amount=amount,
    )
    assert ours == twin.encode(1, sequence, SENT, 9, parts, int(ack))
    read = decode_frame(ours)
    assert (read["kind"], read["signal_id"], read["expected_profit"]) == ("signal", signal_id, profit)
    assert (read["amounts"], read["ack"], read["slippage_bps"]) == ([amount], ack, None)
    assert frame_length(ours + b"more") == len(ours)


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_with_a_code_and_a_place(data: bytes) -> None:
    with pytest.raises(errors.FrameRefused) as refused:
        decode_frame(data)
    assert 101 <= refused.value.code <= 118
    assert refused.value.offset <= max(len(data), 32)


def test_every_field_of_a_signal_goes_there_and_back() -> None:
    rest: dict[str, Any] = {
        "action": "pool_loan",
        "channel": "hybrid",
        "slippage_bps": 25,
        "tip_share_bps": 9000,
        "max_fee": 5,
        "max_priority": 4,
        "valid_until_block": 99,
        "valid_until_ns": SENT + 1,
        "confidence_bps": 8000,
        "hops": [(0, True, 30), (1, False, 5)],
    }
    lender = (b"\x55" * 20, 1, 9)
    frame = encode_signal(
        (9, 1, SENT, True, True), **signal(contract=b"\x66" * 20, lender=lender, trace=bytes(range(24)), **rest)
    )
    read = decode_frame(frame)
    assert {name: read[name] for name in rest} == rest
    assert (read["lender"][1:], read["trace"], read["test"]) == ((1, 9), bytes(range(24)), True)
    assert bytes.fromhex(read["contract"][2:]) == b"\x66" * 20


def test_a_code_of_authenticity_covers_header_and_fields() -> None:
    secret = b"s" * 32
    frame = encode_cancel((9, 2, SENT, True, False), signal_id=7, created_unix_ns=SENT, chain_id=1, auth=(4, secret))
    assert (decode_frame(frame)["kind"], decode_frame(frame)["signal_id"]) == ("cancel", 7)
    _, fields = twin.decode(frame)
    [auth] = fields[0xFFFF]
    covered = frame[:36] + bytes(4) + frame[40:-40]
    assert auth == (4).to_bytes(4, "little") + hmac.new(secret, covered, hashlib.sha256).digest()


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"pools": []}, 114),
        ({"amounts": [1] * 9}, 114),
        ({"slippage_bps": 10_001}, 114),
        ({"hops": [(0, True, 1)]}, 112),
    ],
)
def test_a_signal_that_nobody_would_take_is_not_written(fields: dict[str, Any], code: int) -> None:
    with pytest.raises(errors.FrameRefused) as refused:
        encode_signal((9, 1, SENT, False, False), **signal(**fields))
    assert refused.value.code == code


def test_a_wrong_word_is_named() -> None:
    with pytest.raises(errors.InvalidArgument, match="channel"):
        encode_signal((9, 1, SENT, False, False), **signal(channel="loud"))

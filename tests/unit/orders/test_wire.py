"""XLO/1 in Python against its golden vectors, its plain twin, and whatever bytes there are."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from execlayer.errors import InvalidArgument
from execlayer.orders import AuthKey, FrameRefused, Hop, Lender, Signal, report
from execlayer.orders.reports import FAILURES
from execlayer.orders.wire import Header, Splitter, acknowledgement, decode, heartbeat

from . import twin
from .test_engine import opened, ready, signal

SENT = 1_700_000_000_000_000_000
KEY = AuthKey(7, b"secret" * 6)


def address(byte: int) -> str:
    return "0x" + f"{byte:02x}" * 20


def golden(**changes: Any) -> Signal:
    values: dict[str, Any] = {
        "signal_id": 7,
        "created_unix_ns": SENT,
        "chain_id": 1,
        "strategy_id": 3,
        "pools": [address(0x22), address(0x33)],
        "tokens": [address(0x44), address(0x11)],
        "amounts": [10710773076393409305],
        "profit_token": address(0x11),
        "expected_profit": 469578256709118226712,
        "expected_profit_wei": 10**17,
        "required_capital": 22 * 10**21,
        "gas_estimate": 201126,
        "state_block": 16,
    }
    return Signal(**{**values, **changes})


def header(sequence: int = 1, source: int = 9, **more: bool) -> Header:
    return Header(sequence=sequence, sent_unix_ns=SENT, source_id=source, **more)


def test_the_golden_vectors_come_out() -> None:
    made = golden().to_frame(header())
    assert (len(made), made[36:40].hex()) == (352, "f637865d")
    quiet = heartbeat(Header(sequence=1, sent_unix_ns=0, source_id=9))
    assert quiet.hex() == "584c4f3101030000010000000000000000000000000000000900000000000000000000009b66d53f"


def test_every_field_of_a_signal_is_taken_by_rust(tmp_path: Any) -> None:
    hops = [Hop(zero_for_one=True, fee=30), Hop(fee=30)]
    lender = Lender(address=address(0x55), kind=1, fee_bps=9)
    full = golden(
        action="flash_loan", channel="public", hops=hops, lender=lender, slippage_bps=100, valid_until_block=99
    )
    _, nacks = opened(tmp_path).frames((1, SENT), [full.to_frame(header(wants_ack=True))], True)
    assert nacks == [None]
    found = twin.decode(full.to_frame(header(wants_ack=True)))
    assert (found[0]["kind"], found[0]["flags"], sorted(found[1])) == (1, 1, [1, 2, 3, 4, 6])


def test_a_signed_frame_is_taken_by_rust_and_by_no_other_key(tmp_path: Any) -> None:
    good = golden().to_frame(header(), KEY)
    assert decode(good, [KEY])["sequence"] == 1
    for keys, reason in (([], "key unknown"), ([AuthKey(7, b"other")], "code wrong")):
        with pytest.raises(FrameRefused, match=reason):
            decode(good, keys)
    with pytest.raises(FrameRefused, match="authentication required"):
        decode(golden().to_frame(header()), [KEY])
    assert "secret" not in repr(KEY)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"signal_id": -1}, "signal_id"),
        ({"expected_profit": 2**127}, "expected_profit"),
        ({"pools": []}, "out of range"),
        ({"tokens": [address(1)]}, "out of range"),
        ({"amounts": [2**256]}, "amounts"),
        ({"profit_token": "0x12"}, "profit_token"),
        ({"slippage_bps": 10_001}, "out of range"),
        ({"action": "steal"}, "action"),
        ({"hops": [Hop(fee=65_536)]}, "fee"),
        ({"action": "raw_call", "raw_call": bytes(49_153)}, "length"),
    ],
)
def test_a_value_that_no_signal_can_have_is_named(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises((FrameRefused, InvalidArgument), match=reason):
        golden(**changes).to_frame(header())


@given(st.integers(0, 351), st.integers(0, 7))
def test_any_flipped_bit_is_detected(place: int, bit: int) -> None:
    damaged = bytearray(golden().to_frame(header()))
    damaged[place] ^= 1 << bit
    with pytest.raises(FrameRefused):
        decode(bytes(damaged))


@given(st.binary(max_size=200))
def test_any_bytes_are_a_frame_or_refused(data: bytes) -> None:
    for begin in (b"", heartbeat(header())[:32]):
        with pytest.raises(FrameRefused):
            report(begin + data)


@settings(max_examples=200)
@given(st.binary(max_size=160), st.sampled_from([0x101, 0x102, 0x103, 0x104, 0x105, 0x106]))
def test_a_report_of_any_field_is_read_or_refused(value: bytes, number: int) -> None:
    status = (0x101, bytes(48))
    fields = [(number, value)] if number == status[0] else [status, (number, value)]
    try:
        assert report(twin.encode(0x11, 1, SENT, 9, fields)).kind == "update"
    except FrameRefused as refused:
        assert refused.offset >= 40


@given(st.lists(st.integers(1, 5), max_size=6), st.integers(1, 100))
def test_frames_come_out_of_a_stream_whole_however_it_is_cut(sequences: list[int], cut: int) -> None:
    frames = [golden().to_frame(header(sequence)) for sequence in sequences]
    stream, splitter = b"".join(frames), Splitter()
    out = [one for start in range(0, len(stream), cut) for one in splitter.feed(stream[start : start + cut])]
    assert (out, splitter.rest) == (frames, b"")


def test_a_stream_that_begins_with_something_else_is_refused_at_its_first_byte() -> None:
    with pytest.raises(FrameRefused, match="XLO1"):
        list(Splitter().feed(b"G"))
    splitter = Splitter()
    assert list(splitter.feed(b"XLO")) == [] and splitter.rest == b"XLO"
    with pytest.raises(FrameRefused, match="limit"):
        list(Splitter().feed(heartbeat(header())[:32] + (65_536).to_bytes(4, "little") + bytes(4)))


def test_a_message_of_somebody_else_is_none_of_the_engines() -> None:
    with pytest.raises(FrameRefused, match="signal is none of the engine's"):
        report(golden().to_frame(header()))


def test_what_the_engine_reports_is_read(tmp_path: Any) -> None:
    engine = ready(tmp_path)
    outputs, _ = engine.frames((2, SENT), [signal(1, flags=1)], True)
    [answer] = [report(output[1]) for output in outputs if output[0] == "answer"]
    assert answer.kind == "ack" and answer.status is not None
    assert (answer.status.state, answer.status.sub, answer.status.failure) == ("Submitted", "intent", "")
    engine.frames((3, SENT), [signal(2, wei=1)], True)
    [(sequence, last)] = engine.results(0, 9)
    found = report(last)
    assert found.status is not None and found.error is not None
    assert (found.kind, found.sequence, found.status.is_terminal) == ("result", sequence, True)
    assert (found.status.failure, found.error.name) == ("InsufficientProfit", FAILURES[1])


def test_an_acknowledgement_names_what_has_arrived() -> None:
    made = acknowledgement(12, sent_unix_ns=SENT, source_id=9)
    told, fields = twin.decode(made)
    assert (told["kind"], told["sequence"], fields) == (0x12, 12, {})
    assert (decode(made)["kind"], decode(made)["sequence"]) == ("ack", 12)

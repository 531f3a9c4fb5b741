"""The engine's door: frames in, requests and results out; frames are made and read by the plain twin."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from execlayer import Key, Transaction, errors
from execlayer._core import OrderEngine, OrderReceipts, replay_orders
from execlayer.orders.reports import FAILURES, report
from execlayer.upstream import Endpoint
from execlayer.upstream.codecs import request_head

from . import twin

NODE = Endpoint(url="http://localhost:8545/", headers={"Authorization": "Bearer token"})
KEY = Key(b"\x21" * 32)
WALL = 1_700_000_000 * 10**9
HEAD = "0x" + "01" * 32
Outputs = list[tuple[Any, ...]]


def opened(folder: Path, **settings: Any) -> OrderEngine:
    return OrderEngine(
        str(folder / "journal"),
        lock_folder=str(folder / "locks"),
        chain_id=1,
        contract=b"\xcc" * 20,
        recipient=b"\xdd" * 20,
        keys=[KEY],
        endpoints=[(request_head(NODE), True, None)],
        settings={"conflict": "ignore", **settings},
    )


def ready(folder: Path, **settings: Any) -> OrderEngine:
    engine = opened(folder, **settings)
    engine.head((1, WALL), (100, HEAD, "0x" + "00" * 32, 1_700_000_000, 10**9, 15_000_000, 30_000_000))
    engine.accounts((1, WALL), [(KEY.address, 7, 10**20)], (100, HEAD))
    return engine


def signal(number: int, wei: int = 10**18, flags: int = 0) -> bytes:
    parts = twin.signal_parts(signal_id=number, created=WALL, profit=wei, wei=wei, state_block=100)
    return twin.encode(1, number, WALL, 9, parts, flags)


def sends(outputs: Outputs) -> Outputs:
    return [output for output in outputs if output[0] == "send"]


def test_the_golden_signal_is_made_by_the_twin_and_taken_by_rust(tmp_path: Path) -> None:
    sent = 1_700_000_000_000_000_000
    parts = twin.signal_parts(
        signal_id=7,
        created=sent,
        profit=469578256709118226712,
        wei=10**17,
        capital=22 * 10**21,
        gas=201126,
        state_block=16,
        channel=0,
        amount=10710773076393409305,
    )
    frame = twin.encode(1, 1, sent, 9, parts)
    assert (len(frame), frame[36:40].hex()) == (352, "f637865d")
    assert twin.encode(3, 1, 0, 9, []).hex().endswith("9b66d53f")
    _, nacks = opened(tmp_path).frames((1, WALL), [frame], True)
    assert nacks == [None]


def test_a_signal_becomes_a_signed_request_and_an_acknowledged_order(tmp_path: Path) -> None:
    engine = ready(tmp_path)
    outputs, nacks = engine.frames((2, WALL), [signal(1, flags=1)], True)
    assert nacks == [None]
    [(_, endpoint, request, order, request_bytes)] = sends(outputs)
    assert (endpoint, order) == (0, 1)
    head, body = request_bytes.split(b"\r\n\r\n")
    assert b"Authorization: Bearer token" in head and f"Content-Length: {len(body)}".encode() in head
    call = json.loads(body)
    assert (call["method"], call["id"]) == ("eth_sendRawTransaction", request)
    transaction = Transaction.decode(call["params"][0])
    assert (transaction.sender, transaction.nonce) == (KEY.address, 7)
    [(_, answer)] = [output for output in outputs if output[0] == "answer"]
    header, fields = twin.decode(answer)
    assert (header["kind"], twin.status(fields[0x101][0])["sub"]) == (0x12, 3)

    engine.written((3, WALL), [request])
    echo = json.dumps({"jsonrpc": "2.0", "id": request, "result": transaction.hash})
    engine.replied((4, WALL), request, 200, echo.encode())
    assert engine.orders()[0][4] == "in_pool"
    header, fields = twin.decode(engine.results(0, 10)[-1][1])
    assert (header["kind"], twin.status(fields[0x101][0])["state"]) == (0x11, 3)

    block = "0x" + "02" * 32
    wanted = engine.head((5, WALL), (101, block, HEAD, 1_700_000_012, 10**9, 15_000_000, 30_000_000))
    assert ("want_receipts", 101, block) in wanted
    receipt = {
        "transactionHash": transaction.hash,
        "blockHash": block,
        "transactionIndex": "0x0",
        "status": "0x1",
        "gasUsed": hex(160_000),
        "effectiveGasPrice": hex(2 * 10**9),
        "logs": [],
    }
    assert OrderReceipts.read(block, b"no json") is None
    found = OrderReceipts.read(block, json.dumps({"result": [receipt]}).encode())
    assert found is not None
    engine.receipts((6, WALL), found)
    for number in (102, 103):
        parent = "0x" + f"{number - 100:02x}" * 32
        here = "0x" + f"{number - 99:02x}" * 32
        engine.head((7, WALL), (number, here, parent, 1_700_000_024, 10**9, 15_000_000, 30_000_000))
    stats = engine.stats()
    assert (stats["orders_completed"], stats["active_orders"]) == (1, 0)
    assert stats["total_realized_wei"] == -160_000 * 2 * 10**9
    waiting = engine.results(0, 100)
    assert [number for number, _ in waiting] == list(range(1, len(waiting) + 1))
    engine.delivered((8, WALL), waiting[-1][0])
    assert engine.results(0, 100) == []


def test_the_most_profitable_of_a_batch_is_served_first_and_a_repeat_creates_nothing(tmp_path: Path) -> None:
    engine = ready(tmp_path)
    batch = [
        twin.encode(
            1, 1, WALL, source, twin.signal_parts(signal_id=1, created=WALL, profit=wei, wei=wei, state_block=100)
        )
        for source, wei in ((1, 10**17), (2, 10**18))
    ]
    outputs, _ = engine.frames((2, WALL), batch, True)
    assert [engine.orders()[output[3] - 1][1] for output in sends(outputs)] == [2, 1]
    again, _ = engine.frames(
        (3, WALL),
        [
            twin.encode(
                1, 2, WALL, 1, twin.signal_parts(signal_id=1, created=WALL, profit=10**17, wei=10**17, state_block=100)
            )
        ],
        True,
    )
    assert sends(again) == []
    assert engine.stats()["duplicates"] == 1


def test_a_refused_frame_gets_a_nack_and_leaves_no_trace(tmp_path: Path) -> None:
    engine = ready(tmp_path, require_auth=True)
    before = engine.stats()
    damaged = bytearray(signal(1))
    damaged[100] ^= 1
    _, nacks = engine.frames((2, WALL), [bytes(damaged), signal(1)], False)
    codes = []
    for nack in nacks:
        assert nack is not None
        header, fields = twin.decode(nack)
        assert header["kind"] == 0x13
        codes.append(int.from_bytes(fields[0x105][0][:2], "little"))
    assert codes == [104, 116]
    assert engine.stats() == before


def test_an_engine_that_ends_is_taken_up_where_it_was(tmp_path: Path) -> None:
    engine = ready(tmp_path)
    outputs, _ = engine.frames((2, WALL), [signal(1), signal(2)], True)
    engine.sync()
    engine.snapshot()
    orders, sent = engine.orders(), sends(outputs)
    del engine
    again = opened(tmp_path)
    assert not again.is_new
    assert [row[:4] for row in again.orders()] == [row[:4] for row in orders]
    repeated = sends(again.restarted((1, WALL + 10**9)))
    raw = [json.loads(output[4].split(b"\r\n\r\n")[1])["params"] for output in (*sent, *repeated)]
    assert raw[:2] == raw[2:]


def test_two_engines_on_one_key_are_refused(tmp_path: Path) -> None:
    engine = opened(tmp_path)
    with pytest.raises(errors.SenderInUse) as refused:
        opened(tmp_path)
    assert (refused.value.sender, refused.value.chain_id) == (KEY.address, 1)
    del engine
    assert opened(tmp_path).intake_is_open


def test_a_damaged_journal_stops_the_start(tmp_path: Path) -> None:
    engine = ready(tmp_path)
    del engine
    [path] = (tmp_path / "journal").iterdir()
    data = bytearray(path.read_bytes())
    data[60] ^= 1
    path.write_bytes(data)
    with pytest.raises(errors.JournalDamaged) as refused:
        opened(tmp_path)
    assert refused.value.path == str(path)


@pytest.mark.parametrize(("name", "value"), [("no_such", 1), ("fanout", -1), ("presim", "perhaps")])
def test_a_wrong_setting_is_named(tmp_path: Path, name: str, value: object) -> None:
    with pytest.raises(errors.InvalidArgument, match=name):
        opened(tmp_path, **{name: value})


def test_what_cannot_be_changed_any_more_says_why(tmp_path: Path) -> None:
    engine = ready(tmp_path)
    with pytest.raises(errors.OrderNotFound) as unknown:
        engine.cancel((2, WALL), 5)
    assert unknown.value.order_id == 5
    engine.frames((2, WALL), [signal(1, wei=1)], True)
    for change, attempted in ((engine.cancel, "cancel_sent"), (engine.speed_up, "replaced")):
        with pytest.raises(errors.StateTransitionError) as over:
            change((3, WALL), 1)
        assert (over.value.current, over.value.attempted, over.value.order_id) == ("closed", attempted, 1)


def test_requests_that_wait_go_out_as_one_batch_and_each_hears_its_own_answer(tmp_path: Path) -> None:
    engine = ready(tmp_path)
    outputs, _ = engine.frames((2, WALL), [signal(1), signal(2), signal(3)], True)
    waiting = sends(outputs)
    head, body = engine.join(0, [output[4] for output in waiting]).split(b"\r\n\r\n")
    batch = json.loads(body)
    assert f"Content-Length: {len(body)}".encode() in head
    assert [call["id"] for call in batch] == [output[2] for output in waiting]
    hashes = [Transaction.decode(call["params"][0]).hash for call in batch]
    answers = [{"id": call["id"], "result": one} for call, one in zip(batch, hashes, strict=True)]
    requests = [call["id"] for call in batch]
    engine.replied_all((3, WALL), requests, 200, json.dumps([answers[2], answers[0]]).encode())
    assert [row[4] for row in engine.orders()] == ["in_pool", "ambiguous", "in_pool"]


def test_a_replay_with_other_settings_tells_which_orders_would_have_gone_another_way(tmp_path: Path) -> None:
    engine = ready(tmp_path)
    engine.frames((2, WALL), [signal(1), signal(2, wei=10**17)], True)
    del engine
    replay = (str(tmp_path / "journal"), 1, [KEY])
    same = replay_orders(*replay, {})
    assert same is not None and same["orders"] == []
    stricter = replay_orders(*replay, {"min_net_profit_wei": 10**17})
    assert stricter is not None and stricter["orders_submitted"] == 1
    [order] = stricter["orders"]
    assert (order["order_id"], order["was"]["state"], order["was"]["signed"]) == (2, "Submitted", 1)
    assert (order["would"]["state"], order["would"]["failure"]) == ("Failed", "InsufficientProfit")
    with pytest.raises(errors.InvalidArgument, match="no_such"):
        replay_orders(*replay, {"no_such": 1})


def refusal(engine: OrderEngine, number: int) -> str | None:
    """Why the next signal is refused; None where it is not."""
    before = dict(engine.stats()["failures"])
    engine.frames((9, WALL), [signal(number)], True)
    new = [code for code, count in engine.stats()["failures"] if count > before.get(code, 0)]
    return FAILURES[new[0]] if new else None


def test_with_no_node_left_nothing_new_is_taken_until_the_senders_were_counted_again(tmp_path: Path) -> None:
    engine = ready(tmp_path)
    waiting, _ = engine.frames((2, WALL), [signal(1)], True)
    engine.endpoint((3, WALL), 0, False)
    assert engine.stats()["cut_off"] == 1 and refusal(engine, 2) == "Halted"
    # What was asked before is no news, and time alone brings none.
    engine.accounts((4, WALL), [(KEY.address, 7, 10**20)], (100, HEAD))
    engine.tick((5, WALL))
    engine.endpoint((6, WALL), 0, True)
    engine.tick((7, WALL))
    assert refusal(engine, 3) == "Halted"
    engine.accounts((8, WALL), [(KEY.address, 7, 10**20)], (100, HEAD))
    engine.tick((9, WALL))
    # A block whose receipts are not here may hold some of ours.
    assert engine.stats()["cut_off"] == 1
    found = OrderReceipts.read(HEAD, b'{"result": []}')
    assert found is not None
    engine.receipts((9, WALL), found)
    engine.tick((9, WALL))
    assert engine.stats()["cut_off"] == 0 and refusal(engine, 4) is None
    assert len(sends(waiting)) == 1


def test_an_engine_that_ended_without_a_node_is_cut_off_until_it_has_one(tmp_path: Path) -> None:
    engine = ready(tmp_path)
    engine.endpoint((3, WALL), 0, False)
    engine.snapshot()
    del engine
    again = opened(tmp_path)
    again.restarted((1, WALL))
    assert again.stats()["cut_off"] == 1
    again.endpoint((2, WALL), 0, True)
    again.accounts((3, WALL), [(KEY.address, 7, 10**20)], (100, HEAD))
    found = OrderReceipts.read(HEAD, b'{"result": []}')
    assert found is not None
    again.receipts((4, WALL), found)
    again.tick((5, WALL))
    assert again.stats()["cut_off"] == 0


def test_why_a_transaction_reverted_is_marked_where_it_was_seen_on_the_block_before(tmp_path: Path) -> None:
    for approximate, mark in ((False, ""), (True, " (approximate: replayed on the block before)")):
        engine = ready(tmp_path / str(approximate))
        outputs, _ = engine.frames((2, WALL), [signal(1)], True)
        [(_, _, _, _, request)] = sends(outputs)
        sent = Transaction.decode(json.loads(request.split(b"\r\n\r\n")[1])["params"][0])
        block = "0x" + "02" * 32
        engine.head((5, WALL), (101, block, HEAD, 1_700_000_012, 10**9, 15_000_000, 30_000_000))
        lost = {"transactionHash": sent.hash, "blockHash": block, "transactionIndex": "0x1", "status": "0x0"}
        receipt = {**lost, "gasUsed": hex(160_000), "effectiveGasPrice": hex(2 * 10**9), "logs": []}
        found = OrderReceipts.read(block, json.dumps({"result": [receipt]}).encode())
        assert found is not None
        outputs = engine.receipts((6, WALL), found)
        assert ("want_reason", 1, sent.hash) in outputs
        engine.reverted((7, WALL), 1, bytes.fromhex("08c379a0") + abi_text("too late"), approximate)
        for number in (102, 103):
            here, parent = ("0x" + f"{number - 100 + one:02x}" * 32 for one in (1, 0))
            engine.head((8, WALL), (number, here, parent, 1_700_000_024, 10**9, 15_000_000, 30_000_000))
        last = report(engine.results(0, 100)[-1][1])
        assert last.error is not None
        assert last.error.text == f"too late{mark}"


def abi_text(text: str) -> bytes:
    data = text.encode()
    return (32).to_bytes(32, "big") + len(data).to_bytes(32, "big") + data.ljust(32, b"\0")

"""Chains as a script uses them: opened, mined on, looked at, taken back, and handed nonsense."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from execlayer import Account, Chain, _core, errors
from execlayer._core import Block
from tests.unit.conftest import ETHER, GAS_LIMIT, Unchanged, genesis_of

ABSENT = "0x" + "00" * 31 + "01"
RICH = "0x" + "11" * 20


def batch(sender: Account, to: Account, count: int) -> list[bytes]:
    first = sender.nonce
    return [sender.sign(to, 1 + index, nonce=first + index, gas_limit=21_000) for index in range(count)]


# ---- in memory ------------------------------------------------------------------------------------------------------


def test_the_development_chain_has_ten_funded_accounts_and_one_block() -> None:
    chain = Chain.dev()
    assert len(chain.accounts) == 10
    assert all(account.balance == 10_000 * ETHER and account.nonce == 0 for account in chain.accounts)
    assert (chain.chain_id, chain.head.number, len(chain.blocks), chain.pending) == (31337, 0, 1, 0)


def test_a_transfer_moves_its_value_and_pays_its_fee() -> None:
    chain = Chain.dev()
    alice, bob = chain.accounts[:2]
    receipt = alice.transfer(bob, "1 ether")
    assert receipt.ok and receipt.kind == 2 and receipt.state_root is None and receipt.contract_address is None
    assert (receipt.sender, receipt.to, receipt.logs) == (alice.address, bob.address, [])
    assert (receipt.gas_used, receipt.cumulative_gas_used, receipt.index) == (21_000, 21_000, 0)
    assert receipt.fee == 21_000 * receipt.gas_price
    assert (receipt.block_number, receipt.block_hash) == (1, chain.head.hash)
    assert receipt.transaction_hash == receipt.transaction.hash == chain.head.transactions[0].hash
    assert bob.balance == 10_001 * ETHER
    assert alice.balance == 9_999 * ETHER - receipt.fee
    assert alice.nonce == 1


def test_what_waits_is_mined_when_asked() -> None:
    chain = Chain.dev()
    alice, bob, carol = chain.accounts[:3]
    sent = [alice.send(carol, 1), alice.send(carol, 2), bob.send(carol, 3)]
    assert chain.pending == 3 and chain.head.number == 0 and alice.nonce == 2
    block = chain.mine(timestamp=77)
    assert sorted(one.hash for one in block.transactions[:]) == sorted(sent)
    assert (block.number, block.timestamp, block.gas_used, chain.pending) == (1, 77, 63_000, 0)
    assert carol.balance == 10_000 * ETHER + 6
    assert [one.cumulative_gas_used for one in block.receipts[:]] == [21_000, 42_000, 63_000]


def test_a_list_makes_a_block_of_exactly_these_in_this_order(chain: Chain, alice: Account, bob: Account) -> None:
    waiting = chain.accounts[2].send(bob, 5)
    raw = batch(alice, bob, 20)
    block = chain.mine(raw)
    assert [one.raw for one in block.transactions[:]] == raw
    assert [int(one.value) for one in block.transactions[:]] == list(range(1, 21))
    assert chain.pending == 1
    assert [one.hash for one in chain.mine().transactions[:]] == [waiting]
    assert len(chain.mine([]).transactions) == 0


def test_a_wrong_one_in_a_list_is_named_and_no_block_is_made(
    chain: Chain, alice: Account, bob: Account, unchanged: Unchanged
) -> None:
    raw = batch(alice, bob, 3)
    with pytest.raises(errors.RejectedInBlock, match="transaction 1") as caught:
        chain.mine([raw[0], raw[2], raw[1]])
    assert caught.value.index == 1
    reason = caught.value.reason
    assert isinstance(reason, errors.InvalidNonce)
    assert (reason.expected, reason.actual) == (2, 3)
    unchanged()


def test_many_are_submitted_in_one_crossing_and_each_has_its_answer(chain: Chain, alice: Account, bob: Account) -> None:
    raw = batch(alice, bob, 3)
    answers = chain.submit([raw[0], b"\x05", raw[1], raw[0], raw[2]])
    assert [type(one) for one in answers] == [str, errors.UnknownTransactionKind, str, errors.AlreadyKnown, str]
    assert chain.pending == 3
    assert [one.hash for one in chain.mine().transactions[:]] == [one for one in answers if isinstance(one, str)]
    with pytest.raises(errors.InvalidNonce, match="nonce too low") as caught:
        chain.submit(raw[0])
    assert (caught.value.expected, caught.value.actual) == (4, 1)


@pytest.mark.parametrize("form", [bytes, bytearray, memoryview, lambda raw: "0x" + raw.hex()])
def test_one_is_submitted_in_whatever_form_it_is_held(form: Any, chain: Chain, alice: Account, bob: Account) -> None:
    [raw] = batch(alice, bob, 1)
    sent = chain.submit(form(raw))
    assert [one.hash for one in chain.mine().transactions[:]] == [sent]


def test_a_packed_batch_is_the_same_as_a_list(chain: Chain, alice: Account, bob: Account) -> None:
    raw = [*batch(alice, bob, 50), b"\x07nothing"]
    buffer = np.frombuffer(b"".join(raw), dtype=np.uint8)
    ends = np.cumsum([len(one) for one in raw], dtype=np.uint64)
    twin = Chain.dev()
    twin.accounts[0].transfer(twin.accounts[1], "1 ether")
    packed, listed = chain.submit_packed(buffer, ends), twin.submit(raw)
    assert packed[:-1] == listed[:-1]
    assert type(packed[-1]) is type(listed[-1]) is errors.UnknownTransactionKind
    assert chain.submit_packed(b"", np.array([], dtype=np.uint64)) == []
    assert len(chain.mine().transactions) == 50


def test_blocks_are_a_sequence_by_height(chain: Chain, alice: Account, bob: Account) -> None:
    for _ in range(3):
        alice.transfer(bob, 1)
    blocks = chain.blocks
    assert [block.number for block in blocks] == list(range(5)) and len(blocks) == 5
    assert blocks[-1] == chain.head == blocks[4] and blocks[-5] == chain.block("earliest") == chain.block(0)
    assert [block.number for block in blocks[1:4:2]] == [1, 3]
    assert all(after.parent_hash == before.hash for before, after in itertools.pairwise(blocks))
    assert chain.block(blocks[2].hash) == blocks[2] == chain.block(bytes.fromhex(blocks[2].hash[2:]))
    assert hash(blocks[2]) == hash(chain.block(2)) and blocks[2] != blocks[3]
    for index in (5, -6):
        with pytest.raises(IndexError, match=f"block {index} of 5"):
            blocks[index]


def test_receipts_and_transactions_of_a_block_are_sequences(chain: Chain, alice: Account, bob: Account) -> None:
    block = chain.mine(batch(alice, bob, 4))
    assert len(block.transactions) == len(block.receipts) == 4
    assert block.receipts[-1].index == 3 and [one.index for one in block.receipts[1:3]] == [1, 2]
    assert chain.receipt(block.transactions[2].hash).index == 2
    with pytest.raises(IndexError):
        block.receipts[4]
    with pytest.raises(IndexError):
        block.transactions[-5]


def test_state_can_be_read_as_it_was_after_any_block(chain: Chain, alice: Account, bob: Account) -> None:
    receipts = [alice.transfer(bob, "1 ether") for _ in range(3)]
    assert [chain.balance(bob, at=height) for height in range(5)] == [(10_000 + i) * ETHER for i in range(5)]
    assert [chain.nonce(alice, at=height) for height in range(5)] == list(range(5))
    assert chain.balance(bob, at=receipts[0].block_hash) == 10_002 * ETHER
    assert chain.balance(bob, at="earliest") == 10_000 * ETHER
    assert chain.code(alice) == b"" and chain.storage(alice, 0) == 0


def test_a_contract_is_created_and_read(chain: Chain, alice: Account) -> None:
    # Stores 42 in slot 1, leaves the single byte `stop` as code, and logs nothing.
    receipt = alice.transfer(None, data="0x602a60015560016000f3")
    assert receipt.ok and receipt.to is None and receipt.contract_address is not None
    assert chain.storage(receipt.contract_address, 1) == 42
    assert chain.storage(receipt.contract_address, 1, at=1) == 0
    assert chain.code(receipt.contract_address) == b"\x00"


def test_logs_carry_what_a_contract_said(chain: Chain, alice: Account) -> None:
    # Logs 32 bytes of memory, holding 7, with the topic 9; the code left behind is empty.
    receipt = alice.transfer(None, data="0x6007600052600960206000a1")
    [log] = receipt.logs
    assert (log.address, log.index, log.transaction_index) == (receipt.contract_address, 0, 0)
    assert int(log.topics[0], 16) == 9 and int.from_bytes(log.data) == 7
    assert log.topics[0] in repr(log) and "<table>" in log._repr_html_()


def test_values_show_themselves_in_a_prompt_and_in_a_notebook(chain: Chain, alice: Account) -> None:
    receipt = chain.receipt(chain.head.transactions[0].hash)
    for value, name in ((chain.head, "Block"), (receipt, "Receipt"), (receipt.transaction, "Transaction")):
        assert repr(value).startswith(f"{name}(") and value._repr_html_().startswith(f"<table><caption>{name}<")
    assert chain.head.hash in repr(chain.head) and chain.head.hash in repr(chain)
    assert repr(chain.head.transactions) == "<1 transactions>" and repr(chain.blocks) == "<2 blocks>"
    assert alice.address in alice._repr_html_() and repr(alice) == f"Account({alice.address})"


# ---- anchors --------------------------------------------------------------------------------------------------------


def test_an_anchor_takes_everything_back(chain: Chain, alice: Account, bob: Account, unchanged: Unchanged) -> None:
    with chain.anchor():
        alice.transfer(bob, "1 ether")
        alice.send(bob, 1)
        assert chain.head.number == 2
    unchanged()


def test_anchors_nest_and_return_whatever_is_raised_inside(chain: Chain, alice: Account, bob: Account) -> None:
    with chain.anchor():
        alice.transfer(bob, 1)
        with pytest.raises(ZeroDivisionError), chain.anchor():
            alice.transfer(bob, 2)
            assert chain.head.number == 3
            _ = 1 // 0
        assert chain.head.number == 2 and bob.balance == 10_001 * ETHER + 1
    assert chain.head.number == 1


def test_what_came_after_an_anchor_can_be_kept(chain: Chain, alice: Account, bob: Account) -> None:
    anchor = chain.anchor()
    alice.transfer(bob, 1)
    anchor.keep()
    anchor.undo()
    assert chain.head.number == 2


def test_undoing_an_outer_anchor_forgets_the_inner_ones(chain: Chain, alice: Account, bob: Account) -> None:
    outer = chain.anchor()
    alice.transfer(bob, 1)
    inner = chain.anchor()
    outer.undo()
    assert chain.head.number == 1
    with pytest.raises(errors.UnknownAnchor):
        inner.undo()
    assert chain.head.number == 1


def test_an_inner_block_ends_quietly_where_the_outer_anchor_was_undone_inside(
    chain: Chain, alice: Account, bob: Account, unchanged: Unchanged
) -> None:
    with chain.anchor() as outer:
        alice.transfer(bob, 1)
        with chain.anchor():
            alice.transfer(bob, 2)
            outer.undo()
            assert chain.head.number == 1
    unchanged()


# ---- calls ----------------------------------------------------------------------------------------------------------

LOADS = bytes.fromhex("5f545f5260205ff3")
"""Returns what stands in the first slot."""


def test_a_call_changes_nothing_and_returns_what_the_code_returns(chain: Chain, alice: Account, bob: Account) -> None:
    # The number that it is called with, plus one.
    adds = bytes.fromhex("5f356001015f5260205ff3")
    created = alice.transfer(None, data=b"\x60\x0b\x80\x60\x09\x5f\x39\x5f\xf3" + adds)
    head = chain.head
    assert chain.call(created.contract_address, (41).to_bytes(32, "big")).output == (42).to_bytes(32, "big")
    assert chain.call(bob, sender=alice, value="1 ether").output == b""
    assert chain.call(created.contract_address, bytes(32), at="latest").output[-1] == 1
    assert chain.call(created.contract_address, at=0).output == b""
    with pytest.raises(errors.InsufficientBalance):
        chain.call(bob, sender=RICH, value=1)
    assert chain.head == head


def test_a_revert_says_what_it_said(chain: Chain, alice: Account) -> None:
    reverts = bytes.fromhex("60aa5f5260206000fd")
    created = alice.transfer(None, data=b"\x60\x09\x80\x60\x09\x5f\x39\x5f\xf3" + reverts)
    with pytest.raises(errors.CallUnsuccessful) as reverted:
        chain.estimate_gas(created.contract_address)
    assert reverted.value.output == (0xAA).to_bytes(32, "big")
    # To a call, a revert is an outcome.
    called = chain.call(created.contract_address)
    assert (called.status, called.output) == ("revert", reverted.value.output)


def test_an_access_list_is_paid_for_and_warms(chain: Chain, alice: Account) -> None:
    created = alice.transfer(None, data=b"\x60\x08\x80\x60\x09\x5f\x39\x5f\xf3" + LOADS)
    address = created.contract_address
    assert address is not None
    cold = chain.estimate_gas(address)
    warm = chain.estimate_gas(address, access_list=[(address, [0])])
    # The list costs 2,400 and 1,900 and saves the difference between 2,100 and 100.
    assert warm - cold == 2_400 + 1_900 - 2_000
    assert chain.call(address, access_list=[(address, [0])]).output == bytes(32)
    signed = alice.sign(address, access_list=[(address, [0])])
    assert chain.mine([signed]).receipts[0].gas_used == warm


# ---- in a folder ----------------------------------------------------------------------------------------------------


def test_a_folder_keeps_the_chain_and_its_genesis(tmp_path: Path) -> None:
    key = Chain.dev().accounts[0].key
    content = genesis_of({key.address: str(5 * ETHER)})
    with Chain.open(tmp_path / "data", genesis=content) as chain:
        receipt = chain.account(key.secret).transfer(RICH, "1 ether")
        head, balance = chain.head, chain.balance(key.address)
        assert head.gas_limit > 30_000_000 and chain.chain_id == 1234
    assert receipt.block_hash == head.hash  # readable after the close
    with pytest.raises(errors.ChainClosed):
        _ = chain.head
    with Chain.open(tmp_path / "data") as again:
        assert (again.head, again.balance(key.address), again.chain_id) == (head, balance, 1234)
        assert again.receipt(receipt.transaction_hash).fee == receipt.fee
        assert again.head.raw == head.raw


def test_a_genesis_is_read_from_a_file_as_from_a_mapping(tmp_path: Path) -> None:
    content = genesis_of({RICH: "7"})
    path = tmp_path / "genesis.json"
    path.write_text(json.dumps(content))
    chain = Chain.dev(path)
    assert chain.head == Chain.dev(content).head == Chain.dev(str(path)).head
    assert (chain.balance(RICH), chain.head.gas_limit, chain.accounts) == (7, GAS_LIMIT, ())


def test_a_folder_holds_one_chain_only(tmp_path: Path) -> None:
    with Chain.open(tmp_path, genesis=genesis_of({RICH: "7"})) as chain:
        head = chain.head
    with pytest.raises(errors.OtherGenesis) as caught:
        Chain.open(tmp_path, genesis=genesis_of({RICH: "8"}))
    assert caught.value.held == head.hash
    with Chain.open(tmp_path) as chain:
        assert chain.head == head


def test_a_second_process_on_the_folder_is_told_who_holds_it(tmp_path: Path) -> None:
    script = """
import sys
from execlayer import Chain, errors
try:
    Chain.open(sys.argv[1])
except errors.StoreInUse as error:
    print(error.pid, error.path)
"""
    with Chain.open(tmp_path):
        done = subprocess.run([sys.executable, "-c", script, tmp_path], capture_output=True, text=True, check=True)
    pid, path = done.stdout.split(maxsplit=1)
    assert int(pid) == os.getpid() and path.strip().startswith(str(tmp_path))


def test_another_process_reads_beside_the_one_that_writes_and_changes_nothing(tmp_path: Path) -> None:
    script = """
import sys
from execlayer import Chain, errors
with Chain.open(sys.argv[1], read_only=True) as chain:
    try:
        chain.mine()
    except errors.StoreReadOnly:
        print(chain.head.number, chain.head.hash, chain.block(1).hash)
"""
    with Chain.open(tmp_path) as chain:
        hashes = [chain.mine(timestamp=time).hash for time in (12, 24)]
        done = subprocess.run([sys.executable, "-c", script, tmp_path], capture_output=True, text=True, check=True)
        assert chain.head.number == 2
    assert done.stdout.split() == ["2", hashes[1], hashes[0]]
    with pytest.raises(errors.StoreError):
        Chain.open(tmp_path / "absent", read_only=True)


@pytest.mark.parametrize("durability", ["full", "batched", "none"])
def test_a_folder_that_was_closed_holds_every_block_whatever_its_durability(tmp_path: Path, durability: str) -> None:
    sizes: dict[str, Any] = {
        "map_size": 1 << 20,
        "growth": 1 << 20,
        "read_cache_bytes": 0,
        "write_batch_bytes": 1 << 16,
    }
    with Chain.open(tmp_path, durability=durability, **sizes) as chain:
        head = [chain.mine(timestamp=time) for time in range(1, 40)][-1]
    with Chain.open(tmp_path) as chain:
        assert chain.head == head


def test_states_are_kept_as_far_back_as_was_asked(tmp_path: Path) -> None:
    for history, oldest in ((3, 7), ("archive", 0)):
        chain = Chain.dev(history=history)
        alice, bob = chain.accounts[:2]
        for _ in range(10):
            alice.transfer(bob, 1)
        at = chain.balance(bob.address, oldest)
        assert chain.balance(bob.address) == at + 10 - oldest
        if oldest > 0:
            with pytest.raises(errors.StateNotKept):
                chain.balance(bob.address, oldest - 1)


def test_the_head_goes_where_it_is_told(chain: Chain, alice: Account, bob: Account) -> None:
    hashes = [chain.head.hash, *(alice.transfer(bob, 1).block_hash for _ in range(3))]
    assert chain.set_head(2).hash == chain.head.hash == hashes[1]
    assert chain.set_head(hashes[3]).number == chain.head.number == 4
    with pytest.raises(errors.UnknownBlock):
        chain.set_head(5)
    assert chain.head.hash == hashes[3]


def test_a_seal_that_is_none_is_refused_where_seals_count() -> None:
    genesis = {"config": {"chainId": 5}, "difficulty": "0x20000", "gasLimit": "0x1c9c380", "alloc": {}}
    raw = Chain.dev(genesis).mine(timestamp=12).raw
    assert Chain.dev(genesis).import_block(raw).number == 1
    sealed = Chain.dev(genesis, seals=True)
    with pytest.raises(errors.InvalidHeader, match="mixHash is 0x0000"):
        sealed.import_block(raw)
    assert sealed.head.number == 0


def test_a_refused_genesis_leaves_no_store_behind(tmp_path: Path) -> None:
    with pytest.raises(errors.GenesisFieldMissing):
        Chain.open(tmp_path / "data", genesis={"alloc": {}})
    assert not (tmp_path / "data").exists()


def test_a_genesis_is_kept_before_the_store_begins_with_it(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    content = genesis_of({RICH: "7"})
    with Chain.open(folder, genesis=content) as chain:
        head = chain.head
    # As a crash leaves it before the store's first commit.
    for file in folder.iterdir():
        if file.name != "genesis.json":
            file.unlink()
    with Chain.open(folder) as again:
        assert again.head == head
    # Where another one is refused, the kept one stays.
    with pytest.raises(errors.OtherGenesis):
        Chain.open(folder, genesis=genesis_of({RICH: "8"}))
    with Chain.open(folder, genesis=json.loads(json.dumps(content, sort_keys=True))) as same:
        assert same.head == head


def test_a_genesis_that_cannot_be_kept_is_an_error_of_the_store(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("no folder")
    with pytest.raises(errors.StoreIo, match="file"):
        Chain.open(file / "data", genesis=genesis_of({RICH: "7"}))


# ---- blocks of others -----------------------------------------------------------------------------------------------


def test_blocks_travel_from_one_chain_to_another(chain: Chain, alice: Account, bob: Account) -> None:
    chain.mine(batch(alice, bob, 10))
    other = Chain.dev()
    for block in chain.blocks[1:]:
        assert other.import_block(block.raw) == block
    assert other.head == chain.head and other.balance(bob) == bob.balance
    assert other.import_block(chain.head.raw) == chain.head


def test_a_block_without_its_parent_is_refused(chain: Chain, alice: Account, bob: Account) -> None:
    alice.transfer(bob, 1)
    other = Chain.dev()
    with pytest.raises(errors.UnknownParent) as caught:
        other.import_block(chain.head.raw)
    assert (caught.value.block, caught.value.parent) == (chain.head.hash, chain.head.parent_hash)
    assert other.head.number == 0


def test_a_changed_block_is_refused_and_names_what_differs(chain: Chain) -> None:
    raw = bytearray(chain.head.raw)
    root = raw.index(bytes.fromhex(chain.head.state_root[2:]))
    raw[root] ^= 1
    other = Chain.dev()
    with pytest.raises(errors.InvalidHeader) as caught:
        other.import_block(bytes(raw))
    reason = caught.value.reason
    assert isinstance(reason, errors.HeaderMismatch)
    assert (reason.field, reason.expected) == ("stateRoot", chain.head.state_root)
    assert other.head.number == 0 and other.balance(other.accounts[0]) == 10_000 * ETHER


# ---- nonsense -------------------------------------------------------------------------------------------------------

WRONG_ADDRESSES = [
    "0x12",
    5,
    None,
    "",
    "0x" + "zz" * 20,
    b"\x00" * 19,
    RICH[2:],
    "0xF39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
]
WRONG_BLOCKS = [-1, 2**64, 1.5, True, "newest", "0x12", b"\x00" * 31, None]
WRONG_TIMES = [-1, 2**64, "x", 1.5, True]

CALLS: list[tuple[str, Callable[[Chain, Any], object], list[Any]]] = [
    ("address", lambda chain, value: chain.balance(value), WRONG_ADDRESSES),
    ("address", lambda chain, value: chain.nonce(value), WRONG_ADDRESSES),
    ("address", lambda chain, value: chain.code(value), WRONG_ADDRESSES),
    ("address", lambda chain, value: chain.storage(value, 0), WRONG_ADDRESSES),
    ("at", lambda chain, value: chain.balance(RICH, value), WRONG_BLOCKS[:-1]),
    ("block", lambda chain, value: chain.block(value), WRONG_BLOCKS),
    ("slot", lambda chain, value: chain.storage(RICH, value), [-1, 2**256, "x", b"\x00" * 33, 1.5, True]),
    ("transaction", lambda chain, value: chain.receipt(value), [b"x", 7, "0x", None, ABSENT + "00"]),
    ("timestamp", lambda chain, value: chain.mine(timestamp=value), WRONG_TIMES),
    ("timestamp", lambda chain, value: chain.mine([], timestamp=value), WRONG_TIMES),
    ("transactions", lambda chain, value: chain.mine(value), [5, b"abc", "0xabc", bytearray(b"abc")]),
    ("transactions", lambda chain, value: chain.submit(value), [5, None, 1.5]),
    ("transaction", lambda chain, value: chain.submit(value), ["abc", "0xabc", "0x0g"]),
    ("transaction", lambda chain, value: chain.submit([value]), ["abc", 5, None, [b"x"], 1.5]),
    ("transaction", lambda chain, value: chain.mine([value]), ["abc", 5, None, [b"x"], 1.5]),
    ("buffer", lambda chain, value: chain.submit_packed(value, np.array([3], np.uint64)), [5, "abc", None, [1, 2, 3]]),
    (
        "ends",
        lambda chain, value: chain.submit_packed(b"abc", value),
        [
            5,
            None,
            [3],
            b"",
            np.array([3], np.int64),
            np.array([2], np.uint64),
            np.array([4], np.uint64),
            np.array([2, 1, 3], np.uint64),
            np.array([2**64 - 1], np.uint64),
        ],
    ),
    ("raw", lambda chain, value: chain.import_block(value), ["x", 5, None, [1]]),
    ("secret", lambda chain, value: chain.account(value), [b"x", 5, None, "11" * 32, "0x" + "11" * 31]),
    ("genesis", lambda _, value: Chain.dev(value), [5, b"{}", "absent.json", {"alloc": {1, 2}}, {"a": b""}, "\0"]),
    ("path", lambda _, value: Chain.open(value), [5, None, b"folder"]),
    ("transactions", lambda chain, value: chain.core.submit(value), [5, None, "0x"]),
    ("transactions", lambda chain, value: chain.core.mine_batch(value), [5, None]),
    ("genesis", lambda _, value: _core.Chain.memory(value), [5, b"{}"]),
    ("path", lambda _, value: _core.Chain.open(value), [5, None]),
    ("access_list", lambda chain, value: chain.call(RICH, access_list=value), [5, ["x"]]),
    ("sender", lambda chain, value: chain.call(RICH, sender=value), [5, "alice"]),
    ("durability", lambda _, value: Chain.dev(durability=value), ["often", 1]),
    ("history", lambda _, value: Chain.dev(history=value), ["some", 0, -1, 1.5]),
    ("map_size", lambda _, value: Chain.dev(map_size=value), ["many", -1]),
    ("seals", lambda _, value: Chain.dev(seals=value), ["yes", 2]),
    ("block", lambda chain, value: chain.set_head(value), ["newest", 1.5]),
]


def _is(one: Any, other: Any) -> bool:
    return one is other or bool(np.all(one == other))


@pytest.mark.parametrize(
    ("field", "call", "value"), [(field, call, value) for field, call, values in CALLS for value in values]
)
def test_an_argument_that_cannot_be_used_is_named(
    chain: Chain, unchanged: Unchanged, field: str, call: Callable[[Chain, Any], object], value: Any
) -> None:
    with pytest.raises(errors.InvalidArgument, match=f"^{field} is ") as caught:
        call(chain, value)
    assert isinstance(caught.value, TypeError) and isinstance(caught.value, ValueError)
    assert caught.value.field == field and caught.value.expected in str(caught.value)
    assert type(caught.value.value) is type(value) and _is(caught.value.value, value)
    unchanged()


@pytest.mark.parametrize("fees", [{}, {"gas_price": 1, "max_fee_per_gas": 1}, {"max_priority_fee_per_gas": 1}])
def test_a_transaction_has_one_kind_of_fee(chain: Chain, fees: dict[str, int]) -> None:
    key = chain.accounts[0].key
    with pytest.raises(errors.InvalidArgument, match="max_fee_per_gas") as caught:
        key.sign_transaction(chain_id=1, nonce=0, gas_limit=21_000, to=RICH, value=0, data=b"", **fees)  # type: ignore[arg-type]
    assert caught.value.field == "fees"


def test_what_is_not_there_is_named(chain: Chain, unchanged: Unchanged) -> None:
    for block in (2, ABSENT):
        with pytest.raises(errors.UnknownBlock) as unknown:
            chain.block(block)
        assert unknown.value.block == str(block)
        with pytest.raises(LookupError):
            chain.balance(RICH, at=block)
    with pytest.raises(errors.UnknownTransaction) as absent:
        chain.receipt(ABSENT)
    assert absent.value.hash == ABSENT
    unchanged()


@pytest.mark.parametrize("secret", ["0x" + "00" * 32, "0x" + "ff" * 32])
def test_a_number_that_is_no_key_is_refused(chain: Chain, secret: str) -> None:
    with pytest.raises(errors.InvalidKey):
        chain.account(secret)


def test_time_does_not_run_backwards(chain: Chain, unchanged: Unchanged) -> None:
    now = chain.head.timestamp
    for timestamp in (0, now - 1, now):
        with pytest.raises(errors.HeaderMismatch) as caught:
            chain.mine(timestamp=timestamp)
        assert (caught.value.field, caught.value.actual) == ("timestamp", str(timestamp))
    unchanged()
    assert chain.mine(timestamp=now + 1).timestamp == now + 1


@pytest.mark.parametrize(
    ("changes", "path", "value"),
    [
        ({"gasLimit": "0xzz"}, "gasLimit", '"0xzz"'),
        ({"gasLimit": -1}, "gasLimit", "-1"),
        ({"gasLimit": hex(2**64)}, "gasLimit", f'"{hex(2**64)}"'),
        ({"timestamp": "soon"}, "timestamp", '"soon"'),
        ({"alloc": []}, "alloc", "[]"),
        ({"alloc": {"0x12": {"balance": "1"}}}, "alloc.0x12", '"0x12"'),
        ({"alloc": {RICH: {"balance": "much"}}}, f"alloc.{RICH}.balance", '"much"'),
        ({"alloc": {RICH: {"balance": "1", "nonce": "0x10000000000000000"}}}, f"alloc.{RICH}.nonce", None),
        ({"alloc": {RICH: {"balance": "1", "code": "0x0"}}}, f"alloc.{RICH}.code", '"0x0"'),
        ({"alloc": {RICH: {"balance": "1", "colour": 1}}}, f"alloc.{RICH}.colour", None),
        ({"config": {"chainId": "one"}}, "config.chainId", '"one"'),
        ({"config": {"chainId": 1, "marsBlock": 0}}, "config.marsBlock", None),
        ({"gaslimit": 1}, "gaslimit", None),
    ],
)
def test_a_field_of_a_genesis_that_cannot_be_used_is_named(
    changes: dict[str, Any], path: str, value: str | None
) -> None:
    with pytest.raises(errors.GenesisFieldInvalid) as caught:
        Chain.dev(genesis_of({RICH: "1"}, **changes))
    assert caught.value.path == path and path in str(caught.value)
    assert value is None or caught.value.value == value
    assert caught.value.expected


@pytest.mark.parametrize("text", ["", "{", "nonsense", '{"config": 1,}'])
def test_a_genesis_that_is_not_json_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "genesis.json"
    path.write_text(text)
    with pytest.raises(errors.GenesisNotJson):
        Chain.dev(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(errors.InvalidArgument, match="genesis is "):
        Chain.dev(path)


CHAIN = Chain.dev()
"""For the properties below, whose inputs must not change it."""

GENUINE = CHAIN.accounts[0].sign(CHAIN.accounts[1], 1)
FOREIGN: Block = Chain.dev().mine([GENUINE], timestamp=1)


def look() -> tuple[Block, int, int]:
    return CHAIN.head, CHAIN.pending, CHAIN.accounts[0].balance


def mutated(raw: bytes) -> st.SearchStrategy[bytes]:
    """Bytes of which one is another, or which end early or late."""
    place = st.integers(0, len(raw) - 1)
    changed = st.builds(lambda at, by: raw[:at] + bytes([raw[at] ^ by]) + raw[at + 1 :], place, st.integers(1, 255))
    return changed | st.builds(lambda end: raw[:end], place) | st.builds(lambda tail: raw + tail, st.binary(min_size=1))


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=300) | mutated(FOREIGN.raw))
def test_bytes_that_are_no_block_change_nothing(raw: bytes) -> None:
    before = look()
    with CHAIN.anchor():
        try:
            taken = CHAIN.import_block(raw)
        except errors.ImportRefused:
            assert look() == before
        else:
            # Some fields are the producer's to choose: with another of these it is another block, and valid.
            assert taken.raw == raw and taken.hash != FOREIGN.hash
            assert taken.state_root == FOREIGN.state_root
    assert look() == before


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.binary(max_size=150) | mutated(GENUINE), max_size=5))
def test_bytes_that_nobody_signed_and_funded_change_nothing(raw: list[bytes]) -> None:
    before = look()
    assert all(isinstance(answer, errors.ExeclayerError) for answer in CHAIN.submit(raw))
    ends = np.cumsum([len(one) for one in raw], dtype=np.uint64)
    answers = CHAIN.submit_packed(b"".join(raw), ends)
    assert len(answers) == len(raw) and not any(isinstance(answer, str) for answer in answers)
    if raw:
        with pytest.raises(errors.RejectedInBlock) as caught:
            CHAIN.mine(raw)
        assert caught.value.index < len(raw)
    assert look() == before

"""Blocks on several cores, from Python: the same results, checked where asked, with the figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execlayer import Block, Chain
from execlayer.config import load
from execlayer.errors import (
    ExecutionDiverged,
    InternalError,
    InvalidArgument,
    InvalidConfig,
    MalformedBlock,
    UnknownBlock,
)

COUNTER = bytes.fromhex("600a600c600039600a6000f3" + "60005460010160005500")
"""Deploys a contract that counts its calls in slot 0."""


def payments(chain: Chain, count: int) -> Block:
    """A block of payments by all accounts to all others."""
    accounts = chain.accounts
    for index in range(count):
        sender = accounts[index % len(accounts)]
        recipient = accounts[(index * 7 + 3) % len(accounts)]
        chain.submit(sender.sign(recipient, 1 + index, nonce=chain.core.next_nonce(sender.address)))
    return chain.mine()


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
@pytest.mark.parametrize("parallel", ["off", "on", "auto", True, False])
def test_a_block_gives_the_same_however_it_is_executed(parallel: Any, threads: int) -> None:
    chain = Chain.dev()
    block = payments(chain, 80)
    done = chain.execute(block, parallel=parallel, max_threads=threads, verify=True)
    assert (done.state_root, done.lattice_hash) == (block.state_root, block.lattice)
    assert [receipt.gas_used for receipt in done.receipts] == [21_000] * 80
    stats = done.stats()
    assert stats.parallel + stats.sequential == 80
    if parallel in ("off", False):
        assert stats.parallel == 0 and done.speedup is None
    if stats.parallel:
        assert done.speedup is not None and done.speedup > 0


def test_chains_that_execute_differently_make_the_same_blocks() -> None:
    hashes = set()
    for settings in ({"parallel": "off"}, {"parallel": "on", "max_threads": 3, "verify": True}, {"parallel": True}):
        chain = Chain.dev(**settings)
        raw = [account.sign(chain.accounts[0], 5, nonce=0) for account in chain.accounts[1:]]
        hashes.add(chain.mine(raw, timestamp=10**10).hash)
        ran = chain.stats()
        assert ran.parallel + ran.sequential == len(raw)
        assert (ran.parallel > 0) == (settings["parallel"] != "off")
        assert ran.blocks_verified == int("verify" in settings)
    assert len(hashes) == 1


def test_a_block_that_is_not_here_is_executed_and_not_kept() -> None:
    ours, theirs = Chain.dev(), Chain.dev()
    block = theirs.mine(timestamp=10**10)
    assert ours.execute(block.raw).state_root == block.state_root
    assert ours.execute(block).block == block
    assert ours.head.number == 0
    with pytest.raises(UnknownBlock):
        ours.execute(block.hash)
    with pytest.raises(MalformedBlock):
        ours.execute(b"\xc0")


def rlp(item: Any) -> bytes:
    """The item's encoding; numbers as bytes without zeros in front."""
    if isinstance(item, list):
        body, base = b"".join(map(rlp, item)), 0xC0
    else:
        body = item if isinstance(item, bytes) else item.to_bytes((item.bit_length() + 7) // 8, "big")
        if len(body) == 1 and body[0] < 0x80:
            return body
        base = 0x80
    if len(body) < 56:
        return bytes([base + len(body)]) + body
    length = len(body).to_bytes((len(body).bit_length() + 7) // 8, "big")
    return bytes([base + 55 + len(length)]) + length + body


def test_a_block_access_list_tells_units_and_changes_no_result() -> None:
    chain = Chain.dev()
    alice, bob, carol, dave = chain.accounts[:4]
    raw = [sender.sign(dave, 5, nonce=0) for sender in (alice, bob, carol)]
    block = chain.mine(raw)

    def writes(*numbers: int) -> bytes:
        """That these transactions, counted from 1, change slot 7 of an account."""
        return rlp([[bytes(20), [[7, [[number, 9] for number in numbers]]], [], [], [], []]])

    for access_list, units in ((writes(1, 3), 2), (writes(1, 2, 3, 99), 1), (rlp([]), 3)):
        done = chain.execute(block, parallel="on", max_threads=2, verify=True, access_list=access_list)
        assert (done.state_root, done.stats().units) == (block.state_root, units)
    for wrong in (b"", b"\x80", rlp([]) + b"\x00", rlp([[bytes(19), [], [], [], [], []]])):
        with pytest.raises(InvalidArgument, match="access_list"):
            chain.execute(block, access_list=wrong)


numbers = st.integers(0, 2**64 - 1)
changes = st.lists(st.lists(numbers, min_size=2, max_size=2), max_size=4)
slots = st.lists(st.tuples(numbers, changes).map(list), max_size=3)
written = st.tuples(st.binary(min_size=20, max_size=20), slots, st.lists(numbers), changes, changes, changes)
anything = st.recursive(st.binary(max_size=40) | numbers, lambda items: st.lists(items, max_size=6), max_leaves=30)
lists = st.lists(written.map(list), max_size=4)


@pytest.fixture(scope="module")
def mined() -> tuple[Chain, Block]:
    """A chain, and its block of payments."""
    chain = Chain.dev()
    return chain, payments(chain, 30)


@given(access_list=st.binary(max_size=80) | st.one_of(anything, lists).map(rlp))
def test_whatever_is_given_as_an_access_list_is_refused_or_changes_no_result(
    mined: tuple[Chain, Block], access_list: bytes
) -> None:
    chain, block = mined
    try:
        done = chain.execute(block, parallel="on", max_threads=3, access_list=access_list)
    except InvalidArgument as refused:
        assert "access_list" in str(refused)
    else:
        assert (done.state_root, done.lattice_hash) == (block.state_root, block.lattice)


def test_conflicts_name_what_is_hot_and_bound_the_speed() -> None:
    chain = Chain.dev()
    alice = chain.accounts[0]
    counter = alice.transfer(None, data=COUNTER).contract_address
    for sender in chain.accounts[:5]:
        chain.submit(sender.sign(counter, gas_limit=60_000))
    for sender in chain.accounts[5:]:
        chain.submit(sender.sign("0x" + "77" * 20, 1))
    done = chain.execute(chain.mine(), parallel="on", max_threads=2)
    conflicts = done.conflicts
    assert conflicts.hot == [(counter, 0, 4)] and conflicts.hot_accounts == [(counter, 4)]
    assert conflicts.waiting == 4
    assert conflicts.gas == sum(receipt.gas_used for receipt in done.receipts)
    assert 0 < conflicts.critical_path < conflicts.gas
    assert conflicts.speedup(1) == 1.0 <= conflicts.speedup(2) <= conflicts.speedup(1024)
    assert conflicts.speedup(1024) == conflicts.gas / conflicts.critical_path
    assert "waiting=4" in repr(conflicts) and "block=2" in repr(done)
    for wrong in (0, -1, 1025, "many", 1.5):
        with pytest.raises(InvalidArgument, match="workers"):
            conflicts.speedup(wrong)  # type: ignore[arg-type]


def test_figures_have_prometheus_names() -> None:
    chain = Chain.dev(parallel="on", max_threads=2)
    raw = [account.sign(chain.accounts[0], 1, nonce=0) for account in chain.accounts[1:]]
    chain.mine(raw)
    stats, figures = chain.stats(), chain.metrics()
    assert (stats.blocks, stats.blocks_parallel, stats.parallel, stats.sequential) == (1, 1, 9, 0)
    assert stats.units == 9 and stats.unit_mean == 1.0 and stats.seconds > 0
    assert figures['execlayer_parallel_transactions_total{mode="parallel"}'] == 9
    assert figures['execlayer_parallel_transactions_total{mode="sequential"}'] == 0
    assert figures["execlayer_parallel_lost_seconds_total"] == stats.lost_seconds == 0
    assert figures["execlayer_parallel_conflict_ratio"] == 0 and figures["execlayer_pool_pending"] == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [("parallel", "fast"), ("parallel", 2), ("max_threads", 0), ("max_threads", 1025), ("verify", "yes")],
)
def test_what_cannot_be_chosen_is_named(name: str, value: Any) -> None:
    with pytest.raises(InvalidArgument, match=name):
        Chain.dev(**{name: value})
    if name != "verify":
        chain = Chain.dev()
        with pytest.raises(InvalidArgument, match=name):
            chain.execute(chain.mine(), **{name: value})


def test_the_configuration_has_a_table_of_its_own(tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    path.write_text('[execution]\nparallel = "on"\nmax_threads = 3\nverify = true')
    chosen = {"parallel": "on", "max_threads": 3, "verify": True}
    settings = load(path).chain_settings()
    assert {name: settings[name] for name in chosen} == chosen
    assert Chain.dev(**settings).head.number == 0
    path.write_text('[execution]\nparallel = "fast"')
    with pytest.raises(InvalidConfig, match=r"execution\.parallel"):
        load(path)


def test_a_difference_is_a_bug_that_names_transaction_and_field() -> None:
    assert issubclass(ExecutionDiverged, InternalError)
    assert ExecutionDiverged.fields == ("transaction", "field", "parallel", "sequential")

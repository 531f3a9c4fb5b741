"""Rules as values: made, changed, compared, copied, refused, and followed by chains."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest

from execlayer import Chain, ChainSpec, errors, evm
from execlayer.spec import Begin, Blobs

FORKS = [
    "frontier", "homestead", "tangerine", "spurious_dragon", "byzantium", "constantinople", "petersburg", "istanbul",
    "berlin", "london", "paris", "shanghai", "cancun", "prague", "osaka",
]  # fmt: skip

OWN = "0x00000000000000000000000000000000000000C0"


def double(site: object, word: int) -> int:
    return 2 * word


def reverse(data: bytes) -> bytes:
    return data[::-1]


@pytest.mark.parametrize("name", FORKS)
def test_every_fork_is_made_by_its_name_and_named_by_its_repr(name: str) -> None:
    spec: ChainSpec = getattr(ChainSpec, name)()
    assert spec.fork.lower() == name.replace("_", "")
    assert repr(spec) == f"ChainSpec({name}, chain_id=1)"
    assert spec == ChainSpec.at(spec.fork) != ChainSpec.at(spec.fork, 2)
    assert spec.fork_at(0) == spec.fork
    assert spec.is_consensus


def test_forks_that_only_move_blobs_are_osaka_with_other_blobs() -> None:
    assert ChainSpec.bpo1().blobs[-1] == Blobs(0, 10, 15, 8_346_193)
    assert ChainSpec.bpo2().fork == "Osaka"
    assert ChainSpec.mainnet().blobs[-1].max == 21
    assert ChainSpec.mainnet().fork_at(12_965_000) == "London"


def test_prices_are_listed_and_changed_by_name() -> None:
    spec = ChainSpec.osaka()
    changed = spec.with_gas(sload_cold=1_800, add=4)
    assert changed.gas["sload_cold"] == 1_800 and spec.gas["sload_cold"] == 2_100
    assert {name for name in spec.gas if spec.gas[name] != changed.gas[name]} == {"sload_cold", "add"}
    assert "add=4*" in repr(changed.gas) and "mul=5," in repr(changed.gas)
    assert changed == spec.with_gas({"sload_cold": 1_800}).with_gas(add=4)
    assert "push0" not in ChainSpec.london().gas
    citrate = spec.with_gas("citrate", add=5)
    assert (citrate.gas["sload"], citrate.gas["sload_cold"], citrate.gas["add"]) == (800, 800, 5)
    assert spec.with_gas("Citrate") == spec.with_gas("citrate")


def test_a_changed_price_is_paid() -> None:
    state = {OWN: {"code": "0x5f54"}}
    cheap, dear = (evm.call(state, OWN, spec=ChainSpec.osaka().with_gas(sload_cold=price)) for price in (100, 9_000))
    assert dear.gas_used - cheap.gas_used == 8_900


@pytest.mark.parametrize(
    ("change", "error", "fields"),
    [
        (lambda spec: spec.with_gas(sloth=1), errors.UnknownPrice, {"name": "sloth"}),
        (lambda spec: spec.with_gas("lemon"), errors.UnknownSchedule, {"name": "lemon"}),
        (lambda spec: spec.with_gas(add=10**9 + 1), errors.PriceOutOfRange, {"name": "add", "maximum": 10**9}),
        (lambda spec: spec.with_gas(add=-1), errors.InvalidArgument, {"field": "add", "value": -1}),
        (lambda spec: spec.with_gas(add="3"), errors.InvalidArgument, {"field": "add", "value": "3"}),
        (lambda spec: spec.with_gas(account_cold=99), errors.ColdBelowWarm, {"cold": 99, "warm": 100}),
        (lambda spec: ChainSpec.at("olympic"), errors.UnknownFork, {"name": "olympic"}),
        (lambda spec: spec.with_chain_id(-1), errors.InvalidArgument, {"field": "chain_id"}),
        (lambda spec: spec.with_fork("London", block=5), errors.ForkOrder, {"fork": "London", "after": "Berlin"}),
        (lambda spec: spec.with_blobs(target=3, max=2, update_fraction=1), errors.InvalidBlobs, {"max": 2}),
        (lambda spec: spec.with_opcode(1, "OWN", double, gas=1, pops=1, pushes=1), errors.OpcodeTaken, {"name": "ADD"}),
        (
            lambda spec: spec.with_opcode(0x0C, "OWN", double, gas=10**10, pops=1, pushes=1),
            errors.OpcodePriceOutOfRange,
            {"value": 10**10},
        ),
        (
            lambda spec: spec.with_opcode(300, "OWN", double, gas=1, pops=1, pushes=1),
            errors.InvalidArgument,
            {"value": 300},
        ),
        (lambda spec: spec.with_precompile("0x12", reverse), errors.InvalidArgument, {"field": "address"}),
    ],
)
def test_what_cannot_be_is_refused_by_name(change: Any, error: type[Exception], fields: dict[str, Any]) -> None:
    spec = ChainSpec.osaka()
    with pytest.raises(error) as caught:
        change(spec)
    assert {name: getattr(caught.value, name) for name in fields} == fields
    assert spec == ChainSpec.osaka()


def test_specs_are_copied_pickled_and_hashed() -> None:
    spec = (
        ChainSpec.osaka()
        .with_gas(add=4)
        .with_opcode(0x0C, "DOUBLE", double, gas=3, pops=1, pushes=1)
        .with_precompile(OWN, reverse, gas=7)
    )
    for other in (copy.copy(spec), copy.deepcopy(spec), pickle.loads(pickle.dumps(spec))):
        assert other == spec and hash(other) == hash(spec)
    assert repr(spec) == ("ChainSpec(osaka, chain_id=1, add=4, opcode 0x0c DOUBLE, precompile reverse, not consensus)")
    assert not spec.is_consensus


def test_a_fork_begins_when_it_is_told_to() -> None:
    spec = (
        ChainSpec.cancun()
        .with_fork("Prague", time=1_000)
        .with_blobs(target=6, max=9, update_fraction=5_007_716, time=1_000)
    )
    assert [spec.fork_at(1, time) for time in (999, 1_000)] == ["Cancun", "Prague"]
    assert spec.forks[-1] == ("Prague", Begin("time", 1_000))
    with pytest.raises(errors.InvalidArgument, match="block or time"):
        spec.with_fork("Osaka")


@pytest.mark.parametrize("name", FORKS)
def test_a_spec_is_the_same_after_a_trip_through_a_genesis(name: str) -> None:
    spec: ChainSpec = getattr(ChainSpec, name)().with_gas(add=4).with_chain_id(77)
    read = Chain.dev({"config": spec.to_config(), "difficulty": "0x1", "alloc": {}}).spec
    assert (read.forks, read.prices, read.chain_id) == (spec.forks, spec.prices, 77)
    assert read.core.fork_at(0, 0) == spec.fork


def test_mainnets_rules_make_the_same_trip() -> None:
    spec = ChainSpec.mainnet()
    # The merge by total difficulty: mainnet's spec names its block.
    forks = tuple((name, Begin("total_difficulty", 5) if name == "Paris" else begin) for name, begin in spec.forks)
    spec = ChainSpec(1, forks, spec.blobs, dao=spec.dao, glaciers=spec.glaciers)
    read = Chain.dev({"config": spec.to_config(), "difficulty": "0x1", "alloc": {}}).spec
    assert (read.forks, read.dao, read.glaciers) == (spec.forks, spec.dao, spec.glaciers)
    times = [0, 1_710_338_135, 1_746_612_311, 1_764_798_551, 1_765_290_071, 1_767_747_671]

    def in_force(spec: ChainSpec, time: int) -> tuple[int, ...]:
        return [tuple(blobs[1:]) for blobs in spec.blobs if blobs.time <= time][-1:]  # type: ignore[return-value]

    assert [in_force(read, time) for time in times] == [in_force(spec, time) for time in times]


@pytest.mark.parametrize("name", ["london", "paris", "shanghai", "cancun", "prague", "osaka"])
def test_a_chain_follows_the_spec_that_it_is_given(name: str) -> None:
    spec: ChainSpec = getattr(ChainSpec, name)().with_gas(transfer=5_000).with_chain_id(5)
    chain = Chain.dev(spec=spec)
    alice, bob = chain.accounts[:2]
    assert alice.transfer(bob, 1).gas_used == 5_000
    assert chain.chain_id == 5 and chain.spec == spec


def test_a_folder_keeps_the_rules_it_was_begun_with(tmp_path: Path) -> None:
    spec = ChainSpec.osaka().with_gas(transfer=5_000).with_chain_id(5)
    with Chain.open(tmp_path / "chain", spec=spec) as chain:
        head = chain.head.hash
    with Chain.open(tmp_path / "chain") as chain:
        alice, bob = chain.accounts[:2]
        assert chain.head.hash == head
        assert alice.transfer(bob, 1).gas_used == 5_000
        assert chain.spec.prices == spec.prices and chain.spec.forks == spec.forks


def test_a_folder_cannot_hold_functions(tmp_path: Path) -> None:
    spec = ChainSpec.osaka().with_precompile(OWN, reverse)
    with pytest.raises(errors.InvalidArgument, match="functions in Python"):
        Chain.open(tmp_path / "chain", spec=spec)
    assert not (tmp_path / "chain").exists()


def test_blocks_run_functions_in_python() -> None:
    spec = ChainSpec.osaka().with_opcode(0x0C, "DOUBLE", double, gas=3, pops=1, pushes=1)
    chain = Chain.dev(spec=spec)
    alice = chain.accounts[0]
    # Creation code that stores twice 21 in slot 0.
    receipt = alice.transfer(None, data="0x60150c5f55")
    assert receipt.ok and receipt.contract_address is not None
    assert chain.storage(receipt.contract_address, 0) == 42


def test_a_function_that_fails_in_a_block_leaves_the_chain_as_it_was() -> None:
    def fails(site: object) -> None:
        raise KeyError("lost")

    chain = Chain.dev(spec=ChainSpec.osaka().with_opcode(0x0C, "FAIL", fails, gas=3, pops=0, pushes=0))
    alice = chain.accounts[0]
    head, balance = chain.head, alice.balance
    raw = alice.sign(None, data="0x0c", gas_limit=100_000)
    with pytest.raises(errors.CustomCodeFailed, match="opcode 0x0c FAIL failed: KeyError: 'lost'") as caught:
        chain.mine([raw])
    assert isinstance(caught.value.__cause__, KeyError)
    assert (chain.head, alice.balance) == (head, balance)


@pytest.mark.parametrize(
    ("answer", "pushes"), [("text", 1), (-1, 1), (2**256, 1), (None, 1), ((1,), 2), (1, 0), (True, 1), ([1, "2"], 2)]
)
def test_answers_that_are_no_words_are_named(answer: Any, pushes: int) -> None:
    spec = ChainSpec.osaka().with_opcode(0x0C, "OWN", lambda site: answer, gas=3, pops=0, pushes=pushes)
    with pytest.raises(errors.CustomCodeFailed, match="opcode 0x0c OWN failed: InvalidArgument: an opcode's answer"):
        evm.call({OWN: {"code": "0x0c"}}, OWN, spec=spec)


def test_a_site_shows_the_frame_and_takes_gas() -> None:
    seen: dict[str, Any] = {}

    def look(site: Any) -> tuple[int, int]:
        names = [
            "address",
            "caller",
            "origin",
            "value",
            "data",
            "memory",
            "is_static",
            "gas",
            "block_number",
            "timestamp",
        ]
        seen.update({name: getattr(site, name) for name in names})
        site.charge(100)
        return 1, 2

    spec = ChainSpec.osaka().with_opcode(0x0C, "LOOK", look, gas=7, pops=0, pushes=2)
    sender = "0x00000000000000000000000000000000000000A1"
    # One word of memory, then LOOK; returns what is on top.
    code = "0x60015f520c5f5260205ff3"
    outcome = evm.call(
        {OWN: {"code": code}, sender: {"balance": 9}}, OWN, b"abc", sender=sender, value=5, gas=50_000, spec=spec,
        block={"number": 12, "timestamp": 34},
    )  # fmt: skip
    assert int.from_bytes(outcome.output, "big") == 1
    gas = seen.pop("gas")
    assert seen == {
        "address": OWN, "caller": sender, "origin": sender, "value": 5, "data": b"abc",
        "memory": (1).to_bytes(32, "big"), "is_static": False, "block_number": 12, "timestamp": 34,
    }  # fmt: skip
    before = 50_000 - 21_000 - 3 * 16 - 3 - 2 - 6 - 7
    assert gas == before
    after = 2 + 3 + 3 + 2
    assert outcome.gas_used == 50_000 - before + 100 + after


def test_a_function_may_halt_the_frame() -> None:
    def halts(site: object) -> None:
        raise evm.Halt

    spec = ChainSpec.osaka().with_opcode(0x0C, "HALT", halts, gas=3, pops=0, pushes=0)
    outcome = evm.call({OWN: {"code": "0x0c"}}, OWN, gas=50_000, spec=spec)
    assert (outcome.status, outcome.error, outcome.gas_used) == ("halt", "custom opcode halted", 50_000)


def test_a_precompile_answers_refuses_and_fails() -> None:
    def answer(data: bytes) -> bytes | None:
        if data == b"boom":
            raise ValueError("boom")
        return None if data == b"no" else data[::-1]

    spec = ChainSpec.osaka().with_precompile(OWN, answer, gas=lambda data: 1_000 * len(data))
    said = evm.call({}, OWN, b"abc", spec=spec)
    assert (said.output, said.gas_used) == (b"cba", 21_000 + 3 * 16 + 3_000)
    refused = evm.call({}, OWN, b"no", gas=30_000, spec=spec)
    assert (refused.error, refused.gas_used) == ("precompile failed", 30_000)
    assert evm.call({}, OWN, b"abc", gas=said.gas_used, spec=spec).ok
    assert evm.call({}, OWN, b"abc", gas=said.gas_used - 1, spec=spec).error == "out of gas"
    with pytest.raises(errors.CustomCodeFailed, match=r"precompile answer at .* failed: ValueError: boom"):
        evm.call({}, OWN, b"boom", spec=spec)


ASSETS = "0x00000000000000000000000000000000e1ec0003"


def test_further_assets_come_with_a_spec_in_memory_and_in_a_folder(tmp_path: Path) -> None:
    spec = ChainSpec.osaka().with_assets()
    assert spec != ChainSpec.osaka() and repr(spec) == "ChainSpec(osaka, chain_id=1, assets)"
    assert spec.to_config()["execlayer"] == {"assets": True}
    assert pickle.loads(pickle.dumps(spec)) == spec == copy.deepcopy(spec)
    for chain in (Chain.dev(spec=spec), Chain.open(tmp_path, spec=spec)):
        with chain:
            assert chain.spec.assets
            assert (chain.nonce(ASSETS), chain.code(ASSETS)) == (1, b"\xfe")
    assert not Chain.dev().spec.assets

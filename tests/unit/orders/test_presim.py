"""Orders are tried on the newest state before they are signed, as far as it was fetched, and again on each head."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from execlayer import Chain, Transaction
from execlayer._core import OrderEngine, OrderReceipts, decode_frame, encode_signal

WALL = 1_700_000_000 * 10**9
# Takes the chance that is there, once: reverts where slot 0 is set, else sets it.
RUNTIME = bytes.fromhex("600054600c57600160005500" + "5b60006000fd")
CREATION = bytes.fromhex("6012 80 600b 6000 39 6000 f3") + RUNTIME
TOKENS = [b"\x44" * 20, b"\x11" * 20]
Outputs = list[tuple[Any, ...]]


@dataclass
class World:
    """A chain, the contract on it, and an engine that tries on the one and calls the other."""

    chain: Chain
    contract: str
    engine: OrderEngine
    sequence: int = 0
    fetches: int = 0

    def show_head(self) -> Outputs:
        """The core hears of the chain's head and gets its state."""
        block = self.chain.block("latest")
        header = (
            block.number,
            block.hash,
            block.parent_hash,
            block.timestamp,
            block.base_fee or 0,
            15_000_000,
            30_000_000,
        )
        outputs = self.engine.head((2, WALL), header)
        sender = self.chain.accounts[0]
        outputs += self.engine.accounts((2, WALL), [(sender.address, sender.nonce, 10**20)], (block.number, block.hash))
        accounts, slots = self.engine.state_used()
        self.engine.turn_state(header, block.beneficiary, "0x" + "00" * 32, 12, *self.fetched(accounts, slots))
        return outputs + self.settled([])

    def fetched(self, accounts: Iterable[tuple[str, bool]], slots: Iterable[tuple[str, str]]) -> Any:
        chain = self.chain
        return (
            [(one, chain.nonce(one), chain.balance(one), chain.code(one) if code else None) for one, code in accounts],
            [(*slot, chain.storage(*slot)) for slot in slots],
        )

    def settled(self, outputs: Outputs) -> Outputs:
        """What is left to be done once no order waits for the state any more."""
        done: Outputs = []
        while outputs or self.engine.has_more:
            for output in outputs:
                if output[0] == "want_state":
                    _, _, block, accounts, slots, _ = output
                    assert self.engine.add_state(block, *self.fetched([(one, True) for one in accounts], slots))
                    self.fetches += 1
                else:
                    done.append(output)
            outputs = self.engine.go_on((4, WALL))
        return done

    def signal(self, pool: int, **changes: Any) -> Outputs:
        return self.settled(self.send(pool, **changes))

    def send(self, pool: int, **changes: Any) -> Outputs:
        self.sequence += 1
        frame = encode_signal(
            (9, self.sequence, WALL, False, False),
            signal_id=self.sequence,
            created_unix_ns=WALL,
            chain_id=self.chain.chain_id,
            action="raw_call",
            channel="public",
            raw_call=b"",
            expected_profit=10**18,
            expected_profit_wei=10**18,
            required_capital=1,
            profit_token=TOKENS[1],
            pools=[bytes([pool]) * 20],
            tokens=TOKENS,
            amounts=[5],
            **{"state_block": self.chain.block("latest").number, **changes},
        )
        outputs, nacks = self.engine.frames((3, WALL), [frame], True)
        assert nacks == [None]
        return outputs

    def outcome(self) -> dict[str, Any]:
        return decode_frame(self.engine.results(0, 100)[-1][1])


def world(folder: Path, creation: bytes = CREATION, **settings: Any) -> World:
    chain = Chain.dev()
    deployer = chain.accounts[1]
    sent = deployer.send(None, data=creation)
    chain.mine()
    contract = chain.receipt(sent).contract_address
    assert contract is not None
    engine = OrderEngine(
        str(folder / "journal"),
        lock_folder=str(folder / "locks"),
        chain_id=chain.chain_id,
        contract=contract,
        recipient=b"\xdd" * 20,
        keys=[chain.accounts[0].key],
        endpoints=[(b"", True, None)],
        settings={"presim": "always", **settings},
    )
    made = World(chain, contract, engine)
    made.show_head()
    return made


def raw(outputs: Outputs) -> list[bytes]:
    sends = [output for output in outputs if output[0] == "send"]
    return [bytes.fromhex(json.loads(output[4])["params"][0][2:]) for output in sends]


def test_an_order_is_signed_with_the_gas_that_it_was_seen_to_need(tmp_path: Path) -> None:
    here = world(tmp_path)
    [signed] = raw(here.signal(0x22))
    receipt = here.chain.receipt(Transaction.decode(signed).hash) if here.chain.mine([signed]) else None
    assert receipt is not None and receipt.ok
    assert Transaction.decode(signed).gas_limit == receipt.gas_used * 120 // 100
    assert here.engine.stats()["simulations"] == 1


def test_an_order_that_would_revert_is_refused_and_nothing_is_signed(tmp_path: Path) -> None:
    here = world(tmp_path)
    here.chain.accounts[1].send(here.contract)
    here.chain.mine()
    here.show_head()
    assert raw(here.signal(0x22)) == []
    status = here.outcome()["status"]
    assert (status["state"], status["failure"]) == ("Failed", "SimulationFailed")


@pytest.mark.parametrize(("pool", "failure"), [(0x22, "SimulationFailed"), (0x33, None)])
def test_a_newcomer_is_tried_after_the_live_order_of_its_pool(tmp_path: Path, pool: int, failure: str | None) -> None:
    here = world(tmp_path)
    assert len(raw(here.signal(0x22))) == 1
    assert len(raw(here.signal(pool))) == (failure is None)
    if failure is not None:
        assert here.outcome()["status"]["failure"] == failure


def test_what_waits_is_tried_again_on_each_head(tmp_path: Path) -> None:
    here = world(tmp_path, lane_depth=1)
    assert len(raw(here.signal(0x22))) == 1
    assert raw(here.signal(0x33)) == [], "no slot is free"
    assert here.engine.stats()["queue_depth"] == 1
    here.chain.accounts[1].send(here.contract)
    here.chain.mine()
    here.show_head()
    status = here.outcome()["status"]
    assert (status["state"], status["failure"]) == ("Failed", "SimulationFailed")


def test_a_chain_that_did_something_else_than_foretold_raises_an_alarm(tmp_path: Path) -> None:
    here = world(tmp_path)
    [signed] = raw(here.signal(0x22))
    tx_hash = Transaction.decode(signed).hash
    parent = here.chain.block("latest")
    block = "0x" + "07" * 32
    here.engine.head((5, WALL), (parent.number + 1, block, parent.hash, 0, 10**9, 15_000_000, 30_000_000))
    receipt = {
        "transactionHash": tx_hash,
        "blockHash": block,
        "transactionIndex": "0x0",
        "status": "0x1",
        "gasUsed": hex(21_001),
        "effectiveGasPrice": hex(10**9),
        "logs": [],
    }
    found = OrderReceipts.read(block, json.dumps({"result": [receipt]}).encode())
    assert found is not None
    outputs = here.engine.receipts((6, WALL), found)
    assert ("alert", True, "sim_drift") in [output[:3] for output in outputs]
    assert here.engine.stats()["sim_drift"] == 1


def test_an_order_waits_until_what_it_reads_is_here(tmp_path: Path) -> None:
    here = world(tmp_path)
    outputs = here.send(0x22)
    [(_, order, block, accounts, slots, call)] = [output for output in outputs if output[0] == "want_state"]
    assert (order, block, slots) == (1, here.chain.block("latest").hash, [])
    assert (accounts, call) == (
        [here.chain.accounts[0].address.lower()],
        (accounts[0], here.contract.lower(), b"", 2**24),
    )
    assert raw(outputs) == [] and here.engine.orders()[0][4] == "queued"
    assert here.engine.go_on((4, WALL)) == [], "nothing has come"
    assert not here.engine.add_state("0x" + "07" * 32, *here.fetched([], [])), "another block's"
    assert here.engine.has_more
    assert len(raw(here.settled(outputs))) == 1
    fetches = here.fetches
    assert fetches > 1 and here.engine.presim_seconds()
    assert len(raw(here.signal(0x33))) == 1 and here.fetches == fetches, "all of it was here"


def test_gas_that_is_given_back_at_the_end_is_needed_until_then(tmp_path: Path) -> None:
    # Slot 0 holds 1, and clearing it gives back as much as is ever given back: a fifth.
    here = world(
        tmp_path, creation=bytes.fromhex("6001600055 6006 80 6010 6000 39 6000 f3") + bytes.fromhex("600060005500")
    )
    [signed] = raw(here.signal(0x22))
    here.chain.mine([signed])
    receipt = here.chain.receipt(Transaction.decode(signed).hash)
    assert receipt.ok
    gas_limit = Transaction.decode(signed).gas_limit
    assert gas_limit > receipt.gas_used * 120 // 100
    assert gas_limit == (receipt.gas_used + 4_800) * 120 // 100


@pytest.mark.parametrize(("known_at", "failure"), [(1, "SimulationFailed"), (0, "PoolStateMismatch")])
def test_a_signal_of_an_old_state_is_only_believed_where_it_passes(tmp_path: Path, known_at: int, failure: str) -> None:
    here = world(tmp_path)
    here.chain.accounts[1].send(here.contract)
    here.chain.mine()
    here.show_head()
    assert here.chain.block("latest").number == 2
    assert raw(here.signal(0x22, state_block=known_at)) == []
    assert here.outcome()["status"]["failure"] == failure

"""Roots and proofs against a naive trie: written from the yellow paper's definition, whole states at a time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import pytest
from eth_utils.crypto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from execlayer import Chain, errors, proofs
from execlayer.proofs import ProvenAccount

from .conftest import genesis_of

EMPTY_ROOT = keccak(b"\x80")
EMPTY_CODE = keccak(b"")


def rlp(item: Any) -> bytes:
    if isinstance(item, int):
        item = item.to_bytes((item.bit_length() + 7) // 8, "big")
    if isinstance(item, bytes):
        return item if len(item) == 1 and item[0] < 0x80 else prefix(0x80, len(item)) + item
    content = b"".join(entry.encoded if isinstance(entry, Raw) else rlp(entry) for entry in item)
    return prefix(0xC0, len(content)) + content


def prefix(offset: int, length: int) -> bytes:
    if length < 56:
        return bytes([offset + length])
    digits = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes([offset + 55 + len(digits)]) + digits


@dataclass(frozen=True)
class Raw:
    """RLP that stands in its parent as it is."""

    encoded: bytes


def compact(path: list[int], leaf: bool) -> bytes:
    flag = 2 if leaf else 0
    nibbles = [flag + 1, *path] if len(path) % 2 else [flag, 0, *path]
    return bytes(16 * high + low for high, low in zip(nibbles[::2], nibbles[1::2], strict=True))


def build(entries: list[tuple[list[int], bytes]], target: list[int], nodes: list[bytes], on_path: bool) -> bytes:
    """RLP of the node over these entries; the nodes on the target's path are noted, the deepest first."""
    if len(entries) == 1:
        path, value = entries[0]
        encoded = rlp([compact(path, leaf=True), value])
    else:
        first = entries[0][0]
        shared = 0
        while all(len(path) > shared and path[shared] == first[shared] for path, _ in entries):
            shared += 1
        if shared:
            rest = [(path[shared:], value) for path, value in entries]
            goes_on = on_path and target[:shared] == first[:shared]
            child = link(rest, target[shared:], nodes, goes_on)
            encoded = rlp([compact(first[:shared], leaf=False), child])
        else:
            children: list[Any] = []
            for nibble in range(16):
                below = [(path[1:], value) for path, value in entries if path and path[0] == nibble]
                goes_on = on_path and target[:1] == [nibble]
                children.append(link(below, target[1:], nodes, goes_on) if below else b"")
            value = next((value for path, value in entries if not path), b"")
            encoded = rlp([*children, value])
    if on_path:
        nodes.append(encoded)
    return encoded


def link(entries: list[tuple[list[int], bytes]], target: list[int], nodes: list[bytes], on_path: bool) -> Any:
    encoded = build(entries, target, nodes, on_path)
    if len(encoded) >= 32:
        return keccak(encoded)
    if on_path:
        # It stands in its parent: proofs don't repeat it.
        nodes.remove(encoded)
    return Raw(encoded)


def nibbles(key: bytes) -> list[int]:
    return [nibble for byte in key for nibble in (byte >> 4, byte & 15)]


def trie(entries: dict[bytes, bytes], key: bytes = b"") -> tuple[bytes, list[bytes]]:
    """The root over the entries, and the proof of a key."""
    if not entries:
        return EMPTY_ROOT, []
    nodes: list[bytes] = []
    root = keccak(build([(nibbles(key), value) for key, value in entries.items()], nibbles(key), nodes, True))
    return root, nodes[::-1]


@dataclass(frozen=True)
class Model:
    balance: int
    nonce: int
    storage: dict[int, int]

    def slots(self, slot: int = 0) -> tuple[bytes, list[bytes]]:
        held = {keccak(key.to_bytes(32, "big")): rlp(value) for key, value in self.storage.items()}
        return trie(held, keccak(slot.to_bytes(32, "big")))

    def leaf(self) -> bytes:
        return rlp([self.nonce, self.balance, self.slots()[0], EMPTY_CODE])


def state(models: dict[bytes, Model], address: bytes) -> tuple[bytes, list[bytes]]:
    return trie({keccak(key): model.leaf() for key, model in models.items()}, keccak(address))


# Few enough values that paths meet, and slots that are small and large.
addresses = st.binary(min_size=1, max_size=1).map(lambda byte: b"\x77" * 19 + byte)
slots = st.one_of(st.integers(0, 20), st.integers(2**255, 2**255 + 3))
models = st.builds(
    Model,
    balance=st.integers(0, 2**100),
    nonce=st.integers(0, 2**40),
    storage=st.dictionaries(slots, st.integers(1, 2**256 - 1), max_size=20),
)


def chain_of(world: dict[bytes, Model]) -> Chain:
    alloc = {
        "0x" + address.hex(): {
            "balance": hex(model.balance),
            "nonce": hex(model.nonce),
            "storage": {f"0x{key:064x}": f"0x{value:064x}" for key, value in model.storage.items()},
        }
        for address, model in world.items()
    }
    return Chain.dev(genesis_of({}, alloc=alloc))


@settings(max_examples=60, deadline=None)
@given(world=st.dictionaries(addresses, models, min_size=1, max_size=12), asked=addresses, slot=slots)
def test_roots_and_proofs_are_those_of_a_naive_trie(world: dict[bytes, Model], asked: bytes, slot: int) -> None:
    chain = chain_of(world)
    root, nodes = state(world, asked)
    assert chain.head.state_root == "0x" + root.hex()
    proof = chain.prove(asked, [slot])
    assert list(proof.nodes) == nodes
    model = world.get(asked)
    if model is None:
        assert proof.account is None
    else:
        storage_root, slot_nodes = model.slots(slot)
        expected = ProvenAccount(model.nonce, model.balance, "0x" + storage_root.hex(), "0x" + EMPTY_CODE.hex())
        assert proof.account == expected
        assert list(proof.slots[0].nodes) == slot_nodes
        assert proof.slots[0].value == model.storage.get(slot, 0)
    assert proofs.verify_proof(root, proof).account == proof.account


@settings(max_examples=40, deadline=None)
@given(items=st.lists(st.binary(min_size=1, max_size=80), min_size=1, max_size=140), index=st.integers(0, 150))
def test_lists_are_proven_as_the_naive_trie_has_them(items: list[bytes], index: int) -> None:
    root, nodes = trie({rlp(place): item for place, item in enumerate(items)}, rlp(index))
    expected = items[index] if index < len(items) else None
    assert proofs.verify_transaction(root, index, nodes) == expected


def test_a_transaction_its_receipt_and_its_log_are_proven_without_a_chain() -> None:
    chain = Chain.dev()
    alice = chain.accounts[0]
    # Writes one word to the log, with a topic.
    code = bytes.fromhex("602a60005260076020 6000a1".replace(" ", ""))
    creation = bytes([0x60, len(code), 0x80, 0x60, 0x0B, 0x60, 0x00, 0x39, 0x60, 0x00, 0xF3]) + code
    contract = alice.transfer(None, data=creation).contract_address
    assert contract is not None
    receipt = alice.transfer(contract)
    block = chain.blocks[receipt.block_number]
    transaction = chain.prove_transaction(receipt.transaction_hash)
    assert transaction.root == block.transactions_root
    assert proofs.verify_transaction(block.transactions_root, transaction.index, transaction.nodes) == transaction.item
    assert proofs.verify_transaction(block.transactions_root, 1, transaction.nodes) is None
    proven = chain.prove_receipt(receipt.transaction_hash)
    found = proofs.verify_receipt(block.receipts_root, proven.index, proven.nodes)
    assert found is not None
    assert (found.ok, found.cumulative_gas_used) == (True, block.gas_used)
    log = proofs.verify_log(block.receipts_root, proven.index, 0, proven.nodes)
    assert log is not None
    assert (log.address, log.topics, log.data) == (contract, (f"0x{7:064x}",), (42).to_bytes(32, "big"))
    assert proofs.verify_log(block.receipts_root, proven.index, 1, proven.nodes) is None
    with pytest.raises(errors.InvalidArgument):
        proofs.verify_log(block.receipts_root, proven.index, -1, proven.nodes)
    with pytest.raises(errors.UnknownTransaction):
        chain.prove_receipt("0x" + "11" * 32)


def test_a_proof_of_an_older_block_is_of_that_block() -> None:
    chain = Chain.dev()
    alice, bob = chain.accounts[:2]
    before = chain.head
    alice.transfer(bob, "1 ether")
    old = chain.prove(bob.address, at=before.number)
    assert old.block == before.hash
    assert proofs.verify_proof(before.state_root, old).account == old.account
    with pytest.raises(errors.ProofHashMismatch) as caught:
        proofs.verify_proof(chain.head.state_root, old)
    assert caught.value.index == 0


def test_what_a_proof_only_claims_is_not_believed() -> None:
    chain = chain_of({b"\x01" * 20: Model(5, 1, {1: 2})})
    root = chain.head.state_root
    proof = chain.prove(b"\x01" * 20, [1, 9])
    assert proof.account is not None
    assert [slot.value for slot in proofs.verify_proof(root, proof).slots] == [2, 0]
    richer = replace(proof, account=replace(proof.account, balance=6))
    with pytest.raises(errors.ProofInvalid):
        proofs.verify_proof(root, richer)
    fuller = replace(proof, slots=(replace(proof.slots[0], value=3),))
    with pytest.raises(errors.ProofInvalid):
        proofs.verify_proof(root, fuller)
    with pytest.raises(errors.ProofTooShort):
        proofs.verify_account(root, b"\x01" * 20, [])
    with pytest.raises(errors.ProofTooLong):
        proofs.verify_account(root, b"\x01" * 20, [*proof.nodes, b"\xc0"])
    with pytest.raises(errors.InvalidArgument):
        proofs.verify_proof(root, {"address": "0x"})
    absent = proofs.verify_account(root, b"\x02" * 20, proof.nodes)
    assert absent is None


def test_an_answer_of_eth_get_proof_is_verified_as_it_is() -> None:
    chain = chain_of({b"\x01" * 20: Model(5, 1, {1: 2})})
    proof = chain.prove(b"\x01" * 20, [1])
    assert proof.account is not None
    answer = {
        "address": "0x" + "01" * 20,
        "accountProof": ["0x" + node.hex() for node in proof.nodes],
        "balance": hex(proof.account.balance),
        "nonce": hex(proof.account.nonce),
        "storageHash": proof.account.storage_root,
        "codeHash": proof.account.code_hash,
        "storageProof": [{"key": "0x1", "value": "0x2", "proof": ["0x" + node.hex() for node in proof.slots[0].nodes]}],
    }
    assert proofs.verify_proof(chain.head.state_root, answer).account == proof.account
    answer["balance"] = "0x6"
    with pytest.raises(errors.ProofInvalid):
        proofs.verify_proof(chain.head.state_root, answer)

"""Proofs: that an account, a slot, a transaction, a receipt or a log is on a chain, or is not.

Verifying needs a root out of a header that is trusted, and no chain:

>>> import execlayer as xl
>>> chain = xl.Chain.dev()
>>> alice = chain.accounts[0]
>>> proof = chain.prove(alice.address)
>>> xl.proofs.verify_proof(chain.head.state_root, proof).account.balance == alice.balance
True
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from . import _core
from .accounts import AddressLike, address_of
from .errors import InvalidArgument, ProofInvalid

HashLike: TypeAlias = str | bytes
"""32 bytes, or as many in hex."""

Nodes: TypeAlias = Sequence[str | bytes]
"""The nodes of a proof from the root down, each as bytes or in hex."""


@dataclass(frozen=True, slots=True)
class ProvenAccount:
    """An account as the state's trie holds it."""

    nonce: int
    balance: int
    storage_root: str
    code_hash: str


@dataclass(frozen=True, slots=True)
class ProvenSlot:
    """A slot, what it holds (0: nothing), and the nodes that prove it under the account's storage root."""

    slot: int
    value: int
    nodes: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class AccountProof:
    """What the state after a block says of an account (None: there is none) and of some of its slots."""

    block: str
    state_root: str
    address: str
    account: ProvenAccount | None
    nodes: tuple[bytes, ...]
    slots: tuple[ProvenSlot, ...] = ()


@dataclass(frozen=True, slots=True)
class ItemProof:
    """A transaction or receipt, where it stands, and the nodes that prove it under the root of its list."""

    block: str
    root: str
    index: int
    item: bytes
    nodes: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class ProvenLog:
    """What a contract wrote to the log."""

    address: str
    topics: tuple[str, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class ProvenReceipt:
    """How a transaction ended; ``ok`` is None before Byzantium, where receipts don't say."""

    ok: bool | None
    cumulative_gas_used: int
    logs: tuple[ProvenLog, ...]


def prove(core: _core.Chain, address: AddressLike, slots: Sequence[int | HashLike], at: int | HashLike) -> AccountProof:
    """The proof of an account and slots of it; :meth:`execlayer.Chain.prove` calls this."""
    block, root, account, nodes, proven = _core.prove_account(core, address_of(address), slots, at)
    return AccountProof(
        block=block,
        state_root=root,
        address=address_of(address),
        account=None if account is None else ProvenAccount(*account),
        nodes=tuple(nodes),
        slots=tuple(ProvenSlot(slot, value, tuple(nodes)) for slot, value, nodes in proven),
    )


def prove_item(core: _core.Chain, transaction: HashLike, *, receipt: bool) -> ItemProof:
    """The proof of a transaction or its receipt; :meth:`execlayer.Chain.prove_transaction` and its twin call this."""
    block, root, index, item, nodes = _core.prove_item(core, transaction, receipt)
    return ItemProof(block, root, index, item, tuple(nodes))


def verify_account(state_root: HashLike, address: AddressLike, nodes: Nodes) -> ProvenAccount | None:
    """What the nodes say of an account under a state root; None: that there is none.

    *Errors*: :class:`~execlayer.errors.ProofInvalid` where they say nothing.
    """
    leaf = _core.verify_account(state_root, address_of(address), nodes)
    return None if leaf is None else ProvenAccount(*leaf)


def verify_slot(storage_root: HashLike, slot: int | HashLike, nodes: Nodes) -> int:
    """What the nodes say of a slot under a storage root; 0: that it holds nothing.

    *Errors*: :class:`~execlayer.errors.ProofInvalid` where they say nothing.
    """
    return _core.verify_slot(storage_root, slot, nodes)


def verify_proof(state_root: HashLike, proof: AccountProof | Mapping[str, Any]) -> AccountProof:
    """Verifies a whole proof under a state root that is trusted: :meth:`execlayer.Chain.prove`'s, or what
    ``eth_getProof`` answered. What comes back holds what was proven, and nothing that the proof only claimed.

    *Errors*: :class:`~execlayer.errors.ProofInvalid` where it proves nothing, or something else than it claims;
    :class:`~execlayer.errors.InvalidArgument` where it isn't of this form.
    """
    claimed = proof if isinstance(proof, AccountProof) else _from_rpc(proof)
    account = verify_account(state_root, claimed.address, claimed.nodes)
    if account != claimed.account:
        raise ProofInvalid(f"the proof is of {account}, not of {claimed.account}")
    for entry in claimed.slots:
        # Without an account there is no storage, and nothing to prove it with.
        value = 0 if account is None else verify_slot(account.storage_root, entry.slot, entry.nodes)
        if value != entry.value:
            raise ProofInvalid(f"slot {entry.slot} is proven to hold {value}, not {entry.value}")
    root = state_root if isinstance(state_root, str) else "0x" + bytes(state_root).hex()
    return replace(claimed, account=account, state_root=root)


def verify_transaction(transactions_root: HashLike, index: int, nodes: Nodes) -> bytes | None:
    """The transaction (its EIP-2718 bytes) that the nodes prove at this index; None: that there is none.

    *Errors*: :class:`~execlayer.errors.ProofInvalid` where they prove nothing.
    """
    return _core.verify_item(transactions_root, index, nodes)


def verify_receipt(receipts_root: HashLike, index: int, nodes: Nodes) -> ProvenReceipt | None:
    """The receipt that the nodes prove at this index; None: that there is none.

    *Errors*: :class:`~execlayer.errors.ProofInvalid` where they prove nothing.
    """
    receipt = _core.verify_receipt(receipts_root, index, nodes)
    if receipt is None:
        return None
    ok, gas, logs = receipt
    return ProvenReceipt(ok, gas, tuple(ProvenLog(address, tuple(topics), data) for address, topics, data in logs))


def verify_log(receipts_root: HashLike, index: int, log: int, nodes: Nodes) -> ProvenLog | None:
    """The log at this place of the receipt at this index; None: that there is none.

    *Errors*: :class:`~execlayer.errors.ProofInvalid` where the nodes prove nothing.
    """
    if isinstance(log, bool) or not isinstance(log, int) or log < 0:
        raise InvalidArgument(f"log is {log!r}, expected an int from 0 up", field="log", value=log, expected="an int")
    receipt = verify_receipt(receipts_root, index, nodes)
    return receipt.logs[log] if receipt is not None and log < len(receipt.logs) else None


def _from_rpc(answer: Mapping[str, Any]) -> AccountProof:
    """``eth_getProof``'s answer, whose absent account is one of zeros."""
    try:
        account = ProvenAccount(
            nonce=int(answer["nonce"], 16),
            balance=int(answer["balance"], 16),
            storage_root=answer["storageHash"],
            code_hash=answer["codeHash"],
        )
        slots = tuple(
            ProvenSlot(int(entry["key"], 16), int(entry["value"], 16), tuple(_octets(node) for node in entry["proof"]))
            for entry in answer["storageProof"]
        )
        nodes = tuple(_octets(node) for node in answer["accountProof"])
        empty = account.nonce == 0 and account.balance == 0 and account.code_hash in (_NO_CODE, _ZEROS)
        absent = empty and account.storage_root in (_NO_STORAGE, _ZEROS)
        address = address_of(answer["address"])
    except (KeyError, TypeError, ValueError) as error:
        expected = "a proof of Chain.prove, or an answer of eth_getProof"
        raise InvalidArgument(
            f"proof can't be read ({error!r}), expected {expected}", field="proof", value=answer, expected=expected
        ) from error
    return AccountProof("", "", address, None if absent else account, nodes, slots)


def _octets(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


_ZEROS = "0x" + "00" * 32
_NO_CODE = "0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
_NO_STORAGE = "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"

ABSENT = ProvenAccount(nonce=0, balance=0, storage_root=_NO_STORAGE, code_hash=_NO_CODE)
"""As which ``eth_getProof`` shows an account that isn't there."""

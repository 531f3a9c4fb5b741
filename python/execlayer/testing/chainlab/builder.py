"""A private builder, as relays have it: bundles for a block, all or nothing, the best bid first.

Its rules are those of Flashbots' builder: requests are signed (``X-Flashbots-Signature``), a bundle names its block, a
uuid replaces or cancels. A cancel leaves a tombstone, so that a replacement that arrives late doesn't bring back what
was cancelled. Knows no node: the lab tries its bundles and says what they bid.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from ..._core import keccak256, recover
from ...errors import ExeclayerError
from ...server.methods import RpcError
from .pool import Pending

TRANSACTIONS_MAX = 100
BYTES_MAX = 300_000
PRIVATE_BLOCKS_MAX = 25
"""A private transaction is tried in so many blocks at most, whatever it asks for."""

TOMBSTONES_MAX = 100_000
INVALID, UNKNOWN = -32602, -32000

Fate = Literal["waiting", "included", "failed", "outbid", "missed", "cancelled", "replaced"]


@dataclass(eq=False)
class Bundle:
    """Transactions that go into one block together, in this order, or not at all."""

    transactions: list[Pending]
    first_block: int
    last_block: int
    signer: str | None
    uuid: str | None = None
    reverting: frozenset[str] = frozenset()
    """Hashes of those that may revert."""

    timestamp_min: int = 0
    timestamp_max: int | None = None
    fate: Fate = "waiting"
    reason: str = ""
    bid_wei: int = 0
    """What the block's producer got from it, when it was last tried."""

    tried: int = 0

    @property
    def hash(self) -> str:
        """Keccak-256 of the hashes of its transactions, one behind the other."""
        return "0x" + keccak256(b"".join(bytes.fromhex(one.hash[2:]) for one in self.transactions)).hex()

    def fits(self, number: int, timestamp: int) -> bool:
        """Whether it may stand in a block."""
        late = self.timestamp_max is not None and timestamp > self.timestamp_max
        return self.first_block <= number <= self.last_block and timestamp >= self.timestamp_min and not late


@dataclass
class Statistics:
    """What became of all that came."""

    received: int = 0
    included: int = 0
    failed: int = 0
    outbid: int = 0
    missed: int = 0
    cancelled: int = 0
    replaced: int = 0
    ignored: int = 0
    """Replacements of what was cancelled before."""


@dataclass
class Builder:
    """Bundles that wait, and what became of the others."""

    requires_signature: bool = True
    statistics: Statistics = field(default_factory=Statistics)
    waiting: list[Bundle] = field(default_factory=list)
    history: dict[str, Bundle] = field(default_factory=dict)
    """By bundle hash, the newest of each."""

    _tombstones: dict[tuple[str | None, str], None] = field(default_factory=dict)

    def signer(self, body: bytes, header: str) -> str | None:
        """Who signed a request. *Errors*: ``RpcError`` where nobody did, or somebody else than it says."""
        if not header and not self.requires_signature:
            return None
        address, _, signature = header.partition(":")
        text = "0x" + keccak256(body).hex()
        digest = keccak256(f"\x19Ethereum Signed Message:\n{len(text)}{text}".encode())
        try:
            found = recover(digest, signature)
        except ExeclayerError:
            raise RpcError(-32600, "X-Flashbots-Signature is missing or is no signature") from None
        if found.lower() != address.lower():
            raise RpcError(-32600, f"X-Flashbots-Signature is {found}'s, not {address}'s")
        return found.lower()

    def send_bundle(self, params: dict[str, Any], signer: str | None, head: int) -> dict[str, Any]:
        """``eth_sendBundle``."""
        transactions = _transactions(params.get("txs"))
        block = _number(params, "blockNumber")
        if block is None or block <= head:
            raise RpcError(INVALID, f"blockNumber must be above {head}")
        bundle = Bundle(
            transactions,
            block,
            block,
            signer,
            params.get("replacementUuid") or params.get("uuid"),
            frozenset(one.lower() for one in params.get("revertingTxHashes") or ()),
            _number(params, "minTimestamp") or 0,
            _number(params, "maxTimestamp"),
        )
        self._take(bundle)
        return {"bundleHash": bundle.hash}

    def send_private(self, params: dict[str, Any], signer: str | None, head: int) -> str:
        """``eth_sendPrivateTransaction``: tried in each block until it is in one, and never where it would revert."""
        [transaction] = _transactions([params.get("tx")])
        last = min(_number(params, "maxBlockNumber") or head + PRIVATE_BLOCKS_MAX, head + PRIVATE_BLOCKS_MAX)
        self._take(Bundle([transaction], head + 1, last, signer, uuid=transaction.hash))
        return transaction.hash

    def cancel(self, uuid: str, signer: str | None) -> bool:
        """``eth_cancelBundle`` and ``eth_cancelPrivateTransaction``: forgets what its signer sent under this uuid, now
        and later. Whether there was something."""
        self._tombstones[signer, uuid] = None
        if len(self._tombstones) > TOMBSTONES_MAX:
            del self._tombstones[next(iter(self._tombstones))]
        found = [one for one in self.waiting if (one.signer, one.uuid) == (signer, uuid)]
        for one in found:
            self.close(one, "cancelled")
        return bool(found)

    def candidates(self, number: int, timestamp: int) -> list[Bundle]:
        """Bundles for a block, in the order they came."""
        return [one for one in self.waiting if one.fits(number, timestamp)]

    def close(self, bundle: Bundle, fate: Fate, reason: str = "") -> None:
        """Says what became of a bundle."""
        bundle.fate, bundle.reason = fate, reason
        if bundle in self.waiting:
            self.waiting.remove(bundle)
        setattr(self.statistics, fate, getattr(self.statistics, fate) + 1)

    def pass_block(self, number: int) -> None:
        """Closes what had its last chance in this block, or before."""
        for one in [one for one in self.waiting if one.last_block <= number]:
            self.close(one, "failed" if one.reason else "missed", one.reason)

    def stats(self, bundle_hash: str) -> dict[str, Any]:
        """What is known of a bundle."""
        found = self.history.get(bundle_hash)
        if found is None:
            raise RpcError(UNKNOWN, "bundle not found")
        return {"fate": found.fate, "reason": found.reason, "bidWei": hex(found.bid_wei), "tried": found.tried}

    def _take(self, bundle: Bundle) -> None:
        self.statistics.received += 1
        self.history[bundle.hash] = bundle
        if bundle.uuid is not None:
            if (bundle.signer, bundle.uuid) in self._tombstones:
                self.statistics.ignored += 1
                bundle.fate = "cancelled"
                return
            for old in [one for one in self.waiting if (one.signer, one.uuid) == (bundle.signer, bundle.uuid)]:
                self.close(old, "replaced")
        if bundle.transactions:
            self.waiting.append(bundle)


def _transactions(raw: Any) -> list[Pending]:
    if not isinstance(raw, list) or not all(isinstance(one, str) for one in raw):
        raise RpcError(INVALID, "txs must be a list of signed transactions in hex")
    if len(raw) > TRANSACTIONS_MAX:
        raise RpcError(INVALID, f"a bundle holds {TRANSACTIONS_MAX} transactions at most, not {len(raw)}")
    size = sum(len(one) // 2 - 1 for one in raw)
    if size > BYTES_MAX:
        raise RpcError(INVALID, f"a bundle has {BYTES_MAX} bytes at most, not {size}")
    return [Pending.read(one) for one in raw]


def _number(params: dict[str, Any], name: str) -> int | None:
    value = params.get(name)
    try:
        return int(value, 16) if isinstance(value, str) else value
    except ValueError:
        raise RpcError(INVALID, f"{name} is no number: {value!r}") from None

"""A public pool as networks have it, where a development node has none: what waits, by sender and nonce.

The rules are geth's: a replacement pays a tenth more on both fees; an account has so many transactions that may go into
a block, and so many more that wait behind them or behind a gap. Knows no node: nonces and balances are told to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Self

from ..._core import Transaction
from ...config import Settings
from ...errors import ExeclayerError
from ...server.methods import RpcError

REFUSED = -32000
"""geth's code for a transaction that is not taken."""


class PoolRules(Settings):
    """How much waits."""

    executable_per_sender: int = 16
    queued_per_sender: int = 64
    bump_percent: int = 10
    """What a replacement must pay more, on both fees."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A signed transaction that waits."""

    raw: bytes
    hash: str
    sender: str
    nonce: int
    max_fee: int
    tip: int
    gas_limit: int
    cost: int
    """Most that it can take of the sender's balance."""

    @classmethod
    def read(cls, raw: str | bytes) -> Self:
        """From EIP-2718 bytes. *Errors*: ``RpcError`` where they are none."""
        try:
            found = Transaction.decode(raw)
        except ExeclayerError as error:
            raise RpcError(REFUSED, str(error)) from None
        cost = found.value + found.gas_limit * found.max_fee_per_gas
        fees = int(found.max_fee_per_gas), int(found.max_priority_fee_per_gas)
        return cls(found.raw, found.hash, found.sender.lower(), found.nonce, *fees, found.gas_limit, int(cost))

    def tip_above(self, base_fee: int) -> int:
        """What the block's producer gets a gas; negative where it can't stand in the block."""
        return min(self.tip, self.max_fee - base_fee)

    def to_json(self) -> dict[str, Any]:
        """As JSON-RPC shows what waits."""
        found = Transaction.decode(self.raw)
        return {
            "hash": self.hash,
            "from": self.sender,
            "to": found.to.lower() if found.to else None,
            "nonce": hex(self.nonce),
            "gas": hex(self.gas_limit),
            "value": hex(found.value),
            "input": "0x" + found.data.hex(),
            "maxFeePerGas": hex(self.max_fee),
            "maxPriorityFeePerGas": hex(self.tip),
            "type": hex(found.kind),
            "blockHash": None,
            "blockNumber": None,
            "transactionIndex": None,
        }


class Pool:
    """What waits."""

    def __init__(self, rules: PoolRules | None = None) -> None:
        self.rules = rules or PoolRules()
        self._by_sender: dict[str, dict[int, Pending]] = {}

    def __len__(self) -> int:
        return sum(len(own) for own in self._by_sender.values())

    def __iter__(self) -> Any:
        return (one for own in self._by_sender.values() for one in own.values())

    def find(self, transaction_hash: str) -> Pending | None:
        """A waiting transaction by its hash."""
        return next((one for one in self if one.hash == transaction_hash.lower()), None)

    def add(self, new: Pending, *, nonce: int, balance: int) -> None:
        """Takes a transaction of a sender whose next nonce on the chain and balance are these.

        *Errors*: ``RpcError`` in geth's words.
        """
        own = self._by_sender.get(new.sender, {})
        old = own.get(new.nonce)
        if old is not None and old.hash == new.hash:
            raise RpcError(REFUSED, "already known")
        if new.nonce < nonce:
            raise RpcError(REFUSED, f"nonce too low: next nonce {nonce}, tx nonce {new.nonce}")
        if new.tip > new.max_fee:
            text = f"maxPriorityFeePerGas: {new.tip}, maxFeePerGas: {new.max_fee}"
            raise RpcError(REFUSED, f"max priority fee per gas higher than max fee per gas: {text}")
        if new.cost > balance:
            text = f"balance {balance}, tx cost {new.cost}, overshot {new.cost - balance}"
            raise RpcError(REFUSED, f"insufficient funds for gas * price + value: {text}")
        if old is not None and not self._outbids(new, old):
            raise RpcError(REFUSED, "replacement transaction underpriced")
        queued = len(own) - len(self._executable(own, nonce))
        is_executable = new.nonce - nonce < self.rules.executable_per_sender and all(
            before in own for before in range(nonce, new.nonce)
        )
        if old is None and not is_executable and queued >= self.rules.queued_per_sender:
            raise RpcError(REFUSED, f"account limit exceeded: {queued} transactions are queued")
        self._by_sender.setdefault(new.sender, own)[new.nonce] = new

    def requeue(self, transactions: Iterable[Pending]) -> None:
        """Takes back what stood in blocks that are none any more. What waits at the same nonce meanwhile stays."""
        for one in transactions:
            self._by_sender.setdefault(one.sender, {}).setdefault(one.nonce, one)

    def drop(self, transaction_hash: str) -> bool:
        """Forgets a transaction, as pools do under pressure; whether it was there."""
        found = self.find(transaction_hash)
        if found is not None:
            del self._by_sender[found.sender][found.nonce]
        return found is not None

    def settle(self, nonces: dict[str, int]) -> None:
        """Forgets what the chain has passed: for each of these senders, everything below its next nonce."""
        for sender, nonce in nonces.items():
            own = self._by_sender.get(sender, {})
            for past in [number for number in own if number < nonce]:
                del own[past]
            if not own:
                self._by_sender.pop(sender, None)

    def next_nonce(self, sender: str, nonce: int) -> int:
        """Behind everything of a sender that waits without a gap."""
        return nonce + len(self._run(self._by_sender.get(sender.lower(), {}), nonce))

    def counts(self, nonce_of: Callable[[str], int]) -> tuple[int, int]:
        """How many may go into a block, and how many wait behind them."""
        executable = sum(len(self._executable(own, nonce_of(sender))) for sender, own in self._by_sender.items())
        return executable, len(self) - executable

    def senders(self) -> list[str]:
        """Who has something waiting."""
        return list(self._by_sender)

    def best(self, nonces: dict[str, int], base_fee: int, gas_limit: int) -> list[Pending]:
        """What goes into a block: best tip first, each sender's in order, as much as fits."""
        ready = {sender: self._executable(own, nonces[sender]) for sender, own in self._by_sender.items()}
        chosen: list[Pending] = []
        while heads := [own[0] for own in ready.values() if own and own[0].tip_above(base_fee) >= 0]:
            one = max(heads, key=lambda head: head.tip_above(base_fee))
            if one.gas_limit > gas_limit:
                ready[one.sender] = []
                continue
            gas_limit -= one.gas_limit
            chosen.append(one)
            ready[one.sender].pop(0)
        return chosen

    def _outbids(self, new: Pending, old: Pending) -> bool:
        share = 100 + self.rules.bump_percent
        return new.max_fee * 100 >= old.max_fee * share and new.tip * 100 >= old.tip * share

    def _run(self, own: dict[int, Pending], nonce: int) -> list[Pending]:
        run = []
        while nonce in own:
            run.append(own[nonce])
            nonce += 1
        return run

    def _executable(self, own: dict[int, Pending], nonce: int) -> list[Pending]:
        return self._run(own, nonce)[: self.rules.executable_per_sender]

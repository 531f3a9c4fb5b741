"""Keeps the state that orders are tried on: what the core reads of the newest block's state, fetched from nodes.

All values are of one block, named by its hash. What is missing is fetched when an order needs it, together with what
the node foresees that the call will read. With each head the state goes on by what its block changed, where a node
tells that (a trace of the block): of what was read lately only that is fetched, the rest stays. Where none does,
everything that was read lately is fetched anew, in one batch. Until that is here orders wait; the core never does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import trio

from .. import _core
from ..upstream import CallRefused, UpstreamError
from ..upstream.client import BATCH_MAX
from ..upstream.errors import NoEndpoint
from ..upstream.failover import Failover
from ..upstream.messages import Call
from ..upstream.ring import Header

AGAIN_SECONDS = 0.25
"""Between two attempts to get a block's state."""

Account = tuple[str, int, int, bytes | None]
"""Address, nonce, balance, code; None: the code that it had."""

Slot = tuple[str, str, int]
"""Address, slot, value."""

Trial = tuple[str, str, bytes, int]
"""Who would call whom, with what, and how much gas."""


Fetched = tuple[list[Account], list[Slot]]

UNKNOWN_METHOD = frozenset({-32601, -32004})

DIFFS = {"tracer": "prestateTracer", "tracerConfig": {"diffMode": True}}
"""A trace that says of each transaction what it found and what it left, as far as the two differ."""

REFRESH_HEADS = 32
"""After so many heads everything is fetched anew, whatever traces say: a fault of theirs must not stay."""

BESIDES = frozenset(
    {
        "0x000f3df6d732807ef1319fb7b8bb8522d0beac02",
        "0x0000f90827f1c53a10cb7a02335b175320002935",
        "0x00000961ef480eb55e80d19ad83579a64c007002",
        "0x0000bbddc7ce488642fb579f8b00f3a590007251",
    }
)
"""Contracts that a block writes to beside its transactions: roots and hashes of blocks (EIP-4788, EIP-2935), requests
(EIP-7002, EIP-7251)."""


@dataclass
class Changes:
    """What a block may have changed."""

    accounts: set[str] = field(default_factory=set)
    slots: set[tuple[str, str]] = field(default_factory=set)
    wholly: set[str] = field(default_factory=set)
    """Accounts with whatever they hold."""

    def account(self, address: str) -> bool:
        """Whether an account may be another one."""
        return address in self.accounts or address in self.wholly

    def slot(self, place: tuple[str, str]) -> bool:
        """Whether a slot may have another value."""
        return place in self.slots or place[0] in self.wholly


def changes(block: dict[str, Any], traces: Sequence[dict[str, Any]]) -> Changes:
    """What a block with these traces of its transactions has changed. *Errors*: ``TypeError``, ``KeyError``,
    ``AttributeError`` where they are none."""
    found = Changes(wholly={*BESIDES, block["miner"].lower()})
    found.wholly |= {one["address"].lower() for one in block.get("withdrawals") or ()}
    if len(traces) != len(block["transactions"]):
        raise TypeError(f"{len(traces)} traces of {len(block['transactions'])} transactions")
    for trace in traces:
        before, after = trace["result"]["pre"], trace["result"]["post"]
        for address in {*before, *after}:
            was, now, key = before.get(address, {}), after.get(address, {}), address.lower()
            if address not in after:
                found.wholly.add(key)
            elif address not in before or now.keys() - {"storage"}:
                found.accounts.add(key)
            found.slots |= {(key, slot.lower()) for one in (was, now) for slot in one.get("storage") or ()}
    return found


class StateSync:
    """Keeps a core's state up to date. ``ready`` is told when orders that wait may be tried."""

    def __init__(
        self,
        failover: Failover,
        core: Callable[[], _core.OrderEngine],
        ready: Callable[[], None],
        *,
        slot_seconds: int = 12,
    ) -> None:
        self._failover = failover
        self._core = core
        self._ready = ready
        self._head: Header | None = None
        self._moved = trio.Event()
        self._slot_seconds = slot_seconds
        self._fetching: set[tuple[str, str]] = set()
        self._foresees = True
        self._tells_changes = True
        self._turned: Header | None = None
        """Whose state the core has."""

        self.carried = 0
        """Heads in a row that only what they changed was fetched for."""

    def head(self, header: Header) -> None:
        """The chain has a new head."""
        self._head = header
        self._moved.set()

    def begin(self) -> None:
        """The core is another one, and has no state."""
        self._turned = None
        if self._head is not None:
            self._moved.set()

    async def run(self) -> None:
        """Follows the head until cancelled. Heads that come meanwhile are passed over."""
        while True:
            await self._moved.wait()
            self._moved = trio.Event()
            assert self._head is not None
            if not await self._turn(self._head):
                await trio.sleep(AGAIN_SECONDS)
                self._moved.set()

    async def _turn(self, head: Header) -> bool:
        try:
            block = (await self._failover.read("eth_getBlockByHash", head.hash, False)).value
            beneficiary, random = block["miner"], block.get("mixHash") or "0x" + "00" * 32
            known = await self._changes(head, block)
            found = await (
                self._fetch(head.hash, *self._core().state_used()) if known is None else self._grown(known, head)
            )
        except (UpstreamError, NoEndpoint, TypeError, KeyError, ValueError):
            # The block may be gone again, or not be there yet where we asked.
            return False
        fields = (head.number, head.hash, head.parent_hash, head.timestamp)
        fees = (head.base_fee, head.gas_used, head.gas_limit)
        grown = known is not None
        self._core().turn_state((*fields, *fees), beneficiary, random, self._slot_seconds, *found, grown=grown)
        self._turned = head
        self.carried = self.carried + 1 if grown else 0
        self._ready()
        return True

    async def _changes(self, head: Header, block: dict[str, Any]) -> Changes | None:
        """What a block changed of the state that is here; None: nobody tells, or it does not stand on that state."""
        stands = self._turned is not None and self._turned.hash == head.parent_hash
        if not stands or not self._tells_changes or self.carried >= REFRESH_HEADS:
            return None
        [reading] = await self._failover.read_batch([("debug_traceBlockByHash", (head.hash, DIFFS))])
        if isinstance(reading.value, CallRefused):
            # Also one that knows the method and not this trace. Whoever is too slow fails as an endpoint does.
            self._tells_changes = False
            return None
        try:
            return changes(block, reading.value)
        except (TypeError, KeyError, AttributeError):
            self._tells_changes = False
            return None

    async def _grown(self, known: Changes, head: Header) -> Fetched:
        """Of what was read lately that which a block changed, as it is now. What was added to the old state while that
        was fetched is looked at, too."""
        found: Fetched = ([], [])
        have: set[Any] = set()
        while True:
            accounts, slots = self._core().state_used()
            some = [one for one in accounts if known.account(one[0]) and one[0] not in have]
            places = [one for one in slots if known.slot(one) and one not in have]
            if not some and not places:
                return found
            more = await self._fetch(head.hash, some, places)
            found = (found[0] + more[0], found[1] + more[1])
            have |= {*(address for address, _ in some), *places}

    async def fetch(
        self, _order: int, block: str, accounts: Sequence[str], slots: Sequence[tuple[str, str]], trial: Trial
    ) -> bool:
        """Gets what an order can't be tried without. Orders that wait for the same are served together."""
        wanted = {(address, "") for address in accounts} | set(slots)
        if wanted <= self._fetching:
            return True
        self._fetching |= wanted
        try:
            if self._head is None or self._head.hash != block:
                return True
            wanted |= await self._foresee(trial, block)
            owners = sorted({address for address, _ in wanted})
            places = sorted(place for place in wanted if place[1])
            found = await self._fetch(block, [(address, True) for address in owners], places)
            self._core().add_state(block, *found)
            self._ready()
        except (TypeError, ValueError):
            return False
        finally:
            self._fetching -= wanted
        return True

    async def _foresee(self, trial: Trial, block: str) -> set[tuple[str, str]]:
        """What a node thinks that the call reads; who calls whom, where it doesn't say."""
        sender, to, data, gas = trial
        wanted = {(sender, ""), (to, "")}
        if not self._foresees:
            return wanted
        call = {"from": sender, "to": to, "data": "0x" + data.hex(), "gas": hex(gas)}
        [reading] = await self._failover.read_batch([("eth_createAccessList", (call, {"blockHash": block}))])
        if isinstance(reading.value, CallRefused):
            self._foresees = reading.value.code not in UNKNOWN_METHOD
            return wanted
        for entry in reading.value["accessList"]:
            address = entry["address"].lower()
            wanted |= {(address, ""), *((address, slot.lower()) for slot in entry["storageKeys"])}
        return wanted

    async def _fetch(
        self, block: str, accounts: Sequence[tuple[str, bool]], slots: Sequence[tuple[str, str]]
    ) -> Fetched:
        """Accounts (and whether their code is wanted) and slots of the state after a block, at once.

        *Errors*: ``ValueError`` where the node does not know that block's state; as :meth:`Failover.read_batch`.
        """
        at = {"blockHash": block}
        calls: list[Call] = []
        for address, code in accounts:
            calls += [("eth_getTransactionCount", (address, at)), ("eth_getBalance", (address, at))]
            calls += [("eth_getCode", (address, at))] * code
        calls += [("eth_getStorageAt", (*slot, at)) for slot in slots]
        values: list[Any] = [None] * len(calls)
        errors: list[Exception] = []

        async def read(start: int) -> None:
            end = start + BATCH_MAX
            try:
                values[start:end] = [one.value for one in await self._failover.read_batch(calls[start:end])]
            except NoEndpoint as error:
                errors.append(error)

        async with trio.open_nursery() as nursery:
            for start in range(0, len(calls), BATCH_MAX):
                nursery.start_soon(read, start)
        if errors:
            raise errors[0]
        if refused := [value for value in values if not isinstance(value, str)]:
            raise ValueError(f"no value: {refused[0]!r}")
        told = iter(values)
        found: list[Account] = []
        for address, code in accounts:
            nonce, balance = int(next(told), 16), int(next(told), 16)
            found.append((address, nonce, balance, bytes.fromhex(next(told)[2:]) if code else None))
        return found, [(*slot, int(next(told), 16)) for slot in slots]

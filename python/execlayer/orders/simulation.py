"""Keeps the state that orders are tried on: what the core reads of the newest block's state, fetched from nodes.

All values are of one block, named by its hash. What is missing is fetched when an order needs it, together with what
the node foresees that the call will read; what was read lately is fetched anew for each head, in one batch, and until
that is here orders wait. The core never does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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


UNKNOWN_METHOD = frozenset({-32601, -32004})


class StateSync:
    """Keeps a core's state up to date. ``ready`` is told when orders that wait may be tried."""

    def __init__(self, failover: Failover, core: Callable[[], _core.OrderEngine], ready: Callable[[], None]) -> None:
        self._failover = failover
        self._core = core
        self._ready = ready
        self._head: Header | None = None
        self._moved = trio.Event()
        self._fetching: set[tuple[str, str]] = set()
        self._foresees = True

    def head(self, header: Header) -> None:
        """The chain has a new head."""
        self._head = header
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
        core = self._core()
        accounts, slots = core.state_used()
        try:
            block = (await self._failover.read("eth_getBlockByHash", head.hash, False)).value
            found = await self._fetch(head.hash, accounts, slots)
            beneficiary, random = block["miner"], block.get("mixHash") or "0x" + "00" * 32
        except (UpstreamError, NoEndpoint, TypeError, KeyError, ValueError):
            # The block may be gone again, or not be there yet where we asked.
            return False
        fields = (head.number, head.hash, head.parent_hash, head.timestamp)
        core.turn_state((*fields, head.base_fee, head.gas_used, head.gas_limit), beneficiary, random, *found)
        self._ready()
        return True

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
    ) -> tuple[list[Account], list[Slot]]:
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

"""What a transaction would do before it is signed: the small face behind which a simulator stands.

:class:`NodeSimulator` asks a node: ``eth_simulateV1`` where it is known, which runs the calls of live orders first,
else ``eth_call`` and ``eth_estimateGas``, which can't.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ..upstream import CallRefused
from ..upstream.failover import Failover
from ..upstream.ring import Header


@dataclass(frozen=True, slots=True)
class Simulated:
    """How it would end."""

    gas: int | None
    """What it needs, refunds not taken off: a limit below that runs out of gas. None: it would revert."""

    revert: bytes = b""


REFUND_SHARE = 5
"""At most a fifth of the gas is given back at the end (EIP-3529); until then all of it is needed."""


class Simulator(Protocol):
    """Runs calls that nobody signed."""

    async def run(self, head: Header, call: dict[str, Any], after: Sequence[dict[str, Any]]) -> Simulated | None:
        """A call on top of a block, after others. None: nothing can be said now, and it is asked again."""


UNKNOWN_METHOD = frozenset({-32601, -32004})


class NodeSimulator:
    """Has a node run it."""

    def __init__(self, failover: Failover) -> None:
        self._failover = failover
        self._knows_several = True

    async def run(self, head: Header, call: dict[str, Any], after: Sequence[dict[str, Any]]) -> Simulated | None:
        """See :class:`Simulator`. A node without ``eth_simulateV1`` can't say anything of a call after others: it is
        refused rather than waved through."""
        if self._knows_several:
            try:
                return await self._several(head, [*after, call])
            except CallRefused as error:
                if error.code not in UNKNOWN_METHOD and "not found" not in error.reason.lower():
                    return Simulated(None, revert_data(error))
                self._knows_several = False
        if after:
            return Simulated(None, b"")
        return await self._one(head, call)

    async def _several(self, head: Header, calls: Sequence[dict[str, Any]]) -> Simulated | None:
        request = {"blockStateCalls": [{"calls": list(calls)}], "validation": False}
        reading = await self._failover.read("eth_simulateV1", request, hex(head.number))
        try:
            last = reading.value[0]["calls"][-1]
            if last["status"] == "0x1":
                return Simulated(_before_refunds(int(last["gasUsed"], 16)))
            error = last.get("error") or {}
            data = error.get("data") or last.get("returnData") or "0x"
            return Simulated(None, bytes.fromhex(data[2:]))
        except (TypeError, KeyError, IndexError, ValueError):
            return None

    async def _one(self, head: Header, call: dict[str, Any]) -> Simulated | None:
        try:
            await self._failover.read("eth_call", call, hex(head.number))
            used = await self._failover.read("eth_estimateGas", call)
        except CallRefused as error:
            return Simulated(None, revert_data(error))
        return Simulated(int(used.value, 16))


def _before_refunds(used: int) -> int:
    """Most gas that can have been needed where so much was paid for."""
    return -(-used * REFUND_SHARE // (REFUND_SHARE - 1))


def revert_data(error: CallRefused) -> bytes:
    """What a contract reverted with, wherever the node has put it."""
    told: Any = error.data
    while isinstance(told, dict):
        told = told.get("data")
    try:
        return bytes.fromhex(str(told).removeprefix("0x"))
    except ValueError:
        return b""

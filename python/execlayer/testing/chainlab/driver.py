"""Makes a development node build exactly the block that is wanted: anvil, Hardhat, our own, each in its own way.

Ours takes a block's transactions by themselves. Others take them into their pool in the order of the block, and make a
block of it; what was refused or left out is taken out of their pool again. They must keep that order (``anvil --order
fifo``, Hardhat's ``mempool.order: "fifo"``).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ...upstream import CallRefused, Upstream
from ...upstream.gas import next_base_fee
from ...upstream.ring import Header
from .pool import Pending

_PLACE = re.compile(r"transaction (\d+):")
OURS, ANVIL = "execlayer", "anvil"


@dataclass(frozen=True)
class Built:
    """A block, and what should have been in it."""

    block: dict[str, Any]
    """With its transactions whole."""

    receipts: list[dict[str, Any]]
    refused: dict[str, str]
    """By hash, why it is not in the block."""

    @property
    def number(self) -> int:
        return int(self.block["number"], 16)

    @property
    def hashes(self) -> list[str]:
        return [one["hash"] for one in self.block["transactions"]]


class Driver:
    """The node's side of making blocks."""

    def __init__(self, upstream: Upstream) -> None:
        self.upstream = upstream
        self._kind = ""

    async def open(self) -> None:
        """Finds out what kind of node it is, and has it make no block unasked."""
        version = str(await self.upstream.call("web3_clientVersion"))
        self._kind = version.partition("/")[0].lower()
        await self.upstream.call("evm_setAutomine", False)
        await self._settle_fee()

    async def snapshot(self) -> Any:
        """A point to return to; None where the node keeps no more of them."""
        try:
            return await self.upstream.call("evm_snapshot")
        except CallRefused:
            return None

    async def revert(self, snapshot: Any) -> bool:
        """Returns there; whether it is still known."""
        is_known = bool(await self.upstream.call("evm_revert", snapshot))
        await self._settle_fee()
        return is_known

    async def _settle_fee(self) -> None:
        """The next block's base fee is what follows from the head. anvil goes back without it."""
        if self._kind == ANVIL:
            head = Header.from_json(await self.upstream.call("eth_getBlockByNumber", "latest", False))
            await self.upstream.call("anvil_setNextBlockBaseFeePerGas", hex(next_base_fee(head)))

    async def build(self, wanted: Sequence[Pending], timestamp: int) -> Built:
        """A block of these transactions, as far as the node takes them."""
        build = self._build_exactly if self._kind == OURS else self._build_through_pool
        refused = await build(wanted, timestamp)
        block = await self.upstream.call("eth_getBlockByNumber", "latest", True)
        hashes = [one["hash"] for one in block["transactions"]]
        receipts = await self.upstream.batch([("eth_getTransactionReceipt", (one,)) for one in hashes])
        built = Built(block, receipts, refused)
        for one in wanted:
            if one.hash not in built.hashes and one.hash not in refused:
                refused[one.hash] = "the node left it out"
        if refused and self._kind != OURS:
            await self._drop(refused)
        return built

    async def _build_exactly(self, wanted: Sequence[Pending], timestamp: int) -> dict[str, str]:
        left, refused = list(wanted), dict[str, str]()
        while True:
            raw = ["0x" + one.raw.hex() for one in left]
            try:
                await self.upstream.call("evm_mine", {"timestamp": timestamp, "transactions": raw})
            except CallRefused as error:
                place = _PLACE.search(error.reason)
                if place is None:
                    raise
                gone = left.pop(int(place[1]))
                refused[gone.hash] = error.reason
            else:
                return refused

    async def _build_through_pool(self, wanted: Sequence[Pending], timestamp: int) -> dict[str, str]:
        refused = {}
        for one in wanted:
            try:
                await self.upstream.call("eth_sendRawTransaction", "0x" + one.raw.hex())
            except CallRefused as error:
                refused[one.hash] = error.reason
        await self.upstream.call("evm_setNextBlockTimestamp", timestamp)
        await self.upstream.call("evm_mine")
        return refused

    async def _drop(self, refused: Iterable[str]) -> None:
        """Takes out of the node's pool what it was given and did not use: the next block would have it."""
        if self._kind == ANVIL:
            # By hash it keeps what waits behind a gap.
            await self.upstream.call("anvil_dropAllTransactions")
            return
        for transaction_hash in refused:
            with suppress(CallRefused):  # it never was in its pool
                await self.upstream.call("hardhat_dropTransaction", transaction_hash)

"""What the core wants to know of the chain: heads, receipts, accounts, tips, finality, and answers to its questions.

Nothing here decides. A question that nobody can answer now is asked again until the answer no longer matters; what one
endpoint says that lags behind our head is not taken for "there is none".
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import count
from typing import Any, Protocol

import trio

from .. import _core
from ..errors import ExeclayerError
from ..upstream import Answer, CallRefused, FeeOracle, HeadFeed, UpstreamError
from ..upstream.client import Outcome
from ..upstream.errors import NoEndpoint
from ..upstream.failover import Failover, Reading
from ..upstream.heads import Watch as HeadWatch
from ..upstream.messages import Call, Malformed, write
from ..upstream.ring import Change, Header

log = logging.getLogger(__name__)

AGAIN_SECONDS = 0.25
"""Between two attempts to get an answer."""

ABSENT_BLOCKS = 3
"""So many heads in a row nobody has to show a transaction before it counts as gone."""

TOLD_AT_ONCE = 16
"""Accounts that the core hears of before others have their turn."""

QUESTIONS_MAX = 64
"""Questions under way; more wait."""

_FIRST_ID = 1 << 52
"""Far from the ids that clients give their own calls on the same connection."""

GONE = (UpstreamError, NoEndpoint)
"""Nobody answered, or not properly; somebody may, later."""


class Told(Protocol):
    """Who takes the answers: the engine."""

    def reorganised(self, blocks: int) -> None: ...

    def head(self, header: Header) -> None: ...

    def receipts(self, found: _core.OrderReceipts) -> None: ...

    def finalized(self, number: int, block: str) -> None: ...

    def accounts(self, senders: Sequence[tuple[str, int, int]], block: tuple[int, str]) -> None: ...

    def tip(self, wei: int) -> None: ...

    def looked_up(self, sender: str, nonce: int, body: bytes | None) -> bool: ...

    def absent(self, order: int) -> None: ...

    def reverted(self, order: int, data: bytes, approximate: bool) -> None: ...


class Watch:
    """The chain's side of an engine."""

    def __init__(
        self,
        failover: Failover,
        told: Told,
        senders: Sequence[str],
        *,
        heads: HeadWatch | None = None,
    ) -> None:
        self._moved = trio.Event()
        # What an endpoint that was away says of the senders counts once it has told its head, be that a new one or not.
        self.feed = HeadFeed(failover, self._on_change, watch=heads, caught_up=lambda: self._moved.set())
        self.fees = FeeOracle(failover)
        self._failover = failover
        self._told = told
        self._senders = senders
        self._ids = count(_FIRST_ID)
        self._limit = trio.CapacityLimiter(QUESTIONS_MAX)
        self._nursery: trio.Nursery | None = None
        self._unseen: dict[int, tuple[int, int]] = {}
        self.known = trio.Event()
        """Set once every sender's account was told."""

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Follows until cancelled; started at once, so that questions can be asked."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self.feed.run)
            nursery.start_soon(self._keep_up)
            task_status.started()

    def _on_change(self, change: Change) -> None:
        if change.removed:
            self._told.reorganised(len(change.removed))
        for header in change.added:
            self._told.head(header)
        self._moved.set()

    # ---- once a head ------------------------------------------------------------------------------------------------

    async def _keep_up(self) -> None:
        """After each head: accounts, the tip, finality. Heads that come meanwhile are looked at together."""
        while True:
            await self._moved.wait()
            self._moved = trio.Event()
            head = self.feed.ring.head
            if head is None or not self.feed.is_current:
                continue
            if not await self._accounts(head, self._senders):
                # The next head may be long in coming, and a lane without a count is closed.
                await trio.sleep(AGAIN_SECONDS)
                self._moved.set()
            with suppress(*GONE):
                await self.fees.refresh()
                self._told.tip(self.fees.tip)
            with suppress(*GONE):
                await self._finality()

    async def _accounts(self, head: Header, senders: Sequence[str]) -> bool:
        at = {"blockHash": head.hash}
        calls = [
            (method, (sender, at)) for sender in senders for method in ("eth_getTransactionCount", "eth_getBalance")
        ]
        try:
            readings = await (self._failover.read_batch if self.known.is_set() else self._agreed)(calls)
            values = [_quantity(reading.value) for reading in readings]
        except (*GONE, ValueError):
            # The block may be gone again, or not be there yet where we asked.
            return False
        told = list(zip(senders, values[::2], values[1::2], strict=True))
        for start in range(0, len(told), TOLD_AT_ONCE):
            self._told.accounts(told[start : start + TOLD_AT_ONCE], (head.number, head.hash))
            await trio.lowlevel.checkpoint()
        if len(senders) == len(self._senders):
            self.known.set()
        return True

    async def _agreed(self, calls: Sequence[Call]) -> list[Reading]:
        """Answers that two nodes give alike, where two have them: what everything begins with."""
        answers = await self._failover.read_many(calls, count=2)
        whole = [one for one in answers if not any(isinstance(reading.value, CallRefused) for reading in one)]
        if any([reading.value for reading in one] != [reading.value for reading in whole[0]] for one in whole):
            log.warning("nodes do not agree on the senders: %s", ", ".join(one[0].endpoint for one in whole))
            raise ValueError("nodes do not agree")
        return (whole or answers)[0] if answers else await self._failover.read_batch(calls)

    async def _finality(self) -> None:
        reading = await self._failover.read("eth_getBlockByNumber", "finalized", False)
        with suppress(ValueError):
            header = Header.from_json(reading.value)
            self._told.finalized(header.number, header.hash)

    # ---- questions --------------------------------------------------------------------------------------------------

    def ask(self, question: Callable[..., Any], *values: Any) -> None:
        """Has a question answered in the background."""
        assert self._nursery is not None, "the watch runs before the core is asked anything"
        self._nursery.start_soon(self._answer, question, values)

    async def _answer(self, question: Callable[..., Any], values: tuple[Any, ...]) -> None:
        """Until the question has its answer, or none is wanted any more: then it returns True."""
        while True:
            async with self._limit:
                with suppress(*GONE):
                    if await question(*values):
                        return
            await trio.sleep(AGAIN_SECONDS)

    async def header(self, block: str) -> bool:
        """A block by its hash; it may be on a branch that nobody has any more."""
        reading = await self._failover.read("eth_getBlockByHash", block, False)
        with suppress(ValueError):
            self._told.head(Header.from_json(reading.value))
        return True

    async def receipts(self, number: int, block: str) -> bool:
        """All receipts of a block. Wanted for as long as the block may be canonical."""
        for member in self._failover.fit("read"):
            for ask in (self._receipts_at_once, self._receipts_one_by_one):
                body = await ask(member.upstream, block)
                # Megabytes take their time to be read: in a thread nobody waits for that.
                if body is None:
                    continue
                found = await trio.to_thread.run_sync(_core.OrderReceipts.read, block, body)
                if found is not None:
                    self._told.receipts(found)
                    return True
        head = self.feed.ring.head
        return head is not None and head.number >= number and not self.feed.ring.holds(number, block)

    async def _receipts_at_once(self, upstream: Any, block: str) -> bytes | None:
        return await self._exchange(upstream, "eth_getBlockReceipts", block)

    async def _receipts_one_by_one(self, upstream: Any, block: str) -> bytes | None:
        """For nodes that don't give a block's receipts at once."""
        try:
            found = await upstream.call("eth_getBlockByHash", block, False)
            if found is None:
                return None
            receipts = await upstream.batch([("eth_getTransactionReceipt", (one,)) for one in found["transactions"]])
        except UpstreamError:
            return None
        if any(not isinstance(one, dict) for one in receipts):
            return None
        return json.dumps({"jsonrpc": "2.0", "id": 0, "result": receipts}).encode()

    async def _exchange(self, upstream: Any, method: str, *params: Any) -> bytes | None:
        """A call's answer in bytes; None where there is none."""
        number = next(self._ids)
        outcomes: list[Outcome] = []
        done = trio.Event()

        def settle(outcome: Outcome) -> None:
            outcomes.append(outcome)
            done.set()

        try:
            upstream.post(write(number, (method, params)), settle, ids=(number,))
        except UpstreamError:
            return None
        await done.wait()
        [outcome] = outcomes
        return outcome.body if isinstance(outcome, Answer) and outcome.is_accepted else None

    async def account(self, sender: str) -> bool:
        """A sender's nonce and balance at the head."""
        head = self.feed.ring.head
        return head is not None and await self._accounts(head, [sender])

    async def reason(self, order: int, transaction: str) -> bool:
        """What a transaction reverted with. First in its block, it is what it would on the state before that; else, or
        where that tells nothing, what a node traces, which not every node does."""
        found = (await self._failover.read("eth_getTransactionByHash", transaction)).value
        if not isinstance(found, dict) or found.get("blockNumber") is None:
            return True
        is_first = found.get("transactionIndex") == "0x0"
        ways = (self._called, self._traced) if is_first else (self._traced, self._called)
        for way in ways:
            data = await way(found)
            if data is not None:
                self._told.reverted(order, data, not is_first and way == self._called)
                break
        return True

    async def _called(self, found: dict[str, Any]) -> bytes | None:
        parent = hex(int(found["blockNumber"], 16) - 1)
        call = {name: found[name] for name in ("from", "to", "value", "gas", "input") if found.get(name) is not None}
        try:
            await self._failover.read("eth_call", call, parent)
        except CallRefused as error:
            return _revert_data(error)
        return None

    async def _traced(self, found: dict[str, Any]) -> bytes | None:
        wanted = {"tracer": "callTracer", "tracerConfig": {"onlyTopCall": True}}
        try:
            told = (await self._failover.read("debug_traceTransaction", found["hash"], wanted)).value
            return bytes.fromhex(told["output"][2:]) or None
        except (CallRefused, TypeError, KeyError, ValueError):
            return None

    async def lookup(self, sender: str, nonce: int, hashes: Sequence[str]) -> bool:
        """Which of a slot's transactions the chain holds, however deep, after a long absence. Two nodes have to say the
        same, where there are two: the core can't see for itself so far back."""
        calls = [("eth_getTransactionReceipt", (one,)) for one in hashes]
        answers = await self._failover.read_many(calls, count=2)
        if len(answers) < max(min(2, len(self._failover.fit("read"))), 1):
            return False
        values = [[reading.value for reading in one] for one in answers]
        if any(isinstance(value, CallRefused) for one in values for value in one):
            return False
        found = [next((value for value in one if value is not None), None) for one in values]
        if any(_place(one) != _place(found[0]) for one in found):
            return False
        body = None if found[0] is None else json.dumps({"result": found[0]}).encode()
        return self._told.looked_up(sender, nonce, body)

    async def presence(self, order: int, hashes: Sequence[str]) -> bool:
        """Whether anybody who is up to date still shows one of an order's transactions. The core asks once a head."""
        head = self.feed.ring.head
        if head is None:
            return True
        calls = [("eth_blockNumber", ()), *[("eth_getTransactionByHash", (one,)) for one in hashes]]
        answers = await self._failover.read_many(calls, count=len(self._failover.members))
        current = [one for one in answers if _is_at(one[0].value, head.number)]
        wanted = min(2, len(self._failover.fit("read")))
        shown = any(reading.value is not None for one in answers for reading in one[1:])
        if shown or len(current) < max(wanted, 1):
            self._unseen.pop(order, None)
            return True
        seen_at, blocks = self._unseen.get(order, (0, 0))
        if seen_at != head.number:
            blocks += 1
        self._unseen[order] = (head.number, blocks)
        if blocks >= ABSENT_BLOCKS:
            del self._unseen[order]
            self._told.absent(order)
        while len(self._unseen) > 10_000:
            del self._unseen[next(iter(self._unseen))]
        return True


def _quantity(value: Any) -> int:
    if isinstance(value, CallRefused):
        raise value
    return int(value, 16)


def _place(receipt: Any) -> Any:
    return (receipt.get("transactionHash"), receipt.get("blockHash")) if isinstance(receipt, dict) else None


def _revert_data(error: CallRefused) -> bytes:
    """What a contract reverted with, wherever the node has put it."""
    told: Any = error.data
    while isinstance(told, dict):
        told = told.get("data")
    try:
        return bytes.fromhex(str(told).removeprefix("0x"))
    except ValueError:
        return b""


def _is_at(value: Any, number: int) -> bool:
    try:
        return int(value, 16) >= number
    except (TypeError, ValueError):
        return False


async def first_words(failover: Failover, contract: str) -> tuple[str, bytes]:
    """The genesis block's hash, and the code at an address."""
    genesis, code = await failover.read_batch(
        [("eth_getBlockByNumber", ("0x0", False)), ("eth_getCode", (contract, "latest"))]
    )
    for one in (genesis.value, code.value):
        if isinstance(one, ExeclayerError):
            raise one
    try:
        return str(genesis.value["hash"]), bytes.fromhex(code.value[2:])
    except (TypeError, KeyError, ValueError) as error:
        raise Malformed(f"no genesis block or no code: {error!r}") from None

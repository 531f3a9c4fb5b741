"""The lab: a JSON-RPC proxy in front of a development node that makes it behave like a network.

What always holds: one thing at a time touches the node, so that nobody sees a block that is only tried; every block is
made here, so that its subscribers, pool and builder know of each.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import trio

from ...config import Settings
from ...errors import ExeclayerError
from ...server.methods import RpcError
from ...upstream import CallRefused, Client, Endpoint, Upstream, UpstreamError
from ...upstream.gas import next_base_fee
from ...upstream.ring import Header
from ..faults import Faults
from ..serving import Ask, Serving, Session
from .builder import Builder, Bundle
from .driver import Built, Driver
from .pool import Pending, Pool, PoolRules

REORG_MAX = 256
"""Blocks that can be taken back."""


class LabRules(Settings):
    """How the network behaves."""

    pool: PoolRules = PoolRules()
    requires_signature: bool = True
    """Whether the builder takes signed requests only."""

    block_seconds: float | None = None
    """A block every so often; None: only when asked to (``mine``, ``evm_mine``)."""


class LabError(ExeclayerError):
    """Something that the lab can't do with this node."""


class Chainlab:
    """See :func:`open_chainlab`."""

    def __init__(self, node: Upstream, rules: LabRules, clock: Callable[[], float]) -> None:
        self.node = node
        self.rules = rules
        self.pool = Pool(rules.pool)
        self.builder = Builder(rules.requires_signature)
        self.faults = Faults()
        self.url = ""
        """Where it is asked; WebSocket is at the same place."""

        self.reorgs = 0
        """How often blocks were taken back."""

        self.automine = False
        """Whether each transaction gets a block at once."""

        self._clock = clock
        self._earliest = 0
        self._driver = Driver(node)
        self._lock = trio.Lock()
        self._blocks: dict[int, Built] = {}
        self._raw: dict[int, list[bytes]] = {}
        self._snapshots: dict[int, Any] = {}
        self._accounts: dict[str, tuple[int, int]] = {}
        self._sessions: list[Session] = []
        self._serving = Serving(self, self.faults)
        self._head: dict[str, Any] = {}
        self._names = 0

    @property
    def websocket_url(self) -> str:
        """For clients that want to be pushed to."""
        return "ws" + self.url.removeprefix("http")

    @property
    def head(self) -> int:
        """Number of the newest block."""
        return int(self._head["number"], 16)

    async def open(self) -> None:
        """Takes over the node."""
        await self._driver.open()
        await self._look()

    # ---- blocks -----------------------------------------------------------------------------------------------------

    async def mine(self, count: int = 1, *, transactions: Sequence[bytes] | None = None) -> list[dict[str, Any]]:
        """Makes blocks: bundles first, best bid before others, then what waits in the pool. With ``transactions`` a
        block holds exactly these. The blocks, with their transactions whole.

        *Errors*: :class:`LabError` where one of them can't stand in it; the block is made without.
        """
        async with self._lock:
            return [(await self._mine(_read(transactions))).block for _ in range(count)]

    async def reorg(
        self,
        depth: int,
        *,
        blocks: Sequence[Sequence[bytes]] | None = None,
        requeue: bool = True,
    ) -> list[dict[str, Any]]:
        """Takes back the newest ``depth`` blocks and makes others in their place, one more than there were; these.

        With ``blocks`` each holds exactly what is given for it; without, the first ``depth`` are empty and the last
        takes from the pool as ever. What stood in the old blocks goes back to the pool, unless it is in the new ones;
        not with ``requeue`` false: then it is lost, as with a node that doesn't do it.

        *Errors*: :class:`LabError` where the node can't go back that far, or a new block can't hold what was given.
        """
        async with self._lock:
            ground = self.head - depth
            if depth < 1 or ground not in self._snapshots:
                raise LabError(f"{depth} blocks can't be taken back from block {self.head}: the lab did not make them")
            plan: list[Sequence[bytes] | None] = [*blocks] if blocks is not None else [*[()] * depth, None]
            gone = [self._blocks.pop(number) for number in range(ground + 1, self.head + 1)]
            await self._return_to(ground)
            self.reorgs += 1
            # Of another time, so that an empty block is another one too.
            self._earliest = int(gone[0].block["timestamp"], 16) + 1
            for built in reversed(gone):
                self._tell_logs(built, removed=True)
            if requeue:
                self.pool.requeue(Pending.read(raw) for built in gone for raw in self._raw.pop(built.number, []))
            made = [await self._mine(_read(one)) for one in plan]
            return [one.block for one in made]

    async def run_blocks(self, seconds: float) -> None:
        """Makes a block every so often, until cancelled."""
        while True:
            await trio.sleep(seconds)
            await self.mine()

    async def _mine(self, exactly: list[Pending] | None) -> Built:
        number, timestamp = self.head + 1, self._next_time()
        await self._keep_snapshot()
        bundles = [] if exactly is not None else await self._choose_bundles(number, timestamp)
        first = [one for bundle in bundles for one in bundle.transactions]
        wanted = exactly if exactly is not None else await self._fill(first)
        built = await self._driver.build(wanted, timestamp)
        self._check_order(wanted, built)
        for bundle in bundles:
            self.builder.close(bundle, "included")
        for one in wanted:
            if one.hash in built.refused:
                self.pool.drop(one.hash)
        self._blocks[number] = built
        self._raw[number] = [one.raw for one in wanted if one.hash in built.hashes]
        self._blocks.pop(number - REORG_MAX, None)
        self._raw.pop(number - REORG_MAX, None)
        await self._look()
        await self._settle()
        self.builder.pass_block(number)
        self._tell_head(built)
        if exactly is not None and built.refused:
            raise LabError(f"not all of what block {number} was to hold could stand in it: {built.refused}")
        return built

    async def _fill(self, first: list[Pending]) -> list[Pending]:
        """A block's transactions: these, then the best of the pool."""
        nonces = {sender: (await self._account(sender))[0] for sender in self.pool.senders()}
        for one in first:
            nonces[one.sender] = max(nonces.get(one.sender, 0), one.nonce + 1)
        room = int(self._head["gasLimit"], 16) - sum(one.gas_limit for one in first)
        return first + self.pool.best(nonces, self._base_fee(), room)

    async def _choose_bundles(self, number: int, timestamp: int) -> list[Bundle]:
        """Tries each bundle by itself for its bid, then adds them, best first, as long as all still succeed."""
        for bundle in self.builder.candidates(number, timestamp):
            bundle.tried += 1
            bundle.bid_wei, bundle.reason = await self._try([bundle], timestamp)
        fit = [one for one in self.builder.candidates(number, timestamp) if not one.reason]
        fit.sort(key=lambda one: -one.bid_wei)
        chosen: list[Bundle] = fit[:1]
        for bundle in fit[1:]:
            _, reason = await self._try([*chosen, bundle], timestamp)
            if reason:
                bundle.reason = f"outbid: {reason}"
            else:
                chosen.append(bundle)
        return chosen

    async def _try(self, bundles: list[Bundle], timestamp: int) -> tuple[int, str]:
        """What bundles bid together, and why they can't be in a block; the node is as before."""
        wanted = [one for bundle in bundles for one in bundle.transactions]
        may_revert = {one for bundle in bundles for one in bundle.reverting}
        snapshot = await self._driver.snapshot()
        if snapshot is None:
            raise LabError("the node keeps no more snapshots: bundles can't be tried")
        producer = self._head["miner"]
        try:
            before = await self._balance(producer)
            built = await self._driver.build(wanted, timestamp)
            bid = await self._balance(built.block["miner"]) - before
        finally:
            await self._driver.revert(snapshot)
        for transaction_hash, reason in built.refused.items():
            return 0, f"{transaction_hash}: {reason}"
        for receipt in built.receipts:
            if receipt["status"] != "0x1" and receipt["transactionHash"] not in may_revert:
                return 0, f"{receipt['transactionHash']} reverted"
        self._check_order(wanted, built)
        return bid, ""

    def _check_order(self, wanted: list[Pending], built: Built) -> None:
        expected = [one.hash for one in wanted if one.hash not in built.refused]
        if built.hashes != expected:
            raise LabError("the node does not keep the order of a block: start it with fifo (anvil --order fifo)")

    def _next_time(self) -> int:
        return max(int(self._head["timestamp"], 16) + 1, self._earliest, int(self._clock()))

    async def _keep_snapshot(self) -> None:
        snapshot = await self._driver.snapshot()
        if snapshot is not None:
            self._snapshots[self.head] = snapshot
            self._snapshots.pop(self.head - REORG_MAX, None)

    async def _return_to(self, number: int) -> None:
        if not await self._driver.revert(self._snapshots[number]):
            raise LabError(f"the node has forgotten block {number}")
        self._snapshots = {height: one for height, one in self._snapshots.items() if height < number}
        await self._look()

    async def _look(self) -> None:
        """Learns the node's head; what was known of accounts is old then."""
        self._head = await self.node.call("eth_getBlockByNumber", "latest", False)
        self._accounts.clear()

    async def _settle(self) -> None:
        self.pool.settle({sender: (await self._account(sender))[0] for sender in self.pool.senders()})

    async def _account(self, sender: str) -> tuple[int, int]:
        """Next nonce and balance at the head."""
        if sender not in self._accounts:
            nonce, balance = await self.node.batch(
                [("eth_getTransactionCount", (sender, "latest")), ("eth_getBalance", (sender, "latest"))]
            )
            self._accounts[sender] = (int(nonce, 16), int(balance, 16))
        return self._accounts[sender]

    async def _balance(self, address: str) -> int:
        return int(await self.node.call("eth_getBalance", address, "latest"), 16)

    def _base_fee(self) -> int:
        """Of the next block."""
        return next_base_fee(Header.from_json(self._head))

    # ---- those who listen -------------------------------------------------------------------------------------------

    def opened(self, session: Session) -> None:
        """A client came that can be pushed to."""
        self._sessions.append(session)

    def closed(self, session: Session) -> None:
        """It is gone."""
        self._sessions.remove(session)

    def _tell_head(self, built: Built) -> None:
        header = {name: value for name, value in built.block.items() if name not in ("transactions", "uncles", "size")}
        self._push("newHeads", lambda _: [header])
        self._tell_logs(built)

    def _tell_logs(self, built: Built, *, removed: bool = False) -> None:
        logs = [log for receipt in built.receipts for log in receipt["logs"]]
        told = [{**log, "removed": removed} for log in (reversed(logs) if removed else logs)]
        self._push("logs", lambda wanted: [log for log in told if _matches(wanted, log)])

    def _push(self, kind: str, values: Callable[[dict[str, Any]], list[Any]]) -> None:
        for session in self._sessions:
            for name, params in session.subscriptions.items():
                if params[0] == kind:
                    for value in values(params[1] if len(params) > 1 else {}):
                        session.push(name, value)

    # ---- what is asked ----------------------------------------------------------------------------------------------

    async def answer(self, ask: Ask) -> Any:
        """The lab's own methods, and the node's for everything else."""
        own = _METHODS.get(ask.method)
        if own is not None:
            return await own(self, ask)
        async with self._lock:
            return await self._forward(ask)

    async def _forward(self, ask: Ask) -> Any:
        params = ask.params
        if ask.stale_blocks:
            seen = max(self.head - ask.stale_blocks, 0)
            if ask.method == "eth_blockNumber":
                return hex(seen)
            params = [hex(seen) if one in ("latest", "pending") else one for one in params]
        try:
            found = await self.node.call(ask.method, *params)
        except CallRefused as error:
            raise RpcError(error.code, error.reason, error.data) from None
        except UpstreamError as error:
            raise RpcError(-32603, str(error)) from None
        return _as_of(found, seen) if ask.stale_blocks else found

    async def _send_raw(self, ask: Ask) -> str:
        new = Pending.read(_param(ask, 0))
        nonce, balance = await self._known_account(new.sender)
        self.pool.add(new, nonce=nonce, balance=balance)
        if self.automine:
            await self.mine()
        return new.hash

    async def _known_account(self, sender: str) -> tuple[int, int]:
        """From memory where it is there: a transaction is taken while a block is being made, too."""
        if sender in self._accounts:
            return self._accounts[sender]
        async with self._lock:
            return await self._account(sender)

    async def _count(self, ask: Ask) -> Any:
        if ask.params[1:] != ["pending"] or ask.stale_blocks:
            async with self._lock:
                return await self._forward(ask)
        sender = str(_param(ask, 0)).lower()
        nonce, _ = await self._known_account(sender)
        return hex(self.pool.next_nonce(sender, nonce))

    async def _transaction(self, ask: Ask) -> Any:
        waiting = self.pool.find(str(_param(ask, 0)))
        if waiting is not None:
            return waiting.to_json()
        async with self._lock:
            return await self._forward(ask)

    async def _send_bundle(self, ask: Ask) -> Any:
        return self.builder.send_bundle(_object(ask), self._signer(ask), self.head)

    async def _send_private(self, ask: Ask) -> Any:
        return self.builder.send_private(_object(ask), self._signer(ask), self.head)

    async def _cancel_bundle(self, ask: Ask) -> Any:
        return self.builder.cancel(str(_object(ask).get("replacementUuid")), self._signer(ask))

    async def _cancel_private(self, ask: Ask) -> Any:
        return self.builder.cancel(str(_object(ask).get("txHash")).lower(), self._signer(ask))

    async def _bundle_stats(self, ask: Ask) -> Any:
        return self.builder.stats(str(_object(ask).get("bundleHash")))

    def _signer(self, ask: Ask) -> str | None:
        return self.builder.signer(ask.body, ask.headers.get(b"x-flashbots-signature", b"").decode("latin-1"))

    async def _subscribe(self, ask: Ask) -> Any:
        if ask.session is None:
            raise RpcError(-32601, "notifications not supported")
        if not ask.params or ask.params[0] not in ("newHeads", "logs"):
            raise RpcError(-32602, "no such subscription: newHeads and logs are there")
        self._names += 1
        name = hex(self._names)
        ask.session.subscriptions[name] = ask.params
        return name

    async def _unsubscribe(self, ask: Ask) -> Any:
        return ask.session is not None and ask.session.subscriptions.pop(str(_param(ask, 0)), None) is not None

    async def _evm_mine(self, _: Ask) -> Any:
        await self.mine()
        return "0x0"

    async def _set_automine(self, ask: Ask) -> Any:
        self.automine = bool(_param(ask, 0))
        return True

    async def _revert(self, ask: Ask) -> Any:
        """The chain goes back without a reorganisation, as only development nodes can."""
        async with self._lock:
            done = await self._forward(ask)
            await self._look()
            self._snapshots = {height: one for height, one in self._snapshots.items() if height < self.head}
            self._blocks = {number: one for number, one in self._blocks.items() if number <= self.head}
            self._raw = {number: one for number, one in self._raw.items() if number <= self.head}
            return done

    async def _pool_status(self, _: Ask) -> Any:
        nonces = {sender: (await self._known_account(sender))[0] for sender in self.pool.senders()}
        executable, queued = self.pool.counts(nonces.__getitem__)
        return {"pending": hex(executable), "queued": hex(queued)}


_METHODS: dict[str, Callable[[Chainlab, Ask], Any]] = {
    "eth_cancelBundle": Chainlab._cancel_bundle,
    "eth_cancelPrivateTransaction": Chainlab._cancel_private,
    "eth_getTransactionByHash": Chainlab._transaction,
    "eth_getTransactionCount": Chainlab._count,
    "eth_sendBundle": Chainlab._send_bundle,
    "eth_sendPrivateTransaction": Chainlab._send_private,
    "eth_sendRawTransaction": Chainlab._send_raw,
    "eth_subscribe": Chainlab._subscribe,
    "eth_unsubscribe": Chainlab._unsubscribe,
    "evm_mine": Chainlab._evm_mine,
    "evm_revert": Chainlab._revert,
    "evm_setAutomine": Chainlab._set_automine,
    "flashbots_getBundleStatsV2": Chainlab._bundle_stats,
    "txpool_status": Chainlab._pool_status,
}


@asynccontextmanager
async def open_chainlab(
    node: str | Upstream,
    *,
    port: int = 0,
    rules: LabRules | None = None,
    clock: Callable[[], float] = time.time,
) -> AsyncIterator[Chainlab]:
    """A lab in front of a development node, by its URL or in this process (:class:`~execlayer.upstream.LocalClient`),
    listening on loopback while the ``with`` block lasts.

    Everything goes through the lab from then on: blocks that are made behind its back are not seen.
    """
    rules = rules or LabRules()
    async with trio.open_nursery() as nursery:
        upstream: Upstream = Client(Endpoint(url=node, timeout_seconds=30)) if isinstance(node, str) else node
        await nursery.start(upstream.run)
        lab = Chainlab(upstream, rules, clock)
        await lab.open()
        [listener] = await trio.open_tcp_listeners(port, host="127.0.0.1")
        lab.url = f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
        nursery.start_soon(trio.serve_listeners, lab._serving.serve, [listener])
        if rules.block_seconds is not None:
            nursery.start_soon(lab.run_blocks, rules.block_seconds)
        yield lab
        nursery.cancel_scope.cancel()


def _read(transactions: Sequence[bytes] | None) -> list[Pending] | None:
    return None if transactions is None else [Pending.read(one) for one in transactions]


def _param(ask: Ask, place: int) -> Any:
    if len(ask.params) <= place:
        raise RpcError(-32602, f"missing value for required argument {place}")
    return ask.params[place]


def _object(ask: Ask) -> dict[str, Any]:
    found = _param(ask, 0)
    if not isinstance(found, dict):
        raise RpcError(-32602, "an object is wanted")
    return found


def _as_of(found: Any, seen: int) -> Any:
    """An answer as somebody gives it who knows no block above ``seen``."""
    if isinstance(found, list):
        kept = [_as_of(one, seen) for one in found]
        return None if found and not any(kept) else kept
    if not isinstance(found, dict):
        return found
    number = found.get("blockNumber") or (found.get("number") if "parentHash" in found else None)
    return None if isinstance(number, str) and int(number, 16) > seen else found


def _matches(wanted: dict[str, Any], log: dict[str, Any]) -> bool:
    """Whether a log is one that a subscription asked for: by address, and by topics in their places."""
    addresses = wanted.get("address")
    if addresses is not None:
        names = [addresses] if isinstance(addresses, str) else addresses
        if log["address"].lower() not in {name.lower() for name in names}:
            return False
    for place, choice in enumerate(wanted.get("topics") or ()):
        if choice is None:
            continue
        allowed = [choice] if isinstance(choice, str) else choice
        if place >= len(log["topics"]) or log["topics"][place].lower() not in {one.lower() for one in allowed}:
            return False
    return True

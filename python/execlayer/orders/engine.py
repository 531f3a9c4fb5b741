"""The order engine as a Trio service: the core's sockets, clock and disk.

What always holds: every decision is the core's, one call for each thing that happened, and what it wants done is in the
journal before it is done here. The core is only ever called from Trio's thread, except to open and to sync it.

>>> async with trio.open_nursery() as nursery:                                                      # doctest: +SKIP
...     engine = await nursery.start(OrderEngine(settings, keys).run)
...     await engine.submit(signal)
...     async for report in engine.updates():
...         print(report.status)
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import trio

from .. import _core
from ..errors import ExeclayerError, InvalidConfig, JournalError
from ..upstream.client import BATCH_MAX
from ..upstream.endpoint import Connector, connect
from ..upstream.failover import Event
from ..upstream.ring import Header as Head
from . import control
from . import monitor as monitoring
from .alerts import Alerts, log_alert
from .doors import Doors
from .endpoints import Endpoints, Listener
from .halting import obey
from .intake import Answers, Intake, Origin
from .keeping import Keeper
from .monitor import Alert, Monitor
from .pinned import ContractNotFound, check
from .process import resident_bytes
from .reload import Reloaded, merge
from .reports import FAILURES, Report, report
from .results import Results
from .rules import Rounds, read_rules
from .settings import OrderSettings
from .signers import OutsideSigner, Signers
from .simulation import StateSync
from .watch import Watch
from .wire import AuthKey, Header, Signal

CODE_CHECK_SECONDS = 3_600
UNSENT = frozenset({"received", "checked", "queued"})
OUT = frozenset(
    {"intent", "sent", "ambiguous", "in_pool", "in_relay", "unseen", "replacing", "cancelling", "mined", "orphaned"}
)
Outputs = list[tuple[Any, ...]]
Clock = tuple[int, int]


def clock() -> Clock:
    """Monotonic and Unix nanoseconds."""
    return time.monotonic_ns(), time.time_ns()


class OrderEngine:
    """One engine: a journal, its senders, its chain. :meth:`run` it in a nursery."""

    def __init__(
        self,
        settings: OrderSettings,
        keys: Sequence[_core.Key],
        *,
        signers: Sequence[OutsideSigner] = (),
        identity: _core.Key | None = None,
        auth_keys: Sequence[AuthKey] = (),
        connect: Connector = connect,
        on_alert: Callable[[Alert], None] = log_alert,
        clock: Callable[[], Clock] = clock,
    ) -> None:
        self.settings = settings
        self._outside = [signer.sender for signer in signers]
        self.senders = [*(key.address for key in keys), *self._outside]
        self.monitor = Monitor()
        self.is_ready = False
        self.addresses: list[str] = []
        """Where signals are taken."""

        self._keys, self._identity = list(keys), identity
        self.auth_keys = {key.id: key for key in auth_keys}
        self._on_alert = on_alert
        self._clock = clock
        self._alerts = Alerts(settings.alerts, settings.channels.monitoring)
        self._rounds = Rounds(read_rules(settings.alerts.rules))
        self._keeper = Keeper(settings, lambda: self.core, self.monitor)
        listener = Listener(self._written, self._replied, self._usable, self._endpoint_event)
        self._endpoints = Endpoints(settings, listener, connect)
        heads = settings.rpc_endpoints.heads
        self._watch = Watch(self._endpoints.failover, self, self.senders, heads=heads)
        slot_seconds = round(settings.execution_engine.slot / 1e9)
        self._sync = StateSync(
            self._endpoints.failover, lambda: self.core, lambda: self._more.set(), slot_seconds=slot_seconds
        )
        self._signers = Signers(signers, self._signed)
        self._more = trio.Event()
        self.results = Results(self._read_results, self._delivered)
        self.intake = Intake(self, clock)
        self._doors = Doors(self)
        self._core_or_none: _core.OrderEngine | None = None
        self._sequence = 0
        self._open_requests: dict[int, _OpenRequest] = {}
        self._taking = trio.Event()
        self._stopping = trio.Event()
        self._broken: JournalError | None = None
        self._breaking = trio.Event()
        self._failed_sent = 0
        self._began = time.monotonic()
        self._doers: dict[str, Callable[..., None]] = {
            "alert": self._alert,
            "want_header": lambda block: self._watch.ask(self._watch.header, block),
            "want_receipts": lambda number, block: self._watch.ask(self._watch.receipts, number, block),
            "want_account": lambda sender: self._watch.ask(self._watch.account, sender),
            "want_state": lambda *missing: self._watch.ask(self._sync.fetch, *missing),
            "want_lookup": lambda *slot: self._watch.ask(self._watch.lookup, *slot),
            "want_signature": self._signers.ask,
            "want_reason": lambda order, block: self._watch.ask(self._watch.reason, order, block),
            "want_presence": lambda order, hashes: self._watch.ask(self._watch.presence, order, hashes),
        }

    # ---- life -------------------------------------------------------------------------------------------------------

    async def run(self, *, task_status: trio.TaskStatus[OrderEngine] = trio.TASK_STATUS_IGNORED) -> None:
        """Runs until :meth:`stop` or until cancelled; started when signals are taken.

        *Errors*: :class:`~execlayer.errors.SenderInUse` where another engine of this host has one of the keys, another
        :class:`~execlayer.errors.JournalError` for a journal that can't be used, :class:`ContractNotFound`,
        :class:`~execlayer.errors.InvalidConfig` for another chain. *Resources*: when it ends, the journal is synced and
        the senders are free.
        """
        self._core_or_none = await trio.to_thread.run_sync(self._open)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._wait_broken)
                await nursery.start(self._endpoints.run)
                await nursery.start(self._signers.run)
                await self._check_chain()
                await nursery.start(self._watch.run)
                if not self.core.is_new:
                    self._take_up()
                if self.settings.execution_engine.presim != "off":
                    nursery.start_soon(self._sync.run)
                nursery.start_soon(self._go_on)
                nursery.start_soon(self._tick)
                nursery.start_soon(self._measure)
                nursery.start_soon(self._look_on)
                nursery.start_soon(self._alerts.run)
                nursery.start_soon(self._recheck)
                nursery.start_soon(self._keeper.run)
                await nursery.start(obey, self)
                await self._watch.known.wait()
                nursery.start_soon(self.intake.run)
                self.addresses = await nursery.start(self._doors.run)
                await nursery.start(control.serve, self)
                self.is_ready = True
                task_status.started(self)
                await self._stopping.wait()
                self.is_ready = False
                self._doors.close_intake()
                self.intake.close()
                await self._drain()
                nursery.cancel_scope.cancel()
        finally:
            self.is_ready = False
            with trio.CancelScope(shield=True):
                if self._broken is None:
                    await trio.to_thread.run_sync(self._keeper.close)
            # The senders are free when the core is gone: nobody else holds it.
            self._core_or_none = None

    def stop(self) -> None:
        """Ends it in order: no more signals; what is not signed is refused, what is out is watched for a while."""
        self._stopping.set()

    async def reload(self, wanted: OrderSettings) -> Reloaded:
        """Takes over other limits, fees, prices and alerts; what else differs is named and waits for a restart.

        The core starts again on its journal, within this process: it learns settings as it does at any start, and what
        is out goes on. *Errors*: :class:`~execlayer.errors.InvalidConfig`, :class:`~execlayer.errors.InvalidArgument`;
        then everything is as before.
        """
        merged = merge(self.settings, wanted)
        rules = read_rules(merged.settings.alerts.rules)
        if merged.settings.core_terms() != self.settings.core_terms():
            async with self._keeper.idle:
                await trio.to_thread.run_sync(self._keeper.snapshot)
                self._reopen(merged.settings)
        self.settings = merged.settings
        self._alerts.use(self.settings.alerts)
        self._rounds = Rounds(rules)
        return merged

    def _reopen(self, settings: OrderSettings) -> None:
        """Without a pause: nothing can happen between the one core and the other."""
        was, self.settings, self._core_or_none = self.settings, settings, None
        refused: ExeclayerError | None = None
        try:
            core = self._open()
        except ExeclayerError as error:
            refused, self.settings = error, was
            core = self._open()
        self._core_or_none = core
        self._sync.begin()
        self._take_up()
        if refused is not None:
            raise refused

    def _take_up(self) -> None:
        """Goes on where the journal ends. The time comes first: other settings are written without one, and an engine
        that believed to have been away since 1970 would take every order back."""
        self._step(self.core.tick)
        self._step(self.core.restarted)

    def _open(self) -> _core.OrderEngine:
        settings = self.settings
        settings.journal.dir.mkdir(parents=True, exist_ok=True)
        settings.journal.lock_folder.mkdir(parents=True, exist_ok=True)
        return _core.OrderEngine(
            str(settings.journal.dir),
            lock_folder=str(settings.journal.lock_folder),
            chain_id=settings.chain_id,
            contract=settings.contract,
            recipient=settings.recipient,
            keys=self._keys,
            outside=self._outside,
            segment=settings.journal.segment,
            endpoints=self._endpoints.rows,
            **settings.core_terms(),
            allowed=list(settings.allowed),
            engine_id=settings.engine_id,
            auth_keys=[(key.id, key.secret) for key in self.auth_keys.values()],
            relay_identity=self._identity,
            fork=settings.fork,
        )

    async def _check_chain(self) -> None:
        await self._endpoints.failover.wait_fit("read")
        await check(self._endpoints.failover, self.settings)

    async def _recheck(self) -> None:
        """Looks at the contract's code each hour: what changed must not be called."""
        while True:
            await trio.sleep(CODE_CHECK_SECONDS)
            try:
                await self._check_chain()
            except (ContractNotFound, InvalidConfig) as error:
                self._alert(True, "contract_changed", 0, str(error))
                self.halt()

    async def _drain(self) -> None:
        for row in self.core.orders():
            if row[4] in UNSENT:
                self._do(self.core.cancel(self._clock(), row[0]))
        with trio.move_on_after(self.settings.execution_engine.drain_timeout / 1e9):
            while any(row[4] in OUT for row in self.core.orders()):
                await self.results.wait_news()

    async def _wait_broken(self) -> None:
        await self._breaking.wait()
        assert self._broken is not None
        self._alert(True, "journal_unwritable", 0, str(self._broken))
        await self._alerts.flush()
        raise self._broken

    # ---- the core ---------------------------------------------------------------------------------------------------

    @property
    def core(self) -> _core.OrderEngine:
        """The core of a running engine."""
        if self._core_or_none is None:
            raise RuntimeError("the engine is not running")
        return self._core_or_none

    def _step(self, call: Callable[..., Any], *values: Any) -> Any:
        """Tells the core something and does what it wants. Where the journal can't be written, everything ends."""
        try:
            found = call(self._clock(), *values)
        except JournalError as error:
            self._broken = self._broken or error
            self._breaking.set()
            return None
        if found is not None:
            self._do(found)
        return found

    def _do(self, outputs: Outputs, origin: Origin | None = None, began_ns: int = 0) -> None:
        """Does what the core wants done."""
        if outputs and self.settings.journal.durability == "power" and any(one[0] == "send" for one in outputs):
            self.core.sync()
        if self.core.has_more:
            self._more.set()
        posts: dict[int, list[tuple[int, bytes]]] = {}
        for output in outputs:
            match output[0]:
                case "send":
                    _, endpoint, request, _, body = output
                    self._open_requests[request] = _OpenRequest(began_ns, time.monotonic_ns() if began_ns else 0)
                    posts.setdefault(endpoint, []).append((request, body))
                case "answer":
                    if origin is not None:
                        origin.give(output[1])
                case word:
                    self._doers[word](*output[1:])
        for endpoint, waiting in posts.items():
            self._post(endpoint, waiting)
        self.results.tell()

    def _post(self, endpoint: int, waiting: list[tuple[int, bytes]]) -> None:
        """Writes requests. What waits together for a node goes as JSON-RPC's batch; relays get theirs one by one, since
        each is signed."""
        is_node = self._endpoints.rows[endpoint][2] is None
        for start in range(0, len(waiting), size := BATCH_MAX if is_node else 1):
            part = waiting[start : start + size]
            bodies = [body for _, body in part]
            body = bodies[0] if len(part) == 1 else self.core.join(endpoint, bodies)
            self._endpoints.send(endpoint, tuple(request for request, _ in part), body)

    def take_frames(
        self, frames: list[bytes], trusted: bool, origin: Origin | None, came_ns: int = 0
    ) -> list[bytes | None]:
        """Frames that are served together, and when the first of them came (0: now); for each its Nack, where it was
        refused."""
        began = time.monotonic_ns()
        try:
            outputs, nacks = self.core.frames(self._clock(), frames, trusted)
        except JournalError as error:
            self._broken = self._broken or error
            self._breaking.set()
            return []
        self.monitor.times["validation_time"].note((time.monotonic_ns() - began) / 1e9)
        self._do(outputs, origin, came_ns or began)
        self._time_trials()
        return nacks

    @property
    def intake_is_open(self) -> bool:
        """Whether signals are taken."""
        return self.is_ready and self.core.intake_is_open

    async def wait_intake(self) -> None:
        """Until signals are taken."""
        while not self.intake_is_open:
            self._taking = trio.Event()
            await self._taking.wait()

    # ---- what endpoints say -----------------------------------------------------------------------------------------

    def _written(self, requests: tuple[int, ...]) -> None:
        now, times, new = time.monotonic_ns(), self.monitor.times, list[int]()
        for request in requests:
            open_request = self._open_requests.get(request)
            if open_request is None or open_request.written_ns:
                continue
            open_request.written_ns = now
            new.append(request)
            if open_request.began_ns:
                times["signal_processing_time"].note((now - open_request.began_ns) / 1e9)
                times["submission_time"].note((now - open_request.signed_ns) / 1e9)
        if new and self._core_or_none is not None:
            self._step(self.core.written, new)

    def _replied(self, requests: tuple[int, ...], status: int | None, body: bytes) -> None:
        # On a busy machine a reply may be heard of before the end of the write that it answers.
        if status is not None:
            self._written(requests)
        for request in requests:
            open_request = self._open_requests.pop(request, None)
            if open_request is not None and open_request.written_ns:
                self.monitor.times["ack_time"].note((time.monotonic_ns() - open_request.written_ns) / 1e9)
        if status is None:
            self.monitor.counters["timeout_failures"] += 1
        if self._core_or_none is None:
            return
        if len(requests) == 1:
            self._step(self.core.replied, requests[0], status, body)
        else:
            self._step(self.core.replied_all, requests, status, body)

    def _usable(self, endpoint: int, up: bool) -> None:
        self._step(self.core.endpoint, endpoint, up)

    def _endpoint_event(self, event: Event) -> None:
        if event.kind == "failed":
            self.monitor.rpc_failures[event.endpoint] += 1
        if event.kind == "critical":
            self._alert(True, "endpoint_down", 0, f"{event.endpoint} failed {event.failures} times: {event.reason}")

    # ---- what the chain says ----------------------------------------------------------------------------------------

    def reorganised(self, blocks: int) -> None:
        """So many blocks were taken back."""
        self.monitor.reorgs[blocks] += 1

    def head(self, header: Head) -> None:
        """A header."""
        fields = (header.number, header.hash, header.parent_hash, header.timestamp)
        self._step(self.core.head, (*fields, header.base_fee, header.gas_used, header.gas_limit))
        self._sync.head(header)

    def receipts(self, found: _core.OrderReceipts) -> None:
        """A block's receipts."""
        self._step(self.core.receipts, found)

    def finalized(self, number: int, block: str) -> None:
        """What the chain will not take back."""
        self._step(self.core.finalized, number, block)

    def accounts(self, senders: Sequence[tuple[str, int, int]], block: tuple[int, str]) -> None:
        """Senders with their nonces and balances, as of a block."""
        self._step(self.core.accounts, senders, block)

    def tip(self, wei: int) -> None:
        """What gets into a block."""
        self._step(self.core.tip, wei)

    def looked_up(self, sender: str, nonce: int, body: bytes | None) -> bool:
        """Which of a slot's transactions is in the chain: its receipt, or None. False: it is no receipt."""
        return self._step(self.core.looked_up, sender, nonce, body) is not None

    def absent(self, order: int) -> None:
        """Nobody shows an order's transactions."""
        self._step(self.core.absent, order)

    def reverted(self, order: int, data: bytes, approximate: bool) -> None:
        """What a transaction reverted with; approximate where nobody knows what stood before it in its block."""
        self._step(self.core.reverted, order, data, approximate)

    def _signed(self, request: int, compact: bytes | None, why: str, refused: bool) -> None:
        if self._core_or_none is not None:
            self._step(self.core.signature, request, compact, why, refused)

    # ---- what people say --------------------------------------------------------------------------------------------

    async def submit(self, signal: Signal) -> Report:
        """Gives a signal from this process; where its order is now.

        *Errors*: as :meth:`Signal.to_frame`. A signal that is refused for what it says has an order, which has failed.
        """
        await self.wait_intake()
        self._sequence = max(self._sequence + 1, time.time_ns())
        header = Header(
            sequence=self._sequence, sent_unix_ns=time.time_ns(), source_id=self.settings.source_id, wants_ack=True
        )
        answers = Answers()
        self.take_frames([signal.to_frame(header)], True, answers)
        [answer] = answers.reports
        return answer

    async def updates(self) -> AsyncIterator[Report]:
        """Updates and results as they come; each counts as delivered when the next one is asked for."""
        async with aclosing(self.results.follow()) as frames:
            async for frame in frames:
                yield report(frame)

    @property
    def orders(self) -> list[dict[str, Any]]:
        """Orders that are not settled."""
        names = (
            "order_id",
            "source_id",
            "strategy_id",
            "signal_id",
            "sub",
            "sender",
            "nonce",
            "replacements",
            "ledger",
        )
        return [dict(zip(names, row, strict=True)) for row in self.core.orders()]

    def cancel(self, order_id: int) -> None:
        """Wants an order gone; the chain decides whether it is."""
        self._step(self.core.cancel, order_id)

    def speed_up(self, order_id: int) -> None:
        """Wants an order faster, where that still pays."""
        self._step(self.core.speed_up, order_id)

    def halt(self, on: bool = True, why: str = "somebody wants it") -> None:
        """Takes nothing new, or again; what is out is looked after all the same."""
        if on:
            self._alert(True, "halted", 0, f"no new orders are taken: {why}")
        self._step(self.core.halt, on)

    def thaw(self, sender: str) -> None:
        """A frozen lane was looked at and may go on."""
        self._step(self.core.thaw, sender)

    def stats(self) -> dict[str, Any]:
        """All figures, by the names of the metrics."""
        core, monitor = self.core, self.monitor
        stats = core.stats()
        failures = Counter({FAILURES[code]: count for code, count in stats["failures"]})
        stats |= {name: monitor.counters[name] for name in monitoring.COUNTERS} | self._endpoints.paced()
        head = self._watch.feed.ring.head
        lanes: list[dict[str, Any]] = [dict(zip(monitoring.LANE, row, strict=True)) for row in core.lanes()]
        stats |= {
            **monitoring.derived(stats, failures),
            "landing_rate": monitor.landing_rates(self._endpoints.names),
            "orders_affordable": self._affordable(lanes),
            "rpc_failures": monitor.rpc_failures.total(),
            "lanes": lanes,
            "signals_waiting": self.intake.waiting,
            "lanes_frozen": sum(lane["frozen"] for lane in lanes),
            "endpoints_up": len(self._endpoints.failover.fit("read")),
            "head_lag_seconds": max(0.0, time.time() - head.timestamp) if head else 0.0,
            "memory_bytes": resident_bytes(),
            "cpu_seconds": time.process_time(),
            "ready": int(self.is_ready),
            "max_concurrent_orders": self.settings.execution_engine.max_concurrent_orders,
            "uptime_seconds": time.monotonic() - self._began,
        }
        return stats | {"success_rate": monitor.success_rate(stats)}

    def _affordable(self, lanes: Sequence[dict[str, Any]]) -> float:
        """How many more orders the poorest sender can pay for, at what gas costs now."""
        head = self._watch.feed.ring.head
        price = (head.base_fee if head is not None else 0) + self._watch.fees.tip
        order_wei = max(price * self.settings.execution_engine.default_gas_limit, 1)
        return min((int(lane["balance"]) // order_wei for lane in lanes if lane["confirmed"] is not None), default=0)

    # ---- inside -----------------------------------------------------------------------------------------------------

    def _read_results(self, first: int, limit: int) -> list[tuple[int, bytes]]:
        return self.core.results(first, limit) if self._core_or_none is not None else []

    def _delivered(self, sequence: int) -> None:
        if self._core_or_none is not None:
            self._step(self.core.delivered, sequence)
            self._go_on_taking()

    def _go_on_taking(self) -> None:
        self._taking.set()
        self.intake.go_on()

    def _alert(self, critical: bool, name: str, order: int, text: str) -> None:
        level = self._rounds.rules.levels.get(name, "critical" if critical else "warning")
        alert = Alert(level, name, order, text, time.time_ns())
        self.monitor.alerts.append(alert)
        self.monitor.told[level, name] += 1
        self._alerts.tell(alert)
        self._on_alert(alert)

    async def _look_on(self) -> None:
        async with aclosing(self.results.follow(watches=True)) as frames:
            async for frame in frames:
                self.monitor.note_result(frame)

    async def _go_on(self) -> None:
        """Receipts are looked at, and orders tried, a few at a time: whatever comes meanwhile need not wait."""
        while True:
            await self._more.wait()
            self._more = trio.Event()
            while self.core.has_more:
                self._step(self.core.go_on)
                self._time_trials()
                await trio.lowlevel.checkpoint()

    def _time_trials(self) -> None:
        for seconds in self.core.presim_seconds():
            self.monitor.times["presim_time"].note(seconds)

    async def _tick(self) -> None:
        pause = self.settings.execution_engine.monitor_interval / 1e9
        while True:
            self._step(self.core.tick)
            self._go_on_taking()
            await trio.sleep(pause)

    async def _measure(self) -> None:
        """Looks at the figures from time to time."""
        times = self.monitor.times["signal_processing_time"]
        while True:
            await trio.sleep(self.settings.execution_engine.metrics_interval / 1e9)
            now, stats = trio.current_time(), self.stats()
            self.monitor.sample(now, stats)
            for rule, text in self._rounds.look(now, stats, times):
                self._alert(rule.level == "critical", rule.name, 0, text)


@dataclass(slots=True)
class _OpenRequest:
    """When a request without a reply was caused by a signal, signed, and written; 0: not."""

    began_ns: int
    signed_ns: int = 0
    written_ns: int = 0

"""An order engine as a process: until a signal of the system ends it, in order; a second one at once.

SIGHUP has it read its settings again, SIGUSR1 halts it, SIGUSR2 lets it go on.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import trio

from .. import _core
from ..errors import ExeclayerError
from ..orders import AuthKey, OrderEngine, OrderSettings, Report
from ..orders.monitor import Alert
from ..orders.process import return_freed, return_large_blocks, spare_collector
from ..orders.signers import OutsideSigner

RETURN_SECONDS = 30.0
"""How often memory that holds nothing is given back: in so long an order or two of ten thousand meets it."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What goes to stdout."""

    json: bool
    results: bool


async def run(
    settings: OrderSettings,
    keys: list[_core.Key],
    signers: Sequence[OutsideSigner],
    identity: _core.Key | None,
    auth_keys: Sequence[AuthKey],
    on_alert: Callable[[Alert], None],
    shown: Shown,
    read: Callable[[], OrderSettings],
) -> None:
    """Runs until SIGINT or SIGTERM. ``read`` gives the settings as they are on disk now."""
    return_large_blocks()
    engine = OrderEngine(settings, keys, signers=signers, identity=identity, auth_keys=auth_keys, on_alert=on_alert)
    async with trio.open_nursery() as nursery:
        # From here on: a signal may come while the engine is still starting.
        await nursery.start(_end_on_signal, engine, nursery.cancel_scope)
        async with trio.open_nursery() as inner:
            await inner.start(engine.run)
            await nursery.start(_obey_signals, engine, read, shown)
            spare_collector()
            nursery.start_soon(_return_freed)
            if shown.json:
                ready = {"event": "ready", "addresses": engine.addresses, "chain_id": settings.chain_id}
                print(json.dumps({**ready, "senders": engine.senders}), flush=True)
            else:
                print(f"takes signals for chain {settings.chain_id} at {' and '.join(engine.addresses)}", flush=True)
            if shown.results:
                nursery.start_soon(_show_results, engine, shown.json)
        nursery.cancel_scope.cancel()


async def _return_freed() -> None:
    """What a process holds follows what it needs, however many orders have passed through it."""
    while True:
        await trio.sleep(RETURN_SECONDS)
        if not await trio.to_thread.run_sync(return_freed):
            return


async def _end_on_signal(
    engine: OrderEngine,
    scope: trio.CancelScope,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        async for _ in signals:
            if not engine.is_ready:
                # The second one, or one before it was ready: what is written is safe.
                scope.cancel()
                return
            engine.stop()


def _words() -> dict[int, str]:
    """What signals mean, as far as the system has them."""
    words = {"SIGHUP": "reload", "SIGUSR1": "halt", "SIGUSR2": "resume"}
    return {getattr(signal, name): word for name, word in words.items() if hasattr(signal, name)}


async def _obey_signals(
    engine: OrderEngine,
    read: Callable[[], OrderSettings],
    shown: Shown,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    words = _words()
    if not words:
        task_status.started()
        return
    with trio.open_signal_receiver(*words) as signals:
        task_status.started()
        async for number in signals:
            if words[number] == "reload":
                _say(await _reloaded(engine, read), shown)
            else:
                engine.halt(words[number] == "halt", "a signal of the system wants it")
                _say({"event": words[number]}, shown)


async def _reloaded(engine: OrderEngine, read: Callable[[], OrderSettings]) -> dict[str, object]:
    """What a reload came to. Settings that can't be used change nothing."""
    try:
        done = await engine.reload(read())
    except ExeclayerError as error:
        return {"event": "reload_refused", "reason": str(error)}
    return {"event": "reloaded", "taken": done.taken, "needs_restart": done.needs_restart}


def _say(told: dict[str, object], shown: Shown) -> None:
    if shown.json:
        print(json.dumps(told), flush=True)
        return
    parts = [f"{name}: {', '.join(value) or 'nothing'}" for name, value in told.items() if isinstance(value, tuple)]
    print("; ".join([str(told["event"]), *parts, *([str(told["reason"])] if "reason" in told else [])]), flush=True)


async def _show_results(engine: OrderEngine, as_json: bool) -> None:
    async for one in engine.updates():
        told = {"event": one.kind, **as_plain(one)}
        print(json.dumps(told) if as_json else text(one), flush=True)


def as_plain(report: Report) -> dict[str, object]:
    """A report as JSON has it."""
    plain = asdict(report)
    if report.error is not None:
        plain["error"]["revert"] = "0x" + report.error.revert.hex()
    return plain


def text(report: Report) -> str:
    """A report in a line."""
    status = report.status
    if status is None:
        return report.kind
    parts = [f"order {status.order_id}", f"signal {status.signal_id} of {status.source_id}", status.state, status.sub]
    if status.failure:
        parts.append(f"{status.failure}: {report.error.text if report.error else ''}")
    parts += [f"{fill.kind} in block {fill.block}: {fill.realized_wei} wei after gas" for fill in report.fills]
    return "  ".join(parts)

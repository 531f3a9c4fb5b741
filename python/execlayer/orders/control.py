"""How a running engine is asked and told: one JSON object a line over a UNIX socket that only its user can open, and
the page that Prometheus reads.

    {"do": "status"}                  {"do": "orders"}       {"do": "cancel", "order": 7}
    {"do": "speed_up", "order": 7}    {"do": "halt"}         {"do": "resume"}     {"do": "thaw", "sender": "0x…"}
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio

from ..errors import ExeclayerError
from .doors import BROKEN, open_listeners, open_unix
from .monitor import failed, prometheus
from .reports import report

if TYPE_CHECKING:
    from .engine import OrderEngine

LINE_BYTES_MAX = 65_536
ANSWER_SECONDS = 10.0
RECENT_SHOWN = 10
REQUEST_SECONDS = 10.0


class NotRunning(ExeclayerError):
    """No engine answers at this socket."""

    path: str
    reason: str


class Refused(ExeclayerError, ValueError):
    """The engine can't do what it was asked."""

    reason: str


def _status(engine: OrderEngine, _: dict[str, Any]) -> Any:
    times = {
        name: {"p50": one.quantile(0.5), "p99": one.quantile(0.99), "count": one.count}
        for name, one in engine.monitor.times.items()
    }
    orders: dict[str, int] = {}
    for order in engine.orders:
        orders[order["sub"]] = orders.get(order["sub"], 0) + 1
    alerts = [asdict(one) for one in engine.monitor.alerts]
    failures = [failed(report(one)) for one in engine.monitor.failed]
    return {
        **engine.stats(),
        "environment": engine.settings.environment,
        "chain_id": engine.settings.chain_id,
        "addresses": engine.addresses,
        "orders": orders,
        "times": times,
        "alerts": alerts[-RECENT_SHOWN:],
        "recent_failures": failures[-RECENT_SHOWN:],
        "rpc_failures_by_endpoint": dict(engine.monitor.rpc_failures),
    }


def _order(request: dict[str, Any]) -> int:
    order = request.get("order")
    if not isinstance(order, int):
        raise Refused("an order's number is wanted", reason="order")
    return order


def _sender(engine: OrderEngine, request: dict[str, Any]) -> str:
    wanted = str(request.get("sender"))
    if wanted.lower() not in (one.lower() for one in engine.senders):
        raise Refused(f"{wanted} is no sender of this engine: {', '.join(engine.senders)}", reason="sender")
    return wanted


DOES: dict[str, Callable[[OrderEngine, dict[str, Any]], Any]] = {
    "status": _status,
    "orders": lambda engine, _: engine.orders,
    "cancel": lambda engine, request: engine.cancel(_order(request)),
    "speed_up": lambda engine, request: engine.speed_up(_order(request)),
    "halt": lambda engine, _: engine.halt(True),
    "resume": lambda engine, _: engine.halt(False),
    "thaw": lambda engine, request: engine.thaw(_sender(engine, request)),
}


def answer(engine: OrderEngine, line: bytes) -> bytes:
    """What the engine says to a line."""
    try:
        request = json.loads(line)
        if not isinstance(request, dict) or request.get("do") not in DOES:
            raise Refused(f"one of {', '.join(DOES)} is wanted", reason="do")
        told = {"result": DOES[request["do"]](engine, request)}
    except (ValueError, ExeclayerError) as error:
        told = {"error": str(error)}
    return json.dumps(told).encode() + b"\n"


async def serve(engine: OrderEngine, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    """Answers until cancelled. *Errors*: :class:`~execlayer.errors.CannotListen`."""
    path = engine.settings.control
    metrics = engine.settings.protocol.metrics
    listener = open_unix(path)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.serve_listeners, lambda stream: _guarded(_lines, engine, stream), [listener])
            if metrics is not None:
                listeners, _, _ = await open_listeners(metrics)
                nursery.start_soon(trio.serve_listeners, lambda stream: _guarded(_page, engine, stream), listeners)
            task_status.started()
    finally:
        path.unlink(missing_ok=True)


async def _guarded(handle: Callable[..., Any], engine: OrderEngine, stream: trio.abc.Stream) -> None:
    try:
        async with stream:
            await handle(engine, stream)
    except* BROKEN:
        pass


async def _lines(engine: OrderEngine, stream: trio.abc.Stream) -> None:
    held = bytearray()
    while data := await stream.receive_some(LINE_BYTES_MAX):
        held += data
        while (end := held.find(b"\n")) >= 0:
            line = bytes(held[:end])
            del held[: end + 1]
            await stream.send_all(answer(engine, line))
        if len(held) > LINE_BYTES_MAX:
            return


async def _page(engine: OrderEngine, stream: trio.abc.Stream) -> None:
    """One request of HTTP: whatever is asked for, the figures are the answer."""
    held = b""
    with trio.move_on_after(REQUEST_SECONDS) as scope:
        while b"\r\n\r\n" not in held and len(held) <= LINE_BYTES_MAX:
            data = await stream.receive_some(LINE_BYTES_MAX)
            if not data:
                return
            held += data
    if scope.cancelled_caught or not held.startswith(b"GET "):
        return
    body = prometheus(engine.stats(), engine.monitor).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {len(body)}\r\n"
    await stream.send_all(head.encode() + b"Connection: close\r\n\r\n" + body)


async def ask(path: Path, **request: Any) -> Any:
    """Asks a running engine. *Errors*: :class:`NotRunning`, :class:`Refused`."""
    held = b""
    try:
        with trio.fail_after(ANSWER_SECONDS):
            async with await trio.open_unix_socket(str(path)) as stream:
                await stream.send_all(json.dumps(request).encode() + b"\n")
                while not held.endswith(b"\n"):
                    data = await stream.receive_some(LINE_BYTES_MAX)
                    if not data:
                        break
                    held += bytes(data)
        told = json.loads(held)
    except (OSError, trio.BrokenResourceError, trio.TooSlowError, ValueError) as error:
        reason = str(error) or type(error).__name__
        text = f"no engine runs here: {path} is not there" if isinstance(error, FileNotFoundError) else ""
        text = text or f"no engine answers at {path}: {reason}"
        raise NotRunning(text, path=str(path), reason=reason) from error
    if "error" in told:
        raise Refused(told["error"], reason=told["error"])
    return told["result"]

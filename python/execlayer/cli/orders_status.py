"""What a running engine is doing, as lines and as a live table."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import RenderableType

ETHER = 10**18
ALERTS_SHOWN = FAILURES_SHOWN = 5


def lines(told: dict[str, Any]) -> Iterator[str]:
    """For a terminal or a log."""
    halted = ", halted" if told["halted"] else ""
    halted += ", no node is left or the chain not known again" if told["cut_off"] else ""
    state = "ready" if told["ready"] else "not ready"
    yield f"{told['environment']}, chain {told['chain_id']}: {state}{halted}, block {told['head']}"
    for name, value in rows(told):
        yield f"  {name:<20}{value}"
    for failed in told["recent_failures"][-FAILURES_SHOWN:]:
        yield f"  order {failed['order']} failed: {failed['failure']}: {failed['reason']}"
    for alert in told["alerts"][-ALERTS_SHOWN:]:
        yield f"  {_time(alert)}  {alert['level']}: {alert['name']}: {alert['text']}"


def rows(told: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What matters, most important first."""
    live = ", ".join(f"{count} {name}" for name, count in told["orders"].items())
    yield "live orders", live or "none"
    yield "settled", f"{told['orders_completed']:,} completed, {told['orders_failed']:,} failed"
    failures = sorted(told["failures"].items(), key=lambda one: -one[1])
    yield "failures", ", ".join(f"{count:,} {name}" for name, count in failures) or "none"
    yield "success rate", f"{told['success_rate']:.1%}"
    yield "profit after gas", f"{told['total_realized_wei'] / ETHER:+.9f} ether"
    yield "gas", f"{told['total_gas_wei'] / ETHER:.9f} ether"
    for name, one in told["times"].items():
        shown = f"p50 {_ms(one['p50'])}, p99 {_ms(one['p99'])}" if one["count"] else "none yet"
        yield name.removesuffix("_time").replace("_", " "), shown
    if told["signals_waiting"]:
        yield "signals waiting", f"{told['signals_waiting']:,}"
    yield "results waiting", f"{told['results_waiting']:,}"
    if told["endpoints_up"] is not None:
        yield "nodes that answer", str(told["endpoints_up"])
    for relay, rate in told["landing_rate"].items():
        yield relay, f"{rate:.1%} of its orders landed"
    for lane in told["lanes"]:
        marks = "".join(f", {mark}" for mark in ("frozen", "paused") if lane[mark])
        holes = f", {lane['holes']} holes" if lane["holes"] else ""
        yield f"{lane['sender'][:10]}…", f"nonce {lane['next']}, {lane['depth']} unsettled{holes}{marks}"
    memory = told["memory_bytes"]
    yield "memory", "not told here" if memory is None else f"{memory / 2**20:.0f} MiB"


def panel(told: dict[str, Any]) -> RenderableType:
    """For a terminal that shows it as it changes."""
    from rich.console import Group
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 2))
    for row in rows(told):
        table.add_row(*row)
    alerts = [
        Text(f"{_time(one)}  {one['name']}: {one['text']}", style="red" if one["level"] == "critical" else "yellow")
        for one in told["alerts"][-ALERTS_SHOWN:]
    ]
    failures = [
        Text(f"order {one['order']}  {one['failure']}: {one['reason']}", style="dim")
        for one in told["recent_failures"][-FAILURES_SHOWN:]
    ]
    first = next(iter(lines(told)))
    return Panel(Group(table, *failures, *alerts), title=first, subtitle="Ctrl-C ends it")


def _ms(seconds: float) -> str:
    return f"≤ {seconds * 1e3:.3g} ms"


def _time(alert: dict[str, Any]) -> str:
    return datetime.fromtimestamp(alert["unix_ns"] / 1e9, UTC).strftime("%H:%M:%S")

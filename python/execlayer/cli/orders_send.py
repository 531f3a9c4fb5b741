"""Signals from JSON to an engine: for trying one out, and for strategies that are no Python."""

from __future__ import annotations

import dataclasses
import json
import time
from typing import Any

import trio

from ..errors import InvalidArgument
from ..orders import Hop, Lender, OrderSettings, Report, Signal, open_client
from ..orders.keys import auth_keys

FIELDS = {one.name: one for one in dataclasses.fields(Signal)}
GIVEN = frozenset({"created_unix_ns", "signal_id", "chain_id"})
"""What is filled in where it is left out."""

NEEDED = [name for name, one in FIELDS.items() if one.default is dataclasses.MISSING and name not in GIVEN]


def signals(text: str, settings: OrderSettings) -> list[Signal]:
    """One object a line, or a single one over several lines. What is left out: now, this chain, a new number.

    *Errors*: :class:`~execlayer.errors.InvalidArgument` with the line.
    """
    try:
        found = [json.loads(text)]
    except ValueError:
        found = [_parsed(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    return [_signal(number, one, settings) for number, one in enumerate(found, 1)]


def _parsed(number: int, line: str) -> Any:
    try:
        return json.loads(line)
    except ValueError as error:
        raise _wrong(number, line, f"JSON ({error})") from None


def _signal(number: int, value: Any, settings: OrderSettings) -> Signal:
    if not isinstance(value, dict):
        raise _wrong(number, value, "an object")
    unknown = set(value) - set(FIELDS)
    if unknown:
        raise _wrong(number, sorted(unknown), f"fields of a signal, which are {', '.join(FIELDS)}")
    missing = [name for name in NEEDED if name not in value]
    if missing:
        raise _wrong(number, value, f"{', '.join(missing)}, too")
    now = time.time_ns()
    given = {"created_unix_ns": now, "signal_id": now + number, "chain_id": settings.chain_id, **value}
    try:
        if "hops" in given:
            given["hops"] = [Hop(**one) for one in given["hops"]]
        if given.get("lender") is not None:
            given["lender"] = Lender(**given["lender"])
        if given.get("raw_call") is not None:
            given["raw_call"] = bytes.fromhex(given["raw_call"].removeprefix("0x"))
        return Signal(**given)
    except (TypeError, AttributeError, ValueError) as error:
        raise _wrong(number, value, f"a signal ({error})") from None


def _wrong(number: int, value: Any, expected: str) -> InvalidArgument:
    return InvalidArgument(f"signal {number}: expected {expected}", field="signal", value=value, expected=expected)


async def send(settings: OrderSettings, wanted: list[Signal], *, source: int, wait: bool) -> list[dict[str, Any]]:
    """Sends them and gives what the engine said of each; with ``wait`` how each has ended."""
    auth = next(iter(auth_keys(settings)), None)
    async with open_client(settings.protocol.listen, source_id=source, auth=auth) as client:
        answers = [await client.send(one) for one in wanted]
        last = {one.status.order_id: one for one in answers if one.status is not None}
        if wait and any(not one.status.is_terminal for one in last.values() if one.status is not None):
            await _follow(client.results(), last)
    return [_plain(last[one.status.order_id] if one.status is not None else one) for one in answers]


async def _follow(results: Any, last: dict[int, Report]) -> None:
    async for one in results:
        if one.status is not None and one.status.order_id in last:
            last[one.status.order_id] = dataclasses.replace(one, fills=last[one.status.order_id].fills + one.fills)
        if all(known.status is not None and known.status.is_terminal for known in last.values()):
            await trio.lowlevel.checkpoint()
            return


def _plain(report: Report) -> dict[str, Any]:
    status, error = report.status, report.error
    return {
        "order": status.order_id if status else 0,
        "state": status.state if status else "refused",
        "sub": status.sub if status else "",
        "failure": (status.failure if status else "") or (error.text if error and report.kind == "nack" else ""),
        "reason": error.text if error else "",
        "transactions": [one.hash for one in report.attempts],
        "realized_wei": sum(fill.realized_wei * (-1 if fill.kind == "reversal" else 1) for fill in report.fills),
    }


def line(told: dict[str, Any]) -> str:
    """One order's outcome."""
    failure = f"  {told['failure']}" if told["failure"] else ""
    failure += f": {told['reason']}" if told["reason"] else ""
    profit = f"  {told['realized_wei']:+,} wei after gas" if told["realized_wei"] else ""
    return f"order {told['order']}  {told['state']}  {told['sub']}{failure}{profit}"

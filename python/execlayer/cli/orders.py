"""Run an order engine, and look after one: arbitrage signals in, settled profit out.

run      takes signals until Ctrl-C, which ends it in order; a second Ctrl-C at once. SIGHUP reads limits, fees and
         alerts again, SIGUSR1 halts, SIGUSR2 resumes
status   what a running engine is doing
dash     the same, on a terminal, as it changes; both with --journal of an engine that does not run
send     gives signals to an engine, each a JSON object a line
cancel, speed-up, halt, resume, thaw     tell a running engine
verify   proves the journal: each decision, each signed byte; with --security what makes it safe to run
replay   what other settings would have made of the journal: --with FILE
drill    restores the newest backup and compares the ledgers
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InvalidArgument
from .codes import DONE, REFUSED

if TYPE_CHECKING:
    from ..orders import OrderSettings

EXAMPLES = """examples:
  execlayer orders run --config orders.toml
  execlayer orders run --config orders.toml --results --json       outcomes to stdout, which takes them
  execlayer orders status --config orders.toml
  execlayer orders dash --config orders.toml
  execlayer orders dash --config orders.toml --journal              of an engine that does not run
  execlayer orders send signal.json --config orders.toml --wait
  execlayer orders cancel 7 --config orders.toml
  execlayer orders verify --config orders.toml --security
  execlayer orders replay --config orders.toml --with other.toml
  execlayer orders drill --config orders.toml"""

REFRESH_SECONDS = 1.0


def describe(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("action", choices=list(ACTIONS))
    parser.add_argument("what", nargs="?", help="send: a file, - for stdin; cancel, speed-up: an order; thaw: a sender")
    parser.add_argument(
        "--config", type=Path, default=Path("orders.toml"), metavar="FILE", help="the engine's settings"
    )
    parser.add_argument("--results", action="store_true", help="run: print outcomes, and count them as taken")
    parser.add_argument("--wait", action="store_true", help="send: until the orders have ended")
    parser.add_argument("--source", type=int, default=1, metavar="N", help="send: which source the signals come from")
    parser.add_argument(
        "--journal", action="store_true", help="status, dash: read the journal, whether an engine runs or not"
    )
    parser.add_argument("--security", action="store_true", help="verify: look at keys, limits, encryption and so on")
    parser.add_argument("--with", dest="other", type=Path, metavar="FILE", help="replay: the other settings")


def run(options: argparse.Namespace) -> int:
    """Does what was asked."""
    from ..orders.settings import load

    settings = load(options.config, environ=os.environ)
    return ACTIONS[options.action](settings, options)


# ---- a running engine -----------------------------------------------------------------------------------------------


def _run(settings: OrderSettings, options: argparse.Namespace) -> int:
    import trio

    from ..orders.keys import auth_keys, relay_identity, sender_keys
    from ..orders.monitor import Alert
    from ..orders.settings import load
    from ..orders.signers import outside_signers
    from . import orders_run

    def alert(one: Alert) -> None:
        told = {"event": "alert", **asdict(one)}
        print(json.dumps(told) if options.json else f"{one.level}: {one.name}: {one.text}", file=sys.stderr)

    keys, identity = sender_keys(settings), relay_identity(settings)
    shown = orders_run.Shown(json=options.json, results=options.results)
    read = partial(load, options.config, environ=os.environ)
    signers = outside_signers(settings)
    trio.run(orders_run.run, settings, keys, signers, identity, auth_keys(settings), alert, shown, read)
    return DONE


def _ask(settings: OrderSettings, do: str, **request: Any) -> Any:
    import trio

    from ..orders.control import ask

    return trio.run(lambda: ask(settings.control, do=do, **request))


def _picture(settings: OrderSettings, options: argparse.Namespace) -> dict[str, Any]:
    """What a running engine says of itself, or what its journal says of it."""
    from ..orders.journals import picture

    told: dict[str, Any] = picture(settings) if options.journal else _ask(settings, "status")
    return told


def _status(settings: OrderSettings, options: argparse.Namespace) -> int:
    told = _picture(settings, options)
    if options.json:
        print(json.dumps(told))
    else:
        from .orders_status import lines

        print("\n".join(lines(told)))
    return DONE if options.journal or (told["ready"] and not told["halted"] and not told["cut_off"]) else REFUSED


def _dash(settings: OrderSettings, options: argparse.Namespace) -> int:
    import time

    from rich.live import Live

    from .orders_status import panel

    if options.json or not sys.stdout.isatty():
        return _status(settings, options)
    with Live(panel(_picture(settings, options)), auto_refresh=False, screen=True) as live:
        while True:
            time.sleep(REFRESH_SECONDS)
            live.update(panel(_picture(settings, options)), refresh=True)


def _tell(do: str, name: str | None = None) -> Callable[[OrderSettings, argparse.Namespace], int]:
    def tell(settings: OrderSettings, options: argparse.Namespace) -> int:
        request: dict[str, Any] = {}
        if name is not None:
            request[name] = _what(options, "an order's number" if name == "order" else "a sender's address")
        if name == "order":
            if not request[name].isdecimal():
                raise _wrong(options, "an order's number")
            request[name] = int(request[name])
        _ask(settings, do, **request)
        if options.json:
            print(json.dumps({"done": do, **request}))
        return DONE

    return tell


def _what(options: argparse.Namespace, expected: str) -> str:
    if options.what is None:
        raise _wrong(options, expected)
    return str(options.what)


def _wrong(options: argparse.Namespace, expected: str) -> InvalidArgument:
    text = f"{options.action} wants {expected}"
    return InvalidArgument(text, field=options.action, value=options.what, expected=expected)


def _send(settings: OrderSettings, options: argparse.Namespace) -> int:
    import trio

    from . import orders_send

    held = _read(options)
    signals = orders_send.signals(held, settings)
    reports = trio.run(lambda: orders_send.send(settings, signals, source=options.source, wait=options.wait))
    for one in reports:
        print(json.dumps(one) if options.json else orders_send.line(one))
    return REFUSED if any(one["failure"] for one in reports) else DONE


def _read(options: argparse.Namespace) -> str:
    what = _what(options, "a file of signals, or -")
    if what == "-":
        return sys.stdin.read()
    try:
        return Path(what).read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        text = f"can't read signals from {what}: {reason}"
        raise InvalidArgument(text, field="send", value=what, expected="a file of signals") from error


# ---- a journal ------------------------------------------------------------------------------------------------------


def _verify(settings: OrderSettings, options: argparse.Namespace) -> int:
    from ..orders.journals import verify
    from ..orders.keys import sender_keys

    if options.security:
        return _security(settings, options)
    figures = verify(settings, sender_keys(settings))
    if options.json:
        print(json.dumps(figures))
    else:
        first = figures["first_record"]
        since = "" if first == 1 else f", from record {first} on: older ones have gone, as journal.retain wants"
        print(f"every decision and every signed byte is what the journal says{since}")
        print("\n".join(_figures(figures)))
    return DONE


def _security(settings: OrderSettings, options: argparse.Namespace) -> int:
    import trio

    from ..orders.security import at_signers, findings, on_chain

    found = [*findings(settings), trio.run(at_signers, settings), trio.run(on_chain, settings)]
    for one in found:
        print(
            json.dumps(asdict(one)) if options.json else f"{'ok  ' if one.holds else 'FAIL'}  {one.name:<14}{one.text}"
        )
    return DONE if all(one.holds for one in found) else REFUSED


def _replay(settings: OrderSettings, options: argparse.Namespace) -> int:
    from ..orders.journals import what_if
    from ..orders.keys import sender_keys
    from ..orders.settings import load

    if options.other is None:
        return _verify(settings, options)
    told = what_if(settings, sender_keys(settings), load(options.other, environ=os.environ))
    if options.json:
        figures = {name: {"was": was, "would": would} for name, (was, would) in told.figures.items()}
        print(json.dumps({**figures, "orders": told.orders}))
    else:
        for name, (was, would) in told.figures.items():
            print(f"{name:<22}{was!s:>28}  {would if would != was else 'the same'!s}")
        for order in told.orders:
            print(f"order {order['order_id']}: {_fate(order['was'])}; would be {_fate(order['would'])}")
    return DONE


def _fate(fate: dict[str, Any]) -> str:
    end = fate["state"] if fate["failure"] is None else f"{fate['state']} ({fate['failure']})"
    return f"{end}, {fate['signed']} signed, fees up to {fate['max_fee']}, {fate['realized_wei']} wei"


def _drill(settings: OrderSettings, options: argparse.Namespace) -> int:
    from ..orders.journals import drill
    from ..orders.keys import sender_keys

    done = drill(settings, sender_keys(settings))
    if options.json:
        print(json.dumps(asdict(done)))
    else:
        print(f"{done.files} files restored, {done.live_orders} orders live; snapshot and records agree")
        print("\n".join(_figures(done.figures)))
    return DONE


def _figures(figures: dict[str, Any]) -> list[str]:
    from ..orders.journals import COMPARED

    return [f"  {name:<20}{figures[name]:>28,}" for name in COMPARED]


ACTIONS: dict[str, Callable[[OrderSettings, argparse.Namespace], int]] = {
    "run": _run,
    "status": _status,
    "dash": _dash,
    "send": _send,
    "cancel": _tell("cancel", "order"),
    "speed-up": _tell("speed_up", "order"),
    "halt": _tell("halt"),
    "resume": _tell("resume"),
    "thaw": _tell("thaw", "sender"),
    "verify": _verify,
    "replay": _replay,
    "drill": _drill,
}

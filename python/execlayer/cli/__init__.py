"""The command ``execlayer``: one file for each subcommand. What the exit codes mean stands in ``codes.py``."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from keyword import iskeyword
from types import ModuleType
from typing import Any

from ..errors import ExeclayerError
from .codes import INTERRUPTED, REFUSED

COMMANDS = {
    "node": "run a devnet or a durable node with JSON-RPC",
    "run": "run bytecode or a file of blocks",
    "import": "import blocks from a file",
    "export": "export blocks to a file",
    "snapshot": "write, restore or verify the whole state as one file",
    "prove": "prove an account, a slot, a transaction or a receipt",
    "verify": "verify such a proof without a chain",
    "store": "look after a chain's store",
    "orders": "run an order engine, and look after one",
    "statetest": "run Ethereum's public state tests",
    "blocktest": "run Ethereum's public blockchain tests",
    "t8n": "execute one block over given accounts (transition tool)",
    "config": "check or show settings",
    "completion": "print the completion for a shell",
}
"""Each is a module beside this one, with ``describe(parser)`` and ``run(arguments) -> exit code``."""


def module(command: str) -> ModuleType:
    """The module of a command; a name that Python keeps for itself has an underscore behind it."""
    return import_module(f".{command}_" if iskeyword(command) else f".{command}", __name__)


REFUSALS = (ExeclayerError, OSError, UnicodeDecodeError)
"""What is said in one line; anything else is a bug of ours."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        return int(module(options.command).run(options))
    except KeyboardInterrupt:
        return INTERRUPTED
    except (*REFUSALS, BaseExceptionGroup) as error:
        reason = _refusal(error)
        if reason is None:
            raise
        if isinstance(reason, BrokenPipeError):
            # Whoever read us has gone, like `head` when it has enough. Nothing can be said any more, so what is still
            # buffered goes nowhere.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return REFUSED
        if options.json:
            print(json.dumps({"error": type(reason).__name__, "message": str(reason)}))
        else:
            print(f"execlayer: {reason}", file=sys.stderr)
        return REFUSED


def _refusal(error: BaseException) -> BaseException | None:
    """The refusal behind what was raised, the first of several: services raise in groups. None where there is anything
    else in it."""
    if isinstance(error, BaseExceptionGroup):
        inner = [_refusal(one) for one in error.exceptions]
        return None if None in inner else inner[0]
    return error if isinstance(error, REFUSALS) else None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="execlayer",
        description="A blockchain execution layer: devnet, durable node, tools.",
        epilog="examples:\n  execlayer node\n  execlayer run 602a60005260206000f3\n  execlayer statetest tests/\n"
        "\nexit codes: 0 done, 1 refused or failed, 2 wrong usage; see docs/cli.md",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, help="print the version and exit")
    parser.add_argument(
        "-v", action=_Version, form="evm version {}", help="the same as tools that fill tests expect it"
    )
    commands = parser.add_subparsers(dest="command", metavar="command", required=True)
    for name, summary in COMMANDS.items():
        described = module(name)
        command = commands.add_parser(
            name,
            help=summary,
            description=described.__doc__,
            epilog=described.EXAMPLES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_argument("--json", action="store_true", help="say everything as JSON, one object a line")
        described.describe(command)
    return parser


class _Version(argparse.Action):
    """Asks Rust for the version only when somebody asks us."""

    def __init__(self, option_strings: Sequence[str], dest: str, form: str = "{}", **more: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, **more)
        self.form = form

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from .._core import __version__

        print(self.form.format(__version__))
        parser.exit()

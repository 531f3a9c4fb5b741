"""The command ``execlayer``: one file for each subcommand.

Exit codes: 0 done, 1 refused (the reason is one line on stderr, or one JSON object with ``--json``), 2 wrong usage, 130
interrupted.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from ..errors import ExeclayerError

COMMANDS = {
    "node": "run a devnet or a durable node with JSON-RPC",
    "config": "check or show settings",
}
"""Each is a module beside this one, with ``describe(parser)`` and ``run(arguments) -> exit code``."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        return int(import_module(f".{options.command}", __name__).run(options))
    except KeyboardInterrupt:
        return 130
    except (ExeclayerError, OSError, BaseExceptionGroup) as error:
        reason = _refusal(error)
        if reason is None:
            raise
        if isinstance(reason, BrokenPipeError):
            # Whoever read us has gone, like `head` when it has enough. Nothing can be said any more, so what is still
            # buffered goes nowhere.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        if options.json:
            print(json.dumps({"error": type(reason).__name__, "message": str(reason)}))
        else:
            print(f"execlayer: {reason}", file=sys.stderr)
        return 1


def _refusal(error: BaseException) -> BaseException | None:
    """The refusal behind what was raised, the first of several: services raise in groups. None where there is anything
    else in it."""
    if isinstance(error, BaseExceptionGroup):
        inner = [_refusal(one) for one in error.exceptions]
        return None if None in inner else inner[0]
    return error if isinstance(error, ExeclayerError | OSError) else None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="execlayer",
        description="A blockchain execution layer: devnet, durable node, tools.",
        epilog="examples:\n  execlayer node\n  execlayer node --data devnet --block-time 2\n  execlayer config show",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version)
    commands = parser.add_subparsers(dest="command", metavar="command", required=True)
    for name, summary in COMMANDS.items():
        module = import_module(f".{name}", __name__)
        command = commands.add_parser(
            name,
            help=summary,
            description=module.__doc__,
            epilog=module.EXAMPLES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_argument("--json", action="store_true", help="say everything as JSON, one object a line")
        module.describe(command)
    return parser


class _Version(argparse.Action):
    """Asks Rust for the version only when somebody asks us."""

    def __init__(self, option_strings: Sequence[str], dest: str) -> None:
        super().__init__(option_strings, dest, nargs=0, help="print the version and exit")

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from .._core import __version__

        print(__version__)
        parser.exit()

"""Run a node: a chain in memory or in a folder, JSON-RPC, and a block as soon as a transaction waits.

It prints the funded accounts with their keys and the address of JSON-RPC, then every block. Ctrl-C ends it.
"""

from __future__ import annotations

import argparse
import sys

from . import settings

EXAMPLES = """examples:
  execlayer node                                  a devnet in memory
  execlayer node --data devnet                    one that survives a restart
  execlayer node --block-time 2 --port 0          a block every two seconds, on any free port
  execlayer node --data copy --genesis genesis.json --follow http://127.0.0.1:8545
  execlayer node --json | jq -r .event            for programs"""


def describe(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    settings.describe(parser)


def run(options: argparse.Namespace) -> int:
    """Runs until it is interrupted."""
    import trio

    from ..node import tree
    from ..node.display import Display, Json, Live, Plain

    config = settings.read(options)
    display: Display
    if options.json:
        display = Json(sys.stdout)
    elif sys.stdout.isatty():
        from rich.console import Console

        display = Live(Console())
    else:
        display = Plain(sys.stdout)
    trio.run(tree.run, config, display)
    return 0

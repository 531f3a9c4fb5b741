"""Snapshots: the whole state after a block as one file, and a chain out of such a file.

``write`` takes it from a folder's chain, ``restore`` fills an empty folder, ``verify`` reads a file from end to end and
keeps nothing. Everything is verified on the way: blocks, state root, lattice hash.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from . import progress
from .codes import DONE

if TYPE_CHECKING:
    from .. import _core

EXAMPLES = """examples:
  execlayer snapshot write chain.snapshot --data chain              the state after the newest block
  execlayer snapshot write chain.snapshot --data chain --at 100     after block 100
  execlayer snapshot restore chain.snapshot --data copy             another folder
  execlayer snapshot verify chain.snapshot --json                   is it whole, and right?"""


def describe(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("action", choices=["write", "restore", "verify"])
    parser.add_argument("file", help="the snapshot")
    parser.add_argument("--data", metavar="DIR", help="the chain's folder; ``restore`` makes it")
    parser.add_argument(
        "--genesis", metavar="FILE", help="its genesis.json; default: the folder's, or the development chain"
    )
    parser.add_argument(
        "--at", metavar="BLOCK", default="latest", help="write: after which block (number, hash or tag)"
    )
    parser.add_argument("--trusted", metavar="HASH", help="restore: the hash of the block that it has to be of")
    parser.set_defaults(refuse=parser.error)


def run(options: argparse.Namespace) -> int:
    """Does what was asked, and says of what the snapshot is."""
    from .. import _core
    from ..chain import Chain

    if options.action != "verify" and options.data is None:
        options.refuse(f"{options.action} wants --data")
    genesis = None if options.genesis is None else Path(options.genesis)
    with progress.line(_told, quiet=options.json) as watch:
        if options.action == "verify":
            summary = _core.verify_snapshot(options.file, watch)
        elif options.action == "write":
            summary = _write(options, genesis, watch)
        else:
            # The last thing that the watch is told is the whole.
            told: list[_core.Snapshot] = []

            def keep(summary: _core.Snapshot) -> None:
                told[:] = [summary]
                if watch is not None:
                    watch(summary)

            Chain.restore(options.file, options.data, genesis, trusted=options.trusted, progress=keep).close()
            summary = told[0]
    if options.json:
        fields = ("number", "hash", "genesis", "lattice", "accounts", "slots", "bytes")
        print(json.dumps({name: getattr(summary, name) for name in fields}))
    else:
        print(f"block {summary.number} {summary.hash}: {_told(summary)}")
    return DONE


def _write(options: argparse.Namespace, genesis: Path | None, watch: progress.Tell | None) -> _core.Snapshot:
    from ..chain import Chain

    if not Path(options.data).is_dir():
        raise FileNotFoundError(f"no chain in {options.data}")
    at = int(options.at) if options.at.isdecimal() else options.at
    with Chain.open(options.data, genesis, read_only=True) as chain:
        return chain.snapshot(options.file, at, progress=watch)


def _told(summary: _core.Snapshot) -> str:
    return f"{summary.accounts:,} accounts, {summary.slots:,} slots, {summary.bytes:,} bytes"

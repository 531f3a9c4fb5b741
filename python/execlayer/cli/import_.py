"""Import blocks from a file into the chain of a folder: RLP, one block after the other, as geth exports them.

Every root is checked. What is there already is passed over, so that an import that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from . import progress
from .codes import DONE

EXAMPLES = """examples:
  execlayer import --genesis genesis.json --data chain chain.rlp    into a folder, which is made where it is missing
  execlayer import --genesis genesis.json chain.rlp                 into memory: to see whether all is right
  execlayer import --data chain more.rlp --json                     on top of what is there, for programs
  execlayer import --data chain mainnet.rlp --seals                 with the seals of proof of work"""


def describe(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("file", help="the blocks")
    parser.add_argument(
        "--genesis", metavar="FILE", help="geth's genesis.json; default: the folder's, or the development chain"
    )
    parser.add_argument("--data", metavar="DIR", help="the chain's folder; without it nothing is kept")
    parser.add_argument("--seals", action="store_true", help="verify the seals of proof of work, too")
    parser.add_argument(
        "--durability",
        choices=("full", "batched", "none"),
        default="full",
        help="when blocks are on disk: each, several at once, when the system likes (default full)",
    )


def run(options: argparse.Namespace) -> int:
    """Imports the blocks and says where that led."""
    from .. import _core
    from ..chain import Chain

    def show(blocks: int, octets: int, height: int) -> str:
        return f"{blocks:,} blocks, {octets / 2**20:.1f} MiB, at height {height:,}"

    genesis = None if options.genesis is None else Path(options.genesis)
    settings = {"seals": options.seals, "durability": options.durability}
    opened = Chain.dev(genesis, **settings) if options.data is None else Chain.open(options.data, genesis, **settings)
    with opened as chain:
        with progress.line(show, quiet=options.json) as watch:
            told = _core.import_blocks(chain.core, options.file, watch)
        head = chain.head
        if options.json:
            print(json.dumps({**told, "head": head.number, "hash": head.hash, "state_root": head.state_root}))
        else:
            known = f" ({told['known']} were there already)" if told["known"] else ""
            print(f"{told['blocks']} blocks imported{known}; head is block {head.number} {head.hash}")
    return DONE

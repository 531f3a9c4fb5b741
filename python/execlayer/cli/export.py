"""Export the canonical blocks of a folder's chain to a file, as ``execlayer import`` and geth read them."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from . import progress
from .codes import DONE

EXAMPLES = """examples:
  execlayer export --data chain chain.rlp                           everything after the first block
  execlayer export --data chain part.rlp --first 100 --last 199     a hundred blocks
  execlayer export --data chain chain.rlp --json"""


def describe(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("file", help="where the blocks go; what is there is overwritten")
    parser.add_argument("--data", required=True, metavar="DIR", help="the chain's folder")
    parser.add_argument(
        "--genesis", metavar="FILE", help="its genesis.json; default: the folder's, or the development chain"
    )
    parser.add_argument("--first", type=height, default=1, metavar="N", help="the first height (default 1)")
    parser.add_argument("--last", type=height, metavar="N", help="the last height (default: the head's)")


def height(text: str) -> int:
    """A block's number."""
    number = int(text)
    if not 0 <= number < 2**63:
        raise ValueError(text)
    return number


def run(options: argparse.Namespace) -> int:
    """Exports the blocks and says how many."""
    from .. import _core
    from ..chain import Chain

    if not Path(options.data).is_dir():
        raise FileNotFoundError(f"no chain in {options.data}")
    genesis = None if options.genesis is None else Path(options.genesis)
    with Chain.open(options.data, genesis, read_only=True) as chain:
        last = chain.head.number if options.last is None else options.last
        with progress.line(lambda blocks: f"{blocks:,} blocks", quiet=options.json) as watch:
            written = _core.export_blocks(chain.core, options.file, options.first, last, watch)
    octets = Path(options.file).stat().st_size
    if options.json:
        print(json.dumps({"blocks": written, "bytes": octets}))
    else:
        print(f"{written} blocks, {octets:,} bytes")
    return DONE

"""Look after the store in a chain's folder: what it holds, whether all of it is right, and without what is free.

``check`` reads every row, then the newest state as rows and as a trie, each node against its hash, and holds both
against the head's header. ``compact`` needs that nobody else has the folder open.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from .codes import DONE, REFUSED

EXAMPLES = """examples:
  execlayer store stat chain                    rows and bytes by family
  execlayer store check chain                   reads everything; a line for each thing that is wrong
  execlayer store compact chain --json          gives back what is free in the file"""


def describe(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("action", choices=["stat", "check", "compact"])
    parser.add_argument("folder", help="the chain's folder")


def run(options: argparse.Namespace) -> int:
    """Does what was asked."""
    if not Path(options.folder).is_dir():
        raise FileNotFoundError(f"no store in {options.folder}")
    actions = {"stat": _stat, "check": _check, "compact": _compact}
    return actions[options.action](options)


def _stat(options: argparse.Namespace) -> int:
    from .. import _core

    stat = _core.store_stat(options.folder)
    if options.json:
        families = {name: {"rows": rows, "bytes": octets} for name, (rows, octets) in stat["families"].items()}
        print(json.dumps({**stat, "families": families}))
        return DONE
    for name, (rows, octets) in stat["families"].items():
        print(f"{name:<20}{rows:>14,} rows{octets:>16,} bytes")
    print(f"{'file':<20}{'':>19}{stat['file_bytes']:>16,} bytes, {stat['free_bytes']:,} of them free")
    return DONE


def _check(options: argparse.Namespace) -> int:
    from .. import _core

    found = _core.store_check(options.folder)
    faults = found["faults"]
    if options.json:
        print(json.dumps(found))
    else:
        for fault in faults:
            print(fault)
        if found["block"] is not None:
            print(f"state after block {found['block']}: {found['accounts']:,} accounts, {found['slots']:,} slots")
        print(f"{found['rows']:,} rows read, {len(faults)} wrong")
    return REFUSED if faults else DONE


def _compact(options: argparse.Namespace) -> int:
    from .. import _core

    before, after = _core.store_compact(options.folder)
    if options.json:
        print(json.dumps({"before": before, "after": after}))
    else:
        print(f"{before:,} bytes before, {after:,} after")
    return DONE

"""What ``statetest`` and ``blocktest`` share: options, progress, report."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from typing import Any

from . import progress
from .codes import DONE, REFUSED


def describe(parser: argparse.ArgumentParser) -> None:
    """Adds the options."""
    parser.add_argument("paths", nargs="+", metavar="PATH", help="a file, a folder, or a tar archive, packed or not")
    parser.add_argument("--fork", metavar="NAME", help="only cases of this fork, such as Cancun or BerlinToLondonAt5")
    parser.add_argument("--match", metavar="TEXT", help="only cases whose name contains this")
    parser.add_argument(
        "--jobs", type=jobs, default=0, metavar="N", help="cases at a time (default: one for each core)"
    )


def jobs(text: str) -> int:
    """A number of jobs."""
    number = int(text)
    if not 1 <= number <= 1024:
        raise ValueError(text)
    return number


def run(tests: Callable[..., dict[str, Any]], options: argparse.Namespace) -> int:
    """Runs the tests and prints what came of them."""

    def show(known: int, done: int, failed: int) -> str:
        return f"{done:,} of {known:,} cases, {failed:,} failed"

    with progress.line(show, quiet=options.json) as watch:
        report = tests(options.paths, fork=options.fork, matching=options.match, jobs=options.jobs, watch=watch)
    failed, skipped = report["failed"], sum(report["skipped"].values())
    if options.json:
        for failure in failed:
            print(json.dumps({"event": "failure", **failure}))
        counts = {"passed": report["passed"], "failed": len(failed), "skipped": skipped, "reasons": report["skipped"]}
        print(json.dumps({"event": "end", **counts}))
    else:
        for failure in failed:
            print(_line(failure))
        for reason, count in report["skipped"].items():
            print(f"skipped: {count} ({reason})")
        print(f"{report['passed']} passed, {len(failed)} failed, {skipped} skipped")
    return REFUSED if failed else DONE


def _line(failure: dict[str, Any]) -> str:
    place = ": ".join(part for part in (failure["file"], failure["case"]) if part)
    more = "".join(f"; {detail}" for detail in failure["details"])
    return f"{place}: {failure['field']} is {failure['actual']}, should be {failure['expected']}{more}"

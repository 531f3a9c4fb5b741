"""Measures the promises of an area and prints them: `python -m asv_bench.promises AREA [--json FILE]`.

Exits 0 whatever falls short: a figure is information. Exits 2 for an area that nobody measures, and 1 when a producer
could not be run or gave a wrong answer, which is then named in place of its row.
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from asv_bench.promises.row import Row, WrongAnswer

ROOT = Path(__file__).resolve().parents[2]
Producer = Callable[[], Iterator[Row | WrongAnswer]]


def compare(section: str) -> Producer:
    """Rows of a section of `rust/compare`."""
    return cargo("run", "--release", "--manifest-path", "rust/compare/Cargo.toml", "--", section)


def cargo(verb: str, *arguments: str) -> Producer:
    """Rows that a Rust program prints, one JSON object a line; its remarks go to stderr."""

    def rows() -> Iterator[Row | WrongAnswer]:
        command = ["cargo", verb, "--quiet", *arguments]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                try:
                    yield Row.from_json(json.loads(line))
                except WrongAnswer as wrong:
                    yield wrong
        if process.returncode:
            yield WrongAnswer(f"{' '.join(command)} ended with exit code {process.returncode}")

    return rows


def python(module: str) -> Producer:
    """Rows of a module of this package."""

    def rows() -> Iterator[Row | WrongAnswer]:
        try:
            yield from importlib.import_module(f"asv_bench.promises.{module}").rows()
        except WrongAnswer as wrong:
            yield wrong

    return rows


AREAS: dict[str, list[Producer]] = {
    "blocks": [
        compare("blocks"),
        cargo("bench", "--package", "execlayer-chain", "--bench", "import", "--", "--json"),
        python("mining"),
        python("scripting"),
    ],
    "evm": [compare("evm"), python("calls")],
    "orders": [
        cargo("bench", "--package", "execlayer-orders", "--bench", "promises", "--", "--json"),
        python("orders"),
        python("order_load"),
        python("order_chain"),
        python("order_presim"),
    ],
    "parallel": [
        cargo(
            *("bench", "--package", "execlayer-exec", "--bench", "parallel", "--", "--json"),
            *("--plot", str(ROOT / "bench-parallel.svg")),
        )
    ],
    "pool": [
        cargo("bench", "--package", "execlayer-pool", "--bench", "pool", "--", "--json"),
        cargo("bench", "--package", "execlayer-chain", "--bench", "pipeline", "--", "--json"),
    ],
    "recover": [
        cargo("bench", "--package", "execlayer-kernels", "--bench", "recover", "--", "--json"),
        python("batches"),
    ],
    "rpc": [python("wire")],
    "state": [compare("state")],
    "store": [cargo("bench", "--package", "execlayer-store", "--bench", "reads", "--", "--json")],
}


def main(arguments: list[str]) -> int:
    """Runs the command line."""
    parser = argparse.ArgumentParser(prog="make bench", description="Promises about speed, measured here and now.")
    parser.add_argument("area", choices=[*AREAS, "all"], nargs="?", default="all")
    parser.add_argument("--json", type=Path, default=None, help="where to write the rows (default: bench-AREA.json)")
    options = parser.parse_args(arguments)
    areas = list(AREAS) if options.area == "all" else [options.area]

    # In a pipe there is no width to fit into.
    console = Console() if sys.stdout.isatty() else Console(width=160)
    table = Table("area", "promise", "ours", "theirs", "ratio", "target", "verdict")
    kept: list[dict[str, object]] = []
    refused: list[str] = []
    for area in areas:
        for producer in AREAS[area]:
            for row in producer():
                if isinstance(row, WrongAnswer):
                    refused.append(f"{area}: {row}")
                    continue
                fields = row.to_json()
                kept.append({"area": area, **fields})
                theirs = "" if row.theirs is None else f"{row.theirs:,.3g} ({row.rival})"
                sign = {"faster": "≥", "at_least": "≥", "at_most": "≤"}[row.kind]
                target = f"{sign} {row.target:g}" + ("x" if row.kind == "faster" else "")
                ours = f"{row.ours:,.4g} {row.unit}"
                name = f"{row.name}\n[dim]{row.note}[/dim]" if row.note else row.name
                table.add_row(area, name, ours, theirs, f"{row.ratio:.2f}x", target, str(fields["verdict"]))
    console.print(table)
    for reason in refused:
        print(f"refused: {reason}", file=sys.stderr)
    path = options.json or ROOT / f"bench-{options.area}.json"
    path.write_text(json.dumps({"rows": kept, "refused": refused}, indent=2) + "\n")
    print(f"written to {path.name}")
    return 1 if refused else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

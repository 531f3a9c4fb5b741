"""What a machine can check about the shape of the code, so that no reviewer has to.

The two graphs below are the ones of docs/architecture.md. A new edge is a decision: it needs a sentence there and a
word here.
"""

from __future__ import annotations

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

RUST_EDGES: dict[str, set[str]] = {
    "types": set(),
    "kernels": set(),
    "state": {"types", "kernels"},
    "evm": {"types", "state"},
    "exec": {"types", "state", "evm"},
    "pool": {"types", "kernels", "evm"},
    "store": {"types", "state"},
    "chain": {"types", "kernels", "state", "evm", "exec", "pool", "store"},
    "orders": {"types", "kernels"},
    "rpc": {"chain"},
    "py": {"chain", "rpc", "orders"},
}

# Each floor may use the floors before it, and rooms of its own floor only as listed in PYTHON_NEIGHBOURS.
PYTHON_FLOORS: list[set[str]] = [
    {"errors", "config", "observe", "units", "artifacts", "_core"},
    {"chain", "pool", "accounts", "contract", "upstream", "results", "proofs", "spec", "trace", "evm"},
    {"models", "extensions", "follower", "orders", "producer", "server", "testing"},
    {"node"},
    {"cli"},
]
PYTHON_NEIGHBOURS: dict[str, set[str]] = {
    "errors": {"_core"},
    "units": {"errors"},
    "config": {"errors", "units"},
    "artifacts": {"_core"},
    "chain": {"accounts", "pool", "results", "proofs", "spec", "trace", "evm"},
    "evm": {"accounts", "spec", "trace"},
    "proofs": {"accounts"},
    "accounts": {"results"},
    "contract": {"accounts", "results"},
    "testing": {"server"},
}
ORDERS_MAY_USE = {"upstream", "errors", "config", "observe", "artifacts", "_core"}

LONGEST_FILE = 700
# Tables and generated text; each with the reason that it is long.
LONG_ON_PURPOSE: dict[str, str] = {
    "python/execlayer/errors.py": "a table: one class for each reason",
    "python/execlayer/_core.pyi": "a table: what the Rust module has, in the one file that a stub can be",
}

BANNED_STEMS = {"utils", "util", "misc", "common", "manager", "base", "helpers"}
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|todo!|unimplemented!)(?![\w])")
MACHINE_PATH = re.compile(r"(?<![\w.])/(?:work|root|home/\w+)/")


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [path for name in listed.stdout.splitlines() if (path := ROOT / name).is_file()]


def source_files() -> list[Path]:
    return tracked("*.rs", "*.py", "*.pyi")


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("room", sorted(RUST_EDGES))
def test_rust_rooms_use_only_what_the_architecture_allows(room: str) -> None:
    manifest = tomllib.loads((ROOT / "rust" / room / "Cargo.toml").read_text())
    used = {name for name in manifest.get("dependencies", {}) if name in RUST_EDGES}
    assert used <= RUST_EDGES[room], f"rust/{room} reaches for {sorted(used - RUST_EDGES[room])}"


def test_every_rust_room_of_the_workspace_is_in_the_graph() -> None:
    workspace = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]
    assert {member.removeprefix("rust/") for member in workspace["members"]} == set(RUST_EDGES)


def test_revm_is_a_rival_and_never_in_the_product() -> None:
    for manifest in tracked("rust/*/Cargo.toml"):
        room = manifest.parent.name
        if room in RUST_EDGES:
            names = tomllib.loads(manifest.read_text()).get("dependencies", {})
            assert "revm" not in names, f"rust/{room} depends on revm"


def imported_rooms(path: Path, package: Path) -> Iterator[str]:
    """Rooms of the package that a file imports, relative imports resolved; imports for type checkers count too."""
    module = [package.name, *path.relative_to(package).with_suffix("").parts]
    here = module if path.name != "__init__.py" else module[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parent = here[: len(here) - node.level + (path.name == "__init__.py")] if node.level else []
            stem = ".".join([*parent, *([node.module] if node.module else [])])
            targets = [f"{stem}.{alias.name}" for alias in node.names] if stem == package.name else [stem]
        else:
            continue
        for target in targets:
            parts = target.split(".")
            if parts[0] == package.name and len(parts) > 1:
                yield parts[1]


def test_python_rooms_use_only_what_the_architecture_allows() -> None:
    package = ROOT / "python" / "execlayer"
    floor_of = {room: floor for floor, rooms in enumerate(PYTHON_FLOORS) for room in rooms}
    wrong = []
    for path in tracked("python/execlayer/*.py"):
        room = path.relative_to(package).parts[0].removesuffix(".py")
        if room == "__init__" or room == "__main__":
            continue
        assert room in floor_of, f"{relative(path)}: room '{room}' is not in the graph"
        for used in set(imported_rooms(path, package)) & set(floor_of):
            allowed = used == room or floor_of[used] < floor_of[room] or used in PYTHON_NEIGHBOURS.get(room, set())
            if room == "orders":
                allowed = used == room or used in ORDERS_MAY_USE
            if not allowed:
                wrong.append(f"{relative(path)} imports {used}")
    assert not wrong, wrong


def test_files_stay_readable() -> None:
    long = {
        relative(path): length
        for path in source_files()
        if (length := len(path.read_text().splitlines())) > LONGEST_FILE and relative(path) not in LONG_ON_PURPOSE
    }
    assert not long, f"look for the seam: {long}"


def test_files_are_named_for_what_they_own() -> None:
    named = [relative(path) for path in source_files() if path.stem in BANNED_STEMS]
    assert not named, named


def test_every_rust_module_says_what_it_is_for() -> None:
    silent = [
        relative(path)
        for path in tracked("rust/*.rs")
        if path.stem != "tests" and "tests" not in path.parts and not path.read_text().startswith("//!")
    ]
    assert not silent, silent


def test_every_python_module_says_what_it_is_for() -> None:
    silent = [
        relative(path)
        for path in tracked("python/execlayer/*.py", "asv_bench/*.py")
        if path.stat().st_size and ast.get_docstring(ast.parse(path.read_text())) is None
    ]
    assert not silent, silent


def test_nothing_is_marked_unfinished() -> None:
    here = Path(__file__).resolve()
    marked = [
        f"{relative(path)}:{number}"
        for path in source_files()
        if path != here
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if UNFINISHED.search(line)
    ]
    assert not marked, marked


def test_no_path_of_a_machine_is_committed() -> None:
    here = Path(__file__).resolve()
    found = []
    for path in tracked():
        if path == here or path.suffix in {".lock", ".png"}:
            continue
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        found += [f"{relative(path)}: {match.group()}" for match in MACHINE_PATH.finditer(text)]
    assert not found, found


def test_unsafe_stays_in_its_rooms() -> None:
    allowed = ("rust/kernels/", "rust/store/src/lmdb", "rust/evm/src/")
    opened = [
        relative(path)
        for path in tracked("rust/*/src/*.rs")
        if re.search(r"allow\((?:[^)]*\b)?unsafe_code\b", path.read_text()) and not relative(path).startswith(allowed)
    ]
    assert not opened, opened


def test_every_unsafe_block_says_why_it_is_safe() -> None:
    """In a comment just above, or once above an `impl` of one-line intrinsics as `SAFETY, for all:`."""
    bare = []
    for path in tracked("rust/*/src/*.rs"):
        lines = path.read_text().splitlines()
        for number, line in enumerate(lines):
            if re.search(r"\bunsafe\s*\{", line) and not line.lstrip().startswith("//"):
                near = any(re.search(r"SAFETY[,:]", other) for other in lines[max(0, number - 6) : number + 1])
                if not near and not any("SAFETY, for all:" in other for other in lines[:number]):
                    bare.append(f"{relative(path)}:{number + 1}")
    assert not bare, bare


def test_every_test_asserts_something() -> None:
    """Without an assertion, a `raises`, a check or a wait for an event under the time limit a test can't fail."""
    empty = []
    for path in tracked("tests/*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not (isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")):
                continue
            text = ast.unparse(node)
            if not re.search(r"\bassert\b|raises\(|check_\w+\(|expect_\w+\(|\.wait\(\)", text):
                empty.append(f"{relative(path)}::{node.name}")
    assert not empty, empty

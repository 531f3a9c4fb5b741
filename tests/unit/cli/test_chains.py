"""``execlayer import``, ``export`` and ``store``: a chain goes out of a folder and into another."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from execlayer import Chain

from .conftest import Run

GENESIS = '{"config": {"chainId": 5}, "difficulty": "0x20000", "gasLimit": "0x1c9c380", "alloc": {}}'


@pytest.fixture
def grown(tmp_path: Path) -> Path:
    """A folder's chain of ten blocks, with its genesis beside it."""
    (tmp_path / "genesis.json").write_text(GENESIS)
    with Chain.open(tmp_path / "one", genesis=tmp_path / "genesis.json") as chain:
        for time in range(1, 11):
            chain.mine(timestamp=time * 12)
    return tmp_path


def test_what_was_exported_is_imported_again(run: Run, grown: Path) -> None:
    genesis, blocks = grown / "genesis.json", grown / "chain.rlp"
    code, out, _ = run("export", "--data", grown / "one", "--genesis", genesis, blocks)
    assert code == 0 and out == f"10 blocks, {blocks.stat().st_size:,} bytes\n"
    code, out, _ = run("import", "--genesis", genesis, "--data", grown / "two", blocks, "--json")
    told = json.loads(out)
    with Chain.open(grown / "one", genesis=genesis) as chain:
        assert code == 0 and (told["blocks"], told["known"], told["hash"]) == (10, 0, chain.head.hash)
    # Again: nothing is new, and a part of it goes on where the other was.
    assert "(10 were there already)" in run("import", "--genesis", genesis, "--data", grown / "two", blocks)[1]
    code, out, _ = run(
        "export", "--data", grown / "one", "--genesis", genesis, blocks, "--first", 3, "--last", 5, "--json"
    )
    assert code == 0 and json.loads(out)["blocks"] == 3


def test_blocks_that_are_wrong_are_refused_and_those_before_are_kept(run: Run, grown: Path) -> None:
    genesis, blocks = grown / "genesis.json", grown / "chain.rlp"
    run("export", "--data", grown / "one", "--genesis", genesis, blocks)
    (grown / "cut.rlp").write_bytes(blocks.read_bytes()[:-1])
    code, out, err = run("import", "--genesis", genesis, "--data", grown / "two", grown / "cut.rlp")
    assert (code, out, err.count("\n")) == (1, "", 1)
    with Chain.open(grown / "two", genesis=genesis) as chain:
        assert chain.head.number == 9
    (grown / "junk").write_bytes(b"\x00\xffjunk")
    code, out, err = run("import", "--genesis", genesis, grown / "junk", "--json")
    assert code == 1 and json.loads(out)["error"] == "MalformedBlock" and err == ""


def test_what_is_not_there_is_named(run: Run, grown: Path) -> None:
    genesis = grown / "genesis.json"
    for arguments in (
        ["import", "--genesis", genesis, grown / "absent.rlp"],
        ["import", "--genesis", grown / "absent.json", genesis],
        ["export", "--data", grown / "absent", grown / "out"],
        ["export", "--data", grown / "one", "--genesis", genesis, grown / "out", "--last", 11],
        ["store", "stat", grown / "absent"],
    ):
        code, out, err = run(*arguments)
        assert (code, out, err.count("\n")) == (1, "", 1), arguments
    (grown / "binary").write_bytes(b"\xff\xfe\x00")
    code, out, err = run("import", "--genesis", grown / "binary", genesis)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert not (grown / "absent").exists()


def test_a_folder_that_another_process_writes_can_be_exported_proven_and_written_as_a_snapshot(grown: Path) -> None:
    def ran(*arguments: object) -> str:
        command = [sys.executable, "-m", "execlayer", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    with Chain.open(grown / "one") as chain:
        assert ran("export", "--data", grown / "one", grown / "out").startswith("10 blocks")
        proof = json.loads(ran("prove", "0x" + "11" * 20, "--data", grown / "one", "--json"))
        assert proof["stateRoot"] == chain.head.state_root
        assert chain.head.hash in ran("snapshot", "write", grown / "snapshot", "--data", grown / "one")
        assert " rows" in ran("store", "stat", grown / "one")
        assert ran("store", "check", grown / "one").endswith(", 0 wrong\n")


def test_blocks_without_seals_are_refused_where_seals_count(run: Run, grown: Path) -> None:
    genesis, blocks = grown / "genesis.json", grown / "chain.rlp"
    run("export", "--data", grown / "one", blocks)
    code, out, err = run("import", "--genesis", genesis, "--data", grown / "two", blocks, "--seals")
    assert (code, out) == (1, "") and "mixHash" in err
    code, out, err = run("import", "--genesis", genesis, "--data", grown / "two", blocks, "--durability", "batched")
    assert (code, err) == (0, "") and out.startswith("10 blocks imported")


def test_a_store_is_counted_checked_and_compacted(run: Run, grown: Path) -> None:
    code, out, _ = run("store", "stat", grown / "one", "--json")
    stat = json.loads(out)
    assert code == 0 and stat["file_bytes"] > 0 and any(one["rows"] >= 11 for one in stat["families"].values())
    assert " rows" in run("store", "stat", grown / "one")[1]
    code, out, _ = run("store", "check", grown / "one")
    assert code == 0 and out.endswith("rows read, 0 wrong\n")
    assert out.startswith("state after block 10: ")
    told = json.loads(run("store", "check", grown / "one", "--json")[1])
    assert (told["block"], told["faults"]) == (10, [])
    code, out, _ = run("store", "compact", grown / "one", "--json")
    assert code == 0 and json.loads(out)["after"] <= json.loads(out)["before"]
    with Chain.open(grown / "one", genesis=grown / "genesis.json") as chain:
        assert chain.head.number == 10

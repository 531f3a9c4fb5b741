"""``execlayer statetest`` and ``blocktest``: reports, codes, archives, files that are none."""

from __future__ import annotations

import io
import json
import lzma
import re
import tarfile
from pathlib import Path

import pytest

from .conftest import Run, state_test, write

FIXTURES = Path(__file__).resolve().parents[4] / "shared" / "fixtures"
NO_LOGS = "0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347"
COMMANDS = ["statetest", "blocktest"]


def right(run: Run, tmp_path: Path) -> dict[str, object]:
    """A test that passes: its root is learnt from what the command says is wrong with it."""
    path = write(tmp_path / "learn.json", {"transfer": state_test(logs=NO_LOGS)})
    code, out, _ = run("statetest", path)
    found = re.search(r"state root is (0x[0-9a-f]{64}), should be 0x0{64}", out)
    assert code == 1 and found
    path.unlink()
    return state_test(logs=NO_LOGS, hash=found[1])


def test_a_case_passes_or_is_told_with_both_values(run: Run, tmp_path: Path) -> None:
    good = right(run, tmp_path)
    path = write(tmp_path / "tests.json", {"good": good, "wrong": state_test(logs="0x" + "11" * 32)})
    code, out, err = run("statetest", path)
    failure, count = out.splitlines()
    assert code == 1 and err == "" and count == "1 passed, 1 failed, 0 skipped"
    assert failure == f"{path}: wrong Cancun d0 g0 v0: logs hash is {NO_LOGS}, should be 0x{'11' * 32}"
    assert run("statetest", path, "--match", "good") == (
        0,
        "skipped: 1 (not asked for)\n1 passed, 0 failed, 1 skipped\n",
        "",
    )
    assert run("statetest", path, "--fork", "Berlin")[1].endswith("0 passed, 0 failed, 2 skipped\n")


def test_an_exception_that_is_expected_has_to_come_and_no_other(run: Run, tmp_path: Path) -> None:
    good = right(run, tmp_path)
    expected = "TransactionException.NONCE_MISMATCH_TOO_LOW"
    good["post"]["Cancun"][0]["expectException"] = expected  # type: ignore[index]
    _, out, _ = run("statetest", write(tmp_path / "a.json", {"x": good}))
    assert f"exception is none, should be {expected}" in out
    good["transaction"]["nonce"] = "0x05"  # type: ignore[index]
    _, out, _ = run("statetest", write(tmp_path / "b.json", {"x": good}))
    assert "exception is NONCE_MISMATCH_TOO_HIGH (nonce too high" in out and f"should be {expected}" in out


def test_programs_read_an_object_a_line(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("statetest", write(tmp_path / "a.json", {"x": state_test()}), "--json", "--jobs", 1)
    failure, end = (json.loads(line) for line in out.splitlines())
    assert code == 1 and (failure["event"], failure["field"], failure["expected"]) == (
        "failure",
        "logs hash",
        "0x" + "00" * 32,
    )
    assert end == {"event": "end", "passed": 0, "failed": 1, "skipped": 0, "reasons": {}}


@pytest.mark.parametrize("name", ["tests.tar", "tests.tar.gz", "tests.tar.xz"])
def test_an_archive_counts_like_a_folder(run: Run, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "tests" / "deep"
    folder.mkdir(parents=True)
    write(folder / "a.json", {"good": right(run, tmp_path)})
    write(folder / "other.json", {"vm": {"exec": {}}})
    expected = run("statetest", tmp_path / "tests")
    assert expected[1] == "skipped: 1 (no state test)\n1 passed, 0 failed, 1 skipped\n"
    mode = {"tar": "w", "gz": "w:gz", "xz": "w:xz"}[name.rpartition(".")[2]]
    with tarfile.open(tmp_path / name, mode) as archive:  # type: ignore[call-overload]
        archive.add(folder, "tests")
    assert run("statetest", tmp_path / name) == expected


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "not JSON"),
        (b"\x00\x01\xff junk", "not JSON"),
        (b"[1, 2]", "should be one of tests by name"),
        (b'{"a": {"env": 1}}', "without any"),
        (b"[" * 100_000, "not JSON"),
    ],
)
def test_a_file_that_is_no_test_fails(run: Run, tmp_path: Path, command: str, content: bytes, said: str) -> None:
    path = tmp_path / "it.json"
    path.write_bytes(content)
    code, out, err = run(command, path)
    assert (code, err) == (1, "") and said in out and out.endswith("0 passed, 1 failed, 0 skipped\n")


@pytest.mark.parametrize("command", COMMANDS)
def test_what_cannot_be_read_is_refused_in_one_line(run: Run, tmp_path: Path, command: str) -> None:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as archive:
        archive.add(write(tmp_path / "a.json", {"x": "y" * 10_000}), "a.json")
    cut = tmp_path / "cut.tar.xz"
    cut.write_bytes(lzma.compress(whole.getvalue())[:100])
    for path in (tmp_path / "absent.json", cut):
        code, out, err = run(command, path)
        assert (code, out, err.count("\n")) == (1, "", 1) and str(path) in err
    code, out, err = run(command, tmp_path / "a.json", "--fork", "Olympic", "--json")
    assert code == 1 and err == "" and json.loads(out)["error"] == "UnknownNetwork"


def test_a_malformed_test_is_named_and_the_others_run(run: Run, tmp_path: Path) -> None:
    good, broken = right(run, tmp_path), state_test()
    broken["transaction"] = {"data": 7}
    code, out, _ = run("statetest", write(tmp_path / "a.json", {"good": good, "broken": broken}))
    assert code == 1 and "broken: the test is malformed" in out and out.endswith("1 passed, 1 failed, 0 skipped\n")


def test_a_public_archive_passes_seals_of_work_included(run: Run) -> None:
    if not FIXTURES.is_dir():
        pytest.skip(f"public fixtures not found at {FIXTURES}")
    code, out, _ = run("blocktest", FIXTURES / "blockchain-frontier-to-cancun.tar.xz", "--match", "wrongMixHash")
    assert code == 0 and re.search(r"^7 passed, 0 failed, ", out, re.MULTILINE)
    code, out, _ = run("blocktest", FIXTURES / "blockchain-cancun.tar.xz", "--fork", "ParisToShanghaiAtTime15k")
    assert code == 0 and re.search(r"^[1-9]\d* passed, 0 failed, ", out, re.MULTILINE)

"""``execlayer run``: outcomes and their codes, traces, where code comes from."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from execlayer import Chain

from .conftest import Run

ANSWER = "602a60005260206000"
"""Puts the word 42 into memory, and what to do with it is still to be said."""


@pytest.mark.parametrize(
    ("code", "ended", "outcome"),
    [(ANSWER + "f3", 0, "success"), (ANSWER + "fd", 3, "revert"), ("fe", 4, "halt"), ("5b600056", 4, "halt")],
)
def test_the_code_says_how_it_ended(run: Run, code: str, ended: int, outcome: str) -> None:
    ran, out, _ = run("run", code, "--json", "--gas", 100_000)
    told = json.loads(out)
    assert (ran, told["outcome"]) == (ended, outcome)
    assert told["output"] == ("0x" + f"{42:064x}" if outcome != "halt" else "0x")
    assert (told["gas_used"] == 100_000) == (outcome == "halt")


def test_people_read_lines(run: Run) -> None:
    code, out, _ = run("run", "0x60016000a1", "--fork", "London")
    assert code == 4 and "outcome  halt: stack underflow" in out
    code, out, _ = run("run", "5f5fa000")
    assert code == 0 and "outcome  success" in out and "output   0x\n" in out and "log      0xCc" in out


def test_each_step_is_a_line(run: Run) -> None:
    _, out, _ = run("run", "6001600201", "--trace", "--memory")
    lines = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
    assert [line.get("opName") for line in lines] == ["PUSH1", "PUSH1", "ADD", "STOP", None]
    assert lines[2]["stack"] == ["0x1", "0x2"] and lines[-1]["pass"] is True


def test_steps_show_what_is_asked_for(run: Run) -> None:
    # The identity precompile gives back one byte of zero.
    code = "60015f60015f60045afa"

    def last(*flags: str) -> dict[str, object]:
        _, out, _ = run("run", code, "--trace", *flags)
        return dict([json.loads(line) for line in out.splitlines() if "opName" in line][-1])

    usual = last()
    assert usual["stack"] == ["0x1"] and "memory" not in usual and "returnData" not in usual
    more = last("--trace.memory", "--trace.returndata")
    assert more["memory"] == "0x" + "00" * 32 and more["returnData"] == "0x00"
    assert last("--trace.nostack") == usual | {"stack": None}


def test_code_comes_from_a_file_or_stdin(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = run("run", ANSWER + "f3")
    (tmp_path / "hex").write_text("0x" + ANSWER + "\nf3\n")
    (tmp_path / "bytes").write_bytes(bytes.fromhex(ANSWER + "f3"))
    for name in ("hex", "bytes"):
        assert run("run", f"@{tmp_path / name}") == wanted
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(ANSWER.encode() + b"f3")))
    assert run("run", "-") == wanted


def test_creation_call_data_and_value_reach_the_code(run: Run) -> None:
    _, out, _ = run("run", "60016000f3", "--create", "--json")
    assert json.loads(out)["created"].startswith("0x") and json.loads(out)["output"] == "0x00"
    # Returns call data's first word plus the value.
    _, out, _ = run("run", "5f3534015f5260205ff3", "--data", "0x" + f"{40:064x}", "--value", "2", "--json")
    assert int(json.loads(out)["output"], 16) == 42


@pytest.mark.parametrize(
    "arguments",
    [
        ["0xzz"],
        ["6"],
        ["00", "--data", "0x1"],
        ["00", "--fork", "Olympic"],
        ["00", "--gas", "20999"],
        ["00", "--gas", "-1"],
        ["00", "--value", "lots"],
        ["@absent"],
        ["00", "--genesis", "absent"],
    ],
)
def test_what_cannot_run_is_refused_in_one_line(run: Run, arguments: list[str]) -> None:
    code, out, err = run("run", *arguments)
    assert (code, out, err.count("\n")) == (1, "", 1), err


def test_a_file_of_blocks_runs_on_top_of_its_genesis(run: Run, tmp_path: Path) -> None:
    genesis = tmp_path / "genesis.json"
    genesis.write_text('{"config": {"chainId": 5}, "difficulty": "0x20000", "gasLimit": "0x1c9c380", "alloc": {}}')
    chain = Chain.dev(genesis)
    raw = b"".join(chain.mine(timestamp=time).raw for time in (10, 20))
    (tmp_path / "blocks").write_bytes(raw)
    code, out, _ = run("run", f"@{tmp_path / 'blocks'}", "--genesis", genesis, "--json")
    assert code == 0 and [json.loads(line)["number"] for line in out.splitlines()] == [1, 2]
    (tmp_path / "cut").write_bytes(raw[:-3])
    code, out, err = run("run", f"@{tmp_path / 'cut'}", "--genesis", genesis)
    assert (code, out, err.count("\n")) == (1, "", 1)

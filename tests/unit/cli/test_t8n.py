"""``execlayer t8n``: files and streams, what is refused, and the codes of the interface."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest

from execlayer import cli

from .conftest import SECRET, SENDER, Run, write

COINBASE = "0x2adc25665018aa1fe0e6bc666dac8fc2697ff9ba"


def inputs(**env: Any) -> dict[str, Any]:
    return {
        "alloc": {SENDER: {"balance": "0x0de0b6b3a7640000"}},
        "env": {
            "currentCoinbase": COINBASE,
            "currentGasLimit": "0x1000000",
            "currentNumber": "1",
            "currentTimestamp": "1000",
            "currentRandom": "0x00",
            "currentBaseFee": "0x7",
            "currentDifficulty": "0x20000",
            "withdrawals": [],
        }
        | env,
        "txs": [{"gas": "0x5208", "gasPrice": "0xa", "nonce": "0x0", "to": COINBASE, "value": "1", "secretKey": SECRET}]
        * 2,
    }


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with the inputs under their default names."""
    monkeypatch.chdir(tmp_path)
    for name, value in inputs().items():
        write(tmp_path / f"{name}.json", value)
    return tmp_path


def test_files_go_in_and_out(run: Run, folder: Path) -> None:
    done = run("t8n", "--state.fork=London", "--output.basedir=out", "--output.body=deep/txs.rlp", "--trace")
    assert done == (0, "", "")
    result = json.loads((folder / "out" / "result.json").read_text())
    assert [one["index"] for one in result["rejected"]] == [1] and "nonce too low" in result["rejected"][0]["error"]
    assert json.loads((folder / "out" / "alloc.json").read_text())[COINBASE]["balance"] == hex(21_000 * 3 + 1)
    name = result["receipts"][0]["transactionHash"]
    last = json.loads((folder / "out" / f"trace-0-{name}.jsonl").read_text().splitlines()[-1])
    assert last["gasUsed"] == "0x5208"
    # Its RLP may come in instead, as the interface writes it or bare.
    body = folder / "out" / "deep" / "txs.rlp"
    for text in (body.read_text(), json.loads(body.read_text())):
        body.write_text(text)
        _, out, _ = run(
            "t8n", "--state.fork=London", f"--input.txs={body}", "--output.result=stdout", "--output.alloc="
        )
        assert json.loads(out)["result"]["txRoot"] == result["txRoot"]


def test_traces_show_what_is_asked_for(run: Run, folder: Path) -> None:
    given = inputs()
    given["alloc"][COINBASE] = {"balance": "0x0", "code": "0x600160025500"}
    write(folder / "alloc.json", given["alloc"])
    write(folder / "txs.json", [given["txs"][0] | {"gas": "0x186a0"}])
    told = []
    for flags in ([], ["--trace.nostack", "--trace.memory", "--trace.returndata"]):
        out = folder / str(len(flags))
        assert run("t8n", "--state.fork=London", f"--output.basedir={out}", "--trace", *flags) == (0, "", "")
        (path,) = out.glob("trace-*.jsonl")
        told.append([json.loads(line) for line in path.read_text().splitlines()])
    usual, other = told
    assert [line["stack"] for line in usual[:3]] == [[], ["0x1"], ["0x1", "0x2"]]
    assert other[2] == usual[2] | {"stack": None, "memory": "0x", "returnData": "0x"}
    assert other[-1] == usual[-1]


def test_streams_go_in_and_out(run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(json.dumps(inputs()).encode())))
    names = [f"--input.{name}=stdin" for name in ("alloc", "txs", "env")]
    names += [f"--output.{name}=stdout" for name in ("result", "alloc", "body")]
    code, out, err = run("t8n", *names, "--state.fork=Shanghai", "--state.chainid=1", "--state.reward=0")
    told = json.loads(out)
    assert (code, err, set(told)) == (0, "", {"alloc", "result", "body"})
    assert told["body"].startswith("0xf8") and list(tmp_path.iterdir()) == []
    assert {"stateRoot", "txRoot", "receiptsRoot", "logsHash", "logsBloom", "gasUsed", "withdrawalsRoot"} <= set(
        told["result"]
    )


def test_the_reward_is_paid_or_touches_or_is_none(run: Run, folder: Path) -> None:
    write(folder / "txs.json", [])
    for reward, held in (("5000000000000000000", hex(5 * 10**18)), ("0", "0x0"), ("-1", None)):
        code, out, _ = run("t8n", "--state.fork=Frontier", f"--state.reward={reward}", "--output.alloc=stdout")
        assert code == 0 and json.loads(out)["alloc"].get(COINBASE, {}).get("balance") == held


@pytest.mark.parametrize(
    ("name", "content", "arguments", "code"),
    [
        ("env", None, ["--state.fork=Olympic"], 3),
        (
            "env",
            {"currentCoinbase": COINBASE, "currentGasLimit": "1", "currentNumber": "1", "currentTimestamp": "1"},
            [],
            3,
        ),
        ("env", "junk", [], 10),
        ("env", {"currentNumber": "one"}, [], 10),
        ("alloc", [], [], 10),
        ("alloc", {"0x12": {}}, [], 10),
        ("txs", 7, [], 10),
        ("txs", [{"gas": []}], [], 10),
        ("txs", "0xc1c0c0", [], 12),
        ("env", None, ["--input.env=absent.json"], 11),
        ("env", None, ["--output.basedir=env.json"], 11),
        ("env", None, ["--state.chainid=-1"], 2),
    ],
)
def test_the_code_says_what_was_wrong(
    run: Run, folder: Path, name: str, content: object, arguments: list[str], code: int
) -> None:
    if content is not None:
        write(folder / f"{name}.json", content)
    ended, out, err = run("t8n", "--state.fork=London", *arguments)
    assert (ended, out) == (code, "") and err.startswith(f"ERROR({code}): ") and err.count("\n") == 1
    assert not (folder / "result.json").exists()


@pytest.mark.parametrize("content", [b"", b"\xff\x00", b"[" * 50_000, b"7", b'{"alloc": 7}'])
def test_junk_on_stdin_is_refused(run: Run, monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    names = [f"--input.{name}=stdin" for name in ("alloc", "txs", "env")]
    code, out, err = run("t8n", *names, "--output.result=stdout", "--output.alloc=stdout")
    assert (code, out) == (10, "") and err.count("\n") == 1


def test_makers_of_tests_recognise_the_tool(capsys: pytest.CaptureFixture[str]) -> None:
    """`fill` runs the tool with -v, and looks for a fork's name in the help of t8n."""
    with pytest.raises(SystemExit) as caught:
        cli.main(["-v"])
    assert caught.value.code == 0 and re.match(r"^evm(.exe)? version\b", capsys.readouterr().out)
    with pytest.raises(SystemExit):
        cli.main(["t8n", "--help"])
    text = capsys.readouterr().out
    assert all(name in text for name in ("Frontier", "ConstantinopleFix", "Paris", "Prague", "Osaka", "BPO1", "BPO2"))

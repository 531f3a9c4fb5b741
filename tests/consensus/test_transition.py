"""The transition tool and the executable specification, given the same blocks: whatever comes out is the same."""

from __future__ import annotations

import copy
import io
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from execlayer import _core

evm_tools = pytest.importorskip("ethereum_spec_tools.evm_tools", reason="the specification has no wheels here")

from tests.consensus.blocks import FORKS, Block, block  # noqa: E402

BLOCKS = 2
"""For each fork."""


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """The specification logs each refusal."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


def specified(inputs: Block, fork: str, folder: Path) -> dict[str, Any]:
    """What the specification makes of a block; traces go into the folder."""
    names = [f"--input.{name}=stdin" for name in ("alloc", "env", "txs")]
    names += [f"--output.{name}=stdout" for name in ("alloc", "result", "body")]
    traces = ["--trace", "--trace.memory", "--trace.returndata", f"--output.basedir={folder}"]
    out, given = io.StringIO(), io.StringIO(json.dumps(inputs))
    reward = [] if fork in FORKS[FORKS.index("Paris") :] else ["--state.reward=2000"]
    arguments = ["t8n", *names, *traces, f"--state.fork={fork}", *reward]
    assert evm_tools.main(arguments, out, given) == 0
    return dict(json.loads(out.getvalue()))


def ours(inputs: Block, fork: str, folder: Path) -> dict[str, Any]:
    """What we make of it."""
    alloc, env, txs = (json.dumps(inputs[name]).encode() for name in ("alloc", "env", "txs"))
    reward = None if fork in FORKS[FORKS.index("Paris") :] else 2_000
    out = _core.transition(alloc, env, txs, fork=fork, reward=reward, trace=str(folder), memory=True, returned=True)
    return {"alloc": json.loads(out[0]), "result": json.loads(out[1]), "body": "0x" + out[2].hex()}


def accounts(alloc: dict[str, Any]) -> dict[str, Any]:
    """Accounts in one form: numbers as numbers."""

    def number(text: str | None) -> int:
        return int(text or "0x0", 16)

    return {
        address: (
            number(account.get("balance")),
            number(account.get("nonce")),
            account.get("code", "0x"),
            {number(slot): number(value) for slot, value in account.get("storage", {}).items()},
        )
        for address, account in alloc.items()
    }


def receipt(fields: dict[str, Any]) -> dict[str, Any]:
    """What both say of a receipt, in one form."""
    status = fields.get("succeeded", fields.get("status") == "0x1")
    root = fields.get("post_state", fields.get("root", "0x"))
    logs = [(log["address"], log["topics"], log["data"]) for log in fields["logs"]]
    held = (
        fields["transactionHash"],
        int(fields["cumulativeGasUsed"], 16),
        fields.get("bloom", fields.get("logsBloom")),
    )
    return {"what": held, "logs": logs, "end": root if root != "0x" else status}


def result(fields: dict[str, Any]) -> dict[str, Any]:
    """What both say of a block, in one form."""
    told = {
        name: value
        for name, value in fields.items()
        if name.endswith(("Root", "Hash", "Bloom", "Used")) or name == "requests"
    }
    told.pop("blobGasUsed", None)
    if fields["rejected"]:
        # There, transactions that were refused keep their place in these tries.
        told.pop("txRoot")
        told.pop("receiptsRoot")
    told["rejected"] = sorted(one["index"] for one in fields["rejected"])
    told["receipts"] = [receipt(one) for one in fields["receipts"]]
    told["wrong"] = "blockException" in fields
    return told


def steps(folder: Path) -> dict[str, list[tuple[Any, ...]]]:
    """The steps of each trace, as far as both tell them alike."""
    told = {}
    for path in sorted(folder.glob("trace-*.jsonl")):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        names = ("pc", "gas", "stack", "depth", "memSize")
        told[path.stem.split("-")[2]] = [
            (*(line[name] for name in names), line.get("memory", "0x")) for line in lines if "opName" in line
        ]
    return told


@pytest.mark.parametrize("fork", FORKS)
def test_blocks_come_out_as_specified(fork: str, tmp_path: Path) -> None:
    for seed in range(BLOCKS):
        inputs = block(seed, fork)
        folders = [tmp_path / f"{seed} {side}" for side in ("here", "there")]
        for folder in folders:
            folder.mkdir()
        here = ours(inputs, fork, folders[0])
        there = specified(copy.deepcopy(inputs), fork, folders[1])
        assert result(here["result"]) == result(there["result"]), f"seed {seed}"
        assert accounts(here["alloc"]) == accounts(there["alloc"]), f"seed {seed}"
        assert steps(folders[0]) == steps(folders[1]), f"seed {seed}"
        assert here["result"]["receipts"], "an empty block shows nothing"

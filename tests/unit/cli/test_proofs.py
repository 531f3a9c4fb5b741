"""``execlayer snapshot``, ``prove``, ``verify``: a state goes into a file and out of it; proofs need no chain."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from execlayer import Chain

from .conftest import Run, write


class Grown:
    """A folder's chain with one transfer in each of three blocks."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with Chain.open(folder) as chain:
            alice, bob = chain.accounts[:2]
            for number in range(3):
                block = chain.mine([alice.sign(bob, 1 + number, gas_limit=21_000)], timestamp=12 * number + 12)
            self.address, self.balance = bob.address, bob.balance
            self.transaction = block.transactions[0].hash
            self.head, self.state_root = chain.head.hash, chain.head.state_root
            self.roots = {"transaction": block.transactions_root, "receipt": block.receipts_root}


@pytest.fixture
def grown(tmp_path: Path) -> Grown:
    return Grown(tmp_path / "one")


def test_a_snapshot_is_written_verified_and_restored(run: Run, grown: Grown, tmp_path: Path) -> None:
    file = tmp_path / "chain.snapshot"
    code, out, _ = run("snapshot", "write", file, "--data", grown.folder, "--json")
    written = json.loads(out)
    assert code == 0 and (written["number"], written["hash"]) == (3, grown.head)
    assert written["bytes"] == file.stat().st_size
    assert json.loads(run("snapshot", "verify", file, "--json")[1]) == written
    code, out, _ = run("snapshot", "restore", file, "--data", tmp_path / "two", "--trusted", grown.head)
    assert code == 0 and out.startswith(f"block 3 {grown.head}: ") and f"{written['accounts']:,} accounts" in out
    with Chain.open(tmp_path / "two") as chain:
        assert (chain.head.hash, chain.accounts[1].balance) == (grown.head, grown.balance)
    older = tmp_path / "older.snapshot"
    assert json.loads(run("snapshot", "write", older, "--data", grown.folder, "--at", 1, "--json")[1])["number"] == 1


def test_a_snapshot_that_is_wrong_is_refused_in_one_line(run: Run, grown: Grown, tmp_path: Path) -> None:
    file = tmp_path / "chain.snapshot"
    run("snapshot", "write", file, "--data", grown.folder)
    wrong = "0x" + "11" * 32
    code, out, err = run("snapshot", "restore", file, "--data", tmp_path / "two", "--trusted", wrong)
    assert (code, out, err.count("\n")) == (1, "", 1) and wrong in err
    file.write_bytes(file.read_bytes()[:-7])
    code, out, _ = run("snapshot", "verify", file, "--json")
    assert code == 1 and json.loads(out)["error"].startswith("Snapshot")
    code, _, err = run("snapshot", "write", file, "--data", tmp_path / "absent")
    assert code == 1 and "absent" in err and not (tmp_path / "absent").exists()


def test_an_account_is_proven_and_verified_without_a_chain(run: Run, grown: Grown, tmp_path: Path) -> None:
    code, out, _ = run("prove", grown.address, 0, "0x7", "--data", grown.folder)
    proof = json.loads(out)
    assert code == 0 and (proof["stateRoot"], proof["blockHash"]) == (grown.state_root, grown.head)
    file = write(tmp_path / "proof.json", proof)
    code, out, _ = run("verify", file, "--root", grown.state_root, "--json")
    told = json.loads(out)
    assert code == 0 and told["balance"] == grown.balance and (told["slot 0x0"], told["slot 0x7"]) == ("0x0", "0x0")
    code, out, _ = run("prove", grown.address, "--data", grown.folder, "--out", file)
    assert (code, out) == (0, f"stateRoot {grown.state_root}\n")
    assert run("verify", file, "--root", grown.state_root)[0] == 0
    # As an answer of JSON-RPC, and of nobody.
    nobody = json.loads(run("prove", "0x" + "fe" * 20, "--data", grown.folder, "--json")[1])
    write(file, {"jsonrpc": "2.0", "id": 1, "result": nobody})
    code, out, _ = run("verify", file, "--root", grown.state_root)
    assert code == 0 and out.split() == ["address", nobody["address"], "exists", "False"]


@pytest.mark.parametrize("kind", ["transaction", "receipt"])
def test_a_transaction_and_its_receipt_are_proven(
    run: Run, grown: Grown, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, out, _ = run("prove", f"--{kind}", grown.transaction, "--data", grown.folder)
    proof = json.loads(out)
    assert code == 0 and (proof["index"], proof[f"{kind}sRoot"]) == (0, grown.roots[kind])
    monkeypatch.setattr("sys.stdin", io.StringIO(out))
    code, out, _ = run("verify", "-", "--root", grown.roots[kind], "--json")
    assert code == 0 and json.loads(out) == {"index": 0, kind: proof[kind]}
    file = write(tmp_path / "proof.json", {**proof, "index": 1})
    code, _, err = run("verify", file, "--root", grown.roots[kind])
    assert code == 1 and err.count("\n") == 1
    file = write(tmp_path / "proof.json", {**proof, kind: "0x00"})
    assert run("verify", file, "--root", grown.roots[kind])[0] == 1


def test_what_proves_nothing_is_refused(run: Run, grown: Grown, tmp_path: Path) -> None:
    proof = json.loads(run("prove", grown.address, "--data", grown.folder)[1])
    richer = write(tmp_path / "richer.json", {**proof, "balance": hex(grown.balance + 1)})
    code, out, err = run("verify", richer, "--root", grown.state_root)
    assert (code, out) == (1, "") and "the proof is of" in err
    assert run("verify", richer, "--root", "0x" + "00" * 32)[0] == 1
    for text in ("no JSON", "[]", "{}", '{"receipt": "0x"}'):
        (tmp_path / "junk.json").write_text(text)
        code, out, _ = run("verify", tmp_path / "junk.json", "--root", grown.state_root, "--json")
        assert code == 1 and json.loads(out)["error"] == "InvalidArgument", text
    code, out, _ = run("prove", grown.address, "--data", grown.folder, "--at", 9, "--json")
    assert code == 1 and json.loads(out)["error"] == "UnknownBlock"


@pytest.mark.parametrize(
    "arguments",
    [
        ["prove", "--data", "chain"],
        ["prove", "0x" + "01" * 20, "--transaction", "0x" + "01" * 32, "--data", "chain"],
        ["prove", "0x" + "01" * 20, "-1", "--data", "chain"],
        ["snapshot", "write", "file"],
        ["verify", "file"],
    ],
)
def test_wrong_usage_ends_with_two(run: Run, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        run(*arguments)
    assert caught.value.code == 2

"""``execlayer node`` as a process: what it says, what it answers, how it ends, what survives."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from execlayer import Chain

ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("EXECLAYER_")}


class Node:
    """A running node."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def event(self) -> dict[str, Any]:
        fields: dict[str, Any] = json.loads(self.line())
        return fields

    def end(self, number: int = signal.SIGINT) -> tuple[list[str], str]:
        """Signals, and gives what it still said on stdout and stderr. It has to end with 0."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=30)
        assert self.process.returncode == 0, err
        return out.splitlines(), err


@contextmanager
def node(*arguments: str) -> Iterator[Node]:
    command = [sys.executable, "-m", "execlayer", "node", "--port", "0", *arguments]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=ENVIRONMENT, **pipes) as process:
        try:
            yield Node(process)
        finally:
            process.kill()


def call(url: str, method: str, *params: object) -> Any:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        fields = json.loads(answer.read())
    assert "error" not in fields, fields
    return fields["result"]


def transfer(url: str) -> str:
    alice, bob = Chain.dev().accounts[:2]
    nonce = int(call(url, "eth_getTransactionCount", alice.address, "latest"), 16)
    raw = alice.sign(bob, "1 ether", nonce=nonce, gas_limit=21_000, max_fee="10 gwei")
    sent: str = call(url, "eth_sendRawTransaction", "0x" + raw.hex())
    return sent


def test_a_devnet_lists_accounts_shows_blocks_and_ends_cleanly() -> None:
    with node("--json") as running:
        first = running.event()
        assert (first["event"], first["chain_id"], first["head"]) == ("node", 31337, 0)
        known = [(one.address, "0x" + one.key.secret.hex(), str(one.balance)) for one in Chain.dev().accounts]
        listed = [(one["address"], one["secret"]) for one in first["accounts"]]
        assert listed == [(address, secret) for address, secret, _ in known]
        assert {one["balance"] for one in first["accounts"]} == {str(10_000 * 10**18)}

        sent = transfer(first["rpc"])
        block = running.event()
        assert (block["event"], block["number"], block["transactions"], block["gas_used"]) == ("block", 1, 1, 21_000)
        receipt = call(first["rpc"], "eth_getTransactionReceipt", sent)
        assert (receipt["blockHash"], receipt["status"]) == (block["hash"], "0x1")

        out, err = running.end()
    assert [json.loads(line) for line in out] == [{"event": "end", "head": 1}]
    assert err == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_people_read_plain_lines(number: int) -> None:
    with node("--block-time", "0.05") as running:
        lines = [running.line()]
        while not lines[-1].startswith("block 2 "):
            lines.append(running.line())
        out, err = running.end(number)
    text = "".join(lines)
    assert Chain.dev().accounts[0].address in text and "10,000 ether" in text
    assert "chain id 31337, at block 0" in text and "JSON-RPC at http://127.0.0.1:" in text
    assert "0 transactions" in lines[-1]
    assert out[-1].startswith("stopped at block ") and err == ""


def test_a_folder_survives_a_restart(tmp_path: Path) -> None:
    bob = Chain.dev().accounts[1].address
    with node("--json", "--data", str(tmp_path / "devnet")) as running:
        transfer(running.event()["rpc"])
        name = running.event()["hash"]
        running.end()
    with node("--json", "--data", str(tmp_path / "devnet")) as running:
        first = running.event()
        assert first["head"] == 1
        assert call(first["rpc"], "eth_getBlockByNumber", "latest", False)["hash"] == name
        assert int(call(first["rpc"], "eth_getBalance", bob, "latest"), 16) == 10_001 * 10**18
        transfer(first["rpc"])
        assert running.event()["number"] == 2
        running.end()


def test_a_node_follows_another_and_makes_no_blocks_of_its_own(tmp_path: Path) -> None:
    with node("--json") as source:
        url = source.event()["rpc"]
        transfer(url)
        first = source.event()
        with node("--json", "--data", str(tmp_path / "copy"), "--follow", url) as follower:
            ours = follower.event()["rpc"]
            taken = follower.event()
            assert (taken["event"], taken["number"], taken["hash"]) == ("block", 1, first["hash"])
            transfer(url)
            assert follower.event()["hash"] == source.event()["hash"]
            with pytest.raises(AssertionError, match="-32601"):
                call(ours, "evm_mine")
            follower.end()
        source.end()


def test_a_socket_file_is_told_and_answers(tmp_path: Path) -> None:
    path = tmp_path / "node.ipc"
    with node("--json", "--ipc", str(path)) as running:
        first = running.event()
        assert first["endpoints"] == [first["rpc"], str(path)]
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            client.sendall(b'{"jsonrpc": "2.0", "id": 1, "method": "eth_chainId"}')
            assert json.loads(client.makefile().readline())["result"] == hex(31_337)
        running.end()
    assert not path.exists()


def test_blocks_at_intervals_follow_the_clock_that_clients_moved() -> None:
    with node("--json", "--block-time", "0.05") as running:
        url = running.event()["rpc"]
        before = running.event()["timestamp"]
        call(url, "evm_increaseTime", 1_000_000)
        while (timestamp := running.event()["timestamp"]) < before + 1_000_000:
            assert timestamp < before + 100_000, "the clock jumps once"
        running.end()
    assert timestamp < before + 1_100_000


def refused(*arguments: str) -> str:
    """The one line in which a node says why it doesn't start."""
    command = [sys.executable, "-m", "execlayer", "node", *arguments]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
    return done.stderr


def test_what_keeps_a_node_from_starting_is_one_line(tmp_path: Path) -> None:
    with Chain.open(tmp_path):
        assert str(os.getpid()) in refused("--data", str(tmp_path), "--port", "0")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        reason = refused("--port", str(port))
        assert f"127.0.0.1:{port}" in reason and "in use" in reason and "--port" in reason
    genesis = tmp_path / "genesis.json"
    genesis.write_text('{"alloc": {}}')
    assert "config is missing" in refused("--genesis", str(genesis), "--port", "0")
    assert "absent.json" in refused("--genesis", "absent.json", "--port", "0")


def test_figures_for_prometheus_are_told_where_asked() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with node("--json", "--metrics", str(port)) as running:
        url = running.event()["rpc"]
        transfer(url)
        running.event()
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
            text = answer.read().decode()
        assert "\nexeclayer_execution_processed_total 1\n" in text
        assert "# TYPE execlayer_pool_pending gauge\nexeclayer_pool_pending 0\n" in text
        running.end()

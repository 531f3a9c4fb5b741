"""Foundry's cast."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from . import contract
from .conftest import PATIENCE_SECONDS, Devnet
from .packages import INSTALL_SECONDS, packages


@pytest.fixture(scope="session")
def cast_binary() -> Path:
    """The binary itself; no Node.js is between it and us."""
    return packages() / "node_modules" / ".bin" / "cast"


class Cast:
    """Runs cast against the node."""

    def __init__(self, binary: Path, url: str) -> None:
        self._binary = binary
        self._url = url

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        # By the environment: not every subcommand takes the address as an option.
        command, environment = [str(self._binary), *arguments], {**os.environ, "ETH_RPC_URL": self._url}
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE_SECONDS)

    def say(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def json(self, *arguments: str) -> Any:
        return json.loads(self.say(*arguments, "--json"))


@pytest.fixture(scope="session")
def cast(cast_binary: Path, devnet: Devnet) -> Cast:
    return Cast(cast_binary, devnet.url)


pytestmark = pytest.mark.timeout(INSTALL_SECONDS + 60)


def test_finds_the_chain_and_a_balance(cast: Cast, devnet: Devnet) -> None:
    assert int(cast.say("chain-id")) == devnet.chain_id
    untouched = devnet.accounts[9]
    assert int(cast.say("balance", untouched.address)) == untouched.balance


def test_a_signed_transfer_moves_its_value_and_has_its_receipt(cast: Cast, devnet: Devnet) -> None:
    sender, recipient = devnet.accounts[6:8]
    before = int(cast.say("balance", recipient.address))
    sent = cast.json("send", recipient.address, "--value", "12345", "--private-key", sender.secret)
    receipt = cast.json("receipt", sent["transactionHash"])
    assert receipt == sent
    assert (receipt["status"], receipt["gasUsed"]) == ("0x1", "0x5208")
    assert receipt["from"] == sender.address.lower()
    assert int(cast.say("balance", recipient.address)) == before + 12_345


def test_shows_a_block_with_its_transactions(cast: Cast, devnet: Devnet) -> None:
    sender, recipient = devnet.accounts[6:8]
    sent = cast.json("send", recipient.address, "--value", "1", "--private-key", sender.secret)
    block = cast.json("block", str(int(sent["blockNumber"], 16)))
    assert (block["hash"], block["transactions"]) == (sent["blockHash"], [sent["transactionHash"]])
    whole = cast.json("block", "latest", "--full")
    assert [one["hash"] for one in whole["transactions"]] == [sent["transactionHash"]]
    assert int(whole["transactions"][0]["value"], 16) == 1


def test_calls_any_method_by_its_name(cast: Cast, devnet: Devnet) -> None:
    assert int(json.loads(cast.say("rpc", "eth_chainId")), 16) == devnet.chain_id
    genesis = json.loads(cast.say("rpc", "eth_getBlockByNumber", "earliest", "false"))
    assert (genesis["number"], genesis["transactions"]) == ("0x0", [])
    unknown = cast.run("rpc", "eth_noSuchMethod")
    assert unknown.returncode != 0
    assert "-32601" in unknown.stderr


def test_creates_a_contract_and_calls_it(cast: Cast, devnet: Devnet) -> None:
    key = ("--private-key", devnet.accounts[8].secret)
    created = cast.json("send", *key, "--create", "0x" + contract.CREATION.hex())
    assert created["status"] == "0x1"
    assert int(cast.say("call", created["contractAddress"], "answer()(uint256)")) == contract.ANSWER
    refused = cast.run("call", created["contractAddress"], "refuse(uint256)", "1")
    assert refused.returncode != 0
    assert contract.REASON in refused.stderr

"""Foundry's cast, installed by `npm ci` in this folder."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from .conftest import Devnet

PACKAGES = Path(__file__).parent / "node_modules" / "@foundry-rs"


def cast(*arguments: str) -> str:
    found = sorted(PACKAGES.glob("cast-*/bin/cast"))
    if not found:
        reason = "cast is not installed: run `npm ci` in tests/clients (needs Node.js)"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    done = subprocess.run([str(found[0]), *arguments], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_reads_a_balance_sends_a_transfer_and_gets_its_receipt(devnet: Devnet) -> None:
    at = ("--rpc-url", devnet.url)
    before = int(cast("balance", devnet.recipient, *at))
    key = ("--private-key", devnet.secret)
    sent = json.loads(cast("send", devnet.recipient, "--value", "12345", *key, "--json", *at))
    assert int(sent["status"], 16) == 1
    receipt = json.loads(cast("receipt", sent["transactionHash"], "--json", *at))
    assert receipt["gasUsed"] == "0x5208"
    assert int(cast("balance", devnet.recipient, *at)) == before + 12_345


def test_names_the_chain(devnet: Devnet) -> None:
    assert int(cast("chain-id", "--rpc-url", devnet.url)) > 0

"""What the tests of the command line share."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from execlayer import cli

Ran: TypeAlias = tuple[int, str, str]
Run: TypeAlias = Callable[..., Ran]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command: its code, what it printed, what it complained of."""

    def run(*arguments: object) -> Ran:
        code = cli.main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return run


SENDER = "0xa94f5374fce5edbc8e2a8697c15331677e6ebf0b"
SECRET = "0x45a915e4d060149eb4365960e6a7a45f334393093061116b197e3240065ff2d8"


def state_test(**changes: Any) -> dict[str, Any]:
    """A made-up state test: one transfer of one wei at Cancun. Its root and logs are wrong unless they are given."""
    post = {"indexes": {"data": 0, "gas": 0, "value": 0}, "hash": "0x" + "00" * 32, "logs": "0x" + "00" * 32}
    return {
        "env": {
            "currentCoinbase": "0x2adc25665018aa1fe0e6bc666dac8fc2697ff9ba",
            "currentGasLimit": "0x05f5e100",
            "currentNumber": "0x01",
            "currentTimestamp": "0x03e8",
            "currentRandom": "0x00",
            "currentBaseFee": "0x07",
            "currentExcessBlobGas": "0x00",
        },
        "pre": {SENDER: {"balance": "0x0de0b6b3a7640000", "nonce": "0x00", "code": "0x", "storage": {}}},
        "transaction": {
            "data": ["0x"],
            "gasLimit": ["0x5208"],
            "value": ["0x01"],
            "nonce": "0x00",
            "to": "0x1000000000000000000000000000000000000000",
            "gasPrice": "0x0a",
            "secretKey": SECRET,
        },
        "post": {"Cancun": [post | changes]},
    }


def write(path: Path, value: object) -> Path:
    """Writes JSON, and hands the path on."""
    path.write_text(json.dumps(value))
    return path

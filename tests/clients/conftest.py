"""A node as its users run it, a process that says as JSON where it is, for clients that know nothing of us."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Any

import pytest

PATIENCE_SECONDS = 30
"""For steps that take a fraction of a second on a machine with nothing else to do."""


@dataclass(frozen=True)
class Account:
    """One that the chain gave funds, as the node introduces it."""

    address: str
    secret: str
    balance: int


@dataclass(frozen=True)
class Devnet:
    """Where the node is, and who has funds there."""

    url: str
    chain_id: int
    accounts: tuple[Account, ...]

    @property
    def websocket_url(self) -> str:
        """WebSockets are served at the same place."""
        return "ws" + self.url.removeprefix("http")


@pytest.fixture(scope="session")
def devnet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Devnet]:
    """A node in memory, ended by SIGINT as by Ctrl-C; an end that isn't clean fails the tests that used it."""
    errors = tmp_path_factory.mktemp("node") / "stderr"
    command = [sys.executable, "-m", "execlayer", "node", "--port", "0", "--json"]
    with (
        errors.open("w") as stderr,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, text=True) as process,
    ):
        try:
            assert process.stdout is not None
            introduction = process.stdout.readline()
            assert introduction, f"the node did not start: {errors.read_text()}"
            rest: list[dict[str, Any]] = []
            reader = threading.Thread(target=_read_events, args=[process.stdout, rest])
            reader.start()
            yield _devnet(json.loads(introduction))
            process.send_signal(signal.SIGINT)
            assert process.wait(PATIENCE_SECONDS) == 0
            reader.join(PATIENCE_SECONDS)
            assert rest[-1]["event"] == "end"
            assert rest[-1]["head"] == max(event["number"] for event in rest if event["event"] == "block")
            assert errors.read_text() == ""
        finally:
            process.kill()


def _read_events(lines: IO[str], events: list[dict[str, Any]]) -> None:
    """Takes what the node says all along: nobody listening would stop it when the pipe is full."""
    events.extend(json.loads(line) for line in lines)


def _devnet(introduction: dict[str, Any]) -> Devnet:
    assert introduction["event"] == "node"
    accounts = (Account(one["address"], one["secret"], int(one["balance"])) for one in introduction["accounts"])
    return Devnet(introduction["rpc"], introduction["chain_id"], tuple(accounts))

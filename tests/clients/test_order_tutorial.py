"""The order engine's tutorial, from top to bottom, as somebody would type it: in an empty folder, with processes."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from .packages import INSTALL_SECONDS, packages

pytestmark = pytest.mark.timeout(INSTALL_SECONDS + 120)
PAGE = Path(__file__).resolve().parents[2] / "docs" / "orders" / "tutorial.md"
BLOCK = re.compile(r"^```(python|sh) ?(\S*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
PATIENCE_SECONDS = 60


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def background(command: list[str], folder: Path, environment: dict[str, str]) -> Iterator[None]:
    """A process that runs until the tutorial is over; what it says goes into a file."""
    log = (folder / f"{command[3]}-{command[4]}.log").open("w")
    with log, subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log) as process:
        try:
            yield
            assert process.poll() is None, (folder / log.name).read_text()
        finally:
            process.terminate()


def wait_for(port: int) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < until:
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"nobody listens at {port}")


def test_the_tutorial_ends_in_a_settled_arbitrage(tmp_path: Path) -> None:
    ports = {"8545": free_port(), "9545": free_port()}
    page = re.sub("8545|9545", lambda found: str(ports[found[0]]), PAGE.read_text())
    environment = {name: text for name, text in os.environ.items() if not name.startswith("EXECLAYER_")}
    environment["EXECLAYER_ORDERS__PROTOCOL__LISTEN"] = f"127.0.0.1:{ports['9545']}"
    said: dict[str, str] = {}
    with ExitStack() as stack:
        for kind, name, text in BLOCK.findall(page):
            if kind == "python":
                (tmp_path / name).write_text(text)
                continue
            for line in text.splitlines():
                words = line.split()
                if words[0] == "npm":
                    (tmp_path / "node_modules").symlink_to(packages() / "node_modules")
                    continue
                runner = [sys.executable] if words[0] == "python" else [sys.executable, "-m", "execlayer"]
                command = [*runner, *words[1:]]
                if command[-1] == "&":
                    stack.enter_context(background(command[:-1], tmp_path, environment))
                    wait_for(ports["8545" if words[1] == "node" else "9545"])
                    continue
                done = subprocess.run(
                    command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=PATIENCE_SECONDS
                )
                assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
                said[" ".join(words[:3])] = done.stdout
    assert "the arbitrage is worth" in said["python market.py"]
    assert re.search(r"order 1  Completed  confirmed  \+[\d,]+ wei after gas", said["execlayer orders send"])
    assert "1 completed, 0 failed" in said["execlayer orders status"]
    assert "every signed byte is what the journal says" in said["execlayer orders verify"]
    assert "snapshot and records agree" in said["execlayer orders drill"]
    assert said["python strategy.py"].splitlines()[-1] == "Failed PoolStateMismatch"

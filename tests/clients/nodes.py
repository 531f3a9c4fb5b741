"""Development nodes as processes: anvil, Hardhat and our own, each with the same well-known accounts."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from execlayer import Chain, Key

from .packages import packages

CHAIN_ID = 31_337
URL = re.compile(r"(?:Listening on |server at http://)([\d.]+:\d+)|(http://[\d.]+:\d+)")
KINDS = ("anvil", "hardhat", "execlayer")

# Both order a block's transactions as they came, so that a builder in front of them decides.
HARDHAT_CONFIG = """module.exports = { solidity: "0.8.24", networks: { hardhat: {
  chainId: 31337, mining: { auto: true, mempool: { order: "fifo" } } } } };
"""


@dataclass(frozen=True)
class DevNode:
    """A running one."""

    kind: str
    url: str


def dev_keys() -> list[Key]:
    """Of the accounts that every one of them funds."""
    return [account.key for account in Chain.dev().accounts]


@contextmanager
def running(kind: str, folder: Path) -> Iterator[DevNode]:
    """Starts a node with its files in ``folder``; ended with the block."""
    environment = dict(os.environ)
    if kind == "anvil":
        binary = packages() / "node_modules" / "@foundry-rs" / "anvil-linux-amd64" / "bin" / "anvil"
        command = [str(binary), "--port", "0", "--order", "fifo"]
    elif kind == "hardhat":
        config = folder / "hardhat.config.js"
        config.write_text(HARDHAT_CONFIG)
        script = packages() / "node_modules" / "hardhat" / "internal" / "cli" / "bootstrap.js"
        command = ["node", str(script), "--config", str(config), "node", "--port", "0", "--hostname", "127.0.0.1"]
        environment |= {"HARDHAT_DISABLE_TELEMETRY_PROMPT": "true"}
    else:
        command = [sys.executable, "-m", "execlayer", "node", "--port", "0", "--json"]
    where = packages() if kind == "hardhat" else folder
    log = (folder / "stderr").open("w")
    with (
        log,
        subprocess.Popen(command, cwd=where, env=environment, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        assert process.stdout is not None
        drain = threading.Thread(target=_drain, args=[process.stdout], daemon=True)
        try:
            url = _address(process.stdout)
            assert url is not None, f"{kind} did not start: {(folder / 'stderr').read_text()}"
            drain.start()
            yield DevNode(kind, url)
            assert process.poll() is None, f"{kind} ended by itself: {process.poll()}"
        finally:
            process.kill()
            process.wait()
            if drain.is_alive():
                drain.join()


def _address(lines: IO[str]) -> str | None:
    for line in lines:
        if line.startswith("{"):
            return str(json.loads(line)["rpc"])
        if found := URL.search(line):
            return found[2] or f"http://{found[1]}"
    return None


def _drain(lines: IO[str]) -> None:
    """Takes what the node says all along: nobody listening would stop it when the pipe is full."""
    for _ in lines:
        pass

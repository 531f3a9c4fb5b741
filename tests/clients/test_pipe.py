"""The node at the end of a pipe whose reader has had enough, as `execlayer node | head -1`."""

from __future__ import annotations

import subprocess
import sys

from .conftest import PATIENCE_SECONDS


def test_a_node_whose_reader_has_gone_ends_without_a_word() -> None:
    command = [sys.executable, "-m", "execlayer", "node", "--port", "0", "--json", "--block-time", "0.05"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            assert '"event": "node"' in process.stdout.readline()
            process.stdout.close()
            assert process.wait(PATIENCE_SECONDS) == 1
            assert process.stderr.read() == ""
        finally:
            process.kill()

"""What npm installs from the lock file here, into a cache outside the checkout: clients, nodes, a compiler."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

import pytest

FILES = ("package.json", "package-lock.json")
INSTALL_SECONDS = 300
HERE = Path(__file__).parent


def packages() -> Path:
    """The folder with ``node_modules``. Skips where there is no Node.js, or fails where CI wants there to be."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        pytest.skip(
            f"binaries are pinned for Linux on x86-64 only, this is {platform.system()} on {platform.machine()}"
        )
    npm = shutil.which("npm")
    if npm is None:
        message = "not tried: Node.js with npm is not installed"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return _installed(npm)


@cache
def _installed(npm: str) -> Path:
    lock = hashlib.sha256((HERE / "package-lock.json").read_bytes()).hexdigest()[:16]
    folder = _cache() / "clients" / lock
    if not (folder / "node_modules").exists():
        # Installed aside and renamed when whole, so that neither an interruption nor a second run leaves a half of it.
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            aside = Path(scratch) / "clients"
            aside.mkdir()
            for name in FILES:
                shutil.copy(HERE / name, aside)
            command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            done = subprocess.run(command, cwd=aside, capture_output=True, text=True, timeout=INSTALL_SECONDS)
            assert done.returncode == 0, done.stderr
            # A rename onto a folder fails where another run was quicker; what that one made is as good.
            with suppress(OSError):
                aside.rename(folder)
    return folder


def _cache() -> Path:
    """The folder that `.ci/run` keeps between runs."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("CI_CACHE") or home / "execlayer-ci")


if __name__ == "__main__":  # for `make contracts`
    sys.stdout.write(str(packages()))

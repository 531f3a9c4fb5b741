"""What this process takes of the machine, as far as the system tells."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from pathlib import Path


def resident_bytes() -> int | None:
    """What it holds in memory now; its most ever where only that is told; None where nothing is."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return most_bytes()


def most_bytes() -> int | None:
    """The most that it ever held; None where the system does not tell (there is no ``resource`` on Windows)."""
    try:
        resource = import_module("resource")
    except ImportError:
        return None
    most = int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return most if sys.platform == "darwin" else most * 1024

"""What this process takes of the machine, as far as the system tells."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
from importlib import import_module
from pathlib import Path

LARGE_BYTES = 128 * 1024


def resident_bytes() -> int | None:
    """What it holds in memory now; its most ever where only that is told; None where nothing is."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError, ValueError):
        return most_bytes()


def return_large_blocks() -> bool:
    """Has what is freed of large blocks (snapshots, blocks' receipts) go back to the system at once: glibc learns to
    keep them, and small blocks that live long then lie between them. False where there is no glibc, and nothing was
    done.

    For a process that is an engine and nothing else.
    """
    mmap_threshold, trim_threshold = -3, -1
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(mmap_threshold, LARGE_BYTES)) and bool(mallopt(trim_threshold, 2 * LARGE_BYTES))


def return_freed() -> bool:
    """Gives the pages that hold nothing any more back to the system: orders that live for a while lie everywhere
    between what blocks and snapshots took for a moment. Takes milliseconds, for a thread. False where there is no
    glibc, and nothing was done.

    For a process that is an engine and nothing else.
    """
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return False
    trim(0)
    return True


def spare_collector() -> None:
    """Has the garbage collector look no more at what is here now, which stays for as long as the process: to go through
    all of it takes tens of milliseconds, in which no signal is served. For a process whose engine is ready.
    """
    gc.collect()
    gc.freeze()


def most_bytes() -> int | None:
    """The most that it ever held; None where the system does not tell (there is no ``resource`` on Windows)."""
    try:
        resource = import_module("resource")
    except ImportError:
        return None
    most = int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    return most if sys.platform == "darwin" else most * 1024

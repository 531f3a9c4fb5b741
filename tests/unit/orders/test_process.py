"""What a process takes is told where the system tells it, and left out where it does not."""

from __future__ import annotations

import ctypes
import gc
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from execlayer.orders import process
from execlayer.orders.monitor import Monitor, prometheus

from .test_monitor import CALM


def test_memory_is_told_now_and_at_its_most() -> None:
    now, most = process.resident_bytes(), process.most_bytes()
    assert now is not None and most is not None
    assert 2**20 < now < 2**40 and 2**20 < most < 2**40


LEARNING = """
import sys
from pathlib import Path
from execlayer.orders.process import resident_bytes, return_large_blocks

if sys.argv[1] == "yes":
    assert return_large_blocks()
began = resident_bytes()
kept = []
for _ in range(20):
    # As a snapshot is: large, and gone soon; something small is made meanwhile, and stays.
    large = [bytearray(2**21) for _ in range(16)]
    kept.append(bytes(600))
    del large
print(resident_bytes() - began)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's allocator")
def test_large_blocks_go_back_to_the_system() -> None:
    def left(*, returned: bool) -> int:
        command = [sys.executable, "-c", LEARNING, "yes" if returned else "no"]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    assert left(returned=True) < 2**21


SCATTERED = """
from execlayer.orders.process import resident_bytes, return_freed

taken = [bytes(3_000) for _ in range(20_000)]
kept = taken[::50]
del taken
before = resident_bytes()
assert return_freed()
print(before - resident_bytes())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's allocator")
def test_pages_between_what_stays_go_back_to_the_system() -> None:
    command = [sys.executable, "-c", SCATTERED]
    assert int(subprocess.run(command, capture_output=True, text=True, check=True).stdout) > 2**25


def test_where_there_is_no_glibc_nothing_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: str | None) -> object:
        raise OSError

    monkeypatch.setattr(ctypes, "CDLL", missing)
    assert not process.return_freed()
    assert not process.return_large_blocks()


def test_what_is_here_when_an_engine_is_ready_is_no_more_looked_at_for_garbage() -> None:
    frozen = gc.get_freeze_count()
    try:
        process.spare_collector()
        assert gc.get_freeze_count() > frozen + 10_000
        assert len(gc.get_objects()) < 10_000
    finally:
        gc.unfreeze()


def test_without_proc_the_most_is_told_and_without_resource_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(_: Path) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", gone)
    assert process.resident_bytes() == process.most_bytes()

    def missing(name: str) -> object:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(process, "import_module", missing)
    assert process.resident_bytes() is None
    page = prometheus(CALM | {"memory_bytes": None}, Monitor())
    assert "execlayer_orders_memory_bytes " not in page.replace("# TYPE execlayer_orders_memory_bytes gauge", "")

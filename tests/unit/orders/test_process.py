"""What a process takes is told where the system tells it, and left out where it does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from execlayer.orders import process
from execlayer.orders.monitor import Monitor, prometheus

from .test_monitor import CALM


def test_memory_is_told_now_and_at_its_most() -> None:
    now, most = process.resident_bytes(), process.most_bytes()
    assert now is not None and most is not None
    assert 2**20 < now < 2**40 and 2**20 < most < 2**40


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

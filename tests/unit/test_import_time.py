"""The import is quick, because names are looked up when they are first used."""

from __future__ import annotations

import subprocess
import sys
import time

HEAVY = {"numpy", "pydantic", "trio", "rich", "httptools", "wsproto", "execlayer._core", "execlayer.errors"}
ALLOWED_SECONDS = 0.1
ROUNDS = 5


def seconds(code: str) -> float:
    """The least time of several runs of a fresh interpreter."""
    least = float("inf")
    for _ in range(ROUNDS):
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        least = min(least, time.perf_counter() - begin)
    return least


def test_importing_costs_less_than_a_tenth_of_a_second() -> None:
    assert seconds("import execlayer") - seconds("pass") < ALLOWED_SECONDS


def test_a_chain_is_at_hand_before_three_tenths_of_a_second() -> None:
    assert seconds("import execlayer; execlayer.Chain.dev()") - seconds("pass") < 3 * ALLOWED_SECONDS


def test_the_import_loads_nothing_heavy_and_a_chain_no_service() -> None:
    code = """
import sys, execlayer
print(*sys.modules)
execlayer.Chain.dev()
print(*sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported, opened = (set(line.split()) for line in done.stdout.splitlines())
    assert "execlayer" in imported and not HEAVY & imported
    assert "execlayer._core" in opened and not {"numpy", "pydantic", "trio", "rich"} & opened


def test_every_public_name_is_there_and_no_other() -> None:
    code = """
import execlayer
assert all(getattr(execlayer, name) is not None and name in dir(execlayer) for name in execlayer.__all__)
try:
    execlayer.Chian
except AttributeError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "module 'execlayer' has no attribute 'Chian'"

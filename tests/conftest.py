"""What all tests share."""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def fixtures_folder() -> Path:
    """The public test vectors beside the checkout. Where they are missing tests are skipped, in CI they fail."""
    folder = ROOT.parent / "shared" / "fixtures"
    if not folder.is_dir():
        message = f"public fixtures not found at {folder}"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return folder


@pytest.fixture(scope="session")
def primitives(fixtures_folder: Path) -> Callable[[str], Any]:
    """Reads one JSON file of the archive of that name."""

    def read(name: str) -> Any:
        with tarfile.open(fixtures_folder / "primitives.tar.xz", "r:xz") as archive:
            member = archive.extractfile(f"primitives/{name}")
            assert member is not None
            return json.load(member)

    return read

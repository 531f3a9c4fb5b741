"""What all tests share."""

from __future__ import annotations

import os
from pathlib import Path

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

"""Times as people write them in settings.

>>> nanoseconds("250ms")
250000000
"""

from __future__ import annotations

import re
from typing import Annotated, Any, TypeAlias

from pydantic import BeforeValidator, Field

UNITS_NS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "d": 86_400 * 10**9}
_WRITTEN = re.compile(r"(\d+)\s*([a-z]+)")


def nanoseconds(value: Any) -> int:
    """A time; a plain number is nanoseconds already."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    found = _WRITTEN.fullmatch(value) if isinstance(value, str) else None
    if found is None or found[2] not in UNITS_NS:
        raise ValueError(f"a whole number with its unit ({', '.join(UNITS_NS)}) is wanted, such as '30s'")
    return int(found[1]) * UNITS_NS[found[2]]


Duration: TypeAlias = Annotated[int, BeforeValidator(nanoseconds), Field(ge=0, le=2**62)]
"""Nanoseconds."""

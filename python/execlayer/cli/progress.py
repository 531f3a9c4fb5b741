"""How far long work has come: a line that moves on a terminal, nothing in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

Tell: TypeAlias = Callable[..., None]
"""What long work is given: it calls it with its numbers."""


@contextmanager
def line(show: Callable[..., str], *, quiet: bool = False) -> Iterator[Tell | None]:
    """While it lasts, stderr's last line is what ``show`` makes of the numbers; None where nobody would see it."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.status import Status

    with Status("starting", console=Console(stderr=True)) as status:

        def tell(*numbers: Any) -> None:
            status.update(show(*numbers))

        yield tell

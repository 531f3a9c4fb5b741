"""For tests of what stands on execlayer: fakes, faults, and a lab that makes a development node act like a network.

>>> from execlayer.testing import Delay, FakeNode, open_chainlab
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .chainlab import Chainlab as Chainlab
    from .chainlab import LabRules as LabRules
    from .chainlab import open_chainlab as open_chainlab
    from .fakes import FakeNode as FakeNode
    from .faults import Dead as Dead
    from .faults import Delay as Delay
    from .faults import Drop as Drop
    from .faults import Duplicate as Duplicate
    from .faults import Faults as Faults
    from .faults import Garble as Garble
    from .faults import Silent as Silent
    from .faults import Stale as Stale
    from .faults import Status as Status
    from .faults import Truncate as Truncate

_HOMES = {
    "Chainlab": "chainlab",
    "Dead": "faults",
    "Delay": "faults",
    "Drop": "faults",
    "Duplicate": "faults",
    "FakeNode": "fakes",
    "Faults": "faults",
    "Garble": "faults",
    "LabRules": "chainlab",
    "Silent": "faults",
    "Stale": "faults",
    "Status": "faults",
    "Truncate": "faults",
    "open_chainlab": "chainlab",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)

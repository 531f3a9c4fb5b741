"""The order engine: an arbitrage signal's way into a block. The rules are in ``rust/orders``; here are sockets, clocks,
settings, and a client for strategies.

>>> from execlayer.orders import OrderEngine, Signal, open_client
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .client import EngineGone as EngineGone
    from .client import SignalClient as SignalClient
    from .client import open_client as open_client
    from .engine import OrderEngine as OrderEngine
    from .pinned import ContractNotFound as ContractNotFound
    from .reports import Report as Report
    from .reports import report as report
    from .settings import OrderSettings as OrderSettings
    from .signers import outside_signers as outside_signers
    from .states import STATE_OF as STATE_OF
    from .states import TRANSITIONS as TRANSITIONS
    from .states import Transition as Transition
    from .wire import AuthKey as AuthKey
    from .wire import FrameRefused as FrameRefused
    from .wire import Hop as Hop
    from .wire import Lender as Lender
    from .wire import Signal as Signal

_HOMES = {
    "AuthKey": "wire",
    "ContractNotFound": "pinned",
    "EngineGone": "client",
    "FrameRefused": "wire",
    "Hop": "wire",
    "Lender": "wire",
    "OrderEngine": "engine",
    "OrderSettings": "settings",
    "Report": "reports",
    "STATE_OF": "states",
    "Signal": "wire",
    "SignalClient": "client",
    "TRANSITIONS": "states",
    "Transition": "states",
    "open_client": "client",
    "outside_signers": "signers",
    "report": "reports",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)

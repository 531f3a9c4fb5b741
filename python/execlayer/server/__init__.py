"""JSON-RPC over HTTP, WebSocket and IPC, on Trio.

Sockets, limits, cancellation and subscriptions are here; a request's bytes go to one Rust call, which answers in bytes.

>>> async with trio.open_nursery() as nursery:                                                      # doctest: +SKIP
...     endpoints = await nursery.start(serve, Methods(core))
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .limits import Limits as Limits
    from .methods import Methods as Methods
    from .methods import RpcError as RpcError
    from .metrics import prometheus_text as prometheus_text
    from .metrics import serve_metrics as serve_metrics
    from .service import Endpoints as Endpoints
    from .service import serve as serve

_HOMES = {
    "Limits": "limits",
    "Methods": "methods",
    "RpcError": "methods",
    "prometheus_text": "metrics",
    "serve_metrics": "metrics",
    "Endpoints": "service",
    "serve": "service",
}

__all__ = ["Endpoints", "Limits", "Methods", "RpcError", "prometheus_text", "serve", "serve_metrics"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)

"""Other nodes, asked over JSON-RPC on Trio: one client per endpoint, several endpoints that stand in for each other,
their heads and fees followed; and our own chain behind the same face.

>>> async with trio.open_nursery() as nursery:                                                      # doctest: +SKIP
...     client = await nursery.start(Client(Endpoint(url="http://127.0.0.1:8545")).run)
...     await client.call("eth_chainId")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .client import Client as Client
    from .client import Upstream as Upstream
    from .codecs import Answer as Answer
    from .endpoint import Endpoint as Endpoint
    from .errors import CallRefused as CallRefused
    from .errors import UpstreamError as UpstreamError
    from .failover import Failover as Failover
    from .gas import FeeOracle as FeeOracle
    from .heads import HeadFeed as HeadFeed
    from .local import LocalClient as LocalClient

_HOMES = {
    "Answer": "codecs",
    "CallRefused": "errors",
    "Client": "client",
    "Endpoint": "endpoint",
    "Failover": "failover",
    "FeeOracle": "gas",
    "HeadFeed": "heads",
    "LocalClient": "local",
    "Upstream": "client",
    "UpstreamError": "errors",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES[name]}", __name__), name)

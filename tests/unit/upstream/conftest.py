"""Nodes in memory and clients of them. Tests in which time passes take `autojump_clock`: it costs none."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import trio

from execlayer.testing import FakeNode
from execlayer.upstream import Client, Endpoint

OpenClient = Callable[..., Awaitable[Client]]


@pytest.fixture
async def node(nursery: trio.Nursery) -> AsyncIterator[FakeNode]:
    fake = FakeNode({"eth_chainId": "0x7", "eth_blockNumber": "0x10", "echo": lambda *params: list(params)})
    await nursery.start(fake.run)
    yield fake


@pytest.fixture
def open_client(node: FakeNode, nursery: trio.Nursery) -> OpenClient:
    async def open_one(url: str = "http://localhost:8545", connect: Any = None, **settings: Any) -> Client:
        client = Client(Endpoint(url=url, **settings), connect=connect or node.connect)
        await nursery.start(client.run)
        return client

    return open_one

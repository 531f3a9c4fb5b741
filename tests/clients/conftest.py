"""A devnet on loopback, for clients that are programs of their own or bring their own event loop."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import trio

from execlayer import _core
from execlayer.server import Endpoints, Methods, serve


@dataclass(frozen=True)
class Devnet:
    """Where it is, and who has funds there."""

    url: str
    address: str
    secret: str
    recipient: str


@pytest.fixture(scope="module")
def devnet() -> Iterator[Devnet]:
    chain = _core.Chain.memory()
    sender, recipient = chain.dev_keys()[:2]
    methods = Methods(_core.Rpc(chain))
    ready, stop = threading.Event(), trio.Event()
    found: list[tuple[Endpoints, trio.lowlevel.TrioToken]] = []

    async def main() -> None:
        async with trio.open_nursery() as nursery:

            async def run(*, task_status: trio.TaskStatus[Endpoints]) -> None:
                await serve(methods, port=0, task_status=task_status)

            endpoints: Endpoints = await nursery.start(run)
            found.append((endpoints, trio.lowlevel.current_trio_token()))
            ready.set()
            await stop.wait()
            nursery.cancel_scope.cancel()

    thread = threading.Thread(target=trio.run, args=[main])
    thread.start()
    assert ready.wait(10), "the server did not start"
    endpoints, token = found[0]
    yield Devnet(endpoints.url, sender.address, SECRET, recipient.address)
    token.run_sync_soon(stop.set)
    thread.join(10)
    assert not thread.is_alive(), "the server did not stop"


SECRET = "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"
"""The first of the well-known development accounts."""

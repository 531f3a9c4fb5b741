"""The tree of nurseries: which service stands on which, and how all of them end together."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import trio

from ..chain import Chain
from ..config import Config
from ..follower import Follower
from ..producer import Producer
from ..upstream import Client, Endpoint
from .display import Display

A_WHILE_SECONDS = 3_600
"""Waiting ends early when it is cancelled, so it may be long."""


@contextmanager
def opened(config: Config) -> Iterator[Chain]:
    """The chain that the settings name, closed at the end."""
    settings = config.chain_settings()
    if config.data is None:
        chain = Chain.dev(config.genesis, **settings)
    else:
        chain = Chain.open(config.data, config.genesis, **settings)
    with chain:
        yield chain


async def run(config: Config, display: Display) -> None:
    """Runs the node until SIGINT or SIGTERM, then ends in order: no new requests, then the running ones.

    *Errors*: what opening the chain, listening or mining raises; everything else is closed then.
    """
    with opened(config) as chain:
        await run_services(chain, config, display)


async def run_services(
    chain: Chain,
    config: Config,
    display: Display,
    *,
    task_status: trio.TaskStatus[Sequence[str]] = trio.TASK_STATUS_IGNORED,
) -> None:
    """The services over an open chain. ``started`` gives the server's addresses, none where there is no server."""
    from .. import _core
    from ..server import Methods, serve, serve_metrics

    # Who follows makes no blocks, on nobody's word.
    automine = config.mining.mode == "automine" and not config.follow
    development = config.rpc.serves_development and not config.follow
    rpc = _core.Rpc(chain.core, development=development, automine=automine)
    async with trio.open_nursery() as nursery:
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            endpoints: Sequence[str] = ()
            if config.rpc.enabled:
                server = partial(serve, Methods(rpc), config.rpc.host, config.rpc.port, ipc=config.rpc.ipc)
                endpoints = await nursery.start(server)
            if config.metrics.enabled:
                await nursery.start(serve_metrics, chain.metrics, config.metrics.host, config.metrics.port)
            with display.shown(chain, endpoints):
                await nursery.start(_follow, chain, display)
                if config.follow:
                    follower = Follower(chain, [Client(Endpoint(url=url)) for url in config.follow])
                    nursery.start_soon(follower.run)
                # With a server, whoever submits mines in the same breath, unless a client has switched that off.
                mode = "manual" if config.follow or (endpoints and automine) else config.mining.mode
                seconds = config.mining.block_time_seconds
                # At the time that clients see, who may have moved the clock.
                producer = Producer(chain, mode, block_time_seconds=seconds, mine=rpc.mine)
                await nursery.start(producer.run)
                task_status.started(endpoints)
                async for _ in signals:
                    break
                nursery.cancel_scope.cancel()


async def _follow(
    chain: Chain, display: Display, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Shows each block that becomes canonical."""
    heads = chain.core.heads()
    task_status.started()
    while True:
        change = await trio.to_thread.run_sync(heads.wait, A_WHILE_SECONDS)
        if change is None:
            continue
        display.removed(len(change.removed))
        for name in change.added:
            display.block(chain.block(name))

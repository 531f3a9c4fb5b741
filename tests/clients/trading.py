"""An engine, its market and its chain, wired together: what tests of the order engine begin with."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio
from trio.testing import wait_all_tasks_blocked

from execlayer import Key
from execlayer.artifacts import artifact
from execlayer.orders import OrderEngine, OrderSettings, Report, Signal
from execlayer.testing.chainlab import Chainlab
from execlayer.testing.market import Market, Trader, open_market
from execlayer.upstream import Client

from .nodes import CHAIN_ID, dev_keys
from .test_market import AMOUNT, RECIPIENT, uniswap

SENDERS = 3
PATIENCE_SECONDS = 30
QUIET_SECONDS = 0.003
"""Nothing has happened for so long: shorter than the pause between two syncs of a journal."""

IDENTITY = Key(b"\7" * 32)


async def open_trading(client: Client) -> Market:
    """A market whose arbitrageur knows our senders."""
    await client.call("evm_setAutomine", False)
    trader = Trader(client, dev_keys()[0])
    market = await open_market(trader, uniswap("UniswapV2Factory"), uniswap("UniswapV2Pair"))
    contract = artifact("Arbitrageur")
    for key in dev_keys()[1 : 1 + SENDERS]:
        await trader.do(market.arbitrageur, contract.call("setOperator", key.address, True))
    # Whoever takes profit has some already, as a rule: the first unit costs 17,100 gas more.
    await trader.do(market.quote, artifact("Token").call("mint", RECIPIENT, 1))
    return market


@dataclass
class Desk:
    """One test's."""

    market: Market
    lab: Chainlab
    folder: Path
    engine: OrderEngine | None = None
    reports: list[Report] = field(default_factory=list)
    _next_signal: int = 0

    def settings(self, *, urls: Sequence[str] = (), **tables: dict[str, Any]) -> OrderSettings:
        """Of an engine that settles one block deep and speaks to the lab over a WebSocket; tables add to that."""
        names = ("primary", "secondary", "fallback")
        wanted = urls or [self.lab.websocket_url]
        nodes = {
            name: {"url": url, "name": name, "timeout_seconds": 10} for name, url in zip(names, wanted, strict=False)
        }
        tree: dict[str, Any] = {
            "chain_id": CHAIN_ID,
            "contract": self.market.arbitrageur,
            "recipient": RECIPIENT,
            "execution_engine": {
                "presim": "off",
                "conflict": "ignore",
                "confirmation_blocks": 1,
                "drain_timeout": "1s",
            },
            "submission_strategy": {"type": "public"},
            "rpc_endpoints": {**nodes, "backoff": {"base_seconds": 0.05}},
            "journal": {"dir": self.folder / "journal"},
            "protocol": {"listen": "127.0.0.1:0"},
        }
        for name, table in tables.items():
            tree[name] = {**tree.get(name, {}), **table}
        return OrderSettings.model_validate(tree)

    async def signal(self, **changes: Any) -> Signal:
        """The market's arbitrage as it is now."""
        profit = await self.market.flash_swap_profit(AMOUNT)
        head = int(await self.lab.node.call("eth_blockNumber"), 16)
        self._next_signal += 1
        values: dict[str, Any] = {
            "signal_id": self._next_signal,
            "created_unix_ns": time.time_ns(),
            "chain_id": CHAIN_ID,
            "pools": [self.market.cheap.pair, self.market.dear.pair],
            "tokens": [self.market.base, self.market.quote],
            "amounts": [AMOUNT],
            "profit_token": self.market.quote,
            "expected_profit": profit,
            "expected_profit_wei": profit // 2_000,
            "gas_estimate": 210_000,
            "state_block": head,
        }
        return Signal(**{**values, **changes})

    @asynccontextmanager
    async def running(
        self, settings: OrderSettings | None = None, *, keys: Sequence[Key] | None = None, **more: Any
    ) -> AsyncIterator[OrderEngine]:
        """An engine that runs while the block lasts; what it reports is kept."""
        senders = dev_keys()[1 : 1 + SENDERS] if keys is None else keys
        engine = OrderEngine(settings or self.settings(), senders, identity=IDENTITY, **more)
        async with trio.open_nursery() as nursery:
            await nursery.start(engine.run)
            nursery.start_soon(self._collect, engine)
            self.engine = engine
            yield engine
            nursery.cancel_scope.cancel()

    async def _collect(self, engine: OrderEngine) -> None:
        async for one in engine.updates():
            self.reports.append(one)

    async def until(self, order: int, *subs: str, mine: bool = False) -> Report:
        """The report that says that an order is there; with ``mine`` blocks are made until it does."""
        with trio.fail_after(PATIENCE_SECONDS):
            while True:
                for one in self.reports:
                    if one.status is not None and one.status.order_id == order and one.status.sub in subs:
                        return one
                assert self.engine is not None
                if mine and self.engine.stats()["head"] == self.lab.head:
                    # Blocks that come faster than their receipts can be read would close no window.
                    await wait_all_tasks_blocked(QUIET_SECONDS)
                    await self.lab.mine()
                await self.engine.results.wait_news()

    async def holds(self, condition: Callable[[OrderEngine], object]) -> None:
        """Waits until it does."""
        assert self.engine is not None
        with trio.fail_after(PATIENCE_SECONDS):
            while not condition(self.engine):
                await self.engine.results.wait_news()

    async def earned(self) -> int:
        """What the recipient has beyond its first unit."""
        return await self.market.balance(self.market.quote, RECIPIENT) - 1

"""Orders are tried on our own EVM before they are signed, on real nodes' state: what it foretells is what happens."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from .nodes import KINDS, running
from .packages import INSTALL_SECONDS
from .test_orders import Deployed, opened

pytestmark = pytest.mark.timeout(INSTALL_SECONDS + 120)


@pytest.mark.parametrize("kind", KINDS)
async def test_what_our_evm_foretells_is_what_happens(kind: str, tmp_path: Path, nursery: trio.Nursery) -> None:
    with running(kind, tmp_path) as node:
        async for desk in opened(node, Deployed(), tmp_path, nursery):
            execution = {"presim": "always", "conflict": "simulate"}
            async with desk.running(desk.settings(urls=[desk.lab.url], execution_engine=execution)) as engine:
                signal = await desk.signal()
                answer = await engine.submit(signal)
                assert answer.status is not None and answer.status.sub == "queued"
                await desk.until(answer.status.order_id, "in_pool")
                # What takes the same profit after it would find nothing left.
                late = await engine.submit(await desk.signal())
                assert late.status is not None
                report = await desk.until(late.status.order_id, "closed")
                assert report.status is not None and report.status.failure == "SimulationFailed"
                done = await desk.until(answer.status.order_id, "confirmed", mine=True)
                assert await desk.earned() == signal.expected_profit
                [fill] = [fill for one in desk.reports for fill in one.fills]
                # First in the block after the one it was tried on: gas and profit are compared to the last unit.
                assert (fill.tx_index, fill.realized) == (0, signal.expected_profit)
                assert engine.stats()["sim_drift"] == 0
                # Where a node traces blocks, what they did not change was kept, and was right.
                assert (engine._sync.carried > 0) == (kind == "anvil")
                # As much as it needs at its peak and a fifth more; some of that is given back at the end.
                assert done.attempts[0].gas_limit >= fill.gas_used * 120 // 100
                assert engine.monitor.times["presim_time"].count >= 2

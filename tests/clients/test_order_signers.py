"""Orders whose senders' keys are elsewhere, from signal to settled profit on our own node."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trio

from execlayer import Key
from execlayer.orders.security import at_signers
from execlayer.orders.settings import OrderSettings
from execlayer.orders.signers import outside_signers
from tests.softhsm import PIN, TOKEN, module
from tests.web3signer import Web3Signer, open_web3signer

from .nodes import dev_keys, running
from .packages import INSTALL_SECONDS
from .test_orders import Deployed, opened
from .trading import Desk

pytestmark = pytest.mark.timeout(INSTALL_SECONDS + 120)


@pytest.fixture
async def desk(tmp_path: Path, nursery: trio.Nursery) -> AsyncIterator[Desk]:
    with running("execlayer", tmp_path) as node:
        async for desk in opened(node, Deployed(), tmp_path, nursery):
            yield desk


def settings(desk: Desk, *keys: dict[str, Any] | Path) -> OrderSettings:
    return desk.settings(urls=[desk.lab.url], senders={"keys": keys})


def remote(server: Web3Signer, key: Key) -> dict[str, Any]:
    signer = {"url": server.url, "timeout_seconds": 2}
    return {"kind": "remote", "address": key.address, "signer": signer}


async def settled(desk: Desk, chosen: OrderSettings, keys: list[Key]) -> None:
    """An order of this engine's is settled, with its profit."""
    async with desk.running(chosen, keys=keys, signers=outside_signers(chosen)) as engine:
        signal = await desk.signal()
        answer = await engine.submit(signal)
        assert answer.status is not None
        await desk.until(answer.status.order_id, "in_pool", "mined", "confirmed")
        await desk.until(answer.status.order_id, "confirmed", mine=True)
        assert await desk.earned() == signal.expected_profit


async def test_an_order_that_a_remote_signer_signed_is_settled(desk: Desk) -> None:
    sender = dev_keys()[1]
    async with open_web3signer(sender) as server:
        server.high = True
        chosen = settings(desk, remote(server, sender))
        assert (await at_signers(chosen)).holds
        await settled(desk, chosen, [])


async def test_an_order_that_a_module_signed_is_settled(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    sender = dev_keys()[2]
    module().take("end to end", sender)
    monkeypatch.setenv("A_PIN", PIN)
    key = {"kind": "pkcs11", "address": sender.address, "module": module().library, "token": TOKEN}
    chosen = settings(desk, {**key, "label": "end to end", "pin_variable": "A_PIN"})
    assert (await at_signers(chosen)).holds
    await settled(desk, chosen, [])


async def test_a_signer_that_was_away_is_tried_again(desk: Desk) -> None:
    sender = dev_keys()[1]
    async with open_web3signer(sender) as server:
        server.wayward = lambda target: (503, b"") if "sign/" in target else None
        chosen = settings(desk, remote(server, sender))
        async with desk.running(chosen, keys=[], signers=outside_signers(chosen)) as engine:
            answer = await engine.submit(await desk.signal())
            assert answer.status is not None
            await desk.holds(lambda engine: any(lane["paused"] for lane in engine.stats()["lanes"]))
            assert [one.name for one in engine.monitor.alerts] == ["wallet_inaccessible"]
            server.wayward = None
            await desk.until(answer.status.order_id, "confirmed", mine=True)


async def test_a_signer_that_hangs_halts_its_own_lane_and_its_order_goes_by_another(desk: Desk) -> None:
    away, here = dev_keys()[1:3]
    async with open_web3signer(away) as server:
        server.hangs = True
        chosen = settings(desk, remote(server, away))
        async with desk.running(chosen, keys=[here], signers=outside_signers(chosen)) as engine:
            orders = []
            for _ in range(2):
                answer = await engine.submit(await desk.signal())
                assert answer.status is not None
                orders.append((answer.status.order_id, answer.status.sub))
            # The second has a lane of its own, whose signer is not heard of.
            assert [sub for _, sub in orders] == ["intent", "queued"]
            for order, _ in orders:
                report = await desk.until(order, "in_pool")
                assert [one.sender for one in report.attempts] == [here.address]
            assert [one.name for one in engine.monitor.alerts] == ["wallet_inaccessible"]

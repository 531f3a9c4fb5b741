"""The producer: when it makes blocks, what it does with what stays out, how it ends."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.lowlevel
from trio.testing import MockClock

from execlayer import Account, Chain
from execlayer.errors import ExeclayerError, ExecutionFailed
from execlayer.producer import Produced, Producer

GWEI = 10**9
REVERTS = bytes([0x5F, 0x5F, 0xFD])


def signed(sender: Account, nonce: int, **fields: Any) -> bytes:
    call = {"to": bytes([9] * 20), "value": 0, "data": b"", "gas_limit": 100_000, **fields}
    return sender.key.sign_transaction(
        chain_id=31_337, nonce=nonce, max_fee_per_gas=10 * GWEI, max_priority_fee_per_gas=GWEI, **call
    )


async def test_at_intervals_blocks_come_whether_somebody_waits_or_not(autojump_clock: MockClock) -> None:
    chain = Chain.dev()
    sent, receive = trio.open_memory_channel[Produced](16)
    producer = Producer(chain, "interval", block_time_seconds=12, publish=sent.send_nowait)
    async with trio.open_nursery() as nursery:
        await nursery.start(producer.run)
        begun = trio.current_time()
        chain.submit(signed(chain.accounts[0], 0))
        times, counts = [], []
        for _ in range(3):
            produced = await receive.receive()
            times.append(round(trio.current_time() - begun))
            counts.append(len(produced.block.transactions))
        producer.stop()
    assert (times, counts) == ([12, 24, 36], [1, 0, 0])


async def test_automine_takes_what_comes_and_what_waited_before_it_began() -> None:
    chain = Chain.dev()
    alice, bob = chain.accounts[:2]
    chain.submit(signed(alice, 0))
    sent, receive = trio.open_memory_channel[Produced](16)
    producer = Producer(chain, publish=sent.send_nowait)
    async with trio.open_nursery() as nursery:
        await nursery.start(producer.run)
        assert len((await receive.receive()).block.transactions) == 1
        # One behind a gap makes no block; the one that fills it makes one for both.
        chain.submit(signed(bob, 1))
        await trio.testing.wait_all_tasks_blocked()
        chain.submit(signed(bob, 0))
        assert len((await receive.receive()).block.transactions) == 2
        producer.stop()
    assert chain.head.number == 2


async def test_manual_makes_a_block_only_when_asked() -> None:
    chain = Chain.dev()
    producer = Producer(chain, "manual")
    async with trio.open_nursery() as nursery:
        await nursery.start(producer.run)
        chain.submit(signed(chain.accounts[0], 0))
        await trio.testing.wait_all_tasks_blocked()
        assert chain.head.number == 0
        produced = await producer.tick()
        assert (produced.block.number, produced.skipped) == (1, ())
        producer.stop()


async def test_the_policy_decides_about_what_stayed_out() -> None:
    chain = Chain.dev(presimulate=True)
    alice = chain.accounts[0]
    code = b"\x62" + REVERTS + bytes([0x5F, 0x52, 0x60, 3, 0x60, 29, 0xF3])
    deployed = alice.key.sign_transaction(
        chain_id=31_337,
        nonce=0,
        gas_limit=200_000,
        to=None,
        value=0,
        data=code,
        max_fee_per_gas=10 * GWEI,
        max_priority_fee_per_gas=GWEI,
    )
    hash_ = chain.submit(deployed)
    chain.mine()
    contract = chain.receipt(hash_).contract_address
    failing = chain.submit(signed(alice, 1, to=contract))
    asked: list[tuple[str, ExeclayerError]] = []

    def keep(transaction: str, reason: ExeclayerError) -> Any:
        asked.append((transaction, reason))
        return "keep" if len(asked) == 1 else "drop"

    producer = Producer(chain, "manual", policy=keep)
    await producer.tick()
    assert failing in chain.pool
    await producer.tick()
    await producer.tick()
    assert [transaction for transaction, _ in asked] == [failing, failing]
    assert all(isinstance(reason, ExecutionFailed) for _, reason in asked)
    assert failing not in chain.pool


async def test_a_block_that_is_being_made_is_finished_before_the_end() -> None:
    chain = Chain.dev()
    producer = Producer(chain, "manual")
    ended = trio.Event()

    async def run(task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        await producer.run(task_status=task_status)
        assert chain.head.number == 1
        ended.set()

    async with trio.open_nursery() as nursery:
        await nursery.start(run)
        nursery.start_soon(producer.tick)
        await trio.lowlevel.checkpoint()
        producer.stop()
        await ended.wait()


async def test_what_mining_raises_ends_the_service(autojump_clock: MockClock) -> None:
    chain = Chain.dev()

    def broken(columns: Any) -> Any:
        raise RuntimeError("no idea")

    chain.pool.order = broken
    with pytest.RaisesGroup(pytest.RaisesExc(RuntimeError, match="no idea"), flatten_subgroups=True):
        async with trio.open_nursery() as nursery:
            await nursery.start(Producer(chain, "interval", block_time_seconds=1).run)
    assert chain.head.number == 0

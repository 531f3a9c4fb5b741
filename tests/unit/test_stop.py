"""Giving up on a long call: by Ctrl-C on the main thread, by cancellation on a thread of Trio's. It ends soon, wherever
it spends its time, and the chain is as it was."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
import trio

from execlayer import Account, Chain, _core
from execlayer.server import Methods

from .conftest import genesis_of

ENDLESS = "0x" + "ee" * 20
"""Jumps to its beginning for as long as there is gas."""

GAS = 2**46
"""Hours of jumping."""

HEARD_SECONDS = 0.05
CANCELLED_SECONDS = 0.1
"""What is promised. A machine that does other things at the same time may come late, so tests allow for that."""

LATE_SECONDS = 1.0

SECRET = "0x" + "01" * 32

MINE = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "evm_mine", "params": []}).encode()


def endless_chain() -> Chain:
    address = _core.Key(SECRET).address
    genesis = genesis_of({address: hex(2**100)}, gasLimit=hex(2**47))
    genesis["alloc"][ENDLESS] = {"balance": "0x0", "code": "0x5b600056"}
    return Chain.dev(genesis)


@pytest.fixture
def chain() -> Chain:
    """A chain on which a transaction can run for hours, and one like that waiting."""
    chain = endless_chain()
    chain.submit(endless(chain))
    return chain


def endless(chain: Chain) -> bytes:
    return sender(chain).sign(ENDLESS, gas_limit=GAS, nonce=0)


def sender(chain: Chain) -> Account:
    return chain.account(SECRET)


CALLS: dict[str, Callable[[Chain], object]] = {
    "mine what waits": lambda chain: chain.mine(),
    "mine a batch": lambda chain: chain.mine([endless(chain)]),
    "estimate gas": lambda chain: sender(chain).sign(ENDLESS),
    "call": lambda chain: chain.call(ENDLESS),
    "answer a request": lambda chain: _core.Rpc(chain.core).handle_with(MINE, None, {}),
}


@pytest.fixture(params=CALLS)
def call(request: pytest.FixtureRequest) -> Callable[[Chain], object]:
    return CALLS[request.param]


@pytest.fixture
def hears_ctrl_c() -> Iterator[None]:
    """As from a terminal: what runs in a shell's background was told to ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@contextmanager
def unchanged(chain: Chain) -> Iterator[None]:
    head, pending = chain.head, chain.pending
    yield
    assert (chain.head, chain.pending) == (head, pending)
    # Nobody holds anything: the next one gets his turn.
    after = chain.mine([sender(chain).sign(ENDLESS, gas_limit=22_000, nonce=0)])
    assert after.number == head.number + 1


@pytest.mark.usefixtures("hears_ctrl_c")
def test_ctrl_c_ends_a_call_and_leaves_the_chain_as_it_was(chain: Chain, call: Callable[[Chain], object]) -> None:
    sent: list[float] = []

    def interrupt() -> None:
        sent.append(time.monotonic())
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(0.1, interrupt)
    with unchanged(chain):
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            call(chain)
        assert time.monotonic() - sent[0] < HEARD_SECONDS + LATE_SECONDS
    timer.join()


def test_a_cancelled_task_ends_its_call_and_leaves_the_chain_as_it_was(
    chain: Chain, call: Callable[[Chain], object]
) -> None:
    async def main() -> float:
        with trio.move_on_after(0.1) as scope:
            await trio.to_thread.run_sync(call, chain)
        assert scope.cancelled_caught
        return trio.current_time() - scope.deadline

    with unchanged(chain):
        assert trio.run(main) < CANCELLED_SECONDS + LATE_SECONDS


def test_a_call_in_a_cancelled_task_is_not_even_begun(chain: Chain) -> None:
    async def main() -> bool:
        with trio.CancelScope() as scope:
            scope.cancel()
            await trio.to_thread.run_sync(chain.mine)
        return scope.cancelled_caught

    with unchanged(chain):
        assert trio.run(main)


def test_threads_of_nobody_run_to_the_end() -> None:
    chain = Chain.dev()
    thread = threading.Thread(target=chain.mine)
    thread.start()
    thread.join()
    assert chain.head.number == 1


def test_who_waits_for_another_threads_block_can_give_up(chain: Chain) -> None:
    async def mining() -> None:
        await trio.to_thread.run_sync(chain.mine)

    async def main() -> bool:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(mining)
            nursery.start_soon(mining)
            with trio.move_on_after(0.1) as scope:
                while True:
                    await trio.to_thread.run_sync(chain.anchor)
            nursery.cancel_scope.cancel()
        return scope.cancelled_caught

    with unchanged(chain):
        assert trio.run(main)


def test_a_request_that_takes_too_long_gives_its_thread_back(chain: Chain) -> None:
    async def main() -> bytes:
        methods, limiter = Methods(_core.Rpc(chain.core)), trio.CapacityLimiter(1)
        answer = await methods.answer(MINE, seconds=0.1, limiter=limiter)
        with trio.fail_after(CANCELLED_SECONDS + LATE_SECONDS):
            async with limiter:
                return answer

    with unchanged(chain):
        assert json.loads(trio.run(main))["error"]["message"] == "request timed out"

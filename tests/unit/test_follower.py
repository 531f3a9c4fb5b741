"""A chain that follows another: from behind, through reorganisations, and not into what breaks a rule."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio

from execlayer import Chain, errors
from execlayer.follower import PORTION, Follower
from execlayer.testing import FakeNode
from execlayer.upstream import CallRefused, Client, Endpoint, LocalClient
from execlayer.upstream.heads import Watch

QUICK = Watch(poll_seconds=0.02)


@asynccontextmanager
async def following(source: Chain, chain: Chain) -> AsyncIterator[Follower]:
    """A follower that has caught up."""
    follower = Follower(chain, [LocalClient(source.core)], watch=QUICK)
    async with trio.open_nursery() as nursery:
        await nursery.start(follower.run)
        yield follower
        nursery.cancel_scope.cancel()


async def reached(chain: Chain, head: str) -> None:
    """Waits until the chain's head is this one."""
    heads = chain.core.heads()
    with trio.fail_after(20):
        while chain.head.hash != head:
            await trio.to_thread.run_sync(heads.wait, 0.1)


def grown(blocks: int) -> Chain:
    """A chain with a transfer in each block."""
    chain = Chain.dev()
    alice, bob = chain.accounts[:2]
    for _ in range(blocks):
        alice.transfer(bob, 1)
    return chain


async def test_a_chain_catches_up_and_goes_on_with_the_other() -> None:
    source, told = grown(2 * PORTION + 3), []
    chain = Chain.dev()
    follower = Follower(
        chain, [LocalClient(source.core)], watch=QUICK, tell=lambda height, target: told.append((height, target))
    )
    async with trio.open_nursery() as nursery:
        await nursery.start(follower.run)
        assert chain.head == source.head
        assert told == [(height, source.head.number) for height in (PORTION, 2 * PORTION, 2 * PORTION + 3)]
        for _ in range(3):
            head = (await trio.to_thread.run_sync(source.mine)).hash
            await reached(chain, head)
        nursery.cancel_scope.cancel()
    assert chain.balance(chain.accounts[1].address) == source.balance(source.accounts[1].address)


@pytest.mark.parametrize("blocks", [1, 2, 3], ids=["shorter", "as long", "longer"])
async def test_a_reorganisation_over_there_is_one_here(blocks: int) -> None:
    source = grown(5)
    chain = Chain.dev()
    anchor = source.anchor()
    for _ in range(2):
        source.mine()
    async with following(source, chain):
        assert chain.head == source.head
        anchor.undo()
        alice, bob = source.accounts[:2]
        source.mine([alice.sign(bob, 7)])
        for _ in range(blocks - 1):
            source.mine()
        await reached(chain, source.head.hash)
    assert chain.head.number == 5 + blocks
    assert chain.balance(chain.accounts[1].address) == source.balance(source.accounts[1].address)


async def test_a_head_that_is_set_back_is_followed() -> None:
    source = grown(6)
    chain = Chain.dev()
    async with following(source, chain):
        source.set_head(4)
        await reached(chain, source.head.hash)
    assert chain.head.number == 4


async def raised(chain: Chain, node: Any) -> Exception:
    """What ends a follower."""
    with pytest.RaisesGroup(Exception, flatten_subgroups=True) as group, trio.fail_after(20):
        await Follower(chain, [node], watch=QUICK).run()
    [error] = group.value.exceptions
    assert isinstance(error, Exception)
    while isinstance(error, ExceptionGroup):
        [error] = error.exceptions
    return error


async def raised_over(chain: Chain, node: FakeNode) -> Exception:
    """What ends a follower of a node behind a connection."""
    async with trio.open_nursery() as nursery:
        await nursery.start(node.run)
        error = await raised(chain, Client(Endpoint(url="http://localhost"), connect=node.connect))
        nursery.cancel_scope.cancel()
    return error


async def test_another_chain_is_not_followed() -> None:
    source = Chain.dev()
    other = Chain.dev({"config": {"chainId": 31337}, "difficulty": "0x0", "gasLimit": "0x1c9c380", "alloc": {}})
    error = await raised(other, LocalClient(source.core))
    assert isinstance(error, errors.OtherGenesis)
    assert (error.held, error.given) == (other.block(0).hash, source.block(0).hash)
    assert other.head.number == 0


class Liar(FakeNode):
    """Hands out what another chain has, but for the bytes of one block."""

    def __init__(self, chain: Chain, change: Callable[[int, bytes], bytes]) -> None:
        super().__init__({"eth_chainId": hex(chain.chain_id)})
        self.methods["eth_blockNumber"] = lambda: hex(chain.head.number)
        self.methods["eth_getBlockByNumber"] = lambda name, _full: self._header(chain, name)
        self.methods["debug_getRawBlock"] = lambda name: (
            "0x" + change(int(name, 16), chain.block(int(name, 16)).raw).hex()
        )

    @staticmethod
    def _header(chain: Chain, name: str) -> dict[str, Any]:
        block = chain.block(name if name == "latest" else int(name, 16))
        return {
            "number": hex(block.number),
            "hash": block.hash,
            "parentHash": block.parent_hash,
            "timestamp": hex(block.timestamp),
            "gasUsed": hex(block.gas_used),
            "gasLimit": hex(block.gas_limit),
        }


async def test_a_block_that_breaks_a_rule_ends_it_at_the_block_before() -> None:
    source = grown(4)
    wrong = source.block(3).raw

    def change(number: int, raw: bytes) -> bytes:
        # The state root of the third block is of another state.
        return raw.replace(bytes.fromhex(source.block(3).state_root[2:]), bytes(32)) if number == 3 else raw

    node = Liar(source, change)
    chain = Chain.dev()
    error = await raised_over(chain, node)
    assert isinstance(error, errors.InvalidHeader)
    assert (chain.head.number, wrong) == (2, source.block(3).raw)


async def test_a_node_that_keeps_its_blocks_to_itself_is_named() -> None:
    node = Liar(grown(1), lambda _, raw: raw)
    del node.methods["debug_getRawBlock"]
    error = await raised_over(Chain.dev(), node)
    assert isinstance(error, CallRefused)
    assert error.code == -32601

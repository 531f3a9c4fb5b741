"""The lab over a node that is played by hand: what it does while the node is busy, and where the node won't do."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from execlayer import Chain
from execlayer.server.methods import RpcError
from execlayer.testing import FakeNode, open_chainlab
from execlayer.testing.chainlab import LabError
from execlayer.upstream import Client, Endpoint

ALICE, BOB = Chain.dev().accounts[:2]


class SlowNode(FakeNode):
    """Makes empty blocks, and takes as long for each as it is told to."""

    def __init__(self) -> None:
        super().__init__({"web3_clientVersion": "anvil/v1", "evm_setAutomine": None, "evm_setNextBlockTimestamp": None})
        self.height = 5
        self.go = trio.Event()
        self.building = trio.Event()
        self.methods |= {
            "anvil_dropAllTransactions": None,
            "anvil_setNextBlockBaseFeePerGas": None,
            "eth_getBalance": hex(10**20),
            "eth_getBlockByNumber": self._block,
            "eth_getTransactionCount": "0x0",
            "eth_sendRawTransaction": "0x" + "00" * 32,
            "evm_mine": self._mine,
            "evm_snapshot": "0x1",
        }

    def _block(self, *_: Any) -> dict[str, Any]:
        return {
            "number": hex(self.height),
            "hash": f"0x{self.height:064x}",
            "parentHash": f"0x{self.height - 1:064x}",
            "timestamp": hex(self.height),
            "gasUsed": "0x0",
            "gasLimit": hex(30_000_000),
            "baseFeePerGas": "0x7",
            "miner": "0x" + "00" * 20,
            "transactions": [],
        }

    async def _mine(self) -> str:
        self.building.set()
        await self.go.wait()
        self.height += 1
        return "0x0"


async def test_transactions_are_taken_while_the_node_makes_a_block(nursery: trio.Nursery) -> None:
    node = SlowNode()
    await nursery.start(node.run)
    upstream = Client(Endpoint(url="http://localhost"), connect=node.connect)
    async with open_chainlab(upstream) as lab:
        client = await nursery.start(Client(Endpoint(url=lab.url)).run)
        raws = [ALICE.sign(BOB, 1, nonce=nonce, gas_limit=21_000) for nonce in range(2)]
        await client.call("eth_sendRawTransaction", "0x" + raws[0].hex())
        async with trio.open_nursery() as mining:
            mining.start_soon(lab.mine)
            await node.building.wait()
            await client.call("eth_sendRawTransaction", "0x" + raws[1].hex())
            assert lab.head == 5
            node.go.set()
        assert lab.head == 6
    nursery.cancel_scope.cancel()


async def test_what_the_node_left_out_is_dropped_from_its_pool_and_ours(nursery: trio.Nursery) -> None:
    node = SlowNode()
    node.go.set()
    await nursery.start(node.run)
    async with open_chainlab(Client(Endpoint(url="http://localhost"), connect=node.connect)) as lab:
        client = await nursery.start(Client(Endpoint(url=lab.url)).run)
        raw = ALICE.sign(BOB, 1, nonce=0, gas_limit=21_000)
        await client.call("eth_sendRawTransaction", "0x" + raw.hex())
        await lab.mine()
        assert len(lab.pool) == 0
        assert node.asked.count(("anvil_dropAllTransactions", [])) == 1
    nursery.cancel_scope.cancel()


async def test_without_snapshots_blocks_are_made_but_none_is_taken_back(nursery: trio.Nursery) -> None:
    def refuse() -> None:
        raise RpcError(-32000, "too many")

    node = SlowNode()
    node.go.set()
    node.methods["evm_snapshot"] = refuse
    await nursery.start(node.run)
    async with open_chainlab(Client(Endpoint(url="http://localhost"), connect=node.connect)) as lab:
        await lab.mine()
        with pytest.raises(LabError, match="can't be taken back"):
            await lab.reorg(1)
    nursery.cancel_scope.cancel()

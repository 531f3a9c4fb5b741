"""The lab in front of every node: its pool, its builder, its reorganisations, and what a client sees of them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import trio

from execlayer import Chain, Key, Transaction, _core
from execlayer.testing import Dead, Drop, Silent, Stale, Status
from execlayer.testing.chainlab import Chainlab, LabError, LabRules, PoolRules, open_chainlab
from execlayer.upstream import CallRefused, Client, Endpoint, Failover, HeadFeed, LocalClient, Upstream
from execlayer.upstream.errors import EndpointRefused, EndpointTimeout, ReplyLost
from execlayer.upstream.messages import write
from execlayer.upstream.ring import Change

from .nodes import CHAIN_ID, KINDS, dev_keys, running
from .packages import INSTALL_SECONDS

pytestmark = pytest.mark.timeout(INSTALL_SECONDS + 60)

GWEI = 10**9
KEYS = dev_keys()
IDENTITY = Key(b"\7" * 32)
LOGS_ONCE = bytes.fromhex("60006000a0")
"""Creation code that emits an empty log."""

REVERTS = bytes.fromhex("60006000fd")
RULES = LabRules(pool=PoolRules(queued_per_sender=4))


@pytest.fixture(scope="module", params=["local", *KINDS])
def node(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str | Chain]:
    """Where a node is, or a chain of this process."""
    if request.param == "local":
        with Chain.dev() as chain:
            yield chain
    else:
        with running(request.param, tmp_path_factory.mktemp(request.param)) as found:
            yield found.url


@pytest.fixture
async def lab(node: str | Chain) -> AsyncIterator[Chainlab]:
    upstream: str | Upstream = LocalClient(node.core) if isinstance(node, Chain) else node
    async with open_chainlab(upstream, rules=RULES) as lab:
        snapshot = await lab.node.call("evm_snapshot")
        yield lab
        await lab.node.call("evm_revert", snapshot)


@pytest.fixture
async def client(lab: Chainlab, nursery: trio.Nursery) -> AsyncIterator[Client]:
    found = Client(Endpoint(url=lab.websocket_url, timeout_seconds=10))
    await nursery.start(found.run)
    yield found
    nursery.cancel_scope.cancel()


@dataclass
class Wallet:
    """Signs for a key, counting by itself."""

    lab: Chainlab
    key: Key
    nonce: int = -1

    async def sign(self, *, nonce: int | None = None, tip: int = GWEI, max_fee: int = 0, **fields: Any) -> bytes:
        if self.nonce < 0:
            self.nonce = int(await self.lab.node.call("eth_getTransactionCount", self.key.address, "latest"), 16)
        if nonce is None:
            nonce, self.nonce = self.nonce, self.nonce + 1
        what: dict[str, Any] = {"to": "0x" + "77" * 20, "value": 1, "data": b"", "gas_limit": 100_000, **fields}
        what |= {"max_fee_per_gas": max_fee or 50 * GWEI + tip, "max_priority_fee_per_gas": tip}
        return self.key.sign_transaction(chain_id=CHAIN_ID, nonce=nonce, **what)


def name(raw: bytes) -> str:
    return Transaction.decode(raw).hash


async def send(client: Client, raw: bytes) -> str:
    return str(await client.call("eth_sendRawTransaction", "0x" + raw.hex()))


def hashes(block: dict[str, Any]) -> list[str]:
    return [one["hash"] for one in block["transactions"]]


async def bundle(client: Client, method: str, params: dict[str, Any], *, key: Key = IDENTITY) -> Any:
    """A signed request to the builder."""
    http = Client(Endpoint(url=client.endpoint.url.replace("ws", "http"), timeout_seconds=10))
    body = write(1, (method, [params]))
    text = "0x" + _core.keccak256(body).hex()
    digest = _core.keccak256(f"\x19Ethereum Signed Message:\n{len(text)}{text}".encode())
    header = f"X-Flashbots-Signature: {key.address}:0x{key.sign(digest).hex()}\r\n".encode()
    async with trio.open_nursery() as nursery:
        await nursery.start(http.run)
        answer = await http.exchange(body, headers=header)
        nursery.cancel_scope.cancel()
    found = json.loads(answer.body)
    if "error" in found:
        raise AssertionError(found["error"]["message"])
    return found["result"]


def target(lab: Chainlab, raws: list[bytes], *, ahead: int = 1, **more: Any) -> dict[str, Any]:
    return {"txs": ["0x" + raw.hex() for raw in raws], "blockNumber": hex(lab.head + ahead), **more}


# ---- the pool -------------------------------------------------------------------------------------------------------


async def test_transactions_wait_until_a_block_is_made_and_the_best_goes_first(lab: Chainlab, client: Client) -> None:
    wallets = [Wallet(lab, key) for key in KEYS[:3]]
    raws = [await wallet.sign(tip=tip * GWEI) for wallet, tip in zip(wallets, (2, 3, 1), strict=True)]
    raws.append(await wallets[0].sign(tip=9 * GWEI))
    for raw in raws:
        assert await send(client, raw) == name(raw)
    waiting = await client.call("eth_getTransactionByHash", name(raws[0]))
    assert (waiting["blockHash"], waiting["from"]) == (None, KEYS[0].address.lower())
    pending = await client.call("eth_getTransactionCount", KEYS[0].address, "pending")
    latest = await client.call("eth_getTransactionCount", KEYS[0].address, "latest")
    assert int(pending, 16) == int(latest, 16) + 2
    assert await client.call("txpool_status") == {"pending": "0x4", "queued": "0x0"}
    [block] = await lab.mine()
    assert hashes(block) == [name(raws[place]) for place in (1, 0, 3, 2)]
    assert len(lab.pool) == 0
    receipt = await client.call("eth_getTransactionReceipt", name(raws[0]))
    assert (receipt["status"], receipt["blockHash"]) == ("0x1", block["hash"])


async def test_a_replacement_pays_a_tenth_more_on_both_fees(lab: Chainlab, client: Client) -> None:
    wallet = Wallet(lab, KEYS[0])
    first = await wallet.sign(tip=10 * GWEI, max_fee=100 * GWEI)
    nonce = wallet.nonce - 1
    await send(client, first)
    for tip, max_fee in ((11, 100), (10, 110), (11, 109)):
        with pytest.raises(CallRefused, match="replacement transaction underpriced"):
            await send(client, await wallet.sign(nonce=nonce, tip=tip * GWEI, max_fee=max_fee * GWEI))
    with pytest.raises(CallRefused, match="already known"):
        await send(client, first)
    better = await wallet.sign(nonce=nonce, tip=11 * GWEI, max_fee=110 * GWEI)
    await send(client, better)
    [block] = await lab.mine()
    assert hashes(block) == [name(better)]
    with pytest.raises(CallRefused, match="nonce too low"):
        await send(client, first)


async def test_an_account_has_16_executable_transactions_and_a_few_behind(lab: Chainlab, client: Client) -> None:
    wallet = Wallet(lab, KEYS[1])
    raws = [await wallet.sign() for _ in range(21)]
    for raw in raws[:20]:
        await send(client, raw)
    assert await client.call("txpool_status") == {"pending": "0x10", "queued": "0x4"}
    with pytest.raises(CallRefused, match="account limit exceeded"):
        await send(client, raws[20])
    blocks = await lab.mine(2)
    assert [hashes(block) for block in blocks] == [[name(raw) for raw in raws[:16]], [name(raw) for raw in raws[16:20]]]


async def test_what_offers_less_than_the_base_fee_waits_and_is_not_refused(lab: Chainlab, client: Client) -> None:
    cheap = await Wallet(lab, KEYS[2]).sign(tip=1, max_fee=1)
    await send(client, cheap)
    [block] = await lab.mine()
    assert hashes(block) == []
    assert lab.pool.find(name(cheap)) is not None


async def test_who_can_not_pay_is_refused_in_geths_words(lab: Chainlab, client: Client) -> None:
    poor = Wallet(lab, Key(b"\x55" * 32))
    with pytest.raises(CallRefused, match="insufficient funds for gas \\* price \\+ value: balance 0"):
        await send(client, await poor.sign())
    with pytest.raises(CallRefused, match="max priority fee per gas higher than max fee"):
        await send(client, await Wallet(lab, KEYS[0]).sign(tip=2, max_fee=1))
    with pytest.raises(CallRefused):
        await client.call("eth_sendRawTransaction", "0x1234")


async def test_a_gap_holds_back_what_is_behind_it(lab: Chainlab, client: Client) -> None:
    wallet = Wallet(lab, KEYS[3])
    first, second = await wallet.sign(), await wallet.sign()
    await send(client, second)
    assert await client.call("txpool_status") == {"pending": "0x0", "queued": "0x1"}
    [block] = await lab.mine()
    assert hashes(block) == []
    await send(client, first)
    [block] = await lab.mine()
    assert hashes(block) == [name(first), name(second)]


async def test_a_dropped_transaction_is_gone(lab: Chainlab, client: Client) -> None:
    raw = await Wallet(lab, KEYS[0]).sign()
    await send(client, raw)
    assert lab.pool.drop(name(raw)) and not lab.pool.drop(name(raw))
    [block] = await lab.mine()
    assert hashes(block) == []
    assert await client.call("eth_getTransactionByHash", name(raw)) is None


async def test_with_automine_a_transaction_gets_a_block_at_once(lab: Chainlab, client: Client) -> None:
    await client.call("evm_setAutomine", True)
    raw = await Wallet(lab, KEYS[0]).sign()
    await send(client, raw)
    assert (await client.call("eth_getTransactionReceipt", name(raw)))["status"] == "0x1"


# ---- the builder ----------------------------------------------------------------------------------------------------


async def test_a_bundle_lands_at_the_top_of_its_block_whatever_others_pay(lab: Chainlab, client: Client) -> None:
    await send(client, await Wallet(lab, KEYS[0]).sign(tip=30 * GWEI))
    one, two = await Wallet(lab, KEYS[1]).sign(), await Wallet(lab, KEYS[2]).sign(tip=0)
    told = await bundle(client, "eth_sendBundle", target(lab, [two, one], ahead=2))
    joined = bytes.fromhex(name(two)[2:] + name(one)[2:])
    assert told == {"bundleHash": "0x" + _core.keccak256(joined).hex()}
    assert await client.call("eth_getTransactionByHash", name(one)) is None
    before, block = await lab.mine(2)
    assert len(hashes(before)) == 1
    assert hashes(block) == [name(two), name(one)]
    assert (lab.builder.statistics.received, lab.builder.statistics.included) == (1, 1)


async def test_a_bundle_of_which_one_reverts_leaves_no_trace(lab: Chainlab, client: Client) -> None:
    good, bad = await Wallet(lab, KEYS[0]).sign(), await Wallet(lab, KEYS[1]).sign(to=None, value=0, data=REVERTS)
    told = await bundle(client, "eth_sendBundle", target(lab, [good, bad]))
    [block] = await lab.mine()
    assert hashes(block) == []
    stats = await client.call("flashbots_getBundleStatsV2", told)
    assert stats["fate"] == "failed" and "reverted" in stats["reason"]
    for raw in (good, bad):
        assert await client.call("eth_getTransactionReceipt", name(raw)) is None
    allowed = target(lab, [good, bad], revertingTxHashes=[name(bad)])
    await bundle(client, "eth_sendBundle", allowed)
    [block] = await lab.mine()
    assert hashes(block) == [name(good), name(bad)]


async def test_of_two_bundles_that_exclude_each_other_the_better_bid_wins(lab: Chainlab, client: Client) -> None:
    wallet = Wallet(lab, KEYS[0])
    low = await wallet.sign(tip=2 * GWEI)
    high = await wallet.sign(nonce=wallet.nonce - 1, tip=3 * GWEI)
    other = await Wallet(lab, KEYS[1]).sign(tip=GWEI)
    for raw in (low, high, other):
        await bundle(client, "eth_sendBundle", target(lab, [raw]))
    [block] = await lab.mine()
    assert hashes(block) == [name(high), name(other)]
    fates = [one.fate for one in lab.builder.history.values()]
    assert fates == ["failed", "included", "included"]


async def test_cancels_win_over_replacements_that_come_late(lab: Chainlab, client: Client) -> None:
    wallet = Wallet(lab, KEYS[0])
    first = await wallet.sign()
    second = await wallet.sign(nonce=wallet.nonce - 1, tip=2 * GWEI)
    for raw in (first, second):
        await bundle(client, "eth_sendBundle", target(lab, [raw], replacementUuid="a"))
    assert lab.builder.statistics.replaced == 1
    stranger = Key(b"\x08" * 32)
    assert not await bundle(client, "eth_cancelBundle", {"replacementUuid": "a"}, key=stranger)
    assert await bundle(client, "eth_cancelBundle", {"replacementUuid": "a"})
    await bundle(client, "eth_sendBundle", target(lab, [first], replacementUuid="a"))
    assert (lab.builder.statistics.cancelled, lab.builder.statistics.ignored) == (1, 1)
    [block] = await lab.mine()
    assert hashes(block) == []


async def test_a_late_bundle_is_refused_and_a_missed_one_forgotten(lab: Chainlab, client: Client) -> None:
    raw = await Wallet(lab, KEYS[0]).sign()
    with pytest.raises(AssertionError, match="blockNumber must be above"):
        await bundle(client, "eth_sendBundle", target(lab, [raw], ahead=0))
    await bundle(client, "eth_sendBundle", target(lab, [raw], maxTimestamp=1))
    [block] = await lab.mine()
    assert hashes(block) == []
    assert (lab.builder.statistics.missed, lab.builder.waiting) == (1, [])


async def test_a_private_transaction_is_tried_until_it_lands_and_can_be_cancelled(
    lab: Chainlab, client: Client
) -> None:
    wallet = Wallet(lab, KEYS[0])
    first, second = await wallet.sign(), await wallet.sign()
    for raw in (first, second):
        assert await bundle(client, "eth_sendPrivateTransaction", {"tx": "0x" + raw.hex()}) == name(raw)
    assert lab.builder.waiting[0].last_block == lab.head + 25
    blocks = await lab.mine(2)
    assert [one for block in blocks for one in hashes(block)] == [name(first), name(second)]
    third = await wallet.sign()
    await bundle(client, "eth_sendPrivateTransaction", {"tx": "0x" + third.hex()})
    assert await bundle(client, "eth_cancelPrivateTransaction", {"txHash": name(third)})
    [block] = await lab.mine()
    assert hashes(block) == []


async def test_requests_to_the_builder_are_signed_by_who_they_say(lab: Chainlab, client: Client) -> None:
    with pytest.raises(CallRefused, match="X-Flashbots-Signature is missing"):
        await client.call("eth_sendBundle", target(lab, []))
    forged = Key(b"\x09" * 32)
    http = Client(Endpoint(url=lab.url))
    body = write(1, ("eth_sendBundle", [target(lab, [])]))
    digest = _core.keccak256(b"something else")
    header = f"X-Flashbots-Signature: {forged.address}:0x{forged.sign(digest).hex()}\r\n".encode()
    async with trio.open_nursery() as nursery:
        await nursery.start(http.run)
        answer = await http.exchange(body, headers=header)
        nursery.cancel_scope.cancel()
    assert b"X-Flashbots-Signature is 0x" in answer.body


async def test_bundles_have_their_bounds(lab: Chainlab, client: Client) -> None:
    raw = await Wallet(lab, KEYS[0]).sign()
    with pytest.raises(AssertionError, match="100 transactions at most, not 101"):
        await bundle(client, "eth_sendBundle", target(lab, [raw] * 101))
    large = await Wallet(lab, KEYS[0]).sign(data=bytes(100_000))
    with pytest.raises(AssertionError, match="300000 bytes at most"):
        await bundle(client, "eth_sendBundle", target(lab, [large] * 3))


# ---- reorganisations ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [1, 2, 5])
async def test_a_reorganisation_is_seen_by_a_head_feed_and_requeues_what_it_took(
    lab: Chainlab, client: Client, depth: int
) -> None:
    changes: list[Change] = []
    async with trio.open_nursery() as nursery:
        failover = Failover([Client(Endpoint(url=lab.websocket_url, timeout_seconds=10))], chain_id=CHAIN_ID)
        await nursery.start(failover.run)
        feed = await nursery.start(HeadFeed(failover, changes.append).run)
        start = lab.head
        wallet = Wallet(lab, KEYS[0])
        raws = [await wallet.sign() for _ in range(depth)]
        old = []
        for raw in raws:
            await send(client, raw)
            old += await lab.mine()
        await feed.wait_for(start + depth)
        new = await lab.reorg(depth)
        assert [hashes(block) for block in new] == [*[[]] * depth, [name(raw) for raw in raws]]
        await feed.wait_for(start + depth + 1)
        assert feed.ring.head.hash == new[-1]["hash"]
        removed = [one.hash for change in changes for one in change.removed]
        assert removed == [block["hash"] for block in old]
        nursery.cancel_scope.cancel()


async def test_a_success_can_become_a_revert_and_a_transaction_can_be_lost(lab: Chainlab, client: Client) -> None:
    wallet, other = Wallet(lab, KEYS[0]), Wallet(lab, KEYS[1])
    good = await wallet.sign()
    bad = await wallet.sign(nonce=wallet.nonce - 1, to=None, value=0, data=REVERTS)
    lost = await other.sign()
    for raw in (good, lost):
        await send(client, raw)
    await lab.mine()
    blocks = await lab.reorg(1, blocks=[[bad], []], requeue=False)
    assert [hashes(block) for block in blocks] == [[name(bad)], []]
    assert (await client.call("eth_getTransactionReceipt", name(bad)))["status"] == "0x0"
    for raw in (good, lost):
        assert await client.call("eth_getTransactionReceipt", name(raw)) is None
    assert len(lab.pool) == 0


async def test_logs_of_blocks_that_are_taken_back_are_told_as_removed(lab: Chainlab, client: Client) -> None:
    async with client.subscribe("logs", {}) as logs:
        raw = await Wallet(lab, KEYS[0]).sign(to=None, value=0, data=LOGS_ONCE)
        await send(client, raw)
        [block] = await lab.mine()
        told = await logs.receive()
        assert (told["removed"], told["blockHash"]) == (False, block["hash"])
        *_, newest = await lab.reorg(1)
        assert await logs.receive() == {**told, "removed": True}
        again = await logs.receive()
        assert (again["removed"], again["blockHash"]) == (False, newest["hash"])
    nobody = {"address": "0x" + "12" * 20, "topics": [None, ["0x" + "34" * 32]]}
    async with client.subscribe("logs", nobody) as logs, client.subscribe("newHeads") as heads:
        await lab.reorg(1)
        await heads.receive()
        with pytest.raises(trio.WouldBlock):
            logs.receive_nowait()


async def test_what_the_lab_did_not_make_it_does_not_take_back(lab: Chainlab) -> None:
    with pytest.raises(LabError, match="can't be taken back"):
        await lab.reorg(1)
    old = await lab.mine(2)
    with pytest.raises(LabError, match="3 blocks"):
        await lab.reorg(3)
    new = await lab.reorg(2)
    newest = await lab.reorg(3)
    assert lab.reorgs == 2
    assert len({block["hash"] for block in [*old, *new, *newest]}) == 2 + 3 + 4


async def test_a_block_that_can_not_hold_what_it_should_says_so(lab: Chainlab) -> None:
    wallet = Wallet(lab, KEYS[0])
    good, _, behind_a_gap = await wallet.sign(), await wallet.sign(), await wallet.sign()
    with pytest.raises(LabError, match=name(behind_a_gap)):
        await lab.mine(transactions=[good, behind_a_gap])
    [block] = await lab.mine()
    assert hashes(block) == []


# ---- faults ---------------------------------------------------------------------------------------------------------


async def test_faults_happen_between_the_client_and_the_node(lab: Chainlab) -> None:
    async with trio.open_nursery() as nursery:
        client = Client(Endpoint(url=lab.url, timeout_seconds=1))
        await nursery.start(client.run)
        raw = "0x" + (await Wallet(lab, KEYS[0]).sign()).hex()
        lab.faults.add(Drop(), "eth_sendRawTransaction")
        with pytest.raises(ReplyLost):
            await client.call("eth_sendRawTransaction", raw)
        assert len(lab.pool) == 0
        lab.faults.add(Drop(after=True), "eth_sendRawTransaction")
        with pytest.raises(ReplyLost):
            await client.call("eth_sendRawTransaction", raw)
        assert len(lab.pool) == 1
        with pytest.raises(CallRefused, match="already known"):
            await client.call("eth_sendRawTransaction", raw)
        lab.faults.add(Status(429), "eth_chainId")
        with pytest.raises(EndpointRefused, match="429"):
            await client.call("eth_chainId")
        lab.faults.add(Dead(), "eth_chainId")
        with pytest.raises(EndpointTimeout):
            await client.call("eth_chainId")
        assert int(await client.call("eth_chainId"), 16) == CHAIN_ID
        nursery.cancel_scope.cancel()


async def test_stale_reads_know_nothing_of_the_newest_blocks(lab: Chainlab, client: Client) -> None:
    raw = await Wallet(lab, KEYS[0]).sign()
    before = int(await client.call("eth_getTransactionCount", KEYS[0].address, "latest"), 16)
    await send(client, raw)
    await lab.mine(2)
    height = lab.head
    asks: list[tuple[str, tuple[Any, ...]]] = [
        ("eth_blockNumber", ()),
        ("eth_getTransactionCount", (KEYS[0].address, "latest")),
        ("eth_getTransactionReceipt", (name(raw),)),
        ("eth_getBlockByNumber", (hex(height), False)),
    ]
    with lab.faults.during(Stale(2)):
        seen = await client.batch(asks)
        latest = await client.call("eth_getBlockByNumber", "latest", False)
    assert seen == [hex(height - 2), hex(before), None, None]
    assert latest["number"] == hex(height - 2)
    number, count, receipt, block = await client.batch(asks)
    assert (number, count, block["number"]) == (hex(height), hex(before + 1), hex(height))
    assert receipt["blockNumber"] == hex(height - 1)


async def test_a_silent_subscription_loses_heads(lab: Chainlab, client: Client) -> None:
    async with client.subscribe("newHeads") as heads:
        rule = lab.faults.add(Silent(), times=1)
        await lab.mine(2)
        assert int((await heads.receive())["number"], 16) == lab.head
        assert rule.happened == 1


async def test_a_development_nodes_way_back_is_followed(lab: Chainlab, client: Client) -> None:
    snapshot = await client.call("evm_snapshot")
    start = lab.head
    await client.call("evm_mine")
    assert await client.call("evm_revert", snapshot)
    assert lab.head == start
    [block] = await lab.mine()
    assert int(block["number"], 16) == start + 1
    with pytest.raises(CallRefused, match="no such subscription"):
        await client.call("eth_subscribe", "nothing")
    with pytest.raises(CallRefused):
        await client.call("eth_nothing")
    for method in ("eth_sendRawTransaction", "eth_unsubscribe", "evm_setAutomine"):
        with pytest.raises(CallRefused, match="missing value"):
            await client.call(method)


async def test_blocks_come_by_themselves_where_that_is_wanted(node: str | Chain) -> None:
    upstream: str | Upstream = LocalClient(node.core) if isinstance(node, Chain) else node
    async with open_chainlab(upstream, rules=LabRules(block_seconds=0.01)) as lab, trio.open_nursery() as nursery:
        client = Client(Endpoint(url=lab.websocket_url))
        await nursery.start(client.run)
        async with client.subscribe("newHeads") as heads:
            first, second = await heads.receive(), await heads.receive()
        assert int(second["number"], 16) == int(first["number"], 16) + 1
        nursery.cancel_scope.cancel()

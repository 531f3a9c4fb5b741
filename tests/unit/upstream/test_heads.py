"""Following a head: through silence, gaps and reorganisations of a chain that is played by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from execlayer.testing import FakeNode, Silent, Status
from execlayer.upstream import Client, Endpoint, Failover, HeadFeed
from execlayer.upstream.failover import Backoff
from execlayer.upstream.ring import HEADERS_KEPT, Change, Header, Ring


def name(number: int, fork: str) -> str:
    return f"0x{fork.encode().hex()}{number:x}".ljust(66, "0")


def block(number: int, fork: str = "a", parent_fork: str | None = None) -> dict[str, Any]:
    return {
        "number": hex(number),
        "hash": name(number, fork),
        "parentHash": name(number - 1, parent_fork or fork),
        "timestamp": hex(12 * number),
        "baseFeePerGas": "0x7",
        "gasUsed": "0x0",
        "gasLimit": "0x1c9c380",
    }


class PlayedChain(FakeNode):
    """A node whose chain is set by hand; ``grow`` and ``replace`` tell its subscribers unless told not to."""

    def __init__(self, height: int = 10) -> None:
        super().__init__({"eth_chainId": "0x1"})
        self.blocks = [block(number) for number in range(height + 1)]
        self.methods["eth_blockNumber"] = lambda: hex(len(self.blocks) - 1)
        self.forgotten: dict[str, dict[str, Any]] = {}
        self.methods["eth_getBlockByNumber"] = self._by_number
        self.methods["eth_getBlockByHash"] = self._by_hash

    def grow(self, count: int = 1, *, fork: str = "a", tell: bool = True) -> None:
        for _ in range(count):
            last = self.blocks[-1]
            added = {**block(len(self.blocks), fork), "parentHash": last["hash"]}
            self.blocks.append(added)
            if tell:
                self.push(added)

    def replace(self, depth: int, count: int, *, fork: str = "b", tell: bool = True) -> None:
        """The newest ``depth`` blocks give way to ``count`` others."""
        for gone in self.blocks[len(self.blocks) - depth :]:
            self.forgotten[gone["hash"]] = gone
        del self.blocks[len(self.blocks) - depth :]
        self.grow(count, fork=fork, tell=tell)

    def _by_number(self, number: str, _full: bool) -> Any:
        place = len(self.blocks) - 1 if number == "latest" else int(number, 16)
        return self.blocks[place] if place < len(self.blocks) else None

    def _by_hash(self, wanted: str, _full: bool) -> Any:
        return next((one for one in self.blocks if one["hash"] == wanted), self.forgotten.get(wanted))


class Follower:
    """A feed over some played chains, and what it told."""

    def __init__(self, *nodes: PlayedChain, url: str = "ws://localhost") -> None:
        clients = [
            Client(Endpoint(url=url, name=f"node{place}"), connect=node.connect) for place, node in enumerate(nodes)
        ]
        self.nodes = nodes
        self.failover = Failover(clients, chain_id=1, backoff=Backoff(jitter=0))
        self.changes: list[Change] = []
        self.feed = HeadFeed(self.failover, self.changes.append)

    async def start(self, nursery: trio.Nursery) -> None:
        for node in self.nodes:
            await nursery.start(node.run)
        await nursery.start(self.failover.run)
        await nursery.start(self.feed.run)
        await wait_all_tasks_blocked()

    @property
    def steps(self) -> list[tuple[list[int], list[int]]]:
        return [([one.number for one in step.removed], [one.number for one in step.added]) for step in self.changes]

    def check_agrees(self) -> None:
        """The ring holds the node's newest blocks, and the changes lead there."""
        canonical = [one["hash"] for one in self.nodes[0].blocks]
        head = self.feed.ring.head
        assert head is not None and (head.number, head.hash) == (len(canonical) - 1, canonical[-1])
        replayed: list[str] = []
        for change in self.changes:
            for gone in reversed(change.removed):
                assert replayed.pop() == gone.hash
            replayed += [one.hash for one in change.added]
        kept = min(len(replayed), HEADERS_KEPT)
        assert replayed[-kept:] == canonical[-kept:]


Start = Callable[..., Any]


@pytest.fixture
def start(nursery: trio.Nursery) -> Start:
    async def start_one(*nodes: PlayedChain, url: str = "ws://localhost") -> Follower:
        follower = Follower(*(nodes or (PlayedChain(),)), url=url)
        await follower.start(nursery)
        return follower

    return start_one


async def test_each_head_is_told_once_as_it_comes(start: Start, autojump_clock: MockClock) -> None:
    follower = await start()
    begin = trio.current_time()
    follower.nodes[0].grow(3)
    await follower.feed.wait_for(13)
    assert trio.current_time() == begin
    await trio.sleep(10)
    assert follower.steps == [([], [10]), ([], [11]), ([], [12]), ([], [13])]
    follower.check_agrees()


async def test_without_subscriptions_the_poll_sees_every_block(start: Start, autojump_clock: MockClock) -> None:
    follower = await start(url="http://localhost")
    follower.nodes[0].grow(3)
    await trio.sleep(2.5)
    follower.nodes[0].replace(2, 4)
    await trio.sleep(2.5)
    assert follower.steps == [([], [10]), ([], [11, 12, 13]), ([12, 13], [12, 13, 14, 15])]
    follower.check_agrees()


async def test_a_silent_subscription_is_noticed_and_opened_anew(start: Start, autojump_clock: MockClock) -> None:
    follower = await start()
    node = follower.nodes[0]
    with node.faults.during(Silent()):
        node.grow()
        await trio.sleep(2.5)
        assert follower.steps[-1] == ([], [11])  # the poll sees it anyhow
        await trio.sleep(4)
        assert follower.feed.resubscriptions >= 1
    await trio.sleep(2.5)
    count = follower.feed.resubscriptions
    begin = trio.current_time()
    node.grow()
    await follower.feed.wait_for(12)
    assert trio.current_time() == begin
    await trio.sleep(20)
    assert follower.feed.resubscriptions == count
    follower.check_agrees()


async def test_after_24_seconds_without_a_head_the_connection_is_distrusted(
    start: Start, autojump_clock: MockClock
) -> None:
    follower = await start()
    await trio.sleep(23)
    assert follower.feed.resubscriptions == 0
    await trio.sleep(4)
    assert follower.feed.resubscriptions == 1
    assert follower.failover.fit("heads")


async def test_what_was_missed_while_the_connection_was_gone_is_caught_up(
    start: Start, autojump_clock: MockClock
) -> None:
    follower = await start()
    node = follower.nodes[0]
    node.reachable = False
    node.drop_connections()
    node.grow(70, tell=False)
    await trio.sleep(5)
    node.reachable = True
    await follower.feed.wait_for(80)
    assert follower.steps[-1] == ([], list(range(11, 81)))
    follower.check_agrees()


@pytest.mark.parametrize("depth", [1, 2, 5])
async def test_a_reorganisation_is_told_down_to_the_common_ancestor(
    start: Start, autojump_clock: MockClock, depth: int
) -> None:
    follower = await start()
    node = follower.nodes[0]
    node.grow(6)
    await follower.feed.wait_for(16)
    node.replace(depth, depth + 1, tell=False)
    node.push(node.blocks[-1])
    await follower.feed.wait_for(17)
    assert follower.steps[-1] == (list(range(17 - depth, 17)), list(range(17 - depth, 18)))
    follower.check_agrees()


async def test_a_chain_that_became_shorter_is_followed_too(start: Start, autojump_clock: MockClock) -> None:
    follower = await start()
    node = follower.nodes[0]
    node.grow(4)
    await follower.feed.wait_for(14)
    node.replace(3, 1)
    await wait_all_tasks_blocked()
    assert follower.steps[-1] == ([12, 13, 14], [12])
    follower.check_agrees()


async def test_a_reorganisation_deeper_than_what_is_kept_is_told_as_a_gap(
    start: Start, autojump_clock: MockClock
) -> None:
    follower = await start()
    node = follower.nodes[0]
    node.grow(3)
    await follower.feed.wait_for(13)
    node.replace(5, 6, tell=False)
    node.push(node.blocks[-1])
    await follower.feed.wait_for(14)
    assert follower.changes[-1].gap
    assert follower.steps[-1][0] == [10, 11, 12, 13]
    node.grow(HEADERS_KEPT + 5, tell=False)
    await trio.sleep(3)
    assert follower.changes[-1].gap
    head = follower.feed.ring.head
    assert head is not None and head.hash == node.blocks[-1]["hash"]


async def test_old_and_repeated_notifications_change_nothing(start: Start, autojump_clock: MockClock) -> None:
    follower = await start()
    node = follower.nodes[0]
    node.grow(3)
    for place in (11, 13, 12, 13):
        node.push(node.blocks[place])
    await trio.sleep(3)
    assert follower.steps == [([], [10]), ([], [11]), ([], [12]), ([], [13])]


async def test_the_next_endpoint_is_followed_where_the_first_fails(start: Start, autojump_clock: MockClock) -> None:
    first, second = PlayedChain(), PlayedChain()
    follower = await start(first, second)
    first.reachable = False
    first.drop_connections()
    await trio.sleep(3)
    second.grow(2)
    await follower.feed.wait_for(12)
    assert [one.upstream.name for one in follower.failover.fit("heads")] == ["node1"]


async def test_an_endpoint_that_sends_nonsense_is_left(start: Start, autojump_clock: MockClock) -> None:
    first, second = PlayedChain(), PlayedChain()
    follower = await start(first, second)
    first.methods["eth_getBlockByNumber"] = lambda *_: {"number": "nonsense"}
    await trio.sleep(2.5)
    second.grow(1)
    await follower.feed.wait_for(11)
    first.faults.add(Status(500), times=None)
    await trio.sleep(30)
    assert [one.upstream.name for one in follower.failover.fit("heads")] == ["node1"]


STEPS = st.one_of(
    st.tuples(st.just("grow"), st.integers(1, 6), st.booleans()),
    st.tuples(st.just("replace"), st.integers(1, 6), st.booleans()),
    st.tuples(st.just("drop"), st.just(0), st.booleans()),
    st.tuples(st.just("wait"), st.integers(0, 5), st.booleans()),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(STEPS, max_size=12), st.sampled_from(["ws://localhost", "http://localhost"]))
def test_whatever_happens_on_the_way_the_feed_ends_where_the_chain_does(
    steps: list[tuple[str, int, bool]], url: str
) -> None:
    async def main() -> None:
        node = PlayedChain()
        follower = Follower(node, url=url)
        async with trio.open_nursery() as nursery:
            await follower.start(nursery)
            for place, (kind, count, told) in enumerate(steps):
                fork = f"f{place}"
                if kind == "grow":
                    node.grow(count, fork=fork, tell=told)
                elif kind == "replace":
                    node.replace(min(count, len(node.blocks) - 11), count + 1, fork=fork, tell=told)
                elif kind == "drop":
                    node.drop_connections()
                    node.reachable = told
                else:
                    await trio.sleep(count)
            node.reachable = True
            await trio.sleep(100)
            follower.check_agrees()
            assert not any(change.gap for change in follower.changes)
            nursery.cancel_scope.cancel()

    trio.run(main, clock=MockClock(autojump_threshold=0))


def header(number: int, fork: str = "a", parent_fork: str | None = None) -> Header:
    return Header.from_json(block(number, fork, parent_fork))


def test_a_ring_keeps_its_size_and_knows_what_is_canonical() -> None:
    ring = Ring(size=4)
    for number in range(10):
        ring.attach([header(number)])
    assert [ring.at(number) is not None for number in range(4, 11)] == [False, False, True, True, True, True, False]
    assert ring.holds(9, name(9, "a")) and not ring.holds(9, name(9, "b"))
    change = ring.attach([header(8, "b", "a"), header(9, "b")])
    assert ([one.number for one in change.removed], change.gap) == ([8, 9], False)
    assert ring.holds(9, name(9, "b")) and ring.holds(7, name(7, "a"))
    assert ring.attach([header(50)]).gap
    assert ring.oldest == ring.head == header(50)


@given(
    st.recursive(
        st.none() | st.text() | st.integers(), lambda inner: st.dictionaries(st.sampled_from([*block(1)]), inner)
    )
)
def test_whatever_stands_for_a_header_is_one_or_refused(value: Any) -> None:
    with pytest.raises(ValueError):
        Header.from_json(value)

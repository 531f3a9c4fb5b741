"""Each fault, as a client meets it over both transports."""

from __future__ import annotations

import json

import pytest
import trio
from trio.testing import MockClock

from execlayer.testing import (
    Dead,
    Delay,
    Drop,
    Duplicate,
    FakeNode,
    Faults,
    Garble,
    Silent,
    Stale,
    Status,
    Truncate,
)
from execlayer.upstream import Client, Endpoint, UpstreamError
from execlayer.upstream.errors import EndpointRefused, EndpointTimeout, ReplyLost, ReplyMalformed

TRANSPORTS = ["http://localhost", "ws://localhost"]


def test_a_fault_happens_as_often_as_it_should_and_to_whom_it_should() -> None:
    faults = Faults()
    rule = faults.add(Drop(), "one", times=2)
    ever = faults.add(Delay(1), times=None)
    assert [faults.take("two"), faults.take("one"), faults.take("one"), faults.take("one")] == [
        [Delay(1)],
        [Drop(), Delay(1)],
        [Drop(), Delay(1)],
        [Delay(1)],
    ]
    assert (rule.happened, ever.happened) == (2, 4)
    faults.remove(ever)
    faults.remove(ever)
    assert faults.take("one") == []
    with faults.during(Silent(), "ignored"):
        assert faults.take("eth_subscription") == [Silent()]
        assert faults.take("ignored") == []
    assert faults.take("eth_subscription") == []


async def connected(nursery: trio.Nursery, url: str) -> tuple[FakeNode, Client]:
    count = iter(range(100))
    node = FakeNode({"count": lambda: next(count)})
    await nursery.start(node.run)
    client = Client(Endpoint(url=url, timeout_seconds=2), connect=node.connect)
    await nursery.start(client.run)
    return node, client


@pytest.mark.parametrize("url", TRANSPORTS)
@pytest.mark.parametrize(
    ("fault", "error", "effects"),
    [
        (Drop(), ReplyLost, 0),
        (Drop(after=True), ReplyLost, 1),
        (Dead(), EndpointTimeout, 0),
        (Delay(3), EndpointTimeout, 1),
        (Truncate(), ReplyLost, 1),
        (Garble(), ReplyMalformed, 1),
    ],
)
async def test_faults_meet_a_client_as_typed_errors(
    nursery: trio.Nursery, autojump_clock: MockClock, url: str, fault: Drop, error: type[UpstreamError], effects: int
) -> None:
    node, client = await connected(nursery, url)
    node.faults.add(fault)
    with pytest.raises(error):
        await client.call("count")
    assert len(node.asked) == effects
    assert await client.call("count") == effects


async def test_a_delay_shorter_than_patience_is_only_slow(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    node, client = await connected(nursery, TRANSPORTS[0])
    node.faults.add(Delay(1.5))
    begin = trio.current_time()
    assert await client.call("count") == 0
    assert trio.current_time() - begin == pytest.approx(1.5, abs=0.01)


@pytest.mark.parametrize("url", TRANSPORTS)
async def test_a_duplicate_is_carried_out_twice_and_answered_once(
    nursery: trio.Nursery, autojump_clock: MockClock, url: str
) -> None:
    node, client = await connected(nursery, url)
    node.faults.add(Duplicate())
    assert [await client.call("count"), await client.call("count")] == [1, 2]


async def test_statuses_are_https_and_end_a_websocket(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    node, client = await connected(nursery, TRANSPORTS[0])
    for code in (429, 500, 502, 503, 504):
        node.faults.add(Status(code, retry_after_seconds=3))
        with pytest.raises(EndpointRefused) as caught:
            await client.call("count")
        assert (caught.value.status, caught.value.retry_after_seconds) == (code, 3)
    node, client = await connected(nursery, TRANSPORTS[1])
    node.faults.add(Status(503))
    with pytest.raises(ReplyLost):
        await client.call("count")
    assert node.asked == []


async def test_silence_loses_notifications_and_nothing_else(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    node, client = await connected(nursery, TRANSPORTS[1])
    async with client.subscribe("newHeads") as notices:
        with node.faults.during(Silent()):
            node.push(1)
            assert await client.call("count") == 0
        node.push(2)
        assert await notices.receive() == 2


async def test_staleness_is_handed_to_whoever_answers(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    node, client = await connected(nursery, TRANSPORTS[0])
    node.faults.add(Stale(blocks=3))
    assert await client.call("count") == 0
    assert node.stale_blocks == [3]


async def test_what_is_no_request_is_told_so(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    _, client = await connected(nursery, TRANSPORTS[0])
    for body, code in ((b"{", -32700), (b"1", -32600), (b'{"id":1,"method":"none"}', -32601)):
        answer = await client.exchange(body)
        assert json.loads(answer.body)["error"]["code"] == code

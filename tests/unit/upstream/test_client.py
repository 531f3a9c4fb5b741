"""Calls over in-memory connections: matched, joined, timed, refused; every way for a reply not to come."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from execlayer.server.methods import RpcError
from execlayer.testing import Dead, Delay, Drop, FakeNode, Garble, Status, Truncate
from execlayer.upstream import Answer, Client, Endpoint
from execlayer.upstream.client import BATCH_MAX, Outcome
from execlayer.upstream.codecs import request_head
from execlayer.upstream.errors import (
    Backlogged,
    CallRefused,
    EndpointRefused,
    EndpointTimeout,
    EndpointUnreachable,
    ReplyLost,
    ReplyMalformed,
    ReplyTooLarge,
    SubscriptionLost,
    UpstreamError,
)
from execlayer.upstream.link import COALESCED_MAX, LARGE_BYTES
from execlayer.upstream.messages import write

from .conftest import OpenClient

TRANSPORTS = ["http://localhost", "ws://localhost"]


@pytest.mark.parametrize("url", TRANSPORTS)
async def test_calls_and_batches_are_answered_over_every_transport(open_client: OpenClient, url: str) -> None:
    client = await open_client(url)
    assert await client.call("eth_chainId") == "0x7"
    assert await client.call("echo", 1, {"a": None}) == [1, {"a": None}]
    first, refused, last = await client.batch([("echo", (1,)), ("nothing", ()), ("eth_blockNumber", ())])
    assert (first, last) == ([1], "0x10")
    assert isinstance(refused, CallRefused) and (refused.code, refused.sent) == (-32601, True)


@pytest.mark.parametrize("url", TRANSPORTS)
async def test_large_replies_come_to_who_asked_whatever_their_order(
    open_client: OpenClient, node: FakeNode, url: str
) -> None:
    go = trio.Event()

    async def slow(size: int) -> str:
        await go.wait()
        return "a" * size

    async def quick(size: int) -> str:
        go.set()
        return "b" * size

    node.methods |= {"slow": slow, "quick": quick}
    client = await open_client(url)
    size = 2 * LARGE_BYTES
    answers: dict[str, str] = {}

    async def ask(method: str) -> None:
        answers[method] = await client.call(method, size)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, "slow")
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(ask, "quick")
    assert answers == {"slow": "a" * size, "quick": "b" * size}
    assert client.waiting == 0


@pytest.mark.parametrize("url", TRANSPORTS)
async def test_a_refusal_carries_what_the_node_said(open_client: OpenClient, node: FakeNode, url: str) -> None:
    def refuse() -> None:
        raise RpcError(3, "execution reverted", "0x08c379a0")

    node.methods["eth_call"] = refuse
    client = await open_client(url)
    with pytest.raises(CallRefused, match="execution reverted") as caught:
        await client.call("eth_call")
    assert (caught.value.code, caught.value.reason, caught.value.data) == (3, "execution reverted", "0x08c379a0")


async def test_long_batches_go_in_parts_and_come_back_in_order(open_client: OpenClient, node: FakeNode) -> None:
    client = await open_client()
    count = 2 * BATCH_MAX + 1
    assert await client.batch([("echo", (place,)) for place in range(count)]) == [[place] for place in range(count)]


async def test_calls_share_connections_and_no_more_are_opened_than_may_be(
    open_client: OpenClient, node: FakeNode
) -> None:
    client = await open_client(connections=3)
    go = trio.Event()

    async def hold(number: int) -> int:
        await go.wait()
        return number

    node.methods["hold"] = hold
    answers: list[int] = []

    async def ask(number: int) -> None:
        answers.append(await client.call("hold", number))

    async with trio.open_nursery() as nursery:
        for number in range(20):
            nursery.start_soon(ask, number)
        await trio.testing.wait_all_tasks_blocked()
        assert (node.connections, client.waiting) == (3, 20)
        go.set()
    assert sorted(answers) == list(range(20))
    assert client.waiting == 0
    await client.call("eth_chainId")
    assert node.connections == 3


class Recorder(trio.abc.Stream):
    """A connection that notes each write and answers nothing."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []

    async def send_all(self, data: Any) -> None:
        self.writes.append(bytes(data))
        await trio.lowlevel.checkpoint()

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.sleep_forever()
        raise AssertionError

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


async def test_requests_that_wait_are_written_together_and_say_when(open_client: OpenClient) -> None:
    stream = Recorder()

    async def connect(_: Endpoint) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        return stream

    client = await open_client(connect=connect, connections=1)
    written: list[int] = []
    for number in range(COALESCED_MAX + 8):
        client.post(b"{}", lambda _: None, written=lambda number=number: written.append(number))  # type: ignore[misc]
    assert written == []
    await trio.testing.wait_all_tasks_blocked()
    assert [one.count(b"POST / HTTP/1.1") for one in stream.writes] == [COALESCED_MAX, 8]
    assert written == list(range(COALESCED_MAX + 8))


async def test_a_request_that_was_framed_elsewhere_goes_out_as_it_is(open_client: OpenClient) -> None:
    client = await open_client("http://localhost/path?key=1")
    body = write(5, ("echo", ["raw"]))
    framed = request_head(client.endpoint) + b"%d\r\n\r\n" % len(body) + body
    outcomes: list[Outcome] = []
    client.post(framed, outcomes.append, framed=True)
    await trio.testing.wait_all_tasks_blocked()
    [answer] = outcomes
    assert isinstance(answer, Answer)
    assert json.loads(answer.body) == {"jsonrpc": "2.0", "id": 5, "result": ["raw"]}


@pytest.mark.parametrize("url", TRANSPORTS)
async def test_a_reply_that_does_not_come_in_time_is_given_up(
    autojump_clock: MockClock, open_client: OpenClient, node: FakeNode, url: str
) -> None:
    client = await open_client(url, timeout_seconds=2)
    node.faults.add(Dead(), "echo")
    begin = trio.current_time()
    with pytest.raises(EndpointTimeout) as caught:
        await client.call("echo")
    assert trio.current_time() - begin == pytest.approx(2, abs=1e-6)
    assert (caught.value.seconds, caught.value.sent) == (2, True)
    assert await client.call("echo", 1) == [1]


async def test_behind_a_late_reply_everything_on_that_connection_is_lost(
    autojump_clock: MockClock, open_client: OpenClient, node: FakeNode
) -> None:
    client = await open_client(connections=1, timeout_seconds=2)
    node.faults.add(Dead(), "echo")
    errors: list[UpstreamError] = []

    async def ask(pause: float) -> None:
        await trio.sleep(pause)
        try:
            await client.call("echo")
        except UpstreamError as error:
            errors.append(error)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, 0)
        nursery.start_soon(ask, 1)
    assert [type(error) for error in errors] == [EndpointTimeout, ReplyLost]
    assert "an earlier reply" in str(errors[1])


async def test_over_a_websocket_a_late_reply_harms_nobody_else(
    autojump_clock: MockClock, open_client: OpenClient, node: FakeNode
) -> None:
    client = await open_client("ws://localhost", timeout_seconds=2)
    node.faults.add(Delay(3), "echo")
    with pytest.raises(EndpointTimeout):
        await client.call("echo", "late")
    await trio.sleep(2)  # the late one comes, and is nobody's
    assert await client.call("echo", "next") == ["next"]
    assert node.connections == 1


async def test_a_node_that_can_not_be_reached_took_nothing(open_client: OpenClient, node: FakeNode) -> None:
    client = await open_client()
    node.reachable = False
    with pytest.raises(EndpointUnreachable, match="nobody listens") as caught:
        await client.call("echo")
    assert not caught.value.sent
    node.reachable = True
    assert await client.call("echo") == []


async def test_a_connection_that_never_opens_is_given_up(autojump_clock: MockClock, open_client: OpenClient) -> None:
    async def connect(_: Endpoint) -> trio.abc.Stream:
        await trio.sleep_forever()
        raise AssertionError

    client = await open_client(connect=connect, timeout_seconds=3)
    begin = trio.current_time()
    with pytest.raises(EndpointUnreachable, match="not within 3 s"):
        await client.call("echo")
    assert trio.current_time() - begin == pytest.approx(3, abs=1e-6)


@pytest.mark.parametrize("url", TRANSPORTS)
@pytest.mark.parametrize("after", [False, True])
async def test_a_connection_that_ends_before_the_reply_leaves_it_open_whether_it_was_taken(
    open_client: OpenClient, node: FakeNode, url: str, after: bool
) -> None:
    client = await open_client(url)
    node.faults.add(Drop(after=after), "echo")
    with pytest.raises(ReplyLost) as caught:
        await client.call("echo")
    assert caught.value.sent
    assert [method for method, _ in node.asked].count("echo") == int(after)


async def test_connections_that_the_node_closed_are_opened_anew(open_client: OpenClient, node: FakeNode) -> None:
    client = await open_client()
    await client.call("echo")
    node.drop_connections()
    await trio.testing.wait_all_tasks_blocked()
    assert await client.call("echo") == []
    assert node.connections == 2


async def test_http_statuses_are_told_apart_from_answers(open_client: OpenClient, node: FakeNode) -> None:
    client = await open_client()
    node.faults.add(Status(429, retry_after_seconds=7), "echo")
    with pytest.raises(EndpointRefused, match="429") as caught:
        await client.call("echo")
    assert (caught.value.status, caught.value.retry_after_seconds) == (429, 7)
    assert "Too Many Requests" in caught.value.text
    node.faults.add(Status(503), "echo")
    with pytest.raises(EndpointRefused, match="503"):
        await client.call("echo")
    assert node.connections == 1


async def test_what_is_no_reply_is_malformed(
    autojump_clock: MockClock, open_client: OpenClient, node: FakeNode
) -> None:
    client = await open_client()
    for text in (b"<html>", b"{}", b"[]", b'{"id":1}', b'{"id":"1","result":0}', b'{"id":99,"result":0}', b"NaN"):
        node.faults.add(Garble(text), "echo")
        with pytest.raises(ReplyMalformed):
            await client.call("echo")
    node.faults.add(Truncate(), "echo")
    with pytest.raises(ReplyLost):
        await client.call("echo")
    assert await client.call("echo") == []


async def test_batches_with_missing_or_doubled_answers_are_malformed(open_client: OpenClient, node: FakeNode) -> None:
    client = await open_client()
    for ids in ([1], [1, 1], [1, 2, 3], [2, 3]):
        answers = [{"jsonrpc": "2.0", "id": number, "result": 0} for number in ids]
        node.faults.add(Garble(json.dumps(answers).encode()), "first")
        client._next_id = 1
        with pytest.raises(ReplyMalformed, match="ids"):
            await client.batch([("first", ()), ("echo", ())])


async def test_an_error_without_an_id_is_the_whole_requests(open_client: OpenClient, node: FakeNode) -> None:
    for url in TRANSPORTS:
        client = await open_client(url)
        node.faults.add(Garble(b'{"id":null,"error":{"code":-32600,"message":"batch too large"}}'), "echo")
        with pytest.raises(CallRefused, match="batch too large"):
            await client.batch([("echo", ()), ("eth_chainId", ())])


@pytest.mark.parametrize("url", TRANSPORTS)
async def test_a_reply_may_be_as_large_as_the_limit_and_no_larger(
    open_client: OpenClient, node: FakeNode, url: str
) -> None:
    node.methods["large"] = lambda size: "x" * size
    client = await open_client(url, reply_bytes_max=1_000)
    room = 1_000 - len('{"jsonrpc": "2.0", "id": 1, "result": ""}')
    assert len(await client.call("large", room)) == room
    with pytest.raises(ReplyTooLarge) as caught:
        await client.call("large", room + 1)
    assert caught.value.limit == 1_000
    assert len(await client.call("large", 10)) == 10


async def test_no_more_requests_wait_than_may(
    autojump_clock: MockClock, open_client: OpenClient, node: FakeNode
) -> None:
    client = await open_client(waiting_max=2, connections=1)
    node.faults.add(Dead(), times=None)
    outcomes: list[Outcome] = []
    for _ in range(2):
        client.post(b"{}", outcomes.append)
    with pytest.raises(Backlogged) as caught:
        client.post(b"{}", outcomes.append)
    assert (caught.value.limit, caught.value.sent) == (2, False)
    await trio.sleep(3)
    assert len(outcomes) == 2


async def test_requests_on_a_client_that_ended_are_told(node: FakeNode) -> None:
    client = Client(Endpoint(url="http://localhost"), connect=node.connect)
    outcomes: list[Outcome] = []
    node.faults.add(Dead(), times=None)
    async with trio.open_nursery() as nursery:
        await nursery.start(client.run)
        client.post(b"{}", outcomes.append)
        await trio.testing.wait_all_tasks_blocked()
        client.post(b"{}", outcomes.append)
        nursery.cancel_scope.cancel()
    assert sorted(type(one).__name__ for one in outcomes) == ["EndpointUnreachable", "ReplyLost"]
    with pytest.raises(EndpointUnreachable, match="not running"):
        await client.call("echo")


async def test_subscriptions_tell_until_they_are_left(open_client: OpenClient, node: FakeNode) -> None:
    client = await open_client("ws://localhost")
    async with client.subscribe("newHeads") as notices:
        for number in range(3):
            node.push({"number": number})
        assert [(await notices.receive())["number"] for _ in range(3)] == [0, 1, 2]
    await trio.testing.wait_all_tasks_blocked()
    assert node.sessions == []


async def test_a_subscription_ends_with_its_connection(open_client: OpenClient, node: FakeNode) -> None:
    client = await open_client("ws://localhost")
    async with client.subscribe("newHeads") as notices:
        node.drop_connections()
        assert [one async for one in notices] == []


async def test_a_subscription_that_is_not_read_is_ended_and_holds_no_more_than_its_bound(
    open_client: OpenClient, node: FakeNode
) -> None:
    client = await open_client("ws://localhost")
    async with client.subscribe("newHeads") as notices:
        for number in range(1_500):
            node.push(number)
        await trio.testing.wait_all_tasks_blocked()
        assert [one async for one in notices] == list(range(1_024))


async def test_what_can_not_push_says_so(open_client: OpenClient, node: FakeNode) -> None:
    client = await open_client()
    with pytest.raises(SubscriptionLost, match="can't push"):
        async with client.subscribe("newHeads"):
            pass
    node.methods["eth_subscribe"] = lambda *_: (_ for _ in ()).throw(RpcError(-32601, "no subscriptions"))
    pushing = await open_client("ws://localhost")
    with pytest.raises(CallRefused, match="no subscriptions"):
        async with pushing.subscribe("newHeads"):
            pass

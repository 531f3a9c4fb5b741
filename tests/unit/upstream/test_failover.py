"""Endpoints that stand in for each other: order, back-off to the second, re-admission, the alert after ten."""

from __future__ import annotations

from itertools import pairwise
from random import Random
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from execlayer.server.methods import RpcError
from execlayer.testing import Dead, FakeNode, Status
from execlayer.upstream import Answer, Client, Endpoint, Failover
from execlayer.upstream.client import Outcome
from execlayer.upstream.errors import CallRefused, EndpointTimeout, NoEndpoint, WrongChainId
from execlayer.upstream.failover import Backoff, Event

STEADY = Backoff(jitter=0)


class Network:
    """Some nodes, and a failover over them."""

    def __init__(self, nodes: dict[str, FakeNode], roles: dict[str, set[str]], backoff: Backoff) -> None:
        self.nodes = nodes
        self.events: list[tuple[float, Event]] = []
        clients = [
            Client(
                Endpoint.model_validate({"url": "http://localhost", "name": name, **_roles(roles, name)}),
                connect=node.connect,
            )
            for name, node in nodes.items()
        ]
        self.failover = Failover(clients, chain_id=7, backoff=backoff, random=Random(1), report=self._note)
        self.begin = trio.current_time()

    def _note(self, event: Event) -> None:
        self.events.append((round(trio.current_time() - self.begin, 3), event))

    def story(self, name: str) -> list[tuple[float, str]]:
        return [(at, event.kind) for at, event in self.events if event.endpoint == name]


def _roles(roles: dict[str, set[str]], name: str) -> dict[str, Any]:
    return {"roles": roles[name]} if name in roles else {}


async def start(
    nursery: trio.Nursery, *names: str, backoff: Backoff = STEADY, down: tuple[str, ...] = (), **roles: set[str]
) -> Network:
    nodes = {}
    for name in names:
        nodes[name] = FakeNode({"eth_chainId": "0x7", "eth_blockNumber": "0x10", "name": name})
        nodes[name].reachable = name not in down
        await nursery.start(nodes[name].run)
    network = Network(nodes, roles, backoff)
    await nursery.start(network.failover.run)
    return network


async def test_the_first_that_is_fit_answers_and_says_how_far_it_is(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    network = await start(nursery, "primary", "secondary", "fallback")
    reading = await network.failover.read("name")
    assert (reading.value, reading.endpoint, reading.head) == ("primary", "primary", 16)
    network.nodes["primary"].methods["eth_blockNumber"] = "0x12"
    await network.failover.read("eth_blockNumber")
    assert (await network.failover.read("name")).head == 18


async def test_the_next_one_answers_where_one_fails_and_the_first_is_back_after_a_second(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    network = await start(nursery, "primary", "secondary")
    network.nodes["primary"].faults.add(Status(503), "name")
    assert (await network.failover.read("name")).value == "secondary"
    await trio.sleep(0.9)
    assert (await network.failover.read("name")).value == "secondary"
    await trio.sleep(0.2)
    assert (await network.failover.read("name")).value == "primary"
    assert network.story("primary") == [(0, "admitted"), (0, "failed"), (1, "admitted")]


async def test_pauses_double_up_to_64_seconds_and_ten_failures_are_critical(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    network = await start(nursery, "primary", down=("primary",))
    await trio.sleep(400)
    moments = [at for at, kind in network.story("primary") if kind == "failed"]
    assert [later - earlier for earlier, later in pairwise(moments)][:9] == [*(1, 2, 4, 8, 16, 32, 64, 64, 64)]
    assert [at for at, kind in network.story("primary") if kind == "critical"] == [moments[9]]
    with pytest.raises(NoEndpoint, match="read"):
        await network.failover.read("name")
    network.nodes["primary"].reachable = True
    assert (await network.failover.wait_fit("read")).upstream.name == "primary"
    assert (await network.failover.read("name")).value == "primary"


def test_pauses_vary_by_a_fifth_and_no_more() -> None:
    random, backoff = Random(5), Backoff()
    for failures, pause in [(1, 1), (2, 2), (6, 32), (7, 64), (8, 64), (1_000, 64)]:
        drawn = [backoff.pause_seconds(failures, random) for _ in range(500)]
        assert 0.8 * pause <= min(drawn) < 0.85 * pause
        assert 1.15 * pause < max(drawn) <= 1.2 * pause


async def test_a_node_of_another_chain_is_never_asked(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    network = await start(nursery, "primary", "secondary")
    primary = network.nodes["primary"]
    primary.faults.add(Status(500), "name")
    await network.failover.read("name")
    primary.methods["eth_chainId"] = "0x8"
    await trio.sleep(10)
    reason = network.events[-1][1].reason
    assert isinstance(reason, WrongChainId) and (reason.expected, reason.actual) == (7, 8)
    assert (await network.failover.read("name")).value == "secondary"
    primary.methods["eth_chainId"] = "0x7"
    await trio.sleep(20)
    assert (await network.failover.read("name")).value == "primary"


async def test_a_refusal_is_an_answer_and_no_failure(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    def refuse() -> None:
        raise RpcError(-32000, "nonce too low")

    network = await start(nursery, "primary", "secondary")
    network.nodes["primary"].methods["name"] = refuse
    with pytest.raises(CallRefused, match="nonce too low"):
        await network.failover.read("name")
    assert network.story("primary") == [(0, "admitted")]


async def test_retry_after_is_respected(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    network = await start(nursery, "primary", "secondary")
    network.nodes["primary"].faults.add(Status(429, retry_after_seconds=30), "name")
    await network.failover.read("name")
    await trio.sleep(60)
    assert network.story("primary")[-1] == (30, "admitted")


async def test_roles_keep_endpoints_for_what_they_are_good_for(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    network = await start(nursery, "relay", "reader", relay={"submit"}, reader={"read", "heads"})
    assert (await network.failover.read("name")).value == "reader"
    assert [one.upstream.name for one in network.failover.fit("submit")] == ["relay"]


async def test_what_is_not_believed_of_one_is_asked_of_several(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    network = await start(nursery, "a", "b", "c")
    network.nodes["a"].faults.add(Status(500), "name")
    found = await network.failover.read_many([("name", ())], count=2)
    assert [[one.value for one in readings] for readings in found] == [["b"]]
    found = await network.failover.read_many([("name", ())], count=2)
    assert sorted(readings[0].value for readings in found) == ["b", "c"]


async def test_a_transaction_goes_to_as_many_as_wanted_and_each_outcome_is_told(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    network = await start(nursery, "a", "b", "c")
    for node in network.nodes.values():
        node.methods["eth_sendRawTransaction"] = lambda raw: "0x" + "ab" * 32
    network.nodes["b"].faults.add(Dead(), "eth_sendRawTransaction")
    told: dict[str, Outcome] = {}
    body = b'{"jsonrpc":"2.0","id":1,"method":"eth_sendRawTransaction","params":["0x02"]}'
    names = network.failover.submit(body, told.__setitem__, fanout=2, ids=(1,))
    assert names == ["a", "b"]
    await trio.sleep(4)
    assert isinstance(told["a"], Answer) and isinstance(told["b"], EndpointTimeout)
    assert ("eth_sendRawTransaction", ["0x02"]) not in network.nodes["c"].asked
    assert network.story("b")[-2:] == [(2, "failed"), (3, "admitted")]


async def test_nothing_is_sent_where_nobody_is_fit(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    network = await start(nursery, "a", down=("a",))
    with pytest.raises(NoEndpoint, match="submit"):
        network.failover.submit(b"{}", lambda *_: None)

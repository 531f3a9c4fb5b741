"""Clients over real sockets, against our own server, and our own chain without one."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path

import pytest
import trio

from execlayer import Chain, _core
from execlayer.server import Methods, serve
from execlayer.testing import FakeNode
from execlayer.testing.serving import Serving
from execlayer.upstream import Answer, CallRefused, Client, Endpoint, Failover, HeadFeed, LocalClient, Upstream
from execlayer.upstream.client import Outcome
from execlayer.upstream.codecs import request_head
from execlayer.upstream.errors import EndpointUnreachable, SubscriptionLost
from execlayer.upstream.messages import write


@dataclass(frozen=True)
class Node:
    chain: Chain
    url: str
    ipc: Path


@pytest.fixture
async def node(nursery: trio.Nursery, tmp_path: Path) -> AsyncIterator[Node]:
    with Chain.dev() as chain:
        methods = Methods(_core.Rpc(chain.core))
        ipc = tmp_path / "ipc"
        endpoints = await nursery.start(partial(serve, methods, port=0, ipc=ipc))
        yield Node(chain, endpoints.url, ipc)
        nursery.cancel_scope.cancel()


@pytest.fixture(params=["http", "ws", "ipc", "local"])
async def upstream(request: pytest.FixtureRequest, node: Node, nursery: trio.Nursery) -> AsyncIterator[Upstream]:
    found: Upstream
    if request.param == "local":
        found = LocalClient(node.chain.core)
    else:
        url = str(node.ipc) if request.param == "ipc" else node.url.replace("http", request.param)
        found = Client(Endpoint(url=url))
    await nursery.start(found.run)
    yield found


async def test_calls_reach_the_chain(upstream: Upstream, node: Node) -> None:
    assert int(await upstream.call("eth_chainId"), 16) == node.chain.chain_id
    balance, refused = await upstream.batch(
        [("eth_getBalance", (node.chain.accounts[0].address, "latest")), ("eth_nothing", ())]
    )
    assert int(balance, 16) == node.chain.accounts[0].balance
    assert isinstance(refused, CallRefused) and refused.code == -32601
    with pytest.raises(CallRefused, match="does not exist"):
        await upstream.call("eth_nothing")


async def test_many_calls_at_once_find_their_answers(upstream: Upstream) -> None:
    found: dict[int, str] = {}

    async def ask(number: int) -> None:
        found[number] = await upstream.call("web3_sha3", f"0x{number:064x}")

    async with trio.open_nursery() as nursery:
        for number in range(200):
            nursery.start_soon(ask, number)
    assert found == {number: "0x" + _core.keccak256(number.to_bytes(32)).hex() for number in range(200)}


async def test_a_request_of_bytes_is_answered_in_bytes(upstream: Upstream, node: Node) -> None:
    alice, bob = node.chain.accounts[:2]
    raw = alice.sign(bob, 5)
    body = write(77, ("eth_sendRawTransaction", ["0x" + raw.hex()]))
    framed = isinstance(upstream, Client) and upstream.endpoint.scheme == "http"
    if framed and isinstance(upstream, Client):
        body = request_head(upstream.endpoint) + b"%d\r\n\r\n" % len(body) + body
    outcomes: list[Outcome] = []
    done, written = trio.Event(), trio.Event()

    def settle(outcome: Outcome) -> None:
        outcomes.append(outcome)
        done.set()

    upstream.post(body, settle, ids=(77,), framed=framed, written=written.set)
    await done.wait()
    assert written.is_set()
    [answer] = outcomes
    assert isinstance(answer, Answer)
    assert _core.Transaction.decode(raw).hash.encode() in answer.body
    assert node.chain.nonce(alice) == 1


async def test_heads_are_pushed(upstream: Upstream, node: Node) -> None:
    if not upstream.can_subscribe:
        with pytest.raises(SubscriptionLost, match="can't push"):
            async with upstream.subscribe("newHeads"):
                pass
        return
    async with upstream.subscribe("newHeads") as notices:
        node.chain.mine()
        head = await notices.receive()
    assert head["hash"] == node.chain.head.hash


async def test_a_feed_follows_the_chain_and_its_replaced_blocks(
    upstream: Upstream, node: Node, nursery: trio.Nursery
) -> None:
    failover = Failover([upstream], chain_id=node.chain.chain_id)
    feed = HeadFeed(failover, lambda _: None)
    await nursery.start(failover.run)
    await nursery.start(feed.run)
    node.chain.mine()
    with node.chain.anchor():
        node.chain.mine()
        node.chain.mine()
        await feed.wait_for(3)
    alice, bob = node.chain.accounts[:2]
    alice.transfer(bob, 1)
    node.chain.mine()
    node.chain.mine()
    await feed.wait_for(4)
    assert feed.ring.head is not None and feed.ring.head.hash == node.chain.head.hash


async def test_nobody_there_is_said_as_such(nursery: trio.Nursery, tmp_path: Path) -> None:
    with trio.socket.socket() as unused:
        await unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        for url in (f"http://127.0.0.1:{port}", str(tmp_path / "none")):
            client = Client(Endpoint(url=url))
            await nursery.start(client.run)
            with pytest.raises(EndpointUnreachable):
                await client.call("eth_chainId")
    nursery.cancel_scope.cancel()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed one, with its key."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    path = tmp_path_factory.mktemp("tls") / "certificate"
    subject = ["-subj", "/CN=localhost", "-days", "1", "-nodes", "-keyout", f"{path}.key", "-out", str(path)]
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", *subject]
    subprocess.run(command, check=True, capture_output=True)
    return path


@pytest.mark.parametrize("scheme", ["https", "wss"])
async def test_a_pinned_certificate_is_the_only_one_that_is_taken(
    scheme: str, certificate: Path, nursery: trio.Nursery
) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, f"{certificate}.key")
    [plain] = await trio.open_tcp_listeners(0, host="127.0.0.1")
    serving = Serving(FakeNode({"eth_chainId": "0x1"}))
    nursery.start_soon(trio.serve_listeners, serving.serve, [trio.SSLListener(plain, context, https_compatible=True)])
    url = f"{scheme}://127.0.0.1:{plain.socket.getsockname()[1]}"
    pin = sha256(ssl.PEM_cert_to_DER_cert(await trio.Path(certificate).read_text())).hexdigest()
    pinned = await nursery.start(Client(Endpoint(url=url, certificate_sha256=pin)).run)
    assert await pinned.call("eth_chainId") == "0x1"
    for wrong in ("ab" * 32, None):
        client = await nursery.start(Client(Endpoint(url=url, certificate_sha256=wrong)).run)
        with pytest.raises(EndpointUnreachable, match="certificate"):
            await client.call("eth_chainId")
    nursery.cancel_scope.cancel()


async def test_a_server_that_speaks_no_tls_is_not_talked_to(node: Node, nursery: trio.Nursery) -> None:
    for pin in (None, "00" * 32):
        client = Client(Endpoint(url=node.url.replace("http", "https"), certificate_sha256=pin))
        await nursery.start(client.run)
        with pytest.raises(EndpointUnreachable) as caught:
            await client.call("eth_chainId")
        assert isinstance(caught.value.__cause__, OSError | ssl.SSLError)

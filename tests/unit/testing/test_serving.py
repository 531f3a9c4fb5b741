"""What is served to tests survives whatever a client sends: the next one is served as if nothing had been."""

from __future__ import annotations

import json
from typing import Any

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from execlayer.errors import ExeclayerError
from execlayer.testing import FakeNode
from execlayer.upstream import CallRefused, Client, Endpoint

UPGRADE = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: "
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "method", "params"]), inner),
)


def served(data: bytes) -> Any:
    """Sends this on a connection, then asks properly on another; the answer."""

    async def main() -> Any:
        async with trio.open_nursery() as nursery:
            node = FakeNode({"eth_chainId": "0x7"})
            await nursery.start(node.run)
            stream = await node.connect(None)
            await stream.send_all(data)
            await trio.testing.wait_all_tasks_blocked()
            await stream.aclose()
            client = await nursery.start(Client(Endpoint(url="http://localhost"), connect=node.connect).run)
            answer = await client.call("eth_chainId")
            nursery.cancel_scope.cancel()
        return answer

    return trio.run(main)


@given(st.sampled_from([b"", POST, UPGRADE, UPGRADE + b"Sec-WebSocket-Version: 13\r\n"]), st.binary(max_size=60))
def test_arbitrary_bytes_harm_nobody_else(beginning: bytes, rest: bytes) -> None:
    assert served(beginning + rest) == "0x7"


@given(JSON)
def test_arbitrary_json_harms_nobody_else(value: Any) -> None:
    body = json.dumps(value).encode()
    assert served(POST + b"%d\r\n\r\n%s" % (len(body), body)) == "0x7"


async def test_a_handshake_that_is_none_is_told_so(nursery: trio.Nursery) -> None:
    node = FakeNode()
    await nursery.start(node.run)
    stream = await node.connect(None)
    await stream.send_all(UPGRADE + b"\r\n")
    assert (await stream.receive_some()).startswith(b"HTTP/1.1 400")


async def test_what_goes_wrong_in_a_method_is_an_error_of_the_call(
    nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse() -> None:
        raise ExeclayerError("not today")

    node = FakeNode({"refuse": refuse, "fail": lambda: 1 // 0})
    await nursery.start(node.run)
    client = await nursery.start(Client(Endpoint(url="http://localhost"), connect=node.connect).run)
    with pytest.raises(CallRefused, match="not today"):
        await client.call("refuse")
    with pytest.raises(CallRefused, match="internal error in fail") as caught:
        await client.call("fail")
    assert caught.value.code == -32603
    assert "ZeroDivisionError" in caplog.text

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execlayer.server.connection import IpcConnection
from execlayer.server.limits import Limits
from execlayer.upstream.splitter import Splitter

from .conftest import Connect, EchoCore, call

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
REQUESTS = st.lists(JSON) | st.dictionaries(st.text(), JSON)


@given(st.lists(REQUESTS, max_size=5), st.lists(st.integers(1, 20)), st.booleans(), st.sampled_from(["", " ", "\n"]))
def test_values_come_out_whole_however_they_are_split(
    values: list[Any], cuts: list[int], ascii_only: bool, between: str
) -> None:
    text = between.join(json.dumps(value, ensure_ascii=ascii_only) for value in values).encode("utf-8", "surrogatepass")
    splitter, found = Splitter(len(text) + 1), []
    for cut in cuts:
        found += splitter.feed(text[:cut])
        text = text[cut:]
    found += splitter.feed(text)
    assert [json.loads(value.decode("utf-8", "surrogatepass")) for value in found] == values


@given(st.lists(st.binary(max_size=50), max_size=10))
def test_arbitrary_bytes_never_grow_past_the_limit(pieces: list[bytes]) -> None:
    splitter = Splitter(100)
    try:
        for piece in pieces:
            assert all(len(value) <= 100 for value in splitter.feed(piece))
    except ValueError as error:
        assert str(error) in ("parse error", "request is larger than 100 bytes")


@pytest.mark.parametrize("text", [b"1", b'"a"', b"}", b"null", b"{}x"])
def test_what_is_no_request_ends_the_stream(text: bytes) -> None:
    with pytest.raises(ValueError, match="parse error"):
        Splitter(100).feed(text)


def test_a_value_may_be_as_large_as_the_limit_and_no_larger() -> None:
    assert Splitter(10).feed(b'{"a":"bc"}') == [b'{"a":"bc"}']
    for text in (b'{"a":"bcd"}', b'{"a":"bcdef'):
        with pytest.raises(ValueError, match="larger than 10"):
            Splitter(10).feed(text)


async def test_requests_are_answered_line_by_line(connect: Connect) -> None:
    client = connect(kind=IpcConnection)
    await client.send(call(params=[1], id=1) + call(params=[2], id=2)[:10])
    assert json.loads(await client.line()) == {"id": 1, "result": [1]}
    await client.send(call(params=[2], id=2)[10:])
    assert json.loads(await client.line()) == {"id": 2, "result": [2]}
    await client.stream.send_stream.aclose()
    assert await client.line() == b""


async def test_nonsense_is_answered_and_ends_the_connection(connect: Connect) -> None:
    client = connect(kind=IpcConnection)
    await client.send(b"GET / HTTP/1.1\r\n\r\n")
    assert json.loads(await client.line())["error"] == {"code": -32700, "message": "parse error"}
    assert await client.line() == b""


async def test_a_value_that_never_ends_is_cut_off(connect: Connect) -> None:
    client = connect(Limits(body_bytes=1_000), kind=IpcConnection)
    await client.send(b'["' + b"x" * 2_000)
    assert "larger than 1000 bytes" in json.loads(await client.line())["error"]["message"]


async def test_notifications_are_pushed_between_answers(connect: Connect, core: EchoCore) -> None:
    client = connect(kind=IpcConnection)
    await client.send(call())
    await client.line()
    watching, session = core.sessions
    session.pending.append(b'{"method":"eth_subscription"}')
    watching.moved.set()
    assert await client.line() == b'{"method":"eth_subscription"}'

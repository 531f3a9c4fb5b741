"""Bytes of other nodes: whole replies come out however they are cut, and nothing that comes in does harm."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execlayer.upstream.codecs import Answer, Broken, Codec, HttpCodec, TooLarge, codec_for, request_head
from execlayer.upstream.endpoint import Endpoint
from execlayer.upstream.errors import EndpointRefused
from execlayer.upstream.messages import Failure, Malformed, Notice, Result, read, write, write_batch

HTTP = Endpoint(url="http://localhost:8545/rpc", reply_bytes_max=500, head_bytes_max=300)
SOCKETS = [HTTP, Endpoint(url="ws://localhost", reply_bytes_max=500), Endpoint(url="/tmp/ipc", reply_bytes_max=500)]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def fixed(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def chunked(body: bytes) -> bytes:
    parts = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:3], body[3:]) if part)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%s0\r\n\r\n" % parts


def feed_in_pieces(codec: Codec, data: bytes, cuts: list[int]) -> list[Answer]:
    answers = []
    for cut in cuts:
        answers += codec.feed(data[:cut]) if data[:cut] else []
        data = data[cut:]
    return answers + (codec.feed(data) if data else [])


@given(
    st.lists(st.tuples(st.binary(max_size=60), st.sampled_from([fixed, chunked])), max_size=5),
    st.lists(st.integers(1, 40)),
)
def test_pipelined_replies_come_out_whole_however_they_are_cut(
    replies: list[tuple[bytes, Any]], cuts: list[int]
) -> None:
    data = b"".join(form(body) for body, form in replies)
    assert [answer.body for answer in feed_in_pieces(HttpCodec(HTTP), data, cuts)] == [body for body, _ in replies]


@pytest.mark.parametrize("endpoint", SOCKETS, ids=lambda endpoint: endpoint.scheme)
@given(pieces=st.lists(st.binary(max_size=200), max_size=12))
def test_arbitrary_bytes_are_answers_or_a_typed_error(endpoint: Endpoint, pieces: list[bytes]) -> None:
    codec = codec_for(endpoint)
    codec.opening()
    try:
        for piece in pieces:
            if codec.closing:
                break
            assert all(len(answer.body) <= 500 for answer in codec.feed(piece))
            codec.outgoing()
    except (Broken, TooLarge, EndpointRefused):
        pass


@given(
    pieces=st.lists(st.binary(max_size=100), max_size=12), head=st.sampled_from([b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 "])
)
def test_arbitrary_bytes_behind_a_good_beginning_do_no_harm_either(head: bytes, pieces: list[bytes]) -> None:
    codec = HttpCodec(HTTP)
    try:
        for piece in [head, *pieces, b""]:
            assert all(len(answer.body) <= 500 for answer in codec.feed(piece))
    except (Broken, TooLarge):
        pass


def test_a_reply_that_would_be_too_large_is_refused_by_its_announcement() -> None:
    with pytest.raises(TooLarge):
        HttpCodec(HTTP).feed(b"HTTP/1.1 200 OK\r\nContent-Length: 501\r\n\r\n")
    assert HttpCodec(HTTP).feed(fixed(b"x" * 500))[0].body == b"x" * 500
    with pytest.raises(TooLarge):
        HttpCodec(HTTP).feed(chunked(b"x" * 501))


@pytest.mark.parametrize("line", [b"X: " + b"y" * 10 + b"\r\n", b"y"])
def test_a_head_that_does_not_end_is_cut_off(line: bytes) -> None:
    codec = HttpCodec(HTTP)
    codec.feed(b"HTTP/1.1 200 OK\r\n")
    with pytest.raises(Broken, match="head is larger than 300"):
        for _ in range(400):
            codec.feed(line)


def test_a_reply_without_a_length_ends_with_the_connection() -> None:
    codec = HttpCodec(HTTP)
    assert codec.feed(b"HTTP/1.0 200 OK\r\n\r\nsome") == []
    assert codec.feed(b"thing") == []
    assert [answer.body for answer in codec.feed(b"")] == [b"something"]
    cut = HttpCodec(HTTP)
    cut.feed(fixed(b"whole")[:-1])
    assert cut.feed(b"") == []
    assert cut.closing


def test_a_server_that_wants_no_more_requests_is_heard() -> None:
    codec = HttpCodec(HTTP)
    [answer] = codec.feed(b"HTTP/1.1 503 No\r\nConnection: close\r\nRetry-After: 5\r\nContent-Length: 2\r\n\r\nno")
    assert (answer.status, answer.retry_after_seconds, answer.is_accepted, codec.closing) == (503, 5, False, True)
    assert HttpCodec(HTTP).feed(b"HTTP/1.1 100 Continue\r\n\r\n" + fixed(b"x"))[0].body == b"x"


def test_requests_carry_what_the_endpoint_asks_for() -> None:
    endpoint = Endpoint(url="https://user:p%40ss@rpc.example.org/v3/key", headers={"X-Token": "t"})
    request = HttpCodec(endpoint).frame(b"{}", b"X-More: 1\r\n")
    head, body = request.split(b"\r\n\r\n")
    assert body == b"{}"
    assert head.split(b"\r\n") == [
        b"POST /v3/key HTTP/1.1",
        b"Host: rpc.example.org",
        b"Content-Type: application/json",
        b"X-Token: t",
        b"Authorization: Basic dXNlcjpwQHNz",
        b"Content-Length: 2",
        b"X-More: 1",
    ]
    assert request.startswith(request_head(endpoint))


@given(st.text(), st.lists(JSON, max_size=4))
def test_what_is_written_is_what_was_meant(method: str, params: list[Any]) -> None:
    expected = {"jsonrpc": "2.0", "id": 5, "method": method, "params": params}
    assert json.loads(write(5, (method, params))) == expected
    assert json.loads(write_batch(4, [("a", []), (method, params)]))[1] == expected


@given(st.binary(max_size=80) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_messages_or_malformed(body: bytes) -> None:
    try:
        assert read(body)
    except Malformed as error:
        assert str(error)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"id":1,"result":null}', Result(1, None)),
        (b'{"id":1,"error":null,"result":"0x1"}', Result(1, "0x1")),
        (b'{"id":1,"error":{"code":-32000,"message":"no","data":"0x"}}', Failure(1, -32000, "no", "0x")),
        (b'{"id":null,"error":{"code":-32700,"message":"parse error"}}', Failure(None, -32700, "parse error")),
        (b'{"method":"eth_subscription","params":{"subscription":"0x1","result":[]}}', Notice("0x1", [])),
    ],
)
def test_messages_are_read_as_every_node_writes_them(body: bytes, message: Any) -> None:
    assert read(body) == [message]


def test_nesting_without_end_is_malformed() -> None:
    # Some packages raise the interpreter's limit beyond what its stack can hold.
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(1_000_000)
    try:
        with pytest.raises(Malformed, match="within each other"):
            read(b"[" * 100_000)
        with pytest.raises(Malformed, match="within each other"):
            read(b'{"id":1,"result":' + b'{"a":[' * 300 + b"]}" * 300 + b"}")
        # Brackets in strings, and side by side, are no nesting.
        texts = [Result(1, ['[{"' * 400, *([[]] * 1_000)])]
        assert read(json.dumps({"id": 1, "result": texts[0].value}).encode()) == texts
    finally:
        sys.setrecursionlimit(limit)
    with pytest.raises(Malformed):
        read(b'{"id":1,"result":%s}' % (b"9" * 5_000))

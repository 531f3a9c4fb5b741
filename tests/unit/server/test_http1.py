from __future__ import annotations

from http import HTTPStatus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execlayer.server.http1 import Admission, HttpError, Parser, Request
from execlayer.server.limits import Limits

from .conftest import post

LIMITS = Limits(body_bytes=100, head_bytes=400)


def parsed(*pieces: bytes, limits: Limits = LIMITS) -> list[Request]:
    parser = Parser(limits)
    return [request for piece in pieces for request in parser.feed(piece)]


def refusal(*pieces: bytes, limits: Limits = LIMITS) -> HttpError:
    with pytest.raises(HttpError) as caught:
        parsed(*pieces, limits=limits)
    return caught.value


def test_a_request_comes_out_as_it_went_in() -> None:
    (request,) = parsed(post(b"{}"))
    assert (request.method, request.target, request.body, request.keep_alive) == ("POST", b"/", b"{}", True)
    assert request.header(b"host") == "localhost"


def test_pipelined_requests_come_out_in_their_order() -> None:
    assert [request.body for request in parsed(post(b"1") + post(b"2") + post(b"3"))] == [b"1", b"2", b"3"]


def test_repeated_headers_are_joined() -> None:
    (request,) = parsed(post(b"", b"X-A: 1\r\nx-a: 2\r\n"))
    assert request.header(b"x-a") == "1, 2"


def test_chunked_bodies_are_put_together() -> None:
    head = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    (request,) = parsed(head + b"3\r\nabc\r\n2;note=x\r\nde\r\n0\r\n\r\n")
    assert request.body == b"abcde"


def test_http_1_0_closes_unless_asked_to_stay() -> None:
    assert not parsed(b"POST / HTTP/1.0\r\nContent-Length: 0\r\n\r\n")[0].keep_alive
    assert parsed(b"POST / HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n")[0].keep_alive


@pytest.mark.parametrize(
    "text",
    [
        b"\x00\x01\x02\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST / HTTP/9.9\r\n\r\n",
        b"{}",
    ],
)
def test_malformed_http_is_refused_with_400(text: bytes) -> None:
    assert refusal(text).status == HTTPStatus.BAD_REQUEST


def test_a_body_may_be_as_large_as_the_limit_and_no_larger() -> None:
    assert len(parsed(post(b"x" * 100))[0].body) == 100
    assert refusal(post(b"x" * 101)).status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE


def test_a_large_body_is_refused_before_it_comes() -> None:
    head = b"POST / HTTP/1.1\r\nContent-Length: 101\r\n\r\n"
    assert "100 bytes" in refusal(head).reason


def test_a_chunked_body_is_refused_once_it_is_too_large() -> None:
    head = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert refusal(head, b"64\r\n" + b"x" * 100 + b"\r\n1\r\nx\r\n").status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE


@pytest.mark.parametrize("piece", [b"X-Pad: 1\r\n", b"X-Long: " + b"x" * 50, b"x" * 50])
def test_endless_heads_are_refused(piece: bytes) -> None:
    error = refusal(b"POST / HTTP/1.1\r\n", *[piece] * 100)
    assert error.status == HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE


def test_what_came_whole_before_the_error_is_kept() -> None:
    parser = Parser(LIMITS)
    with pytest.raises(HttpError):
        parser.feed(post(b"1") + b"nonsense\r\n\r\n")
    assert [request.body for request in parser.take()] == [b"1"]


def test_an_unknown_upgrade_is_an_ordinary_request() -> None:
    upgrade = b"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    parser = Parser(LIMITS)
    *first, last = parser.feed(upgrade * 1_000 + post(b"2"))
    assert ([request.method for request in first], last.body, parser.upgraded) == (["GET"] * 1_000, b"2", None)


def test_a_websocket_upgrade_hands_over_what_follows() -> None:
    parser = Parser(LIMITS)
    (request,) = parser.feed(b"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x00")
    assert request.wants_websocket
    assert parser.upgraded == b"\x81\x00"


@given(st.lists(st.binary(max_size=40), max_size=5), st.lists(st.integers(1, 60), max_size=30))
def test_how_the_bytes_are_split_changes_nothing(bodies: list[bytes], cuts: list[int]) -> None:
    text, pieces = b"".join(post(body) for body in bodies), []
    for cut in cuts:
        pieces.append(text[:cut])
        text = text[cut:]
    assert [request.body for request in parsed(*pieces, text, limits=Limits(body_bytes=100))] == bodies


@given(st.lists(st.binary(max_size=300), max_size=6))
def test_arbitrary_bytes_are_parsed_or_refused(pieces: list[bytes]) -> None:
    parser = Parser(LIMITS)
    try:
        for piece in pieces:
            parser.feed(piece)
    except HttpError as error:
        assert 400 <= error.status < 500
    assert parser.phase in ("idle", "head", "body")


def request(**headers: str) -> Request:
    return Request("POST", b"/", {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()})


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:8545", "127.0.0.1:1", "[::1]:8545", "::1", "10.0.0.1", ""])
def test_addresses_and_known_names_are_served(host: str) -> None:
    Admission().check_host(request(host=host))


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8545", "localhost.evil.example", "[evil]"])
def test_a_name_that_was_made_to_point_here_is_refused(host: str) -> None:
    with pytest.raises(HttpError) as caught:
        Admission().check_host(request(host=host))
    assert caught.value.status == HTTPStatus.FORBIDDEN
    Admission(hosts=frozenset({"*"})).check_host(request(host=host))


def test_only_named_origins_may_read_answers() -> None:
    admission = Admission(origins=frozenset({"https://a.example"}))
    assert b"https://a.example" in admission.cors_headers(request(origin="https://a.example"))
    assert admission.cors_headers(request(origin="https://b.example")) == b""
    assert admission.cors_headers(request()) == b""
    admission.check_origin(request())
    with pytest.raises(HttpError):
        admission.check_origin(request(origin="https://b.example"))


@pytest.mark.parametrize("kind", ["text/plain", "", "application/x-www-form-urlencoded", "application/jsonp"])
def test_bodies_that_are_not_declared_json_are_refused(kind: str) -> None:
    with pytest.raises(HttpError) as caught:
        Admission().check_call(request(content_type=kind))
    assert caught.value.status == HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    Admission().check_call(request(content_type="Application/JSON; charset=utf-8"))

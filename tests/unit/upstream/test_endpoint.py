"""Settings of an endpoint: what is taken, what is refused, and that secrets stay inside."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from execlayer.upstream import Endpoint


@pytest.mark.parametrize(
    ("url", "name", "authority", "target", "port"),
    [
        ("http://127.0.0.1:8545", "http://127.0.0.1:8545", "127.0.0.1:8545", "/", 8545),
        ("https://rpc.example.org/v3/key?a=b", "https://rpc.example.org", "rpc.example.org", "/v3/key?a=b", 443),
        ("wss://user:secret@rpc.example.org:444/x", "wss://rpc.example.org:444", "rpc.example.org:444", "/x", 444),
        ("ws://[::1]:8546", "ws://[::1]:8546", "[::1]:8546", "/", 8546),
    ],
)
def test_a_url_says_where_to_go_and_its_name_keeps_its_secrets(
    url: str, name: str, authority: str, target: str, port: int
) -> None:
    endpoint = Endpoint(url=url)
    assert (endpoint.name, endpoint.authority, endpoint.target, endpoint.port) == (name, authority, target, port)


def test_a_path_is_a_unix_socket() -> None:
    for url in ("/run/geth.ipc", "ipc:///run/geth.ipc"):
        endpoint = Endpoint(url=url)
        assert (endpoint.scheme, endpoint.path, endpoint.name) == ("ipc", "/run/geth.ipc", "ipc:///run/geth.ipc")


def test_secrets_in_headers_are_not_shown() -> None:
    assert "hidden" not in repr(Endpoint(url="https://a.example", headers={"Authorization": "hidden"}))


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"url": "ftp://a"}, "scheme"),
        ({"url": "http://"}, "no host"),
        ({"url": "http://localhost:99999"}, "ort"),
        ({"url": "http://rpc.example.org"}, "not encrypted"),
        ({"url": "ws://10.0.0.1"}, "not encrypted"),
        ({"url": "https://a.example", "headers": {"X": "a\r\nB: c"}}, "can't be sent"),
        ({"url": "https://a.example", "timeout_seconds": 0}, "greater than 0"),
        ({"url": "https://a.example", "roles": ["all"]}, "submit"),
        ({"url": "https://a.example", "unknown": 1}, "Extra inputs"),
    ],
)
def test_what_can_not_be_is_refused_with_a_reason(settings: dict[str, object], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        Endpoint.model_validate(settings)


def test_plaintext_to_elsewhere_has_to_be_wanted() -> None:
    assert Endpoint(url="http://10.0.0.1", allow_plaintext=True).host == "10.0.0.1"

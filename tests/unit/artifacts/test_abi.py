"""The ABI as far as we speak it, against the words that Solidity's documentation spells out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execlayer import _core
from execlayer.artifacts import abi, artifact

WORDS: dict[str, st.SearchStrategy[Any]] = {
    "uint256": st.integers(0, 2**256 - 1),
    "uint64": st.integers(0, 2**64 - 1),
    "bool": st.booleans(),
    "address": st.binary(min_size=20, max_size=20).map(lambda raw: "0x" + raw.hex()),
    "bytes32": st.binary(min_size=32, max_size=32),
    "bytes4": st.binary(min_size=4, max_size=4),
}
KINDS: dict[str, st.SearchStrategy[Any]] = {
    **WORDS,
    **{f"{kind}[]": st.lists(values, max_size=4) for kind, values in WORDS.items()},
    "bytes": st.binary(max_size=70),
    "string": st.text(max_size=30),
}


@given(st.lists(st.sampled_from(sorted(KINDS)).flatmap(lambda kind: st.tuples(st.just(kind), KINDS[kind])), max_size=5))
def test_what_is_encoded_is_decoded(pairs: list[tuple[str, Any]]) -> None:
    kinds, values = [kind for kind, _ in pairs], tuple(value for _, value in pairs)
    assert abi.decode(kinds, abi.encode(kinds, values)) == values


@given(st.lists(st.sampled_from(sorted(KINDS)), max_size=4), st.binary(max_size=200))
def test_any_bytes_are_values_or_refused(kinds: list[str], data: bytes) -> None:
    try:
        assert len(abi.decode(kinds, data)) == len(kinds)
    except ValueError as error:
        assert "wanted" in str(error)


def test_the_example_of_the_specification() -> None:
    encoded = abi.encode(
        ["uint256", "uint64[]", "bytes", "bytes"], [0x123, [0x456, 0x789], b"1234567890", b"Hello, world!"]
    )
    words = [int.from_bytes(encoded[at : at + 32]) for at in range(0, len(encoded), 32)]
    assert words[:8] == [0x123, 0x80, 0xE0, 0x120, 2, 0x456, 0x789, 10]
    assert encoded[256:288] == b"1234567890".ljust(32, b"\0")
    assert words[9] == 13
    assert encoded[320:] == b"Hello, world!".ljust(32, b"\0")


@pytest.mark.parametrize(
    ("kind", "value"),
    [("uint8", 256), ("uint256", -1), ("bytes4", b"abc"), ("address", "0x" + "11" * 33), ("tuple", 1)],
)
def test_values_that_do_not_fit_are_refused(kind: str, value: Any) -> None:
    with pytest.raises(ValueError):
        abi.encode([kind], [value])


def test_an_artifact_knows_its_calls_errors_and_events() -> None:
    contract = artifact("Arbitrageur")
    assert contract.runtime and len(contract.runtime) < 24_576
    with pytest.raises(KeyError, match="nothing"):
        contract.call("nothing")
    with pytest.raises(ValueError, match="2 arguments"):
        contract.call("setOperator", "0x" + "11" * 20)
    raised = _core.keccak256(b"InsufficientProfit(uint256,uint256)")[:4] + (5).to_bytes(32) + (6).to_bytes(32)
    assert contract.error(raised) == ("InsufficientProfit", (5, 6))
    assert contract.error(b"\1\2\3\4") is None
    topic = "0x" + _core.keccak256(b"Arbitrage(bytes32,address,uint256,uint256)").hex()
    log = {
        "topics": [topic, "0x" + "ab" * 32, "0x" + "00" * 12 + "22" * 20],
        "data": "0x" + (7).to_bytes(32).hex() + (8).to_bytes(32).hex(),
    }
    expected = {"ref": b"\xab" * 32, "quote": "0x" + "22" * 20, "borrowed": 7, "profit": 8}
    assert contract.event("Arbitrage", log) == expected
    assert contract.event("Arbitrage", {"topics": ["0x" + "00" * 32], "data": "0x"}) is None


def test_the_public_vectors_are_encoded_as_they_say(primitives: Callable[[str], Any]) -> None:
    cases = primitives("ABITests/basic_abi_tests.json")
    assert len(cases) >= 3
    for case in cases.values():
        # JSON has no bytes.
        pairs = zip(case["types"], case["args"], strict=True)
        values = [value.encode() if kind.startswith("bytes") else value for kind, value in pairs]
        encoded = abi.encode(case["types"], values)
        assert encoded.hex() == case["result"]
        assert list(abi.decode(case["types"], encoded)) == values

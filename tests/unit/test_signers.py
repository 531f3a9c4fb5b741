"""Who signed: many hashes and signatures, or whole transactions, in one crossing; eth-keys does one after the other."""

from __future__ import annotations

import numpy as np
import pytest
from eth_keys.main import KeyAPI
from hypothesis import given, settings
from hypothesis import strategies as st

import execlayer as xl
from execlayer import Chain, errors

keys = KeyAPI()

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141

hashes = st.binary(min_size=32, max_size=32)
numbers = st.sampled_from([0, 1, ORDER - 1, ORDER, 2**256 - 1]) | st.integers(0, 2**256 - 1)


def signature(secret: int, message: bytes, offset: int) -> bytes:
    signed = keys.PrivateKey(secret.to_bytes(32, "big")).sign_msg_hash(message).to_bytes()
    return signed[:64] + bytes([signed[64] + offset])


def one_by_one(message: bytes, signed: bytes) -> str | None:
    """eth-keys' answer; None where there is no signer. It doesn't mind zeros, which no signature may hold."""
    if not any(signed[:32]) or not any(signed[32:64]):
        return None
    try:
        parsed = keys.Signature(signed[:64] + bytes([signed[64] - 27 if signed[64] >= 27 else signed[64]]))
        return parsed.recover_public_key_from_msg_hash(message).to_checksum_address()
    except Exception:
        return None


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.integers(1, ORDER - 1), hashes, st.sampled_from([0, 27])), max_size=40))
def test_signers_are_those_who_signed(signed: list[tuple[int, bytes, int]]) -> None:
    messages = [message for _, message, _ in signed]
    signatures = [signature(*one) for one in signed]
    expected = [keys.PrivateKey(one[0].to_bytes(32, "big")).public_key.to_checksum_address() for one in signed]
    assert xl.signers(messages, signatures) == expected
    assert xl.signers(b"".join(messages), b"".join(signatures)) == expected
    packed = [np.frombuffer(b"".join(rows), dtype=np.uint8) for rows in (messages, signatures)]
    assert xl.signers(packed[0].data, packed[1].reshape(-1, 65).data) == expected


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(hashes, numbers, numbers, st.sampled_from([0, 1, 27, 28])), min_size=1, max_size=40))
def test_arbitrary_signatures_have_the_signer_or_none_that_others_find(
    signed: list[tuple[bytes, int, int, int]],
) -> None:
    messages = [one[0] for one in signed]
    signatures = [r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([v]) for _, r, s, v in signed]
    found = [one if isinstance(one, str) else None for one in xl.signers(messages, signatures)]
    assert found == [one_by_one(*one) for one in zip(messages, signatures, strict=True)]


def test_each_that_has_no_signer_says_why() -> None:
    good = signature(7, bytes(32), 0)
    none, zero, strange = (5).to_bytes(32, "big") + good[32:], bytes(64) + b"\x00", good[:64] + b"\x09"
    answers = xl.signers([bytes(32)] * 4, [good, none, zero, strange])
    kinds = [str, errors.SignatureWithoutKey, errors.SignatureOutOfRange, errors.InvalidRecoveryId]
    assert [type(one) for one in answers] == kinds
    assert isinstance(answers[3], errors.InvalidRecoveryId) and answers[3].got == 9


@pytest.mark.parametrize(
    ("given_hashes", "given_signatures", "field"),
    [
        (b"short", b"", "hashes"),
        (bytes(32), bytes(64), "signatures"),
        (bytes(64), bytes(65), "signatures"),
        ([b"short"], [bytes(65)], "hashes"),
        (5, bytes(65), "hashes"),
        (np.zeros(32, dtype=np.uint16), bytes(65), "hashes"),
        ([None], [bytes(65)], "hashes"),
        ("0x" + "00" * 32, bytes(65), "hashes"),
    ],
)
def test_what_cannot_be_rows_is_refused_by_name(given_hashes: object, given_signatures: object, field: str) -> None:
    with pytest.raises(errors.InvalidArgument, match=field) as caught:
        xl.signers(given_hashes, given_signatures)  # type: ignore[arg-type]
    assert caught.value.field == field


def test_senders_of_transactions_of_all_ages(chain: Chain) -> None:
    alice, bob = chain.accounts[:2]
    raw = [
        alice.sign(bob, 1, gas_limit=21_000),
        bob.sign(alice, 1, gas_limit=21_000, gas_price=10**10),
        alice.sign(bob, 1, gas_limit=50_000, gas_price=10**10, access_list=[(bob.address, [1, "0x" + "02" * 32])]),
    ] * 30
    assert xl.senders(raw) == [alice.address, bob.address, alice.address] * 30
    assert [type(one) for one in xl.senders([raw[0], b"\x02junk"])] == [str, errors.MalformedTransaction]
    assert xl.senders([]) == []

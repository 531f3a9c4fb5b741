"""What the Rust side offers besides chains: hashing, signing, reading a transaction that stands in no block."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from execlayer import Chain, Key, Transaction, _core
from execlayer.errors import ExeclayerError, InvalidArgument, InvalidTransaction

KEY = Key("0x" + "46" * 32)


def test_keccak_is_ethereums() -> None:
    assert _core.keccak256(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"
    assert _core.keccak256("0x00") == _core.keccak256(b"\0") == _core.keccak256(bytearray(1))


def test_what_a_key_signs_is_recovered_to_its_address() -> None:
    digest = _core.keccak256(b"message")
    signature = KEY.sign(digest)
    assert (len(signature), signature[64] in (27, 28)) == (65, True)
    assert _core.recover(digest, signature) == KEY.address
    assert _core.recover(digest, signature[:64] + bytes([signature[64] - 27])) == KEY.address
    for wrong in (b"", signature[:64], signature[:64] + b"\x05"):
        with pytest.raises(InvalidArgument, match="signature"):
            _core.recover(digest, wrong)


def test_a_signed_transaction_is_read_as_it_will_stand_in_a_block() -> None:
    chain = Chain.dev()
    alice, bob = chain.accounts[:2]
    raw = alice.sign(bob, 5)
    alone = Transaction.decode(raw)
    [mined] = chain.mine([raw]).transactions[:]
    for name in ("hash", "sender", "to", "value", "nonce", "gas_limit", "max_fee_per_gas", "signature", "raw"):
        assert getattr(alone, name) == getattr(mined, name)
    assert alone.sender == alice.address


@given(st.binary(max_size=200))
def test_bytes_that_are_no_transaction_are_refused_with_a_reason(raw: bytes) -> None:
    try:
        assert Transaction.decode(raw).raw == raw
    except ExeclayerError as error:
        assert isinstance(error, InvalidTransaction)

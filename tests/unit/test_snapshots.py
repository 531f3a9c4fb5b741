"""Snapshots from Python: out of one chain, into another, and everything that is no snapshot. The lattice hash that they
are verified by is computed here once more, with nothing but the definition."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from execlayer import Chain, _core, errors

MASK = 0xFFFFFFFF
IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
ORDER = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
CHUNK_START, CHUNK_END, PARENT, ROOT = 1, 2, 4, 8


def compress(value: tuple[int, ...], block: bytes, counter: int, length: int, flags: int) -> list[int]:
    """BLAKE3's compression function."""
    v = [*value, *IV[:4], counter & MASK, counter >> 32, length, flags]
    m = list(struct.unpack("<16I", block.ljust(64, b"\0")))

    def mix(a: int, b: int, c: int, d: int, x: int, y: int) -> None:
        for word, first, second in ((x, 16, 12), (y, 8, 7)):
            v[a] = (v[a] + v[b] + word) & MASK
            v[d] = ((v[d] ^ v[a]) >> first | (v[d] ^ v[a]) << (32 - first)) & MASK
            v[c] = (v[c] + v[d]) & MASK
            v[b] = ((v[b] ^ v[c]) >> second | (v[b] ^ v[c]) << (32 - second)) & MASK

    for _ in range(7):
        for place in range(4):
            mix(place, 4 + place, 8 + place, 12 + place, m[2 * place], m[2 * place + 1])
        for place in range(4):
            right, below, last = 4 + (place + 1) % 4, 8 + (place + 2) % 4, 12 + (place + 3) % 4
            mix(place, right, below, last, m[8 + 2 * place], m[9 + 2 * place])
        m = [m[place] for place in ORDER]
    return [v[i] ^ v[i + 8] for i in range(8)] + [v[i + 8] ^ value[i] for i in range(8)]


def blake3(data: bytes, length: int = 32) -> bytes:
    """BLAKE3 of up to two chunks, as many bytes of output as are asked for."""

    def chunk(index: int) -> tuple[tuple[int, ...], bytes, int, int, int]:
        part = data[1024 * index : 1024 * (index + 1)]
        blocks = [part[at : at + 64] for at in range(0, len(part), 64)] or [b""]
        value: tuple[int, ...] = IV
        flags = CHUNK_START
        for block in blocks[:-1]:
            value, flags = tuple(compress(value, block, index, 64, flags)[:8]), 0
        return value, blocks[-1], index, len(blocks[-1]), flags | CHUNK_END

    if len(data) <= 1024:
        value, block, _, size, flags = chunk(0)
    else:
        assert len(data) <= 2048
        block = b"".join(struct.pack("<8I", *compress(*chunk(index))[:8]) for index in range(2))
        value, size, flags = IV, 64, PARENT
    blocks = range((length + 63) // 64)
    out = b"".join(struct.pack("<16I", *compress(value, block, at, size, flags | ROOT)) for at in blocks)
    return out[:length]


def element(content: bytes) -> tuple[int, ...]:
    return struct.unpack("<1024H", blake3(content, 2048))


def lattice(accounts: dict[bytes, tuple[int, int, bytes, dict[int, int]]]) -> str:
    """Checksum of the sum over accounts (nonce, balance, code hash, slots) and their slots."""
    sums = [0] * 1024
    for address, (nonce, balance, code_hash, slots) in accounts.items():
        contents = [b"\0" + address + nonce.to_bytes(8, "little") + balance.to_bytes(32, "big") + code_hash]
        contents += [
            b"\1" + address + key.to_bytes(32, "big") + value.to_bytes(32, "big") for key, value in slots.items()
        ]
        for content in contents:
            sums = [(one + other) & 0xFFFF for one, other in zip(sums, element(content), strict=True)]
    return "0x" + blake3(struct.pack("<1024H", *sums)).hex()


def test_our_own_blake3_gives_the_published_answers() -> None:
    assert blake3(b"").hex() == "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
    assert blake3(b"abc").hex() == "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85"


def test_the_lattice_hash_is_the_one_of_an_independent_computation() -> None:
    from eth_utils.crypto import keccak

    from .conftest import genesis_of

    code = bytes.fromhex("6001600055")
    alloc = {
        "0x" + "11" * 20: {"balance": "0x5", "nonce": "0x1"},
        "0x" + "22" * 20: {"balance": "0x0", "code": "0x" + code.hex(), "storage": {"0x07": "0x09", "0x08": "0x0a"}},
    }
    expected = lattice(
        {
            b"\x11" * 20: (1, 5, keccak(b""), {}),
            b"\x22" * 20: (0, 0, keccak(code), {7: 9, 8: 10}),
        }
    )
    assert Chain.dev(genesis_of({}, alloc=alloc)).head.lattice == expected


@pytest.fixture
def grown() -> Chain:
    chain = Chain.dev()
    alice, bob = chain.accounts[:2]
    for _ in range(3):
        alice.transfer(bob, "1 ether")
    return chain


def test_a_second_chain_begins_with_a_snapshot_and_goes_on_with_blocks(grown: Chain, tmp_path: Path) -> None:
    told: list[_core.Snapshot] = []
    written = grown.snapshot(tmp_path / "state", progress=told.append)
    assert (written.number, written.hash, written.lattice) == (3, grown.head.hash, grown.head.lattice)
    assert written.bytes == (tmp_path / "state").stat().st_size
    assert told[-1].accounts == written.accounts
    verified = _core.verify_snapshot(str(tmp_path / "state"))
    assert (verified.accounts, verified.slots, verified.bytes) == (written.accounts, written.slots, written.bytes)
    grown.accounts[0].transfer(grown.accounts[1], "1 ether")
    trusted = written.hash
    with Chain.restore(tmp_path / "state", tmp_path / "chain", trusted=trusted) as second:
        assert second.head == grown.blocks[3]
        assert second.import_block(grown.head.raw).lattice == grown.head.lattice
        assert second.head.state_root == grown.head.state_root
    with Chain.open(tmp_path / "chain") as again:
        assert again.head == grown.head
    older = grown.snapshot(tmp_path / "older", at=1)
    assert older.hash == grown.blocks[1].hash
    assert Chain.restore(tmp_path / "older").head.number == 1


def test_what_is_no_snapshot_is_refused_with_its_place(grown: Chain, tmp_path: Path) -> None:
    path = tmp_path / "state"
    grown.snapshot(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(errors.SnapshotMalformed) as caught:
        Chain.restore(path, tmp_path / "chain")
    assert caught.value.offset == len(whole) - 1
    with pytest.raises(errors.UnfinishedRestore):
        Chain.open(tmp_path / "chain")
    with pytest.raises(errors.StoreNotEmpty):
        Chain.restore(path, tmp_path / "chain")
    path.write_bytes(b"something else entirely")
    with pytest.raises(errors.SnapshotMalformed, match="byte 0: this is not a snapshot"):
        _core.verify_snapshot(str(path))
    with pytest.raises(errors.SnapshotUnreadable):
        Chain.restore(tmp_path / "nowhere")
    path.write_bytes(whole)
    with pytest.raises(errors.SnapshotOfOtherBlock):
        Chain.restore(path, trusted="0x" + "11" * 32)
    with pytest.raises(errors.SnapshotOfOtherChain):
        Chain.restore(path, genesis={"config": {"chainId": 3}, "difficulty": "0x0", "alloc": {}})


def test_a_callback_that_raises_stops_and_its_error_arrives(grown: Chain, tmp_path: Path) -> None:
    def fails(_: _core.Snapshot) -> None:
        raise ZeroDivisionError("of the callback")

    with pytest.raises(ZeroDivisionError, match="of the callback"):
        grown.snapshot(tmp_path / "state", progress=fails)


def test_fees_and_burned_wei_are_kept_per_block_and_in_total(grown: Chain) -> None:
    blocks = [grown.blocks[number] for number in range(4)]
    for block in blocks[1:]:
        assert block.base_fee is not None
        assert block.burned == block.base_fee * block.gas_used
        assert block.fees > 0
    assert blocks[3].burned_total == sum(block.burned for block in blocks)
    assert blocks[3].fees_total == sum(block.fees for block in blocks)

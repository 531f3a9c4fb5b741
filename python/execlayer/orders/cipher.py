"""AES-128 in counter mode (FIPS 197, SP 800-38A), for keystores: two blocks when an engine starts. Not for anything
that somebody could time.

>>> key, counter = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c"), bytes.fromhex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff")
>>> aes_ctr(key, counter, bytes.fromhex("6bc1bee22e409f96e93d7e117393172a")).hex()
'874d6191b620e3261bef6864990db6ce'
"""

from __future__ import annotations

ROUNDS = 10


def _double(byte: int) -> int:
    """Times x in the field of AES."""
    return (byte << 1 ^ (0x1B if byte & 0x80 else 0)) & 0xFF


def _make_sbox() -> bytes:
    """The inverse in the field, then the affine map."""
    box = bytearray(256)
    p = q = 1
    while True:
        p ^= _double(p)  # times 3, which runs through the whole field
        for shift in (1, 2, 4):
            q ^= q << shift & 0xFF
        q ^= 0x09 if q & 0x80 else 0
        mixed = q
        for turn in range(1, 5):
            mixed ^= (q << turn | q >> 8 - turn) & 0xFF
        box[p] = mixed ^ 0x63
        if p == 1:
            break
    box[0] = 0x63
    return bytes(box)


_SBOX = _make_sbox()


def _round_keys(key: bytes) -> list[bytes]:
    words = [key[start : start + 4] for start in range(0, 16, 4)]
    constant = 1
    while len(words) < 4 * (ROUNDS + 1):
        word = words[-1]
        if len(words) % 4 == 0:
            turned = bytes(_SBOX[byte] for byte in word[1:] + word[:1])
            word = bytes([turned[0] ^ constant]) + turned[1:]
            constant = _double(constant)
        words.append(bytes(one ^ other for one, other in zip(word, words[-4], strict=True)))
    return [b"".join(words[start : start + 4]) for start in range(0, len(words), 4)]


def _mix(column: bytes) -> bytes:
    every = column[0] ^ column[1] ^ column[2] ^ column[3]
    return bytes(byte ^ every ^ _double(byte ^ column[(place + 1) % 4]) for place, byte in enumerate(column))


def _encrypt(keys: list[bytes], block: bytes) -> bytes:
    state = bytes(one ^ other for one, other in zip(block, keys[0], strict=True))
    for number, key in enumerate(keys[1:], 1):
        # Bytes through the box, rows shifted, columns mixed but in the last round.
        state = bytes(_SBOX[state[(place + 4 * (place % 4)) % 16]] for place in range(16))
        if number < ROUNDS:
            state = b"".join(_mix(state[start : start + 4]) for start in range(0, 16, 4))
        state = bytes(one ^ other for one, other in zip(state, key, strict=True))
    return state


def aes_ctr(key: bytes, counter: bytes, data: bytes) -> bytes:
    """Seals and opens: both are the same."""
    if (len(key), len(counter)) != (16, 16):
        raise ValueError("key and counter have 16 bytes")
    keys, start = _round_keys(key), int.from_bytes(counter, "big")
    blocks = -(-len(data) // 16)
    stream = b"".join(_encrypt(keys, ((start + step) % 2**128).to_bytes(16, "big")) for step in range(blocks))
    return bytes(one ^ other for one, other in zip(data, stream, strict=False))

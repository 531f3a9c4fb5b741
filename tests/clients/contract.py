"""A contract small enough to read: it answers 42, or refuses with a reason where it is given an argument."""

from __future__ import annotations

ANSWER = 42
REASON = "no arguments are taken here"

ABI = [
    {
        "type": "function",
        "name": "answer",
        "stateMutability": "view",
        "inputs": [],
        "outputs": [{"name": "", "type": "uint256"}],
    },
    {
        "type": "function",
        "name": "refuse",
        "stateMutability": "view",
        "inputs": [{"name": "argument", "type": "uint256"}],
        "outputs": [],
    },
]


def _word(number: int) -> bytes:
    return number.to_bytes(32, "big")


_ERROR = bytes.fromhex("08c379a0") + _word(32) + _word(len(REASON)) + REASON.encode().ljust(32, b"\0")
"""`Error(string)`, as Solidity encodes it."""

RUNTIME = (
    bytes.fromhex("6004 36 11 600f 57")  # if calldatasize > 4: jump to 0x0f
    + bytes.fromhex("602a 5f 52 6020 5f f3")  # return the word 42
    + bytes.fromhex("5b 6064 601a 5f 39 6064 5f fd")  # 0x0f: revert with the 100 bytes from 0x1a on
    + _ERROR
)

CREATION = bytes.fromhex(f"60{len(RUNTIME):02x} 600a 5f 39 60{len(RUNTIME):02x} 5f f3") + RUNTIME
"""Copies everything behind its own ten bytes, and returns it as the code."""

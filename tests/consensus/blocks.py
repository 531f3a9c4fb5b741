"""Blocks made from a seed, as the transition tool's input: accounts, an environment, transactions.

Programs are pieces of real code, put together by dice: storage, environment, calls, creations, logs, precompiles,
self-destruction, and bytes that mean nothing. Each fork gets the kinds of transactions that it knows; some of them
lack ether, gas or a fee that suffices, or come too early.
"""

from __future__ import annotations

from random import Random
from typing import Any, TypeAlias

from eth_utils.crypto import keccak
from ethereum_rlp import rlp

from execlayer import Chain, Key

Block: TypeAlias = dict[str, Any]

FORKS = [
    "Frontier",
    "Homestead",
    "EIP150",
    "EIP158",
    "Byzantium",
    "ConstantinopleFix",
    "Istanbul",
    "Berlin",
    "London",
    "Paris",
    "Shanghai",
    "Cancun",
    "Prague",
    "Osaka",
]
KEYS = [Key(bytes(31) + bytes([byte])) for byte in (1, 2, 3)]
CONTRACTS = [f"0x{number:040x}" for number in range(0x1000, 0x1006)]
BENEFICIARY = "0x2adc25665018aa1fe0e6bc666dac8fc2697ff9ba"
NUMBER = 300
SYSTEM = [
    "0x000F3df6D732807Ef1319fB7B8bB8522d0Beac02",
    "0x0000F90827F1C53a10cb7A02335B175320002935",
    "0x00000961Ef480Eb55e80D19ad83579A64c007002",
    "0x0000BBdDc7CE488642fb579F8B00f3a590007251",
]
"""Contracts that blocks call: roots of the beacon chain, hashes of blocks, withdrawals, consolidations."""


def since(fork: str, first: str) -> bool:
    """Whether the fork is that one, or comes after it."""
    return FORKS.index(fork) >= FORKS.index(first)


def word(dice: Random) -> bytes:
    """A push of a number: small ones, powers of two and their neighbours, addresses, anything."""
    number = dice.choice(
        [
            dice.randrange(4),
            dice.randrange(300),
            (1 << dice.randrange(256)) - dice.randrange(2),
            int(dice.choice(CONTRACTS), 16),
            dice.randrange(1, 11),
            dice.getrandbits(256),
        ]
    )
    octets = number.to_bytes(32, "big").lstrip(b"\0") or b"\0"
    return bytes([0x5F + len(octets)]) + octets


def small(number: int) -> bytes:
    """PUSH2 of a number."""
    return b"\x61" + number.to_bytes(2, "big")


def kept(dice: Random, code: bytes) -> bytes:
    """Keeps in a slot what the code leaves on the stack."""
    return code + small(dice.randrange(6)) + b"\x55"


def call(dice: Random) -> bytes:
    """One of the four calls, of another contract or a precompile, and how it ended is kept."""
    opcode = dice.choice([0xF1, 0xF2, 0xF4, 0xFA])
    to = dice.choice([*CONTRACTS, *(f"0x{precompile:040x}" for precompile in range(1, 19)), BENEFICIARY])
    sizes = [small(dice.choice([0, 32, 64, 128, 192, 213])) for _ in range(4)]
    value = small(dice.choice([0, 0, 1])) if opcode in (0xF1, 0xF2) else b""
    gas = dice.choice([b"\x5a", small(dice.randrange(60_000))])
    return kept(dice, b"".join(sizes) + value + b"\x73" + bytes.fromhex(to[2:]) + gas + bytes([opcode]))


def create(dice: Random) -> bytes:
    """A creation from a word of code in memory, and the address is kept."""
    init = dice.choice(["600a600055", "60016000f3", "5f5ffd", "60ef60005360016000f3", "fe", "33ff", "615fff6000f3"])
    octets = bytes.fromhex(init)
    stored = bytes([0x5F + len(octets)]) + octets + small(0) + b"\x52"
    where = small(len(octets)) + small(32 - len(octets)) + small(dice.choice([0, 0, 3]))
    return stored + kept(dice, word(dice) + where + b"\xf5" if dice.random() < 0.5 else where + b"\xf0")


def piece(dice: Random) -> bytes:
    """A few opcodes that belong together."""
    one, two, three = word(dice), word(dice), word(dice)
    slot, size = small(dice.randrange(6)), small(dice.randrange(100))
    environment = bytes(
        [dice.choice([*range(0x30, 0x35), 0x36, 0x38, 0x3A, 0x3D, *range(0x41, 0x49), 0x58, 0x59, 0x5A])]
    )
    pieces = [
        lambda: one + slot + b"\x55",
        lambda: kept(dice, slot + b"\x54"),
        lambda: kept(dice, environment),
        lambda: kept(dice, one + two + bytes([dice.randrange(1, 0x1E)])),
        lambda: kept(dice, one + two + three + bytes([dice.choice([8, 9])])),
        lambda: kept(dice, one + bytes([dice.choice([0x15, 0x19, 0x1E, 0x31, 0x35, 0x3B, 0x3F, 0x49, 0x51, 0x5C])])),
        lambda: kept(dice, small(NUMBER - dice.randrange(300)) + b"\x40"),
        lambda: one + size + b"\x52" + kept(dice, size + b"\x51"),
        lambda: one + two + slot + size + bytes([0xA0 + dice.randrange(3)]),
        lambda: small(32) + size + size + bytes([dice.choice([0x37, 0x39, 0x3E, 0x5E])]),
        lambda: kept(dice, size + size + b"\x20"),
        lambda: one + slot + b"\x5d" + kept(dice, slot + b"\x5c"),
        lambda: call(dice),
        lambda: call(dice),
        lambda: create(dice),
        # A loop of a few rounds, down to nothing.
        lambda: small(dice.randrange(1, 20)) + b"\x5b\x60\x01\x90\x03\x80" + b"\x50",
        lambda: dice.randbytes(1),
    ]
    return dice.choice(pieces)()


def program(dice: Random) -> bytes:
    """A contract's code."""
    ends = [b"", b"\x00", small(32) + small(0) + b"\xf3", small(32) + small(0) + b"\xfd", b"\xfe"]
    ends.append(b"\x73" + bytes.fromhex(dice.choice([*CONTRACTS, BENEFICIARY])[2:]) + b"\xff")
    return b"".join(piece(dice) for _ in range(dice.randrange(1, 9))) + dice.choice(ends)


def authorization(dice: Random, key: Key, nonce: int) -> dict[str, str]:
    """The key's account delegates to a contract; not all are for this chain, or for the nonce that is next."""
    chain_id, nonce = dice.choice([0, 1, 1, 7]), nonce + dice.choice([0, 0, 1])
    address = dice.choice([*CONTRACTS, "0x" + "00" * 20])
    signature = key.sign(
        keccak(
            b"\x05"
            + rlp.encode(
                [
                    chain_id.to_bytes(1, "big").lstrip(b"\0"),
                    bytes.fromhex(address[2:]),
                    nonce.to_bytes(2, "big").lstrip(b"\0"),
                ]
            )
        )
    )
    r, s, v = (int.from_bytes(part, "big") for part in (signature[:32], signature[32:64], signature[64:]))
    return {
        "chainId": hex(chain_id),
        "address": address,
        "nonce": hex(nonce),
        "r": hex(r),
        "s": hex(s),
        "v": hex(v % 27),
        "yParity": hex(v % 27),
        "signer": key.address,
    }


def transaction(dice: Random, fork: str, nonces: list[int]) -> Block:
    """A transaction of some kind, signed by one of the keys when it is read."""
    who = dice.randrange(len(KEYS))
    kinds = [
        0,
        0,
        *(kind for kind, first in ((1, "Berlin"), (2, "London"), (3, "Cancun"), (4, "Prague")) if since(fork, first)),
    ]
    kind = dice.choice(kinds)
    flaw = dice.choice(["early", "poor", "cheap", "short"]) if dice.random() < 0.1 else None
    to = (
        dice.choice([*CONTRACTS * 2, None, KEYS[0].address.lower(), "0x" + "77" * 20])
        if kind < 3
        else dice.choice(CONTRACTS)
    )
    data = program(dice) if to is None else dice.randbytes(dice.choice([0, 4, 36, 200]))
    made: Block = {
        "type": hex(kind),
        "nonce": hex(nonces[who] + (flaw == "early")),
        "gas": hex(20_999 if flaw == "short" else dice.choice([100_000, 200_000, 400_000, 1_000_000])),
        "value": hex(10**24 if flaw == "poor" else dice.choice([0, 0, 1, 10**18])),
        "input": "0x" + data.hex(),
        "secretKey": "0x" + f"{who + 1:064x}",
    }
    made |= {} if to is None else {"to": to}
    if kind in (0, 1):
        made["gasPrice"] = hex(6 if flaw == "cheap" else dice.choice([7, 10, 1_000]))
    else:
        made |= {
            "maxFeePerGas": hex(6 if flaw == "cheap" else dice.choice([7, 10, 1_000])),
            "maxPriorityFeePerGas": hex(dice.choice([0, 1, 5])),
        }
    if kind > 0:
        made |= {
            "chainId": "0x1",
            "accessList": [{"address": dice.choice(CONTRACTS), "storageKeys": [f"0x{dice.randrange(6):064x}"]}],
        }
    if kind == 3:
        made |= {
            "maxFeePerBlobGas": hex(dice.choice([1, 10])),
            "blobVersionedHashes": ["0x01" + "ab" * 31] * dice.choice([1, 2]),
        }
    if kind == 4:
        signer = dice.randrange(len(KEYS))
        made["authorizationList"] = [authorization(dice, KEYS[signer], nonces[signer] + (signer == who))]
    if flaw is None or (flaw == "cheap" and not since(fork, "London")):
        nonces[who] += 1
    return made


def block(seed: int, fork: str) -> Block:
    """Accounts, an environment and transactions, under the names of the interface."""
    dice = Random(f"{fork} {seed}")
    alloc: Block = {
        key.address.lower(): {"balance": hex(10**21), "nonce": "0x0", "code": "0x", "storage": {}} for key in KEYS
    }
    for address in CONTRACTS:
        slots = {f"0x{slot:064x}": f"0x{dice.randrange(1, 9):064x}" for slot in range(dice.randrange(4))}
        alloc[address] = {
            "balance": hex(dice.randrange(5)),
            "nonce": "0x1",
            "code": "0x" + program(dice).hex(),
            "storage": slots,
        }
    if since(fork, "Cancun"):
        with Chain.dev() as chain:
            for address in SYSTEM:
                alloc[address.lower()] = {
                    "balance": "0x0",
                    "nonce": "0x1",
                    "code": "0x" + chain.code(address).hex(),
                    "storage": {},
                }
    env: Block = {
        "currentCoinbase": BENEFICIARY,
        "currentGasLimit": hex(30_000_000),
        "currentNumber": str(NUMBER),
        "currentTimestamp": "1000",
        "blockHashes": {
            hex(number): "0x" + keccak(str(number).encode()).hex() for number in range(NUMBER - 256, NUMBER)
        },
    }
    if since(fork, "Paris"):
        env["currentRandom"] = "0x" + keccak(b"random").hex()
    else:
        env["currentDifficulty"] = "0x20000"
    if since(fork, "London"):
        env["currentBaseFee"] = "0x7"
    if since(fork, "Shanghai"):
        env["withdrawals"] = [
            {"index": hex(index), "validatorIndex": "0x5", "address": dice.choice(CONTRACTS), "amount": hex(index * 3)}
            for index in range(3)
        ]
    if since(fork, "Cancun"):
        env |= {"parentBeaconBlockRoot": "0x" + keccak(b"beacon").hex(), "currentExcessBlobGas": "0x0"}
    nonces = [0] * len(KEYS)
    txs = [transaction(dice, fork, nonces) for _ in range(8)]
    return {"alloc": alloc, "env": env, "txs": txs}

"""What the tests of the scripting face share: chains to work on, and a genesis of one's own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from execlayer import Account, Block, Chain

ETHER = 10**18
GAS_LIMIT = 60_000_000
FORKS = ("homestead", "eip150", "eip155", "eip158", "byzantium", "constantinople", "petersburg", "istanbul", "berlin")


def genesis_of(balances: dict[str, str], **fields: Any) -> dict[str, Any]:
    """A genesis of Cancun's rules with these balances; other fields as given."""
    return {
        "config": {
            "chainId": 1234,
            **{f"{fork}Block": 0 for fork in (*FORKS, "london")},
            "terminalTotalDifficulty": 0,
            "shanghaiTime": 0,
            "cancunTime": 0,
        },
        "difficulty": "0x0",
        "gasLimit": hex(GAS_LIMIT),
        "alloc": {address: {"balance": balance} for address, balance in balances.items()},
        **fields,
    }


Unchanged = Callable[[], None]


@pytest.fixture
def chain() -> Chain:
    """A chain in memory with one block on it."""
    chain = Chain.dev()
    alice, bob = chain.accounts[:2]
    alice.transfer(bob, "1 ether")
    return chain


@pytest.fixture
def unchanged(chain: Chain) -> Unchanged:
    """Fails unless `chain` is as it was before the test."""

    def look() -> tuple[Block, int, list[tuple[int, int]], int | None]:
        return chain.head, chain.pending, [(one.balance, one.nonce) for one in chain.accounts], chain.base_fee

    before = look()

    def check() -> None:
        assert look() == before

    return check


@pytest.fixture
def alice(chain: Chain) -> Account:
    """The first of the chain's accounts."""
    return chain.accounts[0]


@pytest.fixture
def bob(chain: Chain) -> Account:
    """The second of the chain's accounts."""
    return chain.accounts[1]

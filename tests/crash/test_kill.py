"""Kill -9 while a process mines in a loop on a folder: what is left is whole, and nothing acknowledged is lost."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from execlayer import Chain

KILLS = 4 if "EXECLAYER_EMULATED" in os.environ else 20
LEAST, MOST = 1, 12
"""Blocks that a process acknowledges before it is killed, at some moment of the next one."""

MINER = """
import sys
from execlayer import Chain

with Chain.open(sys.argv[1]) as chain:
    alice, bob = chain.accounts[:2]
    while True:
        first = alice.nonce
        block = chain.mine([alice.sign(bob, 1, nonce=first + index, gas_limit=21_000) for index in range(5)])
        print(block.number, block.hash, flush=True)
"""


def mine_and_kill(folder: Path, blocks: int) -> list[tuple[int, str]]:
    """What a process acknowledged before and while it was killed."""
    command = [sys.executable, "-c", MINER, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(blocks)]
        process.kill()
        lines += process.stdout.readlines()
    # A line that the kill cut short was not acknowledged.
    whole = [line.split() for line in lines if line.endswith("\n")]
    return [(int(number), name) for number, name in whole]


@pytest.mark.timeout(300)
def test_a_killed_miner_leaves_whole_blocks_and_all_that_it_acknowledged(tmp_path: Path) -> None:
    moments = random.Random(20)
    start = 10_000 * 10**18
    acknowledged: dict[int, str] = {}
    for _ in range(KILLS):
        mined = mine_and_kill(tmp_path, moments.randint(LEAST, MOST))
        assert mined, "the miner ended before its first block"
        acknowledged.update(mined)
        with Chain.open(tmp_path) as chain:
            alice, bob = chain.accounts[:2]
            head = chain.head
            # One block may have been committed and not yet told.
            assert max(acknowledged) <= head.number <= max(acknowledged) + 1
            assert {number: chain.block(number).hash for number in acknowledged} == acknowledged
            assert len(head.transactions) == len(head.receipts) == 5
            assert bob.balance - start == alice.nonce == 5 * head.number
            assert chain.receipt(head.transactions[4].hash).block_hash == head.hash
            acknowledged[head.number] = head.hash
    assert len(acknowledged) >= KILLS

    # Somebody who was never killed comes to the same roots.
    with Chain.open(tmp_path) as chain:
        twin = Chain.dev()
        for block in chain.blocks[1:]:
            assert twin.import_block(block.raw) == block
        assert twin.head == chain.head

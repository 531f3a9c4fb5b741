"""Kill -9 while a process mines in a loop on a folder: what is left is whole, and nothing acknowledged is lost."""

from __future__ import annotations

import multiprocessing
import random
import sys
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from execlayer import Chain

if sys.platform == "win32":
    pytest.skip("there is no fork", allow_module_level=True)

KILLS = 100
LEAST, MOST = 1, 6
"""Blocks that a process acknowledges before it is killed, at some moment of the next one."""

PROCESSES = multiprocessing.get_context("forkserver")
"""Each miner is forked from a process that has imported what it needs and has never opened a chain: a hundred
interpreters would take longer to start than to kill."""

PROCESSES.set_forkserver_preload([__name__])


def mine(folder: Path, told: Connection) -> None:
    """Mines until it is killed, and tells of every block when it is done."""
    chain = Chain.open(folder)
    alice, bob = chain.accounts[:2]
    while True:
        first = alice.nonce
        block = chain.mine([alice.sign(bob, 1, nonce=first + index, gas_limit=21_000) for index in range(5)])
        told.send((block.number, block.hash))


def mine_and_kill(folder: Path, blocks: int) -> list[tuple[int, str]]:
    """What a process acknowledged before and while it was killed."""
    listening, told = PROCESSES.Pipe(duplex=False)
    process = PROCESSES.Process(target=mine, args=(folder, told), daemon=True)
    process.start()
    told.close()
    acknowledged = [listening.recv() for _ in range(blocks)]
    process.kill()
    try:
        while True:
            acknowledged.append(listening.recv())
    except (EOFError, OSError):
        # A message that the kill cut short was not acknowledged.
        listening.close()
    process.join()
    return acknowledged


@pytest.mark.timeout(300)
def test_a_killed_miner_leaves_whole_blocks_and_all_that_it_acknowledged(tmp_path: Path) -> None:
    moments = random.Random(20)
    start = 10_000 * 10**18
    acknowledged: dict[int, str] = {}
    for _ in range(KILLS):
        mined = mine_and_kill(tmp_path, moments.randint(LEAST, MOST))
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

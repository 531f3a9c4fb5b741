"""Scripting: transfers one by one and in batches, reads, going back, and the import of the package."""

from __future__ import annotations

import subprocess
import sys

from execlayer import Chain
from execlayer.chain import Anchor

BATCH = 1_000
"""Transfers that fit into a block of the development chain."""


class Batch:
    """A thousand signed transfers, and the chain that takes them."""

    def setup(self) -> None:
        """Signs them, and sees that a block of them does what they say."""
        self.chain = Chain.dev()
        alice, bob = self.chain.accounts[:2]
        self.raw = [alice.sign(bob, 1, nonce=nonce, gas_limit=21_000) for nonce in range(BATCH)]
        with self.chain.anchor():
            before = bob.balance
            block = self.chain.mine(self.raw)
            if len(block.transactions) != BATCH or bob.balance - before != BATCH:
                raise RuntimeError("the block does not hold what it was given")
        self.anchor: Anchor = self.chain.anchor()

    def teardown(self) -> None:
        """Lets the chain go."""
        self.chain.close()

    def time_mine_a_batch(self) -> None:
        """From raw bytes to a sealed block, and back."""
        with self.chain.anchor():
            self.chain.mine(self.raw)

    def time_submit_a_batch(self) -> None:
        """From raw bytes into the pool, and back."""
        with self.chain.anchor():
            self.chain.submit(self.raw)

    def peakmem_mine_a_batch(self) -> None:
        """The process, with a block of a thousand transfers."""
        with self.chain.anchor():
            self.chain.mine(self.raw)


class Single:
    """One account, one transfer, one question."""

    def setup(self) -> None:
        """A chain with a block, whose answer is known."""
        self.chain = Chain.dev()
        self.alice, self.bob = self.chain.accounts[:2]
        if self.alice.transfer(self.bob, 1).gas_used != 21_000:
            raise RuntimeError("a transfer takes 21,000 gas")

    def teardown(self) -> None:
        """Lets the chain go."""
        self.chain.close()

    def time_transfer(self) -> None:
        """Signed, submitted, mined, receipt read."""
        self.alice.transfer(self.bob, 1)

    def time_balance(self) -> None:
        """One balance at the head."""
        _ = self.bob.balance

    def time_block(self) -> None:
        """The newest block as a value."""
        _ = self.chain.head


class Import:
    """What a script waits for before its first line."""

    def setup(self) -> None:
        """Bytecode is compiled once, not in the first reading."""
        self.time_import()

    def time_import(self) -> None:
        """A fresh interpreter that imports the package."""
        subprocess.run([sys.executable, "-c", "import execlayer"], check=True)

"""The pool against a plain model, through Python: whatever is sent, mined, undone, replaced by a better branch, dropped
or restarted, what waits is what the model says, no block holds a gap, the same pool gives the same block, and no limit
is passed."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from execlayer import Chain
from execlayer.errors import ExeclayerError, PoolFull, SenderFull

GWEI = 10**9
LIMIT = 12
PER_SENDER = 5
SENDERS = 4


class PoolMachine(RuleBasedStateMachine):
    """Rules do something to the chain and to a model of dictionaries; invariants compare them."""

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.settings: dict[str, Any] = {"max_transactions": LIMIT, "max_per_sender": PER_SENDER}
        self.chain = Chain.open(self.folder.name, **self.settings)
        self.people = self.chain.accounts[:SENDERS]
        self.waiting: dict[tuple[int, int], tuple[str, int]] = {}
        """By sender and nonce: hash and tip."""
        self.blocks: list[tuple[list[int], dict[tuple[int, int], tuple[str, int]]]] = []
        """Nonces and what waited before each block that can be undone."""
        self.nonces = [0] * SENDERS
        self.anchors: list[Any] = []
        self.chained: list[list[tuple[tuple[int, int], tuple[str, int]]]] = []
        """What each block of the chain holds, as above."""

    def teardown(self) -> None:
        if hasattr(self, "chain"):
            self.chain.close()
            self.folder.cleanup()

    def ready(self, sender: int, nonce: int) -> bool:
        """Whether nothing is missing before it."""
        return all((sender, before) in self.waiting for before in range(self.nonces[sender], nonce))

    @rule(sender=st.integers(0, SENDERS - 1), ahead=st.integers(-1, 4), tip=st.integers(0, 30), private=st.booleans())
    def submit(self, sender: int, ahead: int, tip: int, private: bool) -> None:
        nonce = max(0, self.nonces[sender] + ahead)
        raw = self.people[sender].key.sign_transaction(
            chain_id=31_337,
            nonce=nonce,
            gas_limit=21_000,
            to=bytes([9] * 20),
            value=1,
            data=b"",
            max_fee_per_gas=100 * GWEI + tip * GWEI,
            max_priority_fee_per_gas=tip * GWEI,
        )
        key = (sender, nonce)
        held = self.waiting.get(key)
        mine = sum(1 for other, _ in self.waiting if other == sender)
        events = self.chain.pool.subscribe()
        try:
            name = self.chain.submit(raw, private=private)
        except (PoolFull, SenderFull) as error:
            full = len(self.waiting) >= LIMIT if isinstance(error, PoolFull) else mine >= PER_SENDER
            assert full and held is None
        except ExeclayerError:
            # Used, known, or a replacement that pays too little.
            assert nonce < self.nonces[sender] or held is not None
        else:
            assert nonce >= self.nonces[sender]
            if held is not None:
                old = held[1]
                assert 10 * tip >= 11 * old and 10 * (100 + tip) >= 11 * (100 + old)
            for event in events.wait():
                if event.detail == "evicted":
                    victim = next(key for key, (hash_, _) in self.waiting.items() if hash_ == event.hash)
                    # Nobody leaves for somebody who pays less, unless it stands behind a gap.
                    assert self.waiting[victim][1] < tip or not self.ready(*victim)
                    assert len(self.waiting) == LIMIT
                    del self.waiting[victim]
            self.waiting[key] = (name, tip)

    @rule()
    def mine(self) -> None:
        before = (list(self.nonces), dict(self.waiting))
        timestamp = self.chain.head.timestamp + 12
        with self.chain.anchor():
            tried = self.chain.mine(timestamp=timestamp).hash
        self.anchors.append(self.chain.anchor())
        self.blocks.append(before)
        block = self.chain.mine(timestamp=timestamp)
        assert block.hash == tried, "the same pool, another block"
        places = {person.address: index for index, person in enumerate(self.people)}
        held = []
        for transaction in block.transactions[:]:
            sender = places[transaction.sender]
            assert transaction.nonce == self.nonces[sender], "a gap in a block"
            key = (sender, transaction.nonce)
            held.append((key, self.waiting.pop(key)))
            assert held[-1][1][0] == transaction.hash
            self.nonces[sender] += 1
        self.chained.append(held)
        # Fees are high enough and the block is large enough for all whose turn it is.
        assert not any(nonce == self.nonces[sender] for sender, nonce in self.waiting)

    @precondition(lambda self: self.chained)
    @rule(depth=st.integers(1, 3))
    def reorg(self, depth: int) -> None:
        """A branch of empty blocks takes the place of the newest; what those held waits again, as far as it may."""
        depth = min(depth, len(self.chained))
        kept = len(self.chained) - depth
        rival = Chain.dev()
        for number in range(1, kept + 1):
            rival.import_block(self.chain.block(number).raw)
        events = self.chain.pool.subscribe()
        for _ in range(depth + 1):
            self.chain.import_block(rival.mine(timestamp=rival.head.timestamp + 7).raw)
        assert self.chain.head.hash == rival.head.hash
        undone = [pair for held in self.chained[kept:] for pair in held]
        self.chained[kept:] = [[] for _ in range(depth + 1)]
        self.anchors.clear()
        self.blocks.clear()
        by_hash = {name: (key, (name, tip)) for key, (name, tip) in [*undone, *self.waiting.items()]}
        for (sender, _), _ in undone:
            self.nonces[sender] -= 1
        for event in events.wait():
            key, entry = by_hash[event.hash]
            if event.change == "added":
                assert entry in [pair[1] for pair in undone]
                self.waiting[key] = entry
            elif event.change in ("dropped", "replaced"):
                # It left because the pool is full, or for one that stood in a block and pays enough more.
                assert event.change == "replaced" or event.detail == "evicted"
                del self.waiting[key]
        for key, (_, tip) in undone:
            if key in self.waiting:
                continue
            # Refused: there was no room for it.
            mine = sum(1 for sender, _ in self.waiting if sender == key[0])
            assert len(self.waiting) == LIMIT or mine == PER_SENDER, (key, tip)

    @precondition(lambda self: self.blocks)
    @rule()
    def undo(self) -> None:
        self.anchors.pop().undo()
        self.nonces, self.waiting = self.blocks.pop()
        self.chained.pop()

    @precondition(lambda self: self.waiting)
    @rule(data=st.data())
    def drop(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.waiting)))
        assert self.chain.pool.drop(self.waiting.pop(key)[0])

    @rule()
    def restart(self) -> None:
        order = list(self.chain.pool)
        self.chain.close()
        self.chain = Chain.open(self.folder.name, **self.settings)
        assert list(self.chain.pool) == order
        # Anchors end with the process.
        self.anchors.clear()
        self.blocks.clear()

    @invariant()
    def what_waits_is_what_the_model_says(self) -> None:
        if not hasattr(self, "chain"):
            return
        assert set(self.chain.pool) == {name for name, _ in self.waiting.values()}
        state = self.chain.pool.state()
        assert state.total == len(self.waiting) <= LIMIT
        ready = sum(self.ready(sender, nonce) for sender, nonce in self.waiting)
        assert (state.pending, state.queued) == (ready, len(self.waiting) - ready)
        assert Path(self.folder.name, "pool.journal").stat().st_size > 0


TestPool = PoolMachine.TestCase
TestPool.settings = settings(
    max_examples=25,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)

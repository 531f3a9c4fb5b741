"""Many signatures in one crossing, against one after the other: over JSON-RPC, and as values from Python."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

from asv_bench.promises.row import Row, WrongAnswer
from execlayer import Chain, Key, _core, senders

TRANSACTIONS = 1_000
SENDERS = 10
ROUNDS = 7
NEEDED = 2.0
"""How many times cheaper a batch is at least, everything else that sending needs included."""


def rows() -> Iterator[Row]:
    """The promises of batches."""
    keys = Chain.dev().accounts[:SENDERS]
    raw = [transfer(keys[index % SENDERS].key, index // SENDERS) for index in range(TRANSACTIONS)]
    calls = [
        {"jsonrpc": "2.0", "id": index, "method": "eth_sendRawTransaction", "params": ["0x" + one.hex()]}
        for index, one in enumerate(raw)
    ]
    whole, single = json.dumps(calls).encode(), [json.dumps(call).encode() for call in calls]

    def together(rpc: _core.Rpc) -> list[object]:
        answers: list[object] = json.loads(rpc.handle_with(whole, None, {}))
        return answers

    def apart(rpc: _core.Rpc) -> list[object]:
        return [json.loads(rpc.handle_with(request, None, {})) for request in single]

    (ours, answers), (theirs, expected) = timed(together), timed(apart)
    if answers != expected or not all(isinstance(one, dict) and "result" in one for one in answers):
        raise WrongAnswer("a batch of raw transactions is answered otherwise than one by one")
    name, unit = "1,000 raw transactions in one JSON-RPC batch", "µs each"
    micros = 1e6 / TRANSACTIONS
    yield Row(name, "faster", ours * micros, unit, NEEDED, theirs * micros, "one request each")

    best, one_by_one = float("inf"), float("inf")
    for _ in range(ROUNDS):
        start = time.perf_counter()
        found = senders(raw)
        best = min(best, time.perf_counter() - start)
        start = time.perf_counter()
        alone = [senders([one])[0] for one in raw]
        one_by_one = min(one_by_one, time.perf_counter() - start)
        if found != alone or found[:SENDERS] != [key.address for key in keys]:
            raise WrongAnswer("the senders of a batch are not those of one after the other")
    name = "senders of 1,000 raw transactions, from Python"
    yield Row(name, "faster", best * micros, unit, NEEDED, one_by_one * micros, "one call each")


def transfer(key: Key, nonce: int) -> bytes:
    """A signed transfer's bytes."""
    return key.sign_transaction(
        chain_id=31_337,
        nonce=nonce,
        gas_limit=21_000,
        to=bytes(20),
        value=1,
        data=b"",
        max_fee_per_gas=10**10,
        max_priority_fee_per_gas=1,
    )


def timed(send: Callable[[_core.Rpc], list[object]]) -> tuple[float, list[object]]:
    """The best time of several, each on a new chain, and what was answered."""
    best, answers = float("inf"), list[object]()
    for _ in range(ROUNDS):
        with Chain.dev() as chain:
            rpc = _core.Rpc(chain.core, automine=False)
            start = time.perf_counter()
            answers = send(rpc)
            best = min(best, time.perf_counter() - start)
    return best, answers

"""Traces: the tree of calls, the steps, and their text."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from execlayer import Account, Chain, ChainSpec, evm

OUTER = "0x00000000000000000000000000000000000000AA"
INNER = "0x00000000000000000000000000000000000000bb"


def nested() -> dict[str, Any]:
    """OUTER calls INNER twice, with a wei and statically; INNER reverts unless it is sent something."""
    address = INNER[2:]
    outer = f"5f5f5f5f600173{address}5af150" + f"5f5f5f5f73{address}5afa50"
    return {OUTER: {"code": f"0x{outer}", "balance": 10}, INNER: {"code": "0x34600557fe5b00"}}


def test_the_tree_says_who_called_whom_and_how_it_ended() -> None:
    trace = evm.trace(nested(), OUTER, gas=100_000)
    assert trace.outcome.ok
    root = trace.root
    assert (root.kind, root.to, root.error) == ("CALL", OUTER, None)
    paid, static = root.calls
    assert (paid.kind, paid.sender, paid.to, paid.value, paid.error) == ("CALL", OUTER, INNER, 1, None)
    assert (static.kind, static.value, static.error) == ("STATICCALL", 0, "invalid opcode 0xfe")
    assert static.gas_used == static.gas
    assert [depth for depth, _ in root.walk()] == [0, 1, 1]
    plain = evm.call(nested(), OUTER, gas=100_000)
    assert plain.gas_used == trace.outcome.gas_used == 21_000 + root.gas_used


def test_the_tree_is_readable_text() -> None:
    trace = evm.trace(nested(), OUTER, gas=100_000)
    lines = trace.tree().split("\n")
    assert lines[0].startswith("CALL 0x0000000000000000000000000000000000000000 → 0x") and lines[0].endswith("gas)")
    assert lines[1].startswith(f"├─ CALL {OUTER} → {INNER} [1 wei] (")
    assert lines[2].startswith("└─ STATICCALL") and lines[2].endswith("✗ invalid opcode 0xfe")
    file = io.StringIO()
    trace.print(file)
    assert file.getvalue() == trace.tree() + "\n"


def test_the_deepest_tree_is_walked_and_printed() -> None:
    # Calls itself with all gas but a 64th.
    trace = evm.trace({OUTER: {"code": "0x5f5f5f5f5f305af1"}}, OUTER, gas=10**13)
    depths = [depth for depth, _ in trace.root.walk()]
    assert depths == list(range(1_026))
    assert [call.error for _, call in trace.root.walk()][-2:] == [None, "max call depth exceeded"]
    assert trace.tree().count("└─") == 1_025


def test_steps_are_dicts_and_lines() -> None:
    trace = evm.trace({OUTER: {"code": "0x60025f53fe"}}, OUTER, gas=30_000, steps=True, memory=True)
    names = [step["opName"] for step in trace.steps]
    assert names == ["PUSH1", "PUSH0", "MSTORE8", "INVALID"]
    third = trace.steps[2]
    assert (third["pc"], third["stack"], third["gas"], third["gasCost"], third["depth"]) == (3, (2, 0), 8_995, 6, 1)
    last = trace.steps[-1]
    assert (last["memSize"], last["memory"][0], last["error"]) == (32, 2, "invalid opcode 0xfe")
    lines = [json.loads(line) for line in trace.lines()]
    assert [line["opName"] for line in lines] == names
    assert lines[2]["stack"] == ["0x2", "0x0"] and lines[2]["gasCost"] == "0x6"
    assert len(trace.steps) == 4 and trace.steps.dropped == 0
    assert [step["pc"] for step in trace.steps[1:3]] == [2, 3] and repr(trace.steps) == "<4 steps>"
    assert [trace.steps.line(index) for index in range(4)] == list(trace.lines())
    with pytest.raises(IndexError):
        trace.steps[4]


def test_steps_are_kept_only_where_they_are_asked_for() -> None:
    trace = evm.trace(nested(), OUTER)
    with pytest.raises(ValueError, match="steps=True"):
        _ = trace.steps


def test_a_signed_transaction_is_traced_on_its_chain(chain: Chain, alice: Account, bob: Account) -> None:
    trace = chain.trace(raw=alice.sign(bob, 5))
    assert (trace.root.sender, trace.root.to, trace.root.value) == (alice.address, bob.address, 5)
    assert trace.outcome.gas_used == 21_000 and trace.root.gas_used == 0
    assert chain.head.number == 1


def test_an_opcode_of_ones_own_has_its_name_in_the_steps() -> None:
    spec = ChainSpec.osaka().with_opcode(0x0C, 'MY "OP"', lambda site: None, gas=5, pops=0, pushes=0)
    trace = evm.trace({OUTER: {"code": "0x0c"}}, OUTER, spec=spec, steps=True)
    assert trace.steps[0]["opName"] == 'MY "OP"' and trace.steps[0]["gasCost"] == 5
    assert json.loads(next(trace.lines()))["opName"] == 'MY "OP"'

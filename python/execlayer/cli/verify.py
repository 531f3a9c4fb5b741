"""Verify a proof of ``execlayer prove``, or what ``eth_getProof`` answered, without a chain.

The root comes from a header that you trust: of the state for an account, of the transactions or receipts for one of
those. The code is 0 where the proof holds under it, and 1 where it does not.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .codes import DONE

EXAMPLES = """examples:
  execlayer verify proof.json --root 0xd7f8974fb5ac78d9ac099b9ad5018bedc2ce0a72dad1827a1709da30580f0544
  execlayer verify - --root 0xd7f8974fb5ac78d9ac099b9ad5018bedc2ce0a72dad1827a1709da30580f0544 --json"""

EXPECTED = "a proof of execlayer prove, or an answer of eth_getProof"


def describe(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("file", help="the proof as JSON; - for what comes from stdin")
    parser.add_argument("--root", required=True, metavar="HASH", help="the root that the proof must hold under")


def run(options: argparse.Namespace) -> int:
    """Verifies the proof and says what it proves."""
    text = sys.stdin.read() if options.file == "-" else Path(options.file).read_text()
    proven = _proven(_read(text), options.root)
    if options.json:
        print(json.dumps(proven))
    else:
        for name, value in proven.items():
            print(f"{name:<16}{value}")
    return DONE


def _read(text: str) -> Mapping[str, Any]:
    from ..errors import InvalidArgument

    try:
        proof = json.loads(text)
    except ValueError as error:
        raise InvalidArgument(f"no JSON: {error}", field="proof", value=text[:80], expected=EXPECTED) from error
    # A whole answer of JSON-RPC may be given, too.
    proof = proof.get("result", proof) if isinstance(proof, Mapping) else None
    if not isinstance(proof, Mapping):
        raise InvalidArgument(f"expected {EXPECTED}", field="proof", value=proof, expected=EXPECTED)
    return proof


def _proven(proof: Mapping[str, Any], root: str) -> dict[str, Any]:
    from .. import proofs
    from ..errors import InvalidArgument, ProofInvalid

    for kind in ("transaction", "receipt"):
        if kind not in proof:
            continue
        try:
            index, item, nodes = proof["index"], proof[kind], proof["proof"]
        except KeyError as error:
            raise InvalidArgument(
                f"{error} is missing, expected {EXPECTED}", field="proof", value=proof, expected=EXPECTED
            ) from error
        # Receipts are items of a list as transactions are.
        held = proofs.verify_transaction(root, index, nodes)
        if held is None or "0x" + held.hex() != item:
            there = "nothing" if held is None else "another one"
            raise ProofInvalid(f"the proof is of {there} at index {index}, not of that {kind}")
        return {"index": index, kind: item}
    verified = proofs.verify_proof(root, proof)
    account = verified.account
    told: dict[str, Any] = {"address": verified.address, "exists": account is not None}
    if account is not None:
        told |= {"nonce": account.nonce, "balance": account.balance, "code_hash": account.code_hash}
    return told | {f"slot {entry.slot:#x}": f"{entry.value:#x}" for entry in verified.slots}

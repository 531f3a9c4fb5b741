"""Prove what an account holds after a block, or that a transaction or its receipt stands in its block.

The proof is printed as JSON: of an account in the form of ``eth_getProof``, with the state root that it holds under.
``execlayer verify`` checks it without a chain.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .codes import DONE

if TYPE_CHECKING:
    from ..proofs import AccountProof, ItemProof

EXAMPLES = """examples:
  execlayer prove 0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266 --data chain       an account
  execlayer prove 0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266 0 7 --data chain --at 100 --json
  execlayer prove 0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266 --data chain --out proof.json
  execlayer prove --receipt 0x6c0fd9a3b9c6b7d4c4b0c4ac4a9a06a1d6b5cd5dd2a3fc4d0ce2a3bd1a7c5b11 --data chain"""


def describe(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("address", nargs="?", help="whose account")
    parser.add_argument("slots", nargs="*", type=slot, metavar="slot", help="slots of it, decimal or 0x")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--transaction", metavar="HASH", help="a transaction instead")
    what.add_argument("--receipt", metavar="HASH", help="a transaction's receipt instead")
    parser.add_argument("--data", required=True, metavar="DIR", help="the chain's folder")
    parser.add_argument(
        "--genesis", metavar="FILE", help="its genesis.json; default: the folder's, or the development chain"
    )
    parser.add_argument("--out", metavar="FILE", help="where the proof goes (default: stdout)")
    parser.add_argument("--at", metavar="BLOCK", default="latest", help="after which block (number, hash or tag)")
    parser.set_defaults(refuse=parser.error)


def slot(text: str) -> int:
    """A slot's number."""
    number = int(text, 0)
    if not 0 <= number < 2**256:
        raise ValueError(text)
    return number


def run(options: argparse.Namespace) -> int:
    """Makes the proof and prints it."""
    from ..chain import Chain

    item = options.transaction or options.receipt
    if (options.address is None) == (item is None):
        options.refuse("give an address, or --transaction or --receipt")
    if not Path(options.data).is_dir():
        raise FileNotFoundError(f"no chain in {options.data}")
    genesis = None if options.genesis is None else Path(options.genesis)
    with Chain.open(options.data, genesis, read_only=True) as chain:
        if options.transaction is not None:
            root, proof = "transactionsRoot", _item("transaction", chain.prove_transaction(options.transaction))
        elif options.receipt is not None:
            root, proof = "receiptsRoot", _item("receipt", chain.prove_receipt(options.receipt))
        else:
            at = int(options.at) if options.at.isdecimal() else options.at
            root, proof = "stateRoot", _account(chain.prove(options.address, options.slots, at))
    text = json.dumps(proof, indent=None if options.json else 2)
    if options.out is None:
        print(text)
        return DONE
    Path(options.out).write_text(text + "\n")
    print(json.dumps({root: proof[root]}) if options.json else f"{root} {proof[root]}")
    return DONE


def _hex(nodes: tuple[bytes, ...]) -> list[str]:
    return ["0x" + node.hex() for node in nodes]


def _account(proof: AccountProof) -> dict[str, Any]:
    from ..proofs import ABSENT

    account = proof.account or ABSENT
    return {
        "blockHash": proof.block,
        "stateRoot": proof.state_root,
        "address": proof.address,
        "accountProof": _hex(proof.nodes),
        "balance": hex(account.balance),
        "codeHash": account.code_hash,
        "nonce": hex(account.nonce),
        "storageHash": account.storage_root,
        "storageProof": [
            {"key": hex(entry.slot), "value": hex(entry.value), "proof": _hex(entry.nodes)} for entry in proof.slots
        ],
    }


def _item(kind: str, proof: ItemProof) -> dict[str, Any]:
    return {
        "blockHash": proof.block,
        f"{kind}sRoot": proof.root,
        "index": proof.index,
        kind: "0x" + proof.item.hex(),
        "proof": _hex(proof.nodes),
    }

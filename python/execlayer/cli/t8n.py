"""Execute one block over given accounts: the transition tool that geth, evmone and the makers of public tests speak.

Accounts, environment and transactions come from JSON files or, as one object, from stdin; so do accounts, result and
the transactions' RLP go out. State forks: Frontier, Homestead, EIP150, EIP158, Byzantium, Constantinople,
ConstantinopleFix, Istanbul, MuirGlacier, Berlin, London, ArrowGlacier, GrayGlacier, Paris, Merge, Shanghai, Cancun,
Prague, Osaka, BPO1, BPO2, and changes such as BerlinToLondonAt5. The exit code is that of the interface: 0 done, 2
execution failed, 3 unknown fork or incomplete environment, 4 a block hash is missing, 10 malformed JSON, 11 files, 12
malformed RLP.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from .. import errors
from ..errors import ExeclayerError, InvalidArgument, MalformedInput
from .codes import DONE, TRANSITION

EXAMPLES = """examples:
  execlayer t8n --state.fork Prague --input.alloc alloc.json --input.env env.json --input.txs txs.json
  execlayer t8n --input.alloc stdin --input.env stdin --input.txs stdin --output.result stdout --output.alloc stdout
  execlayer t8n --state.fork Berlin --state.reward 2000000000000000000 --output.basedir out --trace --json
  execlayer t8n --output.body txs.rlp"""

INPUTS = ("alloc", "env", "txs")


def describe(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options, under the interface's names."""
    for name in INPUTS:
        parser.add_argument(f"--input.{name}", default=f"{name}.json", metavar="FILE", help="a file, or stdin")
    parser.add_argument("--input.blobParams", metavar="FILE", help="target, max and baseFeeUpdateFraction of blobs")
    parser.add_argument("--output.basedir", default="", metavar="DIR", help="where files go; made where it is missing")
    parser.add_argument("--output.alloc", default="alloc.json", metavar="FILE", help="a file, stdout or stderr")
    parser.add_argument("--output.result", default="result.json", metavar="FILE", help="a file, stdout or stderr")
    parser.add_argument("--output.body", metavar="FILE", help="the transactions' RLP in hex: a file, stdout or stderr")
    parser.add_argument("--state.fork", default="Osaka", metavar="NAME", help="whose rules hold (default Osaka)")
    parser.add_argument("--state.chainid", type=number, default=1, metavar="N", help="the chain's id (default 1)")
    parser.add_argument(
        "--state.reward", type=number, default=0, metavar="WEI", help="for finding the block; -1: nobody is touched"
    )
    parser.add_argument("--trace", action="store_true", help="write trace-INDEX-HASH.jsonl for each transaction")
    parser.add_argument("--trace.memory", action="store_true", help="with the memory in each line")
    parser.add_argument("--trace.nostack", action="store_true", help="without the stack")
    parser.add_argument("--trace.returndata", action="store_true", help="with what calls returned")
    # Older names of what is so anyway.
    for name in ("nomemory", "noreturndata"):
        parser.add_argument(f"--trace.{name}", action="store_true", help=argparse.SUPPRESS)


def number(text: str) -> int:
    """A number, decimal or 0x-hex."""
    return int(text, 0)


def run(options: argparse.Namespace) -> int:
    """Does the transition. What is refused ends with the interface's code."""
    try:
        return _run(vars(options))
    except (ExeclayerError, OSError) as error:
        if isinstance(error, BrokenPipeError):
            raise
        print(f"ERROR({_code(error)}): {error}", file=sys.stderr)
        return _code(error)


def _code(error: Exception) -> int:
    fitting = [code for name, code in TRANSITION.items() if isinstance(error, getattr(errors, name, OSError))]
    return fitting[-1]


def _run(options: dict[str, Any]) -> int:
    from .. import _core

    given = _inputs(options)
    folder = Path(options["output.basedir"])
    folder.mkdir(parents=True, exist_ok=True)
    reward = options["state.reward"]
    alloc, result, body = _core.transition(
        given["alloc"],
        given["env"],
        given["txs"],
        fork=options["state.fork"],
        chain_id=_positive(options["state.chainid"]),
        reward=None if reward == -1 else reward,
        blob_params=given.get("blobParams"),
        trace=str(folder) if options["trace"] else None,
        stack=not options["trace.nostack"],
        memory=options["trace.memory"],
        returned=options["trace.returndata"],
    )
    streams: dict[str, dict[str, Any]] = {"stdout": {}, "stderr": {}}
    for name, text in (("alloc", alloc), ("result", result), ("body", json.dumps("0x" + body.hex()))):
        place = options[f"output.{name}"]
        if place in streams:
            streams[place][name] = json.loads(text)
        elif place:
            path = folder / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    for stream, fields in streams.items():
        if fields:
            print(json.dumps(fields), file=getattr(sys, stream))
    return DONE


def _positive(chain_id: int) -> int:
    if not 0 <= chain_id < 2**64:
        raise InvalidArgument(
            "a chain id is a number below 2**64", field="state.chainid", value=chain_id, expected="u64"
        )
    return chain_id


def _inputs(options: dict[str, Any]) -> dict[str, bytes]:
    places = {name: options[f"input.{name}"] for name in (*INPUTS, "blobParams")}
    stdin: dict[str, Any] = {}
    if "stdin" in places.values():
        try:
            read = json.loads(sys.stdin.buffer.read())
        except (ValueError, RecursionError) as error:
            raise MalformedInput(f"stdin: not JSON ({error})", input="stdin", reason=str(error)) from None
        if not isinstance(read, dict):
            raise MalformedInput("stdin: not an object", input="stdin", reason="not an object")
        stdin = read
    given = {}
    for name, place in places.items():
        if place == "stdin":
            given[name] = json.dumps(stdin.get(name)).encode()
        elif place is not None:
            held = Path(place).read_bytes()
            # The interface has RLP as JSON's string of hex; some write the bare hex.
            bare = place.endswith(".rlp") and not held.lstrip().startswith(b'"')
            given[name] = b'"' + held.strip() + b'"' if bare else held
    return given

"""Run bytecode, or a file of blocks.

Bytecode stands at an address of its own and is called by an account with all the ether there is, in an empty world at
the rules of a fork; gas counts as a transaction's. It is given in hex, as @file with hex or bytes in it, or as - for
stdin. The exit code is 0 where it succeeded, 3 where it reverted, 4 where it broke a rule. With --genesis the file has
blocks, one RLP after the other, that are executed on top of it.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from ..errors import InvalidArgument
from .codes import DONE, HALTED, REVERTED

EXAMPLES = """examples:
  execlayer run 602a60005260206000f3                         returns the word 42
  execlayer run 602a60005260206000f3 --trace                 with a line for each step (EIP-3155)
  execlayer run @token.bin --data 0x18160ddd --fork London --gas 100000
  execlayer run - --create --json                            creation code from stdin, for programs
  execlayer run @chain.rlp --genesis genesis.json            blocks, on top of a genesis"""

CODES = {"success": DONE, "revert": REVERTED, "halt": HALTED}


def describe(parser: argparse.ArgumentParser) -> None:
    """Adds the command's options."""
    parser.add_argument("code", help="hex, @FILE, or - for stdin")
    parser.add_argument("--data", default="0x", metavar="HEX", help="call data; also @FILE")
    parser.add_argument("--fork", default="Osaka", metavar="NAME", help="whose rules hold (default Osaka)")
    parser.add_argument("--gas", type=int, metavar="N", help="most gas, what a transaction costs included")
    parser.add_argument("--value", default="0", metavar="AMOUNT", help='what is sent along, such as "1 ether"')
    parser.add_argument("--create", action="store_true", help="run it as creation code")
    parser.add_argument("--trace", action="store_true", help="print a line for each step, as EIP-3155 has it")
    parser.add_argument("--trace.memory", "--memory", dest="memory", action="store_true", help="with the memory")
    parser.add_argument("--trace.nostack", dest="nostack", action="store_true", help="without the stack")
    parser.add_argument("--trace.returndata", dest="returndata", action="store_true", help="with what calls returned")
    parser.add_argument("--genesis", metavar="FILE", help="the code is a file of blocks that follow this genesis.json")


def run(options: argparse.Namespace) -> int:
    """Runs it and prints how it ended."""
    if options.genesis is not None:
        return _blocks(options)
    from .. import _core
    from ..units import wei

    told = _core.run_code(
        octets("code", options.code),
        octets("--data", options.data),
        fork=options.fork,
        gas=options.gas,
        value=wei(options.value if not options.value.isdecimal() else int(options.value)),
        create=options.create,
        trace=_print if options.trace else None,
        stack=not options.nostack,
        memory=options.memory,
        returned=options.returndata,
    )
    logs = [{"address": address, "topics": topics, "data": _hex(data)} for address, topics, data in told["logs"]]
    told |= {"output": _hex(told["output"]), "logs": logs}
    if options.json:
        print(json.dumps(told))
    else:
        for line in _lines(told):
            print(line)
    return CODES[told["outcome"]]


def _blocks(options: argparse.Namespace) -> int:
    from .. import _core
    from ..chain import Chain

    if not options.code.startswith("@"):
        raise InvalidArgument("blocks are read from @FILE", field="code", value=options.code, expected="@FILE")
    chain = Chain.dev(Path(options.genesis))
    told = _core.import_blocks(chain.core, options.code[1:])
    for number in range(1, chain.head.number + 1):
        block = chain.block(number)
        failed = [receipt.index for receipt in block.receipts[:] if not receipt.ok]
        fields = {
            "number": block.number,
            "hash": block.hash,
            "transactions": len(block.transactions),
            "gas_used": block.gas_used,
            "state_root": block.state_root,
            "failed": failed,
        }
        if options.json:
            print(json.dumps(fields))
        else:
            some = f", {len(failed)} failed" if failed else ""
            count = len(block.transactions)
            print(f"block {block.number} {block.hash}: {count} transactions{some}, {block.gas_used} gas")
    if not options.json:
        print(f"{told['blocks']} blocks executed")
    return DONE


def octets(name: str, text: str) -> bytes:
    """Bytes from hex, a file, or stdin; files hold hex or the bytes themselves."""
    if text == "-":
        held = sys.stdin.buffer.read()
    elif text.startswith("@"):
        held = Path(text[1:]).read_bytes()
    else:
        held = text.encode()
    digits = b"".join(held.split())
    try:
        return bytes.fromhex(digits.decode("ascii").removeprefix("0x"))
    except ValueError:
        if text == "-" or text.startswith("@"):
            return held
    shown = text if len(text) <= 80 else f"{text[:80]}…"
    raise InvalidArgument(
        f"{name} is {shown!r}, expected bytes in hex", field=name, value=text, expected="bytes in hex"
    )


def _lines(told: dict[str, Any]) -> list[str]:
    lines = [f"outcome  {told['outcome']}" + (f": {told['reason']}" if told["reason"] else "")]
    lines.append(
        f"gas      {told['gas_used']}" + (f" ({told['gas_refunded']} refunded)" if told["gas_refunded"] else "")
    )
    if told["created"]:
        lines.append(f"created  {told['created']}")
    lines.append(f"output   {told['output']}")
    lines += [f"log      {log['address']} {' '.join([*log['topics'], log['data']])}" for log in told["logs"]]
    return lines


def _print(lines: str) -> None:
    sys.stdout.write(lines)


def _hex(octets: bytes) -> str:
    return "0x" + octets.hex()

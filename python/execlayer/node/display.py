"""What a node shows of itself: a live table on a terminal, plain lines in a pipe, JSON lines for programs."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from typing import IO, TYPE_CHECKING, Any, Protocol

from ..chain import Chain

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from .._core import Block

BLOCKS_SHOWN = 12
"""Rows of the live table."""


class Display(Protocol):
    """Somebody who is told what happens."""

    def shown(self, chain: Chain, endpoints: Sequence[str]) -> AbstractContextManager[None]:
        """From the node's start to its end."""

    def block(self, block: Block) -> None:
        """A block became canonical."""

    def removed(self, count: int) -> None:
        """So many blocks, shown before, are no longer canonical."""


class Json:
    """One JSON object a line: ``node``, then ``block`` and ``removed``, at last ``end``."""

    def __init__(self, out: IO[str]) -> None:
        self._out = out

    @contextmanager
    def shown(self, chain: Chain, endpoints: Sequence[str]) -> Iterator[None]:
        accounts = [
            {"address": one.address, "secret": "0x" + one.key.secret.hex(), "balance": str(int(one.balance))}
            for one in chain.accounts
        ]
        where = {"rpc": endpoints[0] if endpoints else None, "endpoints": list(endpoints)}
        self._write("node", **where, chain_id=chain.chain_id, head=chain.head.number, accounts=accounts)
        try:
            yield
        finally:
            self._write("end", head=chain.head.number)

    def block(self, block: Block) -> None:
        self._write(
            "block",
            number=block.number,
            hash=block.hash,
            timestamp=block.timestamp,
            transactions=len(block.transactions),
            gas_used=block.gas_used,
        )

    def removed(self, count: int) -> None:
        if count:
            self._write("removed", count=count)

    def _write(self, event: str, **fields: Any) -> None:
        print(json.dumps({"event": event, **fields}), file=self._out, flush=True)


class Plain:
    """Lines for people, for pipes and log files."""

    def __init__(self, out: IO[str]) -> None:
        self._out = out

    @contextmanager
    def shown(self, chain: Chain, endpoints: Sequence[str]) -> Iterator[None]:
        for line in introduction(chain, endpoints):
            self._write(line)
        try:
            yield
        finally:
            self._write(f"stopped at block {chain.head.number}")

    def block(self, block: Block) -> None:
        count = len(block.transactions)
        transactions = f"{count} transaction{'' if count == 1 else 's'}"
        self._write(f"block {block.number}  {block.hash}  {transactions}  {block.gas_used:,} gas  {_time(block)}")

    def removed(self, count: int) -> None:
        if count:
            self._write(f"the last {count} block{'' if count == 1 else 's'} were replaced")

    def _write(self, line: str) -> None:
        print(line, file=self._out, flush=True)


class Live:
    """A table on a terminal that shows the newest blocks as they come."""

    def __init__(self, console: Console) -> None:
        from rich.live import Live as RichLive

        self._console = console
        self._blocks: deque[Block] = deque(maxlen=BLOCKS_SHOWN)
        self._live = RichLive(console=console, auto_refresh=False)

    @contextmanager
    def shown(self, chain: Chain, endpoints: Sequence[str]) -> Iterator[None]:
        for line in introduction(chain, endpoints):
            self._console.print(line, highlight=False, soft_wrap=True)
        self._console.print("[dim]Ctrl-C ends it[/dim]")
        with self._live:
            self._live.update(self._table(), refresh=True)
            yield
        self._console.print(f"stopped at block {chain.head.number}", highlight=False)

    def block(self, block: Block) -> None:
        self._blocks.append(block)
        self._live.update(self._table(), refresh=True)

    def removed(self, count: int) -> None:
        for _ in range(min(count, len(self._blocks))):
            self._blocks.pop()

    def _table(self) -> RenderableType:
        from rich.table import Table

        if not self._blocks:
            return "no blocks yet"
        table = Table("block", "hash", "transactions", "gas", "time", box=None)
        for block in self._blocks:
            row = str(block.number), block.hash, str(len(block.transactions)), f"{block.gas_used:,}", _time(block)
            table.add_row(*row)
        return table


def introduction(chain: Chain, endpoints: Sequence[str]) -> Iterator[str]:
    """What somebody needs to begin: accounts with their keys, where to connect, where the chain stands."""
    if chain.accounts:
        yield "accounts with their keys (everybody knows these: never send them anything of worth)"
    for account in chain.accounts:
        yield f"  {account.address}  {account.balance}"
        yield f"    0x{account.key.secret.hex()}"
    yield f"chain id {chain.chain_id}, at block {chain.head.number}"
    yield f"JSON-RPC at {' and '.join(endpoints)}" if endpoints else "no JSON-RPC"


def _time(block: Block) -> str:
    return datetime.fromtimestamp(block.timestamp, UTC).strftime("%H:%M:%S")

"""A chain to script: open one, send, mine, look, go back.

Everything here hands over to Rust at once; this module only gives it a shape that reads well. All calls are synchronous
and safe from any thread; long ones let other threads run.

A call can be given up at any time: by Ctrl-C on the main thread, or on a thread of Trio's (``trio.to_thread.run_sync``)
by cancelling the task that waits for it. It stops within moments, and the chain is as it was before the call.
"""

from __future__ import annotations

import json
import os
import reprlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias, overload

from . import _core, evm, proofs
from .accounts import Account, AddressLike, address_of
from .errors import ExeclayerError, InvalidArgument, StoreIo, UnknownAnchor
from .pool import Pool
from .results import ChainStats, Execution
from .spec import ChainSpec, genesis_under
from .trace import Trace
from .units import Wei

BlockName: TypeAlias = int | str | bytes
"""A height, a hash, or one of latest, pending, earliest, safe, finalized."""

GenesisLike: TypeAlias = str | os.PathLike[str] | Mapping[str, Any]
"""Path of a genesis.json of geth's form, or its content."""

Raw: TypeAlias = bytes | bytearray | memoryview | str
"""A signed transaction as it goes over the wire, or that in hex."""

KEPT_GENESIS = "genesis.json"
"""In a chain's folder: the genesis it was begun with, so that it can be opened without naming it again."""


class Chain:
    """A chain of blocks, in memory or in a folder.

    >>> chain = Chain.dev()
    >>> alice, bob = chain.accounts[:2]
    >>> with chain.anchor():
    ...     receipt = alice.transfer(bob, "1 ether")
    >>> chain.head.number
    0

    *Resources*: a folder stays locked until :meth:`close`, the end of a ``with`` block, or the end of the process.
    """

    def __init__(self, core: _core.Chain) -> None:
        self._core = core
        self._pool = Pool(core)

    @classmethod
    def dev(cls, genesis: GenesisLike | None = None, *, spec: ChainSpec | None = None, **settings: Any) -> Self:
        """A chain in memory: Osaka's rules and ten well-known accounts of 10,000 ether, unless a genesis differs.

        ``spec`` gives other rules, in place of the genesis's own. Settings are those of the tables ``execution``,
        ``store``, ``pool`` and ``mining`` of :class:`~execlayer.config.Config`, such as ``parallel="off"``.

        >>> alice, bob = Chain.dev(spec=ChainSpec.osaka().with_gas(transfer=5_000)).accounts[:2]
        >>> alice.transfer(bob, 1).gas_used
        5000

        *Errors*: :class:`~execlayer.errors.InvalidGenesis` names the field and what stood there.
        """
        return cls(_core.Chain.memory(_genesis_text(genesis), None if spec is None else spec.core, settings))

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        genesis: GenesisLike | None = None,
        *,
        spec: ChainSpec | None = None,
        read_only: bool = False,
        **settings: Any,
    ) -> Self:
        """The chain in a folder, which is made where it isn't there; without a genesis, :meth:`dev`'s chain is begun.
        ``spec`` gives other rules, in place of the genesis's own; a folder can't hold functions in Python. Settings as
        of :meth:`dev`.

        What a call has acknowledged survives a crash of the process and of the machine; of what waits for a block, a
        crash of the process. ``durability`` asks for less, and more speed.

        ``read_only`` opens it beside a process that writes, such as a running node: the chain as it is at that moment.
        What would change it raises ``StoreReadOnly``.

        *Errors*: :class:`~execlayer.errors.StoreInUse` where another process has it open, ``OtherGenesis`` where it
        holds another chain, :class:`~execlayer.errors.InvalidGenesis`, :class:`~execlayer.errors.StoreError`.
        """
        folder = Path(_argument(path, "path", str | os.PathLike, "a path"))
        kept = folder / KEPT_GENESIS
        known = _genesis_text(kept) if kept.exists() else None
        text = _genesis_text(genesis)
        if spec is not None:
            text = genesis_under(spec, text)
        if read_only:
            return cls(_core.Chain.open(str(folder), text or known, {**settings, "read_only": True}))
        if text is None or text == known:
            return cls(_core.Chain.open(str(folder), known, settings))
        if known is None:
            # A wrong one is refused before anything is written. Then it is kept before the store begins with it: a
            # crash in between leaves a genesis without a store, never a store of which nobody knows how it began.
            _core.Chain.memory(text).close()
            _write_synced(kept, text)
        try:
            chain = cls(_core.Chain.open(str(folder), text, settings))
        except BaseException:
            if known is None:
                kept.unlink()
            raise
        if known is not None:
            # The same chain in other words.
            _write_synced(kept, text)
        return chain

    @classmethod
    def restore(
        cls,
        snapshot: str | os.PathLike[str],
        path: str | os.PathLike[str] | None = None,
        genesis: GenesisLike | None = None,
        *,
        trusted: str | bytes | None = None,
        progress: Callable[[_core.Snapshot], object] | None = None,
    ) -> Self:
        """The chain of a snapshot's file, in an empty folder or in memory. Blocks after it can be imported at once.

        Everything is verified on the way in: blocks, state root, lattice hash. ``trusted`` names the block by its hash;
        without it, the file's word is taken for which block is the right one. ``progress`` is told after each part.

        *Errors*: :class:`~execlayer.errors.SnapshotRefused` in one of its forms, ``InvalidHeader``. The folder then
        says ``UnfinishedRestore`` when it is opened: it is of no further use.
        """
        file = str(_argument(snapshot, "snapshot", str | os.PathLike, "a path"))
        folder = None if path is None else Path(_argument(path, "path", str | os.PathLike, "a path"))
        text = _genesis_text(genesis)
        chain = cls(_core.restore_snapshot(file, None if folder is None else str(folder), text, trusted, progress))
        if folder is not None and text is not None:
            _write_synced(folder / KEPT_GENESIS, text)
        return chain

    def close(self) -> None:
        """Gives the folder free. Later calls raise ``ChainClosed``; blocks and receipts stay readable."""
        self._core.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def core(self) -> _core.Chain:
        """The Rust side, for services that are built on it."""
        return self._core

    # ---- accounts ---------------------------------------------------------------------------------------------------

    @property
    def accounts(self) -> tuple[Account, ...]:
        """The well-known accounts that exist in the first block; none on a chain that doesn't have them."""
        return tuple(Account(self._core, key) for key in self._core.dev_keys())

    def account(self, secret: bytes | str) -> Account:
        """The account of a secret key: 32 bytes, or as many in hex."""
        return Account(self._core, _core.Key(secret))

    def balance(self, address: AddressLike, at: BlockName = "latest") -> Wei:
        """What the account holds, after a block."""
        return self._core.balance(address_of(address), at)

    def nonce(self, address: AddressLike, at: BlockName = "latest") -> int:
        """How many transactions the account has sent, after a block."""
        return self._core.nonce(address_of(address), at)

    def code(self, address: AddressLike, at: BlockName = "latest") -> bytes:
        """The account's code, after a block; empty where it has none."""
        return self._core.code(address_of(address), at)

    def storage(self, address: AddressLike, slot: int | str | bytes, at: BlockName = "latest") -> int:
        """What a slot holds, after a block; zero where nothing was written."""
        return self._core.storage(address_of(address), slot, at)

    # ---- blocks -----------------------------------------------------------------------------------------------------

    @property
    def chain_id(self) -> int:
        """What transactions are signed for."""
        return self._core.chain_id

    @property
    def head(self) -> _core.Block:
        """The newest block."""
        return self._core.block("latest")

    @property
    def base_fee(self) -> Wei | None:
        """Base fee of the next block; None before London."""
        return self._core.base_fee

    @property
    def blocks(self) -> Blocks:
        """All blocks, by height."""
        return Blocks(self._core)

    def block(self, name: BlockName) -> _core.Block:
        """A block by height, hash or tag. *Errors*: ``UnknownBlock``."""
        return self._core.block(name)

    def receipt(self, transaction: str | bytes) -> _core.Receipt:
        """How a transaction ended, by its hash. *Errors*: ``UnknownTransaction`` where it is in no block."""
        return self._core.receipt(transaction)

    @property
    def spec(self) -> ChainSpec:
        """The rules. Functions in Python are not among them: whoever gave those has them."""
        return ChainSpec._of(self._core.spec)

    # ---- try --------------------------------------------------------------------------------------------------------

    def call(self, to: AddressLike | None, data: bytes | str = b"", **fields: Any) -> _core.Outcome:
        """What a call does, without a transaction: see :func:`execlayer.evm.call` for what else can be said.

        >>> chain = Chain.dev()
        >>> chain.call(chain.accounts[1], value=1, sender=chain.accounts[0]).gas_used
        21000
        """
        return evm.call(self, to, data, **fields)

    def calls(self, batch: Iterable[tuple[Any, ...]], **fields: Any) -> evm.Calls:
        """Many calls ``(to, data)`` at once, with columns of outcomes: see :func:`execlayer.evm.calls`."""
        return evm.calls(self, batch, **fields)

    def trace(self, to: AddressLike | None = None, data: bytes | str = b"", **fields: Any) -> Trace:
        """A call or transaction, watched: see :func:`execlayer.evm.trace`."""
        return evm.trace(self, to, data, **fields)

    def estimate_gas(self, to: AddressLike | None, data: bytes | str = b"", **fields: Any) -> int:
        """The least gas with which a transaction succeeds in the next block: see :func:`execlayer.evm.estimate_gas`."""
        return evm.estimate_gas(self, to, data, **{"at": "pending", **fields})

    def access_list(
        self, to: AddressLike | None, data: bytes | str = b"", **fields: Any
    ) -> tuple[list[tuple[str, list[str]]], _core.Outcome]:
        """What a call touches, as an access list: see :func:`execlayer.evm.access_list`."""
        return evm.access_list(self, to, data, **fields)

    # ---- change -----------------------------------------------------------------------------------------------------

    @overload  # A text is its letters, too, and is one transaction all the same: whichever comes first holds.
    def submit(self, transactions: Raw, *, private: bool = False) -> str: ...  # type: ignore[overload-overlap]
    @overload
    def submit(self, transactions: Iterable[Raw], *, private: bool = False) -> list[str | ExeclayerError]: ...
    def submit(self, transactions: Raw | Iterable[Raw], *, private: bool = False) -> str | list[str | ExeclayerError]:
        """Takes signed transactions, as bytes or as text in hex, to wait for a block.

        One: its hash, or its error is raised. Many, in one crossing: for each its hash or the error it would have
        raised, in order; those that are refused don't touch the others.

        Private ones are shown to no client before they stand in a block.
        """
        if not isinstance(transactions, Raw):
            return self._core.submit(_batch(transactions), private)
        [answer] = self._core.submit([transactions], private)
        if isinstance(answer, Exception):
            try:
                raise answer
            finally:
                # Its traceback holds this frame: without this nothing that callers hold would be freed at once.
                del answer
        return answer

    def submit_packed(self, buffer: Any, ends: Any) -> list[str | ExeclayerError]:
        """As :meth:`submit` of many, from one buffer that holds them one after the other: transaction ``i`` ends at
        ``ends[i]``. Both are anything with the buffer protocol, such as numpy's arrays of ``uint8`` and ``uint64``.
        """
        return self._core.submit_packed(buffer, ends)

    @property
    def pool(self) -> Pool:
        """What waits."""
        return self._pool

    @property
    def pending(self) -> int:
        """How many transactions wait."""
        return self._core.pending

    def mine(self, transactions: Iterable[Raw] | None = None, *, timestamp: int | None = None) -> _core.Block:
        """Makes the next block, of what waits or of exactly these transactions in this order.

        ``timestamp`` is in seconds and must be above the head's; the clock's time by default.

        *Errors*: where transactions were given and one of them can't stand in the block, its
        :class:`~execlayer.errors.RejectedInBlock` says which and why; no block is made
        then. ``HeaderMismatch`` for a time that isn't after the head's.
        """
        if transactions is None:
            return self.produce(timestamp=timestamp).block
        return self._core.mine_batch(_batch(transactions), timestamp).block

    def produce(self, *, timestamp: int | None = None) -> _core.Mined:
        """As :meth:`mine` of what waits, with what had to stay out: ``block``, and ``skipped``, hashes with errors."""
        if self._pool.order is not None:
            return self._pool.mine_ordered(self._pool.order, timestamp)
        return self._core.mine(timestamp)

    def execute(
        self,
        block: BlockName | _core.Block = "latest",
        *,
        parallel: bool | Literal["off", "on", "auto"] | None = None,
        max_threads: int | None = None,
        verify: bool = False,
        access_list: bytes | None = None,
    ) -> Execution:
        """Executes a block again after its parent, and checks it as :meth:`import_block` does; the chain stays as it
        is. ``block`` is a name, a block, or the RLP of one that is not here.

        ``parallel`` and ``max_threads`` are the chain's own unless given. ``verify`` runs the sequential executor
        beside a parallel one. ``access_list`` is the RLP of what the block's transactions are said to write (EIP-7928):
        a right one saves guessing, a wrong one costs time and changes no result.

        >>> chain = Chain.dev()
        >>> done = chain.execute(chain.mine(), parallel="on", max_threads=2)
        >>> done.conflicts.critical_path
        0

        *Errors*: :class:`~execlayer.errors.ImportRefused` in one of its forms; its ``reason`` is
        :class:`~execlayer.errors.ExecutionDiverged` where the two answers differ, which names transaction and field.
        ``StateNotKept`` where the history window has passed it.
        """
        named = block.raw if isinstance(block, _core.Block) else block
        core = self._core.execute(
            named, parallel=parallel, max_threads=max_threads, verify=verify, access_list=access_list
        )
        return Execution(core)

    def stats(self) -> ChainStats:
        """What executing blocks has done so far, in numbers."""
        return ChainStats(**self._core.execution_stats())

    def metrics(self) -> dict[str, float]:
        """All figures under the names by which Prometheus knows them: those of the pool, and of :meth:`stats`."""
        return {**self._pool.metrics(), **self.stats().metrics()}

    def import_block(self, raw: bytes) -> _core.Block:
        """Takes a block's RLP: checks it, executes it, keeps it; it becomes the head if its branch is the better one.

        *Errors*: ``ImportRefused`` in one of its forms; the chain is then as it was.
        """
        return self._core.import_block(raw)

    def set_head(self, block: BlockName) -> _core.Block:
        """Makes a block that was imported the head, whether its branch is the better one or not. What is no longer
        canonical is kept as a side branch.

        *Errors*: :class:`~execlayer.errors.UnknownBlock`; ``StateNotKept`` where the history window has passed the
        common ancestor.
        """
        return self._core.set_head(block)

    def snapshot(
        self,
        path: str | os.PathLike[str],
        at: BlockName = "latest",
        *,
        progress: Callable[[_core.Snapshot], object] | None = None,
    ) -> _core.Snapshot:
        """Writes the whole state after a block to a file, for :meth:`restore`; what it holds.

        The chain can go on meanwhile. ``progress`` is told after each part, and may stop by raising.

        *Errors*: :class:`~execlayer.errors.SnapshotRefused`; the file is then no snapshot. ``StateNotKept``.

        *Resources*: some MiB of memory, whatever the size of the state.
        """
        return _core.write_snapshot(self._core, str(_argument(path, "path", str | os.PathLike, "a path")), at, progress)

    def prove(
        self, address: AddressLike, slots: Sequence[int | str | bytes] = (), at: BlockName = "latest"
    ) -> proofs.AccountProof:
        """Proves an account and slots of it, or that they are not there, after a block.

        :func:`execlayer.proofs.verify_proof` checks it without a chain.

        *Errors*: ``UnknownBlock``; ``StateNotKept`` where the history window has passed it.
        """
        return proofs.prove(self._core, address, slots, at)

    def prove_transaction(self, transaction: str | bytes) -> proofs.ItemProof:
        """Proves that a transaction, named by its hash, stands in its block.

        *Errors*: ``UnknownTransaction``.
        """
        return proofs.prove_item(self._core, transaction, receipt=False)

    def prove_receipt(self, transaction: str | bytes) -> proofs.ItemProof:
        """Proves the receipt of a transaction, and with it its logs.

        *Errors*: ``UnknownTransaction``.
        """
        return proofs.prove_item(self._core, transaction, receipt=True)

    def anchor(self) -> Anchor:
        """Notes this point, at no cost, to return to at the end of a ``with`` block or by ``undo()``. Anchors nest."""
        return Anchor(self._core)

    def __repr__(self) -> str:
        head = self.head
        return f"Chain(chain_id={self.chain_id}, head={head.number}, hash={head.hash})"


class Blocks(Sequence[_core.Block]):
    """The blocks of a chain by height, read as they are asked for."""

    __slots__ = ("_core",)

    def __init__(self, core: _core.Chain) -> None:
        self._core = core

    def __len__(self) -> int:
        return self._core.height + 1

    @overload
    def __getitem__(self, index: int) -> _core.Block: ...
    @overload
    def __getitem__(self, index: slice) -> list[_core.Block]: ...
    def __getitem__(self, index: int | slice) -> _core.Block | list[_core.Block]:
        if isinstance(index, slice):
            return [self._core.block(number) for number in range(*index.indices(len(self)))]
        length = len(self)
        if not -length <= index < length:
            raise IndexError(f"block {index} of {length}")
        return self._core.block(index % length)

    def __iter__(self) -> Iterator[_core.Block]:
        number = 0
        while number < len(self):
            yield self._core.block(number)
            number += 1

    def __repr__(self) -> str:
        return f"<{len(self)} blocks>"


class Anchor:
    """A point to return to. As a ``with`` block it returns at the end, whatever happened inside; where the chain has
    gone back behind this point meanwhile, there is nothing left to do."""

    __slots__ = ("_core", "_number")

    def __init__(self, core: _core.Chain) -> None:
        self._core = core
        self._number: int | None = core.anchor()

    def undo(self) -> None:
        """Returns to the point and forgets what came since, later anchors included. The second time nothing happens."""
        number, self._number = self._number, None
        if number is not None:
            self._core.undo(number)

    def keep(self) -> None:
        """Forgets the point; what came since stays."""
        number, self._number = self._number, None
        if number is not None:
            self._core.release(number)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # Undone with an outer one that was set before.
        with suppress(UnknownAnchor):
            self.undo()


def _write_synced(path: Path, text: str) -> None:
    """Writes a file so that it is there as a whole, or not at all, whenever the machine stops."""
    fresh = path.with_suffix(".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with fresh.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        if os.name == "posix":
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
    except OSError as error:
        reason = error.strerror or str(error)
        raise StoreIo(f"write {path}: {reason}", action="write", path=str(path), reason=reason) from error


def _genesis_text(genesis: object) -> str | None:
    if genesis is None:
        return None
    if isinstance(genesis, Mapping):
        try:
            return json.dumps(genesis)
        except (TypeError, ValueError, RecursionError) as error:
            raise _wrong("genesis", genesis, f"a mapping that JSON can hold: {error}") from error
    path = Path(_argument(genesis, "genesis", str | os.PathLike, "a path or a mapping"))
    try:
        return path.read_text()
    except (OSError, ValueError) as error:
        raise _wrong("genesis", genesis, f"the path of a readable text file, or a mapping: {error}") from error


def _batch(transactions: object) -> list[Any]:
    """Items of an iterable; one transaction's bytes or text would be one, too, and are surely not meant so."""
    if isinstance(transactions, Raw) or not isinstance(transactions, Iterable):
        raise _wrong("transactions", transactions, "several transactions' bytes, such as a list of them")
    return list(transactions)


def _argument(value: Any, field: str, types: Any, expected: str) -> Any:
    if not isinstance(value, types):
        raise _wrong(field, value, expected)
    return value


def _wrong(field: str, value: object, expected: str) -> InvalidArgument:
    return InvalidArgument(
        f"{field} is {reprlib.repr(value)}, expected {expected}", field=field, value=value, expected=expected
    )

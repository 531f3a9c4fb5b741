"""The virtual machine by itself: calls and transactions on any state, under any rules, without a chain around them.

>>> adder = "0x00000000000000000000000000000000000000aa"
>>> state = {adder: {"code": "0x6002600301" + "5f5260205ff3"}}  # 3 + 2, returned
>>> outcome = call(state, adder)
>>> int.from_bytes(outcome.output, "big"), outcome.gas_used
(5, 21022)

A state is a dict of accounts, a :class:`State` made of one (made once, used often), or a chain. Nothing here changes
it: an outcome's ``diff`` says what would have changed, and :meth:`State.after` gives the state with that.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from . import _core
from .accounts import AccessList, AddressLike, address_of
from .errors import InvalidArgument
from .spec import ChainSpec
from .trace import Trace
from .units import Amount, wei

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from ._core import Outcome

Fields: TypeAlias = Mapping[str, Any]
"""Fields by name, such as an account's or a block's."""


class OnChain(Protocol):
    """A chain."""

    @property
    def core(self) -> _core.Chain:
        """The Rust side."""


class Halt(Exception):
    """Raised in an opcode or precompile of your own: the frame halts, as by code that breaks a rule."""


class State:
    """Accounts as they are at one moment: balance, nonce, code, storage, each as far as it isn't zero.

    >>> State({"0x00000000000000000000000000000000000000aa": {"balance": 5}})
    <State of 1 account>
    """

    __slots__ = ("core",)

    def __init__(self, accounts: Mapping[Any, Fields]) -> None:
        self.core = _core.State({address_of(address): _plain(fields) for address, fields in accounts.items()})

    def after(self, outcome: Outcome) -> State:
        """The state with what an outcome changed. *Errors*: ``ValueError`` where that began with another state."""
        state = State.__new__(State)
        state.core = self.core.after(outcome)
        return state

    @property
    def accounts(self) -> dict[str, dict[str, Any]]:
        """The accounts by address."""
        return self.core.accounts()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, State) and self.core == other.core

    __hash__ = None  # type: ignore[assignment]

    def __len__(self) -> int:
        return len(self.core)

    def __repr__(self) -> str:
        return f"<State of {len(self)} account{'s' if len(self) != 1 else ''}>"


StateLike: TypeAlias = "State | Mapping[Any, Fields] | OnChain"
"""Where something is tried: a state, a dict of accounts, or a chain."""


def _plain(fields: Any) -> Any:
    """Mappings as dicts, all the way down; accounts as their addresses."""
    if isinstance(fields, Mapping):
        return {address_of(name): _plain(value) for name, value in fields.items()}
    return fields


def desk(
    state: StateLike,
    *,
    at: int | str | bytes = "latest",
    spec: ChainSpec | None = None,
    block: Fields | None = None,
    overrides: Mapping[Any, Fields] | None = None,
) -> _core.Desk:
    """Where things are tried: the state, the block and the rules that they see. Kept, it serves many questions.

    Without a chain the rules are those of ``spec`` (Osaka's by default) and the block is number 1, with 30,000,000 gas
    and no base fee. On a chain they are the chain's, after the block ``at``. ``block`` changes what calls see of the
    block: number, timestamp, gas_limit, beneficiary, prev_randao, difficulty, base_fee, blob_base_fee. ``overrides``
    changes accounts: balance, nonce, code, state (all slots) or state_diff (some), move_precompile_to.
    """
    seen = None if block is None else dict(block)
    wanted = None if overrides is None else _plain(overrides)
    if isinstance(state, Mapping):
        state = State(state)
    if isinstance(state, State):
        return _core.Desk.on_state(state.core, (spec or ChainSpec.osaka()).core, seen, wanted)
    core = getattr(state, "core", None)
    if not isinstance(core, _core.Chain):
        expected = "a dict of accounts, an evm.State or a Chain"
        raise InvalidArgument(f"state is {state!r}, expected {expected}", field="state", value=state, expected=expected)
    return _core.Desk.on_chain(core, at, None if spec is None else spec.core, seen, wanted)


_AMOUNTS = {"value", "gas_price", "max_fee", "tip"}


def request(to: AddressLike | None, data: bytes | str = b"", **fields: Any) -> dict[str, Any]:
    """A call as Rust takes it."""
    described = {
        name: wei(value, name) if name in _AMOUNTS else address_of(value)
        for name, value in fields.items()
        if value is not None
    }
    return {"to": address_of(to), "data": data, **described}


def call(
    state: StateLike,
    to: AddressLike | None,
    data: bytes | str = b"",
    *,
    sender: AddressLike | None = None,
    value: Amount | None = None,
    gas: int | None = None,
    gas_price: Amount | None = None,
    max_fee: Amount | None = None,
    tip: Amount | None = None,
    access_list: AccessList | None = None,
    at: int | str | bytes = "latest",
    spec: ChainSpec | None = None,
    block: Fields | None = None,
    overrides: Mapping[Any, Fields] | None = None,
) -> Outcome:
    """What a call does that nobody signed; a creation, where ``to`` is None. A failure is an outcome, too.

    The sender may be a contract, has the nonce it has, and pays nothing unless a price is given. See :func:`desk` for
    what can be different.

    *Errors*: :class:`~execlayer.errors.TransactionRejected` where it can't even begin, such as for want of gas.
    """
    asked = request(
        to, data, sender=sender, value=value, gas=gas, gas_price=gas_price, max_fee=max_fee, tip=tip,
        access_list=access_list,
    )  # fmt: skip
    return desk(state, at=at, spec=spec, block=block, overrides=overrides).call(asked)


def transact(
    state: StateLike,
    raw: bytes | None = None,
    *,
    to: AddressLike | None = None,
    data: bytes | str = b"",
    at: int | str | bytes = "latest",
    spec: ChainSpec | None = None,
    block: Fields | None = None,
    overrides: Mapping[Any, Fields] | None = None,
    **fields: Any,
) -> Outcome:
    """What a transaction does, by all rules of a block: nonce, balance, fees, limits. The state stays as it is.

    It is given signed, or by its fields: ``sender``, ``value``, ``gas``, ``nonce`` (the sender's next by default),
    ``gas_price`` or ``max_fee`` and ``tip``, ``access_list``.

    >>> alice = "0x00000000000000000000000000000000000000a1"
    >>> state = State({alice: {"balance": 100}})
    >>> outcome = transact(state, to="0x00000000000000000000000000000000000000b0", sender=alice, value=30)
    >>> state.after(outcome).accounts[outcome.diff and "0x00000000000000000000000000000000000000B0"]["balance"]
    Wei('30 wei')

    *Errors*: :class:`~execlayer.errors.TransactionRejected` in one of its forms.
    """
    where = desk(state, at=at, spec=spec, block=block, overrides=overrides)
    return where.transact(request(to, data, **fields) if raw is None else raw)


def trace(
    state: StateLike,
    to: AddressLike | None = None,
    data: bytes | str = b"",
    *,
    raw: bytes | None = None,
    steps: bool = False,
    memory: bool = False,
    at: int | str | bytes = "latest",
    spec: ChainSpec | None = None,
    block: Fields | None = None,
    overrides: Mapping[Any, Fields] | None = None,
    **fields: Any,
) -> Trace:
    """A call (see :func:`call`) or a signed transaction, watched: its tree of calls, and its steps if wanted.

    ``memory`` keeps each step's memory as well. Steps above 256 MiB are counted and not kept.
    """
    where = desk(state, at=at, spec=spec, block=block, overrides=overrides)
    asked: Any = request(to, data, **fields) if raw is None else raw
    return Trace(where.trace(asked, steps=steps, memory=memory))


def estimate_gas(
    state: StateLike,
    to: AddressLike | None,
    data: bytes | str = b"",
    *,
    at: int | str | bytes = "latest",
    spec: ChainSpec | None = None,
    block: Fields | None = None,
    overrides: Mapping[Any, Fields] | None = None,
    **fields: Any,
) -> int:
    """The least gas limit with which a call succeeds as a transaction.

    *Errors*: ``GasExceeded`` where no limit suffices, ``CallUnsuccessful`` where it fails whatever its gas.
    """
    return desk(state, at=at, spec=spec, block=block, overrides=overrides).estimate_gas(request(to, data, **fields))


def access_list(
    state: StateLike,
    to: AddressLike | None,
    data: bytes | str = b"",
    *,
    at: int | str | bytes = "latest",
    spec: ChainSpec | None = None,
    block: Fields | None = None,
    overrides: Mapping[Any, Fields] | None = None,
    **fields: Any,
) -> tuple[list[tuple[str, list[str]]], Outcome]:
    """All that a call touches and that isn't warm anyway, as an access list, and how the call goes with it."""
    return desk(state, at=at, spec=spec, block=block, overrides=overrides).access_list(request(to, data, **fields))


class Calls(Sequence[tuple[str, bytes]]):
    """Outcomes of many calls, as columns of one entry each; an item is a call's status and output.

    ``status`` and ``reason`` are numpy arrays of codes, of which :attr:`STATUSES` and :attr:`REASONS` are the names;
    ``gas_used`` and ``ends`` are arrays of ``uint64``. The output of call ``i`` is ``outputs[ends[i - 1]:ends[i]]``.
    """

    __slots__ = ("ends", "gas_used", "outputs", "reason", "status")

    STATUSES = ("revert", "success", "halt", "refused")
    REASONS: tuple[str, ...] = tuple(_core.Desk.reasons())

    status: npt.NDArray[np.uint8]
    reason: npt.NDArray[np.uint8]
    gas_used: npt.NDArray[np.uint64]
    ends: npt.NDArray[np.uint64]
    outputs: bytes

    def __init__(self, columns: tuple[bytes, bytes, bytes, bytes, bytes]) -> None:
        # Only those who ask for columns wait for the import.
        import numpy as np

        status, reason, gas_used, ends, self.outputs = columns
        self.status, self.reason = np.frombuffer(status, np.uint8), np.frombuffer(reason, np.uint8)
        self.gas_used, self.ends = np.frombuffer(gas_used, np.uint64), np.frombuffer(ends, np.uint64)

    @property
    def ok(self) -> npt.NDArray[np.bool_]:
        """Which succeeded."""
        succeeded: npt.NDArray[np.bool_] = self.status == 1
        return succeeded

    def output(self, index: int) -> bytes:
        """What a call returned."""
        index = range(len(self))[index]
        return self.outputs[int(self.ends[index - 1]) if index else 0 : int(self.ends[index])]

    def error(self, index: int) -> str | None:
        """Why a call failed; None where it succeeded."""
        status = self.STATUSES[self.status[index]]
        return None if status == "success" else self.REASONS[self.reason[index]] or "execution reverted"

    def words(self) -> npt.NDArray[np.uint8]:
        """The outputs as rows of 32 bytes, where each is one word. *Errors*: ``ValueError`` where one is not."""
        import numpy as np

        if not np.array_equal(self.ends, np.arange(32, 32 * len(self) + 1, 32, dtype=np.uint64)):
            raise ValueError("not every output is one word of 32 bytes")
        return np.frombuffer(self.outputs, np.uint8).reshape(-1, 32)

    def __len__(self) -> int:
        return len(self.status)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(len(self)))]
        index = range(len(self))[index]
        return self.STATUSES[self.status[index]], self.output(index)

    def __iter__(self) -> Iterator[tuple[str, bytes]]:
        return (self[index] for index in range(len(self)))

    def __repr__(self) -> str:
        return f"<{len(self)} calls, {int(self.ok.sum())} succeeded>"


def calls(
    state: StateLike,
    batch: Iterable[tuple[Any, ...]],
    *,
    threads: int | None = None,
    at: int | str | bytes = "latest",
    spec: ChainSpec | None = None,
    block: Fields | None = None,
    overrides: Mapping[Any, Fields] | None = None,
    **fields: Any,
) -> Calls:
    """Many calls, each as if it were the only one, in one crossing and on several threads (all cores by default).

    Each is ``(to, data)`` or ``(to, data, value)``; ``sender``, ``gas`` and the like are the same for all.

    >>> one = "0x00000000000000000000000000000000000000aa"
    >>> many = calls({one: {"code": "0x5f355f5260205ff3"}}, [(one, i.to_bytes(32, "big")) for i in range(1_000)])
    >>> many, int(many.words()[999, 31])
    (<1000 calls, 1000 succeeded>, 231)
    """
    if threads is None:
        threads = os.cpu_count() or 1
    where = desk(state, at=at, spec=spec, block=block, overrides=overrides)
    like = request(None, **fields)
    return Calls(where.calls(batch if type(batch) is list else list(batch), like, threads))

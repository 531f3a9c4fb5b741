"""Which rules a chain follows, as a value: forks, prices, blobs, and opcodes and precompiles of your own.

>>> rules = ChainSpec.osaka().with_gas(sload_cold=1_800)
>>> rules
ChainSpec(osaka, chain_id=1, sload_cold=1_800)
>>> rules.gas["sload_cold"], ChainSpec.osaka().gas["sload_cold"]
(1800, 2100)

Specs are frozen, equal where their values are, hashable, and can be copied and pickled (their functions, too, where
those can). A spec with functions in Python is marked: its blocks are executed one transaction after the other, in the
plain loop, and nobody else can check them. It is not of consensus.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Self, TypeAlias

from . import _core
from .errors import InvalidArgument


class Begin(NamedTuple):
    """When a fork begins."""

    what: str
    """What counts: ``block``, ``time`` or ``total_difficulty``."""
    at: int


class Blobs(NamedTuple):
    """How many blobs a block holds, and how their price moves."""

    time: int
    """From which second on."""
    target: int
    """Blobs per block at which the price stands still."""
    max: int
    update_fraction: int
    """The larger, the slower the price moves."""


Operation: TypeAlias = "Callable[..., int | tuple[int, ...] | None]"
"""What an opcode does: takes the :class:`~execlayer._core.Site` where it runs and its words, the top of the stack
first; gives a word, several in a tuple (the top first), or None."""

Contract: TypeAlias = "Callable[[bytes], bytes | None]"
"""What a precompile does: takes the input; gives the output, or None for input that it doesn't take."""


class Opcode(NamedTuple):
    """An opcode of one's own."""

    byte: int
    name: str
    gas: int
    pops: int
    pushes: int
    function: Operation


class Precompile(NamedTuple):
    """A precompile of one's own."""

    address: str | bytes
    name: str
    gas: int | Callable[[bytes], int]
    function: Contract


class Prices(Mapping[str, int]):
    """What everything costs at one fork, by name: gas constants, and opcodes in lower case."""

    __slots__ = ("_changed", "_prices")

    def __init__(self, prices: Mapping[str, int], changed: frozenset[str]) -> None:
        self._prices = dict(prices)
        self._changed = changed

    def __getitem__(self, name: str) -> int:
        return self._prices[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._prices)

    def __len__(self) -> int:
        return len(self._prices)

    def __repr__(self) -> str:
        shown = (f"{name}={price:_}{'*' if name in self._changed else ''}" for name, price in self._prices.items())
        return f"Prices({', '.join(shown)})"


_BLOB_STEPS = {"bpo1": (10, 15, 8_346_193), "bpo2": (14, 21, 11_684_671)}
"""The forks that move blob parameters alone: target, maximum, update fraction."""

_BLOCK_KEYS = {
    "Homestead": "homesteadBlock",
    "Tangerine": "eip150Block",
    "SpuriousDragon": "eip158Block",
    "Byzantium": "byzantiumBlock",
    "Constantinople": "constantinopleBlock",
    "Petersburg": "petersburgBlock",
    "Istanbul": "istanbulBlock",
    "Berlin": "berlinBlock",
    "London": "londonBlock",
}
_TIME_KEYS = {"Shanghai": "shanghaiTime", "Cancun": "cancunTime", "Prague": "pragueTime", "Osaka": "osakaTime"}
_GLACIER_KEYS = ("muirGlacierBlock", "arrowGlacierBlock", "grayGlacierBlock")
_BLOB_NAMES = ("cancun", "prague", "osaka", "bpo1", "bpo2", "bpo3", "bpo4", "bpo5")


@dataclass(frozen=True, repr=False)
class ChainSpec:
    """A chain's rules. Made by the name of a fork, and changed by ``with_…``, each of which gives a new spec.

    *Errors*: :class:`~execlayer.errors.InvalidSpec` in one of its forms names what can't be.
    """

    chain_id: int
    forks: tuple[tuple[str, Begin], ...]
    blobs: tuple[Blobs, ...]
    prices: tuple[tuple[str, int], ...] = ()
    opcodes: tuple[Opcode, ...] = ()
    precompiles: tuple[Precompile, ...] = ()
    dao: int | None = None
    glaciers: tuple[int | None, int | None, int | None] = (None, None, None)
    deposit_contract: str = "0x00000000219ab540356cBB839Cbe05303d7705Fa"
    assets: bool = False
    """Whether there are further assets: their system account, and transactions of kind 0x54 from London on."""
    core: _core.Spec = field(init=False, repr=False, compare=False)
    """The Rust side."""

    def __post_init__(self) -> None:
        core = _core.Spec(
            chain_id=self.chain_id,
            forks=[(name, begin.what, begin.at) for name, begin in self.forks],
            blobs=list(self.blobs),
            dao=self.dao,
            glaciers=list(self.glaciers),
            deposit_contract=self.deposit_contract,
            assets=self.assets,
            prices=list(self.prices),
            opcodes=[(one.byte, one.name, one.gas, one.pops, one.pushes, one.function) for one in self.opcodes],
            precompiles=list(self.precompiles),
        )
        object.__setattr__(self, "core", core)

    @classmethod
    def _of(cls, core: _core.Spec) -> Self:
        parts = core.parts()
        return cls(
            chain_id=parts["chain_id"],
            forks=tuple((name, Begin(what, at)) for name, what, at in parts["forks"]),
            blobs=tuple(Blobs(*blobs) for blobs in parts["blobs"]),
            prices=tuple(parts["prices"]),
            dao=parts["dao"],
            glaciers=tuple(parts["glaciers"]),
            deposit_contract=parts["deposit_contract"],
            assets=parts["assets"],
        )

    # ---- made -------------------------------------------------------------------------------------------------------

    @classmethod
    def at(cls, fork: str, chain_id: int = 1) -> Self:
        """A fork by its name, from the first block on: ``frontier`` to ``osaka``, ``bpo1``, ``bpo2``.

        >>> ChainSpec.at("bpo2").blobs[-1].max
        21
        """
        step = _BLOB_STEPS.get(fork.lower()) if isinstance(fork, str) else None
        if step is not None:
            target, most, fraction = step
            return cls.at("Osaka", chain_id).with_blobs(target=target, max=most, update_fraction=fraction)
        return cls._of(_core.Spec.at(fork, chain_id))

    @classmethod
    def frontier(cls) -> Self:
        """The beginning."""
        return cls.at("Frontier")

    @classmethod
    def homestead(cls) -> Self:
        """Creation can fail, DELEGATECALL."""
        return cls.at("Homestead")

    @classmethod
    def tangerine(cls) -> Self:
        """Prices against the attacks of 2016."""
        return cls.at("Tangerine")

    @classmethod
    def spurious_dragon(cls) -> Self:
        """Replay protection, empty accounts go."""
        return cls.at("SpuriousDragon")

    @classmethod
    def byzantium(cls) -> Self:
        """REVERT, STATICCALL, receipts with a status."""
        return cls.at("Byzantium")

    @classmethod
    def constantinople(cls) -> Self:
        """Shifts, CREATE2, net gas for SSTORE."""
        return cls.at("Constantinople")

    @classmethod
    def petersburg(cls) -> Self:
        """Constantinople without net gas."""
        return cls.at("Petersburg")

    @classmethod
    def istanbul(cls) -> Self:
        """CHAINID, net gas again."""
        return cls.at("Istanbul")

    @classmethod
    def berlin(cls) -> Self:
        """Cold and warm access, typed transactions."""
        return cls.at("Berlin")

    @classmethod
    def london(cls) -> Self:
        """Base fee."""
        return cls.at("London")

    @classmethod
    def paris(cls) -> Self:
        """The merge."""
        return cls.at("Paris")

    @classmethod
    def shanghai(cls) -> Self:
        """PUSH0, withdrawals."""
        return cls.at("Shanghai")

    @classmethod
    def cancun(cls) -> Self:
        """Blobs, transient storage."""
        return cls.at("Cancun")

    @classmethod
    def prague(cls) -> Self:
        """Delegation, requests."""
        return cls.at("Prague")

    @classmethod
    def osaka(cls) -> Self:
        """Gas cap per transaction, CLZ."""
        return cls.at("Osaka")

    @classmethod
    def bpo1(cls) -> Self:
        """Osaka with 10 to 15 blobs a block."""
        return cls.at("bpo1")

    @classmethod
    def bpo2(cls) -> Self:
        """Osaka with 14 to 21 blobs a block."""
        return cls.at("bpo2")

    @classmethod
    def mainnet(cls) -> Self:
        """Ethereum itself, fork by fork."""
        return cls._of(_core.Spec.mainnet())

    # ---- changed ----------------------------------------------------------------------------------------------------

    def with_gas(self, schedule: str | Mapping[str, int] | None = None, /, **prices: int) -> Self:
        """Other prices, by name; a ready schedule first, where one is named.

        Names are those of :attr:`gas`. ``sload`` sets the first access and the later ones alike, ``sstore`` the price
        from zero to something. A price holds from the fork on that has the opcode.

        >>> ChainSpec.osaka().with_gas("citrate").gas["sload_cold"]
        800
        """
        changed: dict[str, int] = dict(self.prices)
        if isinstance(schedule, str):
            changed.update(_core.Spec.schedule(schedule))
        elif schedule is not None:
            changed.update(schedule)
        changed.update(prices)
        return replace(self, prices=tuple(changed.items()))

    def with_chain_id(self, chain_id: int) -> Self:
        """For another chain."""
        return replace(self, chain_id=chain_id)

    def with_fork(self, fork: str, *, block: int | None = None, time: int | None = None) -> Self:
        """A further fork, from a block (up to London) or a time (from Shanghai) on; the one before must be there.

        >>> ChainSpec.cancun().with_fork("Prague", time=1_000).fork_at(5, 999)
        'Cancun'
        """
        if (block is None) == (time is None):
            raise InvalidArgument("give block or time", field="time", value=time, expected="block or time, one of them")
        begin = Begin("block", block) if block is not None else Begin("time", time or 0)
        return replace(self, forks=(*self.forks, (fork, begin)))

    def with_blobs(self, *, target: int, max: int, update_fraction: int, time: int = 0) -> Self:  # noqa: A002
        """Other blob parameters, from a time on."""
        blobs = (*(one for one in self.blobs if one.time < time), Blobs(time, target, max, update_fraction))
        return replace(self, blobs=blobs)

    def with_assets(self) -> Self:
        """With further assets: one system account, and transactions that move several at once.

        >>> ChainSpec.osaka().with_assets().to_config()["execlayer"]
        {'assets': True}
        """
        return replace(self, assets=True)

    def with_opcode(self, byte: int, name: str, function: Operation, *, gas: int, pops: int, pushes: int) -> Self:
        """An opcode of your own, at a byte that no fork uses.

        The function takes the :class:`~execlayer._core.Site` where it runs and ``pops`` words, the top of the stack
        first; it gives ``pushes`` words. It can take more gas by ``site.charge(…)`` and make the frame halt by raising
        :class:`execlayer.evm.Halt`. Any other exception leaves the transaction without an outcome:
        :class:`~execlayer.errors.CustomCodeFailed`. It must not use the chain on which it runs.

        >>> spec = ChainSpec.osaka().with_opcode(0x0C, "DOUBLE", lambda site, a: 2 * a, gas=3, pops=1, pushes=1)
        >>> spec.is_consensus
        False
        """
        return replace(self, opcodes=(*self.opcodes, Opcode(byte, name, gas, pops, pushes, function)))

    def with_precompile(
        self,
        address: str | bytes,
        function: Contract,
        *,
        gas: int | Callable[[bytes], int] = 0,
        name: str | None = None,
    ) -> Self:
        """A precompile of your own; one that is at the address already makes place.

        The function takes the call data and gives the output; None means that it doesn't take them, and all gas of the
        call is gone. ``gas`` is a price or a function of the call data.
        """
        called = name or str(getattr(function, "__name__", "function"))
        return replace(self, precompiles=(*self.precompiles, Precompile(address, called, gas, function)))

    # ---- asked ------------------------------------------------------------------------------------------------------

    @property
    def fork(self) -> str:
        """The newest fork."""
        return self.forks[-1][0]

    def fork_at(self, number: int, timestamp: int = 0) -> str:
        """The fork whose rules a block follows."""
        return self.core.fork_at(number, timestamp)

    @property
    def gas(self) -> Prices:
        """What everything costs at the newest fork."""
        return self.gas_at(self.fork)

    def gas_at(self, fork: str) -> Prices:
        """What everything costs at a fork. *Errors*: ``UnknownFork``."""
        return Prices(dict(self.core.prices_at(fork)), frozenset(name for name, _ in self.prices))

    @property
    def is_consensus(self) -> bool:
        """Whether everybody who follows these rules gets the same: no function in Python."""
        return self.core.is_consensus

    def to_config(self) -> dict[str, Any]:
        """As the ``config`` of a genesis file, which geth reads but for prices of its own and assets.

        *Errors*: ``InvalidArgument`` where a function in Python is part of the rules.
        """
        if not self.is_consensus:
            expected = "rules without functions in Python: a file can't hold those"
            raise InvalidArgument(f"spec is {self!r}, expected {expected}", field="spec", value=self, expected=expected)
        config: dict[str, Any] = {"chainId": self.chain_id, "depositContractAddress": self.deposit_contract}
        for name, begin in self.forks:
            if name in _BLOCK_KEYS:
                config[_BLOCK_KEYS[name]] = begin.at
            elif name in _TIME_KEYS:
                config[_TIME_KEYS[name]] = begin.at
            elif name == "Paris":
                config["terminalTotalDifficulty"] = begin.at
        config.update({key: at for key, at in zip(_GLACIER_KEYS, self.glaciers, strict=True) if at is not None})
        if self.dao is not None:
            config.update(daoForkBlock=self.dao, daoForkSupport=True)
        config.update(self._blob_config())
        own: dict[str, Any] = {"gas": dict(self.prices)} if self.prices else {}
        if self.assets:
            own["assets"] = True
        if own:
            config["execlayer"] = own
        return config

    def _blob_config(self) -> dict[str, Any]:
        """Each set of parameters under the name of the fork that brings it, or of the next step that is none."""
        times = {name.lower(): begin.at for name, begin in self.forks if name in ("Cancun", "Prague", "Osaka")}
        if not times:
            return {}
        schedule: dict[str, Any] = {}
        config: dict[str, Any] = {"blobSchedule": schedule}
        steps = iter(name for name in _BLOB_NAMES if name.startswith("bpo"))
        for name, time in times.items():
            in_force = [blobs for blobs in self.blobs if blobs.time <= time]
            schedule[name] = _blob_entry(in_force[-1] if in_force else self.blobs[0])
        for blobs in self.blobs:
            if blobs.time not in times.values():
                step = next(steps, None)
                if step is None:
                    expected = "at most five sets of blob parameters beside those of the forks"
                    raise InvalidArgument(f"expected {expected}", field="blobs", value=self.blobs, expected=expected)
                config[f"{step}Time"] = blobs.time
                schedule[step] = _blob_entry(blobs)
        return config

    def __repr__(self) -> str:
        parts = [_snake(self.fork), f"chain_id={self.chain_id}"]
        parts += [f"{name}={price:_}" for name, price in self.prices]
        parts += ["assets"] * self.assets
        parts += [f"opcode 0x{one.byte:02x} {one.name}" for one in self.opcodes]
        parts += [f"precompile {one.name}" for one in self.precompiles]
        if not self.is_consensus:
            parts.append("not consensus")
        return f"ChainSpec({', '.join(parts)})"

    def __reduce__(self) -> tuple[Any, ...]:
        names = [name for name in self.__dataclass_fields__ if name != "core"]
        return _rebuild, (type(self), {name: getattr(self, name) for name in names})


def _rebuild(cls: type[ChainSpec], values: dict[str, Any]) -> ChainSpec:
    return cls(**values)


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).removeprefix("_")


def _blob_entry(blobs: Blobs) -> dict[str, int]:
    return {"target": blobs.target, "max": blobs.max, "baseFeeUpdateFraction": blobs.update_fraction}


def genesis_under(spec: ChainSpec, genesis: str | None) -> str:
    """A genesis, the development chain's by default, with these rules in place of its own."""
    described = json.loads(_core.Chain.dev_genesis() if genesis is None else genesis)
    return json.dumps({**described, "config": spec.to_config()})

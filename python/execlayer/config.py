"""What can be set about a node, as one frozen value: read once, checked once, handed down.

Later sources win: defaults, a TOML file, the environment, the command line. In the environment a setting is called by
its path: ``EXECLAYER_RPC__PORT`` is ``port`` in the table ``rpc``. Unknown names are refused wherever they come from.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, field_validator

from .errors import InvalidConfig

PREFIX = "EXECLAYER_"
"""What the names of our environment variables begin with."""

SIMD = "EXECLAYER_SIMD"
"""The one of them that is no setting: it forces the vector instructions of the whole process, for tests."""

SIMD_CHOICES = ("", "scalar", "avx2", "avx512", "neon")


ClassName: TypeAlias = Literal["deploy", "transfer", "call", "model", "inference", "training", "system"]
"""Kinds of work."""


class Settings(BaseModel):
    """A table of settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class Mining(Settings):
    """When blocks are made."""

    mode: Literal["automine", "interval", "manual"] = "automine"
    """`automine`: as soon as a transaction waits. `interval`: every `block_time_seconds`. `manual`: only when asked."""

    block_time_seconds: float = Field(default=12.0, gt=0, le=1e9)
    """Time between two blocks of the mode `interval`."""

    batch_size: int = Field(default=1024, ge=1, le=1 << 20)
    """Transactions executed between two looks at memory. It is halved while batches need too much, and grows back."""

    batch_memory: int = Field(default=256 << 20, ge=1 << 20, le=1 << 40)
    """Bytes that a batch may add to what its block takes in memory."""

    parallel_workers: int | None = Field(default=None, ge=1, le=1024)
    """Threads that decode transactions and recover their senders; by default as many as the machine has."""

    presimulate: bool = False
    """Leaves out transactions that would fail: tries them 2, 4 and 8 blocks later, then includes them as they are."""


class Execution(Settings):
    """How blocks are executed. Whatever is chosen, the results are the same."""

    parallel: Literal["off", "on", "auto"] = "auto"
    """On several cores: never, always, or where it pays."""

    max_threads: int | None = Field(default=None, ge=1, le=1024)
    """Cores at most; by default as many as the machine has."""

    verify: bool = False
    """Executes each parallel block in sequence, too, and refuses it where the results differ."""

    seals: bool = False
    """Verifies the seals of proof of work (ethash) of imported blocks before the merge."""


MAP_BYTES = 16 << 40


class Store(Settings):
    """What is kept in the chain's folder, and when it is on the disk. Without a folder only `history` matters."""

    durability: Literal["full", "batched", "none"] = "full"
    """`full`: each block before it is acknowledged. `batched`: several at once; a crash loses the last ones, never the
    file. `none`: when the system likes; a power cut can cost the file, and the next open says whether it did."""

    history: Literal["archive"] | PositiveInt = 128
    """Blocks below the head whose state can be read, and which a reorganisation can undo; `archive`: all."""

    map_size: int = Field(default=4 << 30, ge=1 << 20, le=MAP_BYTES)
    """Bytes of addresses that are reserved at first; the file takes only what is written."""

    growth: int = Field(default=4 << 30, ge=1 << 20, le=MAP_BYTES)
    """Bytes of addresses that are added each time they are full."""

    read_cache_bytes: int = Field(default=256 << 20, ge=0, le=MAP_BYTES)
    """Memory for what was read or written last; 0 for none."""

    write_batch_bytes: int = Field(default=64 << 20, ge=1, le=MAP_BYTES)
    """How much `batched` gathers before it writes."""


def separated(value: Any) -> Any:
    """Several values out of one text, as the environment has them."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


class Pool(Settings):
    """What may wait for a block, and what goes first."""

    max_memory: int = Field(default=512 << 20, ge=1 << 20, le=1 << 40)
    """Bytes that waiting transactions may take in memory. Full, the pool lets go of those that offer least."""

    max_transactions: int = Field(default=250_000, ge=1, le=100_000_000)
    """How many may wait."""

    max_per_sender: int = Field(default=20_000, ge=1, le=100_000_000)
    """How many of one sender may wait."""

    max_blob_transactions: int = Field(default=4_096, ge=0, le=100_000_000)
    """How many that bring blobs may wait."""

    replacement_percent: int = Field(default=10, ge=0, le=100)
    """By how many percent both fees of a replacement must stand above those of the replaced; of blobs, by 100."""

    fee_weight: float = Field(default=0.5, ge=0.2, le=0.8)
    """How much of a rank fees decide when all is calm; priorities decide the rest."""

    update_interval: int = Field(default=10, ge=1, le=1 << 40)
    """Blocks between two adjustments of the weights."""

    fee_threshold: float = Field(default=1.5, gt=0, le=1e9)
    """Fee pressure above this moves weight to fees: 75th percentile of waiting tips over the median of those paid."""

    congestion_threshold: float = Field(default=2.0, gt=0, le=1e9)
    """Congestion above this moves weight to priorities: waiting gas in blocks of gas."""

    cache_size: int = Field(default=10_000, ge=1, le=100_000_000)
    """Factors of senders that are kept made."""

    cache_seconds: int = Field(default=600, ge=0, le=1 << 40)
    """How long a made factor is good, in seconds of the chain's time."""

    remembered_senders: int = Field(default=65_536, ge=1, le=100_000_000)
    """How many senders' past transactions are remembered; the one longest unheard of is forgotten first."""

    priorities: dict[ClassName, float] = {}
    """How much classes are preferred; 1 is neutral, and what isn't named is 1 (`system`: 4)."""

    system_senders: tuple[str, ...] = ()
    """Addresses whose transactions are of the class `system`; in the environment separated by commas."""

    _several = field_validator("system_senders", mode="before")(separated)


LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class Rpc(Settings):
    """Who can talk to the node."""

    enabled: bool = True
    """Whether there is a server at all."""

    host: str = "127.0.0.1"
    """Where it listens; only this machine unless told otherwise."""

    port: int = Field(default=8545, ge=0, le=65535)
    """Its port; 0 takes any that is free."""

    ipc: Path | None = None
    """A UNIX socket at which it listens, too, as geth's is; only this user can open it."""

    development: bool | None = None
    """Whether clients may sign with the node's accounts, set back the chain and move its clock. By default only those
    on this machine may: where the host is a loopback address."""

    @property
    def serves_development(self) -> bool:
        """What ``development`` comes to."""
        return self.development if self.development is not None else self.host in LOOPBACK


class Metrics(Settings):
    """Figures for Prometheus: `http://host:port/metrics`."""

    enabled: bool = False
    """Whether they can be asked for."""

    host: str = "127.0.0.1"
    """Where they are told; only this machine unless told otherwise."""

    port: int = Field(default=6060, ge=0, le=65535)
    """Its port; 0 takes any that is free, which the log names."""


class Config(Settings):
    """A node."""

    data: Path | None = None
    """Folder of the chain; without it the chain lives in memory and ends with the process."""

    genesis: Path | None = None
    """A genesis.json of geth's form; without it the development chain."""

    follow: tuple[str, ...] = ()
    """Nodes whose chain is followed, by URL, several for one chain: blocks come from there and none are made here. In
    the environment separated by commas."""

    execution: Execution = Execution()
    metrics: Metrics = Metrics()
    store: Store = Store()
    mining: Mining = Mining()
    pool: Pool = Pool()
    rpc: Rpc = Rpc()

    _several = field_validator("follow", mode="before")(separated)

    def chain_settings(self) -> dict[str, Any]:
        """What :meth:`execlayer.Chain.dev` and :meth:`execlayer.Chain.open` take beside the genesis."""
        mining = self.mining.model_dump(exclude={"mode", "block_time_seconds"})
        tables = (self.execution, self.store, self.pool)
        settings = mining | {name: value for table in tables for name, value in table.model_dump().items()}
        return {name: value for name, value in settings.items() if value is not None}


ORDERS = f"{PREFIX}ORDERS__"
"""Variables of the order engine, which reads settings of its own."""

Table = TypeVar("Table", bound=Settings)


def load(
    path: Path | None = None, *, environ: Mapping[str, str] | None = None, overrides: Mapping[str, Any] | None = None
) -> Config:
    """Reads the settings of a node. ``overrides`` has paths as keys: ``{"rpc.port": 0}``; None there means not given.

    *Errors*: :class:`InvalidConfig` with the path of the setting, what was found and why it can't be used.
    """
    ours = {name: text for name, text in (environ or {}).items() if not name.startswith(ORDERS)}
    return read_settings(Config, path, environ=ours, overrides=overrides)


def read_settings(
    table: type[Table],
    path: Path | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    prefix: str = PREFIX,
    overrides: Mapping[str, Any] | None = None,
) -> Table:
    """Reads any table of settings, as :func:`load` does a node's; variables are those with the prefix."""
    tree: dict[str, Any] = {}
    if path is not None:
        try:
            tree = tomllib.loads(path.read_text())
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise _invalid(str(path), None, str(error)) from error
    for name, text in (environ or {}).items():
        if name == SIMD:
            if text not in SIMD_CHOICES:
                raise _invalid(SIMD, text, "use scalar, avx2, avx512 or neon")
        elif name.startswith(prefix):
            _put(tree, name.removeprefix(prefix).lower().split("__"), text)
    for name, value in (overrides or {}).items():
        if value is not None:
            _put(tree, name.split("."), value)
    try:
        return table.model_validate(tree)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        reason = "no such setting" if first["type"] == "extra_forbidden" else first["msg"]
        raise _invalid(field, first["input"], reason) from None


def _put(tree: dict[str, Any], path: list[str], value: Any) -> None:
    *tables, last = path
    for table in tables:
        inner = tree.setdefault(table, {})
        if not isinstance(inner, dict):
            raise _invalid(".".join(path), value, f"{table} is not a table")
        tree = inner
    tree[last] = value


def _invalid(field: str, value: Any, reason: str) -> InvalidConfig:
    shown = "" if value is None else f" is {value!r}"
    return InvalidConfig(f"setting {field}{shown}: {reason}", field=field, value=value, reason=reason)

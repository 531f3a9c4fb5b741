"""What can be set about a node, as one frozen value: read once, checked once, handed down.

Later sources win: defaults, a TOML file, the environment, the command line. In the environment a setting is called by
its path: ``EXECLAYER_RPC__PORT`` is ``port`` in the table ``rpc``. Unknown names are refused wherever they come from.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .errors import InvalidConfig

PREFIX = "EXECLAYER_"
"""What the names of our environment variables begin with."""


class Settings(BaseModel):
    """A table of settings."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class Mining(Settings):
    """When blocks are made."""

    mode: Literal["automine", "interval", "manual"] = "automine"
    """`automine`: as soon as a transaction waits. `interval`: every `block_time_seconds`. `manual`: only when asked."""

    block_time_seconds: float = Field(default=12.0, gt=0, le=1e9)
    """Time between two blocks of the mode `interval`."""


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


class Config(Settings):
    """A node."""

    data: Path | None = None
    """Folder of the chain; without it the chain lives in memory and ends with the process."""

    genesis: Path | None = None
    """A genesis.json of geth's form; without it the development chain."""

    mining: Mining = Mining()
    rpc: Rpc = Rpc()


def load(
    path: Path | None = None, *, environ: Mapping[str, str] | None = None, overrides: Mapping[str, Any] | None = None
) -> Config:
    """Reads the settings. ``overrides`` has paths as keys: ``{"rpc.port": 0}``; None there means not given.

    *Errors*: :class:`InvalidConfig` with the path of the setting, what was found and why it can't be used.
    """
    tree: dict[str, Any] = {}
    if path is not None:
        try:
            tree = tomllib.loads(path.read_text())
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise _invalid(str(path), None, str(error)) from error
    for name, text in (environ or {}).items():
        if name.startswith(PREFIX):
            _put(tree, name.removeprefix(PREFIX).lower().split("__"), text)
    for name, value in (overrides or {}).items():
        if value is not None:
            _put(tree, name.split("."), value)
    try:
        return Config.model_validate(tree)
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

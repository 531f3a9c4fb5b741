"""The contracts that ship with execlayer, compiled: the order engine's, and what a development chain needs around it.

>>> from execlayer.artifacts import artifact
>>> artifact("Arbitrageur").call("setOperator", "0x" + "11" * 20, True)[:4].hex()
'558a7297'

Their sources lie in ``contracts/`` beside the package; a test compiles them again and compares every byte.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any

from .. import _core
from . import abi


@dataclass(frozen=True)
class Artifact:
    """A compiled contract, and how to talk to it."""

    name: str
    creation: bytes
    """What a transaction deploys, before the constructor's arguments."""

    runtime: bytes
    """What lies on the chain then; immutable values are zero in it."""

    abi: tuple[dict[str, Any], ...] = field(repr=False)

    @property
    def code_hash(self) -> bytes:
        """Of the code on the chain, for a contract without immutable values."""
        return _core.keccak256(self.runtime)

    def create(self, *args: Any) -> bytes:
        """Data of a transaction that deploys it."""
        constructor: dict[str, Any] = next((one for one in self.abi if one["type"] == "constructor"), {"inputs": []})
        return self.creation + abi.encode(_types(constructor["inputs"]), args)

    def call(self, function: str, *args: Any) -> bytes:
        """Data of a call."""
        found = self._entry("function", function)
        return _selector(found)[:4] + abi.encode(_types(found["inputs"]), args)

    def read(self, function: str, answer: bytes) -> Any:
        """What a call returned: one value, or a tuple."""
        values = abi.decode(_types(self._entry("function", function)["outputs"]), answer)
        return values[0] if len(values) == 1 else values

    def error(self, data: bytes) -> tuple[str, tuple[Any, ...]] | None:
        """Name and values of one of its own errors; None for anything else."""
        for one in self.abi:
            if one["type"] == "error" and _selector(one)[:4] == data[:4]:
                return one["name"], abi.decode(_types(one["inputs"]), data[4:])
        return None

    def event(self, name: str, log: Mapping[str, Any]) -> dict[str, Any] | None:
        """The values of an event by name, from a log as JSON-RPC has it; None where it is another."""
        found = self._entry("event", name)
        topics = [bytes.fromhex(topic[2:]) for topic in log["topics"]]
        if not topics or topics[0] != _selector(found):
            return None
        indexed = [one for one in found["inputs"] if one["indexed"]]
        plain = [one for one in found["inputs"] if not one["indexed"]]
        values = {
            one["name"]: abi.decode([one["type"]], topic)[0] for one, topic in zip(indexed, topics[1:], strict=True)
        }
        decoded = abi.decode(_types(plain), bytes.fromhex(log["data"][2:]))
        return values | {one["name"]: value for one, value in zip(plain, decoded, strict=True)}

    def _entry(self, kind: str, name: str) -> dict[str, Any]:
        for one in self.abi:
            if one["type"] == kind and one.get("name") == name:
                return one
        raise KeyError(f"{self.name} has no {kind} {name}")


@cache
def artifact(name: str) -> Artifact:
    """A contract by its name: ``Arbitrageur``, ``Lender``, ``PoolLender``, ``Token``."""
    text = files(__name__).joinpath(f"{name}.json").read_text()
    return read_artifact(json.loads(text), name=name)


def read_artifact(value: Mapping[str, Any], *, name: str = "") -> Artifact:
    """From JSON as this package has it, or as Uniswap's npm packages do."""
    creation = value.get("creation") or value["bytecode"]
    runtime = value.get("runtime") or value.get("evm", {}).get("deployedBytecode", {}).get("object", "")
    return Artifact(name, _bytes(creation), _bytes(runtime), tuple(value["abi"]))


def _bytes(digits: str) -> bytes:
    return bytes.fromhex(digits.removeprefix("0x"))


def _types(inputs: list[dict[str, Any]]) -> list[str]:
    return [one["type"] for one in inputs]


def _selector(entry: Mapping[str, Any]) -> bytes:
    return _core.keccak256(f"{entry['name']}({','.join(_types(entry['inputs']))})".encode())

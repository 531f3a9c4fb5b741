"""JSON-RPC 2.0 as values: calls to bytes, bytes to replies. Knows no socket and no clock.

Whatever bytes come in, :func:`read` gives messages or raises :class:`Malformed`; nothing else. How large they may be is
bounded before they come here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn, TypeAlias

Call: TypeAlias = tuple[str, Sequence[Any]]
"""A method and its parameters."""

NESTING_MAX = 512
"""Arrays and objects within each other; no method of any node comes near. Python's own bound is the interpreter's
recursion limit, which other packages raise above what the stack can hold."""

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"?', re.DOTALL)
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")

TEXT_SHOWN_CHARS = 512
"""Most of an error's text that is kept."""


class Malformed(ValueError):
    """Bytes that are no message of JSON-RPC."""


@dataclass(frozen=True, slots=True)
class Result:
    """A call's answer."""

    id: int
    value: Any


@dataclass(frozen=True, slots=True)
class Failure:
    """A call's error. Without an id the node could not even read which call it was."""

    id: int | None
    code: int
    text: str
    data: Any = None


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that a subscription told."""

    subscription: str
    value: Any


Message: TypeAlias = Result | Failure | Notice


def write(number: int, call: Call) -> bytes:
    """One call's request."""
    return json.dumps(_request(number, call), separators=(",", ":")).encode()


def write_batch(first_id: int, calls: Sequence[Call]) -> bytes:
    """Several calls' request, with ids that count up."""
    requests = [_request(first_id + place, call) for place, call in enumerate(calls)]
    return json.dumps(requests, separators=(",", ":")).encode()


def _request(number: int, call: Call) -> dict[str, Any]:
    method, params = call
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": list(params)}


def read(body: bytes) -> list[Message]:
    """The messages of a reply: one, or those of a batch in whatever order they came."""
    value = parse(body)
    if isinstance(value, list):
        if not value:
            raise Malformed("an empty batch")
        return [_message(one) for one in value]
    return [_message(value)]


def parse(body: bytes) -> Any:
    """JSON from somebody else."""
    if _nesting(body) > NESTING_MAX:
        raise Malformed(f"more than {NESTING_MAX} arrays and objects within each other")
    try:
        return json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"no JSON: {error}"[:TEXT_SHOWN_CHARS]) from None


def _nesting(body: bytes) -> int:
    """How deep it goes, or less than is worth a closer look."""
    if body.count(b"[") + body.count(b"{") <= NESTING_MAX:
        return 0
    depth = deepest = 0
    for bracket in _STRING.sub(b"", body).translate(None, _NO_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _message(value: Any) -> Message:
    if not isinstance(value, dict):
        raise Malformed("a message is no object")
    if "method" in value:
        return _notice(value.get("params"))
    number: Any = value.get("id")
    if value.get("error") is not None:
        if number is not None and not _is_id(number):
            raise Malformed("the id is none of ours")
        return _failure(number, value["error"])
    if not _is_id(number):
        raise Malformed("the id is none of ours")
    if "result" not in value:
        raise Malformed("neither result nor error")
    return Result(int(number), value["result"])


def _is_id(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _notice(params: Any) -> Notice:
    if not isinstance(params, dict) or not isinstance(params.get("subscription"), str) or "result" not in params:
        raise Malformed("a notification without a subscription or without a result")
    return Notice(params["subscription"], params["result"])


def _failure(number: int | None, error: Any) -> Failure:
    if not isinstance(error, dict):
        raise Malformed("an error that is no object")
    code, text = error.get("code"), error.get("message", "")
    if not isinstance(code, int) or isinstance(code, bool) or not isinstance(text, str):
        raise Malformed("an error without a code or with a message that is no text")
    return Failure(number, code, text[:TEXT_SHOWN_CHARS], error.get("data"))

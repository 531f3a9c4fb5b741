"""What answers requests: Rust's methods, and Python functions registered beside them.

The core (``execlayer._core.Rpc``) reads the JSON, runs its own methods and writes the answer. Requests that it can
answer in microseconds are answered where they arrive; longer ones on a worker thread. A call of a registered function
is handed out by the core, run here, and its result put back in its place, so that batches may mix both.
"""

from __future__ import annotations

import inspect
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

import trio

log = logging.getLogger(__name__)

Reply = tuple[str, None] | tuple[None, tuple[int, str, str | None]]
"""What a registered function gave, for the core: the result's JSON, or an error's code, message and JSON data."""


TIMED_OUT = -32002
"""geth's code for a request that took too long."""


class Session(Protocol):
    """The core's memory of one client that can be pushed to."""

    def notifications(self) -> list[bytes]:
        """What happened since the last call, ready to be sent."""

    def wait(self, seconds: float) -> bool:
        """Blocks until there may be something to tell since the last call, or for that long; says whether there is."""


class Core(Protocol):
    """The part of ``execlayer._core.Rpc`` that the server uses; tests put a fake in its place."""

    def handle_nowait(self, request: bytes, session: Any = None) -> bytes | None:
        """The answer, or None where it would take long or needs a registered function."""

    def foreign(self, request: bytes) -> list[tuple[int, str, str | None]]:
        """The request's calls of reserved methods: place, name, parameters as JSON."""

    def handle_with(self, request: bytes, session: Any, replies: dict[int, Reply]) -> bytes:
        """The whole answer; may block."""

    def refuse(self, request: bytes, code: int, message: str) -> bytes:
        """The answer that gives each call of the request this error."""

    def reserve(self, name: str) -> None:
        """Marks a method as ours; ValueError where the core serves it."""

    def session(self) -> Session:
        """A new session."""


class RpcError(Exception):
    """Raise it in a registered function: the client gets this code, message and data (anything JSON can hold)."""

    def __init__(self, code: int, message: str, data: Any = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data

    def __str__(self) -> str:
        return f"{self.message} ({self.code})"


class Methods:
    """All that can be called over the wire.

    >>> methods.register("my_sum", lambda a, b: a + b)                              # doctest: +SKIP
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._functions: dict[str, Callable[..., Any]] = {}

    @property
    def core(self) -> Core:
        return self._core

    def register(self, name: str, function: Callable[..., Any]) -> None:
        """Serves ``function``, sync or async, as the method ``name``.

        A sync function runs on the event loop and must be quick; one that waits should be async. Positional parameters
        come as arguments, an object's fields as keywords. The result is whatever ``json`` can write.

        *Errors*: ``ValueError`` where the name is taken, by Rust or by an earlier function. In a call,
        :class:`RpcError` goes to the client as it is, parameters that don't fit become -32602, anything else -32603
        and a log entry.
        """
        if not callable(function):
            raise TypeError(f"{name}: a function is wanted, got {function!r}")
        self._core.reserve(name)
        self._functions[name] = function

    def answer_nowait(self, request: bytes, session: Session | None = None) -> bytes | None:
        """The answer where it takes microseconds; None: await :meth:`answer`."""
        return self._core.handle_nowait(request, session)

    async def answer(
        self,
        request: bytes,
        session: Session | None = None,
        *,
        seconds: float = float("inf"),
        limiter: trio.CapacityLimiter | None = None,
    ) -> bytes:
        """The answer; empty where the request was only notifications. After ``seconds`` each call gets the error
        "request timed out" instead.

        *Resources*: the core hears of a call that timed out or was cancelled, and stops it between two steps of its
        work, having changed nothing; its thread holds its place in ``limiter`` until then, some 20 ms. Calls of a batch
        that were done before stay done.
        """
        with trio.move_on_after(seconds):
            replies = {}
            for index, name, params in self._core.foreign(request):
                replies[index] = await self._call(name, params)
            return await trio.to_thread.run_sync(
                self._core.handle_with, request, session, replies, abandon_on_cancel=True, limiter=limiter
            )
        return self._core.refuse(request, TIMED_OUT, "request timed out")

    async def _call(self, name: str, params: str | None) -> Reply:
        try:
            result = _bind(self._functions[name], params)
            if inspect.isawaitable(result):
                result = await _awaited(result)
            return json.dumps(result, allow_nan=False), None
        except RpcError as error:
            data = None if error.data is None else json.dumps(error.data)
            return None, (error.code, error.message, data)
        except Exception:
            log.exception("the registered method %s failed", name)
            return None, (-32603, f"internal error in {name}", None)


async def _awaited(awaitable: Awaitable[Any]) -> Any:
    return await awaitable


def _bind(function: Callable[..., Any], params: str | None) -> Any:
    """Calls the function with JSON parameters; ones that don't fit its signature are the caller's mistake."""
    given = None if params is None else json.loads(params)
    args: list[Any] = given if isinstance(given, list) else []
    kwargs: dict[str, Any] = given if isinstance(given, dict) else {}
    if given is not None and not isinstance(given, list | dict):
        raise RpcError(-32602, "non-array args")
    try:
        inspect.signature(function).bind(*args, **kwargs)
    except TypeError as error:
        raise RpcError(-32602, f"invalid params: {error}") from None
    return function(*args, **kwargs)

"""Figures for Prometheus: a page of text over HTTP, at an address of its own, so that it can be shown to a network that
JSON-RPC is not shown to.

It answers one request a connection, and knows one page, ``/metrics``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import partial
from http import HTTPStatus

import trio

from .connection import GONE
from .http1 import HttpError, Parser, text_response
from .limits import Limits
from .service import listen, url_of
from .websocket import RECEIVE_BYTES

log = logging.getLogger(__name__)

PATH = b"/metrics"

CONNECTIONS = 16
"""Served at one time; further ones wait."""


def prometheus_text(figures: Mapping[str, float]) -> str:
    """Figures by name, labels included, in Prometheus' text format.

    What ends in ``_total`` only grows; everything else goes up and down.

    >>> prometheus_text({"jobs_total": 3, 'depth{lane="1"}': 0.5})
    '# TYPE jobs_total counter\\njobs_total 3\\n# TYPE depth gauge\\ndepth{lane="1"} 0.5'
    """
    lines: list[str] = []
    families: dict[str, list[str]] = {}
    for name, value in figures.items():
        families.setdefault(name.partition("{")[0], []).append(f"{name} {value}")
    for family, rows in families.items():
        lines += [f"# TYPE {family} {'counter' if family.endswith('_total') else 'gauge'}", *rows]
    return "\n".join(lines)


async def serve_metrics(
    figures: Callable[[], Mapping[str, float]],
    host: str = "127.0.0.1",
    port: int = 6060,
    *,
    limits: Limits | None = None,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serves what ``figures`` tells at that moment, until cancelled. ``task_status.started`` tells the page's address.

    *Errors*: :class:`~execlayer.errors.CannotListen` where the address cannot be had. What goes wrong with one client
    ends that client's connection.

    *Resources*: ``figures`` is called on a thread, once a request.
    """
    advice = "stop who listens there, or take another port (--metrics, metrics.port; 0 is any that is free)"
    listeners = await listen(host, port, advice)
    address = url_of(listeners[0]) + PATH.decode()
    log.info("figures at %s", address)
    handler = partial(_serve_one, figures, limits or Limits(), trio.CapacityLimiter(CONNECTIONS))
    await trio.serve_listeners(handler, listeners, task_status=_Told(task_status, address))


class _Told(trio.TaskStatus[object]):
    """Tells an address where Trio would tell its listeners."""

    def __init__(self, task_status: trio.TaskStatus[str], address: str) -> None:
        self._task_status = task_status
        self._address = address

    def started(self, value: object = None) -> None:
        del value
        self._task_status.started(self._address)


async def _serve_one(
    figures: Callable[[], Mapping[str, float]], limits: Limits, places: trio.CapacityLimiter, stream: trio.SocketStream
) -> None:
    async with stream:
        with trio.move_on_after(limits.head_seconds + limits.send_seconds):
            try:
                async with places:
                    await stream.send_all(await _answer(figures, limits, stream))
            except GONE:
                return
            except Exception:
                log.exception("figures could not be told")


async def _answer(figures: Callable[[], Mapping[str, float]], limits: Limits, stream: trio.SocketStream) -> bytes:
    parser = Parser(limits)
    try:
        while not (requests := parser.feed(bytes(data := await stream.receive_some(RECEIVE_BYTES)))):
            if not data:
                return b""
    except HttpError as error:
        return text_response(error.status, error.reason, keep_alive=False)
    request = requests[0]
    if request.target.partition(b"?")[0] != PATH:
        return text_response(HTTPStatus.NOT_FOUND, f"there is nothing here but {PATH.decode()}", keep_alive=False)
    if request.method not in ("GET", "HEAD"):
        reason, allow = "figures are asked for with GET", b"Allow: GET, HEAD\r\n"
        return text_response(HTTPStatus.METHOD_NOT_ALLOWED, reason, keep_alive=False, headers=allow)
    text = prometheus_text(await trio.to_thread.run_sync(figures))
    answer = text_response(HTTPStatus.OK, text, keep_alive=False)
    return answer if request.method == "GET" else answer[: answer.index(b"\r\n\r\n") + 4]

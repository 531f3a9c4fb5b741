"""JSON-RPC over real sockets: how many simple requests a node answers with one core to itself.

The node runs as a process of its own, pinned to one processor; the client here keeps another busy. Every answer is
compared with what it has to be.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from asv_bench.promises.row import Row, WrongAnswer

REQUESTS = 20_000
PIPELINE = 16
"""Requests on their way at once on the one connection, so that neither side waits for the other's wake-up."""

ROUNDS = 3


@contextmanager
def node(processor: int | None) -> Iterator[tuple[str, int]]:
    """A devnet in memory on a free port of this machine."""
    command = [sys.executable, "-m", "execlayer", "node", "--port", "0", "--json"]
    pin = None if processor is None else lambda: os.sched_setaffinity(0, {processor})
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=pin) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                event = json.loads(line)
                if event["event"] == "node":
                    parts = urlsplit(event["rpc"])
                    assert parts.hostname is not None
                    assert parts.port is not None
                    yield parts.hostname, parts.port
                    return
            raise RuntimeError("the node ended before it said where it listens")
        finally:
            process.terminate()


def measure(host: str, port: int, body: bytes, expected: bytes) -> float:
    """Requests a second over one kept-alive connection, each answer compared."""
    request = (
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        b"Content-Length: " + str(len(body)).encode() + b"\r\n\r\n" + body
    )
    with socket.create_connection((host, port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(request)
        first = connection.recv(65_536)
        head, _, answer = first.partition(b"\r\n\r\n")
        if b" 200 " not in head.split(b"\r\n")[0] or json.loads(answer) != json.loads(expected):
            raise WrongAnswer(f"{body.decode()} gave {first!r}")
        size = len(first)
        batch = request * PIPELINE
        begin = time.perf_counter()
        for _ in range(REQUESTS // PIPELINE):
            connection.sendall(batch)
            received = b""
            while len(received) < size * PIPELINE:
                part = connection.recv(1 << 20)
                if not part:
                    raise WrongAnswer("the connection closed in the middle")
                received += part
            if received.count(answer) != PIPELINE:
                raise WrongAnswer(f"{body.decode()} was not answered alike {PIPELINE} times")
        return REQUESTS / (time.perf_counter() - begin)


def rows() -> Iterator[Row]:
    """The promise of the wire."""
    processors = sorted(os.sched_getaffinity(0))
    apart = len(processors) > 1
    if apart:
        os.sched_setaffinity(0, {processors[0]})
    try:
        with node(processors[-1] if apart else None) as (host, port):
            body = b'{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[]}'
            expected = b'{"jsonrpc":"2.0","id":1,"result":"0x7a69"}'
            best = max(measure(host, port, body, expected) for _ in range(ROUNDS))
            yield Row("eth_chainId over HTTP, kept alive, one core", "at_least", best, "requests/s", 10_000.0)
    finally:
        os.sched_setaffinity(0, set(processors))

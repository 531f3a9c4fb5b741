"""Figures as Prometheus reads them: the text, and the page over real sockets."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
import trio

from execlayer import Chain
from execlayer.errors import CannotListen
from execlayer.server import prometheus_text, serve_metrics

ROW = re.compile(r'^([a-z_:][a-z0-9_:]*)(\{[a-z_]+="[^"\\]*"(?:,[a-z_]+="[^"\\]*")*\})? (\S+)$')
TYPE = re.compile(r"^# TYPE (\S+) (counter|gauge)$")


def read(text: str) -> dict[str, float]:
    """What Prometheus would take from it: each family declared once, before its rows, which stand together."""
    rows: dict[str, float] = {}
    family, seen = "", set[str]()
    for line in text.splitlines():
        if declared := TYPE.match(line):
            family = declared[1]
            assert family not in seen, f"{family} is declared twice"
            assert (declared[2] == "counter") == family.endswith("_total")
            seen.add(family)
            continue
        row = ROW.match(line)
        assert row is not None, f"not a row: {line!r}"
        assert row[1] == family, f"{row[1]} stands among the rows of {family}"
        name = row[1] + (row[2] or "")
        assert name not in rows, f"{name} is told twice"
        rows[name] = float(row[3])
    return rows


async def ask(address: str, request: bytes) -> tuple[int, bytes, bytes]:
    """Status, head and body of the answer."""
    host, port = address.removeprefix("http://").partition("/")[0].rsplit(":", 1)
    answer = b""
    async with await trio.open_tcp_stream(host, int(port)) as stream:
        await stream.send_all(request)
        while part := await stream.receive_some():
            answer += bytes(part)
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]) if head else 0, head, body


def get(path: str, method: str = "GET") -> bytes:
    return f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n".encode()


async def test_all_figures_of_a_chain_are_told_by_name() -> None:
    chain = Chain.dev()
    alice, bob = chain.accounts[:2]
    chain.submit(alice.sign(bob, "1 ether"))
    chain.mine()
    chain.submit(alice.sign(bob, "1 ether", nonce=5))
    async with trio.open_nursery() as nursery:
        address = await nursery.start(serve_metrics, chain.metrics, "127.0.0.1", 0)
        assert address.startswith("http://127.0.0.1:") and address.endswith("/metrics")
        status, head, body = await ask(address, get("/metrics?name=ignored"))
        rows = read(body.decode())
        figures = {name: float(value) for name, value in chain.metrics().items()}
        # Time goes on between the two.
        aged = "execlayer_pool_oldest_seconds"
        assert status == 200 and 0 <= rows.pop(aged) <= figures.pop(aged) + 1
        assert rows == figures
        assert b"Content-Type: text/plain" in head and f"Content-Length: {len(body)}".encode() in head
        assert rows["execlayer_execution_processed_total"] == 1
        assert rows["execlayer_execution_gas_total"] == 21_000
        assert rows["execlayer_execution_p99_seconds"] >= rows["execlayer_execution_mean_seconds"] * 0.8 > 0
        assert (rows["execlayer_pool_queued"], rows["execlayer_pool_pending"]) == (1, 0)
        assert rows['execlayer_pool_transactions{class="transfer"}'] == 1
        assert rows["execlayer_score_median_tip"] > 0
        # What is told is what is so now.
        chain.pool.clear()
        assert read((await ask(address, get("/metrics")))[2].decode())["execlayer_pool_queued"] == 0
        nursery.cancel_scope.cancel()


async def test_whoever_asks_for_something_else_is_told_what_there_is() -> None:
    async with trio.open_nursery() as nursery:
        address = await nursery.start(serve_metrics, lambda: {"one": 1}, "127.0.0.1", 0)
        assert (await ask(address, get("/")))[0] == 404
        assert (await ask(address, get("/metrics", "POST")))[0] == 405
        assert (await ask(address, b"nonsense\r\n\r\n"))[0] == 400
        status, head, body = await ask(address, get("/metrics", "HEAD"))
        assert (status, body) == (200, b"") and b"Content-Length: 23" in head
        # A client that leaves, and figures that fail, hurt nobody else.
        async with await trio.open_tcp_stream("127.0.0.1", int(address.rsplit(":", 1)[1].partition("/")[0])):
            pass
        assert (await ask(address, get("/metrics")))[2] == b"# TYPE one gauge\none 1\n"
        nursery.cancel_scope.cancel()


async def test_figures_that_fail_cost_their_connection_alone() -> None:
    answers: Iterator[Exception | dict[str, float]] = iter([RuntimeError("as if"), {"one_total": 2.0}])

    def figures() -> dict[str, float]:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async with trio.open_nursery() as nursery:
        address = await nursery.start(serve_metrics, figures, "127.0.0.1", 0)
        assert (await ask(address, get("/metrics")))[0] == 0
        assert read((await ask(address, get("/metrics")))[2].decode()) == {"one_total": 2.0}
        nursery.cancel_scope.cancel()


async def test_an_address_that_is_taken_is_named_with_the_setting_to_change() -> None:
    async with trio.open_nursery() as nursery:
        address = await nursery.start(serve_metrics, dict, "127.0.0.1", 0)
        port = int(address.rsplit(":", 1)[1].partition("/")[0])
        with pytest.raises(CannotListen, match=r"--metrics, metrics\.port"):
            await serve_metrics(dict, "127.0.0.1", port)
        nursery.cancel_scope.cancel()


def test_figures_of_one_name_stand_together_under_one_type() -> None:
    figures = {'a{x="1"}': 1.0, "b_total": 2.0, 'a{x="2"}': 3.0}
    assert read(prometheus_text(figures)) == figures

"""One HTTP connection over an in-memory stream, with a clock that jumps."""

from __future__ import annotations

import json

import pytest
import trio
import trio.testing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from execlayer.server.connection import HttpConnection, Service
from execlayer.server.http1 import Admission
from execlayer.server.limits import Limits
from execlayer.server.methods import Methods
from execlayer.server.peer import Heads

from .conftest import Connect, EchoCore, call, post, result, status


async def test_one_connection_serves_many_requests(connect: Connect) -> None:
    client = connect()
    for number in range(5):
        await client.send(post(call(params=[number])))
        assert result(await client.receive()) == [number]


async def test_pipelined_requests_are_answered_in_order(connect: Connect) -> None:
    client = connect()
    await client.send(b"".join(post(call("slow" if number == 1 else "echo", [number])) for number in range(4)))
    assert [result(await client.receive()) for _ in range(4)] == [[0], [1], [2], [3]]


async def test_a_request_may_come_byte_by_byte(connect: Connect) -> None:
    client = connect()
    for byte in post(call(params=["x"])):
        await client.send(bytes([byte]))
    assert result(await client.receive()) == ["x"]


async def test_what_arrives_during_a_long_call_is_answered_after_it(connect: Connect, methods: Methods) -> None:
    begun, go = trio.Event(), trio.Event()

    async def hold() -> str:
        begun.set()
        await go.wait()
        return "held"

    methods.register("hold", hold)
    client = connect()
    await client.send(post(call("hold")))
    await begun.wait()
    await client.send(post(call(params=[2])))
    await trio.testing.wait_all_tasks_blocked()
    go.set()
    assert result(await client.receive()) == "held"
    assert result(await client.receive()) == [2]


async def test_a_call_whose_client_left_is_dropped(connect: Connect, methods: Methods) -> None:
    begun, dropped = trio.Event(), trio.Event()

    async def hold() -> None:
        begun.set()
        try:
            await trio.sleep_forever()
        finally:
            dropped.set()

    methods.register("hold", hold)
    client = connect()
    await client.send(post(call("hold")))
    await begun.wait()
    await client.stream.aclose()
    await dropped.wait()
    await client.done.wait()


async def test_connection_close_is_honoured(connect: Connect) -> None:
    client = connect()
    await client.send(post(call(), b"Content-Type: application/json\r\nConnection: close\r\n") + post(call()))
    assert b"Connection: close" in await client.receive()
    assert await client.receive() == b""


async def test_notifications_only_have_no_answer(connect: Connect) -> None:
    client = connect()
    await client.send(post(b'{"jsonrpc":"2.0","method":"echo"}'))
    assert status(await client.receive()) == 204
    await client.send(post(call()))
    assert status(await client.receive()) == 200


async def test_malformed_http_is_told_and_ends_the_connection(connect: Connect) -> None:
    client = connect()
    await client.send(post(call(params=[7])) + b"nonsense\r\n\r\n")
    assert result(await client.receive()) == [7]
    answer = await client.receive()
    assert status(answer) == 400
    assert b"malformed HTTP" in answer
    assert await client.receive() == b""


async def test_an_oversized_body_is_refused(connect: Connect) -> None:
    client = connect(Limits(body_bytes=100))
    await client.send(post(b"x" * 101))
    assert status(await client.receive()) == 413
    assert await client.receive() == b""


@pytest.mark.parametrize("method", [b"GET", b"PUT", b"DELETE"])
async def test_other_verbs_are_not_allowed(connect: Connect, method: bytes) -> None:
    client = connect()
    await client.send(method + b" / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    answer = await client.receive()
    assert status(answer) == 405
    assert b"Allow: POST, OPTIONS" in answer


async def test_the_answer_to_head_has_no_body(connect: Connect) -> None:
    client = connect()
    await client.send(b"HEAD / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert (await client.rest()).endswith(b"Connection: close\r\n\r\n")


async def test_a_client_that_asks_first_is_told_to_continue(connect: Connect) -> None:
    client = connect()
    request = post(call(), b"Content-Type: application/json\r\nExpect: 100-continue\r\n")
    head, _, body = request.partition(b"\r\n\r\n")
    await client.send(head + b"\r\n\r\n")
    assert await client.receive() == b"HTTP/1.1 100 Continue\r\n\r\n"
    await client.send(body)
    assert status(await client.receive()) == 200


async def test_pages_of_named_origins_get_their_headers(connect: Connect) -> None:
    client = connect(admission=Admission(origins=frozenset({"http://a.example"})))
    await client.send(b"OPTIONS / HTTP/1.1\r\nHost: localhost\r\nOrigin: http://a.example\r\n\r\n")
    preflight = await client.receive()
    assert status(preflight) == 204
    assert b"Access-Control-Allow-Origin: http://a.example\r\n" in preflight
    await client.send(post(call(), b"Content-Type: application/json\r\nOrigin: http://b.example\r\n"))
    assert b"Access-Control" not in await client.receive()


async def test_a_dripping_head_times_out(connect: Connect, autojump_clock: trio.testing.MockClock) -> None:
    client = connect(Limits(head_seconds=10))
    started = trio.current_time()
    async with trio.open_nursery() as nursery:

        async def drip() -> None:
            for byte in post(call()):
                await client.send(bytes([byte]))
                await trio.sleep(1)

        nursery.start_soon(drip)
        assert status(await client.receive()) == 408
        nursery.cancel_scope.cancel()
    assert trio.current_time() - started == pytest.approx(10, abs=1)


async def test_a_dripping_body_times_out(connect: Connect, autojump_clock: trio.testing.MockClock) -> None:
    client = connect(Limits(body_seconds=20))
    started = trio.current_time()
    await client.send(post(call())[:-1])
    assert status(await client.receive()) == 408
    assert trio.current_time() - started == pytest.approx(20)


async def test_a_busy_pipeline_is_no_drip(connect: Connect, autojump_clock: trio.testing.MockClock) -> None:
    client = connect(Limits(head_seconds=10))
    request = post(call())
    await client.send(request[:20])
    for _ in range(10):
        await trio.sleep(6)
        await client.send(request[20:] + request[:20])
        assert status(await client.receive()) == 200


async def test_an_idle_connection_is_closed_silently(connect: Connect, autojump_clock: trio.testing.MockClock) -> None:
    client = connect(Limits(idle_seconds=30))
    await client.send(post(call()))
    await client.receive()
    started = trio.current_time()
    assert await client.receive() == b""
    assert trio.current_time() - started == pytest.approx(30)


async def test_a_client_that_does_not_read_is_dropped(methods: Methods, autojump_clock: trio.testing.MockClock) -> None:
    service = Service(
        methods, Limits(send_seconds=5), Admission(), Heads(EchoCore().session()), trio.CapacityLimiter(1)
    )
    ours, theirs = trio.testing.lockstep_stream_pair()
    connection = HttpConnection(ours, service)
    began = trio.current_time()
    with trio.fail_after(6):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(connection.run)
            await theirs.send_all(post(call()))
    assert trio.current_time() - began == pytest.approx(5)


async def test_a_call_that_takes_too_long_is_answered_with_an_error(
    connect: Connect, methods: Methods, autojump_clock: trio.testing.MockClock
) -> None:
    methods.register("forever", trio.sleep_forever)
    client = connect(Limits(call_seconds=3))
    await client.send(post(call("forever")))
    answer = await client.receive()
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"] == {"code": -32002, "message": "request timed out"}


async def test_stopping_ends_an_idle_connection_at_once(connect: Connect) -> None:
    client = connect()
    await trio.testing.wait_all_tasks_blocked()
    client.connection.stop()
    assert await client.receive() == b""


async def test_stopping_lets_a_running_call_finish(connect: Connect, methods: Methods) -> None:
    begun, go = trio.Event(), trio.Event()

    async def hold() -> str:
        begun.set()
        await go.wait()
        return "held"

    methods.register("hold", hold)
    client = connect()
    await client.send(post(call("hold")))
    await begun.wait()
    client.connection.stop()
    go.set()
    assert result(await client.receive()) == "held"
    assert await client.receive() == b""


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=200), max_size=5))
def test_arbitrary_bytes_end_in_an_answer_or_silence(pieces: list[bytes]) -> None:
    async def main() -> bytes:
        core = EchoCore()
        service = Service(Methods(core), Limits(), Admission(), Heads(core.session()), trio.CapacityLimiter(1))
        ours, theirs = trio.testing.memory_stream_pair()
        received = b""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(HttpConnection(ours, service).run)
            try:
                for piece in pieces:
                    await theirs.send_all(piece)
                await theirs.send_stream.aclose()
            except trio.BrokenResourceError:
                pass
            while data := await theirs.receive_some():
                received += data
        return received

    received = trio.run(main)
    assert received == b"" or received.startswith(b"HTTP/1.1 ")

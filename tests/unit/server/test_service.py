"""The whole server on real sockets of this machine."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest
import trio

from execlayer.server import Endpoints, Limits, Methods, serve

from .conftest import call, post, status


async def connected(endpoints: Endpoints) -> trio.SocketStream:
    host, port = endpoints.url.removeprefix("http://").rsplit(":", 1)
    return await trio.open_tcp_stream(host, int(port))


async def start(nursery: trio.Nursery, methods: Methods, **options: object) -> Endpoints:
    async def run(*, task_status: trio.TaskStatus[Endpoints]) -> None:
        await serve(methods, port=0, task_status=task_status, **options)  # type: ignore[arg-type]

    endpoints: Endpoints = await nursery.start(run)
    return endpoints


async def test_serves_on_loopback_until_cancelled(methods: Methods) -> None:
    async with trio.open_nursery() as nursery:
        endpoints = await start(nursery, methods)
        assert endpoints.url.startswith("http://127.0.0.1:")
        async with await connected(endpoints) as stream:
            await stream.send_all(post(call(params=[1])))
            assert status(await stream.receive_some()) == 200
            nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=True):
                assert await stream.receive_some() == b""
    with pytest.raises(OSError, match="all attempts to connect"):
        await connected(endpoints)


async def test_a_running_request_is_answered_before_the_end(methods: Methods) -> None:
    begun, go = trio.Event(), trio.Event()

    async def hold() -> str:
        begun.set()
        await go.wait()
        return "held"

    methods.register("hold", hold)
    async with trio.open_nursery() as nursery, await connected(await start(nursery, methods)) as stream:
        await stream.send_all(post(call("hold")))
        await begun.wait()
        nursery.cancel_scope.cancel()
        go.set()
        with trio.CancelScope(shield=True):
            assert b'"held"' in await stream.receive_some()


async def test_draining_takes_no_longer_than_its_limit(methods: Methods) -> None:
    begun = trio.Event()

    async def hold() -> None:
        begun.set()
        await trio.sleep_forever()

    methods.register("hold", hold)
    limits = Limits(drain_seconds=0.05)
    with trio.fail_after(5):
        async with (
            trio.open_nursery() as nursery,
            await connected(await start(nursery, methods, limits=limits)) as stream,
        ):
            await stream.send_all(post(call("hold")))
            await begun.wait()
            nursery.cancel_scope.cancel()


async def test_one_connection_too_many_is_told_so(methods: Methods, nursery: trio.Nursery) -> None:
    endpoints = await start(nursery, methods, limits=Limits(connections=1))
    async with await connected(endpoints) as first, await connected(endpoints) as second:
        answer = await second.receive_some()
        assert status(answer) == 503
        assert b"all 1 connections are taken" in answer
        await first.send_all(post(call()))
        assert status(await first.receive_some()) == 200
    nursery.cancel_scope.cancel()


async def test_a_taken_port_is_an_error(methods: Methods) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ExceptionGroup) as caught:
            await serve(methods, port=taken.getsockname()[1])
    assert caught.group_contains(OSError, match="in use")


async def test_ipc_is_served_and_its_file_removed(methods: Methods, tmp_path: Path) -> None:
    path = tmp_path / "node.ipc"
    async with trio.open_nursery() as nursery:
        endpoints = await start(nursery, methods, ipc=path)
        assert endpoints[-1] == str(path)
        assert path.stat().st_mode & 0o777 == 0o600
        async with await trio.open_unix_socket(path) as stream:
            await stream.send_all(call(params=[1]))
            assert json.loads(await stream.receive_some()) == {"id": 1, "result": [1]}
        nursery.cancel_scope.cancel()
    assert not path.exists()


async def test_an_ipc_file_of_a_dead_server_is_replaced_and_of_a_living_one_not(
    methods: Methods, tmp_path: Path, nursery: trio.Nursery
) -> None:
    path = tmp_path / "node.ipc"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    await start(nursery, methods, ipc=path)
    with pytest.raises(ExceptionGroup) as caught:
        await serve(methods, port=0, ipc=path)
    assert caught.group_contains(OSError, match="in use by another server")
    assert path.exists()
    nursery.cancel_scope.cancel()


async def test_what_goes_wrong_in_one_connection_stays_there(
    methods: Methods, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    endpoints = await start(nursery, methods)
    with monkeypatch.context() as patch:
        patch.setattr(methods, "answer_nowait", lambda *_: 1 / 0)
        async with await connected(endpoints) as stream:
            await stream.send_all(post(call()))
            assert await stream.receive_some() == b""
    assert "a connection failed" in caplog.text
    async with await connected(endpoints) as stream:
        await stream.send_all(post(call()))
        assert status(await stream.receive_some()) == 200
    nursery.cancel_scope.cancel()

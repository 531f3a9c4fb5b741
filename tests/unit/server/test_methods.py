from __future__ import annotations

import json
import logging

import pytest
import trio

from execlayer.server.methods import Methods, RpcError

from .conftest import call


async def answered(methods: Methods, request: bytes) -> object:
    assert methods.answer_nowait(request) is None
    answer = json.loads(await methods.answer(request))
    return answer["error"] if isinstance(answer, dict) and "error" in answer else answer


async def test_functions_are_called_by_position_or_name(methods: Methods) -> None:
    methods.register("my_difference", lambda a, b: a - b)
    assert await answered(methods, call("my_difference", [5, 3])) == {"id": 1, "result": 2}
    assert await answered(methods, call("my_difference", {"b": 5, "a": 3})) == {"id": 1, "result": -2}


async def test_async_functions_are_awaited(methods: Methods) -> None:
    async def my_method() -> list[int]:
        await trio.lowlevel.checkpoint()
        return [1]

    methods.register("my_method", my_method)
    assert await answered(methods, b'{"jsonrpc":"2.0","id":"x","method":"my_method"}') == {"id": "x", "result": [1]}


async def test_a_batch_mixes_registered_and_other_methods(methods: Methods) -> None:
    methods.register("my_double", lambda a: 2 * a)
    batch = b"[%s,%s,%s]" % (call("my_double", [1], 1), call("echo", [7], 2), call("my_double", [4], 3))
    assert await answered(methods, batch) == [
        {"id": 1, "result": 2},
        {"id": 2, "result": [7]},
        {"id": 3, "result": 8},
    ]


@pytest.mark.parametrize("params", [[], [1, 2], {"b": 1}, 7])
async def test_parameters_that_do_not_fit_are_the_callers_mistake(methods: Methods, params: object) -> None:
    methods.register("my_method", lambda a: a)
    error = await answered(methods, call("my_method", params))
    assert isinstance(error, dict)
    assert error["code"] == -32602


async def test_an_rpc_error_reaches_the_client_as_it_is(methods: Methods) -> None:
    def fail() -> None:
        raise RpcError(-32050, "no liquidity", {"pool": "0x01"})

    methods.register("my_method", fail)
    error = await answered(methods, call("my_method", []))
    assert error == {"code": -32050, "message": "no liquidity", "data": '{"pool": "0x01"}'}
    assert str(RpcError(-32050, "no liquidity")) == "no liquidity (-32050)"


@pytest.mark.parametrize("value", [ZeroDivisionError(), float("nan"), object()])
async def test_what_goes_wrong_inside_is_logged_and_kept_there(
    methods: Methods, value: object, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> object:
        if isinstance(value, Exception):
            raise value
        return value

    methods.register("my_method", fail)
    with caplog.at_level(logging.CRITICAL, "execlayer.server.methods"):
        error = await answered(methods, call("my_method", []))
    assert error == {"code": -32603, "message": "internal error in my_method", "data": None}


def test_names_are_taken_once(methods: Methods) -> None:
    methods.register("my_method", print)
    for name in ("my_method", "eth_chainId"):
        with pytest.raises(ValueError, match=f"the method {name} is served already"):
            methods.register(name, print)
    with pytest.raises(TypeError, match="a function is wanted"):
        methods.register("other", 5)  # type: ignore[arg-type]


async def test_a_long_request_times_out(methods: Methods, autojump_clock: object) -> None:
    methods.register("forever", trio.sleep_forever)
    answer = json.loads(await methods.answer(call("forever", []), seconds=3))
    assert answer["error"] == {"code": -32002, "message": "request timed out"}

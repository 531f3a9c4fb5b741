"""The halt file: while it is there, no new order is taken; what is out is looked after all the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from .engine import OrderEngine


async def obey(engine: OrderEngine, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
    """Looks for it until cancelled; started when it was looked for once. Whoever takes the file away lets the engine go
    on, unless it was halted by somebody else before the file came."""
    halted = False
    while True:
        path = engine.settings.limits.halt_file
        is_there = path is not None and path.exists()
        if is_there and not halted and not engine.stats()["halted"]:
            engine.halt(True, f"{path} is there")
            halted = True
        elif halted and not is_there:
            engine.halt(False)
            halted = False
        task_status.started()
        task_status = trio.TASK_STATUS_IGNORED
        await trio.sleep(engine.settings.execution_engine.monitor_interval / 1e9)

"""The producer: a Trio service that mines when its mode says so. It holds no chain state; a block is one call to Rust.

In the mode `automine` it has nothing to do: whoever submits a transaction mines it in the same breath, so that a client
finds its receipt as soon as it knows the hash.
"""

from __future__ import annotations

from collections.abc import Callable

import trio

from ..config import Mining


async def produce(
    mine: Callable[[], object], mining: Mining, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Calls ``mine`` when a block is due, until it is cancelled. A block that is being made is given up then; what was
    to stand in it waits on.

    *Errors*: what mining raises ends the service: a store that can't be written is nothing to be retried in a loop.
    """
    task_status.started()
    if mining.mode != "interval":
        await trio.sleep_forever()
    due = trio.current_time()
    while True:
        # From the last due time, not from now: the time that mining takes doesn't add up.
        due = max(due + mining.block_time_seconds, trio.current_time())
        await trio.sleep_until(due)
        await trio.to_thread.run_sync(mine)

"""The virtual machine from Python: a call by itself, a batch of calls, a trace."""

from __future__ import annotations

from asv_bench.promises.calls import CODE, TOKEN, scene
from execlayer import evm


class Calls:
    """Ten thousand questions for a balance, on a state that is made once."""

    def setup(self) -> None:
        """Makes the state, and sees that the answers are right."""
        slots, holders = scene()
        self.state = evm.State({TOKEN: {"code": f"0x{CODE}", "storage": slots}})
        self.batch = [(TOKEN, holder) for holder in holders]
        self.one = holders[41]
        if int.from_bytes(evm.call(self.state, TOKEN, self.one).output, "big") != 42:
            raise RuntimeError("the forty-second holder owns 42")
        if not evm.calls(self.state, self.batch).ok.all():
            raise RuntimeError("every call succeeds")

    def time_batch_one_thread(self) -> None:
        """All in one crossing."""
        evm.calls(self.state, self.batch, threads=1)

    def time_batch_all_cores(self) -> None:
        """The same on all cores."""
        evm.calls(self.state, self.batch)

    def time_single(self) -> None:
        """One call."""
        evm.call(self.state, TOKEN, self.one)

    def time_trace_with_steps(self) -> None:
        """One call, watched step by step."""
        evm.trace(self.state, TOKEN, self.one, steps=True)

    def peakmem_batch(self) -> None:
        """The process, with ten thousand outcomes."""
        evm.calls(self.state, self.batch)

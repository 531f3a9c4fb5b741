"""The state machine as Python sees it: the rows of the one table in ``rust/orders/src/states.rs``."""

from __future__ import annotations

from dataclasses import dataclass

from execlayer import _core


@dataclass(frozen=True)
class Transition:
    """An event, the sub-states it may happen in, the one it leads to, and when it happens."""

    event: str
    origins: tuple[str, ...]
    target: str
    when: str


TRANSITIONS: tuple[Transition, ...] = tuple(
    Transition(event, tuple(origins), target, when) for event, origins, target, when in _core.order_transitions()
)

STATE_OF: dict[str, str] = dict(_core.order_states())
"""The public state of each sub-state, in the order of the sub-states' numbers."""

"""Ways in which a node can misbehave, to be switched on for some calls of some methods.

>>> faults = Faults()
>>> with faults.during(Delay(5), "eth_sendRawTransaction"):
...     [type(one).__name__ for one in faults.take("eth_sendRawTransaction")]
['Delay']
>>> faults.take("eth_sendRawTransaction")
[]
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Drop:
    """The connection ends without a reply: before the call had its effect, or after."""

    after: bool = False


@dataclass(frozen=True, slots=True)
class Delay:
    """The reply comes later; the effect does not."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Duplicate:
    """The call is carried out twice, as a proxy that repeats what it took for lost does. One reply: the second."""


@dataclass(frozen=True, slots=True)
class Truncate:
    """The reply is cut after so many bytes, and the connection ended."""

    size_bytes: int = 20


@dataclass(frozen=True, slots=True)
class Status:
    """HTTP says no, and nothing is carried out: 429 for too many requests, 5xx for a gateway's trouble."""

    code: int
    retry_after_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class Garble:
    """The reply is another text than what it should be."""

    text: bytes = b"<html>service unavailable</html>"


@dataclass(frozen=True, slots=True)
class Stale:
    """Reads answer as if the newest blocks had not come yet."""

    blocks: int = 1


@dataclass(frozen=True, slots=True)
class Dead:
    """The socket stays open and nothing ever comes back; the call has no effect."""


@dataclass(frozen=True, slots=True)
class Silent:
    """Subscriptions say nothing. What would have been said is lost."""


Fault: TypeAlias = Drop | Delay | Duplicate | Truncate | Status | Garble | Stale | Dead | Silent

ANY = "*"
"""Every method."""

NOTIFICATION = "eth_subscription"
"""The method under which :class:`Silent` is looked up."""


@dataclass(eq=False)
class Rule:
    """A fault that is switched on."""

    fault: Fault
    method: str
    times: int | None
    """How often it is still to happen; None for ever."""

    happened: int = 0


class Faults:
    """The faults that are switched on, in the order that they were."""

    def __init__(self) -> None:
        self._rules: list[Rule] = []

    def add(self, fault: Fault, method: str = ANY, *, times: int | None = 1) -> Rule:
        """Switches a fault on, for so many calls. The rule tells afterwards how often it happened."""
        rule = Rule(fault, NOTIFICATION if isinstance(fault, Silent) else method, times)
        self._rules.append(rule)
        return rule

    def remove(self, rule: Rule) -> None:
        """Switches it off; no harm where it is off already."""
        if rule in self._rules:
            self._rules.remove(rule)

    @contextmanager
    def during(self, fault: Fault, method: str = ANY) -> Iterator[Rule]:
        """Switches a fault on for a ``with`` block."""
        rule = self.add(fault, method, times=None)
        try:
            yield rule
        finally:
            self.remove(rule)

    def take(self, method: str) -> list[Fault]:
        """What happens to this call; counted as happened."""
        found = []
        for rule in [*self._rules]:
            if rule.method not in (ANY, method) or (method == NOTIFICATION) != isinstance(rule.fault, Silent):
                continue
            found.append(rule.fault)
            rule.happened += 1
            if rule.times is not None:
                rule.times -= 1
                if rule.times == 0:
                    self._rules.remove(rule)
        return found

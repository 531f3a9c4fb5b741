"""What gas will cost: the next block's base fee, exactly, and the tip that others pay.

The base fee follows from the newest header (EIP-1559). The tip is the median, over some blocks that were not empty, of
a percentile of what their transactions paid.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median_low
from typing import Any

from pydantic import Field, PositiveInt

from ..config import Settings
from .errors import ReplyMalformed
from .failover import Failover, Reading
from .ring import Header

ELASTICITY = 2
"""A block's gas limit is so many times its target."""

CHANGE_DENOMINATOR = 8
"""A full block raises the base fee by one part in so many, an empty one lowers it as much."""


def next_base_fee(header: Header) -> int:
    """The base fee of the block on top of this one.

    >>> next_base_fee(Header(1, "", "", 0, base_fee=1000, gas_used=30_000_000, gas_limit=30_000_000))
    1125
    """
    target = header.gas_limit // ELASTICITY
    if target == 0 or header.gas_used == target:
        return header.base_fee
    change = header.base_fee * abs(header.gas_used - target) // target // CHANGE_DENOMINATOR
    return header.base_fee + max(change, 1) if header.gas_used > target else header.base_fee - change


class Pricing(Settings):
    """How fees are found."""

    blocks: PositiveInt = 20
    percentile: float = Field(default=50.0, ge=0, le=100)
    tip_min_wei: int = Field(default=10**9, ge=0)
    max_fee_wei: PositiveInt = 100 * 10**9
    """Nothing is offered above this."""


@dataclass(frozen=True, slots=True)
class Fees:
    """What to offer for the next block."""

    base_fee: int
    """Of the next block."""

    tip: int
    max_fee: int
    """Lasts when the base fee doubles."""


class FeeOracle:
    """Fees on top of the newest header, from memory; ``refresh`` keeps the tip current in the background."""

    def __init__(self, failover: Failover, pricing: Pricing | None = None) -> None:
        self.pricing = pricing or Pricing()
        self.tip = self.pricing.tip_min_wei
        self._failover = failover

    def fees(self, head: Header) -> Fees:
        """What to offer for the block on top of ``head``. Never above the cap, and the tip never above the whole."""
        base_fee = next_base_fee(head)
        max_fee = min(2 * base_fee + self.tip, self.pricing.max_fee_wei)
        return Fees(base_fee, min(self.tip, max_fee), max_fee)

    async def refresh(self) -> None:
        """Asks for the newest tips; as before where there are none.

        *Errors*: :class:`~execlayer.upstream.errors.NoEndpoint`, ``CallRefused``, ``ReplyMalformed``; the tip stays.
        """
        pricing = self.pricing
        reading = await self._failover.read("eth_feeHistory", hex(pricing.blocks), "latest", [pricing.percentile])
        try:
            tip = typical_tip(reading.value)
        except (TypeError, KeyError, ValueError, IndexError) as error:
            raise _malformed(reading, error) from None
        self.tip = max(tip or 0, pricing.tip_min_wei)


def typical_tip(history: Any) -> int | None:
    """The median tip of the blocks in an answer of ``eth_feeHistory``; None where all were empty."""
    rewards, ratios = history["reward"], history["gasUsedRatio"]
    tips = [int(reward[0], 16) for reward, ratio in zip(rewards, ratios, strict=True) if ratio > 0]
    return median_low(tips) if tips else None


def _malformed(reading: Reading, error: Exception) -> ReplyMalformed:
    reason = f"no fee history: {error!r}"
    return ReplyMalformed(f"{reading.endpoint}: {reason}", endpoint=reading.endpoint, reason=reason)

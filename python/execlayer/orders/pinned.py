"""The chain and the contract are those that the settings pin: asked before anything is signed, and each hour again."""

from __future__ import annotations

from .. import _core
from ..errors import ExeclayerError, InvalidConfig
from ..upstream.failover import Failover
from .settings import OrderSettings
from .watch import first_words


class ContractNotFound(ExeclayerError):
    """There is no code where the contract should be, or another one."""

    contract: str
    reason: str


async def check(failover: Failover, settings: OrderSettings) -> None:
    """Asks a node. *Errors*: :class:`~execlayer.errors.InvalidConfig` for another chain, :class:`ContractNotFound`."""
    genesis, code = await first_words(failover, settings.contract)
    if settings.genesis_hash is not None and genesis.lower() != settings.genesis_hash.lower():
        reason = f"the chain's is {genesis}"
        raise InvalidConfig(
            f"setting genesis_hash: {reason}", field="genesis_hash", value=settings.genesis_hash, reason=reason
        )
    reason = "" if code else "there is no code"
    found = "0x" + _core.keccak256(code).hex()
    wanted = settings.contract_code_hash
    if code and wanted is not None and found != wanted.lower():
        reason = f"its code hashes to {found}, not {wanted}"
    if reason:
        raise ContractNotFound(f"contract {settings.contract}: {reason}", contract=settings.contract, reason=reason)

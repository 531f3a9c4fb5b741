"""Accounts that can sign: an address, its key, and the chain that both live on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from .errors import StillWaiting, UnknownTransaction
from .units import Amount, Wei, wei

if TYPE_CHECKING:
    from . import _core

AddressLike: TypeAlias = "str | bytes | Account"
"""What is taken where an address is wanted."""

AccessList: TypeAlias = "Sequence[tuple[str | bytes, Sequence[int | str | bytes]]]"
"""Addresses with their slots, warm from the beginning."""

DEFAULT_TIP = Wei(10**9)
"""Wei per gas for the block's producer, where a transaction doesn't say: 1 gwei, as development tools have it."""


def address_of(value: AddressLike | None) -> Any:
    """The address of an account; anything else as it is, for Rust to judge."""
    return value.address if isinstance(value, Account) else value


class Account:
    """An account of a chain, with its secret key.

    >>> from execlayer import Chain
    >>> alice, bob = Chain.dev().accounts[:2]
    >>> alice.transfer(bob, "1 ether").fee
    Wei('42,000 gwei')
    """

    __slots__ = ("_core", "key")

    def __init__(self, core: _core.Chain, key: _core.Key) -> None:
        self._core = core
        self.key = key

    @property
    def address(self) -> str:
        """Checksummed."""
        return self.key.address

    @property
    def balance(self) -> Wei:
        """At the head."""
        return self._core.balance(self.address)

    @property
    def nonce(self) -> int:
        """Of the next transaction, those that wait counted."""
        return self._core.next_nonce(self.address)

    def sign(
        self,
        to: AddressLike | None,
        value: Amount = 0,
        *,
        data: bytes | str = b"",
        nonce: int | None = None,
        gas_limit: int | None = None,
        max_fee: Amount | None = None,
        tip: Amount | None = None,
        gas_price: Amount | None = None,
        access_list: AccessList | None = None,
    ) -> bytes:
        """A signed transaction's EIP-2718 bytes; nothing is sent.

        Without ``to`` it creates a contract. What isn't given is filled in: the next nonce, the gas that it needs
        on top of the head, and a fee cap that lasts when the base fee doubles. With ``gas_price`` it is of the older
        kind.

        *Errors*: :class:`~execlayer.errors.InvalidArgument` names the argument that can't be used.
        """
        fees: dict[str, Any]
        if gas_price is not None:
            fees = {"gas_price": wei(gas_price, "gas_price")}
        else:
            offered = wei(DEFAULT_TIP if tip is None else tip, "tip")
            cap = 2 * (self._core.base_fee or 0) + offered if max_fee is None else wei(max_fee, "max_fee")
            fees = {"max_fee_per_gas": cap, "max_priority_fee_per_gas": min(offered, cap) if tip is None else offered}
        amount = wei(value, "value")
        target = address_of(to)
        if gas_limit is None:
            gas_limit = self._core.estimate_gas(self.address, target, amount, data, access_list)
        return self.key.sign_transaction(
            chain_id=self._core.chain_id,
            nonce=self.nonce if nonce is None else nonce,
            gas_limit=gas_limit,
            to=target,
            value=amount,
            data=data,
            access_list=access_list,
            **fees,
        )

    def send(self, to: AddressLike | None, value: Amount = 0, **fields: Any) -> str:
        """Signs (see :meth:`sign`) and submits a transaction; its hash. It waits until a block is mined.

        *Errors*: :class:`~execlayer.errors.TransactionRejected` in one of its forms.
        """
        [answer] = self._core.submit([self.sign(to, value, **fields)])
        if isinstance(answer, Exception):
            raise answer
        return answer

    def transfer(self, to: AddressLike | None, value: Amount = 0, **fields: Any) -> _core.Receipt:
        """Sends a transaction (see :meth:`sign` for what else can be said), mines a block, and returns the receipt.

        *Errors*: :class:`~execlayer.errors.TransactionRejected`, where it could not even wait or was not included
        (``StillWaiting``: it may be later). One that ran and failed is no error: ask the receipt.
        """
        sent = self.send(to, value, **fields)
        mined = self._core.mine()
        for name, reason in mined.skipped:
            if name == sent:
                raise reason
        try:
            return self._core.receipt(sent)
        except UnknownTransaction:
            message = f"transaction {sent} was not included and waits on: see its nonce and its fee cap"
            raise StillWaiting(message, hash=sent) from None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Account) and other.address == self.address

    def __hash__(self) -> int:
        return hash(self.address)

    def __str__(self) -> str:
        return self.address

    def __repr__(self) -> str:
        return f"Account({self.address})"

    def _repr_html_(self) -> str:
        return (
            f"<table><caption>Account</caption><tr><th>address</th><td>{self.address}</td></tr>"
            f"<tr><th>balance</th><td>{self.balance}</td></tr><tr><th>nonce</th><td>{self.nonce}</td></tr></table>"
        )

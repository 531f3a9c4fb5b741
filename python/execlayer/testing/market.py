"""A market on a development chain, with a price that differs: two exchanges, two tokens, lenders, and the contract that
makes something of it. What tests and tutorials of the order engine begin with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .._core import Key, Transaction, keccak256
from ..artifacts import Artifact, artifact
from ..upstream import Upstream

ETHER = 10**18
GAS_PRICE_TIP = 10**9
DEPLOY_GAS = 6_000_000
CALL_GAS = 1_000_000
FEE_BPS = 30
"""What Uniswap V2 takes of each swap."""


def amount_out(amount: int, kept: int, paid: int, fee_bps: int = FEE_BPS) -> int:
    """What a constant-product pool pays for ``amount``, to the unit."""
    sold = amount * (10_000 - fee_bps)
    return sold * paid // (kept * 10_000 + sold)


def amount_in(out: int, kept: int, paid: int, fee_bps: int = FEE_BPS) -> int:
    """The least that buys ``out``: its inverse, rounded up."""
    return kept * out * 10_000 // ((paid - out) * (10_000 - fee_bps)) + 1


class Trader:
    """Sends transactions of one key to a development node that makes blocks only when asked (``evm_setAutomine``
    false), and has a block made for each."""

    def __init__(self, upstream: Upstream, key: Key) -> None:
        self.upstream = upstream
        self.key = key

    @property
    def address(self) -> str:
        return self.key.address

    async def sign(self, to: str | None, data: bytes = b"", *, gas_limit: int = CALL_GAS, **fields: Any) -> bytes:
        """A signed transaction; what ``fields`` don't say is asked of the node."""
        call = self.upstream.call
        nonce = fields.pop("nonce", None)
        if nonce is None:
            nonce = int(await call("eth_getTransactionCount", self.address, "pending"), 16)
        head = await call("eth_getBlockByNumber", "latest", False)
        fees = {
            "max_fee_per_gas": 2 * int(head["baseFeePerGas"], 16) + GAS_PRICE_TIP,
            "max_priority_fee_per_gas": GAS_PRICE_TIP,
        }
        chain_id = int(await call("eth_chainId"), 16)
        what: dict[str, Any] = {"value": 0, "data": data, **fees, **fields}
        return self.key.sign_transaction(chain_id=chain_id, nonce=nonce, gas_limit=gas_limit, to=to, **what)

    async def send(self, to: str | None, data: bytes = b"", **fields: Any) -> dict[str, Any]:
        """Sends a transaction; its receipt, whatever its status."""
        raw = await self.sign(to, data, **fields)
        await self.upstream.call("eth_sendRawTransaction", "0x" + raw.hex())
        await self.upstream.call("evm_mine")
        receipt = await self.upstream.call("eth_getTransactionReceipt", Transaction.decode(raw).hash)
        assert receipt is not None, "the transaction was not included"
        return dict(receipt)

    async def do(self, to: str | None, data: bytes = b"", **fields: Any) -> dict[str, Any]:
        """As :meth:`send`, of what must succeed."""
        receipt = await self.send(to, data, **fields)
        assert receipt["status"] == "0x1", receipt
        return receipt

    async def deploy(self, creation: bytes) -> str:
        """Deploys a contract; its address."""
        receipt = await self.do(None, creation, gas_limit=DEPLOY_GAS)
        return str(receipt["contractAddress"])

    async def ask(self, to: str, contract: Artifact, function: str, *args: Any) -> Any:
        """What a view function returns."""
        request = {"to": to, "data": "0x" + contract.call(function, *args).hex()}
        answer = await self.upstream.call("eth_call", request, "latest")
        return contract.read(function, bytes.fromhex(answer[2:]))


@dataclass(frozen=True)
class Exchange:
    """A Uniswap V2 factory and its only pair."""

    factory: str
    pair: str


@dataclass(frozen=True)
class Market:
    """Where everything is. ``base`` is worth about 2,000 ``quote`` on the first exchange and 2,100 on the second."""

    trader: Trader
    base: str
    quote: str
    cheap: Exchange
    dear: Exchange
    lender: str
    pool_lender: str
    arbitrageur: str
    pair_contract: Artifact

    async def reserves(self, exchange: Exchange) -> tuple[int, int]:
        """Reserves of base and quote."""
        first, second, _ = await self.trader.ask(exchange.pair, self.pair_contract, "getReserves")
        return (first, second) if int(self.base, 16) < int(self.quote, 16) else (second, first)

    async def flash_swap_profit(self, amount: int) -> int:
        """Exactly what buying ``amount`` of base where it is cheap and selling it where it is dear brings."""
        base, quote = await self.reserves(self.cheap)
        owed = amount_in(amount, quote, base)
        base, quote = await self.reserves(self.dear)
        return amount_out(amount, base, quote) - owed

    async def loan_profit(self, amount: int, fee: int) -> int:
        """Exactly what a loan of ``amount`` of quote brings after its fee."""
        base, quote = await self.reserves(self.cheap)
        bought = amount_out(amount, quote, base)
        base, quote = await self.reserves(self.dear)
        return amount_out(bought, base, quote) - amount - fee

    async def balance(self, token: str, owner: str) -> int:
        """What somebody holds of a token."""
        return int(await self.trader.ask(token, artifact("Token"), "balanceOf", owner))


async def open_market(
    trader: Trader,
    factory: Artifact,
    pair: Artifact,
    *,
    prices: tuple[int, int] = (2_000, 2_100),
    depth: int = 1_000,
    fee_bps: int = 9,
) -> Market:
    """Deploys a market on an empty chain. ``factory`` and ``pair`` are Uniswap V2's contracts, as npm's
    ``@uniswap/v2-core`` has them; ``depth`` is how much base each exchange holds; lenders take ``fee_bps``."""
    token, lender = artifact("Token"), artifact("Lender")
    base = await trader.deploy(token.create("Base", "BASE"))
    quote = await trader.deploy(token.create("Quote", "QUOTE"))
    exchanges = []
    for price in prices:
        where = await trader.deploy(factory.create(trader.address))
        await trader.do(where, factory.call("createPair", base, quote), gas_limit=DEPLOY_GAS)
        found = await trader.ask(where, factory, "getPair", base, quote)
        await trader.do(base, token.call("mint", found, depth * ETHER))
        await trader.do(quote, token.call("mint", found, depth * price * ETHER))
        await trader.do(found, pair.call("mint", trader.address))
        exchanges.append(Exchange(where, found))
    lenders = [await trader.deploy(one.create(fee_bps)) for one in (lender, artifact("PoolLender"))]
    contract = artifact("Arbitrageur")
    arbitrageur = await trader.deploy(contract.create())
    pair_code = keccak256(pair.creation)
    for exchange in exchanges:
        await trader.do(arbitrageur, contract.call("setFactory", exchange.factory, pair_code))
    for one in lenders:
        await trader.do(quote, token.call("mint", one, 10**6 * ETHER))
        await trader.do(arbitrageur, contract.call("setLender", one, True))
    for exchange in exchanges:
        # A pool's first trade in a later second writes its price sums for the first time, and costs more than others.
        head = await trader.upstream.call("eth_getBlockByNumber", "latest", False)
        await trader.upstream.call("evm_setNextBlockTimestamp", int(head["timestamp"], 16) + 12)
        await trader.do(exchange.pair, pair.call("sync"))
    cheap, dear = exchanges
    return Market(trader, base, quote, cheap, dear, lenders[0], lenders[1], arbitrageur, pair)

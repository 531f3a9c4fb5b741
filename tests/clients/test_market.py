"""The arbitrage contract on real Uniswap V2 pools, on every node: profit to the unit, refusals by name, gas."""

from __future__ import annotations

import json
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trio

from execlayer.artifacts import Artifact, artifact, read_artifact
from execlayer.testing.market import ETHER, Market, Trader, amount_in, amount_out, open_market
from execlayer.upstream import CallRefused, Client, Endpoint

from .nodes import KINDS, DevNode, dev_keys, running
from .packages import INSTALL_SECONDS, packages

pytestmark = pytest.mark.timeout(INSTALL_SECONDS + 60)
REF = bytes(range(32))
FAR = 2**63
AMOUNT = 10_710_773_076_393_409_305
CAPITAL = 22_000 * ETHER
RECIPIENT = "0x" + "99" * 20
CONTRACT = artifact("Arbitrageur")
FLASH_SWAP_GAS, LOAN_GAS, SHORTFALL_GAS = 161_000, 212_000, 171_000
"""What a bare contract without allow-lists takes, and a loan's revert; we stay within a tenth of it."""


def uniswap(name: str) -> Artifact:
    """A contract as npm's package has it."""
    build = packages() / "node_modules" / "@uniswap" / "v2-core" / "build"
    return read_artifact(json.loads((build / f"{name}.json").read_text()), name=name)


@pytest.fixture(scope="module", params=KINDS)
def dev_node(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevNode]:
    with running(request.param, tmp_path_factory.mktemp(request.param)) as node:
        yield node


@dataclass
class Deployed:
    """The market of a node, deployed once; each test returns to it."""

    market: Market | None = None
    snapshot: str = ""


@pytest.fixture(scope="module")
def deployed(dev_node: DevNode) -> Deployed:
    return Deployed()


@pytest.fixture
async def market(dev_node: DevNode, deployed: Deployed, nursery: trio.Nursery) -> AsyncIterator[Market]:
    client = Client(Endpoint(url=dev_node.url, timeout_seconds=20))
    await nursery.start(client.run)
    if deployed.market is None:
        await client.call("evm_setAutomine", False)
        trader = Trader(client, dev_keys()[0])
        deployed.market = await open_market(trader, uniswap("UniswapV2Factory"), uniswap("UniswapV2Pair"))
    deployed.market.trader.upstream = client
    deployed.snapshot = await client.call("evm_snapshot")
    yield deployed.market
    assert await client.call("evm_revert", deployed.snapshot)
    nursery.cancel_scope.cancel()


def flash_swap(market: Market, *, min_profit: int = 1, deadline: int = FAR, amount: int = AMOUNT) -> bytes:
    pools = (market.cheap.pair, market.dear.pair)
    return CONTRACT.call("flashSwap", REF, *pools, market.base, amount, min_profit, RECIPIENT, deadline)


def loan(market: Market, function: str, lender: str, *, min_profit: int = 1, amount: int = CAPITAL) -> bytes:
    pools = (market.cheap.pair, market.dear.pair)
    return CONTRACT.call(function, REF, lender, *pools, market.quote, amount, min_profit, RECIPIENT, FAR)


def route(market: Market, source: int, *, max_block: int = 0, **changes: Any) -> bytes:
    tokens = [market.base, market.quote] if source == 0 else [market.quote, market.base]
    values: dict[str, Any] = {
        "ref": REF,
        "source": source,
        "lender": ["0x" + "00" * 20, market.lender, market.pool_lender, market.lender][source],
        "pools": [market.cheap.pair, market.dear.pair],
        "tokens": tokens,
        "amounts": [AMOUNT if source == 0 else CAPITAL],
        "hops": [bytes.fromhex("0000001e")] * 2,
        "minProfit": 1,
        "to": RECIPIENT,
        "deadline": FAR,
        "maxBlock": max_block,
    }
    return CONTRACT.call("route", *{**values, **changes}.values())


async def reverted(market: Market, data: bytes, *, key: int = 0, to: str | None = None) -> tuple[str, tuple[Any, ...]]:
    """Name and values of the error that a call reverts with."""
    request = {"from": dev_keys()[key].address, "to": to or market.arbitrageur, "data": "0x" + data.hex()}
    with pytest.raises(CallRefused) as caught:
        await market.trader.upstream.call("eth_call", request, "latest")
    told = caught.value.data
    told = told.get("data", told) if isinstance(told, dict) else told
    told = told.get("data", told) if isinstance(told, dict) else told
    found = CONTRACT.error(bytes.fromhex(str(told)[2:]))
    assert found is not None, caught.value
    return found


async def check_profit(market: Market, data: bytes, borrowed: int, profit: int, gas_max: int) -> None:
    """Sends it: profit arrives to the unit, nothing stays behind, and gas stays under its bound."""
    assert profit > 0
    # Whoever takes profit has some already, as a rule: the first unit costs 17,100 gas more.
    await market.trader.do(market.quote, artifact("Token").call("mint", RECIPIENT, 1))
    receipt = await market.trader.do(market.arbitrageur, data)
    events = [
        CONTRACT.event("Arbitrage", log) for log in receipt["logs"] if log["address"] == market.arbitrageur.lower()
    ]
    assert events == [{"ref": REF, "quote": market.quote.lower(), "borrowed": borrowed, "profit": profit}]
    assert await market.balance(market.quote, RECIPIENT) == profit + 1
    for token in (market.base, market.quote):
        assert await market.balance(token, market.arbitrageur) == 0
    allowance = artifact("Token").call("allowance", market.arbitrageur, market.lender)
    request = {"to": market.quote, "data": "0x" + allowance.hex()}
    assert int(await market.trader.upstream.call("eth_call", request, "latest"), 16) == 0
    assert int(receipt["gasUsed"], 16) <= gas_max, int(receipt["gasUsed"], 16)


async def test_a_flash_swap_earns_exactly_what_was_computed(market: Market) -> None:
    profit = await market.flash_swap_profit(AMOUNT)
    assert profit == 469_578_256_709_118_226_712
    await check_profit(market, flash_swap(market), AMOUNT, profit, gas_max=FLASH_SWAP_GAS * 11 // 10)


async def test_a_loan_of_either_kind_earns_exactly_what_was_computed(market: Market) -> None:
    client = market.trader.upstream
    for function, lender in (("flashLoan", market.lender), ("poolLoan", market.pool_lender)):
        snapshot = await client.call("evm_snapshot")
        profit = await market.loan_profit(CAPITAL, CAPITAL * 9 // 10_000)
        await check_profit(market, loan(market, function, lender), CAPITAL, profit, gas_max=LOAN_GAS * 11 // 10)
        await client.call("evm_revert", snapshot)


@pytest.mark.parametrize("source", [0, 1, 2])
async def test_a_route_earns_what_its_shorter_form_does(market: Market, source: int) -> None:
    borrowed = AMOUNT if source == 0 else CAPITAL
    profit = await (
        market.flash_swap_profit(AMOUNT) if source == 0 else market.loan_profit(CAPITAL, CAPITAL * 9 // 10_000)
    )
    await check_profit(market, route(market, source), borrowed, profit, gas_max=LOAN_GAS * 11 // 10)


async def open_pair(market: Market, factory: str, amounts: dict[str, int]) -> str:
    """Another pool of an exchange, with these amounts of two tokens."""
    do = market.trader.do
    contract, token = uniswap("UniswapV2Factory"), artifact("Token")
    await do(factory, contract.call("createPair", *amounts), gas_limit=6_000_000)
    found = str(await market.trader.ask(factory, contract, "getPair", *amounts))
    for address, amount in amounts.items():
        await do(address, token.call("mint", found, amount))
    await do(found, market.pair_contract.call("mint", market.trader.address))
    return found


async def test_a_route_of_three_pools_earns_exactly_what_was_computed(market: Market) -> None:
    third = await market.trader.deploy(artifact("Token").create("Third", "THIRD"))
    second = await open_pair(market, market.cheap.factory, {market.base: 1_000 * ETHER, third: 10_000 * ETHER})
    last = await open_pair(market, market.dear.factory, {third: 10_000 * ETHER, market.quote: 2_150_000 * ETHER})
    base, quote = await market.reserves(market.cheap)
    pools: dict[str, Any] = {"pools": [market.cheap.pair, second, last], "hops": [bytes.fromhex("0000001e")] * 3}

    def sold(amount: int) -> int:
        amount = amount_out(amount, 1_000 * ETHER, 10_000 * ETHER)
        return amount_out(amount, 10_000 * ETHER, 2_150_000 * ETHER)

    swap = route(market, 0, **pools, tokens=[market.base, third, market.quote])
    bought = route(market, 1, **pools, tokens=[market.quote, market.base, third])
    closed = route(market, 2, **pools, tokens=[market.quote, market.base, third, market.quote])
    loan_profit = sold(amount_out(CAPITAL, quote, base)) - CAPITAL - CAPITAL * 9 // 10_000
    for data, borrowed, profit in (
        (swap, AMOUNT, sold(AMOUNT) - amount_in(AMOUNT, quote, base)),
        (bought, CAPITAL, loan_profit),
        (closed, CAPITAL, loan_profit),
    ):
        snapshot = await market.trader.upstream.call("evm_snapshot")
        await check_profit(market, data, borrowed, profit, gas_max=400_000)
        await market.trader.upstream.call("evm_revert", snapshot)
    for source in (0, 1):
        open_end = [market.quote, market.base, third, market.base]
        assert await reverted(market, route(market, source, **pools, tokens=open_end)) == ("BadRoute", ())


async def test_asking_for_one_unit_more_reveals_the_profit(market: Market) -> None:
    profit = await market.flash_swap_profit(AMOUNT)
    assert await reverted(market, flash_swap(market, min_profit=profit + 1)) == (
        "InsufficientProfit",
        (profit, profit + 1),
    )
    profit = await market.loan_profit(CAPITAL, CAPITAL * 9 // 10_000)
    for function, lender in (("flashLoan", market.lender), ("poolLoan", market.pool_lender)):
        data = loan(market, function, lender, min_profit=profit + 1)
        assert await reverted(market, data) == ("InsufficientProfit", (profit, profit + 1))


async def test_a_shortfall_on_the_chain_costs_gas_and_nothing_else(market: Market) -> None:
    profit = await market.loan_profit(CAPITAL, CAPITAL * 9 // 10_000)
    data = loan(market, "flashLoan", market.lender, min_profit=profit + 1)
    receipt = await market.trader.send(market.arbitrageur, data)
    assert receipt["status"] == "0x0"
    assert int(receipt["gasUsed"], 16) <= SHORTFALL_GAS
    assert await market.balance(market.quote, RECIPIENT) == 0


async def test_a_loss_is_no_profit_however_little_is_asked(market: Market) -> None:
    """The wrong way round: what is dear is bought."""
    pools = (market.dear.pair, market.cheap.pair)
    data = CONTRACT.call("flashSwap", REF, *pools, market.base, ETHER, 0, RECIPIENT, FAR)
    assert await reverted(market, data) == ("InsufficientProfit", (0, 0))


async def test_only_operators_in_time_and_up_to_the_block_that_was_said(market: Market) -> None:
    assert await reverted(market, flash_swap(market), key=1) == ("NotOperator", ())
    name, (now, deadline) = await reverted(market, flash_swap(market, deadline=5))
    assert (name, deadline) == ("Expired", 5) and now > 5
    name, (got, most) = await reverted(market, route(market, 0, max_block=3))
    assert (name, most) == ("WrongBlock", 3) and got > 3


async def test_nobody_calls_back_who_was_not_called(market: Market) -> None:
    callbacks = [
        CONTRACT.call("uniswapV2Call", market.arbitrageur, 1, 0, b""),
        CONTRACT.call("onFlashLoan", market.arbitrageur, market.quote, 1, 0, b""),
        CONTRACT.call("executeOperation", market.quote, 1, 0, market.arbitrageur, b""),
    ]
    for data in callbacks:
        for key in (0, 1):
            assert await reverted(market, data, key=key) == ("BadCallback", ())
    # Through real pools and lenders, which call whomever they are told to.
    first = int(market.base, 16) < int(market.quote, 16)
    swap = market.pair_contract.call("swap", *((1, 0) if first else (0, 1)), market.arbitrageur, b"\1")
    assert await reverted(market, swap, key=1, to=market.cheap.pair) == ("BadCallback", ())
    lend = artifact("Lender").call("flashLoan", market.arbitrageur, market.quote, 1, b"")
    assert await reverted(market, lend, key=1, to=market.lender) == ("BadCallback", ())
    lend = artifact("PoolLender").call("flashLoanSimple", market.arbitrageur, market.quote, 1, b"", 0)
    assert await reverted(market, lend, key=1, to=market.pool_lender) == ("BadCallback", ())


async def test_strange_pools_lenders_and_routes_are_refused(market: Market) -> None:
    data = loan(market, "flashLoan", market.cheap.pair)
    assert await reverted(market, data) == ("UnknownLender", (market.cheap.pair.lower(),))
    trader = market.trader
    await trader.do(market.arbitrageur, CONTRACT.call("setFactory", market.dear.factory, bytes(32)))
    assert await reverted(market, flash_swap(market)) == ("UnknownPool", (market.dear.pair.lower(),))
    await trader.do(market.arbitrageur, CONTRACT.call("setFactory", market.dear.factory, b"\1" * 32))
    assert await reverted(market, flash_swap(market)) == ("UnknownPool", (market.dear.pair.lower(),))
    wrongs: list[dict[str, Any]] = [
        {"pools": [market.cheap.pair]},
        {"tokens": [market.base]},
        {"hops": []},
        {"amounts": []},
        {"hops": [bytes.fromhex("0100001e")] * 2},
        {"hops": [bytes.fromhex("00002710")] * 2},
        {"amounts": [2**100]},
    ]
    for wrong in wrongs:
        assert await reverted(market, route(market, 0, **wrong)) == ("BadRoute", ()), wrong
    assert await reverted(market, route(market, 3)) == ("BadRoute", ())


async def test_only_the_owner_rescues_and_decides_who_is_allowed(market: Market) -> None:
    token = artifact("Token")
    await market.trader.do(market.quote, token.call("mint", market.arbitrageur, 77))
    rescue = CONTRACT.call("rescue", market.quote, RECIPIENT, 77)
    for call in (
        rescue,
        CONTRACT.call("setOperator", RECIPIENT, True),
        CONTRACT.call("setLender", RECIPIENT, True),
        CONTRACT.call("setFactory", RECIPIENT, bytes(32)),
        CONTRACT.call("setOwner", RECIPIENT),
    ):
        assert await reverted(market, call, key=1) == ("NotOwner", ())
    await market.trader.do(market.arbitrageur, rescue)
    assert await market.balance(market.quote, RECIPIENT) == 77
    assert await reverted(market, rescue) == ("TransferFailed", (market.quote.lower(),))


async def test_what_others_left_here_is_not_profit(market: Market) -> None:
    await market.trader.do(market.quote, artifact("Token").call("mint", market.arbitrageur, 10**30))
    profit = await market.flash_swap_profit(AMOUNT)
    assert await reverted(market, flash_swap(market, min_profit=profit + 1)) == (
        "InsufficientProfit",
        (profit, profit + 1),
    )


async def test_the_code_on_the_chain_is_the_code_that_ships(market: Market) -> None:
    code = await market.trader.upstream.call("eth_getCode", market.arbitrageur, "latest")
    assert bytes.fromhex(code[2:]) == CONTRACT.runtime


def test_the_sources_compile_to_what_ships(tmp_path: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    command = ["node", str(root / "contracts" / "compile.mjs"), str(packages()), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    shipped = root / "python" / "execlayer" / "artifacts"
    names = sorted(path.name for path in shipped.glob("*.json"))
    assert names == sorted(path.name for path in tmp_path.iterdir())
    for name in names:
        assert (tmp_path / name).read_text() == (shipped / name).read_text(), f"compile {name} anew: make contracts"

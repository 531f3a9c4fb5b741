"""The real web3.py, over HTTP and WebSocket."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from . import contract
from .conftest import Account, Devnet

web3 = pytest.importorskip("web3", reason="web3.py is not installed")

ONE_GWEI = 10**9


@pytest.fixture(scope="module")
def w3(devnet: Devnet) -> Any:
    return web3.Web3(web3.Web3.HTTPProvider(devnet.url))


def signed_transfer(w3: Any, sender: Account, recipient: Account, value: int, **fields: int) -> bytes:
    """A transfer with all that web3.py does not fill in before it signs."""
    account = w3.eth.account.from_key(sender.secret)
    assert account.address == sender.address
    transaction = {
        "to": recipient.address,
        "value": value,
        "gas": 21_000,
        "nonce": w3.eth.get_transaction_count(sender.address),
        "chainId": w3.eth.chain_id,
        "maxPriorityFeePerGas": ONE_GWEI,
        "maxFeePerGas": 2 * w3.eth.get_block("latest")["baseFeePerGas"] + ONE_GWEI,
    }
    return bytes(account.sign_transaction({**transaction, **fields}).raw_transaction)


def deployed(w3: Any, devnet: Devnet) -> Any:
    """The contract, on the chain, created by a node account."""
    factory = w3.eth.contract(abi=contract.ABI, bytecode=contract.CREATION)
    receipt = w3.eth.wait_for_transaction_receipt(factory.constructor().transact({"from": devnet.accounts[0].address}))
    assert receipt["status"] == 1
    return w3.eth.contract(address=receipt["contractAddress"], abi=contract.ABI)


def test_finds_the_chain_and_its_accounts(w3: Any, devnet: Devnet) -> None:
    assert w3.is_connected(show_traceback=True)
    assert w3.eth.chain_id == devnet.chain_id
    assert w3.eth.accounts == [account.address for account in devnet.accounts]
    untouched = devnet.accounts[9]
    assert w3.eth.get_balance(untouched.address) == untouched.balance == web3.Web3.to_wei(10_000, "ether")


def test_a_signed_transfer_moves_its_value_and_costs_what_its_receipt_says(w3: Any, devnet: Devnet) -> None:
    sender, recipient = devnet.accounts[:2]
    before = {account.address: w3.eth.get_balance(account.address) for account in (sender, recipient)}
    sent = w3.eth.send_raw_transaction(signed_transfer(w3, sender, recipient, 12_345))
    receipt = w3.eth.wait_for_transaction_receipt(sent, timeout=10)
    assert (receipt["status"], receipt["gasUsed"], receipt["type"]) == (1, 21_000, 2)
    assert (receipt["from"], receipt["to"]) == (sender.address, recipient.address)
    cost = receipt["gasUsed"] * receipt["effectiveGasPrice"]
    assert w3.eth.get_balance(recipient.address) == before[recipient.address] + 12_345
    assert w3.eth.get_balance(sender.address) == before[sender.address] - 12_345 - cost


def test_a_block_holds_its_transactions_whole_or_by_hash(w3: Any, devnet: Devnet) -> None:
    sender, recipient = devnet.accounts[:2]
    sent = w3.eth.send_raw_transaction(signed_transfer(w3, sender, recipient, 7))
    number = w3.eth.wait_for_transaction_receipt(sent)["blockNumber"]
    whole = w3.eth.get_block(number, full_transactions=True)
    assert [(one["hash"], one["value"], one["from"]) for one in whole["transactions"]] == [(sent, 7, sender.address)]
    assert whole["transactions"][0] == w3.eth.get_transaction(sent)
    assert w3.eth.get_block(whole["hash"])["transactions"] == [sent]
    assert w3.eth.get_block(number - 1)["hash"] == whole["parentHash"]
    assert whole["gasUsed"] == 21_000


def test_the_node_signs_for_its_own_accounts(w3: Any, devnet: Devnet) -> None:
    sender, recipient = (account.address for account in devnet.accounts[2:4])
    before, nonce = w3.eth.get_balance(recipient), w3.eth.get_transaction_count(sender)
    sent = w3.eth.send_transaction({"from": sender, "to": recipient, "value": 5})
    assert w3.eth.wait_for_transaction_receipt(sent)["status"] == 1
    assert w3.eth.get_balance(recipient) == before + 5
    assert w3.eth.get_transaction_count(sender) == nonce + 1


def test_a_contract_is_created_and_answers(w3: Any, devnet: Devnet) -> None:
    found = deployed(w3, devnet)
    assert w3.eth.get_code(found.address) == contract.RUNTIME
    assert found.functions.answer().call() == contract.ANSWER


def test_a_revert_reaches_the_caller_with_its_reason(w3: Any, devnet: Devnet) -> None:
    function = deployed(w3, devnet).functions.refuse(1)
    for attempt in (function.call, function.estimate_gas):
        with pytest.raises(web3.exceptions.ContractLogicError, match=contract.REASON):
            attempt({"from": devnet.accounts[0].address})


def test_a_transaction_that_reverts_is_in_its_block_as_failed(w3: Any, devnet: Devnet) -> None:
    function = deployed(w3, devnet).functions.refuse(1)
    sent = function.transact({"from": devnet.accounts[0].address, "gas": 100_000})
    receipt = w3.eth.wait_for_transaction_receipt(sent)
    assert receipt["status"] == 0
    assert 21_000 < receipt["gasUsed"] < 100_000


def test_a_nonce_that_was_used_is_refused_in_geths_words(w3: Any, devnet: Devnet) -> None:
    sender, recipient = devnet.accounts[:2]
    w3.eth.send_raw_transaction(signed_transfer(w3, sender, recipient, 1))
    head, nonce = w3.eth.block_number, w3.eth.get_transaction_count(sender.address)
    with pytest.raises(web3.exceptions.Web3RPCError, match="nonce too low"):
        w3.eth.send_raw_transaction(signed_transfer(w3, sender, recipient, 2, nonce=nonce - 1))
    assert w3.eth.block_number == head


def test_a_value_beyond_the_balance_is_refused_in_geths_words(w3: Any, devnet: Devnet) -> None:
    sender, recipient = devnet.accounts[:2]
    with pytest.raises(web3.exceptions.Web3RPCError, match="insufficient funds for gas \\* price \\+ value"):
        w3.eth.send_raw_transaction(signed_transfer(w3, sender, recipient, sender.balance + 1))


def test_fee_history_covers_the_newest_blocks(w3: Any, devnet: Devnet) -> None:
    sender, recipient = devnet.accounts[:2]
    for _ in range(2):
        w3.eth.send_raw_transaction(signed_transfer(w3, sender, recipient, 1))
    head = w3.eth.get_block("latest")
    history = w3.eth.fee_history(2, "latest", [50])
    assert history["oldestBlock"] == head["number"] - 1
    # One base fee more than blocks: the last is that of the block to come.
    assert len(history["baseFeePerGas"]) == 3
    assert history["baseFeePerGas"][1] == head["baseFeePerGas"]
    assert history["gasUsedRatio"][1] == pytest.approx(head["gasUsed"] / head["gasLimit"])
    assert history["reward"] == [[ONE_GWEI], [ONE_GWEI]]


def test_a_batch_is_answered_in_its_order(w3: Any, devnet: Devnet) -> None:
    w3.eth.send_raw_transaction(signed_transfer(w3, devnet.accounts[0], devnet.accounts[1], 1))
    with w3.batch_requests() as batch:
        batch.add(w3.eth.get_block(0))
        for account in devnet.accounts:
            batch.add(w3.eth.get_balance(account.address))
        genesis, *balances = batch.execute()
    assert genesis["number"] == 0
    assert balances == [w3.eth.get_balance(account.address) for account in devnet.accounts]
    assert len(set(balances)) > 1


def test_new_heads_come_over_a_websocket(devnet: Devnet) -> None:
    sender, recipient = devnet.accounts[4:6]

    async def main() -> None:
        async with web3.AsyncWeb3(web3.WebSocketProvider(devnet.websocket_url)) as w3:
            subscription = await w3.eth.subscribe("newHeads")
            heads = w3.socket.process_subscriptions()
            for _ in range(2):
                sent = await w3.eth.send_transaction({"from": sender.address, "to": recipient.address, "value": 1})
                receipt = await w3.eth.wait_for_transaction_receipt(sent)
                told = await asyncio.wait_for(anext(heads), 10)
                assert told["subscription"] == subscription
                assert (told["result"]["number"], told["result"]["hash"]) == (
                    receipt["blockNumber"],
                    receipt["blockHash"],
                )
            assert await w3.eth.unsubscribe(subscription)

    asyncio.run(main())


def test_pending_transactions_come_over_a_websocket(devnet: Devnet) -> None:
    sender, recipient = devnet.accounts[5:7]

    async def main() -> None:
        async with web3.AsyncWeb3(web3.WebSocketProvider(devnet.websocket_url)) as w3:
            subscription = await w3.eth.subscribe("newPendingTransactions", True)
            sent = await w3.eth.send_transaction({"from": sender.address, "to": recipient.address, "value": 1})
            told = await asyncio.wait_for(anext(w3.socket.process_subscriptions()), 10)
            assert (told["subscription"], told["result"]["hash"]) == (subscription, sent)
            assert told["result"]["to"] == recipient.address

    asyncio.run(main())

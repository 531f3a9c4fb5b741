"""The real web3.py over HTTP."""

from __future__ import annotations

import pytest

from .conftest import Devnet

web3 = pytest.importorskip("web3", reason="web3.py is not installed")


def test_reads_a_balance_sends_a_transfer_and_gets_its_receipt(devnet: Devnet) -> None:
    w3 = web3.Web3(web3.Web3.HTTPProvider(devnet.url))
    account = w3.eth.account.from_key(devnet.secret)
    assert account.address == devnet.address
    before = w3.eth.get_balance(devnet.recipient)
    tip = w3.eth.max_priority_fee
    transaction = {
        "to": devnet.recipient,
        "value": 12_345,
        "gas": w3.eth.estimate_gas({"from": account.address, "to": devnet.recipient, "value": 12_345}),
        "nonce": w3.eth.get_transaction_count(account.address),
        "chainId": w3.eth.chain_id,
        "maxPriorityFeePerGas": tip,
        "maxFeePerGas": 2 * w3.eth.get_block("latest")["baseFeePerGas"] + tip,
    }
    sent = w3.eth.send_raw_transaction(account.sign_transaction(transaction).raw_transaction)
    receipt = w3.eth.wait_for_transaction_receipt(sent, timeout=10)
    assert (receipt["status"], receipt["gasUsed"]) == (1, 21_000)
    assert w3.eth.get_balance(devnet.recipient) == before + 12_345
    block = w3.eth.get_block(receipt["blockNumber"], full_transactions=True)
    assert [found["hash"] for found in block["transactions"]] == [sent]


def test_a_nonce_that_was_used_is_refused_in_geths_words(devnet: Devnet) -> None:
    w3 = web3.Web3(web3.Web3.HTTPProvider(devnet.url))
    sent = w3.eth.send_transaction({"from": devnet.address, "to": devnet.recipient, "value": 1})
    used = w3.eth.get_transaction(sent)
    again = {
        "to": devnet.recipient,
        "value": 2,
        "gas": 21_000,
        "nonce": used["nonce"],
        "chainId": w3.eth.chain_id,
        "gasPrice": 10**10,
    }
    signed = w3.eth.account.from_key(devnet.secret).sign_transaction(again)
    with pytest.raises(web3.exceptions.Web3RPCError, match="nonce too low"):
        w3.eth.send_raw_transaction(signed.raw_transaction)

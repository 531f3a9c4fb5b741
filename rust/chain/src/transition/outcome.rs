//! What a transition gives, as JSON.

use alloy_eips::{Encodable2718, eip7685::Requests};
use alloy_rlp::Encodable;
use evm::{BlockEnv, Executed, Fork, Outcome as How, Rules};
use exec::{BlockOutcome, ExecError};
use serde_json::{Map, Value, json};
use state::{MemoryState, roots::state_root};
use types::{Address, B256, Bloom, Bytes, Log, Outcome, Receipt, Recovered, Transaction, Withdrawal, keccak256};

use crate::execute;

/// What is known of the block besides its outcome.
pub(super) struct Facts<'a> {
    pub(super) rules: &'a Rules,
    pub(super) block: &'a BlockEnv,
    pub(super) withdrawals: Option<&'a [Withdrawal]>,
}

/// Before Byzantium receipts hold the root after their transaction.
pub(super) fn fill_roots(before: &MemoryState, outcome: &mut BlockOutcome) {
    if outcome.diffs.is_empty() {
        return;
    }
    let mut state = before.clone();
    for (receipt, diff) in outcome.receipts.iter_mut().zip(&outcome.diffs) {
        state.apply(diff);
        receipt.outcome = Outcome::StateRoot(state_root(&state));
    }
}

/// RLP of the list, as it stands in a block.
pub(super) fn body(transactions: &[&Transaction]) -> Bytes {
    let mut out = Vec::new();
    let payload_length = transactions.iter().map(|transaction| transaction.length()).sum();
    alloy_rlp::Header { list: true, payload_length }.encode(&mut out);
    for transaction in transactions {
        transaction.encode(&mut out);
    }
    out.into()
}

/// Accounts by address; what is zero or empty is left out, the balance apart.
pub(super) fn alloc(state: &MemoryState) -> Value {
    let mut addresses: Vec<&Address> = state.accounts.keys().collect();
    addresses.sort_unstable();
    let accounts = addresses.into_iter().map(|address| {
        let account = &state.accounts[address];
        let mut fields = Map::new();
        if let Some(code) = state.codes.get(&account.code_hash) {
            fields.insert("code".to_owned(), json!(code));
        }
        if let Some(slots) = state.storage.get(address) {
            let slots = slots.iter().map(|(slot, value)| (B256::from(*slot).to_string(), json!(B256::from(*value))));
            fields.insert("storage".to_owned(), Value::Object(slots.collect()));
        }
        fields.insert("balance".to_owned(), json!(account.balance));
        if account.nonce > 0 {
            fields.insert("nonce".to_owned(), hex(account.nonce));
        }
        (format!("{address:#x}"), Value::Object(fields))
    });
    Value::Object(accounts.collect())
}

pub(super) fn result(
    facts: &Facts<'_>,
    after: &MemoryState,
    outcome: &BlockOutcome,
    included: &[(Recovered, Executed)],
    rejected: &[(usize, String)],
    wrong: Option<&ExecError>,
) -> Value {
    let Facts { rules, block, withdrawals } = facts;
    let receipts_root = state::roots::ordered_root(outcome.receipts.iter().map(Encodable2718::encoded_2718));
    let txs_root =
        state::roots::ordered_root(included.iter().map(|(recovered, _)| recovered.transaction.encoded_2718()));
    let logs: Vec<&Log> = outcome.receipts.iter().flat_map(|receipt| &receipt.logs).collect();
    let mut bloom = Bloom::ZERO;
    logs.iter().for_each(|log| bloom.accrue_log(log));
    let mut encoded = Vec::new();
    alloy_rlp::encode_list::<_, Log>(&logs, &mut encoded);
    let mut fields = json!({
        "stateRoot": state_root(after),
        "txRoot": txs_root,
        "receiptsRoot": receipts_root,
        "logsHash": keccak256(encoded),
        "logsBloom": bloom,
        "receipts": receipts(block, outcome, included),
        "rejected": rejected.iter().map(|(index, error)| json!({"index": index, "error": error})).collect::<Vec<_>>(),
        "currentDifficulty": if rules.has(Fork::Paris) { Value::Null } else { json!(block.difficulty) },
        "gasUsed": hex(outcome.gas_used),
    });
    let mut since = |fork: Fork, name: &str, value: Option<Value>| {
        if let Some(value) = value.filter(|_| rules.has(fork)) {
            fields[name] = value;
        }
    };
    since(Fork::London, "currentBaseFee", block.base_fee.map(hex));
    since(Fork::Shanghai, "withdrawalsRoot", withdrawals.map(|list| json!(execute::withdrawals_root(list))));
    since(Fork::Cancun, "currentExcessBlobGas", block.excess_blob_gas.map(hex));
    since(Fork::Cancun, "blobGasUsed", Some(hex(outcome.blob_gas_used)));
    since(Fork::Prague, "requestsHash", Some(json!(Requests::new(outcome.requests.clone()).requests_hash())));
    since(Fork::Prague, "requests", Some(json!(outcome.requests)));
    since(Fork::Frontier, "blockException", wrong.map(|wrong| json!(exception(wrong))));
    fields
}

/// What is wrong with requests, in geth's words where it has some.
fn exception(wrong: &ExecError) -> String {
    match wrong {
        ExecError::SystemCallFailed { .. } => format!("system call failed to execute: {wrong}"),
        ExecError::MalformedDeposit { .. } => format!("failed to parse deposit logs: {wrong}"),
        other => other.to_string(),
    }
}

fn receipts(block: &BlockEnv, outcome: &BlockOutcome, included: &[(Recovered, Executed)]) -> Vec<Value> {
    let mut first_log = 0;
    let each = outcome.receipts.iter().zip(included).enumerate().map(|(index, (receipt, (recovered, executed)))| {
        let fields = receipt_fields(block, index, receipt, recovered, executed, first_log);
        first_log += receipt.logs.len();
        fields
    });
    each.collect()
}

fn receipt_fields(
    block: &BlockEnv,
    index: usize,
    receipt: &Receipt,
    recovered: &Recovered,
    executed: &Executed,
    first_log: usize,
) -> Value {
    let transaction = &recovered.transaction;
    let (root, status) = match receipt.outcome {
        Outcome::StateRoot(root) => (json!(root), executed.outcome.is_success()),
        Outcome::Status(status) => (json!("0x"), status),
    };
    let created = match executed.outcome {
        How::Success { created, .. } => created,
        How::Revert { .. } | How::Halt { .. } => {
            transaction.to().is_create().then(|| recovered.sender.create(transaction.nonce()))
        }
    };
    let logs = receipt.logs.iter().enumerate().map(|(place, log)| {
        json!({
            "address": format!("{:#x}", log.address),
            "topics": log.topics(),
            "data": log.data.data,
            "blockNumber": hex(block.number),
            "transactionHash": transaction.hash(),
            "transactionIndex": hex(index as u64),
            "blockHash": B256::ZERO,
            "logIndex": hex((first_log + place) as u64),
            "removed": false,
        })
    });
    json!({
        "type": hex(u64::from(receipt.kind)),
        "root": root,
        "status": hex(u64::from(status)),
        "cumulativeGasUsed": hex(receipt.cumulative_gas_used),
        "logsBloom": receipt.bloom(),
        "logs": logs.collect::<Vec<_>>(),
        "transactionHash": transaction.hash(),
        "contractAddress": format!("{:#x}", created.unwrap_or_default()),
        "gasUsed": hex(executed.gas_used),
        "effectiveGasPrice": format!("{:#x}", executed.gas_price),
        "blockHash": B256::ZERO,
        "transactionIndex": hex(index as u64),
    })
}

fn hex(number: u64) -> Value {
    json!(format!("{number:#x}"))
}

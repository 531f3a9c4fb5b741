//! Gas that a transaction costs before anything runs.

use types::{Payload, Transaction, TxKind};

use crate::spec::Rules;

/// Gas for being a transaction, and the least that its call data costs (zero before Prague). What a fork does not know
/// yet has no price there.
pub(super) fn gas(rules: &Rules, tx: &Transaction) -> (u64, u64) {
    let schedule = rules.instructions.schedule();
    // What an own kind asks for costs what call data costs.
    let payload = tx.payload().map(Payload::to_bytes);
    let input = payload.as_ref().unwrap_or(tx.input());
    let mut gas = schedule.transfer;
    // EIP-7623: a zero byte is one token, another four.
    let mut tokens = 0;
    if !input.is_empty() {
        let zeros = input.iter().filter(|byte| **byte == 0).count() as u64;
        let others = input.len() as u64 - zeros;
        gas += zeros * schedule.data_zero + others * schedule.data_nonzero;
        tokens = zeros + 4 * others;
    }
    if tx.to() == TxKind::Create {
        gas += schedule.create_transaction + schedule.initcode_word * input.len().div_ceil(32) as u64;
    }
    for item in tx.access_list().into_iter().flat_map(|list| list.iter()) {
        gas += schedule.access_list_address + schedule.access_list_slot * item.storage_keys.len() as u64;
    }
    gas += schedule.authorization * tx.authorizations().map_or(0, <[_]>::len) as u64;
    let floor = if schedule.data_floor == 0 { 0 } else { schedule.transfer + schedule.data_floor * tokens };
    (gas, floor)
}

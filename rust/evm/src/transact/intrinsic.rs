//! Gas that a transaction costs before anything runs.

use types::{Transaction, TxKind};

use crate::spec::{Fork, Rules};

const TRANSACTION: u64 = 21_000;
/// EIP-2: from Homestead on.
const CREATION: u64 = 32_000;
const ZERO_BYTE: u64 = 4;
const NONZERO_BYTE_FRONTIER: u64 = 68;
/// EIP-2028.
const NONZERO_BYTE_ISTANBUL: u64 = 16;
/// EIP-3860: per started 32 bytes of creation code.
const INIT_CODE_WORD: u64 = 2;
/// EIP-2930.
const ACCESS_LIST_ADDRESS: u64 = 2_400;
const ACCESS_LIST_SLOT: u64 = 1_900;
/// EIP-7702.
const AUTHORIZATION: u64 = 25_000;

/// EIP-7623: a zero byte is one token, another four.
const FLOOR_TOKEN: u64 = 10;

/// Gas for being a transaction, and the least that its call data costs (zero before Prague).
pub(super) fn gas(rules: &Rules, tx: &Transaction) -> (u64, u64) {
    let input = tx.input();
    let creates = tx.to() == TxKind::Create;
    let mut gas = TRANSACTION;
    let mut floor = if rules.has(Fork::Prague) { TRANSACTION } else { 0 };
    if !input.is_empty() {
        let zeros = input.iter().filter(|byte| **byte == 0).count() as u64;
        let others = input.len() as u64 - zeros;
        let nonzero = if rules.has(Fork::Istanbul) { NONZERO_BYTE_ISTANBUL } else { NONZERO_BYTE_FRONTIER };
        gas += zeros * ZERO_BYTE + others * nonzero;
        if rules.has(Fork::Prague) {
            floor += FLOOR_TOKEN * (zeros + 4 * others);
        }
    }
    if creates && rules.has(Fork::Homestead) {
        gas += CREATION;
    }
    if creates && rules.has(Fork::Shanghai) {
        gas += INIT_CODE_WORD * input.len().div_ceil(32) as u64;
    }
    for item in tx.access_list().into_iter().flat_map(|list| list.iter()) {
        gas += ACCESS_LIST_ADDRESS + ACCESS_LIST_SLOT * item.storage_keys.len() as u64;
    }
    gas += AUTHORIZATION * tx.authorizations().map_or(0, <[_]>::len) as u64;
    (gas, floor)
}

//! From an executed block to what its header must say. Import compares with it, production writes it down.

use std::sync::Arc;

use alloy_eips::{Encodable2718, eip7685::Requests};
use evm::{BlockEnv, Fork, spec::Rules};
use exec::{BlockOutcome, Mode};
use rayon::prelude::*;
use state::{
    StateDiff,
    roots::{self, Lattice},
};
use types::{B256, Block, Bloom, Body, Header, Outcome, Receipt, Transaction, U256, Withdrawal};

use crate::{BlockState, ChainError, history::Layer};

/// Items that one core writes before a second one pays.
const ENCODED_MIN: usize = 1_024;

/// What execution gave, with the commitments to it.
pub(crate) struct Concluded {
    pub(crate) receipts: Vec<Receipt>,
    pub(crate) receipts_root: B256,
    pub(crate) logs_bloom: Bloom,
    pub(crate) gas_used: u64,
    pub(crate) blob_gas_used: u64,
    pub(crate) requests_hash: B256,
    pub(crate) diff: StateDiff,
    pub(crate) update: roots::RootUpdate,
    pub(crate) lattice: Lattice,
    pub(crate) burned: U256,
    pub(crate) fees: U256,
}

/// What is asked of execution under these rules: before Byzantium each receipt holds the state root after its
/// transaction.
pub(crate) fn mode(rules: &Rules) -> Mode {
    Mode { diffs: !rules.has(Fork::Byzantium), ..Mode::default() }
}

/// Makes the commitments. `parent` is the state before the block, `lattice` its lattice hash.
pub(crate) fn conclude(
    parent: &BlockState,
    mut lattice: Lattice,
    mut outcome: BlockOutcome,
) -> Result<Concluded, ChainError> {
    if !outcome.diffs.is_empty() {
        let mut state = parent.clone();
        for (receipt, diff) in outcome.receipts.iter_mut().zip(outcome.diffs) {
            let update = roots::trie::apply(&state, &diff)?;
            receipt.outcome = Outcome::StateRoot(update.root);
            state.push(Arc::new(Layer { diff, nodes: update.nodes }));
        }
    }
    let (diff, receipts) = (&outcome.diff, &outcome.receipts);
    let (update, (receipts_root, logs_bloom)) = rayon::join(
        || roots::trie::apply(parent, diff),
        || {
            lattice.apply(diff);
            (encoded_root(receipts), receipts.iter().fold(Bloom::ZERO, |bloom, receipt| bloom | receipt.bloom()))
        },
    );
    let update = update?;
    Ok(Concluded {
        receipts_root,
        logs_bloom,
        gas_used: outcome.gas_used,
        blob_gas_used: outcome.blob_gas_used,
        requests_hash: Requests::new(outcome.requests).requests_hash(),
        receipts: outcome.receipts,
        diff: outcome.diff,
        update,
        lattice,
        burned: outcome.burned,
        fees: outcome.fees,
    })
}

/// The block that this header announces, as its transactions see it.
pub(crate) fn environment(header: &Header, ommers: &[Header]) -> BlockEnv {
    BlockEnv {
        number: header.number,
        timestamp: header.timestamp,
        beneficiary: header.beneficiary,
        gas_limit: header.gas_limit,
        base_fee: header.base_fee_per_gas,
        difficulty: header.difficulty,
        prev_randao: header.mix_hash,
        excess_blob_gas: header.excess_blob_gas,
        blob_base_fee: None,
        parent_hash: header.parent_hash,
        parent_beacon_root: header.parent_beacon_block_root,
        ommers: ommers.iter().map(|ommer| (ommer.beneficiary, ommer.number)).collect(),
    }
}

/// The roots over what a block holds.
pub(crate) fn transactions_root(transactions: &[Transaction]) -> B256 {
    encoded_root(transactions)
}

/// The root over a list of what EIP-2718 has a form for. Lists of a block are long: all cores write them.
fn encoded_root<T: Encodable2718 + Sync>(items: &[T]) -> B256 {
    let encoded: Vec<_> = items.par_iter().with_min_len(ENCODED_MIN).map(Encodable2718::encoded_2718).collect();
    roots::ordered_root(encoded)
}

/// See [`transactions_root`].
pub(crate) fn withdrawals_root(withdrawals: &[Withdrawal]) -> B256 {
    roots::ordered_root(withdrawals.iter().map(alloy_rlp::encode))
}

/// The withdrawals of a body; none before Shanghai.
pub(crate) fn withdrawals(body: &Body) -> &[Withdrawal] {
    body.withdrawals.as_ref().map_or(&[], |withdrawals| withdrawals.as_slice())
}

/// Bytes of a block's RLP.
pub(crate) fn block_size_bytes(block: &Block) -> usize {
    alloy_rlp::Encodable::length(block)
}

//! From an executed block to what its header must say. Import compares with it, production writes it down.

use std::sync::Arc;

use alloy_eips::{Encodable2718, eip7685::Requests};
use evm::{BlockEnv, Fork, spec::Rules};
use exec::{BlockOutcome, Mode};
use kernels::recover::{self, PIECE, SignedHash, recover_addresses};
use rayon::prelude::*;
use state::{
    StateDiff, Stop, Stopped,
    roots::{self, Lattice},
};
use types::{Address, B256, Block, Bloom, Body, Header, Outcome, Receipt, RecoverError, Transaction, U256, Withdrawal};

use crate::{BlockState, ChainError, history::Layer};

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
    Mode { diffs: !rules.has(Fork::Byzantium) }
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
    let diff = &outcome.diff;
    let (update, ()) = rayon::join(|| roots::trie::apply(parent, diff), || lattice.apply(diff));
    let update = update?;
    let mut logs_bloom = Bloom::ZERO;
    for receipt in &outcome.receipts {
        logs_bloom |= receipt.bloom();
    }
    Ok(Concluded {
        receipts_root: roots::ordered_root(outcome.receipts.iter().map(Encodable2718::encoded_2718)),
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
    roots::ordered_root(transactions.iter().map(Encodable2718::encoded_2718))
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

/// Who sent each transaction. The one place where the chain recovers senders: pieces go to all cores, one that is not
/// worth waking another core stays here.
pub(crate) fn recover(transactions: &[&Transaction]) -> Result<Vec<Result<Address, RecoverError>>, Stopped> {
    if transactions.len() <= PIECE {
        return Ok(recover_piece(transactions));
    }
    let stop = Stop::current();
    let pieces = transactions.par_chunks(PIECE).map(|piece| stop.check().map(|()| recover_piece(piece)));
    let pieces: Vec<_> = pieces.collect::<Result<_, _>>()?;
    Ok(pieces.concat())
}

fn recover_piece(transactions: &[&Transaction]) -> Vec<Result<Address, RecoverError>> {
    let signed: Vec<_> = transactions
        .iter()
        .map(|transaction| {
            let signature = transaction.signature();
            SignedHash {
                hash: transaction.signature_hash().0,
                r: signature.r().to_be_bytes(),
                s: signature.s().to_be_bytes(),
                recovery_id: u8::from(signature.v()),
            }
        })
        .collect();
    let senders = recover_addresses(&signed).into_iter();
    senders
        .map(|sender| {
            sender.map_err(|error| match error {
                recover::RecoverError::OutOfRange => RecoverError::OutOfRange,
                recover::RecoverError::NoKey => RecoverError::NoKey,
                recover::RecoverError::InvalidRecoveryId { .. } => unreachable!("a parity is 0 or 1"),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use types::{
        B256, Key, Signature, U256,
        tx::{TxEip1559, TxLegacy},
    };

    use super::*;

    #[test]
    fn senders_of_a_batch_are_those_of_one_transaction_after_the_other() {
        let key = |i: u8| Key::from_bytes(&B256::repeat_byte(i % 7 + 1)).unwrap();
        let mut transactions: Vec<_> = (0..200u8)
            .map(|i| match i % 3 {
                0 => Transaction::sign(TxLegacy { nonce: i.into(), ..Default::default() }, &key(i)),
                1 => Transaction::sign(TxEip1559 { nonce: i.into(), ..Default::default() }, &key(i)),
                // No point has x = 5, and nobody can sign with r = 0.
                _ => {
                    let r = U256::from(if i % 2 == 0 { 5 } else { 0 });
                    Transaction::from_parts(TxLegacy::default(), Signature::new(r, U256::ONE, false))
                }
            })
            .collect();
        for length in [200, PIECE + 1, PIECE, 3, 1, 0] {
            transactions.truncate(length);
            let all: Vec<_> = transactions.iter().collect();
            assert_eq!(recover(&all).unwrap(), all.iter().map(|transaction| transaction.recover()).collect::<Vec<_>>());
        }
    }
}

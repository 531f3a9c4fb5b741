//! Receipts of what all workers did, in the block's order: made by all of them, a stretch of the block each.
//!
//! A stretch counts gas from its own beginning. How much there was before it is known when all are made, and so is
//! whether each transaction had room in the block.

use evm::{Executed, spec::chain::BLOB_GAS};
use rayon::prelude::*;
use types::{Receipt, Recovered, U256};

use super::run::Work;
use crate::{BlockOutcome, block::receipt, spare::Ended};

/// Transactions of a stretch.
const STRETCH: usize = 512;

/// What is kept of a transaction that ran.
pub(crate) struct Ran {
    /// With its own gas for the block's.
    receipt: Receipt,
    gas_limit: u64,
    blob_gas_used: u64,
    burned: U256,
    fees: U256,
}

impl Ran {
    pub(super) fn new(work: &Work<'_>, transaction: &Recovered, mut executed: Executed) -> Self {
        let gas_used = executed.gas_used;
        Self {
            receipt: receipt(work.rules, transaction, &mut executed, gas_used),
            gas_limit: transaction.transaction.gas_limit(),
            blob_gas_used: executed.blob_gas_used,
            burned: executed.burned,
            fees: executed.tip,
        }
    }
}

/// What one worker did: numbers of transactions, ascending, and what came of each.
pub(super) type List<'d> = (&'d [u32], &'d mut [Ended]);

/// What came of a stretch of the block.
struct Made {
    receipts: Vec<Receipt>,
    /// The most gas that a transaction needed room for, what was used before it in the stretch included.
    gas_wanted: u64,
    gas_used: u64,
    blob_gas_used: u64,
    burned: U256,
    fees: U256,
}

/// Takes in so many transactions; None where one was refused or has no room.
pub(super) fn add(
    mut outcome: BlockOutcome,
    work: &Work<'_>,
    transactions: usize,
    lists: Vec<List<'_>>,
) -> Option<BlockOutcome> {
    let mut rest = lists;
    let ends = (1..=transactions.div_ceil(STRETCH)).map(|stretch| (stretch * STRETCH).min(transactions));
    let stretches: Vec<Vec<List<'_>>> = ends.map(|end| up_to(&mut rest, end as u32)).collect();
    let made: Vec<Option<Made>> = stretches.into_par_iter().map(make).collect();
    outcome.receipts.reserve_exact(transactions);
    for made in made {
        let made = made?;
        if made.gas_wanted > work.env.gas_limit - outcome.gas_used {
            return None;
        }
        let before = outcome.gas_used;
        outcome.receipts.extend(made.receipts.into_iter().map(|mut receipt| {
            receipt.cumulative_gas_used += before;
            receipt
        }));
        outcome.gas_used += made.gas_used;
        outcome.blob_gas_used += made.blob_gas_used;
        outcome.burned += made.burned;
        outcome.fees += made.fees;
    }
    (outcome.blob_gas_used / BLOB_GAS <= work.rules.blobs.max).then_some(outcome)
}

/// Splits off what stands before the transaction with this number.
fn up_to<'d>(lists: &mut [List<'d>], end: u32) -> Vec<List<'d>> {
    let split = lists.iter_mut().filter_map(|(numbers, ended)| {
        let count = numbers.partition_point(|number| *number < end);
        let (first, rest) = numbers.split_at(count);
        let (first_ended, rest_ended) = std::mem::take(ended).split_at_mut(count);
        (*numbers, *ended) = (rest, rest_ended);
        (count > 0).then_some((first, first_ended))
    });
    split.collect()
}

/// One stretch; None where a transaction was refused.
fn make(mut lists: Vec<List<'_>>) -> Option<Made> {
    let count = lists.iter().map(|(numbers, _)| numbers.len()).sum();
    let mut made = Made {
        receipts: Vec::with_capacity(count),
        gas_wanted: 0,
        gas_used: 0,
        blob_gas_used: 0,
        burned: U256::ZERO,
        fees: U256::ZERO,
    };
    for _ in 0..count {
        let next = lists.iter_mut().min_by_key(|(numbers, _)| numbers.first().copied().unwrap_or(u32::MAX))?;
        let (numbers, ended) = next;
        *numbers = &numbers[1..];
        let (first, rest) = std::mem::take(ended).split_first_mut().expect("one for each number");
        *ended = rest;
        let Ran { mut receipt, gas_limit, blob_gas_used, burned, fees } = first.take()?;
        made.gas_wanted = made.gas_wanted.max(made.gas_used.checked_add(gas_limit)?);
        made.gas_used += receipt.cumulative_gas_used;
        made.blob_gas_used += blob_gas_used;
        made.burned += burned;
        made.fees += fees;
        receipt.cumulative_gas_used = made.gas_used;
        made.receipts.push(receipt);
    }
    Some(made)
}

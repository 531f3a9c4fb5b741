//! What gas costs: in the next block, and in past ones.

use std::sync::Arc;

use chain::{
    BlockRef,
    evm::spec::chain::BLOB_GAS,
    state::StoredBlock,
    types::{Header, Transaction},
};

use crate::{
    Context,
    arguments::Number,
    error::RpcError,
    json::{Decimal, Fields, Object, ToJson},
};

/// What is offered to producers where the chain gives no hint: one gwei, as geth has it.
const DEFAULT_TIP: u128 = 1_000_000_000;

/// No advice is above this, whatever people pay: 500 gwei.
const TIP_MAX: u128 = 500_000_000_000;

/// The advice looks at this many blocks, and at as many of the lowest tips of each, and takes this percentile of them:
/// geth's choices.
const BLOCKS_SAMPLED: u64 = 20;
const TIPS_SAMPLED: usize = 3;
const PERCENTILE: usize = 60;

pub(super) fn gas_price(context: &Context<'_>, (): ()) -> Result<u128, RpcError> {
    let base_fee = context.chain().head().header.base_fee_per_gas.unwrap_or_default();
    Ok(tip(context)? + u128::from(base_fee))
}

pub(super) fn max_priority_fee(context: &Context<'_>, (): ()) -> Result<u128, RpcError> {
    tip(context)
}

fn tip(context: &Context<'_>) -> Result<u128, RpcError> {
    let head = context.chain().head();
    let mut sampled = Vec::new();
    for number in (head.id.number.saturating_sub(BLOCKS_SAMPLED - 1)..=head.id.number).rev() {
        let Some(header) = context.header(number.into())? else { break };
        if header.gas_used == 0 {
            continue;
        }
        let Some(block) = context.block(number.into())? else { break };
        let mut tips: Vec<u128> =
            block.body.transactions.iter().map(|transaction| tip_paid(transaction, &header)).collect();
        tips.sort_unstable();
        sampled.extend(tips.into_iter().take(TIPS_SAMPLED));
    }
    sampled.sort_unstable();
    let advice = sampled.get((sampled.len().max(1) - 1) * PERCENTILE / 100);
    Ok(advice.copied().unwrap_or(DEFAULT_TIP).min(TIP_MAX))
}

fn tip_paid(transaction: &Transaction, header: &Header) -> u128 {
    let base_fee = header.base_fee_per_gas;
    transaction.effective_gas_price(base_fee) - u128::from(base_fee.unwrap_or_default())
}

pub(super) fn blob_base_fee(context: &Context<'_>, (): ()) -> Result<u128, RpcError> {
    Ok(context.chain().next_blob_base_fee().unwrap_or_default())
}

/// Most blocks in one answer, as for geth.
const HISTORY_BLOCKS_MAX: u64 = 1_024;

/// Most percentiles in one question, as for geth.
const PERCENTILES_MAX: usize = 100;

/// A row per block, and the fees of the block after them.
pub(super) struct FeeHistory {
    oldest: u64,
    blocks: Vec<BlockFees>,
    next: (u64, u128),
    with_rewards: bool,
}

struct BlockFees {
    base_fee: u64,
    gas_used_ratio: f64,
    blob_base_fee: u128,
    blob_gas_used_ratio: f64,
    /// Tips at the percentiles.
    rewards: Vec<u128>,
}

pub(super) fn fee_history(
    context: &Context<'_>,
    (count, newest, percentiles): (Number, BlockRef, Option<Vec<f64>>),
) -> Result<FeeHistory, RpcError> {
    let with_rewards = percentiles.is_some();
    let percentiles = percentiles.unwrap_or_default();
    check_percentiles(&percentiles)?;
    let newest = context.chain().id(newest).map_err(|_| RpcError::refused("request beyond head block"))?.number;
    let count = count.0.min(HISTORY_BLOCKS_MAX).min(newest + 1);
    let oldest = newest + 1 - count;
    let mut blocks = Vec::new();
    for number in oldest..=newest {
        let Some(block) = context.block(number.into())? else { break };
        blocks.push(block_fees(context, &block, &percentiles));
    }
    let (base_fee, blob_base_fee) = context.chain().base_fees_after(newest.into())?;
    let next = (base_fee.unwrap_or_default(), blob_base_fee.unwrap_or_default());
    Ok(FeeHistory { oldest, blocks, next, with_rewards })
}

fn check_percentiles(percentiles: &[f64]) -> Result<(), RpcError> {
    if percentiles.len() > PERCENTILES_MAX {
        let message = format!("over the query limit {PERCENTILES_MAX}: {} percentiles", percentiles.len());
        return Err(RpcError::invalid_params(message));
    }
    for (index, percentile) in percentiles.iter().enumerate() {
        if !(0.0..=100.0).contains(percentile) {
            return Err(RpcError::invalid_params(format!("invalid reward percentile: {percentile}")));
        }
        if index > 0 && percentiles[index - 1] >= *percentile {
            let before = percentiles[index - 1];
            let message = format!("invalid reward percentile: #{}:{before} >= #{index}:{percentile}", index - 1);
            return Err(RpcError::invalid_params(message));
        }
    }
    Ok(())
}

fn block_fees(context: &Context<'_>, block: &Arc<StoredBlock>, percentiles: &[f64]) -> BlockFees {
    let header = &block.header;
    let blobs = context.chain().spec().rules(header.number, header.timestamp).blobs;
    let blob_gas_max = blobs.max * BLOB_GAS;
    BlockFees {
        base_fee: header.base_fee_per_gas.unwrap_or_default(),
        gas_used_ratio: ratio(header.gas_used, header.gas_limit),
        blob_base_fee: header.excess_blob_gas.map_or(0, |excess| blobs.base_fee(excess)),
        blob_gas_used_ratio: ratio(header.blob_gas_used.unwrap_or_default(), blob_gas_max),
        rewards: rewards(block, percentiles),
    }
}

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// The tips at which these shares of the block's gas are reached, transactions sorted by tip.
fn rewards(block: &StoredBlock, percentiles: &[f64]) -> Vec<u128> {
    let mut before = 0;
    let mut paid: Vec<(u128, u64)> = Vec::with_capacity(block.receipts.len());
    for (transaction, receipt) in block.body.transactions.iter().zip(&block.receipts) {
        paid.push((tip_paid(transaction, &block.header), receipt.cumulative_gas_used - before));
        before = receipt.cumulative_gas_used;
    }
    paid.sort_unstable();
    let (mut index, mut sum) = (0, paid.first().map_or(0, |(_, gas)| *gas));
    let reward = |percentile: &f64| {
        let threshold = (block.header.gas_used as f64 * percentile / 100.0) as u64;
        while sum < threshold && index + 1 < paid.len() {
            index += 1;
            sum += paid[index].1;
        }
        paid.get(index).map_or(0, |(tip, _)| *tip)
    };
    percentiles.iter().map(reward).collect()
}

impl ToJson for FeeHistory {
    fn write(&self, out: &mut Vec<u8>) {
        let column = |of: fn(&BlockFees) -> f64| self.blocks.iter().map(|block| Decimal(of(block))).collect::<Vec<_>>();
        Fields(|object: &mut Object<'_>| {
            object.field("oldestBlock", &self.oldest);
            let rewards: Vec<_> = self.blocks.iter().map(|block| &block.rewards).collect();
            object.maybe("reward", self.with_rewards.then_some(&rewards));
            if !self.blocks.is_empty() {
                let base_fees = self.blocks.iter().map(|block| block.base_fee).chain([self.next.0]);
                let blob_base_fees = self.blocks.iter().map(|block| block.blob_base_fee).chain([self.next.1]);
                object
                    .field("baseFeePerGas", &base_fees.collect::<Vec<_>>())
                    .field("gasUsedRatio", &column(|block| block.gas_used_ratio))
                    .field("baseFeePerBlobGas", &blob_base_fees.collect::<Vec<_>>())
                    .field("blobGasUsedRatio", &column(|block| block.blob_gas_used_ratio));
            } else {
                object.field("gasUsedRatio", &column(|block| block.gas_used_ratio));
            }
        })
        .write(out);
    }
}

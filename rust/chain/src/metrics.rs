//! What making blocks has done so far, in numbers.

use std::{collections::BTreeMap, time::Duration};

use exec::Times;

use crate::Trouble;

/// What the dispatcher has done since the chain was opened.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExecutionMetrics {
    /// Blocks made of what waited.
    pub blocks: u64,
    /// Transactions executed for them, included or not.
    pub processed: u64,
    /// Gas of those that were included.
    pub gas: u64,
    /// Mean time of executing one, on the core that did.
    pub mean: Duration,
    /// 99 of 100 took no longer, within an eighth.
    pub p99: Duration,
    /// How the score cache does: share of factors that it knew.
    pub cache_hit_rate: f64,
    /// Share of transactions that vector code ranked.
    pub simd_utilisation: f64,
    /// How often each trouble was met.
    pub errors: BTreeMap<&'static str, u64>,
    /// Transactions in a batch at present.
    pub batch_size: usize,
    /// Batches undone and run again.
    pub aborted_batches: u64,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Record {
    pub(crate) blocks: u64,
    pub(crate) gas: u64,
    pub(crate) aborted_batches: u64,
    processed: u64,
    times: Times,
    errors: BTreeMap<&'static str, u64>,
}

impl Record {
    /// One was executed.
    pub(crate) fn executed(&mut self, time: Duration) {
        self.processed += 1;
        self.times.note(time);
    }

    /// So many were executed at once. A part of them may have run before others were there, or twice: there may be
    /// other times than transactions.
    pub(crate) fn executed_at_once(&mut self, count: usize, times: &Times) {
        self.processed += count as u64;
        self.times.add(times);
    }

    /// One could not be included.
    pub(crate) fn trouble(&mut self, trouble: &Trouble) {
        *self.errors.entry(trouble.kind()).or_default() += 1;
    }

    pub(crate) fn metrics(&self, pool: &pool::Pool, batch_size: usize) -> ExecutionMetrics {
        ExecutionMetrics {
            blocks: self.blocks,
            processed: self.processed,
            gas: self.gas,
            mean: self.times.mean(),
            p99: self.times.percentile(99),
            cache_hit_rate: pool.cache_stats().hit_rate(),
            simd_utilisation: pool.score_stats().utilisation(),
            errors: self.errors.clone(),
            batch_size,
            aborted_batches: self.aborted_batches,
        }
    }
}

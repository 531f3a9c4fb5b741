//! What making blocks has done so far, in numbers.

use std::{collections::BTreeMap, time::Duration};

use crate::Trouble;

/// Bins of the histogram of times: 8 from each power of two nanoseconds to the next, up to a minute.
const BINS: usize = 8 * 36;

/// What the dispatcher has done since the chain was opened.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ExecutionMetrics {
    /// Blocks made of what waited.
    pub blocks: u64,
    /// Transactions executed for them, included or not.
    pub processed: u64,
    /// Gas of those that were included.
    pub gas: u64,
    /// Mean time of executing one.
    pub mean: Duration,
    /// 99 of 100 took no longer, within an eighth. Those of a block that was executed at once, on several cores, count
    /// with their share of its time: as much of it as of its gas.
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

#[derive(Clone, Debug)]
pub(crate) struct Record {
    pub(crate) blocks: u64,
    pub(crate) gas: u64,
    pub(crate) aborted_batches: u64,
    processed: u64,
    total: Duration,
    times: [u64; BINS],
    errors: BTreeMap<&'static str, u64>,
}

impl Default for Record {
    fn default() -> Self {
        Self {
            blocks: 0,
            gas: 0,
            aborted_batches: 0,
            processed: 0,
            total: Duration::ZERO,
            times: [0; BINS],
            errors: BTreeMap::new(),
        }
    }
}

impl Record {
    /// One was executed.
    pub(crate) fn executed(&mut self, time: Duration) {
        self.processed += 1;
        self.total += time;
        self.note(time.as_nanos() as u64);
    }

    /// Transactions that used so much gas each were executed in this time, on however many cores.
    pub(crate) fn executed_together(&mut self, gas: impl Iterator<Item = u64> + Clone, time: Duration) {
        let gas_of_all = gas.clone().sum::<u64>().max(1);
        let nanos_per_gas = time.as_nanos() as f64 / gas_of_all as f64;
        for gas in gas {
            self.processed += 1;
            self.note((gas as f64 * nanos_per_gas) as u64);
        }
        self.total += time;
    }

    fn note(&mut self, nanos: u64) {
        let nanos = nanos | 8;
        let power = nanos.ilog2() as usize;
        let bin = (power - 3) * 8 + (nanos >> (power - 3)) as usize % 8;
        self.times[bin.min(BINS - 1)] += 1;
    }

    /// One could not be included.
    pub(crate) fn trouble(&mut self, trouble: &Trouble) {
        *self.errors.entry(trouble.kind()).or_default() += 1;
    }

    /// The upper end of the bin that holds the 99th percentile.
    fn p99(&self) -> Duration {
        let mut left = (self.processed * 99).div_ceil(100);
        for (bin, count) in self.times.iter().enumerate() {
            left = left.saturating_sub(*count);
            if left == 0 && self.processed > 0 {
                return Duration::from_nanos((9 + bin as u64 % 8) << (bin / 8));
            }
        }
        Duration::ZERO
    }

    pub(crate) fn metrics(&self, pool: &pool::Pool, batch_size: usize) -> ExecutionMetrics {
        let nanos = self.total.as_nanos().checked_div(u128::from(self.processed)).unwrap_or_default();
        ExecutionMetrics {
            blocks: self.blocks,
            processed: self.processed,
            gas: self.gas,
            mean: Duration::from_nanos(nanos as u64),
            p99: self.p99(),
            cache_hit_rate: pool.cache_stats().hit_rate(),
            simd_utilisation: pool.score_stats().utilisation(),
            errors: self.errors.clone(),
            batch_size,
            aborted_batches: self.aborted_batches,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_percentile_is_the_time_of_the_slowest_hundredth_within_an_eighth() {
        let mut record = Record::default();
        assert_eq!(record.p99(), Duration::ZERO);
        for _ in 0..99 {
            record.executed(Duration::from_nanos(1_000));
        }
        record.executed(Duration::from_secs(3_600));
        let told = record.p99().as_nanos();
        assert!((1_000..=1_125).contains(&told), "{told}");
        record.executed(Duration::from_micros(80));
        let told = record.p99().as_nanos();
        assert!((80_000..=90_000).contains(&told), "{told}");
    }

    #[test]
    fn of_a_block_that_was_executed_at_once_the_heavy_ones_take_the_time() {
        let mut record = Record::default();
        let gas = [[21_000; 98].as_slice(), &[1_000_000; 2]].concat();
        record.executed_together(gas.iter().copied(), Duration::from_micros(4_058));
        let told = record.p99().as_nanos();
        assert!((1_000_000..=1_125_000).contains(&told), "{told}");
        assert_eq!((record.processed, record.total), (100, Duration::from_micros(4_058)));
        // Nothing to share, nothing to divide by.
        record.executed_together([0, 0].into_iter(), Duration::from_micros(1));
        record.executed_together(std::iter::empty(), Duration::ZERO);
        assert_eq!(record.processed, 102);
    }
}

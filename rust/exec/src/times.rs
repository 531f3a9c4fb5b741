//! How long transactions took, each on the clock of the worker that ran it.
//!
//! A histogram of fixed size: to note a time takes some nanoseconds and no memory, workers keep one each, and those are
//! added up. What workers do for several transactions together (looking up whom they are about) is shared evenly by
//! these; everything else is measured transaction by transaction, one look at the clock each.

use std::time::Duration;

/// Bins: 8 from each power of two nanoseconds to the next, up to a minute.
const BINS: usize = 8 * 36;

/// Times of transactions, those that ran twice counted twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Times {
    count: u64,
    total: Duration,
    bins: [u64; BINS],
}

impl Default for Times {
    fn default() -> Self {
        Self { count: 0, total: Duration::ZERO, bins: [0; BINS] }
    }
}

impl Times {
    /// One took so long.
    pub fn note(&mut self, time: Duration) {
        self.count += 1;
        self.total += time;
        let nanos = time.as_nanos() as u64 | 8;
        let power = nanos.ilog2() as usize;
        let bin = (power - 3) * 8 + (nanos >> (power - 3)) as usize % 8;
        self.bins[bin.min(BINS - 1)] += 1;
    }

    /// Takes in others.
    pub fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.total += other.total;
        self.bins.iter_mut().zip(&other.bins).for_each(|(bin, more)| *bin += more);
    }

    /// How many were noted.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// What one took on average; zero where none was noted.
    pub fn mean(&self) -> Duration {
        let nanos = self.total.as_nanos().checked_div(u128::from(self.count)).unwrap_or_default();
        Duration::from_nanos(nanos as u64)
    }

    /// So many of a hundred took no longer, within an eighth; zero where none was noted.
    pub fn percentile(&self, percent: u64) -> Duration {
        let mut left = (self.count * percent).div_ceil(100);
        for (bin, count) in self.bins.iter().enumerate() {
            left = left.saturating_sub(*count);
            if left == 0 && self.count > 0 {
                return Duration::from_nanos((9 + bin as u64 % 8) << (bin / 8));
            }
        }
        Duration::ZERO
    }
}

/// Measures one transaction after the other.
pub(crate) struct Timing {
    clock: Option<fn() -> Duration>,
    begun: Duration,
    /// Each one's part of what was done for all.
    share: Duration,
    pub(crate) times: Times,
}

impl Timing {
    /// By no clock: nothing is measured.
    pub(crate) fn none() -> Self {
        Self::by(None)
    }

    pub(crate) fn by(clock: Option<fn() -> Duration>) -> Self {
        Self { clock, begun: Duration::ZERO, share: Duration::ZERO, times: Times::default() }
    }

    fn elapsed(&mut self) -> Option<Duration> {
        let now = self.clock?();
        Some(now - std::mem::replace(&mut self.begun, now))
    }

    /// From here on something is done for the next ones.
    pub(crate) fn begin(&mut self) {
        self.elapsed();
    }

    /// What was done since was done for so many.
    pub(crate) fn share(&mut self, count: usize) {
        if let Some(time) = self.elapsed() {
            self.share = time / count.max(1) as u32;
        }
    }

    /// One has ended.
    #[inline]
    pub(crate) fn end(&mut self) {
        if let Some(time) = self.elapsed() {
            self.times.note(time + self.share);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn the_percentile_is_the_time_of_the_slowest_hundredth_within_an_eighth() {
        let mut times = Times::default();
        assert_eq!((times.percentile(99), times.mean()), (Duration::ZERO, Duration::ZERO));
        for _ in 0..99 {
            times.note(Duration::from_nanos(1_000));
        }
        times.note(Duration::from_secs(3_600));
        let told = times.percentile(99).as_nanos();
        assert!((1_000..=1_125).contains(&told), "{told}");
        let mut more = Times::default();
        more.note(Duration::from_micros(80));
        times.add(&more);
        let told = times.percentile(99).as_nanos();
        assert!((80_000..=90_000).contains(&told), "{told}");
        assert_eq!(times.count(), 101);
    }

    #[test]
    fn each_has_its_own_time_and_its_part_of_what_was_done_for_all() {
        thread_local! {
            static NOW: Cell<u64> = const { Cell::new(0) };
        }
        let pass = |micros: u64| NOW.set(NOW.get() + micros);
        let mut timing = Timing::by(Some(|| Duration::from_micros(NOW.get())));
        timing.begin();
        pass(20);
        timing.share(2);
        pass(5);
        timing.end();
        pass(985);
        timing.end();
        assert_eq!((timing.times.count(), timing.times.mean()), (2, Duration::from_micros(505)));
        let told = [50, 99].map(|percent| timing.times.percentile(percent).as_micros());
        assert!((15..=17).contains(&told[0]) && (995..=1_120).contains(&told[1]), "{told:?}");
        let mut none = Timing::none();
        none.begin();
        none.share(1);
        none.end();
        assert_eq!(none.times, Times::default());
    }
}

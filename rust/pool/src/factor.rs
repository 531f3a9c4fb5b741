//! How much a sender is trusted: what came of its past transactions, as a factor of its score.
//!
//! A [`History`] holds a sender's last executions; its factor for a class is made of them, one by one, which is why
//! [`Factors`] keeps made factors by (sender, class). A cached factor is good until the sender's history changes or its
//! time is over. Whole numbers only: the same history gives the same factor on every machine.

use std::num::NonZeroUsize;

use lru::LruCache;
use types::Address;

use crate::{Class, Memory};

/// Steps of the factor, from 0.5 to 2 by tenths.
pub const STEPS: usize = 16;

/// The step of 1: unknown senders.
pub const NEUTRAL: u8 = 5;

/// The factor of a step.
pub fn factor_of(step: u8) -> f64 {
    f64::from(5 + u32::from(step)) / 10.0
}

/// How an execution ended, as far as trust is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// In a block, and it did what it does. How many eighths of its gas limit it used, rounded down, 7 at most.
    Included {
        /// Eighths.
        gas_eighths: u8,
    },
    /// In a block, with a failed receipt.
    Reverted,
    /// Tried for a block, and left out for a reason of its own.
    Skipped,
}

impl Ending {
    /// An included transaction's.
    pub fn of_receipt(success: bool, gas_used: u64, gas_limit: u64) -> Self {
        let eighths = u128::from(gas_used) * 8 / u128::from(gas_limit.max(1));
        if success { Self::Included { gas_eighths: eighths.min(7) as u8 } } else { Self::Reverted }
    }

    /// What it says for (or against) the sender: from -2 to 2. Who asks for much more gas than it uses takes room from
    /// others.
    fn worth(self) -> i32 {
        match self {
            Self::Included { gas_eighths: 4.. } => 2,
            Self::Included { .. } => 1,
            Self::Reverted => -1,
            Self::Skipped => -2,
        }
    }
}

/// Executions of a sender that are remembered.
const REMEMBERED: usize = 32;

/// A sender's last executions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Class and ending; the oldest is overwritten.
    records: [Option<(Class, Ending)>; REMEMBERED],
    /// Where the next one goes.
    next: u8,
    /// Classes of which a factor was asked: those that may be in the cache.
    asked: u8,
    /// How many there were of each, the forgotten ones too.
    pub included: u64,
    /// See `included`.
    pub reverted: u64,
    /// See `included`.
    pub skipped: u64,
}

impl History {
    fn record(&mut self, class: Class, ending: Ending) {
        self.records[usize::from(self.next)] = Some((class, ending));
        self.next = (self.next + 1) % REMEMBERED as u8;
        match ending {
            Ending::Included { .. } => self.included += 1,
            Ending::Reverted => self.reverted += 1,
            Ending::Skipped => self.skipped += 1,
        }
    }

    /// The step of the sender's factor for a class. Executions of the same class count twice; a memory full of the
    /// best of them gives 2, of the worst 0.5.
    pub fn step(&self, class: Class) -> u8 {
        let worth =
            self.records.iter().flatten().map(|(other, ending)| ending.worth() * (1 + i32::from(*other == class)));
        let sum: i32 = worth.sum();
        // At most 2 · 2 · 32 = 128 either way.
        let steps = if sum >= 0 { (10 * sum + 64) / 128 } else { (5 * sum - 64) / 128 };
        (i32::from(NEUTRAL) + steps).clamp(0, STEPS as i32 - 1) as u8
    }
}

#[derive(Clone, Copy, Debug)]
struct Cached {
    step: u8,
    /// The head's when it was made.
    time: u64,
    height: u64,
    stale: bool,
}

/// How well the cache does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStats {
    /// Questions that the cache answered.
    pub hits: u64,
    /// Questions for which a history had to be read.
    pub misses: u64,
    /// Entries.
    pub size: usize,
    /// Most entries.
    pub capacity: usize,
}

impl CacheStats {
    /// Share of questions that the cache answered; 0 where there were none.
    pub fn hit_rate(&self) -> f64 {
        let asked = self.hits + self.misses;
        if asked == 0 { 0.0 } else { self.hits as f64 / asked as f64 }
    }
}

/// Histories of senders, and the cache of what follows from them.
#[derive(Clone, Debug)]
pub struct Factors {
    histories: LruCache<Address, History>,
    cache: LruCache<(Address, Class), Cached>,
    seconds: u64,
    /// The head's.
    time: u64,
    height: u64,
    hits: u64,
    misses: u64,
}

impl Factors {
    /// Nothing known of anybody.
    pub fn new(memory: Memory) -> Self {
        let entries = |count| NonZeroUsize::new(count).unwrap_or(NonZeroUsize::MIN);
        Self {
            histories: LruCache::new(entries(memory.senders)),
            cache: LruCache::new(entries(memory.cache_entries)),
            seconds: memory.cache_seconds,
            time: 0,
            height: 0,
            hits: 0,
            misses: 0,
        }
    }

    /// The head is now this block.
    pub fn advance(&mut self, height: u64, time: u64) {
        (self.height, self.time) = (height, time);
    }

    /// The step of a sender's factor for a class.
    pub fn step(&mut self, sender: Address, class: Class) -> u8 {
        let (time, height) = (self.time, self.height);
        // A head that was set back makes what is newer than it doubtful.
        let good = |cached: &Cached| {
            !cached.stale && cached.height <= height && cached.time <= time && time - cached.time < self.seconds
        };
        if let Some(cached) = self.cache.get(&(sender, class)).filter(|cached| good(cached)) {
            self.hits += 1;
            return cached.step;
        }
        self.misses += 1;
        let step = self.histories.get_mut(&sender).map_or(NEUTRAL, |history| {
            history.asked |= 1 << class as u8;
            history.step(class)
        });
        self.cache.put((sender, class), Cached { step, time, height, stale: false });
        step
    }

    /// Something came of one of the sender's transactions.
    pub fn record(&mut self, sender: Address, class: Class, ending: Ending) {
        let history = self.histories.get_or_insert_mut(sender, || {
            // Factors were asked while nothing was known.
            History { asked: u8::MAX, ..History::default() }
        });
        history.record(class, ending);
        let asked = std::mem::take(&mut history.asked);
        for class in Class::ALL {
            // Marked rather than removed: its memory is used again.
            if asked & 1 << class as u8 != 0
                && let Some(cached) = self.cache.peek_mut(&(sender, class))
            {
                cached.stale = true;
            }
        }
    }

    /// What is known of a sender.
    pub fn history(&self, sender: &Address) -> Option<&History> {
        self.histories.peek(sender)
    }

    /// How well the cache does.
    pub fn stats(&self) -> CacheStats {
        CacheStats { hits: self.hits, misses: self.misses, size: self.cache.len(), capacity: self.cache.cap().get() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: Ending = Ending::Included { gas_eighths: 7 };

    fn sender(index: u8) -> Address {
        Address::repeat_byte(index)
    }

    #[test]
    fn factors_go_from_a_half_to_two_and_begin_at_one() {
        assert_eq!((factor_of(0), factor_of(NEUTRAL), factor_of(15)), (0.5, 1.0, 2.0));
        let mut history = History::default();
        assert_eq!(history.step(Class::Call), NEUTRAL);
        // One execution says little: it would take many to stand before somebody who pays a tenth more.
        history.record(Class::Call, GOOD);
        assert_eq!(history.step(Class::Call), NEUTRAL);
        for _ in 0..REMEMBERED {
            history.record(Class::Call, GOOD);
        }
        assert_eq!((history.step(Class::Call), history.step(Class::Transfer)), (15, 10));
        for _ in 0..REMEMBERED {
            history.record(Class::Call, Ending::Skipped);
        }
        assert_eq!((history.step(Class::Call), history.included, history.skipped), (0, 33, 32));
        assert_eq!(Ending::of_receipt(true, 21_000, 21_000), GOOD);
        assert_eq!(Ending::of_receipt(true, 1, u64::MAX), Ending::Included { gas_eighths: 0 });
        assert_eq!(Ending::of_receipt(false, 1, 1), Ending::Reverted);
    }

    #[test]
    fn a_cached_factor_ends_with_its_time_and_with_a_change_of_history() {
        let mut factors = Factors::new(Memory { cache_seconds: 10, ..Memory::default() });
        let stats = |factors: &Factors| (factors.stats().hits, factors.stats().misses);
        factors.advance(1, 100);
        factors.step(sender(1), Class::Call);
        factors.step(sender(1), Class::Call);
        assert_eq!(stats(&factors), (1, 1));
        factors.advance(2, 109);
        factors.step(sender(1), Class::Call);
        assert_eq!(stats(&factors), (2, 1));
        factors.advance(3, 110);
        factors.step(sender(1), Class::Call);
        assert_eq!(stats(&factors), (2, 2));
        // Another's history does not matter, its own does, in every class.
        factors.record(sender(2), Class::Call, GOOD);
        factors.step(sender(1), Class::Call);
        assert_eq!(stats(&factors), (3, 2));
        factors.record(sender(1), Class::Transfer, GOOD);
        factors.step(sender(1), Class::Call);
        assert_eq!(stats(&factors), (3, 3));
        // A head that was set back.
        factors.advance(2, 105);
        factors.step(sender(1), Class::Call);
        assert_eq!(stats(&factors), (3, 4));
        assert_eq!(factors.stats().hit_rate(), 3.0 / 7.0);
    }

    #[test]
    fn the_longest_unused_leaves_a_full_cache() {
        let mut factors = Factors::new(Memory { cache_entries: 2, senders: 2, ..Memory::default() });
        for index in [1, 2, 1, 3] {
            factors.step(sender(index), Class::Call);
        }
        factors.step(sender(1), Class::Call);
        assert_eq!((factors.stats().hits, factors.stats().size), (2, 2));
        factors.step(sender(2), Class::Call);
        assert_eq!(factors.stats().hits, 2);
        for index in [1, 2, 3] {
            factors.record(sender(index), Class::Call, GOOD);
        }
        assert!(factors.history(&sender(1)).is_none() && factors.history(&sender(3)).is_some());
    }
}

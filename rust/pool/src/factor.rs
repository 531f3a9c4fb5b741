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

    /// A number below 16, the same for ever: it stands in files.
    fn code(self) -> u8 {
        match self {
            Self::Included { gas_eighths } => gas_eighths,
            Self::Reverted => 8,
            Self::Skipped => 9,
        }
    }

    fn of_code(code: u8) -> Option<Self> {
        match code {
            0..=7 => Some(Self::Included { gas_eighths: code }),
            8 => Some(Self::Reverted),
            9 => Some(Self::Skipped),
            _ => None,
        }
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
pub(crate) const REMEMBERED: usize = 32;

/// A sender's last executions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct History {
    /// Class and ending; the oldest is overwritten.
    records: [Option<(Class, Ending)>; REMEMBERED],
    /// Where the next one goes.
    next: u8,
    /// Classes of which a factor was asked: those that may be in the cache.
    asked: u8,
    /// Whether it waits to be taken by [`Factors::take_learnt`].
    learnt: bool,
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

    /// What is remembered in one byte each, the oldest first: class above, ending below.
    pub(crate) fn codes(&self) -> impl Iterator<Item = u8> {
        let (newer, older) = self.records.split_at(usize::from(self.next));
        older.iter().chain(newer).flatten().map(|(class, ending)| (*class as u8) << 4 | ending.code())
    }

    /// What [`codes`](Self::codes) said; None where it can't have.
    pub(crate) fn of_codes([included, reverted, skipped]: [u64; 3], codes: &[u8]) -> Option<Self> {
        let mut history = Self::default();
        for code in codes.iter().take(REMEMBERED + 1) {
            let class = *Class::ALL.get(usize::from(code >> 4))?;
            history.record(class, Ending::of_code(code & 15)?);
        }
        (codes.len() <= REMEMBERED).then_some(Self { included, reverted, skipped, ..history })
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
    /// Senders whose histories have changed since somebody asked, each once.
    learnt: Vec<Address>,
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
            learnt: Vec::new(),
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
        if !std::mem::replace(&mut history.learnt, true) {
            self.learnt.push(sender);
        }
        let asked = std::mem::take(&mut history.asked);
        self.make_stale(sender, asked);
    }

    /// What was known of a sender before, by an earlier pool.
    pub(crate) fn recall(&mut self, sender: Address, history: History) {
        self.histories.put(sender, History { asked: u8::MAX, learnt: false, ..history });
        self.make_stale(sender, u8::MAX);
    }

    /// Marks cached factors rather than removing them: their memory is used again.
    fn make_stale(&mut self, sender: Address, classes: u8) {
        for class in Class::ALL {
            if classes & 1 << class as u8 != 0
                && let Some(cached) = self.cache.peek_mut(&(sender, class))
            {
                cached.stale = true;
            }
        }
    }

    /// Histories that have changed since the last call.
    pub(crate) fn take_learnt(&mut self) -> impl Iterator<Item = (Address, &History)> {
        let Self { learnt, histories, .. } = self;
        for sender in &*learnt {
            if let Some(history) = histories.peek_mut(sender) {
                history.learnt = false;
            }
        }
        let histories: &LruCache<Address, History> = histories;
        // One that was forgotten meanwhile is left out.
        learnt.drain(..).filter_map(move |sender| histories.peek(&sender).map(|history| (sender, history)))
    }

    /// All histories, the one longest unheard of first.
    pub(crate) fn histories(&self) -> impl ExactSizeIterator<Item = (&Address, &History)> {
        self.histories.iter().rev()
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
    fn a_history_is_the_same_from_its_codes_and_nonsense_is_none() {
        let endings = [GOOD, Ending::Reverted, Ending::Skipped, Ending::Included { gas_eighths: 0 }];
        for count in [0, 1, REMEMBERED - 1, REMEMBERED, REMEMBERED + 1, 3 * REMEMBERED] {
            let mut history = History::default();
            for at in 0..count {
                history.record(Class::ALL[at % 7], endings[at % 4]);
            }
            let codes: Vec<_> = history.codes().collect();
            let counts = [history.included, history.reverted, history.skipped];
            let again = History::of_codes(counts, &codes).unwrap();
            assert_eq!((codes.len(), again.codes().collect::<Vec<_>>()), (count.min(REMEMBERED), codes));
            assert!(Class::ALL.into_iter().all(|class| again.step(class) == history.step(class)));
            assert_eq!([again.included, again.reverted, again.skipped], counts);
        }
        for nonsense in [vec![0x7a], vec![0x70], vec![0x0a], vec![0; REMEMBERED + 1]] {
            assert_eq!(History::of_codes([0; 3], &nonsense), None);
        }
    }

    #[test]
    fn what_was_learnt_is_told_once_and_recalled_factors_are_made_anew() {
        let mut factors = Factors::new(Memory::default());
        for index in [1, 2, 1] {
            factors.record(sender(index), Class::Call, Ending::Skipped);
        }
        let learnt: Vec<_> = factors.take_learnt().map(|(sender, history)| (sender, *history)).collect();
        assert_eq!(learnt.iter().map(|(sender, _)| *sender).collect::<Vec<_>>(), [sender(1), sender(2)]);
        assert_eq!((learnt[0].1.skipped, factors.take_learnt().count()), (2, 0));
        factors.record(sender(2), Class::Call, GOOD);
        assert_eq!(factors.take_learnt().count(), 1);
        let bad = History::of_codes([0, 0, 32], &[0x29; REMEMBERED]).unwrap();
        assert_eq!(factors.step(sender(3), Class::Call), NEUTRAL);
        factors.recall(sender(3), bad);
        assert_eq!((factors.step(sender(3), Class::Call), factors.take_learnt().count()), (0, 0));
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

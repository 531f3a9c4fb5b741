//! Signals that wait for the core: so many, and no more.
//!
//! The most profitable is taken first, after those of its own source that came before it: a later sequence before an
//! earlier one would drop that. Of equal ones the first that came is first. A full channel loses what has expired, then
//! the least profitable. Frames are not decoded for that: what stands where a signal has its figures is believed, since
//! it decides about nothing but the order; what is no signal waits for none.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
};

use crate::{
    failure::FailureCode,
    wire::{ErrorInfo, Header, Message, Report},
};

/// What the channel looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rank {
    /// Whose frame it is.
    pub source_id: u32,
    /// What is expected, in wei.
    pub profit: i128,
    /// Unix nanoseconds after which nobody takes it.
    pub expires: u64,
}

impl Rank {
    /// As far as a frame says it; `max_age_ns` is how old a signal may be.
    pub fn of(frame: &[u8], max_age_ns: u64) -> Self {
        const SIGNAL: u8 = 1;
        /// Where the fields 0001 and 0002 of a signal begin: they are required and come first.
        const IDENTITY: usize = 40;
        const ECONOMICS: usize = 76;
        fn at<const N: usize>(frame: &[u8], offset: usize) -> [u8; N] {
            frame.get(offset..).and_then(<[u8]>::first_chunk).copied().unwrap_or([0; N])
        }
        let source_id = u32::from_le_bytes(at(frame, 24));
        let is_signal = frame.get(5) == Some(&SIGNAL)
            && at(frame, IDENTITY) == [1, 0, 32, 0]
            && at(frame, ECONOMICS) == [2, 0, 112, 0];
        if !is_signal {
            return Self { source_id, profit: i128::MAX, expires: u64::MAX };
        }
        let profit = i128::from_le_bytes(at(frame, ECONOMICS + 4 + 16));
        let created = u64::from_le_bytes(at(frame, IDENTITY + 4 + 8));
        let until = match u64::from_le_bytes(at(frame, ECONOMICS + 4 + 96)) {
            0 => u64::MAX,
            until => until,
        };
        Self { source_id, profit, expires: created.saturating_add(max_age_ns).min(until) }
    }
}

/// Why something is no longer in the channel without having been taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Its time was over.
    Expired,
    /// Others are worth more, and there is no room for all.
    Crowded,
    /// Nothing is taken any more.
    Closed,
}

impl Loss {
    /// What its source is told.
    pub const fn code(self) -> FailureCode {
        match self {
            Self::Expired => FailureCode::StaleSignal,
            Self::Crowded => FailureCode::CapacityExceeded,
            Self::Closed => FailureCode::Halted,
        }
    }

    /// The answer to a frame that is lost.
    pub fn nack(self, frame: &[u8], wall_ns: u64, source_id: u32) -> Vec<u8> {
        let sequence = frame.get(8..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let header = Header { kind: 0, flags: 0, sequence, sent_unix_ns: wall_ns, source_id };
        let text = format!("it waited and was dropped: {}", self.code().text());
        let error = Some(ErrorInfo::new(self.code() as u16, text));
        Message::Nack(Report { error, ..Report::default() }).encode(&header, None)
    }
}

#[derive(Debug)]
struct Waiting<T> {
    rank: Rank,
    item: T,
}

/// Waiting signals. Each is known by the number of its arrival.
#[derive(Debug)]
pub struct Channel<T> {
    capacity: usize,
    arrivals: u64,
    waiting: BTreeMap<u64, Waiting<T>>,
    by_profit: BTreeSet<(Reverse<i128>, u64)>,
    by_expiry: BTreeSet<(u64, u64)>,
    by_source: HashMap<u32, BTreeSet<u64>>,
}

impl<T> Channel<T> {
    /// An empty one with room for so many.
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity,
            arrivals: 0,
            waiting: BTreeMap::new(),
            by_profit: BTreeSet::new(),
            by_expiry: BTreeSet::new(),
            by_source: HashMap::new(),
        }
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Puts one in; gives what is lost for it, which may be itself.
    pub fn put(&mut self, wall_ns: u64, rank: Rank, item: T) -> Option<(T, Loss)> {
        let arrival = self.arrivals;
        self.arrivals += 1;
        self.by_profit.insert((Reverse(rank.profit), arrival));
        self.by_expiry.insert((rank.expires, arrival));
        self.by_source.entry(rank.source_id).or_default().insert(arrival);
        self.waiting.insert(arrival, Waiting { rank, item });
        if self.len() <= self.capacity {
            return None;
        }
        let expired = self.by_expiry.first().filter(|(expires, _)| *expires < wall_ns);
        let (lost, loss) = match expired {
            Some((_, arrival)) => (*arrival, Loss::Expired),
            None => (self.by_profit.last()?.1, Loss::Crowded),
        };
        self.remove(lost).map(|item| (item, loss))
    }

    /// Takes up to so many, in the order they are to be served.
    pub fn take(&mut self, limit: usize) -> Vec<T> {
        let mut taken = Vec::with_capacity(limit.min(self.len()));
        while taken.len() < limit
            && let Some((_, best)) = self.by_profit.first()
        {
            let source_id = self.waiting[best].rank.source_id;
            let first = self.by_source[&source_id].first().copied();
            taken.extend(first.and_then(|first| self.remove(first)));
        }
        taken
    }

    /// Takes all of them, as they came.
    pub fn clear(&mut self) -> Vec<T> {
        self.by_profit.clear();
        self.by_expiry.clear();
        self.by_source.clear();
        std::mem::take(&mut self.waiting).into_values().map(|waiting| waiting.item).collect()
    }

    fn remove(&mut self, arrival: u64) -> Option<T> {
        let Waiting { rank, item } = self.waiting.remove(&arrival)?;
        self.by_profit.remove(&(Reverse(rank.profit), arrival));
        self.by_expiry.remove(&(rank.expires, arrival));
        if let Some(own) = self.by_source.get_mut(&rank.source_id) {
            own.remove(&arrival);
            if own.is_empty() {
                self.by_source.remove(&rank.source_id);
            }
        }
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: u64 = 100;

    fn rank(source_id: u32, profit: i128) -> Rank {
        Rank { source_id, profit, expires: NOW + 1 }
    }

    #[test]
    fn a_signals_figures_are_found_and_everything_else_waits_for_none() {
        let (header, mut parts) = crate::wire::tests::golden_signal();
        let frame = parts.to_frame(&header, None);
        let created = parts.identity.created_unix_ns;
        let found = Rank { source_id: 9, profit: 10i128.pow(17), expires: created + 5 };
        assert_eq!(Rank::of(&frame, 5), found);
        parts.economics.valid_until_ns = Some(created + 3);
        assert_eq!(Rank::of(&parts.to_frame(&header, None), 5), Rank { expires: created + 3, ..found });
        for other in [&frame[..30], &frame[..79], b"", &[0; 400]] {
            assert_eq!(Rank::of(other, 5).profit, i128::MAX);
        }
    }

    #[test]
    fn the_most_profitable_is_first_and_of_equal_ones_the_first_that_came() {
        let mut channel = Channel::new(10);
        for (name, source, profit) in [("a", 1, 5), ("b", 2, 9), ("c", 3, 5), ("d", 4, 7)] {
            assert_eq!(channel.put(NOW, rank(source, profit), name), None);
        }
        assert_eq!(channel.take(2), ["b", "d"]);
        assert_eq!(channel.take(9), ["a", "c"]);
        assert!(channel.is_empty());
    }

    #[test]
    fn a_source_keeps_its_order_and_a_good_signal_pulls_those_before_it() {
        let mut channel = Channel::new(10);
        for (name, source, profit) in [("poor", 1, 1), ("rich", 1, 9), ("middling", 2, 5)] {
            channel.put(NOW, rank(source, profit), name);
        }
        assert_eq!(channel.take(1), ["poor"]);
        assert_eq!(channel.take(2), ["rich", "middling"]);
    }

    #[test]
    fn a_full_channel_loses_what_expired_then_the_least_profitable_be_it_the_newcomer() {
        let mut channel = Channel::new(2);
        channel.put(NOW, Rank { expires: NOW - 1, ..rank(1, 50) }, "old");
        channel.put(NOW, rank(2, 5), "poor");
        assert_eq!(channel.put(NOW, rank(3, 7), "good"), Some(("old", Loss::Expired)));
        assert_eq!(channel.put(NOW, rank(4, 6), "better"), Some(("poor", Loss::Crowded)));
        assert_eq!(channel.put(NOW, rank(5, 6), "as good as the last"), Some(("as good as the last", Loss::Crowded)));
        assert_eq!(channel.clear(), ["good", "better"]);
    }

    #[test]
    fn a_loss_is_told_to_the_frame_that_it_concerns() {
        let (header, parts) = crate::wire::tests::golden_signal();
        let frame = parts.to_frame(&header, None);
        for (loss, code) in [(Loss::Expired, 2), (Loss::Crowded, 10), (Loss::Closed, 18)] {
            let nack = loss.nack(&frame, 7, 3);
            let decoded = crate::wire::Frame::decode(&nack).unwrap();
            assert_eq!(decoded.header.sequence, header.sequence);
            let Ok(Message::Nack(report)) = Message::decode(&decoded) else { panic!("no refusal") };
            assert_eq!(report.error.unwrap().code, code);
        }
    }

    proptest! {
        #[test]
        fn nothing_is_lost_unsaid_nothing_comes_twice_and_sources_keep_their_order(
            signals in prop::collection::vec((0..4u32, 0..20i128, 90..110u64, 0..3usize), 0..200),
            capacity in 1..20usize,
        ) {
            let (mut channel, mut gone) = (Channel::new(capacity), Vec::new());
            let mut served: HashMap<u32, usize> = HashMap::new();
            let mut serve = |taken: Vec<(u32, usize)>, gone: &mut Vec<usize>| {
                for (source, number) in taken {
                    prop_assert!(served.insert(source, number).is_none_or(|before| before < number));
                    gone.push(number);
                }
                Ok(())
            };
            for (number, (source_id, profit, expires, taking)) in signals.iter().copied().enumerate() {
                let lost = channel.put(NOW, Rank { source_id, profit, expires }, (source_id, number));
                gone.extend(lost.map(|((_, number), _)| number));
                prop_assert!(channel.len() <= capacity);
                serve(channel.take(taking), &mut gone)?;
            }
            serve(channel.take(usize::MAX), &mut gone)?;
            gone.sort_unstable();
            prop_assert_eq!(gone, (0..signals.len()).collect::<Vec<_>>());
        }
    }
}

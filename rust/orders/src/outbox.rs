//! Results on their way out: each has a sequence without gaps, stays until its consumer has acknowledged it, and is the
//! same bytes however often it is sent.

use std::collections::VecDeque;

use crate::stored::stored;

/// Results that were not acknowledged yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outbox {
    /// The last sequence given out.
    last: u64,
    waiting: VecDeque<Vec<u8>>,
}

stored!(Outbox { last, waiting });

impl Outbox {
    /// The sequence that the next result will have.
    pub fn next(&self) -> u64 {
        self.last + 1
    }

    /// Takes a result that was written with [`Self::next`].
    pub fn push(&mut self, frame: Vec<u8>) {
        self.last += 1;
        self.waiting.push_back(frame);
    }

    /// Everything up to this sequence has arrived. What was never given out is ignored.
    pub fn acknowledge(&mut self, sequence: u64) {
        let first = self.first();
        let arrived = sequence.min(self.last).saturating_add(1).saturating_sub(first) as usize;
        self.waiting.drain(..arrived.min(self.waiting.len()));
    }

    /// The sequence of the oldest that waits.
    pub fn first(&self) -> u64 {
        self.last + 1 - self.waiting.len() as u64
    }

    /// What waits, from a sequence on.
    pub fn from(&self, sequence: u64) -> impl Iterator<Item = (u64, &[u8])> {
        let first = self.first();
        let skip = sequence.saturating_sub(first) as usize;
        self.waiting.iter().enumerate().skip(skip).map(move |(index, frame)| (first + index as u64, &frame[..]))
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_wait_until_acknowledged_and_sequences_have_no_gap() {
        let mut outbox = Outbox::default();
        for frame in 1..=3u8 {
            assert_eq!(outbox.next(), u64::from(frame));
            outbox.push(vec![frame]);
        }
        let sent = |outbox: &Outbox, from| outbox.from(from).map(|(sequence, _)| sequence).collect::<Vec<_>>();
        assert_eq!(sent(&outbox, 0), [1, 2, 3]);
        outbox.acknowledge(2);
        outbox.acknowledge(1);
        assert_eq!((sent(&outbox, 0), sent(&outbox, 4)), (vec![3], vec![]));
        outbox.acknowledge(99);
        assert!(outbox.is_empty());
        assert_eq!(outbox.next(), 4);
    }
}

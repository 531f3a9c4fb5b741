//! Selection by scores that somebody else has made.

use std::{cmp::Ordering, collections::BinaryHeap, sync::Arc};

use types::primitives::map::AddressHashMap;

use crate::{Pooled, Room, Schedule, select::GAS_MIN};

/// A sender's next transaction.
struct Candidate {
    score: f64,
    arrival: u64,
    run: usize,
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        self.score.total_cmp(&other.score).then(other.arrival.cmp(&self.arrival))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Candidate {}

/// An order of somebody's own: the best score first among those whose turn it is, never a sender's nonce n + 1 before n;
/// ties by arrival. Whoever's score is NaN is left out, and all that follow it. `transactions` and `scores` are of one
/// length.
pub fn order_by_scores(transactions: &[Arc<Pooled>], scores: &[f64], room: &Room) -> Schedule {
    assert_eq!(transactions.len(), scores.len(), "columns of one length");
    let mut by_sender: AddressHashMap<Vec<usize>> = AddressHashMap::default();
    for (index, pooled) in transactions.iter().enumerate() {
        by_sender.entry(pooled.sender()).or_default().push(index);
    }
    let mut room = *room;
    let mut runs: Vec<Vec<usize>> = by_sender.into_values().collect();
    let mut merge = BinaryHeap::new();
    let offer = |runs: &[Vec<usize>], run: usize, merge: &mut BinaryHeap<Candidate>| {
        let Some(index) = runs[run].last().copied() else { return };
        let arrival = transactions[index].arrival;
        if !scores[index].is_nan() {
            merge.push(Candidate { score: scores[index], arrival, run });
        }
    };
    for run in 0..runs.len() {
        runs[run].sort_unstable_by_key(|index| std::cmp::Reverse(transactions[*index].nonce));
        offer(&runs, run, &mut merge);
    }
    let mut schedule = Schedule { lowest_rank: f64::INFINITY, ..Schedule::default() };
    while room.gas >= GAS_MIN && schedule.transactions.len() < room.transactions {
        let Some(candidate) = merge.pop() else {
            schedule.is_all = schedule.misfits == 0;
            break;
        };
        let Candidate { score, run, .. } = candidate;
        let Some(index) = runs[run].pop() else { continue };
        let pooled = &transactions[index];
        let fits = pooled.gas_limit <= room.gas
            && pooled.size_bytes <= room.size_bytes
            && u64::from(pooled.blobs) <= room.blobs;
        if !fits {
            schedule.misfits += 1;
            continue;
        }
        room.gas -= pooled.gas_limit;
        room.size_bytes -= pooled.size_bytes;
        room.blobs -= u64::from(pooled.blobs);
        schedule.lowest_rank = schedule.lowest_rank.min(score);
        schedule.transactions.push(Arc::clone(pooled));
        offer(&runs, run, &mut merge);
    }
    schedule
}

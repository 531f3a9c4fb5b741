//! Which transactions stand in the next block, and in which order: the best rank first, a sender's own ones by nonce,
//! within the block's gas, blobs and bytes.
//!
//! A rank is `w_fee · L((tip + 1) / (median + 1)) + w_priority · L(priority · factor)` (see [`kernels::score`]). Within a
//! group of heads (see [`crate::heads`]) it falls with the effective tip, so each group is gone through best first, in
//! pieces that are ranked together by the vector kernel, and the groups are merged by rank. Of equal ranks the better
//! tip goes first, then the earlier arrival. Nothing is sorted that is not wanted: a block of n out of any number of
//! waiting ones costs O(n log n).
//!
//! Whoever doesn't fit is left out of this block with all that follow it; so is who can't pay the blob fee.

use std::{cmp::Ordering, collections::BinaryHeap, sync::Arc};

use kernels::{
    Simd, prefetch,
    score::{CLASSES, RankWeights, VECTOR_MIN, rank_batch},
};
use types::{Address, primitives::map::AddressHashMap};

use crate::{
    Pool, Pooled, STEPS, factor_of,
    heap::{Entry, Walk},
    queue::Item,
};

/// How much of a block is free, and what it costs to be in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Wei per gas that are burned.
    pub base_fee: u64,
    /// Wei per blob gas.
    pub blob_base_fee: u128,
    /// Gas.
    pub gas: u64,
    /// Blobs.
    pub blobs: u64,
    /// Bytes of transactions.
    pub size_bytes: usize,
    /// Transactions.
    pub transactions: usize,
}

/// Senders that have had their turn in this block: where each goes on, None for those who don't.
pub type Tried = AddressHashMap<Option<u64>>;

/// A block's worth of transactions.
#[derive(Clone, Debug, Default)]
pub struct Schedule {
    /// In the order in which they should be executed.
    pub transactions: Vec<Arc<Pooled>>,
    /// How many were looked at and did not fit.
    pub misfits: usize,
    /// Whether it ends because nobody is left, not because the room does.
    pub is_all: bool,
    /// The rank of the last one.
    pub lowest_rank: f64,
}

/// How ranks were computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScoreStats {
    /// Transactions that were ranked.
    pub ranked: u64,
    /// Of those, how many by vector code.
    pub vectored: u64,
}

impl ScoreStats {
    /// Share of the ranked that vector code ranked; 0 where none were.
    pub fn utilisation(&self) -> f64 {
        if self.ranked == 0 { 0.0 } else { self.vectored as f64 / self.ranked as f64 }
    }
}

/// Gas of the cheapest transaction there is. Less room than this ends a block.
pub(crate) const GAS_MIN: u64 = 21_000;

/// Senders left out because they did not fit, before a block is called full.
const MISFITS_MAX: usize = 1_024;

/// Heads of a group that are ranked together.
const PIECE: usize = 64;

/// Transactions of a sender that are ranked together with its head, and those that are when these are used up.
const AHEAD: usize = 4;
const FURTHER: usize = 32;

/// A candidate comes from one of the streams, or from nowhere in particular.
const NO_STREAM: u32 = u32::MAX;

/// Tips above 2^64 wei are alike.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    rank: f64,
    tip: u64,
    arrival: u64,
    run: u32,
    stream: u32,
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        let by_rank = self.rank.total_cmp(&other.rank);
        by_rank.then(self.tip.cmp(&other.tip)).then(other.arrival.cmp(&self.arrival))
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

/// A sender's pending transactions from some place on, ranked as far as `ranks` reaches.
#[derive(Clone, Copy, Debug)]
struct Run {
    queue: u32,
    place: u32,
    /// Where the rank of `place` stands, and where ranks of this run end.
    rank: u32,
    ranks_end: u32,
}

/// A group of heads, best first, a piece at a time.
#[derive(Debug, Default)]
struct Stream {
    heap: usize,
    blobs: bool,
    walk: Walk,
    piece: Vec<Candidate>,
    next: usize,
}

impl Stream {
    /// Whether fee caps decide in it.
    fn is_bound(&self) -> bool {
        self.heap % 2 == 1
    }
}

/// Working memory, used again by each block.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    streams: Vec<Stream>,
    spare: Vec<Stream>,
    merge: BinaryHeap<Candidate>,
    runs: Vec<Run>,
    tips: Vec<f64>,
    boosts: Vec<f64>,
    ranks: Vec<f64>,
    misplaced: Vec<u32>,
    /// Heads of one piece, and those of them that stand in the wrong heap.
    reached: Vec<Entry>,
    loose: Vec<Candidate>,
}

impl Clone for Scratch {
    /// Nothing in it outlives a block.
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Scratch {
    fn clear(&mut self) {
        self.spare.append(&mut self.streams);
        self.merge.clear();
        self.runs.clear();
        self.ranks.clear();
        self.misplaced.clear();
    }
}

impl Pool {
    /// The next block's transactions. `tried` had their turn in it already.
    pub fn schedule(&mut self, room: &Room, tried: &Tried) -> Schedule {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        let mut selection = Selection::new(self, *room, tried, &mut scratch);
        let schedule = selection.run();
        let scores = selection.scores;
        self.scores.ranked += scores.ranked;
        self.scores.vectored += scores.vectored;
        for id in &scratch.misplaced {
            self.heads.update(*id, &self.queues[*id as usize], room.base_fee);
        }
        self.scratch = scratch;
        schedule
    }

    /// What ranks are made with.
    pub fn rank_weights(&self) -> RankWeights {
        RankWeights { fee: self.weights.fee(), boost: self.weights.priority(), median: self.median_tip() as f64 }
    }

    /// Priority times factor, by class and step.
    pub(crate) fn boosts(&self) -> [[f64; STEPS]; CLASSES] {
        self.settings.priorities.0.map(|priority| std::array::from_fn(|step| priority * factor_of(step as u8)))
    }
}

struct Selection<'a> {
    pool: &'a Pool,
    room: Room,
    tried: &'a Tried,
    scratch: &'a mut Scratch,
    boosts: [[f64; STEPS]; CLASSES],
    weights: RankWeights,
    scores: ScoreStats,
    is_vector: bool,
}

impl<'a> Selection<'a> {
    fn new(pool: &'a Pool, room: Room, tried: &'a Tried, scratch: &'a mut Scratch) -> Self {
        Self {
            pool,
            room,
            tried,
            scratch,
            boosts: pool.boosts(),
            weights: pool.rank_weights(),
            scores: ScoreStats::default(),
            is_vector: Simd::chosen() != Simd::Scalar,
        }
    }

    fn run(&mut self) -> Schedule {
        for (sender, next) in self.tried {
            if let Some(nonce) = next {
                self.go_on(sender, *nonce);
            }
        }
        for (heap, group) in self.pool.heads.groups() {
            if group.blobs && self.room.blobs == 0 {
                continue;
            }
            let mut stream = self.scratch.spare.pop().unwrap_or_default();
            stream.walk.start(self.pool.heads.heap(heap));
            (stream.heap, stream.blobs, stream.next) = (heap, group.blobs, 0);
            stream.piece.clear();
            self.scratch.streams.push(stream);
            self.pull(self.scratch.streams.len() - 1);
        }
        let pool = self.pool;
        let mut schedule = Schedule { lowest_rank: f64::INFINITY, ..Schedule::default() };
        let most = self.room.transactions.min((self.room.gas / GAS_MIN) as usize).min(pool.len());
        let mut chosen: Vec<&Arc<Pooled>> = Vec::with_capacity(most);
        while self.room.gas >= GAS_MIN && chosen.len() < self.room.transactions {
            let Some(candidate) = self.scratch.merge.pop() else {
                schedule.is_all = schedule.misfits == 0;
                break;
            };
            if candidate.stream != NO_STREAM {
                let stream = candidate.stream as usize;
                if self.scratch.streams[stream].blobs && self.room.blobs == 0 {
                    // Nobody of this stream fits any more.
                    continue;
                }
                self.pull(stream);
            }
            let run = self.scratch.runs[candidate.run as usize];
            let item = &pool.queues[run.queue as usize].ready()[run.place as usize];
            if !self.fits(item) {
                schedule.misfits += 1;
                if schedule.misfits == MISFITS_MAX {
                    break;
                }
                continue;
            }
            self.room.gas -= item.gas_limit;
            self.room.size_bytes -= item.size_bytes as usize;
            self.room.blobs -= u64::from(item.blobs);
            schedule.lowest_rank = schedule.lowest_rank.min(candidate.rank);
            chosen.push(&item.pooled);
            self.follow(candidate.run);
        }
        schedule.transactions = shared(&chosen);
        schedule
    }

    fn fits(&self, item: &Item) -> bool {
        let Room { blob_base_fee, gas, blobs, size_bytes, .. } = self.room;
        let pays = item.blobs == 0 || item.pooled.blob_fee_cap() >= blob_base_fee;
        pays && item.gas_limit <= gas && u64::from(item.blobs) <= blobs && item.size_bytes as usize <= size_bytes
    }

    /// A sender that had a turn, from this nonce on.
    fn go_on(&mut self, sender: &Address, nonce: u64) {
        let Some(queue) = self.pool.senders.get(sender) else { return };
        let held = &self.pool.queues[*queue as usize];
        if held.is_ready(nonce) {
            let place = (nonce - held.nonce) as u32;
            self.scratch.runs.push(Run { queue: *queue, place, rank: 0, ranks_end: 0 });
            self.offer(self.scratch.runs.len() as u32 - 1);
        }
    }

    /// Puts a run's next transaction among the candidates, unless it can't pay the base fee.
    fn offer(&mut self, index: u32) {
        let mut run = self.scratch.runs[index as usize];
        let ready = self.pool.queues[run.queue as usize].ready();
        let Some(item) = ready.get(run.place as usize) else { return };
        let Some(tip) = effective_tip(item, self.room.base_fee) else { return };
        if run.rank == run.ranks_end {
            let from = self.scratch.ranks.len() as u32;
            self.gather(run.queue, run.place as usize, FURTHER);
            self.rank();
            (run.rank, run.ranks_end) = (from, self.scratch.ranks.len() as u32);
            self.scratch.runs[index as usize] = run;
        }
        let rank = self.scratch.ranks[run.rank as usize];
        let (tip, arrival) = (low(tip), item.arrival);
        self.scratch.merge.push(Candidate { rank, tip, arrival, run: index, stream: NO_STREAM });
    }

    /// After a run's transaction was taken: the one that follows is a candidate.
    fn follow(&mut self, index: u32) {
        let run = &mut self.scratch.runs[index as usize];
        run.place += 1;
        run.rank += 1;
        self.offer(index);
    }

    /// Puts the best that is left of a stream among the candidates.
    fn pull(&mut self, index: usize) {
        let stream = &self.scratch.streams[index];
        if stream.next == stream.piece.len() && !self.refill(index) {
            return;
        }
        let stream = &mut self.scratch.streams[index];
        self.scratch.merge.push(stream.piece[stream.next]);
        stream.next += 1;
    }

    /// The next piece of a stream, ranked; false where nobody is left.
    fn refill(&mut self, index: usize) -> bool {
        let mut stream = std::mem::take(&mut self.scratch.streams[index]);
        let mut reached = std::mem::take(&mut self.scratch.reached);
        stream.piece.clear();
        stream.next = 0;
        while stream.piece.is_empty() && self.reach(&mut stream, &mut reached) {
            self.take_in(&mut stream, index as u32, &reached);
        }
        let some = !stream.piece.is_empty();
        self.scratch.streams[index] = stream;
        self.scratch.reached = reached;
        some
    }

    /// The next heads of a stream. What will be read of them is fetched on the way, of many at a time: waiting for
    /// memory is most of what a block costs.
    fn reach(&self, stream: &mut Stream, reached: &mut Vec<Entry>) -> bool {
        let heap = self.pool.heads.heap(stream.heap);
        reached.clear();
        while reached.len() < PIECE
            && let Some(entry) = stream.walk.next(heap)
        {
            if stream.is_bound() && entry.key < u128::from(self.room.base_fee) {
                // Those below can't pay either.
                stream.walk.end();
                break;
            }
            self.pool.queues[entry.id as usize].prefetch();
            reached.push(entry);
        }
        reached.iter().for_each(|entry| self.pool.queues[entry.id as usize].prefetch_first());
        !reached.is_empty()
    }

    /// Ranks heads, with those that follow them. The ones that stand in the wrong heap are candidates at once.
    fn take_in(&mut self, stream: &mut Stream, index: u32, reached: &[Entry]) {
        let pool = self.pool;
        let first_rank = self.scratch.ranks.len();
        let mut loose = std::mem::take(&mut self.scratch.loose);
        for entry in reached {
            let queue = &pool.queues[entry.id as usize];
            if !self.tried.is_empty() && self.tried.contains_key(&queue.sender) {
                continue;
            }
            let Some(head) = queue.ready().front() else { continue };
            let bound = head.fee_cap.saturating_sub(head.tip) < u128::from(self.room.base_fee);
            if bound != stream.is_bound() {
                self.scratch.misplaced.push(entry.id);
            }
            let Some(tip) = effective_tip(head, self.room.base_fee) else { continue };
            let rank = (first_rank + self.scratch.tips.len()) as u32;
            let ranks_end = rank + self.gather(entry.id, 0, AHEAD) as u32;
            let run = self.scratch.runs.len() as u32;
            self.scratch.runs.push(Run { queue: entry.id, place: 0, rank, ranks_end });
            let candidate = Candidate { rank: 0.0, tip: low(tip), arrival: entry.arrival, run, stream: index };
            if bound == stream.is_bound() {
                stream.piece.push(candidate);
            } else {
                loose.push(Candidate { stream: NO_STREAM, ..candidate });
            }
        }
        self.rank();
        let Scratch { runs, ranks, merge, .. } = &mut *self.scratch;
        for candidate in stream.piece.iter_mut().chain(&mut loose) {
            candidate.rank = ranks[runs[candidate.run as usize].rank as usize];
        }
        merge.extend(loose.drain(..));
        self.scratch.loose = loose;
    }

    /// Columns of a sender's transactions from a place on, as far as they can pay; how many.
    fn gather(&mut self, queue: u32, place: usize, most: usize) -> usize {
        let queue = &self.pool.queues[queue as usize];
        let before = self.scratch.tips.len();
        for item in queue.ready().range(place..).take(most) {
            let Some(tip) = effective_tip(item, self.room.base_fee) else { break };
            self.scratch.tips.push(to_float(tip));
            self.scratch.boosts.push(self.boosts[item.class as usize][usize::from(queue.step(item.class))]);
        }
        self.scratch.tips.len() - before
    }

    /// Ranks what was gathered.
    fn rank(&mut self) {
        let Scratch { tips, boosts, ranks, .. } = &mut *self.scratch;
        let from = ranks.len();
        ranks.resize(from + tips.len(), 0.0);
        rank_batch(tips, boosts, self.weights, &mut ranks[from..]).expect("columns of one length");
        self.scores.ranked += tips.len() as u64;
        if self.is_vector && tips.len() >= VECTOR_MIN {
            self.scores.vectored += tips.len() as u64;
        }
        tips.clear();
        boosts.clear();
    }
}

fn effective_tip(item: &Item, base_fee: u64) -> Option<u128> {
    Some(item.fee_cap.checked_sub(u128::from(base_fee))?.min(item.tip))
}

/// Another owner for each. To count them takes a look at each, so some are fetched at a time.
fn shared(chosen: &[&Arc<Pooled>]) -> Vec<Arc<Pooled>> {
    const FETCHED: usize = 16;
    let mut all = Vec::with_capacity(chosen.len());
    for (index, pooled) in chosen.iter().enumerate() {
        if let Some(later) = chosen.get(index + FETCHED) {
            prefetch(Arc::as_ptr(later));
        }
        all.push(Arc::clone(pooled));
    }
    all
}

fn low(tip: u128) -> u64 {
    u64::try_from(tip).unwrap_or(u64::MAX)
}

/// A tip as ranks see it. Most fit into 64 bits, which convert in one instruction.
pub(crate) fn to_float(tip: u128) -> f64 {
    u64::try_from(tip).map_or(tip as f64, |tip| tip as f64)
}

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
            merge.push(Candidate { rank: scores[index], tip: 0, arrival, run: run as u32, stream: NO_STREAM });
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
        let run = candidate.run as usize;
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
        schedule.lowest_rank = schedule.lowest_rank.min(candidate.rank);
        schedule.transactions.push(Arc::clone(pooled));
        offer(&runs, run, &mut merge);
    }
    schedule
}

#[cfg(test)]
mod tests;

//! Which transactions stand in the next block, and in which order: the best rank first, a sender's own ones by nonce,
//! within the block's gas, blobs and bytes.
//!
//! A rank is `w_fee · L((tip + 1) / (median + 1)) + w_priority · L(priority · factor)` (see [`kernels::score`]). Of equal
//! ranks the better tip goes first, then the earlier arrival.
//!
//! Whose turn it is, is decided by the worst of what a sender has before it and itself, its *standing*: a transaction is
//! never taken before its predecessors, and right after the last of them where it is no worse. So the order of a block is
//! the order of standings, and within a standing that of nonces: there is nothing to be merged, only to be sorted.
//!
//! Nothing is sorted that is not wanted. Within a group of heads (see [`crate::heads`]) ranks fall, so a *wave* takes in
//! the best heads of each group until there are enough of them, with what follows these, ranks all by the vector kernel,
//! and sorts what stands no worse than the best head that was not taken in. The rest is for the next wave. A block of n
//! out of any number of waiting ones costs O(n log n), most of it spent reading memory forward.
//!
//! Whoever doesn't fit is left out of this block with all that follow it; so is who can't pay the blob fee.

use std::{cmp::Ordering, sync::Arc};

use kernels::{
    Simd, prefetch,
    score::{CLASSES, RankWeights, VECTOR_MIN, rank_batch},
};
use types::{Address, primitives::map::AddressHashMap};

use crate::{Pool, Pooled, STEPS, factor_of, heap::Entry, queue::Item};

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

/// Heads that a wave takes in, about: what is read of them and of those that follow stays in a core's cache.
const WAVE_MAX: usize = 4_096;

/// A wave of fewer would leave vectors idle.
const WAVE_MIN: usize = 64;

/// Transactions of a sender that are ranked together at first, and at most: each time twice as many.
const AHEAD: u32 = 2;
const AHEAD_MAX: u32 = 32;

/// When a transaction's turn comes: that of the worst of its sender's up to it.
#[derive(Clone, Copy, Debug)]
struct Standing {
    rank: f64,
    tip: u128,
    arrival: u64,
}

impl Standing {
    /// Before everything.
    const FIRST: Self = Self { rank: f64::INFINITY, tip: u128::MAX, arrival: 0 };

    /// Descending with the rank, as a whole number.
    fn key(&self) -> u64 {
        let bits = self.rank.to_bits();
        // As `f64::total_cmp` orders, the other way round.
        if bits >> 63 == 0 { !(bits | 1 << 63) } else { bits }
    }
}

impl Ord for Standing {
    /// Whoever comes first is the greater.
    fn cmp(&self, other: &Self) -> Ordering {
        let by_rank = self.rank.total_cmp(&other.rank);
        by_rank.then(self.tip.cmp(&other.tip)).then(other.arrival.cmp(&self.arrival))
    }
}

impl PartialOrd for Standing {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Standing {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Standing {}

/// A transaction whose standing is known.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    standing: Standing,
    run: u32,
    queue: u32,
    place: u32,
}

/// A sender's pending transactions, as far as they were taken in.
#[derive(Clone, Copy, Debug)]
struct Run {
    queue: u32,
    /// The next one that has no standing yet.
    place: u32,
    /// That of the one before it.
    standing: Standing,
    /// How many are ranked together next time.
    ahead: u32,
    /// Whether one did not fit, and nothing that follows may be taken.
    is_over: bool,
}

/// A group of heads, as far as it was taken in: a block of the list at a time.
#[derive(Clone, Copy, Debug)]
struct Stream {
    list: usize,
    block: usize,
    /// Whether fee caps decide in it.
    bound: bool,
    blobs: bool,
    boost: f64,
    /// Nothing that was not taken in stands better.
    best: Standing,
}

/// Working memory, used again by each block.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    streams: Vec<Stream>,
    runs: Vec<Run>,
    /// Runs whose next transactions are to be ranked, those of the round after, and how many each brings.
    open: Vec<u32>,
    further: Vec<u32>,
    counts: Vec<u32>,
    tips: Vec<f64>,
    boosts: Vec<f64>,
    ranks: Vec<f64>,
    /// What this wave puts in order, what is left to others, and the order: keys and indices.
    wave: Vec<Candidate>,
    rest: Vec<Candidate>,
    order: Vec<(u64, u32)>,
    misplaced: Vec<u32>,
}

impl Clone for Scratch {
    /// Nothing in it outlives a block.
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Scratch {
    fn clear(&mut self) {
        self.streams.clear();
        self.runs.clear();
        self.open.clear();
        self.rest.clear();
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
    chosen: Vec<&'a Arc<Pooled>>,
    schedule: Schedule,
}

impl<'a> Selection<'a> {
    fn new(pool: &'a Pool, room: Room, tried: &'a Tried, scratch: &'a mut Scratch) -> Self {
        let most = room.transactions.min((room.gas / GAS_MIN) as usize).min(pool.len());
        Self {
            pool,
            room,
            tried,
            scratch,
            boosts: pool.boosts(),
            weights: pool.rank_weights(),
            scores: ScoreStats::default(),
            is_vector: Simd::chosen() != Simd::Scalar,
            chosen: Vec::with_capacity(most),
            schedule: Schedule { lowest_rank: f64::INFINITY, ..Schedule::default() },
        }
    }

    fn run(&mut self) -> Schedule {
        for (sender, next) in self.tried {
            if let Some(nonce) = next {
                self.go_on(sender, *nonce);
            }
        }
        for (list, group) in self.pool.heads.groups() {
            let boost = self.boosts[usize::from(group.class)][usize::from(group.step)];
            let (bound, blobs) = (group.bound, group.blobs);
            let stream = Stream { list, block: 0, bound, blobs, boost, best: Standing::FIRST };
            self.scratch.streams.extend(self.at_block(stream, 0));
        }
        while !self.is_full() {
            let floor = self.take_in();
            self.take_up(floor);
            self.spread(floor);
            self.sort();
            self.choose();
            if self.scratch.streams.is_empty() && self.scratch.rest.is_empty() {
                self.schedule.is_all = self.schedule.misfits == 0 && !self.is_full();
                break;
            }
        }
        self.schedule.transactions = shared(&self.chosen);
        std::mem::take(&mut self.schedule)
    }

    fn is_full(&self) -> bool {
        self.room.gas < GAS_MIN || self.chosen.len() >= self.room.transactions || self.schedule.misfits >= MISFITS_MAX
    }

    /// A sender that had a turn, from this nonce on.
    fn go_on(&mut self, sender: &Address, nonce: u64) {
        let Some(queue) = self.pool.senders.get(sender) else { return };
        let held = &self.pool.queues[*queue as usize];
        if held.is_ready(nonce) {
            self.open(*queue, (nonce - held.nonce) as u32);
        }
    }

    fn open(&mut self, queue: u32, place: u32) {
        let Scratch { runs, open, .. } = &mut *self.scratch;
        open.push(runs.len() as u32);
        runs.push(Run { queue, place, standing: Standing::FIRST, ahead: AHEAD, is_over: false });
    }

    /// A stream that goes on at this block; None where nobody is left in it who can pay.
    fn at_block(&self, stream: Stream, block: usize) -> Option<Stream> {
        let Entry { key, arrival, .. } = *self.pool.heads.list(stream.list).first_of(block)?;
        // A key promises too much at most.
        let base_fee = if stream.bound { u128::from(self.room.base_fee) } else { 0 };
        let tip = key.checked_sub(base_fee)?;
        let mut rank = [0.0];
        rank_batch(&[to_float(tip)], &[stream.boost], self.weights, &mut rank).expect("columns of one length");
        Some(Stream { block, best: Standing { rank: rank[0], tip, arrival }, ..stream })
    }

    /// Takes in the best heads of all groups until they make a wave; what all that are left stand below. None where
    /// none are left.
    fn take_in(&mut self) -> Option<Standing> {
        let left = (self.room.transactions - self.chosen.len()).min((self.room.gas / GAS_MIN) as usize);
        let enough = self.scratch.runs.len() + left.clamp(WAVE_MIN, WAVE_MAX);
        if self.room.blobs == 0 {
            // Nobody of these fits any more.
            self.scratch.streams.retain(|stream| !stream.blobs);
        }
        loop {
            let streams = self.scratch.streams.iter().enumerate();
            let (index, stream) = streams.max_by_key(|(_, stream)| stream.best)?;
            if self.scratch.runs.len() >= enough {
                return Some(stream.best);
            }
            let stream = *stream;
            self.take_block(&stream);
            match self.at_block(stream, stream.block + 1) {
                Some(next) => self.scratch.streams[index] = next,
                None => drop(self.scratch.streams.swap_remove(index)),
            }
        }
    }

    /// Opens a run for each head of a block. What will be read of them is fetched on the way, of many at a time: waiting
    /// for memory is most of what a block costs.
    fn take_block(&mut self, stream: &Stream) {
        let (pool, base_fee) = (self.pool, u128::from(self.room.base_fee));
        let block = pool.heads.list(stream.list).block(stream.block).unwrap_or_default();
        for entry in block {
            pool.queues[entry.id as usize].prefetch();
        }
        for entry in block {
            pool.queues[entry.id as usize].prefetch_first();
        }
        for entry in block {
            let queue = &pool.queues[entry.id as usize];
            if !self.tried.is_empty() && self.tried.contains_key(&queue.sender) {
                continue;
            }
            let Some(head) = queue.ready().front() else { continue };
            if (head.fee_cap.saturating_sub(head.tip) < base_fee) != stream.bound {
                self.scratch.misplaced.push(entry.id);
            }
            self.open(entry.id, 0);
        }
    }

    /// What earlier waves left and stands no worse than `floor` belongs to this one.
    fn take_up(&mut self, floor: Option<Standing>) {
        let Scratch { runs, open, wave, rest, .. } = &mut *self.scratch;
        wave.clear();
        rest.retain(|candidate| {
            let is_over = runs[candidate.run as usize].is_over;
            let stays = floor.is_some_and(|floor| candidate.standing < floor);
            if !stays && !is_over {
                wave.push(*candidate);
                open.push(candidate.run);
            }
            stays && !is_over
        });
    }

    /// Finds the standings of what the open runs bring, as long as they are no worse than `floor`; the first that is,
    /// waits for a later wave.
    fn spread(&mut self, floor: Option<Standing>) {
        let mut open = std::mem::take(&mut self.scratch.open);
        let mut further = std::mem::take(&mut self.scratch.further);
        while !open.is_empty() {
            self.rank(&open);
            let Scratch { runs, counts, ranks, wave, rest, .. } = &mut *self.scratch;
            let mut ranks = ranks.iter();
            for (index, count) in open.iter().zip(&*counts) {
                let run = &mut runs[*index as usize];
                let ready = self.pool.queues[run.queue as usize].ready();
                let mut ranks = ranks.by_ref().take(*count as usize);
                let mut goes_on = *count == run.ahead;
                for rank in &mut ranks {
                    let (item, place) = (&ready[run.place as usize], run.place);
                    let tip = effective_tip(item, self.room.base_fee).unwrap_or_default();
                    run.standing = run.standing.min(Standing { rank: *rank, tip, arrival: item.arrival });
                    run.place += 1;
                    let candidate = Candidate { standing: run.standing, run: *index, queue: run.queue, place };
                    if floor.is_some_and(|floor| run.standing < floor) {
                        rest.push(candidate);
                        goes_on = false;
                        break;
                    }
                    wave.push(candidate);
                }
                ranks.for_each(drop);
                if goes_on {
                    run.ahead = (2 * run.ahead).min(AHEAD_MAX);
                    further.push(*index);
                }
            }
            open.clear();
            std::mem::swap(&mut open, &mut further);
        }
        (self.scratch.open, self.scratch.further) = (open, further);
    }

    /// Ranks what the open runs bring next, as far as it can pay.
    fn rank(&mut self, open: &[u32]) {
        let Scratch { runs, counts, tips, boosts, ranks, .. } = &mut *self.scratch;
        counts.clear();
        tips.clear();
        boosts.clear();
        for index in open {
            let run = &runs[*index as usize];
            let queue = &self.pool.queues[run.queue as usize];
            let before = tips.len();
            for item in queue.ready().range(run.place as usize..).take(run.ahead as usize) {
                let Some(tip) = effective_tip(item, self.room.base_fee) else { break };
                tips.push(to_float(tip));
                boosts.push(self.boosts[item.class as usize][usize::from(queue.step(item.class))]);
            }
            counts.push((tips.len() - before) as u32);
        }
        ranks.clear();
        ranks.resize(tips.len(), 0.0);
        rank_batch(tips, boosts, self.weights, ranks).expect("columns of one length");
        self.scores.ranked += tips.len() as u64;
        if self.is_vector && tips.len() >= VECTOR_MIN {
            self.scores.vectored += tips.len() as u64;
        }
    }

    /// Puts the wave in order.
    fn sort(&mut self) {
        let Scratch { wave, order, .. } = &mut *self.scratch;
        order.clear();
        order.extend(wave.iter().zip(0..).map(|(candidate, index)| (candidate.standing.key(), index)));
        order.sort_unstable_by(|one, other| {
            one.0.cmp(&other.0).then_with(|| {
                let (one, other) = (&wave[one.1 as usize], &wave[other.1 as usize]);
                other.standing.cmp(&one.standing).then(one.place.cmp(&other.place))
            })
        });
    }

    /// Takes what fits, in order, until the block is full.
    fn choose(&mut self) {
        let order = std::mem::take(&mut self.scratch.order);
        for (_, index) in &order {
            if self.is_full() {
                break;
            }
            let Candidate { standing, run, queue, place } = self.scratch.wave[*index as usize];
            let is_over = &mut self.scratch.runs[run as usize].is_over;
            let item = &self.pool.queues[queue as usize].ready()[place as usize];
            if *is_over || item.blobs > 0 && self.room.blobs == 0 {
                // Once blobs have run out, nobody is to blame for bringing some.
                *is_over = true;
                continue;
            }
            if !fits(item, &self.room) {
                *is_over = true;
                self.schedule.misfits += 1;
                continue;
            }
            self.room.gas -= item.gas_limit;
            self.room.size_bytes -= item.size_bytes as usize;
            self.room.blobs -= u64::from(item.blobs);
            self.schedule.lowest_rank = self.schedule.lowest_rank.min(standing.rank);
            self.chosen.push(&item.pooled);
        }
        self.scratch.order = order;
    }
}

fn fits(item: &Item, room: &Room) -> bool {
    let pays = item.blobs == 0 || item.pooled.blob_fee_cap() >= room.blob_base_fee;
    let has_room = item.gas_limit <= room.gas && item.size_bytes as usize <= room.size_bytes;
    pays && has_room && u64::from(item.blobs) <= room.blobs
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

/// A tip as ranks see it. Most fit into 64 bits, which convert in one instruction.
pub(crate) fn to_float(tip: u128) -> f64 {
    u64::try_from(tip).map_or(tip as f64, |tip| tip as f64)
}

#[cfg(test)]
mod tests;

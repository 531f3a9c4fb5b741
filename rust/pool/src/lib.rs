//! What waits: transactions that were admitted and are not yet in a block.
//!
//! One [`Pool`] holds a queue for each sender, in the order of nonces. What follows the sender's account nonce without a
//! gap is *pending* and can be selected; what stands behind a gap is *queued* until the gap is filled. [`Pool::schedule`]
//! picks the next block's transactions, [`Pool::advance`] follows the head.
//!
//! Invariants: every transaction is in its sender's queue, in the index by hash and in the order of worth, and in each
//! exactly once; each sender's next pending one is in the order of heads; all counts and sums are kept up as
//! transactions come and go, never made by a scan; the pool is never larger than its [`Limits`]; a refused transaction
//! changes nothing. The same pool always gives the same block.
//!
//! The pool is a value: no clock, no disk, no thread. It executes nothing and reads no state: who admits says what the
//! sender's account is, and has checked everything that one transaction alone can be checked for. What happened to whom
//! it leaves in [`Pool::take_events`], for the journal and for followers.

mod admit;
mod advance;
mod books;
mod class;
mod event;
mod explain;
mod factor;
mod heads;
mod heap;
pub mod journal;
mod own;
mod pooled;
mod queue;
mod select;
mod settings;
mod slots;
mod sorted;
mod state;
mod weights;

use std::sync::Arc;

use types::{
    Address, B256,
    primitives::map::{AddressHashMap, B256HashMap},
};

pub use admit::{Admitted, PoolError};
pub use advance::{Inclusion, NewHead};
pub use class::{Class, Priorities};
pub use event::{Change, DropReason, Event};
pub use explain::{Explanation, Obstacle};
pub use factor::{CacheStats, Ending, Factors, History, NEUTRAL, STEPS, factor_of};
pub use kernels::ScoreError;
pub use own::order_by_scores;
pub use pooled::Pooled;
pub use select::{Room, Schedule, ScoreStats, Tried};
pub use settings::{Adaptation, Limits, Memory, Settings};
pub use state::MempoolState;
pub use weights::{Histogram, PaidTips, Signals, Weights};

use books::Books;
use heads::Heads;
use queue::{Item, Queue};
use slots::Slots;

/// The waiting transactions. Cloning shares the transactions and copies the indices.
#[derive(Clone, Debug)]
pub struct Pool {
    settings: Arc<Settings>,
    slots: Slots,
    hashes: B256HashMap<u32>,
    senders: AddressHashMap<u32>,
    queues: Vec<Queue>,
    /// Numbers of queues that nobody has.
    spare: Vec<u32>,
    heads: Heads,
    books: Books,
    factors: Factors,
    weights: Weights,
    paid: PaidTips,
    scores: ScoreStats,
    scratch: select::Scratch,
    head: NewHead,
    /// Queues that have changed while the head moves.
    dirty: Vec<u32>,
    arrivals: u64,
}

impl Default for Pool {
    fn default() -> Self {
        Self::new(Settings::default())
    }
}

impl Pool {
    /// An empty pool.
    pub fn new(settings: Settings) -> Self {
        Self {
            factors: Factors::new(settings.memory),
            weights: Weights::baseline(&settings.adaptation),
            settings: Arc::new(settings),
            slots: Slots::default(),
            hashes: B256HashMap::default(),
            senders: AddressHashMap::default(),
            queues: Vec::new(),
            spare: Vec::new(),
            heads: Heads::default(),
            books: Books::default(),
            paid: PaidTips::default(),
            scores: ScoreStats::default(),
            scratch: select::Scratch::default(),
            head: NewHead::default(),
            dirty: Vec::new(),
            arrivals: 0,
        }
    }

    /// How many transactions wait, queued ones included.
    pub fn len(&self) -> usize {
        self.hashes.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.hashes.is_empty()
    }

    /// Bytes of all transactions in their EIP-2718 form.
    pub fn size_bytes(&self) -> usize {
        self.books.tally.size_bytes
    }

    /// What was chosen.
    pub fn settings(&self) -> &Arc<Settings> {
        &self.settings
    }

    /// What it holds, at a time in milliseconds since 1970.
    pub fn state(&self, now_ms: u64) -> MempoolState {
        self.books.tally.state(self.slots.oldest_ms().map(|since| now_ms.saturating_sub(since)))
    }

    /// How the score cache does.
    pub fn cache_stats(&self) -> CacheStats {
        self.factors.stats()
    }

    /// How many transactions were ranked, and how many of them by a vector path.
    pub fn score_stats(&self) -> ScoreStats {
        self.scores
    }

    /// The weights of the next block's ranks.
    pub fn weights(&self) -> Weights {
        self.weights
    }

    /// The head that it follows.
    pub fn head(&self) -> &NewHead {
        &self.head
    }

    /// A waiting transaction by its hash.
    pub fn get(&self, hash: &B256) -> Option<&Arc<Pooled>> {
        let (queue, nonce) = self.place(hash)?;
        self.queues[queue as usize].get(nonce).map(|item| &item.pooled)
    }

    /// Whether a waiting transaction can be selected, as far as nonces are concerned.
    pub fn is_pending(&self, hash: &B256) -> bool {
        self.place(hash).is_some_and(|(queue, nonce)| self.queues[queue as usize].is_ready(nonce))
    }

    /// Those of a sender that can be included now, by nonce.
    pub fn pending(&self, sender: &Address) -> impl Iterator<Item = &Arc<Pooled>> {
        self.queue(sender).into_iter().flat_map(|queue| queue.ready().iter().map(|item| &item.pooled))
    }

    /// Those of a sender that stand behind a gap, by nonce.
    pub fn queued(&self, sender: &Address) -> impl Iterator<Item = &Arc<Pooled>> {
        self.queue(sender).into_iter().flat_map(|queue| queue.gapped().map(|item| &item.pooled))
    }

    /// All, the oldest first.
    pub fn by_age(&self) -> impl Iterator<Item = &Arc<Pooled>> {
        self.slots.by_age().map(|id| &self.item(id).pooled)
    }

    /// Who has transactions here, ascending by address.
    pub fn senders(&self) -> Vec<Address> {
        let mut senders: Vec<_> = self.senders.keys().copied().collect();
        senders.sort_unstable();
        senders
    }

    /// The nonce that the sender's next transaction should have; None where nothing of the sender is here.
    pub fn next_nonce(&self, sender: &Address) -> Option<u64> {
        self.queue(sender).map(Queue::next_nonce)
    }

    /// What has happened since the last call, in order.
    pub fn take_events(&mut self) -> std::vec::Drain<'_, Event> {
        self.books.events.drain(..)
    }

    /// Of whom something was learnt since the last call, and what is known of them now.
    pub fn take_learnt(&mut self) -> impl Iterator<Item = (Address, &History)> {
        self.factors.take_learnt()
    }

    /// What is known of senders, the one longest unheard of first.
    pub fn histories(&self) -> impl ExactSizeIterator<Item = (&Address, &History)> {
        self.factors.histories()
    }

    /// What is known of a sender.
    pub fn history(&self, sender: &Address) -> Option<&History> {
        self.factors.history(sender)
    }

    /// Puts back what an earlier pool knew of a sender, before anything of the sender is admitted.
    pub fn recall(&mut self, sender: Address, history: History) {
        self.factors.recall(sender, history);
    }

    /// Puts back what the transactions of an earlier block gave the producer; the oldest block first.
    pub fn recall_tips(&mut self, tips: impl Iterator<Item = u128>) {
        self.paid.push(tips);
    }

    /// Takes one out; those of the sender that follow it become queued.
    pub fn remove(&mut self, hash: &B256, reason: DropReason) -> Option<Arc<Pooled>> {
        let (queue, nonce) = self.place(hash)?;
        let removed = self.take_out(queue, nonce, Change::Dropped(reason));
        self.tidy(queue);
        Some(removed)
    }

    /// Empties the pool. What was learnt about senders stays.
    pub fn clear(&mut self) {
        for sender in self.senders() {
            let queue = self.senders[&sender];
            while let Some(nonce) = self.queues[queue as usize].last_nonce() {
                self.take_out(queue, nonce, Change::Dropped(DropReason::Asked));
            }
            self.tidy(queue);
        }
    }

    fn queue(&self, sender: &Address) -> Option<&Queue> {
        self.senders.get(sender).map(|id| &self.queues[*id as usize])
    }

    fn place(&self, hash: &B256) -> Option<(u32, u64)> {
        let slot = self.slots.get(*self.hashes.get(hash)?);
        Some((slot.queue, slot.nonce))
    }

    fn item(&self, id: u32) -> &Item {
        let slot = self.slots.get(id);
        self.queues[slot.queue as usize].get(slot.nonce).expect("a numbered transaction is in its sender's queue")
    }

    /// Takes a transaction out of everything but the order of heads, which is [`tidy`](Self::tidy)'s.
    fn take_out(&mut self, queue: u32, nonce: u64, change: Change) -> Arc<Pooled> {
        let Self { queues, books, .. } = self;
        let queue = &mut queues[queue as usize];
        let ready = queue.is_ready(nonce);
        let item = queue.remove(nonce, |item| books.demote(item)).expect("the caller has seen it there");
        self.forget(item, ready, change)
    }

    fn forget(&mut self, item: Item, ready: bool, change: Change) -> Arc<Pooled> {
        self.books.leave(&item, ready, change);
        self.slots.give(item.id());
        self.hashes.remove(&item.pooled.hash);
        item.pooled
    }

    /// After a sender's queue has changed: its head is put in order; an empty queue is given back.
    fn tidy(&mut self, id: u32) {
        let queue = &mut self.queues[id as usize];
        queue.dirty = false;
        self.heads.update(id, queue, self.books.base_fee);
        if queue.is_empty() {
            self.senders.remove(&queue.sender);
            self.spare.push(id);
        }
    }
}

#[cfg(test)]
mod tests;

//! Telling others that the head has moved.
//!
//! There is no queue that could overflow: the chain publishes its head with a version number, and each [`Subscription`]
//! remembers which blocks it has already told of. Asked again, it walks from the new head down, from parent to parent, to
//! a block that it told of: what it tells is linked even where the chain moves meanwhile. So a slow subscriber costs
//! nothing and loses no canonical block; blocks that came and went between two questions it never hears of.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, PoisonError},
    time::{Duration, Instant},
};

use types::BlockId;

use crate::{Chain, ChainError};

/// How the canonical chain has changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeadChange {
    /// Blocks that were told of, or were there before, and are no longer canonical, newest first.
    pub removed: Vec<BlockId>,
    /// Blocks that are canonical now, oldest first, each the parent of the next. Empty only where blocks were undone.
    pub added: Vec<BlockId>,
}

/// That something has happened which somebody may want to hear of: the head has moved, or, while the pool is followed,
/// the pool has changed. A version number and a place to wait.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    version: Mutex<u64>,
    moved: Condvar,
}

impl Signal {
    pub(crate) fn version(&self) -> u64 {
        *self.version.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It has happened.
    pub(crate) fn raise(&self) {
        *self.version.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.moved.notify_all();
    }

    /// Waits until the version is not `seen` any more, or until the time is over.
    pub(crate) fn wait(&self, seen: u64, timeout: Duration) -> u64 {
        let version = self.version.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.moved.wait_timeout_while(version, timeout, |version| *version == seen);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Follows the head of a chain. It keeps the chain open.
#[derive(Debug)]
pub struct Subscription {
    chain: Arc<Chain>,
    seen: u64,
    /// The newest blocks told of, oldest first, each the parent of the next; the last is the head as this subscriber
    /// knows it, so there is always one.
    told: VecDeque<BlockId>,
}

/// Blocks a subscriber remembers: those that are undone to an anchor are forgotten by the ledger. What is older is looked
/// up there.
const REMEMBERED_BLOCKS: usize = 1024;

/// Blocks told of at once: a subscriber far behind gets them in pieces.
const BLOCKS_AT_ONCE: u64 = 1024;

impl Subscription {
    /// Starts at the present head, which itself is not told of.
    pub(crate) fn new(chain: Arc<Chain>) -> Self {
        // The version first: what moves between the two questions is told of at the next one.
        let seen = chain.signal().version();
        let told = VecDeque::from([chain.head().id]);
        Self { chain, seen, told }
    }

    /// The next change of the head; None where there was none before the time was over. To be interruptible, ask with
    /// short times.
    ///
    /// # Errors
    /// Where the ledger cannot be read; nothing is lost then.
    pub fn next(&mut self, timeout: Duration) -> Result<Option<HeadChange>, ChainError> {
        let deadline = Instant::now() + timeout;
        loop {
            let change = self.catch_up()?;
            if change.is_some() {
                return Ok(change);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.seen = self.chain.signal().wait(self.seen, left);
        }
    }

    /// What has changed since the last call, without waiting.
    fn catch_up(&mut self) -> Result<Option<HeadChange>, ChainError> {
        let mut head = self.chain.head().id;
        loop {
            if let Some(change) = self.change_to(head)? {
                return Ok((change != HeadChange::default()).then_some(change));
            }
            // A block was forgotten on the way down to it, which happens only where the head moves away from it.
            let before = std::mem::replace(&mut head, self.chain.head().id);
            if before == head {
                return Err(ChainError::UnknownBlock(head.into()));
            }
        }
    }

    /// The way to this head, or a part of it where it is long; None where a block of it is not there any more.
    fn change_to(&mut self, head: BlockId) -> Result<Option<HeadChange>, ChainError> {
        let ledger = self.chain.ledger();
        let parent = |id: BlockId| {
            let header = ledger.header(&id.hash)?;
            let parent = header.map(|header| header.parent_hash).zip(id.number.checked_sub(1));
            Ok::<_, ChainError>(parent.map(|(hash, number)| BlockId { number, hash }))
        };
        let far = self.told[self.told.len() - 1].number + BLOCKS_AT_ONCE;
        let mut at = head;
        if head.number > far {
            let Some(hash) = ledger.canonical(far)? else { return Ok(None) };
            at = BlockId { number: far, hash };
        }
        let mut change = HeadChange::default();
        // So many of those told of are below the lowest block that was reached.
        let mut told = self.told.len();
        loop {
            while told > 0 && self.told[told - 1].number > at.number {
                told -= 1;
                let removed = self.told[told];
                change.removed.push(removed);
                if told == 0
                    && let Some(older) = parent(removed)?
                {
                    self.told.push_front(older);
                    told = 1;
                }
            }
            // Where nobody knows any more what was below, it goes on from here.
            if told == 0 || self.told[told - 1] == at {
                break;
            }
            change.added.push(at);
            let Some(below) = parent(at)? else { return Ok(None) };
            at = below;
        }
        change.added.reverse();
        self.told.truncate(told);
        if told == 0 {
            self.told.push_back(at);
        }
        self.told.extend(&change.added);
        let forgotten = self.told.len().saturating_sub(REMEMBERED_BLOCKS);
        self.told.drain(..forgotten);
        Ok(Some(change))
    }
}

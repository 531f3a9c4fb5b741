//! Telling others that the head has moved.
//!
//! There is no queue that could overflow: the chain publishes its head with a version number, and each [`Subscription`]
//! remembers which blocks it has already told of. Asked again, it walks from the new head down to the last block that it
//! told of, so a slow subscriber costs nothing and loses no canonical block; blocks that came and went between two
//! questions it never hears of.

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
    /// Blocks that were told of and are no longer canonical, newest first.
    pub removed: Vec<BlockId>,
    /// Blocks that are canonical now, oldest first. Empty only where blocks were undone.
    pub added: Vec<BlockId>,
}

/// What the chain publishes, and where subscribers wait.
#[derive(Debug, Default)]
pub(crate) struct Signal {
    version: Mutex<u64>,
    moved: Condvar,
}

impl Signal {
    pub(crate) fn version(&self) -> u64 {
        *self.version.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The head has moved.
    pub(crate) fn raise(&self) {
        *self.version.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.moved.notify_all();
    }

    /// Waits until the version is not `seen` any more, or until the time is over.
    fn wait(&self, seen: u64, timeout: Duration) -> u64 {
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
    /// The newest blocks told of, oldest first; the last is the head as this subscriber knows it.
    told: VecDeque<BlockId>,
}

/// Blocks a subscriber remembers, to name those that a reorg removes: deeper than any reorg that the history window of a
/// usual chain allows.
const REMEMBERED_BLOCKS: usize = 1024;

/// Blocks told of at once: a subscriber far behind gets them in pieces.
const BLOCKS_AT_ONCE: usize = 1024;

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
        let head = self.chain.head();
        let mut change = HeadChange::default();
        let mut told = self.told.len();
        // Down from what was told to what is still canonical.
        while told > 1 && !self.chain.is_canonical(&self.told[told - 1])? {
            told -= 1;
            change.removed.push(self.told[told]);
        }
        let common = self.told[told - 1];
        let last = head.id.number.min(common.number + BLOCKS_AT_ONCE as u64);
        for number in common.number + 1..=last {
            let Some(hash) = self.chain.ledger().canonical(number)? else { break };
            change.added.push(BlockId { number, hash });
        }
        if change == HeadChange::default() {
            return Ok(None);
        }
        self.told.truncate(told);
        self.told.extend(&change.added);
        let forgotten = self.told.len().saturating_sub(REMEMBERED_BLOCKS);
        self.told.drain(..forgotten);
        Ok(Some(change))
    }
}

//! What makes a server a devnet: keys that it signs with, a clock that can be moved, blocks made on demand.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use chain::{
    Chain, MineError, MineOptions, Mined, Submission,
    types::{Address, Bytes, Key},
};

use crate::error::RpcError;

impl From<MineError> for RpcError {
    fn from(error: MineError) -> Self {
        Self::refused(error.to_string())
    }
}

/// Held by a [`Server`](crate::Server) that serves the development methods.
#[derive(Debug)]
pub struct Development {
    keys: Vec<Key>,
    automine: AtomicBool,
    clock: Mutex<Clock>,
}

/// When the next block is; the world's time where nobody has moved it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Clock {
    /// Seconds that the chain is ahead of the world.
    ahead: u64,
    /// Time of the next block, for once.
    next: Option<u64>,
}

impl Development {
    /// Signs with these keys. With `automine`, a transaction that can be included gets a block at once.
    pub fn new(keys: Vec<Key>, automine: bool) -> Self {
        Self { keys, automine: AtomicBool::new(automine), clock: Mutex::default() }
    }

    pub(crate) fn keys(&self) -> &[Key] {
        &self.keys
    }

    pub(crate) fn key(&self, address: &Address) -> Option<&Key> {
        self.keys.iter().find(|key| key.address() == *address)
    }

    pub(crate) fn automine(&self) -> bool {
        self.automine.load(Ordering::Relaxed)
    }

    pub(crate) fn set_automine(&self, on: bool) {
        self.automine.store(on, Ordering::Relaxed);
    }

    /// Moves the clock forward; by how much it is ahead now.
    pub(crate) fn advance(&self, seconds: u64) -> u64 {
        let mut clock = self.clock.lock().unwrap_or_else(PoisonError::into_inner);
        clock.ahead = clock.ahead.saturating_add(seconds);
        clock.ahead
    }

    /// Sets the time of the next block; time goes on from there.
    pub(crate) fn set_next(&self, chain: &Chain, timestamp: u64) -> Result<(), RpcError> {
        let head = chain.head().header.timestamp;
        if timestamp <= head {
            let message = format!("timestamp {timestamp} is not after the newest block's, which is {head}");
            return Err(RpcError::invalid_params(message));
        }
        self.clock.lock().unwrap_or_else(PoisonError::into_inner).next = Some(timestamp);
        Ok(())
    }

    /// Makes a block of what waits, at the time that this clock says.
    pub(crate) fn mine(&self, chain: &Chain) -> Result<Mined, MineError> {
        chain.mine(self.next())
    }

    /// Makes a block of these signed transactions, in this order, or none where one of them can't stand in it.
    pub(crate) fn mine_exactly(&self, chain: &Chain, transactions: Vec<Bytes>) -> Result<Mined, MineError> {
        chain.mine_batch(transactions.into_iter().map(Submission::from).collect(), self.next())
    }

    fn next(&self) -> MineOptions {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Clock {
    /// The next block's time: what was set, or the world's so far ahead, always after the head's.
    pub(crate) fn take(&mut self) -> MineOptions {
        let world = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        MineOptions::not_before(match self.next.take() {
            Some(set) => {
                self.ahead = set.saturating_sub(world);
                set
            }
            None => world.saturating_add(self.ahead),
        })
    }
}

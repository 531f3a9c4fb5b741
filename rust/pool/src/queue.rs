//! One sender's transactions by nonce.
//!
//! Invariant: nothing in it is below the account's nonce; `ready` counts those that follow it without a gap.

use std::{collections::BTreeMap, sync::Arc};

use crate::Pooled;

#[derive(Clone, Debug, Default)]
pub(crate) struct Queue {
    /// The account's.
    nonce: u64,
    by_nonce: BTreeMap<u64, Arc<Pooled>>,
    ready: usize,
}

impl Queue {
    pub(crate) fn new(nonce: u64) -> Self {
        Self { nonce, ..Self::default() }
    }

    pub(crate) fn len(&self) -> usize {
        self.by_nonce.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_nonce.is_empty()
    }

    pub(crate) fn get(&self, nonce: u64) -> Option<&Arc<Pooled>> {
        self.by_nonce.get(&nonce)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Pooled>> {
        self.by_nonce.values()
    }

    pub(crate) fn pending(&self) -> impl Iterator<Item = &Arc<Pooled>> {
        self.by_nonce.values().take(self.ready)
    }

    pub(crate) fn queued(&self) -> impl Iterator<Item = &Arc<Pooled>> {
        self.by_nonce.values().skip(self.ready)
    }

    /// The first nonce that nobody here has taken.
    pub(crate) fn next_nonce(&self) -> u64 {
        self.nonce + self.ready as u64
    }

    /// Puts one in, in place of the one with the same nonce.
    pub(crate) fn insert(&mut self, pooled: Arc<Pooled>) -> Option<Arc<Pooled>> {
        let replaced = self.by_nonce.insert(pooled.transaction.transaction.nonce(), pooled);
        self.promote();
        replaced
    }

    pub(crate) fn remove(&mut self, nonce: u64) -> Option<Arc<Pooled>> {
        let removed = self.by_nonce.remove(&nonce)?;
        let place = usize::try_from(nonce - self.nonce).unwrap_or(usize::MAX);
        self.ready = self.ready.min(place);
        Some(removed)
    }

    /// The account's nonce is now this one (lower than before where a block was undone). Returns what it has passed.
    pub(crate) fn settle(&mut self, nonce: u64) -> Vec<Arc<Pooled>> {
        let kept = self.by_nonce.split_off(&nonce);
        let passed = std::mem::replace(&mut self.by_nonce, kept);
        self.nonce = nonce;
        self.ready = 0;
        self.promote();
        passed.into_values().collect()
    }

    fn promote(&mut self) {
        let gapless = (self.next_nonce()..).zip(self.by_nonce.range(self.next_nonce()..));
        self.ready += gapless.take_while(|(expected, (nonce, _))| expected == *nonce).count();
    }
}

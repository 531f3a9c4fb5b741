//! The one key-value face under the store: ordered families of bytes, frozen snapshots, atomic batches.
//!
//! Two implementations pass the same conformance suite (`tests/conformance.rs`): [`Memory`](crate::Memory) and
//! [`Lmdb`](crate::Lmdb). Keys have 1 to [`KEY_BYTES_MAX`] bytes; values any length, none included.

use std::{collections::VecDeque, ops::Bound, sync::Arc};

use rayon::prelude::*;
use state::LedgerError;
use types::Bytes;

use crate::Family;

/// LMDB's limit.
pub const KEY_BYTES_MAX: usize = 511;

/// How many keys one transaction of a range deletion removes: some MiB of pages in the worst case.
pub const RANGE_DELETE_KEYS_MAX: usize = 10_000;

/// Entries fetched at once by an iterator.
const PAGE_ENTRIES: usize = 256;

/// A key and its value.
pub type Entry = (Bytes, Bytes);

/// Where a store's bytes lie. One writer at a time; any number of readers, which never wait for it.
pub trait Kv: Send + Sync {
    /// The newest write, frozen.
    fn snapshot(&self) -> Result<Arc<dyn Snapshot>, LedgerError>;

    /// Does all of the batch, or nothing of it.
    fn write(&self, batch: Batch) -> Result<(), LedgerError>;

    /// Waits until everything written is on the disk.
    fn sync(&self) -> Result<(), LedgerError>;

    /// Entries and bytes of every family.
    fn stat(&self) -> Result<Stat, LedgerError>;

    /// Removes keys of a range, at most [`RANGE_DELETE_KEYS_MAX`] of them; returns how many. The range is empty once
    /// fewer than that were removed.
    fn delete_range(&self, family: Family, from: &[u8], until: Option<&[u8]>) -> Result<usize, LedgerError> {
        let start = if from.is_empty() { Bound::Unbounded } else { Bound::Included(from) };
        let page = self.snapshot()?.page(family, start, until, RANGE_DELETE_KEYS_MAX)?;
        let mut batch = Batch::default();
        let removed = page.len();
        for (key, _) in page {
            batch.delete(family, key);
        }
        if removed > 0 {
            self.write(batch)?;
        }
        Ok(removed)
    }
}

/// A moment of a store. Later writes don't show.
pub trait Snapshot: Send + Sync {
    /// Rises by one with every write: two snapshots of one store with the same version hold the same.
    fn version(&self) -> u64;

    /// The value of a key.
    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, LedgerError>;

    /// Entries from `start` upwards and below `until`, ascending, at most `limit` of them.
    fn page(
        &self,
        family: Family,
        start: Bound<&[u8]>,
        until: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Entry>, LedgerError>;
}

impl dyn Snapshot + '_ {
    /// All entries of a family, ascending by key.
    pub fn entries(&self, family: Family) -> Entries<'_> {
        self.prefixed(family, &[])
    }

    /// All entries whose key begins with `prefix`, ascending by key.
    pub fn prefixed(&self, family: Family, prefix: &[u8]) -> Entries<'_> {
        self.range(family, prefix, successor(prefix))
    }

    /// All entries with `from` ≤ key < `until`, ascending by key.
    pub fn range(&self, family: Family, from: &[u8], until: Option<Vec<u8>>) -> Entries<'_> {
        let start = if from.is_empty() { Bound::Unbounded } else { Bound::Included(from.to_vec().into()) };
        Entries { snapshot: self, family, start, until, page: VecDeque::new(), ended: false }
    }
}

/// The first key behind all keys with this prefix; None where there is none.
pub(crate) fn successor(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut next = prefix.to_vec();
    while let Some(last) = next.last_mut() {
        if *last < u8::MAX {
            *last += 1;
            return Some(next);
        }
        next.pop();
    }
    None
}

/// Walks a range in pages, so that nothing of the store is held between two steps. Ends after its first error.
pub struct Entries<'a> {
    snapshot: &'a dyn Snapshot,
    family: Family,
    start: Bound<Bytes>,
    until: Option<Vec<u8>>,
    page: VecDeque<Entry>,
    ended: bool,
}

impl Iterator for Entries<'_> {
    type Item = Result<Entry, LedgerError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.page.is_empty() && !self.ended {
            let start = self.start.as_ref().map(AsRef::as_ref);
            match self.snapshot.page(self.family, start, self.until.as_deref(), PAGE_ENTRIES) {
                Ok(page) => {
                    self.ended = page.len() < PAGE_ENTRIES;
                    self.page = page.into();
                    if let Some((key, _)) = self.page.back() {
                        self.start = Bound::Excluded(key.clone());
                    }
                }
                Err(error) => {
                    self.ended = true;
                    return Some(Err(error));
                }
            }
        }
        self.page.pop_front().map(Ok)
    }
}

/// Puts and deletions that happen together. Where a key is named twice the later word counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// In the order of [`Family::ALL`].
    families: [Vec<Change>; Family::ALL.len()],
}

/// A batch of as many changes is worth waking another core for.
const PARALLEL_MIN: usize = 4_096;

/// One key of a batch: its new value, or None where it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// In which family.
    pub family: Family,
    /// The key.
    pub key: Bytes,
    /// None: the key is removed, if it is there.
    pub value: Option<Bytes>,
}

impl Batch {
    /// Sets a key.
    pub fn put(&mut self, family: Family, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        self.push(family, key.into(), Some(value.into()));
    }

    /// Removes a key.
    pub fn delete(&mut self, family: Family, key: impl Into<Bytes>) {
        self.push(family, key.into(), None);
    }

    pub(crate) fn push(&mut self, family: Family, key: Bytes, value: Option<Bytes>) {
        assert!((1..=KEY_BYTES_MAX).contains(&key.len()), "a key of {} bytes in {}", key.len(), family.name());
        self.families[family as usize].push(Change { family, key, value });
    }

    /// This one, then the other.
    #[must_use]
    pub(crate) fn then(mut self, other: Self) -> Self {
        for (changes, later) in self.families.iter_mut().zip(other.families) {
            if changes.is_empty() { *changes = later } else { changes.extend(later) }
        }
        self
    }

    /// Whether nothing would be written.
    pub fn is_empty(&self) -> bool {
        self.families.iter().all(Vec::is_empty)
    }

    /// Whether it is so long that several cores should work on it.
    pub(crate) fn is_long(&self) -> bool {
        self.families.iter().map(Vec::len).sum::<usize>() >= PARALLEL_MIN
    }

    /// Puts it in order: ascending by family and key, each key once. LMDB takes sorted keys three times as fast as
    /// scattered ones.
    pub fn sort(&mut self) {
        let sort = |changes: &mut Vec<Change>| {
            if changes.is_sorted_by(|a, b| a.key < b.key) {
                return;
            }
            // Stable, so that of equal keys the last stands last; then keep the last.
            changes.sort_by(|a, b| a.key.cmp(&b.key));
            changes.reverse();
            changes.dedup_by(|a, b| a.key == b.key);
            changes.reverse();
        };
        if self.is_long() {
            self.families.par_iter_mut().for_each(sort);
        } else {
            self.families.iter_mut().for_each(sort);
        }
    }

    /// The changes, in order.
    pub fn into_sorted(self) -> Vec<Change> {
        self.into_sorted_families().into_iter().flatten().collect()
    }

    /// The same, each family for itself.
    pub(crate) fn into_sorted_families(mut self) -> [Vec<Change>; Family::ALL.len()] {
        self.sort();
        self.families
    }

    pub(crate) fn family(&self, family: Family) -> &[Change] {
        &self.families[family as usize]
    }
}

/// What a family takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FamilyStat {
    /// Keys held.
    pub entries: u64,
    /// Bytes taken: pages in LMDB, keys and values in memory.
    pub bytes: u64,
}

/// What a store takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stat {
    /// In the order of [`Family::ALL`].
    pub families: Vec<(Family, FamilyStat)>,
    /// Length of the file; 0 in memory.
    pub file_bytes: u64,
    /// Bytes of the file that later writes will use again.
    pub free_bytes: u64,
    /// How far the file may grow before the map must; 0 in memory.
    pub map_bytes: u64,
}

impl Change {
    pub(crate) fn bytes(&self) -> usize {
        self.key.len() + self.value.as_ref().map_or(0, |value| value.len())
    }
}

//! Rows of the state that were read or written last, in front of the key-value store.
//!
//! Readers frozen at different commits share one cache, so every row carries the version from which on it has been
//! true, and the cache the version up to which all rows are true:
//!
//! - A reader takes a row only if the row's version is not above its own. A row that was rewritten later is a miss for
//!   it, and its own snapshot answers.
//! - A reader adds what it read only while its version is the newest. So no old value gets in.
//! - A commit closes the cache to additions, puts in all it writes under the coming version, and only then writes. So
//!   whoever sees the commit finds no older row. If the write fails those rows leave again.
//!
//! Where somebody else writes (another process, or a tool below the store), nothing here can be known to be true: the
//! store then begins a new cache.

use std::{
    hash::{Hash, Hasher},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use lru::LruCache;
use types::Bytes;

use crate::{Family, kv::Change};

/// Threads that read at the same time rarely meet.
const SHARDS: usize = 16;

/// What a row takes besides its value's bytes: its key, pointers of list and table, and the allocator's share.
const ROW_BYTES: usize = 192;

/// No version is this high: additions are refused.
const CLOSED: u64 = u64::MAX;

/// The longest key of the families below: a node's, with owner and whole path.
const NAME_BYTES_MAX: usize = 66;

/// Execution and roots read these again and again; everything else is read once or by hand.
const FAMILIES: [Family; 4] = [Family::Accounts, Family::Storage, Family::Code, Family::Nodes];

/// Family and key, in place.
#[derive(Clone, Copy)]
pub(crate) struct Name {
    family: Family,
    length: u8,
    bytes: [u8; NAME_BYTES_MAX],
}

impl Name {
    /// None for what is not cached.
    pub(crate) fn new(family: Family, key: &[u8]) -> Option<Self> {
        if !FAMILIES.contains(&family) {
            return None;
        }
        let mut bytes = [0; NAME_BYTES_MAX];
        bytes.get_mut(..key.len())?.copy_from_slice(key);
        Some(Self { family, length: key.len() as u8, bytes })
    }

    fn key(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }

    /// Addresses and hashes end in anything, slots differ in their last byte, nodes before their length.
    fn shard(&self) -> usize {
        self.key().iter().rev().take(2).fold(0, |mixed, byte| mixed * 7 + usize::from(*byte)) % SHARDS
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.family == other.family && self.key() == other.key()
    }
}

impl Eq for Name {}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u8(self.family as u8);
        state.write(self.key());
    }
}

struct Row {
    since: u64,
    value: Option<Bytes>,
}

impl Row {
    fn bytes(&self) -> usize {
        ROW_BYTES + self.value.as_ref().map_or(0, |value| value.len())
    }
}

struct Shard {
    rows: LruCache<Name, Row>,
    bytes: usize,
}

impl Shard {
    fn put(&mut self, name: Name, row: Row, bytes_max: usize) {
        self.bytes += row.bytes();
        if let Some(old) = self.rows.put(name, row) {
            self.bytes -= old.bytes();
        }
        while self.bytes > bytes_max {
            let Some((_, row)) = self.rows.pop_lru() else { break };
            self.bytes -= row.bytes();
        }
    }

    fn remove(&mut self, name: &Name) {
        if let Some(row) = self.rows.pop(name) {
            self.bytes -= row.bytes();
        }
    }
}

pub(crate) struct Cache {
    shards: [Mutex<Shard>; SHARDS],
    shard_bytes_max: usize,
    /// All rows are true at this version; [`CLOSED`] while a commit runs.
    version: AtomicU64,
}

impl Cache {
    /// An empty cache for readers at `version` and later.
    pub(crate) fn new(bytes_max: usize, version: u64) -> Self {
        let shard = |_| Mutex::new(Shard { rows: LruCache::unbounded(), bytes: 0 });
        Self {
            shards: std::array::from_fn(shard),
            shard_bytes_max: bytes_max / SHARDS,
            version: AtomicU64::new(version),
        }
    }

    fn shard(&self, name: &Name) -> MutexGuard<'_, Shard> {
        self.shards[name.shard()].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether everything up to `version` came through here.
    pub(crate) fn knows(&self, version: u64) -> bool {
        version <= self.version.load(Ordering::SeqCst)
    }

    /// The row as a reader at `version` must see it; None where the reader has to look itself.
    pub(crate) fn get(&self, name: &Name, version: u64) -> Option<Option<Bytes>> {
        let mut shard = self.shard(name);
        let row = shard.rows.get(name)?;
        (row.since <= version).then(|| row.value.clone())
    }

    /// What a reader at `version` found.
    pub(crate) fn add(&self, name: Name, value: Option<Bytes>, version: u64) {
        let mut shard = self.shard(&name);
        // Under the shard's lock: a commit that begins after this look comes to this shard after us.
        if self.version.load(Ordering::SeqCst) == version {
            shard.put(name, Row { since: version, value }, self.shard_bytes_max);
        }
    }

    /// Runs `write`, which makes `version` out of the one before by `changes`.
    pub(crate) fn write_through<E>(
        &self,
        changes: &[Change],
        version: u64,
        write: impl FnOnce() -> Result<(), E>,
    ) -> Result<(), E> {
        let before = self.version.swap(CLOSED, Ordering::SeqCst);
        let rows = || changes.iter().filter_map(|change| Some((Name::new(change.family, &change.key)?, change)));
        for (name, change) in rows() {
            let row = Row { since: version, value: change.value.clone() };
            self.shard(&name).put(name, row, self.shard_bytes_max);
        }
        let outcome = write();
        if outcome.is_err() {
            rows().for_each(|(name, _)| self.shard(&name).remove(&name));
        }
        self.version.store(if outcome.is_ok() { version } else { before }, Ordering::SeqCst);
        outcome
    }

    #[cfg(test)]
    fn bytes(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap().bytes).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(key: u8) -> Name {
        Name::new(Family::Accounts, &[key]).unwrap()
    }

    fn value(byte: u8) -> Option<Bytes> {
        Some(Bytes::from(vec![byte]))
    }

    fn change(key: u8, byte: u8) -> Change {
        Change { family: Family::Accounts, key: vec![key].into(), value: value(byte) }
    }

    #[test]
    fn a_reader_never_gets_a_row_younger_than_itself() {
        let cache = Cache::new(1 << 20, 5);
        cache.add(name(1), value(10), 5);
        assert_eq!(cache.get(&name(1), 5), Some(value(10)));
        cache.write_through(&[change(1, 11)], 6, || Ok::<_, ()>(())).unwrap();
        assert_eq!(cache.get(&name(1), 5), None);
        assert_eq!(cache.get(&name(1), 6), Some(value(11)));
    }

    #[test]
    fn an_older_reader_adds_nothing() {
        let cache = Cache::new(1 << 20, 5);
        cache.write_through(&[], 6, || Ok::<_, ()>(())).unwrap();
        cache.add(name(1), value(10), 5);
        assert_eq!(cache.get(&name(1), 6), None);
        assert_eq!((cache.knows(6), cache.knows(7)), (true, false));
    }

    #[test]
    fn during_a_commit_nobody_adds_and_afterwards_nobody_sees_the_old() {
        let cache = Cache::new(1 << 20, 5);
        cache.add(name(1), value(10), 5);
        let outcome = cache.write_through(&[change(1, 11)], 6, || {
            cache.add(name(2), value(20), 5);
            cache.add(name(1), value(10), 5);
            assert_eq!(cache.get(&name(1), 5), None);
            assert_eq!(cache.get(&name(1), 6), Some(value(11)));
            Ok::<_, ()>(())
        });
        assert_eq!(outcome, Ok(()));
        assert_eq!(cache.get(&name(2), 6), None);
    }

    #[test]
    fn a_failed_commit_leaves_no_row() {
        let cache = Cache::new(1 << 20, 5);
        assert_eq!(cache.write_through(&[change(1, 11)], 6, || Err("full")), Err("full"));
        assert_eq!(cache.get(&name(1), 6), None);
        cache.add(name(1), value(10), 5);
        assert_eq!(cache.get(&name(1), 6), Some(value(10)));
    }

    #[test]
    fn memory_stays_within_its_bound_and_the_oldest_rows_go() {
        let bytes_max = SHARDS * ROW_BYTES * 10;
        let cache = Cache::new(bytes_max, 0);
        for round in 0..4 {
            for key in 0..=255 {
                cache.add(name(key), value(round), 0);
                assert!(cache.bytes() <= bytes_max);
            }
        }
        assert_eq!(cache.get(&name(255), 0), Some(value(3)));
        assert_eq!(cache.get(&name(0), 0), None);
        let none = Cache::new(0, 0);
        none.add(name(1), value(1), 0);
        assert_eq!((none.get(&name(1), 0), none.bytes()), (None, 0));
    }

    #[test]
    fn only_families_of_the_state_are_kept() {
        assert!(Name::new(Family::Headers, &[1]).is_none());
        assert!(Name::new(Family::Nodes, &[1; NAME_BYTES_MAX]).is_some());
        assert!(Name::new(Family::Nodes, &[1; NAME_BYTES_MAX + 1]).is_none());
        assert!(Name::new(Family::Nodes, &[1]) != Name::new(Family::Accounts, &[1]));
    }
}

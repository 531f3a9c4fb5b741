//! Rows of the state that were read or written last, in front of the key-value store.
//!
//! Readers frozen at different commits share one cache, so every row carries the version from which on it has been
//! true, and the cache the version up to which all rows are true:
//!
//! - A reader takes a row only if the row's version is not above its own. A row that was rewritten later is a miss for
//!   it, and its own snapshot answers.
//! - A reader adds what it read only while its version is the newest. So no old value gets in.
//! - A commit closes the cache to additions, puts in all it writes under the coming version, and only then writes. So
//!   whoever sees the commit finds no older row. If the write fails everything leaves.
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

use rayon::prelude::*;
use types::{Bytes, primitives::map::HashMap};

use crate::{Batch, Family, kv::Change};

/// Threads that read at the same time rarely meet.
const SHARDS: usize = 16;

/// Rows that a core puts in at least before another one helps.
const PART_MIN: usize = 512;

/// What a row takes besides its value's bytes: its place in a table that is two thirds full, and the allocator's share.
const ROW_BYTES: usize = 256;

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
    fn at(&self, version: u64) -> Option<Option<Bytes>> {
        (self.since <= version).then(|| self.value.clone())
    }

    fn bytes(&self) -> usize {
        ROW_BYTES + self.value.as_ref().map_or(0, |value| value.len())
    }
}

/// Rows in two generations: what is asked for belongs to the young one, and when that is full it becomes the old one,
/// whose rows are let go. So what was not asked for during a generation leaves, no order of use has to be kept, and a
/// look-up writes nothing as long as it finds a young row.
#[derive(Default)]
struct Shard {
    young: HashMap<Name, Row>,
    old: HashMap<Name, Row>,
    young_bytes: usize,
}

impl Shard {
    /// See [`Cache::get`]. `bytes_max`: of both generations.
    fn get(&mut self, name: &Name, version: u64, bytes_max: usize) -> Option<Option<Bytes>> {
        if let Some(row) = self.young.get(name) {
            return row.at(version);
        }
        let row = self.old.remove(name)?;
        let value = row.at(version);
        self.put(*name, row, bytes_max);
        value
    }

    fn put(&mut self, name: Name, row: Row, bytes_max: usize) {
        let bytes = row.bytes();
        if bytes > bytes_max / 2 {
            self.remove(&name);
            return;
        }
        if self.young_bytes + bytes > bytes_max / 2 {
            // The tables stay as large as they are.
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
            self.young_bytes = 0;
        }
        self.young_bytes += bytes;
        if let Some(replaced) = self.young.insert(name, row) {
            self.young_bytes -= replaced.bytes();
        }
        self.old.remove(&name);
    }

    fn remove(&mut self, name: &Name) {
        self.old.remove(name);
        if let Some(row) = self.young.remove(name) {
            self.young_bytes -= row.bytes();
        }
    }

    fn clear(&mut self) {
        *self = Self::default();
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
        let shard = |_| Mutex::new(Shard::default());
        Self {
            shards: std::array::from_fn(shard),
            shard_bytes_max: bytes_max / SHARDS,
            version: AtomicU64::new(version),
        }
    }

    fn shard(&self, name: &Name) -> MutexGuard<'_, Shard> {
        self.shards[name.shard()].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is room for nothing at all.
    fn is_off(&self) -> bool {
        self.shard_bytes_max == 0
    }

    /// Whether everything up to `version` came through here.
    pub(crate) fn knows(&self, version: u64) -> bool {
        version <= self.version.load(Ordering::SeqCst)
    }

    /// The row as a reader at `version` must see it; None where the reader has to look itself.
    pub(crate) fn get(&self, name: &Name, version: u64) -> Option<Option<Bytes>> {
        if self.is_off() {
            return None;
        }
        self.shard(name).get(name, version, self.shard_bytes_max)
    }

    /// What a reader at `version` found.
    pub(crate) fn add(&self, name: Name, value: Option<Bytes>, version: u64) {
        if self.is_off() {
            return;
        }
        let mut shard = self.shard(&name);
        // Under the shard's lock: a commit that begins after this look comes to this shard after us.
        if self.version.load(Ordering::SeqCst) == version {
            shard.put(name, Row { since: version, value }, self.shard_bytes_max);
        }
    }

    /// Runs `write`, which makes `version` out of the one before by `batch`.
    pub(crate) fn write_through<E>(
        &self,
        batch: Batch,
        version: u64,
        write: impl FnOnce(Batch) -> Result<(), E>,
    ) -> Result<(), E> {
        let before = self.version.swap(CLOSED, Ordering::SeqCst);
        let put = |change: &Change| {
            let Some(name) = Name::new(change.family, &change.key).filter(|_| !self.is_off()) else { return };
            let row = Row { since: version, value: change.value.clone() };
            self.shard(&name).put(name, row, self.shard_bytes_max);
        };
        let families = FAMILIES.map(|family| batch.family(family));
        if batch.is_long() {
            families.par_iter().for_each(|changes| changes.par_iter().with_min_len(PART_MIN).for_each(put));
        } else {
            families.iter().for_each(|changes| changes.iter().for_each(put));
        }
        let outcome = write(batch);
        if outcome.is_err() {
            let shards = self.shards.iter().map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner));
            shards.for_each(|mut shard| shard.clear());
        }
        self.version.store(if outcome.is_ok() { version } else { before }, Ordering::SeqCst);
        outcome
    }

    #[cfg(test)]
    fn bytes(&self) -> usize {
        let shards = self.shards.iter().map(|shard| shard.lock().unwrap());
        let bytes = |rows: &HashMap<Name, Row>| rows.values().map(Row::bytes).sum::<usize>();
        shards
            .map(|shard| {
                assert_eq!(bytes(&shard.young), shard.young_bytes);
                assert!(shard.old.keys().all(|name| !shard.young.contains_key(name)), "a row has one place");
                bytes(&shard.young) + bytes(&shard.old)
            })
            .sum()
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

    fn change(key: u8, byte: u8) -> Batch {
        let mut batch = Batch::default();
        batch.put(Family::Accounts, vec![key], vec![byte]);
        batch
    }

    #[test]
    fn a_reader_never_gets_a_row_younger_than_itself() {
        let cache = Cache::new(1 << 20, 5);
        cache.add(name(1), value(10), 5);
        assert_eq!(cache.get(&name(1), 5), Some(value(10)));
        cache.write_through(change(1, 11), 6, |_| Ok::<_, ()>(())).unwrap();
        assert_eq!(cache.get(&name(1), 5), None);
        assert_eq!(cache.get(&name(1), 6), Some(value(11)));
    }

    #[test]
    fn an_older_reader_adds_nothing() {
        let cache = Cache::new(1 << 20, 5);
        cache.write_through(Batch::default(), 6, |_| Ok::<_, ()>(())).unwrap();
        cache.add(name(1), value(10), 5);
        assert_eq!(cache.get(&name(1), 6), None);
        assert_eq!((cache.knows(6), cache.knows(7)), (true, false));
    }

    #[test]
    fn during_a_commit_nobody_adds_and_afterwards_nobody_sees_the_old() {
        let cache = Cache::new(1 << 20, 5);
        cache.add(name(1), value(10), 5);
        let outcome = cache.write_through(change(1, 11), 6, |_| {
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
        assert_eq!(cache.write_through(change(1, 11), 6, |_| Err("full")), Err("full"));
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

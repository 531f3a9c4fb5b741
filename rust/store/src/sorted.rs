//! A sorted map of bytes that is cheap to copy and cheap to change after a copy.
//!
//! Entries lie in leaves of at most [`LEAF_ENTRIES_MAX`], and leaves behind shared pointers. A copy shares everything;
//! a change copies the leaf it touches and, once per copy, the list of leaves (8,000 pointers for a million entries).
//! The memory store is made of these, and so is everything that LMDB's readers hold beside their transaction.

use std::{ops::Bound, sync::Arc};

use types::Bytes;

/// Small enough that an insertion moves a few KiB, large enough that the list of leaves stays short.
const LEAF_ENTRIES_MAX: usize = 256;

/// From as many changes on, leaves are merged with them.
const MERGED_MIN: usize = 64;

#[derive(Clone, Debug)]
struct Leaf<V> {
    /// Not above any key in this leaf, and above every key in the leaves before it.
    floor: Bytes,
    entries: Arc<Vec<(Bytes, V)>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Sorted<V> {
    leaves: Arc<Vec<Leaf<V>>>,
    len: usize,
}

impl<V> Default for Sorted<V> {
    fn default() -> Self {
        Self { leaves: Arc::default(), len: 0 }
    }
}

impl<V: Clone> Sorted<V> {
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Which leaf a key belongs to. Keys below every floor belong to the first.
    fn leaf_of(&self, key: &[u8]) -> usize {
        self.leaves.partition_point(|leaf| leaf.floor.as_ref() <= key).saturating_sub(1)
    }

    pub(crate) fn get(&self, key: &[u8]) -> Option<&V> {
        let entries = &self.leaves.get(self.leaf_of(key))?.entries;
        let index = entries.binary_search_by(|(held, _)| held.as_ref().cmp(key)).ok()?;
        Some(&entries[index].1)
    }

    /// Returns what the key held before.
    pub(crate) fn insert(&mut self, key: Bytes, value: V) -> Option<V> {
        let index = self.leaf_of(&key);
        let leaves = Arc::make_mut(&mut self.leaves);
        let Some(leaf) = leaves.get_mut(index) else {
            leaves.push(Leaf { floor: key.clone(), entries: Arc::new(vec![(key, value)]) });
            self.len += 1;
            return None;
        };
        let entries = Arc::make_mut(&mut leaf.entries);
        let place = match entries.binary_search_by(|(held, _)| held.cmp(&key)) {
            Ok(place) => return Some(std::mem::replace(&mut entries[place].1, value)),
            Err(place) => place,
        };
        if place == 0 && key < leaf.floor {
            leaf.floor = key.clone();
        }
        entries.insert(place, (key, value));
        self.len += 1;
        if entries.len() > LEAF_ENTRIES_MAX {
            // Keys that arrive in order leave full leaves behind; others are halved.
            let at = if place + 1 == entries.len() { entries.len() - 1 } else { entries.len() / 2 };
            let upper = entries.split_off(at);
            leaves.insert(index + 1, Leaf { floor: upper[0].0.clone(), entries: Arc::new(upper) });
        }
        None
    }

    /// Sets keys, or removes those without a value; they ascend without repeats. Each leaf that many of them fall into is
    /// written once.
    pub(crate) fn apply(&mut self, changes: impl ExactSizeIterator<Item = (Bytes, Option<V>)>) {
        if changes.len() < MERGED_MIN {
            for (key, value) in changes {
                match value {
                    Some(value) => self.insert(key, value),
                    None => self.remove(&key),
                };
            }
            return;
        }
        let old = std::mem::take(&mut self.leaves);
        let mut leaves = Vec::with_capacity(old.len() + changes.len() / LEAF_ENTRIES_MAX);
        let mut changes = changes.peekable();
        self.len = 0;
        for index in 0..old.len().max(1) {
            let (leaf, next) = (old.get(index), old.get(index + 1).map(|next| &next.floor));
            let ours = || changes.next_if(|(key, _)| next.is_none_or(|floor| key < floor));
            let mut ours = std::iter::from_fn(ours).peekable();
            if let Some(leaf) = leaf
                && ours.peek().is_none()
            {
                self.len += leaf.entries.len();
                leaves.push(leaf.clone());
                continue;
            }
            let entries = merged(leaf.map_or(&[], |leaf| &leaf.entries), ours);
            self.len += entries.len();
            // In parts of one size, each a leaf.
            let size = entries.len().div_ceil(entries.len().div_ceil(LEAF_ENTRIES_MAX).max(1));
            let mut entries = entries.into_iter();
            while let Some(first) = entries.next() {
                let floor = first.0.clone();
                let part: Vec<_> = std::iter::once(first).chain(entries.by_ref().take(size - 1)).collect();
                leaves.push(Leaf { floor, entries: Arc::new(part) });
            }
        }
        self.leaves = Arc::new(leaves);
    }

    /// Returns what the key held before.
    pub(crate) fn remove(&mut self, key: &[u8]) -> Option<V> {
        let index = self.leaf_of(key);
        let place = self.leaves.get(index)?.entries.binary_search_by(|(held, _)| held.as_ref().cmp(key)).ok()?;
        let leaves = Arc::make_mut(&mut self.leaves);
        let entries = Arc::make_mut(&mut leaves[index].entries);
        let (_, value) = entries.remove(place);
        if entries.is_empty() {
            leaves.remove(index);
        }
        self.len -= 1;
        Some(value)
    }

    /// Entries from a bound upwards, ascending.
    pub(crate) fn from(&self, start: Bound<&[u8]>) -> impl Iterator<Item = (&Bytes, &V)> {
        let (first, skipped) = match start {
            Bound::Unbounded => (0, 0),
            Bound::Included(key) => {
                let leaf = self.leaf_of(key);
                (leaf, self.leaves.get(leaf).map_or(0, |l| l.entries.partition_point(|(held, _)| held.as_ref() < key)))
            }
            Bound::Excluded(key) => {
                let leaf = self.leaf_of(key);
                (leaf, self.leaves.get(leaf).map_or(0, |l| l.entries.partition_point(|(held, _)| held.as_ref() <= key)))
            }
        };
        let leaves = self.leaves.get(first..).unwrap_or_default();
        leaves.iter().flat_map(|leaf| leaf.entries.iter()).skip(skipped).map(|(key, value)| (key, value))
    }
}

/// Entries after these changes; both ascend without repeats.
fn merged<V: Clone>(entries: &[(Bytes, V)], changes: impl Iterator<Item = (Bytes, Option<V>)>) -> Vec<(Bytes, V)> {
    let mut merged = Vec::with_capacity(entries.len() + changes.size_hint().0);
    let mut held = entries.iter().peekable();
    for (key, value) in changes {
        while let Some(below) = held.next_if(|(other, _)| *other < key) {
            merged.push(below.clone());
        }
        held.next_if(|(other, _)| *other == key);
        merged.extend(value.map(|value| (key, value)));
    }
    merged.extend(held.cloned());
    merged
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u16, u8),
        Remove(u16),
        Apply(BTreeMap<u16, Option<u8>>),
        Copy,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            6 => (0u16..900, any::<u8>()).prop_map(|(key, value)| Step::Insert(key, value)),
            3 => (0u16..900).prop_map(Step::Remove),
            1 => Just(Step::Copy),
            1 => prop::collection::btree_map(0u16..900, any::<Option<u8>>(), 0..300).prop_map(Step::Apply),
        ];
        prop::collection::vec(step, 0..2_000)
    }

    fn entries(map: &Sorted<u8>) -> Vec<(Bytes, u8)> {
        map.from(Bound::Unbounded).map(|(key, value)| (key.clone(), *value)).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// The standard library's map is the oracle; copies keep what they held.
        #[test]
        fn is_a_sorted_map_whose_copies_stand_still(steps in steps(), start in 0u16..900) {
            let mut map = Sorted::default();
            let mut model = BTreeMap::new();
            let mut copies = Vec::new();
            for step in steps {
                match step {
                    Step::Insert(key, value) => {
                        let key = Bytes::copy_from_slice(&key.to_be_bytes());
                        prop_assert_eq!(map.insert(key.clone(), value), model.insert(key, value));
                    }
                    Step::Remove(key) => {
                        let key = key.to_be_bytes();
                        prop_assert_eq!(map.remove(&key), model.remove(key.as_slice()));
                    }
                    Step::Apply(changes) => {
                        let key = |at: u16| Bytes::copy_from_slice(&at.to_be_bytes());
                        let changes: Vec<_> = changes.into_iter().map(|(at, value)| (key(at), value)).collect();
                        for (key, value) in changes.clone() {
                            match value {
                                Some(value) => model.insert(key, value),
                                None => model.remove(&key),
                            };
                        }
                        map.apply(changes.into_iter());
                        prop_assert!(map.leaves.iter().all(|leaf| leaf.entries.len() <= LEAF_ENTRIES_MAX));
                    }
                    Step::Copy => copies.push((map.clone(), model.clone())),
                }
            }
            copies.push((map, model));
            let start = start.to_be_bytes();
            for (map, model) in copies {
                prop_assert_eq!(map.len(), model.len());
                prop_assert_eq!(entries(&map), model.clone().into_iter().collect::<Vec<_>>());
                for bound in [Bound::Included(start.as_slice()), Bound::Excluded(start.as_slice())] {
                    let found: Vec<_> = map.from(bound).map(|(key, value)| (key.clone(), *value)).collect();
                    let expected: Vec<_> = model
                        .range::<[u8], _>((bound, Bound::Unbounded))
                        .map(|(key, value)| (key.clone(), *value))
                        .collect();
                    prop_assert_eq!(found, expected);
                }
                prop_assert_eq!(map.get(&start), model.get(start.as_slice()));
            }
        }
    }
}

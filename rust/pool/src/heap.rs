//! A binary heap whose entries know where they stand, so that any of them can be taken out or moved in O(log n).
//!
//! Where an entry stands is kept outside, in a column that all heaps over the same ids share: an id is in one of them at
//! most. Best first: greater keys, and of equal ones the earlier arrival. Arrivals differ, so there are no ties, and the
//! order in which entries came in never shows.

use std::collections::BinaryHeap;

use kernels::prefetch;

/// What is ordered, and whose it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) key: u128,
    pub(crate) arrival: u64,
    pub(crate) id: u32,
}

impl Entry {
    /// Whether it comes before the other one.
    pub(crate) fn precedes(&self, other: &Self) -> bool {
        (self.key, other.arrival) > (other.key, self.arrival)
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.key, other.arrival).cmp(&(other.key, self.arrival))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// Positions by id.
pub(crate) type Places = Vec<u32>;

/// Makes room in the column for this id.
pub(crate) fn reserve(places: &mut Places, id: u32) {
    if places.len() <= id as usize {
        places.resize(id as usize + 1, u32::MAX);
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Heap(Vec<Entry>);

impl Heap {
    pub(crate) fn first(&self) -> Option<&Entry> {
        self.0.first()
    }

    pub(crate) fn get(&self, position: u32) -> Option<&Entry> {
        self.0.get(position as usize)
    }

    /// Where those stand that come right after this one, if they are there.
    pub(crate) fn children(position: u32) -> [u32; 2] {
        [2 * position + 1, 2 * position + 2]
    }

    pub(crate) fn push(&mut self, entry: Entry, places: &mut Places) {
        self.0.push(entry);
        self.rise(self.0.len() - 1, places);
    }

    pub(crate) fn remove(&mut self, position: u32, places: &mut Places) -> Entry {
        let position = position as usize;
        let removed = self.0.swap_remove(position);
        if position < self.0.len() {
            self.mend(position, places);
        }
        removed
    }

    /// Puts another entry of the same id in its place.
    pub(crate) fn replace(&mut self, position: u32, entry: Entry, places: &mut Places) {
        self.0[position as usize] = entry;
        self.mend(position as usize, places);
    }

    fn mend(&mut self, position: usize, places: &mut Places) {
        if !self.rise(position, places) {
            self.sink(position, places);
        }
    }

    /// Moves an entry up to where it belongs; whether it moved.
    fn rise(&mut self, mut position: usize, places: &mut Places) -> bool {
        let (entry, from) = (self.0[position], position);
        while position > 0 {
            let parent = (position - 1) / 2;
            if !entry.precedes(&self.0[parent]) {
                break;
            }
            self.set(position, self.0[parent], places);
            position = parent;
        }
        self.set(position, entry, places);
        position != from
    }

    fn sink(&mut self, mut position: usize, places: &mut Places) {
        let entry = self.0[position];
        loop {
            let mut child = 2 * position + 1;
            if child >= self.0.len() {
                break;
            }
            if child + 1 < self.0.len() && self.0[child + 1].precedes(&self.0[child]) {
                child += 1;
            }
            if !self.0[child].precedes(&entry) {
                break;
            }
            self.set(position, self.0[child], places);
            position = child;
        }
        self.set(position, entry, places);
    }

    fn set(&mut self, position: usize, entry: Entry, places: &mut Places) {
        places[entry.id as usize] = position as u32;
        self.0[position] = entry;
    }
}

/// An entry that a walk has reached, and where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Reached {
    key: u128,
    arrival: u64,
    id: u32,
    position: u32,
}

impl Reached {
    fn entry(self) -> Entry {
        Entry { key: self.key, arrival: self.arrival, id: self.id }
    }
}

impl Ord for Reached {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.entry().cmp(&other.entry())
    }
}

impl PartialOrd for Reached {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// Goes through a heap best first and leaves it as it is. Reaching n entries costs O(n log n), however many there are.
#[derive(Debug, Default)]
pub(crate) struct Walk(BinaryHeap<Reached>);

impl Walk {
    /// Begins at the best.
    pub(crate) fn start(&mut self, heap: &Heap) {
        self.0.clear();
        self.reach(heap, 0);
    }

    /// The next one of the same heap, which must not have changed.
    pub(crate) fn next(&mut self, heap: &Heap) -> Option<Entry> {
        let reached = self.0.pop()?;
        for child in Heap::children(reached.position) {
            self.reach(heap, child);
        }
        Some(reached.entry())
    }

    fn reach(&mut self, heap: &Heap, position: u32) {
        if let Some(Entry { key, arrival, id }) = heap.get(position).copied() {
            self.0.push(Reached { key, arrival, id, position });
            // They stand side by side, and are wanted when this one's turn comes.
            let [first, _] = Heap::children(position);
            prefetch(heap.0.as_ptr().wrapping_add(first as usize));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn best_first(heap: &Heap, places: &Places) -> Vec<u32> {
        let mut walk = Walk::default();
        walk.start(heap);
        let walked: Vec<_> = std::iter::from_fn(|| walk.next(heap)).map(|entry| entry.id).collect();
        let (mut heap, mut places) = (heap.clone(), places.clone());
        let taken: Vec<_> =
            std::iter::from_fn(|| (!heap.0.is_empty()).then(|| heap.remove(0, &mut places).id)).collect();
        assert_eq!(walked, taken);
        taken
    }

    proptest! {
        /// Random pushes, removals and changes, against a list that is sorted.
        #[test]
        fn a_heap_is_a_sorted_list(steps in prop::collection::vec((0u8..3, 0u32..24, 0u128..6), 0..120)) {
            let (mut heap, mut places) = (Heap::default(), vec![u32::MAX; 24]);
            let mut plain: Vec<Entry> = Vec::new();
            for (arrival, (step, id, key)) in steps.into_iter().enumerate() {
                let entry = Entry { key, arrival: arrival as u64, id };
                let held = plain.iter().position(|entry| entry.id == id);
                match (step, held) {
                    (0, None) => {
                        heap.push(entry, &mut places);
                        plain.push(entry);
                    }
                    (1, Some(at)) => prop_assert_eq!(heap.remove(places[id as usize], &mut places), plain.remove(at)),
                    (_, Some(at)) => {
                        heap.replace(places[id as usize], entry, &mut places);
                        plain[at] = entry;
                    }
                    _ => {}
                }
                for entry in &plain {
                    prop_assert_eq!(heap.get(places[entry.id as usize]), Some(entry));
                }
                plain.sort_unstable_by(|one, other| other.cmp(one));
                prop_assert_eq!(heap.0.len(), plain.len());
                prop_assert_eq!(heap.first(), plain.first());
                prop_assert_eq!(best_first(&heap, &places), plain.iter().map(|entry| entry.id).collect::<Vec<_>>());
            }
        }
    }
}

//! Entries in order, the best first, in blocks of neighbours: whoever wants the best reads forward in memory, however many
//! there are, and putting one in moves a block's worth at most.
//!
//! Invariants: no block is empty; the entries of a block are in order and precede those of the next; `firsts[i]` is the
//! first of `blocks[i]`. Entries differ, so there are no ties, and the order in which they came never shows.

use crate::heap::Entry;

/// Most entries of a block: 2 KiB.
pub(crate) const BLOCK: usize = 64;

/// A block that holds no more than this joins the next one, where both fit into three quarters of a block.
const SPARSE: usize = BLOCK / 4;

/// Memory for blocks that nobody uses, shared by all lists.
pub(crate) type Spare = Vec<Vec<Entry>>;

#[derive(Clone, Debug, Default)]
pub(crate) struct Sorted {
    firsts: Vec<Entry>,
    blocks: Vec<Vec<Entry>>,
}

impl Sorted {
    pub(crate) fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// So many-th block, best first; None after the last.
    pub(crate) fn block(&self, index: usize) -> Option<&[Entry]> {
        self.blocks.get(index).map(Vec::as_slice)
    }

    /// What stands at the head of that block.
    pub(crate) fn first_of(&self, index: usize) -> Option<&Entry> {
        self.firsts.get(index)
    }

    pub(crate) fn insert(&mut self, entry: Entry, spare: &mut Spare) {
        if self.is_empty() {
            self.firsts.push(entry);
            self.blocks.push(empty(spare));
        }
        let mut index = self.block_of(&entry);
        if self.blocks[index].len() == BLOCK {
            let mut half = empty(spare);
            half.extend(self.blocks[index].drain(BLOCK / 2..));
            self.firsts.insert(index + 1, half[0]);
            self.blocks.insert(index + 1, half);
            index += usize::from(self.firsts[index + 1].precedes(&entry));
        }
        let block = &mut self.blocks[index];
        let place = block.partition_point(|held| held.precedes(&entry));
        block.insert(place, entry);
        self.firsts[index] = block[0];
    }

    /// Takes out an entry that is there.
    pub(crate) fn remove(&mut self, entry: &Entry, spare: &mut Spare) {
        let index = self.block_of(entry);
        let block = &mut self.blocks[index];
        let place = block.partition_point(|held| held.precedes(entry));
        assert_eq!(block.get(place), Some(entry), "it is in this list");
        block.remove(place);
        if block.is_empty() {
            self.drop_block(index, spare);
            return;
        }
        self.firsts[index] = block[0];
        if self.blocks[index].len() <= SPARSE
            && let Some(next) = self.blocks.get(index + 1)
            && self.blocks[index].len() + next.len() <= BLOCK / 4 * 3
        {
            let (before, after) = self.blocks.split_at_mut(index + 1);
            before[index].append(&mut after[0]);
            self.drop_block(index + 1, spare);
        }
    }

    /// Which block an entry belongs to; there has to be one.
    fn block_of(&self, entry: &Entry) -> usize {
        self.firsts.partition_point(|first| !entry.precedes(first)).saturating_sub(1)
    }

    fn drop_block(&mut self, index: usize, spare: &mut Spare) {
        self.firsts.remove(index);
        let mut block = self.blocks.remove(index);
        block.clear();
        spare.push(block);
    }
}

/// A block that holds nothing yet.
fn empty(spare: &mut Spare) -> Vec<Entry> {
    spare.pop().unwrap_or_else(|| Vec::with_capacity(BLOCK))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(sorted: &Sorted) -> Vec<Entry> {
        (0..).map_while(|index| sorted.block(index)).flatten().copied().collect()
    }

    proptest! {
        /// Random pushes and removals, enough of them to split blocks and to join them, against a list that is sorted.
        #[test]
        fn blocks_in_a_row_are_a_sorted_list(
            steps in prop::collection::vec((0u32..600, 0u128..90), 0..1_500),
            removals in 0u32..100,
        ) {
            let (mut sorted, mut spare) = (Sorted::default(), Spare::new());
            let mut plain: Vec<Entry> = Vec::new();
            for (arrival, (id, key)) in steps.into_iter().enumerate() {
                if let Some(at) = plain.iter().position(|entry| entry.id == id) {
                    sorted.remove(&plain.swap_remove(at), &mut spare);
                } else if id % 100 >= removals || arrival % 3 > 0 {
                    let entry = Entry { key, arrival: arrival as u64, id };
                    sorted.insert(entry, &mut spare);
                    plain.push(entry);
                }
            }
            plain.sort_unstable_by(|one, other| other.cmp(one));
            prop_assert_eq!(all(&sorted), plain.clone());
            for (index, block) in sorted.blocks.iter().enumerate() {
                prop_assert_eq!(sorted.first_of(index), block.first());
                prop_assert!(!block.is_empty() && block.len() <= BLOCK);
            }
            // The other way round, down to nothing.
            for entry in plain.iter().rev() {
                sorted.remove(entry, &mut spare);
            }
            prop_assert!(sorted.is_empty() && sorted.first_of(0).is_none() && spare.iter().all(Vec::is_empty));
        }
    }
}

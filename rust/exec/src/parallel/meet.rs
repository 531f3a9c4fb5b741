//! Which transactions meet: who named the same thing first, and which hang together because of it. Any number of threads
//! write it down at once, without locks, and it comes out the same.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// Disjoint sets of transactions. The earliest of a set stands for it.
#[derive(Debug, Default)]
pub(super) struct Sets {
    parents: Vec<AtomicU32>,
}

impl Sets {
    pub(super) fn new(length: usize) -> Self {
        Self { parents: (0..length as u32).map(AtomicU32::new).collect() }
    }

    pub(super) fn len(&self) -> usize {
        self.parents.len()
    }

    fn parent(&self, index: u32) -> u32 {
        // Parents only ever go down, and nothing else is published through them.
        self.parents[index as usize].load(Ordering::Relaxed)
    }

    pub(super) fn root(&self, mut index: u32) -> u32 {
        loop {
            let up = self.parent(index);
            if up == index {
                return index;
            }
            let above = self.parent(up);
            if above != up {
                // Shorter ways for the next ones; whoever was faster made them at least as short.
                let parent = &self.parents[index as usize];
                let _ = parent.compare_exchange(up, above, Ordering::Relaxed, Ordering::Relaxed);
            }
            index = above;
        }
    }

    pub(super) fn join(&self, one: u32, two: u32) {
        let (mut one, mut two) = (self.root(one), self.root(two));
        while one != two {
            let (first, second) = (one.min(two), one.max(two));
            let parent = &self.parents[second as usize];
            if parent.compare_exchange(second, first, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
                return;
            }
            // It stands for nobody any more.
            (one, two) = (self.root(first), self.root(second));
        }
    }
}

/// Bits of a number that say who; the others are the thing's.
const WHO_BITS: u32 = 24;

/// Transactions that a table tells apart.
pub(super) const WHO_MAX: usize = (1 << WHO_BITS) - 1;

/// Cells that are looked at for one thing.
const PROBES: usize = 64;

/// That somebody named a thing, in one number. Things are numbers, all of whose bits differ; two whose upper bits are the
/// same are taken for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Named(u64);

impl Named {
    #[inline]
    pub(super) fn new(thing: u64, who: u32) -> Self {
        Self(thing & !(WHO_MAX as u64) | u64::from(who + 1))
    }

    #[inline]
    pub(super) fn who(self) -> u32 {
        (self.0 & WHO_MAX as u64) as u32 - 1
    }

    #[inline]
    fn is_same_thing(self, held: u64) -> bool {
        (held ^ self.0) >> WHO_BITS == 0
    }
}

/// Who named a thing first, for so many things at once. Where there was no room for one, [`Table::is_complete`] says so.
#[derive(Debug)]
pub(super) struct Table {
    cells: Vec<AtomicU64>,
    shift: u32,
    overflown: AtomicBool,
}

impl Table {
    /// For this many things.
    pub(super) fn new(things: usize) -> Self {
        // At most three quarters full.
        let bits = (things + things / 3).next_power_of_two().trailing_zeros().max(6);
        Self {
            cells: std::iter::repeat_with(AtomicU64::default).take(1 << bits).collect(),
            shift: u64::BITS - bits,
            overflown: AtomicBool::new(false),
        }
    }

    /// Whether it had room for everything so far.
    pub(super) fn is_complete(&self) -> bool {
        !self.overflown.load(Ordering::Relaxed)
    }

    /// Looks at where these things belong: one look need not wait for the memory that another asked for, as naming them
    /// one by one would.
    pub(super) fn foresee(&self, things: &[Named]) {
        let first = |thing: &Named| self.cells[(thing.0 >> self.shift) as usize].load(Ordering::Relaxed);
        std::hint::black_box(things.iter().map(first).fold(0, u64::wrapping_add));
    }

    /// Says that somebody named a thing, and learns who did before, if somebody did.
    pub(super) fn meet(&self, named: Named) -> Option<u32> {
        for cell in self.cells_of(named) {
            let held = match cell.load(Ordering::Relaxed) {
                0 => match cell.compare_exchange(0, named.0, Ordering::Relaxed, Ordering::Relaxed) {
                    Ok(_) => return None,
                    Err(held) => held,
                },
                held => held,
            };
            if named.is_same_thing(held) {
                return Some(Named(held).who());
            }
        }
        self.overflown.store(true, Ordering::Relaxed);
        None
    }

    /// Who named the thing that somebody else names.
    pub(super) fn find(&self, named: Named) -> Option<u32> {
        let held = self.cells_of(named).map(|cell| cell.load(Ordering::Relaxed));
        held.take_while(|held| *held != 0).find(|held| named.is_same_thing(*held)).map(|held| Named(held).who())
    }

    fn cells_of(&self, named: Named) -> impl Iterator<Item = &AtomicU64> {
        let first = (named.0 >> self.shift) as usize;
        (first..first + PROBES).map(|place| &self.cells[place & (self.cells.len() - 1)])
    }
}

#[cfg(test)]
mod tests {
    use rayon::prelude::*;

    use super::*;

    /// Things of transactions: 2,000 that share 300 things two by two, and what a plain union makes of them.
    fn things() -> Vec<[u64; 2]> {
        let mut random = 7_u64;
        let mut next = || {
            random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            (random >> 33) % 3_000
        };
        (0..2_000).map(|_| [next(), next()].map(|thing| thing.wrapping_mul(0x9e37_79b9_7f4a_7c15))).collect()
    }

    fn plain(things: &[[u64; 2]]) -> Vec<u32> {
        let mut roots: Vec<u32> = (0..things.len() as u32).collect();
        loop {
            let mut changed = false;
            for one in 0..things.len() {
                for two in 0..one {
                    if roots[one] != roots[two] && things[one].iter().any(|thing| things[two].contains(thing)) {
                        let (low, high) = (roots[one].min(roots[two]), roots[one].max(roots[two]));
                        roots.iter_mut().filter(|root| **root == high).for_each(|root| *root = low);
                        changed = true;
                    }
                }
            }
            if !changed {
                return roots;
            }
        }
    }

    #[test]
    fn threads_together_find_the_sets_that_a_plain_union_finds() {
        let things = things();
        let expected = plain(&things);
        assert!(expected.iter().zip(0..).any(|(root, index)| *root == index && index > 100));
        for _ in 0..20 {
            let (sets, table) = (Sets::new(things.len()), Table::new(2 * things.len()));
            things.par_iter().enumerate().for_each(|(index, things)| {
                for thing in things {
                    if let Some(before) = table.meet(Named::new(*thing, index as u32)) {
                        sets.join(before, index as u32);
                    }
                }
            });
            let roots: Vec<u32> = (0..things.len() as u32).map(|index| sets.root(index)).collect();
            assert_eq!(roots, expected);
        }
    }

    #[test]
    fn a_full_table_forgets_and_says_nothing_wrong() {
        let table = Table::new(8);
        let thing = |index: u32| (u64::from(index) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for index in 0..500 {
            assert_eq!(table.meet(Named::new(thing(index), index)), None, "nobody else named it");
        }
        assert!(!table.is_complete());
        let known: Vec<u32> =
            (0..500).filter(|index| table.find(Named::new(thing(*index), 7)) == Some(*index)).collect();
        assert_eq!(known.len(), 64, "as many as there are cells");
        assert_eq!(table.find(Named::new(thing(1_000), 7)), None);
    }
}

//! Each sender's next transaction, kept in the order in which blocks want them.
//!
//! Senders whose next transactions are of one class, one factor step and alike in bringing blobs or not differ in the
//! effective tip alone, so each such group is ordered once and for all. A group has two lists, because the effective tip
//! is the lesser of the tip and what the fee cap leaves over the base fee: in one stand those whose tip decides, ordered
//! by tip; in the other those whom the cap binds, ordered by cap. Neither order depends on weights or base fee.
//!
//! Which list a sender belongs to does depend on the base fee, and is put right when selection meets one in the wrong
//! place. Until then its key only promises too much: a tip that the cap does not allow, a cap above what the tip asks.
//! So whoever goes through a list knows that nothing better is still to come.

use crate::{
    factor::STEPS,
    heap::Entry,
    queue::Queue,
    sorted::{Sorted, Spare},
};

/// The classes, with room to spare.
const CLASSES: usize = kernels::score::CLASSES;

/// Two for each class, step and kind.
const LISTS: usize = 2 * CLASSES * STEPS * 2;

/// Of a sender that has none pending.
const NOWHERE: u16 = u16::MAX;

/// What all of a list have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Group {
    pub(crate) blobs: bool,
    pub(crate) class: u8,
    pub(crate) step: u8,
    /// Whether the fee cap decides.
    pub(crate) bound: bool,
}

impl Group {
    fn index(self) -> u16 {
        let group = (usize::from(self.blobs) * CLASSES + usize::from(self.class)) * STEPS + usize::from(self.step);
        (2 * group + usize::from(self.bound)) as u16
    }

    fn of(index: usize) -> Self {
        let (group, bound) = (index / 2, index % 2 == 1);
        let (kind, step) = (group / STEPS, (group % STEPS) as u8);
        Self { blobs: kind >= CLASSES, class: (kind % CLASSES) as u8, step, bound }
    }
}

/// Where a sender's next transaction belongs at this base fee.
fn home(id: u32, queue: &Queue, base_fee: u64) -> Option<(u16, Entry)> {
    let next = queue.ready().front()?;
    let bound = next.fee_cap.saturating_sub(next.tip) < u128::from(base_fee);
    let step = queue.step(next.class);
    let group = Group { blobs: next.blobs > 0, class: next.class as u8, step, bound };
    let key = if bound { next.fee_cap } else { next.tip };
    Some((group.index(), Entry { key, arrival: next.arrival, id }))
}

#[derive(Clone, Debug)]
pub(crate) struct Heads {
    lists: Vec<Sorted>,
    /// By sender: its list, and what stands there.
    homes: Vec<(u16, Entry)>,
    spare: Spare,
}

impl Default for Heads {
    fn default() -> Self {
        Self { lists: vec![Sorted::default(); LISTS], homes: Vec::new(), spare: Spare::new() }
    }
}

impl Heads {
    /// Puts a sender where its next transaction belongs now.
    pub(crate) fn update(&mut self, id: u32, queue: &Queue, base_fee: u64) {
        let nowhere = (NOWHERE, Entry { key: 0, arrival: 0, id });
        if self.homes.len() <= id as usize {
            self.homes.resize(id as usize + 1, nowhere);
        }
        let home = home(id, queue, base_fee).unwrap_or(nowhere);
        let held = std::mem::replace(&mut self.homes[id as usize], home);
        if held == home {
            return;
        }
        if held.0 != NOWHERE {
            self.lists[usize::from(held.0)].remove(&held.1, &mut self.spare);
        }
        if home.0 != NOWHERE {
            self.lists[usize::from(home.0)].insert(home.1, &mut self.spare);
        }
    }

    /// Those groups that somebody is in.
    pub(crate) fn groups(&self) -> impl Iterator<Item = (usize, Group)> {
        let occupied = self.lists.iter().enumerate().filter(|(_, list)| !list.is_empty());
        occupied.map(|(index, _)| (index, Group::of(index)))
    }

    pub(crate) fn list(&self, index: usize) -> &Sorted {
        &self.lists[index]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_found_from_its_index() {
        for index in 0..LISTS {
            assert_eq!(usize::from(Group::of(index).index()), index);
        }
    }
}

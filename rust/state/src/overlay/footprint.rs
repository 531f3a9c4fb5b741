//! Where transactions looked and what they changed, for whoever runs several of them side by side.
//!
//! Off unless asked for ([`Overlay::track`]), and then one entry per transaction and place. An account is three places
//! (balance, nonce, code with existence) and its slots. A credit is an entry of its own: nobody who only adds to a
//! balance needs to know it, so two credits never clash, and the beneficiary or an exchange's address is no bottleneck
//! until somebody looks at it.
//!
//! Two overlays over the same view whose transactions do not clash have done what one overlay would have done with all
//! of them, in any order: [`Touched::clashes`] tells, and `StateDiff::beside` joins what they changed. An entry for
//! something that was rolled back stays: whoever looked was led by what it saw.

use std::{cell::RefCell, ops::Range};

use alloy_primitives::map::{AddressHashMap, HashMap};
use types::{Address, U256};

use super::{AccountEntry, AccountId, NO_SLOT, Overlay, SlotEntry, SlotId, held::Held};

/// What was done with an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Touch(u8);

impl Touch {
    /// Looked at the balance.
    pub const READ_BALANCE: Self = Self(1);
    /// Looked at the nonce.
    pub const READ_NONCE: Self = Self(1 << 1);
    /// Looked at the code, or at whether there is an account.
    pub const READ_CODE: Self = Self(1 << 2);
    /// Set the balance to what follows from a look at it.
    pub const WRITE_BALANCE: Self = Self(1 << 3 | 1);
    /// Set the nonce.
    pub const WRITE_NONCE: Self = Self(1 << 4 | 1 << 1);
    /// Set the code, or whether there is an account.
    pub const WRITE_CODE: Self = Self(1 << 5 | 1 << 2);
    /// Added to the balance.
    pub const CREDIT: Self = Self(1 << 6);
    /// Looked at all slots at once.
    pub const ALL_SLOTS: Self = Self(1 << 7);
    /// Looked at everything but slots.
    pub const READ: Self = Self(0b111);
    /// Took the account away, or brought it up, slots included.
    pub const WIPE: Self = Self(0b1011_1111);

    /// Looked at a slot.
    pub const READ_SLOT: Self = Self::READ_BALANCE;
    /// Wrote a slot.
    pub const WRITE_SLOT: Self = Self::WRITE_BALANCE;

    /// Both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` is in here.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether anything was written, credits that nobody looked at apart.
    pub const fn is_write(self) -> bool {
        self.0 >> 3 & 0b111 != 0 || self.has(Self::CREDIT) && !self.is_credit()
    }

    /// Whether those who did this must stay in order among themselves.
    pub const fn is_ordered(self) -> bool {
        self.clashes(self) || self.has(Self::ALL_SLOTS)
    }

    /// Whether the balance grew, and nobody looked at it.
    pub const fn is_credit(self) -> bool {
        self.has(Self::CREDIT) && !self.has(Self::READ_BALANCE)
    }

    /// Whether two transactions that did this must stay in order. Slots are looked at elsewhere.
    pub const fn clashes(self, other: Self) -> bool {
        let (reads, writes) = (self.0 & 0b111, self.0 >> 3 & 0b111);
        let (their_reads, their_writes) = (other.0 & 0b111, other.0 >> 3 & 0b111);
        let (credits, their_credits) = (self.0 >> 6 & 1, other.0 >> 6 & 1);
        writes & their_reads | reads & their_writes | credits & their_reads | reads & their_credits != 0
    }
}

/// An account or a slot of one overlay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// The account itself.
    Account(AccountId),
    /// A slot.
    Slot(SlotId),
}

/// One place that a transaction touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Footprint {
    /// Which place.
    pub place: Place,
    /// What was done there.
    pub touch: Touch,
}

/// By how much a transaction let a balance grow, where it did not look at it.
#[derive(Clone, Copy, Debug)]
struct Credit {
    /// Whose, as the number of its entry among all footprints.
    entry: u32,
    by: U256,
}

/// The footprints of an overlay's transactions, by their number: 0 is the first that was begun.
#[derive(Debug, Default)]
pub struct Footprints {
    /// Of all transactions, one after the other.
    entries: Vec<Footprint>,
    /// Where each transaction's entries begin.
    starts: Vec<u32>,
    /// Of all transactions, ascending by entry. They are few, and most entries without them a fifth as long.
    credits: Vec<Credit>,
    /// All that was done with each account and slot.
    accounts: Vec<Touch>,
    slots: Vec<Touch>,
}

impl Footprints {
    /// How many transactions left one.
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// What one transaction touched.
    pub fn of(&self, transaction: usize) -> &[Footprint] {
        &self.entries[self.range(transaction)]
    }

    fn clear(&mut self) {
        self.entries.clear();
        self.starts.clear();
        self.credits.clear();
        self.accounts.clear();
        self.slots.clear();
    }

    fn range(&self, transaction: usize) -> Range<usize> {
        let end = self.starts.get(transaction + 1).map_or(self.entries.len(), |start| *start as usize);
        self.starts[transaction] as usize..end
    }

    /// All that was done with a place.
    pub fn touch(&self, place: Place) -> Touch {
        let (touches, index) = match place {
            Place::Account(account) => (&self.accounts, account.0),
            Place::Slot(slot) => (&self.slots, slot.0),
        };
        touches.get(index as usize).copied().unwrap_or_default()
    }

    /// How many places they may be of, for lists by a place's number.
    pub fn places(&self) -> usize {
        self.accounts.len() + self.slots.len()
    }

    /// The place's number; None where nobody ever touched it.
    pub fn number(&self, place: Place) -> Option<usize> {
        let (first, places, index) = match place {
            Place::Account(account) => (0, self.accounts.len(), account.0 as usize),
            Place::Slot(slot) => (self.accounts.len(), self.slots.len(), slot.0 as usize),
        };
        (index < places).then_some(first + index)
    }

    fn add(&mut self, place: Place, touch: Touch) {
        let all = match place {
            Place::Account(account) => at(&mut self.accounts, account.0),
            Place::Slot(slot) => at(&mut self.slots, slot.0),
        };
        *all = all.and(touch);
    }

    /// Forgets what the marked transactions touched.
    fn forget(&mut self, marks: &[bool]) {
        let (mut starts, mut length) = (Vec::with_capacity(self.starts.len()), 0);
        let mut credits = std::mem::take(&mut self.credits).into_iter().peekable();
        for (transaction, goes) in marks.iter().enumerate() {
            let range = self.range(transaction);
            while let Some(credit) = credits.next_if(|credit| (credit.entry as usize) < range.end) {
                if !goes {
                    self.credits.push(Credit { entry: credit.entry - (range.start - length) as u32, ..credit });
                }
            }
            if !goes {
                starts.push(length as u32);
                self.entries.copy_within(range.clone(), length);
                length += range.len();
            }
        }
        self.entries.truncate(length);
        self.starts = starts;
    }
}

/// What is written down while transactions run.
#[derive(Debug, Default)]
pub(super) struct Tracker {
    footprints: Footprints,
    /// Where the entry of a place stands, if the transaction at work has one.
    accounts: Vec<Mark>,
    slots: Vec<Mark>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    /// Transactions begun when the entry was written.
    transaction: u32,
    entry: u32,
}

impl Tracker {
    /// Footprints that fit without taking more memory.
    pub(super) fn capacity(&self) -> usize {
        self.footprints.entries.capacity()
    }

    #[inline]
    fn note(&mut self, place: Place, touch: Touch, balance: impl FnOnce() -> U256) {
        let transaction = self.footprints.starts.len() as u32;
        let entries = &mut self.footprints.entries;
        let mark = match place {
            Place::Account(account) => at(&mut self.accounts, account.0),
            Place::Slot(slot) => at(&mut self.slots, slot.0),
        };
        let before = if mark.transaction == transaction {
            let all = &mut entries[mark.entry as usize].touch;
            let before = *all;
            *all = before.and(touch);
            before
        } else {
            *mark = Mark { transaction, entry: entries.len() as u32 };
            entries.push(Footprint { place, touch });
            Touch::default()
        };
        if touch.has(Touch::CREDIT) && !before.has(Touch::CREDIT) {
            // For now the balance as it was; by how much it grew is known at the end.
            self.footprints.credits.push(Credit { entry: mark.entry, by: balance() });
        }
    }
}

fn at<T: Default + Clone>(items: &mut Vec<T>, index: u32) -> &mut T {
    let index = index as usize;
    if index >= items.len() {
        items.resize(index + 1, T::default());
    }
    &mut items[index]
}

pub(super) type Tracking = Option<Box<RefCell<Tracker>>>;

/// Two places, one in each of two overlays, that are the same and at which their transactions must stay in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clash {
    /// In the overlay that was asked.
    pub here: Place,
    /// In the other one.
    pub there: Place,
}

/// Bits per transaction of a [`Presence`]: so many that two workers seldom have one in common by chance.
const PRESENCE_BITS: usize = 64;

/// Which places an overlay knows, as bits by their hashes: most places of another overlay are seen not to be among them
/// without a search.
#[derive(Debug, Default)]
pub struct Presence {
    bits: Vec<u64>,
}

impl Presence {
    #[inline]
    fn bit(&self, hash: u64) -> (usize, u64) {
        // A power of two of words: the hash's upper bits say which, the six below which bit.
        let place = hash >> (58 - self.bits.len().trailing_zeros());
        ((place >> 6) as usize, 1 << (place & 63))
    }

    #[inline]
    fn add(&mut self, hash: u64) {
        let (word, bit) = self.bit(hash);
        self.bits[word] |= bit;
    }

    #[inline]
    fn may_have(&self, hash: u64) -> bool {
        let (word, bit) = self.bit(hash);
        self.bits[word] & bit != 0
    }
}

/// Spreads what differs over all bits.
#[inline]
fn spread(word: u64) -> u64 {
    let word = (word ^ word >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (word ^ word >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

#[inline]
fn hash_account(address: &Address) -> u64 {
    spread(u64::from_le_bytes(address[12..].try_into().expect("eight bytes")))
}

#[inline]
fn hash_slot(account: u64, key: &U256) -> u64 {
    let [low, _, _, high] = *key.as_limbs();
    spread(account.rotate_left(17) ^ low ^ high.rotate_left(31))
}

/// What the transactions of an overlay touched.
#[derive(Clone, Copy)]
pub struct Touched<'o> {
    accounts: &'o [AccountEntry],
    by_address: &'o AddressHashMap<u32>,
    slots: &'o [SlotEntry],
    by_slot: &'o HashMap<(u32, U256), u32>,
    footprints: &'o Footprints,
    presence: &'o Presence,
}

impl Touched<'_> {
    /// Where these transactions and those of `other`, over the same view, must stay in order: of all places here, the
    /// `part`th of so many parts.
    pub fn clashes(&self, other: &Self, part: usize, parts: usize) -> Vec<Clash> {
        let share = |length: usize| length * part / parts..length * (part + 1) / parts;
        let mut clashes = Vec::new();
        for index in share(self.accounts.len()) {
            let here = Place::Account(AccountId(index as u32));
            let mine = self.footprints.touch(here);
            let entry = &self.accounts[index];
            // What was only looked up ahead.
            if mine == Touch::default() && entry.first_slot == NO_SLOT {
                continue;
            }
            if !other.presence.may_have(hash_account(&entry.address)) {
                continue;
            }
            let Some(&their) = other.by_address.get(&entry.address) else { continue };
            let there = Place::Account(AccountId(their));
            let theirs = other.footprints.touch(there);
            let swept = mine.has(Touch::ALL_SLOTS)
                && (theirs.has(Touch::ALL_SLOTS) || other.accounts[their as usize].first_slot != NO_SLOT)
                || theirs.has(Touch::ALL_SLOTS) && entry.first_slot != NO_SLOT;
            if mine.clashes(theirs) || swept {
                clashes.push(Clash { here, there });
            }
        }
        // Neighbours often belong to one account: which one of theirs that is.
        let mut same = (u32::MAX, 0, None);
        for index in share(self.slots.len()) {
            let slot = &self.slots[index];
            if same.0 != slot.account {
                let address = &self.accounts[slot.account as usize].address;
                same = (slot.account, hash_account(address), other.by_address.get(address).copied());
            }
            let Some(account) = same.2 else { continue };
            if !other.presence.may_have(hash_slot(same.1, &slot.key)) {
                continue;
            }
            let Some(&their) = other.by_slot.get(&(account, slot.key)) else { continue };
            let (here, there) = (Place::Slot(SlotId(index as u32)), Place::Slot(SlotId(their)));
            if self.footprints.touch(here).clashes(other.footprints.touch(there)) {
                clashes.push(Clash { here, there });
            }
        }
        clashes
    }
}

impl Overlay<'_> {
    /// From here on footprints are kept, until [`Overlay::take_footprints`].
    pub fn track(&mut self) {
        self.tracker = Some(self.idle.take().unwrap_or_default());
    }

    /// Begins the footprint of the next transaction.
    pub fn begin_footprint(&mut self) {
        let footprints = &mut self.tracker.as_mut().expect("footprints are kept").get_mut().footprints;
        footprints.starts.push(footprints.entries.len() as u32);
    }

    /// Ends it.
    pub fn end_footprint(&mut self) {
        let footprints = &mut self.tracker.as_mut().expect("footprints are kept").get_mut().footprints;
        let start = *footprints.starts.last().expect("a footprint was begun") as usize;
        for index in start..footprints.entries.len() {
            let Footprint { place, touch } = footprints.entries[index];
            footprints.add(place, touch);
        }
        let Footprints { entries, credits, .. } = footprints;
        for credit in credits.iter_mut().rev().take_while(|credit| credit.entry as usize >= start) {
            let Footprint { place, touch } = entries[credit.entry as usize];
            credit.by = match place {
                Place::Account(account) if touch.is_credit() => {
                    self.accounts[account.0 as usize].current.balance.wrapping_sub(credit.by)
                }
                _ => U256::ZERO,
            };
        }
    }

    /// What was kept; nothing is from here on.
    pub fn take_footprints(&mut self) -> Footprints {
        let mut tracker = self.tracker.take().expect("footprints are kept");
        let footprints = std::mem::take(&mut tracker.get_mut().footprints);
        tracker.get_mut().accounts.clear();
        tracker.get_mut().slots.clear();
        self.idle = Some(tracker);
        footprints
    }

    /// Takes back footprints that nobody needs any more: the next ones use their memory.
    pub fn reuse_footprints(&mut self, mut footprints: Footprints) {
        if let Some(idle) = self.idle.as_mut().filter(|_| !footprints.is_empty()) {
            footprints.clear();
            idle.get_mut().footprints = footprints;
        }
    }

    /// All places it knows, those that nobody touched included; for comparing overlays that together run so many
    /// transactions.
    pub fn presence(&self, transactions: usize) -> Presence {
        let words = (transactions * PRESENCE_BITS / 64).next_power_of_two();
        let mut presence = Presence { bits: vec![0; words] };
        self.accounts.iter().for_each(|entry| presence.add(hash_account(&entry.address)));
        let mut same = (u32::MAX, 0);
        for slot in &self.slots {
            if same.0 != slot.account {
                same = (slot.account, hash_account(&self.accounts[slot.account as usize].address));
            }
            presence.add(hash_slot(same.1, &slot.key));
        }
        presence
    }

    /// What its transactions touched, to be compared by any thread.
    pub fn touched<'o>(&'o self, footprints: &'o Footprints, presence: &'o Presence) -> Touched<'o> {
        let Self { accounts, by_address, slots, by_slot, .. } = self;
        Touched { accounts, by_address, slots, by_slot, footprints, presence }
    }

    /// Takes back what the transactions marked in `undone` did, and forgets their footprints. They must not clash with
    /// the others: nobody read or built on what goes.
    pub fn retract(&mut self, footprints: &mut Footprints, undone: &[bool]) {
        assert_eq!(undone.len(), footprints.len(), "one mark for each transaction");
        footprints.accounts.fill(Touch::default());
        footprints.slots.fill(Touch::default());
        let mut reset = vec![false; self.accounts.len()];
        let marked = |mark: bool| (0..undone.len()).filter(move |transaction| undone[*transaction] == mark);
        for transaction in marked(true) {
            for Footprint { place, touch } in footprints.of(transaction) {
                match place {
                    Place::Account(account) if touch.is_write() => reset[account.0 as usize] = true,
                    Place::Account(_) => {}
                    Place::Slot(slot) => {
                        let slot = &mut self.slots[slot.0 as usize];
                        slot.current = slot.initial;
                    }
                }
            }
        }
        for (entry, _) in self.accounts.iter_mut().zip(&reset).filter(|(_, reset)| **reset) {
            entry.current = entry.initial;
        }
        let mut first = 0;
        for (transaction, undone) in undone.iter().copied().enumerate() {
            let range = footprints.range(transaction);
            if !undone {
                for index in range.clone() {
                    let Footprint { place, touch } = footprints.entries[index];
                    footprints.add(place, touch);
                }
            }
            let credits = &footprints.credits[first..];
            let credits = &credits[..credits.partition_point(|credit| (credit.entry as usize) < range.end)];
            first += credits.len();
            for Credit { entry, by } in credits {
                let Place::Account(account) = footprints.entries[*entry as usize].place else { continue };
                // What was reset lost the others' credits, too; what was not still has those that go.
                if by.is_zero() || reset[account.0 as usize] == undone {
                    continue;
                }
                let balance = &mut self.accounts[account.0 as usize].current.sprung_up().balance;
                *balance = if undone { balance.wrapping_sub(*by) } else { balance.wrapping_add(*by) };
            }
        }
        for entry in self.accounts.iter_mut().filter(|entry| !entry.initial.exists()) {
            // It sprang up from credits that went.
            if entry.current.is_empty() {
                entry.current = Held::NOTHING;
            }
        }
        footprints.forget(undone);
    }

    fn held(&self, id: AccountId) -> U256 {
        self.accounts[id.0 as usize].current.balance
    }

    #[inline]
    pub(super) fn note(&self, id: AccountId, touch: Touch) {
        if let Some(tracker) = &self.tracker {
            tracker.borrow_mut().note(Place::Account(id), touch, || self.held(id));
        }
    }

    #[inline]
    pub(super) fn note_slot(&self, id: SlotId, touch: Touch) {
        if let Some(tracker) = &self.tracker {
            tracker.borrow_mut().note(Place::Slot(id), touch, || U256::ZERO);
        }
    }
}

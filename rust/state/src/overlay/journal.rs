//! How to take back what a transaction did: one entry per change, holding what was there before.
//!
//! The journal is also the record of the transaction: which accounts it touched, created and destroyed, and what
//! everything held before, is read off it at the end.

use types::U256;

use super::{AccountId, Checkpoint, Fate, Overlay, RIPEMD, Touch, held::Held};
use crate::ViewError;

#[derive(Clone, Debug)]
pub(super) enum Undo {
    Account { account: u32, previous: Held },
    Touch { account: u32 },
    Warm { account: u32 },
    Created { account: u32 },
    Destroyed { account: u32 },
    Slot { slot: u32, previous: U256 },
    WarmSlot { slot: u32 },
    Transient { account: u32, key: U256, previous: U256 },
}

/// What becomes of empty accounts when a transaction settles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmptyAccounts {
    /// Before EIP-161: they spring up when touched, and stay.
    Stay,
    /// EIP-161: touched ones go.
    Cleared,
}

impl Overlay<'_> {
    /// A place to come back to.
    #[inline]
    pub fn checkpoint(&self) -> Checkpoint {
        Checkpoint { journal: self.journal.len(), logs: self.logs.len(), refund: self.refund, burned: self.burned }
    }

    /// Keeps what happened since the checkpoint.
    #[inline]
    pub fn commit(&mut self, checkpoint: Checkpoint) {
        debug_assert!(checkpoint.journal <= self.journal.len(), "an outer checkpoint was rolled back before");
    }

    /// Takes back what happened since the checkpoint, warmth included.
    pub fn rollback(&mut self, checkpoint: Checkpoint) {
        assert!(checkpoint.journal <= self.journal.len(), "an outer checkpoint was rolled back before");
        self.unwind(checkpoint.journal);
        self.logs.truncate(checkpoint.logs);
        self.refund = checkpoint.refund;
        self.burned = checkpoint.burned;
    }

    /// Takes back the whole transaction, as if it had never begun.
    pub fn abandon(&mut self) {
        self.unwind(0);
        self.logs.clear();
        self.refund = 0;
        self.burned = U256::ZERO;
        self.ripemd_touched = false;
    }

    fn unwind(&mut self, length: usize) {
        while self.journal.len() > length {
            match self.journal.pop().expect("longer than `length`") {
                Undo::Account { account, previous } => {
                    let entry = &mut self.accounts[account as usize];
                    entry.current = previous;
                    self.ripemd_touched |= entry.address == RIPEMD;
                }
                Undo::Touch { account } => self.ripemd_touched |= self.accounts[account as usize].address == RIPEMD,
                Undo::Warm { account } => self.accounts[account as usize].warm = 0,
                Undo::Created { account } => self.accounts[account as usize].fate.remove(Fate::CREATED),
                Undo::Destroyed { account } => self.accounts[account as usize].fate.remove(Fate::DESTROYED),
                Undo::Slot { slot, previous } => self.slots[slot as usize].current = previous,
                Undo::WarmSlot { slot } => self.slots[slot as usize].warm = 0,
                Undo::Transient { account, key, previous } => {
                    self.transient.insert((account, key), previous);
                }
            }
        }
    }

    /// What is due when a transaction ends: destroyed accounts go with their slots, touched empty ones as told.
    /// Returns the wei that went with destroyed accounts, and what was burned before.
    ///
    /// What is done here is journaled too, so that [`Overlay::transaction_diff`] tells it and [`Overlay::abandon`]
    /// takes it back.
    pub fn settle(&mut self, empty: EmptyAccounts) -> Result<U256, ViewError> {
        let mut burned = self.burned;
        for position in 0..self.journal.len() {
            match self.journal[position] {
                Undo::Destroyed { account } => burned += self.wipe(account)?,
                Undo::Account { account, .. } | Undo::Touch { account } => self.settle_touched(account, empty)?,
                _ => {}
            }
        }
        if self.ripemd_touched {
            let account = self.load(&RIPEMD)?;
            self.settle_touched(account.0, empty)?;
        }
        Ok(burned)
    }

    fn settle_touched(&mut self, account: u32, empty: EmptyAccounts) -> Result<(), ViewError> {
        let entry = &self.accounts[account as usize];
        if empty == EmptyAccounts::Cleared && entry.current.exists() && entry.current.is_empty() {
            if entry.initial.exists() {
                self.wipe(account)?;
            } else {
                // It sprang up and goes again, which is nobody else's concern: their credits make it anew.
                self.take_away(account)?;
            }
        }
        Ok(())
    }

    /// Takes the account away with all its slots; returns what it held.
    fn wipe(&mut self, account: u32) -> Result<U256, ViewError> {
        self.note(AccountId(account), Touch::WIPE);
        self.take_away(account)
    }

    fn take_away(&mut self, account: u32) -> Result<U256, ViewError> {
        // Slots that nobody asked for yet must be known, or the diff could not tell what they held.
        let entry = &self.accounts[account as usize];
        if entry.initial.exists() {
            for (key, value) in self.view.slots(&entry.address)? {
                if !self.by_slot.contains_key(&(account, key)) {
                    self.insert_slot(account, key, value);
                }
            }
        }
        let mut next = self.accounts[account as usize].first_slot;
        while next != super::NO_SLOT {
            self.set_slot(super::SlotId(next), U256::ZERO);
            next = self.slots[next as usize].next;
        }
        let balance = self.accounts[account as usize].current.balance;
        // A write first: it journals the account and lists it as changed.
        *self.change(AccountId(account)) = Held::NOTHING;
        Ok(balance)
    }
}

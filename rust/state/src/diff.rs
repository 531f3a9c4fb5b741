//! What changed: one value per transaction and block, from which everything downstream is made.
//!
//! Invariants: accounts ascend by address and slots by key, without repeats; an entry that changes nothing is absent;
//! every slot lists what it held before, a wiped account's slots included, so that the inverse needs nobody else.

use types::{Account, Address, B256, Bytes, U256};

/// A slot that changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotDiff {
    /// Which slot.
    pub key: U256,
    /// Zero: it held nothing.
    pub before: U256,
    /// Zero: it holds nothing.
    pub after: U256,
}

/// An account that changed, or whose slots did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountDiff {
    /// None: it did not exist.
    pub before: Option<Account>,
    /// None: it does not exist any more.
    pub after: Option<Account>,
    /// Slots that changed, ascending.
    pub slots: Vec<SlotDiff>,
}

/// Everything that a transaction or block changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateDiff {
    /// Ascending by address.
    pub accounts: Vec<(Address, AccountDiff)>,
    /// Code that was not there before, ascending by hash. Code is kept for good: the inverse does not take it away.
    pub codes: Vec<(B256, Bytes)>,
}

impl AccountDiff {
    fn is_noop(&self) -> bool {
        self.before == self.after && self.slots.is_empty()
    }

    fn then(self, next: Self) -> Self {
        debug_assert_eq!(self.after, next.before, "diffs do not follow each other");
        let slots = merge(
            self.slots,
            next.slots,
            |slot| slot.key,
            |first, second| SlotDiff { key: first.key, before: first.before, after: second.after },
        );
        Self {
            before: self.before,
            after: next.after,
            slots: slots.into_iter().filter(|slot| slot.before != slot.after).collect(),
        }
    }

    /// Balances may have grown on both sides; everything else changed on one side at most.
    pub(crate) fn beside(self, other: Self) -> Self {
        debug_assert_eq!(self.before, other.before, "diffs do not start from the same state");
        let before = self.before.unwrap_or_default();
        let after = match (self.after, other.after) {
            (Some(one), Some(two)) => Some(Account {
                nonce: if one.nonce == before.nonce { two.nonce } else { one.nonce },
                balance: one.balance.wrapping_add(two.balance).wrapping_sub(before.balance),
                code_hash: if one.code_hash == before.code_hash { two.code_hash } else { one.code_hash },
            }),
            // A side that has none took it away, or never had it.
            (one, two) if self.before.is_none() => one.or(two),
            _ => None,
        };
        Self { before: self.before, after, slots: merge(self.slots, other.slots, |slot| slot.key, |_, second| second) }
    }
}

/// Changes are few where so many times as many are there.
const FEW: usize = 1_000;

impl StateDiff {
    /// Nothing changed.
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty()
    }

    /// What undoes this.
    #[must_use]
    pub fn inverse(&self) -> Self {
        let accounts = self.accounts.iter().map(|(address, change)| {
            let slots =
                change.slots.iter().map(|slot| SlotDiff { key: slot.key, before: slot.after, after: slot.before });
            (*address, AccountDiff { before: change.after, after: change.before, slots: slots.collect() })
        });
        Self { accounts: accounts.collect(), codes: Vec::new() }
    }

    /// This, and then `next`, as one.
    #[must_use]
    pub fn then(self, next: &Self) -> Self {
        self.and_then(next.clone())
    }

    /// The same, with nothing copied.
    #[must_use]
    pub fn and_then(mut self, mut next: Self) -> Self {
        if self.is_empty() {
            return next;
        }
        // A few changes before or after those of a long block move nothing but themselves.
        if self.accounts.len() * FEW < next.accounts.len() && self.codes.is_empty() {
            for (address, change) in self.accounts {
                match next.accounts.binary_search_by_key(&address, |(address, _)| *address) {
                    Ok(index) => {
                        let second = std::mem::take(&mut next.accounts[index].1);
                        next.accounts[index].1 = change.then(second);
                        if next.accounts[index].1.is_noop() {
                            next.accounts.remove(index);
                        }
                    }
                    Err(index) => next.accounts.insert(index, (address, change)),
                }
            }
            return next;
        }
        if next.accounts.len() * FEW < self.accounts.len() && next.codes.is_empty() {
            for (address, change) in next.accounts.drain(..) {
                match self.accounts.binary_search_by_key(&address, |(address, _)| *address) {
                    Ok(index) => {
                        let first = std::mem::take(&mut self.accounts[index].1);
                        self.accounts[index].1 = first.then(change);
                        if self.accounts[index].1.is_noop() {
                            self.accounts.remove(index);
                        }
                    }
                    Err(index) => self.accounts.insert(index, (address, change)),
                }
            }
            return self;
        }
        let accounts = merge(
            self.accounts,
            next.accounts,
            |(address, _)| *address,
            |(address, first), (_, second)| (address, first.then(second)),
        );
        Self {
            accounts: accounts.into_iter().filter(|(_, change)| !change.is_noop()).collect(),
            codes: merge(self.codes, next.codes, |(hash, _)| *hash, |first, _| first),
        }
    }

    /// The change of one account.
    pub fn account(&self, address: &Address) -> Option<&AccountDiff> {
        let index = self.accounts.binary_search_by_key(address, |(address, _)| *address).ok()?;
        Some(&self.accounts[index].1)
    }
}

/// Merges two ascending lists; `join` settles what stands in both.
fn merge<T, K: Ord>(
    first: Vec<T>,
    second: impl IntoIterator<Item = T>,
    key: impl Fn(&T) -> K,
    join: impl Fn(T, T) -> T,
) -> Vec<T> {
    let second = second.into_iter();
    let mut merged = Vec::with_capacity(first.len() + second.size_hint().0);
    let mut second = second.peekable();
    for item in first {
        while let Some(other) = second.next_if(|other| key(other) < key(&item)) {
            merged.push(other);
        }
        match second.next_if(|other| key(other) == key(&item)) {
            Some(other) => merged.push(join(item, other)),
            None => merged.push(item),
        }
    }
    merged.extend(second);
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Address byte, nonce before, nonce after, slots as (key, before, after).
    type Entry<'a> = (u8, Option<u64>, Option<u64>, &'a [(u64, u64, u64)]);

    fn diff(entries: &[Entry<'_>]) -> StateDiff {
        let account = |nonce: Option<u64>| nonce.map(|nonce| Account { nonce, ..Account::default() });
        let accounts = entries.iter().map(|(address, before, after, slots)| {
            let slots = slots.iter().map(|(key, before, after)| SlotDiff {
                key: U256::from(*key),
                before: U256::from(*before),
                after: U256::from(*after),
            });
            let change = AccountDiff { before: account(*before), after: account(*after), slots: slots.collect() };
            (Address::repeat_byte(*address), change)
        });
        StateDiff { accounts: accounts.collect(), codes: Vec::new() }
    }

    #[test]
    fn then_joins_and_drops_what_came_back() {
        let first = diff(&[(1, None, Some(1), &[(1, 0, 5), (2, 0, 6)]), (3, Some(1), Some(2), &[])]);
        let second = diff(&[
            (1, Some(1), Some(2), &[(1, 5, 0), (3, 0, 1)]),
            (2, None, Some(1), &[]),
            (3, Some(2), Some(1), &[]),
        ]);
        let expected = diff(&[(1, None, Some(2), &[(2, 0, 6), (3, 0, 1)]), (2, None, Some(1), &[])]);
        assert_eq!(first.then(&second), expected);
    }

    #[test]
    fn a_diff_and_its_inverse_are_nothing() {
        let some = diff(&[(1, None, Some(1), &[(1, 0, 5)]), (3, Some(1), None, &[(2, 9, 0)])]);
        assert!(some.clone().then(&some.inverse()).is_empty());
        assert_eq!(some.inverse().inverse(), some);
        assert_eq!(some.account(&Address::repeat_byte(3)).unwrap().after, None);
        assert_eq!(some.account(&Address::repeat_byte(2)), None);
    }
}

//! Which transactions probably touch the same places: those go to one worker, as one unit.
//!
//! A guess from what a transaction says itself: its sender, the account it names, the addresses in its call data. What
//! a contract makes of an argument is learned from the footprints of transactions that ran: of those that share the
//! argument, how many clashed? A token's transfers to one holder do; a router's swaps over one currency don't. Of a
//! contract that is new, what is known of the same function of others. A wrong guess costs time, never a result.

use alloy_primitives::map::HashMap;
use state::{Footprints, Place, Touch};
use types::{Address, Recovered, TxKind};

/// Call data words that are looked at.
const ARGUMENTS: usize = 8;

/// What two calls may share, besides arguments: the contract itself, and that one's sender is the other's argument.
const CONTRACT: usize = ARGUMENTS;
const FEATURES: usize = ARGUMENTS + 1;

/// Functions remembered; some thousand contracts make up nearly all of a chain's calls. Full, it begins anew.
const PATTERNS_MAX: usize = 8_192;

/// Shared cases from which on experience counts for more than the first guess.
const EXPERIENCE: u16 = 4;

/// What is known of one function of one contract.
#[derive(Clone, Copy, Debug, Default)]
struct Pattern {
    /// By feature: neighbours that shared it, and those of them that clashed.
    shared: [u16; FEATURES],
    clashed: [u16; FEATURES],
}

impl Pattern {
    /// Whether calls that share the feature belong together; None where that is not known.
    fn joins(&self, feature: usize) -> Option<bool> {
        let (shared, clashed) = (self.shared[feature], self.clashed[feature]);
        (shared >= EXPERIENCE).then(|| clashed * 4 >= shared)
    }

    fn learn(&mut self, feature: usize, clashed: bool) {
        if self.shared[feature] >= 1 << 10 {
            // What was long ago counts half.
            self.shared[feature] /= 2;
            self.clashed[feature] /= 2;
        }
        self.shared[feature] += 1;
        self.clashed[feature] += u16::from(clashed);
    }
}

type Selector = [u8; 4];
type Function = (Address, Selector);

/// What was learned so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Hints {
    patterns: HashMap<Function, Pattern>,
    /// Of all contracts that have a function called so.
    alike: HashMap<Selector, Pattern>,
}

/// The contract and the function that a transaction calls, if it does.
fn function(tx: &Recovered) -> Option<Function> {
    let input = tx.transaction.input();
    match tx.transaction.to() {
        TxKind::Call(to) if !input.is_empty() => {
            let mut selector = [0; 4];
            let length = input.len().min(4);
            selector[..length].copy_from_slice(&input[..length]);
            Some((to, selector))
        }
        _ => None,
    }
}

/// The arguments that look like addresses, with their places.
fn arguments(tx: &Recovered) -> impl Iterator<Item = (usize, Address)> {
    let input = tx.transaction.input();
    let words = input.get(4..).unwrap_or_default().chunks_exact(32).take(ARGUMENTS).enumerate();
    words.filter_map(|(position, word)| {
        // Twelve zeros in front, and not a small number.
        let looks_so = word[..12].iter().all(|byte| *byte == 0) && word[12..20].iter().any(|byte| *byte != 0);
        looks_so.then(|| (position, Address::from_slice(&word[12..])))
    })
}

impl Hints {
    /// Whether most of these calls go to functions of which nothing is known.
    pub(super) fn know_little(&self, transactions: &[Recovered]) -> bool {
        let calls = transactions.iter().filter_map(function);
        let (known, unknown) =
            calls.fold((0, 0), |(known, unknown), function| match self.alike.contains_key(&function.1) {
                true => (known + 1, unknown),
                false => (known, unknown + 1),
            });
        unknown > known
    }

    /// Learns from transactions that ran one after the other.
    pub(super) fn learn(&mut self, transactions: &[Recovered], footprints: &Footprints) {
        // Who touched each place that somebody writes last; the pairs that clash.
        let mut last: HashMap<Place, (usize, Touch)> = HashMap::default();
        let mut clashes: Vec<(usize, usize)> = Vec::new();
        for index in 0..footprints.len() {
            for footprint in footprints.of(index) {
                if !footprints.touch(footprint.place).is_ordered() {
                    continue;
                }
                if let Some((before, touch)) = last.insert(footprint.place, (index, footprint.touch))
                    && touch.clashes(footprint.touch)
                {
                    clashes.push((before, index));
                }
            }
        }
        clashes.sort_unstable();
        let ran = transactions.iter().take(footprints.len());
        self.learn_from(ran, |one, two| clashes.binary_search(&(one, two)).is_ok());
    }

    /// Learns from which of these transactions clashed with which later one.
    pub(super) fn learn_from<'t>(
        &mut self,
        transactions: impl Iterator<Item = &'t Recovered>,
        clash: impl Fn(usize, usize) -> bool,
    ) {
        if self.patterns.len() > PATTERNS_MAX {
            *self = Self::default();
        }
        let mut sharing: HashMap<(Address, usize, Address), usize> = HashMap::default();
        let mut calling: HashMap<Address, (usize, Address)> = HashMap::default();
        for (index, tx) in transactions.enumerate() {
            let Some(function) = function(tx) else { continue };
            let alike = self.alike.entry(function.1).or_default();
            let pattern = self.patterns.entry(function).or_default();
            let mut explained = false;
            for (position, argument) in arguments(tx) {
                if let Some(before) = sharing.insert((function.0, position, argument), index) {
                    let clashed = clash(before, index);
                    explained |= clashed;
                    pattern.learn(position, clashed);
                    alike.learn(position, clashed);
                }
            }
            if let Some((before, sender)) = calling.insert(function.0, (index, tx.sender))
                && !explained
                && sender != tx.sender
            {
                let clashed = clash(before, index);
                pattern.learn(CONTRACT, clashed);
                alike.learn(CONTRACT, clashed);
            }
        }
    }

    /// The unit of each transaction, counted from 0 in the order in which they begin; and how many there are.
    pub(super) fn units(&self, transactions: &[Recovered]) -> Units {
        let mut sets = Sets::new(transactions.len());
        let mut first: HashMap<u64, u32> =
            HashMap::with_capacity_and_hasher(3 * transactions.len(), Default::default());
        let mut join = |key: u64, index: u32, sets: &mut Sets| match first.entry(key) {
            std::collections::hash_map::Entry::Occupied(entry) => sets.join(*entry.get(), index),
            std::collections::hash_map::Entry::Vacant(entry) => drop(entry.insert(index)),
        };
        let mut known: (Function, [Pattern; 2]) = Default::default();
        for (index, tx) in (0u32..).zip(transactions) {
            join(key(&tx.sender, None), index, &mut sets);
            let Some(function) = function(tx) else { continue };
            if known.0 != function {
                let own = self.patterns.get(&function).copied().unwrap_or_default();
                let alike = self.alike.get(&function.1).copied().unwrap_or_default();
                known = (function, [own, alike]);
            }
            let (contract, [own, alike]) = (&function.0, &known.1);
            let joins = |feature| own.joins(feature).or_else(|| alike.joins(feature)).unwrap_or(feature != CONTRACT);
            if joins(CONTRACT) {
                join(key(contract, Some(contract)), index, &mut sets);
            }
            join(key(contract, Some(&tx.sender)), index, &mut sets);
            for (position, argument) in arguments(tx) {
                if joins(position) {
                    join(key(contract, Some(&argument)), index, &mut sets);
                }
            }
        }
        // Whoever is paid before it pays itself.
        for (index, tx) in (0u32..).zip(transactions) {
            if let TxKind::Call(to) = tx.transaction.to()
                && let Some(sender) = first.get(&key(&to, None))
            {
                sets.join(*sender, index);
            }
        }
        Units::new(sets)
    }
}

/// Whether all that these transactions do follows from themselves, as long as their recipients have no code: value from
/// one account to another. Who pays the fees is then in one unit with whoever pays it, so units share nothing but accounts
/// that only grow.
pub(super) fn are_plain(transactions: &[Recovered], beneficiary: &Address) -> bool {
    transactions.iter().all(|Recovered { transaction, sender }| {
        matches!(transaction.to(), TxKind::Call(_))
            && transaction.input().is_empty()
            // Nothing that is paid could be empty.
            && !transaction.value().is_zero()
            && transaction.authorizations().is_none()
            && transaction.payload().is_none()
            && sender != beneficiary
    })
}

/// One number for an account, or for a holder within a contract. Two that fall together by chance cost time only.
fn key(account: &Address, holder: Option<&Address>) -> u64 {
    let word = |address: &Address| u64::from_le_bytes(address[12..].try_into().expect("eight bytes"));
    let mixed = |address: &Address| word(address).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    match holder {
        None => mixed(account),
        Some(holder) => mixed(account).rotate_left(23) ^ mixed(holder).wrapping_add(0x1234_5678_9abc_def1),
    }
}

/// Transactions by unit.
#[derive(Debug)]
pub(super) struct Units {
    /// By transaction.
    pub(super) of: Vec<u32>,
    /// Transactions in each unit.
    pub(super) sizes: Vec<u32>,
}

impl Units {
    pub(super) fn new(mut sets: Sets) -> Self {
        let mut number = vec![u32::MAX; sets.parents.len()];
        let mut units = Self { of: Vec::with_capacity(sets.parents.len()), sizes: Vec::new() };
        for index in 0..sets.parents.len() as u32 {
            let root = sets.root(index) as usize;
            if number[root] == u32::MAX {
                number[root] = units.sizes.len() as u32;
                units.sizes.push(0);
            }
            units.of.push(number[root]);
            units.sizes[number[root] as usize] += 1;
        }
        units
    }

    /// How many times faster than one worker `workers` can be at best, by number of transactions.
    pub(super) fn bound(&self, workers: usize) -> f64 {
        let largest = self.sizes.iter().copied().max().unwrap_or(0).max(1);
        (self.of.len() as f64 / f64::from(largest)).min(workers as f64)
    }
}

/// Disjoint sets of transactions.
pub(super) struct Sets {
    parents: Vec<u32>,
}

impl Sets {
    pub(super) fn new(length: usize) -> Self {
        Self { parents: (0..length as u32).collect() }
    }

    fn root(&mut self, mut index: u32) -> u32 {
        while self.parents[index as usize] != index {
            let up = self.parents[self.parents[index as usize] as usize];
            self.parents[index as usize] = up;
            index = up;
        }
        index
    }

    /// The earlier transaction stands for both.
    pub(super) fn join(&mut self, one: u32, two: u32) {
        let (one, two) = (self.root(one), self.root(two));
        self.parents[one.max(two) as usize] = one.min(two);
    }
}

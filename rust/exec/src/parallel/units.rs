//! Which transactions probably touch the same places: those go to one worker, as one unit.
//!
//! A guess from what a transaction says itself: its sender, the account it names, the addresses in its call data. What
//! a contract makes of an argument is learned from the footprints of transactions that ran: of those that share the
//! argument, how many clashed? A token's transfers to one holder do; a router's swaps over one currency don't. Of a
//! contract that is new, what is known of the same function of others. A wrong guess costs time, never a result.

use alloy_primitives::map::HashMap;
use rayon::prelude::*;
use state::{Footprints, Place, Touch};
use types::{Address, B256, Payload, Recovered, TxKind, U256, tx::asset_transfer::AssetMove};

use super::meet::{Sets, Table, WHO_MAX};

/// Call data words that are looked at.
const ARGUMENTS: usize = 8;

/// What two calls may share besides arguments: the contract itself; a slot that both have in their access lists.
const CONTRACT: usize = ARGUMENTS;
const LISTED: usize = ARGUMENTS + 1;
const FEATURES: usize = ARGUMENTS + 2;

/// Slots of an access list that are looked at.
const SLOTS_MAX: usize = 16;

/// Transactions that a worker looks at together.
const TOGETHER: usize = 256;

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

/// The slots that its access list names.
fn listed(tx: &Recovered) -> impl Iterator<Item = (Address, U256)> {
    let items = tx.transaction.access_list().into_iter().flat_map(|list| list.iter());
    let slots = items.flat_map(|item| item.storage_keys.iter().map(|key| (item.address, (*key).into())));
    slots.take(SLOTS_MAX)
}

/// What a block looks like before anything of it ran.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Survey {
    /// Things that its transactions may name, at most.
    things: usize,
    /// Calls to functions of which something is known, and to others.
    known: usize,
    unknown: usize,
    /// See [`is_plain`].
    pub(super) plain: bool,
}

impl Survey {
    /// Whether most of the calls go to functions of which nothing is known.
    pub(super) fn know_little(&self) -> bool {
        self.unknown > self.known
    }

    fn and(self, other: Self) -> Self {
        Self {
            things: self.things + other.things,
            known: self.known + other.known,
            unknown: self.unknown + other.unknown,
            plain: self.plain && other.plain,
        }
    }
}

impl Hints {
    /// Looks the transactions through, on all workers that are there.
    pub(super) fn survey(&self, transactions: &[Recovered], beneficiary: &Address) -> Survey {
        let shares = transactions.par_chunks(TOGETHER).map(|transactions| {
            let mut survey = Survey { plain: true, ..Survey::default() };
            let mut last = (Selector::default(), false);
            for tx in transactions {
                survey.things += 1 + payload_moves(tx).len() * 2;
                survey.plain &= is_plain(tx, beneficiary);
                survey.things += listed(tx).count();
                let Some((_, selector)) = function(tx) else { continue };
                if selector != last.0 {
                    last = (selector, self.alike.contains_key(&selector));
                }
                survey.things += 2 + (tx.transaction.input().len() / 32).min(ARGUMENTS);
                survey.known += usize::from(last.1);
                survey.unknown += usize::from(!last.1);
            }
            survey
        });
        shares.reduce(|| Survey { plain: true, ..Survey::default() }, Survey::and)
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
        let mut listing: HashMap<(Address, U256), usize> = HashMap::default();
        let mut calling: HashMap<Address, (usize, Address)> = HashMap::default();
        for (index, tx) in transactions.enumerate() {
            let Some(function) = function(tx) else { continue };
            let alike = self.alike.entry(function.1).or_default();
            let pattern = self.patterns.entry(function).or_default();
            let mut explained = false;
            for place in listed(tx) {
                if let Some(before) = listing.insert(place, index) {
                    let clashed = clash(before, index);
                    explained |= clashed;
                    pattern.learn(LISTED, clashed);
                    alike.learn(LISTED, clashed);
                }
            }
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

    /// The units that these transactions probably make up; all workers that are there look for them. None where
    /// somebody may be missing from a unit whom a place in common, which could be told, would make a member.
    pub(super) fn units(&self, transactions: &[Recovered], survey: &Survey) -> Option<Units> {
        if transactions.len() > WHO_MAX {
            return None;
        }
        let (sets, table) = (Sets::new(transactions.len()), Table::new(survey.things));
        let shares = || (0..).step_by(TOGETHER).zip(transactions.chunks(TOGETHER)).collect::<Vec<(u32, _)>>();
        shares().into_par_iter().for_each(|(first, transactions)| {
            let mut known: (Function, [Pattern; 2]) = Default::default();
            let mut things = Vec::with_capacity(4 * TOGETHER);
            for (index, tx) in (first..).zip(transactions) {
                let mut join = |thing: u64| things.push((thing, index));
                join(key(&tx.sender, None));
                for step in payload_moves(tx) {
                    join(asset_key(&step.asset, &tx.sender));
                    join(asset_key(&step.asset, &step.recipient));
                }
                let Some(function) = function(tx) else { continue };
                if known.0 != function {
                    let own = self.patterns.get(&function).copied().unwrap_or_default();
                    let alike = self.alike.get(&function.1).copied().unwrap_or_default();
                    known = (function, [own, alike]);
                }
                let (contract, [own, alike]) = (&function.0, &known.1);
                let joins =
                    |feature| own.joins(feature).or_else(|| alike.joins(feature)).unwrap_or(feature != CONTRACT);
                if joins(CONTRACT) {
                    join(key(contract, Some(contract)));
                }
                join(key(contract, Some(&tx.sender)));
                for (position, argument) in arguments(tx) {
                    if joins(position) {
                        join(key(contract, Some(&argument)));
                    }
                }
                if joins(LISTED) {
                    listed(tx).for_each(|(account, slot)| join(slot_key(&account, &slot)));
                }
            }
            table.foresee(&things);
            for (thing, index) in things {
                if let Some(before) = table.meet(thing, index) {
                    sets.join(before, index);
                }
            }
        });
        // Whoever is paid before it pays itself.
        shares().into_par_iter().for_each(|(first, transactions)| {
            for (index, tx) in (first..).zip(transactions) {
                if let TxKind::Call(to) = tx.transaction.to()
                    && let Some(sender) = table.find(key(&to, None))
                {
                    sets.join(sender, index);
                }
            }
        });
        table.is_complete().then(|| Units::new(&sets))
    }
}

/// The moves of a transaction that moves assets.
fn payload_moves(tx: &Recovered) -> &[AssetMove] {
    match tx.transaction.payload() {
        Some(Payload::AssetTransfer(transfer)) => &transfer.moves,
        _ => &[],
    }
}

/// Whether all that this transaction does follows from itself, as long as its recipient has no code: value, or
/// assets, from one account to others. Who pays the fees is then in one unit with whoever pays it, so units share
/// nothing but accounts that only grow.
fn is_plain(Recovered { transaction, sender }: &Recovered, beneficiary: &Address) -> bool {
    let pays = transaction.input().is_empty()
        // Nothing that is paid could be empty.
        && !transaction.value().is_zero()
        && transaction.payload().is_none();
    let moves = matches!(transaction.payload(), Some(Payload::AssetTransfer(_)))
        && transaction.value().is_zero()
        && transaction.access_list().is_none_or(|list| list.is_empty());
    matches!(transaction.to(), TxKind::Call(_))
        && (pays || moves)
        && transaction.authorizations().is_none()
        && sender != beneficiary
}

/// All bits of a number depend on all of `word`.
fn spread(word: u64) -> u64 {
    let word = (word ^ word >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ word >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word ^ word >> 32
}

/// One number for an account, or for a holder within a contract. Two that fall together by chance cost time only.
fn key(account: &Address, holder: Option<&Address>) -> u64 {
    let word = |address: &Address| u64::from_le_bytes(address[12..].try_into().expect("eight bytes"));
    match holder {
        None => spread(word(account)),
        Some(holder) => spread(spread(word(account)).rotate_left(23) ^ word(holder)),
    }
}

/// One for a holder of an asset.
fn asset_key(asset: &B256, holder: &Address) -> u64 {
    key(&Address::from_word(*asset), Some(holder)).rotate_left(32)
}

/// One for a slot.
fn slot_key(account: &Address, slot: &U256) -> u64 {
    let [low, _, _, high] = *slot.as_limbs();
    spread(key(account, None).rotate_left(23) ^ low ^ high.rotate_left(31))
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
    pub(super) fn new(sets: &Sets) -> Self {
        let length = sets.len() as u32;
        let roots: Vec<u32> =
            (0..length).into_par_iter().with_min_len(TOGETHER).map(|index| sets.root(index)).collect();
        let mut units = Self { of: roots, sizes: Vec::new() };
        for index in 0..units.of.len() {
            // Who stands for a unit is its first, which has its number by now.
            let root = units.of[index] as usize;
            let unit = if root == index {
                units.sizes.push(0);
                units.sizes.len() as u32 - 1
            } else {
                units.of[root]
            };
            units.of[index] = unit;
            units.sizes[unit as usize] += 1;
        }
        units
    }

    /// Each on its own.
    pub(super) fn apart(transactions: usize) -> Self {
        Self { of: (0..transactions as u32).collect(), sizes: vec![1; transactions] }
    }

    /// All in one.
    pub(super) fn together(transactions: usize) -> Self {
        Self { of: vec![0; transactions], sizes: vec![transactions as u32] }
    }

    /// How many times faster than one worker `workers` can be at best, by number of transactions.
    pub(super) fn bound(&self, workers: usize) -> f64 {
        let largest = self.sizes.iter().copied().max().unwrap_or(0).max(1);
        (self.of.len() as f64 / f64::from(largest)).min(workers as f64)
    }
}

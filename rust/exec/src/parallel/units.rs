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

use super::meet::{Named, Sets, Table, WHO_MAX};

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

/// Transactions of a block that tell whether it is one chain.
const SAMPLE: usize = 256;

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
#[derive(Debug)]
pub(super) struct Survey {
    parts: Vec<Part>,
}

/// The same of some of its transactions.
#[derive(Debug)]
struct Part {
    /// Calls to functions of which something is known, and to others.
    known: usize,
    unknown: usize,
    /// See [`is_plain`].
    plain: bool,
    /// What the transactions name, and which of them does: who names the same thing belongs together.
    things: Vec<Named>,
    /// Whom they name as recipients: those belong to whoever names them as senders.
    recipients: Vec<Named>,
}

impl Survey {
    /// Whether most of the calls go to functions of which nothing is known.
    pub(super) fn know_little(&self) -> bool {
        let sum = |calls: fn(&Part) -> usize| self.parts.iter().map(calls).sum::<usize>();
        sum(|part| part.unknown) > sum(|part| part.known)
    }

    /// Whether all of it follows from the transactions themselves, see [`is_plain`].
    pub(super) fn is_plain(&self) -> bool {
        self.parts.iter().all(|part| part.plain)
    }

    /// The units that these many transactions probably make up; all workers that are there look for them. None where
    /// somebody may be missing from a unit whom a place in common, which could be told, would make a member.
    pub(super) fn units(&self, transactions: usize) -> Option<Units> {
        if transactions > WHO_MAX {
            return None;
        }
        let things = self.parts.iter().map(|part| part.things.len()).sum();
        let (sets, table) = (Sets::new(transactions), Table::new(things));
        self.parts.par_iter().for_each(|part| part.meet(&sets, &table));
        self.parts.par_iter().for_each(|part| part.find(&sets, &table));
        table.is_complete().then(|| Units::new(&sets))
    }
}

impl Part {
    fn meet(&self, sets: &Sets, table: &Table) {
        table.foresee(&self.things);
        for thing in &self.things {
            if let Some(before) = table.meet(*thing) {
                sets.join(before, thing.who());
            }
        }
    }

    /// After all have met.
    fn find(&self, sets: &Sets, table: &Table) {
        for recipient in &self.recipients {
            if let Some(sender) = table.find(*recipient) {
                sets.join(sender, recipient.who());
            }
        }
    }
}

impl Hints {
    /// Looks the transactions through, on all workers that are there.
    pub(super) fn survey(&self, transactions: &[Recovered], beneficiary: &Address) -> Survey {
        let parts = transactions.par_chunks(TOGETHER).enumerate();
        let part =
            |(index, part): (usize, &[Recovered])| self.part((index * TOGETHER) as u32, part.iter(), beneficiary);
        Survey { parts: parts.map(part).collect() }
    }

    /// Whether so much of a block hangs together that it is not worth a closer look: if `bound` times as fast is more
    /// than it can become, going by a sample. Not where anything is new.
    pub(super) fn is_chain(&self, transactions: &[Recovered], bound: f64) -> bool {
        let sample = transactions.iter().step_by(transactions.len().div_ceil(SAMPLE).max(1));
        let count = sample.len();
        let part = self.part(0, sample, &Address::ZERO);
        let (sets, table) = (Sets::new(count), Table::new(part.things.len()));
        part.meet(&sets, &table);
        part.find(&sets, &table);
        let mut sizes = vec![0_u32; count];
        (0..count as u32).for_each(|index| sizes[sets.root(index) as usize] += 1);
        let largest = sizes.into_iter().max().unwrap_or(0);
        part.unknown == 0 && f64::from(largest) * bound > count as f64
    }

    /// What these transactions name, whose numbers begin with `first`.
    fn part<'t>(
        &self,
        first: u32,
        transactions: impl Iterator<Item = &'t Recovered> + Clone,
        beneficiary: &Address,
    ) -> Part {
        let mut part = Part {
            known: 0,
            unknown: 0,
            plain: true,
            things: Vec::with_capacity(2 * TOGETHER),
            recipients: Vec::with_capacity(TOGETHER),
        };
        // Little is done for each at first, so that many are on their way from memory at once; then they are near.
        let mut functions = Vec::with_capacity(TOGETHER);
        for (index, tx) in (first..).zip(transactions.clone()) {
            part.plain &= is_plain(tx, beneficiary);
            if let TxKind::Call(to) = tx.transaction.to() {
                part.recipients.push(Named::new(key(&to, None), index));
            }
            functions.push(function(tx));
        }
        let mut last: Option<(Function, [Pattern; 2], bool)> = None;
        for ((index, tx), function) in (first..).zip(transactions).zip(functions) {
            let mut join = |thing: u64| part.things.push(Named::new(thing, index));
            join(key(&tx.sender, None));
            for step in payload_moves(tx) {
                join(asset_key(&step.asset, &tx.sender));
                join(asset_key(&step.asset, &step.recipient));
            }
            let Some(function) = function else { continue };
            if last.as_ref().is_none_or(|last| last.0 != function) {
                let own = self.patterns.get(&function).copied().unwrap_or_default();
                let alike = self.alike.get(&function.1).copied();
                last = Some((function, [own, alike.unwrap_or_default()], alike.is_some()));
            }
            let (_, [own, alike], is_known) = last.as_ref().expect("it was looked up");
            part.known += usize::from(*is_known);
            part.unknown += usize::from(!is_known);
            let contract = &function.0;
            let joins = |feature| own.joins(feature).or_else(|| alike.joins(feature)).unwrap_or(feature != CONTRACT);
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
        part
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
        self.learn_from(ran, |one, two| Some(clashes.binary_search(&(one, two)).is_ok()));
    }

    /// Learns from which of these transactions clashed with which later one, as far as that is known.
    pub(super) fn learn_from<'t>(
        &mut self,
        transactions: impl Iterator<Item = &'t Recovered>,
        clash: impl Fn(usize, usize) -> Option<bool>,
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
                if let Some(clashed) = listing.insert(place, index).and_then(|before| clash(before, index)) {
                    explained |= clashed;
                    pattern.learn(LISTED, clashed);
                    alike.learn(LISTED, clashed);
                }
            }
            for (position, argument) in arguments(tx) {
                let before = sharing.insert((function.0, position, argument), index);
                if let Some(clashed) = before.and_then(|before| clash(before, index)) {
                    explained |= clashed;
                    pattern.learn(position, clashed);
                    alike.learn(position, clashed);
                }
            }
            if let Some((before, sender)) = calling.insert(function.0, (index, tx.sender))
                && !explained
                && sender != tx.sender
                && let Some(clashed) = clash(before, index)
            {
                pattern.learn(CONTRACT, clashed);
                alike.learn(CONTRACT, clashed);
            }
        }
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

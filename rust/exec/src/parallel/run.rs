//! Workers: each runs whole units, in the block's order, on an overlay of its own.
//!
//! Who runs which unit is settled while they run: all walk along the block, and whoever comes first to a unit's first
//! transaction takes the unit. A worker therefore never runs a transaction after one that stands behind it in the block,
//! whichever units fall to it: within a worker everything is in order, and only what two workers did can clash.

use std::{
    any::Any,
    cmp::Reverse,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicBool, AtomicU32, Ordering},
    time::Duration,
};

use evm::{BlockEnv, Rules, precompiles, transact};
use state::{Each, Footprints, InOrder, Overlay, Presence, View};
use types::{Recovered, TxKind};

use super::{crew::Crew, receipts::Ran, units::Units};
use crate::{
    ExecError,
    block::{AHEAD, foresee},
    spare,
    times::{Times, Timing},
};

/// Neighbouring small units are taken together until they hold this many transactions, or one in so many of a worker's
/// share: taking one costs a cache line's way from core to core.
const TAKEN: usize = 64;
const TAKEN_SHARE: usize = 64;

/// Units of one in so many of a worker's share are dealt out beforehand: whoever comes first would take all that begin
/// early in the block, and be left with them.
const DEALT_SHARE: usize = 32;

/// Of a block, each worker takes one in so many of its share at once.
const AHEAD_SHARE: usize = 16;

const NOBODY: u32 = u32::MAX;

/// What a worker has done.
pub(super) struct Done<'a> {
    pub(super) overlay: Overlay<'a>,
    pub(super) footprints: Footprints,
    /// What it changed, as long as nothing is taken back.
    pub(super) order: InOrder,
    /// What of the state the overlay knows, whatever was taken back.
    pub(super) presence: Presence,
    /// Which transactions, ascending; the overlay's footprints have the same order.
    pub(super) transactions: Vec<u32>,
    pub(super) outcomes: Vec<spare::Ended>,
    /// How long they took.
    pub(super) times: Times,
}

impl Done<'_> {
    /// Leaves its memory to another block.
    pub(super) fn let_go(mut self) {
        self.overlay.reuse_footprints(self.footprints);
        spare::put(self.overlay);
        spare::put_outcomes(self.outcomes);
    }
}

/// The same for everybody.
#[derive(Clone, Copy)]
pub(super) struct Work<'a> {
    pub(super) rules: &'a Rules,
    pub(super) env: &'a BlockEnv,
    pub(super) view: &'a dyn View,
    pub(super) transactions: &'a [Recovered],
    /// For each transaction, where wanted.
    pub(super) clock: Option<fn() -> Duration>,
    /// Number of the first one in the block, for errors.
    pub(super) first: usize,
    /// Deals the units out beforehand.
    pub(super) shuffle: Option<u64>,
    /// No two units can clash unless a recipient has code: no footprints are kept, and where one has, nothing comes of it.
    pub(super) plain: bool,
}

impl<'a> Work<'a> {
    /// Runs the transactions whose numbers `chosen` lists (ascending), by unit. None where they are not what they were
    /// said to be.
    pub(super) fn run(&self, crew: &Crew, chosen: &[u32], units: &Units) -> Result<Option<Vec<Done<'a>>>, ExecError> {
        let workers = crew.workers();
        let claims = match self.shuffle {
            None => Claims::open(units, workers),
            Some(seed) => Claims::dealt(units, workers, seed),
        };
        let done = crew.all(|worker| self.worker(worker as u32, chosen, units, &claims));
        // Of several panics the first one's, whoever had it.
        let panicked = done.iter().filter_map(|done| done.as_ref().err());
        let first = panicked.min_by_key(|error| if let ExecError::Panicked { index, .. } = error { *index } else { 0 });
        match first {
            Some(error) => Err(error.clone()),
            None if claims.void.load(Ordering::Relaxed) => Ok(None),
            None => done.into_iter().collect::<Result<_, _>>().map(Some),
        }
    }

    fn worker(&self, worker: u32, chosen: &[u32], units: &Units, claims: &Claims) -> Result<Done<'a>, ExecError> {
        let mut overlay = spare::take(self.view);
        if !self.plain {
            overlay.track();
        }
        let share = chosen.len() / claims.workers;
        overlay.reserve(2 * share);
        let mut transactions = Vec::with_capacity(share + share / 4);
        let mut outcomes = spare::take_outcomes();
        let mut parties = Vec::with_capacity(2 * AHEAD);
        // What is taken at once nobody else can take: less of a small block, so that all end together.
        let ahead = (chosen.len() / (AHEAD_SHARE * claims.workers)).clamp(1, AHEAD);
        let mut positions = (0..chosen.len()).filter(|position| claims.take(units.of[*position], worker));
        let mut taken: Vec<u32> = Vec::with_capacity(ahead);
        let mut timing = Timing::by(self.clock);
        loop {
            taken.clear();
            taken.extend(positions.by_ref().take(ahead).map(|position| chosen[position]));
            if taken.is_empty() {
                break;
            }
            let next = taken.iter().map(|number| &self.transactions[*number as usize]);
            timing.begin();
            // If it panics, so does the transaction in question, which has a name.
            let _ = catch_unwind(AssertUnwindSafe(|| foresee(&mut overlay, &mut parties, next)));
            if self.plain && taken.iter().any(|number| !self.is_plain(*number, &overlay)) {
                claims.void.store(true, Ordering::Relaxed);
            }
            if claims.void.load(Ordering::Relaxed) {
                break;
            }
            timing.share(taken.len());
            let mut current = 0;
            let run = AssertUnwindSafe(|| {
                for number in &taken {
                    current = *number as usize;
                    let tx = &self.transactions[current];
                    if !self.plain {
                        overlay.begin_footprint();
                    }
                    let executed = transact(self.rules, self.env, tx, &mut overlay);
                    outcomes.push(executed.ok().map(|executed| Ran::new(self, tx, executed)));
                    if !self.plain {
                        overlay.end_footprint();
                    }
                    timing.end();
                }
            });
            catch_unwind(run)
                .map_err(|panic| ExecError::Panicked { index: self.first + current, message: message(&*panic) })?;
            transactions.extend_from_slice(&taken);
        }
        let (footprints, presence) = match self.plain {
            true => Default::default(),
            false => (overlay.take_footprints(), overlay.presence(self.transactions.len())),
        };
        let order = overlay.in_order();
        Ok(Done { overlay, footprints, order, presence, transactions, outcomes, times: timing.times })
    }
}

impl Work<'_> {
    /// Whether the recipient, which was looked up ahead, runs no code; the account of assets, which has some, runs none.
    fn is_plain(&self, number: u32, overlay: &Overlay<'_>) -> bool {
        let transaction = &self.transactions[number as usize].transaction;
        let TxKind::Call(to) = transaction.to() else { return false };
        let moves = transaction.payload().is_some();
        overlay.find(&to).is_some_and(|id| overlay.has_code(id) == moves) && !precompiles::contains(self.rules, &to)
    }
}

struct Claims {
    /// By unit.
    bundle: Vec<u32>,
    /// By bundle.
    owners: Vec<AtomicU32>,
    workers: usize,
    /// What is done is of no use.
    void: AtomicBool,
}

impl Claims {
    fn open(units: &Units, workers: usize) -> Self {
        let share = units.of.len() / workers;
        let (bundle, bundles) = bundles(units, (share / TAKEN_SHARE).clamp(1, TAKEN) as u32);
        let mut owners: Vec<AtomicU32> = (0..bundles).map(|_| AtomicU32::new(NOBODY)).collect();
        // The largest first, each to whoever has least.
        let mut large: Vec<usize> = (0..units.sizes.len())
            .filter(|unit| units.sizes[*unit] as usize * DEALT_SHARE > share.max(TAKEN))
            .collect();
        large.sort_by_key(|unit| Reverse(units.sizes[*unit]));
        let mut loads = vec![0; workers];
        for unit in large {
            let least = (0..workers).min_by_key(|worker| loads[*worker]).expect("somebody works");
            loads[least] += units.sizes[unit];
            *owners[bundle[unit] as usize].get_mut() = least as u32;
        }
        Self { bundle, owners, workers, void: AtomicBool::new(false) }
    }

    fn dealt(units: &Units, workers: usize, seed: u64) -> Self {
        let count = units.sizes.len() as u32;
        let mut random = seed;
        let mut owner = || {
            random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            AtomicU32::new(((random >> 33) % workers as u64) as u32)
        };
        Self {
            bundle: (0..count).collect(),
            owners: (0..count).map(|_| owner()).collect(),
            workers,
            void: AtomicBool::new(false),
        }
    }

    #[inline]
    fn take(&self, unit: u32, worker: u32) -> bool {
        // Nothing else is published through this number.
        let owner = &self.owners[self.bundle[unit as usize] as usize];
        match owner.load(Ordering::Relaxed) {
            NOBODY => owner.compare_exchange(NOBODY, worker, Ordering::Relaxed, Ordering::Relaxed).is_ok(),
            owner => owner == worker,
        }
    }
}

/// The bundle of each unit, and how many there are; one holds so many transactions at least.
fn bundles(units: &Units, least: u32) -> (Vec<u32>, u32) {
    let (mut bundles, mut open, mut size) = (0, None, 0);
    let bundle = units.sizes.iter().map(|length| {
        if *length >= least {
            bundles += 1;
            return bundles - 1;
        }
        let bundle = *open.get_or_insert_with(|| {
            bundles += 1;
            bundles - 1
        });
        size += length;
        if size >= least {
            (open, size) = (None, 0);
        }
        bundle
    });
    let bundle = bundle.collect();
    (bundle, bundles)
}

/// What a panic said.
fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_units_are_dealt_out_evenly_and_small_ones_go_to_whoever_comes() {
        let of = (0..16).flat_map(|unit| [unit; 500]).chain(16..2_016).collect();
        let sizes = [vec![500; 16], vec![1; 2_000]].concat();
        let claims = Claims::open(&Units { of, sizes }, 2);
        let owner = |unit: usize| claims.owners[claims.bundle[unit] as usize].load(Ordering::Relaxed);
        assert_eq!([0, 1].map(|worker| (0..16).filter(|unit| owner(*unit) == worker).count()), [8, 8]);
        assert!((16..2_016).all(|unit| owner(unit) == NOBODY));
    }
}

//! A block on several cores, with the sequential executor's answer to the byte.
//!
//! Transactions that probably belong together are one unit ([`units`]). Workers run whole units, each on an overlay of
//! its own over the same view, in the block's order ([`run`]), and keep footprints of what they touched. If no two
//! workers clash, what they did is what one would have done: each place was written by one worker only, in order, and
//! nobody read what another wrote; credits add up in any order. Then their diffs are joined.
//!
//! If two clash, the transactions concerned and all that hang together with them are taken back and run again
//! ([`settle`]), in units by what they really touched; what clashes once more, one after the other, as long as it grows
//! less. If that leads nowhere, or anything is out of the ordinary (a transaction is refused, a state cannot be read, the
//! block's gas does not suffice), what is left runs in sequence, whose answer, errors included, is the meaning. So waste
//! is bounded, and nothing is ever published that was not checked.
//!
//! What workers share while they run is the list of who has which unit, and nothing else, not even the memory that a
//! count of references lies in; the answer depends on no timing. Guessing, comparing and joining are done by all of
//! them, too, who stay awake meanwhile ([`crew`]).

mod clash;
mod conflicts;
mod crew;
mod growing;
mod meet;
mod patience;
mod receipts;
mod report;
mod run;
mod settle;
mod told;
mod units;
mod verify;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use alloy_primitives::map::B256HashSet;
use evm::{BlockEnv, Rules};
use rayon::prelude::*;
use state::{StateDiff, View};
use types::{Account, EMPTY_CODE_HASH, Recovered, Withdrawal, eip7928::BlockAccessList};

pub use conflicts::{Conflicts, HotPlace, conflicts};
use crew::Crew;
pub use growing::Growing;
use patience::Patience;
pub(crate) use receipts::Ran;
pub use report::{Report, Totals};
use run::{Done, Work};
pub use told::access_list_of;
use units::{Hints, Units};
pub use verify::Difference;

use crate::{BlockBuilder, BlockOutcome, ExecError, Mode, after::After, block::Block, spare, times::Timing};

/// Blocks below this many transactions are not worth waking anybody.
const TRANSACTIONS_MIN: usize = 64;

/// Least speed-up that a guess must promise.
const BOUND_MIN: f64 = 1.15;

/// Share of a block's transactions that run first and in sequence, to learn from, where the block calls what was never
/// seen: one in so many.
const PILOT_SHARE: usize = 64;

/// Whether blocks run on several cores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Parallel {
    /// Never.
    Off,
    /// Whatever the block.
    On,
    /// Where it pays.
    #[default]
    Auto,
}

/// How blocks are executed: a value, chosen at run time. It also keeps what it learned about contracts.
#[derive(Debug)]
pub struct Executor {
    parallel: Parallel,
    threads: usize,
    verify: bool,
    clock: fn() -> Duration,
    /// See [`Executor::timed_roughly`].
    times_each: bool,
    totals: Mutex<Totals>,
    hints: Mutex<Arc<Hints>>,
    patience: Mutex<Patience>,
    /// See [`Executor::shuffled`].
    shuffle: Option<u64>,
    /// See [`Executor::told`].
    told: Option<BlockAccessList>,
}

impl Default for Executor {
    fn default() -> Self {
        Self::new(Parallel::Auto, None)
    }
}

impl Executor {
    /// `threads`: None for one per core.
    pub fn new(parallel: Parallel, threads: Option<usize>) -> Self {
        let threads = threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
        Self {
            parallel,
            threads: threads.max(1),
            verify: false,
            clock: || Duration::ZERO,
            times_each: false,
            totals: Mutex::default(),
            hints: Mutex::default(),
            patience: Mutex::default(),
            shuffle: None,
            told: None,
        }
    }

    /// Whether each parallel answer is held against the sequential one, at the price of executing every block twice.
    #[must_use]
    pub fn verifying(self, verify: bool) -> Self {
        Self { verify, ..self }
    }

    /// What time it is, from any point on: for reports, nothing is decided by it.
    #[must_use]
    pub fn timed_by(self, clock: fn() -> Duration) -> Self {
        Self { clock, times_each: true, ..self }
    }

    /// Only blocks and their stages are timed, not each transaction: a look at the clock is a tenth of a transfer.
    #[must_use]
    pub fn timed_roughly(self) -> Self {
        Self { times_each: false, ..self }
    }

    /// The clock for each transaction.
    fn fine_clock(&self) -> Option<fn() -> Duration> {
        self.times_each.then_some(self.clock)
    }

    /// Nobody guesses: each transaction falls to some worker, the same one for the same seed. For tests of what comes
    /// after wrong guesses.
    pub fn shuffled(threads: usize, seed: u64) -> Self {
        Self { shuffle: Some(seed), ..Self::new(Parallel::On, Some(threads)) }
    }

    /// What the transactions of the block that it will execute write, as a block access list says (EIP-7928). A list that
    /// is wrong makes the block slower and its outcome no other.
    #[must_use]
    pub fn told(self, list: BlockAccessList) -> Self {
        Self { told: Some(list), ..self }
    }

    /// Another one with the same clock, which knows what this one has learned about contracts so far.
    #[must_use]
    pub fn beside(&self, parallel: Parallel, threads: Option<usize>) -> Self {
        Self {
            hints: Mutex::new(self.hints()),
            clock: self.clock,
            times_each: self.times_each,
            ..Self::new(parallel, threads)
        }
    }

    /// One transaction after the other: the meaning of all others.
    pub fn sequential() -> Self {
        Self::new(Parallel::Off, Some(1))
    }

    /// Workers at most.
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Figures of all blocks so far.
    pub fn totals(&self) -> Totals {
        self.totals.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Executes a whole block over the state before it.
    ///
    /// # Errors
    /// What the sequential executor says; [`ExecError::Panicked`] and, where it verifies, [`ExecError::Diverged`] for
    /// bugs.
    pub fn execute(
        &self,
        rules: &Rules,
        env: &BlockEnv,
        transactions: &[Recovered],
        withdrawals: &[Withdrawal],
        view: &dyn View,
        mode: Mode,
    ) -> Result<(BlockOutcome, Report), ExecError> {
        let begin = (self.clock)();
        let block = Block { rules, env, transactions, withdrawals, view, mode };
        let (outcome, mut report) = self.run(&block)?;
        report.time = (self.clock)() - begin;
        let verified = self.verify && report.parallel > 0;
        if verified {
            let begin = (self.clock)();
            block.verify(&outcome)?;
            report.time_verifying = (self.clock)() - begin;
        }
        self.count(&report, verified);
        Ok((outcome, report))
    }

    fn count(&self, report: &Report, verified: bool) {
        self.totals.lock().unwrap_or_else(PoisonError::into_inner).add(report, verified);
    }

    /// Whether answers are held against the sequential ones.
    pub fn verifies(&self) -> bool {
        self.verify
    }

    fn run(&self, block: &Block<'_>) -> Result<(BlockOutcome, Report), ExecError> {
        let Block { rules, env, transactions, withdrawals, view, .. } = *block;
        let mut report = Report::new(transactions.len());
        let Some(crew) = self.crew(block) else {
            let mut timing = Timing::by(self.fine_clock());
            let outcome = block.execute_timed(&mut timing)?;
            report.times = timing.times;
            return Ok((outcome, report));
        };
        let led = crew.lead(|| {
            let begin = (self.clock)();
            let builder = block.builder()?;
            report.time_guessing = (self.clock)() - begin;
            let mut led = self.led(&crew, builder, block, &mut report)?;
            if let Led::Done(outcome) = &mut led {
                let begin = (self.clock)();
                let diff = std::mem::take(&mut outcome.diff);
                outcome.close(rules, env, withdrawals, spare::take(&After::new(view, &diff)))?;
                outcome.diff = diff.and_then(std::mem::take(&mut outcome.diff));
                drop_passing_codes(&mut outcome.diff);
                report.time_closing = (self.clock)() - begin;
            }
            Ok::<_, ExecError>(led)
        });
        match led? {
            Led::Done(outcome) => Ok((outcome, report)),
            Led::Left(mut builder) => {
                let rest = &transactions[builder.outcome.receipts.len()..];
                builder.reserve(rest.len());
                let mut timing = Timing::by(self.fine_clock());
                builder.push_all(rest, &mut timing)?;
                report.times.add(&timing.times);
                Ok((builder.finish(withdrawals)?, report))
            }
        }
    }

    /// Who would work at this; None where it is better done in sequence.
    fn crew(&self, block: &Block<'_>) -> Option<Crew> {
        // Receipts of old forks hold the state root after each transaction: those want every diff in order. Opcodes
        // that somebody brought along may do anything.
        let suits = !block.mode.diffs && block.rules.is_consensus() && self.tries(block.transactions);
        if suits { Crew::of(self.threads) } else { None }
    }

    /// Whether to try at all.
    fn tries(&self, transactions: &[Recovered]) -> bool {
        match self.parallel {
            Parallel::Off => false,
            Parallel::On => !transactions.is_empty(),
            Parallel::Auto => {
                self.threads > 1
                    && transactions.len() >= TRANSACTIONS_MIN
                    && self.patience().tries()
                    && !(self.hints().is_chain(transactions, BOUND_MIN) && self.patience().believes())
            }
        }
    }

    fn patience(&self) -> MutexGuard<'_, Patience> {
        self.patience.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hints(&self) -> Arc<Hints> {
        self.hints.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn learn(&self, learn: impl FnOnce(&mut Hints)) {
        learn(Arc::make_mut(&mut self.hints.lock().unwrap_or_else(PoisonError::into_inner)));
    }

    /// Runs the first few in sequence: they have something to teach.
    fn pilot(&self, builder: &mut BlockBuilder<'_>, transactions: &[Recovered]) -> Result<(), ExecError> {
        let pilot = &transactions[..(transactions.len() / PILOT_SHARE).clamp(16, 128).min(transactions.len())];
        builder.overlay.track();
        for transaction in pilot {
            builder.overlay.begin_footprint();
            builder.push(transaction)?;
            builder.overlay.end_footprint();
        }
        let footprints = builder.overlay.take_footprints();
        self.learn(|hints| hints.learn(pilot, &footprints));
        Ok(())
    }

    /// The units of what is left of the block after the first few, which may have run; and whether footprints are needed.
    fn units<'a>(
        &self,
        builder: &mut BlockBuilder<'a>,
        transactions: &'a [Recovered],
    ) -> Result<(Units, bool), ExecError> {
        if self.shuffle.is_some() {
            return Ok((Units::apart(transactions.len()), true));
        }
        if let Some(list) = &self.told {
            return Ok((told::units(list, transactions.len()), true));
        }
        let mut survey = self.hints().survey(transactions, &builder.env.beneficiary);
        let mut rest = transactions;
        if survey.know_little() {
            self.pilot(builder, transactions)?;
            rest = &transactions[builder.outcome.receipts.len()..];
            survey = self.hints().survey(rest, &builder.env.beneficiary);
        }
        Ok(match survey.units(rest.len()) {
            Some(units) => (units, !survey.is_plain()),
            None => (Units::together(rest.len()), true),
        })
    }

    /// Runs the block's transactions on all workers, as one of them, or leaves what is better done in sequence.
    fn led<'a>(
        &self,
        crew: &Crew,
        mut builder: BlockBuilder<'a>,
        block: &Block<'a>,
        report: &mut Report,
    ) -> Result<Led<'a>, ExecError> {
        let begin = (self.clock)();
        let (units, footprints) = self.units(&mut builder, block.transactions)?;
        report.units(&units);
        report.time_guessing += (self.clock)() - begin;
        if self.parallel == Parallel::Auto && units.bound(self.threads) < BOUND_MIN {
            if builder.outcome.receipts.is_empty() {
                // What was learned once and says so might be true no longer.
                self.pilot(&mut builder, block.transactions)?;
            }
            return Ok(Led::Left(Box::new(builder)));
        }
        let before = builder.overlay.diff();
        let view = After::new(builder.overlay.view(), &before);
        let first = builder.outcome.receipts.len();
        let work = Work {
            rules: builder.rules,
            env: builder.env,
            view: &view,
            transactions: &block.transactions[first..],
            clock: self.fine_clock(),
            first,
            shuffle: self.shuffle,
            plain: !footprints && pays_somebody(builder.env, &view)?,
        };
        let begin = (self.clock)();
        let done = self.settled(crew, &work, &units, report)?;
        done.iter().flatten().for_each(|done| report.times.add(&done.times));
        let joining = (self.clock)();
        let Some((mut outcome, diff)) = done.and_then(|workers| joined(crew, &work, builder.outcome.clone(), workers))
        else {
            report.time_lost = (self.clock)() - begin;
            return Ok(Led::Left(Box::new(builder)));
        };
        outcome.diff = before.and_then(diff);
        report.time_joining = (self.clock)() - joining;
        report.parallel(block.transactions.len() - first);
        spare::put(builder.overlay);
        Ok(Led::Done(outcome))
    }
}

/// Where a block's execution stands when its workers part.
enum Led<'a> {
    /// All have run; the block is not closed.
    Done(BlockOutcome),
    /// The rest is to be done in sequence.
    Left(Box<BlockBuilder<'a>>),
}

/// Whether who gets the fees is somebody: an account that is empty would be cleared.
fn pays_somebody(env: &BlockEnv, view: &dyn View) -> Result<bool, ExecError> {
    Ok(view.account(&env.beneficiary)?.is_none_or(|account| account != Account::default()))
}

/// What all workers did together, in the block's order; None where a transaction was refused or has no room.
fn joined(
    crew: &Crew,
    work: &Work<'_>,
    outcome: BlockOutcome,
    mut workers: Vec<Done<'_>>,
) -> Option<(BlockOutcome, StateDiff)> {
    let (mut lists, mut changes) = (Vec::new(), Vec::new());
    for Done { overlay, order, transactions, outcomes, .. } in &mut workers {
        lists.push((&transactions[..], &mut outcomes[..]));
        changes.push(overlay.changes(order));
    }
    let (outcome, diff) = rayon::join(
        || receipts::add(outcome, work, work.transactions.len(), lists),
        || StateDiff::beside(&changes, crew),
    );
    workers.into_par_iter().for_each(Done::let_go);
    Some((outcome?, diff))
}

/// Code that an account had for a part of the block only is not part of the block's change.
fn drop_passing_codes(diff: &mut StateDiff) {
    if !diff.codes.is_empty() {
        let hash = |account: &Option<Account>| account.map_or(EMPTY_CODE_HASH, |account| account.code_hash);
        let changed = diff.accounts.iter().filter(|(_, change)| hash(&change.before) != hash(&change.after));
        let kept: B256HashSet = changed.map(|(_, change)| hash(&change.after)).collect();
        diff.codes.retain(|(hash, _)| kept.contains(hash));
    }
}

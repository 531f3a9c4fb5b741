//! A block on several cores, with the sequential executor's answer to the byte.
//!
//! Transactions that probably belong together are one unit ([`units`]). Workers run whole units, each on an overlay of
//! its own over the same view, in the block's order ([`run`]), and keep footprints of what they touched. If no two
//! workers clash, what they did is what one would have done: each place was written by one worker only, in order, and
//! nobody read what another wrote; credits add up in any order. Then their diffs are joined.
//!
//! If two clash, the transactions concerned and all that hang together with them are taken back and run again, in units
//! by what they really touched. If that clashes again, or anything is out of the ordinary (a transaction is refused, a
//! state cannot be read, the block's gas does not suffice), what is left runs in sequence, whose answer, errors
//! included, is the meaning. So at most two runs are wasted, and nothing is ever published that was not checked.
//!
//! No lock and no shared memory but the list of who has which unit; the answer depends on no timing.

mod clash;
mod conflicts;
mod report;
mod run;
mod units;
mod verify;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use alloy_primitives::map::B256HashSet;
use evm::{BlockEnv, Rules};
use rayon::{ThreadPool, ThreadPoolBuilder, prelude::*};
use state::{Changes, StateDiff, View};
use types::{Account, EMPTY_CODE_HASH, Recovered, Withdrawal};

pub use conflicts::{Conflicts, HotPlace, conflicts};
pub use report::{Report, Totals};
use run::{Done, Work};
use units::Hints;
pub use verify::Difference;

use crate::{BlockBuilder, BlockOutcome, ExecError, Mode, after::After, block::Block, spare};

/// Blocks below this many transactions are not worth waking anybody.
const TRANSACTIONS_MIN: usize = 64;

/// Least speed-up that a guess must promise.
const BOUND_MIN: f64 = 1.15;

/// Share of a block's transactions that run first and in sequence, to learn from, where the block calls what was never
/// seen: one in so many.
const PILOT_SHARE: usize = 64;

/// Accounts of the joined diff that a worker copies at least before it looks for more.
const ACCOUNTS_MIN: usize = 512;

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
    totals: Mutex<Totals>,
    hints: Mutex<Hints>,
    /// Share of the recent blocks' transactions that ran in vain.
    conflicts: Mutex<f64>,
    /// See [`Executor::shuffled`].
    shuffle: Option<u64>,
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
            totals: Mutex::default(),
            hints: Mutex::default(),
            conflicts: Mutex::default(),
            shuffle: None,
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
        Self { clock, ..self }
    }

    /// Nobody guesses: each transaction falls to some worker, the same one for the same seed. For tests of what comes
    /// after wrong guesses.
    pub fn shuffled(threads: usize, seed: u64) -> Self {
        Self { shuffle: Some(seed), ..Self::new(Parallel::On, Some(threads)) }
    }

    /// Another one with the same clock, which knows what this one has learned about contracts so far.
    #[must_use]
    pub fn beside(&self, parallel: Parallel, threads: Option<usize>) -> Self {
        let hints = self.hints.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Self { hints: Mutex::new(hints), clock: self.clock, ..Self::new(parallel, threads) }
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
        self.totals.lock().unwrap_or_else(PoisonError::into_inner).add(&report, verified);
        Ok((outcome, report))
    }

    fn run(&self, block: &Block<'_>) -> Result<(BlockOutcome, Report), ExecError> {
        let Block { rules, transactions, withdrawals, mode, .. } = *block;
        let mut report = Report::new(transactions.len());
        // Receipts of old forks hold the state root after each transaction: those want every diff in order. Opcodes
        // that somebody brought along may do anything.
        if mode.diffs || !rules.is_consensus() || !self.tries(transactions) {
            return Ok((block.execute()?, report));
        }
        let mut builder = block.builder()?;
        let done = self.pilot(&mut builder, transactions)?;
        if let Some(pool) = self.pool()
            && let Some(outcome) =
                self.side_by_side(&pool, &mut builder, &transactions[done..], withdrawals, &mut report)?
        {
            return Ok((outcome, report));
        }
        builder.push_all(&transactions[done..])?;
        Ok((builder.finish(withdrawals)?, report))
    }

    /// Whether to try at all.
    fn tries(&self, transactions: &[Recovered]) -> bool {
        match self.parallel {
            Parallel::Off => false,
            Parallel::On => !transactions.is_empty(),
            Parallel::Auto => self.threads > 1 && transactions.len() >= TRANSACTIONS_MIN && self.calm(),
        }
    }

    /// Whether recent blocks ran in vain too rarely to matter. Each question lets the past weigh less.
    fn calm(&self) -> bool {
        let mut conflicts = self.conflicts.lock().unwrap_or_else(PoisonError::into_inner);
        *conflicts *= 0.9;
        *conflicts < 0.5
    }

    /// The workers: those of one number are shared by all executors of the process. None where there are no threads to be
    /// had: everything runs in sequence then, which is slower and no error.
    fn pool(&self) -> Option<Arc<ThreadPool>> {
        static POOLS: Mutex<BTreeMap<usize, Arc<ThreadPool>>> = Mutex::new(BTreeMap::new());
        let mut pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = pools.get(&self.threads) {
            return Some(pool.clone());
        }
        let workers = ThreadPoolBuilder::new().num_threads(self.threads);
        let pool = Arc::new(workers.thread_name(|index| format!("execute {index}")).build().ok()?);
        pools.insert(self.threads, pool.clone());
        Some(pool)
    }

    /// Runs the first few in sequence where they have something to teach; returns how many.
    fn pilot(&self, builder: &mut BlockBuilder<'_>, transactions: &[Recovered]) -> Result<usize, ExecError> {
        let mut hints = self.hints.lock().unwrap_or_else(PoisonError::into_inner);
        if self.shuffle.is_some() || !hints.know_little(transactions) {
            return Ok(0);
        }
        let pilot = &transactions[..(transactions.len() / PILOT_SHARE).clamp(16, 128).min(transactions.len())];
        builder.overlay.track();
        for transaction in pilot {
            builder.overlay.begin_footprint();
            builder.push(transaction)?;
            builder.overlay.end_footprint();
        }
        let footprints = builder.overlay.take_footprints();
        hints.learn(pilot, &footprints);
        Ok(pilot.len())
    }

    /// Runs what is left of the block on all workers; None where that is to be done in sequence after all.
    fn side_by_side(
        &self,
        pool: &ThreadPool,
        builder: &mut BlockBuilder<'_>,
        transactions: &[Recovered],
        withdrawals: &[Withdrawal],
        report: &mut Report,
    ) -> Result<Option<BlockOutcome>, ExecError> {
        let units = match self.shuffle {
            None => self.hints.lock().unwrap_or_else(PoisonError::into_inner).units(transactions),
            Some(_) => units::Units::new(units::Sets::new(transactions.len())),
        };
        report.units(&units);
        if self.parallel == Parallel::Auto && units.bound(self.threads) < BOUND_MIN {
            return Ok(None);
        }
        let before = builder.overlay.diff();
        let view = After::new(builder.overlay.view(), &before);
        let work = Work {
            rules: builder.rules,
            env: builder.env,
            view: &view,
            transactions,
            first: builder.outcome.receipts.len(),
            shuffle: self.shuffle,
            plain: self.shuffle.is_none() && is_plain(transactions, builder.env, &view)?,
        };
        let begin = (self.clock)();
        let done = self.settled(pool, &work, &units, report)?;
        let Some((mut outcome, diff)) = done.and_then(|workers| joined(pool, &work, builder.outcome.clone(), workers))
        else {
            report.time_lost = (self.clock)() - begin;
            return Ok(None);
        };
        let changed = After::new(&view, &diff);
        outcome.close(work.rules, work.env, withdrawals, spare::take(&changed))?;
        outcome.diff = before.and_then(diff).and_then(std::mem::take(&mut outcome.diff));
        drop_passing_codes(&mut outcome.diff);
        report.parallel(transactions.len());
        Ok(Some(outcome))
    }

    /// Runs everything, and what clashed once more; None where it clashes again.
    fn settled<'a>(
        &self,
        pool: &ThreadPool,
        work: &Work<'a>,
        units: &units::Units,
        report: &mut Report,
    ) -> Result<Option<Vec<Done<'a>>>, ExecError> {
        let all: Vec<u32> = (0..work.transactions.len() as u32).collect();
        let begin = (self.clock)();
        let done = work.run(pool, &all, units)?;
        report.time_working = (self.clock)() - begin;
        if work.plain
            && let Some(workers) = done
        {
            return Ok(Some(workers));
        }
        let work = &Work { plain: false, ..*work };
        let Some(mut workers) = done.map_or_else(|| work.run(pool, &all, units), |done| Ok(Some(done)))? else {
            return Ok(None);
        };
        let clashes = clash::between(pool, &workers);
        if clashes.iter().all(Vec::is_empty) {
            self.remember(0.0);
            return Ok(Some(workers));
        }
        let begin = (self.clock)();
        let footprints: Vec<_> = workers.iter().map(|done| &done.footprints).collect();
        let dragged =
            || footprints.par_iter().zip(&clashes).map(|(footprints, places)| clash::dragged(footprints, places));
        let marks: Vec<Vec<bool>> = pool.install(|| dragged().collect());
        let marked = |done: &Done<'_>, marks: &[bool]| {
            let numbers = done.transactions.iter().zip(marks).filter(|(_, mark)| **mark);
            numbers.map(|(number, _)| *number).collect::<Vec<_>>()
        };
        let mut again: Vec<u32> = workers.iter().zip(&marks).flat_map(|(done, marks)| marked(done, marks)).collect();
        again.sort_unstable();
        self.remember(again.len() as f64 / all.len() as f64);
        report.again = again.len();
        let units = clash::units(&workers, &marks, &again);
        self.hints
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .learn_from(again.iter().map(|number| &work.transactions[*number as usize]), |one, two| {
                units.of[one] == units.of[two]
            });
        for (done, marks) in workers.iter_mut().zip(&marks) {
            done.retract(marks);
        }
        workers.extend(work.run(pool, &again, &units)?.into_iter().flatten());
        let clashes = clash::between(pool, &workers);
        report.time_lost = (self.clock)() - begin;
        Ok(clashes.iter().all(Vec::is_empty).then_some(workers))
    }

    fn remember(&self, share: f64) {
        let mut conflicts = self.conflicts.lock().unwrap_or_else(PoisonError::into_inner);
        *conflicts = *conflicts * 0.8 + share * 0.2;
    }
}

/// See [`units::are_plain`]; who gets the fees must not be an empty account, which would be cleared.
fn is_plain(transactions: &[Recovered], env: &BlockEnv, view: &dyn View) -> Result<bool, ExecError> {
    Ok(units::are_plain(transactions, &env.beneficiary)
        && view.account(&env.beneficiary)?.is_none_or(|account| account != Account::default()))
}

/// What all workers did together, in the block's order; None where a transaction was refused or has no room.
fn joined(
    pool: &ThreadPool,
    work: &Work<'_>,
    mut outcome: BlockOutcome,
    workers: Vec<Done<'_>>,
) -> Option<(BlockOutcome, StateDiff)> {
    let mut whose = vec![0u16; work.transactions.len()];
    let mut overlays = Vec::with_capacity(workers.len());
    let mut outcomes = Vec::with_capacity(workers.len());
    for (worker, done) in (0..).zip(workers) {
        done.transactions.iter().for_each(|number| whose[*number as usize] = worker);
        outcomes.push(done.outcomes.into_iter());
        overlays.push(done.overlay);
    }
    let receipts = || {
        outcome.receipts.reserve_exact(whose.len());
        for (transaction, worker) in work.transactions.iter().zip(&whose) {
            outcome.room(work.rules, work.env, transaction).ok()?;
            let executed = outcomes[*worker as usize].next().expect("somebody took it");
            outcome.add(work.rules, transaction, &mut executed.ok()?);
        }
        Some(outcome)
    };
    pool.install(|| {
        let (outcome, diff) = rayon::join(receipts, || {
            let changes: Vec<Changes<'_>> = overlays.par_iter_mut().map(|overlay| overlay.changes()).collect();
            StateDiff::beside(&changes, |list, account| {
                list.par_iter().with_min_len(ACCOUNTS_MIN).map(account).collect()
            })
        });
        overlays.into_par_iter().for_each(spare::put);
        Some((outcome?, diff))
    })
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

impl Done<'_> {
    /// Takes back the marked transactions.
    fn retract(&mut self, marks: &[bool]) {
        if marks.contains(&true) {
            self.overlay.retract(&mut self.footprints, marks);
            let mut kept = marks.iter().map(|mark| !mark);
            self.transactions.retain(|_| kept.next() == Some(true));
            let mut kept = marks.iter().map(|mark| !mark);
            self.outcomes.retain(|_| kept.next() == Some(true));
        }
    }
}

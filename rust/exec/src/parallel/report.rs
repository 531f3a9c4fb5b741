//! How a block was executed, and all blocks so far.

use std::time::Duration;

use super::units::Units;
use crate::Times;

/// Figures of one block. Times are those of the executor's clock: zero where it was given none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    /// Transactions that ran side by side.
    pub parallel: usize,
    /// Transactions that ran one after the other.
    pub sequential: usize,
    /// Units that the transactions were put into; none where nobody asked.
    pub units: usize,
    /// Transactions in the largest of them.
    pub unit_max: usize,
    /// Transactions that ran more than once because two workers had clashed.
    pub clashed: usize,
    /// How often they did so beyond the first time.
    pub again: usize,
    /// From the first transaction to the outcome.
    pub time: Duration,
    /// Of that, what it took to guess at units; on all workers, the first transactions, where some ran ahead, apart.
    pub time_guessing: Duration,
    /// Of that, what transactions took, on all workers.
    pub time_working: Duration,
    /// Of that, what it took to compare what workers touched, on all workers.
    pub time_checking: Duration,
    /// Of that, what it took to join what workers did, on all workers.
    pub time_joining: Duration,
    /// Of that, what it took to close the block, on one.
    pub time_closing: Duration,
    /// Of that, what was done in vain or a second time.
    pub time_lost: Duration,
    /// What the sequential executor took, where the answer was verified.
    pub time_verifying: Duration,
    /// What each transaction took on the worker that ran it, but for the few that ran ahead; none where only
    /// [stages](super::Executor::timed_roughly) are timed.
    pub times: Times,
}

impl Report {
    pub(super) fn new(transactions: usize) -> Self {
        Self { sequential: transactions, ..Self::default() }
    }

    pub(super) fn units(&mut self, units: &Units) {
        self.units = units.sizes.len();
        self.unit_max = units.sizes.iter().copied().max().unwrap_or(0) as usize;
    }

    pub(super) fn parallel(&mut self, transactions: usize) {
        self.sequential -= transactions;
        self.parallel = transactions;
    }

    /// Takes in another part of the same block.
    pub(super) fn join(&mut self, part: &Self) {
        self.parallel += part.parallel;
        self.sequential += part.sequential;
        self.units += part.units;
        self.unit_max = self.unit_max.max(part.unit_max);
        self.clashed += part.clashed;
        self.again += part.again;
        self.time += part.time;
        self.time_guessing += part.time_guessing;
        self.time_working += part.time_working;
        self.time_checking += part.time_checking;
        self.time_joining += part.time_joining;
        self.time_closing += part.time_closing;
        self.time_lost += part.time_lost;
        self.time_verifying += part.time_verifying;
        self.times.add(&part.times);
    }

    /// Share of the transactions that clashed.
    pub fn conflict_ratio(&self) -> f64 {
        self.clashed as f64 / (self.parallel + self.sequential).max(1) as f64
    }

    /// Transactions in a unit, on average.
    pub fn unit_mean(&self) -> f64 {
        (self.parallel + self.sequential) as f64 / self.units.max(1) as f64
    }
}

/// Figures of all blocks that an executor has executed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Totals {
    /// Blocks.
    pub blocks: u64,
    /// Of those, blocks that ran on several workers.
    pub blocks_parallel: u64,
    /// Of those, blocks whose answer was held against the sequential one.
    pub blocks_verified: u64,
    /// Transactions that ran side by side.
    pub parallel: u64,
    /// Transactions that ran one after the other.
    pub sequential: u64,
    /// Units of all blocks that were put into some.
    pub units: u64,
    /// Transactions in those units.
    pub in_units: u64,
    /// See [`Report::clashed`].
    pub clashed: u64,
    /// See [`Report::again`].
    pub again: u64,
    /// See [`Report::time`].
    pub time: Duration,
    /// See [`Report::time_lost`].
    pub time_lost: Duration,
}

impl Totals {
    pub(super) fn add(&mut self, report: &Report, verified: bool) {
        self.blocks += 1;
        self.blocks_parallel += u64::from(report.parallel > 0);
        self.blocks_verified += u64::from(verified);
        self.parallel += report.parallel as u64;
        self.sequential += report.sequential as u64;
        if report.units > 0 {
            self.units += report.units as u64;
            self.in_units += (report.parallel + report.sequential) as u64;
        }
        self.clashed += report.clashed as u64;
        self.again += report.again as u64;
        self.time += report.time;
        self.time_lost += report.time_lost;
    }

    /// Share of all transactions that clashed.
    pub fn conflict_ratio(&self) -> f64 {
        self.clashed as f64 / (self.parallel + self.sequential).max(1) as f64
    }

    /// Transactions in a unit, on average.
    pub fn unit_mean(&self) -> f64 {
        self.in_units as f64 / self.units.max(1) as f64
    }
}

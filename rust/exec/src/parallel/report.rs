//! How a block was executed.

use super::units::Units;

/// Figures of one block.
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
    /// Transactions that ran twice because two workers had clashed.
    pub again: usize,
}

impl Report {
    pub(super) fn new(transactions: usize) -> Self {
        Self { sequential: transactions, ..Self::default() }
    }

    pub(super) fn units(&mut self, units: &Units) {
        self.units = units.sizes.len();
        self.unit_max = units.sizes.iter().copied().max().unwrap_or(0) as usize;
    }

    pub(super) fn again(&mut self, transactions: usize) {
        self.again = transactions;
    }

    pub(super) fn parallel(&mut self, transactions: usize) {
        self.sequential -= transactions;
        self.parallel = transactions;
    }

    /// Share of the transactions that clashed.
    pub fn conflict_ratio(&self) -> f64 {
        self.again as f64 / (self.parallel + self.sequential).max(1) as f64
    }

    /// Transactions in a unit, on average.
    pub fn unit_mean(&self) -> f64 {
        (self.parallel + self.sequential) as f64 / self.units.max(1) as f64
    }
}

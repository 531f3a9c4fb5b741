//! A block that grows by many transactions at a time: whoever fills it up looks after each time how much room is left.
//!
//! Each lot runs over the state after the lots before it, on several cores where that pays, and closing comes after the
//! last. The outcome is that of executing all of them at once.

use evm::{BlockEnv, Rules};
use state::View;
use types::{Recovered, Withdrawal};

use super::{Executor, Led, Report, drop_passing_codes};
use crate::{BlockBuilder, BlockOutcome, ExecError, Mode, after::After, block::Block, spare, times::Timing};

/// See the module's page. Receipts hold no state roots: it is for blocks from Byzantium on.
pub struct Growing<'a> {
    executor: &'a Executor,
    rules: &'a Rules,
    env: &'a BlockEnv,
    view: &'a dyn View,
    outcome: BlockOutcome,
    is_open: bool,
    report: Report,
}

impl<'a> Growing<'a> {
    /// A block that holds nothing yet.
    pub fn new(executor: &'a Executor, rules: &'a Rules, env: &'a BlockEnv, view: &'a dyn View) -> Self {
        let (outcome, report) = (BlockOutcome::default(), Report::default());
        Self { executor, rules, env, view, outcome, is_open: false, report }
    }

    /// How its lots were executed.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// What it did so far.
    pub fn outcome(&self) -> &BlockOutcome {
        &self.outcome
    }

    /// Executes more transactions.
    ///
    /// # Errors
    /// Where one of them may not stand here, or for a bug; the block is then as it was.
    pub fn push(&mut self, transactions: &[Recovered]) -> Result<(), ExecError> {
        let begin = (self.executor.clock)();
        let view = After::new(self.view, &self.outcome.diff);
        let block = Block {
            rules: self.rules,
            env: self.env,
            transactions,
            withdrawals: &[],
            view: &view,
            mode: Mode::default(),
        };
        let builder = match self.is_open {
            true => BlockBuilder::resume(self.rules, self.env, &view, &self.outcome),
            false => block.builder()?,
        };
        let mut report = Report::new(transactions.len());
        let mut timing = Timing::by(self.executor.fine_clock());
        let part = match self.executor.crew(&block) {
            Some(crew) => match crew.lead(|| self.executor.led(&crew, builder, &block, &mut report))? {
                Led::Done(part) => part,
                Led::Left(builder) => in_sequence(*builder, transactions, &mut timing)?,
            },
            None => in_sequence(builder, transactions, &mut timing)?,
        };
        report.times.add(&timing.times);
        report.time = (self.executor.clock)() - begin;
        self.report.join(&report);
        self.is_open = true;
        let whole = std::mem::take(&mut self.outcome);
        let mut receipts = whole.receipts;
        receipts.extend(part.receipts);
        self.outcome = BlockOutcome { receipts, diff: whole.diff.and_then(part.diff), ..part };
        Ok(())
    }

    /// Closes the block.
    ///
    /// # Errors
    /// As [`Executor::execute`].
    pub fn finish(mut self, withdrawals: &[Withdrawal]) -> Result<BlockOutcome, ExecError> {
        if !self.is_open {
            self.push(&[])?;
        }
        let mut outcome = self.outcome;
        let diff = std::mem::take(&mut outcome.diff);
        outcome.close(self.rules, self.env, withdrawals, spare::take(&After::new(self.view, &diff)))?;
        outcome.diff = diff.and_then(outcome.diff);
        drop_passing_codes(&mut outcome.diff);
        self.executor.count(&self.report, false);
        Ok(outcome)
    }
}

/// What the rest of these transactions does, one after the other.
fn in_sequence(
    mut builder: BlockBuilder<'_>,
    transactions: &[Recovered],
    timing: &mut Timing,
) -> Result<BlockOutcome, ExecError> {
    let rest = &transactions[builder.outcome.receipts.len()..];
    builder.reserve(rest.len());
    builder.push_all(rest, timing)?;
    let mut outcome = builder.outcome;
    outcome.diff = builder.overlay.diff();
    spare::put(builder.overlay);
    Ok(outcome)
}

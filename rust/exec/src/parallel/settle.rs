//! Everything runs, what clashed is taken back and runs again, until nothing clashes.
//!
//! Most conflicts are foreseen, and of the others most show at once: the transactions concerned run again in units by
//! what they touched. They may touch other places then, because they see what others wrote. What clashes a second time
//! runs as one unit, in the block's order, so that it can only clash with what stayed, and each round has less of it:
//! transactions that another one surprised, and then those that these surprise. After [`ROUNDS_MAX`] rounds, or when more
//! than one in [`SHARE`] of the block clashes again, sequence is the better choice, for this block and for some after it.

use rayon::prelude::*;

use super::{
    Executor, Report, clash,
    crew::Crew,
    run::{Done, Work},
    units::Units,
};
use crate::ExecError;

/// How often transactions are taken back at most.
const ROUNDS_MAX: usize = 6;

/// See the module's page.
const SHARE: usize = 4;

/// A block pays where it takes less than this of what it takes in sequence, by number of transactions.
const PAYS: f64 = 0.9;

impl Executor {
    /// Runs everything, and what clashed again; None where that leads nowhere.
    pub(super) fn settled<'a>(
        &self,
        crew: &Crew,
        work: &Work<'a>,
        units: &Units,
        report: &mut Report,
    ) -> Result<Option<Vec<Done<'a>>>, ExecError> {
        let all: Vec<u32> = (0..work.transactions.len() as u32).collect();
        let begin = (self.clock)();
        let done = work.run(crew, &all, units)?;
        report.time_working = (self.clock)() - begin;
        if work.plain
            && let Some(workers) = done
        {
            return Ok(Some(workers));
        }
        let work = &Work { plain: false, ..*work };
        let Some(workers) = done.map_or_else(|| work.run(crew, &all, units), |done| Ok(Some(done)))? else {
            return Ok(None);
        };
        let mut cost = all.len() as f64 / units.bound(self.threads);
        let settled = self.run_again(crew, work, workers, report, &mut cost)?;
        self.patience().remember(settled.is_some() && cost < PAYS * all.len() as f64);
        Ok(settled)
    }

    /// Takes back and runs again what clashes; `cost` counts transactions that run one after the other.
    fn run_again<'a>(
        &self,
        crew: &Crew,
        work: &Work<'a>,
        mut workers: Vec<Done<'a>>,
        report: &mut Report,
        cost: &mut f64,
    ) -> Result<Option<Vec<Done<'a>>>, ExecError> {
        let begin = (self.clock)();
        // Those that were compared already do not clash any more.
        let mut compared = 0;
        for round in 0..=ROUNDS_MAX {
            let clashes = clash::between(crew, &workers, compared);
            if round == 0 {
                report.time_checking = (self.clock)() - begin;
            } else {
                report.time_lost = (self.clock)() - begin - report.time_checking;
            }
            if clashes.iter().all(Vec::is_empty) {
                return Ok(Some(workers));
            }
            let footprints: Vec<_> = workers.iter().map(|done| &done.footprints).collect();
            let dragged =
                footprints.par_iter().zip(&clashes).map(|(footprints, places)| clash::dragged(footprints, places));
            let marks: Vec<Vec<bool>> = dragged.collect();
            let again = clash::marked(&workers, &marks);
            report.again += again.len();
            let units = if round == 0 {
                report.clashed = again.len();
                let units = clash::units(&workers, &marks, &again);
                self.learn(|hints| clash::teach(hints, work.transactions, &again, &units));
                units
            } else {
                Units::together(again.len())
            };
            if round == ROUNDS_MAX || again.is_empty() || round > 0 && again.len() * SHARE > work.transactions.len() {
                break;
            }
            *cost += again.len() as f64 / units.bound(self.threads);
            workers.par_iter_mut().zip(&marks).for_each(|(done, marks)| done.retract(marks));
            compared = workers.len();
            workers.extend(work.run(crew, &again, &units)?.into_iter().flatten());
        }
        Ok(None)
    }
}

impl Done<'_> {
    /// Takes back the marked transactions.
    fn retract(&mut self, marks: &[bool]) {
        if marks.contains(&true) {
            self.overlay.retract(&mut self.footprints, marks);
            self.order = self.overlay.still_in_order(std::mem::take(&mut self.order));
            let mut kept = marks.iter().map(|mark| !mark);
            self.transactions.retain(|_| kept.next() == Some(true));
            let mut kept = marks.iter().map(|mark| !mark);
            self.outcomes.retain(|_| kept.next() == Some(true));
        }
    }
}

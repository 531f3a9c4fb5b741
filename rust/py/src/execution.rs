//! A block executed anew, and what stands in the way of executing it faster.

use std::sync::Arc;

use chain::{
    Chain, Replay,
    exec::parallel::{Conflicts, Report, Totals},
    types::Address,
};
use pyo3::{prelude::*, types::PyDict};

use crate::{
    block::{PyBlock, Receipts},
    convert::{argument, int},
    enter,
    show::Show,
};

/// What executing a block gave.
#[pyclass(name = "Execution", module = "execlayer._core", frozen)]
pub(crate) struct PyExecution {
    pub(crate) chain: Arc<Chain>,
    pub(crate) replay: Replay,
}

#[pymethods]
impl PyExecution {
    /// The block, with the receipts of this execution.
    #[getter]
    fn block(&self) -> PyBlock {
        PyBlock(Arc::clone(&self.replay.block))
    }

    /// How each transaction ended, in order.
    #[getter]
    fn receipts(&self) -> Receipts {
        Receipts::of(&self.replay.block)
    }

    /// Root over all accounts afterwards.
    #[getter]
    fn state_root(&self) -> String {
        self.replay.block.header.state_root.to_string()
    }

    /// Checksum of the lattice hash over all accounts afterwards.
    #[getter]
    fn lattice_hash(&self) -> String {
        self.replay.block.tally.lattice.to_string()
    }

    /// How many times as fast as one thread it was; None unless it was verified, which is when both have run.
    #[getter]
    fn speedup(&self) -> Option<f64> {
        let Report { time, time_verifying, .. } = self.replay.report;
        (!time_verifying.is_zero()).then(|| time_verifying.as_secs_f64() / time.as_secs_f64().max(1e-9))
    }

    /// Figures of how it was executed.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let report = &self.replay.report;
        let figures = PyDict::new(py);
        figures.set_item("parallel", report.parallel)?;
        figures.set_item("sequential", report.sequential)?;
        figures.set_item("units", report.units)?;
        figures.set_item("unit_mean", report.unit_mean())?;
        figures.set_item("unit_max", report.unit_max)?;
        figures.set_item("again", report.again)?;
        figures.set_item("conflict_ratio", report.conflict_ratio())?;
        figures.set_item("seconds", report.time.as_secs_f64())?;
        figures.set_item("lost_seconds", report.time_lost.as_secs_f64())?;
        Ok(figures)
    }

    /// What stands in the way of executing it in parallel: found out by executing it once more.
    #[getter]
    fn conflicts(&self, py: Python<'_>) -> PyResult<PyConflicts> {
        enter::long(py, || self.chain.conflicts(&self.replay.block)).map(PyConflicts)
    }

    fn __repr__(&self) -> String {
        self.line()
    }

    fn _repr_html_(&self) -> String {
        self.table()
    }
}

impl Show for PyExecution {
    const NAME: &'static str = "Execution";

    fn fields(&self) -> Vec<(&'static str, String)> {
        let Replay { block, report } = &self.replay;
        vec![
            ("block", block.id.number.to_string()),
            ("transactions", block.receipts.len().to_string()),
            ("parallel", report.parallel.to_string()),
            ("again", report.again.to_string()),
        ]
    }
}

/// Which places a block's transactions fight over, and what any number of workers could make of it.
#[pyclass(name = "Conflicts", module = "execlayer._core", frozen)]
pub(crate) struct PyConflicts(Conflicts);

/// An account, its slot (None: the account itself), and how many wait there.
type HotPlace<'py> = (String, Option<Bound<'py, PyAny>>, usize);

#[pymethods]
impl PyConflicts {
    /// Places where transactions wait for others, most first: the account, its slot (None: the account itself), and how
    /// many wait there.
    #[getter]
    fn hot<'py>(&self, py: Python<'py>) -> PyResult<Vec<HotPlace<'py>>> {
        let hot = self.0.hot.iter().map(|(place, waiting)| {
            let slot = place.slot.map(|slot| int(py, slot)).transpose()?;
            Ok((place.address.to_checksum(None), slot, *waiting))
        });
        hot.collect()
    }

    /// Accounts of those places, each once, with how many wait there at all of them, most first.
    #[getter]
    fn hot_accounts(&self) -> Vec<(String, usize)> {
        let mut accounts: Vec<(Address, usize)> = Vec::new();
        for (place, waiting) in &self.0.hot {
            match accounts.iter_mut().find(|(address, _)| *address == place.address) {
                Some((_, sum)) => *sum += waiting,
                None => accounts.push((place.address, *waiting)),
            }
        }
        accounts.sort_by_key(|(address, waiting)| (std::cmp::Reverse(*waiting), *address));
        accounts.into_iter().map(|(address, waiting)| (address.to_checksum(None), waiting)).collect()
    }

    /// Transactions that wait for another one.
    #[getter]
    fn waiting(&self) -> usize {
        self.0.waiting
    }

    /// Gas of all transactions.
    #[getter]
    fn gas(&self) -> u64 {
        self.0.gas
    }

    /// Gas of the longest chain of transactions that wait for each other.
    #[getter]
    fn critical_path(&self) -> u64 {
        self.0.critical_path
    }

    /// How many times as fast as one worker so many could be, if a transaction takes as long as its gas.
    fn speedup(&self, py: Python<'_>, workers: &Bound<'_, PyAny>) -> PyResult<f64> {
        let wrong = || argument("workers", workers).wrong("an int from 1 to 1,024");
        let count = argument("workers", workers).u64().map_err(|_| wrong())?;
        if !(1..=1_024).contains(&count) {
            return Err(wrong());
        }
        enter::long(py, || Ok::<_, crate::error::Never>(self.0.speedup(count as usize)))
    }

    fn __repr__(&self) -> String {
        self.line()
    }

    fn _repr_html_(&self) -> String {
        self.table()
    }
}

impl Show for PyConflicts {
    const NAME: &'static str = "Conflicts";

    fn fields(&self) -> Vec<(&'static str, String)> {
        vec![
            ("waiting", self.0.waiting.to_string()),
            ("places", self.0.hot.len().to_string()),
            ("gas", self.0.gas.to_string()),
            ("critical_path", self.0.critical_path.to_string()),
        ]
    }
}

/// Figures of all blocks that a chain has executed.
pub(crate) fn totals<'py>(py: Python<'py>, totals: &Totals) -> PyResult<Bound<'py, PyDict>> {
    let figures = PyDict::new(py);
    figures.set_item("blocks", totals.blocks)?;
    figures.set_item("blocks_parallel", totals.blocks_parallel)?;
    figures.set_item("blocks_verified", totals.blocks_verified)?;
    figures.set_item("parallel", totals.parallel)?;
    figures.set_item("sequential", totals.sequential)?;
    figures.set_item("units", totals.units)?;
    figures.set_item("unit_mean", totals.unit_mean())?;
    figures.set_item("again", totals.again)?;
    figures.set_item("conflict_ratio", totals.conflict_ratio())?;
    figures.set_item("seconds", totals.time.as_secs_f64())?;
    figures.set_item("lost_seconds", totals.time_lost.as_secs_f64())?;
    Ok(figures)
}

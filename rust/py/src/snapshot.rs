//! Snapshots: a whole state into a file and out of one.

use std::{
    fs::File,
    io::{BufReader, BufWriter},
    path::Path,
    sync::Arc,
};

use chain::{Chain, Genesis, Options, SnapshotFailure, SnapshotSummary, Store, state::Stop, verify_snapshot};
use pyo3::prelude::*;

use crate::{
    chain::{PyChain, block_ref},
    convert::argument,
    enter::{self, Source},
    error::Reason,
};

/// What a snapshot holds.
#[pyclass(name = "Snapshot", module = "execlayer._core", frozen)]
pub(crate) struct PySnapshot(SnapshotSummary);

#[pymethods]
impl PySnapshot {
    /// Height of the block whose state it is.
    #[getter]
    fn number(&self) -> u64 {
        self.0.block.number
    }

    /// Hash of the block whose state it is.
    #[getter]
    fn hash(&self) -> String {
        self.0.block.hash.to_string()
    }

    /// Hash of the chain's first block.
    #[getter]
    fn genesis(&self) -> String {
        self.0.genesis.to_string()
    }

    /// Checksum of the state's lattice hash.
    #[getter]
    fn lattice(&self) -> String {
        self.0.lattice.to_string()
    }

    /// How many accounts.
    #[getter]
    fn accounts(&self) -> u64 {
        self.0.accounts
    }

    /// How many slots.
    #[getter]
    fn slots(&self) -> u64 {
        self.0.slots
    }

    /// How many bytes.
    #[getter]
    fn bytes(&self) -> u64 {
        self.0.bytes
    }

    fn __repr__(&self) -> String {
        let SnapshotSummary { block, accounts, slots, bytes, .. } = &self.0;
        format!("Snapshot(number={}, accounts={accounts}, slots={slots}, bytes={bytes})", block.number)
    }
}

/// Told after each part of a snapshot; what it raises ends the work and goes on to the caller.
struct Watch {
    progress: Option<Py<PyAny>>,
    stop: Stop,
    raised: Option<PyErr>,
}

/// Why there is no snapshot: Rust's reason, or what the callback raised.
enum Ended {
    Failed(Box<SnapshotFailure>),
    Raised(PyErr),
}

impl Reason for Ended {
    fn raise(&self, py: Python<'_>) -> PyErr {
        match self {
            Self::Failed(failure) => failure.raise(py),
            Self::Raised(error) => error.clone_ref(py),
        }
    }
}

impl Watch {
    fn new(progress: Option<Py<PyAny>>) -> Self {
        Self { progress, stop: Stop::current(), raised: None }
    }

    fn tell(&mut self, summary: &SnapshotSummary) -> bool {
        let told = self
            .progress
            .as_ref()
            .map_or(Ok(()), |progress| Python::attach(|py| progress.call1(py, (PySnapshot(*summary),)).map(drop)));
        self.raised = told.err();
        self.raised.is_none() && !self.stop.is_asked()
    }

    fn ended<T>(self, outcome: Result<T, impl Into<SnapshotFailure>>) -> Result<T, Ended> {
        match (self.raised, outcome) {
            (Some(error), _) => Err(Ended::Raised(error)),
            (None, outcome) => outcome.map_err(|failure| Ended::Failed(Box::new(failure.into()))),
        }
    }
}

fn file_error(path: &str, error: &std::io::Error) -> Ended {
    let reason = format!("{path}: {error}");
    Ended::Failed(Box::new(chain::store::snapshot::SnapshotError::Stream { offset: 0, reason }.into()))
}

/// Writes the whole state after a block to a file.
#[pyfunction]
#[pyo3(signature = (chain, path, at, progress=None))]
pub(crate) fn write_snapshot(
    py: Python<'_>,
    chain: &PyChain,
    path: &str,
    at: &Bound<'_, PyAny>,
    progress: Option<Py<PyAny>>,
) -> PyResult<PySnapshot> {
    let chain = chain.chain(py)?;
    let at = block_ref("at", at)?;
    let written = enter::long(py, || {
        let mut watch = Watch::new(progress);
        let file = File::create(path).map_err(|error| file_error(path, &error))?;
        let mut out = BufWriter::with_capacity(1 << 20, file);
        let outcome = chain.snapshot(at, &mut out, &mut |summary| watch.tell(summary));
        let summary = watch.ended(outcome)?;
        out.get_ref().sync_all().map_err(|error| file_error(path, &error))?;
        Ok::<_, Ended>(summary)
    });
    Ok(PySnapshot(written?))
}

/// Reads a whole snapshot and sums it up, without a chain.
#[pyfunction]
#[pyo3(name = "verify_snapshot", signature = (path, progress=None))]
pub(crate) fn check_snapshot(py: Python<'_>, path: &str, progress: Option<Py<PyAny>>) -> PyResult<PySnapshot> {
    let verified = enter::long(py, || {
        let mut watch = Watch::new(progress);
        let file = File::open(path).map_err(|error| file_error(path, &error))?;
        let outcome = verify_snapshot(BufReader::with_capacity(1 << 20, file), &mut |summary| watch.tell(summary));
        watch.ended(outcome)?.ok_or_else(|| Ended::Failed(Box::new(SnapshotFailure::Stopped)))
    });
    Ok(PySnapshot(verified?))
}

/// Fills an empty folder, or the memory, from a snapshot's file.
#[pyfunction]
#[pyo3(signature = (path, folder=None, genesis=None, trusted=None, progress=None))]
pub(crate) fn restore_snapshot(
    py: Python<'_>,
    path: &str,
    folder: Option<&str>,
    genesis: Option<&str>,
    trusted: Option<&Bound<'_, PyAny>>,
    progress: Option<Py<PyAny>>,
) -> PyResult<PyChain> {
    let trusted = trusted.map(|trusted| argument("trusted", trusted).hash()).transpose()?;
    let restored = enter::long(py, || {
        let failed = |error: chain::ChainError| Ended::Failed(Box::new(error.into()));
        let mut watch = Watch::new(progress);
        let genesis = genesis.map_or_else(|| Ok(Genesis::dev([])), Genesis::from_json);
        let genesis = genesis.map_err(|error| failed(error.into()))?;
        let file = File::open(path).map_err(|error| file_error(path, &error))?;
        let store = match folder {
            Some(folder) => Store::open(Path::new(folder), chain::store::Options::default()),
            None => Ok(Store::memory()),
        };
        let store = Arc::new(store.map_err(|error| failed(error.into()))?);
        let mut input = BufReader::with_capacity(1 << 20, file);
        let mut tell = |summary: &SnapshotSummary| watch.tell(summary);
        let outcome = Chain::restore(store, genesis, Options::default(), &mut input, trusted, &mut tell);
        watch.ended(outcome)
    });
    let source = if folder.is_some() { Source::Elsewhere } else { Source::Memory };
    Ok(PyChain::holding(restored?, source))
}

//! Following the head of a chain.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use chain::{HeadChange, Subscription};
use pyo3::prelude::*;

use crate::{convert::argument, enter};

/// Follows the head from where it was made. It keeps the chain open.
#[pyclass(name = "Heads", module = "execlayer._core", frozen)]
pub(crate) struct PyHeads(Mutex<Subscription>);

impl PyHeads {
    pub(crate) fn new(subscription: Subscription) -> Self {
        Self(Mutex::new(subscription))
    }
}

/// How the canonical chain has changed: hashes of blocks.
#[pyclass(name = "HeadChange", module = "execlayer._core", frozen)]
pub(crate) struct PyHeadChange(HeadChange);

/// Longest wait that can be asked for, in seconds: a day.
const WAIT_SECONDS_MAX: f64 = 86_400.0;

/// A time to wait, as Python gives it.
pub(crate) fn duration(name: &'static str, seconds: &Bound<'_, PyAny>) -> PyResult<Duration> {
    let wrong = || argument(name, seconds).wrong("seconds from 0 to 86,400");
    let seconds: f64 = seconds.extract().map_err(|_| wrong())?;
    if (0.0..=WAIT_SECONDS_MAX).contains(&seconds) { Ok(Duration::from_secs_f64(seconds)) } else { Err(wrong()) }
}

#[pymethods]
impl PyHeads {
    /// The next change; None where there is none for that long.
    fn wait(&self, py: Python<'_>, seconds: &Bound<'_, PyAny>) -> PyResult<Option<PyHeadChange>> {
        let timeout = duration("seconds", seconds)?;
        let change =
            enter::wait(py, timeout, |slice| self.0.lock().unwrap_or_else(PoisonError::into_inner).next(slice));
        Ok(change?.map(PyHeadChange))
    }
}

#[pymethods]
impl PyHeadChange {
    /// Blocks that were told of and are no longer canonical, newest first.
    #[getter]
    fn removed(&self) -> Vec<String> {
        self.0.removed.iter().map(|id| id.hash.to_string()).collect()
    }

    /// Blocks that are canonical now, oldest first.
    #[getter]
    fn added(&self) -> Vec<String> {
        self.0.added.iter().map(|id| id.hash.to_string()).collect()
    }
}

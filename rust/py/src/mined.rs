//! What mining gave.

use chain::Mined;
use pyo3::{prelude::*, types::PyList};

use crate::{block::PyBlock, error::Reason};

/// A new block, and what was left out of it.
#[pyclass(name = "Mined", module = "execlayer._core", frozen)]
pub(crate) struct PyMined(pub(crate) Mined);

#[pymethods]
impl PyMined {
    /// The block.
    #[getter]
    fn block(&self) -> PyBlock {
        PyBlock(self.0.block.clone())
    }

    /// Transactions that waited and could not be included: the hash, and the error that says why.
    #[getter]
    fn skipped<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let skipped = self.0.skipped.iter().map(|(hash, reason)| (hash.to_string(), reason.raise(py)));
        PyList::new(py, skipped)
    }
}

//! What a contract wrote to the log, as a value.

use std::sync::Arc;

use chain::{StoredBlock, types::Log};
use pyo3::{prelude::*, types::PyBytes};

use crate::show::Show;

/// An entry of a receipt's log.
#[pyclass(name = "Log", module = "execlayer._core", frozen)]
pub(crate) struct PyLog {
    pub(crate) block: Arc<StoredBlock>,
    pub(crate) transaction: usize,
    pub(crate) index: usize,
}

impl PyLog {
    fn inner(&self) -> &Log {
        &self.block.receipts[self.transaction].logs[self.index]
    }
}

#[pymethods]
impl PyLog {
    /// The contract.
    #[getter]
    fn address(&self) -> String {
        self.inner().address.to_checksum(None)
    }

    /// Up to four words to search by; the first usually names the event.
    #[getter]
    fn topics(&self) -> Vec<String> {
        self.inner().topics().iter().map(ToString::to_string).collect()
    }

    /// The rest.
    #[getter]
    fn data<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.inner().data.data)
    }

    /// Place among the logs of the block.
    #[getter]
    fn index(&self) -> usize {
        let before = &self.block.receipts[..self.transaction];
        before.iter().map(|receipt| receipt.logs.len()).sum::<usize>() + self.index
    }

    /// Which transaction of the block wrote it.
    #[getter]
    fn transaction_index(&self) -> usize {
        self.transaction
    }

    fn __repr__(&self) -> String {
        self.line()
    }

    fn _repr_html_(&self) -> String {
        self.table()
    }
}

impl Show for PyLog {
    const NAME: &'static str = "Log";

    fn fields(&self) -> Vec<(&'static str, String)> {
        let data = &self.inner().data.data;
        vec![("address", self.address()), ("topics", format!("{:?}", self.topics())), ("data", data.to_string())]
    }
}

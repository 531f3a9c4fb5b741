//! What a contract wrote to the log, as a value.

use chain::types::Log;
use pyo3::{prelude::*, types::PyBytes};

use crate::show::Show;

/// An entry of a transaction's log.
#[pyclass(name = "Log", module = "execlayer._core", frozen)]
pub(crate) struct PyLog {
    pub(crate) log: Log,
    /// Among the logs of the block; of the call, where there is no block.
    pub(crate) index: usize,
    pub(crate) transaction_index: usize,
}

#[pymethods]
impl PyLog {
    /// The contract.
    #[getter]
    fn address(&self) -> String {
        self.log.address.to_checksum(None)
    }

    /// Up to four words to search by; the first usually names the event.
    #[getter]
    fn topics(&self) -> Vec<String> {
        self.log.topics().iter().map(ToString::to_string).collect()
    }

    /// The rest.
    #[getter]
    fn data<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.log.data.data)
    }

    /// Place among the logs of the block; of the call, where there is no block.
    #[getter]
    fn index(&self) -> usize {
        self.index
    }

    /// Which transaction of the block wrote it.
    #[getter]
    fn transaction_index(&self) -> usize {
        self.transaction_index
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
        let data = &self.log.data.data;
        vec![("address", self.address()), ("topics", format!("{:?}", self.topics())), ("data", data.to_string())]
    }
}

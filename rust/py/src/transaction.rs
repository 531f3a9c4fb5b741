//! A signed transaction, as a value.

use chain::{
    StoredBlock, SubmitError,
    types::{Address, Transaction, U256},
};
use pyo3::{prelude::*, types::PyBytes};

use crate::{
    convert::{argument, int, wei},
    enter,
    show::Show,
};

/// A signed transaction.
#[pyclass(name = "Transaction", module = "execlayer._core", frozen)]
pub(crate) struct PyTransaction {
    transaction: Transaction,
    sender: Address,
}

impl PyTransaction {
    pub(crate) fn at(block: &StoredBlock, index: usize) -> Self {
        Self { transaction: block.body.transactions[index].clone(), sender: block.senders[index] }
    }

    fn inner(&self) -> &Transaction {
        &self.transaction
    }
}

#[pymethods]
impl PyTransaction {
    /// Reads EIP-2718 bytes and finds out who signed them. Whether they may stand in a block is not asked.
    #[staticmethod]
    fn decode(py: Python<'_>, raw: &Bound<'_, PyAny>) -> PyResult<Self> {
        let raw = argument("raw", raw).bytes()?;
        enter::quick(py, || {
            let transaction = Transaction::from_bytes(&raw).map_err(SubmitError::from)?;
            let sender = transaction.recover().map_err(SubmitError::from)?;
            Ok::<_, SubmitError>(Self { transaction, sender })
        })
    }

    /// Keccak-256 of the EIP-2718 bytes.
    #[getter]
    pub(crate) fn hash(&self) -> String {
        self.inner().hash().to_string()
    }

    /// EIP-2718 type; 0 for legacy.
    #[getter]
    fn kind(&self) -> u8 {
        self.inner().kind()
    }

    /// Who signed it.
    #[getter]
    pub(crate) fn sender(&self) -> String {
        self.sender.to_checksum(None)
    }

    /// Whom it calls; None: it creates a contract.
    #[getter]
    pub(crate) fn to(&self) -> Option<String> {
        self.inner().to().to().map(|to| to.to_checksum(None))
    }

    /// Wei moved.
    #[getter]
    fn value<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        wei(py, self.inner().value())
    }

    /// Call data, or creation code.
    #[getter]
    fn data<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.inner().input())
    }

    /// The sender's count that it expected.
    #[getter]
    fn nonce(&self) -> u64 {
        self.inner().nonce()
    }

    /// Most gas it could use.
    #[getter]
    fn gas_limit(&self) -> u64 {
        self.inner().gas_limit()
    }

    /// Most wei a unit of gas could cost; the gas price of the older kinds.
    #[getter]
    fn max_fee_per_gas<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        wei(py, U256::from(self.inner().max_fee_per_gas()))
    }

    /// Most wei of a unit of gas for the block's producer; the gas price of the older kinds.
    #[getter]
    fn max_priority_fee_per_gas<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        wei(py, U256::from(self.inner().max_priority_fee_per_gas()))
    }

    /// The chain it was signed for; None where it doesn't say.
    #[getter]
    fn chain_id(&self) -> Option<u64> {
        self.inner().chain_id()
    }

    /// The signature: y parity, r, s.
    #[getter]
    fn signature<'py>(&self, py: Python<'py>) -> PyResult<(bool, Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        let signature = self.inner().signature();
        Ok((signature.v(), int(py, signature.r())?, int(py, signature.s())?))
    }

    /// EIP-2718 bytes.
    #[getter]
    fn raw<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.inner().to_bytes())
    }

    fn __repr__(&self) -> String {
        self.line()
    }

    fn _repr_html_(&self) -> String {
        self.table()
    }
}

impl Show for PyTransaction {
    const NAME: &'static str = "Transaction";

    fn fields(&self) -> Vec<(&'static str, String)> {
        let inner = self.inner();
        vec![
            ("hash", self.hash()),
            ("sender", self.sender()),
            ("to", self.to().unwrap_or_else(|| "a new contract".to_owned())),
            ("value", format!("{} wei", inner.value())),
            ("nonce", inner.nonce().to_string()),
        ]
    }
}

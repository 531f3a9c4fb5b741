//! How a transaction ended, as a value.

use std::sync::Arc;

use chain::{
    StoredBlock,
    types::{Outcome, Receipt, Transaction, U256},
};
use pyo3::prelude::*;

use crate::{convert::wei, log::PyLog, show::Show, transaction::PyTransaction};

/// How a transaction ended.
#[pyclass(name = "Receipt", module = "execlayer._core", frozen)]
pub(crate) struct PyReceipt {
    pub(crate) block: Arc<StoredBlock>,
    pub(crate) index: usize,
}

impl PyReceipt {
    fn inner(&self) -> &Receipt {
        &self.block.receipts[self.index]
    }

    fn signed(&self) -> &Transaction {
        &self.block.body.transactions[self.index]
    }

    fn price(&self) -> u128 {
        self.signed().effective_gas_price(self.block.header.base_fee_per_gas)
    }

    fn cost(&self) -> U256 {
        U256::from(self.price()) * U256::from(self.gas_used())
    }
}

#[pymethods]
impl PyReceipt {
    /// Whether it succeeded; receipts before Byzantium don't say and count as success.
    #[getter]
    fn ok(&self) -> bool {
        self.inner().outcome.is_success()
    }

    /// The state root after it, which receipts before Byzantium have in place of a status.
    #[getter]
    fn state_root(&self) -> Option<String> {
        match self.inner().outcome {
            Outcome::StateRoot(root) => Some(root.to_string()),
            Outcome::Status(_) => None,
        }
    }

    /// EIP-2718 type of the transaction.
    #[getter]
    fn kind(&self) -> u8 {
        self.inner().kind
    }

    /// The transaction.
    #[getter]
    fn transaction(&self) -> PyTransaction {
        PyTransaction::at(&self.block, self.index)
    }

    /// The transaction's hash.
    #[getter]
    fn transaction_hash(&self) -> String {
        self.transaction().hash()
    }

    /// Place in the block.
    #[getter]
    fn index(&self) -> usize {
        self.index
    }

    /// Height of the block.
    #[getter]
    fn block_number(&self) -> u64 {
        self.block.id.number
    }

    /// The block.
    #[getter]
    fn block_hash(&self) -> String {
        self.block.id.hash.to_string()
    }

    /// Who signed it.
    #[getter]
    fn sender(&self) -> String {
        self.transaction().sender()
    }

    /// Whom it called; None: it created a contract.
    #[getter]
    fn to(&self) -> Option<String> {
        self.transaction().to()
    }

    /// Where the contract that it created stands; None where it created none.
    #[getter]
    fn contract_address(&self) -> Option<String> {
        let created = self.signed().to().is_create() && self.ok();
        created.then(|| self.block.senders[self.index].create(self.signed().nonce()).to_checksum(None))
    }

    /// Gas that it used.
    #[getter]
    fn gas_used(&self) -> u64 {
        let before = self.index.checked_sub(1).map_or(0, |before| self.block.receipts[before].cumulative_gas_used);
        self.inner().cumulative_gas_used - before
    }

    /// Gas of the block up to and with it.
    #[getter]
    fn cumulative_gas_used(&self) -> u64 {
        self.inner().cumulative_gas_used
    }

    /// What a unit of gas cost.
    #[getter]
    fn gas_price<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        wei(py, U256::from(self.price()))
    }

    /// What all its gas cost, blob gas apart.
    #[getter]
    fn fee<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        wei(py, self.cost())
    }

    /// What it logged, in order.
    #[getter]
    fn logs(&self) -> Vec<PyLog> {
        let before = self.block.receipts[..self.index].iter().map(|receipt| receipt.logs.len()).sum::<usize>();
        let logs = self.inner().logs.iter().cloned().enumerate();
        logs.map(|(at, log)| PyLog { log, index: before + at, transaction_index: self.index }).collect()
    }

    fn __repr__(&self) -> String {
        self.line()
    }

    fn _repr_html_(&self) -> String {
        self.table()
    }
}

impl Show for PyReceipt {
    const NAME: &'static str = "Receipt";

    fn fields(&self) -> Vec<(&'static str, String)> {
        let mut fields = vec![
            ("ok", if self.ok() { "True" } else { "False" }.to_owned()),
            ("transaction_hash", self.transaction_hash()),
            ("block_number", self.block_number().to_string()),
            ("gas_used", self.gas_used().to_string()),
            ("fee", format!("{} wei", self.cost())),
        ];
        fields.extend(self.contract_address().map(|address| ("contract_address", address)));
        if !self.inner().logs.is_empty() {
            fields.push(("logs", self.inner().logs.len().to_string()));
        }
        fields
    }
}

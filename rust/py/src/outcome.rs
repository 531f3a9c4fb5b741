//! What a call or transaction did, or would do, as a value.

use chain::{
    evm::{Executed, Outcome},
    state::StateDiff,
    types::{Account, U256},
};
use pyo3::{
    prelude::*,
    types::{PyBytes, PyDict},
};

use crate::{
    convert::{int, wei},
    log::PyLog,
    show::Show,
};

/// How it ended, what it cost, what it changed.
#[pyclass(name = "Outcome", module = "execlayer._core", frozen)]
pub(crate) struct PyOutcome {
    pub(crate) executed: Executed,
    pub(crate) diff: StateDiff,
}

#[pymethods]
impl PyOutcome {
    /// success, revert or halt.
    #[getter]
    fn status(&self) -> &'static str {
        match self.executed.outcome {
            Outcome::Success { .. } => "success",
            Outcome::Revert { .. } => "revert",
            Outcome::Halt { .. } => "halt",
        }
    }

    /// Whether it succeeded.
    #[getter]
    fn ok(&self) -> bool {
        self.executed.outcome.is_success()
    }

    /// What it returned, or why it reverted; nothing where it halted.
    #[getter]
    fn output<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        match &self.executed.outcome {
            Outcome::Success { output, .. } | Outcome::Revert { output } => PyBytes::new(py, output),
            Outcome::Halt { .. } => PyBytes::new(py, &[]),
        }
    }

    /// Why it failed, in a line; None where it succeeded.
    #[getter]
    fn error(&self) -> Option<String> {
        match &self.executed.outcome {
            Outcome::Success { .. } => None,
            Outcome::Revert { output } => Some(match rpc::revert_reason(output) {
                Some(reason) => format!("execution reverted: {reason}"),
                None => "execution reverted".to_owned(),
            }),
            Outcome::Halt { reason } => Some(reason.to_string()),
        }
    }

    /// Gas paid for, what was given back taken off.
    #[getter]
    fn gas_used(&self) -> u64 {
        self.executed.gas_used
    }

    /// Gas given back for cleaning up.
    #[getter]
    fn gas_refunded(&self) -> u64 {
        self.executed.gas_refunded
    }

    /// Wei per gas.
    #[getter]
    fn gas_price<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        wei(py, U256::from(self.executed.gas_price))
    }

    /// Where the contract stands that it created; None where it created none.
    #[getter]
    fn created(&self) -> Option<String> {
        match &self.executed.outcome {
            Outcome::Success { created, .. } => created.map(|address| address.to_checksum(None)),
            _ => None,
        }
    }

    /// What it logged, in order.
    #[getter]
    fn logs(&self) -> Vec<PyLog> {
        let logs = self.executed.logs.iter().enumerate();
        logs.map(|(index, log)| PyLog { log: log.clone(), index, transaction_index: 0 }).collect()
    }

    /// What it changed: for each account its balance, nonce and slots as pairs of before and after, and its new code.
    #[getter]
    fn diff<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let accounts = PyDict::new(py);
        for (address, change) in &self.diff.accounts {
            let fields = PyDict::new(py);
            let held = |account: &Option<Account>| account.unwrap_or_default();
            let (before, after) = (held(&change.before), held(&change.after));
            if before.balance != after.balance {
                fields.set_item("balance", (wei(py, before.balance)?, wei(py, after.balance)?))?;
            }
            if before.nonce != after.nonce {
                fields.set_item("nonce", (before.nonce, after.nonce))?;
            }
            if before.code_hash != after.code_hash {
                let code = self.diff.codes.iter().find(|(hash, _)| *hash == after.code_hash);
                fields.set_item("code", PyBytes::new(py, code.map_or(&[], |(_, code)| code)))?;
            }
            if !change.slots.is_empty() {
                let slots = PyDict::new(py);
                for slot in &change.slots {
                    slots.set_item(int(py, slot.key)?, (int(py, slot.before)?, int(py, slot.after)?))?;
                }
                fields.set_item("storage", slots)?;
            }
            accounts.set_item(address.to_checksum(None), fields)?;
        }
        Ok(accounts)
    }

    fn __repr__(&self) -> String {
        self.line()
    }

    fn _repr_html_(&self) -> String {
        self.table()
    }
}

impl Show for PyOutcome {
    const NAME: &'static str = "Outcome";

    fn fields(&self) -> Vec<(&'static str, String)> {
        let mut fields = vec![("status", self.status().to_owned()), ("gas_used", self.gas_used().to_string())];
        if let Outcome::Success { output, .. } | Outcome::Revert { output } = &self.executed.outcome {
            fields.push(("output", output.to_string()));
        }
        fields.extend(self.error().map(|error| ("error", format!("{error:?}"))));
        fields.extend(self.created().map(|address| ("created", address)));
        if !self.executed.logs.is_empty() {
            fields.push(("logs", self.executed.logs.len().to_string()));
        }
        fields
    }
}

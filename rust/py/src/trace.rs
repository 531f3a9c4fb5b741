//! What a tracer noted, as values.

use chain::{
    evm::{
        Executed, HaltReason, Tracer,
        frame::Status,
        trace::{BYTES_MAX, Calls, Steps},
    },
    state::StateDiff,
};
use pyo3::{
    exceptions::PyIndexError,
    prelude::*,
    types::{PyBytes, PyDict, PyList, PyTuple},
};

use crate::{
    convert::{int, wei},
    enter,
    error::CallFailed,
    outcome::PyOutcome,
};

/// The outcome, the messages, and the steps where they were wanted.
#[pyclass(name = "Trace", module = "execlayer._core", frozen)]
pub(crate) struct PyTrace {
    outcome: Py<PyOutcome>,
    calls: Calls,
    steps: Option<Py<PySteps>>,
}

impl PyTrace {
    /// Runs what `run` runs, watched.
    pub(crate) fn record(
        py: Python<'_>,
        steps: bool,
        memory: bool,
        run: impl FnOnce(&mut dyn Tracer) -> Result<(Executed, StateDiff), CallFailed> + Send,
    ) -> PyResult<Self> {
        let (executed, diff, calls, steps) = enter::long(py, || {
            if steps {
                let mut both = (Calls::default(), Steps::new(memory, BYTES_MAX));
                let (executed, diff) = run(&mut both)?;
                return Ok::<_, CallFailed>((executed, diff, both.0, Some(both.1)));
            }
            let mut calls = Calls::default();
            let (executed, diff) = run(&mut calls)?;
            Ok((executed, diff, calls, None))
        })?;
        let steps = steps.map(|steps| Py::new(py, PySteps(steps))).transpose()?;
        Ok(Self { outcome: Py::new(py, PyOutcome { executed, diff })?, calls, steps })
    }
}

/// What went wrong, in a line.
fn failure(status: Status, output: &[u8]) -> Option<String> {
    match status {
        Status::Success => None,
        Status::Revert => Some(match rpc::revert_reason(output) {
            Some(reason) => format!("execution reverted: {reason}"),
            None => "execution reverted".to_owned(),
        }),
        Status::Halt(reason) => Some(reason.to_string()),
    }
}

#[pymethods]
impl PyTrace {
    /// What came of it.
    #[getter]
    fn outcome(&self, py: Python<'_>) -> Py<PyOutcome> {
        self.outcome.clone_ref(py)
    }

    /// Steps, where they were wanted.
    #[getter]
    fn steps(&self, py: Python<'_>) -> Option<Py<PySteps>> {
        self.steps.as_ref().map(|steps| steps.clone_ref(py))
    }

    /// Messages in the order in which they began: index of the one that sent it, kind, from, to, value, gas, gas used,
    /// input, output, error.
    fn calls<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let list = PyList::empty(py);
        for call in self.calls.calls() {
            list.append((
                call.parent,
                call.kind,
                call.from.to_checksum(None),
                call.to.to_checksum(None),
                wei(py, call.value)?,
                call.gas,
                call.gas_used,
                PyBytes::new(py, &call.input),
                PyBytes::new(py, &call.output),
                failure(call.status, &call.output),
            ))?;
        }
        Ok(list)
    }
}

/// Steps in the order in which they ran.
#[pyclass(name = "Steps", module = "execlayer._core", frozen, sequence)]
pub(crate) struct PySteps(Steps);

#[pymethods]
impl PySteps {
    fn __len__(&self) -> usize {
        self.0.len()
    }

    /// A step as a dict with the fields of EIP-3155, numbers as numbers.
    fn __getitem__<'py>(&self, py: Python<'py>, index: isize) -> PyResult<Bound<'py, PyDict>> {
        let length = self.0.len();
        let at = if index < 0 { index.checked_add_unsigned(length) } else { Some(index) };
        let stepped = at.and_then(|at| usize::try_from(at).ok()).and_then(|at| self.0.get(at));
        let stepped = stepped.ok_or_else(|| PyIndexError::new_err(format!("step {index} of {length}")))?;
        let (step, fields) = (stepped.step, PyDict::new(py));
        fields.set_item("pc", step.pc)?;
        fields.set_item("op", step.opcode)?;
        fields.set_item("opName", step.name)?;
        fields.set_item("gas", step.gas)?;
        fields.set_item("gasCost", stepped.cost)?;
        fields.set_item("depth", step.depth)?;
        fields.set_item("refund", step.refund)?;
        fields.set_item("memSize", stepped.memory_size)?;
        let words = step.stack.iter().map(|word| int(py, *word)).collect::<PyResult<Vec<_>>>()?;
        fields.set_item("stack", PyTuple::new(py, words)?)?;
        fields.set_item("address", step.address.to_checksum(None))?;
        if !step.memory.is_empty() {
            fields.set_item("memory", PyBytes::new(py, step.memory))?;
        }
        if let Some(reason) = stepped.halt {
            fields.set_item("error", HaltReason::to_string(&reason))?;
        }
        Ok(fields)
    }

    /// A step as its EIP-3155 line.
    fn line(&self, index: usize) -> PyResult<String> {
        self.0.line(index).ok_or_else(|| PyIndexError::new_err(format!("step {index} of {}", self.0.len())))
    }

    /// How many more there were, for which there was no room.
    #[getter]
    fn dropped(&self) -> u64 {
        self.0.dropped()
    }

    fn __repr__(&self) -> String {
        format!("<{} steps>", self.0.len())
    }
}

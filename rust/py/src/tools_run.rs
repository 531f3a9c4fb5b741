//! `execlayer run`: code alone.

use chain::{
    evm::{
        Executed, Fork, Outcome,
        trace::{Lines, Shown},
    },
    exec::bytecode::Bytecode,
    transition::ending,
};
use pyo3::{
    prelude::*,
    types::{PyBytes, PyDict, PyList},
};

use crate::{convert::argument, enter, error::Reason};

/// Characters of a trace after which it is handed over.
const PORTION_CHARS: usize = 1 << 16;

/// Runs code that nobody deployed, and tells how it ended. `trace` is given EIP-3155 lines, many at a time; the rest says
/// what they hold.
#[pyfunction]
#[pyo3(signature = (code, data, *, fork, gas=None, value=None, create=false, trace=None, stack=true, memory=false,
    returned=false))]
#[expect(clippy::too_many_arguments, reason = "all but two by name")]
pub(crate) fn run_code<'py>(
    py: Python<'py>,
    code: &Bound<'py, PyAny>,
    data: &Bound<'py, PyAny>,
    fork: &str,
    gas: Option<&Bound<'py, PyAny>>,
    value: Option<&Bound<'py, PyAny>>,
    create: bool,
    trace: Option<Py<PyAny>>,
    stack: bool,
    memory: bool,
    returned: bool,
) -> PyResult<Bound<'py, PyDict>> {
    let fork: Fork = fork.parse().map_err(|error: chain::evm::spec::UnknownFork| error.raise(py))?;
    let bytecode = Bytecode {
        code: argument("code", code).bytes()?,
        input: argument("data", data).bytes()?,
        value: value.map_or(Ok(Default::default()), |value| argument("value", value).u256())?,
        gas: gas.map(|gas| argument("gas", gas).u64()).transpose()?,
        fork,
        create,
    };
    let mut raised = None;
    let executed = enter::long(py, || {
        let Some(trace) = &trace else { return bytecode.run(None) };
        let mut hand_over = |lines: &mut String| {
            if raised.is_none() {
                raised = Python::attach(|py| trace.call1(py, (lines.as_str(),)).map(drop)).err();
            }
            lines.clear();
        };
        let mut held = String::new();
        let mut sink = |line: &str| {
            // The tracer's own last line says what `ending` says better.
            if !line.starts_with(r#"{"output""#) {
                held.push_str(line);
                held.push('\n');
            }
            if held.len() >= PORTION_CHARS {
                hand_over(&mut held);
            }
        };
        let executed = bytecode.run(Some(&mut Lines::new(Shown { stack, memory, returned }, &mut sink)))?;
        held.push_str(&ending(&executed));
        held.push('\n');
        hand_over(&mut held);
        Ok(executed)
    })?;
    raised.map_or_else(|| told(py, &executed), Err)
}

fn told<'py>(py: Python<'py>, executed: &Executed) -> PyResult<Bound<'py, PyDict>> {
    let told = PyDict::new(py);
    let (outcome, output, reason, created) = match &executed.outcome {
        Outcome::Success { output, created } => ("success", Some(output), None, *created),
        Outcome::Revert { output } => ("revert", Some(output), None, None),
        Outcome::Halt { reason } => ("halt", None, Some(reason.to_string()), None),
    };
    told.set_item("outcome", outcome)?;
    told.set_item("reason", reason)?;
    told.set_item("output", PyBytes::new(py, output.map_or(&[], |output| output)))?;
    told.set_item("created", created.map(|address| address.to_checksum(None)))?;
    told.set_item("gas_used", executed.gas_used)?;
    told.set_item("gas_refunded", executed.gas_refunded)?;
    let logs = PyList::empty(py);
    for log in &executed.logs {
        let topics: Vec<_> = log.topics().iter().map(ToString::to_string).collect();
        logs.append((log.address.to_checksum(None), topics, PyBytes::new(py, &log.data.data)))?;
    }
    told.set_item("logs", logs)?;
    Ok(told)
}

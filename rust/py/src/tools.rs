//! Tools of the command line that need no chain: public tests, and the transition tool.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::PathBuf,
};

use chain::{
    blocktest::Network,
    evm::trace::Shown,
    exec::suite::{self, Filter, Progress, Report},
    transition::{Input, TransitionError},
};
use pyo3::{
    prelude::*,
    types::{PyBytes, PyDict, PyList},
};

use crate::{convert::argument, enter, error::Reason};

/// Runs public state tests in files, folders and archives. `watch` is told how many cases are known, done and failed.
#[pyfunction]
#[pyo3(signature = (paths, *, fork=None, matching=None, jobs=0, watch=None))]
pub(crate) fn statetest<'py>(
    py: Python<'py>,
    paths: Vec<PathBuf>,
    fork: Option<String>,
    matching: Option<String>,
    jobs: usize,
    watch: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    run(py, &paths, Filter { fork, matching }, jobs, watch, &chain::exec::statetest::cases)
}

/// The same for public blockchain tests.
#[pyfunction]
#[pyo3(signature = (paths, *, fork=None, matching=None, jobs=0, watch=None))]
pub(crate) fn blocktest<'py>(
    py: Python<'py>,
    paths: Vec<PathBuf>,
    fork: Option<String>,
    matching: Option<String>,
    jobs: usize,
    watch: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    run(py, &paths, Filter { fork, matching }, jobs, watch, &chain::blocktest::cases)
}

fn run<'py>(
    py: Python<'py>,
    paths: &[PathBuf],
    filter: Filter,
    jobs: usize,
    watch: Option<Py<PyAny>>,
    reader: suite::Reader<'_>,
) -> PyResult<Bound<'py, PyDict>> {
    // A misspelt fork would skip everything.
    if let Some(fork) = &filter.fork {
        fork.parse::<Network>().map_err(|error| TransitionError::Network(error).raise(py))?;
    }
    let mut raised = None;
    let report = enter::long(py, || {
        let mut tell = |Progress { known, done, failed }: Progress| {
            let told = watch
                .as_ref()
                .map_or(Ok(()), |watch| Python::attach(|py| watch.call1(py, (known, done, failed)).map(drop)));
            raised = told.err();
            raised.is_none()
        };
        suite::run(paths, &filter, jobs, reader, &mut tell)
    });
    match raised {
        Some(error) => Err(error),
        None => told(py, &report?),
    }
}

fn told<'py>(py: Python<'py>, report: &Report) -> PyResult<Bound<'py, PyDict>> {
    let failed = PyList::empty(py);
    for failure in &report.failed {
        let fields = PyDict::new(py);
        fields.set_item("file", &failure.file)?;
        fields.set_item("case", &failure.case)?;
        fields.set_item("field", &failure.difference.field)?;
        fields.set_item("actual", &failure.difference.actual)?;
        fields.set_item("expected", &failure.difference.expected)?;
        fields.set_item("details", &failure.difference.details)?;
        failed.append(fields)?;
    }
    let skipped = PyDict::new(py);
    for (reason, count) in &report.skipped {
        skipped.set_item(reason, count)?;
    }
    let told = PyDict::new(py);
    told.set_item("passed", report.passed)?;
    told.set_item("failed", failed)?;
    told.set_item("skipped", skipped)?;
    Ok(told)
}

/// One block over given accounts: the JSON of the accounts after, the JSON of the result, the RLP of the transactions.
/// `trace` names a folder in which each transaction's steps become a file; the rest says what their lines hold.
#[pyfunction]
#[pyo3(signature = (alloc, env, txs, *, fork, chain_id=1, reward=None, blob_params=None, trace=None,
    stack=true, memory=false, returned=false))]
#[expect(clippy::too_many_arguments, reason = "all but three by name")]
pub(crate) fn transition<'py>(
    py: Python<'py>,
    alloc: &[u8],
    env: &[u8],
    txs: &[u8],
    fork: &str,
    chain_id: u64,
    reward: Option<&Bound<'py, PyAny>>,
    blob_params: Option<&[u8]>,
    trace: Option<PathBuf>,
    stack: bool,
    memory: bool,
    returned: bool,
) -> PyResult<(String, String, Bound<'py, PyBytes>)> {
    let reward = reward.map(|reward| argument("reward", reward).u128()).transpose()?;
    let input = Input { fork, chain_id, reward, alloc, env, txs, blob_params };
    let outcome = enter::long(py, || match &trace {
        None => chain::transition::transition(&input, None),
        Some(folder) => {
            let mut open = |index, hash| -> io::Result<Box<dyn Write>> {
                let file = File::create(folder.join(format!("trace-{index}-{hash}.jsonl")))?;
                Ok(Box::new(BufWriter::new(file)))
            };
            chain::transition::transition(&input, Some((&mut open, Shown { stack, memory, returned })))
        }
    })?;
    let body = PyBytes::new(py, &outcome.body);
    Ok((outcome.alloc.to_string(), outcome.result.to_string(), body))
}

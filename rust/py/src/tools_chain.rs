//! Tools of the command line over a chain or a store: blocks in and out as a stream, and what a folder holds.

use std::{
    fs::File,
    io::{BufReader, BufWriter, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use chain::{ChainError, ImportError, Progress, Stop, Store, check_state, store};
use pyo3::{prelude::*, types::PyDict};

use crate::{chain::PyChain, enter};

/// How often whoever watches is told.
const TELL: Duration = Duration::from_millis(100);

/// Blocks that are written between two looks at whether somebody wants to stop.
const PORTION: u64 = 256;

fn unreadable(path: &Path, error: &std::io::Error) -> ImportError {
    ImportError::Unreadable(format!("{}: {error}", path.display()))
}

/// Imports a file of blocks, one RLP after the other. `watch` is told blocks, bytes and height. What was there already
/// is passed over, so a stopped import can be started again.
#[pyfunction]
#[pyo3(signature = (chain, path, watch=None))]
pub(crate) fn import_blocks<'py>(
    py: Python<'py>,
    chain: &PyChain,
    path: PathBuf,
    watch: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let chain = chain.chain(py)?;
    let mut raised = None;
    let mut next = Instant::now() + TELL;
    let imported = enter::long(py, || {
        let file = File::open(&path).map_err(|error| unreadable(&path, &error))?;
        chain.import_stream(&mut BufReader::new(file), &mut |progress: Progress| {
            if let Some(watch) = watch.as_ref().filter(|_| Instant::now() >= next) {
                next = Instant::now() + TELL;
                let told = (progress.blocks, progress.bytes, progress.last.number);
                raised = Python::attach(|py| watch.call1(py, told).map(drop)).err();
            }
            raised.is_none()
        })
    })?;
    if let Some(error) = raised {
        return Err(error);
    }
    let told = PyDict::new(py);
    told.set_item("blocks", imported.blocks)?;
    told.set_item("known", imported.known)?;
    told.set_item("bytes", imported.bytes)?;
    told.set_item("last", imported.last.number)?;
    Ok(told)
}

/// Writes canonical blocks as `import_blocks` reads them; returns how many.
#[pyfunction]
#[pyo3(signature = (chain, path, first, last, watch=None))]
pub(crate) fn export_blocks(
    py: Python<'_>,
    chain: &PyChain,
    path: PathBuf,
    first: u64,
    last: u64,
    watch: Option<Py<PyAny>>,
) -> PyResult<u64> {
    let chain = chain.chain(py)?;
    let mut raised = None;
    let written = enter::long(py, || {
        let file = File::create(&path).map_err(|error| unreadable(&path, &error))?;
        let mut out = BufWriter::new(file);
        let (mut written, mut from) = (0, first);
        while from <= last && !Stop::current().is_asked() && raised.is_none() {
            let to = last.min(from.saturating_add(PORTION - 1));
            written += chain.export(from..=to, &mut out)?;
            from = to.saturating_add(1);
            if let Some(watch) = &watch {
                raised = Python::attach(|py| watch.call1(py, (written,)).map(drop)).err();
            }
        }
        out.flush().map_err(|error| unreadable(&path, &error))?;
        Ok::<_, ImportError>(written)
    })?;
    raised.map_or(Ok(written), Err)
}

/// Rows and bytes of a folder's store, by family, and of its file.
#[pyfunction]
pub(crate) fn store_stat<'py>(py: Python<'py>, folder: PathBuf) -> PyResult<Bound<'py, PyDict>> {
    let stat = enter::long(py, || Store::open(&folder, reading())?.stat())?;
    let told = PyDict::new(py);
    let families = PyDict::new(py);
    for (family, held) in &stat.families {
        families.set_item(family.name(), (held.entries, held.bytes))?;
    }
    told.set_item("families", families)?;
    told.set_item("file_bytes", stat.file_bytes)?;
    told.set_item("free_bytes", stat.free_bytes)?;
    told.set_item("map_bytes", stat.map_bytes)?;
    Ok(told)
}

/// Reads every row of a folder's store, and the head's state once more as a trie: how many rows, accounts and slots
/// there are, and what is wrong with them, a line each.
#[pyfunction]
pub(crate) fn store_check<'py>(py: Python<'py>, folder: PathBuf) -> PyResult<Bound<'py, PyDict>> {
    let (rows, state) = enter::long(py, || {
        let store = Store::open(&folder, reading())?;
        let rows = store.check()?;
        // What cannot be decoded cannot be held against anything.
        let state = if rows.faults.is_empty() { Some(check_state(&store)?) } else { None };
        Ok::<_, ChainError>((rows, state))
    })?;
    let state = state.unwrap_or_default();
    let faults = rows.faults.iter().map(ToString::to_string);
    let told = PyDict::new(py);
    told.set_item("rows", rows.rows)?;
    told.set_item("block", state.block.map(|block| block.number))?;
    told.set_item("accounts", state.accounts)?;
    told.set_item("slots", state.slots)?;
    told.set_item("faults", faults.chain(state.faults.iter().map(ToString::to_string)).collect::<Vec<_>>())?;
    Ok(told)
}

/// Writes a folder's store anew without what is free in it; its bytes before and after.
#[pyfunction]
pub(crate) fn store_compact(py: Python<'_>, folder: PathBuf) -> PyResult<(u64, u64)> {
    enter::long(py, || Store::compact(&folder))
}

fn reading() -> store::Options {
    store::Options { read_only: true, ..store::Options::default() }
}

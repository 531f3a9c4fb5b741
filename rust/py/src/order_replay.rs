//! A journal of orders played again: to prove each of its decisions, or to see what other settings would have done.

use std::path::PathBuf;

use orders::{
    Config, Core, Input, Note,
    build::Wiring,
    journal::{Entry, Journal, JournalError},
    sign::MemorySigner,
};
use pyo3::{prelude::*, types::PyDict};

use crate::{
    enter,
    key::PyKey,
    orders::{apply_settings, figures},
};

fn signer(py: Python<'_>, keys: &[Bound<'_, PyKey>]) -> PyResult<MemorySigner> {
    let mut signer = MemorySigner::new();
    for key in keys {
        enter::quick(py, || signer.add(&key.get().0.to_bytes()))?;
    }
    Ok(signer)
}

/// Plays a whole journal again, signs everything again, and compares each decision and each signed byte with what is
/// written. Gives the figures that come out, None for an empty journal. Changes nothing.
#[pyfunction]
pub(crate) fn verify_orders<'py>(
    py: Python<'py>,
    folder: PathBuf,
    chain_id: u64,
    keys: Vec<Bound<'py, PyKey>>,
) -> PyResult<Option<Bound<'py, PyDict>>> {
    let signer = Box::new(signer(py, &keys)?);
    let core = enter::long(py, move || orders::engine::verify(&folder, chain_id, signer))?;
    core.map(|core| figures(py, &core)).transpose()
}

/// Gives a journal's inputs to an engine with other settings. What comes out is what it would have decided, as far as the
/// world would have answered the same; with it, how many transactions it would have signed.
#[pyfunction]
pub(crate) fn replay_orders<'py>(
    py: Python<'py>,
    folder: PathBuf,
    chain_id: u64,
    keys: Vec<Bound<'py, PyKey>>,
    settings: &Bound<'py, PyDict>,
) -> PyResult<Option<Bound<'py, PyDict>>> {
    let wallet = signer(py, &keys)?;
    let mut first: Option<Config> = None;
    let mut inputs = Vec::new();
    let read = enter::long(py, || {
        Journal::read(&folder, chain_id, |record| {
            let now = record.now();
            match record.entry {
                Entry::Input { input: Input::Configured { config }, .. } if first.is_none() => first = Some(*config),
                Entry::Input { input: Input::Configured { .. }, .. } | Entry::Note(_) | Entry::Snapshot => {}
                Entry::Input { input, .. } => inputs.push((now, input)),
            }
            Ok::<_, JournalError>(())
        })?;
        Ok::<_, JournalError>((first, inputs))
    });
    let (Some(mut config), inputs) = read? else { return Ok(None) };
    apply_settings(&mut config, settings)?;
    let mut core = Core::new(config, Wiring::default(), Box::new(wallet));
    let signed = py.detach(|| {
        let mut signed = 0u64;
        for (now, input) in inputs {
            core.step(now, &input);
            core.take_outputs();
            signed += core.take_notes().iter().filter(|note| matches!(note, Note::Signed { .. })).count() as u64;
        }
        signed
    });
    let told = figures(py, &core)?;
    told.set_item("signed", signed)?;
    Ok(Some(told))
}

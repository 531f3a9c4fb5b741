//! A journal of orders played again: to prove each of its decisions, or to see what other settings would have done.

use std::path::PathBuf;

use chain::types::Address;
use orders::{
    Config, FailureCode,
    engine::Verified,
    sign::{MemorySigner, Signer},
    whatif::{Difference, Fate, WhatIf, what_if},
};
use pyo3::{
    prelude::*,
    types::{PyDict, PyList},
};

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

/// Plays a journal again, from its first record or, where that has gone, from its oldest snapshot; signs everything again,
/// and compares each decision and each signed byte with what is written. Gives the figures that come out and the record
/// that it began with, None for an empty journal. Changes nothing.
#[pyfunction]
pub(crate) fn verify_orders<'py>(
    py: Python<'py>,
    folder: PathBuf,
    chain_id: u64,
    keys: Vec<Bound<'py, PyKey>>,
) -> PyResult<Option<Bound<'py, PyDict>>> {
    let signer = Box::new(signer(py, &keys)?);
    let proved = enter::long(py, move || orders::engine::verify(&folder, chain_id, signer))?;
    let tell = |Verified { core, first }: Verified| {
        let told = figures(py, &core)?;
        told.set_item("first_record", first)?;
        Ok(told)
    };
    proved.map(tell).transpose()
}

/// Gives a journal's inputs to an engine as it was and to one with other settings. The figures of the other one; under
/// `orders` each order that would have gone another way, as it was and as it would have been.
#[pyfunction]
pub(crate) fn replay_orders<'py>(
    py: Python<'py>,
    folder: PathBuf,
    chain_id: u64,
    keys: Vec<Bound<'py, PyKey>>,
    settings: &Bound<'py, PyDict>,
) -> PyResult<Option<Bound<'py, PyDict>>> {
    let signers: [Box<dyn Signer>; 2] = [Box::new(signer(py, &keys)?), Box::new(signer(py, &keys)?)];
    // A wrong setting is named before anything is read.
    apply_settings(&mut Config::new(chain_id, Address::ZERO, Address::ZERO, Vec::new()), settings)?;
    let settings = settings.clone().unbind();
    let change = move |mut config: Config| {
        let applied = Python::attach(|py| apply_settings(&mut config, settings.bind(py)));
        assert!(applied.is_ok(), "the same settings were applied to another configuration");
        config
    };
    let played = enter::long(py, move || what_if(&folder, chain_id, signers, change))?;
    let Some(WhatIf { would, differences, .. }) = played else { return Ok(None) };
    let told = figures(py, &would)?;
    let orders = PyList::empty(py);
    for Difference { order_id, was, would } in &differences {
        let order = PyDict::new(py);
        order.set_item("order_id", order_id)?;
        order.set_item("was", fate(py, was)?)?;
        order.set_item("would", fate(py, would)?)?;
        orders.append(order)?;
    }
    told.set_item("orders", orders)?;
    Ok(Some(told))
}

fn fate<'py>(py: Python<'py>, fate: &Fate) -> PyResult<Bound<'py, PyDict>> {
    let told = PyDict::new(py);
    told.set_item("state", fate.sub.state().name())?;
    told.set_item("failure", fate.failure.map(FailureCode::name))?;
    told.set_item("signed", fate.signed)?;
    told.set_item("max_fee", fate.max_fee)?;
    told.set_item("realized_wei", fate.realized_wei)?;
    Ok(told)
}

//! What the order engine wants done, as plain tuples that start with a word: Python's table of doers goes by it.

use chain::types::{Address, B256, U256};
use orders::{
    Alert, Output, Want,
    presim::{Missing, Trial},
};
use pyo3::{
    prelude::*,
    types::{PyBytes, PyList, PyTuple},
};

/// What has to be done, as tuples that start with a word.
pub(crate) fn tell(py: Python<'_>, outputs: Vec<Output>) -> PyResult<Bound<'_, PyList>> {
    let list = PyList::empty(py);
    for output in outputs {
        list.append(row(py, output)?)?;
    }
    Ok(list)
}

/// As nodes write addresses.
pub(crate) fn hex(address: &Address) -> String {
    format!("{address:#x}")
}

pub(crate) fn place((address, slot): &(Address, U256)) -> (String, String) {
    (hex(address), B256::from(*slot).to_string())
}

fn text(hash: &B256) -> String {
    hash.to_string()
}

fn row(py: Python<'_>, output: Output) -> PyResult<Bound<'_, PyTuple>> {
    match output {
        Output::Send { endpoint, request, order_id, bytes } => {
            ("send", endpoint, request, order_id, PyBytes::new(py, &bytes)).into_pyobject(py)
        }
        Output::Answer { bytes } => ("answer", PyBytes::new(py, &bytes)).into_pyobject(py),
        Output::Alert(Alert { critical, name, order_id, text }) => {
            ("alert", critical, name, order_id, text).into_pyobject(py)
        }
        Output::Want(want) => match want {
            Want::Header { hash } => ("want_header", text(&hash)).into_pyobject(py),
            Want::Receipts { number, hash } => ("want_receipts", number, text(&hash)).into_pyobject(py),
            Want::Account { sender } => ("want_account", sender.to_checksum(None)).into_pyobject(py),
            // The engine has a simulator, and asks that.
            Want::Simulate { order_id, .. } => ("want_simulation", order_id).into_pyobject(py),
            Want::State { order_id, trial, missing } => {
                let Trial { from, to, input, gas_limit } = trial;
                let Missing { block, accounts, slots } = missing;
                let accounts: Vec<_> = accounts.iter().map(hex).collect();
                let slots: Vec<_> = slots.iter().map(place).collect();
                let call = (hex(&from), hex(&to), PyBytes::new(py, &input), gas_limit);
                ("want_state", order_id, text(&block), accounts, slots, call).into_pyobject(py)
            }
            Want::Lookup { sender, nonce, hashes } => {
                let hashes: Vec<_> = hashes.iter().map(text).collect();
                ("want_lookup", sender.to_checksum(None), nonce, hashes).into_pyobject(py)
            }
            Want::Signature { request, sender, payload, .. } => {
                ("want_signature", request, sender.to_checksum(None), PyBytes::new(py, &payload)).into_pyobject(py)
            }
            Want::Reason { order_id, hash } => ("want_reason", order_id, text(&hash)).into_pyobject(py),
            Want::Presence { order_id, hashes } => {
                ("want_presence", order_id, hashes.iter().map(text).collect::<Vec<_>>()).into_pyobject(py)
            }
        },
    }
}

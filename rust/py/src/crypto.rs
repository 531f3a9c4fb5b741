//! Hashing and signatures, for Python that checks what others signed.

use chain::types::{Signature, keccak256 as hash_of, keys};
use pyo3::{prelude::*, types::PyBytes};

use crate::{convert::argument, enter};

/// Keccak-256 of some bytes.
#[pyfunction]
pub(crate) fn keccak256<'py>(py: Python<'py>, data: &Bound<'_, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    let data = argument("data", data).bytes()?;
    Ok(PyBytes::new(py, hash_of(&data).as_slice()))
}

/// Who signed a hash: the address, from a signature as `Key.sign` gives it.
#[pyfunction]
pub(crate) fn recover(py: Python<'_>, digest: &Bound<'_, PyAny>, signature: &Bound<'_, PyAny>) -> PyResult<String> {
    let digest = argument("digest", digest).hash()?;
    let given = argument("signature", signature);
    let parsed = Signature::from_raw(&given.bytes()?);
    let parsed = parsed.map_err(|_| given.wrong("65 bytes: r, s, and 0, 1, 27 or 28"))?;
    let signer = enter::quick(py, || keys::recover(&digest, &parsed))?;
    Ok(signer.to_checksum(None))
}

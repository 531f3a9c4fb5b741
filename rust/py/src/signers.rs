//! Who signed: many signatures or transactions in one crossing.

use chain::{SignedHash, Submission};
use pyo3::{prelude::*, types::PyList};

use crate::{
    convert::{Argument, answers, argument},
    enter,
};

const HASH_BYTES: usize = 32;

/// `r`, `s`, and a byte for the recovery identifier.
const SIGNATURE_BYTES: usize = 65;

/// What Ethereum's older interfaces add to a recovery identifier.
const OFFSET: u8 = 27;

/// Who signed each hash: the address, or the error that says why there is none.
#[pyfunction]
pub(crate) fn signers<'py>(
    py: Python<'py>,
    hashes: &Bound<'py, PyAny>,
    signatures: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyList>> {
    let (hashes, signatures) = (argument("hashes", hashes), argument("signatures", signatures));
    let signed = pair(&hashes, &signatures)?;
    let found = enter::long(py, || chain::signers(&signed))?;
    answers(py, found.into_iter().map(|signer| signer.map(|address| address.to_checksum(None))))
}

/// Who sent each of these transactions: the address, or the error that says why there is none.
#[pyfunction]
pub(crate) fn senders<'py>(py: Python<'py>, transactions: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyList>> {
    let batch = argument("transactions", transactions).transactions()?;
    let batch = batch.into_iter().map(Submission::Raw).collect();
    let recovered = enter::long(py, || chain::recover(batch))?;
    answers(py, recovered.into_iter().map(|one| one.map(|recovered| recovered.sender.to_checksum(None))))
}

fn pair(hashes: &Argument<'_, '_>, signatures: &Argument<'_, '_>) -> PyResult<Vec<SignedHash>> {
    let hash_bytes = hashes.rows(HASH_BYTES, "32 bytes for each hash, packed or in a sequence")?;
    let signature_bytes = signatures.rows(SIGNATURE_BYTES, "65 bytes for each signature, packed or in a sequence")?;
    let (hashes, signatures_count) = (hash_bytes.len() / HASH_BYTES, signature_bytes.len() / SIGNATURE_BYTES);
    if hashes != signatures_count {
        return Err(signatures.wrong(&format!("one signature for each of {hashes} hashes")));
    }
    let rows = hash_bytes.as_chunks::<HASH_BYTES>().0.iter().zip(signature_bytes.as_chunks::<SIGNATURE_BYTES>().0);
    let signed = rows.map(|(hash, signature)| {
        let part = |from: usize| signature[from..from + 32].try_into().expect("32 bytes");
        let id = signature[64];
        // What is neither an identifier nor one with the offset stays what it is, for the error to name.
        let recovery_id = id.checked_sub(OFFSET).filter(|id| *id < 4).unwrap_or(id);
        SignedHash { hash: *hash, r: part(0), s: part(32), recovery_id }
    });
    Ok(signed.collect())
}

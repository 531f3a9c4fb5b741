//! Values across the border: Python's to ours with an error that names the argument, ours to Python's.
//!
//! Addresses are checksummed text, hashes `0x` text, data `bytes`, amounts `execlayer.Wei`, which is an `int`. Where an
//! address, hash or data is taken, text in hex and bytes will both do.

use chain::types::{AccessList, AccessListItem, Address, B256, Bytes, U256, primitives::hex};
use pyo3::{
    prelude::*,
    sync::PyOnceLock,
    types::{PyBool, PyBytes, PyInt, PyList, PyString, PyType},
};

use crate::error::{Reason, invalid_argument};

/// An argument of a call, with the name that errors call it by.
#[derive(Clone, Copy)]
pub(crate) struct Argument<'a, 'py> {
    name: &'static str,
    value: &'a Bound<'py, PyAny>,
}

/// Names an argument.
pub(crate) fn argument<'a, 'py>(name: &'static str, value: &'a Bound<'py, PyAny>) -> Argument<'a, 'py> {
    Argument { name, value }
}

impl<'py> Argument<'_, 'py> {
    /// The error that says what was expected here.
    pub(crate) fn wrong(&self, expected: &str) -> PyErr {
        invalid_argument(self.name, self.value, expected)
    }

    /// What was given.
    pub(crate) fn value(&self) -> &Bound<'py, PyAny> {
        self.value
    }

    /// A whole number from 0 to 2^64-1.
    pub(crate) fn u64(&self) -> PyResult<u64> {
        self.number("an int from 0 to 2**64 - 1")
    }

    /// A whole number from 0 to 2^128-1.
    pub(crate) fn u128(&self) -> PyResult<u128> {
        self.number("an int from 0 to 2**128 - 1")
    }

    /// A whole number from 0 to 2^256-1.
    pub(crate) fn u256(&self) -> PyResult<U256> {
        const EXPECTED: &str = "an int from 0 to 2**256 - 1";
        if !self.is_int() {
            return Err(self.wrong(EXPECTED));
        }
        if let Ok(small) = self.value.extract::<u64>() {
            return Ok(U256::from(small));
        }
        let bytes = self.value.call_method1("to_bytes", (32, "little")).map_err(|_| self.wrong(EXPECTED))?;
        Ok(U256::from_le_slice(bytes.cast::<PyBytes>()?.as_bytes()))
    }

    /// 20 bytes, or as many in hex; mixed case must be the right checksum (ERC-55).
    pub(crate) fn address(&self) -> PyResult<Address> {
        const EXPECTED: &str = "an address: 20 bytes, or 0x and 40 hex digits with a right checksum";
        let Ok(text) = self.value.cast::<PyString>() else {
            return Ok(Address::new(self.exactly(EXPECTED)?));
        };
        let text = text.to_str()?;
        let address: Address =
            text.strip_prefix("0x").and_then(|digits| digits.parse().ok()).ok_or_else(|| self.wrong(EXPECTED))?;
        let digits = &text[2..];
        let mixed = digits.bytes().any(|digit| digit.is_ascii_lowercase())
            && digits.bytes().any(|digit| digit.is_ascii_uppercase());
        if mixed && address.to_checksum(None) != text { Err(self.wrong(EXPECTED)) } else { Ok(address) }
    }

    /// 32 bytes, or as many in hex.
    pub(crate) fn hash(&self) -> PyResult<B256> {
        Ok(B256::new(self.exactly("32 bytes, or 0x and 64 hex digits")?))
    }

    /// A storage slot or its value: a whole number, 32 bytes, or as many in hex.
    pub(crate) fn word(&self) -> PyResult<B256> {
        if self.is_int() { Ok(B256::from(self.u256()?)) } else { self.hash() }
    }

    /// Any bytes, or hex with 0x.
    pub(crate) fn bytes(&self) -> PyResult<Bytes> {
        self.octets("bytes, or text in hex with 0x").map(Bytes::from)
    }

    /// Text.
    pub(crate) fn text(&self) -> PyResult<String> {
        self.value.extract().map_err(|_| self.wrong("text"))
    }

    /// Several transactions, each as its EIP-2718 bytes.
    pub(crate) fn transactions(&self) -> PyResult<Vec<Bytes>> {
        let items: Vec<Bound<'_, PyAny>> =
            self.value.extract().map_err(|_| self.wrong("a sequence of transactions' bytes"))?;
        items.iter().map(|item| argument("transaction", item).bytes()).collect()
    }

    /// Rows of so many bytes one after the other, from one buffer or a sequence of rows.
    pub(crate) fn rows(&self, width: usize, expected: &str) -> PyResult<Vec<u8>> {
        if let Ok(buffer) = pyo3::buffer::PyBuffer::<u8>::get(self.value) {
            let bytes = buffer.to_vec(self.value.py())?;
            return if bytes.len().is_multiple_of(width) { Ok(bytes) } else { Err(self.wrong(expected)) };
        }
        let rows: Vec<Bound<'_, PyAny>> = self.value.extract().map_err(|_| self.wrong(expected))?;
        let mut bytes = Vec::with_capacity(rows.len() * width);
        for row in &rows {
            let row = Argument { name: self.name, value: row }.octets(expected)?;
            if row.len() != width {
                return Err(self.wrong(expected));
            }
            bytes.extend(row);
        }
        Ok(bytes)
    }

    /// `[(address, [slot, …]), …]`.
    pub(crate) fn access_list(&self) -> PyResult<AccessList> {
        let wrong = |_| self.wrong("a list of (address, [slot, …])");
        let entries: Vec<(Bound<'_, PyAny>, Vec<Bound<'_, PyAny>>)> = self.value.extract().map_err(wrong)?;
        let entries = entries.iter().map(|(address, slots)| {
            let slots = slots.iter().map(|slot| argument("access_list slot", slot).word());
            Ok(AccessListItem {
                address: argument("access_list address", address).address()?,
                storage_keys: slots.collect::<PyResult<_>>()?,
            })
        });
        Ok(AccessList(entries.collect::<PyResult<_>>()?))
    }

    /// Whether it is a number at all; a bool is none.
    pub(crate) fn is_int(&self) -> bool {
        self.value.is_instance_of::<PyInt>() && !self.value.is_instance_of::<PyBool>()
    }

    fn number<T: for<'a> FromPyObject<'a, 'py>>(&self, expected: &str) -> PyResult<T> {
        if !self.is_int() {
            return Err(self.wrong(expected));
        }
        self.value.extract().map_err(|_| self.wrong(expected))
    }

    fn exactly<const N: usize>(&self, expected: &str) -> PyResult<[u8; N]> {
        self.octets(expected)?.try_into().map_err(|_| self.wrong(expected))
    }

    fn octets(&self, expected: &str) -> PyResult<Vec<u8>> {
        if let Ok(bytes) = self.value.cast::<PyBytes>() {
            return Ok(bytes.as_bytes().to_vec());
        }
        if let Ok(text) = self.value.cast::<PyString>() {
            let digits = text.to_str()?.strip_prefix("0x");
            return digits.and_then(|digits| hex::decode(digits).ok()).ok_or_else(|| self.wrong(expected));
        }
        let buffer = pyo3::buffer::PyBuffer::<u8>::get(self.value).map_err(|_| self.wrong(expected))?;
        buffer.to_vec(self.value.py())
    }
}

/// A list of answers, each the value or the exception that says why there is none.
pub(crate) fn answers<'py, T, E>(
    py: Python<'py>,
    answers: impl Iterator<Item = Result<T, E>>,
) -> PyResult<Bound<'py, PyList>>
where
    T: IntoPyObject<'py>,
    E: Reason,
{
    let list = PyList::empty(py);
    for answer in answers {
        match answer {
            Ok(answer) => list.append(answer)?,
            Err(error) => list.append(error.raise(py))?,
        }
    }
    Ok(list)
}

/// An amount as `execlayer.Wei`.
pub(crate) fn wei<'py>(py: Python<'py>, amount: impl Into<U256>) -> PyResult<Bound<'py, PyAny>> {
    static WEI: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    WEI.import(py, "execlayer.units", "Wei")?.call1((int(py, amount.into())?,))
}

/// A number as Python's int.
pub(crate) fn int(py: Python<'_>, number: U256) -> PyResult<Bound<'_, PyAny>> {
    if let Ok(small) = u64::try_from(number) {
        return Ok(small.into_pyobject(py)?.into_any());
    }
    let bytes = PyBytes::new(py, &number.to_le_bytes::<32>());
    py.get_type::<PyInt>().call_method1("from_bytes", (bytes, "little"))
}

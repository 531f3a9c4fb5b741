//! Secret keys: sign, and tell the address.

use chain::types::{B256, Key, Transaction, TxKind, tx};
use orders::keystore;
use pyo3::{prelude::*, types::PyBytes};

use crate::{convert::argument, enter, error::invalid_argument};

/// A secret key. It never shows itself; ask `secret` where it is needed.
#[pyclass(name = "Key", module = "execlayer._core", frozen, eq)]
#[derive(PartialEq)]
pub(crate) struct PyKey(pub(crate) Key);

#[pymethods]
impl PyKey {
    #[new]
    fn new(py: Python<'_>, secret: &Bound<'_, PyAny>) -> PyResult<Self> {
        let secret = argument("secret", secret).hash()?;
        enter::quick(py, || Key::from_bytes(&secret)).map(Self)
    }

    /// The key in a keystore of version 3. It stays on this side.
    #[staticmethod]
    fn from_keystore(py: Python<'_>, json: &[u8], password: &[u8]) -> PyResult<Self> {
        let secret = enter::long(py, || keystore::open(json, password))?;
        enter::quick(py, || Key::from_bytes(&B256::new(*secret))).map(Self)
    }

    /// The account that it signs for.
    #[getter]
    fn address(&self) -> String {
        self.0.address().to_checksum(None)
    }

    /// The key itself.
    #[getter]
    fn secret<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, self.0.to_bytes().as_slice())
    }

    /// The EIP-2718 bytes of a signed transaction: with a fee cap and a tip, or with one gas price in the older form.
    #[pyo3(signature = (*, chain_id, nonce, gas_limit, to=None, value, data, max_fee_per_gas=None,
        max_priority_fee_per_gas=None, gas_price=None, access_list=None))]
    #[expect(clippy::too_many_arguments, reason = "as many as a transaction has fields; all go by name")]
    fn sign_transaction<'py>(
        &self,
        py: Python<'py>,
        chain_id: &Bound<'py, PyAny>,
        nonce: &Bound<'py, PyAny>,
        gas_limit: &Bound<'py, PyAny>,
        to: Option<&Bound<'py, PyAny>>,
        value: &Bound<'py, PyAny>,
        data: &Bound<'py, PyAny>,
        max_fee_per_gas: Option<&Bound<'py, PyAny>>,
        max_priority_fee_per_gas: Option<&Bound<'py, PyAny>>,
        gas_price: Option<&Bound<'py, PyAny>>,
        access_list: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let chain_id = argument("chain_id", chain_id).u64()?;
        let nonce = argument("nonce", nonce).u64()?;
        let gas_limit = argument("gas_limit", gas_limit).u64()?;
        let to = match to {
            Some(to) => TxKind::Call(argument("to", to).address()?),
            None => TxKind::Create,
        };
        let value = argument("value", value).u256()?;
        let input = argument("data", data).bytes()?;
        let access_list = access_list.map(|list| argument("access_list", list).access_list()).transpose()?;
        let fee = |name, fee: Option<&Bound<'py, PyAny>>| fee.map(|fee| argument(name, fee).u128()).transpose();
        let cap = fee("max_fee_per_gas", max_fee_per_gas)?;
        let tip = fee("max_priority_fee_per_gas", max_priority_fee_per_gas)?;
        let price = fee("gas_price", gas_price)?;
        let signed = match (cap, tip, price, access_list) {
            (Some(max_fee_per_gas), tip, None, access_list) => {
                let max_priority_fee_per_gas = tip.unwrap_or_default();
                let access_list = access_list.unwrap_or_default();
                let unsigned = tx::TxEip1559 {
                    chain_id,
                    nonce,
                    gas_limit,
                    max_fee_per_gas,
                    max_priority_fee_per_gas,
                    to,
                    value,
                    access_list,
                    input,
                };
                Transaction::sign(unsigned, &self.0)
            }
            (None, None, Some(gas_price), Some(access_list)) => {
                let unsigned = tx::TxEip2930 { chain_id, nonce, gas_price, gas_limit, to, value, access_list, input };
                Transaction::sign(unsigned, &self.0)
            }
            (None, None, Some(gas_price), None) => {
                let unsigned = tx::TxLegacy { chain_id: Some(chain_id), nonce, gas_price, gas_limit, to, value, input };
                Transaction::sign(unsigned, &self.0)
            }
            _ => {
                let fees = (max_fee_per_gas, max_priority_fee_per_gas, gas_price).into_pyobject(py)?;
                let expected = "max_fee_per_gas (and max_priority_fee_per_gas), or gas_price alone";
                return Err(invalid_argument("fees", &fees.into_any(), expected));
            }
        };
        Ok(PyBytes::new(py, &signed.to_bytes()))
    }

    /// Signs a 32-byte hash: r, s, and 27 or 28, in 65 bytes.
    fn sign<'py>(&self, py: Python<'py>, digest: &Bound<'_, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
        let digest = argument("digest", digest).hash()?;
        Ok(PyBytes::new(py, &self.0.sign(&digest).as_bytes()))
    }

    fn __repr__(&self) -> String {
        format!("Key({})", self.address())
    }

    fn __hash__(&self) -> u64 {
        let bytes = self.0.address().into_array();
        u64::from_le_bytes(bytes[..8].try_into().expect("an address has 20 bytes"))
    }
}

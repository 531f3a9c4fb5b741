//! A block with what it holds, as a value.

use std::sync::Arc;

use chain::{
    StoredBlock,
    types::{Block, Header, U256},
};
use pyo3::{
    exceptions::PyIndexError,
    prelude::*,
    types::{PyBytes, PyList, PySlice},
};

use crate::{
    convert::{int, wei},
    receipt::PyReceipt,
    show::Show,
    transaction::PyTransaction,
};

/// A block with its transactions and receipts.
#[pyclass(name = "Block", module = "execlayer._core", frozen)]
pub(crate) struct PyBlock(pub(crate) Arc<StoredBlock>);

impl PyBlock {
    fn header(&self) -> &Header {
        &self.0.header
    }
}

#[pymethods]
impl PyBlock {
    /// Height; the first block has 0.
    #[getter]
    fn number(&self) -> u64 {
        self.0.id.number
    }

    /// Keccak-256 of the header.
    #[getter]
    fn hash(&self) -> String {
        self.0.id.hash.to_string()
    }

    /// The block before.
    #[getter]
    fn parent_hash(&self) -> String {
        self.header().parent_hash.to_string()
    }

    /// Seconds since 1970.
    #[getter]
    fn timestamp(&self) -> u64 {
        self.header().timestamp
    }

    /// Who got the tips.
    #[getter]
    fn beneficiary(&self) -> String {
        self.header().beneficiary.to_checksum(None)
    }

    /// Gas of all transactions.
    #[getter]
    fn gas_used(&self) -> u64 {
        self.header().gas_used
    }

    /// Most gas of all transactions.
    #[getter]
    fn gas_limit(&self) -> u64 {
        self.header().gas_limit
    }

    /// What a unit of gas cost at least; None before London.
    #[getter]
    fn base_fee<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.header().base_fee_per_gas.map(|fee| wei(py, U256::from(fee))).transpose()
    }

    /// Root over all accounts after the block.
    #[getter]
    fn state_root(&self) -> String {
        self.header().state_root.to_string()
    }

    /// Root over the transactions.
    #[getter]
    fn transactions_root(&self) -> String {
        self.header().transactions_root.to_string()
    }

    /// Root over the receipts.
    #[getter]
    fn receipts_root(&self) -> String {
        self.header().receipts_root.to_string()
    }

    /// Proof-of-work difficulty; 0 after the merge.
    #[getter]
    fn difficulty<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        int(py, self.header().difficulty)
    }

    /// What PREVRANDAO gives.
    #[getter]
    fn prev_randao(&self) -> String {
        self.header().mix_hash.to_string()
    }

    /// The free bytes of the header.
    #[getter]
    fn extra_data<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.header().extra_data)
    }

    /// Gas of the blobs; None before Cancun.
    #[getter]
    fn blob_gas_used(&self) -> Option<u64> {
        self.header().blob_gas_used
    }

    /// Checksum of the lattice hash over all accounts after the block.
    #[getter]
    fn lattice(&self) -> String {
        self.0.tally.lattice.to_string()
    }

    /// Wei that nobody has any more since this block.
    #[getter]
    fn burned<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        wei(py, self.0.tally.burned)
    }

    /// Wei that its beneficiary got from its transactions.
    #[getter]
    fn fees<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        wei(py, self.0.tally.fees)
    }

    /// All wei burned up to and with this block.
    #[getter]
    fn burned_total<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        wei(py, self.0.tally.burned_total)
    }

    /// All fees up to and with this block.
    #[getter]
    fn fees_total<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        wei(py, self.0.tally.fees_total)
    }

    /// The transactions, in order.
    #[getter]
    fn transactions(&self) -> Transactions {
        Transactions::of(&self.0)
    }

    /// How each transaction ended, in order.
    #[getter]
    fn receipts(&self) -> Receipts {
        Receipts::of(&self.0)
    }

    /// The block's RLP, as Ethereum's nodes exchange it.
    #[getter]
    fn raw<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        let block = Block { header: self.0.header.clone(), body: self.0.body.clone() };
        PyBytes::new(py, &chain::types::rlp::encode(block))
    }

    fn __eq__(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }

    fn __hash__(&self) -> u64 {
        u64::from_le_bytes(self.0.id.hash[..8].try_into().expect("a hash has 32 bytes"))
    }

    fn __repr__(&self) -> String {
        self.line()
    }

    fn _repr_html_(&self) -> String {
        self.table()
    }
}

impl Show for PyBlock {
    const NAME: &'static str = "Block";

    fn fields(&self) -> Vec<(&'static str, String)> {
        let header = self.header();
        vec![
            ("number", header.number.to_string()),
            ("hash", self.hash()),
            ("transactions", self.0.body.transactions.len().to_string()),
            ("gas_used", header.gas_used.to_string()),
            ("timestamp", header.timestamp.to_string()),
        ]
    }
}

/// A sequence over a block that makes its items when they are asked for: a block of 10,000 costs nothing until then.
macro_rules! sequence {
    ($(#[$doc:meta])* $name:ident of $item:ident over $list:expr, each $make:expr) => {
        $(#[$doc])*
        #[pyclass(module = "execlayer._core", frozen, sequence)]
        pub(crate) struct $name(Arc<StoredBlock>);

        impl $name {
            pub(crate) fn of(block: &Arc<StoredBlock>) -> Self {
                Self(Arc::clone(block))
            }

            fn length(&self) -> usize {
                let list: fn(&StoredBlock) -> usize = $list;
                list(&self.0)
            }

            fn item(&self, index: usize) -> $item {
                let make: fn(&Arc<StoredBlock>, usize) -> $item = $make;
                make(&self.0, index)
            }
        }

        #[pymethods]
        impl $name {
            fn __len__(&self) -> usize {
                self.length()
            }

            fn __getitem__<'py>(&self, py: Python<'py>, index: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
                let length = self.length() as isize;
                if let Ok(slice) = index.cast::<PySlice>() {
                    let range = slice.indices(length)?;
                    let items = (0..range.slicelength).map(|at| {
                        self.item((range.start + at as isize * range.step) as usize)
                    });
                    return Ok(PyList::new(py, items.collect::<Vec<_>>())?.into_any());
                }
                let index: isize = index.extract()?;
                let place = if index < 0 { index + length } else { index };
                if !(0..length).contains(&place) {
                    return Err(PyIndexError::new_err(format!("index {index} of {length}")));
                }
                Ok(Bound::new(py, self.item(place as usize))?.into_any())
            }

            fn __iter__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
                let builtins = slf.py().import("builtins")?;
                let places = builtins.call_method1("range", (slf.get().length(),))?;
                builtins.call_method1("map", (slf.getattr("__getitem__")?, places))
            }

            fn __repr__(&self) -> String {
                format!("<{} {}>", self.length(), stringify!($name).to_lowercase())
            }
        }
    };
}

sequence! {
    /// The transactions of a block.
    Transactions of PyTransaction over |block| block.body.transactions.len(), each |block, index| PyTransaction::at(block, index)
}

sequence! {
    /// The receipts of a block.
    Receipts of PyReceipt over |block| block.receipts.len(), each |block, index| PyReceipt {
        block: Arc::clone(block),
        index,
    }
}

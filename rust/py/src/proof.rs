//! Proofs: taken from a chain, and verified from a root alone. Values cross as plain tuples; `execlayer/proofs.py` gives
//! them names.

use chain::{
    BlockList,
    state::roots::proof,
    types::{B256, Bytes, LeafAccount, Receipt, receipt::Outcome},
};
use pyo3::{
    prelude::*,
    types::{PyBytes, PyList},
};

use crate::{
    chain::{PyChain, block_ref},
    convert::{argument, int},
    enter,
    error::UnknownTransaction,
};

/// Nonce, balance, storage root, code hash.
type Account<'py> = (u64, Bound<'py, PyAny>, String, String);

/// A slot, what it holds, its proof.
type Slot<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>, Bound<'py, PyList>);

/// Address, topics, data.
type Log<'py> = (String, Vec<String>, Bound<'py, PyBytes>);

fn account_to_python(py: Python<'_>, leaf: LeafAccount) -> PyResult<Account<'_>> {
    let LeafAccount { nonce, balance, storage_root, code_hash } = leaf;
    Ok((nonce, int(py, balance)?, storage_root.to_string(), code_hash.to_string()))
}

fn nodes_to_python<'py>(py: Python<'py>, nodes: &[Bytes]) -> PyResult<Bound<'py, PyList>> {
    PyList::new(py, nodes.iter().map(|node| PyBytes::new(py, node)))
}

fn nodes_of(nodes: &[Bound<'_, PyAny>]) -> PyResult<Vec<Bytes>> {
    nodes.iter().map(|node| argument("proof", node).bytes()).collect()
}

fn root_of(root: &Bound<'_, PyAny>) -> PyResult<B256> {
    argument("root", root).hash()
}

/// What a proof says of an account under a state root; None: there is none.
#[pyfunction]
pub(crate) fn verify_account<'py>(
    py: Python<'py>,
    root: &Bound<'py, PyAny>,
    address: &Bound<'py, PyAny>,
    proof: Vec<Bound<'py, PyAny>>,
) -> PyResult<Option<Account<'py>>> {
    let (root, address, nodes) = (root_of(root)?, argument("address", address).address()?, nodes_of(&proof)?);
    let leaf = enter::quick(py, || proof::verify_account(root, &address, &nodes))?;
    leaf.map(|leaf| account_to_python(py, leaf)).transpose()
}

/// What a proof says of a slot under a storage root; 0: it holds nothing.
#[pyfunction]
pub(crate) fn verify_slot<'py>(
    py: Python<'py>,
    root: &Bound<'py, PyAny>,
    slot: &Bound<'py, PyAny>,
    proof: Vec<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let (root, slot, nodes) = (root_of(root)?, argument("slot", slot).word()?.into(), nodes_of(&proof)?);
    int(py, enter::quick(py, || proof::verify_slot(root, &slot, &nodes))?)
}

/// What a proof says of an item of a block's list under its root; None: the list has no such item.
#[pyfunction]
pub(crate) fn verify_item<'py>(
    py: Python<'py>,
    root: &Bound<'py, PyAny>,
    index: &Bound<'py, PyAny>,
    proof: Vec<Bound<'py, PyAny>>,
) -> PyResult<Option<Bound<'py, PyBytes>>> {
    let (root, nodes) = (root_of(root)?, nodes_of(&proof)?);
    let index = argument("index", index).u64()? as usize;
    let item = enter::quick(py, || proof::verify_item(root, index, &nodes))?;
    Ok(item.map(|item| PyBytes::new(py, &item)))
}

/// What a proof says of a key of any trie under its root; None: it holds nothing.
#[pyfunction]
pub(crate) fn verify_key<'py>(
    py: Python<'py>,
    root: &Bound<'py, PyAny>,
    key: &Bound<'py, PyAny>,
    proof: Vec<Bound<'py, PyAny>>,
) -> PyResult<Option<Bound<'py, PyBytes>>> {
    let (root, key, nodes) = (root_of(root)?, argument("key", key).bytes()?, nodes_of(&proof)?);
    let value = enter::quick(py, || proof::verify(root, &key, &nodes))?;
    Ok(value.map(|value| PyBytes::new(py, &value)))
}

/// What a proof says of a receipt: success (None before Byzantium, where a state root stands for it), gas used up to it,
/// logs. None: there is no such receipt.
#[pyfunction]
#[allow(clippy::type_complexity)]
pub(crate) fn verify_receipt<'py>(
    py: Python<'py>,
    root: &Bound<'py, PyAny>,
    index: &Bound<'py, PyAny>,
    proof: Vec<Bound<'py, PyAny>>,
) -> PyResult<Option<(Option<bool>, u64, Vec<Log<'py>>)>> {
    let (root, nodes) = (root_of(root)?, nodes_of(&proof)?);
    let index = argument("index", index).u64()? as usize;
    let receipt = enter::quick(py, || {
        let Some(item) = proof::verify_item(root, index, &nodes)? else { return Ok(None) };
        Receipt::from_bytes(&item).map(Some).map_err(proof::ProofError::Value)
    })?;
    let Some(receipt) = receipt else { return Ok(None) };
    let success = match receipt.outcome {
        Outcome::Status(success) => Some(success),
        Outcome::StateRoot(_) => None,
    };
    let log = |log: &chain::types::Log| {
        let topics = log.topics().iter().map(ToString::to_string).collect();
        (log.address.to_checksum(None), topics, PyBytes::new(py, &log.data.data))
    };
    Ok(Some((success, receipt.cumulative_gas_used, receipt.logs.iter().map(log).collect())))
}

/// Proves an account and slots of it: block hash, state root, account, its proof, slots.
#[pyfunction]
#[allow(clippy::type_complexity)]
pub(crate) fn prove_account<'py>(
    py: Python<'py>,
    chain: &PyChain,
    address: &Bound<'py, PyAny>,
    slots: Vec<Bound<'py, PyAny>>,
    at: &Bound<'py, PyAny>,
) -> PyResult<(String, String, Option<Account<'py>>, Bound<'py, PyList>, Vec<Slot<'py>>)> {
    let chain = chain.chain(py)?;
    let address = argument("address", address).address()?;
    let slots = slots.iter().map(|slot| argument("slot", slot).word().map(Into::into));
    let slots = slots.collect::<PyResult<Vec<_>>>()?;
    let at = block_ref("at", at)?;
    let proven = enter::long(py, || chain.prove(&address, &slots, at))?;
    let account = proven.account.account.map(|leaf| account_to_python(py, leaf)).transpose()?;
    let slots = proven
        .slots
        .iter()
        .map(|(slot, proof)| Ok((int(py, *slot)?, int(py, proof.value)?, nodes_to_python(py, &proof.nodes)?)));
    let slots = slots.collect::<PyResult<_>>()?;
    let nodes = nodes_to_python(py, &proven.account.nodes)?;
    Ok((proven.block.hash.to_string(), proven.state_root.to_string(), account, nodes, slots))
}

/// Proves a transaction, or its receipt: block hash, root, index, the item, its proof.
#[pyfunction]
#[allow(clippy::type_complexity)]
pub(crate) fn prove_item<'py>(
    py: Python<'py>,
    chain: &PyChain,
    transaction: &Bound<'py, PyAny>,
    receipt: bool,
) -> PyResult<(String, String, usize, Bound<'py, PyBytes>, Bound<'py, PyList>)> {
    let chain = chain.chain(py)?;
    let hash = argument("transaction", transaction).hash()?;
    let list = if receipt { BlockList::Receipts } else { BlockList::Transactions };
    let proven = enter::long(py, || chain.prove_item(list, &hash))?;
    let proven = proven.ok_or_else(|| crate::error::Reason::raise(&UnknownTransaction { hash }, py))?;
    let item = PyBytes::new(py, &proven.item);
    let nodes = nodes_to_python(py, &proven.nodes)?;
    Ok((proven.block.hash.to_string(), proven.root.to_string(), proven.index, item, nodes))
}

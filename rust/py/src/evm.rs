//! Where calls are tried: on a chain's state, or on a state of plain values.

use std::{collections::BTreeMap, sync::Arc};

use chain::{
    View,
    evm::{BlockEnv, Fork},
    exec::call::{AccountOverride, Alike, BlockOverrides, CallRequest, Columns, Desk, REASONS, StateOverrides},
    state::MemoryState,
    types::{Address, Bytes, Recovered, Transaction, U256},
};
use pyo3::{
    exceptions::PyValueError,
    prelude::*,
    types::{PyBytes, PyDict, PyList, PyTuple},
};

use crate::{
    chain::{PyChain, block_ref},
    convert::{Argument, argument},
    enter,
    error::{CallFailed, Reason, invalid_argument},
    outcome::PyOutcome,
    spec::PySpec,
    trace::PyTrace,
};

/// Accounts, as a state of their own.
#[pyclass(name = "State", module = "execlayer._core", frozen)]
pub(crate) struct PyState(Arc<MemoryState>);

#[pymethods]
impl PyState {
    #[new]
    fn new(accounts: &Bound<'_, PyDict>) -> PyResult<Self> {
        let mut state = MemoryState::default();
        for (address, account) in accounts {
            let address = argument("address", &address).address()?;
            let fields = account.cast::<PyDict>().map_err(|_| argument("account", &account).wrong("a dict"))?;
            let (mut nonce, mut balance, mut code) = (0, U256::ZERO, Bytes::new());
            for (name, value) in fields {
                match &*name.str()?.to_cow()? {
                    "nonce" => nonce = argument("nonce", &value).u64()?,
                    "balance" => balance = argument("balance", &value).u256()?,
                    "code" => code = argument("code", &value).bytes()?,
                    "storage" => {
                        for (slot, value) in slots(argument("storage", &value))? {
                            state.set_storage(address, slot, value);
                        }
                    }
                    _ => return Err(argument("field of an account", &name).wrong("balance, nonce, code or storage")),
                }
            }
            state.insert(address, nonce, balance, code);
        }
        Ok(Self(Arc::new(state)))
    }

    /// This state with what an outcome changed.
    fn after(&self, outcome: &PyOutcome) -> PyResult<Self> {
        let held = &self.0;
        for (address, change) in &outcome.diff.accounts {
            let slot = |key| View::storage(&**held, address, key).unwrap_or_default();
            let starts_here = held.accounts.get(address) == change.before.as_ref()
                && change.slots.iter().all(|change| slot(&change.key) == change.before);
            if !starts_here {
                return Err(PyValueError::new_err(format!("the outcome is of another state: {address} differs")));
            }
        }
        let mut state = MemoryState::clone(held);
        state.apply(&outcome.diff);
        Ok(Self(Arc::new(state)))
    }

    /// The accounts, as the constructor takes them.
    fn accounts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let accounts = PyDict::new(py);
        let sorted: BTreeMap<_, _> = self.0.accounts.iter().collect();
        for (address, account) in sorted {
            let fields = PyDict::new(py);
            fields.set_item("balance", crate::convert::wei(py, account.balance)?)?;
            fields.set_item("nonce", account.nonce)?;
            let code = self.0.codes.get(&account.code_hash);
            fields.set_item("code", PyBytes::new(py, code.map_or(&[], |code| code)))?;
            let storage = PyDict::new(py);
            for (slot, value) in self.0.storage.get(address).into_iter().flatten() {
                storage.set_item(crate::convert::int(py, *slot)?, crate::convert::int(py, *value)?)?;
            }
            fields.set_item("storage", storage)?;
            accounts.set_item(address.to_checksum(None), fields)?;
        }
        Ok(accounts)
    }

    fn __len__(&self) -> usize {
        self.0.accounts.len()
    }

    fn __eq__(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

/// Slots by number.
fn slots(given: Argument<'_, '_>) -> PyResult<BTreeMap<U256, U256>> {
    let slots = given.value().cast::<PyDict>().map_err(|_| given.wrong("a dict of slots"))?;
    slots
        .iter()
        .map(|(slot, value)| {
            Ok((argument("slot", &slot).word()?.into(), argument("slot's value", &value).word()?.into()))
        })
        .collect()
}

/// An entry of an access list: account and slots.
type Listed = (String, Vec<String>);

/// A state, a block and rules, where calls are tried. Nothing that is done here changes anything.
#[pyclass(name = "Desk", module = "execlayer._core", frozen)]
pub(crate) struct PyDesk(Desk);

/// A block on a state that has none: what calls see unless they want it otherwise.
fn plain_block(fork: Fork) -> BlockEnv {
    BlockEnv {
        number: 1,
        timestamp: 1,
        gas_limit: 30_000_000,
        base_fee: (fork >= Fork::London).then_some(0),
        excess_blob_gas: (fork >= Fork::Cancun).then_some(0),
        ..BlockEnv::default()
    }
}

fn read_block(fields: Option<&Bound<'_, PyDict>>) -> PyResult<BlockOverrides> {
    let mut block = BlockOverrides::default();
    for (name, value) in fields.into_iter().flatten() {
        match &*name.str()?.to_cow()? {
            "number" => block.number = Some(argument("number", &value).u64()?),
            "timestamp" => block.timestamp = Some(argument("timestamp", &value).u64()?),
            "gas_limit" => block.gas_limit = Some(argument("gas_limit", &value).u64()?),
            "beneficiary" => block.beneficiary = Some(argument("beneficiary", &value).address()?),
            "prev_randao" => block.prev_randao = Some(argument("prev_randao", &value).word()?),
            "difficulty" => block.difficulty = Some(argument("difficulty", &value).u256()?),
            "base_fee" => block.base_fee = Some(argument("base_fee", &value).u64()?),
            "blob_base_fee" => block.blob_base_fee = Some(argument("blob_base_fee", &value).u128()?),
            _ => {
                let known =
                    "number, timestamp, gas_limit, beneficiary, prev_randao, difficulty, base_fee, blob_base_fee";
                return Err(argument("field of a block", &name).wrong(&format!("one of {known}")));
            }
        }
    }
    Ok(block)
}

fn read_overrides(accounts: Option<&Bound<'_, PyDict>>) -> PyResult<StateOverrides> {
    let mut overrides = BTreeMap::new();
    for (address, fields) in accounts.into_iter().flatten() {
        let address = argument("address", &address).address()?;
        let fields =
            fields.cast::<PyDict>().map_err(|_| argument("overrides of an account", &fields).wrong("a dict"))?;
        let mut account = AccountOverride::default();
        for (name, value) in fields {
            match &*name.str()?.to_cow()? {
                "balance" => account.balance = Some(argument("balance", &value).u256()?),
                "nonce" => account.nonce = Some(argument("nonce", &value).u64()?),
                "code" => account.code = Some(argument("code", &value).bytes()?),
                "state" => account.state = Some(slots(argument("state", &value))?),
                "state_diff" => account.state_diff = Some(slots(argument("state_diff", &value))?),
                "move_precompile_to" => {
                    account.move_precompile_to = Some(argument("move_precompile_to", &value).address()?);
                }
                _ => {
                    let known = "balance, nonce, code, state, state_diff, move_precompile_to";
                    return Err(argument("override of an account", &name).wrong(&format!("one of {known}")));
                }
            }
        }
        overrides.insert(address, account);
    }
    Ok(StateOverrides(overrides))
}

/// A call, field by field; a nonce counts for transactions only.
fn read_request(fields: &Bound<'_, PyDict>) -> PyResult<(CallRequest, Option<u64>)> {
    let (mut request, mut nonce) = (CallRequest::default(), None);
    for (name, value) in fields {
        match &*name.str()?.to_cow()? {
            "to" if value.is_none() => {}
            "to" => request.to = Some(argument("to", &value).address()?),
            "data" => request.input = argument("data", &value).bytes()?,
            "sender" => request.from = argument("sender", &value).address()?,
            "value" => request.value = argument("value", &value).u256()?,
            "gas" => request.gas_limit = Some(argument("gas", &value).u64()?),
            "gas_price" => request.gas_price = Some(argument("gas_price", &value).u128()?),
            "max_fee" => request.max_fee_per_gas = Some(argument("max_fee", &value).u128()?),
            "tip" => request.max_priority_fee_per_gas = Some(argument("tip", &value).u128()?),
            "access_list" => request.access_list = argument("access_list", &value).access_list()?,
            "nonce" => nonce = Some(argument("nonce", &value).u64()?),
            _ => {
                let known = "to, data, sender, value, gas, gas_price, max_fee, tip, access_list, nonce";
                return Err(argument("field of a call", &name).wrong(&format!("one of {known}")));
            }
        }
    }
    Ok((request, nonce))
}

/// Calls of a batch: `(to, data)`, or `(to, data, value)`; all else is as in `like`.
fn read_calls(calls: &Bound<'_, PyList>, like: CallRequest) -> PyResult<Alike> {
    const EXPECTED: &str = "a tuple: (to, data), or (to, data, value)";
    let mut alike = Alike::new(like, calls.len());
    // Batches often call one contract: the same object is read once.
    let mut last: Option<(Bound<'_, PyAny>, Address)> = None;
    for call in calls {
        let parts = call.cast::<PyTuple>().map_err(|_| argument("call", &call).wrong(EXPECTED))?;
        if !(2..=3).contains(&parts.len()) {
            return Err(argument("call", &call).wrong(EXPECTED));
        }
        let (to, data) = (parts.get_item(0)?, parts.get_item(1)?);
        let address = match &last {
            Some((known, address)) if known.is(&to) => *address,
            _ => {
                let address = argument("to", &to).address()?;
                last = Some((to, address));
                address
            }
        };
        let value = if parts.len() == 3 { argument("value", &parts.get_item(2)?).u256()? } else { alike.like().value };
        match data.cast::<PyBytes>() {
            Ok(bytes) => alike.push(address, value, bytes.as_bytes()),
            Err(_) => alike.push(address, value, &argument("data", &data).bytes()?),
        }
    }
    Ok(alike)
}

impl PyDesk {
    /// What the transaction is: signed bytes, or a request whose sender is taken at its word.
    fn transaction(&self, py: Python<'_>, given: &Bound<'_, PyAny>) -> PyResult<Recovered> {
        if let Ok(fields) = given.cast::<PyDict>() {
            let (request, nonce) = read_request(fields)?;
            return enter::quick(py, || Ok::<_, CallFailed>(self.0.unsigned(&request, nonce)?));
        }
        let raw = argument("transaction", given).bytes()?;
        let transaction = Transaction::from_bytes(&raw).map_err(|error| error.raise(py))?;
        let sender = transaction.recover().map_err(|error| error.raise(py))?;
        Ok(Recovered::new(transaction, sender))
    }
}

#[pymethods]
impl PyDesk {
    /// On the state after a block of a chain, as the last thing in that block.
    #[staticmethod]
    #[pyo3(signature = (chain, at, spec=None, block=None, overrides=None))]
    fn on_chain(
        py: Python<'_>,
        chain: &PyChain,
        at: &Bound<'_, PyAny>,
        spec: Option<&PySpec>,
        block: Option<&Bound<'_, PyDict>>,
        overrides: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let at = block_ref("at", at)?;
        let (block, overrides) = (read_block(block)?, read_overrides(overrides)?);
        let chain = chain.chain(py)?;
        let desk = enter::quick(py, || {
            let desk = chain.desk_by(at, &block, spec.map(|spec| &spec.0))?;
            Ok::<_, CallFailed>(desk.with_state(&overrides)?)
        });
        desk.map(Self)
    }

    /// On a state of plain values.
    #[staticmethod]
    #[pyo3(signature = (state, spec, block=None, overrides=None))]
    fn on_state(
        py: Python<'_>,
        state: &PyState,
        spec: &PySpec,
        block: Option<&Bound<'_, PyDict>>,
        overrides: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let (wanted, overrides) = (read_block(block)?, read_overrides(overrides)?);
        let rules = |block: &BlockEnv| spec.0.rules(block.number, block.timestamp);
        let mut seen = plain_block(Fork::Frontier);
        wanted.apply(&mut seen);
        let mut seen = plain_block(rules(&seen).fork);
        wanted.apply(&mut seen);
        let state: Arc<dyn View> = Arc::<MemoryState>::clone(&state.0);
        enter::quick(py, || Ok::<_, CallFailed>(Desk::new(&spec.0, seen, None, state).with_state(&overrides)?))
            .map(Self)
    }

    /// The fork whose rules hold.
    #[getter]
    fn fork(&self) -> &'static str {
        self.0.rules().fork.name()
    }

    /// What a call does.
    fn call(&self, py: Python<'_>, request: &Bound<'_, PyDict>) -> PyResult<PyOutcome> {
        let (request, _) = read_request(request)?;
        let (executed, diff) = enter::long(py, || Ok::<_, CallFailed>(self.0.call_with_diff(&request)?))?;
        Ok(PyOutcome { executed, diff })
    }

    /// What a transaction does, with all that a block asks of one.
    fn transact(&self, py: Python<'_>, transaction: &Bound<'_, PyAny>) -> PyResult<PyOutcome> {
        let transaction = self.transaction(py, transaction)?;
        let (executed, diff) = enter::long(py, || Ok::<_, CallFailed>(self.0.transact(&transaction, None)?))?;
        Ok(PyOutcome { executed, diff })
    }

    /// What a call or, where bytes are given, a transaction does, step by step.
    #[pyo3(signature = (request, *, steps, memory))]
    fn trace(&self, py: Python<'_>, request: &Bound<'_, PyAny>, steps: bool, memory: bool) -> PyResult<PyTrace> {
        if let Ok(fields) = request.cast::<PyDict>() {
            let (request, _) = read_request(fields)?;
            return PyTrace::record(py, steps, memory, |tracer| Ok(self.0.trace_call(&request, tracer)?));
        }
        let transaction = self.transaction(py, request)?;
        PyTrace::record(py, steps, memory, |tracer| Ok(self.0.transact(&transaction, Some(tracer))?))
    }

    /// The least gas limit with which a call succeeds.
    fn estimate_gas(&self, py: Python<'_>, request: &Bound<'_, PyDict>) -> PyResult<u64> {
        let (request, _) = read_request(request)?;
        enter::long(py, || Ok::<_, CallFailed>(self.0.estimate_gas(&request)?))
    }

    /// What a call touches, as an access list, and how it goes with that.
    fn access_list(&self, py: Python<'_>, request: &Bound<'_, PyDict>) -> PyResult<(Vec<Listed>, PyOutcome)> {
        let (request, _) = read_request(request)?;
        let listed = enter::long(py, || Ok::<_, CallFailed>(self.0.access_list(&request)?))?;
        let items = listed.access_list.0.into_iter();
        let items = items
            .map(|item| (item.address.to_checksum(None), item.storage_keys.iter().map(ToString::to_string).collect()));
        Ok((items.collect(), PyOutcome { executed: listed.executed, diff: Default::default() }))
    }

    /// Many calls at once: bytes of the columns status, reason, gas used, ends of outputs, and all outputs.
    fn calls<'py>(
        &self,
        py: Python<'py>,
        calls: &Bound<'py, PyList>,
        like: &Bound<'py, PyDict>,
        threads: usize,
    ) -> PyResult<Bound<'py, PyTuple>> {
        if threads == 0 {
            return Err(invalid_argument("threads", threads.into_pyobject(py)?.as_any(), "1 or more"));
        }
        let calls = read_calls(calls, read_request(like)?.0)?;
        let columns = enter::long(py, || Ok::<_, CallFailed>(self.0.batch(&calls, threads)?))?;
        let Columns { status, reason, gas_used, ends, output } = columns;
        let wide = |numbers: Vec<u64>| {
            PyBytes::new_with(py, numbers.len() * 8, |bytes| {
                let (chunks, _) = bytes.as_chunks_mut::<8>();
                chunks.iter_mut().zip(numbers).for_each(|(chunk, number)| *chunk = number.to_ne_bytes());
                Ok(())
            })
        };
        let narrow = |bytes: &[u8]| PyBytes::new(py, bytes);
        PyTuple::new(py, [narrow(&status), narrow(&reason), wide(gas_used)?, wide(ends)?, narrow(&output)])
    }

    /// Names of the codes in the column of reasons.
    #[staticmethod]
    fn reasons() -> Vec<&'static str> {
        REASONS.to_vec()
    }
}

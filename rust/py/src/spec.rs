//! Which rules a chain follows, made of plain values; and code of the chain's own that is written in Python.

use std::sync::Arc;

use chain::{
    evm::{
        Activation, BlobParameters, ChainSpec, Changes, Fork, GasSchedule, HaltReason,
        precompiles::Answer,
        spec::{
            Cause, CustomOpcode, CustomPrecompile, Quit, Site,
            chain::Own,
            gas::{CONSTANTS, UNDEFINED},
            opcodes::OPCODES,
        },
    },
    types::{Address, Bytes, U256},
};
use pyo3::{
    prelude::*,
    sync::PyOnceLock,
    types::{PyBytes, PyDict, PyTuple, PyType},
};

use crate::{
    convert::{argument, int},
    error::{Reason, invalid_argument},
};

/// A chain's rules, checked. The Python side keeps the values it was made of.
#[pyclass(name = "Spec", module = "execlayer._core", frozen)]
pub(crate) struct PySpec(pub(crate) ChainSpec);

/// Byte, name, price, words taken, words left, function.
type Opcode<'py> = (Bound<'py, PyAny>, String, Bound<'py, PyAny>, u8, u8, Py<PyAny>);

/// Address, name, price or function of it, function.
type Precompile<'py> = (Bound<'py, PyAny>, String, Bound<'py, PyAny>, Py<PyAny>);

/// Name, what counts (block, total difficulty or time), from when on.
type Begin<'py> = (String, String, Bound<'py, PyAny>);

fn raised<T, E: Reason>(py: Python<'_>, result: Result<T, E>) -> PyResult<T> {
    result.map_err(|error| error.raise(py))
}

#[pymethods]
impl PySpec {
    #[new]
    #[pyo3(signature = (*, chain_id, forks, blobs, dao, glaciers, deposit_contract, assets, prices, opcodes, precompiles))]
    #[expect(clippy::too_many_arguments, reason = "by name, from one place")]
    fn new<'py>(
        py: Python<'py>,
        chain_id: &Bound<'py, PyAny>,
        forks: Vec<Begin<'py>>,
        blobs: Vec<(u64, u64, u64, u64)>,
        dao: Option<u64>,
        glaciers: [Option<u64>; 3],
        deposit_contract: &Bound<'py, PyAny>,
        assets: bool,
        prices: Vec<(String, Bound<'py, PyAny>)>,
        opcodes: Vec<Opcode<'py>>,
        precompiles: Vec<Precompile<'py>>,
    ) -> PyResult<Self> {
        let forks = forks.iter().map(|(name, what, from)| {
            let fork: Fork = raised(py, name.parse::<Fork>())?;
            let from = argument("a fork's beginning", from);
            let activation = match what.as_str() {
                "block" => Activation::Block(from.u64()?),
                "time" => Activation::Time(from.u64()?),
                _ => Activation::TotalDifficulty(from.u256()?),
            };
            Ok((fork, activation))
        });
        let blobs = blobs
            .into_iter()
            .map(|(time, target, max, update_fraction)| (time, BlobParameters { target, max, update_fraction }));
        let prices = prices.iter().map(|(name, price)| {
            let wrong = || invalid_argument(name, price, "a price: an int from 0 to 10**9");
            Ok((name.clone(), argument("price", price).u64().map_err(|_| wrong())?))
        });
        let mut changes = raised(py, Changes::priced(prices.collect::<PyResult<Vec<_>>>()?))?;
        for (byte, name, gas, inputs, outputs, function) in opcodes {
            let wrong = || invalid_argument("byte", &byte, "an int from 0 to 255");
            let at = argument("byte", &byte).u64().ok().and_then(|byte| u8::try_from(byte).ok()).ok_or_else(wrong)?;
            let gas = argument("gas", &gas).u64()?;
            let run = operation(function, outputs);
            let opcode = CustomOpcode { name, gas, inputs, outputs, consensus: false, run: Arc::new(run) };
            changes = raised(py, changes.with_opcode(at, opcode))?;
        }
        for (address, name, gas, function) in precompiles {
            let address = argument("address", &address).address()?;
            let price =
                if gas.is_callable() { Price::Asked(gas.unbind()) } else { Price::Fixed(argument("gas", &gas).u64()?) };
            let run = Arc::new(contract(function, price));
            changes = changes.with_precompile(address, CustomPrecompile { name, consensus: false, run });
        }
        let spec = ChainSpec {
            chain_id: argument("chain_id", chain_id).u64()?,
            forks: forks.collect::<PyResult<_>>()?,
            blobs: blobs.collect(),
            dao,
            glaciers,
            deposit_contract: argument("deposit_contract", deposit_contract).address()?,
            own: Own { assets },
            changes,
        };
        raised(py, spec.checked()).map(Self)
    }

    /// One fork from the first block on.
    #[staticmethod]
    fn at(py: Python<'_>, fork: &str, chain_id: &Bound<'_, PyAny>) -> PyResult<Self> {
        let fork = raised(py, fork.parse())?;
        Ok(Self(ChainSpec::at(argument("chain_id", chain_id).u64()?, fork)))
    }

    /// Ethereum itself.
    #[staticmethod]
    fn mainnet() -> Self {
        Self(ChainSpec::mainnet())
    }

    /// A ready schedule's prices.
    #[staticmethod]
    fn schedule(py: Python<'_>, name: &str) -> PyResult<Vec<(String, u64)>> {
        Ok(raised(py, Changes::named(name))?.prices().to_vec())
    }

    /// Every fork's name, oldest first.
    #[staticmethod]
    fn fork_names() -> Vec<&'static str> {
        Fork::ALL.into_iter().map(Fork::name).collect()
    }

    /// What this was made of, as the constructor takes it, but for code in Python.
    fn parts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let spec = &self.0;
        let forks = spec.forks.iter().map(|(fork, activation)| {
            let (what, from) = match activation {
                Activation::Block(block) => ("block", U256::from(*block)),
                Activation::Time(time) => ("time", U256::from(*time)),
                Activation::TotalDifficulty(total) => ("total_difficulty", *total),
            };
            Ok((fork.name(), what, int(py, from)?))
        });
        let blobs = spec.blobs.iter().map(|(time, blobs)| (*time, blobs.target, blobs.max, blobs.update_fraction));
        let parts = PyDict::new(py);
        parts.set_item("chain_id", spec.chain_id)?;
        parts.set_item("forks", forks.collect::<PyResult<Vec<_>>>()?)?;
        parts.set_item("blobs", blobs.collect::<Vec<_>>())?;
        parts.set_item("dao", spec.dao)?;
        parts.set_item("glaciers", spec.glaciers)?;
        parts.set_item("deposit_contract", spec.deposit_contract.to_checksum(None))?;
        parts.set_item("assets", spec.own.assets)?;
        parts.set_item("prices", spec.changes.prices().to_vec())?;
        Ok(parts)
    }

    /// The fork of a block.
    fn fork_at(&self, number: u64, timestamp: u64) -> &'static str {
        self.0.rules(number, timestamp).fork.name()
    }

    /// What everything costs at a fork: constants first, then opcodes.
    fn prices_at(&self, py: Python<'_>, fork: &str) -> PyResult<Vec<(String, u64)>> {
        let fork = raised(py, fork.parse())?;
        let schedule: &GasSchedule = self.0.changes.instructions(fork).schedule();
        let constants =
            CONSTANTS.iter().map(|name| ((*name).to_owned(), schedule.named_price(name).unwrap_or_default()));
        let opcodes = OPCODES.iter().zip(schedule.opcode).filter(|(_, price)| *price != UNDEFINED);
        let opcodes = opcodes.filter_map(|(opcode, price)| Some((opcode.as_ref()?.name.to_lowercase(), price.into())));
        Ok(constants.chain(opcodes).collect())
    }

    /// Whether everybody who follows these rules gets the same.
    #[getter]
    fn is_consensus(&self) -> bool {
        self.0.changes.custom().is_consensus()
    }
}

/// What an opcode written in Python sees of the frame in which it runs.
#[pyclass(name = "Site", module = "execlayer._core", frozen)]
pub(crate) struct PySite {
    address: Address,
    caller: Address,
    origin: Address,
    value: U256,
    input: Bytes,
    memory: Bytes,
    #[pyo3(get)]
    is_static: bool,
    #[pyo3(get)]
    gas: u64,
    #[pyo3(get)]
    block_number: u64,
    #[pyo3(get)]
    timestamp: u64,
    charged: std::sync::atomic::AtomicU64,
}

#[pymethods]
impl PySite {
    #[getter]
    fn address(&self) -> String {
        self.address.to_checksum(None)
    }

    #[getter]
    fn caller(&self) -> String {
        self.caller.to_checksum(None)
    }

    #[getter]
    fn origin(&self) -> String {
        self.origin.to_checksum(None)
    }

    #[getter]
    fn value<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        int(py, self.value)
    }

    #[getter]
    fn data<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.input)
    }

    #[getter]
    fn memory<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.memory)
    }

    /// Takes gas beside the fixed price, when the function has returned.
    fn charge(&self, gas: &Bound<'_, PyAny>) -> PyResult<()> {
        let gas = argument("gas", gas).u64()?;
        let add = |charged: u64| Some(charged.saturating_add(gas));
        let order = std::sync::atomic::Ordering::Relaxed;
        self.charged.fetch_update(order, order, add).map(drop).or(Ok(()))
    }
}

/// Whether the function wants the frame to halt, as code that breaks a rule does.
fn halts(py: Python<'_>, error: &PyErr) -> bool {
    static HALT: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    HALT.import(py, "execlayer.evm", "Halt").is_ok_and(|halt| error.is_instance(py, halt))
}

fn cause(py: Python<'_>, error: PyErr) -> Cause {
    let name = error.get_type(py).name().map_or_else(|_| "an error".to_owned(), |name| name.to_string());
    let text = format!("{name}: {}", error.value(py));
    Cause { text, value: Some(Arc::new(error)) }
}

/// An opcode's function: takes the site and the words, the top of the stack first, and gives a word or several.
fn operation(
    function: Py<PyAny>,
    outputs: u8,
) -> impl Fn(&mut Site<'_, '_, '_, '_>, &[U256]) -> Result<Vec<U256>, Quit> + Send + Sync {
    move |site, words| {
        let seen = PySite {
            address: site.address(),
            caller: site.caller(),
            origin: site.origin(),
            value: site.value(),
            input: site.input().clone(),
            memory: Bytes::copy_from_slice(site.memory_bytes()),
            is_static: site.is_static(),
            gas: site.gas(),
            block_number: site.block_number(),
            timestamp: site.timestamp(),
            charged: 0.into(),
        };
        let (words, charged) = Python::attach(|py| {
            let ask = || -> PyResult<_> {
                let seen = Bound::new(py, seen)?;
                let mut arguments = vec![seen.clone().into_any()];
                for word in words {
                    arguments.push(int(py, *word)?);
                }
                let answer = function.bind(py).call1(PyTuple::new(py, arguments)?)?;
                let word = |word: &Bound<'_, PyAny>| argument("an opcode's answer", word).u256();
                let words = match outputs {
                    0 if answer.is_none() => Vec::new(),
                    1 => vec![word(&answer)?],
                    _ => match answer.extract::<Vec<Bound<'_, PyAny>>>() {
                        Ok(words) if words.len() == outputs as usize => {
                            words.iter().map(word).collect::<PyResult<_>>()?
                        }
                        _ => {
                            let expected = if outputs == 0 { "None".to_owned() } else { format!("{outputs} words") };
                            return Err(invalid_argument("an opcode's answer", &answer, &expected));
                        }
                    },
                };
                let charged = seen.get().charged.load(std::sync::atomic::Ordering::Relaxed);
                Ok((words, charged))
            };
            ask().map_err(|error| match halts(py, &error) {
                true => Quit::from(HaltReason::CustomHalt),
                false => Quit::from(cause(py, error)),
            })
        })?;
        site.charge(charged)?;
        Ok(words)
    }
}

enum Price {
    Fixed(u64),
    /// A function of the input.
    Asked(Py<PyAny>),
}

/// A precompile's function: takes the input and gives the output, or None for input that it does not take.
fn contract(function: Py<PyAny>, price: Price) -> impl Fn(&Bytes, u64) -> Result<Answer, Cause> + Send + Sync {
    move |input, gas| {
        Python::attach(|py| {
            let ask = || -> PyResult<Answer> {
                let data = PyBytes::new(py, input);
                let gas_used = match &price {
                    Price::Fixed(gas) => *gas,
                    Price::Asked(ask) => argument("a precompile's price", &ask.bind(py).call1((&data,))?).u64()?,
                };
                if gas_used > gas {
                    return Ok(Answer::OutOfGas);
                }
                let answer = function.bind(py).call1((data,))?;
                if answer.is_none() {
                    return Ok(Answer::Failure);
                }
                Ok(Answer::Success { gas_used, output: argument("a precompile's answer", &answer).bytes()? })
            };
            ask().or_else(|error| if halts(py, &error) { Ok(Answer::Failure) } else { Err(cause(py, error)) })
        })
    }
}

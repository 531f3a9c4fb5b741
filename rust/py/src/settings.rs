//! How a chain is opened: settings as Python gives them, by name.

use std::sync::Arc;

use chain::{
    Ethash, History, Options,
    exec::Parallel,
    pool::{Class, Priorities},
    store,
    types::Address,
};
use pyo3::{
    prelude::*,
    types::{PyDict, PyString},
};

use crate::convert::argument;

/// All that can be chosen, for the chain and for the store below it.
#[derive(Default)]
pub(crate) struct Opening {
    pub(crate) chain: Options,
    pub(crate) store: store::Options,
}

/// Reads settings; a name that is none, or a value that can't be, is an error that names it.
pub(crate) fn read(settings: Option<&Bound<'_, PyDict>>) -> PyResult<Opening> {
    let mut opening = Opening::default();
    for (name, value) in settings.into_iter().flatten() {
        let name = name.cast::<PyString>()?.to_cow()?;
        if !set_store(&mut opening.store, &name, &value)? {
            set(&mut opening.chain, &name, &value)?;
        }
    }
    Ok(opening)
}

/// Sets what is the store's; whether it is. Which sizes make sense is the store's to say.
fn set_store(options: &mut store::Options, name: &str, value: &Bound<'_, PyAny>) -> PyResult<bool> {
    let bytes = |name: &'static str| -> PyResult<usize> {
        let wrong = || argument(name, value).wrong("a number of bytes");
        usize::try_from(argument(name, value).u64().map_err(|_| wrong())?).map_err(|_| wrong())
    };
    match name {
        "map_size" => options.map_size = bytes("map_size")?,
        "growth" => options.growth = bytes("growth")?,
        "read_cache_bytes" => options.read_cache_bytes = bytes("read_cache_bytes")?,
        "write_batch_bytes" => options.write_batch_bytes = bytes("write_batch_bytes")?,
        "durability" => {
            let named = value.extract::<String>().ok().and_then(|name| name.parse().ok());
            options.durability = named.ok_or_else(|| argument("durability", value).wrong("full, batched or none"))?;
        }
        "read_only" => options.read_only = flag("read_only", value)?,
        _ => return Ok(false),
    }
    Ok(true)
}

fn flag(name: &'static str, value: &Bound<'_, PyAny>) -> PyResult<bool> {
    value.extract().map_err(|_| argument(name, value).wrong("True or False"))
}

/// How far back states can be read: "archive", or a number of blocks.
fn history(value: &Bound<'_, PyAny>) -> PyResult<History> {
    if value.extract::<String>().is_ok_and(|name| name == "archive") {
        return Ok(History::Archive);
    }
    let blocks = argument("history", value).u64().ok().filter(|blocks| *blocks > 0);
    blocks.map(History::Window).ok_or_else(|| argument("history", value).wrong("archive, or an int above 0"))
}

/// Least and most bytes of the pool's memory.
const MEMORY_BYTES: std::ops::RangeInclusive<u64> = 1 << 20..=1 << 40;

/// Most threads of an executor.
const THREADS_MAX: u64 = 1_024;

/// Whether blocks run on several cores: "off", "on" or "auto"; False and True are the first two.
pub(crate) fn parallel(value: &Bound<'_, PyAny>) -> PyResult<Parallel> {
    if let Ok(on) = value.extract::<bool>() {
        return Ok(if on { Parallel::On } else { Parallel::Off });
    }
    match value.extract::<String>().as_deref() {
        Ok("off") => Ok(Parallel::Off),
        Ok("on") => Ok(Parallel::On),
        Ok("auto") => Ok(Parallel::Auto),
        _ => Err(argument("parallel", value).wrong("off, on, auto, True or False")),
    }
}

/// Threads of an executor.
pub(crate) fn threads(value: &Bound<'_, PyAny>) -> PyResult<usize> {
    let wrong = || argument("max_threads", value).wrong("an int from 1 to 1024");
    let count = argument("max_threads", value).u64().map_err(|_| wrong())?;
    if (1..=THREADS_MAX).contains(&count) { Ok(count as usize) } else { Err(wrong()) }
}

fn set(options: &mut Options, name: &str, value: &Bound<'_, PyAny>) -> PyResult<()> {
    let count = |name: &'static str, range: std::ops::RangeInclusive<u64>| -> PyResult<usize> {
        let number = argument(name, value).u64()?;
        let expected = || format!("an int from {} to {}", range.start(), range.end());
        if range.contains(&number) { Ok(number as usize) } else { Err(argument(name, value).wrong(&expected())) }
    };
    let share = |name: &'static str, most: f64| -> PyResult<f64> {
        let number: f64 = value.extract().map_err(|_| argument(name, value).wrong("a number"))?;
        let expected = || format!("a number above 0 and up to {most}");
        if number > 0.0 && number <= most { Ok(number) } else { Err(argument(name, value).wrong(&expected())) }
    };
    let (limits, adaptation) = (&mut options.pool.limits, &mut options.pool.adaptation);
    match name {
        "batch_size" => options.dispatch.batch_size = count("batch_size", 1..=1 << 20)?,
        "batch_memory" => options.dispatch.batch_memory_bytes = count("batch_memory", MEMORY_BYTES)?,
        "presimulate" => options.dispatch.presimulate = flag("presimulate", value)?,
        "parallel_workers" => options.workers = Some(count("parallel_workers", 1..=1024)?),
        "parallel" => options.parallel = parallel(value)?,
        "max_threads" => options.threads_max = Some(threads(value)?),
        "verify" => options.verify = flag("verify", value)?,
        "seals" => options.seals = flag("seals", value)?.then(|| Arc::new(Ethash::default())),
        "history" => options.history = history(value)?,
        "max_memory" => limits.memory_bytes = count("max_memory", MEMORY_BYTES)?,
        "max_transactions" => limits.transactions = count("max_transactions", 1..=100_000_000)?,
        "max_per_sender" => limits.per_sender = count("max_per_sender", 1..=100_000_000)?,
        "max_blob_transactions" => limits.blob_transactions = count("max_blob_transactions", 0..=100_000_000)?,
        "replacement_percent" => limits.replacement_percent = count("replacement_percent", 0..=100)? as u8,
        "remembered_senders" => options.pool.memory.senders = count("remembered_senders", 1..=100_000_000)?,
        "cache_size" => options.pool.memory.cache_entries = count("cache_size", 1..=100_000_000)?,
        "cache_seconds" => options.pool.memory.cache_seconds = count("cache_seconds", 0..=1 << 40)? as u64,
        "update_interval" => adaptation.update_interval = count("update_interval", 1..=1 << 40)? as u64,
        "fee_threshold" => adaptation.fee_threshold = share("fee_threshold", 1e9)?,
        "congestion_threshold" => adaptation.congestion_threshold = share("congestion_threshold", 1e9)?,
        "fee_weight" => {
            let weight = share("fee_weight", 0.8)?;
            if weight < 0.2 {
                return Err(argument("fee_weight", value).wrong("a number from 0.2 to 0.8"));
            }
            adaptation.fee_weight = (weight * 1000.0).round() as u16;
        }
        "priorities" => {
            let given =
                value.cast::<PyDict>().map_err(|_| argument("priorities", value).wrong("a mapping by class"))?;
            options.pool.priorities = priorities(given)?;
        }
        "system_senders" => {
            let senders = value.try_iter().map_err(|_| argument("system_senders", value).wrong("addresses"))?;
            let senders = senders.map(|sender| argument("system_senders", &sender?).address());
            options.pool.system_senders = senders.collect::<PyResult<Vec<Address>>>()?;
        }
        _ => {
            let name = PyString::new(value.py(), name).into_any();
            return Err(argument("settings", &name)
                .wrong("the name of a setting of execution, the store, the pool or the producer"));
        }
    }
    Ok(())
}

fn priorities(given: &Bound<'_, PyDict>) -> PyResult<Priorities> {
    const EXPECTED: &str = "a number above 0 and up to 1,000,000";
    let mut priorities = Priorities::default();
    for (name, value) in given {
        let class = Class::ALL.into_iter().find(|class| name.eq(class.name()).unwrap_or(false));
        let class = class.ok_or_else(|| {
            argument("priorities", &name).wrong("one of deploy, transfer, call, model, inference, training, system")
        })?;
        let priority: f64 = value.extract().map_err(|_| argument("priorities", &value).wrong(EXPECTED))?;
        if !(priority > 0.0 && priority <= 1e6) {
            return Err(argument("priorities", &value).wrong(EXPECTED));
        }
        priorities.0[class as usize] = priority;
    }
    Ok(priorities)
}

//! What waits: looked at, followed, put into an order of one's own.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use chain::{
    Chain, ChainError, ExecutionMetrics, PoolSubscription,
    pool::{Change, Class, DropReason, Obstacle, Pooled, ScoreError},
    types::U256,
};
use pyo3::{
    buffer::PyBuffer,
    prelude::*,
    types::{PyBytes, PyDict, PyList},
};

use crate::{
    convert::{argument, int},
    enter::{self, Source},
    error::Never,
    heads::duration,
};

/// The pool of a chain, which it keeps open.
#[pyclass(name = "Pool", module = "execlayer._core", frozen)]
pub(crate) struct PyPool(pub(crate) Arc<Chain>);

/// Transactions to choose from, as they were when they were asked for.
#[pyclass(name = "Candidates", module = "execlayer._core", frozen)]
pub(crate) struct PyCandidates {
    pub(crate) transactions: Vec<Arc<Pooled>>,
    base_fee: u64,
}

/// Follows a pool from where it was made.
#[pyclass(name = "PoolEvents", module = "execlayer._core", frozen)]
pub(crate) struct PyPoolEvents(Mutex<PoolSubscription>);

/// Most candidates that can be asked for: a million transfers are 21 blocks' worth of a billion gas.
const CANDIDATES_MAX: u64 = 1_000_000;

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// Numbers by class name; classes that have none are left out.
fn by_class<'py>(py: Python<'py>, counts: &[usize]) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for class in Class::ALL {
        dict.set_item(class.name(), counts[class as usize])?;
    }
    Ok(dict)
}

/// Writes a dictionary out, entry by entry.
macro_rules! dict {
    ($py:expr; $($name:literal: $value:expr),* $(,)?) => {{
        let dict = PyDict::new($py);
        $(dict.set_item($name, $value)?;)*
        dict
    }};
}

fn wide(py: Python<'_>, number: u128) -> PyResult<Bound<'_, PyAny>> {
    int(py, U256::from(number))
}

fn metrics<'py>(py: Python<'py>, metrics: &ExecutionMetrics) -> PyResult<Bound<'py, PyDict>> {
    let errors = PyDict::new(py);
    for (kind, count) in &metrics.errors {
        errors.set_item(kind, count)?;
    }
    Ok(dict! { py;
        "blocks": metrics.blocks,
        "processed": metrics.processed,
        "gas": metrics.gas,
        "mean_seconds": metrics.mean.as_secs_f64(),
        "p99_seconds": metrics.p99.as_secs_f64(),
        "cache_hit_rate": metrics.cache_hit_rate,
        "simd_utilisation": metrics.simd_utilisation,
        "errors": errors,
        "batch_size": metrics.batch_size,
        "aborted_batches": metrics.aborted_batches,
    })
}

fn obstacle<'py>(py: Python<'py>, obstacle: &Obstacle) -> PyResult<Bound<'py, PyDict>> {
    let fee =
        |field, required: &u128| -> PyResult<_> { Ok(dict! { py; "kind": field, "required": wide(py, *required)? }) };
    Ok(match obstacle {
        Obstacle::Gap { nonce } => dict! { py; "kind": "gap", "nonce": nonce },
        Obstacle::Predecessor { hash } => dict! { py; "kind": "predecessor", "hash": hash.to_string() },
        Obstacle::FeeCap { required } => fee("fee_cap", required)?,
        Obstacle::BlobFeeCap { required } => fee("blob_fee_cap", required)?,
        Obstacle::Tip { required } => fee("tip", required)?,
        Obstacle::Size => dict! { py; "kind": "size" },
    })
}

#[pymethods]
impl PyPool {
    /// How many wait.
    fn __len__(&self) -> usize {
        self.0.pool().len()
    }

    /// Sums over what waits.
    fn state<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let state = enter::read(py, Source::Elsewhere, || Ok::<_, Never>(self.0.pool().state(now_ms())))?;
        Ok(dict! { py;
            "total": state.total,
            "pending": state.pending,
            "queued": state.queued,
            "fee_rate": wide(py, state.fee_rate)?,
            "gas": state.gas,
            "size_bytes": state.size_bytes,
            "memory_bytes": state.memory_bytes,
            "oldest_seconds": state.oldest_ms.map(|age| age as f64 / 1e3),
            "classes": by_class(py, &state.classes)?,
            "blob_transactions": state.blob_transactions,
            "private": state.private,
        })
    }

    /// Fees times the priorities of their classes: float64, one after the other.
    fn score_batch<'py>(
        &self,
        py: Python<'py>,
        fees: &Bound<'py, PyAny>,
        classes: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let (given, wrong) = (argument("classes", classes), |_| argument("fees", fees).wrong("a buffer of float64"));
        let fees = PyBuffer::<f64>::get(fees).and_then(|fees| fees.to_vec(py)).map_err(wrong)?;
        let wrong = |_| given.wrong("a buffer of uint8");
        let classes = PyBuffer::<u8>::get(classes).and_then(|classes| classes.to_vec(py)).map_err(wrong)?;
        let scores = enter::long(py, || {
            let priorities = self.0.pool().settings().priorities;
            Ok::<_, Never>(priorities.score_batch(&fees, &classes))
        })?;
        let scores = scores.map_err(|error| match error {
            ScoreError::Lengths { first, second } => {
                given.wrong(&format!("as many as there are {}: {}, not {}", first.0, first.1, second.1))
            }
            ScoreError::Class { index, class } => {
                given.wrong(&format!("places in CLASSES; the one at {index} is {class}"))
            }
        })?;
        let bytes: Vec<u8> = scores.iter().flat_map(|score| score.to_ne_bytes()).collect();
        Ok(PyBytes::new(py, &bytes))
    }

    /// Figures of the score cache, of ranking and of the weights.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let (cache, scores, weights, signals, median) = enter::read(py, Source::Elsewhere, || {
            let pool = self.0.pool();
            Ok::<_, Never>((pool.cache_stats(), pool.score_stats(), pool.weights(), pool.signals(), pool.median_tip()))
        })?;
        Ok(dict! { py;
            "cache_hits": cache.hits,
            "cache_misses": cache.misses,
            "cache_hit_rate": cache.hit_rate(),
            "cache_size": cache.size,
            "cache_capacity": cache.capacity,
            "ranked": scores.ranked,
            "simd_utilisation": scores.utilisation(),
            "fee_weight": weights.fee(),
            "priority_weight": weights.priority(),
            "fee_pressure": signals.fee_pressure,
            "congestion": signals.congestion,
            "median_tip": wide(py, median)?,
        })
    }

    /// What the maker of blocks has done.
    fn execution<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        metrics(py, &enter::long(py, || Ok::<_, Never>(self.0.stats()))?)
    }

    /// Why a transaction stands where it stands; None where it isn't here.
    fn explain<'py>(&self, py: Python<'py>, transaction: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyDict>>> {
        let hash = argument("transaction", transaction).hash()?;
        let Some(told) = enter::long(py, || Ok::<_, Never>(self.0.explain(&hash)))? else { return Ok(None) };
        let history = told.history.map(|history| -> PyResult<_> {
            Ok(dict! { py;
                "included": history.included,
                "reverted": history.reverted,
                "skipped": history.skipped,
            })
        });
        Ok(Some(dict! { py;
            "class": told.class.name(),
            "priority": told.priority,
            "tip": told.tip.map(|tip| wide(py, tip)).transpose()?,
            "factor": told.factor,
            "history": history.transpose()?,
            "fee_weight": told.weights.fee(),
            "priority_weight": told.weights.priority(),
            "median_tip": wide(py, told.median_tip)?,
            "rank": told.rank,
            "place": told.place,
            "obstacle": told.obstacle.map(|kind| obstacle(py, &kind)).transpose()?,
        }))
    }

    /// Hashes of all that wait, the oldest first.
    fn hashes(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        let hashes =
            enter::long(py, || Ok::<_, Never>(self.0.pool().by_age().map(|pooled| pooled.hash).collect::<Vec<_>>()))?;
        Ok(hashes.iter().map(ToString::to_string).collect())
    }

    /// Whether a transaction waits, and whether its turn has come: None, "pending" or "queued".
    fn standing(&self, py: Python<'_>, transaction: &Bound<'_, PyAny>) -> PyResult<Option<&'static str>> {
        let hash = argument("transaction", transaction).hash()?;
        enter::read(py, Source::Elsewhere, || {
            let pool = self.0.pool();
            let standing = if pool.is_pending(&hash) { "pending" } else { "queued" };
            Ok::<_, Never>(pool.get(&hash).map(|_| standing))
        })
    }

    /// Takes a transaction out; False where it isn't here.
    fn drop(&self, py: Python<'_>, transaction: &Bound<'_, PyAny>) -> PyResult<bool> {
        let hash = argument("transaction", transaction).hash()?;
        enter::read(py, Source::Elsewhere, || Ok::<_, Never>(self.0.drop_transaction(&hash)))
    }

    /// Takes all out.
    fn clear(&self, py: Python<'_>) -> PyResult<()> {
        enter::long(py, || {
            self.0.clear_pool();
            Ok::<_, Never>(())
        })
    }

    /// Follows the pool from here on.
    fn events(&self) -> PyPoolEvents {
        PyPoolEvents(Mutex::new(self.0.subscribe_pool()))
    }

    /// The best so many that the next block could choose from.
    fn candidates(&self, py: Python<'_>, count: &Bound<'_, PyAny>) -> PyResult<PyCandidates> {
        let wrong = || argument("count", count).wrong("an int from 1 to 1,000,000");
        let count = argument("count", count).u64().map_err(|_| wrong())?;
        if !(1..=CANDIDATES_MAX).contains(&count) {
            return Err(wrong());
        }
        enter::long(py, || {
            let base_fee = self.0.next_base_fee().unwrap_or_default();
            Ok::<_, ChainError>(PyCandidates { transactions: self.0.candidates(count as usize), base_fee })
        })
    }
}

/// A column as the bytes of its numbers, little-endian.
fn column<'py, const N: usize>(
    py: Python<'py>,
    transactions: &[Arc<Pooled>],
    of: impl Fn(&Pooled) -> [u8; N],
) -> PyResult<Bound<'py, PyBytes>> {
    PyBytes::new_with(py, N * transactions.len(), |out| {
        out.chunks_exact_mut(N.max(1)).zip(transactions).for_each(|(out, one)| out.copy_from_slice(&of(one)));
        Ok(())
    })
}

#[pymethods]
impl PyCandidates {
    fn __len__(&self) -> usize {
        self.transactions.len()
    }

    /// Columns by name, each the bytes of numbers as numpy reads them: `f8` tip, fee_cap; `u8` gas_limit, nonce,
    /// arrival, size_bytes, since_ms; `u1` class, blobs; 20 bytes each sender, recipient; 32 bytes each hash.
    fn columns<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let all = &self.transactions;
        let tip = |one: &Pooled| (one.effective_tip(self.base_fee).unwrap_or_default() as f64).to_ne_bytes();
        let recipient = |one: &Pooled| one.transaction.transaction.to().to().copied().unwrap_or_default().0.0;
        Ok(dict! { py;
            "tip": column(py, all, tip)?,
            "fee_cap": column(py, all, |one| (one.fee_cap as f64).to_ne_bytes())?,
            "gas_limit": column(py, all, |one| one.gas_limit.to_ne_bytes())?,
            "nonce": column(py, all, |one| one.nonce.to_ne_bytes())?,
            "arrival": column(py, all, |one| one.arrival.to_ne_bytes())?,
            "size_bytes": column(py, all, |one| (one.size_bytes as u64).to_ne_bytes())?,
            "since_ms": column(py, all, |one| one.since_ms.to_ne_bytes())?,
            "class": column(py, all, |one| [one.class as u8])?,
            "blobs": column(py, all, |one| [one.blobs.min(255) as u8])?,
            "sender": column(py, all, |one| one.sender().0.0)?,
            "recipient": column(py, all, recipient)?,
            "hash": column(py, all, |one| one.hash.0)?,
        })
    }
}

#[pymethods]
impl PyPoolEvents {
    /// What has happened since the last call, as (what, hash, sender, nonce, detail, private), and how many events were
    /// lost before; waits for something to happen for at most that long.
    fn wait<'py>(&self, py: Python<'py>, seconds: &Bound<'py, PyAny>) -> PyResult<(Bound<'py, PyList>, u64)> {
        let timeout = duration("seconds", seconds)?;
        let heard = enter::wait(py, timeout, |slice| {
            let heard = self.0.lock().unwrap_or_else(PoisonError::into_inner).next(slice);
            Ok::<_, Never>((!heard.events.is_empty()).then_some(heard))
        })?
        .unwrap_or_default();
        let list = PyList::empty(py);
        for event in heard.events {
            let detail = match &event.change {
                Change::Added { pending } => Some(if *pending { "pending" } else { "queued" }.to_owned()),
                Change::Replaced { by } => Some(by.to_string()),
                Change::Dropped(reason) => Some(DropReason::name(*reason).to_owned()),
                Change::Promoted | Change::Demoted | Change::Included => None,
            };
            let sender = event.sender.to_checksum(None);
            list.append((event.change.name(), event.hash.to_string(), sender, event.nonce, detail, event.private))?;
        }
        Ok((list, heard.lost))
    }
}

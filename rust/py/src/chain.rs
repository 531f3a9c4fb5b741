//! A chain: opened, asked, changed.

use std::{
    path::Path,
    sync::{Arc, PoisonError, RwLock},
    time::{SystemTime, UNIX_EPOCH},
};

use chain::{
    Anchor, BlockRef, BlockState, Chain, ChainError, Genesis, Ledger, Located, MineOptions, Options, Store, Submission,
    exec::{
        call::{BlockOverrides, CallRequest},
        parallel::access_list_of,
    },
    types::{Block, Bytes, Key},
};
use pyo3::{
    buffer::PyBuffer,
    prelude::*,
    types::{PyBytes, PyDict, PyList, PyString},
};

use crate::{
    block::PyBlock,
    convert::{answers, argument, int, wei},
    enter::{self, Source},
    error::{CallFailed, Closed, Never, Reason, UnknownTransaction},
    execution::{self, PyExecution},
    heads::PyHeads,
    key::PyKey,
    mined::PyMined,
    pool::{PyCandidates, PyPool},
    receipt::PyReceipt,
    settings::{self, Opening},
    spec::PySpec,
};

/// A chain in memory or in a folder. Safe from any thread.
#[pyclass(name = "Chain", module = "execlayer._core", frozen)]
pub(crate) struct PyChain {
    /// None once it was closed.
    chain: RwLock<Option<Arc<Chain>>>,
    pub(crate) source: Source,
}

impl PyChain {
    /// The chain, unless it was closed.
    pub(crate) fn chain(&self, py: Python<'_>) -> PyResult<Arc<Chain>> {
        let held = self.chain.read().unwrap_or_else(PoisonError::into_inner).clone();
        held.ok_or_else(|| Closed.raise(py))
    }

    fn open_on(
        py: Python<'_>,
        genesis: Option<&Bound<'_, PyAny>>,
        options: Options,
        source: Source,
        spec: Option<&PySpec>,
        ledger: impl FnOnce() -> Result<Arc<dyn Ledger>, ChainError> + Send,
    ) -> PyResult<Self> {
        let genesis = genesis.map(|genesis| argument("genesis", genesis).text()).transpose()?;
        let opened = enter::long(py, || {
            // The genesis first: a wrong one must not leave an empty store behind.
            let spec = spec.map(|spec| spec.0.clone());
            let genesis = match (genesis.as_deref(), spec) {
                (None, None) => Genesis::dev([]),
                (None, Some(spec)) => Genesis::dev_under(spec, []),
                (Some(text), spec) => Genesis::from_json_under(text, spec)?,
            };
            Chain::open(ledger()?, genesis, options)
        });
        Ok(Self::holding(opened?, source))
    }

    pub(crate) fn holding(chain: Arc<Chain>, source: Source) -> Self {
        Self { chain: RwLock::new(Some(chain)), source }
    }

    /// The well-known keys whose accounts exist in the first block.
    pub(crate) fn keys(chain: &Chain) -> Vec<Key> {
        let keys = (0..chain::DEV_KEYS.len()).map(chain::dev_key);
        keys.filter(|key| chain.genesis().alloc().contains_key(&key.address())).collect()
    }

    /// Asks about the state after a block.
    fn at<T: Send>(
        &self,
        py: Python<'_>,
        at: Option<&Bound<'_, PyAny>>,
        ask: impl FnOnce(&BlockState) -> Result<T, chain::ViewError> + Send,
    ) -> PyResult<T> {
        let at = at.map_or(Ok(BlockRef::Latest), |at| block_ref("at", at))?;
        let chain = self.chain(py)?;
        enter::read(py, self.source, || Ok::<_, ChainError>(ask(&chain.at(at)?)?))
    }
}

/// A block's name: a height, a hash, or a tag.
pub(crate) fn block_ref(name: &'static str, value: &Bound<'_, PyAny>) -> PyResult<BlockRef> {
    let value = argument(name, value);
    if value.is_int() {
        return value.u64().map(BlockRef::Number);
    }
    let tag = value.value().cast::<PyString>().ok().map(|text| text.to_string());
    match tag.as_deref() {
        Some("latest") => Ok(BlockRef::Latest),
        Some("pending") => Ok(BlockRef::Pending),
        Some("earliest") => Ok(BlockRef::Earliest),
        Some("safe") => Ok(BlockRef::Safe),
        Some("finalized") => Ok(BlockRef::Finalized),
        _ => {
            let expected = "a height, a hash, or one of latest, pending, earliest, safe, finalized";
            value.hash().map(BlockRef::Hash).map_err(|_| value.wrong(expected))
        }
    }
}

/// A call as its arguments say.
fn call_request(
    sender: &Bound<'_, PyAny>,
    to: Option<&Bound<'_, PyAny>>,
    value: &Bound<'_, PyAny>,
    data: &Bound<'_, PyAny>,
    access_list: Option<&Bound<'_, PyAny>>,
) -> PyResult<CallRequest> {
    Ok(CallRequest {
        from: argument("sender", sender).address()?,
        to: to.map(|to| argument("to", to).address()).transpose()?,
        value: argument("value", value).u256()?,
        input: argument("data", data).bytes()?,
        access_list: access_list
            .map(|list| argument("access_list", list).access_list())
            .transpose()?
            .unwrap_or_default(),
        ..CallRequest::default()
    })
}

/// A block at this time; where none is given, at the clock's, but after the head's.
fn mine_options(timestamp: Option<&Bound<'_, PyAny>>) -> PyResult<MineOptions> {
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |passed| passed.as_secs());
    match timestamp {
        Some(timestamp) => argument("timestamp", timestamp).u64().map(MineOptions::at),
        None => Ok(MineOptions::not_before(now())),
    }
}

/// In a chain's folder: what waits.
const JOURNAL: &str = "pool.journal";

/// Into the pool with them; for each its hash, or the exception that says why not.
fn submit_all<'py>(py: Python<'py>, chain: &Chain, batch: Vec<Bytes>, private: bool) -> PyResult<Bound<'py, PyList>> {
    let batch = batch.into_iter().map(Submission::Raw).collect();
    let take = || if private { chain.submit_private(batch) } else { chain.submit(batch) };
    let submitted = enter::long(py, || Ok::<_, Never>(take()))?;
    answers(py, submitted.into_iter().map(|answer| answer.map(|hash| hash.to_string())))
}

#[pymethods]
impl PyChain {
    /// A chain in memory. Without a genesis (JSON, as geth writes it) it is the development chain.
    #[staticmethod]
    #[pyo3(signature = (genesis=None, spec=None, settings=None))]
    fn memory(
        py: Python<'_>,
        genesis: Option<&Bound<'_, PyAny>>,
        spec: Option<&PySpec>,
        settings: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let options = settings::read(settings)?.chain;
        Self::open_on(py, genesis, options, Source::Memory, spec, || Ok(Arc::new(Store::memory())))
    }

    /// The chain in a folder, with the transactions that waited when it was closed, unless it is opened to read only.
    #[staticmethod]
    #[pyo3(signature = (path, genesis=None, settings=None))]
    fn open(
        py: Python<'_>,
        path: &Bound<'_, PyAny>,
        genesis: Option<&Bound<'_, PyAny>>,
        settings: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        let path = argument("path", path).text()?;
        let folder = Path::new(&path);
        let Opening { chain: options, store } = settings::read(settings)?;
        let open = || Store::open(folder, store);
        let opened = Self::open_on(py, genesis, options, Source::Elsewhere, None, || Ok(Arc::new(open()?)))?;
        if !store.read_only {
            let chain = opened.chain(py)?;
            enter::long(py, || chain.open_journal(&folder.join(JOURNAL)))?;
        }
        Ok(opened)
    }

    /// Lets go of the chain; a folder is free when those who follow it or serve it have let go, too.
    fn close(&self, py: Python<'_>) {
        let held = self.chain.write().unwrap_or_else(PoisonError::into_inner).take();
        py.detach(|| drop(held));
    }

    /// Keys of the well-known accounts that exist in the first block.
    fn dev_keys(&self, py: Python<'_>) -> PyResult<Vec<PyKey>> {
        let chain = self.chain(py)?;
        Ok(Self::keys(&chain).into_iter().map(PyKey).collect())
    }

    /// What transactions are signed for.
    #[getter]
    fn chain_id(&self, py: Python<'_>) -> PyResult<u64> {
        Ok(self.chain(py)?.spec().chain_id)
    }

    /// Which rules hold when; code written in Python is the caller's to keep.
    #[getter]
    fn spec(&self, py: Python<'_>) -> PyResult<PySpec> {
        Ok(PySpec(self.chain(py)?.spec().clone()))
    }

    /// The development chain's genesis as JSON, but for its rules.
    #[staticmethod]
    fn dev_genesis() -> String {
        Genesis::dev_json()
    }

    /// Height of the head.
    #[getter]
    fn height(&self, py: Python<'_>) -> PyResult<u64> {
        Ok(self.chain(py)?.head().id.number)
    }

    /// Base fee of the next block; None before London.
    #[getter]
    fn base_fee<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let fee = self.chain(py)?.next_base_fee();
        fee.map(|fee| wei(py, chain::types::U256::from(fee))).transpose()
    }

    /// What waits.
    #[getter]
    fn pool(&self, py: Python<'_>) -> PyResult<PyPool> {
        Ok(PyPool(self.chain(py)?))
    }

    /// How many transactions wait.
    #[getter]
    fn pending(&self, py: Python<'_>) -> PyResult<usize> {
        let chain = self.chain(py)?;
        enter::read(py, Source::Elsewhere, || Ok::<_, Never>(chain.pool().len()))
    }

    /// A block.
    fn block(&self, py: Python<'_>, name: &Bound<'_, PyAny>) -> PyResult<PyBlock> {
        let name = block_ref("block", name)?;
        let chain = self.chain(py)?;
        enter::read(py, self.source, || chain.block(name)).map(PyBlock)
    }

    /// How a transaction ended.
    fn receipt(&self, py: Python<'_>, transaction: &Bound<'_, PyAny>) -> PyResult<PyReceipt> {
        let hash = argument("transaction", transaction).hash()?;
        let chain = self.chain(py)?;
        let found = enter::read(py, self.source, || chain.transaction(&hash))?;
        let Located { block, index } = found.ok_or_else(|| UnknownTransaction { hash }.raise(py))?;
        Ok(PyReceipt { block, index })
    }

    /// What an account holds, after a block.
    #[pyo3(signature = (address, at=None))]
    fn balance<'py>(
        &self,
        py: Python<'py>,
        address: &Bound<'py, PyAny>,
        at: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let address = argument("address", address).address()?;
        wei(py, self.at(py, at, |state| state.balance(&address))?)
    }

    /// How many transactions an account has sent, after a block.
    #[pyo3(signature = (address, at=None))]
    fn nonce(&self, py: Python<'_>, address: &Bound<'_, PyAny>, at: Option<&Bound<'_, PyAny>>) -> PyResult<u64> {
        let address = argument("address", address).address()?;
        self.at(py, at, |state| state.nonce(&address))
    }

    /// An account's code, after a block.
    #[pyo3(signature = (address, at=None))]
    fn code<'py>(
        &self,
        py: Python<'py>,
        address: &Bound<'py, PyAny>,
        at: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let address = argument("address", address).address()?;
        Ok(PyBytes::new(py, &self.at(py, at, |state| state.code_at(&address))?))
    }

    /// What a slot holds, after a block.
    #[pyo3(signature = (address, slot, at=None))]
    fn storage<'py>(
        &self,
        py: Python<'py>,
        address: &Bound<'py, PyAny>,
        slot: &Bound<'py, PyAny>,
        at: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let address = argument("address", address).address()?;
        let slot = argument("slot", slot).word()?.into();
        int(py, self.at(py, at, |state| chain::View::storage(state, &address, &slot))?)
    }

    /// The nonce of an account's next transaction, those that wait counted.
    fn next_nonce(&self, py: Python<'_>, address: &Bound<'_, PyAny>) -> PyResult<u64> {
        let address = argument("address", address).address()?;
        let chain = self.chain(py)?;
        // The pool is held while others submit.
        enter::read(py, Source::Elsewhere, || chain.next_nonce(&address))
    }

    /// Takes transactions to wait for a block: for each its hash, or why not. Private ones are shown to no client.
    #[pyo3(signature = (transactions, private=false))]
    fn submit<'py>(
        &self,
        py: Python<'py>,
        transactions: &Bound<'py, PyAny>,
        private: bool,
    ) -> PyResult<Bound<'py, PyList>> {
        let batch = argument("transactions", transactions).transactions()?;
        submit_all(py, &*self.chain(py)?, batch, private)
    }

    /// As `submit`, of transactions that lie one after the other in a buffer.
    fn submit_packed<'py>(
        &self,
        py: Python<'py>,
        buffer: &Bound<'py, PyAny>,
        ends: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyList>> {
        let wrong = |_| argument("buffer", buffer).wrong("a contiguous buffer of bytes");
        let packed: Bytes = PyBuffer::<u8>::get(buffer).and_then(|buffer| buffer.to_vec(py)).map_err(wrong)?.into();
        let wrong = || argument("ends", ends).wrong("a buffer of uint64, ascending, the last as long as the buffer");
        let ends = PyBuffer::<u64>::get(ends).and_then(|ends| ends.to_vec(py)).map_err(|_| wrong())?;
        let mut batch = Vec::with_capacity(ends.len());
        let mut start = 0;
        for end in ends {
            let end = usize::try_from(end).ok().filter(|end| (start..=packed.len()).contains(end)).ok_or_else(wrong)?;
            batch.push(packed.slice(start..end));
            start = end;
        }
        if start != packed.len() {
            return Err(wrong());
        }
        submit_all(py, &*self.chain(py)?, batch, false)
    }

    /// The least gas with which a transaction would succeed on top of the head.
    #[pyo3(signature = (sender, to, value, data, access_list=None))]
    fn estimate_gas(
        &self,
        py: Python<'_>,
        sender: &Bound<'_, PyAny>,
        to: Option<&Bound<'_, PyAny>>,
        value: &Bound<'_, PyAny>,
        data: &Bound<'_, PyAny>,
        access_list: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<u64> {
        let request = call_request(sender, to, value, data, access_list)?;
        let chain = self.chain(py)?;
        enter::long(py, || {
            let desk = chain.desk(BlockRef::Pending, &BlockOverrides::default())?;
            Ok::<_, CallFailed>(desk.estimate_gas(&request)?)
        })
    }

    /// Makes a block of what waits.
    #[pyo3(signature = (timestamp=None))]
    fn mine(&self, py: Python<'_>, timestamp: Option<&Bound<'_, PyAny>>) -> PyResult<PyMined> {
        let chain = self.chain(py)?;
        let options = mine_options(timestamp)?;
        enter::long(py, || chain.mine(options)).map(PyMined)
    }

    /// Makes a block of these candidates, the best score first; one whose score is NaN stays out. `scores` is a buffer
    /// of as many float64.
    #[pyo3(signature = (candidates, scores, timestamp=None))]
    fn mine_ordered(
        &self,
        py: Python<'_>,
        candidates: &PyCandidates,
        scores: &Bound<'_, PyAny>,
        timestamp: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<PyMined> {
        let count = candidates.transactions.len();
        let wrong =
            || argument("scores", scores).wrong(&format!("a buffer of {count} float64, one for each candidate"));
        let column = PyBuffer::<f64>::get(scores).and_then(|scores| scores.to_vec(py)).map_err(|_| wrong())?;
        if column.len() != count {
            return Err(wrong());
        }
        let chain = self.chain(py)?;
        let options = mine_options(timestamp)?;
        enter::long(py, || chain.mine_ordered(&candidates.transactions, &column, options)).map(PyMined)
    }

    /// Makes a block of exactly these transactions.
    #[pyo3(signature = (transactions, timestamp=None))]
    fn mine_batch(
        &self,
        py: Python<'_>,
        transactions: &Bound<'_, PyAny>,
        timestamp: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<PyMined> {
        let batch = argument("transactions", transactions).transactions()?;
        let batch = batch.into_iter().map(Submission::Raw).collect();
        let chain = self.chain(py)?;
        let options = mine_options(timestamp)?;
        enter::long(py, || chain.mine_batch(batch, options)).map(PyMined)
    }

    /// Executes a block again, by its name or RLP, after its parent; the chain stays as it is. What isn't said is as the
    /// chain does it.
    #[pyo3(signature = (block, *, parallel=None, max_threads=None, verify=false, access_list=None))]
    fn execute(
        &self,
        py: Python<'_>,
        block: &Bound<'_, PyAny>,
        parallel: Option<&Bound<'_, PyAny>>,
        max_threads: Option<&Bound<'_, PyAny>>,
        verify: bool,
        access_list: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<PyExecution> {
        let chain = self.chain(py)?;
        let parallel = parallel.map_or(Ok(chain.options().parallel), settings::parallel)?;
        let threads = max_threads.map(|threads| settings::threads(threads)).transpose()?;
        let executor = chain.executor().beside(parallel, threads.or(chain.options().threads_max)).verifying(verify);
        let executor = match access_list {
            Some(value) => {
                let list = argument("access_list", value);
                let expected = "the RLP of a block access list (EIP-7928)";
                executor.told(access_list_of(&list.bytes()?).map_err(|_| list.wrong(expected))?)
            }
            None => executor,
        };
        let given = match block.cast::<PyBytes>() {
            Ok(raw) if raw.as_bytes().len() != 32 => Ok(raw.as_bytes().to_vec()),
            _ => Err(block_ref("block", block)?),
        };
        let replay = enter::long(py, || {
            let block = match given {
                Ok(raw) => chain::block_of(&raw)?,
                Err(name) => {
                    let held = chain.block(name)?;
                    Block { header: held.header.clone(), body: held.body.clone() }
                }
            };
            chain.replay(block, &executor)
        })?;
        Ok(PyExecution { chain, replay })
    }

    /// Figures of all blocks that were executed.
    fn execution_stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        execution::totals(py, &self.chain(py)?.executor().totals())
    }

    /// Takes a block's RLP.
    fn import_block(&self, py: Python<'_>, raw: &Bound<'_, PyAny>) -> PyResult<PyBlock> {
        let raw = argument("raw", raw).bytes()?;
        let chain = self.chain(py)?;
        enter::long(py, || {
            let (id, _) = chain.import_rlp(&raw)?;
            Ok::<_, chain::ImportError>(chain.block(id.into())?)
        })
        .map(PyBlock)
    }

    /// Makes a kept block the head.
    fn set_head(&self, py: Python<'_>, block: &Bound<'_, PyAny>) -> PyResult<PyBlock> {
        let block = block_ref("block", block)?;
        let chain = self.chain(py)?;
        enter::long(py, || chain.block(chain.set_head(block)?.id.into())).map(PyBlock)
    }

    /// Sets a point to return to.
    fn anchor(&self, py: Python<'_>) -> PyResult<u64> {
        let chain = self.chain(py)?;
        enter::long(py, || chain.anchor()).map(|anchor| anchor.0)
    }

    /// Returns to a point and forgets what came since.
    fn undo(&self, py: Python<'_>, anchor: &Bound<'_, PyAny>) -> PyResult<()> {
        let anchor = Anchor(argument("anchor", anchor).u64()?);
        let chain = self.chain(py)?;
        enter::long(py, || chain.undo(anchor)).map(drop)
    }

    /// Forgets a point; False where it is not set.
    fn release(&self, py: Python<'_>, anchor: &Bound<'_, PyAny>) -> PyResult<bool> {
        let anchor = Anchor(argument("anchor", anchor).u64()?);
        let chain = self.chain(py)?;
        enter::long(py, || chain.release(anchor))
    }

    /// Follows the head from here on.
    fn heads(&self, py: Python<'_>) -> PyResult<PyHeads> {
        Ok(PyHeads::new(self.chain(py)?.subscribe()))
    }
}

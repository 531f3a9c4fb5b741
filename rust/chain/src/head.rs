//! The chain itself: what it is made of, how it is opened, and which block is its head.

use std::{
    fmt,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, RwLock},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use evm::spec::{ChainSpec, Rules};
use exec::{Executor, Parallel};
use pool::{Pool, Settings};
use state::{
    Commit, Ledger, StateDiff, StateReader, Stopped, StoredBlock, Tally,
    roots::{self, Lattice},
};
use types::{B256, BlockId, Header, U256};

use crate::{
    ChainError, Ethash, Genesis, Subscription,
    anchor::Anchors,
    dispatch::{Dispatch, Dispatcher},
    header::{Field, same},
    metrics::Record,
    notify::Signal,
    reorg::{Layers, Path, Records},
    snapshot,
    turns::{Turn, Turns},
    waiting::Waiting,
};

/// How far back states can be read and reorgs can go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum History {
    /// This many blocks below the head.
    Window(u64),
    /// To the first block. The way back to an old block is as long as the number of blocks between.
    Archive,
}

/// What can be chosen about a chain.
#[derive(Clone, Debug)]
pub struct Options {
    /// Default: a window of 128 blocks, as geth keeps.
    pub history: History,
    /// How much may wait in the pool, and who goes first.
    pub pool: Settings,
    /// How blocks are filled.
    pub dispatch: Dispatch,
    /// Whether blocks run on several cores.
    pub parallel: Parallel,
    /// On how many at most; None for all there are.
    pub threads_max: Option<usize>,
    /// Whether what several cores gave is held against what one gives.
    pub verify: bool,
    /// Verifies the seals of proof of work; None: blocks before the merge are taken whatever their seal.
    pub seals: Option<Arc<Ethash>>,
    /// Threads that decode transactions and recover their senders; None for one for each core.
    pub workers: Option<usize>,
    /// What time it is, in milliseconds since 1970: how long transactions wait is told by it, and nothing decided.
    pub clock: fn() -> u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            history: History::Window(128),
            pool: Settings::default(),
            dispatch: Dispatch::default(),
            parallel: Parallel::Auto,
            threads_max: None,
            verify: false,
            seals: None,
            workers: None,
            clock: || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64),
        }
    }
}

/// A block, named in one of the ways in which people name blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum BlockRef {
    /// The head.
    #[default]
    Latest,
    /// The block that would come next; so far the same state as the head's.
    Pending,
    /// The first block.
    Earliest,
    /// The newest block that was declared safe; the first one where none was.
    Safe,
    /// The newest block that was declared final; the first one where none was.
    Finalized,
    /// The canonical block at this height.
    Number(u64),
    /// The block with this hash, canonical or not.
    Hash(B256),
}

impl fmt::Display for BlockRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latest => f.write_str("latest"),
            Self::Pending => f.write_str("pending"),
            Self::Earliest => f.write_str("earliest"),
            Self::Safe => f.write_str("safe"),
            Self::Finalized => f.write_str("finalized"),
            Self::Number(number) => number.fmt(f),
            Self::Hash(hash) => hash.fmt(f),
        }
    }
}

impl From<u64> for BlockRef {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<B256> for BlockRef {
    fn from(hash: B256) -> Self {
        Self::Hash(hash)
    }
}

impl From<BlockId> for BlockRef {
    fn from(id: BlockId) -> Self {
        Self::Hash(id.hash)
    }
}

/// The newest canonical block, with its state.
pub struct Head {
    /// Number and hash.
    pub id: BlockId,
    /// Its header.
    pub header: Header,
    /// Sum of all difficulties up to and with it.
    pub total_difficulty: U256,
    /// The whole block: whoever builds on it need not read it back.
    pub block: Arc<StoredBlock>,
    /// The state after it, frozen.
    pub state: Arc<dyn StateReader>,
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, header, total_difficulty, block: _, state: _ } = self;
        let mut out = f.debug_struct("Head");
        out.field("id", id).field("header", header).field("total_difficulty", total_difficulty).finish_non_exhaustive()
    }
}

/// A chain of blocks over a ledger. See the crate's page.
pub struct Chain {
    genesis: Genesis,
    genesis_id: BlockId,
    options: Options,
    pub(crate) executor: Executor,
    ledger: Arc<dyn Ledger>,
    head: RwLock<Arc<Head>>,
    /// Held by whoever changes the chain.
    writer: Turns<Writer>,
    waiting: Waiting,
    dispatcher: Mutex<Dispatcher>,
    /// What it has done up to its last block, and its batch size then: asking must not wait for a block.
    done: Mutex<(Record, usize)>,
    /// None: everybody's.
    workers: Option<rayon::ThreadPool>,
    /// Declared safe, declared final.
    marks: Mutex<(Option<BlockId>, Option<BlockId>)>,
    layers: Layers,
    signal: Arc<Signal>,
}

/// What only the one who changes the chain needs.
pub(crate) struct Writer {
    pub(crate) records: Records,
    pub(crate) anchors: Anchors,
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chain")
            .field("genesis", &self.genesis_id)
            .field("head", &self.head().id)
            .finish_non_exhaustive()
    }
}

fn executor(options: &Options) -> Executor {
    Executor::new(options.parallel, options.threads_max).verifying(options.verify).timed_by(elapsed)
}

/// Time since somebody first asked.
pub(crate) fn elapsed() -> Duration {
    static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
    BEGIN.elapsed()
}

impl Chain {
    /// Opens the chain that the ledger holds, or begins it there.
    ///
    /// # Errors
    /// [`ChainError::OtherGenesis`] where the ledger holds another chain, [`ChainError::Unfinished`] where a restore was
    /// cut off; nothing is written then.
    ///
    /// # Resources
    /// The ledger stays open as long as the chain, its subscriptions or states of it live.
    pub fn open(ledger: Arc<dyn Ledger>, genesis: Genesis, options: Options) -> Result<Arc<Self>, ChainError> {
        let genesis_id = genesis.id();
        if let Some(block) = ledger.metadata(snapshot::RESTORING)? {
            return Err(ChainError::Unfinished { block: B256::left_padding_from(&block) });
        }
        match ledger.canonical(0)? {
            None => write_genesis(&*ledger, &genesis)?,
            Some(held) if held != genesis_id.hash => {
                return Err(ChainError::OtherGenesis { held, given: genesis_id.hash });
            }
            Some(_) => {}
        }
        let head = read_head(&*ledger, None)?;
        let records = Records::read(&*ledger)?;
        let batch_size = options.dispatch.batch_size;
        let signal = Arc::new(Signal::default());
        let waiting = Waiting::new(Pool::new(options.pool.clone()), Arc::clone(&signal));
        let workers = options.workers.and_then(|count| {
            // Where threads can't be had, everybody's do.
            rayon::ThreadPoolBuilder::new().num_threads(count).thread_name(|_| "execlayer".to_owned()).build().ok()
        });
        let chain = Arc::new(Self {
            genesis,
            genesis_id,
            executor: executor(&options),
            options,
            workers,
            ledger,
            head: RwLock::new(Arc::new(head)),
            writer: Turns::new(Writer { records, anchors: Anchors::default() }),
            waiting,
            dispatcher: Mutex::default(),
            done: Mutex::new((Record::default(), batch_size)),
            marks: Mutex::default(),
            layers: Layers::default(),
            signal,
        });
        chain.recall_tips()?;
        chain.settle_pool(&chain.head(), &Path::default(), None, Vec::new());
        Ok(chain)
    }

    /// What executes its blocks, with figures of all so far.
    pub fn executor(&self) -> &Executor {
        &self.executor
    }

    /// How the chain begins.
    pub fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// The first block's number and hash.
    pub fn genesis_id(&self) -> BlockId {
        self.genesis_id
    }

    /// Which rules hold when.
    pub fn spec(&self) -> &ChainSpec {
        self.genesis.spec()
    }

    /// What was chosen when it was opened.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// The newest canonical block. What it holds does not change when the chain goes on.
    pub fn head(&self) -> Arc<Head> {
        self.head.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The rules of the block that comes after the head, at this time.
    pub fn next_rules(&self, timestamp: u64) -> Rules {
        let head = self.head();
        self.spec().rules_merged(head.id.number + 1, timestamp, Some(head.total_difficulty))
    }

    /// Follows the head from here on.
    pub fn subscribe(self: &Arc<Self>) -> Subscription {
        Subscription::new(Arc::clone(self))
    }

    /// A number that changes whenever the head moves and, while somebody follows the pool, whenever that changes: for who
    /// follows many things at once.
    pub fn news(&self) -> u64 {
        self.signal.version()
    }

    /// Waits until [`news`](Self::news) is not `seen` any more, or until the time is over; what it is then.
    pub fn wait_for_news(&self, seen: u64, timeout: Duration) -> u64 {
        self.signal.wait(seen, timeout)
    }

    /// Declares blocks safe and final: what the tags of the same names then mean.
    ///
    /// # Errors
    /// [`ChainError::UnknownBlock`] where one of them is not a canonical block.
    pub fn set_finality(&self, safe: B256, finalized: B256) -> Result<(), ChainError> {
        let canonical = |hash: B256| {
            let id = self.id(hash.into())?;
            if self.is_canonical(&id)? { Ok(id) } else { Err(ChainError::UnknownBlock(hash.into())) }
        };
        let marks = (Some(canonical(safe)?), Some(canonical(finalized)?));
        *self.marks.lock().unwrap_or_else(PoisonError::into_inner) = marks;
        Ok(())
    }

    /// Which block is meant.
    ///
    /// # Errors
    /// [`ChainError::UnknownBlock`] where there is none.
    pub fn id(&self, block: BlockRef) -> Result<BlockId, ChainError> {
        let unknown = ChainError::UnknownBlock(block);
        match block {
            BlockRef::Latest | BlockRef::Pending => Ok(self.head().id),
            BlockRef::Earliest => Ok(self.genesis_id),
            BlockRef::Safe | BlockRef::Finalized => {
                let (safe, finalized) = *self.marks.lock().unwrap_or_else(PoisonError::into_inner);
                let marked = if block == BlockRef::Safe { safe } else { finalized };
                // A reorg below a mark takes it away.
                let marked = marked.filter(|id| self.is_canonical(id).unwrap_or_default());
                Ok(marked.unwrap_or(self.genesis_id))
            }
            BlockRef::Number(number) => {
                let hash = self.ledger.canonical(number)?.ok_or(unknown)?;
                Ok(BlockId { number, hash })
            }
            BlockRef::Hash(hash) => {
                let number = self.ledger.header(&hash)?.ok_or(unknown)?.number;
                Ok(BlockId { number, hash })
            }
        }
    }

    /// Whether the block is the head or below it.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn is_canonical(&self, id: &BlockId) -> Result<bool, ChainError> {
        Ok(self.ledger.canonical(id.number)? == Some(id.hash))
    }

    pub(crate) fn ledger(&self) -> &dyn Ledger {
        &*self.ledger
    }

    pub(crate) fn signal(&self) -> &Signal {
        &self.signal
    }

    pub(crate) fn layers(&self) -> &Layers {
        &self.layers
    }

    /// Whoever holds this is the only one to change the chain. A panic of an earlier holder left the ledger at a whole
    /// block, so there is nothing to fear of it. Waiting for it can be stopped.
    pub(crate) fn take_turn(&self) -> Result<Turn<'_, Writer>, Stopped> {
        self.writer.take()
    }

    pub(crate) fn waiting(&self) -> &Waiting {
        &self.waiting
    }

    pub(crate) fn lock_dispatcher(&self) -> MutexGuard<'_, Dispatcher> {
        self.dispatcher.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn lock_done(&self) -> MutexGuard<'_, (Record, usize)> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Runs work that spreads over threads on those that it may have.
    pub(crate) fn on_workers<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        match &self.workers {
            Some(workers) => workers.install(work),
            None => work(),
        }
    }

    /// Shows what the ledger now holds as the head, which may be this block.
    pub(crate) fn publish(&self, block: Option<Arc<StoredBlock>>) -> Result<Arc<Head>, ChainError> {
        let head = Arc::new(read_head(&*self.ledger, block)?);
        *self.head.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&head);
        self.signal.raise();
        Ok(head)
    }
}

fn read_head(ledger: &dyn Ledger, known: Option<Arc<StoredBlock>>) -> Result<Head, ChainError> {
    let state = ledger.reader()?;
    let id = state.head().ok_or(ChainError::UnknownBlock(BlockRef::Latest))?;
    let block = match known.filter(|block| block.id == id) {
        Some(block) => block,
        None => ledger.block(&id.hash)?.ok_or(ChainError::UnknownBlock(id.into()))?,
    };
    Ok(Head { id, header: block.header.clone(), total_difficulty: block.total_difficulty, block, state })
}

fn write_genesis(ledger: &dyn Ledger, genesis: &Genesis) -> Result<(), ChainError> {
    let (block, diff, lattice) = genesis_block(genesis);
    if let Some(named) = genesis.named_state_root() {
        same(Field::StateRoot, block.header.state_root, named).map_err(ChainError::GenesisHeader)?;
    }
    let update = roots::trie::apply(&*ledger.reader()?, &diff)?;
    assert_eq!(update.root, block.header.state_root, "two ways to the same root");
    let id = block.id;
    ledger.commit(Commit {
        blocks: vec![Arc::new(block)],
        lattices: vec![(id.hash, Some(lattice))],
        diff,
        nodes: update.nodes,
        canonical: vec![(id.number, Some(id.hash))],
        head: Some(id),
        ..Commit::default()
    })?;
    Ok(())
}

/// The first block as the ledger keeps it, the state that it begins with, and that state's lattice hash.
pub(crate) fn genesis_block(genesis: &Genesis) -> (StoredBlock, StateDiff, Lattice) {
    let diff = genesis.state().to_diff();
    let mut lattice = Lattice::default();
    lattice.apply(&diff);
    let block = genesis.block();
    let stored = StoredBlock {
        id: BlockId { number: block.header.number, hash: block.header.hash_slow() },
        total_difficulty: block.header.difficulty,
        tally: Tally { lattice: lattice.checksum(), ..Tally::default() },
        header: block.header,
        body: block.body,
        senders: Vec::new(),
        receipts: Vec::new(),
    };
    (stored, diff, lattice)
}

//! Filling a block: asks the pool for a block's worth, executes it in batches, and repairs what goes wrong by the table
//! in [`crate::recovery`].
//!
//! The chain's executor, which may take several cores, gets the pool's answer at once; where gas limits have promised
//! more than was used, what the pool says to the rest of the room, and so on until the block is full. Nearly always that is
//! all; where anything goes wrong, this work is thrown away and the careful way in batches finds out what.
//!
//! Order of repair: the state before the batch is restored, the culprit and its sender's later ones are left out of this
//! block, the batch resized, and the rest resumed. What a repair does to the pool is done only when the block is
//! sealed, so that a block that can't be made changes nothing. A transaction undoes a batch at most once.

use std::{
    collections::{HashMap, HashSet},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Instant,
};

use evm::{BlockEnv, assets::issuer_slot, spec::Rules};
use exec::{BlockBuilder, BlockOutcome, ExecError, Mode, Parallel, Times, parallel::Growing};
use pool::{DropReason, Ending, Pool, Pooled, Room, Schedule, Tried};
use rayon::prelude::*;
use state::View;
use types::{B256, Payload, Receipt, Recovered, Transaction, Withdrawal, system};

use crate::{
    BlockState, Chain, ChainError, MineError, Options, Recovery, Trouble, execute, import::BLOCK_BYTES_MAX,
    metrics::Record, recovery,
};

/// How blocks are filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dispatch {
    /// Transactions executed between two looks at memory.
    pub batch_size: usize,
    /// Bytes that a batch may add to the block's memory.
    pub batch_memory_bytes: usize,
    /// Leaves out transactions that would fail, and tries them again later.
    pub presimulate: bool,
}

impl Default for Dispatch {
    fn default() -> Self {
        Self { batch_size: 1_024, batch_memory_bytes: 256 << 20, presimulate: false }
    }
}

/// Bytes of a block that are left for what is not a transaction: header, withdrawals, lengths.
const OVERHEAD_BYTES: usize = 1 << 16;

/// Gas of the cheapest transaction there is. Less room than this ends a block.
const GAS_MIN: u64 = 21_000;

/// How often one block asks the pool: gas limits promise too much, so what is left over is filled again.
const ROUNDS_MAX: usize = 16;

/// Faults of ours after which a block is sealed as it is: each costs running it again up to there.
const FAULTS_MAX: usize = 16;

/// From so many transactions on a block may go to the executor at once: it would use one core for fewer, and in batches
/// each has its time measured.
const AT_ONCE_MIN: usize = 64;

/// What an account or slot of a block's change takes in memory, about.
const CHANGE_BYTES: usize = 400;

/// Transactions that a core copies out of the pool at least before another one helps.
const TAKEN_MIN: usize = 1_024;

/// Batches without trouble after which the batch size doubles again.
const CALM: usize = 8;

/// How often a failing transaction is left out before it is included with its failed receipt. Between two times pass 2,
/// 4, 8 blocks.
const RETRIES_MAX: u32 = 3;

/// Failing transactions that are remembered.
const RETRIES_KEPT: usize = 65_536;

/// What the maker of blocks remembers from one to the next.
#[derive(Debug, Default)]
pub(crate) struct Dispatcher {
    pub(crate) record: Record,
    /// None: as configured.
    batch_size: Option<usize>,
    calm: usize,
    /// Failing ones: how often they were tried, and from which height on they are tried again.
    retries: HashMap<B256, (u32, u64)>,
}

/// From where transactions come.
pub(crate) enum Source<'a> {
    /// The pool's own order.
    Ranked,
    /// These, by these scores.
    Own(&'a [Arc<Pooled>], &'a [f64]),
}

/// The block before its transactions.
pub(crate) struct Frame<'a> {
    pub(crate) rules: &'a Rules,
    pub(crate) environment: &'a BlockEnv,
    pub(crate) state: &'a BlockState,
    pub(crate) blob_base_fee: u128,
}

/// A block's content.
pub(crate) struct Filled {
    pub(crate) included: Vec<Recovered>,
    pub(crate) skipped: Vec<(B256, Trouble)>,
    pub(crate) outcome: BlockOutcome,
}

impl Dispatcher {
    pub(crate) fn batch_size(&self, settings: &Dispatch) -> usize {
        self.batch_size.unwrap_or(settings.batch_size).clamp(1, settings.batch_size.max(1))
    }

    fn shrink(&mut self, settings: &Dispatch) {
        self.batch_size = Some((self.batch_size(settings) / 2).max(1));
        self.calm = 0;
    }

    fn was_calm(&mut self, settings: &Dispatch) {
        self.calm += 1;
        if self.calm >= CALM {
            self.calm = 0;
            self.batch_size = Some(self.batch_size(settings) * 2).filter(|size| *size < settings.batch_size);
        }
    }

    /// Whether this failing transaction is left out once more; then from when on it is tried again.
    fn puts_off(&mut self, hash: B256, height: u64) -> Option<u32> {
        if self.retries.len() >= RETRIES_KEPT {
            self.retries.clear();
        }
        let (attempts, again) = self.retries.entry(hash).or_default();
        *attempts += 1;
        if *attempts > RETRIES_MAX {
            self.retries.remove(&hash);
            return None;
        }
        *again = height + (1 << *attempts);
        Some(*attempts)
    }

    fn is_put_off(&self, hash: &B256, height: u64) -> bool {
        self.retries.get(hash).is_some_and(|(_, again)| height < *again)
    }
}

/// A block while it is filled.
struct Filling<'a> {
    chain: &'a Chain,
    frame: &'a Frame<'a>,
    dispatcher: &'a mut Dispatcher,
    settings: Dispatch,
    builder: Option<BlockBuilder<'a>>,
    included: Vec<Arc<Pooled>>,
    skipped: Vec<(B256, Trouble)>,
    tried: Tried,
    /// Those that have undone a batch.
    culprits: HashSet<B256>,
    /// Of a batch that was undone, those to be left out when their turn comes again: what their senders sent before
    /// them may stay.
    condemned: HashMap<B256, (Arc<Pooled>, Trouble)>,
    room_bytes: usize,
    blobs: u64,
    /// Gas of what was executed at once.
    gas_at_once: u64,
}

/// A block that was executed at once: its transactions, what they did, and how long each took.
type AtOnce = (Vec<Recovered>, BlockOutcome, Times);

/// What became of a batch.
enum Batch {
    Done,
    /// It was undone because of this one.
    Undone(Arc<Pooled>, Trouble),
}

impl Chain {
    pub(crate) fn fill(
        &self,
        dispatcher: &mut Dispatcher,
        frame: &Frame<'_>,
        source: &Source<'_>,
        withdrawals: &[Withdrawal],
    ) -> Result<Filled, MineError> {
        let mut filling = Filling {
            chain: self,
            frame,
            dispatcher,
            settings: self.options().dispatch,
            builder: None,
            included: Vec::new(),
            skipped: Vec::new(),
            tried: Tried::default(),
            culprits: HashSet::new(),
            condemned: HashMap::new(),
            room_bytes: 0,
            blobs: 0,
            gas_at_once: 0,
        };
        filling.empty();
        let first = filling.schedule(source);
        let at_once = first.as_ref().and_then(|schedule| filling.at_once(schedule, source, withdrawals));
        let (included, outcome) = match at_once {
            Some(done) => done,
            None => {
                filling.empty();
                filling.in_batches(first, source, withdrawals)?
            }
        };
        let Filling { skipped, dispatcher, .. } = filling;
        let record = &mut dispatcher.record;
        record.blocks += 1;
        record.gas += outcome.gas_used;
        skipped.iter().for_each(|(_, trouble)| record.trouble(trouble));
        let batch_size = dispatcher.batch_size(&self.options().dispatch);
        *self.lock_done() = (dispatcher.record.clone(), batch_size);
        Ok(Filled { included, skipped, outcome })
    }

    /// Does with each transaction that could not be included what the table says.
    pub(crate) fn repair_pool(&self, skipped: &[(B256, Trouble)]) -> Result<(), crate::ChainError> {
        if skipped.is_empty() {
            return Ok(());
        }
        let head = self.head();
        self.waiting().change_freely(|pool: &mut Pool| {
            for (hash, trouble) in skipped {
                let recovery = recovery(trouble);
                // What only has to wait for another block says nothing about its sender.
                if !matches!(recovery, Recovery::Skip | Recovery::Reorder | Recovery::Halve) {
                    pool.record(hash, Ending::Skipped);
                }
                match recovery {
                    Recovery::Skip | Recovery::Retry | Recovery::Halve => {}
                    Recovery::Remove => drop(pool.remove(hash, DropReason::Invalid)),
                    Recovery::SetAside => drop(pool.remove(hash, DropReason::Faulty)),
                    Recovery::Reorder => {
                        let Some(sender) = pool.get(hash).map(|pooled| pooled.sender()) else { continue };
                        let account = state::View::account(&*head.state, &sender)?.unwrap_or_default();
                        pool.settle(&sender, &account);
                    }
                }
            }
            Ok(())
        })
    }
}

/// How a round ended.
struct Round {
    is_full: bool,
}

impl<'a> Filling<'a> {
    /// As nothing was tried yet.
    fn empty(&mut self) {
        self.tried.clear();
        self.room_bytes = BLOCK_BYTES_MAX - OVERHEAD_BYTES;
        self.blobs = self.frame.rules.blobs.max;
        self.gas_at_once = 0;
    }

    /// The whole block, a schedule at a time, where nothing goes wrong.
    fn at_once(
        &mut self,
        first: &Schedule,
        source: &Source<'_>,
        withdrawals: &[Withdrawal],
    ) -> Option<(Vec<Recovered>, BlockOutcome)> {
        let Options { parallel, .. } = *self.chain.options();
        if parallel == Parallel::Off || self.settings.presimulate || first.transactions.len() < AT_ONCE_MIN {
            return None;
        }
        // Nothing is left to fill up with, or no gas limit promises more than its transaction takes.
        let certain = first.is_all || first.transactions.iter().all(|pooled| pooled.gas_limit == GAS_MIN);
        // Whatever goes wrong, a panic included, goes wrong again in batches, where it is known whose it is.
        let (transactions, outcome, times) = catch_unwind(AssertUnwindSafe(|| {
            if certain { self.whole(first, withdrawals) } else { self.in_lots(first, source, withdrawals) }
        }))
        .ok()??;
        self.dispatcher.record.executed_at_once(transactions.len(), &times);
        self.dispatcher.was_calm(&self.settings);
        Some((transactions, outcome))
    }

    /// A block of exactly this.
    fn whole(&self, schedule: &Schedule, withdrawals: &[Withdrawal]) -> Option<AtOnce> {
        let Frame { rules, environment, state, .. } = *self.frame;
        let transactions = self.taken(schedule)?;
        let executor = &self.chain.executor;
        let executed = executor.execute(rules, environment, &transactions, withdrawals, state, execute::mode(rules));
        let (outcome, report) = executed.ok()?;
        self.fits_memory(&outcome).then_some((transactions, outcome, report.times))
    }

    /// A block of this and of what fills it up.
    fn in_lots(&mut self, first: &Schedule, source: &Source<'_>, withdrawals: &[Withdrawal]) -> Option<AtOnce> {
        let Frame { rules, environment, state, .. } = *self.frame;
        let executor = &self.chain.executor;
        // Old receipts want each transaction's root, and who verifies wants it of the whole block.
        if execute::mode(rules).diffs || executor.verifies() {
            return None;
        }
        let mut growing = Growing::new(executor, rules, environment, state);
        let mut transactions = Vec::new();
        let mut next = None;
        for round in 0..ROUNDS_MAX {
            let schedule = if round == 0 { first } else { next.as_ref()? };
            if schedule.transactions.is_empty() {
                break;
            }
            let lot = self.taken(schedule)?;
            growing.push(&lot).ok()?;
            transactions.extend(lot);
            if !self.fits_memory(growing.outcome()) {
                return None;
            }
            for pooled in &schedule.transactions {
                self.tried.insert(pooled.sender(), Some(pooled.nonce + 1));
                self.room_bytes = self.room_bytes.saturating_sub(pooled.size_bytes);
                self.blobs = self.blobs.saturating_sub(u64::from(pooled.blobs));
            }
            self.gas_at_once = growing.outcome().gas_used;
            next = self.schedule(source);
            if next.is_none() {
                break;
            }
        }
        let times = growing.report().times.clone();
        let outcome = growing.finish(withdrawals).ok()?;
        Some((transactions, outcome, times))
    }

    /// What was scheduled, unless something of it names what is not there.
    fn taken(&self, schedule: &Schedule) -> Option<Vec<Recovered>> {
        let there = |pooled: &Arc<Pooled>| {
            matches!(absent(self.frame.state, &pooled.transaction.transaction), Ok(None))
                .then(|| pooled.transaction.clone())
        };
        schedule.transactions.par_iter().with_min_len(TAKEN_MIN).map(there).collect()
    }

    /// Whether as many batches might take as much.
    fn fits_memory(&self, outcome: &BlockOutcome) -> bool {
        let batches = outcome.receipts.len().div_ceil(self.dispatcher.batch_size(&self.settings)).max(1);
        memory_bytes(outcome) <= self.settings.batch_memory_bytes.saturating_mul(batches)
    }

    /// Batch by batch, round by round until the block is full.
    fn in_batches(
        &mut self,
        mut next: Option<Schedule>,
        source: &Source<'_>,
        withdrawals: &[Withdrawal],
    ) -> Result<(Vec<Recovered>, BlockOutcome), MineError> {
        self.restart(0)?;
        for _ in 0..ROUNDS_MAX {
            let Some(schedule) = next.take().filter(|schedule| !schedule.transactions.is_empty()) else { break };
            if self.run(&schedule.transactions)?.is_full {
                break;
            }
            next = self.schedule(source);
        }
        let builder = self.builder.take().expect("a block that is filled has a builder");
        let outcome = builder.finish(withdrawals).map_err(MineError::Execution)?;
        let included = self.included.iter().map(|pooled| pooled.transaction.clone()).collect();
        Ok((included, outcome))
    }

    fn builder(&mut self) -> &mut BlockBuilder<'a> {
        self.builder.as_mut().expect("a block that is filled has a builder")
    }

    fn gas_left(&self) -> u64 {
        self.frame.environment.gas_limit - self.builder.as_ref().map_or(self.gas_at_once, BlockBuilder::gas_used)
    }

    /// The state after the first so many that were included: the block is run again up to there.
    fn restart(&mut self, included: usize) -> Result<(), MineError> {
        let Frame { rules, environment, state, .. } = *self.frame;
        let mode: Mode = execute::mode(rules);
        let mut builder = BlockBuilder::new(rules, environment, state, mode).map_err(MineError::Execution)?;
        for undone in self.included.drain(included..) {
            self.room_bytes += undone.size_bytes;
            self.blobs += u64::from(undone.blobs);
        }
        for pooled in &self.included {
            builder.push(&pooled.transaction).map_err(MineError::Execution)?;
        }
        self.builder = Some(builder);
        Ok(())
    }

    /// What could stand in the rest of the block; None where there is no room.
    fn schedule(&mut self, source: &Source<'_>) -> Option<Schedule> {
        let gas = self.gas_left();
        if gas < GAS_MIN {
            return None;
        }
        let room = Room {
            base_fee: self.frame.environment.base_fee.unwrap_or_default(),
            blob_base_fee: self.frame.blob_base_fee,
            gas,
            blobs: self.blobs,
            size_bytes: self.room_bytes,
            transactions: usize::MAX,
        };
        Some(match source {
            Source::Ranked => self.chain.waiting().change_freely(|pool| pool.schedule(&room, &self.tried)),
            Source::Own(transactions, scores) => {
                let left =
                    transactions.iter().zip(*scores).filter(|(pooled, _)| match self.tried.get(&pooled.sender()) {
                        None => true,
                        Some(next) => next.is_some_and(|nonce| pooled.nonce >= nonce),
                    });
                let (transactions, scores): (Vec<_>, Vec<_>) =
                    left.map(|(pooled, score)| (Arc::clone(pooled), *score)).unzip();
                pool::order_by_scores(&transactions, &scores, &room)
            }
        })
    }

    /// Runs what was scheduled, batch by batch.
    fn run(&mut self, scheduled: &[Arc<Pooled>]) -> Result<Round, MineError> {
        let mut rest = scheduled;
        // Of what follows, so many are run one by one, because their batch was undone.
        let mut singly: usize = 0;
        while !rest.is_empty() {
            let size = if singly > 0 { 1 } else { self.dispatcher.batch_size(&self.settings) };
            // Whoever has undone a batch stands alone the next time: nobody's work is thrown away twice because of one.
            let known = rest.iter().take(size).position(|pooled| self.culprits.contains(&pooled.hash));
            let length = known.map_or(size.min(rest.len()), |place| place.max(1));
            let (batch, after) = rest.split_at(length);
            let (before, skipped_before) = (self.included.len(), self.skipped.len());
            match self.run_batch(batch)? {
                Batch::Done => {
                    singly = singly.saturating_sub(1);
                    rest = after;
                    self.dispatcher.was_calm(&self.settings);
                }
                Batch::Undone(culprit, trouble) => {
                    self.dispatcher.record.aborted_batches += 1;
                    self.restart(before)?;
                    for (hash, trouble) in self.skipped.drain(skipped_before..) {
                        let pooled = batch.iter().find(|pooled| pooled.hash == hash).expect("it is of this batch");
                        self.condemned.insert(hash, (Arc::clone(pooled), trouble));
                    }
                    // Their senders' turn is as it was before the batch.
                    for pooled in batch {
                        self.tried.remove(&pooled.sender());
                    }
                    for pooled in &self.included {
                        self.tried.insert(pooled.sender(), Some(pooled.nonce + 1));
                    }
                    for (hash, _) in &self.skipped {
                        if let Some(pooled) = scheduled.iter().find(|pooled| pooled.hash == *hash) {
                            self.tried.insert(pooled.sender(), None);
                        }
                    }
                    self.culprits.insert(culprit.hash);
                    match recovery(&trouble) {
                        Recovery::Halve if batch.len() > 1 => self.dispatcher.shrink(&self.settings),
                        _ => {
                            tracing::error!(transaction = %culprit.hash, "left out of the block: {trouble}");
                            self.condemned.insert(culprit.hash, (culprit, trouble));
                            singly = batch.len();
                        }
                    }
                    if self.culprits.len() > FAULTS_MAX {
                        for (_, (pooled, trouble)) in std::mem::take(&mut self.condemned) {
                            self.leave_out(&pooled, trouble);
                        }
                        return Ok(Round { is_full: true });
                    }
                }
            }
        }
        Ok(Round { is_full: false })
    }

    fn run_batch(&mut self, batch: &[Arc<Pooled>]) -> Result<Batch, MineError> {
        let memory_before = self.builder().memory_bytes();
        let mut begun = Instant::now();
        for pooled in batch {
            if self.tried.get(&pooled.sender()) == Some(&None) {
                continue;
            }
            if let Some((_, trouble)) = self.condemned.remove(&pooled.hash) {
                self.leave_out(pooled, trouble);
                continue;
            }
            let height = self.frame.environment.number;
            if self.settings.presimulate && self.dispatcher.is_put_off(&pooled.hash, height) {
                self.tried.insert(pooled.sender(), None);
                continue;
            }
            if let Some(trouble) = absent(self.frame.state, &pooled.transaction.transaction)? {
                self.leave_out(pooled, trouble);
                continue;
            }
            let attempt = self.attempt(pooled)?;
            let now = Instant::now();
            self.dispatcher.record.executed(now - begun);
            begun = now;
            match attempt {
                Ok(()) => {}
                Err(Trouble::Fault(reason)) => {
                    return Ok(Batch::Undone(Arc::clone(pooled), Trouble::Fault(reason)));
                }
                Err(trouble) => self.leave_out(pooled, trouble),
            }
            let used = self.builder().memory_bytes().saturating_sub(memory_before);
            let budget = self.settings.batch_memory_bytes;
            if used > budget {
                return Ok(Batch::Undone(Arc::clone(pooled), Trouble::OutOfMemory { used, budget }));
            }
        }
        Ok(Batch::Done)
    }

    /// Executes one; where it can't be included the block is as it was before, but for a fault.
    fn attempt(&mut self, pooled: &Arc<Pooled>) -> Result<Result<(), Trouble>, MineError> {
        let (presimulate, height) = (self.settings.presimulate, self.frame.environment.number);
        let (builder, dispatcher) = (&mut self.builder, &mut *self.dispatcher);
        let builder = builder.as_mut().expect("a block that is filled has a builder");
        let mut attempts = None;
        // A panic is a bug of ours. It must not take the block with it: what it may have left half done is thrown away.
        let caught = catch_unwind(AssertUnwindSafe(|| {
            builder.push_if(&pooled.transaction, |executed| {
                if presimulate && !executed.outcome.is_success() {
                    attempts = dispatcher.puts_off(pooled.hash, height);
                }
                attempts.is_none()
            })
        }));
        Ok(match caught {
            Ok(Ok(Some(_))) => {
                self.room_bytes = self.room_bytes.saturating_sub(pooled.size_bytes);
                self.blobs = self.blobs.saturating_sub(u64::from(pooled.blobs));
                self.tried.insert(pooled.sender(), Some(pooled.nonce + 1));
                self.included.push(Arc::clone(pooled));
                Ok(())
            }
            Ok(Ok(None)) => Err(Trouble::ExecutionFailed { attempts: attempts.unwrap_or_default() }),
            Ok(Err(ExecError::Rejected { rejection, .. })) => Err(Trouble::Rejected(rejection)),
            // A store that can't be read is nobody's fault here: no block is made.
            Ok(Err(error @ ExecError::View(_))) => return Err(MineError::Execution(error)),
            Ok(Err(other)) => Err(Trouble::Fault(other.to_string())),
            Err(panic) => Err(Trouble::Fault(panic_text(&*panic))),
        })
    }

    fn leave_out(&mut self, pooled: &Pooled, trouble: Trouble) {
        self.tried.insert(pooled.sender(), None);
        self.skipped.push((pooled.hash, trouble));
    }
}

/// What a transaction of our own kinds names and the state before the block does not have.
fn absent(state: &BlockState, transaction: &Transaction) -> Result<Option<Trouble>, MineError> {
    let Some(Payload::AssetTransfer(transfer)) = transaction.payload() else { return Ok(None) };
    for step in &transfer.moves {
        let issuer = state.storage(&system::ASSETS, &issuer_slot(step.asset));
        if issuer.map_err(ChainError::from)?.is_zero() {
            return Ok(Some(Trouble::ContractNotFound { kind: transaction.kind(), name: step.asset }));
        }
    }
    Ok(None)
}

/// What a block's change, receipts and logs take, about.
fn memory_bytes(outcome: &BlockOutcome) -> usize {
    let changes: usize = outcome.diff.accounts.iter().map(|(_, change)| 1 + change.slots.len()).sum();
    let logs = outcome.receipts.iter().flat_map(|receipt| &receipt.logs);
    let log_bytes: usize = logs.map(|log| size_of_val(log) + log.data.data.len()).sum();
    changes * CHANGE_BYTES + outcome.receipts.len() * size_of::<Receipt>() + log_bytes
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

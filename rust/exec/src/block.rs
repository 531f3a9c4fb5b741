//! A block, transaction by transaction.

use evm::{
    BlockEnv, CustomFailure, Executed, Fault, Fork, Outcome, Rejection, Rules, Tracer, TransactError, transact,
    transact::trace,
};
use state::{Overlay, StateDiff, View, ViewError};
use types::{Address, B256, Bytes, Receipt, Recovered, U256, Withdrawal, receipt};

use crate::{parallel::Difference, spare, system, times::Timing};

/// What is wanted besides the outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mode {
    /// A diff per transaction too: receipts before Byzantium hold the root after each.
    pub diffs: bool,
    /// What finding the block earns.
    pub reward: Reward,
}

/// What finding a block earns, before the part for its ommers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reward {
    /// What the fork says: nothing from the merge on.
    #[default]
    ByFork,
    /// So many wei, which may be none: even then the beneficiary's account is touched.
    Wei(U256),
    /// Nothing, and nobody is touched.
    Nothing,
}

/// What a block did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockOutcome {
    /// One per transaction. Before Byzantium their state roots are zero: who knows the trie fills them from `diffs`.
    pub receipts: Vec<Receipt>,
    /// Gas of all transactions.
    pub gas_used: u64,
    /// Blob gas of all transactions.
    pub blob_gas_used: u64,
    /// Everything that changed.
    pub diff: StateDiff,
    /// Of each transaction, where asked; what happened before the first is in the first, what after the last nowhere.
    pub diffs: Vec<StateDiff>,
    /// From Prague on: what the execution layer asks of the consensus layer, each with its type's byte in front.
    pub requests: Vec<Bytes>,
    /// Wei that nobody has any more.
    pub burned: U256,
    /// Wei that the beneficiary got from transactions.
    pub fees: U256,
}

impl BlockOutcome {
    /// Whether the block has room for one more.
    pub(crate) fn room(&self, rules: &Rules, env: &BlockEnv, transaction: &Recovered) -> Result<(), Rejection> {
        let transaction = &transaction.transaction;
        let available = env.gas_limit - self.gas_used;
        if transaction.gas_limit() > available {
            return Err(Rejection::BlockGasExceeded { required: transaction.gas_limit(), available });
        }
        let used = self.blob_gas_used / evm::spec::chain::BLOB_GAS;
        let max = rules.blobs.max.saturating_sub(used);
        let count = transaction.blob_hashes().len();
        if count as u64 > max {
            return Err(Rejection::TooManyBlobs { count, max });
        }
        Ok(())
    }

    /// Does what comes after the last transaction; the diff is all that happened on the overlay.
    pub(crate) fn close(
        &mut self,
        rules: &Rules,
        env: &BlockEnv,
        withdrawals: &[Withdrawal],
        overlay: Overlay<'_>,
    ) -> Result<(), ExecError> {
        self.close_anyway(rules, env, Reward::ByFork, withdrawals, overlay)?.map_or(Ok(()), Err)
    }

    /// The same where the outcome is wanted even if the requests are wrong, with what is wrong with them.
    fn close_anyway(
        &mut self,
        rules: &Rules,
        env: &BlockEnv,
        reward: Reward,
        withdrawals: &[Withdrawal],
        mut overlay: Overlay<'_>,
    ) -> Result<Option<ExecError>, ExecError> {
        system::pay(rules, env, reward, withdrawals, &mut overlay)?;
        let wrong = match system::requests(rules, env, &self.receipts, &mut overlay) {
            Ok(requests) => {
                self.requests = requests;
                None
            }
            Err(ExecError::View(error)) => return Err(error.into()),
            Err(wrong) => Some(wrong),
        };
        self.diff = overlay.diff();
        spare::put(overlay);
        Ok(wrong)
    }

    /// Takes in what the next transaction did; its logs move into the receipt.
    #[inline]
    pub(crate) fn add(&mut self, rules: &Rules, transaction: &Recovered, executed: &mut Executed) {
        self.gas_used += executed.gas_used;
        self.blob_gas_used += executed.blob_gas_used;
        self.burned += executed.burned;
        self.fees += executed.tip;
        self.receipts.push(receipt(rules, transaction, executed, self.gas_used));
    }
}

/// What a block says of a transaction, whose logs move there.
#[inline]
pub(crate) fn receipt(
    rules: &Rules,
    transaction: &Recovered,
    executed: &mut Executed,
    cumulative_gas_used: u64,
) -> Receipt {
    Receipt {
        kind: transaction.transaction.kind(),
        outcome: if rules.has(Fork::Byzantium) {
            receipt::Outcome::Status(executed.outcome.is_success())
        } else {
            receipt::Outcome::StateRoot(B256::ZERO)
        },
        cumulative_gas_used,
        logs: std::mem::take(&mut executed.logs),
    }
}

/// Why a block has no outcome.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExecError {
    /// A transaction may not stand in this block.
    #[error("transaction {index}: {rejection}")]
    Rejected {
        /// Which.
        index: usize,
        /// Why.
        rejection: Rejection,
    },
    /// From Prague on a block must call a contract that is not there (EIP-7002, EIP-7251).
    #[error("system contract {contract} is missing")]
    SystemContractMissing {
        /// Where it should be.
        contract: Address,
    },
    /// Such a contract did not answer.
    #[error("system contract {contract} failed: {outcome:?}")]
    SystemCallFailed {
        /// Which.
        contract: Address,
        /// How its call ended.
        outcome: Outcome,
    },
    /// The deposit contract logged something that is no deposit (EIP-6110).
    #[error("malformed deposit event: {data}")]
    MalformedDeposit {
        /// The event's data.
        data: Bytes,
    },
    /// A bug: a transaction made its worker panic. The state is as it was.
    #[error("transaction {index} made its worker panic: {message}")]
    Panicked {
        /// Which.
        index: usize,
        /// What the panic said.
        message: String,
    },
    /// A bug: the parallel answer is not the sequential one. Told only where that was asked for.
    #[error("parallel execution differs: {0}")]
    Diverged(Box<Difference>),
    /// The state cannot be read.
    #[error(transparent)]
    View(#[from] ViewError),
    /// An opcode or precompile of the chain's own failed.
    #[error(transparent)]
    Custom(#[from] CustomFailure),
}

impl From<Fault> for ExecError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::View(error) => error.into(),
            Fault::Custom(failure) => failure.into(),
        }
    }
}

/// Transactions whose parties are looked up in one go: one look-up need not wait for the memory that another asked for.
/// Few enough that they are still in the cache when their turn comes.
pub(crate) const AHEAD: usize = 64;

/// Looks up senders and recipients of what comes next; `parties` is room for a list of them.
pub(crate) fn foresee<'t>(
    overlay: &mut Overlay<'_>,
    parties: &mut Vec<Address>,
    transactions: impl IntoIterator<Item = &'t Recovered>,
) {
    parties.clear();
    for Recovered { transaction, sender } in transactions {
        parties.push(*sender);
        parties.extend(transaction.to().to());
    }
    overlay.foresee(parties);
}

/// Executes a whole block over the state before it.
pub fn execute(
    rules: &Rules,
    env: &BlockEnv,
    transactions: &[Recovered],
    withdrawals: &[Withdrawal],
    view: &dyn View,
    mode: Mode,
) -> Result<BlockOutcome, ExecError> {
    Block { rules, env, transactions, withdrawals, view, mode }.execute()
}

/// What a block is made from.
#[derive(Clone, Copy)]
pub(crate) struct Block<'a> {
    pub(crate) rules: &'a Rules,
    pub(crate) env: &'a BlockEnv,
    pub(crate) transactions: &'a [Recovered],
    pub(crate) withdrawals: &'a [Withdrawal],
    pub(crate) view: &'a dyn View,
    pub(crate) mode: Mode,
}

impl<'a> Block<'a> {
    /// One transaction after the other.
    pub(crate) fn execute(&self) -> Result<BlockOutcome, ExecError> {
        self.execute_timed(&mut Timing::none())
    }

    /// The same, each transaction's time taken.
    pub(crate) fn execute_timed(&self, timing: &mut Timing) -> Result<BlockOutcome, ExecError> {
        let mut builder = self.builder()?;
        builder.reserve(self.transactions.len());
        builder.push_all(self.transactions, timing)?;
        builder.finish(self.withdrawals)
    }

    /// Opened.
    pub(crate) fn builder(&self) -> Result<BlockBuilder<'a>, ExecError> {
        BlockBuilder::new(self.rules, self.env, self.view, self.mode)
    }
}

/// What an account or slot takes in an overlay, its index and its part of the diff included, about.
const ENTRY_BYTES: usize = 400;

/// A block that grows.
pub struct BlockBuilder<'a> {
    pub(crate) rules: &'a Rules,
    pub(crate) env: &'a BlockEnv,
    pub(crate) overlay: Overlay<'a>,
    mode: Mode,
    /// Whom the next transactions are about.
    parties: Vec<Address>,
    /// What changed before the first transaction, until that one's diff takes it in.
    opening: StateDiff,
    pub(crate) outcome: BlockOutcome,
    /// What the logs of all receipts take.
    log_bytes: usize,
}

impl<'a> BlockBuilder<'a> {
    /// Opens the block: does what comes before the first transaction.
    pub fn new(rules: &'a Rules, env: &'a BlockEnv, view: &'a dyn View, mode: Mode) -> Result<Self, ExecError> {
        let mut overlay = spare::take(view);
        system::open(rules, env, &mut overlay)?;
        let opening = if mode.diffs { overlay.diff() } else { StateDiff::default() };
        Ok(Self {
            rules,
            env,
            overlay,
            mode,
            parties: Vec::with_capacity(2 * AHEAD),
            opening,
            outcome: BlockOutcome::default(),
            log_bytes: 0,
        })
    }

    /// Goes on where others have stopped: `view` is the state after what `so_far` tells. The outcome will be that of what
    /// follows, but for the sums.
    pub(crate) fn resume(rules: &'a Rules, env: &'a BlockEnv, view: &'a dyn View, so_far: &BlockOutcome) -> Self {
        let BlockOutcome { gas_used, blob_gas_used, burned, fees, .. } = *so_far;
        Self {
            rules,
            env,
            overlay: spare::take(view),
            mode: Mode::default(),
            parties: Vec::with_capacity(2 * AHEAD),
            opening: StateDiff::default(),
            outcome: BlockOutcome { gas_used, blob_gas_used, burned, fees, ..BlockOutcome::default() },
            log_bytes: 0,
        }
    }

    /// Makes room for so many more.
    pub(crate) fn reserve(&mut self, transactions: usize) {
        self.outcome.receipts.reserve_exact(transactions);
        // Two accounts each, if nobody appears twice.
        self.overlay.reserve(2 * transactions);
    }

    /// Executes all of these, or fails at the first that is refused.
    pub(crate) fn push_all(&mut self, transactions: &[Recovered], timing: &mut Timing) -> Result<(), ExecError> {
        for transactions in transactions.chunks(AHEAD) {
            timing.begin();
            foresee(&mut self.overlay, &mut self.parties, transactions);
            timing.share(transactions.len());
            for transaction in transactions {
                self.add(transaction, None, |_| true)?;
                timing.end();
            }
        }
        Ok(())
    }

    /// Executes one more transaction. One that is refused leaves the block as it was, and the next may be tried.
    pub fn push(&mut self, transaction: &Recovered) -> Result<Executed, ExecError> {
        let accepted = self.add(transaction, None, |_| true)?;
        Ok(accepted.expect("whatever it did is accepted"))
    }

    /// The same, step by step in the sight of `tracer`.
    pub fn push_traced(&mut self, transaction: &Recovered, tracer: &mut dyn Tracer) -> Result<Executed, ExecError> {
        let accepted = self.add(transaction, Some(tracer), |_| true)?;
        Ok(accepted.expect("whatever it did is accepted"))
    }

    /// As [`push`](Self::push), but what it did has to be accepted, too: where it isn't, the block is as it was.
    pub fn push_if(
        &mut self,
        transaction: &Recovered,
        accept: impl FnOnce(&Executed) -> bool,
    ) -> Result<Option<Executed>, ExecError> {
        self.add(transaction, None, accept)
    }

    #[inline]
    fn add(
        &mut self,
        transaction: &Recovered,
        tracer: Option<&mut dyn Tracer>,
        accept: impl FnOnce(&Executed) -> bool,
    ) -> Result<Option<Executed>, ExecError> {
        let index = self.outcome.receipts.len();
        self.outcome
            .room(self.rules, self.env, transaction)
            .map_err(|rejection| ExecError::Rejected { index, rejection })?;
        let executed = match tracer {
            None => transact(self.rules, self.env, transaction, &mut self.overlay),
            Some(tracer) => trace(self.rules, self.env, transaction, &mut self.overlay, tracer),
        };
        let mut executed = executed.map_err(|error| match error {
            TransactError::Rejected(rejection) => ExecError::Rejected { index, rejection },
            TransactError::Fault(fault) => fault.into(),
        })?;
        if !accept(&executed) {
            self.overlay.abandon();
            return Ok(None);
        }
        self.log_bytes += executed.logs.iter().map(|log| size_of_val(log) + log.data.data.len()).sum::<usize>();
        self.outcome.add(self.rules, transaction, &mut executed);
        if self.mode.diffs {
            self.outcome.diffs.push(std::mem::take(&mut self.opening).then(&self.overlay.transaction_diff()));
        }
        Ok(Some(executed))
    }

    /// Gas used so far.
    pub fn gas_used(&self) -> u64 {
        self.outcome.gas_used
    }

    /// Bytes of memory that the block's state, receipts and logs take so far, about.
    pub fn memory_bytes(&self) -> usize {
        self.overlay.entries() * ENTRY_BYTES + self.outcome.receipts.len() * size_of::<Receipt>() + self.log_bytes
    }

    /// Closes the block: does what comes after the last transaction.
    pub fn finish(self, withdrawals: &[Withdrawal]) -> Result<BlockOutcome, ExecError> {
        let (outcome, wrong) = self.finish_anyway(withdrawals)?;
        wrong.map_or(Ok(outcome), Err)
    }

    /// The same where the block is wanted even if its requests are wrong, with what is wrong with them: tools tell both.
    pub fn finish_anyway(mut self, withdrawals: &[Withdrawal]) -> Result<(BlockOutcome, Option<ExecError>), ExecError> {
        let reward = self.mode.reward;
        let wrong = self.outcome.close_anyway(self.rules, self.env, reward, withdrawals, self.overlay)?;
        Ok((self.outcome, wrong))
    }
}

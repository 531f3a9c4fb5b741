//! One block over given accounts, without a chain: the transition tool's interface that geth, evmone and the makers of
//! the public tests speak (`t8n`). JSON in, JSON out.
//!
//! The environment may leave to the rules of headers what follows from the block before: difficulty, base fee, excess
//! blob gas. A transaction that may not stand in the block is left out and told with its reason; requests that are wrong
//! are told as `blockException`. A BLOCKHASH that was not given is an error, since any answer would be made up.

mod environment;
mod outcome;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    io::{self, Write},
    sync::OnceLock,
};

use evm::{
    Executed, Fork, Outcome, Rules, Tracer,
    trace::{Lines, Shown, Step},
};
use exec::{
    BlockBuilder, ExecError, Mode, Reward,
    suite::{
        transactions::TransactionWords,
        words::{AccountWords, BlobWords, Data, state_of},
    },
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use state::{MemoryState, View, ViewError};
use types::{Account, Address, B256, Bytes, Recovered, Transaction, U256};

use crate::blocktest::{Network, UnknownNetwork};
use environment::Environment;

/// What goes in.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// The fork, or a change of forks as public tests name them.
    pub fork: &'a str,
    /// What transactions and CHAINID name.
    pub chain_id: u64,
    /// Wei for finding the block; None: nobody is rewarded.
    pub reward: Option<u128>,
    /// Accounts by address.
    pub alloc: &'a [u8],
    /// The block.
    pub env: &'a [u8],
    /// A list of transactions, or their RLP as hexadecimal text.
    pub txs: &'a [u8],
    /// Parameters of blobs other than the fork's.
    pub blob_params: Option<&'a [u8]>,
}

/// What comes out, as JSON.
#[derive(Clone, Debug, PartialEq)]
pub struct Transition {
    /// Accounts after.
    pub alloc: Value,
    /// Roots, receipts, what was refused.
    pub result: Value,
    /// The RLP of the transactions that stand in the block.
    pub body: Bytes,
}

/// Why nothing comes out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransitionError {
    /// No such fork.
    #[error(transparent)]
    Network(#[from] UnknownNetwork),
    /// The environment leaves something out that nothing else tells.
    #[error("env: {field} is missing, and {fork} needs it")]
    Missing {
        /// What.
        field: &'static str,
        /// At which fork.
        fork: Fork,
    },
    /// An input is not what it should be.
    #[error("{input}: {reason}")]
    Malformed {
        /// Which.
        input: &'static str,
        /// Why.
        reason: String,
    },
    /// The body is not RLP of transactions.
    #[error("txs: malformed RLP: {reason}")]
    Body {
        /// Why.
        reason: String,
    },
    /// BLOCKHASH asked for a hash that was not given.
    #[error("getHash({number}) invoked, blockhash for that block not provided")]
    BlockHash {
        /// Of which block.
        number: u64,
    },
    /// A trace cannot be written.
    #[error("trace: {0}")]
    Trace(String),
    /// The accounts cannot be executed over.
    #[error(transparent)]
    View(#[from] ViewError),
}

/// Where the trace of a transaction goes, given its index among those that stand in the block, and its hash.
pub type TraceTo<'a> = &'a mut dyn FnMut(usize, B256) -> io::Result<Box<dyn Write>>;

/// Does it. With `trace_to`, each transaction's steps are written as EIP-3155 lines that hold what is to be shown.
///
/// # Errors
/// See [`TransitionError`]; a refused transaction is none.
pub fn transition(input: &Input<'_>, trace_to: Option<(TraceTo<'_>, Shown)>) -> Result<Transition, TransitionError> {
    let network: Network = input.fork.parse()?;
    let alloc: BTreeMap<Address, AccountWords> = read("alloc", input.alloc)?;
    let env: Environment = read("env", input.env)?;
    let spec = network.spec(input.chain_id, |_| None);
    let mut rules = spec.rules(env.current_number.u64(), env.current_timestamp.u64());
    if let Some(blobs) = input.blob_params {
        rules.blobs = read::<BlobWords>("blobParams", blobs)?.into();
    }
    let block = env.block(&spec, &rules)?;
    let withdrawals = env.withdrawals(&rules)?;
    let transactions = transactions(input, &rules)?;

    let mut given = Given { state: state_of(&alloc), env: &env, unknown: OnceLock::new() };
    let mode = Mode {
        // Before Byzantium receipts hold the root after each.
        diffs: !rules.has(Fork::Byzantium),
        reward: input.reward.map_or(Reward::Nothing, |wei| Reward::Wei(U256::from(wei))),
    };
    let told = |given: &Given<'_>, error: ExecError| match (given.unknown.get(), error) {
        (Some(number), _) => TransitionError::BlockHash { number: *number },
        (None, ExecError::View(error)) => error.into(),
        // Only a transaction is refused, and those are caught where they are tried.
        (None, other) => TransitionError::View(ViewError::Unreadable(other.to_string())),
    };
    let mut builder = BlockBuilder::new(&rules, &block, &given, mode).map_err(|error| told(&given, error))?;
    let mut included = Vec::new();
    let mut rejected = Vec::new();
    let mut trace_to = trace_to;
    for (index, transaction) in transactions.into_iter().enumerate() {
        let recovered = transaction.and_then(|transaction| {
            let sender =
                transaction.recover().map_err(|error| format!("invalid transaction v, r, s values: {error}"))?;
            Ok(Recovered::new(transaction, sender))
        });
        let recovered = match recovered {
            Ok(recovered) => recovered,
            Err(reason) => {
                rejected.push((index, reason));
                continue;
            }
        };
        let executed = match &mut trace_to {
            None => builder.push(&recovered),
            Some((open, shown)) => {
                traced(&mut builder, &recovered, included.len(), open, *shown).map_err(TransitionError::Trace)?
            }
        };
        match executed {
            Ok(executed) => included.push((recovered, executed)),
            Err(ExecError::Rejected { rejection, .. }) => rejected.push((index, rejection.to_string())),
            Err(error) => return Err(told(&given, error)),
        }
    }
    let finished = builder.finish_anyway(withdrawals.as_deref().unwrap_or_default());
    let (mut outcome, wrong) = finished.map_err(|error| told(&given, error))?;
    outcome::fill_roots(&given.state, &mut outcome);
    given.state.apply(&outcome.diff);
    let body: Vec<&Transaction> = included.iter().map(|(recovered, _)| &recovered.transaction).collect();
    let body = outcome::body(&body);
    let facts = outcome::Facts { rules: &rules, block: &block, withdrawals: withdrawals.as_deref() };
    Ok(Transition {
        alloc: outcome::alloc(&given.state),
        result: outcome::result(&facts, &given.state, &outcome, &included, &rejected, wrong.as_ref()),
        body,
    })
}

fn read<T: DeserializeOwned>(input: &'static str, json: &[u8]) -> Result<T, TransitionError> {
    serde_json::from_slice(json).map_err(|error| TransitionError::Malformed { input, reason: error.to_string() })
}

/// The transactions, or why one is none.
fn transactions(input: &Input<'_>, rules: &Rules) -> Result<Vec<Result<Transaction, String>>, TransitionError> {
    let malformed = |reason: String| TransitionError::Malformed { input: "txs", reason };
    match read("txs", input.txs)? {
        Value::Null => Ok(Vec::new()),
        Value::Array(list) => {
            let protected = rules.has(Fork::SpuriousDragon);
            let each = list.into_iter().enumerate().map(|(index, value)| {
                let words: TransactionWords =
                    serde_json::from_value(value).map_err(|error| malformed(format!("[{index}]: {error}")))?;
                Ok(words.signed(input.chain_id, protected).map_err(|error| error.to_string()))
            });
            each.collect()
        }
        text @ Value::String(_) => {
            let Data(bytes) = serde_json::from_value(text).map_err(|error| malformed(error.to_string()))?;
            let body: Vec<Transaction> =
                alloy_rlp::decode_exact(&bytes).map_err(|error| TransitionError::Body { reason: error.to_string() })?;
            Ok(body.into_iter().map(Ok).collect())
        }
        _ => Err(malformed("expected a list of transactions, or RLP as hexadecimal text".to_owned())),
    }
}

/// Pushes a transaction and writes its steps; the last line tells how it ended.
fn traced(
    builder: &mut BlockBuilder<'_>,
    transaction: &Recovered,
    index: usize,
    open: &mut TraceTo<'_>,
    shown: Shown,
) -> Result<Result<Executed, ExecError>, String> {
    let mut written = String::new();
    let mut out = None;
    let mut failed = None;
    let lines = Lines::new(shown, |line: &str| {
        written.push_str(line);
        written.push('\n');
    });
    let mut steps = Steps(lines);
    let executed = builder.push_traced(transaction, &mut steps);
    drop(steps);
    if let Ok(executed) = &executed {
        let hash = transaction.transaction.hash();
        let mut write = || -> io::Result<()> {
            let out = out.insert(open(index, hash)?);
            out.write_all(written.as_bytes())?;
            writeln!(out, "{}", ending(executed))?;
            out.flush()
        };
        failed = write().err();
    }
    failed.map_or(Ok(executed), |error| Err(error.to_string()))
}

/// The line that ends a trace.
pub fn ending(executed: &Executed) -> String {
    let output = match &executed.outcome {
        Outcome::Success { output, .. } | Outcome::Revert { output } => output.clone(),
        Outcome::Halt { .. } => Bytes::new(),
    };
    let error = match &executed.outcome {
        Outcome::Success { .. } => String::new(),
        Outcome::Revert { .. } => r#","error":"execution reverted""#.to_owned(),
        Outcome::Halt { reason } => format!(r#","error":"{reason}""#),
    };
    let pass = executed.outcome.is_success();
    let gas_used = executed.gas_used;
    format!(r#"{{"output":"{output}","gasUsed":"{gas_used:#x}","pass":{pass}{error}}}"#)
}

/// Steps alone: how the transaction ended is told by [`ending`].
struct Steps<T>(T);

impl<T: Tracer> Tracer for Steps<T> {
    fn step(&mut self, step: &Step<'_>) {
        self.0.step(step);
    }

    fn stepped(&mut self, cost: u64, halt: Option<evm::HaltReason>) {
        self.0.stepped(cost, halt);
    }
}

/// The accounts that were given, and hashes of blocks as far as they were; which was asked for and not given, is kept.
struct Given<'a> {
    state: MemoryState,
    env: &'a Environment,
    unknown: OnceLock<u64>,
}

impl View for Given<'_> {
    fn account(&self, address: &Address) -> Result<Option<Account>, ViewError> {
        self.state.account(address)
    }

    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, ViewError> {
        self.state.storage(address, slot)
    }

    fn code(&self, hash: &B256) -> Result<Bytes, ViewError> {
        self.state.code(hash)
    }

    fn block_hash(&self, number: u64) -> Result<B256, ViewError> {
        self.env.block_hash(number).ok_or_else(|| {
            let first = *self.unknown.get_or_init(|| number);
            ViewError::Unreadable(format!("the hash of block {first} was not given"))
        })
    }

    fn slots(&self, address: &Address) -> Result<Vec<(U256, U256)>, ViewError> {
        self.state.slots(address)
    }
}

//! Making blocks: of what waits in the pool, or of exactly the transactions that are given.
//!
//! The header is drawn up by the same functions that import compares with, so a sealed block imports cleanly elsewhere.
//! Which transactions had to stay out, and why, is part of the answer; what becomes of them is [`recovery`]'s table.

use std::sync::Arc;

use evm::{Fork, Rejection, spec::Rules};
use exec::{BlockBuilder, ExecError};
use pool::Pool;
use state::{StoredBlock, Tally};
use types::{Address, B256, BlockId, Body, Bytes, Header, Recovered, Withdrawal, keccak256};

use crate::{
    BlockRef, BlockState, Chain, ChainError, MineError, Recovery, Submission,
    execute::{self, Concluded},
    head::Writer,
    header,
    import::BLOCK_BYTES_MAX,
    recovery,
    reorg::NewBlock,
    submit,
};

/// What a block's maker decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MineOptions {
    /// The block before it; it becomes canonical.
    pub parent: BlockRef,
    /// Seconds since 1970; after the parent's.
    pub timestamp: u64,
    /// Who gets the tips.
    pub beneficiary: Address,
    /// None: the parent's.
    pub gas_limit: Option<u64>,
    /// At most 32 bytes.
    pub extra_data: Bytes,
    /// What PREVRANDAO gives; None: a hash of the parent's, the same whenever the same block is made.
    pub prev_randao: Option<B256>,
    /// From Cancun on.
    pub parent_beacon_root: B256,
    /// From Shanghai on.
    pub withdrawals: Vec<Withdrawal>,
}

impl MineOptions {
    /// A block on the head at this time, everything else as it comes.
    pub fn at(timestamp: u64) -> Self {
        Self {
            parent: BlockRef::Latest,
            timestamp,
            beneficiary: Address::ZERO,
            gas_limit: None,
            extra_data: Bytes::new(),
            prev_randao: None,
            parent_beacon_root: B256::ZERO,
            withdrawals: Vec::new(),
        }
    }
}

/// A block that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mined {
    /// It, with its receipts.
    pub block: Arc<StoredBlock>,
    /// What was tried and could not stand in it: hash and reason.
    pub skipped: Vec<(B256, Rejection)>,
}

/// Bytes of a block that are left for what is not a transaction: header, withdrawals, lengths.
const OVERHEAD_BYTES: usize = 1 << 16;

/// Gas of the cheapest transaction there is. Less room than this ends a block.
const TRANSACTION_GAS_MIN: u64 = 21_000;

impl Chain {
    /// Makes the next block of what waits, best first, and makes it the head.
    ///
    /// # Errors
    /// See [`MineError`]; the chain and the pool are then as they were.
    pub fn mine(&self, options: MineOptions) -> Result<Mined, MineError> {
        let mut writer = self.take_turn()?;
        let draft = self.draft(&options)?;
        let pool = self.pool();
        let environment = execute::environment(&draft.header, &[]);
        let mut builder = BlockBuilder::new(&draft.rules, &environment, &draft.state, execute::mode(&draft.rules))
            .map_err(MineError::Execution)?;
        let (mut included, mut skipped) = (Vec::new(), Vec::new());
        let mut room_bytes = BLOCK_BYTES_MAX - OVERHEAD_BYTES;
        let mut best = pool.best(draft.header.base_fee_per_gas.unwrap_or_default());
        while draft.header.gas_limit - builder.gas_used() >= TRANSACTION_GAS_MIN {
            let Some(next) = best.next() else { break };
            if next.size_bytes > room_bytes {
                best.leave_out(&next.transaction.sender);
                continue;
            }
            match builder.push(&next.transaction) {
                Ok(_) => {
                    room_bytes -= next.size_bytes;
                    included.push(next.transaction.clone());
                }
                Err(ExecError::Rejected { rejection, .. }) => {
                    best.leave_out(&next.transaction.sender);
                    skipped.push((next.hash, rejection));
                }
                Err(error) => return Err(MineError::Execution(error)),
            }
        }
        let outcome = builder.finish(&options.withdrawals).map_err(MineError::Execution)?;
        let block = self.seal(&mut writer, draft, included, options.withdrawals, outcome)?;
        self.repair_pool(&skipped)?;
        Ok(Mined { block, skipped })
    }

    /// Makes the next block of exactly these transactions, in this order, and makes it the head.
    ///
    /// # Errors
    /// [`MineError::Transaction`] or [`MineError::Execution`] where one of them cannot stand in it: no block is made
    /// then.
    pub fn mine_batch(&self, batch: Vec<Submission>, options: MineOptions) -> Result<Mined, MineError> {
        let recovered = submit::recover(batch)?.into_iter().enumerate();
        let transactions: Vec<Recovered> = recovered
            .map(|(index, recovered)| recovered.map_err(|error| MineError::Transaction { index, error: error.into() }))
            .collect::<Result<_, _>>()?;
        let mut writer = self.take_turn()?;
        let draft = self.draft(&options)?;
        let environment = execute::environment(&draft.header, &[]);
        let mode = execute::mode(&draft.rules);
        let (outcome, _) = self
            .executor
            .execute(&draft.rules, &environment, &transactions, &options.withdrawals, &draft.state, mode)
            .map_err(MineError::Execution)?;
        let block = self.seal(&mut writer, draft, transactions, options.withdrawals, outcome)?;
        Ok(Mined { block, skipped: Vec::new() })
    }

    /// The header as far as it is known before the transactions are, and the state that they find.
    fn draft(&self, options: &MineOptions) -> Result<Draft, MineError> {
        let parent = self.block(options.parent)?;
        let rules = self.spec().rules_merged(parent.id.number + 1, options.timestamp, Some(parent.total_difficulty));
        let state = self.state_from(&self.head(), parent.id)?;
        let merged = rules.has(Fork::Paris);
        let randao = options.prev_randao.unwrap_or_else(|| keccak256(parent.id.hash));
        let cancun = rules.has(Fork::Cancun);
        let mut header = Header {
            parent_hash: parent.id.hash,
            ommers_hash: header::NO_OMMERS_HASH,
            beneficiary: options.beneficiary,
            number: parent.id.number + 1,
            timestamp: options.timestamp,
            extra_data: options.extra_data.clone(),
            mix_hash: if merged { randao } else { B256::ZERO },
            base_fee_per_gas: header::base_fee(&parent.header, &rules),
            withdrawals_root: rules.has(Fork::Shanghai).then(|| execute::withdrawals_root(&options.withdrawals)),
            blob_gas_used: cancun.then_some(0),
            excess_blob_gas: cancun.then(|| header::excess_blob_gas(&parent.header, &rules)),
            parent_beacon_block_root: cancun.then_some(options.parent_beacon_root),
            requests_hash: rules.has(Fork::Prague).then_some(B256::ZERO),
            ..Header::default()
        };
        let (low, high) = header::gas_limit_bounds(&parent.header, &rules);
        header.gas_limit = options.gas_limit.unwrap_or_else(|| parent.header.gas_limit.clamp(low, high));
        if !merged {
            header.difficulty = header::difficulty(options.timestamp, &parent.header, self.spec(), &rules);
        }
        header::validate(&header, &parent.header, self.spec(), &rules)?;
        let (parent, total_difficulty, tally) = (parent.id, parent.total_difficulty, parent.tally);
        Ok(Draft { parent, total_difficulty, tally, rules, header, state })
    }

    /// Writes down what came of execution, and puts the block on its parent.
    fn seal(
        &self,
        writer: &mut Writer,
        draft: Draft,
        transactions: Vec<Recovered>,
        withdrawals: Vec<Withdrawal>,
        outcome: exec::BlockOutcome,
    ) -> Result<Arc<StoredBlock>, ChainError> {
        let Draft { parent, total_difficulty, tally, rules, mut header, state } = draft;
        let concluded = execute::conclude(&state, self.lattice_of(parent)?, outcome)?;
        let (senders, transactions): (Vec<_>, Vec<_>) =
            transactions.into_iter().map(|recovered| (recovered.sender, recovered.transaction)).unzip();
        header.transactions_root = execute::transactions_root(&transactions);
        header.state_root = concluded.update.root;
        header.receipts_root = concluded.receipts_root;
        header.logs_bloom = concluded.logs_bloom;
        header.gas_used = concluded.gas_used;
        header.blob_gas_used = header.blob_gas_used.map(|_| concluded.blob_gas_used);
        header.requests_hash = header.requests_hash.map(|_| concluded.requests_hash);
        let stored = Arc::new(StoredBlock {
            id: BlockId { number: header.number, hash: header.hash_slow() },
            total_difficulty: total_difficulty + header.difficulty,
            tally: tally.next(concluded.lattice.checksum(), concluded.burned, concluded.fees),
            body: Body {
                transactions,
                ommers: Vec::new(),
                withdrawals: rules.has(Fork::Shanghai).then(|| withdrawals.into()),
            },
            header,
            senders,
            receipts: concluded.receipts,
        });
        let Concluded { diff, update, lattice, .. } = concluded;
        let new = NewBlock { stored: Arc::clone(&stored), diff, update, lattice };
        self.extend(writer, parent, new)?;
        Ok(stored)
    }

    /// Does with each transaction that could not be included what the table says.
    fn repair_pool(&self, skipped: &[(B256, Rejection)]) -> Result<(), ChainError> {
        if skipped.is_empty() {
            return Ok(());
        }
        let head = self.head();
        let mut pool = self.lock_pool();
        let pool: &mut Pool = Arc::make_mut(&mut pool);
        for (hash, rejection) in skipped {
            match recovery(rejection) {
                Recovery::Skip => {}
                Recovery::Remove => drop(pool.remove(hash)),
                Recovery::Reorder => {
                    let Some(sender) = pool.get(hash).map(|pooled| pooled.transaction.sender) else { continue };
                    let account = state::View::account(&*head.state, &sender)?.unwrap_or_default();
                    pool.settle(&sender, account.nonce);
                }
            }
        }
        Ok(())
    }
}

/// A block before its transactions.
struct Draft {
    parent: BlockId,
    /// Up to and with the parent.
    total_difficulty: types::U256,
    /// The parent's.
    tally: Tally,
    rules: Rules,
    header: Header,
    state: BlockState,
}

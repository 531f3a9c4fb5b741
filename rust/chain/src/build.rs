//! Making blocks: of what waits in the pool, or of exactly the transactions that are given.
//!
//! The header is drawn up by the same functions that import compares with, so a sealed block imports cleanly elsewhere.
//! Which transactions had to stay out, and why, is part of the answer; what becomes of them is
//! [`recovery`](crate::recovery)'s table.

use std::sync::Arc;

use evm::{Fork, spec::Rules};
use pool::{Explanation, Pooled, Room, Tried};
use state::{StoredBlock, Tally};
use types::{Address, B256, BlockId, Body, Bytes, Header, Recovered, Withdrawal, keccak256};

use crate::{
    BlockRef, BlockState, Chain, ChainError, ExecutionMetrics, MineError, Submission, Trouble,
    dispatch::{Frame, Source},
    execute::{self, Concluded},
    head::Writer,
    header,
    import::BLOCK_BYTES_MAX,
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
    /// Where the parent is no older than that, a second after it will do. Only whoever makes the block can say so: the
    /// head may move between the question for its time and the answer.
    pub or_later: bool,
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
            or_later: false,
            beneficiary: Address::ZERO,
            gas_limit: None,
            extra_data: Bytes::new(),
            prev_randao: None,
            parent_beacon_root: B256::ZERO,
            withdrawals: Vec::new(),
        }
    }

    /// The same, later where the head is no older.
    pub fn not_before(timestamp: u64) -> Self {
        Self { or_later: true, ..Self::at(timestamp) }
    }
}

/// A block that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mined {
    /// It, with its receipts.
    pub block: Arc<StoredBlock>,
    /// What was tried and could not stand in it: hash and reason.
    pub skipped: Vec<(B256, Trouble)>,
}

impl Chain {
    /// Makes the next block of what waits, best first, and makes it the head.
    ///
    /// # Errors
    /// See [`MineError`]; the chain and the pool are then as they were.
    pub fn mine(&self, options: MineOptions) -> Result<Mined, MineError> {
        self.mine_from(&Source::Ranked, options)
    }

    /// As [`mine`](Self::mine), of these candidates in an order of one's own: the best score first, as far as nonces
    /// allow; those whose score is NaN stay out.
    ///
    /// # Errors
    /// See [`MineError`]; the chain and the pool are then as they were.
    ///
    /// # Panics
    /// Where there are not as many scores as candidates.
    pub fn mine_ordered(
        &self,
        candidates: &[Arc<Pooled>],
        scores: &[f64],
        options: MineOptions,
    ) -> Result<Mined, MineError> {
        assert_eq!(candidates.len(), scores.len(), "a score for each candidate");
        self.mine_from(&Source::Own(candidates, scores), options)
    }

    /// The transactions that the next block could choose from: the best ones by rank, so many at most.
    pub fn candidates(&self, count: usize) -> Vec<Arc<Pooled>> {
        let room =
            Room { gas: u64::MAX, blobs: u64::MAX, size_bytes: usize::MAX, transactions: count, ..self.next_room() };
        self.waiting().change_freely(|pool| pool.schedule(&room, &Tried::default())).transactions
    }

    /// Why a waiting transaction stands where it stands, and what would include it; None where it isn't there.
    pub fn explain(&self, hash: &B256) -> Option<Explanation> {
        let room = self.next_room();
        self.waiting().change_freely(|pool| pool.explain(hash, &room))
    }

    /// What the dispatcher has done so far.
    pub fn stats(&self) -> ExecutionMetrics {
        let (record, batch_size) = self.lock_done().clone();
        record.metrics(&self.pool(), batch_size)
    }

    /// An empty block on the head.
    fn next_room(&self) -> Room {
        let head = self.head();
        let rules = self.next_rules(head.header.timestamp.saturating_add(1));
        Room {
            base_fee: self.next_base_fee().unwrap_or_default(),
            blob_base_fee: self.next_blob_base_fee().unwrap_or_default(),
            gas: head.header.gas_limit,
            blobs: rules.blobs.max,
            size_bytes: BLOCK_BYTES_MAX,
            transactions: usize::MAX,
        }
    }

    fn mine_from(&self, source: &Source<'_>, options: MineOptions) -> Result<Mined, MineError> {
        let mut writer = self.take_turn()?;
        let draft = self.draft(&options)?;
        let environment = execute::environment(&draft.header, &[]);
        let blob_base_fee = draft.rules.blobs.base_fee(draft.header.excess_blob_gas.unwrap_or_default());
        let frame = Frame { rules: &draft.rules, environment: &environment, state: &draft.state, blob_base_fee };
        let filled = self.fill(&mut self.lock_dispatcher(), &frame, source, &options.withdrawals)?;
        let block = self.seal(&mut writer, draft, filled.included, options.withdrawals, filled.outcome)?;
        self.repair_pool(&filled.skipped)?;
        Ok(Mined { block, skipped: filled.skipped })
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
        let earliest = if options.or_later { parent.header.timestamp.saturating_add(1) } else { 0 };
        let timestamp = options.timestamp.max(earliest);
        let rules = self.spec().rules_merged(parent.id.number + 1, timestamp, Some(parent.total_difficulty));
        let state = self.state_from(&self.head(), parent.id)?;
        let merged = rules.has(Fork::Paris);
        let randao = options.prev_randao.unwrap_or_else(|| keccak256(parent.id.hash));
        let cancun = rules.has(Fork::Cancun);
        let mut header = Header {
            parent_hash: parent.id.hash,
            ommers_hash: header::NO_OMMERS_HASH,
            beneficiary: options.beneficiary,
            number: parent.id.number + 1,
            timestamp,
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
            header.difficulty = header::difficulty(timestamp, &parent.header, self.spec(), &rules);
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
        let (senders, transactions): (Vec<_>, Vec<_>) =
            transactions.into_iter().map(|recovered| (recovered.sender, recovered.transaction)).unzip();
        let lattice = self.lattice_of(parent)?;
        let (concluded, transactions_root) =
            rayon::join(|| execute::conclude(&state, lattice, outcome), || execute::transactions_root(&transactions));
        let concluded = concluded?;
        header.transactions_root = transactions_root;
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

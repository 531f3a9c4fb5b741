//! A whole state in one stream, out of one chain and into another's empty ledger.
//!
//! Going out, the state of any block within the history window is read page by page, while the chain goes on. Coming
//! in, every part is checked before anything of the next is read: the blocks against each other and their bodies, the
//! accounts against the block's state root and lattice hash. Neither way holds more than a part of the state in memory.
//!
//! A restored ledger becomes a chain by its last commit alone. Until then it carries a mark by which [`Chain::open`]
//! refuses it, so an interrupted restore is never taken for a chain.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
    num::NonZeroUsize,
    ops::Bound,
    sync::Arc,
};

use alloy_eips::Encodable2718;
use alloy_rlp::Decodable;
use lru::LruCache;
use state::{
    AccountDiff, Commit, Ledger, LedgerError, SlotDiff, StateDiff, Stop, StoredBlock, View,
    roots::{self, Lattice},
};
use store::snapshot::{
    PART_ENTRIES_MAX, Part, SnapshotAccount, SnapshotError, SnapshotFault, SnapshotReader, SnapshotWriter,
};
use types::{Account, Address, B256, Block, BlockId, Bytes, EMPTY_ROOT, Header, U256};

pub use store::snapshot::{SnapshotSummary, verify as verify_snapshot};

use crate::{
    BlockRef, BlockState, Chain, ChainError, Genesis, ImportError, Options,
    head::genesis_block,
    header::{Field, Mismatch, same},
    import::validate_body,
    reorg::Records,
    senders::senders_of,
};

/// Ancestors whose hashes go along: as far as BLOCKHASH reaches.
const HASHES: u64 = 256;

/// Of those, ancestors that go along whole: as far as ommers reach.
const WHOLE_BLOCKS: u64 = 7;

/// Codes that are remembered as written, so that contracts with the same code share it.
const CODES_REMEMBERED: NonZeroUsize = NonZeroUsize::new(1 << 16).unwrap();

/// Bytes of codes after which a part is written, full or not.
const PART_CODE_BYTES: usize = 1 << 20;

/// Stands in the metadata while a snapshot is being restored: the hash of its block.
pub(crate) const RESTORING: &str = "chain.restoring";

/// Metadata of a chain that was restored: RLP of the list of headers that it was told of beside whole blocks.
const ANCESTORS: &str = "chain.ancestors";

/// Why a snapshot was not restored, or not written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SnapshotFailure {
    /// The stream.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The ledger holds a chain already, or the remains of another restore.
    #[error("a snapshot is restored into an empty store only")]
    NotEmpty,
    /// It is of another chain.
    #[error("the snapshot is of a chain with genesis {found}, not {expected}")]
    OtherGenesis {
        /// As asked for.
        expected: B256,
        /// As it says.
        found: B256,
    },
    /// It is of another block than the one that is trusted.
    #[error("the snapshot is of block {found}, not {expected}")]
    OtherBlock {
        /// As asked for.
        expected: B256,
        /// As it says.
        found: B256,
    },
    /// A block of it is wrong.
    #[error(transparent)]
    Block(ImportError),
    /// An account has code that does not stand in it.
    #[error("the code {code} of account {address} is missing")]
    MissingCode {
        /// Whose.
        address: Address,
        /// Its hash.
        code: B256,
    },
    /// Stopped by the one who watched its progress.
    #[error("stopped before the end")]
    Stopped,
    /// Not the snapshot's fault.
    #[error(transparent)]
    Chain(#[from] ChainError),
}

impl From<LedgerError> for SnapshotFailure {
    fn from(error: LedgerError) -> Self {
        Self::Chain(error.into())
    }
}

impl From<state::ViewError> for SnapshotFailure {
    fn from(error: state::ViewError) -> Self {
        Self::Chain(error.into())
    }
}

impl From<roots::RootError> for SnapshotFailure {
    fn from(error: roots::RootError) -> Self {
        Self::Chain(error.into())
    }
}

impl Chain {
    /// Writes the whole state after a block, from which another node can go on. After each part `progress` is told, and
    /// may stop by answering false.
    ///
    /// # Errors
    /// [`SnapshotFailure`]; what was written by then is no snapshot.
    ///
    /// # Resources
    /// Some MiB, whatever the size of the state. The chain can go on meanwhile.
    pub fn snapshot(
        &self,
        block: BlockRef,
        out: &mut dyn Write,
        progress: &mut dyn FnMut(&SnapshotSummary) -> bool,
    ) -> Result<SnapshotSummary, SnapshotFailure> {
        let state = self.at(block)?;
        let stored = self.block(state.id().into())?;
        let mut writer = SnapshotWriter::new(out)?;
        let genesis = self.genesis_id().hash;
        writer.write(&Part::Begin { genesis, block: stored.id })?;
        let (headers, blocks) = self.ancestors(&stored)?;
        writer.write(&Part::Headers(headers))?;
        for block in blocks {
            writer.write(&Part::Block(Box::new(StoredBlock::clone(&block))))?;
        }
        let mut export = Export {
            state: &state,
            writer,
            progress,
            codes: Vec::new(),
            code_bytes: 0,
            accounts: Vec::new(),
            entries: 0,
            written: LruCache::new(CODES_REMEMBERED),
            summary: SnapshotSummary {
                block: stored.id,
                genesis,
                lattice: stored.tally.lattice,
                ..SnapshotSummary::default()
            },
        };
        export.run()
    }

    /// Those who go along with a block: headers of the older ones, whole blocks of the newest and itself.
    #[allow(clippy::type_complexity)]
    fn ancestors(&self, stored: &Arc<StoredBlock>) -> Result<(Vec<Header>, Vec<Arc<StoredBlock>>), ChainError> {
        let (mut headers, mut blocks) = (Vec::new(), vec![Arc::clone(stored)]);
        let mut parent = stored.header.parent_hash;
        let mut told = None;
        for below in 1..=HASHES.min(stored.id.number) {
            let header = match self.ledger().header(&parent)? {
                Some(header) => header,
                // A chain that was restored itself knows no more than it was told.
                None => {
                    let told = match &mut told {
                        Some(told) => told,
                        none => none.insert(self.told_ancestors()?),
                    };
                    let Some(header) = told.remove(&parent) else { break };
                    header
                }
            };
            let hash = std::mem::replace(&mut parent, header.parent_hash);
            match self.ledger().block(&hash)?.filter(|_| below <= WHOLE_BLOCKS && headers.is_empty()) {
                Some(block) => blocks.push(block),
                None => headers.push(header),
            }
        }
        headers.reverse();
        blocks.reverse();
        Ok((headers, blocks))
    }

    fn told_ancestors(&self) -> Result<BTreeMap<B256, Header>, ChainError> {
        let Some(bytes) = self.ledger().metadata(ANCESTORS)? else { return Ok(BTreeMap::new()) };
        let headers = Vec::<Header>::decode(&mut bytes.as_ref())
            .map_err(|error| LedgerError::Damaged(format!("the chain's ancestors: {error}")))?;
        Ok(headers.into_iter().map(|header| (header.hash_slow(), header)).collect())
    }

    /// Fills an empty ledger from a snapshot, and opens the chain there. With `trusted`, only a snapshot of that block is
    /// taken; without, its word is taken for which block is canonical, and for nothing else.
    ///
    /// # Errors
    /// [`SnapshotFailure`]. The ledger is then as empty as before, or is refused by [`Chain::open`] as unfinished.
    ///
    /// # Resources
    /// Some tens of MiB besides the ledger's own cache, whatever the size of the state.
    pub fn restore(
        ledger: Arc<dyn Ledger>,
        genesis: Genesis,
        options: Options,
        input: &mut dyn Read,
        trusted: Option<B256>,
        progress: &mut dyn FnMut(&SnapshotSummary) -> bool,
    ) -> Result<Arc<Self>, SnapshotFailure> {
        if ledger.head()?.is_some() || ledger.metadata(RESTORING)?.is_some() {
            return Err(SnapshotFailure::NotEmpty);
        }
        let mut reader = SnapshotReader::new(input)?;
        let mut restore = Restore {
            ledger: &*ledger,
            genesis: &genesis,
            trusted,
            hashes: Vec::new(),
            tip: None,
            last: None,
            root: EMPTY_ROOT,
            lattice: Lattice::default(),
            summary: SnapshotSummary::default(),
        };
        while let Some(part) = reader.next_part()? {
            Stop::current().check().map_err(ChainError::from)?;
            let ended = matches!(part, Part::End { .. });
            restore.take(part, reader.offset())?;
            restore.summary.bytes = reader.offset();
            if !ended && !progress(&restore.summary) {
                return Err(SnapshotFailure::Stopped);
            }
        }
        progress(&restore.summary);
        Ok(Self::open(ledger, genesis, options)?)
    }
}

/// A snapshot on its way out.
struct Export<'a, W> {
    state: &'a BlockState,
    writer: SnapshotWriter<W>,
    progress: &'a mut dyn FnMut(&SnapshotSummary) -> bool,
    /// Of the part that is being filled.
    codes: Vec<Bytes>,
    code_bytes: usize,
    accounts: Vec<SnapshotAccount>,
    entries: usize,
    /// Codes that stand in the snapshot.
    written: LruCache<B256, ()>,
    summary: SnapshotSummary,
}

impl<W: Write> Export<'_, W> {
    fn run(&mut self) -> Result<SnapshotSummary, SnapshotFailure> {
        let mut after = None;
        loop {
            let (accounts, next) = self.state.accounts_page(after, PART_ENTRIES_MAX)?;
            for (address, account) in accounts {
                self.account(address, account)?;
            }
            after = next;
            if after.is_none() {
                break;
            }
        }
        if !self.accounts.is_empty() {
            self.write_part()?;
        }
        let (accounts, slots) = (self.summary.accounts, self.summary.slots);
        self.summary.bytes = self.writer.write(&Part::End { accounts, slots })?;
        Ok(self.summary)
    }

    fn account(&mut self, address: Address, account: Account) -> Result<(), SnapshotFailure> {
        if account.has_code() && self.written.put(account.code_hash, ()).is_none() {
            let code = self.state.code(&account.code_hash)?;
            self.code_bytes += code.len();
            self.codes.push(code);
        }
        self.summary.accounts += 1;
        self.accounts.push(SnapshotAccount { address, account, slots: Vec::new() });
        self.entries += 1;
        let mut after = None;
        loop {
            let room = PART_ENTRIES_MAX.saturating_sub(self.entries);
            if room == 0 || self.code_bytes >= PART_CODE_BYTES {
                self.write_part()?;
                continue;
            }
            let (slots, next) = self.state.slots_page(&address, after, room)?;
            if !slots.is_empty() {
                self.entries += slots.len();
                self.summary.slots += slots.len() as u64;
                match self.accounts.last_mut() {
                    Some(last) => last.slots.extend(slots),
                    None => self.accounts.push(SnapshotAccount { address, account, slots }),
                }
            }
            after = next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    fn write_part(&mut self) -> Result<(), SnapshotFailure> {
        let (codes, accounts) = (std::mem::take(&mut self.codes), std::mem::take(&mut self.accounts));
        (self.entries, self.code_bytes) = (0, 0);
        self.summary.bytes = self.writer.write(&Part::State { codes, accounts })?;
        Stop::current().check().map_err(ChainError::from)?;
        if (self.progress)(&self.summary) { Ok(()) } else { Err(SnapshotFailure::Stopped) }
    }
}

/// A page of a sorted map, and where the next one begins; None: there is none.
type Page<K, V> = (Vec<(K, V)>, Option<K>);

impl BlockState {
    /// Accounts behind `after`, ascending, about `limit` of them.
    pub(crate) fn accounts_page(
        &self,
        after: Option<Address>,
        limit: usize,
    ) -> Result<Page<Address, Account>, ChainError> {
        let held = self.base().accounts_after(after, limit)?;
        let changes = self.layers().map(|layer| &layer.diff.accounts[..]);
        Ok(merged(held, after, limit, changes, |(address, change)| (*address, change.after)))
    }

    /// Slots behind `after`, ascending, about `limit` of them.
    pub(crate) fn slots_page(
        &self,
        address: &Address,
        after: Option<U256>,
        limit: usize,
    ) -> Result<Page<U256, U256>, ChainError> {
        let held = self.base().slots_after(address, after, limit)?;
        let changes = self.layers().filter_map(|layer| Some(&layer.diff.account(address)?.slots[..]));
        let after_of = |slot: &SlotDiff| (slot.key, (!slot.after.is_zero()).then_some(slot.after));
        Ok(merged(held, after, limit, changes, after_of))
    }
}

/// A page of the base, with the changes that lie over it, the nearest first.
fn merged<'l, K: Ord + Copy, V, C: 'l>(
    held: Vec<(K, V)>,
    after: Option<K>,
    limit: usize,
    changes: impl Iterator<Item = &'l [C]>,
    entry: impl Fn(&C) -> (K, Option<V>),
) -> Page<K, V> {
    let last = held.last().filter(|_| held.len() >= limit).map(|(key, _)| *key);
    let range = (after.map_or(Bound::Unbounded, Bound::Excluded), last.map_or(Bound::Unbounded, Bound::Included));
    let mut over = BTreeMap::new();
    for change in changes {
        let start = after.map_or(0, |after| change.partition_point(|change| entry(change).0 <= after));
        for change in &change[start..] {
            let (key, value) = entry(change);
            if !std::ops::RangeBounds::contains(&range, &key) {
                break;
            }
            over.entry(key).or_insert(value);
        }
    }
    if over.is_empty() {
        return (held, last);
    }
    let mut page: BTreeMap<_, _> = held.into_iter().map(|(key, value)| (key, Some(value))).collect();
    page.extend(over);
    (page.into_iter().filter_map(|(key, value)| Some((key, value?))).collect(), last)
}

/// A snapshot on its way in.
struct Restore<'a> {
    ledger: &'a dyn Ledger,
    genesis: &'a Genesis,
    trusted: Option<B256>,
    /// Canonical hashes that go with it.
    hashes: Vec<(u64, Option<B256>)>,
    /// The newest whole block.
    tip: Option<Arc<StoredBlock>>,
    /// The account that the last part ended with.
    last: Option<Address>,
    root: B256,
    lattice: Lattice,
    summary: SnapshotSummary,
}

impl Restore<'_> {
    fn take(&mut self, part: Part, offset: u64) -> Result<(), SnapshotFailure> {
        match part {
            Part::Begin { genesis, block } => self.begin(genesis, block),
            Part::Headers(headers) => {
                self.hashes.extend(headers.iter().map(|header| (header.number, Some(header.hash_slow()))));
                let told = (!headers.is_empty()).then(|| alloy_rlp::encode(&headers).into());
                let metadata = vec![(ANCESTORS.to_owned(), told)];
                Ok(self.ledger.commit(Commit { metadata, ..Commit::default() })?)
            }
            Part::Block(block) => self.block(*block),
            Part::State { codes, accounts } => self.state(codes, accounts),
            Part::End { .. } => self.end(offset),
        }
    }

    fn begin(&mut self, genesis: B256, block: BlockId) -> Result<(), SnapshotFailure> {
        let expected = self.genesis.id().hash;
        if genesis != expected {
            return Err(SnapshotFailure::OtherGenesis { expected, found: genesis });
        }
        if let Some(expected) = self.trusted.filter(|trusted| *trusted != block.hash) {
            return Err(SnapshotFailure::OtherBlock { expected, found: block.hash });
        }
        (self.summary.genesis, self.summary.block) = (genesis, block);
        let mark = (RESTORING.to_owned(), Some(block.hash.to_vec().into()));
        Ok(self.ledger.commit(Commit { metadata: vec![mark], ..Commit::default() })?)
    }

    /// A block against its header, as far as that needs no execution, and against the one before it.
    fn block(&mut self, stored: StoredBlock) -> Result<(), SnapshotFailure> {
        let id = stored.id;
        let wrong = |mismatch| SnapshotFailure::Block(ImportError::Mismatch { block: id, mismatch });
        let spec = self.genesis.spec();
        let header = &stored.header;
        let before = self.tip.as_ref().map(|tip| tip.total_difficulty);
        let rules = spec.rules_merged(header.number, header.timestamp, before);
        let block = Block { header: stored.header.clone(), body: stored.body.clone() };
        validate_body(&block, &rules).map_err(wrong)?;
        let receipts = roots::ordered_root(stored.receipts.iter().map(Encodable2718::encoded_2718));
        same(Field::ReceiptsRoot, receipts, header.receipts_root).map_err(wrong)?;
        let transactions: Vec<_> = stored.body.transactions.iter().collect();
        let recovered = senders_of(&transactions).map_err(ChainError::from)?.into_iter().enumerate();
        let senders = recovered.map(|(index, sender)| {
            sender.map_err(|error| SnapshotFailure::Block(ImportError::Sender { block: id, index, error }))
        });
        let senders: Vec<_> = senders.collect::<Result<_, _>>()?;
        let given = stored.senders.iter().chain(std::iter::repeat(&Address::ZERO));
        if let Some((sender, given)) = senders.iter().zip(given).find(|(sender, given)| sender != given) {
            return Err(wrong(Mismatch {
                field: Field::Senders,
                expected: sender.to_string(),
                actual: given.to_string(),
            }));
        }
        same(Field::Senders, senders.len(), stored.senders.len()).map_err(wrong)?;
        if let Some(parent) = &self.tip {
            let total = parent.total_difficulty.saturating_add(header.difficulty);
            same(Field::Difficulty, total, stored.total_difficulty).map_err(wrong)?;
        }
        self.summary.lattice = stored.tally.lattice;
        self.hashes.push((id.number, Some(id.hash)));
        let stored = Arc::new(stored);
        self.ledger.commit(Commit { blocks: vec![Arc::clone(&stored)], ..Commit::default() })?;
        self.tip = Some(stored);
        Ok(())
    }

    fn state(&mut self, codes: Vec<Bytes>, accounts: Vec<SnapshotAccount>) -> Result<(), SnapshotFailure> {
        let codes: BTreeMap<_, _> = codes.into_iter().map(|code| (types::keccak256(&code), code)).collect();
        let reader = self.ledger.reader()?;
        let mut diff = StateDiff::default();
        for SnapshotAccount { address, account, slots } in accounts {
            let code = account.code_hash;
            let is_new = self.last.replace(address) != Some(address);
            if is_new && account.has_code() && !codes.contains_key(&code) && reader.code(&code).is_err() {
                return Err(SnapshotFailure::MissingCode { address, code });
            }
            self.summary.accounts += u64::from(is_new);
            self.summary.slots += slots.len() as u64;
            let slots = slots.into_iter().map(|(key, after)| SlotDiff { key, before: U256::ZERO, after });
            let before = (!is_new).then_some(account);
            diff.accounts.push((address, AccountDiff { before, after: Some(account), slots: slots.collect() }));
        }
        diff.codes = codes.into_iter().collect();
        let (update, ()) = rayon::join(|| roots::trie::apply(&*reader, &diff), || self.lattice.apply(&diff));
        let update = update?;
        self.root = update.root;
        Ok(self.ledger.commit(Commit { diff, nodes: update.nodes, ..Commit::default() })?)
    }

    /// Everything agrees, or the mark stays.
    fn end(&mut self, offset: u64) -> Result<(), SnapshotFailure> {
        let tip = self.tip.take().expect("a snapshot has a block before its end");
        let found = self.lattice.checksum();
        if found != tip.tally.lattice {
            let fault = SnapshotFault::Lattice { expected: tip.tally.lattice, found };
            return Err(SnapshotError::Malformed { offset, fault }.into());
        }
        same(Field::StateRoot, self.root, tip.header.state_root)
            .map_err(|mismatch| SnapshotFailure::Block(ImportError::Mismatch { block: tip.id, mismatch }))?;
        let mut commit = Commit {
            lattices: vec![(tip.id.hash, Some(std::mem::take(&mut self.lattice)))],
            canonical: std::mem::take(&mut self.hashes),
            head: Some(tip.id),
            metadata: Records::beginning_at(tip.id),
            ..Commit::default()
        };
        if tip.id.number > 0 {
            let (first, ..) = genesis_block(self.genesis);
            commit.canonical.push((first.id.number, Some(first.id.hash)));
            commit.blocks.push(Arc::new(first));
        }
        commit.metadata.push((RESTORING.to_owned(), None));
        self.ledger.commit(commit)?;
        Ok(self.ledger.sync()?)
    }
}

//! The store as a chain sees it: one [`Commit`] in, one atomic batch out.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
};

use state::{
    Commit, Ledger, LedgerError, NodeKey, Notification, ReverseDiff, StateDiff, StateReader, StoredBlock,
    roots::Lattice,
};
use types::{B256, BlockId, Bytes, Header};

use crate::{
    Batch, Check, Family, KEY_BYTES_MAX, Kv, Lmdb, LogName, Memory, Options, Snapshot, Stat,
    accounts::{decode_reverse, encode_account, encode_reverse, encode_slot, node_key, slot_key},
    blocks::{
        decode_body, decode_header, decode_lattice, decode_notification, decode_notification_key, decode_place,
        decode_places, decode_receipts, encode_body, encode_header, encode_id, encode_lattice, encode_notification,
        encode_place, encode_places, encode_receipts, join, log_names, notification_key, number_key,
    },
    cache::Cache,
    check,
    encoding::DecodeError,
    migrate,
    reader::{self, Frozen, HEAD},
};

/// What the chain's own names stand behind, so that they never meet ours.
const NAMED: &[u8] = b"name/";

/// Notifications forgotten in one commit at most.
const FORGOTTEN_AT_ONCE: usize = 4096;

/// A commit with as many trie nodes is worth waking another core for.
const PARALLEL_NODES: usize = 1_024;

/// A ledger over any [`Kv`].
pub struct Store {
    kv: Arc<dyn Kv>,
    /// One commit after the other: each reads what the one before it left.
    commits: Mutex<()>,
    cache: RwLock<Arc<Cache>>,
    cache_bytes_max: usize,
}

impl Store {
    /// A store that ends with the process.
    pub fn memory() -> Self {
        Self::over(Arc::new(Memory::default()), Path::new("memory"), &Options::default())
            .expect("nothing can be wrong with an empty store in memory")
    }

    /// The store in this folder, made where it is missing.
    ///
    /// # Errors
    /// [`LedgerError::InUse`] while another process (or another store of this one) writes there,
    /// [`LedgerError::Damaged`] where a writer without durability was cut off by a power cut and it shows,
    /// [`LedgerError::Schema`] where another version wrote, [`LedgerError::Setting`] for options that make no sense.
    ///
    /// # Resources
    /// Holds the folder until dropped, readers included.
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<Self, LedgerError> {
        let path = path.as_ref();
        Self::over(Arc::new(Lmdb::open(path, options)?), path, &options)
    }

    /// Reads everything and says what is wrong. Takes as long as reading the whole file.
    pub fn check(&self) -> Result<Check, LedgerError> {
        check::check(&*self.kv.snapshot()?)
    }

    /// Rewrites the file in this folder without its unused pages, while nobody has it open; returns the bytes it took
    /// before and takes now.
    pub fn compact(path: impl AsRef<Path>) -> Result<(u64, u64), LedgerError> {
        Lmdb::compact(path.as_ref())
    }

    /// What each family takes, and the file.
    pub fn stat(&self) -> Result<Stat, LedgerError> {
        self.kv.stat()
    }

    /// A store over any key-value store; `path` is its name in errors.
    pub fn over(kv: Arc<dyn Kv>, path: &Path, options: &Options) -> Result<Self, LedgerError> {
        migrate::prepare(&*kv, path, options.read_only)?;
        let cache_bytes_max = options.read_cache_bytes;
        let cache = Cache::new(cache_bytes_max, kv.snapshot()?.version());
        Ok(Self { kv, commits: Mutex::default(), cache: RwLock::new(Arc::new(cache)), cache_bytes_max })
    }

    /// The key-value store below, for tools.
    pub fn kv(&self) -> &Arc<dyn Kv> {
        &self.kv
    }

    /// Where logs with this name stand, in canonical blocks from `first` to `last`: block numbers ascending, each with
    /// the places of the logs, counted through the whole block.
    pub fn logs(&self, name: &LogName, first: u64, last: u64) -> Result<Vec<(u64, Vec<u32>)>, LedgerError> {
        let snapshot = self.kv.snapshot()?;
        let until = last.checked_add(1).map_or_else(|| crate::kv::successor(&name.prefix()), |end| Some(name.key(end)));
        let place = |entry: Result<crate::Entry, LedgerError>| {
            let (key, value) = entry?;
            let number = key.last_chunk().map(|number| u64::from_be_bytes(*number)).expect("eight bytes behind a name");
            Ok((number, decode_places(&value).map_err(|error| error.at(Family::Logs, &key))?))
        };
        snapshot.range(Family::Logs, &name.key(first), until).map(place).collect()
    }

    /// The cache that may answer for this snapshot: a new one where somebody else has written since.
    fn cache(&self, snapshot: &dyn Snapshot) -> Arc<Cache> {
        let version = snapshot.version();
        let cache = self.cache.read().unwrap_or_else(PoisonError::into_inner).clone();
        if cache.knows(version) {
            return cache;
        }
        let mut cache = self.cache.write().unwrap_or_else(PoisonError::into_inner);
        if !cache.knows(version) {
            *cache = Arc::new(Cache::new(self.cache_bytes_max, version));
        }
        cache.clone()
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.commits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads a row and decodes it.
fn row<T>(
    snapshot: &dyn Snapshot,
    family: Family,
    key: &[u8],
    decode: impl FnOnce(&[u8]) -> Result<T, DecodeError>,
) -> Result<Option<T>, LedgerError> {
    let bytes = snapshot.get(family, key)?;
    bytes.map(|bytes| decode(&bytes).map_err(|error| error.at(family, key))).transpose()
}

fn block(snapshot: &dyn Snapshot, hash: &B256) -> Result<Option<Arc<StoredBlock>>, LedgerError> {
    let key = hash.as_slice();
    let Some(header) = row(snapshot, Family::Headers, key, decode_header)? else { return Ok(None) };
    let body = row(snapshot, Family::Bodies, key, decode_body)?;
    let receipts = row(snapshot, Family::Receipts, key, decode_receipts)?;
    let (Some(body), Some(receipts)) = (body, receipts) else {
        return Err(LedgerError::Damaged(format!("block {hash} is only partly there")));
    };
    Ok(Some(Arc::new(join(*hash, header, body, receipts))))
}

fn named(name: &str) -> Result<Vec<u8>, LedgerError> {
    let key = [NAMED, name.as_bytes()].concat();
    if key.len() > KEY_BYTES_MAX {
        return Err(LedgerError::Setting {
            name: "name of a metadata value",
            value: format!("{} bytes long", name.len()),
            expected: "it has at most 506 bytes",
        });
    }
    Ok(key)
}

/// Writes one commit as a batch, reading what must go from the state before it.
struct Writing<'a> {
    before: &'a dyn Snapshot,
    batch: Batch,
}

impl Writing<'_> {
    fn blocks(&mut self, blocks: &[Arc<StoredBlock>]) {
        for block in blocks {
            assert_eq!(block.id.number, block.header.number, "a block is filed under its own number");
            let key = Bytes::copy_from_slice(block.id.hash.as_slice());
            self.batch.put(
                Family::Headers,
                key.clone(),
                encode_header(&block.header, &block.total_difficulty, &block.tally),
            );
            self.batch.put(Family::Bodies, key.clone(), encode_body(&block.body, &block.senders));
            self.batch.put(Family::Receipts, key, encode_receipts(&block.receipts));
        }
    }

    fn forget(&mut self, hashes: &[B256]) {
        for hash in hashes {
            for family in [Family::Headers, Family::Bodies, Family::Receipts, Family::Reverse, Family::Lattices] {
                self.batch.delete(family, hash.to_vec());
            }
        }
    }

    /// Canonical hashes and the indices that follow them: all that goes is taken out before anything is put in, since
    /// a transaction may stand in the losing block and in the winning one.
    fn canonical(&mut self, commit: &Commit) -> Result<(), LedgerError> {
        let arriving: HashMap<_, _> = commit.blocks.iter().map(|block| (block.id.hash, block)).collect();
        let changes: BTreeMap<_, _> = commit.canonical.iter().copied().collect();
        for hash in &commit.forget {
            let Some(held) = row(self.before, Family::Headers, hash.as_slice(), decode_header)? else { continue };
            let number = held.header.number;
            let is_canonical = reader::canonical(self.before, number)? == Some(*hash);
            if is_canonical && !changes.contains_key(&number) {
                self.unindex(hash)?;
            }
        }
        for number in changes.keys() {
            if let Some(old) = reader::canonical(self.before, *number)? {
                self.unindex(&old)?;
            }
        }
        for (number, hash) in changes {
            let key = number_key(number).to_vec();
            match hash {
                Some(hash) => {
                    self.batch.put(Family::Canonical, key, hash.to_vec());
                    match arriving.get(&hash) {
                        Some(block) => self.index(block),
                        None => block(self.before, &hash)?.iter().for_each(|block| self.index(block)),
                    }
                }
                None => self.batch.delete(Family::Canonical, key),
            }
        }
        Ok(())
    }

    fn index(&mut self, block: &StoredBlock) {
        for (index, transaction) in (0..).zip(&block.body.transactions) {
            let key = Bytes::copy_from_slice(transaction.hash().as_slice());
            self.batch.put(Family::Transactions, key, encode_place(&block.id.hash, index));
        }
        for (name, places) in log_names(&block.receipts) {
            self.batch.put(Family::Logs, name.key(block.id.number), encode_places(&places));
        }
    }

    fn unindex(&mut self, hash: &B256) -> Result<(), LedgerError> {
        let Some(block) = block(self.before, hash)? else { return Ok(()) };
        for transaction in &block.body.transactions {
            self.batch.delete(Family::Transactions, transaction.hash().to_vec());
        }
        for name in log_names(&block.receipts).into_keys() {
            self.batch.delete(Family::Logs, name.key(block.id.number));
        }
        Ok(())
    }

    fn diff(&mut self, diff: &StateDiff) {
        for (address, change) in &diff.accounts {
            let account = change.after.as_ref().map(encode_account);
            self.batch.push(Family::Accounts, Bytes::copy_from_slice(address.as_slice()), account);
            for slot in &change.slots {
                let value = (!slot.after.is_zero()).then(|| encode_slot(&slot.after));
                let key = Bytes::copy_from_slice(&slot_key(address, &slot.key));
                self.batch.push(Family::Storage, key, value);
            }
        }
        for (hash, code) in &diff.codes {
            self.batch.put(Family::Code, hash.to_vec(), code.clone());
        }
    }

    /// Those of one height go behind what was told of it before.
    fn notifications(&mut self, commit: &Commit) -> Result<(), LedgerError> {
        if let Some(height) = commit.forget_notifications {
            let until = height.checked_add(1).map(|end| notification_key(end, 0).to_vec());
            let old = self.before.page(Family::Notifications, Bound::Unbounded, until.as_deref(), FORGOTTEN_AT_ONCE)?;
            old.into_iter().for_each(|(key, _)| self.batch.delete(Family::Notifications, key));
        }
        let mut places: HashMap<u64, u32> = HashMap::new();
        for notification in &commit.notifications {
            let number = notification.block.number;
            let place = match places.get(&number) {
                Some(place) => *place,
                None => {
                    let told = self.before.prefixed(Family::Notifications, &number_key(number));
                    u32::try_from(told.count()).expect("nobody reverts a height billions of times")
                }
            };
            places.insert(number, place + 1);
            let key = notification_key(number, place).to_vec();
            self.batch.put(Family::Notifications, key, encode_notification(notification));
        }
        Ok(())
    }

    fn nodes(&mut self, nodes: &[(NodeKey, Option<Bytes>)]) {
        for (key, node) in nodes {
            self.batch.push(Family::Nodes, node_key(key), node.clone());
        }
    }

    fn rest(&mut self, commit: &Commit) -> Result<(), LedgerError> {
        for (hash, reverse) in &commit.reverse {
            self.batch.put(Family::Reverse, hash.to_vec(), encode_reverse(reverse));
        }
        for hash in &commit.forget_reverse {
            self.batch.delete(Family::Reverse, hash.to_vec());
        }
        for (hash, lattice) in &commit.lattices {
            let key = Bytes::copy_from_slice(hash.as_slice());
            self.batch.push(Family::Lattices, key, lattice.as_ref().map(encode_lattice));
        }
        for (name, value) in &commit.metadata {
            self.batch.push(Family::Metadata, named(name)?.into(), value.clone());
        }
        if let Some(head) = &commit.head {
            self.batch.put(Family::Metadata, HEAD.to_vec(), encode_id(head));
        }
        Ok(())
    }
}

impl Ledger for Store {
    fn commit(&self, commit: Commit) -> Result<(), LedgerError> {
        let _turn = self.turn();
        let before = self.kv.snapshot()?;
        // Two halves that share no family, each a core's work where there is much.
        let writing = || Writing { before: &*before, batch: Batch::default() };
        let blocks = || {
            let mut writing = writing();
            writing.blocks(&commit.blocks);
            writing.canonical(&commit)?;
            writing.notifications(&commit)?;
            writing.rest(&commit)?;
            writing.forget(&commit.forget);
            Ok::<_, LedgerError>(writing.batch)
        };
        let state = || {
            let mut writing = writing();
            writing.diff(&commit.diff);
            writing.nodes(&commit.nodes);
            writing.batch
        };
        let is_long = commit.nodes.len() >= PARALLEL_NODES;
        let (blocks, state) = if is_long { rayon::join(blocks, state) } else { (blocks(), state()) };
        let mut batch = blocks?.then(state);
        batch.sort();
        self.cache(&*before).write_through(batch, before.version() + 1, |batch| self.kv.write(batch))
    }

    fn reader(&self) -> Result<Arc<dyn StateReader>, LedgerError> {
        let snapshot = self.kv.snapshot()?;
        let cache = self.cache(&*snapshot);
        Ok(Arc::new(Frozen::new(snapshot, cache)?))
    }

    fn head(&self) -> Result<Option<BlockId>, LedgerError> {
        reader::head(&*self.kv.snapshot()?)
    }

    fn header(&self, hash: &B256) -> Result<Option<Header>, LedgerError> {
        let snapshot = self.kv.snapshot()?;
        Ok(row(&*snapshot, Family::Headers, hash.as_slice(), decode_header)?.map(|held| held.header))
    }

    fn block(&self, hash: &B256) -> Result<Option<Arc<StoredBlock>>, LedgerError> {
        block(&*self.kv.snapshot()?, hash)
    }

    fn canonical(&self, number: u64) -> Result<Option<B256>, LedgerError> {
        reader::canonical(&*self.kv.snapshot()?, number)
    }

    fn transaction(&self, hash: &B256) -> Result<Option<(B256, u32)>, LedgerError> {
        row(&*self.kv.snapshot()?, Family::Transactions, hash.as_slice(), decode_place)
    }

    fn reverse(&self, hash: &B256) -> Result<Option<ReverseDiff>, LedgerError> {
        row(&*self.kv.snapshot()?, Family::Reverse, hash.as_slice(), decode_reverse)
    }

    fn lattice(&self, hash: &B256) -> Result<Option<Lattice>, LedgerError> {
        row(&*self.kv.snapshot()?, Family::Lattices, hash.as_slice(), decode_lattice)
    }

    fn notifications(&self, from: u64, limit: usize) -> Result<Vec<Notification>, LedgerError> {
        let start = number_key(from);
        let page = self.kv.snapshot()?.page(Family::Notifications, Bound::Included(&start), None, limit)?;
        let decoded = page.iter().map(|(key, value)| {
            let decoded = decode_notification_key(key).and_then(|(number, _)| decode_notification(number, value));
            decoded.map_err(|error| error.at(Family::Notifications, key))
        });
        decoded.collect()
    }

    fn metadata(&self, name: &str) -> Result<Option<Bytes>, LedgerError> {
        self.kv.snapshot()?.get(Family::Metadata, &named(name)?)
    }

    fn sync(&self) -> Result<(), LedgerError> {
        self.kv.sync()
    }
}

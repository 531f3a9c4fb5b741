//! The store on disk: LMDB through `heed`, a named database per family in one memory-mapped file.
//!
//! Three rules of LMDB shape this file.
//! - *The map is resized only with no transaction open.* Nobody outside holds one: a reader's transaction stays inside
//!   its [`Reader`] behind a lock, and no borrowed byte leaves. When the map is full, every reader is detached (what
//!   has changed since it began is copied out of its own transaction), the map grows, and every reader gets a new
//!   transaction under what was copied. It reads what it always read.
//! - *Pages that a reader may still see are not used again.* So readers that fall far behind are detached and attached
//!   in the same way, and the file does not grow because somebody keeps an old state at hand.
//! - *The writable map is never used*: a full disk then is an error of a write, not a signal that ends the process.
//!
//! Writes are one LMDB transaction each (or, batched, one for several), so a crash leaves all of it or nothing.
//! Locks are taken in this order: `writer`, `published`, then readers.
#![allow(unsafe_code)] // Opening, resizing: calls whose rules the compiler cannot check.

mod reader;

use std::{
    collections::VecDeque,
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use heed::{CompactionOption, Database, Env, EnvFlags, EnvOpenOptions, MdbError, RoTxn, WithoutTls};
use state::LedgerError;
use types::Bytes;

use self::reader::{Held, Overlay, Reader};
use crate::{
    Batch, Durability, Family, Kv, Options, Snapshot, Stat, check,
    folder::{FolderLock, UnsyncedMark, has_no_room, io_error, sync_folder},
    kv::{Change, FamilyStat},
    options::MAP_BYTES_MAX,
};

/// Slots for transactions that read at the same time, over all processes: 64 bytes each.
const READERS_MAX: u32 = 4096;

/// A reader this many LMDB transactions behind is moved up.
const LAG_TRANSACTIONS_MAX: usize = 64;

/// And so are readers when this many changed keys are remembered on their behalf (about 100 bytes each).
const LAG_KEYS_MAX: usize = 1 << 20;

/// EIO: what LMDB makes of a write that was cut short.
const CUT_SHORT: i32 = 5;

/// A changed key rewrites about a page; what a probe for room writes stays within these.
const PROBE_BYTES_KEY: usize = 4096;
const PROBE_BYTES_MIN: usize = 1 << 20;
const PROBE_BYTES_MAX: usize = 64 << 20;

/// The map at least grows by `growth` times 2^20 before we give up.
const GROWTH_ATTEMPTS_MAX: u32 = 20;

type Table = Database<heed::types::Bytes, heed::types::Bytes>;

/// Ordered families in an LMDB file.
pub struct Lmdb {
    core: Arc<Core>,
    options: Options,
    /// Held while something is written: one write after the other.
    writer: Mutex<()>,
    published: Mutex<Published>,
    /// Held while something in the file may not be on the disk though LMDB believes it is.
    mark: Option<UnsyncedMark>,
}

/// What readers keep alive. The lock on the folder is released after the file is closed.
struct Core {
    env: Env<WithoutTls>,
    tables: [Table; Family::ALL.len()],
    path: PathBuf,
    lock: Option<Arc<FolderLock>>,
}

/// What the next reader will see.
#[derive(Default)]
struct Published {
    version: u64,
    /// LMDB transactions committed since the store was opened.
    epoch: u64,
    /// Served to everybody who asks until the next write. While a write runs there always is one, so that nobody
    /// begins a transaction between its commit and its publication.
    newest: Option<Arc<Reader>>,
    /// Batched writes that LMDB doesn't hold yet.
    pending: Arc<Overlay>,
    pending_bytes: usize,
    /// All readers that may be alive.
    readers: Vec<Weak<Reader>>,
    /// Keys that recent transactions changed, with their epoch: all that any living reader may have to keep.
    changed: VecDeque<(u64, Vec<(Family, Bytes)>)>,
    changed_keys: usize,
    /// The map could not be put back: nothing can be read or written any more.
    unmapped: bool,
}

impl Lmdb {
    /// Opens the folder, made where it is missing; takes the writer's lock unless read-only. Where a writer without
    /// durability did not end in order and the machine has been restarted since, everything is checked first.
    pub fn open(path: &Path, options: Options) -> Result<Self, LedgerError> {
        let options = options.checked()?;
        let lock = if options.read_only { FolderLock::reader(path)? } else { Some(FolderLock::writer(path)?) };
        let mark = UnsyncedMark::new(path);
        let unsynced = options.durability == Durability::None && !options.read_only;
        let was_unsynced = mark.is_set();
        if unsynced && !was_unsynced {
            mark.set()?;
        }
        let mut flags = EnvFlags::empty();
        flags.set(EnvFlags::READ_ONLY, options.read_only);
        flags.set(EnvFlags::NO_SYNC, options.durability == Durability::None);
        let mut env = EnvOpenOptions::new().read_txn_without_tls();
        env.map_size(options.map_size).max_readers(READERS_MAX).max_dbs(Family::ALL.len() as u32);
        // SAFETY: the writable map is never asked for; NO_SYNC is what the caller chose, and leaves a mark; the file is
        // ours alone to write, by the lock above.
        let env = unsafe { env.flags(flags).open(path) }.map_err(|error| fault("open", path, error))?;
        env.clear_stale_readers().map_err(|error| fault("open", path, error))?;
        let tables = open_tables(&env, path, options.read_only)?;
        let core = Arc::new(Core { env, tables, path: path.to_owned(), lock: lock.map(Arc::new) });
        let mut lmdb = Self { core, options, writer: Mutex::default(), published: Mutex::default(), mark: None };
        if was_unsynced && mark.machine_ended_since() {
            // Without the mark in its hands, a store that fails here leaves it for the next who opens.
            let faults = check::check(&*lmdb.snapshot()?)?.faults;
            faults.into_iter().next().map_or(Ok(()), Err)?;
        }
        if unsynced {
            mark.set()?;
        }
        if !options.read_only && (unsynced || was_unsynced) {
            lmdb.mark = Some(mark);
        }
        Ok(lmdb)
    }

    /// Rewrites a store's file without the pages that nothing stands in; nobody may have it open. Returns the bytes it
    /// took before and takes now. Cut off at any point, the old file is still there.
    pub fn compact(path: &Path) -> Result<(u64, u64), LedgerError> {
        let data = path.join("data.mdb");
        fs::metadata(&data).map_err(|error| io_error("open", &data, &error))?;
        let lmdb = Self::open(path, Options::default())?;
        let _writer = lmdb.core.lock.clone();
        let _readers = FolderLock::no_readers(path)?;
        let target = path.join("data.mdb.compact");
        let before = lmdb.stat()?.file_bytes;
        let failed = |error: io::Error| io_error("write", &target, &error);
        let copy = lmdb.core.env.copy_to_path(&target, CompactionOption::Enabled);
        let copy = copy.map_err(|error| fault("write", &target, error))?;
        copy.sync_all().map_err(failed)?;
        let after = copy.metadata().map_err(failed)?.len();
        drop(copy);
        drop(lmdb);
        fs::rename(&target, &data).and_then(|()| sync_folder(path)).map_err(failed)?;
        Ok((before, after))
    }

    fn published(&self) -> MutexGuard<'_, Published> {
        self.published.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn newest(&self, published: &mut Published) -> Result<Arc<Reader>, LedgerError> {
        if published.unmapped {
            return Err(self.core.unmapped());
        }
        if self.options.read_only {
            self.follow(published)?;
        }
        if let Some(newest) = &published.newest {
            return Ok(newest.clone());
        }
        let txn = self.core.begin()?;
        let version = if self.options.read_only { txn.id() as u64 } else { published.version };
        let held = Held { txn: Some(txn), epoch: published.epoch, overlay: published.pending.clone() };
        let reader = Arc::new(Reader { version, core: self.core.clone(), held: Mutex::new(held) });
        published.readers.retain(|reader| reader.strong_count() > 0);
        published.readers.push(Arc::downgrade(&reader));
        published.newest = Some(reader.clone());
        Ok(reader)
    }

    /// Beside another process's writer: forgets the newest reader once there is something newer, and takes over the
    /// map's size once the writer has let it grow.
    fn follow(&self, published: &mut Published) -> Result<(), LedgerError> {
        if let Some(newest) = &published.newest {
            if newest.version == self.core.env.info().last_txn_id as u64 {
                return Ok(());
            }
            published.newest = None;
        }
        match self.core.env.clone().static_read_txn() {
            Err(heed::Error::Mdb(MdbError::MapResized)) => {}
            // Any other error shows again at once.
            _ => return Ok(()),
        }
        if published.readers.iter().any(|reader| reader.strong_count() > 0) {
            return Err(LedgerError::Io {
                action: "read",
                path: self.core.path.display().to_string(),
                reason: "the store has outgrown its map; let go of the states that are being read, and ask again"
                    .into(),
            });
        }
        // SAFETY: no transaction is open: there is no reader, and none can begin while `published` is held.
        let resized = unsafe { self.core.env.resize(0) };
        published.unmapped = resized.is_err();
        resized.map_err(|error| fault("map", &self.core.path, error))
    }

    /// One LMDB transaction for all of it. The writer's turn is the caller's.
    fn commit(&self, changes: &[Change]) -> Result<(), LedgerError> {
        self.newest(&mut self.published())?;
        let mut attempt = 0;
        loop {
            match self.core.put_all(changes) {
                Err(heed::Error::Mdb(MdbError::MapFull)) if attempt < GROWTH_ATTEMPTS_MAX => {
                    self.grow(attempt)?;
                    attempt += 1;
                }
                Err(heed::Error::Io(error)) if error.raw_os_error() == Some(CUT_SHORT) && self.has_no_room(changes) => {
                    return Err(LedgerError::Full { path: self.core.path.display().to_string() });
                }
                outcome => return outcome.map_err(|error| fault("write", &self.core.path, error)),
            }
        }
    }

    /// Whether that is why these changes could not be written.
    fn has_no_room(&self, changes: &[Change]) -> bool {
        let length = self.core.env.real_disk_size().unwrap_or(0);
        let bytes = changes.iter().map(|change| change.bytes() + PROBE_BYTES_KEY).sum::<usize>();
        has_no_room(&self.core.path, length, bytes.clamp(PROBE_BYTES_MIN, PROBE_BYTES_MAX))
    }

    fn grow(&self, attempt: u32) -> Result<(), LedgerError> {
        let step = self.options.growth.saturating_mul(1 << attempt);
        let mut published = self.published();
        let size = self.core.env.info().map_size.saturating_add(step);
        if size > MAP_BYTES_MAX {
            return Err(LedgerError::Full { path: self.core.path.display().to_string() });
        }
        // SAFETY: no transaction is open: the writer's was given up before, every reader's is closed by `between`, and
        // none can begin while `published` is held.
        self.between(&mut published, || unsafe { self.core.env.resize(size) })
    }

    /// Runs `action` while no reader holds a transaction, and moves all readers to a new one.
    fn between(&self, published: &mut Published, action: impl FnOnce() -> heed::Result<()>) -> Result<(), LedgerError> {
        let readers: Vec<_> = published.readers.iter().filter_map(Weak::upgrade).collect();
        let mut held: Vec<_> = readers.iter().map(|reader| reader.held()).collect();
        for held in &mut held {
            held.keep(&self.core, &published.changed)?;
        }
        for held in &mut held {
            held.txn = None;
        }
        if let Err(error) = action() {
            published.unmapped = true;
            return Err(fault("map", &self.core.path, error));
        }
        for held in &mut held {
            held.txn = Some(self.core.begin()?);
            held.epoch = published.epoch;
        }
        published.changed.clear();
        published.changed_keys = 0;
        Ok(())
    }

    /// Lets new readers see what was written: `committed` by LMDB, the rest in `pending`.
    fn publish(&self, pending: Arc<Overlay>, pending_bytes: usize, committed: Option<Vec<Change>>, is_write: bool) {
        let mut published = self.published();
        published.pending = pending;
        published.pending_bytes = pending_bytes;
        published.version += u64::from(is_write);
        published.newest = None;
        let Some(committed) = committed else { return };
        published.epoch += 1;
        let epoch = published.epoch;
        let keys: Vec<_> = committed.into_iter().map(|change| (change.family, change.key)).collect();
        published.changed_keys += keys.len();
        published.changed.push_back((epoch, keys));
        let oldest = published.readers.iter().filter_map(Weak::upgrade).map(|reader| reader.held().epoch).min();
        while let Some((first, keys)) = published.changed.front() {
            if oldest.is_some_and(|oldest| *first > oldest) {
                break;
            }
            let keys = keys.len();
            published.changed_keys -= keys;
            published.changed.pop_front();
        }
        if published.changed.len() > LAG_TRANSACTIONS_MAX || published.changed_keys > LAG_KEYS_MAX {
            // The write itself is done: a reader that cannot be moved says so when it is asked.
            let _ = self.between(&mut published, || Ok(()));
        }
    }

    /// Writes what is pending. The writer's turn is the caller's.
    fn flush(&self) -> Result<(), LedgerError> {
        let pending = self.published().pending.clone();
        if !pending.is_empty() {
            let changes = pending.changes();
            self.commit(&changes)?;
            self.publish(Arc::default(), 0, Some(changes), false);
        }
        Ok(())
    }

    fn turn(&self) -> Result<MutexGuard<'_, ()>, LedgerError> {
        if self.options.read_only {
            return Err(LedgerError::ReadOnly);
        }
        Ok(self.writer.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Kv for Lmdb {
    fn snapshot(&self) -> Result<Arc<dyn Snapshot>, LedgerError> {
        Ok(self.newest(&mut self.published())?)
    }

    fn write(&self, batch: Batch) -> Result<(), LedgerError> {
        let _turn = self.turn()?;
        let mut changes = batch.into_sorted();
        if self.options.durability == Durability::Batched {
            let (mut pending, mut bytes) = {
                let published = self.published();
                (published.pending.clone(), published.pending_bytes)
            };
            bytes += changes.iter().map(Change::bytes).sum::<usize>();
            Arc::make_mut(&mut pending).apply(changes);
            if bytes < self.options.write_batch_bytes {
                self.publish(pending, bytes, None, true);
                return Ok(());
            }
            changes = pending.changes();
        }
        self.commit(&changes)?;
        self.publish(Arc::default(), 0, Some(changes), true);
        Ok(())
    }

    fn sync(&self) -> Result<(), LedgerError> {
        let _turn = self.turn()?;
        self.flush()?;
        if self.mark.is_some() {
            self.core.env.force_sync().map_err(|error| fault("sync", &self.core.path, error))?;
        }
        Ok(())
    }

    fn stat(&self) -> Result<Stat, LedgerError> {
        if !self.options.read_only {
            self.flush_in_turn()?;
        }
        let reader = self.newest(&mut self.published())?;
        let held = reader.held();
        let txn = held.txn.as_ref().ok_or_else(|| self.core.unmapped())?;
        let mut families = Vec::with_capacity(Family::ALL.len());
        let mut used = 0;
        let mut page_bytes = 0;
        for family in Family::ALL {
            let stat =
                self.core.tables[family as usize].stat(txn).map_err(|error| fault("read", &self.core.path, error))?;
            let pages = stat.branch_pages + stat.leaf_pages + stat.overflow_pages;
            page_bytes = stat.page_size as u64;
            let bytes = pages as u64 * page_bytes;
            used += bytes;
            families.push((family, FamilyStat { entries: stat.entries as u64, bytes }));
        }
        let info = self.core.env.info();
        let reached = (info.last_page_number as u64 + 1) * page_bytes;
        Ok(Stat {
            families,
            file_bytes: self.core.env.real_disk_size().map_err(|error| fault("read", &self.core.path, error))?,
            free_bytes: reached.saturating_sub(used),
            map_bytes: info.map_size as u64,
        })
    }
}

impl Lmdb {
    fn flush_in_turn(&self) -> Result<(), LedgerError> {
        let _turn = self.turn()?;
        self.flush()
    }
}

impl Drop for Lmdb {
    /// Best effort; who must know calls `sync` first.
    fn drop(&mut self) {
        if !self.options.read_only
            && self.sync().is_ok()
            && let Some(mark) = &self.mark
        {
            let _ = mark.clear();
        }
    }
}

impl Core {
    fn begin(&self) -> Result<RoTxn<'static, WithoutTls>, LedgerError> {
        self.env.clone().static_read_txn().map_err(|error| fault("read", &self.path, error))
    }

    fn put_all(&self, changes: &[Change]) -> heed::Result<()> {
        let mut txn = self.env.write_txn()?;
        for change in changes {
            let table = &self.tables[change.family as usize];
            match &change.value {
                Some(value) => table.put(&mut txn, &change.key, value)?,
                None => {
                    table.delete(&mut txn, &change.key)?;
                }
            }
        }
        txn.commit()
    }

    fn unmapped(&self) -> LedgerError {
        LedgerError::Io {
            action: "map",
            path: self.path.display().to_string(),
            reason: "the file could not be mapped again after it grew; close the store and open it again".into(),
        }
    }
}

fn open_tables(env: &Env<WithoutTls>, path: &Path, read_only: bool) -> Result<[Table; Family::ALL.len()], LedgerError> {
    let mut tables = Vec::with_capacity(Family::ALL.len());
    let failed = |error| fault("open", path, error);
    if read_only {
        let txn = env.read_txn().map_err(failed)?;
        for family in Family::ALL {
            let table = env.open_database(&txn, Some(family.name())).map_err(failed)?;
            tables.push(table.ok_or_else(|| LedgerError::Damaged(format!("it has no {}", family.name())))?);
        }
        // Not dropped: the handles live on only if the transaction that opened them commits.
        txn.commit().map_err(failed)?;
    } else {
        let mut txn = env.write_txn().map_err(failed)?;
        for family in Family::ALL {
            tables.push(env.create_database(&mut txn, Some(family.name())).map_err(failed)?);
        }
        txn.commit().map_err(failed)?;
    }
    Ok(tables.try_into().expect("one for each family"))
}

/// What LMDB said, in our words.
fn fault(action: &'static str, path: &Path, error: heed::Error) -> LedgerError {
    let path_text = path.display().to_string();
    match error {
        heed::Error::Io(error) => io_error(action, path, &error),
        heed::Error::Mdb(MdbError::MapFull) => LedgerError::Full { path: path_text },
        heed::Error::EnvAlreadyOpened => LedgerError::InUse { path: path_text, pid: std::process::id() },
        heed::Error::Mdb(
            error @ (MdbError::Corrupted | MdbError::PageNotFound | MdbError::Invalid | MdbError::VersionMismatch),
        ) => LedgerError::Damaged(format!("{path_text}: {error}")),
        error => LedgerError::Io { action, path: path_text, reason: error.to_string() },
    }
}

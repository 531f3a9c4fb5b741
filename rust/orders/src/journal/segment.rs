//! Files of the journal: appending, cutting a torn tail, going on in a new one.

use std::{
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    JournalError, Scan, Snapshot,
    record::{Entry, Record, encode},
};

/// A segment is closed when it has grown to this.
pub const SEGMENT_BYTES: u64 = 64 << 20;

/// Bytes of a segment before its first record.
const HEAD: usize = 24;

/// A journal that is open for appending.
#[derive(Debug)]
pub struct Journal {
    folder: PathBuf,
    chain_id: u64,
    file: Arc<File>,
    path: PathBuf,
    written: u64,
    next: u64,
    buffer: Vec<u8>,
    segment_bytes: u64,
}

/// Makes what was written survive a loss of power; for a thread of its own.
#[derive(Clone, Debug)]
pub struct Syncer {
    file: Arc<File>,
    path: PathBuf,
}

impl Syncer {
    /// Returns when everything that was written before is on disk.
    pub fn sync(&self) -> Result<(), JournalError> {
        self.file.sync_data().map_err(JournalError::io("sync", &self.path))
    }
}

fn head(chain_id: u64, first: u64) -> Vec<u8> {
    [b"XLJ1\x01\0\0\0".as_slice(), &chain_id.to_le_bytes(), &first.to_le_bytes()].concat()
}

fn segment_path(folder: &Path, first: u64) -> PathBuf {
    folder.join(format!("journal-{first:020}.xlj"))
}

/// The first records' numbers of a folder's segments, in order.
fn segments(folder: &Path) -> Result<Vec<u64>, JournalError> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).map_err(JournalError::io("list", folder))? {
        let name = entry.map_err(JournalError::io("list", folder))?.file_name();
        let number: Option<u64> =
            name.to_str().and_then(|name| name.strip_prefix("journal-")?.strip_suffix(".xlj")?.parse().ok());
        all.extend(number);
    }
    all.sort_unstable();
    Ok(all)
}

/// Where the journal ends: the last segment, how many of its bytes are good, the number of the next record.
type End = (PathBuf, usize, u64);

/// Gives every record from `from` on to `each`; None where there is no segment.
fn scan(
    folder: &Path,
    chain_id: u64,
    from: u64,
    each: &mut dyn FnMut(Record) -> Result<(), JournalError>,
) -> Result<Option<End>, JournalError> {
    let all = segments(folder)?;
    let skip = all.partition_point(|first| *first <= from).saturating_sub(1);
    let needed = &all[skip.min(all.len())..];
    let mut open = None;
    for (index, first) in needed.iter().enumerate() {
        let path = segment_path(folder, *first);
        let is_last = index + 1 == needed.len();
        let expected = open.as_ref().map_or(*first, |(_, _, next): &End| *next);
        let bytes = fs::read(&path).map_err(JournalError::io("read", &path))?;
        let whole = head(chain_id, *first);
        let torn_head = is_last && bytes.len() < HEAD && whole.starts_with(&bytes);
        if !torn_head && !bytes.starts_with(&whole) || *first != expected || *first > from && index == 0 {
            return Err(JournalError::Foreign { path, chain_id, first: expected });
        }
        let mut scan = Scan::new(bytes.get(HEAD..).unwrap_or_default(), *first);
        while let Some(record) = scan.advance()? {
            if record.seq >= from {
                each(record)?;
            }
        }
        if !scan.is_done() && (!is_last || scan.is_followed()) {
            return Err(JournalError::Damaged { path, offset: (HEAD + scan.offset) as u64 });
        }
        open = Some((path, if torn_head { 0 } else { HEAD + scan.offset }, scan.next));
    }
    Ok(open)
}

impl Journal {
    /// What all records of a folder can be played from, as far back as they go: nothing, where they go back to the first
    /// one; else the oldest snapshot that none is missing after.
    pub fn beginning(folder: &Path, chain_id: u64) -> Result<Option<Snapshot>, JournalError> {
        let first = segments(folder)?.first().copied().unwrap_or(1);
        if first == 1 {
            return Ok(None);
        }
        let oldest = Snapshot::oldest(folder, chain_id, first)?;
        oldest.map(Some).ok_or_else(|| JournalError::Retired { path: folder.to_owned(), first })
    }

    /// Gives all records of a folder to `each`, from this one on, and changes nothing.
    pub fn read(
        folder: &Path,
        chain_id: u64,
        from: u64,
        mut each: impl FnMut(Record) -> Result<(), JournalError>,
    ) -> Result<(), JournalError> {
        scan(folder, chain_id, from, &mut each).map(drop)
    }

    /// Opens a folder, which is made if need be: its newest intact snapshot, and every record after that, in order, given
    /// to `each`. A torn tail is cut.
    pub fn open(
        folder: &Path,
        chain_id: u64,
        segment_bytes: u64,
        mut begin: impl FnMut(Option<Snapshot>) -> Result<(), JournalError>,
        mut each: impl FnMut(Record) -> Result<(), JournalError>,
    ) -> Result<Self, JournalError> {
        fs::create_dir_all(folder).map_err(JournalError::io("make", folder))?;
        let snapshot = Snapshot::newest(folder, chain_id)?;
        let from = snapshot.as_ref().map_or(1, |snapshot| snapshot.seq + 1);
        begin(snapshot)?;
        let open = scan(folder, chain_id, from, &mut each)?;
        let (path, kept, next) = open.unwrap_or_else(|| (segment_path(folder, from), 0, from));
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .read(true)
            .open(&path)
            .map_err(JournalError::io("open", &path))?;
        file.set_len(kept as u64).map_err(JournalError::io("cut", &path))?;
        let mut journal = Self {
            folder: folder.to_owned(),
            chain_id,
            file: Arc::new(file),
            path,
            written: kept as u64,
            next,
            buffer: Vec::new(),
            segment_bytes,
        };
        if kept == 0 {
            journal.buffer = head(chain_id, next);
            journal.flush()?;
        }
        Ok(journal)
    }

    /// The number of the next record.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// How many bytes the open segment has.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Adds a record to the group that [`Self::flush`] writes.
    pub fn add(&mut self, mono_ns: u64, entry: &Entry) {
        encode(&mut self.buffer, self.next, mono_ns, entry);
        self.next += 1;
    }

    /// Writes the group at once.
    pub fn flush(&mut self) -> Result<(), JournalError> {
        (&*self.file).write_all(&self.buffer).map_err(JournalError::io("write", &self.path))?;
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        if self.written >= self.segment_bytes {
            self.rotate()?;
        }
        Ok(())
    }

    fn rotate(&mut self) -> Result<(), JournalError> {
        self.file.sync_data().map_err(JournalError::io("sync", &self.path))?;
        let path = segment_path(&self.folder, self.next);
        let file =
            OpenOptions::new().create_new(true).append(true).open(&path).map_err(JournalError::io("make", &path))?;
        (self.file, self.path, self.written) = (Arc::new(file), path, 0);
        self.buffer = head(self.chain_id, self.next);
        (&*self.file).write_all(&self.buffer).map_err(JournalError::io("write", &self.path))?;
        self.written = HEAD as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Syncs what was written so far, from any thread.
    pub fn syncer(&self) -> Syncer {
        Syncer { file: Arc::clone(&self.file), path: self.path.clone() }
    }

    /// Where it lies.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

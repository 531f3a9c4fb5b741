//! What waits, and what was learnt about senders, on disk: a kill loses nothing that was acknowledged, a power cut may
//! (it is written, not synced).
//!
//! The file, numbers little-endian:
//!
//! | bytes | what |
//! |---|---|
//! | 8 | `XLPOOL\0\x01`: name and version |
//! | 32 | hash of the chain's first block |
//! | then, for each record: 4 | length of the record's content |
//! | 4 | checksum of the content: FNV-1a, 32 bits |
//! | 1 | kind: 1 added, 2 gone, 3 learnt |
//! | of added: 1 | flags: bit 0 private, the others zero |
//! | 8 | when it was taken, milliseconds since 1970 |
//! | the rest | the transaction's EIP-2718 bytes |
//! | of gone: 32 | the transaction's hash |
//! | of learnt: 20 | the sender |
//! | 24 | how many of its transactions were included, reverted, skipped: 8 each |
//! | the rest, 32 at most | its last executions, the oldest first: class in the upper four bits; below, eighths of the gas limit that were used (0 to 7), 8 reverted, 9 skipped |
//!
//! Records are appended. At opening, what is left of them is read back in the order in which it came, of each sender the
//! last that was learnt; a record that is cut off or does not fit its checksum ends the file, and what follows is cut away. When more than half of a file is
//! history, it is written anew beside the old one and takes its place in one step.

use std::{
    collections::HashMap,
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use types::{Address, B256, Bytes};

use crate::{Event, History, Pool, Pooled, factor::REMEMBERED};

const MAGIC: [u8; 8] = *b"XLPOOL\0\x01";

const HEADER_BYTES: usize = 40;

/// Bytes before a record's content.
const FRAME_BYTES: usize = 8;

/// Bytes of the record of a transaction besides its own.
const ADDED_BYTES: usize = FRAME_BYTES + 10;

/// Bytes of the longest record of what was learnt.
const LEARNT_BYTES_MAX: usize = FRAME_BYTES + 45 + REMEMBERED;

/// Longest content that is believed: nothing that long is ever admitted.
const CONTENT_BYTES_MAX: usize = 16 << 20;

/// A file below this is never written anew.
const COMPACT_BYTES_MIN: u64 = 1 << 20;

const ADDED: u8 = 1;
const GONE: u8 = 2;
const LEARNT: u8 = 3;
const PRIVATE: u8 = 1;

/// Why a journal cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("journal of the pool {path}: {action}: {reason}")]
pub struct JournalError {
    /// The file.
    pub path: String,
    /// What was tried.
    pub action: &'static str,
    /// What the system said, or what is wrong with the file.
    pub reason: String,
}

/// A transaction that was waiting when the journal was closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its EIP-2718 bytes.
    pub raw: Bytes,
    /// Whether it was private.
    pub private: bool,
    /// When it was taken.
    pub since_ms: u64,
}

/// What a journal holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// What was waiting, the oldest first.
    pub waiting: Vec<Kept>,
    /// What was known of senders, the one longest unheard of first.
    pub histories: Vec<(Address, History)>,
}

/// An open journal.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    genesis: B256,
    /// Bytes of the file, all of them whole records.
    length: u64,
    /// Records on their way to the file.
    buffer: Vec<u8>,
}

impl Journal {
    /// Opens a journal, or begins one, and tells what it holds.
    ///
    /// # Errors
    /// Where the file can't be read or written, or is another chain's.
    pub fn open(path: &Path, genesis: B256) -> Result<(Self, Contents), JournalError> {
        let failed = |action| move |error: io::Error| refused(path, action, error);
        let file = OpenOptions::new().read(true).append(true).create(true).open(path).map_err(failed("open"))?;
        if !file.metadata().map_err(failed("open"))?.is_file() {
            return Err(refused(path, "open", "not a file"));
        }
        let mut bytes = Vec::new();
        (&file).read_to_end(&mut bytes).map_err(failed("read"))?;
        let mut journal = Self { file, path: path.to_owned(), genesis, length: 0, buffer: Vec::new() };
        if bytes.len() < HEADER_BYTES {
            // Begun, and killed before the first bytes were there.
            journal.file.set_len(0).map_err(failed("cut"))?;
            journal.buffer.extend(MAGIC.iter().chain(genesis.as_slice()));
            journal.flush()?;
            return Ok((journal, Contents::default()));
        }
        let (header, records) = bytes.split_at(HEADER_BYTES);
        if header[..8] != MAGIC {
            return Err(refused(path, "read", "no journal of this version"));
        }
        if header[8..] != genesis[..] {
            return Err(refused(
                path,
                "read",
                format_args!("it belongs to the chain {}", B256::from_slice(&header[8..])),
            ));
        }
        let (contents, whole) = replay(records);
        journal.length = (HEADER_BYTES + whole) as u64;
        if whole < records.len() {
            journal.file.set_len(journal.length).map_err(failed("cut"))?;
        }
        Ok((journal, contents))
    }

    /// Notes what has happened. It is in the file only after [`flush`](Self::flush).
    pub fn note(&mut self, event: &Event) {
        let pooled = &event.pooled;
        match event.change {
            crate::Change::Added { .. } => self.write_added(pooled),
            ref change if !change.stays() => {
                append(&mut self.buffer, |out| {
                    out.push(GONE);
                    out.extend(pooled.hash.as_slice());
                });
            }
            _ => {}
        }
    }

    /// Notes what is known of a sender now. It is in the file only after [`flush`](Self::flush).
    pub fn learn(&mut self, sender: &Address, history: &History) {
        append(&mut self.buffer, |out| {
            out.push(LEARNT);
            out.extend(sender);
            for count in [history.included, history.reverted, history.skipped] {
                out.extend(count.to_le_bytes());
            }
            out.extend(history.codes());
        });
    }

    /// Writes what was noted; after this no kill loses it.
    ///
    /// # Errors
    /// Where the file can't be written. What was noted is then not in it, and the file is whole.
    pub fn flush(&mut self) -> Result<(), JournalError> {
        let written = self.file.write_all(&self.buffer);
        let length = self.buffer.len() as u64;
        self.buffer.clear();
        written.map_err(|error| {
            // A half of it may be there.
            let _ = self.file.set_len(self.length);
            refused(&self.path, "write", error)
        })?;
        self.length += length;
        Ok(())
    }

    /// Whether more than half of the file is of no use any more, where this is what waits.
    pub fn is_due(&self, pool: &Pool) -> bool {
        let waiting = pool.size_bytes() + pool.len() * ADDED_BYTES;
        let live = HEADER_BYTES + waiting + pool.histories().len() * LEARNT_BYTES_MAX;
        self.length > COMPACT_BYTES_MIN && self.length > 2 * live as u64
    }

    /// Writes the file anew with what waits now.
    ///
    /// # Errors
    /// Where that can't be done; the old file goes on then.
    pub fn compact(&mut self, pool: &Pool) -> Result<(), JournalError> {
        let fresh = self.path.with_extension("new");
        let failed = |action| {
            let fresh = fresh.clone();
            move |error: io::Error| refused(&fresh, action, error)
        };
        self.buffer.clear();
        self.buffer.extend(MAGIC.iter().chain(self.genesis.as_slice()));
        for (sender, history) in pool.histories() {
            self.learn(sender, history);
        }
        for pooled in pool.by_age() {
            self.write_added(pooled);
        }
        let written = std::fs::write(&fresh, &self.buffer);
        let length = self.buffer.len() as u64;
        self.buffer = Vec::new();
        written.map_err(failed("write"))?;
        // Opened before it takes the old one's place: from there on nothing can fail.
        let file = OpenOptions::new().append(true).open(&fresh).map_err(failed("open"))?;
        std::fs::rename(&fresh, &self.path).map_err(failed("rename"))?;
        (self.file, self.length) = (file, length);
        Ok(())
    }

    fn write_added(&mut self, pooled: &Arc<Pooled>) {
        append(&mut self.buffer, |out| {
            out.extend([ADDED, if pooled.private { PRIVATE } else { 0 }]);
            out.extend(pooled.since_ms.to_le_bytes());
            pooled.transaction.transaction.write_bytes(out);
        });
    }
}

fn refused(path: &Path, action: &'static str, reason: impl ToString) -> JournalError {
    JournalError { path: path.display().to_string(), action, reason: reason.to_string() }
}

fn append(out: &mut Vec<u8>, content: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend([0; FRAME_BYTES]);
    content(out);
    let (frame, content) = out[at..].split_at_mut(FRAME_BYTES);
    frame[..4].copy_from_slice(&(content.len() as u32).to_le_bytes());
    frame[4..].copy_from_slice(&checksum(content).to_le_bytes());
}

fn checksum(content: &[u8]) -> u32 {
    content.iter().fold(0x811c_9dc5, |sum, byte| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// What is left of the records, and how many bytes of them are whole.
fn replay(records: &[u8]) -> (Contents, usize) {
    let mut kept: Vec<Option<Kept>> = Vec::new();
    let mut places: HashMap<B256, usize> = HashMap::new();
    // By sender: when it was learnt, and what.
    let mut learnt: HashMap<Address, (usize, History)> = HashMap::new();
    let mut rest = records;
    while let Some((content, after)) = record(rest) {
        match content {
            [ADDED, flags, body @ ..] if *flags <= PRIVATE && body.len() > 8 => {
                let (since, raw) = body.split_at(8);
                let since_ms = u64::from_le_bytes(since.try_into().expect("eight bytes"));
                places.insert(types::keccak256(raw), kept.len());
                kept.push(Some(Kept { raw: Bytes::copy_from_slice(raw), private: *flags == PRIVATE, since_ms }));
            }
            [GONE, hash @ ..] if hash.len() == 32 => {
                if let Some(place) = places.remove(&B256::from_slice(hash)) {
                    kept[place] = None;
                }
            }
            [LEARNT, body @ ..] if let Some((sender, history)) = history(body) => {
                learnt.insert(sender, (rest.len(), history));
            }
            _ => break,
        }
        rest = after;
    }
    let mut histories: Vec<_> = learnt.into_iter().collect();
    // The more was still to come, the longer ago.
    histories.sort_unstable_by_key(|(_, (left, _))| std::cmp::Reverse(*left));
    // What an anchor has brought back may be that nothing is known.
    histories.retain(|(_, (_, history))| *history != History::default());
    let contents = Contents {
        waiting: kept.into_iter().flatten().collect(),
        histories: histories.into_iter().map(|(sender, (_, history))| (sender, history)).collect(),
    };
    (contents, records.len() - rest.len())
}

/// What was learnt, and of whom.
fn history(body: &[u8]) -> Option<(Address, History)> {
    let (sender, rest) = body.split_first_chunk::<20>()?;
    let (counts, codes) = rest.split_first_chunk::<24>()?;
    let count = |at: usize| u64::from_le_bytes(counts[8 * at..8 * at + 8].try_into().expect("eight bytes"));
    Some((Address::from(*sender), History::of_codes([count(0), count(1), count(2)], codes)?))
}

/// The content of the first record, and what follows; None where it is not whole.
fn record(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (sum, rest) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok().filter(|length| *length <= CONTENT_BYTES_MAX)?;
    let (content, rest) = rest.split_at_checked(length)?;
    (checksum(content) == u32::from_le_bytes(*sum)).then_some((content, rest))
}

#[cfg(test)]
mod tests;

//! One record: bytes to values and back.

use kernels::crc32c;

use super::JournalError;
use crate::{
    core::{Input, Note, Now},
    stored::{Source, Stored},
};

/// Bytes of a record before its payload.
pub const RECORD_HEAD: usize = 25;

/// First type of the notes.
const NOTES: u8 = 64;
/// Type of a snapshot's mark.
const SNAPSHOT: u8 = 128;
/// No payload is longer: the receipts of a full block of our own transactions are far below it.
const PAYLOAD_MAX: usize = 64 << 20;

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Something happened.
    Input {
        /// When, by the wall's clock.
        wall_ns: u64,
        /// What.
        input: Input,
    },
    /// Something was decided about the input before.
    Note(Note),
    /// The state up to the record before is in a snapshot.
    Snapshot,
}

/// A record that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its number.
    pub seq: u64,
    /// When it was written, by the monotonic clock.
    pub mono_ns: u64,
    /// What it says.
    pub entry: Entry,
}

impl Record {
    /// The clocks of an input.
    pub fn now(&self) -> Now {
        let wall_ns = if let Entry::Input { wall_ns, .. } = &self.entry { *wall_ns } else { 0 };
        Now { mono_ns: self.mono_ns, wall_ns }
    }
}

/// Appends a record's bytes.
pub fn encode(out: &mut Vec<u8>, seq: u64, mono_ns: u64, entry: &Entry) {
    let start = out.len();
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&seq.to_le_bytes());
    out.extend_from_slice(&mono_ns.to_le_bytes());
    let kind = out.len();
    match entry {
        Entry::Input { wall_ns, input } => {
            // The variant's number, which stands first, becomes the type.
            input.put(out);
            let wall = wall_ns.to_le_bytes();
            out.splice(kind + 1..kind + 1, wall);
        }
        Entry::Note(note) => {
            note.put(out);
            out[kind] += NOTES;
        }
        Entry::Snapshot => out.push(SNAPSHOT),
    }
    let length = (out.len() - start - RECORD_HEAD) as u32;
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    let sum = crc32c(crc32c(0, &length.to_le_bytes()), &out[start + 8..]);
    out[start + 4..start + 8].copy_from_slice(&sum.to_le_bytes());
}

/// Walks the records of a segment's bytes, without its head.
#[derive(Clone, Debug)]
pub struct Scan<'a> {
    bytes: &'a [u8],
    /// How far it came: after the last intact record.
    pub offset: usize,
    /// The number that the next record has to have.
    pub next: u64,
}

impl<'a> Scan<'a> {
    /// Starts at a record.
    pub fn new(bytes: &'a [u8], first: u64) -> Self {
        Self { bytes, offset: 0, next: first }
    }

    /// The record at the offset, where it is intact; None: the end, or a torn or damaged record.
    pub fn advance(&mut self) -> Result<Option<Record>, JournalError> {
        let Some((payload, end)) = intact(self.bytes, self.offset, |seq| seq == self.next) else { return Ok(None) };
        let at = self.offset;
        let seq = self.next;
        let mono_ns = u64_at(self.bytes, at + 16);
        let entry = parse(self.bytes[at + 24], payload).map_err(|left| JournalError::Malformed { seq, left })?;
        self.offset = end;
        self.next += 1;
        Ok(Some(Record { seq, mono_ns, entry }))
    }

    /// Whether an intact later record stands behind the place where the scan stopped.
    pub fn is_followed(&self) -> bool {
        let later = |seq: u64| seq > self.next && seq < self.next + (1 << 32);
        (self.offset + 1..self.bytes.len()).any(|at| intact(self.bytes, at, later).is_some())
    }

    /// Whether all bytes were read.
    pub fn is_done(&self) -> bool {
        self.offset == self.bytes.len()
    }
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(*bytes[at..].first_chunk().expect("the length was checked"))
}

/// Payload and end of an intact record.
fn intact(bytes: &[u8], at: usize, expected: impl Fn(u64) -> bool) -> Option<(&[u8], usize)> {
    let record = bytes.get(at..)?;
    let head = record.first_chunk::<RECORD_HEAD>()?;
    // The number is looked at first: it rules out nearly every wrong place without a checksum.
    if !expected(u64_at(head, 8)) {
        return None;
    }
    let length = u32::from_le_bytes(*head.first_chunk()?) as usize;
    if length > PAYLOAD_MAX {
        return None;
    }
    let record = record.get(..RECORD_HEAD + length)?;
    let sum = crc32c(crc32c(0, &record[..4]), &record[8..]);
    (record[4..8] == sum.to_le_bytes()).then_some((&record[RECORD_HEAD..], at + record.len()))
}

fn parse(kind: u8, payload: &[u8]) -> Result<Entry, usize> {
    match kind {
        SNAPSHOT if payload.is_empty() => Ok(Entry::Snapshot),
        kind if kind >= NOTES => {
            let bytes = [&[kind - NOTES], payload].concat();
            Note::from_stored(&bytes).map(Entry::Note).map_err(|error| error.left)
        }
        kind => {
            let mut from = Source(payload);
            let wall_ns = u64::take(&mut from).map_err(|error| error.left)?;
            let bytes = [&[kind], from.0].concat();
            let input = Input::from_stored(&bytes).map_err(|error| error.left)?;
            Ok(Entry::Input { wall_ns, input })
        }
    }
}

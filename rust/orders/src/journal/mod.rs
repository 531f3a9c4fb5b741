//! The journal: what happened and what was decided, on disk before a byte of it is spoken.
//!
//! A folder holds segments and snapshots. A segment is named `journal-` and the number of its first record in 20 digits,
//! `.xlj`, and starts with 24 bytes: `0` magic "XLJ1" · `4` version u8 = 1 · `5` zero\[3\] · `8` chain id u64 · `16` number of
//! the first record u64. Records follow each other, in little-endian:
//!
//! ```text
//!  0 len u32: bytes of the payload       4 crc32c u32 over bytes 0–3, then 8 to the end
//!  8 seq u64: one more than the record before       16 mono_ns u64       24 type u8       25 payload
//! ```
//!
//! Types below 64 are inputs: the number of the variant of [`crate::Input`]; the payload is the wall's clock (u64) and the
//! variant's fields. From 64 on they are notes on the input before: 64 plus the number of the variant of [`crate::Note`],
//! with its fields. 128 marks a snapshot. How fields stand is told in [`crate::stored`].
//!
//! All records of a step go out in one `write`, which survives the end of the process. What survives a loss of power is
//! what was synced; [`Syncer`] does that from another thread. A crash leaves at most a torn tail, which is cut; a damaged
//! record with intact ones behind it stops the start.

mod lock;
mod record;
mod segment;
mod snapshot;

use std::{io, path::PathBuf};

pub use self::{
    lock::SenderLocks,
    record::{Entry, RECORD_HEAD, Record, Scan, encode},
    segment::{Journal, SEGMENT_BYTES, Syncer},
    snapshot::Snapshot,
};

/// Why a journal can't be used.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what each value is")]
pub enum JournalError {
    #[error("can't {action} {}: {reason}", path.display())]
    Io { action: &'static str, path: PathBuf, reason: io::Error },
    #[error("{} is damaged at byte {offset}, with intact records behind it", path.display())]
    Damaged { path: PathBuf, offset: u64 },
    #[error("{} is no segment of chain {chain_id} that starts at record {first}", path.display())]
    Foreign { path: PathBuf, chain_id: u64, first: u64 },
    #[error("record {seq} is not what its type says: {left} bytes before its end")]
    Malformed { seq: u64, left: usize },
    #[error("replaying record {seq} gave other decisions than it has: {expected}, now {actual}")]
    Diverged { seq: u64, expected: String, actual: String },
    #[error("the journal starts with record {seq}, which is no configuration")]
    NoConfiguration { seq: u64 },
    #[error("{} begins with record {first}, and there is no snapshot to go on from", path.display())]
    Retired { path: PathBuf, first: u64 },
    #[error("another engine uses {sender} on chain {chain_id}")]
    SenderInUse { sender: types::Address, chain_id: u64 },
    #[error("the journal could not be written before, and the engine has stopped")]
    Stopped,
}

impl JournalError {
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |reason| Self::Io { action, path, reason }
    }
}

#[cfg(test)]
mod tests;

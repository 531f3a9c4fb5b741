//! One engine for a sender on a chain: a locked file for each pair, in a folder that all engines of a host share.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    path::Path,
};

use types::Address;

use super::JournalError;

/// Held for as long as an engine lives; the system lets go of them with the process, however it ends.
#[derive(Debug)]
pub struct SenderLocks(Vec<File>);

impl SenderLocks {
    /// Takes all of them, or none.
    pub fn take(folder: &Path, chain_id: u64, senders: &[Address]) -> Result<Self, JournalError> {
        fs::create_dir_all(folder).map_err(JournalError::io("make", folder))?;
        let take = |sender: &Address| {
            let path = folder.join(format!("sender-{chain_id}-{sender:#x}.lock"));
            let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
            let file = file.map_err(JournalError::io("open", &path))?;
            match file.try_lock() {
                Ok(()) => Ok(file),
                Err(TryLockError::WouldBlock) => Err(JournalError::SenderInUse { sender: *sender, chain_id }),
                Err(TryLockError::Error(reason)) => Err(JournalError::io("lock", path)(reason)),
            }
        };
        senders.iter().map(take).collect::<Result<_, _>>().map(Self)
    }

    /// How many are held.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether none is held.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

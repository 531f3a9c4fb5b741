//! A snapshot: the whole state after a record, so that a start need not replay everything before it.
//!
//! `snapshot-` and the number of that record in 20 digits, `.xls`: `0` magic "XLS1" · `4` version u8 = 1 · `5` zero\[3\] ·
//! `8` chain id u64 · `16` number u64 · `24` the configuration, then the state · crc32c u32 over everything before. Written
//! beside its place, synced, and moved there: a snapshot is whole or it is not there. The last two are kept.

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
};

use kernels::crc32c;

use super::JournalError;
use crate::{
    config::Config,
    core::State,
    stored::{Source, Stored},
};

const HEAD: usize = 24;
const KEPT: usize = 2;

/// Settings and state after a record.
#[derive(Debug)]
pub struct Snapshot {
    /// The record's number.
    pub seq: u64,
    /// The settings.
    pub config: Config,
    /// The state.
    pub state: State,
}

impl Snapshot {
    /// The bytes of one; writing them is [`Self::write`]'s, from any thread.
    pub fn encode(chain_id: u64, seq: u64, config: &Config, state: &State) -> Vec<u8> {
        let mut bytes = head(chain_id, seq);
        config.put(&mut bytes);
        state.put(&mut bytes);
        let sum = crc32c(0, &bytes);
        bytes.extend_from_slice(&sum.to_le_bytes());
        bytes
    }

    fn decode(bytes: &[u8], chain_id: u64, seq: u64) -> Option<Self> {
        let (body, sum) = bytes.split_last_chunk::<4>()?;
        if crc32c(0, body) != u32::from_le_bytes(*sum) || !body.starts_with(&head(chain_id, seq)) {
            return None;
        }
        let mut from = Source(&body[HEAD..]);
        let config = Config::take(&mut from).ok()?;
        let state = State::take(&mut from).ok()?;
        from.0.is_empty().then_some(Self { seq, config, state })
    }

    /// Puts a snapshot's bytes into a folder, and takes away the ones before the last two.
    pub fn write(folder: &Path, seq: u64, bytes: &[u8]) -> Result<(), JournalError> {
        let (path, aside) = (folder.join(name(seq)), folder.join("snapshot.part"));
        let mut file = File::create(&aside).map_err(JournalError::io("make", &aside))?;
        file.write_all(bytes).and_then(|()| file.sync_all()).map_err(JournalError::io("write", &aside))?;
        fs::rename(&aside, &path).map_err(JournalError::io("move", &path))?;
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(JournalError::io("sync", folder))?;
        let all = numbers(folder)?;
        for old in &all[..all.len().saturating_sub(KEPT)] {
            let path = folder.join(name(*old));
            fs::remove_file(&path).map_err(JournalError::io("remove", &path))?;
        }
        Ok(())
    }

    /// The newest one that is intact.
    pub(super) fn newest(folder: &Path, chain_id: u64) -> Result<Option<Self>, JournalError> {
        Self::first_intact(folder, chain_id, numbers(folder)?.into_iter().rev())
    }

    /// The oldest one that is intact and that a journal of records from this one on can be played from.
    pub(super) fn oldest(folder: &Path, chain_id: u64, first: u64) -> Result<Option<Self>, JournalError> {
        Self::first_intact(folder, chain_id, numbers(folder)?.into_iter().filter(|seq| seq + 1 >= first))
    }

    fn first_intact(
        folder: &Path,
        chain_id: u64,
        numbers: impl Iterator<Item = u64>,
    ) -> Result<Option<Self>, JournalError> {
        for seq in numbers {
            let path = folder.join(name(seq));
            let bytes = fs::read(&path).map_err(JournalError::io("read", &path))?;
            if let Some(snapshot) = Self::decode(&bytes, chain_id, seq) {
                return Ok(Some(snapshot));
            }
        }
        Ok(None)
    }
}

fn head(chain_id: u64, seq: u64) -> Vec<u8> {
    [b"XLS1\x01\0\0\0".as_slice(), &chain_id.to_le_bytes(), &seq.to_le_bytes()].concat()
}

fn name(seq: u64) -> String {
    format!("snapshot-{seq:020}.xls")
}

fn numbers(folder: &Path) -> Result<Vec<u64>, JournalError> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).map_err(JournalError::io("list", folder))? {
        let file = entry.map_err(JournalError::io("list", folder))?.file_name();
        let number: Option<u64> =
            file.to_str().and_then(|file| file.strip_prefix("snapshot-")?.strip_suffix(".xls")?.parse().ok());
        all.extend(number);
    }
    all.sort_unstable();
    Ok(all)
}

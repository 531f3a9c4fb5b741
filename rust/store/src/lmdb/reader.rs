//! A frozen reader of the LMDB store: a transaction, and above it what the transaction doesn't hold (batched writes
//! that were pending when the reader began, and what was kept when its transaction had to be closed).

use std::{
    collections::VecDeque,
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use heed::{RoTxn, WithoutTls};
use state::LedgerError;
use types::Bytes;

use super::{Core, fault};
use crate::{
    Family, Snapshot,
    kv::{Change, Entry},
    sorted::Sorted,
};

/// Values by family and key that stand in front of a transaction; None: the key is not there.
#[derive(Clone, Default)]
pub(super) struct Overlay {
    families: [Sorted<Option<Bytes>>; Family::ALL.len()],
}

impl Overlay {
    pub(super) fn is_empty(&self) -> bool {
        self.families.iter().all(Sorted::is_empty)
    }

    pub(super) fn apply(&mut self, changes: Vec<Change>) {
        for change in changes {
            self.families[change.family as usize].insert(change.key, change.value);
        }
    }

    /// Ascending by family and key.
    pub(super) fn changes(&self) -> Vec<Change> {
        let of = |family: Family| {
            let entries = self.families[family as usize].from(Bound::Unbounded);
            entries.map(move |(key, value)| Change { family, key: key.clone(), value: value.clone() })
        };
        Family::ALL.into_iter().flat_map(of).collect()
    }
}

pub(super) struct Reader {
    pub(super) version: u64,
    pub(super) core: Arc<Core>,
    pub(super) held: Mutex<Held>,
}

pub(super) struct Held {
    /// None only if the map could not be put back.
    pub(super) txn: Option<RoTxn<'static, WithoutTls>>,
    /// How many transactions the store had committed when this one began.
    pub(super) epoch: u64,
    pub(super) overlay: Arc<Overlay>,
}

impl Reader {
    pub(super) fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Copies what has changed since this transaction began, so that a newer one can take its place.
    pub(super) fn keep(
        &mut self,
        core: &Core,
        changed: &VecDeque<(u64, Vec<(Family, Bytes)>)>,
    ) -> Result<(), LedgerError> {
        let Some(txn) = &self.txn else { return Ok(()) };
        let epoch = self.epoch;
        for (family, key) in changed.iter().filter(|(at, _)| *at > epoch).flat_map(|(_, keys)| keys) {
            if self.overlay.families[*family as usize].get(key).is_none() {
                let value = get(core, txn, *family, key)?;
                Arc::make_mut(&mut self.overlay).families[*family as usize].insert(key.clone(), value);
            }
        }
        Ok(())
    }
}

fn get(core: &Core, txn: &RoTxn<'_, WithoutTls>, family: Family, key: &[u8]) -> Result<Option<Bytes>, LedgerError> {
    let value = core.tables[family as usize].get(txn, key).map_err(|error| fault("read", &core.path, error))?;
    Ok(value.map(Bytes::copy_from_slice))
}

impl Snapshot for Reader {
    fn version(&self) -> u64 {
        self.version
    }

    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, LedgerError> {
        let held = self.held();
        if let Some(value) = held.overlay.families[family as usize].get(key) {
            return Ok(value.clone());
        }
        get(&self.core, held.txn.as_ref().ok_or_else(|| self.core.unmapped())?, family, key)
    }

    fn page(
        &self,
        family: Family,
        start: Bound<&[u8]>,
        until: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Entry>, LedgerError> {
        let held = self.held();
        let txn = held.txn.as_ref().ok_or_else(|| self.core.unmapped())?;
        let failed = |error| fault("read", &self.core.path, error);
        let range = (start, until.map_or(Bound::Unbounded, Bound::Excluded));
        let mut base = self.core.tables[family as usize].range(txn, &range).map_err(failed)?;
        let above = held.overlay.families[family as usize].from(start);
        let mut above = above.take_while(|(key, _)| until.is_none_or(|until| key.as_ref() < until)).peekable();
        let mut page = Vec::new();
        let mut below = base.next().transpose().map_err(failed)?;
        while page.len() < limit {
            // The smaller key is next; of two equal ones the upper counts.
            match (above.peek().copied(), below) {
                (None, None) => break,
                (Some((upper, value)), lower) if lower.is_none_or(|(lower, _)| upper.as_ref() <= lower) => {
                    if lower.is_some_and(|(lower, _)| upper.as_ref() == lower) {
                        below = base.next().transpose().map_err(failed)?;
                    }
                    page.extend(value.clone().map(|value| (upper.clone(), value)));
                    above.next();
                }
                (_, Some((key, value))) => {
                    page.push((Bytes::copy_from_slice(key), Bytes::copy_from_slice(value)));
                    below = base.next().transpose().map_err(failed)?;
                }
                (Some(_), None) => unreachable!("the case above takes it"),
            }
        }
        Ok(page)
    }
}

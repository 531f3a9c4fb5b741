//! The store without a disk: a sorted map per family. It is what LMDB's answers are compared with.

use std::{
    ops::Bound,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use rayon::prelude::*;
use state::LedgerError;
use types::Bytes;

use crate::{
    Batch, Family, Kv, Snapshot, Stat,
    kv::{Change, Entry, FamilyStat},
    sorted::Sorted,
};

/// Ordered families in memory. Snapshots share what later writes leave alone.
#[derive(Default)]
pub struct Memory {
    newest: RwLock<Arc<Moment>>,
    /// One write after the other; who reads waits for none of them.
    writer: Mutex<()>,
}

#[derive(Clone, Default)]
struct Moment {
    version: u64,
    families: [Sorted<Bytes>; Family::ALL.len()],
}

impl Memory {
    fn newest(&self) -> Arc<Moment> {
        self.newest.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Kv for Memory {
    fn snapshot(&self) -> Result<Arc<dyn Snapshot>, LedgerError> {
        Ok(self.newest())
    }

    fn write(&self, batch: Batch) -> Result<(), LedgerError> {
        let _turn = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut moment = Moment::clone(&self.newest());
        moment.version += 1;
        let is_long = batch.is_long();
        let changes = batch.into_sorted_families();
        let apply = |(family, changes): (&mut Sorted<Bytes>, Vec<Change>)| {
            family.apply(changes.into_iter().map(|change| (change.key, change.value)));
        };
        if is_long {
            moment.families.par_iter_mut().zip(changes.into_par_iter()).for_each(apply);
        } else {
            moment.families.iter_mut().zip(changes).for_each(apply);
        }
        *self.newest.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(moment);
        Ok(())
    }

    fn sync(&self) -> Result<(), LedgerError> {
        Ok(())
    }

    fn stat(&self) -> Result<Stat, LedgerError> {
        let moment = self.newest();
        let families = Family::ALL.into_iter().map(|family| {
            let held = &moment.families[family as usize];
            let bytes = held.from(Bound::Unbounded).map(|(key, value)| (key.len() + value.len()) as u64).sum();
            (family, FamilyStat { entries: held.len() as u64, bytes })
        });
        Ok(Stat { families: families.collect(), ..Stat::default() })
    }
}

impl Snapshot for Moment {
    fn version(&self) -> u64 {
        self.version
    }

    fn get(&self, family: Family, key: &[u8]) -> Result<Option<Bytes>, LedgerError> {
        Ok(self.families[family as usize].get(key).cloned())
    }

    fn page(
        &self,
        family: Family,
        start: Bound<&[u8]>,
        until: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Entry>, LedgerError> {
        let entries = self.families[family as usize].from(start);
        let entries = entries.take_while(|(key, _)| until.is_none_or(|until| key.as_ref() < until)).take(limit);
        Ok(entries.map(|(key, value)| (key.clone(), value.clone())).collect())
    }
}

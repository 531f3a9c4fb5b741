//! The schema version: written into an empty store, checked in every other.
//!
//! A step from version n to n + 1 will be a row of [`STEPS`]; there is none yet, version 1 being the first.

use std::path::Path;

use state::LedgerError;

use crate::{
    Batch, Family, Kv, SCHEMA,
    encoding::{Input, decode},
};

/// Where the version stands.
pub(crate) const KEY: &[u8] = b"schema";

/// Rewrites a store of one version as the next.
type Step = fn(&dyn Kv) -> Result<(), LedgerError>;

/// From which version, and how.
const STEPS: &[(u32, Step)] = &[];

/// Brings an empty or older store to [`SCHEMA`], and refuses one that it cannot read.
pub(crate) fn prepare(kv: &dyn Kv, path: &Path, read_only: bool) -> Result<(), LedgerError> {
    let refuse =
        |found, advice| Err(LedgerError::Schema { path: path.display().to_string(), found, expected: SCHEMA, advice });
    loop {
        let Some(found) = kv.snapshot()?.get(Family::Metadata, KEY)? else {
            if read_only {
                return refuse(0, "no store was begun here yet; open it for writing first");
            }
            return write(kv, SCHEMA);
        };
        let found = decode(&found, Input::u32).map_err(|error| error.at(Family::Metadata, KEY))?;
        if found == SCHEMA {
            return Ok(());
        }
        if found > SCHEMA {
            return refuse(found, "use the newer version of execlayer that wrote it");
        }
        let Some((_, step)) = STEPS.iter().find(|(from, _)| *from == found) else {
            return refuse(
                found,
                "export the blocks with the version that wrote it, and import them into a new folder",
            );
        };
        if read_only {
            return refuse(found, "open it for writing once, which brings it up to date");
        }
        step(kv)?;
        write(kv, found + 1)?;
    }
}

fn write(kv: &dyn Kv, version: u32) -> Result<(), LedgerError> {
    let mut batch = Batch::default();
    batch.put(Family::Metadata, KEY.to_vec(), version.to_be_bytes().to_vec());
    kv.write(batch)
}

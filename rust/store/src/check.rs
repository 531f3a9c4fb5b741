//! Reads a whole store and says what is wrong with it.

use state::LedgerError;
use types::{Address, B256, BlockId, keccak256};

use crate::{
    Family, SCHEMA, Snapshot,
    accounts::{decode_account, decode_node_key, decode_reverse, decode_slot, slot_of},
    blocks::{
        decode_body, decode_hash, decode_header, decode_id, decode_lattice, decode_notification,
        decode_notification_key, decode_place, decode_places, decode_receipts,
    },
    encoding::{DecodeError, Input, decode},
    migrate,
    reader::{self, HEAD},
};

/// More faults than this tell nothing new.
const FAULTS_MAX: usize = 100;

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Check {
    /// Rows read.
    pub rows: u64,
    /// What is wrong, at most a hundred of it. Empty: all is well.
    pub faults: Vec<LedgerError>,
}

/// Reads every row of every family, and whether the rows that name blocks agree.
///
/// # Errors
/// Only where reading itself fails; what is wrong with what was read stands in the answer.
pub(crate) fn check(snapshot: &dyn Snapshot) -> Result<Check, LedgerError> {
    let mut check = Check::default();
    for family in Family::ALL {
        for entry in snapshot.entries(family) {
            let (key, value) = entry?;
            check.rows += 1;
            check.note(row(family, &key, &value).map_err(|error| error.at(family, &key)));
        }
    }
    let head = reader::head(snapshot);
    if let Ok(Some(head)) = &head {
        check.note(at_head(snapshot, head));
    }
    check.note(head);
    Ok(check)
}

impl Check {
    fn note<T>(&mut self, outcome: Result<T, LedgerError>) {
        if let Err(fault) = outcome
            && self.faults.len() < FAULTS_MAX
        {
            self.faults.push(fault);
        }
    }
}

/// The head is a canonical block, where the chain keeps blocks at all.
fn at_head(snapshot: &dyn Snapshot, head: &BlockId) -> Result<(), LedgerError> {
    match reader::canonical(snapshot, head.number)? {
        Some(hash) if hash != head.hash => Err(LedgerError::Damaged(format!(
            "the head is block {} {}, but {hash} is canonical there",
            head.number, head.hash
        ))),
        _ => Ok(()),
    }
}

fn row(family: Family, key: &[u8], value: &[u8]) -> Result<(), DecodeError> {
    let named_by = |hash: B256| if key == hash.as_slice() { Ok(()) } else { Err(DecodeError::WrongName { is: hash }) };
    match family {
        Family::Headers => named_by(decode_header(value)?.header.hash_slow()),
        Family::Bodies => decode_hash(key).and(decode_body(value).map(drop)),
        Family::Receipts => decode_hash(key).and(decode_receipts(value).map(drop)),
        Family::Canonical => decode(key, |input| input.u64()).and(decode_hash(value).map(drop)),
        Family::Transactions => decode_hash(key).and(decode_place(value).map(drop)),
        Family::Logs => decode(key, log_name).and(decode_places(value).map(drop)),
        Family::Accounts => decode(key, |input| input.address()).and(decode_account(value).map(drop)),
        Family::Storage => slot_of(key).and(decode_slot(value).map(drop)),
        Family::Code => named_by(keccak256(value)),
        Family::Nodes => decode_node_key(key).map(drop),
        Family::Reverse => decode_hash(key).and(decode_reverse(value).map(drop)),
        Family::Lattices => decode_hash(key).and(decode_lattice(value).map(drop)),
        Family::Notifications => {
            decode_notification_key(key).and_then(|(number, _)| decode_notification(number, value)).map(drop)
        }
        // Nobody but their owner reads these.
        Family::Artifacts => Ok(()),
        Family::Metadata => match key {
            HEAD => decode_id(value).map(drop),
            migrate::KEY => match decode(value, |input| input.u32())? {
                SCHEMA => Ok(()),
                other => Err(DecodeError::Case { field: "schema version", value: other.into() }),
            },
            _ => Ok(()),
        },
    }
}

fn log_name(input: &mut Input<'_>) -> Result<(), DecodeError> {
    let length = match input.byte()? {
        0 => size_of::<Address>(),
        1..=4 => size_of::<B256>(),
        value => return Err(DecodeError::Case { field: "kind of a log's name", value: value.into() }),
    };
    input.take(length)?;
    input.u64().map(drop)
}

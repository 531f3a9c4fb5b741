//! The parallel answer held against the sequential one, and the first place where they differ, if they ever do.

use std::fmt::Debug;

use state::{AccountDiff, StateDiff};
use types::{Address, Receipt, U256};

use super::HotPlace;
use crate::{BlockOutcome, ExecError, Mode, block::Block};

/// Where the parallel answer is not the sequential one: a bug.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}{} is {parallel} in parallel, {sequential} in sequence", of(*.transaction))]
pub struct Difference {
    /// Whose doing it is; None for what belongs to no transaction.
    pub transaction: Option<usize>,
    /// What differs: of a receipt, of the block, or `balance of 0x…`.
    pub field: String,
    /// What several workers gave.
    pub parallel: String,
    /// What one gave.
    pub sequential: String,
}

fn of(transaction: Option<usize>) -> String {
    transaction.map_or_else(String::new, |index| format!(" of transaction {index}"))
}

impl Block<'_> {
    /// Executes the block in sequence and compares.
    pub(super) fn verify(&self, parallel: &BlockOutcome) -> Result<(), ExecError> {
        let sequential = self.execute().map_err(|error| match error {
            // Nothing to compare with.
            error @ (ExecError::View(_) | ExecError::Custom(_)) => error,
            ExecError::Rejected { index, rejection } => {
                difference(Some(index), "verdict", &"accepted", &format_args!("refused: {rejection}"))
            }
            error => difference(None, "verdict", &"accepted", &format_args!("refused: {error}")),
        })?;
        let receipts = parallel.receipts.iter().zip(&sequential.receipts).enumerate();
        for (index, (parallel, sequential)) in receipts {
            receipt(index, parallel, sequential)?;
        }
        same(None, "receipts", &parallel.receipts.len(), &sequential.receipts.len())?;
        same(None, "gas used", &parallel.gas_used, &sequential.gas_used)?;
        same(None, "blob gas used", &parallel.blob_gas_used, &sequential.blob_gas_used)?;
        same(None, "burned wei", &parallel.burned, &sequential.burned)?;
        same(None, "fees", &parallel.fees, &sequential.fees)?;
        same(None, "requests", &parallel.requests, &sequential.requests)?;
        let Some(Change { place, field, parallel, sequential }) = first_change(&parallel.diff, &sequential.diff) else {
            return Ok(());
        };
        // Only now is it worth to know who did what.
        let diffs = Block { mode: Mode { diffs: true, ..self.mode }, ..*self }.execute()?.diffs;
        let wrote = |diff: &StateDiff| {
            place.is_some_and(|HotPlace { address, slot }| {
                diff.account(&address).is_some_and(|change| match slot {
                    Some(key) => change.slots.iter().any(|slot| slot.key == key),
                    None => change.before != change.after,
                })
            })
        };
        let transaction = diffs.iter().rposition(wrote);
        Err(ExecError::Diverged(Box::new(Difference { transaction, field, parallel, sequential })))
    }
}

fn receipt(index: usize, parallel: &Receipt, sequential: &Receipt) -> Result<(), ExecError> {
    same(Some(index), "outcome", &parallel.outcome, &sequential.outcome)?;
    same(Some(index), "cumulative gas", &parallel.cumulative_gas_used, &sequential.cumulative_gas_used)?;
    same(Some(index), "logs", &parallel.logs, &sequential.logs)?;
    same(Some(index), "kind", &parallel.kind, &sequential.kind)
}

fn same<T: Debug + PartialEq>(
    transaction: Option<usize>,
    field: &str,
    parallel: &T,
    sequential: &T,
) -> Result<(), ExecError> {
    if parallel == sequential { Ok(()) } else { Err(difference(transaction, field, parallel, sequential)) }
}

fn difference(transaction: Option<usize>, field: &str, parallel: &dyn Debug, sequential: &dyn Debug) -> ExecError {
    ExecError::Diverged(Box::new(Difference {
        transaction,
        field: field.to_owned(),
        parallel: format!("{parallel:?}"),
        sequential: format!("{sequential:?}"),
    }))
}

/// Something that ended otherwise.
struct Change {
    /// Where; None for the set of new codes.
    place: Option<HotPlace>,
    field: String,
    parallel: String,
    sequential: String,
}

/// The first account or slot that ended otherwise.
fn first_change(parallel: &StateDiff, sequential: &StateDiff) -> Option<Change> {
    let mut addresses: Vec<Address> =
        parallel.accounts.iter().chain(&sequential.accounts).map(|(address, _)| *address).collect();
    addresses.sort_unstable();
    addresses.dedup();
    let nothing = AccountDiff::default();
    let accounts = addresses.into_iter().filter_map(|address| {
        let [ours, theirs] = [parallel, sequential].map(|diff| diff.account(&address).unwrap_or(&nothing));
        account_change(address, ours, theirs)
    });
    accounts.chain(code_change(parallel, sequential)).next()
}

fn account_change(address: Address, ours: &AccountDiff, theirs: &AccountDiff) -> Option<Change> {
    let change = |slot, field: String, [parallel, sequential]: [String; 2]| {
        Some(Change { place: Some(HotPlace { address, slot }), field, parallel, sequential })
    };
    if ours.after != theirs.after {
        let [one, two] = [ours, theirs].map(|diff| diff.after.unwrap_or_default());
        return match () {
            () if one.nonce != two.nonce => {
                change(None, format!("nonce of {address}"), [one, two].map(|held| held.nonce.to_string()))
            }
            () if one.balance != two.balance => {
                change(None, format!("balance of {address}"), [one, two].map(|held| held.balance.to_string()))
            }
            () if one.code_hash != two.code_hash => {
                change(None, format!("code of {address}"), [one, two].map(|held| held.code_hash.to_string()))
            }
            () => change(
                None,
                format!("existence of {address}"),
                [ours, theirs].map(|diff| diff.after.is_some().to_string()),
            ),
        };
    }
    let mut keys: Vec<U256> = ours.slots.iter().chain(&theirs.slots).map(|slot| slot.key).collect();
    keys.sort_unstable();
    let key = keys.into_iter().find(|key| held(ours, *key) != held(theirs, *key))?;
    change(Some(key), format!("slot {key:#x} of {address}"), [ours, theirs].map(|diff| held(diff, key)))
}

/// What a slot holds afterwards.
fn held(diff: &AccountDiff, key: U256) -> String {
    let slot = diff.slots.iter().find(|slot| slot.key == key);
    slot.map_or_else(|| "unchanged".to_owned(), |slot| format!("{:#x}", slot.after))
}

fn code_change(parallel: &StateDiff, sequential: &StateDiff) -> Option<Change> {
    let hashes = |diff: &StateDiff| format!("{:?}", diff.codes.iter().map(|(hash, _)| hash).collect::<Vec<_>>());
    (parallel.codes != sequential.codes).then(|| Change {
        place: None,
        field: "new codes".to_owned(),
        parallel: hashes(parallel),
        sequential: hashes(sequential),
    })
}

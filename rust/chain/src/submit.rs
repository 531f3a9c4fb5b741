//! Transactions on their way into the pool, many at a time.

use std::sync::Arc;

use evm::{Rejection, validate};
use pool::Pool;
use state::{Stop, Stopped};
use types::{B256, Bytes, Recovered, Transaction};

use crate::{Chain, ChainError, Head, SubmitError, execute, reorg::Path, senders::senders_of};

/// A transaction in one of the forms in which people have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Submission {
    /// EIP-2718 bytes.
    Raw(Bytes),
    /// Decoded.
    Signed(Transaction),
    /// With a sender that the caller vouches for.
    Recovered(Recovered),
}

impl From<Bytes> for Submission {
    fn from(bytes: Bytes) -> Self {
        Self::Raw(bytes)
    }
}

impl From<Transaction> for Submission {
    fn from(transaction: Transaction) -> Self {
        Self::Signed(transaction)
    }
}

impl From<Recovered> for Submission {
    fn from(recovered: Recovered) -> Self {
        Self::Recovered(recovered)
    }
}

impl Chain {
    /// Takes transactions into the pool. Each is answered for itself, in order: its hash, or why it was not taken.
    ///
    /// Work that was asked to stop takes no more of them: what is left is answered with `Stopped`.
    pub fn submit(&self, batch: Vec<Submission>) -> Vec<Result<B256, SubmitError>> {
        let (stop, length) = (Stop::current(), batch.len());
        let recovered = recover(batch).unwrap_or_else(|stopped| vec![Err(stopped.into()); length]);
        // What settles the pool after the head has moved waits for this lock, so no transaction is admitted by a
        // state that the pool has already left behind.
        let mut pool = self.lock_pool();
        let head = self.head();
        let pool = Arc::make_mut(&mut pool);
        let admit = |recovered: Result<_, SubmitError>| {
            stop.check()?;
            self.admit(pool, &head, recovered?)
        };
        recovered.into_iter().map(admit).collect()
    }

    fn admit(&self, pool: &mut Pool, head: &Head, recovered: Recovered) -> Result<B256, SubmitError> {
        let Recovered { transaction, sender } = &recovered;
        // As of the earliest block in which it can stand; at which base fee is left open, since fees change.
        let timestamp = head.header.timestamp + 1;
        let rules = self.spec().rules_merged(head.id.number + 1, timestamp, Some(head.total_difficulty));
        let mut environment = execute::environment(&head.header, &[]);
        environment.number += 1;
        environment.timestamp = timestamp;
        environment.base_fee = None;
        environment.excess_blob_gas = None;
        validate::form(&rules, &environment, transaction)?;

        let account = head.state.account(sender)?.unwrap_or_default();
        let code = if account.has_code() { head.state.code(&account.code_hash)? } else { Bytes::new() };
        match validate::sender(transaction, *sender, &account, &code) {
            // A gap may be filled later.
            Err(Rejection::InvalidNonce { expected, actual }) if actual > expected => {}
            other => other?,
        }
        Ok(pool.admit(recovered, &account)?.hash)
    }

    /// Brings the pool in line with a head that has moved: what was included leaves, what was undone comes back.
    pub(crate) fn settle_pool(&self, before: &Head, after: &Head, path: &Path) {
        let mut pool = self.lock_pool();
        if pool.is_empty() && path.down.is_empty() {
            return;
        }
        let pool = Arc::make_mut(&mut pool);
        // A pool is an offer, not a promise: where the state cannot be read, the transaction is refused by the next
        // block instead of here.
        let nonce = |sender: &_| after.state.account(sender).map(|account| account.unwrap_or_default().nonce);
        for id in &path.down {
            let Ok(Some(block)) = self.ledger().block(&id.hash) else { continue };
            for (transaction, sender) in block.body.transactions.iter().zip(&block.senders) {
                pool.settle(sender, nonce(sender).unwrap_or_default());
                let _ = self.admit(pool, after, Recovered::new(transaction.clone(), *sender));
            }
        }
        debug_assert_ne!(before.id, after.id);
        for sender in pool.senders() {
            if let Ok(nonce) = nonce(&sender) {
                pool.settle(&sender, nonce);
            }
        }
    }

    /// Takes a transaction out of the pool; false where it is not there.
    pub fn drop_transaction(&self, hash: &B256) -> bool {
        Arc::make_mut(&mut self.lock_pool()).remove(hash).is_some()
    }

    /// Empties the pool.
    pub fn clear_pool(&self) {
        Arc::make_mut(&mut self.lock_pool()).clear();
    }

    /// The nonce of the sender's next transaction, those in the pool counted.
    ///
    /// # Errors
    /// Where the state cannot be read.
    pub fn next_nonce(&self, sender: &types::Address) -> Result<u64, ChainError> {
        let account = self.head().state.account(sender)?.unwrap_or_default();
        Ok(self.lock_pool().next_nonce(sender).unwrap_or(account.nonce))
    }
}

/// Decodes what is bytes, and finds the senders of all that have none, together.
///
/// # Errors
/// [`Stopped`], where the work was asked to stop.
pub fn recover(batch: Vec<Submission>) -> Result<Vec<Result<Recovered, SubmitError>>, Stopped> {
    let decoded: Vec<Result<Submission, SubmitError>> = batch
        .into_iter()
        .map(|submission| match submission {
            Submission::Raw(bytes) => Ok(Submission::Signed(Transaction::from_bytes(&bytes)?)),
            other => Ok(other),
        })
        .collect();
    let unknown: Vec<_> = decoded
        .iter()
        .filter_map(|submission| match submission {
            Ok(Submission::Signed(transaction)) => Some(transaction),
            _ => None,
        })
        .collect();
    let mut unknown = senders_of(&unknown)?.into_iter();
    let recovered = decoded
        .into_iter()
        .map(|submission| match submission? {
            Submission::Recovered(recovered) => Ok(recovered),
            Submission::Signed(transaction) => {
                let sender = unknown.next().expect("one answer for each question")?;
                Ok(Recovered::new(transaction, sender))
            }
            Submission::Raw(_) => unreachable!("bytes were decoded"),
        })
        .collect();
    Ok(recovered)
}

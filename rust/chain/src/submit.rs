//! Transactions on their way into the pool, many at a time.
//!
//! What one transaction can be checked for alone (signature, form, account, class) is done for the whole batch on all
//! cores, before the pool is locked.

use std::{path::Path as FilePath, sync::Arc};

use evm::{BlockEnv, Rejection, spec::Rules, validate};
use pool::{
    DropReason, Inclusion, NewHead, Pool, Pooled,
    journal::{Contents, Journal, JournalError, Kept},
};
use rayon::prelude::*;
use state::{Stop, Stopped, StoredBlock};
use types::{Account, Address, B256, Bytes, Recovered, Transaction};

use crate::{
    Chain, ChainError, Head, PoolGuard, PoolSubscription, SubmitError, execute, reorg::Path, senders::senders_of,
};

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

/// Batches below this are prepared where they are: waking others takes longer.
const PARALLEL_MIN: usize = 64;

/// Blocks whose tips are recalled when a chain is opened, and transactions in them: reading more would be noticed.
const TIPS_BLOCKS: usize = 100;
const TIPS_TRANSACTIONS_MAX: usize = 200_000;

/// Ready for admission.
type Prepared = Result<(Pooled, Account), SubmitError>;

/// The block in which a transaction could stand at the earliest, with whatever depends on fees left open: they change.
struct Earliest<'a> {
    head: &'a Head,
    rules: Rules,
    environment: BlockEnv,
}

impl Earliest<'_> {
    fn prepare(&self, pool: &pool::Settings, one: &Recovered, private: bool, since_ms: u64) -> Prepared {
        let Recovered { transaction, sender } = one;
        validate::form(&self.rules, &self.environment, transaction)?;
        let state = &self.head.state;
        let account = state.account(sender)?.unwrap_or_default();
        let code = if account.has_code() { state.code(&account.code_hash)? } else { Bytes::new() };
        match validate::sender(transaction, *sender, &account, &code) {
            // A gap may be filled later.
            Err(Rejection::InvalidNonce { expected, actual }) if actual > expected => {}
            other => other?,
        }
        let class = pool.class(one, || match transaction.to().to() {
            Some(to) => Ok::<_, SubmitError>(state.account(to)?.is_some_and(|account| account.has_code())),
            None => Ok(false),
        })?;
        Ok((Pooled::new(one.clone(), class, private, since_ms), account))
    }
}

impl Chain {
    /// Takes transactions into the pool. Each is answered for itself, in order: its hash, or why it was not taken.
    ///
    /// Work that was asked to stop takes no more of them: what is left is answered with `Stopped`.
    pub fn submit(&self, batch: Vec<Submission>) -> Vec<Result<B256, SubmitError>> {
        self.take(batch, false)
    }

    /// As [`submit`](Self::submit), of transactions that are shown to nobody: they go from here into a block.
    pub fn submit_private(&self, batch: Vec<Submission>) -> Vec<Result<B256, SubmitError>> {
        self.take(batch, true)
    }

    fn take(&self, batch: Vec<Submission>, private: bool) -> Vec<Result<B256, SubmitError>> {
        let now_ms = (self.options().clock)();
        let (stop, length) = (Stop::current(), batch.len());
        let recovered = self.on_workers(|| stop.within(|| recover(batch)));
        let batch = recovered.unwrap_or_else(|stopped| vec![Err(stopped.into()); length]);
        self.admit(&batch, |_| (private, now_ms))
    }

    /// Prepares and admits a batch; of each one it is asked whether it is private and since when it waits.
    fn admit(
        &self,
        batch: &[Result<Recovered, SubmitError>],
        origin: impl Fn(usize) -> (bool, u64) + Sync,
    ) -> Vec<Result<B256, SubmitError>> {
        let settings = Arc::clone(self.pool().settings());
        loop {
            let head = self.head();
            let stop = Stop::current();
            let prepared = self.on_workers(|| stop.within(|| self.prepare(&head, &settings, batch, &origin)));
            // What settles the pool after the head has moved waits for the lock, so no transaction is admitted by a
            // state that the pool has already left behind.
            let answers = self.waiting().change(
                |pool| (self.head().id == head.id).then(|| admit_prepared(pool, prepared)),
                |pool, answers, error| answers.map(|answers| take_back(pool, answers, &error)),
            );
            if let Some(answers) = answers {
                return answers;
            }
        }
    }

    fn prepare(
        &self,
        head: &Head,
        settings: &pool::Settings,
        batch: &[Result<Recovered, SubmitError>],
        origin: &(impl Fn(usize) -> (bool, u64) + Sync),
    ) -> Vec<Prepared> {
        let timestamp = head.header.timestamp.saturating_add(1);
        let rules = self.spec().rules_merged(head.id.number + 1, timestamp, Some(head.total_difficulty));
        let mut environment = execute::environment(&head.header, &[]);
        environment.number += 1;
        environment.timestamp = timestamp;
        environment.base_fee = None;
        environment.excess_blob_gas = None;
        let earliest = Earliest { head, rules, environment };
        let stop = Stop::current();
        let prepare = |(index, one): (usize, &Result<Recovered, SubmitError>)| {
            stop.check()?;
            let (private, since_ms) = origin(index);
            earliest.prepare(settings, one.as_ref().map_err(Clone::clone)?, private, since_ms)
        };
        if batch.len() < PARALLEL_MIN {
            batch.iter().enumerate().map(prepare).collect()
        } else {
            batch.par_iter().enumerate().map(prepare).collect()
        }
    }

    /// Brings the pool in line with a head that has moved: what was included leaves, what was undone comes back.
    /// `touched` are the accounts that are different now, `new` a block that is not read back from the ledger.
    pub(crate) fn settle_pool(
        &self,
        after: &Head,
        path: &Path,
        new: Option<&StoredBlock>,
        touched: Vec<(Address, Account)>,
    ) {
        let mut included = Vec::new();
        let mut undone = Vec::new();
        if !(self.pool().is_empty() && path.down.is_empty()) {
            // A pool is an offer, not a promise: what can't be read is refused by the next block instead of here.
            let read = |id: &types::BlockId| self.ledger().block(&id.hash).ok().flatten();
            path.up.iter().filter_map(read).for_each(|block| inclusions(&block, &mut included));
            new.into_iter().for_each(|block| inclusions(block, &mut included));
            // The oldest first: what was in the chain first arrives first.
            for block in path.down.iter().rev().filter_map(read) {
                let pairs = block.body.transactions.iter().zip(&block.senders);
                undone.extend(pairs.map(|(transaction, sender)| Ok(Recovered::new(transaction.clone(), *sender))));
            }
        }
        let head = NewHead {
            height: after.id.number,
            timestamp: after.header.timestamp,
            gas_limit: after.header.gas_limit,
            base_fee: self.next_base_fee().unwrap_or_default(),
        };
        self.waiting().change_freely(|pool| pool.advance(head, &included, touched.into_iter()));
        if !undone.is_empty() {
            let now_ms = (self.options().clock)();
            // The head has moved for good: what follows from that is done, whoever has stopped waiting for it.
            Stop::default().within(|| self.admit(&undone, |_| (false, now_ms)));
        }
    }

    /// Tells the pool what the last blocks paid: the median of that is what tips are measured by, and a chain that was
    /// closed must not forget it.
    pub(crate) fn recall_tips(&self) -> Result<(), ChainError> {
        let mut blocks = Vec::new();
        let (mut next, mut transactions) = (Some(Arc::clone(&self.head().block)), 0);
        while let Some(block) = next.take() {
            transactions += block.receipts.len();
            if block.id.number == 0 || blocks.len() == TIPS_BLOCKS || transactions > TIPS_TRANSACTIONS_MAX {
                break;
            }
            // A restored chain has none of the blocks below its first.
            next = self.ledger().block(&block.header.parent_hash)?;
            let mut included = Vec::with_capacity(block.receipts.len());
            inclusions(&block, &mut included);
            blocks.push(included);
        }
        self.waiting().change_freely(|pool| {
            for included in blocks.into_iter().rev() {
                pool.recall_tips(included.iter().map(|inclusion| inclusion.tip));
            }
        });
        Ok(())
    }

    /// Keeps a journal of the pool in this file, and takes back what the file says was waiting and was known of senders;
    /// returns how many transactions were taken. Those that can't be any more are left.
    ///
    /// # Errors
    /// [`JournalError`]; the chain goes on without a journal then.
    pub fn open_journal(&self, path: &FilePath) -> Result<usize, JournalError> {
        let (journal, Contents { waiting: kept, histories }) = Journal::open(path, self.genesis_id().hash)?;
        self.waiting().change_freely(|pool| {
            histories.into_iter().for_each(|(sender, history)| pool.recall(sender, history));
        });
        let raw = kept.iter().map(|kept| Submission::Raw(kept.raw.clone())).collect();
        let batch = self.on_workers(|| Stop::default().within(|| recover(raw))).expect("nobody asks it to stop");
        let origin = |index: usize| {
            let Kept { private, since_ms, .. } = &kept[index];
            (*private, *since_ms)
        };
        let taken = self.admit(&batch, origin).iter().filter(|answer| answer.is_ok()).count();
        self.waiting().attach(journal)?;
        Ok(taken)
    }

    /// What waits, as it is now. See [`PoolGuard`].
    pub fn pool(&self) -> PoolGuard<'_> {
        self.waiting().read()
    }

    /// Follows the pool from here on.
    pub fn subscribe_pool(self: &Arc<Self>) -> PoolSubscription {
        PoolSubscription::new(Arc::clone(self))
    }

    /// Takes a transaction out of the pool; false where it is not there.
    pub fn drop_transaction(&self, hash: &B256) -> bool {
        self.waiting().change_freely(|pool| pool.remove(hash, DropReason::Asked).is_some())
    }

    /// Empties the pool.
    pub fn clear_pool(&self) {
        self.waiting().change_freely(Pool::clear);
    }

    /// The nonce of the sender's next transaction, those in the pool counted.
    ///
    /// # Errors
    /// Where the state cannot be read.
    pub fn next_nonce(&self, sender: &Address) -> Result<u64, ChainError> {
        let account = self.head().state.account(sender)?.unwrap_or_default();
        Ok(self.pool().next_nonce(sender).unwrap_or(account.nonce))
    }
}

fn admit_prepared(pool: &mut Pool, prepared: Vec<Prepared>) -> Vec<Result<B256, SubmitError>> {
    prepared
        .into_iter()
        .map(|prepared| {
            let (pooled, account) = prepared?;
            Ok(pool.admit(pooled, &account)?.hash)
        })
        .collect()
}

/// What can't be kept is not acknowledged.
fn take_back(
    pool: &mut Pool,
    answers: Vec<Result<B256, SubmitError>>,
    error: &JournalError,
) -> Vec<Result<B256, SubmitError>> {
    answers
        .into_iter()
        .map(|answer| {
            pool.remove(&answer?, DropReason::Asked);
            Err(SubmitError::Journal(error.clone()))
        })
        .collect()
}

fn inclusions(block: &StoredBlock, included: &mut Vec<Inclusion>) {
    let base_fee = block.header.base_fee_per_gas;
    let mut before = 0;
    for (transaction, receipt) in block.body.transactions.iter().zip(&block.receipts) {
        included.push(Inclusion {
            hash: transaction.hash(),
            tip: transaction.effective_gas_price(base_fee).saturating_sub(base_fee.unwrap_or_default().into()),
            gas_used: receipt.cumulative_gas_used - before,
            success: receipt.outcome.is_success(),
        });
        before = receipt.cumulative_gas_used;
    }
}

/// Decodes what is bytes, and finds the senders of all that have none, together.
///
/// # Errors
/// [`Stopped`], where the work was asked to stop.
pub fn recover(batch: Vec<Submission>) -> Result<Vec<Result<Recovered, SubmitError>>, Stopped> {
    let decode = |submission| match submission {
        Submission::Raw(bytes) => Ok(Submission::Signed(Transaction::from_bytes(&bytes)?)),
        other => Ok(other),
    };
    let decoded: Vec<Result<Submission, SubmitError>> = if batch.len() < PARALLEL_MIN {
        batch.into_iter().map(decode).collect()
    } else {
        batch.into_par_iter().map(decode).collect()
    };
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

#[cfg(test)]
mod tests {
    use types::{TxKind, U256, tx::TxEip1559};

    use super::*;
    use crate::{Genesis, Options, dev_key};

    #[test]
    fn what_the_journal_cannot_keep_is_not_acknowledged() {
        let chain = Chain::open(Arc::new(store::Store::memory()), Genesis::dev([]), Options::default()).unwrap();
        let unsigned = TxEip1559 {
            chain_id: 31_337,
            gas_limit: 21_000,
            max_fee_per_gas: 10_000_000_000,
            to: TxKind::Call(Address::repeat_byte(1)),
            value: U256::ONE,
            ..TxEip1559::default()
        };
        let answers = chain.submit(vec![Transaction::sign(unsigned, &dev_key(0)).into(), Bytes::new().into()]);
        let refused = answers[1].clone();
        let error = JournalError { path: "p".into(), action: "write", reason: "no space left".into() };
        let expected = Err(SubmitError::Journal(error.clone()));
        let answers = chain.waiting().change_freely(|pool| take_back(pool, answers, &error));
        assert_eq!(answers, [expected, refused]);
        assert!(chain.pool().is_empty());
    }
}

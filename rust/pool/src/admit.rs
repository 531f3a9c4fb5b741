//! Letting a transaction in: duplicates, replacement, limits, eviction.

use std::sync::Arc;

use types::{Account, Address, B256, Recovered, U256};

use crate::{Pool, Pooled, Queue, Worth};

/// Why the pool does not take a transaction. Numbers are the transaction's and the limit's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// It is here already.
    #[error("already known: {0}")]
    AlreadyKnown(B256),
    /// The nonce was used by a transaction that is in a block.
    #[error("nonce too low: next nonce {expected}, transaction nonce {actual}")]
    NonceTooLow {
        /// The account's nonce.
        expected: u64,
        /// The transaction's.
        actual: u64,
    },
    /// Same sender and nonce as one that waits, without paying enough more.
    #[error("replacement transaction underpriced: pays {actual} wei per gas, at least {required} is needed")]
    ReplacementUnderpriced {
        /// The fee (cap or tip) that had to be offered.
        required: u128,
        /// The one that was.
        actual: u128,
    },
    /// The sender could not pay for all that it has waiting.
    #[error(
        "insufficient funds for gas * price + value: balance {available}, all waiting transactions cost {required}"
    )]
    InsufficientFunds {
        /// Most that this and the sender's earlier transactions can cost together.
        required: U256,
        /// The balance.
        available: U256,
    },
    /// Too long.
    #[error("oversized data: transaction size {actual}, limit {limit}")]
    Oversized {
        /// Its bytes.
        actual: usize,
        /// Most that are allowed.
        limit: usize,
    },
    /// The sender has as many waiting as one may have.
    #[error("account limit exceeded: {sender} has {limit} transactions waiting")]
    SenderFull {
        /// Whose.
        sender: Address,
        /// Most that one sender may have.
        limit: usize,
    },
    /// The pool is full of transactions that pay at least as much.
    #[error("txpool is full: a tip of {tip} wei per gas is not above the lowest of the {transactions} waiting")]
    Full {
        /// The transaction's.
        tip: u128,
        /// How many wait.
        transactions: usize,
    },
}

/// What admission did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// The transaction's name.
    pub hash: B256,
    /// Whether it can be selected now; otherwise it stands behind a gap.
    pub pending: bool,
    /// The one whose nonce it took over.
    pub replaced: Option<B256>,
    /// Those that had to leave a full pool for it.
    pub evicted: Vec<B256>,
}

impl Pool {
    /// Takes a transaction of a sender whose account is `account` at the head.
    ///
    /// # Errors
    /// See [`PoolError`]; the pool is then as it was.
    pub fn admit(&mut self, transaction: Recovered, account: &Account) -> Result<Admitted, PoolError> {
        let hash = transaction.transaction.hash();
        if self.hashes.contains_key(&hash) {
            return Err(PoolError::AlreadyKnown(hash));
        }
        let size_bytes = transaction.transaction.to_bytes().len();
        let pooled = Pooled { hash, size_bytes, arrival: self.arrivals, transaction };
        let replaced = self.check(&pooled, account)?;
        let evicted = self.make_room(&pooled, replaced.as_deref())?;

        // From here on nothing fails.
        for hash in &evicted {
            self.remove(hash);
        }
        let (sender, nonce) = (pooled.transaction.sender, pooled.transaction.transaction.nonce());
        self.settle(&sender, account.nonce);
        if let Some(replaced) = &replaced {
            self.forget(replaced);
        }
        self.arrivals += 1;
        self.hashes.insert(hash, (sender, nonce));
        self.by_worth.insert((pooled.worth(), hash));
        self.size_bytes += pooled.size_bytes;
        let queue = self.senders.entry(sender).or_insert_with(|| Queue::new(account.nonce));
        queue.insert(Arc::new(pooled));
        let pending = nonce < queue.next_nonce();
        Ok(Admitted { hash, pending, replaced: replaced.map(|replaced| replaced.hash), evicted })
    }

    /// What can be said without looking at other senders. Returns the one that would be replaced.
    fn check(&self, new: &Pooled, account: &Account) -> Result<Option<Arc<Pooled>>, PoolError> {
        let transaction = &new.transaction.transaction;
        let sender = new.transaction.sender;
        if new.size_bytes > self.limits.transaction_size_bytes {
            return Err(PoolError::Oversized { actual: new.size_bytes, limit: self.limits.transaction_size_bytes });
        }
        if transaction.nonce() < account.nonce {
            return Err(PoolError::NonceTooLow { expected: account.nonce, actual: transaction.nonce() });
        }
        let queue = self.senders.get(&sender);
        let replaced = queue.and_then(|queue| queue.get(transaction.nonce())).cloned();
        if let Some(old) = &replaced {
            let old = &old.transaction.transaction;
            let fees = [
                (old.max_fee_per_gas(), transaction.max_fee_per_gas()),
                (old.max_priority_fee_per_gas(), transaction.max_priority_fee_per_gas()),
                (
                    old.max_fee_per_blob_gas().unwrap_or_default(),
                    transaction.max_fee_per_blob_gas().unwrap_or_default(),
                ),
            ];
            for (old, actual) in fees {
                let required = raised(old, self.limits.replacement_percent);
                if actual < required {
                    return Err(PoolError::ReplacementUnderpriced { required, actual });
                }
            }
        } else if queue.map_or(0, Queue::len) >= self.limits.per_sender {
            return Err(PoolError::SenderFull { sender, limit: self.limits.per_sender });
        }
        // A later transaction of the sender may still fail for want of funds: it is refused when its turn comes.
        let earlier = queue.into_iter().flat_map(Queue::all);
        let earlier =
            earlier.filter(|one| (account.nonce..transaction.nonce()).contains(&one.transaction.transaction.nonce()));
        let required = earlier.fold(new.cost(), |sum, one| sum.saturating_add(one.cost()));
        if required > account.balance {
            return Err(PoolError::InsufficientFunds { required, available: account.balance });
        }
        Ok(replaced)
    }

    /// Who has to leave so that the new one fits: the least worth, and only those worth less.
    fn make_room(&self, new: &Pooled, replaced: Option<&Pooled>) -> Result<Vec<B256>, PoolError> {
        let mut count = self.len() + usize::from(replaced.is_none());
        let mut size_bytes = self.size_bytes + new.size_bytes - replaced.map_or(0, |old| old.size_bytes);
        let mut evicted = Vec::new();
        let mut worst = self.by_worth.iter();
        while count > self.limits.transactions || size_bytes > self.limits.size_bytes {
            let tip = new.worth().tip;
            let full = PoolError::Full { tip, transactions: self.len() };
            let Some((Worth { tip: lowest, .. }, hash)) = worst.next() else { return Err(full) };
            if *lowest >= tip {
                return Err(full);
            }
            if replaced.is_some_and(|old| old.hash == *hash) {
                continue;
            }
            // Its own predecessors must stay, or it would not be executable.
            let victim = self.get(hash).expect("the order of worth holds what is in the pool");
            if victim.transaction.sender == new.transaction.sender {
                continue;
            }
            count -= 1;
            size_bytes -= victim.size_bytes;
            evicted.push(*hash);
        }
        Ok(evicted)
    }
}

/// The least fee that replaces this one; rounded up, so that even a fee of 1 wei has to rise.
fn raised(fee: u128, percent: u8) -> u128 {
    fee.saturating_add(fee.saturating_mul(u128::from(percent)).div_ceil(100))
}

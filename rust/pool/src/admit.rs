//! Letting a transaction in: duplicates, replacement, limits, eviction.

use std::sync::Arc;

use types::{Account, Address, B256, Recovered, U256};

use crate::{
    Change, Class, DropReason, Pool, Pooled, Settings,
    books::Worth,
    pooled::INDEX_BYTES,
    queue::{Item, Queue},
};

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
        /// Most that this and the sender's other transactions can cost together.
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
    /// A sender's waiting transactions all bring blobs or none does.
    #[error("address already reserved: {sender} has transactions {} blobs waiting", if *.blobs { "with" } else { "without" })]
    Reserved {
        /// Whose.
        sender: Address,
        /// What those are that wait.
        blobs: bool,
    },
    /// Blob transactions don't wait behind gaps.
    #[error("nonce too high: next nonce {expected}, transaction nonce {actual}; blob transactions leave no gap")]
    BlobGap {
        /// The sender's next, those that wait counted.
        expected: u64,
        /// The transaction's.
        actual: u64,
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

/// How many of the least worth are looked at to make room for one. Nobody drives out more than this.
const VICTIMS_MAX: usize = 1_024;

impl Settings {
    /// A transaction's class.
    pub fn class<E>(&self, recovered: &Recovered, has_code: impl FnOnce() -> Result<bool, E>) -> Result<Class, E> {
        if self.system_senders.contains(&recovered.sender) {
            return Ok(Class::System);
        }
        Class::of(&recovered.transaction, has_code)
    }
}

impl Pool {
    /// Takes a transaction of a sender whose account is `account` at the head.
    ///
    /// # Errors
    /// See [`PoolError`]; the pool is then as it was.
    pub fn admit(&mut self, mut new: Pooled, account: &Account) -> Result<Admitted, PoolError> {
        let hash = new.hash;
        if self.hashes.contains_key(&hash) {
            return Err(PoolError::AlreadyKnown(hash));
        }
        let sender = new.sender();
        if let Some(id) = self.senders.get(&sender).copied()
            && self.queues[id as usize].nonce != account.nonce
        {
            self.settle(&sender, account);
        }
        let queue = self.senders.get(&sender).copied();
        let replaced = self.check(&new, queue.map(|id| &self.queues[id as usize]), account)?;
        let ready = queue.map_or(account.nonce, |id| self.queues[id as usize].next_nonce()) >= new.nonce;
        let victims = self.make_room(&new, replaced.as_deref(), ready)?;

        // From here on nothing fails.
        let evicted = victims.into_iter().map(|id| self.evict(id)).collect();
        let queue = queue.unwrap_or_else(|| self.open_queue(sender, account.nonce));
        let step = self.factors.step(sender, new.class);
        self.queues[queue as usize].set_step(new.class, step);
        new.arrival = self.arrivals;
        self.arrivals += 1;
        let (nonce, since_ms) = (new.nonce, new.since_ms);
        if let Some(replaced) = &replaced {
            let item = self.queues[queue as usize].get(nonce).expect("what is replaced is there").clone();
            debug_assert_eq!(item.pooled.hash, replaced.hash);
            self.forget(item, ready, Change::Replaced { by: hash });
        }
        new.id = self.slots.take(queue, nonce, since_ms);
        self.hashes.insert(hash, new.id);
        let item = Item::new(Arc::new(new));
        let Self { queues, books, .. } = self;
        books.enter(&item, ready);
        queues[queue as usize].insert(item, |promoted| books.promote(promoted));
        self.tidy(queue);
        Ok(Admitted { hash, pending: ready, replaced: replaced.map(|replaced| replaced.hash), evicted })
    }

    /// What can be said without looking at other senders. Returns the one that would be replaced.
    fn check(&self, new: &Pooled, queue: Option<&Queue>, account: &Account) -> Result<Option<Arc<Pooled>>, PoolError> {
        let limits = &self.settings.limits;
        let (sender, blobs) = (new.sender(), new.blobs > 0);
        if new.size_bytes > limits.transaction_size_bytes {
            return Err(PoolError::Oversized { actual: new.size_bytes, limit: limits.transaction_size_bytes });
        }
        if new.nonce < account.nonce {
            return Err(PoolError::NonceTooLow { expected: account.nonce, actual: new.nonce });
        }
        let expected = queue.map_or(account.nonce, Queue::next_nonce);
        if blobs && new.nonce > expected {
            return Err(PoolError::BlobGap { expected, actual: new.nonce });
        }
        if let Some(queue) = queue
            && (queue.blobs > 0) != blobs
        {
            return Err(PoolError::Reserved { sender, blobs: !blobs });
        }
        let replaced = queue.and_then(|queue| queue.get(new.nonce)).map(|item| &item.pooled);
        if let Some(old) = replaced {
            let percent = if blobs { limits.blob_replacement_percent } else { limits.replacement_percent };
            let fees = [(old.fee_cap, new.fee_cap), (old.tip, new.tip), (old.blob_fee_cap(), new.blob_fee_cap())];
            for (old, actual) in fees {
                let required = raised(old, percent);
                if actual < required {
                    return Err(PoolError::ReplacementUnderpriced { required, actual });
                }
            }
        } else {
            let limit = if blobs { limits.blob_transactions_per_sender } else { limits.per_sender };
            if queue.map_or(0, Queue::len) >= limit {
                return Err(PoolError::SenderFull { sender, limit });
            }
        }
        let waiting = queue.map_or(U256::ZERO, |queue| queue.cost);
        let others = waiting - replaced.map_or(U256::ZERO, |old| old.cost);
        let required = others.saturating_add(new.cost);
        if required > account.balance {
            return Err(PoolError::InsufficientFunds { required, available: account.balance });
        }
        Ok(replaced.cloned())
    }

    /// Who has to leave so that the new one fits: the least worth, and only those worth less.
    fn make_room(&mut self, new: &Pooled, replaced: Option<&Pooled>, ready: bool) -> Result<Vec<u32>, PoolError> {
        let limits = self.settings.limits;
        let full = PoolError::Full { tip: new.tip, transactions: self.len() };
        if new.blobs > 0 && replaced.is_none() && self.books.tally.blobs >= limits.blob_transactions {
            return Err(full);
        }
        let mut count = self.len() + usize::from(replaced.is_none());
        let memory_bytes = self.books.tally.memory_bytes + new.memory_bytes;
        let mut memory_bytes = memory_bytes - replaced.map_or(0, |old| old.memory_bytes);
        let mut victims = Vec::new();
        if self.fits(count, memory_bytes) {
            return Ok(victims);
        }
        self.rate_the_worst();
        let worth = Worth::of(new, ready, self.books.base_fee);
        for (id, victims_worth) in self.books.worst_first().take(VICTIMS_MAX) {
            if victims_worth >= worth {
                break;
            }
            // Its own predecessors must stay, or it would not be executable.
            let victim = &self.item(id).pooled;
            if victim.sender() == new.sender() {
                continue;
            }
            count -= 1;
            memory_bytes -= victim.memory_bytes;
            victims.push(id);
            if self.fits(count, memory_bytes) {
                return Ok(victims);
            }
        }
        Err(full)
    }

    /// Whether so many transactions that take so much are within the limits. Tables that were larger once have not become
    /// smaller.
    fn fits(&self, count: usize, memory_bytes: usize) -> bool {
        let limits = &self.settings.limits;
        let unused = self.slots.len_max().saturating_sub(count) * INDEX_BYTES;
        count <= limits.transactions && memory_bytes + unused <= limits.memory_for_transactions()
    }

    /// What the least are worth may be old: the base fee has moved since. Each is rated again at most once a fee.
    fn rate_the_worst(&mut self) {
        while let Some(id) = self.books.worst() {
            let item = self.item(id).clone();
            let ready = self.is_pending(&item.pooled.hash);
            if !self.books.rate(&item, ready) {
                return;
            }
        }
    }

    fn evict(&mut self, id: u32) -> B256 {
        let slot = self.slots.get(id);
        let evicted = self.take_out(slot.queue, slot.nonce, Change::Dropped(DropReason::Evicted));
        self.tidy(slot.queue);
        evicted.hash
    }

    fn open_queue(&mut self, sender: Address, nonce: u64) -> u32 {
        let id = self.spare.pop().unwrap_or_else(|| {
            self.queues.push(Queue::default());
            u32::try_from(self.queues.len() - 1).expect("fewer than four billion senders wait")
        });
        self.queues[id as usize].open(sender, nonce);
        self.senders.insert(sender, id);
        id
    }
}

/// The least fee that replaces this one; rounded up, so that even a fee of 1 wei has to rise.
fn raised(fee: u128, percent: u8) -> u128 {
    fee.saturating_add(fee.saturating_mul(u128::from(percent)).div_ceil(100))
}

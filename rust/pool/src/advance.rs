//! Following the head: what was included leaves, what a nonce has passed is dropped, what can be afforded no more too,
//! histories are written, weights adapted.

use types::{Account, Address, B256};

use crate::{Change, DropReason, Ending, Pool, Signals};

/// The newest block, as far as it matters to what waits for the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NewHead {
    /// Its height.
    pub height: u64,
    /// Its time.
    pub timestamp: u64,
    /// Gas that a block has.
    pub gas_limit: u64,
    /// The next block's base fee; 0 where there is none.
    pub base_fee: u64,
}

/// A transaction of a new block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inclusion {
    /// Its name.
    pub hash: B256,
    /// What a unit of its gas gave the producer.
    pub tip: u128,
    /// Gas that it took.
    pub gas_used: u64,
    /// What its receipt says.
    pub success: bool,
}

impl Pool {
    /// The head has moved: `included` are the transactions of the blocks that came, and `touched` the accounts that
    /// changed on the way, as they are now.
    pub fn advance(
        &mut self,
        head: NewHead,
        included: &[Inclusion],
        touched: impl Iterator<Item = (Address, Account)>,
    ) {
        self.factors.advance(head.height, head.timestamp);
        self.paid.push(included.iter().map(|inclusion| inclusion.tip));
        self.books.base_fee = head.base_fee;
        let adapts = head.height / self.settings.adaptation.update_interval.max(1)
            > self.head.height / self.settings.adaptation.update_interval.max(1);
        self.head = head;
        for inclusion in included {
            self.include(inclusion);
        }
        for (sender, account) in touched {
            self.settle(&sender, &account);
        }
        // Who sent has changed and was settled, unless somebody else's word for it was wrong.
        let mut dirty = std::mem::take(&mut self.dirty);
        for id in dirty.drain(..) {
            if self.queues[id as usize].dirty {
                self.refresh(id);
                self.tidy(id);
            }
        }
        self.dirty = dirty;
        if adapts {
            self.weights = self.weights.adapted(self.signals(), &self.settings.adaptation);
        }
    }

    /// What the weights are made from.
    pub fn signals(&self) -> Signals {
        let tips = self.books.tally.tips.percentile(75).zip(self.paid.median());
        let fee_pressure = tips.map_or(1.0, |(waiting, paid)| (waiting as f64 + 1.0) / (paid as f64 + 1.0));
        let congestion = self.books.tally.gas as f64 / self.head.gas_limit.max(1) as f64;
        Signals { fee_pressure, congestion }
    }

    /// The running median of tips that blocks paid.
    pub fn median_tip(&self) -> u128 {
        self.paid.median().unwrap_or_default()
    }

    fn include(&mut self, inclusion: &Inclusion) {
        let Some((id, nonce)) = self.place(&inclusion.hash) else { return };
        let queue = &mut self.queues[id as usize];
        if nonce == queue.nonce
            && let Some(item) = queue.pass()
        {
            queue.dirty = true;
            let (sender, class) = (queue.sender, item.class);
            let ending = Ending::of_receipt(inclusion.success, inclusion.gas_used, item.gas_limit);
            self.dirty.push(id);
            self.forget(item, true, Change::Included);
            self.factors.record(sender, class, ending);
        }
    }

    /// Something came of a waiting transaction that leaves it where it is.
    pub fn record(&mut self, hash: &B256, ending: Ending) {
        let Some((id, nonce)) = self.place(hash) else { return };
        let queue = &self.queues[id as usize];
        if let Some(class) = queue.get(nonce).map(|item| item.class) {
            self.factors.record(queue.sender, class, ending);
            self.refresh(id);
            self.tidy(id);
        }
    }

    /// Asks the factor of a sender's next transaction again.
    fn refresh(&mut self, id: u32) {
        let queue = &mut self.queues[id as usize];
        let sender = queue.sender;
        if let Some(class) = queue.ready().front().map(|next| next.class) {
            let step = self.factors.step(sender, class);
            queue.set_step(class, step);
        }
    }

    /// The sender's account looks like this now.
    pub fn settle(&mut self, sender: &Address, account: &Account) {
        let Some(id) = self.senders.get(sender).copied() else { return };
        let at = id as usize;
        while self.queues[at].nonce < account.nonce
            && let Some(item) = self.queues[at].pass()
        {
            self.forget(item, true, Change::Dropped(DropReason::NonceUsed));
        }
        while let Some(nonce) = self.queues[at].gapped_below(account.nonce) {
            self.take_out(id, nonce, Change::Dropped(DropReason::NonceUsed));
        }
        let Self { queues, books, .. } = self;
        // Two closures write into one book, one after the other.
        let books = std::cell::RefCell::new(books);
        queues[at].rebase(
            account.nonce,
            |item| books.borrow_mut().demote(item),
            |item| books.borrow_mut().promote(item),
        );
        if self.queues[at].cost > account.balance {
            while let Some(nonce) = self.queues[at].first_above(account.balance) {
                self.take_out(id, nonce, Change::Dropped(DropReason::Unaffordable));
            }
        }
        self.refresh(id);
        self.tidy(id);
    }
}

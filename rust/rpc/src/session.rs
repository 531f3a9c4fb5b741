//! A client that can be pushed to: its subscriptions, and how far it has been told.
//!
//! Nothing is queued for a client. A session remembers the blocks that it told of and, when asked, makes the
//! notifications for what has changed since: a client that reads slowly is told later, in larger pieces. Of the pool the
//! chain keeps the last so many changes; who reads more slowly than that loses the older ones, as with geth.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chain::{
    PoolEvent, PoolSubscription, Subscription,
    pool::{Change, DropReason},
    state::StoredBlock,
    types::BlockId,
};

use crate::{
    Server,
    error::RpcError,
    eth::Filter,
    forms::{HeaderForm, OwnedTransaction},
    json::{Fields, Object, Raw, ToJson},
    txpool::whole,
};

/// What a subscription is told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Each block that becomes canonical.
    NewHeads,
    /// Logs of blocks that become canonical, or cease to be.
    Logs(Filter),
    /// Each transaction that can be included from now on.
    PendingTransactions {
        /// All of it, not its hash only.
        full: bool,
    },
    /// Whatever happens to waiting transactions.
    PoolEvents,
}

impl Kind {
    fn follows_pool(&self) -> bool {
        matches!(self, Self::PendingTransactions { .. } | Self::PoolEvents)
    }
}

/// Notifications made at one time, more or less: the caller asks again until there are none.
const AT_ONCE: usize = 1_000;

/// Of whole transactions, which may have 128 KiB each, bytes made at one time, more or less.
const BYTES_AT_ONCE: usize = 8 << 20;

/// One client. Belongs to the server that made it.
#[derive(Debug)]
pub struct Session {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// The chain's news up to which [`Session::wait`] has waited.
    seen: u64,
    follows: Subscription,
    /// While there are subscriptions for it.
    follows_pool: Option<PoolSubscription>,
    /// What happened in the pool that it has yet to be told of.
    events: VecDeque<PoolEvent>,
    /// Blocks that it has yet to be told of: whether they ceased to be canonical.
    changes: VecDeque<(bool, BlockId)>,
    subscriptions: Vec<(u64, Kind)>,
    last_id: u64,
}

impl Session {
    /// A client without subscriptions.
    pub fn new(server: &Server) -> Self {
        let chain = server.chain();
        Self {
            inner: Mutex::new(Inner {
                seen: chain.news(),
                follows: chain.subscribe(),
                follows_pool: None,
                events: VecDeque::new(),
                changes: VecDeque::new(),
                subscriptions: Vec::new(),
                last_id: 0,
            }),
        }
    }

    /// What happened since the last call, for each subscription, as whole JSON messages. Empty: nothing.
    pub fn notifications(&self, server: &Server) -> Vec<Vec<u8>> {
        let mut inner = self.lock();
        let mut messages = Vec::new();
        inner.tell_of_pool(server, &mut messages);
        if !inner.events.is_empty() {
            return messages;
        }
        // Where the ledger cannot be read now, the next call tells of it.
        while let Ok(true) = inner.catch_up(Duration::ZERO) {
            while let Some((removed, id)) = inner.changes.pop_front() {
                if inner.subscriptions.is_empty() {
                    continue;
                }
                // A block that was undone may be forgotten already; there is nothing to tell of it then.
                if let Ok(block) = server.chain().block(id.into()) {
                    inner.tell(&block, removed, &mut messages);
                }
                if messages.len() >= AT_ONCE {
                    return messages;
                }
            }
        }
        messages
    }

    /// Waits until something has happened since the last call that a client might be told of, or the time is over; says
    /// which.
    pub fn wait(&self, server: &Server, timeout: Duration) -> bool {
        let seen = self.lock().seen;
        let now = server.chain().wait_for_news(seen, timeout);
        self.lock().seen = now;
        now != seen
    }

    pub(crate) fn subscribe(&self, server: &Server, kind: Kind, most: usize) -> Result<u64, RpcError> {
        let mut inner = self.lock();
        if inner.subscriptions.len() >= most {
            return Err(RpcError::limit_exceeded(format!("too many subscriptions, at most {most}")));
        }
        if inner.subscriptions.is_empty() {
            // What happened before nobody wants to know.
            while inner.catch_up(Duration::ZERO).is_ok_and(|moved| moved) {
                inner.changes.clear();
            }
        }
        if kind.follows_pool() && inner.follows_pool.is_none() {
            inner.follows_pool = Some(server.chain().subscribe_pool());
        }
        inner.last_id += 1;
        let id = inner.last_id;
        inner.subscriptions.push((id, kind));
        Ok(id)
    }

    pub(crate) fn unsubscribe(&self, id: u64) -> bool {
        let mut inner = self.lock();
        let before = inner.subscriptions.len();
        inner.subscriptions.retain(|(other, _)| *other != id);
        if !inner.subscriptions.iter().any(|(_, kind)| kind.follows_pool()) {
            inner.follows_pool = None;
            inner.events.clear();
        }
        inner.subscriptions.len() < before
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// Whether there are blocks to tell of.
    fn catch_up(&mut self, timeout: Duration) -> Result<bool, chain::ChainError> {
        if self.changes.is_empty()
            && let Some(change) = self.follows.next(timeout)?
        {
            self.changes.extend(change.removed.into_iter().map(|id| (true, id)));
            self.changes.extend(change.added.into_iter().map(|id| (false, id)));
        }
        Ok(!self.changes.is_empty())
    }

    fn tell(&self, block: &StoredBlock, removed: bool, messages: &mut Vec<Vec<u8>>) {
        for (id, kind) in &self.subscriptions {
            match kind {
                Kind::NewHeads if removed => {}
                Kind::NewHeads => messages.push(message(*id, &HeaderForm(block))),
                Kind::Logs(filter) => {
                    messages.extend(filter.write(block, removed).iter().map(|json| message(*id, &Raw(json))));
                }
                Kind::PendingTransactions { .. } | Kind::PoolEvents => {}
            }
        }
    }

    /// What the pool's clients are told; private transactions are not theirs to see.
    fn tell_of_pool(&mut self, server: &Server, messages: &mut Vec<Vec<u8>>) {
        if let Some(follows) = &mut self.follows_pool
            && self.events.is_empty()
        {
            let heard = follows.next(Duration::ZERO).events;
            self.events.extend(heard.into_iter().filter(|event| !event.private));
        }
        let mut bytes = 0;
        while messages.len() < AT_ONCE
            && bytes < BYTES_AT_ONCE
            && let Some(event) = &self.events.pop_front()
        {
            let before = messages.len();
            let comes = matches!(event.change, Change::Added { pending: true } | Change::Promoted);
            for (id, kind) in &self.subscriptions {
                match kind {
                    Kind::PendingTransactions { full: false } if comes => messages.push(message(*id, &event.hash)),
                    Kind::PendingTransactions { full: true } if comes => {
                        // One that left so quickly that it can't be shown any more is of no use to anybody.
                        messages.extend(shown(server, event).map(|transaction| message(*id, &transaction)));
                    }
                    Kind::PoolEvents => messages.push(message(*id, &EventForm(event))),
                    Kind::PendingTransactions { .. } | Kind::NewHeads | Kind::Logs(_) => {}
                }
            }
            bytes += messages[before..].iter().map(Vec::len).sum::<usize>();
        }
    }
}

/// The transaction of an event, where it waits or stands in a block by now.
fn shown(server: &Server, event: &PoolEvent) -> Option<OwnedTransaction> {
    if let Some(waiting) = server.chain().pool().get(&event.hash) {
        return Some(whole(waiting));
    }
    let located = server.chain().transaction(&event.hash).ok()??;
    Some(OwnedTransaction::Mined { block: located.block, index: located.index })
}

/// What happened to a transaction: `change` and what belongs to it, `hash`, `from`, `nonce`.
struct EventForm<'a>(&'a PoolEvent);

impl ToJson for EventForm<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        let Self(PoolEvent { hash, sender, nonce, change, private: _ }) = self;
        Fields(|object: &mut Object<'_>| {
            object.field("change", change.name()).field("hash", hash).field("from", sender).field("nonce", nonce);
            match change {
                Change::Added { pending } => {
                    object.field("standing", if *pending { "pending" } else { "queued" });
                }
                Change::Replaced { by } => {
                    object.field("by", by);
                }
                Change::Dropped(reason) => {
                    object.field("reason", DropReason::name(*reason));
                }
                Change::Promoted | Change::Demoted | Change::Included => {}
            }
        })
        .write(out);
    }
}

fn message(id: u64, result: &impl ToJson) -> Vec<u8> {
    let mut out = Vec::new();
    let params = Fields(|object: &mut Object<'_>| {
        object.field("subscription", &id).field("result", result);
    });
    Fields(|object: &mut Object<'_>| {
        object.field("jsonrpc", "2.0").field("method", "eth_subscription").field("params", &params);
    })
    .write(&mut out);
    out
}

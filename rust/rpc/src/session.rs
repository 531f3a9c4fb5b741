//! A client that can be pushed to: its subscriptions, and how far it has been told.
//!
//! Nothing is queued for a client. A session remembers the blocks that it told of and, when asked, makes the
//! notifications for what has changed since: a client that reads slowly is told later, in larger pieces.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chain::{Subscription, state::StoredBlock, types::BlockId};

use crate::{
    Server,
    error::RpcError,
    eth::Filter,
    forms::HeaderForm,
    json::{Fields, Object, Raw, ToJson},
};

/// What a subscription is told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Each block that becomes canonical.
    NewHeads,
    /// Logs of blocks that become canonical, or cease to be.
    Logs(Filter),
}

/// Notifications made at one time, more or less: the caller asks again until there are none.
const AT_ONCE: usize = 1_000;

/// One client. Belongs to the server that made it.
#[derive(Debug)]
pub struct Session {
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    follows: Subscription,
    /// Blocks that it has yet to be told of: whether they ceased to be canonical.
    changes: VecDeque<(bool, BlockId)>,
    subscriptions: Vec<(u64, Kind)>,
    last_id: u64,
}

impl Session {
    /// A client without subscriptions.
    pub fn new(server: &Server) -> Self {
        let follows = server.chain().subscribe();
        Self { inner: Mutex::new(Inner { follows, changes: VecDeque::new(), subscriptions: Vec::new(), last_id: 0 }) }
    }

    /// What happened since the last call, for each subscription, as whole JSON messages. Empty: nothing.
    pub fn notifications(&self, server: &Server) -> Vec<Vec<u8>> {
        let mut inner = self.lock();
        let mut messages = Vec::new();
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

    /// Waits until there is something to tell, or the time is over; says which.
    pub fn wait(&self, timeout: Duration) -> bool {
        let mut inner = self.lock();
        let moved = inner.catch_up(timeout).unwrap_or(false);
        inner.changes.clear();
        moved
    }

    pub(crate) fn subscribe(&self, kind: Kind, most: usize) -> Result<u64, RpcError> {
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
        inner.last_id += 1;
        let id = inner.last_id;
        inner.subscriptions.push((id, kind));
        Ok(id)
    }

    pub(crate) fn unsubscribe(&self, id: u64) -> bool {
        let mut inner = self.lock();
        let before = inner.subscriptions.len();
        inner.subscriptions.retain(|(other, _)| *other != id);
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
            }
        }
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

//! What waits, shared: the pool under its lock, its journal, and those who follow it.
//!
//! Whatever changes the pool goes through [`Waiting::change`], which passes what happened to the journal before anybody
//! is answered, and to followers. Anchors share the pool; it is copied when it changes while one does.

use std::{
    collections::VecDeque,
    ops::Deref,
    sync::{
        Arc, Condvar, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use pool::{
    Change, DropReason, Event, Pool,
    journal::{Journal, JournalError},
};
use types::{Address, B256};

use crate::{Chain, notify::Signal};

#[derive(Debug)]
pub(crate) struct Waiting {
    inner: RwLock<Inner>,
    feed: Feed,
}

#[derive(Debug)]
struct Inner {
    pool: Arc<Pool>,
    journal: Option<Journal>,
}

/// The pool, to be read. Nobody can change it meanwhile: let it go soon, and don't ask the chain for anything while it is
/// held, as that might wait for it.
#[derive(Debug)]
pub struct PoolGuard<'a>(RwLockReadGuard<'a, Inner>);

impl Deref for PoolGuard<'_> {
    type Target = Pool;

    fn deref(&self) -> &Pool {
        &self.0.pool
    }
}

impl Waiting {
    /// `signal` is raised when followers have something to hear.
    pub(crate) fn new(pool: Pool, signal: Arc<Signal>) -> Self {
        let feed = Feed { events: Mutex::default(), more: Condvar::new(), followers: AtomicUsize::new(0), signal };
        Self { inner: RwLock::new(Inner { pool: Arc::new(pool), journal: None }), feed }
    }

    pub(crate) fn read(&self) -> PoolGuard<'_> {
        PoolGuard(self.inner.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn shared(&self) -> Arc<Pool> {
        Arc::clone(&self.read().0.pool)
    }

    /// Changes the pool. Where the journal can't be written, `undo` may take back what would otherwise be acknowledged
    /// without being kept.
    pub(crate) fn change<T>(
        &self,
        change: impl FnOnce(&mut Pool) -> T,
        undo: impl FnOnce(&mut Pool, T, JournalError) -> T,
    ) -> T {
        let mut inner = self.lock();
        let inner = &mut *inner;
        let pool = Arc::make_mut(&mut inner.pool);
        let done = change(pool);
        match self.note(pool, &mut inner.journal) {
            Ok(()) => done,
            Err(error) => {
                let done = undo(pool, done, error);
                self.tell(pool, None);
                done
            }
        }
    }

    /// Changes the pool in a way that nobody has to be promised: where the journal can't be written, the worst is that
    /// a transaction comes back after a restart and is refused then.
    pub(crate) fn change_freely<T>(&self, change: impl FnOnce(&mut Pool) -> T) -> T {
        self.change(change, |_, done, _| done)
    }

    /// Begins to keep a journal.
    pub(crate) fn attach(&self, journal: Journal) -> Result<(), JournalError> {
        let mut inner = self.lock();
        let inner = &mut *inner;
        inner.journal.insert(journal).compact(&inner.pool)
    }

    /// Puts back a pool that was [shared](Self::shared) before.
    pub(crate) fn restore(&self, pool: Arc<Pool>) {
        let mut inner = self.lock();
        let inner = &mut *inner;
        if Arc::ptr_eq(&inner.pool, &pool) {
            return;
        }
        let present = std::mem::replace(&mut inner.pool, pool);
        let of = |pooled: &Arc<pool::Pooled>, change| Event { pooled: Arc::clone(pooled), change };
        let gone = present.by_age().filter(|pooled| inner.pool.get(&pooled.hash).is_none());
        let gone = gone.map(|pooled| of(pooled, Change::Dropped(DropReason::Undone)));
        let back = inner.pool.by_age().filter(|pooled| present.get(&pooled.hash).is_none());
        let back = back.map(|pooled| of(pooled, Change::Added { pending: inner.pool.is_pending(&pooled.hash) }));
        for event in gone.chain(back) {
            if let Some(journal) = &mut inner.journal {
                journal.note(&event);
            }
            self.feed.push(&event);
        }
        self.feed.wake();
        if let Some(journal) = &mut inner.journal {
            let unlike = present.histories().filter(|(sender, known)| inner.pool.history(sender) != Some(known));
            for (sender, _) in unlike {
                journal.learn(sender, &inner.pool.history(sender).copied().unwrap_or_default());
            }
        }
        // As freely as above.
        let _ = inner.journal.as_mut().map(Journal::flush);
    }

    /// Waits for events; see [`PoolSubscription::next`].
    fn wait(&self, from: u64, timeout: Duration) -> Heard {
        self.feed.wait(from, timeout)
    }

    fn lock(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, pool: &mut Pool, journal: &mut Option<Journal>) -> Result<(), JournalError> {
        self.tell(pool, journal.as_mut());
        let Some(journal) = journal else { return Ok(()) };
        journal.flush()?;
        if journal.is_due(pool) {
            // The old file goes on where this fails.
            let _ = journal.compact(pool);
        }
        Ok(())
    }

    fn tell(&self, pool: &mut Pool, mut journal: Option<&mut Journal>) {
        let mut told = false;
        for event in pool.take_events() {
            if let Some(journal) = &mut journal {
                journal.note(&event);
            }
            self.feed.push(&event);
            told = true;
        }
        if told {
            self.feed.wake();
        }
        for (sender, history) in pool.take_learnt() {
            if let Some(journal) = &mut journal {
                journal.learn(&sender, history);
            }
        }
    }
}

/// Something that happened to a waiting transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolEvent {
    /// The transaction.
    pub hash: B256,
    /// Who sent it.
    pub sender: Address,
    /// Its nonce.
    pub nonce: u64,
    /// Whether it is private: shown to the chain's owner, not to its clients.
    pub private: bool,
    /// What happened.
    pub change: Change,
}

/// Events that are kept for slow followers: three full mainnet blocks of transfers, each added and included, and room.
const EVENTS_KEPT: usize = 16_384;

#[derive(Debug)]
struct Feed {
    events: Mutex<Events>,
    more: Condvar,
    followers: AtomicUsize,
    /// For those who follow other things, too.
    signal: Arc<Signal>,
}

#[derive(Debug, Default)]
struct Events {
    kept: VecDeque<PoolEvent>,
    /// How many came before the first of these.
    before: u64,
}

/// What a follower hears at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// In the order in which it happened.
    pub events: Vec<PoolEvent>,
    /// How many events before these are lost, because the follower was too slow.
    pub lost: u64,
}

impl Feed {
    fn push(&self, event: &Event) {
        if self.followers.load(Ordering::Relaxed) == 0 {
            return;
        }
        let Event { pooled, change } = event;
        let (hash, sender, nonce, private) = (pooled.hash, pooled.sender(), pooled.nonce, pooled.private);
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        if events.kept.len() == EVENTS_KEPT {
            events.kept.pop_front();
            events.before += 1;
        }
        events.kept.push_back(PoolEvent { hash, sender, nonce, private, change: change.clone() });
    }

    /// Wakes those who wait, once for all that was pushed.
    fn wake(&self) {
        if self.followers.load(Ordering::Relaxed) > 0 {
            self.more.notify_all();
            self.signal.raise();
        }
    }

    fn end(&self) -> u64 {
        let events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        events.before + events.kept.len() as u64
    }

    fn wait(&self, from: u64, timeout: Duration) -> Heard {
        let deadline = Instant::now() + timeout;
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        while events.before + events.kept.len() as u64 <= from {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Heard::default();
            }
            events = self.more.wait_timeout(events, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        let lost = events.before.saturating_sub(from);
        let skip = usize::try_from(from.saturating_sub(events.before)).unwrap_or(usize::MAX);
        Heard { events: events.kept.iter().skip(skip).cloned().collect(), lost }
    }
}

/// Follows the pool. It keeps the chain open.
#[derive(Debug)]
pub struct PoolSubscription {
    chain: Arc<Chain>,
    heard: u64,
}

impl PoolSubscription {
    pub(crate) fn new(chain: Arc<Chain>) -> Self {
        let feed = &chain.waiting().feed;
        feed.followers.fetch_add(1, Ordering::Relaxed);
        let heard = feed.end();
        Self { chain, heard }
    }

    /// What has happened since the last call; waits for something to happen for at most this long. Empty where nothing
    /// did.
    pub fn next(&mut self, timeout: Duration) -> Heard {
        let heard = self.chain.waiting().wait(self.heard, timeout);
        self.heard += heard.lost + heard.events.len() as u64;
        heard
    }
}

impl Drop for PoolSubscription {
    fn drop(&mut self) {
        let feed = &self.chain.waiting().feed;
        if feed.followers.fetch_sub(1, Ordering::Relaxed) == 1 {
            let mut events = feed.events.lock().unwrap_or_else(PoisonError::into_inner);
            events.before += events.kept.len() as u64;
            events.kept = VecDeque::new();
        }
    }
}

//! What subscribers hear while the chain moves under them.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use execlayer_chain::{Anchor, BlockRef, Chain, Genesis, HeadChange, MineOptions, Options, Subscription};
use state::{Commit, Ledger, LedgerError, Notification, ReverseDiff, StateReader, StoredBlock, roots::Lattice};
use store::Store;
use types::{B256, BlockId, Bytes, Header};

type Hook = Box<dyn FnOnce() + Send>;

/// A store in which something happens just before a certain read.
struct Interrupted {
    store: Store,
    /// Reads until then, and what happens.
    hook: Mutex<Option<(usize, Hook)>>,
}

impl Interrupted {
    fn read(&self) -> &Store {
        let mut hook = self.hook.lock().unwrap();
        let due = match hook.as_mut() {
            Some((0, _)) => hook.take(),
            Some((reads, _)) => {
                *reads -= 1;
                None
            }
            None => None,
        };
        drop(hook);
        if let Some((_, happens)) = due {
            happens();
        }
        &self.store
    }
}

impl Ledger for Interrupted {
    fn commit(&self, commit: Commit) -> Result<(), LedgerError> {
        self.store.commit(commit)
    }
    fn reader(&self) -> Result<Arc<dyn StateReader>, LedgerError> {
        self.store.reader()
    }
    fn head(&self) -> Result<Option<BlockId>, LedgerError> {
        self.store.head()
    }
    fn header(&self, hash: &B256) -> Result<Option<Header>, LedgerError> {
        self.read().header(hash)
    }
    fn block(&self, hash: &B256) -> Result<Option<Arc<StoredBlock>>, LedgerError> {
        self.store.block(hash)
    }
    fn canonical(&self, number: u64) -> Result<Option<B256>, LedgerError> {
        self.read().canonical(number)
    }
    fn transaction(&self, hash: &B256) -> Result<Option<(B256, u32)>, LedgerError> {
        self.store.transaction(hash)
    }
    fn reverse(&self, hash: &B256) -> Result<Option<ReverseDiff>, LedgerError> {
        self.store.reverse(hash)
    }
    fn lattice(&self, hash: &B256) -> Result<Option<Lattice>, LedgerError> {
        self.store.lattice(hash)
    }
    fn notifications(&self, from: u64, limit: usize) -> Result<Vec<Notification>, LedgerError> {
        self.store.notifications(from, limit)
    }
    fn metadata(&self, name: &str) -> Result<Option<Bytes>, LedgerError> {
        self.store.metadata(name)
    }
    fn sync(&self) -> Result<(), LedgerError> {
        self.store.sync()
    }
}

fn dev() -> (Arc<Interrupted>, Arc<Chain>) {
    let ledger = Arc::new(Interrupted { store: Store::memory(), hook: Mutex::default() });
    let chain = Chain::open(ledger.clone(), Genesis::dev([]), Options::default()).unwrap();
    (ledger, chain)
}

/// Mines blocks on a parent; which they are depends on `time`.
fn mine(chain: &Chain, parent: BlockRef, time: u64, blocks: u64) {
    let mut parent = parent;
    for step in 0..blocks {
        let mined = chain.mine(MineOptions { parent, ..MineOptions::at(time + step) }).unwrap();
        parent = mined.block.id.into();
    }
}

fn canonical(chain: &Chain) -> Vec<BlockId> {
    (0..=chain.head().id.number).map(|number| chain.id(number.into()).unwrap()).collect()
}

/// Does to `known` what the subscription tells, each step of which has to be one from block to linked block.
fn follow(chain: &Chain, subscription: &mut Subscription, known: &mut Vec<BlockId>) -> usize {
    let mut changes = 0;
    while let Some(HeadChange { removed, added }) = subscription.next(Duration::ZERO).unwrap() {
        for gone in removed {
            assert_eq!(known.pop(), Some(gone));
        }
        for id in added {
            // Those that are gone again by now cannot be asked for their parent.
            if let Ok(header) = chain.header(id.into()) {
                assert_eq!(header.parent_hash, known.last().unwrap().hash);
            }
            assert_eq!(id.number, known.last().unwrap().number + 1);
            known.push(id);
        }
        changes += 1;
    }
    changes
}

/// Runs `happens` before each of the reads in turn that catching up with six new blocks takes.
fn interrupt_everywhere(happens: impl Fn(&Chain, Anchor) + Copy + Send + 'static) {
    for reads in 0..40 {
        let (ledger, chain) = dev();
        mine(&chain, BlockRef::Latest, 1, 2);
        let mut subscription = chain.subscribe();
        let mut known = canonical(&chain);
        mine(&chain, BlockRef::Latest, 3, 3);
        follow(&chain, &mut subscription, &mut known);
        let anchor = chain.anchor().unwrap();
        mine(&chain, BlockRef::Latest, 6, 6);
        let moved = chain.clone();
        *ledger.hook.lock().unwrap() = Some((reads, Box::new(move || happens(&moved, anchor))));
        assert!(follow(&chain, &mut subscription, &mut known) > 0);
        // Nothing may be left to happen when both are compared.
        drop(ledger.hook.lock().unwrap().take());
        follow(&chain, &mut subscription, &mut known);
        assert_eq!(known, canonical(&chain), "interrupted before read {reads}");
    }
}

#[test]
fn a_reorg_between_any_two_reads_skips_no_block() {
    // Below what the subscriber had heard of, below where it began, and only of blocks that are new to it.
    interrupt_everywhere(|chain, _| mine(chain, BlockRef::Number(3), 100, 9));
    interrupt_everywhere(|chain, _| mine(chain, BlockRef::Number(0), 100, 3));
    interrupt_everywhere(|chain, _| mine(chain, BlockRef::Number(8), 100, 5));
}

#[test]
fn blocks_undone_and_forgotten_between_any_two_reads_are_not_told_of_for_good() {
    interrupt_everywhere(|chain, anchor| {
        chain.undo(anchor).unwrap();
        mine(chain, BlockRef::Latest, 200, 2);
    });
}

#[test]
fn a_reorg_below_the_beginning_of_a_subscription_is_told_whole() {
    let (_, chain) = dev();
    mine(&chain, BlockRef::Latest, 1, 5);
    let mut known = canonical(&chain);
    let mut subscription = chain.subscribe();
    mine(&chain, BlockRef::Number(2), 50, 4);
    let change = subscription.next(Duration::ZERO).unwrap().unwrap();
    known.reverse();
    assert_eq!(change.removed, known[..3]);
    assert_eq!(change.added, canonical(&chain)[3..]);
    assert_eq!(subscription.next(Duration::ZERO).unwrap(), None);
}

#[test]
fn a_subscriber_far_behind_hears_of_every_block_in_pieces() {
    let (_, chain) = dev();
    let mut subscription = chain.subscribe();
    let mut known = canonical(&chain);
    mine(&chain, BlockRef::Latest, 1, 2_100);
    assert_eq!(follow(&chain, &mut subscription, &mut known), 3);
    assert_eq!(known, canonical(&chain));
}

//! Moving the head: onto the next block, to another branch, or back.
//!
//! Every move is one commit of the ledger: the blocks between the old head and the common ancestor are undone by their
//! reverse diffs, those of the other branch are done again by the diffs that executing them gave, and nothing is
//! executed twice. Side branches are kept while the history window covers them.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use alloy_rlp::Decodable;
use lru::LruCache;
use state::{
    Commit, Ledger, LedgerError, NodeKey, Notification, ReverseDiff, StateDiff, Stop, StoredBlock,
    roots::{self, Lattice},
};
use types::{Account, Address, B256, BlockId, Bytes};

use crate::{BlockRef, BlockState, Chain, ChainError, Head, History, head::Writer, history::Layer};

/// A block that was executed and is not yet in the ledger.
pub(crate) struct NewBlock {
    pub(crate) stored: Arc<StoredBlock>,
    pub(crate) diff: StateDiff,
    pub(crate) update: roots::RootUpdate,
    pub(crate) lattice: Lattice,
}

/// Which way a layer leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Direction {
    /// From the block's state to its parent's.
    Undo,
    /// From the parent's state to the block's.
    Do,
}

/// Layers that were needed lately. Blocks never change, so neither do these.
pub(crate) struct Layers(Mutex<Kept>);

/// The layers of a history window of blocks with some 200 transactions each; of larger blocks, as many as fit.
const LAYERS_BYTES_MAX: usize = 64 << 20;

struct Kept {
    layers: LruCache<(B256, Direction), Arc<Layer>>,
    bytes: usize,
}

impl Kept {
    fn put(&mut self, key: (B256, Direction), layer: Arc<Layer>) {
        self.bytes += layer.bytes();
        if let Some(old) = self.layers.put(key, layer) {
            self.bytes -= old.bytes();
        }
        while self.bytes > LAYERS_BYTES_MAX {
            let Some((_, oldest)) = self.layers.pop_lru() else { break };
            self.bytes -= oldest.bytes();
        }
    }
}

impl Default for Layers {
    fn default() -> Self {
        Self(Mutex::new(Kept { layers: LruCache::unbounded(), bytes: 0 }))
    }
}

impl Layers {
    fn get(
        &self,
        key: (B256, Direction),
        make: impl FnOnce() -> Result<Layer, ChainError>,
    ) -> Result<Arc<Layer>, ChainError> {
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(layer) = lock().layers.get(&key) {
            return Ok(Arc::clone(layer));
        }
        // Not under the lock: this reads the ledger. Two may make the same layer, and either is right.
        let layer = Arc::new(make()?);
        lock().put(key, Arc::clone(&layer));
        Ok(layer)
    }

    fn put(&self, hash: B256, direction: Direction, layer: Arc<Layer>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).put((hash, direction), layer);
    }
}

/// The chain's own notes in the ledger's metadata, written in the same commit as what they are about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Records {
    /// The lowest canonical block that has a way back.
    oldest_reverse: u64,
    /// Blocks that are kept and not canonical, ascending.
    sides: Vec<BlockId>,
}

/// Metadata: RLP of [`Records::oldest_reverse`].
const OLDEST_REVERSE: &str = "chain.oldest_reverse";

/// Metadata: RLP of a list of side blocks, each 8 bytes of number, big-endian, and 32 of hash.
const SIDES: &str = "chain.sides";

/// Blocks forgotten in one commit at most: a window made smaller is not paid for by one block.
const FORGOTTEN_AT_ONCE: u64 = 256;

impl Records {
    pub(crate) fn read(ledger: &dyn Ledger) -> Result<Self, ChainError> {
        let damaged = |error: alloy_rlp::Error| LedgerError::Damaged(format!("the chain's records: {error}"));
        let mut records = Self { oldest_reverse: 1, sides: Vec::new() };
        if let Some(bytes) = ledger.metadata(OLDEST_REVERSE)? {
            records.oldest_reverse = u64::decode(&mut bytes.as_ref()).map_err(damaged)?;
        }
        if let Some(bytes) = ledger.metadata(SIDES)? {
            let sides = Vec::<alloy_rlp::Bytes>::decode(&mut bytes.as_ref()).map_err(damaged)?;
            for side in sides {
                let parts = side.split_first_chunk::<8>();
                let (number, hash) = parts.filter(|(_, hash)| hash.len() == 32).ok_or_else(|| {
                    LedgerError::Damaged("the chain's records: a side block has another length than 40".into())
                })?;
                records.sides.push(BlockId { number: u64::from_be_bytes(*number), hash: B256::from_slice(hash) });
            }
        }
        Ok(records)
    }

    /// As a chain begins, in metadata, that knows no state before this block's.
    pub(crate) fn beginning_at(block: BlockId) -> Vec<(String, Option<Bytes>)> {
        let from = |oldest_reverse| Self { oldest_reverse, sides: Vec::new() };
        from(block.number + 1).changes(&from(1))
    }

    /// What changed from `before`, as metadata.
    fn changes(&self, before: &Self) -> Vec<(String, Option<Bytes>)> {
        let mut metadata = Vec::new();
        if self.oldest_reverse != before.oldest_reverse {
            metadata.push((OLDEST_REVERSE.to_owned(), Some(alloy_rlp::encode(self.oldest_reverse).into())));
        }
        if self.sides != before.sides {
            let sides = self
                .sides
                .iter()
                .map(|side| alloy_rlp::Bytes::from([&side.number.to_be_bytes()[..], side.hash.as_slice()].concat()));
            let sides: Vec<_> = sides.collect();
            // Without any, as a chain that never had one.
            let value = (!sides.is_empty()).then(|| alloy_rlp::encode(&sides).into());
            metadata.push((SIDES.to_owned(), value));
        }
        metadata
    }

    fn add_side(&mut self, id: BlockId) {
        if let Err(index) = self.sides.binary_search(&id) {
            self.sides.insert(index, id);
        }
    }

    fn remove_side(&mut self, id: &BlockId) {
        if let Ok(index) = self.sides.binary_search(id) {
            self.sides.remove(index);
        }
    }
}

/// The way from one block to another: down to the common ancestor, then up.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Path {
    /// To undo, newest first.
    pub(crate) down: Vec<BlockId>,
    /// To do, oldest first.
    pub(crate) up: Vec<BlockId>,
    pub(crate) ancestor: BlockId,
}

impl Chain {
    /// The way from `from` to `to`.
    pub(crate) fn path(&self, from: BlockId, to: BlockId) -> Result<Path, ChainError> {
        let parent = |id: BlockId| {
            let header = self.ledger().header(&id.hash)?.ok_or(ChainError::UnknownBlock(id.into()))?;
            Ok::<_, ChainError>(BlockId { number: id.number.saturating_sub(1), hash: header.parent_hash })
        };
        let (mut from, mut to, mut path) = (from, to, Path::default());
        while from != to {
            if from.number >= to.number {
                path.down.push(from);
            }
            let (low, high) = (from.number, to.number);
            if low >= high {
                from = parent(from)?;
            }
            if high >= low {
                path.up.push(to);
                to = parent(to)?;
            }
        }
        path.up.reverse();
        path.ancestor = from;
        Ok(path)
    }

    /// The state after a block.
    ///
    /// # Errors
    /// [`ChainError::UnknownBlock`]; [`ChainError::StateUnavailable`] where the history window has passed it.
    pub fn at(&self, block: BlockRef) -> Result<BlockState, ChainError> {
        let head = self.head();
        let id = match block {
            BlockRef::Latest | BlockRef::Pending => head.id,
            other => self.id(other)?,
        };
        self.state_from(&head, id)
    }

    /// The state after a block, seen from this head.
    pub(crate) fn state_from(&self, head: &Head, id: BlockId) -> Result<BlockState, ChainError> {
        let mut state = BlockState::new(id, Arc::clone(&head.state), Vec::new(), HashMap::new());
        if id == head.id {
            return Ok(state);
        }
        let unavailable = || self.unavailable(id);
        if let History::Window(window) = self.options().history
            && head.id.number.saturating_sub(id.number) > window
        {
            return Err(unavailable());
        }
        let path = self.path(head.id, id)?;
        for undone in &path.down {
            let layer = self.layers().get((undone.hash, Direction::Undo), || {
                let reverse = self.ledger().reverse(&undone.hash)?.ok_or_else(unavailable)?;
                Ok(undo_layer(reverse))
            })?;
            state.push(layer);
        }
        for done in &path.up {
            let layer = self.layers().get((done.hash, Direction::Do), || {
                let reverse = self.ledger().reverse(&done.hash)?.ok_or_else(unavailable)?;
                let diff = reverse.diff.inverse();
                let nodes = roots::trie::apply(&state, &diff)?.nodes;
                Ok(Layer { diff, nodes })
            })?;
            state.push(layer);
            state.name(*done);
        }
        Ok(state)
    }

    /// The lattice hash of the state after a block.
    ///
    /// # Errors
    /// [`ChainError::UnknownBlock`]; [`ChainError::StateUnavailable`] where the history window has passed it.
    pub fn lattice(&self, block: BlockRef) -> Result<Lattice, ChainError> {
        self.lattice_of(self.id(block)?)
    }

    pub(crate) fn lattice_of(&self, id: BlockId) -> Result<Lattice, ChainError> {
        self.ledger().lattice(&id.hash)?.ok_or_else(|| self.unavailable(id))
    }

    /// A block whose state nobody can come to any more.
    fn unavailable(&self, block: BlockId) -> ChainError {
        let oldest = self.ledger().metadata(OLDEST_REVERSE).ok().flatten();
        let oldest = oldest.and_then(|bytes| u64::decode(&mut bytes.as_ref()).ok()).unwrap_or(1) - 1;
        ChainError::StateUnavailable { block, oldest }
    }

    /// Keeps a block on a side branch: its state can be read and built on, the head stays.
    pub(crate) fn keep_aside(&self, writer: &mut Writer, new: NewBlock) -> Result<(), ChainError> {
        let mut records = writer.records.clone();
        let id = new.stored.id;
        records.add_side(id);
        let mut commit = Commit { metadata: records.changes(&writer.records), ..Commit::default() };
        // Code is kept by its hash, whoever made it, so that the branch finds it.
        commit.diff.codes.clone_from(&new.diff.codes);
        let layer = add_block(&mut commit, new);
        self.ledger().commit(commit)?;
        writer.records = records;
        writer.anchors.added(id);
        self.layers().put(id.hash, Direction::Do, Arc::new(layer));
        Ok(())
    }

    /// Puts a block on top of its parent, which becomes or already is canonical, and makes it the head.
    pub(crate) fn extend(&self, writer: &mut Writer, parent: BlockId, new: NewBlock) -> Result<Arc<Head>, ChainError> {
        let id = new.stored.id;
        let head = self.move_head(writer, parent, Some(new), Vec::new())?;
        writer.anchors.added(id);
        Ok(head)
    }

    /// Makes a block that is kept the head, whether its branch is the better one or not: who follows another chain is
    /// told its head. Blocks that are no longer canonical are kept as a side branch.
    ///
    /// # Errors
    /// [`ChainError::UnknownBlock`]; [`ChainError::StateUnavailable`] where the history window has passed the common
    /// ancestor. The chain is then as it was.
    pub fn set_head(&self, block: BlockRef) -> Result<Arc<Head>, ChainError> {
        let mut writer = self.take_turn()?;
        let target = self.id(block)?;
        if target == self.head().id {
            return Ok(self.head());
        }
        self.move_head(&mut writer, target, None, Vec::new())
    }

    /// Makes `target`, or the new block on top of it, the head, and forgets some blocks.
    pub(crate) fn move_head(
        &self,
        writer: &mut Writer,
        target: BlockId,
        new: Option<NewBlock>,
        forget: Vec<BlockId>,
    ) -> Result<Arc<Head>, ChainError> {
        let before = self.head();
        let path = self.path(before.id, target)?;
        let mut records = writer.records.clone();
        let mut commit = Commit::default();
        let mut nodes = BTreeMap::new();
        let mut state = BlockState::new(before.id, Arc::clone(&before.state), Vec::new(), HashMap::new());
        let stop = Stop::current();
        for undone in &path.down {
            stop.check()?;
            let reverse = self.ledger().reverse(&undone.hash)?;
            let reverse = reverse.ok_or_else(|| ChainError::StateUnavailable {
                block: path.ancestor,
                oldest: records.oldest_reverse - 1,
            })?;
            let layer = Arc::new(undo_layer(reverse));
            lay(&mut commit, &mut nodes, &mut state, layer);
            commit.canonical.push((undone.number, None));
            commit.notifications.push(self.notification(undone, true)?);
            records.add_side(*undone);
        }
        for done in &path.up {
            stop.check()?;
            let reverse = self.ledger().reverse(&done.hash)?.ok_or(ChainError::UnknownBlock((*done).into()))?;
            let diff = reverse.diff.inverse();
            let update = roots::trie::apply(&state, &diff)?;
            lay(&mut commit, &mut nodes, &mut state, Arc::new(Layer { diff, nodes: update.nodes }));
            commit.canonical.push((done.number, Some(done.hash)));
            commit.notifications.push(self.notification(done, false)?);
            records.remove_side(done);
        }
        let mut head = target;
        let block = new.as_ref().map(|new| Arc::clone(&new.stored));
        if let Some(new) = new {
            head = new.stored.id;
            commit.canonical.push((head.number, Some(head.hash)));
            let parent = new.stored.header.parent_hash;
            commit.notifications.push(Notification { block: head, parent, is_reverted: false });
            if path == (Path { ancestor: target, ..Path::default() }) {
                // The usual case, the next block on the head: nothing to merge, nothing to copy.
                let Layer { diff, nodes } = add_block(&mut commit, new);
                (commit.diff, commit.nodes) = (diff, nodes);
            } else {
                let layer = add_block(&mut commit, new);
                lay(&mut commit, &mut nodes, &mut state, Arc::new(layer));
            }
        }
        commit.nodes.extend(nodes);
        commit.canonical = last_of_each(commit.canonical);
        commit.head = Some(head);
        for id in &forget {
            records.remove_side(id);
            commit.forget.push(id.hash);
        }
        self.prune(writer, &mut records, &mut commit, head.number)?;
        commit.metadata = records.changes(&writer.records);
        let touched = touched(&commit.diff);
        self.ledger().commit(commit)?;
        writer.records = records;
        let after = self.publish(block.clone())?;
        self.settle_pool(&after, &path, block.as_deref(), touched);
        Ok(after)
    }

    fn notification(&self, block: &BlockId, is_reverted: bool) -> Result<Notification, ChainError> {
        let header = self.ledger().header(&block.hash)?.ok_or(ChainError::UnknownBlock((*block).into()))?;
        Ok(Notification { block: *block, parent: header.parent_hash, is_reverted })
    }

    /// Forgets what the history window has passed.
    fn prune(&self, writer: &Writer, records: &mut Records, commit: &mut Commit, head: u64) -> Result<(), ChainError> {
        let History::Window(window) = self.options().history else { return Ok(()) };
        // An anchor can always be returned to.
        let lowest = writer.anchors.lowest().unwrap_or(u64::MAX).min(head.saturating_sub(window));
        let end = (lowest + 1).min(records.oldest_reverse.saturating_add(FORGOTTEN_AT_ONCE));
        for number in records.oldest_reverse..end {
            commit.forget_reverse.extend(self.ledger().canonical(number)?);
            // Without that way back nobody comes to the state below it.
            let below = self.ledger().canonical(number - 1)?;
            commit.lattices.extend(below.map(|hash| (hash, None)));
        }
        records.oldest_reverse = records.oldest_reverse.max(end);
        commit.forget_notifications = Some(lowest);
        let kept = records.sides.partition_point(|side| side.number <= lowest);
        commit.forget.extend(records.sides.drain(..kept).map(|side| side.hash));
        Ok(())
    }
}

/// Accounts that can send less than before: those whose nonce is another, or whose balance is lower.
fn touched(diff: &StateDiff) -> Vec<(Address, Account)> {
    let accounts = diff.accounts.iter().filter_map(|(address, change)| {
        let (before, after) = (change.before.unwrap_or_default(), change.after.unwrap_or_default());
        (before.nonce != after.nonce || after.balance < before.balance).then_some((*address, after))
    });
    accounts.collect()
}

fn undo_layer(reverse: ReverseDiff) -> Layer {
    let ReverseDiff { diff, mut nodes } = reverse;
    nodes.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
    Layer { diff, nodes }
}

/// Writes the block and its way back; returns the way forth.
fn add_block(commit: &mut Commit, new: NewBlock) -> Layer {
    let NewBlock { stored, diff, update, lattice } = new;
    let reverse = ReverseDiff { diff: diff.inverse(), nodes: update.replaced };
    commit.reverse.push((stored.id.hash, reverse));
    commit.lattices.push((stored.id.hash, Some(lattice)));
    commit.blocks.push(stored);
    Layer { diff, nodes: update.nodes }
}

/// Adds a layer to what is to be written, and to the state on which the next one stands.
fn lay(commit: &mut Commit, nodes: &mut BTreeMap<NodeKey, Option<Bytes>>, state: &mut BlockState, layer: Arc<Layer>) {
    commit.diff = std::mem::take(&mut commit.diff).then(&layer.diff);
    nodes.extend(layer.nodes.iter().cloned());
    state.push(layer);
}

/// Of several entries for one height the last.
fn last_of_each(canonical: Vec<(u64, Option<B256>)>) -> Vec<(u64, Option<B256>)> {
    canonical.into_iter().collect::<BTreeMap<_, _>>().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_kept_within_their_bytes_and_the_newest_stay() {
        let layers = Layers::default();
        let node = Bytes::from(vec![7; LAYERS_BYTES_MAX / 10]);
        let layer = || {
            let nodes = vec![(NodeKey { owner: None, path: Vec::new() }, Some(node.clone()))];
            Arc::new(Layer { diff: StateDiff::default(), nodes })
        };
        let hash = |number: u8| B256::repeat_byte(number);
        for number in 0..40 {
            layers.put(hash(number), Direction::Undo, layer());
            layers.put(hash(number), Direction::Undo, layer());
            assert!(layers.0.lock().unwrap().bytes <= LAYERS_BYTES_MAX);
        }
        let kept = layers.0.lock().unwrap();
        assert_eq!(kept.bytes, kept.layers.iter().map(|(_, layer)| layer.bytes()).sum::<usize>());
        assert_eq!(kept.layers.len(), 9);
        assert!(kept.layers.contains(&(hash(39), Direction::Undo)));
        assert!(!kept.layers.contains(&(hash(0), Direction::Undo)));
    }
}

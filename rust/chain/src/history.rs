//! The state at a block that is not the head: the head's frozen state, seen through the changes between the two.
//!
//! A [`Layer`] is what one block changed, in one direction: undone (from the block back to its parent), or done (a side
//! branch's block on top of its parent). A state is the base with the layers that lead from it to the block, and the
//! layer nearest to the block wins. Nothing is copied, so a state costs as many pointers as there are blocks between,
//! and each question asks the layers one after the other, then the base.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use state::{
    AccountDiff, LedgerError, NodeKey, SlotDiff, StateDiff, StateReader, Stop, Stopped, TrieNodes, View, ViewError,
};
use types::{Account, Address, B256, BlockId, Bytes, U256};

/// What one block changed. `diff.after` and `nodes` hold what is true on the far side of the layer.
#[derive(Debug, Default)]
pub(crate) struct Layer {
    pub(crate) diff: StateDiff,
    /// Ascending by key.
    pub(crate) nodes: Vec<(NodeKey, Option<Bytes>)>,
}

impl Layer {
    /// Memory that it takes, nearly.
    pub(crate) fn bytes(&self) -> usize {
        let slots: usize = self.diff.accounts.iter().map(|(_, change)| change.slots.len()).sum();
        let codes: usize = self.diff.codes.iter().map(|(hash, code)| hash.len() + code.len()).sum();
        let node = |(key, node): &(NodeKey, Option<Bytes>)| key.path.len() + node.as_ref().map_or(0, |node| node.len());
        size_of::<Self>()
            + self.diff.accounts.len() * size_of::<(Address, AccountDiff)>()
            + slots * size_of::<SlotDiff>()
            + codes
            + self.nodes.len() * size_of::<(NodeKey, Option<Bytes>)>()
            + self.nodes.iter().map(node).sum::<usize>()
    }

    fn node(&self, key: &NodeKey) -> Option<&Option<Bytes>> {
        let index = self.nodes.binary_search_by(|(other, _)| other.cmp(key)).ok()?;
        Some(&self.nodes[index].1)
    }
}

/// The state after a block, frozen. Reads as a [`View`] and as [`TrieNodes`], until the work within which it was made, or
/// is read, is asked to stop.
#[derive(Clone)]
pub struct BlockState {
    id: BlockId,
    base: Arc<dyn StateReader>,
    /// Nearest to the block first.
    layers: Vec<Arc<Layer>>,
    /// Hashes of the branch's own blocks, where it is not the canonical one.
    hashes: HashMap<u64, B256>,
    stop: Stop,
}

impl BlockState {
    pub(crate) fn new(
        id: BlockId,
        base: Arc<dyn StateReader>,
        layers: Vec<Arc<Layer>>,
        hashes: HashMap<u64, B256>,
    ) -> Self {
        Self { id, base, layers, hashes, stop: Stop::current() }
    }

    /// Puts a change on top of all others.
    pub(crate) fn push(&mut self, layer: Arc<Layer>) {
        self.layers.insert(0, layer);
    }

    /// This block is part of the branch.
    pub(crate) fn name(&mut self, id: BlockId) {
        self.hashes.insert(id.number, id.hash);
        self.id = id;
    }

    /// The state at rest below all layers.
    pub(crate) fn base(&self) -> &dyn StateReader {
        &*self.base
    }

    /// What lies over it, the nearest first.
    pub(crate) fn layers(&self) -> impl Iterator<Item = &Layer> {
        self.layers.iter().map(Arc::as_ref)
    }

    /// Whose state this is.
    pub fn id(&self) -> BlockId {
        self.id
    }

    /// Balance in wei; zero where there is no account.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn balance(&self, address: &Address) -> Result<U256, ViewError> {
        Ok(self.account(address)?.unwrap_or_default().balance)
    }

    /// Nonce; zero where there is no account.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn nonce(&self, address: &Address) -> Result<u64, ViewError> {
        Ok(self.account(address)?.unwrap_or_default().nonce)
    }

    /// The code at an address; empty where there is none.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn code_at(&self, address: &Address) -> Result<Bytes, ViewError> {
        match self.account(address)? {
            Some(account) if account.has_code() => self.code(&account.code_hash),
            _ => Ok(Bytes::new()),
        }
    }
}

impl std::fmt::Debug for BlockState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlockState").field("id", &self.id).field("layers", &self.layers.len()).finish_non_exhaustive()
    }
}

impl View for BlockState {
    fn account(&self, address: &Address) -> Result<Option<Account>, ViewError> {
        self.check()?;
        match self.layers.iter().find_map(|layer| layer.diff.account(address)) {
            Some(change) => Ok(change.after),
            None => self.base.account(address),
        }
    }

    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, ViewError> {
        self.check()?;
        for layer in &self.layers {
            let Some(change) = layer.diff.account(address) else { continue };
            if let Ok(index) = change.slots.binary_search_by_key(slot, |entry| entry.key) {
                return Ok(change.slots[index].after);
            }
        }
        self.base.storage(address, slot)
    }

    fn code(&self, hash: &B256) -> Result<Bytes, ViewError> {
        let new = self.layers.iter().find_map(|layer| {
            let index = layer.diff.codes.binary_search_by_key(hash, |(other, _)| *other).ok()?;
            Some(layer.diff.codes[index].1.clone())
        });
        new.map_or_else(|| self.base.code(hash), Ok)
    }

    fn block_hash(&self, number: u64) -> Result<B256, ViewError> {
        match self.hashes.get(&number) {
            Some(hash) => Ok(*hash),
            None => self.base.block_hash(number),
        }
    }

    fn slots(&self, address: &Address) -> Result<Vec<(U256, U256)>, ViewError> {
        let mut slots: BTreeMap<_, _> = self.base.slots(address)?.into_iter().collect();
        for layer in self.layers.iter().rev() {
            let changed = layer.diff.account(address).into_iter().flat_map(|change| &change.slots);
            slots.extend(changed.map(|slot| (slot.key, slot.after)));
        }
        Ok(slots.into_iter().filter(|(_, value)| !value.is_zero()).collect())
    }

    fn has_storage(&self, address: &Address) -> Result<bool, ViewError> {
        if self.layers.iter().all(|layer| layer.diff.account(address).is_none()) {
            return self.base.has_storage(address);
        }
        Ok(!self.slots(address)?.is_empty())
    }

    fn check(&self) -> Result<(), Stopped> {
        // Who reads it may work on another thread than who made it, or long after.
        self.stop.check().and_then(|()| Stop::check_current())
    }
}

impl TrieNodes for BlockState {
    fn node(&self, key: &NodeKey) -> Result<Option<Bytes>, LedgerError> {
        self.check()?;
        match self.layers.iter().find_map(|layer| layer.node(key)) {
            Some(node) => Ok(node.clone()),
            None => self.base.node(key),
        }
    }
}

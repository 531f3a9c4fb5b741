//! Ethereum's secure trie over stored nodes: the state root and the storage roots below it.
//!
//! Keys are hashes of addresses and slots. Cost follows what a diff changes, never the size of the state.

use alloy_rlp::Decodable;
use rayon::prelude::*;
use types::{Account, Address, B256, Bytes, EMPTY_ROOT, LeafAccount, U256};

use super::edit::{self, Change, Edited, Place, Task};
use super::node::{NodeError, Path};
use crate::{AccountDiff, LedgerError, MemoryState, NodeKey, SlotDiff, StateDiff, TrieNodes};

/// Why there is no root. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RootError {
    /// The store could not be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A stored node is not what a trie holds: the store is damaged.
    #[error("{} is damaged: {reason}", describe(.key))]
    Malformed {
        /// Where it stands.
        key: NodeKey,
        /// What is wrong with it.
        reason: NodeError,
    },
    /// A stored node is missing: the store is damaged.
    #[error("{} is missing", describe(.0))]
    Missing(NodeKey),
    /// The trie holds another account than the diff starts from.
    #[error("{address} is {held:?} in the trie, but the diff starts from {before:?}")]
    AccountBefore {
        /// Whose account.
        address: Address,
        /// What the diff says.
        before: Box<Option<Account>>,
        /// What the trie holds.
        held: Box<Option<Account>>,
    },
    /// The trie holds another value than the diff starts from.
    #[error("slot {slot} of {address} is {held} in the trie, but the diff starts from {before}")]
    SlotBefore {
        /// Whose slot.
        address: Address,
        /// Which slot.
        slot: U256,
        /// What the diff says.
        before: U256,
        /// What the trie holds.
        held: U256,
    },
    /// The diff removes an account, but not all of its slots.
    #[error("{address} is removed, but storage stays behind under root {storage_root}")]
    StorageLeft {
        /// Whose account.
        address: Address,
        /// Root of what is left.
        storage_root: B256,
    },
}

fn describe(key: &NodeKey) -> String {
    let path: String = key.path.iter().map(|nibble| format!("{nibble:x}")).collect();
    match key.owner {
        Some(owner) => format!("trie node \"{path}\" of the storage of {owner}"),
        None => format!("trie node \"{path}\" of the state"),
    }
}

/// What a diff makes of the trie.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RootUpdate {
    /// The state root afterwards.
    pub root: B256,
    /// Nodes to write (Some) or remove (None), ascending by key: exactly those that differ.
    pub nodes: Vec<(NodeKey, Option<Bytes>)>,
    /// What stood at the same keys, in the same order: written back, it undoes `nodes`.
    pub replaced: Vec<(NodeKey, Option<Bytes>)>,
}

/// The root after `diff`, and the nodes that it changes. `nodes` stays as it is: the caller writes.
///
/// ```
/// use std::collections::BTreeMap;
/// use execlayer_state::{LedgerError, MemoryState, NodeKey, TrieNodes, roots};
///
/// struct Nodes(BTreeMap<NodeKey, types::Bytes>);
/// impl TrieNodes for Nodes {
///     fn node(&self, key: &NodeKey) -> Result<Option<types::Bytes>, LedgerError> {
///         Ok(self.0.get(key).cloned())
///     }
/// }
///
/// let mut state = MemoryState::default();
/// state.insert(types::Address::ZERO, 1, types::U256::from(100), types::Bytes::new());
/// let update = roots::trie::apply(&Nodes(BTreeMap::new()), &state.to_diff())?;
/// assert_eq!(update.root, roots::state_root(&state));
/// assert_eq!(update.nodes.len(), 1);
/// assert_eq!(update.replaced, [(update.nodes[0].0.clone(), None)]);
/// # Ok::<(), roots::RootError>(())
/// ```
///
/// # Errors
/// [`RootError`] where the stored trie is damaged, cannot be read, or is not the one that the diff starts from.
pub fn apply(nodes: &dyn TrieNodes, diff: &StateDiff) -> Result<RootUpdate, RootError> {
    let addresses: Vec<&[u8]> = diff.accounts.iter().map(|(address, _)| address.as_slice()).collect();
    let hashes = hash_all(&addresses);

    let mut order: Vec<usize> = (0..hashes.len()).collect();
    order.sort_unstable_by_key(|&index| hashes[index]);

    let with_slots: Vec<usize> =
        order.iter().copied().filter(|&index| !diff.accounts[index].1.slots.is_empty()).collect();
    let slots = slot_changes(&with_slots.iter().map(|&index| &diff.accounts[index]).collect::<Vec<_>>());
    let tasks: Vec<_> =
        with_slots.iter().zip(&slots).map(|(&index, changes)| Task { owner: Some(hashes[index]), changes }).collect();
    let storage = edit::run(nodes, &tasks)?;

    let mut storage_roots = with_slots.iter().zip(&storage).peekable();
    let changes: Vec<AccountChange<'_>> = order
        .iter()
        .map(|&index| {
            let (address, change) = &diff.accounts[index];
            let edited = storage_roots.next_if(|(with_slots, _)| **with_slots == index);
            let storage_root = edited.and_then(|(_, edited)| edited.root);
            AccountChange { key: Path::of_key(hashes[index].as_slice()), address, change, storage_root }
        })
        .collect();
    let state = edit::run(nodes, &[Task { owner: None, changes: &changes }])?.remove(0);

    let root = match state.root {
        Some(root) => root,
        None => stored_root(nodes)?,
    };
    let mut update = RootUpdate { root, ..RootUpdate::default() };
    update.extend(None, state);
    for (&index, edited) in with_slots.iter().zip(storage) {
        update.extend(Some(hashes[index]), edited);
    }
    Ok(update)
}

/// The root that the stored nodes have now.
pub fn stored_root(nodes: &dyn TrieNodes) -> Result<B256, RootError> {
    root_of(nodes, None)
}

/// The same of the storage of the account whose address has this hash.
pub fn stored_storage_root(nodes: &dyn TrieNodes, owner: B256) -> Result<B256, RootError> {
    root_of(nodes, Some(owner))
}

fn root_of(nodes: &dyn TrieNodes, owner: Option<B256>) -> Result<B256, RootError> {
    let root = nodes.node(&NodeKey { owner, path: Vec::new() })?;
    Ok(root.map_or(EMPTY_ROOT, types::keccak256))
}

/// The root over a list (transactions, receipts, withdrawals): each item's encoding under the RLP of its index.
///
/// ```
/// use execlayer_state::roots::{ordered_root, proof};
///
/// let items = [b"first transaction".as_slice(), b"second"];
/// let evidence = proof::prove_item(items, 1);
/// let proven = proof::verify_item(ordered_root(items), 1, &evidence)?;
/// assert_eq!(proven, Some(types::Bytes::from_static(b"second")));
/// # Ok::<(), proof::ProofError>(())
/// ```
pub fn ordered_root<I: AsRef<[u8]>>(items: impl IntoIterator<Item = I>) -> B256 {
    ordered(items).root.unwrap_or(EMPTY_ROOT)
}

/// The nodes of that trie, with their places.
pub(super) fn ordered_nodes<I: AsRef<[u8]>>(items: impl IntoIterator<Item = I>) -> Vec<(Path, Bytes)> {
    ordered(items).places.into_iter().filter_map(|place| Some((place.path, place.after?))).collect()
}

fn ordered<I: AsRef<[u8]>>(items: impl IntoIterator<Item = I>) -> Edited {
    let mut changes: Vec<ItemChange> = items
        .into_iter()
        .enumerate()
        .map(|(index, item)| ItemChange {
            key: Path::of_key(&alloy_rlp::encode(index)),
            value: Bytes::copy_from_slice(item.as_ref()),
        })
        .collect();
    changes.sort_unstable_by_key(|change| change.key);
    let task = Task { owner: None, changes: &changes };
    edit::run(&NoNodes, &[task]).expect("an empty trie cannot be damaged").remove(0)
}

/// The root of a whole state.
pub fn state_root(state: &MemoryState) -> B256 {
    apply(&NoNodes, &state.to_diff()).expect("an empty trie cannot be damaged").root
}

/// A trie that holds nothing yet.
struct NoNodes;

impl TrieNodes for NoNodes {
    fn node(&self, _: &NodeKey) -> Result<Option<Bytes>, LedgerError> {
        Ok(None)
    }
}

impl RootUpdate {
    fn extend(&mut self, owner: Option<B256>, edited: Edited) {
        self.nodes.reserve(edited.places.len());
        self.replaced.reserve(edited.places.len());
        for Place { path, before, after } in edited.places {
            let key = NodeKey { owner, path: path.to_vec() };
            self.nodes.push((key.clone(), after));
            self.replaced.push((key, before));
        }
    }
}

/// Hashes that one core does before a second one pays: some 100 µs.
const BATCH_HASHES: usize = 1024;

fn hash_all(inputs: &[&[u8]]) -> Vec<B256> {
    let mut hashes = vec![B256::ZERO; inputs.len()];
    if inputs.len() <= BATCH_HASHES {
        kernels::keccak256_many(inputs, &mut hashes);
    } else {
        let batches = inputs.par_chunks(BATCH_HASHES).zip(hashes.par_chunks_mut(BATCH_HASHES));
        batches.for_each(|(inputs, hashes)| kernels::keccak256_many(inputs, hashes));
    }
    hashes
}

/// A slot's change, under the hash of its key.
struct SlotChange<'d> {
    key: Path,
    address: &'d Address,
    slot: &'d SlotDiff,
}

/// The changes of each account's slots, by their hashed keys. Keys of all accounts are hashed in one go: most accounts
/// change too few to fill the lanes.
fn slot_changes<'d>(accounts: &[&'d (Address, AccountDiff)]) -> Vec<Vec<SlotChange<'d>>> {
    let slots = accounts.iter().flat_map(|(_, change)| &change.slots);
    let keys: Vec<[u8; 32]> = slots.map(|slot| slot.key.to_be_bytes()).collect();
    let mut hashes = hash_all(&keys.iter().map(|key| &key[..]).collect::<Vec<_>>()).into_iter();
    let of_account = |&(address, change): &&'d (Address, AccountDiff)| {
        let hashed = change.slots.iter().zip(hashes.by_ref());
        let mut changes: Vec<_> =
            hashed.map(|(slot, hash)| SlotChange { key: Path::of_key(hash.as_slice()), address, slot }).collect();
        changes.sort_unstable_by_key(|change| change.key);
        changes
    };
    accounts.iter().map(of_account).collect()
}

impl Change for SlotChange<'_> {
    fn key(&self) -> &Path {
        &self.key
    }

    fn value(&self, held: Option<&Bytes>) -> Result<Option<Bytes>, RootError> {
        let SlotDiff { key: slot, before, after } = *self.slot;
        let address = *self.address;
        let value = held.map_or(Ok(U256::ZERO), |rlp| decode_value(rlp, Some(&address), &self.key))?;
        if value != before {
            return Err(RootError::SlotBefore { address, slot, before, held: value });
        }
        Ok((!after.is_zero()).then(|| alloy_rlp::encode(after).into()))
    }
}

/// An account's change, under the hash of its address.
struct AccountChange<'d> {
    key: Path,
    address: &'d Address,
    change: &'d AccountDiff,
    /// None: the storage root that the leaf has already.
    storage_root: Option<B256>,
}

impl Change for AccountChange<'_> {
    fn key(&self) -> &Path {
        &self.key
    }

    fn value(&self, held: Option<&Bytes>) -> Result<Option<Bytes>, RootError> {
        let (address, before) = (*self.address, self.change.before);
        let held: Option<LeafAccount> = held.map(|rlp| decode_value(rlp, None, &self.key)).transpose()?;
        let held_account = held.map(|leaf| leaf.account());
        if held_account != before {
            return Err(RootError::AccountBefore { address, before: before.into(), held: held_account.into() });
        }
        let storage_root = self.storage_root.or(held.map(|leaf| leaf.storage_root)).unwrap_or(EMPTY_ROOT);
        match &self.change.after {
            Some(account) => Ok(Some(alloy_rlp::encode(LeafAccount::new(account, storage_root)).into())),
            None if storage_root == EMPTY_ROOT => Ok(None),
            None => Err(RootError::StorageLeft { address, storage_root }),
        }
    }
}

/// Decodes what a leaf holds: of the state, or of somebody's storage.
pub(super) fn decode_value<T: Decodable>(rlp: &[u8], storage_of: Option<&Address>, key: &Path) -> Result<T, RootError> {
    alloy_rlp::decode_exact(rlp).map_err(|error| {
        let key = NodeKey { owner: storage_of.map(types::keccak256), path: key.to_vec() };
        RootError::Malformed { key, reason: error.into() }
    })
}

/// A list's item, under the RLP of its index.
struct ItemChange {
    key: Path,
    value: Bytes,
}

impl Change for ItemChange {
    fn key(&self) -> &Path {
        &self.key
    }

    fn value(&self, _: Option<&Bytes>) -> Result<Option<Bytes>, RootError> {
        // An empty item would be no entry at all.
        Ok(Some(self.value.clone()).filter(|value| !value.is_empty()))
    }
}

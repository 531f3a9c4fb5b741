//! Proofs that an account, a slot, or an item of a block's list is there, or is not.
//!
//! A proof is the stored nodes from the root down to where the key's path ends, the root first; nodes inside their parent
//! are not repeated. A trie that holds nothing has a proof of no nodes. Verifying needs the root alone: no chain, no
//! store. It takes any bytes, and accepts only a chain of hashes that starts at the root and has nothing left over.

use std::collections::BTreeMap;

use alloy_rlp::Decodable;
use types::{Address, B256, Bytes, EMPTY_ROOT, LeafAccount, U256, keccak256};

use super::node::{Node, NodeError, Path, Reference};
use super::{RootError, trie};
use crate::{LedgerError, NodeKey, TrieNodes};

/// Why a proof proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// Node by node each hash must be what its parent says, and the first the root.
    #[error("proof node {index} has hash {got}, not {expected}")]
    Hash {
        /// Which node.
        index: usize,
        /// What the root or the parent says.
        expected: B256,
        /// What it is.
        got: B256,
    },
    /// The key's path goes on below the last node.
    #[error("proof ends after {nodes} nodes, before node {expected}")]
    Short {
        /// How many nodes it has.
        nodes: usize,
        /// The hash of the next one.
        expected: B256,
    },
    /// The key's path ends before the last node.
    #[error("proof has {nodes} nodes where {used} are enough")]
    Long {
        /// How many nodes it has.
        nodes: usize,
        /// How many lie on the key's path.
        used: usize,
    },
    /// A node with the right hash that no trie holds.
    #[error("proof node {index}: {reason}")]
    Node {
        /// Which node.
        index: usize,
        /// What is wrong with it.
        reason: NodeError,
    },
    /// The key has a value, but not one that stands for an account or a slot.
    #[error("the proven value is none: {0}")]
    Value(alloy_rlp::Error),
    /// Keys of tries have at most 32 bytes.
    #[error("a trie key has at most 32 bytes, not {0}")]
    Key(usize),
}

/// What the state says of an account, with its proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountProof {
    /// None: it does not exist.
    pub account: Option<LeafAccount>,
    /// From the root down.
    pub nodes: Vec<Bytes>,
}

/// What an account's storage says of a slot, with its proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotProof {
    /// Zero: it holds nothing.
    pub value: U256,
    /// From the root down.
    pub nodes: Vec<Bytes>,
}

/// Proves an account, or that there is none.
///
/// # Errors
/// [`RootError`] where the stored trie is damaged or cannot be read.
pub fn prove_account(nodes: &dyn TrieNodes, address: &Address) -> Result<AccountProof, RootError> {
    let key = Path::of_key(keccak256(address).as_slice());
    let (held, nodes) = prove(nodes, None, &key)?;
    Ok(AccountProof { account: held.map(|rlp| trie::decode_value(&rlp, None, &key)).transpose()?, nodes })
}

/// Proves a slot, or that it holds nothing.
///
/// # Errors
/// As [`prove_account`].
pub fn prove_slot(nodes: &dyn TrieNodes, address: &Address, slot: &U256) -> Result<SlotProof, RootError> {
    let key = Path::of_key(keccak256(slot.to_be_bytes::<32>()).as_slice());
    let (held, nodes) = prove(nodes, Some(keccak256(address)), &key)?;
    let value = held.map(|rlp| trie::decode_value(&rlp, Some(address), &key)).transpose()?;
    Ok(SlotProof { value: value.unwrap_or_default(), nodes })
}

/// Proves an item of a list (transactions, receipts, withdrawals) below its [`trie::ordered_root`], or that the list has
/// no such item.
pub fn prove_item<I: AsRef<[u8]>>(items: impl IntoIterator<Item = I>, index: usize) -> Vec<Bytes> {
    let nodes = OrderedNodes(trie::ordered_nodes(items).into_iter().collect());
    let (_, proof) = prove(&nodes, None, &Path::of_key(&alloy_rlp::encode(index))).expect("a trie just built is whole");
    proof
}

/// The nodes of one list's trie.
struct OrderedNodes(BTreeMap<Path, Bytes>);

impl TrieNodes for OrderedNodes {
    fn node(&self, key: &NodeKey) -> Result<Option<Bytes>, LedgerError> {
        Ok(self.0.get(&Path::from(&key.path[..])).cloned())
    }
}

/// What `proof` says of an account under a state root; None: that there is none.
///
/// # Errors
/// [`ProofError`] where it says nothing.
pub fn verify_account(root: B256, address: &Address, proof: &[Bytes]) -> Result<Option<LeafAccount>, ProofError> {
    verify(root, keccak256(address).as_slice(), proof)?.map(|rlp| decode(&rlp)).transpose()
}

/// What `proof` says of a slot under a storage root; zero: that it holds nothing.
///
/// # Errors
/// As [`verify_account`].
pub fn verify_slot(storage_root: B256, slot: &U256, proof: &[Bytes]) -> Result<U256, ProofError> {
    let held = verify(storage_root, keccak256(slot.to_be_bytes::<32>()).as_slice(), proof)?;
    held.map_or(Ok(U256::ZERO), |rlp| decode(&rlp))
}

/// What `proof` says of an item of a list under its root; None: that the list has no such item.
///
/// # Errors
/// As [`verify_account`].
pub fn verify_item(root: B256, index: usize, proof: &[Bytes]) -> Result<Option<Bytes>, ProofError> {
    verify(root, &alloy_rlp::encode(index), proof)
}

/// What `proof` says of a key under a root: the bytes that it holds, or None where it holds nothing.
///
/// # Errors
/// As [`verify_account`].
pub fn verify(root: B256, key: &[u8], proof: &[Bytes]) -> Result<Option<Bytes>, ProofError> {
    if key.len() > 32 {
        return Err(ProofError::Key(key.len()));
    }
    if root == EMPTY_ROOT {
        // Some write nothing as no nodes, some as the empty string's RLP, whose hash this root is.
        return match proof {
            [] => Ok(None),
            [node] if node[..] == [alloy_rlp::EMPTY_STRING_CODE] => Ok(None),
            [..] => Err(ProofError::Long { nodes: proof.len(), used: 0 }),
        };
    }
    let key = Path::of_key(key);
    let mut walk = Walk { key: &key, depth: 0 };
    let mut expected = root;
    for (index, node) in proof.iter().enumerate() {
        let got = keccak256(node);
        if got != expected {
            return Err(ProofError::Hash { index, expected, got });
        }
        match walk.step(node).map_err(|reason| ProofError::Node { index, reason })? {
            Next::Stored(hash) => expected = hash,
            Next::End(_) if index + 1 < proof.len() => {
                return Err(ProofError::Long { nodes: proof.len(), used: index + 1 });
            }
            Next::End(held) => return Ok(held),
        }
    }
    Err(ProofError::Short { nodes: proof.len(), expected })
}

fn decode<T: Decodable>(rlp: &[u8]) -> Result<T, ProofError> {
    alloy_rlp::decode_exact(rlp).map_err(ProofError::Value)
}

/// What a key of a stored trie holds, and the stored nodes on its path.
fn prove(nodes: &dyn TrieNodes, owner: Option<B256>, key: &Path) -> Result<(Option<Bytes>, Vec<Bytes>), RootError> {
    let place = |path: &[u8]| NodeKey { owner, path: path.to_vec() };
    let Some(root) = nodes.node(&place(&[]))? else { return Ok((None, Vec::new())) };
    let mut proof = vec![root];
    let mut walk = Walk { key, depth: 0 };
    loop {
        let here = place(walk.path());
        match walk.step(&proof[proof.len() - 1]).map_err(|reason| RootError::Malformed { key: here, reason })? {
            Next::End(held) => return Ok((held, proof)),
            Next::Stored(_) => {
                let here = place(walk.path());
                proof.push(nodes.node(&here)?.ok_or(RootError::Missing(here))?);
            }
        }
    }
}

/// A key on its way down a trie, from stored node to stored node.
struct Walk<'k> {
    key: &'k Path,
    depth: usize,
}

/// Where a stored node leads.
enum Next {
    /// To another stored node, of this hash.
    Stored(B256),
    /// To what the key holds.
    End(Option<Bytes>),
}

impl Walk<'_> {
    /// The place of the stored node that the walk has come to.
    fn path(&self) -> &[u8] {
        &self.key[..self.depth]
    }

    /// Goes through the node there, and what stands inline in it. Each goes deeper, at most to the key's end.
    fn step(&mut self, node: &Bytes) -> Result<Next, NodeError> {
        let mut node = node.clone();
        loop {
            let below = &self.key[self.depth..];
            let child = match Node::<Reference>::decode_at(self.depth, &node)? {
                Node::Leaf { path, value } => return Ok(Next::End((*path == *below).then_some(value))),
                Node::Extension { path, child } if below.starts_with(&path) => {
                    self.depth += path.len();
                    child
                }
                Node::Extension { .. } => return Ok(Next::End(None)),
                Node::Branch { children, value } => match below.first() {
                    Some(&nibble) => {
                        self.depth += 1;
                        children[usize::from(nibble)]
                    }
                    None => return Ok(Next::End(Some(value).filter(|value| !value.is_empty()))),
                },
            };
            match (child.as_hash(), child.as_inline()) {
                (Some(hash), _) => return Ok(Next::Stored(hash)),
                (None, Some(inline)) => node = Bytes::copy_from_slice(inline),
                (None, None) => return Ok(Next::End(None)),
            }
        }
    }
}

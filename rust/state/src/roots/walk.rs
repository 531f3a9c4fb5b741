//! A stored trie's entries in the order of their keys, up or down, from any key on.
//!
//! Unlike edits, a walk believes nothing: each node that it comes to must have the hash by which its parent names it, so
//! that a walk from end to end proves the whole trie under its root. It holds the siblings along one path, and reads
//! nothing beside or behind the entries that are asked for.

use types::{B256, Bytes, keccak256};

use super::node::{Node, Path, Reference};
use super::{NodeError, RootError};
use crate::{NodeKey, TrieNodes};

/// Entries of one trie, each with its key: in the tries of a state the hash of an address or slot. After an error there
/// are no more.
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
/// let nodes = Nodes(update.nodes.into_iter().filter_map(|(key, node)| Some((key, node?))).collect());
/// let keys: Result<Vec<_>, _> = roots::Entries::up(&nodes, None, None)?.map(|entry| entry.map(|(key, _)| key)).collect();
/// assert_eq!(keys?, [types::keccak256(types::Address::ZERO).to_vec()]);
/// assert!(roots::Entries::down(&nodes, None, Some(&[0]))?.next().is_none());
/// # Ok::<(), roots::RootError>(())
/// ```
pub struct Entries<'n> {
    nodes: &'n dyn TrieNodes,
    /// Whose storage it is; None: the state trie.
    owner: Option<B256>,
    ahead: Vec<Ahead>,
    /// Only what lies beyond it is wanted.
    from: Option<Path>,
    down: bool,
}

impl std::fmt::Debug for Entries<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entries").field("owner", &self.owner).field("down", &self.down).finish_non_exhaustive()
    }
}

/// What a walk has still to go through, the next of it last.
enum Ahead {
    Entry(Path, Bytes),
    Subtrie(Path, Reference),
}

impl<'n> Entries<'n> {
    /// Ascending, behind `after` where that is given.
    ///
    /// # Errors
    /// [`RootError`] where the trie's root cannot be read.
    pub fn up(nodes: &'n dyn TrieNodes, owner: Option<B256>, after: Option<&[u8]>) -> Result<Self, RootError> {
        Self::begin(nodes, owner, after, false)
    }

    /// Descending, before `before` where that is given.
    ///
    /// # Errors
    /// As [`up`](Self::up).
    pub fn down(nodes: &'n dyn TrieNodes, owner: Option<B256>, before: Option<&[u8]>) -> Result<Self, RootError> {
        Self::begin(nodes, owner, before, true)
    }

    fn begin(
        nodes: &'n dyn TrieNodes,
        owner: Option<B256>,
        from: Option<&[u8]>,
        down: bool,
    ) -> Result<Self, RootError> {
        let from = from.map(|key| Path::of_key(&key[..key.len().min(32)]));
        let mut entries = Self { nodes, owner, ahead: Vec::new(), from, down };
        if let Some(root) = nodes.node(&entries.key(&Path::EMPTY))? {
            entries.open(Path::EMPTY, &root)?;
        }
        Ok(entries)
    }

    fn key(&self, path: &Path) -> NodeKey {
        NodeKey { owner: self.owner, path: path.to_vec() }
    }

    fn malformed(&self, path: &Path, reason: NodeError) -> RootError {
        RootError::Malformed { key: self.key(path), reason }
    }

    /// Whether something at or below a path can lie beyond where the walk begins.
    fn is_wanted(&self, path: &Path, whole: bool) -> bool {
        let Some(from) = &self.from else { return true };
        // What is below a path that leads to the beginning may lie on either side of it.
        if !whole && from.starts_with(path) {
            return true;
        }
        if self.down { path < from } else { path > from }
    }

    /// Puts what a node holds ahead.
    fn open(&mut self, path: Path, rlp: &Bytes) -> Result<(), RootError> {
        let node = Node::<Reference>::decode_at(path.len(), rlp).map_err(|reason| self.malformed(&path, reason))?;
        let first = self.ahead.len();
        match node {
            Node::Leaf { path: rest, value } => self.ahead.push(Ahead::Entry(path.join(&rest), value)),
            Node::Extension { path: rest, child } => self.ahead.push(Ahead::Subtrie(path.join(&rest), child)),
            Node::Branch { children, value } => {
                if !value.is_empty() {
                    self.ahead.push(Ahead::Entry(path, value));
                }
                let children = (0u8..).zip(children.iter()).filter(|(_, child)| !child.is_empty());
                self.ahead.extend(children.map(|(nibble, child)| Ahead::Subtrie(path.join(&[nibble]), *child)));
            }
        }
        // They stand in ascending order, and the last is the next.
        if !self.down {
            self.ahead[first..].reverse();
        }
        Ok(())
    }

    /// The node that its parent refers to so.
    fn load(&self, path: &Path, reference: &Reference) -> Result<Bytes, RootError> {
        let Some(expected) = reference.as_hash() else {
            return Ok(Bytes::copy_from_slice(reference.as_inline().unwrap_or_default()));
        };
        let key = self.key(path);
        let Some(node) = self.nodes.node(&key)? else { return Err(RootError::Missing(key)) };
        let got = keccak256(&node);
        if got == expected { Ok(node) } else { Err(self.malformed(path, NodeError::Hash(got))) }
    }

    fn step(&mut self) -> Result<Option<(Vec<u8>, Bytes)>, RootError> {
        while let Some(ahead) = self.ahead.pop() {
            match ahead {
                Ahead::Entry(path, value) if self.is_wanted(&path, true) => {
                    if path.len() % 2 != 0 {
                        return Err(self.malformed(&path, NodeError::HalfByte));
                    }
                    return Ok(Some((path.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect(), value)));
                }
                Ahead::Subtrie(path, reference) if self.is_wanted(&path, false) => {
                    let node = self.load(&path, &reference)?;
                    self.open(path, &node)?;
                }
                Ahead::Entry(..) | Ahead::Subtrie(..) => {}
            }
        }
        Ok(None)
    }
}

impl Iterator for Entries<'_> {
    type Item = Result<(Vec<u8>, Bytes), RootError>;

    fn next(&mut self) -> Option<Self::Item> {
        let step = self.step();
        if step.is_err() {
            self.ahead.clear();
        }
        step.transpose()
    }
}

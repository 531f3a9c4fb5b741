//! Changing Merkle Patricia tries: many keys at once, reading only what they touch.
//!
//! Nodes are stored by path. A node has a place of its own where its parent refers to it by hash, or where it is the
//! root; a node whose RLP is shorter than a hash lives inside its parent and has none. So the set of stored nodes is a
//! function of the trie's entries, whatever was done before.
//!
//! Two steps. *Edit* goes down along the sorted changes and rebuilds the nodes on their paths, children still unhashed.
//! *Seal* takes such trees apart level by level and hashes each level at once, deepest first. Sealing follows as soon as
//! a subtrie has seen enough changes to fill the lanes, while its nodes are still in the cache; small tries are sealed
//! together. A large trie is split near its root, and all cores work.
//!
//! Stored nodes are believed: their hash is not recomputed when they are read.

use rayon::prelude::*;
use types::{B256, Bytes, EMPTY_ROOT};

use super::RootError;
use super::node::{Link, Node, Path, Reference};
use crate::{NodeKey, TrieNodes};

/// How many changes are sealed together, in one subtrie or in several small tries: levels much wider than the lanes of
/// any hash, and nodes that together stay in a core's cache.
const BATCH_CHANGES: usize = 256;

/// A branch with as many changes below it hands them to all cores: some 500 µs of work.
const PARALLEL_CHANGES: usize = 1024;

/// A change of one key.
pub(super) trait Change: Send + Sync {
    /// The whole path.
    fn key(&self) -> &Path;
    /// What the key holds from now on, given what it holds; None: nothing.
    fn value(&self, held: Option<&Bytes>) -> Result<Option<Bytes>, RootError>;
}

/// A trie to change.
pub(super) struct Task<'c, C> {
    /// Whose storage it is; None: the state trie.
    pub(super) owner: Option<B256>,
    /// Ascending by key, without repeats.
    pub(super) changes: &'c [C],
}

/// What a task came to.
#[derive(Default)]
pub(super) struct Edited {
    /// None: nothing changed, and nobody asked what the root is.
    pub(super) root: Option<B256>,
    /// Every place whose node changed, ascending.
    pub(super) places: Vec<Place>,
}

/// A place where nodes are stored, what stood there, and what stands there now.
pub(super) struct Place {
    pub(super) path: Path,
    pub(super) before: Option<Bytes>,
    pub(super) after: Option<Bytes>,
}

/// Carries out all tasks; their outcomes stand in the same order.
pub(super) fn run<C: Change>(nodes: &dyn TrieNodes, tasks: &[Task<'_, C>]) -> Result<Vec<Edited>, RootError> {
    let mut batches = Vec::new();
    let (mut start, mut changes) = (0, 0);
    for (index, task) in tasks.iter().enumerate() {
        changes += task.changes.len();
        if changes >= BATCH_CHANGES || index + 1 == tasks.len() {
            batches.push(&tasks[start..=index]);
            (start, changes) = (index + 1, 0);
        }
    }
    match batches[..] {
        [] => Ok(Vec::new()),
        [batch] => run_batch(nodes, batch),
        _ => {
            let edited: Result<Vec<_>, _> = batches.into_par_iter().map(|batch| run_batch(nodes, batch)).collect();
            Ok(edited?.into_iter().flatten().collect())
        }
    }
}

fn run_batch<C: Change>(nodes: &dyn TrieNodes, tasks: &[Task<'_, C>]) -> Result<Vec<Edited>, RootError> {
    let mut outcomes: Vec<Edited> = tasks.iter().map(|_| Edited::default()).collect();
    let mut replaced = Vec::with_capacity(tasks.len());
    let mut written: Vec<Stored> = tasks.iter().map(|_| Vec::new()).collect();
    let mut roots = Vec::new();
    for (trie, task) in tasks.iter().enumerate() {
        assert!(
            task.changes.is_sorted_by(|one, next| one.key() < next.key()),
            "a diff's entries ascend without repeats"
        );
        let mut editor = Editor::new(nodes, task.owner);
        match editor.edit_root(task.changes)? {
            (_, false) => {}
            (None, true) => outcomes[trie].root = Some(EMPTY_ROOT),
            (Some(tree), true) => roots.push(Placed { trie, path: Path::EMPTY, tree, parent: 0, slot: 0 }),
        }
        replaced.push(editor.replaced);
        written[trie] = editor.written;
    }
    seal_below(&mut roots, &mut written);
    for (root, reference) in seal(roots, &mut written) {
        outcomes[root.trie].root = reference.as_hash();
    }
    for (outcome, (before, after)) in outcomes.iter_mut().zip(replaced.into_iter().zip(written)) {
        outcome.places = pair_up(before, after);
    }
    Ok(outcomes)
}

/// Nodes with a place of their own.
type Stored = Vec<(Path, Bytes)>;

/// Joins what stood at each place with what stands there now.
fn pair_up(mut before: Stored, mut after: Stored) -> Vec<Place> {
    // Both are a few ascending runs, which the stable sort finds.
    before.sort_by(|(one, _), (other, _)| one[..].cmp(&other[..]));
    after.sort_by(|(one, _), (other, _)| one[..].cmp(&other[..]));
    let mut places = Vec::with_capacity(after.len());
    let mut before = before.into_iter().peekable();
    for (path, now) in after {
        while let Some((path, gone)) = before.next_if(|(held, _)| *held < path) {
            places.push(Place { path, before: Some(gone), after: None });
        }
        let held = before.next_if(|(held, _)| *held == path).map(|(_, node)| node);
        places.push(Place { path, before: held, after: Some(now) });
    }
    places.extend(before.map(|(path, gone)| Place { path, before: Some(gone), after: None }));
    places
}

/// A child in a tree under edit.
enum Child {
    /// As it is stored, or sealed again.
    Kept(Reference),
    /// Not sealed yet.
    Open(Box<Tree>),
}

type Tree = Node<Child>;

impl Child {
    const NONE: Self = Self::Kept(Reference::EMPTY);

    fn is_none(&self) -> bool {
        matches!(self, Self::Kept(reference) if reference.is_empty())
    }

    fn take(&mut self) -> Self {
        std::mem::replace(self, Self::NONE)
    }
}

impl From<Reference> for Child {
    fn from(reference: Reference) -> Self {
        Self::Kept(reference)
    }
}

impl From<Option<Tree>> for Child {
    fn from(tree: Option<Tree>) -> Self {
        tree.map_or(Self::NONE, |tree| Self::Open(Box::new(tree)))
    }
}

impl Link for Child {
    fn reference(&self) -> &Reference {
        match self {
            Self::Kept(reference) => reference,
            Self::Open(_) => unreachable!("children are sealed before their parents are encoded"),
        }
    }
}

/// A branch under edit: not yet, or no longer, of two or more parts.
struct Branch {
    children: Box<[Child; 16]>,
    value: Bytes,
}

impl Default for Branch {
    fn default() -> Self {
        Self { children: Box::new([const { Child::NONE }; 16]), value: Bytes::new() }
    }
}

/// A tree after its edit, and whether it is another one than before.
type Edit = (Option<Tree>, bool);

struct Editor<'n> {
    nodes: &'n dyn TrieNodes,
    /// The place that was read last; its buffer serves all reads.
    key: NodeKey,
    /// Stored nodes that do not stay what they are.
    replaced: Stored,
    /// Nodes that were sealed on the way.
    written: Stored,
}

impl<'n> Editor<'n> {
    fn new(nodes: &'n dyn TrieNodes, owner: Option<B256>) -> Self {
        Self { nodes, key: NodeKey { owner, path: Vec::new() }, replaced: Vec::new(), written: Vec::new() }
    }

    fn edit_root<C: Change>(&mut self, changes: &[C]) -> Result<Edit, RootError> {
        if changes.is_empty() {
            return Ok((None, false));
        }
        match self.read(Path::EMPTY)? {
            Some(node) => self.edit_stored(Path::EMPTY, node, changes),
            None => self.edit(None, 0, changes),
        }
    }

    fn read(&mut self, path: Path) -> Result<Option<Bytes>, RootError> {
        self.key.path.clear();
        self.key.path.extend_from_slice(&path);
        Ok(self.nodes.node(&self.key)?)
    }

    /// Reads a node that its parent promises by hash.
    fn read_child(&mut self, path: Path) -> Result<Bytes, RootError> {
        self.read(path)?.ok_or_else(|| RootError::Missing(self.key.clone()))
    }

    /// Decodes what stands at `path`, stored there or inline in its parent.
    fn decode(&self, path: Path, node: &Bytes) -> Result<Tree, RootError> {
        Node::decode_at(path.len(), node).map_err(|reason| {
            let key = NodeKey { owner: self.key.owner, path: path.to_vec() };
            RootError::Malformed { key, reason }
        })
    }

    fn edit_stored<C: Change>(&mut self, path: Path, node: Bytes, changes: &[C]) -> Result<Edit, RootError> {
        let tree = self.decode(path, &node)?;
        let mark = self.replaced.len();
        self.replaced.push((path, node));
        let (tree, changed) = self.edit(Some(tree), path.len(), changes)?;
        if !changed {
            self.replaced.truncate(mark);
        }
        Ok((tree, changed))
    }

    /// Applies changes, whose keys agree in their first `depth` nibbles, to the child that stands there. Tells whether
    /// that changed it.
    fn edit_child<C: Change>(&mut self, child: &mut Child, depth: usize, changes: &[C]) -> Result<bool, RootError> {
        let reference = match child.take() {
            Child::Open(tree) => {
                let (tree, changed) = self.edit(Some(*tree), depth, changes)?;
                *child = tree.into();
                return Ok(changed);
            }
            Child::Kept(reference) => reference,
        };
        let path = Path::from(&changes[0].key()[..depth]);
        let (tree, changed) = if reference.is_empty() {
            self.edit(None, depth, changes)?
        } else if let Some(node) = reference.as_inline() {
            let tree = self.decode(path, &Bytes::copy_from_slice(node))?;
            self.edit(Some(tree), depth, changes)?
        } else {
            let node = self.read_child(path)?;
            self.edit_stored(path, node, changes)?
        };
        *child = if changed { tree.into() } else { Child::Kept(reference) };
        Ok(changed)
    }

    /// Applies changes, whose keys agree in their first `depth` nibbles, to the tree that stands there.
    fn edit<C: Change>(&mut self, tree: Option<Tree>, depth: usize, changes: &[C]) -> Result<Edit, RootError> {
        let first = &changes[0].key()[depth..];
        let last = &changes[changes.len() - 1].key()[depth..];
        // All of the sorted keys share with a path what the first and the last do.
        let shared_with = |path: &[u8]| shared_len(first, path).min(shared_len(last, path));

        match tree {
            None if changes.len() == 1 => {
                let leaf = changes[0].value(None)?.map(|value| Node::Leaf { path: first.into(), value });
                let changed = leaf.is_some();
                Ok((leaf, changed))
            }
            None => self.edit_branch(Branch::default(), depth, shared_len(first, last), changes),
            Some(Node::Leaf { path, value }) if changes.len() == 1 && *first == *path => {
                let now = changes[0].value(Some(&value))?;
                let changed = now.as_ref() != Some(&value);
                Ok((now.map(|value| Node::Leaf { path, value }), changed))
            }
            Some(Node::Leaf { path, value }) => {
                let shared = shared_with(&path);
                let mut branch = Branch::default();
                match path[shared..].split_first() {
                    Some((&nibble, rest)) => {
                        branch.children[usize::from(nibble)] = Some(Node::Leaf { path: rest.into(), value }).into();
                    }
                    None => branch.value = value,
                }
                self.edit_branch(branch, depth, shared, changes)
            }
            Some(Node::Extension { path, mut child }) => {
                let shared = shared_with(&path);
                if let Some((&nibble, rest)) = path[shared..].split_first() {
                    let mut branch = Branch::default();
                    branch.children[usize::from(nibble)] = match rest {
                        [] => child,
                        _ => Some(Node::Extension { path: rest.into(), child }).into(),
                    };
                    return self.edit_branch(branch, depth, shared, changes);
                }
                let changed = self.edit_child(&mut child, depth + shared, changes)?;
                let above = Path::from(&changes[0].key()[..depth]);
                Ok((self.hang(above, path, child)?, changed))
            }
            Some(Node::Branch { children, value }) => self.edit_branch(Branch { children, value }, depth, 0, changes),
        }
    }

    /// Changes a branch that stands `shared` nibbles below `depth`, and brings what comes of it into canonical form.
    fn edit_branch<C: Change>(
        &mut self,
        mut branch: Branch,
        depth: usize,
        shared: usize,
        changes: &[C],
    ) -> Result<Edit, RootError> {
        let above = Path::from(&changes[0].key()[..depth]);
        let path = Path::from(&changes[0].key()[depth..depth + shared]);
        let fork = depth + shared;

        let mut changed = false;
        let mut below = changes;
        if changes[0].key().len() == fork {
            let held = Some(&branch.value).filter(|value| !value.is_empty());
            let now = changes[0].value(held)?.unwrap_or_default();
            changed = now != branch.value;
            branch.value = now;
            below = &changes[1..];
        }
        changed |= self.edit_children(&mut branch.children, fork, below)?;

        let mut held = (0..16).filter(|&nibble| !branch.children[nibble].is_none());
        let tree = match (held.next(), held.next(), branch.value.is_empty()) {
            (None, _, true) => None,
            (None, _, false) => Some(Node::Leaf { path, value: branch.value }),
            (Some(nibble), None, true) => {
                self.hang(above, path.join(&[nibble as u8]), branch.children[nibble].take())?
            }
            _ => {
                let mut node = Node::Branch { children: branch.children, value: branch.value };
                if changes.len() >= BATCH_CHANGES {
                    // A branch stays where it is, whatever becomes of its parents; so its children can be sealed.
                    let mut level = [Placed { trie: 0, path: above.join(&path), tree: node, parent: 0, slot: 0 }];
                    seal_below(&mut level, std::slice::from_mut(&mut self.written));
                    [Placed { tree: node, .. }] = level;
                }
                Some(if path.is_empty() { node } else { Node::Extension { path, child: Some(node).into() } })
            }
        };
        Ok((tree, changed))
    }

    /// Hands the changes, whose keys agree in their first `fork` nibbles and go on, to the children that they go to.
    fn edit_children<C: Change>(
        &mut self,
        children: &mut [Child; 16],
        fork: usize,
        changes: &[C],
    ) -> Result<bool, RootError> {
        let groups = changes.chunk_by(|one, other| one.key()[fork] == other.key()[fork]);
        let nibble = |group: &[C]| usize::from(group[0].key()[fork]);
        if changes.len() < PARALLEL_CHANGES {
            let mut changed = false;
            for group in groups {
                changed |= self.edit_child(&mut children[nibble(group)], fork + 1, group)?;
            }
            return Ok(changed);
        }

        let mut by_nibble = [const { &[] as &[C] }; 16];
        groups.for_each(|group| by_nibble[nibble(group)] = group);
        let (nodes, owner) = (self.nodes, self.key.owner);
        let parts: Result<Vec<_>, RootError> = children
            .par_iter_mut()
            .zip(by_nibble)
            .filter(|(_, group)| !group.is_empty())
            .map(|(child, group)| {
                let mut editor = Editor::new(nodes, owner);
                let changed = editor.edit_child(child, fork + 1, group)?;
                Ok((changed, editor.replaced, editor.written))
            })
            .collect();
        let mut any = false;
        for (changed, replaced, written) in parts? {
            any |= changed;
            self.replaced.extend(replaced);
            self.written.extend(written);
        }
        Ok(any)
    }

    /// Puts `path` in front of a child, whose place is `above` and then `path`. Only a branch stays a child: a leaf or
    /// extension takes the path into its own.
    fn hang(&mut self, above: Path, path: Path, child: Child) -> Result<Option<Tree>, RootError> {
        let place = above.join(&path);
        let (tree, stored) = match child {
            Child::Open(tree) => (*tree, None),
            Child::Kept(reference) if reference.is_empty() => return Ok(None),
            Child::Kept(reference) => match reference.as_inline() {
                Some(node) => (self.decode(place, &Bytes::copy_from_slice(node))?, Some((reference, None))),
                None => {
                    let node = self.read_child(place)?;
                    (self.decode(place, &node)?, Some((reference, Some(node))))
                }
            },
        };
        Ok(Some(match (tree, stored) {
            (Node::Branch { .. }, Some((reference, _))) => Node::Extension { path, child: Child::Kept(reference) },
            (branch @ Node::Branch { .. }, None) => Node::Extension { path, child: Some(branch).into() },
            (short, stored) => {
                if let Some((_, Some(node))) = stored {
                    self.replaced.push((place, node));
                }
                match short {
                    Node::Leaf { path: rest, value } => Node::Leaf { path: path.join(&rest), value },
                    Node::Extension { path: rest, child } => Node::Extension { path: path.join(&rest), child },
                    Node::Branch { .. } => unreachable!("branches were dealt with"),
                }
            }
        }))
    }
}

/// How many nibbles two paths share from their start.
fn shared_len(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(one, other)| one == other).count()
}

/// A node on its way to be sealed.
struct Placed {
    /// Which trie it belongs to.
    trie: usize,
    path: Path,
    tree: Tree,
    /// Where its parent stands in the level above, and which child of it this is.
    parent: usize,
    slot: usize,
}

/// Seals everything below a level of nodes. Those with a place of their own are added to `written`, by trie.
fn seal_below(level: &mut [Placed], written: &mut [Stored]) {
    let mut next = Vec::new();
    for (parent, placed) in level.iter_mut().enumerate() {
        take_children(placed, parent, &mut next);
    }
    if next.is_empty() {
        return;
    }
    seal_below(&mut next, written);
    for (placed, reference) in seal(next, written) {
        match &mut level[placed.parent].tree {
            Node::Leaf { .. } => unreachable!("a leaf has no children"),
            Node::Extension { child, .. } => *child = Child::Kept(reference),
            Node::Branch { children, .. } => children[placed.slot] = Child::Kept(reference),
        }
    }
}

/// Seals one level, whose children are sealed: all its hashes at once.
fn seal(level: Vec<Placed>, written: &mut [Stored]) -> impl Iterator<Item = (Placed, Reference)> {
    let encoded: Vec<Vec<u8>> = level.iter().map(|placed| placed.tree.encode()).collect();
    let has_place = |placed: &Placed, rlp: &[u8]| placed.path.is_empty() || rlp.len() >= 32;
    let inputs: Vec<&[u8]> = level
        .iter()
        .zip(&encoded)
        .filter(|(placed, rlp)| has_place(placed, rlp))
        .map(|(_, rlp)| rlp.as_slice())
        .collect();
    let mut hashes = vec![B256::ZERO; inputs.len()];
    kernels::keccak256_many(&inputs, &mut hashes);

    let mut hashes = hashes.into_iter();
    level.into_iter().zip(encoded).map(move |(placed, rlp)| {
        if !has_place(&placed, &rlp) {
            return (placed, Reference::inline(&rlp));
        }
        let reference = Reference::hash(hashes.next().expect("one for each node with a place"));
        written[placed.trie].push((placed.path, rlp.into()));
        (placed, reference)
    })
}

/// Moves the open children of a node to the level below it.
fn take_children(placed: &mut Placed, parent: usize, level: &mut Vec<Placed>) {
    let (trie, above) = (placed.trie, placed.path);
    let mut take = |child: &mut Child, path: &[u8], slot| {
        if let Child::Open(tree) = child {
            let tree = std::mem::replace(&mut **tree, Node::Leaf { path: Path::EMPTY, value: Bytes::new() });
            level.push(Placed { trie, path: above.join(path), tree, parent, slot });
        }
    };
    match &mut placed.tree {
        Node::Leaf { .. } => {}
        Node::Extension { path, child } => take(child, path, 0),
        Node::Branch { children, .. } => {
            for (slot, child) in children.iter_mut().enumerate() {
                take(child, &[slot as u8], slot);
            }
        }
    }
}

//! One node of a Merkle Patricia trie and its RLP.
//!
//! A node stands in its parent as a [`Reference`]: its hash, or the node itself where its RLP is shorter than a hash.
//! Decoding accepts exactly what encoding writes; anything else is a [`NodeError`].

use std::cmp::Ordering;
use std::ops::Deref;

use alloy_rlp::{Buf, BufMut, EMPTY_STRING_CODE, Header};
use types::{B256, Bytes};

/// The longest path: the nibbles of a 32-byte key.
pub(super) const PATH_NIBBLES_MAX: usize = 64;

/// Why some bytes are not a trie node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NodeError {
    /// Not RLP in its one canonical form.
    #[error("trie node is not RLP: {0}")]
    Rlp(#[from] alloy_rlp::Error),
    /// A leaf or extension has 2 items, a branch 17.
    #[error("trie node has {items} items, not 2 or 17")]
    Items {
        /// How many it has, counted up to 18.
        items: usize,
    },
    /// A path that hex-prefix encoding never writes.
    #[error("trie node's path is not hex-prefix encoded: 0x{}", types::primitives::hex::encode(.0))]
    Path(Bytes),
    /// A child is a hash, a node shorter than a hash, or (in a branch) nothing.
    #[error("trie node refers to a child by {bytes} bytes")]
    Child {
        /// How long the reference is.
        bytes: usize,
    },
    /// A leaf holds something, an extension leads somewhere, a branch holds at least two things.
    #[error("trie node is not in its canonical form")]
    NotCanonical,
    /// Not the node that the one above it names: of this hash.
    #[error("trie node's hash is {0}, and its parent names another")]
    Hash(B256),
    /// No key ends in the middle of a byte.
    #[error("trie path of an entry ends in the middle of a byte")]
    HalfByte,
    /// Deeper than any key reaches.
    #[error("trie path is longer than 64 nibbles")]
    TooDeep,
}

/// Up to 64 nibbles, one a byte.
#[derive(Clone, Copy)]
pub(super) struct Path {
    len: u8,
    nibbles: [u8; PATH_NIBBLES_MAX],
}

impl Path {
    pub(super) const EMPTY: Self = Self { len: 0, nibbles: [0; PATH_NIBBLES_MAX] };

    /// The nibbles of a key of at most 32 bytes.
    pub(super) fn of_key(key: &[u8]) -> Self {
        assert!(key.len() * 2 <= PATH_NIBBLES_MAX, "a key has at most 32 bytes");
        let mut path = Self::EMPTY;
        for (pair, byte) in path.nibbles.chunks_exact_mut(2).zip(key) {
            pair[0] = byte >> 4;
            pair[1] = byte & 15;
        }
        path.len = key.len() as u8 * 2;
        path
    }

    /// One path after the other. Nodes are refused where they reach too deep, so this never exceeds the longest path.
    pub(super) fn join(self, tail: &[u8]) -> Self {
        let mut path = self;
        let len = self.len() + tail.len();
        path.nibbles[self.len()..len].copy_from_slice(tail);
        path.len = len as u8;
        path
    }

    /// Hex-prefix decoding: the path, and whether it ends in a value.
    pub(super) fn decode_compact(compact: &[u8]) -> Option<(Self, bool)> {
        let (&first, rest) = compact.split_first()?;
        let (leaf, odd) = (first & 0x20 != 0, first & 0x10 != 0);
        if first & 0xc0 != 0 || (!odd && first & 0x0f != 0) || rest.len() * 2 + usize::from(odd) > PATH_NIBBLES_MAX {
            return None;
        }
        let head = if odd { Self::from(&[first & 0x0f][..]) } else { Self::EMPTY };
        Some((head.join(&Self::of_key(rest)), leaf))
    }

    fn compact_len(&self) -> usize {
        self.len() / 2 + 1
    }

    /// Hex-prefix encoding.
    pub(super) fn encode_compact(&self, leaf: bool, out: &mut Vec<u8>) {
        let flag = if leaf { 0x20 } else { 0 };
        let (head, pairs) = self.split_at(self.len() % 2);
        out.push(head.first().map_or(flag, |nibble| flag | 0x10 | nibble));
        out.extend(pairs.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]));
    }
}

impl Deref for Path {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.nibbles[..usize::from(self.len)]
    }
}

impl PartialEq for Path {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Path {}

impl PartialOrd for Path {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Path {
    fn cmp(&self, other: &Self) -> Ordering {
        (**self).cmp(other)
    }
}

impl From<&[u8]> for Path {
    fn from(nibbles: &[u8]) -> Self {
        Self::EMPTY.join(nibbles)
    }
}

/// How a node stands in its parent: 32 bytes are its hash, fewer are its RLP, none mean that there is no node.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Reference {
    len: u8,
    bytes: [u8; 32],
}

impl Reference {
    pub(super) const EMPTY: Self = Self { len: 0, bytes: [0; 32] };

    pub(super) fn hash(hash: B256) -> Self {
        Self { len: 32, bytes: hash.0 }
    }

    /// A node that is shorter than a hash stands in its parent itself.
    pub(super) fn inline(rlp: &[u8]) -> Self {
        assert!(rlp.len() < 32, "an inline node is shorter than a hash");
        let mut reference = Self { len: rlp.len() as u8, ..Self::EMPTY };
        reference.bytes[..rlp.len()].copy_from_slice(rlp);
        reference
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The hash, where it is one.
    pub(super) fn as_hash(&self) -> Option<B256> {
        (self.len == 32).then_some(B256::new(self.bytes))
    }

    /// The RLP of the node, where it stands here itself.
    pub(super) fn as_inline(&self) -> Option<&[u8]> {
        (1..32).contains(&self.len).then(|| &self.bytes[..usize::from(self.len)])
    }

    fn encoded_len(&self) -> usize {
        usize::from(self.len) + usize::from(self.len == 0 || self.len == 32)
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match self.len {
            0 => out.push(EMPTY_STRING_CODE),
            32 => out.push(EMPTY_STRING_CODE + 32),
            _ => {}
        }
        out.extend_from_slice(&self.bytes[..usize::from(self.len)]);
    }

    fn decode(buf: &mut &[u8]) -> Result<Self, NodeError> {
        let start = *buf;
        let header = Header::decode(buf)?;
        let payload = &buf[..header.payload_length];
        buf.advance(header.payload_length);
        let rlp = &start[..start.len() - buf.len()];
        match (header.list, payload.len()) {
            (false, 0) => Ok(Self::EMPTY),
            (false, 32) => Ok(Self::hash(B256::from_slice(payload))),
            (true, _) if rlp.len() < 32 => Ok(Self::inline(rlp)),
            (list, len) => Err(NodeError::Child { bytes: if list { rlp.len() } else { len } }),
        }
    }
}

/// What a node holds in a child's place: a [`Reference`], or something that becomes one.
pub(super) trait Link: From<Reference> {
    fn reference(&self) -> &Reference;
}

impl Link for Reference {
    fn reference(&self) -> &Reference {
        self
    }
}

/// A node. An empty value in a branch means that it has none: the tries of Ethereum hold no empty values.
pub(super) enum Node<L> {
    Leaf { path: Path, value: Bytes },
    Extension { path: Path, child: L },
    Branch { children: Box<[L; 16]>, value: Bytes },
}

impl<L: Link> Node<L> {
    /// Decodes a node that stands `depth` nibbles below the root.
    pub(super) fn decode_at(depth: usize, rlp: &Bytes) -> Result<Self, NodeError> {
        let node = Self::decode(rlp)?;
        let reach = match &node {
            Self::Leaf { path, .. } => path.len(),
            Self::Extension { path, .. } => path.len() + 1,
            Self::Branch { .. } => 1,
        };
        if depth + reach > PATH_NIBBLES_MAX { Err(NodeError::TooDeep) } else { Ok(node) }
    }

    /// Decodes a whole node. Values share the memory of `rlp`.
    fn decode(rlp: &Bytes) -> Result<Self, NodeError> {
        let mut buf = &rlp[..];
        let mut payload = Header::decode_bytes(&mut buf, true)?;
        if !buf.is_empty() {
            return Err(alloy_rlp::Error::UnexpectedLength.into());
        }
        match count_items(payload)? {
            2 => Self::decode_short(rlp, &mut payload),
            17 => Self::decode_branch(rlp, &mut payload),
            items => Err(NodeError::Items { items }),
        }
    }

    fn decode_short(rlp: &Bytes, payload: &mut &[u8]) -> Result<Self, NodeError> {
        let compact = Header::decode_bytes(payload, false)?;
        match Path::decode_compact(compact) {
            Some((path, true)) => {
                let value = Header::decode_bytes(payload, false)?;
                if value.is_empty() {
                    return Err(NodeError::NotCanonical);
                }
                Ok(Self::Leaf { path, value: rlp.slice_ref(value) })
            }
            Some((path, false)) => {
                let child = Reference::decode(payload)?;
                if child.is_empty() || path.is_empty() {
                    return Err(NodeError::NotCanonical);
                }
                Ok(Self::Extension { path, child: child.into() })
            }
            None => Err(NodeError::Path(rlp.slice_ref(compact))),
        }
    }

    fn decode_branch(rlp: &Bytes, payload: &mut &[u8]) -> Result<Self, NodeError> {
        let mut children = Box::new([(); 16].map(|()| L::from(Reference::EMPTY)));
        let mut held = 0;
        for child in children.iter_mut() {
            let reference = Reference::decode(payload)?;
            held += usize::from(!reference.is_empty());
            *child = reference.into();
        }
        let value = Header::decode_bytes(payload, false)?;
        if held + usize::from(!value.is_empty()) < 2 {
            return Err(NodeError::NotCanonical);
        }
        Ok(Self::Branch { children, value: rlp.slice_ref(value) })
    }

    /// The node's RLP.
    pub(super) fn encode(&self) -> Vec<u8> {
        let payload_length = match self {
            Self::Leaf { path, value } => compact_rlp_len(path) + string_len(value),
            Self::Extension { path, child } => compact_rlp_len(path) + child.reference().encoded_len(),
            Self::Branch { children, value } => {
                children.iter().map(|child| child.reference().encoded_len()).sum::<usize>() + string_len(value)
            }
        };
        let header = Header { list: true, payload_length };
        let mut out = Vec::with_capacity(header.length_with_payload());
        header.encode(&mut out);
        match self {
            Self::Leaf { path, value } => {
                encode_path(path, true, &mut out);
                alloy_rlp::Encodable::encode(&value[..], &mut out);
            }
            Self::Extension { path, child } => {
                encode_path(path, false, &mut out);
                child.reference().encode(&mut out);
            }
            Self::Branch { children, value } => {
                children.iter().for_each(|child| child.reference().encode(&mut out));
                alloy_rlp::Encodable::encode(&value[..], &mut out);
            }
        }
        debug_assert_eq!(out.len(), out.capacity());
        out
    }
}

/// Counts the items of a list, up to one more than any node has.
fn count_items(mut payload: &[u8]) -> Result<usize, NodeError> {
    let mut items = 0;
    while !payload.is_empty() && items < 18 {
        let header = Header::decode(&mut payload)?;
        payload.advance(header.payload_length);
        items += 1;
    }
    Ok(items)
}

fn string_len(bytes: &[u8]) -> usize {
    alloy_rlp::Encodable::length(bytes)
}

/// A path of one byte is below 0x40, so it is its own RLP.
fn compact_rlp_len(path: &Path) -> usize {
    path.compact_len() + usize::from(path.compact_len() > 1)
}

fn encode_path(path: &Path, leaf: bool, out: &mut Vec<u8>) {
    if path.compact_len() > 1 {
        out.put_u8(EMPTY_STRING_CODE + path.compact_len() as u8);
    }
    path.encode_compact(leaf, out);
}

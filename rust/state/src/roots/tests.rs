//! The public trie fixtures, and tries with keys of any length, which the secure trie never sees.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::Value;
use types::primitives::hex;
use types::{B256, Bytes, EMPTY_ROOT, keccak256};

use super::edit::{self, Change, Task};
use super::node::{Node, Path, Reference};
use super::{Entries, NodeError, RootError};
use crate::{LedgerError, NodeKey, TrieNodes};

#[path = "../../../exec/tests/fixtures/mod.rs"]
mod fixtures;

/// One file of the fixtures' archive of primitives; None where fixtures are not at hand.
fn fixture(name: &str) -> Option<Value> {
    let file = fixtures::Fixtures::find()?.file("primitives", name);
    Some(serde_json::from_slice(&file).unwrap())
}

struct Write {
    key: Path,
    value: Option<Bytes>,
}

impl Change for Write {
    fn key(&self) -> &Path {
        &self.key
    }
    fn value(&self, _: Option<&Bytes>) -> Result<Option<Bytes>, RootError> {
        Ok(self.value.clone())
    }
}

/// A stored trie that is changed batch by batch.
#[derive(Default, PartialEq, Debug, Clone)]
struct Trie(BTreeMap<Vec<u8>, Bytes>);

impl TrieNodes for Trie {
    fn node(&self, key: &NodeKey) -> Result<Option<Bytes>, LedgerError> {
        Ok(self.0.get(&key.path).cloned())
    }
}

impl Trie {
    fn write(&mut self, batch: &BTreeMap<Vec<u8>, Option<Vec<u8>>>) {
        let changes: Vec<Write> = batch
            .iter()
            .map(|(key, value)| Write { key: Path::of_key(key), value: value.clone().map(Bytes::from) })
            .collect();
        let edited = edit::run(self, &[Task { owner: None, changes: &changes }]).unwrap().remove(0);
        assert_eq!(edited.root.is_some(), !edited.places.is_empty());
        for place in edited.places {
            assert_eq!(self.0.get(&*place.path), place.before.as_ref());
            match place.after {
                Some(node) => self.0.insert(place.path.to_vec(), node),
                None => self.0.remove(&*place.path),
            };
        }
        assert_eq!(edited.root.unwrap_or(self.root()), self.root());
    }

    fn root(&self) -> B256 {
        self.0.get(&[][..]).map_or(EMPTY_ROOT, keccak256)
    }
}

/// Strings that start with 0x are hex, others are themselves.
fn bytes(text: &str) -> Vec<u8> {
    match text.strip_prefix("0x") {
        Some(digits) => hex::decode(digits).unwrap(),
        None => text.as_bytes().to_vec(),
    }
}

/// The writes of a fixture, in its order.
fn writes(input: &Value, secure: bool) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    let write = |key: &str, value: &Value| {
        let key = bytes(key);
        (if secure { keccak256(key).to_vec() } else { key }, value.as_str().map(bytes))
    };
    match input {
        Value::Object(entries) => entries.iter().map(|(key, value)| write(key, value)).collect(),
        Value::Array(rows) => rows.iter().map(|row| write(row[0].as_str().unwrap(), &row[1])).collect(),
        _ => panic!("a fixture's input is an object or a list"),
    }
}

#[test]
fn public_trie_fixtures_have_their_roots() {
    let files = [
        ("trietest.json", 4),
        ("trietest_secureTrie.json", 3),
        ("trieanyorder.json", 7),
        ("trieanyorder_secureTrie.json", 7),
        ("hex_encoded_securetrie_test.json", 3),
    ];
    for (file, cases_min) in files {
        let Some(fixture) = fixture(&format!("TrieTests/{file}")) else { return };
        let cases = fixture.as_object().unwrap();
        assert!(cases.len() >= cases_min, "{file} has {} cases", cases.len());
        for (name, case) in cases {
            let root: B256 = case["root"].as_str().unwrap().parse().unwrap();
            let secure = file.to_lowercase().contains("secure");
            let mut writes = writes(&case["in"], secure);

            let (mut stepwise, mut at_once) = (Trie::default(), Trie::default());
            for write in &writes {
                stepwise.write(&BTreeMap::from([write.clone()]));
            }
            at_once.write(&writes.iter().cloned().collect());
            assert_eq!(stepwise.root(), root, "{file} {name}");
            assert_eq!(stepwise, at_once, "{file} {name}");

            if case["in"].is_object() {
                writes.reverse();
                let mut reversed = Trie::default();
                for write in &writes {
                    reversed.write(&BTreeMap::from([write.clone()]));
                }
                assert_eq!(reversed, at_once, "{file} {name}");
            }
        }
    }
}

fn neighbours(trie: &Trie, key: &[u8]) -> [Option<Vec<u8>>; 2] {
    let first = |entries: Result<Entries<'_>, RootError>| Some(entries.unwrap().next()?.unwrap().0);
    [first(Entries::down(trie, None, Some(key))), first(Entries::up(trie, None, Some(key)))]
}

#[test]
fn keys_have_the_neighbours_of_the_public_fixtures() {
    let Some(fixture) = fixture("TrieTests/trietestnextprev.json") else { return };
    let mut count = 0;
    for case in fixture.as_object().unwrap().values() {
        let text = |value: &Value| value.as_str().unwrap().as_bytes().to_vec();
        let mut trie = Trie::default();
        trie.write(&case["in"].as_array().unwrap().iter().map(|key| (text(key), Some(text(key)))).collect());
        for row in case["tests"].as_array().unwrap() {
            let [key, before, after] = [0, 1, 2].map(|column| text(&row[column]));
            let expected = [before, after].map(|key| Some(key).filter(|key| !key.is_empty()));
            assert_eq!(neighbours(&trie, &key), expected, "{row}");
            count += 1;
        }
    }
    assert!(count >= 12, "{count} rows");
}

#[test]
fn a_walk_stops_at_a_node_that_its_parent_does_not_name() {
    let mut whole = Trie::default();
    whole.write(&(0..64u8).map(|key| (keccak256([key]).to_vec(), Some(vec![key + 1; 40]))).collect());
    assert_eq!(Entries::up(&whole, None, None).unwrap().flatten().count(), 64);
    for path in whole.0.keys().filter(|path| !path.is_empty()) {
        let mut damaged = whole.clone();
        let node = damaged.0.remove(path).unwrap();
        let at = NodeKey { owner: None, path: path.clone() };
        let mut entries = Entries::up(&damaged, None, None).unwrap();
        let found = entries.find_map(Result::err).expect("a node is missing");
        assert_eq!((found, entries.next().is_none()), (RootError::Missing(at.clone()), true));

        // Still a node, but another one.
        let mut other = node.to_vec();
        *other.last_mut().unwrap() ^= 1;
        let hash = keccak256(&other);
        damaged.0.insert(path.clone(), other.into());
        let found = Entries::down(&damaged, None, None).unwrap().find_map(Result::err).expect("a node is another");
        assert_eq!(found, RootError::Malformed { key: at, reason: NodeError::Hash(hash) });
    }
}

#[test]
fn public_hex_prefix_fixtures_encode_and_decode() {
    let Some(fixture) = fixture("BasicTests/hexencodetest.json") else { return };
    let cases = fixture.as_object().unwrap();
    assert!(cases.len() >= 12);
    for (name, case) in cases {
        let nibbles: Vec<u8> = case["seq"].as_array().unwrap().iter().map(|n| n.as_u64().unwrap() as u8).collect();
        let (leaf, expected) = (case["term"].as_bool().unwrap(), hex::decode(case["out"].as_str().unwrap()).unwrap());
        let path = Path::from(&nibbles[..]);
        let mut compact = Vec::new();
        path.encode_compact(leaf, &mut compact);
        assert_eq!(compact, expected, "{name}");
        assert!(Path::decode_compact(&expected) == Some((path, leaf)), "{name}");
    }
}

#[test]
fn hex_prefix_bytes_that_nothing_encodes_to_are_refused() {
    for compact in [&[][..], &[0x40], &[0x80], &[0xff], &[0x01], &[0x2f], &[0x11; 34], &[0x00; 34]] {
        assert!(Path::decode_compact(compact).is_none(), "{compact:02x?}");
    }
    assert!(Path::decode_compact(&[0x20; 33]).is_some_and(|(path, leaf)| path.len() == 64 && leaf));
}

#[test]
fn nodes_that_no_trie_holds_are_refused_with_the_reason() {
    let hash = |byte: u8| [&[0xa0][..], &[byte; 32]].concat();
    let list = |items: &[&[u8]]| {
        let payload = items.concat();
        let mut rlp = Vec::new();
        alloy_rlp::Header { list: true, payload_length: payload.len() }.encode(&mut rlp);
        Bytes::from([rlp, payload].concat())
    };
    let branch = |first: &[u8], value: &[u8]| list(&[&[first][..], &[&[0x80][..]; 15], &[value]].concat());
    let reason = |rlp: Bytes| Node::<Reference>::decode_at(0, &rlp).err();

    assert!(reason(list(&[&[0x20], &[0x05]])).is_none());
    assert!(reason(branch(&hash(7), &[0x01])).is_none());
    assert!(matches!(reason(Bytes::new()), Some(NodeError::Rlp(_))));
    assert!(matches!(reason(Bytes::from_static(&[0x80])), Some(NodeError::Rlp(_))));
    assert!(matches!(reason(Bytes::from_static(&[0xc2, 0x20, 0x05, 0x00])), Some(NodeError::Rlp(_))));
    assert!(matches!(reason(Bytes::from_static(&[0xf8, 0x02, 0x20, 0x05])), Some(NodeError::Rlp(_))));
    assert_eq!(reason(list(&[&[0x20]])), Some(NodeError::Items { items: 1 }));
    assert_eq!(reason(list(&[&[0x80][..]; 40])), Some(NodeError::Items { items: 18 }));
    assert_eq!(reason(list(&[&[0x40], &[0x05]])), Some(NodeError::Path(Bytes::from_static(&[0x40]))));
    assert_eq!(reason(list(&[&[0x20], &[0x80]])), Some(NodeError::NotCanonical));
    assert_eq!(reason(list(&[&[0x11], &[0x80]])), Some(NodeError::NotCanonical));
    assert_eq!(reason(list(&[&[0x00], &hash(1)])), Some(NodeError::NotCanonical));
    assert_eq!(reason(list(&[&[0x11], &[0x05]])), Some(NodeError::Child { bytes: 1 }));
    assert_eq!(reason(branch(&hash(7), &[0x80])), Some(NodeError::NotCanonical));
    assert_eq!(reason(branch(&[&[0xdf][..], &[0x01; 31]].concat(), &[0x01])), Some(NodeError::Child { bytes: 32 }));
    let deep = list(&[&[&[0xa1, 0x20][..], &[0x11; 32]].concat(), &[0x05]]);
    assert!(Node::<Reference>::decode_at(0, &deep).is_ok());
    assert_eq!(Node::<Reference>::decode_at(1, &deep).err(), Some(NodeError::TooDeep));
}

proptest! {
    /// Short keys: prefixes of each other, inline nodes, values in branches.
    #[test]
    fn tries_with_keys_of_any_length_do_not_depend_on_history(
        batches in prop::collection::vec(
            prop::collection::btree_map(
                prop::collection::vec(prop::sample::select(vec![0u8, 1, 16, 17, 0xf1]), 0..5),
                prop::option::of(prop::collection::vec(1u8..255, 1..40)),
                0..20,
            ),
            0..8,
        ),
    ) {
        let (mut trie, mut entries) = (Trie::default(), BTreeMap::new());
        for batch in &batches {
            trie.write(batch);
            for (key, value) in batch {
                match value {
                    Some(value) => entries.insert(key.clone(), Some(value.clone())),
                    None => entries.remove(key),
                };
            }
            let mut anew = Trie::default();
            anew.write(&entries);
            prop_assert_eq!(&trie, &anew);
        }
    }

    #[test]
    fn a_trie_is_walked_up_and_down_from_any_key(
        entries in prop::collection::btree_map(
            prop::collection::vec(prop::sample::select(vec![0u8, 1, 16, 17, 0xf1]), 0..5),
            prop::collection::vec(1u8..255, 1..40),
            0..20,
        ),
        from in prop::collection::vec(prop::sample::select(vec![0u8, 1, 16, 17, 0xf1]), 0..6),
    ) {
        let mut trie = Trie::default();
        trie.write(&entries.iter().map(|(key, value)| (key.clone(), Some(value.clone()))).collect());
        let plain = |walk: Result<Entries<'_>, RootError>| -> Vec<(Vec<u8>, Vec<u8>)> {
            walk.unwrap().map(|entry| entry.map(|(key, value)| (key, value.to_vec())).unwrap()).collect()
        };
        let expected: Vec<_> = entries.clone().into_iter().collect();
        prop_assert_eq!(&plain(Entries::up(&trie, None, None)), &expected);
        let behind: Vec<_> = expected.iter().filter(|(key, _)| *key > from).cloned().collect();
        prop_assert_eq!(plain(Entries::up(&trie, None, Some(&from))), behind);
        let before: Vec<_> = expected.iter().rev().filter(|(key, _)| *key < from).cloned().collect();
        prop_assert_eq!(plain(Entries::down(&trie, None, Some(&from))), before);
    }

    #[test]
    fn any_bytes_decode_to_a_node_that_encodes_to_them_or_not_at_all(rlp in prop::collection::vec(any::<u8>(), 0..80)) {
        let rlp = Bytes::from(rlp);
        if let Ok(node) = Node::<Reference>::decode_at(0, &rlp) {
            prop_assert_eq!(node.encode(), rlp.to_vec());
        }
    }
}

//! One suite for every key-value store: what `Kv` and `Snapshot` promise, in memory and in LMDB with each durability.

use std::{collections::BTreeMap, ops::Bound, sync::Arc};

use execlayer_store::{Batch, Durability, Family, KEY_BYTES_MAX, Kv, Lmdb, Memory, Options, RANGE_DELETE_KEYS_MAX};
use proptest::prelude::*;
use state::LedgerError;
use types::Bytes;

const MIB: usize = 1 << 20;

/// A store to put to the test; the folder goes with it.
struct Subject {
    kv: Arc<dyn Kv>,
    _folder: Option<tempfile::TempDir>,
}

fn memory() -> Subject {
    Subject { kv: Arc::new(Memory::default()), _folder: None }
}

fn lmdb(durability: Durability, write_batch_bytes: usize) -> Subject {
    let folder = tempfile::tempdir().unwrap();
    let options = Options { map_size: MIB, growth: MIB, durability, write_batch_bytes, ..Options::default() };
    Subject { kv: Arc::new(Lmdb::open(folder.path(), options).unwrap()), _folder: Some(folder) }
}

fn subjects() -> [Subject; 5] {
    [
        memory(),
        lmdb(Durability::Full, MIB),
        lmdb(Durability::None, MIB),
        lmdb(Durability::Batched, MIB),
        lmdb(Durability::Batched, 100),
    ]
}

fn put(kv: &dyn Kv, family: Family, entries: &[(&[u8], &[u8])]) {
    let mut batch = Batch::default();
    for (key, value) in entries {
        batch.put(family, key.to_vec(), value.to_vec());
    }
    kv.write(batch).unwrap();
}

fn keys(kv: &dyn Kv, family: Family) -> Vec<Bytes> {
    kv.snapshot().unwrap().entries(family).map(|entry| entry.unwrap().0).collect()
}

#[test]
fn families_are_apart() {
    for Subject { kv, _folder } in subjects() {
        for family in Family::ALL {
            put(&*kv, family, &[(b"key", family.name().as_bytes())]);
        }
        let snapshot = kv.snapshot().unwrap();
        for family in Family::ALL {
            assert_eq!(snapshot.get(family, b"key").unwrap(), Some(family.name().as_bytes().into()));
            assert_eq!(snapshot.entries(family).count(), 1);
        }
    }
}

#[test]
fn a_batch_knows_the_last_word_on_a_key() {
    for Subject { kv, _folder } in subjects() {
        let mut batch = Batch::default();
        batch.put(Family::Code, b"b".to_vec(), b"1".to_vec());
        batch.put(Family::Code, b"a".to_vec(), b"1".to_vec());
        batch.delete(Family::Code, b"b".to_vec());
        batch.put(Family::Code, b"a".to_vec(), b"2".to_vec());
        batch.delete(Family::Code, b"never there".to_vec());
        kv.write(batch).unwrap();
        let snapshot = kv.snapshot().unwrap();
        assert_eq!(snapshot.get(Family::Code, b"a").unwrap(), Some(Bytes::from_static(b"2")));
        assert_eq!(snapshot.get(Family::Code, b"b").unwrap(), None);
    }
}

#[test]
fn snapshots_stand_still() {
    for Subject { kv, _folder } in subjects() {
        put(&*kv, Family::Accounts, &[(b"a", b"1"), (b"b", b"1")]);
        let before = kv.snapshot().unwrap();
        let mut batch = Batch::default();
        batch.put(Family::Accounts, b"a".to_vec(), b"2".to_vec());
        batch.delete(Family::Accounts, b"b".to_vec());
        batch.put(Family::Accounts, b"c".to_vec(), b"2".to_vec());
        kv.write(batch).unwrap();
        kv.sync().unwrap();
        let after = kv.snapshot().unwrap();
        assert_eq!(before.version() + 1, after.version());
        let entries = |snapshot: &dyn execlayer_store::Snapshot| {
            let entries = snapshot.entries(Family::Accounts).map(|entry| entry.unwrap());
            entries.map(|(key, value)| (key.to_vec(), value.to_vec())).collect::<Vec<_>>()
        };
        assert_eq!(entries(&*before), [(b"a".to_vec(), b"1".to_vec()), (b"b".to_vec(), b"1".to_vec())]);
        assert_eq!(entries(&*after), [(b"a".to_vec(), b"2".to_vec()), (b"c".to_vec(), b"2".to_vec())]);
        assert_eq!(before.get(Family::Accounts, b"c").unwrap(), None);
        assert_eq!(after.get(Family::Accounts, b"b").unwrap(), None);
    }
}

#[test]
fn keys_of_every_length_and_values_of_none_and_many_bytes_come_back() {
    for Subject { kv, _folder } in subjects() {
        let long = vec![7; KEY_BYTES_MAX];
        let large = vec![9; 3 * MIB];
        put(&*kv, Family::Artifacts, &[(b"\0", b""), (&long, &large)]);
        let snapshot = kv.snapshot().unwrap();
        assert_eq!(snapshot.get(Family::Artifacts, b"\0").unwrap(), Some(Bytes::new()));
        assert_eq!(snapshot.get(Family::Artifacts, &long).unwrap(), Some(large.into()));
    }
}

#[test]
fn prefixes_and_ranges_end_where_they_should() {
    for Subject { kv, _folder } in subjects() {
        put(
            &*kv,
            Family::Storage,
            &[(b"a", b""), (b"ab", b""), (b"ab\xff", b""), (b"ab\xff\xff", b""), (b"ac", b""), (b"\xff\xff", b"")],
        );
        let snapshot = kv.snapshot().unwrap();
        let found =
            |entries: execlayer_store::Entries<'_>| entries.map(|entry| entry.unwrap().0.to_vec()).collect::<Vec<_>>();
        assert_eq!(found(snapshot.prefixed(Family::Storage, b"ab")), [&b"ab"[..], b"ab\xff", b"ab\xff\xff"]);
        assert_eq!(found(snapshot.prefixed(Family::Storage, b"ab\xff")), [&b"ab\xff"[..], b"ab\xff\xff"]);
        assert_eq!(found(snapshot.prefixed(Family::Storage, b"\xff")), [&b"\xff\xff"[..]]);
        assert_eq!(found(snapshot.range(Family::Storage, b"ab", Some(b"ac".to_vec()))).len(), 3);
        assert_eq!(found(snapshot.range(Family::Storage, b"b", Some(b"a".to_vec()))).len(), 0);
        let page = snapshot.page(Family::Storage, Bound::Excluded(b"ab"), None, 2).unwrap();
        assert_eq!(page.iter().map(|(key, _)| key.to_vec()).collect::<Vec<_>>(), [&b"ab\xff"[..], b"ab\xff\xff"]);
    }
}

/// Iteration goes in pages; nothing may be lost or doubled between them.
#[test]
fn long_iterations_see_each_key_once() {
    for Subject { kv, _folder } in subjects() {
        let mut batch = Batch::default();
        for number in (0..3_000u32).rev() {
            batch.put(Family::Logs, number.to_be_bytes().to_vec(), vec![1]);
        }
        kv.write(batch).unwrap();
        let expected: Vec<_> = (0..3_000u32).map(|number| Bytes::from(number.to_be_bytes().to_vec())).collect();
        assert_eq!(keys(&*kv, Family::Logs), expected);
    }
}

#[test]
fn a_range_deletion_is_bounded_and_says_how_much_it_did() {
    for Subject { kv, _folder } in [memory(), lmdb(Durability::Full, MIB)] {
        let mut batch = Batch::default();
        for number in 0..=RANGE_DELETE_KEYS_MAX as u32 {
            batch.put(Family::Nodes, number.to_be_bytes().to_vec(), vec![1]);
        }
        batch.put(Family::Nodes, vec![0xff; 4], vec![1]);
        kv.write(batch).unwrap();
        let until = [0xf0];
        assert_eq!(kv.delete_range(Family::Nodes, &[], Some(&until)), Ok(RANGE_DELETE_KEYS_MAX));
        assert_eq!(keys(&*kv, Family::Nodes).len(), 2);
        assert_eq!(kv.delete_range(Family::Nodes, &[], Some(&until)), Ok(1));
        assert_eq!(kv.delete_range(Family::Nodes, &[], Some(&until)), Ok(0));
        assert_eq!(keys(&*kv, Family::Nodes), [Bytes::from(vec![0xff; 4])]);
    }
}

#[test]
fn statistics_count_what_is_there() {
    for Subject { kv, _folder } in subjects() {
        put(&*kv, Family::Code, &[(b"a", &[1; 100]), (b"b", &[2; 100])]);
        let stat = kv.stat().unwrap();
        let (family, code) = stat.families[Family::Code as usize];
        assert_eq!((family, code.entries), (Family::Code, 2));
        assert!(code.bytes >= 202, "{code:?}");
        let others = stat.families.iter().filter(|(family, _)| *family != Family::Code);
        assert_eq!(others.map(|(_, stat)| stat.entries).sum::<u64>(), 0);
    }
}

#[test]
#[should_panic(expected = "a key of 0 bytes in code")]
fn an_empty_key_is_a_bug() {
    Batch::default().put(Family::Code, Vec::new(), Vec::new());
}

#[test]
#[should_panic(expected = "a key of 512 bytes in code")]
fn a_key_beyond_the_limit_is_a_bug() {
    Batch::default().put(Family::Code, vec![0; KEY_BYTES_MAX + 1], Vec::new());
}

#[derive(Clone, Debug)]
enum Step {
    /// Keys with a value, or None for a deletion.
    Write(Vec<(u8, Option<u8>)>),
    Freeze,
    Sync,
    /// Bulk that makes LMDB's map grow, readers or not.
    Grow,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let write = prop::collection::vec((0u8..40, prop::option::of(any::<u8>())), 0..20);
    let step = prop_oneof![
        6 => write.prop_map(Step::Write),
        3 => Just(Step::Freeze),
        1 => Just(Step::Sync),
        1 => Just(Step::Grow),
    ];
    prop::collection::vec(step, 1..30)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Every snapshot ever taken goes on holding what the model held then, through writes, flushes and growth.
    #[test]
    fn every_snapshot_is_the_model_of_its_moment(steps in steps()) {
        for Subject { kv, _folder } in subjects() {
            let mut model: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
            let mut frozen = Vec::new();
            let mut bulk = 0u32;
            for step in &steps {
                match step {
                    Step::Write(changes) => {
                        let mut batch = Batch::default();
                        for (key, value) in changes {
                            match value {
                                Some(value) => {
                                    batch.put(Family::Storage, vec![*key], vec![*value]);
                                    model.insert(vec![*key], vec![*value]);
                                }
                                None => {
                                    batch.delete(Family::Storage, vec![*key]);
                                    model.remove(&vec![*key]);
                                }
                            }
                        }
                        kv.write(batch).unwrap();
                    }
                    Step::Freeze => frozen.push((kv.snapshot().unwrap(), model.clone())),
                    Step::Sync => kv.sync().unwrap(),
                    Step::Grow => {
                        bulk += 1;
                        put(&*kv, Family::Artifacts, &[(&bulk.to_be_bytes(), &vec![1; MIB])]);
                    }
                }
            }
            frozen.push((kv.snapshot().unwrap(), model));
            for (snapshot, model) in frozen {
                let held: BTreeMap<_, _> = snapshot
                    .entries(Family::Storage)
                    .map(|entry| entry.map(|(key, value)| (key.to_vec(), value.to_vec())))
                    .collect::<Result<_, LedgerError>>()
                    .unwrap();
                prop_assert_eq!(&held, &model);
                for key in 0..40 {
                    let value = snapshot.get(Family::Storage, &[key]).unwrap();
                    prop_assert_eq!(value.map(Vec::from), model.get(&vec![key]).cloned());
                }
            }
        }
    }
}

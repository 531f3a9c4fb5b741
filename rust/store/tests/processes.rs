//! A store and other processes: one writes, others are told who does, or read beside it.

mod world;
mod writer;

use std::fs;

use execlayer_store::{Batch, Durability, Family, Options, SCHEMA, Store};
use state::{Commit, Ledger, LedgerError};

use crate::{
    world::{dump, steps_of},
    writer::{Writer, options},
};

fn read_only() -> Options {
    Options { read_only: true, ..options(Durability::Full) }
}

#[test]
fn a_second_writer_is_told_who_the_first_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display().to_string();
    let mut writer = Writer::start(folder.path(), Durability::Full);
    assert_eq!(writer.answer().as_deref(), Some("opened"));
    let refused = Store::open(folder.path(), options(Durability::Full)).err();
    assert_eq!(refused, Some(LedgerError::InUse { path: path.clone(), pid: writer.pid() }));
    writer.kill();
    let store = Store::open(folder.path(), options(Durability::Full)).unwrap();
    let refused = Store::open(folder.path(), options(Durability::Full)).err();
    assert_eq!(refused, Some(LedgerError::InUse { path, pid: std::process::id() }));
    drop(store);
    Store::open(folder.path(), options(Durability::Full)).unwrap();
}

#[test]
fn a_reader_beside_the_writer_sees_each_commit_and_makes_none() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::start(folder.path(), Durability::Full);
    assert_eq!(writer.answer().as_deref(), Some("opened"));
    let store = Store::open(folder.path(), read_only()).unwrap();
    for step in 1..=5 {
        let before = store.reader().unwrap();
        let head = before.head();
        writer.tell("step");
        assert_eq!(writer.answer(), Some(format!("acknowledged {step}")));
        assert_eq!(before.head(), head);
        assert_eq!(steps_of(&store), step);
    }
    assert_eq!(store.commit(Commit::default()), Err(LedgerError::ReadOnly));
    let held = store.reader().unwrap();
    writer.tell("bulk");
    assert_eq!(writer.answer().as_deref(), Some("acknowledged bulk"));
    // The map has grown over there: nothing is read from a map too small, and a held state says what stands in the way.
    assert!(matches!(store.reader().err(), Some(LedgerError::Io { action: "read", .. })));
    drop(held);
    assert_eq!(store.kv().stat().unwrap().families[Family::Artifacts as usize].1.entries, 1);
}

#[test]
fn another_schema_is_refused_with_advice() {
    for (version, advice) in [(SCHEMA + 1, "newer version"), (0, "import them into a new folder")] {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), options(Durability::Full)).unwrap();
        let mut batch = Batch::default();
        batch.put(Family::Metadata, b"schema".to_vec(), version.to_be_bytes().to_vec());
        store.kv().write(batch).unwrap();
        drop(store);
        let refused = Store::open(folder.path(), options(Durability::Full)).err().unwrap();
        assert!(matches!(refused, LedgerError::Schema { found, .. } if found == version));
        assert!(refused.to_string().contains(advice), "{refused}");
    }
}

#[test]
fn the_mark_of_a_writer_without_durability_is_checked_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("unsynced");
    let store = Store::open(folder.path(), options(Durability::None)).unwrap();
    assert!(mark.exists());
    let mut batch = Batch::default();
    batch.put(Family::Accounts, vec![1], vec![1]);
    store.kv().write(batch).unwrap();
    drop(store);
    assert!(!mark.exists());
    // As a machine leaves it that lost its power: the mark of another boot, and a row that is none.
    fs::write(&mark, "another boot").unwrap();
    for _ in 0..2 {
        let refused = Store::open(folder.path(), options(Durability::Full)).err();
        assert!(matches!(refused, Some(LedgerError::Damaged(_))), "{refused:?}");
        assert!(mark.exists());
    }
}

#[test]
fn compaction_keeps_every_row_and_needs_the_folder_for_itself() {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = Writer::start(folder.path(), Durability::Full);
    assert_eq!(writer.answer().as_deref(), Some("opened"));
    writer.tell("bulk");
    assert_eq!(writer.answer().as_deref(), Some("acknowledged bulk"));
    assert!(matches!(Store::compact(folder.path()), Err(LedgerError::InUse { .. })));
    writer.end();
    let store = Store::open(folder.path(), options(Durability::Full)).unwrap();
    while store.kv().delete_range(Family::Artifacts, &[], None).unwrap() > 0 {}
    let rows = dump(&store);
    drop(store);
    let (before, after) = Store::compact(folder.path()).unwrap();
    assert!(after < before / 2, "{before} bytes became {after}");
    assert_eq!(dump(&Store::open(folder.path(), options(Durability::Full)).unwrap()), rows);
}

//! Power cuts. A kill proves nothing about them: what a process wrote, the system still finishes. Here every write and
//! sync of a writing process is recorded (see `power/record.c`), and the file is put together as a disk might hold it
//! after a cut at any point: all that was synced, and of what was not a random part, in any order, sectors torn from
//! their pages. It must open at a whole commit, with nothing lost that was acknowledged.
#![cfg(target_os = "linux")]

mod world;
mod writer;

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use execlayer_store::{Durability, Store};
use state::Ledger;

use crate::{
    world::{Dice, dump, steps_of},
    writer::{Script, Writer, options},
};

const STEPS: u64 = 24;

/// Cuts that are tried of each recording.
const CUTS: u64 = 120;

/// What a disk writes as a whole.
const SECTOR: usize = 512;

enum Record {
    /// On the disk at the next sync, or before.
    Write {
        offset: usize,
        bytes: Vec<u8>,
    },
    /// On the disk when it returned.
    Synced {
        offset: usize,
        bytes: Vec<u8>,
    },
    Sync,
    /// What the process said.
    Output(String),
}

fn read_records(bytes: &[u8]) -> Vec<Record> {
    let mut rest = bytes;
    let mut records = Vec::new();
    while let Some((head, tail)) = rest.split_at_checked(17) {
        let number = |at: usize| u64::from_ne_bytes(head[at..at + 8].try_into().unwrap()) as usize;
        let (bytes, tail) = tail.split_at(number(9));
        let (offset, bytes) = (number(1), bytes.to_vec());
        records.push(match head[0] {
            b'W' => Record::Write { offset, bytes },
            b'D' => Record::Synced { offset, bytes },
            b'S' => Record::Sync,
            b'O' => Record::Output(String::from_utf8(bytes).unwrap()),
            other => panic!("a record of kind {other}"),
        });
        rest = tail;
    }
    assert!(rest.is_empty());
    records
}

/// The library that records; None where there is no C compiler.
fn recorder(folder: &Path) -> Option<PathBuf> {
    let library = folder.join("record.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/power/record.c");
    let compiler = env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    let mut command = Command::new(compiler);
    command.args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).arg("-ldl");
    let built = command.status().is_ok_and(|status| status.success());
    assert!(built || !env::var("CI").is_ok_and(|value| value == "true"), "no C compiler");
    built.then_some(library)
}

/// Everything that a process of so many commits did to its file.
fn recording(folder: &Path, library: &Path, durability: Durability) -> Vec<Record> {
    let record = folder.join("record");
    let mut command = Command::new(env::current_exe().unwrap());
    command.env("LD_PRELOAD", library).env("RECORD", &record);
    let mut writer = Writer::start_by(command, &folder.join("store"), durability);
    assert_eq!(writer.answer().as_deref(), Some("opened"));
    for step in 1..=STEPS {
        writer.tell("step");
        assert_eq!(writer.answer(), Some(format!("acknowledged {step}")));
    }
    writer.end();
    read_records(&fs::read(record).unwrap())
}

fn lay(image: &mut Vec<u8>, offset: usize, bytes: &[u8]) {
    image.resize(image.len().max(offset + bytes.len()), 0);
    image[offset..offset + bytes.len()].copy_from_slice(bytes);
}

/// What a disk may hold when the power goes after these records.
fn after_cut(records: &[Record], dice: &mut Dice) -> Vec<u8> {
    let mut image = Vec::new();
    let mut pending: Vec<(usize, &[u8])> = Vec::new();
    for record in records {
        match record {
            Record::Write { offset, bytes } => {
                pending.extend(bytes.chunks(SECTOR).zip(0..).map(|(part, index)| (offset + index * SECTOR, part)));
            }
            Record::Synced { offset, bytes } => {
                // It overtakes what was written before and waits.
                pending.retain(|(at, part)| at + part.len() <= *offset || *at >= offset + bytes.len());
                lay(&mut image, *offset, bytes);
            }
            Record::Sync => pending.drain(..).for_each(|(offset, bytes)| lay(&mut image, offset, bytes)),
            Record::Output(_) => {}
        }
    }
    // Nothing, everything, or any part of what waits; of one place the later write may come first, and be lost.
    let share = dice.below(5);
    for place in (1..pending.len()).rev() {
        pending.swap(place, dice.below(place as u64 + 1) as usize);
    }
    for (offset, bytes) in pending {
        if dice.below(4) < share {
            lay(&mut image, offset, bytes);
        }
    }
    image
}

fn survives(durability: Durability) {
    let folder = tempfile::tempdir().unwrap();
    let Some(library) = recorder(folder.path()) else { return eprintln!("skipped: no C compiler") };
    let records = recording(folder.path(), &library, durability);
    let syncs = records.iter().filter(|record| matches!(record, Record::Sync)).count();
    assert!(syncs > 3, "only {syncs} syncs were seen: the recorder stands in front of nothing");
    let models: Vec<_> = {
        let (mut script, store) = (Script::new(), Store::memory());
        let mut models = vec![dump(&store)];
        models.extend((0..STEPS).map(|_| {
            store.commit(script.next()).unwrap();
            dump(&store)
        }));
        models
    };
    let mut dice = Dice(durability as u64 + 1);
    let mut whole = 0;
    for cut in 0..CUTS {
        let end = if cut == 0 { records.len() } else { dice.below(records.len() as u64 + 1) as usize };
        let said = records[..end].iter().filter_map(|record| match record {
            Record::Output(text) => Some(text.as_str()),
            _ => None,
        });
        let said: String = said.collect();
        let acknowledged = said.lines().filter_map(writer::acknowledged).next_back().unwrap_or(0);
        let target = tempfile::tempdir().unwrap();
        fs::write(target.path().join("data.mdb"), after_cut(&records[..end], &mut dice)).unwrap();
        let store = match Store::open(target.path(), options(Durability::Full)) {
            Ok(store) => store,
            // Before the store had said that it is there it may be anything, but says so.
            Err(error) => {
                assert!(!said.contains("opened"), "cut after {end} of {}: {error}", records.len());
                continue;
            }
        };
        let step = steps_of(&store);
        if durability == Durability::Full {
            assert!(step >= acknowledged, "step {acknowledged} was acknowledged, {step} is there; cut after {end}");
        }
        assert!(dump(&store) == models[step as usize], "not the whole of step {step}; cut after {end}");
        assert_eq!(store.check().unwrap().faults, [], "cut after {end}");
        whole += u64::from(step > 0);
    }
    assert!(whole > CUTS / 2, "hardly anything was there after {CUTS} cuts: {whole}");
}

#[test]
fn a_power_cut_at_any_point_leaves_whole_commits_and_all_that_was_acknowledged() {
    survives(Durability::Full);
}

#[test]
fn a_power_cut_between_batches_loses_the_tail_and_never_the_file() {
    survives(Durability::Batched);
}

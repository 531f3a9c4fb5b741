use std::fs;

use proptest::prelude::*;
use types::{Address, U256};

use super::*;
use crate::{
    Config,
    core::{Input, Note, State},
    order::Slot,
    states::Sub,
    stored::Stored,
};

fn entries() -> Vec<Entry> {
    let input = |input| Entry::Input { wall_ns: 7, input };
    vec![
        input(Input::Configured { config: Box::new(Config::new(1, Address::ZERO, Address::ZERO, vec![])) }),
        input(Input::Frame { bytes: vec![1, 2, 3] }),
        Entry::Note(Note::Transition { order_id: 1, from: Sub::Received, to: Sub::Checked }),
        Entry::Note(Note::Unsigned { order_id: 1, slot: Slot { lane: 2, nonce: 3 } }),
        input(Input::Tick),
        Entry::Snapshot,
        input(Input::Thaw { sender: Address::repeat_byte(9) }),
    ]
}

fn read(folder: &std::path::Path) -> Result<(Journal, Vec<Record>), JournalError> {
    let mut records = Vec::new();
    let journal = Journal::open(
        folder,
        1,
        SEGMENT_BYTES,
        |_| Ok(()),
        |record| {
            records.push(record);
            Ok(())
        },
    )?;
    Ok((journal, records))
}

fn written(folder: &std::path::Path) -> Vec<u8> {
    let (mut journal, _) = read(folder).unwrap();
    for entry in entries() {
        journal.add(5, &entry);
    }
    journal.flush().unwrap();
    fs::read(only(folder)).unwrap()
}

fn only(folder: &std::path::Path) -> std::path::PathBuf {
    fs::read_dir(folder).unwrap().next().unwrap().unwrap().path()
}

#[test]
fn records_come_back_in_order_and_the_next_open_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path());
    let (journal, records) = read(folder.path()).unwrap();
    assert_eq!(records.iter().map(|record| record.entry.clone()).collect::<Vec<_>>(), entries());
    assert_eq!(records.iter().map(|record| record.seq).collect::<Vec<_>>(), (1..=7).collect::<Vec<_>>());
    assert_eq!((records[0].mono_ns, journal.next()), (5, 8));
}

#[test]
fn a_record_stands_byte_for_byte_as_documented() {
    let mut bytes = Vec::new();
    encode(&mut bytes, 2, 3, &Entry::Input { wall_ns: 4, input: Input::Halt { on: true } });
    let sum = kernels::crc32c(kernels::crc32c(0, &9u32.to_le_bytes()), &bytes[8..]);
    let expected = [
        &9u32.to_le_bytes()[..],
        &sum.to_le_bytes(),
        &2u64.to_le_bytes(),
        &3u64.to_le_bytes(),
        &[15],
        &4u64.to_le_bytes(),
        &[1],
    ];
    assert_eq!(bytes, expected.concat());
}

#[test]
fn a_torn_tail_is_cut_wherever_it_tears() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = written(folder.path());
    let path = only(folder.path());
    let mut last = usize::MAX;
    for end in (0..bytes.len()).rev() {
        fs::write(&path, &bytes[..end]).unwrap();
        let (journal, records) = read(folder.path()).unwrap();
        assert!(records.len() <= last && records.len() < 7, "{end}");
        assert_eq!(journal.next(), records.len() as u64 + 1);
        last = records.len();
    }
    assert_eq!(last, 0);
}

#[test]
fn a_damaged_record_in_the_middle_stops_the_start_and_at_the_end_is_cut() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = written(folder.path());
    let path = only(folder.path());
    let last = bytes.len() - RECORD_HEAD - 28;
    for at in 24..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0x40;
        fs::write(&path, &damaged).unwrap();
        match read(folder.path()) {
            Err(JournalError::Damaged { .. }) => assert!(at < last, "byte {at}"),
            Ok((_, records)) => assert!(at >= last && records.len() == 6, "byte {at}"),
            Err(error) => panic!("byte {at}: {error}"),
        }
    }
}

#[test]
fn another_chains_journal_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path());
    let other = Journal::open(folder.path(), 2, SEGMENT_BYTES, |_| Ok(()), |_| Ok(()));
    assert!(matches!(other, Err(JournalError::Foreign { chain_id: 2, .. })));
}

#[test]
fn a_full_segment_is_followed_by_the_next_and_none_may_be_missing() {
    let folder = tempfile::tempdir().unwrap();
    let open = |each: &mut dyn FnMut(Record)| {
        Journal::open(
            folder.path(),
            1,
            300,
            |_| Ok(()),
            |record| {
                each(record);
                Ok(())
            },
        )
    };
    let mut journal = open(&mut |_| ()).unwrap();
    for _ in 0..40 {
        journal.add(5, &Entry::Input { wall_ns: 7, input: Input::Tick });
        journal.flush().unwrap();
    }
    drop(journal);
    let mut seen = 0;
    let journal = open(&mut |_| seen += 1).unwrap();
    assert_eq!((seen, journal.next()), (40, 41));
    let mut files: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 3);
    fs::remove_file(&files[1]).unwrap();
    assert!(matches!(open(&mut |_| ()), Err(JournalError::Foreign { .. })));
}

#[test]
fn a_snapshot_is_read_whole_or_not_at_all_and_two_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let config = Config::new(1, Address::ZERO, Address::ZERO, vec![Address::repeat_byte(1)]);
    let state = State::new(&config);
    for seq in [3, 5, 9] {
        Snapshot::write(folder.path(), seq, &Snapshot::encode(1, seq, &config, &state)).unwrap();
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    let newest = || Snapshot::newest(folder.path(), 1).unwrap();
    let snapshot = newest().unwrap();
    assert_eq!((snapshot.seq, &snapshot.config), (9, &config));
    assert_eq!(snapshot.state.to_stored(), state.to_stored());
    let path = folder.path().join(format!("snapshot-{:020}.xls", 9));
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert_eq!(newest().unwrap().seq, 5);
}

#[test]
fn two_engines_on_one_key_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let [one, two] = [1, 2].map(Address::repeat_byte);
    let held = SenderLocks::take(folder.path(), 1, &[one]).unwrap();
    assert_eq!(held.len(), 1);
    let refused = SenderLocks::take(folder.path(), 1, &[two, one]);
    assert!(matches!(refused, Err(JournalError::SenderInUse { sender, chain_id: 1 }) if sender == one));
    assert!(SenderLocks::take(folder.path(), 1, &[two]).is_ok(), "what was taken before the refusal is free again");
    assert!(SenderLocks::take(folder.path(), 5, &[one]).is_ok(), "another chain is another lock");
    drop(held);
    assert!(SenderLocks::take(folder.path(), 1, &[one]).is_ok());
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        drop(Input::from_stored(&bytes));
        drop(Note::from_stored(&bytes));
        drop(State::from_stored(&bytes));
        prop_assert!(Scan::new(&bytes, 1).advance().is_ok_and(|record| record.is_none()));
    }

    #[test]
    fn numbers_survive_their_bytes(small in any::<u64>(), large in any::<[u8; 32]>(), text in ".{0,20}") {
        let value = (Some(U256::from_le_bytes(large)), (small, text));
        let bytes = value.to_stored();
        prop_assert_eq!(<(Option<U256>, (u64, String))>::from_stored(&bytes), Ok(value));
        prop_assert!(<(Option<U256>, (u64, String))>::from_stored(&bytes[..bytes.len() - 1]).is_err());
    }
}

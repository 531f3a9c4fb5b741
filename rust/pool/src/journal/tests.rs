use proptest::prelude::*;

use super::*;
use crate::{
    Change, DropReason, Ending,
    tests::{account, key, pooled},
};

fn hashes(contents: &Contents) -> Vec<B256> {
    contents.waiting.iter().map(|kept| types::keccak256(&kept.raw)).collect()
}

#[test]
fn what_was_flushed_is_read_back_in_order_and_what_left_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pool.journal");
    let (mut journal, kept) = Journal::open(&path, B256::ZERO).unwrap();
    assert_eq!(kept, Contents::default());
    let mut pool = Pool::default();
    for (sender, nonce) in [(1, 0), (0, 0), (0, 1), (2, 0)] {
        let mut new = pooled(sender, nonce, 50);
        new.private = sender == 2;
        pool.admit(new, &account(0)).unwrap();
    }
    let all: Vec<_> = pool.by_age().map(|pooled| pooled.hash).collect();
    pool.remove(&all[1], DropReason::Asked);
    pool.take_events().for_each(|event| journal.note(&event));
    journal.flush().unwrap();
    // Noted and not flushed: not there.
    let event = Event { pooled: Arc::new(pooled(3, 0, 1)), change: Change::Added { pending: true } };
    journal.note(&event);
    drop(journal);
    let (mut journal, kept) = Journal::open(&path, B256::ZERO).unwrap();
    assert_eq!(hashes(&kept), [all[0], all[2], all[3]]);
    assert_eq!(kept.waiting.iter().map(|kept| kept.private).collect::<Vec<_>>(), [false, false, true]);
    journal.compact(&pool).unwrap();
    journal.note(&event);
    journal.flush().unwrap();
    let length = journal.length;
    assert_eq!(std::fs::metadata(&path).unwrap().len(), length);
    drop(journal);
    let (_, kept) = Journal::open(&path, B256::ZERO).unwrap();
    assert_eq!(hashes(&kept), [all[0], all[2], all[3], event.pooled.hash]);
}

#[test]
fn what_was_learnt_about_senders_is_read_back_the_longest_unheard_of_first() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pool.journal");
    let (mut journal, _) = Journal::open(&path, B256::ZERO).unwrap();
    let mut pool = Pool::default();
    let [one, other] = [0, 1].map(|sender| pool.admit(pooled(sender, 0, 50), &account(0)).unwrap().hash);
    for (hash, ending) in [(one, Ending::Reverted), (other, Ending::Skipped), (one, Ending::Skipped)] {
        pool.record(&hash, ending);
        pool.take_learnt().for_each(|(sender, history)| journal.learn(&sender, history));
    }
    journal.flush().unwrap();
    drop(journal);
    let told = |contents: &Contents| -> Vec<_> {
        contents.histories.iter().map(|(sender, history)| (*sender, history.reverted, history.skipped)).collect()
    };
    let expected = [(key(1).address(), 0, 1), (key(0).address(), 1, 1)];
    let (mut journal, contents) = Journal::open(&path, B256::ZERO).unwrap();
    assert_eq!(told(&contents), expected);
    let mut again = Pool::default();
    for (sender, history) in contents.histories {
        again.recall(sender, history);
    }
    journal.compact(&again).unwrap();
    drop(journal);
    assert_eq!(told(&Journal::open(&path, B256::ZERO).unwrap().1), expected);
}

#[test]
fn another_chains_journal_and_other_files_are_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pool.journal");
    Journal::open(&path, B256::ZERO).unwrap();
    let error = Journal::open(&path, B256::repeat_byte(1)).unwrap_err();
    assert!(error.to_string().contains("belongs to the chain 0x00"), "{error}");
    std::fs::write(&path, [7; 100]).unwrap();
    assert!(Journal::open(&path, B256::ZERO).unwrap_err().to_string().contains("no journal of this version"));
    assert_eq!(std::fs::read(&path).unwrap(), [7; 100]);
    assert_eq!(Journal::open(folder.path(), B256::ZERO).unwrap_err().action, "open");
}

#[test]
fn a_file_is_due_when_more_than_half_of_it_is_of_no_use() {
    let folder = tempfile::tempdir().unwrap();
    let (mut journal, _) = Journal::open(&folder.path().join("pool.journal"), B256::ZERO).unwrap();
    let mut pool = Pool::default();
    let pooled = Arc::new(pooled(0, 0, 9));
    while journal.length <= COMPACT_BYTES_MIN {
        assert!(!journal.is_due(&pool));
        for _ in 0..1_000 {
            journal.note(&Event { pooled: Arc::clone(&pooled), change: Change::Added { pending: true } });
            journal.note(&Event { pooled: Arc::clone(&pooled), change: Change::Included });
        }
        journal.flush().unwrap();
    }
    assert!(journal.is_due(&pool));
    pool.admit(Arc::unwrap_or_clone(pooled), &account(0)).unwrap();
    journal.compact(&pool).unwrap();
    assert!(!journal.is_due(&pool));
}

proptest! {
    /// Cut anywhere: what is whole before the cut is read back, and the file goes on from there.
    #[test]
    fn a_torn_tail_is_cut_away(count in 1u64..6, cut in any::<prop::sample::Index>(), junk in prop::collection::vec(any::<u8>(), 0..40)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pool.journal");
        let (mut journal, _) = Journal::open(&path, B256::ZERO).unwrap();
        let mut ends = vec![HEADER_BYTES];
        let mut added = Vec::new();
        for nonce in 0..count {
            let pooled = Arc::new(pooled(0, nonce, 9));
            journal.note(&Event { pooled: Arc::clone(&pooled), change: Change::Added { pending: true } });
            journal.flush().unwrap();
            ends.push(journal.length as usize);
            added.push(pooled);
        }
        let bytes = std::fs::read(&path).unwrap();
        let cut = HEADER_BYTES + cut.index(bytes.len() - HEADER_BYTES);
        let mut torn = bytes[..cut].to_vec();
        torn.extend(&junk);
        std::fs::write(&path, &torn).unwrap();
        let whole = ends.iter().filter(|end| **end <= cut).count() - 1;
        let (mut journal, kept) = Journal::open(&path, B256::ZERO).unwrap();
        // Junk may by chance complete what was cut, but makes nothing up.
        prop_assert!(kept.waiting.len() == whole || bytes.starts_with(&torn[..torn.len().min(bytes.len())]));
        let whole = kept.waiting.len();
        prop_assert_eq!(hashes(&kept), added[..whole].iter().map(|pooled| pooled.hash).collect::<Vec<_>>());
        journal.note(&Event { pooled: Arc::new(pooled(1, 0, 9)), change: Change::Added { pending: true } });
        journal.flush().unwrap();
        prop_assert_eq!(Journal::open(&path, B256::ZERO).unwrap().1.waiting.len(), whole + 1);
    }

    #[test]
    fn arbitrary_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(replay(&bytes).1 <= bytes.len());
    }
}

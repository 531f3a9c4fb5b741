//! What is written is read as it was; anything else is an error with its place, and nothing is believed too early.

use proptest::{collection::vec, prelude::*};
use state::Tally;
use types::{Body, keccak256};

use super::*;

/// A state of so many accounts, cut into parts of `cut` entries.
fn parts(accounts: u8, slots: u8, cut: usize) -> Vec<Part> {
    let mut lattice = Lattice::default();
    let mut entries = Vec::new();
    for number in 0..accounts {
        let code_hash = if number % 3 == 0 { keccak256([number]) } else { Account::default().code_hash };
        let account = Account { nonce: u64::from(number) << 20, balance: U256::from(number), code_hash };
        let address = Address::with_last_byte(number);
        lattice.add_account(&address, &account);
        let held: Vec<_> =
            (0..if number % 2 == 0 { slots } else { 0 }).map(|key| (U256::from(key), U256::from(7))).collect();
        held.iter().for_each(|(key, value)| lattice.add_slot(&address, key, value));
        match held.is_empty() {
            true => entries.push(SnapshotAccount { address, account, slots: held }),
            false => entries.extend(held.chunks(cut).map(|slots| SnapshotAccount {
                address,
                account,
                slots: slots.to_vec(),
            })),
        }
    }
    let header = |number, parent_hash| Header { number, parent_hash, ..Header::default() };
    let headers = vec![header(5, B256::ZERO), header(6, header(5, B256::ZERO).hash_slow())];
    let last = header(7, headers[1].hash_slow());
    let block = BlockId { number: 7, hash: last.hash_slow() };
    let stored = StoredBlock {
        id: block,
        header: last,
        body: Body::default(),
        senders: Vec::new(),
        receipts: Vec::new(),
        total_difficulty: U256::from(70),
        tally: Tally { lattice: lattice.checksum(), ..Tally::default() },
    };
    let mut parts = vec![
        Part::Begin { genesis: B256::repeat_byte(1), block },
        Part::Headers(headers),
        Part::Block(Box::new(stored)),
    ];
    let slots = entries.iter().map(|entry| entry.slots.len() as u64).sum();
    parts.extend(entries.chunks(cut).map(|accounts| {
        let codes = accounts.iter().filter(|entry| entry.account.has_code());
        let codes = codes.map(|entry| Bytes::from(vec![entry.address[19]])).collect();
        Part::State { codes, accounts: accounts.to_vec() }
    }));
    parts.push(Part::End { accounts: accounts.into(), slots });
    parts
}

fn written(parts: &[Part]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut writer = SnapshotWriter::new(&mut out).unwrap();
    let lengths: Vec<_> = parts.iter().map(|part| writer.write(part).unwrap()).collect();
    assert_eq!(lengths.last().copied(), Some(out.len() as u64));
    out
}

fn read(bytes: &[u8]) -> Result<Vec<Part>, SnapshotError> {
    let mut reader = SnapshotReader::new(bytes)?;
    std::iter::from_fn(|| reader.next_part().transpose()).collect()
}

fn verified(bytes: &[u8]) -> Result<Option<SnapshotSummary>, SnapshotError> {
    verify(bytes, &mut |_| true)
}

/// The bytes with a part of this content in place of the one that begins at `start`, hashed as a writer would.
fn with_part(bytes: &[u8], start: usize, kind: u8, content: &[u8]) -> Vec<u8> {
    let length = u32::from_be_bytes(bytes[start + 1..start + 5].try_into().unwrap()) as usize;
    let mut part = vec![kind];
    put_bytes(&mut part, content);
    let hash = blake3::hash(&part);
    [&bytes[..start], &part, hash.as_bytes(), &bytes[start + length + FRAME_BYTES..]].concat()
}

/// Where each part begins.
fn starts(bytes: &[u8]) -> Vec<usize> {
    let mut starts = vec![12];
    while starts[starts.len() - 1] < bytes.len() {
        let start = starts[starts.len() - 1];
        let length = u32::from_be_bytes(bytes[start + 1..start + 5].try_into().unwrap()) as usize;
        starts.push(start + length + FRAME_BYTES);
    }
    starts.pop();
    starts
}

fn fault(outcome: Result<Option<SnapshotSummary>, SnapshotError>) -> (u64, SnapshotFault) {
    match outcome.unwrap_err() {
        SnapshotError::Malformed { offset, fault } => (offset, fault),
        other => panic!("{other}"),
    }
}

#[test]
fn a_snapshot_comes_back_part_by_part_and_sums_up() {
    for (accounts, slots, cut) in [(0, 0, 1), (1, 1, 1), (9, 7, 3), (200, 20, 4)] {
        let parts = parts(accounts, slots, cut);
        let bytes = written(&parts);
        assert_eq!(read(&bytes).unwrap(), parts);
        let summary = verified(&bytes).unwrap().unwrap();
        assert_eq!((summary.accounts, summary.block.number), (accounts.into(), 7));
        assert_eq!(summary.bytes, bytes.len() as u64);
        assert_eq!(verify(bytes.as_slice(), &mut |_| false), Ok(None));
    }
}

#[test]
fn the_first_bytes_are_the_documented_ones() {
    let bytes = written(&parts(0, 0, 1));
    assert_eq!(bytes[..12], *b"execsnap\0\0\0\x01");
    assert_eq!(bytes[12..17], [1, 0, 0, 0, 72]);
    assert_eq!(bytes[17..49], [1; 32]);
    assert_eq!(bytes[49..57], 7u64.to_be_bytes());
    assert_eq!(bytes[89..121], *blake3::hash(&bytes[12..89]).as_bytes());
    assert_eq!(bytes[bytes.len() - FRAME_BYTES - 16..][..5], [5, 0, 0, 0, 16]);
}

#[test]
fn every_cut_and_every_flipped_byte_is_told_with_its_place() {
    let bytes = written(&parts(4, 2, 2));
    for cut in 0..bytes.len() {
        assert_eq!(fault(verified(&bytes[..cut])), (cut as u64, SnapshotFault::Ends), "cut at {cut}");
    }
    for index in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[index] ^= 0x10;
        let (offset, _) = fault(verified(&damaged));
        let part_end = starts(&bytes).into_iter().find(|start| *start > index).unwrap_or(bytes.len());
        // A longer length is told where the file ends.
        let reached = u32::from_be_bytes(damaged[12 + 1..17].try_into().unwrap());
        assert!(offset as usize <= part_end || offset as usize == bytes.len() || reached > 72, "{index} {offset}");
    }
    let longer = [&bytes[..], &[0]].concat();
    assert_eq!(fault(verified(&longer)), (bytes.len() as u64, SnapshotFault::Trailing));
}

#[test]
fn content_that_is_framed_well_and_wrong_is_told_by_what_is_wrong() {
    let parts = parts(4, 2, 2);
    let bytes = written(&parts);
    let starts = starts(&bytes);
    let state = |accounts: &[SnapshotAccount]| {
        let mut content = Vec::new();
        Part::State { codes: Vec::new(), accounts: accounts.to_vec() }.encode(&mut content);
        with_part(&bytes, starts[3], Part::STATE, &content)
    };
    let Part::State { accounts, .. } = &parts[3] else { panic!("the fourth part holds accounts") };
    let at = starts[3] as u64;
    let mut swapped = accounts.clone();
    swapped.reverse();
    assert_eq!(fault(verified(&state(&swapped))), (at, SnapshotFault::Order(accounts[0].address)));
    let mut zero = accounts.clone();
    zero[0].slots[1].1 = U256::ZERO;
    assert_eq!(fault(verified(&state(&zero))), (at, SnapshotFault::Zero(accounts[0].address)));
    let mut other = accounts.clone();
    other[1].account.balance += U256::ONE;
    assert!(matches!(fault(verified(&state(&other))), (_, SnapshotFault::Lattice { .. })));
    let (_, counted) = fault(verified(&state(&accounts[..1])));
    assert!(matches!(counted, SnapshotFault::Count { accounts: 4, found_accounts: 3, .. }), "{counted}");

    let short = with_part(&bytes, starts[3], Part::STATE, &[0, 0, 0, 0, 0, 0, 0, 9]);
    let reason = DecodeError::Short { missing: 9 * 26 };
    assert_eq!(fault(verified(&short)), (at + 13, SnapshotFault::Content(reason)));
    let unknown = with_part(&bytes, starts[3], 9, &[]);
    assert_eq!(fault(verified(&unknown)), (at, SnapshotFault::Kind(9)));
    let again = with_part(&bytes, starts[3], Part::BEGIN, &[]);
    assert_eq!(fault(verified(&again)), (at, SnapshotFault::Kind(Part::BEGIN)));
    let headers = with_part(&bytes, starts[1], Part::HEADERS, &[0; 4]);
    assert!(verified(&headers).is_ok(), "older ancestors may be left out");

    let mut begin = Vec::new();
    let block = BlockId { number: 8, hash: B256::ZERO };
    Part::Begin { genesis: B256::ZERO, block }.encode(&mut begin);
    let (_, elsewhere) = fault(verified(&with_part(&bytes, starts[0], Part::BEGIN, &begin)));
    assert!(matches!(elsewhere, SnapshotFault::Block { expected, .. } if expected == block));
    let mut unlinked = Vec::new();
    Part::Headers(vec![Header { number: 6, ..Header::default() }]).encode(&mut unlinked);
    let (_, link) = fault(verified(&with_part(&bytes, starts[1], Part::HEADERS, &unlinked)));
    assert!(matches!(link, SnapshotFault::Link(id) if id.number == 7));
}

#[test]
fn a_length_beyond_the_limit_reads_nothing_and_allocates_nothing() {
    let mut bytes = written(&parts(0, 0, 1));
    bytes[13..17].copy_from_slice(&(PART_BYTES_MAX as u32 + 1).to_be_bytes());
    assert_eq!(fault(verified(&bytes)), (13, SnapshotFault::Length(PART_BYTES_MAX as u32 + 1)));
    let other = [b"execsnap".as_slice(), &2u32.to_be_bytes()].concat();
    assert_eq!(fault(verified(&other)), (8, SnapshotFault::Version(2)));
    assert_eq!(fault(verified(b"RIFF of a kind")), (0, SnapshotFault::Magic));
}

#[test]
fn a_part_beyond_the_limit_is_not_written() {
    let mut writer = SnapshotWriter::new(Vec::new()).unwrap();
    let parts = parts(0, 0, 1);
    for part in &parts[..3] {
        writer.write(part).unwrap();
    }
    let huge = Part::State { codes: vec![vec![0; PART_BYTES_MAX].into()], accounts: Vec::new() };
    let bytes = PART_BYTES_MAX + 12;
    assert_eq!(writer.write(&huge), Err(SnapshotError::TooLarge { what: "a piece of the state", bytes }));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// The twin of the fuzz target: whatever stands in a part, there is an answer, and it is the one spelling.
    #[test]
    fn any_content_of_a_part_is_one_part_or_an_error(
        kind in 1u8..=5,
        content in vec(any::<u8>(), 0..200),
        from in 0usize..6,
        flip in any::<(u16, u8)>(),
    ) {
        let whole = written(&parts(6, 3, 2));
        let starts = starts(&whole);
        let start = starts[from % starts.len()];
        let damaged = with_part(&whole, start, kind, &content);
        let _ = verified(&damaged);
        // And close to what is right: one byte of a part's content changed, the hash made to fit.
        let end = starts.iter().find(|next| **next > start).copied().unwrap_or(whole.len());
        let mut content = whole[start + 5..end - 32].to_vec();
        let index = usize::from(flip.0) % content.len();
        content[index] ^= flip.1;
        let close = with_part(&whole, start, whole[start], &content);
        if let Ok(parts) = read(&close) {
            prop_assert_eq!(written(&parts), close);
        }
    }

    #[test]
    fn any_bytes_are_an_error(bytes in vec(any::<u8>(), 0..100)) {
        let framed = [b"execsnap\0\0\0\x01".as_slice(), &bytes].concat();
        prop_assert!(verified(&bytes).is_err());
        prop_assert!(verified(&framed).is_err());
    }
}

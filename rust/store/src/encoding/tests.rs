//! Each encoding comes back as it was, and any other bytes are an error: never a panic, never a second spelling.

use proptest::{collection::vec, prelude::*};
use state::{AccountDiff, NodeKey, Notification, ReverseDiff, SlotDiff, StateDiff, Tally, roots::Lattice};
use types::{
    Account, Address, B256, BlockId, Body, Bytes, EMPTY_CODE_HASH, Header, Log, LogData, Outcome, Receipt, U256,
};

use super::*;
use crate::{accounts::*, blocks::*};

fn hash() -> impl Strategy<Value = B256> {
    any::<[u8; 32]>().prop_map(B256::new)
}

fn address() -> impl Strategy<Value = Address> {
    any::<[u8; 20]>().prop_map(Address::new)
}

/// Numbers of every length.
fn number() -> impl Strategy<Value = U256> {
    (any::<[u8; 32]>(), 0usize..=256).prop_map(|(bytes, shift)| U256::from_be_bytes(bytes).wrapping_shr(shift))
}

fn bytes() -> impl Strategy<Value = Bytes> {
    vec(any::<u8>(), 0..60).prop_map(Bytes::from)
}

fn account() -> impl Strategy<Value = Account> {
    (any::<u64>(), 0u32..64, number(), prop::option::of(hash())).prop_map(|(nonce, shift, balance, code)| Account {
        nonce: nonce >> shift,
        balance,
        code_hash: code.unwrap_or(EMPTY_CODE_HASH),
    })
}

fn node() -> impl Strategy<Value = NodeKey> {
    (prop::option::of(hash()), vec(0u8..16, 0..=64)).prop_map(|(owner, path)| NodeKey { owner, path })
}

fn reverse() -> impl Strategy<Value = ReverseDiff> {
    let slot = (number(), number(), number()).prop_map(|(key, before, after)| SlotDiff { key, before, after });
    let change = (prop::option::of(account()), prop::option::of(account()), vec(slot, 0..4))
        .prop_map(|(before, after, slots)| AccountDiff { before, after, slots });
    let accounts = vec((address(), change), 0..4);
    let nodes = vec((node(), prop::option::of(bytes())), 0..4);
    (accounts, vec((hash(), bytes()), 0..3), nodes)
        .prop_map(|(accounts, codes, nodes)| ReverseDiff { diff: StateDiff { accounts, codes }, nodes })
}

fn receipt() -> impl Strategy<Value = Receipt> {
    let outcome = prop_oneof![any::<bool>().prop_map(Outcome::Status), hash().prop_map(Outcome::StateRoot)];
    let log = (address(), vec(hash(), 0..=4), bytes())
        .prop_map(|(address, topics, data)| Log { address, data: LogData::new_unchecked(topics, data) });
    (any::<u8>(), outcome, any::<u64>(), vec(log, 0..4))
        .prop_map(|(kind, outcome, cumulative_gas_used, logs)| Receipt { kind, outcome, cumulative_gas_used, logs })
}

fn tally() -> impl Strategy<Value = Tally> {
    (hash(), number(), number(), number(), number()).prop_map(|(lattice, burned, fees, burned_total, fees_total)| {
        Tally { lattice, burned, fees, burned_total, fees_total }
    })
}

/// Bytes as a decoder may meet them: any, or an encoding with one byte changed, cut or added.
fn damaged(encoded: impl Strategy<Value = Bytes> + 'static) -> impl Strategy<Value = Vec<u8>> {
    let hurt = (encoded, any::<prop::sample::Index>(), any::<u8>(), 0..3).prop_map(|(encoded, place, byte, how)| {
        let mut bytes = encoded.to_vec();
        let place = place.index(bytes.len().max(1));
        match how {
            0 if !bytes.is_empty() => bytes[place] = byte,
            1 => bytes.truncate(place),
            _ => bytes.push(byte),
        }
        bytes
    });
    prop_oneof![vec(any::<u8>(), 0..200), hurt]
}

/// Whatever is read from `bytes` must be written as the same bytes.
fn one_spelling<T>(
    bytes: &[u8],
    decode: impl Fn(&[u8]) -> Result<T, DecodeError>,
    encode: impl Fn(&T) -> Bytes,
) -> Result<(), TestCaseError> {
    if let Ok(value) = decode(bytes) {
        prop_assert_eq!(encode(&value).to_vec(), bytes);
    }
    Ok(())
}

proptest! {
    #[test]
    fn accounts_come_back(account in account()) {
        prop_assert_eq!(decode_account(&encode_account(&account)), Ok(account));
    }

    #[test]
    fn any_bytes_are_one_account_or_an_error(bytes in damaged(account().prop_map(|account| encode_account(&account)))) {
        one_spelling(&bytes, decode_account, encode_account)?;
    }

    #[test]
    fn slots_come_back(address in address(), slot in number(), value in number()) {
        prop_assert_eq!(slot_of(&slot_key(&address, &slot)), Ok(slot));
        if !value.is_zero() {
            prop_assert_eq!(decode_slot(&encode_slot(&value)), Ok(value));
        }
    }

    #[test]
    fn any_bytes_are_one_slot_or_an_error(bytes in vec(any::<u8>(), 0..40)) {
        one_spelling(&bytes, decode_slot, encode_slot)?;
    }

    #[test]
    fn places_of_nodes_come_back(key in node()) {
        let encoded = node_key(&key);
        prop_assert!(encoded.len() <= 66);
        prop_assert_eq!(decode_node_key(&encoded), Ok(key));
    }

    #[test]
    fn any_bytes_are_one_place_or_an_error(bytes in damaged(node().prop_map(|key| node_key(&key)))) {
        one_spelling(&bytes, decode_node_key, node_key)?;
    }

    #[test]
    fn ways_back_come_back(reverse in reverse()) {
        prop_assert_eq!(decode_reverse(&encode_reverse(&reverse)), Ok(reverse));
    }

    #[test]
    fn any_bytes_are_one_way_back_or_an_error(bytes in damaged(reverse().prop_map(|reverse| encode_reverse(&reverse)))) {
        one_spelling(&bytes, decode_reverse, encode_reverse)?;
    }

    #[test]
    fn receipts_come_back(receipts in vec(receipt(), 0..5)) {
        prop_assert_eq!(decode_receipts(&encode_receipts(&receipts)), Ok(receipts));
    }

    #[test]
    fn any_bytes_are_one_list_of_receipts_or_an_error(
        bytes in damaged(vec(receipt(), 0..3).prop_map(|receipts| encode_receipts(&receipts)))
    ) {
        one_spelling(&bytes, decode_receipts, |receipts| encode_receipts(receipts))?;
    }

    #[test]
    fn headers_and_bodies_come_back(
        number: u64,
        extra in bytes(),
        total_difficulty in number(),
        tally in tally(),
        senders in vec(address(), 0..5),
    ) {
        let header = Header { number, extra_data: extra, ..Header::default() };
        let row = HeaderRow { header: header.clone(), total_difficulty, tally };
        prop_assert_eq!(decode_header(&encode_header(&header, &total_difficulty, &tally)), Ok(row));
        let body = Body { ommers: vec![header], withdrawals: (number % 2 == 0).then(Default::default), ..Body::default() };
        prop_assert_eq!(decode_body(&encode_body(&body, &senders)), Ok((body, senders)));
    }

    #[test]
    fn any_bytes_are_a_header_and_a_body_or_errors(
        header in damaged((any::<u64>(), tally()).prop_map(|(number, tally)| {
            encode_header(&Header { number, ..Header::default() }, &U256::from(number), &tally)
        })),
        body in damaged(any::<u8>().prop_map(|byte| encode_body(&Body::default(), &[Address::repeat_byte(byte)]))),
    ) {
        one_spelling(&header, decode_header, |row| encode_header(&row.header, &row.total_difficulty, &row.tally))?;
        one_spelling(&body, decode_body, |(body, senders)| encode_body(body, senders))?;
    }

    #[test]
    fn notifications_come_back(number: u64, place: u32, hash in hash(), parent in hash(), is_reverted: bool) {
        prop_assert_eq!(decode_notification_key(&notification_key(number, place)), Ok((number, place)));
        let notification = Notification { block: BlockId { number, hash }, parent, is_reverted };
        prop_assert_eq!(decode_notification(number, &encode_notification(&notification)), Ok(notification));
    }

    #[test]
    fn any_bytes_are_one_notification_or_an_error(bytes in damaged(any::<bool>().prop_map(|is_reverted| {
        let (block, parent) = (BlockId::default(), B256::ZERO);
        encode_notification(&Notification { block, parent, is_reverted })
    }))) {
        one_spelling(&bytes, |bytes| decode_notification(0, bytes), encode_notification)?;
    }

    #[test]
    fn lattice_hashes_come_back(content in vec(any::<u8>(), Lattice::BYTES), cut in 0..Lattice::BYTES) {
        let lattice = decode_lattice(&content).unwrap();
        prop_assert_eq!(&encode_lattice(&lattice)[..], &content[..]);
        prop_assert_eq!(decode_lattice(&content[..cut]), Err(DecodeError::Short { missing: Lattice::BYTES - cut }));
    }

    #[test]
    fn places_of_logs_and_transactions_come_back(block in hash(), index: u32, mut places in vec(any::<u32>(), 0..9)) {
        prop_assert_eq!(decode_place(&encode_place(&block, index)), Ok((block, index)));
        let id = BlockId { number: index.into(), hash: block };
        prop_assert_eq!(decode_id(&encode_id(&id)), Ok(id));
        places.sort_unstable();
        places.dedup();
        prop_assert_eq!(decode_places(&encode_places(&places)), Ok(places));
    }

    #[test]
    fn any_bytes_are_places_or_an_error(bytes in vec(any::<u8>(), 0..60)) {
        one_spelling(&bytes, decode_places, |places| encode_places(places))?;
        one_spelling(&bytes, decode_place, |(block, index)| encode_place(block, *index))?;
        one_spelling(&bytes, decode_id, encode_id)?;
        one_spelling(&bytes, decode_hash, |hash| hash.to_vec().into())?;
    }
}

/// The bytes of `docs/storage.md`, spelled out once.
#[test]
fn encodings_are_the_documented_bytes() {
    let hex = |bytes: &[u8]| types::primitives::hex::encode(bytes);
    let plain = Account { nonce: 0x0102, balance: U256::from(0xff00), ..Account::default() };
    assert_eq!(hex(&encode_account(&plain)), "02020102ff00");
    assert_eq!(hex(&encode_account(&Account::default())), "0000");
    let contract = Account { code_hash: B256::repeat_byte(0xcc), ..Account::default() };
    assert_eq!(hex(&encode_account(&contract)), format!("4000{}", "cc".repeat(32)));
    assert_eq!(hex(&encode_slot(&U256::from(0x0100))), "0100");
    assert_eq!(hex(&node_key(&NodeKey { owner: None, path: vec![] })), "0000");
    assert_eq!(hex(&node_key(&NodeKey { owner: None, path: vec![1, 2, 3] })), "00123003");
    let owned = NodeKey { owner: Some(B256::repeat_byte(0xaa)), path: vec![0xf] };
    assert_eq!(hex(&node_key(&owned)), format!("01{}f001", "aa".repeat(32)));
    let receipt = Receipt { kind: 2, outcome: Outcome::Status(true), cumulative_gas_used: 0x5208, logs: vec![] };
    assert_eq!(hex(&encode_receipts(&[receipt])), "000000010201000000000000520800000000");
    let name = LogName::Topic(3, B256::repeat_byte(0xbb));
    assert_eq!(hex(&name.key(258)), format!("04{}0000000000000102", "bb".repeat(32)));
}

#[test]
fn a_count_that_cannot_be_true_allocates_nothing() {
    assert_eq!(decode_receipts(&[0xff; 4]), Err(DecodeError::Short { missing: u32::MAX as usize * 14 }));
    assert_eq!(decode_reverse(&[0xff; 4]), Err(DecodeError::Short { missing: u32::MAX as usize * 26 }));
}

#[test]
fn a_second_spelling_is_refused() {
    assert_eq!(decode_account(&[0x01, 0x00, 0x00]), Err(DecodeError::NotShortest));
    assert_eq!(decode_account(&[0x00, 0x09, 1, 0, 0, 0, 0, 0, 0, 0, 0]), Err(DecodeError::NotShortest));
    let spelled_out = [&[0x40, 0x00], EMPTY_CODE_HASH.as_slice()].concat();
    assert_eq!(decode_account(&spelled_out), Err(DecodeError::NotShortest));
    assert_eq!(decode_slot(&[]), Err(DecodeError::Short { missing: 1 }));
    assert_eq!(decode_node_key(&[0, 0x11, 1]), Err(DecodeError::NotShortest));
    assert_eq!(decode_node_key(&[2, 0]), Err(DecodeError::Case { field: "owner of a node", value: 2 }));
    assert_eq!(decode_places(&[0; 8]), Err(DecodeError::Case { field: "order of places", value: 2 }));
}

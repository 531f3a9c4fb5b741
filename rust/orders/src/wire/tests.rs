use proptest::{collection::vec, option, prelude::*};
use types::{Address, B256, U256};

use super::*;
use crate::{failure::FailureCode, states::Sub};

/// The second golden vector of the protocol's description.
pub(crate) fn golden_signal() -> (Header, SignalParts) {
    let header = Header { kind: 1, flags: 0, sequence: 1, sent_unix_ns: 1_700_000_000_000_000_000, source_id: 9 };
    let parts = SignalParts {
        identity: Identity {
            signal_id: 7,
            created_unix_ns: header.sent_unix_ns,
            strategy_id: 3,
            action: Action::FlashSwap,
            channel: Channel::Default,
            chain_id: 1,
        },
        economics: Economics {
            expected_profit: 469_578_256_709_118_226_712,
            expected_profit_wei: 10i128.pow(17),
            required_capital: 22 * 10u128.pow(21),
            gas_estimate: 201_126,
            slippage_bps: None,
            tip_share_bps: None,
            max_fee: None,
            max_priority: None,
            state_block: 16,
            valid_until_block: None,
            valid_until_ns: None,
            confidence_bps: 0,
        },
        contract: None,
        profit_token: Address::repeat_byte(0x11),
        pools: vec![Address::repeat_byte(0x22), Address::repeat_byte(0x33)],
        tokens: vec![Address::repeat_byte(0x44), Address::repeat_byte(0x11)],
        amounts: vec![U256::from(10_710_773_076_393_409_305u64)],
        hops: vec![],
        raw_call: None,
        lender: None,
        trace: None,
    };
    (header, parts)
}

#[test]
fn the_empty_heartbeat_is_the_golden_vector() {
    let header = Header { kind: 3, flags: 0, sequence: 1, sent_unix_ns: 0, source_id: 9 };
    let frame = Message::Heartbeat.encode(&header, None);
    let golden = "584c4f3101030000010000000000000000000000000000000900000000000000000000009b66d53f";
    assert_eq!(types::primitives::hex::encode(&frame), golden);
    let decoded = Frame::decode(&frame).unwrap();
    assert_eq!(decoded.header, header);
    assert_eq!(Message::decode(&decoded), Ok(Message::Heartbeat));
}

#[test]
fn the_signal_is_the_golden_vector() {
    let (header, parts) = golden_signal();
    let frame = parts.to_frame(&header, None);
    assert_eq!(frame.len(), 352);
    assert_eq!(frame[36..40], [0xf6, 0x37, 0x86, 0x5d]);
    let decoded = Frame::decode(&frame).unwrap();
    let Ok(Message::Signal(signal)) = Message::decode(&decoded) else { panic!("no signal") };
    assert_eq!(SignalParts::from(&signal), parts);
}

fn sealed(mut frame: Vec<u8>) -> Vec<u8> {
    let sum = kernels::crc32c(kernels::crc32c(0, &frame[..36]), &frame[40..]);
    frame[36..40].copy_from_slice(&sum.to_le_bytes());
    frame
}

fn refused(frame: &[u8]) -> WireError {
    match Frame::decode(frame) {
        Err(error) => error,
        Ok(frame) => Message::decode(&frame).unwrap_err(),
    }
}

#[test]
fn every_wrong_byte_is_named_with_its_offset() {
    let (header, parts) = golden_signal();
    let frame = parts.to_frame(&header, None);
    // Fields start at 40 (identity), 76 (economics), 192 (addresses); their values 4 later.
    let cases: &[(usize, u8, WireCode, usize)] = &[
        (0, b'Y', WireCode::Magic, 0),
        (4, 2, WireCode::Version, 4),
        (5, 9, WireCode::Kind, 5),
        (6, 4, WireCode::Flags, 6),
        (28, 4, WireCode::FieldCount, 28),
        (30, 1, WireCode::Reserved, 30),
        (40, 9, WireCode::FieldOrder, 76),
        (41, 1, WireCode::FieldOrder, 76),
        (42, 33, WireCode::Reserved, 78),
        (192, 7, WireCode::FieldUnknown, 192),
        (44 + 18, 4, WireCode::Range, 62),
        (44 + 19, 4, WireCode::Range, 63),
        (44 + 22, 1, WireCode::Reserved, 66),
        (80 + 57, 0x7f, WireCode::Range, 80 + 56),
        (80 + 105, 0xff, WireCode::Range, 80 + 104),
        (80 + 106, 1, WireCode::Reserved, 80 + 106),
        (196 + 40, 0, WireCode::Range, 196 + 40),
        (196 + 40, 9, WireCode::Range, 196 + 40),
        (196 + 41, 1, WireCode::Range, 196 + 41),
        (196 + 42, 0, WireCode::Range, 196 + 42),
        (196 + 42, 2, WireCode::FieldLength, 194),
        (196 + 43, 1, WireCode::Reserved, 196 + 43),
    ];
    for (at, byte, code, offset) in cases {
        let mut wrong = frame.clone();
        wrong[*at] = *byte;
        let wrong = sealed(wrong);
        assert_eq!(refused(&wrong), WireError::new(*code, *offset), "byte {at} set to {byte}");
    }
    assert_eq!(refused(&frame[..351]), WireError::new(WireCode::Length, 32));
    assert_eq!(refused(&frame[..20]), WireError::new(WireCode::Length, 20));
    let heartbeat = Message::Heartbeat.encode(&Header { kind: 1, ..header }, None);
    let mut empty = heartbeat;
    empty[5] = 1;
    assert_eq!(refused(&sealed(empty)), WireError::new(WireCode::FieldMissing, 40));
}

#[test]
fn a_stream_knows_the_length_as_soon_as_it_can() {
    let (header, parts) = golden_signal();
    let frame = parts.to_frame(&header, None);
    assert_eq!(frame_length(&frame[..35]), Ok(None));
    assert_eq!(frame_length(&frame[..36]), Ok(Some(352)));
    assert_eq!(frame_length(b"XLO2"), Err(WireError::new(WireCode::Magic, 0)));
    assert_eq!(frame_length(b"Z"), Err(WireError::new(WireCode::Magic, 0)));
    let mut long = frame;
    long[32..36].copy_from_slice(&(MAX_FRAME as u32 - 39).to_le_bytes());
    assert_eq!(frame_length(&long), Err(WireError::new(WireCode::TooLong, 32)));
    long[32..36].copy_from_slice(&(MAX_FRAME as u32 - 40).to_le_bytes());
    assert_eq!(frame_length(&long), Ok(Some(MAX_FRAME)));
}

#[test]
fn authentication_is_proven_required_and_refused() {
    let (header, parts) = golden_signal();
    let key = AuthKey::new(5, b"secret");
    let signed = parts.to_frame(&header, Some(&key));
    let frame = Frame::decode(&signed).unwrap();
    let known = AuthKeys::new([key.clone()]);
    assert_eq!(known.check(&frame, true), Ok(Authenticity::Proven(5)));
    assert!(matches!(Message::decode(&frame), Ok(Message::Signal(_))));
    let at = signed.len() - 36;
    assert_eq!(AuthKeys::default().check(&frame, true), Err(WireError::new(WireCode::AuthKey, at)));
    let other = AuthKeys::new([AuthKey::new(5, b"other")]);
    assert_eq!(other.check(&frame, false), Err(WireError::new(WireCode::AuthWrong, at + 4)));

    let plain = parts.to_frame(&header, None);
    let frame = Frame::decode(&plain).unwrap();
    assert_eq!(known.check(&frame, false), Ok(Authenticity::Unsigned));
    assert_eq!(known.check(&frame, true), Err(WireError::new(WireCode::AuthMissing, plain.len())));
    assert_eq!(format!("{key:?}"), "AuthKey(5)");
}

#[test]
fn unknown_fields_above_0x8000_are_skipped_and_below_refuse() {
    let header = Header { kind: 3, flags: 0, sequence: 1, sent_unix_ns: 0, source_id: 9 };
    let with = |kind| {
        let mut writer = FrameWriter::new(&header);
        writer.field(kind, |out| out.extend_from_slice(b"later"));
        writer.finish(None)
    };
    assert_eq!(Message::decode(&Frame::decode(&with(0x9000)).unwrap()), Ok(Message::Heartbeat));
    assert_eq!(refused(&with(0x0200)), WireError::new(WireCode::FieldUnknown, 40));
}

fn address() -> impl Strategy<Value = Address> {
    any::<[u8; 20]>().prop_map(Address::new)
}

fn word() -> impl Strategy<Value = U256> {
    any::<[u8; 32]>().prop_map(U256::from_le_bytes)
}

fn identity() -> impl Strategy<Value = Identity> {
    (any::<(u64, u64, u16, u64)>(), 0u8..4, 0u8..4).prop_map(
        |((signal_id, at, strategy_id, chain_id), action, channel)| Identity {
            signal_id,
            created_unix_ns: at,
            strategy_id,
            action: Action::from_number(action).unwrap(),
            channel: Channel::from_number(channel).unwrap(),
            chain_id,
        },
    )
}

prop_compose! {
    fn economics()(
        numbers in any::<(i128, i128, u128, u64, u64)>(),
        shares in (option::of(0u16..=10_000), option::of(0u16..=10_000), 0u16..=10_000),
        given in (option::of(1u64..), option::of(1u64..), option::of(1u64..), option::of(1u64..)),
    ) -> Economics {
        Economics {
            expected_profit: numbers.0,
            expected_profit_wei: numbers.1,
            required_capital: numbers.2,
            gas_estimate: numbers.3,
            state_block: numbers.4,
            slippage_bps: shares.0,
            tip_share_bps: shares.1,
            confidence_bps: shares.2,
            max_fee: given.0,
            max_priority: given.1,
            valid_until_block: given.2,
            valid_until_ns: given.3,
        }
    }
}

prop_compose! {
    fn signal()(
        identity in identity(),
        economics in economics(),
        contract in option::of(address().prop_filter("zero stands for none", |address| !address.is_zero())),
        profit_token in address(),
        pools in vec(address(), 1..=8),
        tokens in vec(address(), 2..=9),
        amounts in vec(word(), 1..=8),
        hops in option::of(any::<(u8, bool, u16)>()),
        raw_call in option::of(vec(any::<u8>(), 0..200)),
        lender in option::of((address(), any::<u8>(), any::<u16>())),
        trace in option::of(any::<[u8; 24]>()),
    ) -> SignalParts {
        let hop = hops.map(|(kind, zero_for_one, fee)| Hop { kind, zero_for_one, fee });
        SignalParts {
            identity, economics, contract, profit_token,
            hops: hop.map(|hop| vec![hop; pools.len()]).unwrap_or_default(),
            pools, tokens, amounts, raw_call,
            lender: lender.map(|(address, kind, fee_bps)| Lender { address, kind, fee_bps }),
            trace,
        }
    }
}

prop_compose! {
    fn report()(
        status in option::of((any::<(u64, u64, u32, u16)>(), 0u8..16, 0u16..20, any::<(u8, u32, u64, u64)>(), 0u8..32)),
        transactions in vec((any::<[u8; 32]>(), address(), 0u8..4, 0u8..4, any::<[u64; 5]>()), 0..3),
        fills in vec((0u8..4, any::<(bool, u16, u32, u64, u32)>(), any::<[[u8; 32]; 2]>(), any::<(i128, i128, u128, u64, u64)>()), 0..3),
        legs in vec((address(), address(), any::<u32>(), word(), word()), 0..3),
        error in option::of((any::<(u16, u8, u8, i32)>(), vec(any::<u8>(), 0..40), ".{0,40}")),
        bundles in vec((any::<[u8; 32]>(), any::<[u8; 16]>(), any::<(u64, u16, u16)>()), 0..3),
        trace in option::of(any::<[u8; 24]>()),
    ) -> Report {
        Report {
            status: status.map(|((order_id, signal_id, source_id, strategy_id), sub, failure, rest, flags)| OrderStatus {
                order_id, signal_id, source_id, strategy_id, flags,
                sub: Sub::from_number(sub).unwrap(),
                failure: FailureCode::from_number(failure),
                replacements: rest.0, order_seq: rest.1, event_unix_ns: rest.2, ns_since_receipt: rest.3,
            }),
            transactions: transactions.into_iter().map(|(hash, sender, kind, channel, numbers)| TxRef {
                hash: B256::new(hash), sender,
                kind: AttemptKind::from_number(kind).unwrap(),
                channel: Channel::from_number(channel).unwrap(),
                nonce: numbers[0], max_fee: numbers[1], max_priority: numbers[2], gas_limit: numbers[3],
                target_block: numbers[4],
            }).collect(),
            fills: fills.into_iter().map(|(kind, (success, legs, tx_index, block, depth), hashes, money)| Fill {
                kind: FillKind::from_number(kind).unwrap(),
                success, legs, tx_index, block, depth,
                block_hash: B256::new(hashes[0]), tx_hash: B256::new(hashes[1]),
                profit_token: Address::repeat_byte(kind),
                realized: money.0, realized_wei: money.1, builder_payment_wei: money.2,
                gas_used: money.3, gas_price: money.4,
            }).collect(),
            legs: legs.into_iter().map(|(pool, token, log_index, amount_in, amount_out)| SwapLeg {
                pool, token_in: token, token_out: pool, log_index, amount_in, amount_out,
            }).collect(),
            error: error.map(|((code, category, severity, rpc_code), revert, text)| ErrorInfo {
                code, category, severity, rpc_code, revert, text,
            }),
            bundles: bundles.into_iter().map(|(hash, uuid, (target_block, relay, attempts))| BundleRef {
                bundle_hash: B256::new(hash), uuid, target_block, relay, attempts,
            }).collect(),
            trace,
        }
    }
}

fn header() -> impl Strategy<Value = Header> {
    (0u16..4, any::<(u64, u64, u32)>()).prop_map(|(flags, (sequence, sent_unix_ns, source_id))| Header {
        kind: 0,
        flags,
        sequence,
        sent_unix_ns,
        source_id,
    })
}

fn frame() -> impl Strategy<Value = Vec<u8>> {
    let key = option::of(any::<u32>()).prop_map(|id| id.map(|id| AuthKey::new(id, b"key")));
    prop_oneof![
        (header(), signal(), key.clone()).prop_map(|(header, parts, key)| parts.to_frame(&header, key.as_ref())),
        (header(), identity(), key.clone())
            .prop_map(|(header, identity, key)| Message::Cancel(identity).encode(&header, key.as_ref())),
        (header(), report(), 0..3u8, key).prop_map(|(header, report, kind, key)| {
            let message = match kind {
                0 => Message::Result(report),
                1 => Message::Update(report),
                _ => Message::Ack(report),
            };
            message.encode(&header, key.as_ref())
        }),
    ]
}

proptest! {
    #[test]
    fn a_signal_comes_back_from_its_frame(header in header(), parts in signal()) {
        let bytes = parts.to_frame(&header, None);
        let frame = Frame::decode(&bytes).unwrap();
        let Ok(Message::Signal(signal)) = Message::decode(&frame) else { panic!("no signal") };
        prop_assert_eq!(SignalParts::from(&signal), parts);
        prop_assert_eq!(frame.header, Header { kind: 1, ..header });
    }

    #[test]
    fn a_report_comes_back_from_its_frame(header in header(), report in report()) {
        let message = Message::Update(report);
        let bytes = message.encode(&header, None);
        prop_assert_eq!(Message::decode(&Frame::decode(&bytes).unwrap()), Ok(message));
    }

    #[test]
    fn what_decodes_encodes_to_the_same_bytes(bytes in frame()) {
        let frame = Frame::decode(&bytes).unwrap();
        let message = Message::decode(&frame).unwrap();
        let auth = frame.fields().last().filter(|last| last.kind == field::AUTH);
        let key = auth.map(|auth| AuthKey::new(u32::from_le_bytes(auth.value[..4].try_into().unwrap()), b"key"));
        prop_assert_eq!(message.encode(&frame.header, key.as_ref()), bytes);
    }

    #[test]
    fn every_flipped_bit_is_detected(bytes in frame(), at in any::<prop::sample::Index>()) {
        let bit = at.index(bytes.len() * 8);
        let mut wrong = bytes.clone();
        wrong[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(Frame::decode(&wrong).is_err());
    }

    #[test]
    fn sealed_garbage_is_refused_or_comes_back_the_same(
        mut bytes in frame(), changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        let bytes = sealed(bytes);
        if let Ok(frame) = Frame::decode(&bytes)
            && let Ok(message) = Message::decode(&frame)
            && frame.fields().all(|field| field.kind < 0x8000 || field.kind == field::TRACE)
        {
            prop_assert_eq!(message.encode(&frame.header, None), bytes);
        }
    }

    #[test]
    fn any_bytes_are_refused_without_a_panic(bytes in vec(any::<u8>(), 0..200)) {
        prop_assert!(Frame::decode(&bytes).is_err());
    }
}

use alloy_primitives::address;
use proptest::prelude::*;

use super::{
    asset_transfer::{AssetMove, AssetTransfer},
    inference_request::InferenceRequest,
    register_model::{AccessPolicy, RegisterModel},
    submit_gradient::{Gradient, SubmitGradient},
    update_model::UpdateModel,
    *,
};

fn key() -> Key {
    Key::from_bytes(&B256::repeat_byte(0x46)).unwrap()
}

fn dynamic(nonce: u64, value: u64) -> Transaction {
    let unsigned = TxEip1559 {
        chain_id: 1,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 7,
        max_priority_fee_per_gas: 2,
        to: TxKind::Call(address!("00000000000000000000000000000000000000aa")),
        value: U256::from(value),
        ..TxEip1559::default()
    };
    Transaction::sign(unsigned, &key())
}

/// The example of EIP-155, whose every byte is published.
#[test]
fn reads_the_example_of_eip_155() {
    let unsigned = TxLegacy {
        chain_id: Some(1),
        nonce: 9,
        gas_price: 20_000_000_000,
        gas_limit: 21_000,
        to: TxKind::Call(Address::repeat_byte(0x35)),
        value: U256::from(10).pow(U256::from(18)),
        input: Bytes::new(),
    };
    let transaction = Transaction::sign(unsigned, &key());
    let bytes = alloy_primitives::hex!(
        "f86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a76400008025a028ef61340bd939bc2195fe\
         537567866003e1a15d3c71ff63e1590620aa636276a067cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83"
    );
    assert_eq!(transaction.to_bytes().as_ref(), &bytes[..]);
    let read = Transaction::from_bytes(&bytes).unwrap();
    assert_eq!(read, transaction);
    assert_eq!(read.hash(), alloy_primitives::keccak256(bytes));
    assert_eq!(read.recover(), Ok(key().address()));
}

#[test]
fn unknown_kinds_and_bad_bytes_have_names() {
    assert_eq!(Transaction::from_bytes(&[0x7f, 0xc0]), Err(TransactionError::UnknownKind(0x7f)));
    assert!(matches!(Transaction::from_bytes(&[]), Err(TransactionError::Malformed(_))));
    let mut bytes = dynamic(0, 1).to_bytes().to_vec();
    bytes.push(0);
    assert!(matches!(Transaction::from_bytes(&bytes), Err(TransactionError::Malformed(_))));
}

/// A block must hold typed transactions as RLP strings, never bare.
#[test]
fn network_form_must_be_wrapped() {
    let transaction = dynamic(0, 1);
    let bare = transaction.to_bytes();
    assert!(Transaction::decode(&mut bare.as_ref()).is_err());
    let wrapped = alloy_rlp::encode(&transaction);
    assert_eq!(Transaction::decode(&mut wrapped.as_slice()), Ok(transaction));
}

fn word() -> impl Strategy<Value = B256> {
    any::<[u8; 32]>().prop_map(B256::new)
}

fn bytes() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..80).prop_map(Bytes::from)
}

fn account() -> impl Strategy<Value = Address> {
    any::<[u8; 20]>().prop_map(Address::new)
}

fn policy() -> impl Strategy<Value = AccessPolicy> {
    prop_oneof![
        Just(AccessPolicy::Public),
        Just(AccessPolicy::Owner),
        prop::collection::vec(account(), 0..4).prop_map(AccessPolicy::Listed),
        any::<u64>().prop_map(|price| AccessPolicy::PayPerUse(U256::from(price))),
        account().prop_map(AccessPolicy::Contract),
    ]
}

fn payload() -> impl Strategy<Value = Payload> {
    let gradient = prop_oneof![bytes().prop_map(Gradient::Bytes), word().prop_map(Gradient::Artifact)];
    let one = (word(), account(), any::<u64>(), bytes()).prop_map(|(asset, recipient, amount, memo)| AssetMove {
        asset,
        recipient,
        amount: U256::from(amount),
        memo,
    });
    prop_oneof![
        (word(), bytes(), policy()).prop_map(|(model_hash, metadata, access)| Payload::RegisterModel(RegisterModel {
            model_hash,
            metadata,
            access
        })),
        (word(), word(), ".{0,20}").prop_map(|(model_id, version_hash, changelog)| Payload::UpdateModel(UpdateModel {
            model_id,
            version_hash,
            changelog
        })),
        (word(), bytes(), any::<u64>(), any::<u64>()).prop_map(|(model_id, input, gas, price)| {
            let max_price = U256::from(price);
            Payload::InferenceRequest(InferenceRequest { model_id, input, max_inference_gas: gas, max_price })
        }),
        (word(), any::<u64>(), gradient, any::<u64>(), any::<u64>()).prop_map(
            |(job_id, round, gradient, samples, work_nonce)| {
                Payload::SubmitGradient(SubmitGradient { job_id, round, gradient, samples, work_nonce })
            }
        ),
        prop::collection::vec(one, 0..4).prop_map(|moves| Payload::AssetTransfer(AssetTransfer { moves })),
    ]
}

fn own(payload: Payload) -> Transaction {
    let unsigned = TxOwn {
        chain_id: 7,
        nonce: 3,
        max_priority_fee_per_gas: 2,
        max_fee_per_gas: 9,
        gas_limit: 100_000,
        access_list: AccessList::default(),
        payload,
    };
    unsigned.sign(&key()).into()
}

/// The layout that the module head documents, byte by byte.
#[test]
fn an_asset_transfer_is_laid_out_as_documented() {
    let transaction = own(Payload::AssetTransfer(AssetTransfer { moves: vec![] }));
    let bytes = transaction.to_bytes();
    let (r, s) = (transaction.signature().r(), transaction.signature().s());
    let mut expected = alloy_primitives::hex!("54f850 07 03 02 09 830186a0 c0 c1c0").to_vec();
    expected.push(if transaction.signature().v() { 1 } else { 0x80 });
    for value in [r, s] {
        alloy_rlp::Encodable::encode(&value, &mut expected);
    }
    expected[2] = u8::try_from(expected.len() - 3).unwrap();
    assert_eq!(bytes.as_ref(), expected);
    assert_eq!(transaction.kind(), 0x54);
    assert_eq!(transaction.to(), TxKind::Call(crate::system::ASSETS));
    assert!(transaction.envelope().is_none());
}

/// Priced by the rule of EIP-1559, like Ethereum's own dynamic-fee kind.
#[test]
fn own_kinds_are_priced_like_dynamic_fee_ones() {
    let transaction = own(Payload::AssetTransfer(AssetTransfer { moves: vec![] }));
    assert_eq!(transaction.effective_gas_price(None), 9);
    assert_eq!(transaction.effective_gas_price(Some(5)), 7);
    assert_eq!(transaction.effective_gas_price(Some(8)), 9);
    assert!(transaction.is_dynamic_fee());
}

proptest! {
    #[test]
    fn own_kinds_round_trip(payload in payload()) {
        let transaction = own(payload.clone());
        let bytes = transaction.to_bytes();
        prop_assert_eq!(bytes.len(), transaction.encode_2718_len());
        let read = Transaction::from_bytes(&bytes).unwrap();
        prop_assert_eq!(read.payload(), Some(&payload));
        prop_assert_eq!(read.hash(), alloy_primitives::keccak256(&bytes));
        prop_assert_eq!(read.recover(), Ok(key().address()));
        let wrapped = alloy_rlp::encode(&transaction);
        prop_assert_eq!(Transaction::decode(&mut wrapped.as_slice()).unwrap(), transaction);
    }

    /// One flipped byte: another transaction with one encoding of its own, or an error; never a panic.
    #[test]
    fn damaged_own_bytes_never_decode_to_other_bytes(payload in payload(), place: prop::sample::Index, flip in 1u8..) {
        let mut bytes = own(payload).to_bytes().to_vec();
        let place = place.index(bytes.len());
        bytes[place] ^= flip;
        if let Ok(read) = Transaction::from_bytes(&bytes) {
            prop_assert_eq!(read.to_bytes().to_vec(), bytes);
        }
    }

    #[test]
    fn round_trips(nonce: u64, value: u64) {
        let transaction = dynamic(nonce, value);
        prop_assert_eq!(&Transaction::from_bytes(&transaction.to_bytes()).unwrap(), &transaction);
        prop_assert_eq!(transaction.recover(), Ok(key().address()));
    }

    #[test]
    fn any_bytes_give_a_transaction_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(transaction) = Transaction::from_bytes(&bytes) {
            prop_assert_eq!(transaction.to_bytes().to_vec(), bytes);
        }
    }
}

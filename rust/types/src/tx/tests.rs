use alloy_primitives::address;
use proptest::prelude::*;

use super::*;

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

proptest! {
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

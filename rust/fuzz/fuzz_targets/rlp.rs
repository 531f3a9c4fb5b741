//! Everything that comes as RLP: what decodes encodes to the same bytes, and nothing panics.

#![no_main]

use libfuzzer_sys::fuzz_target;
use types::{
    Block, Header, Receipt, Transaction,
    rlp::{self, Decodable, Encodable},
};

fn one_spelling<T: Decodable + Encodable>(data: &[u8]) {
    let mut rest = data;
    if let Ok(value) = T::decode(&mut rest) {
        assert_eq!(rlp::encode(&value), data[..data.len() - rest.len()]);
    }
}

fuzz_target!(|data: &[u8]| {
    one_spelling::<Block>(data);
    one_spelling::<Header>(data);
    one_spelling::<Transaction>(data);
    one_spelling::<Receipt>(data);
    if let Ok(transaction) = Transaction::from_bytes(data) {
        assert_eq!(transaction.to_bytes()[..], *data);
    }
    let _ = Receipt::from_bytes(data);
});

//! The public vectors below blocks: transactions at every fork, RLP, keys.

use std::collections::BTreeMap;

use evm::{BlockEnv, ChainSpec, Fork, transact::validate};
use serde::Deserialize;
use serde_json::Value;
use types::{
    Address, B256, Bytes, Key, Transaction,
    primitives::hex,
    rlp::{self, Encodable, PayloadView},
};

#[path = "../../exec/tests/fixtures/mod.rs"]
mod fixtures;

/// The files of a folder of the archive, all of them; None, with a word about it, where the fixtures are not there.
fn files(folder: &str) -> Option<Vec<(String, Vec<u8>)>> {
    let fixtures = fixtures::Fixtures::find()?;
    Some(fixtures.files("primitives", |name| name.contains(folder) && name.ends_with(".json")))
}

#[derive(Deserialize)]
struct TransactionTest {
    txbytes: String,
    result: BTreeMap<String, Expected>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Expected {
    hash: Option<B256>,
    sender: Option<Address>,
    intrinsic_gas: Option<String>,
    exception: Option<String>,
}

/// Hash, sender and intrinsic gas at a fork, or the names of the reason why there are none.
fn examine(bytes: &[u8], fork: Fork) -> Result<(B256, Address, u64), Vec<&'static str>> {
    let transaction = Transaction::from_bytes(bytes).map_err(|_| vec!["RLP"])?;
    let rules = ChainSpec::at(1, fork).rules(1, 1);
    let base_fee = rules.has(Fork::London).then_some(0);
    let block = BlockEnv { gas_limit: u64::MAX, base_fee, excess_blob_gas: Some(0), ..BlockEnv::default() };
    let terms = validate::form(&rules, &block, &transaction).map_err(|rejection| rejection.names().to_vec())?;
    let sender = transaction.recover().map_err(|_| vec!["EC_RECOVERY_FAIL"])?;
    Ok((transaction.hash(), sender, terms.intrinsic_gas))
}

/// Reasons that we know by the names of the vectors; the others are malformed bytes in many ways, which a decoder need
/// not tell apart, or are wrong in more than one way.
const BY_NAME: [&str; 2] = ["INTRINSIC_GAS_TOO_LOW", "INITCODE_SIZE_EXCEEDED"];

/// Vectors that do not run, and why.
const SKIPPED: [(&str, &str); 1] =
    [("V_equals38", "its gas price is above 2^128 wei: nobody can own what that costs, and prices have 128 bits here")];

#[test]
fn transactions_are_taken_or_refused_as_each_fork_has_it() {
    let Some(files) = files("TransactionTests/") else { return };
    let (mut taken, mut refused, mut wrong) = (0, 0, Vec::new());
    for (file, text) in files {
        let tests: BTreeMap<String, TransactionTest> = serde_json::from_slice(&text).unwrap();
        for (name, test) in tests {
            if let Some((_, reason)) = SKIPPED.iter().find(|(skipped, _)| *skipped == name) {
                eprintln!("skipped {name}: {reason}");
                continue;
            }
            // Digits that are none, or an odd number of them: no bytes at all.
            let bytes = hex::decode(&test.txbytes);
            for (fork, expected) in test.result {
                let found = match &bytes {
                    Ok(bytes) => examine(bytes, fork.parse().unwrap()),
                    Err(_) => Err(vec!["RLP"]),
                };
                let right = match (&found, &expected.exception) {
                    (Ok((hash, sender, gas)), None) => {
                        taken += 1;
                        let digits = expected.intrinsic_gas.as_deref().unwrap().trim_start_matches("0x");
                        Some(*hash) == expected.hash
                            && Some(*sender) == expected.sender
                            && u64::from_str_radix(digits, 16) == Ok(*gas)
                    }
                    (Err(reasons), Some(exception)) => {
                        refused += 1;
                        let named = BY_NAME.iter().any(|name| exception.contains(name));
                        !named || reasons.iter().any(|reason| exception.contains(reason))
                    }
                    _ => false,
                };
                if !right {
                    wrong.push(format!("{file} {name} {fork}: {found:?}, expected {:?}", expected.exception));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong[..wrong.len().min(20)].join("\n"));
    assert!(taken >= 452 && refused >= 1_700, "{taken} taken, {refused} refused");
}

/// What RLP encodes.
#[derive(Debug, PartialEq)]
enum Item {
    Bytes(Vec<u8>),
    List(Vec<Item>),
}

impl Encodable for Item {
    fn encode(&self, out: &mut dyn rlp::BufMut) {
        match self {
            Self::Bytes(bytes) => bytes.as_slice().encode(out),
            Self::List(items) => rlp::encode_list(items, out),
        }
    }
}

impl Item {
    /// The vectors write numbers as such, or behind a `#` where they are large.
    fn from_json(value: &Value) -> Self {
        match value {
            Value::Array(items) => Self::List(items.iter().map(Self::from_json).collect()),
            Value::Number(number) => Self::Bytes(number.as_u64().unwrap().to_be_bytes().into()).without_zeros(),
            Value::String(text) => match text.strip_prefix('#') {
                Some(digits) => Self::Bytes(big_endian(digits)),
                None => Self::Bytes(text.clone().into_bytes()),
            },
            other => panic!("{other}"),
        }
    }

    fn without_zeros(self) -> Self {
        match self {
            Self::Bytes(bytes) => Self::Bytes(bytes.into_iter().skip_while(|byte| *byte == 0).collect()),
            list @ Self::List(_) => list,
        }
    }

    fn decode(bytes: &mut &[u8]) -> rlp::Result<Self> {
        match rlp::Header::decode_raw(bytes)? {
            PayloadView::String(bytes) => Ok(Self::Bytes(bytes.to_vec())),
            PayloadView::List(items) => {
                let items = items.into_iter().map(|mut item| Self::decode(&mut item));
                Ok(Self::List(items.collect::<rlp::Result<_>>()?))
            }
        }
    }

    fn decode_exact(mut bytes: &[u8]) -> rlp::Result<Self> {
        let item = Self::decode(&mut bytes)?;
        if bytes.is_empty() { Ok(item) } else { Err(rlp::Error::UnexpectedLength) }
    }
}

/// A number of any length, from its decimal digits.
fn big_endian(digits: &str) -> Vec<u8> {
    let mut bytes: Vec<u8> = Vec::new();
    for digit in digits.bytes() {
        let mut carry = u32::from(digit - b'0');
        for byte in &mut bytes {
            let next = u32::from(*byte) * 10 + carry;
            (*byte, carry) = (next as u8, next >> 8);
        }
        if carry > 0 {
            bytes.push(carry as u8);
        }
    }
    bytes.reverse();
    bytes
}

#[test]
fn rlp_is_written_and_read_as_the_vectors_have_it() {
    let Some(files) = files("RLPTests/") else { return };
    let (mut written, mut refused) = (0, 0);
    for (file, text) in files {
        let tests: BTreeMap<String, Value> = serde_json::from_slice(&text).unwrap();
        for (name, test) in tests {
            let bytes = hex::decode(test["out"].as_str().unwrap()).unwrap();
            let decoded = Item::decode_exact(&bytes);
            match &test["in"] {
                Value::String(word) if word == "INVALID" => {
                    assert!(decoded.is_err(), "{file} {name}: {decoded:?}");
                    refused += 1;
                }
                Value::String(word) if word == "VALID" => assert!(decoded.is_ok(), "{file} {name}: {decoded:?}"),
                value => {
                    let item = Item::from_json(value);
                    assert_eq!(rlp::encode(&item), bytes, "{file} {name}");
                    assert_eq!(decoded, Ok(item), "{file} {name}");
                    written += 1;
                }
            }
        }
    }
    assert!(written >= 28 && refused >= 26, "{written} written, {refused} refused");
}

#[test]
fn signed_transactions_and_addresses_are_those_of_their_keys() {
    let Some(files) = files("BasicTests/") else { return };
    let cases = |name: &str| {
        let (_, text) = files.iter().find(|(file, _)| file.ends_with(name)).unwrap();
        serde_json::from_slice::<Vec<Value>>(text).unwrap()
    };
    let key = |case: &Value| Key::from_bytes(&case["key"].as_str().unwrap().parse().unwrap()).unwrap();
    let addresses = cases("/keyaddrtest.json");
    for case in &addresses {
        assert_eq!(key(case).address(), case["addr"].as_str().unwrap().parse::<Address>().unwrap());
    }
    let transactions = cases("/txtest.json");
    for case in &transactions {
        let bytes: Bytes = case["signed"].as_str().unwrap().parse().unwrap();
        let transaction = Transaction::from_bytes(&bytes).unwrap();
        assert_eq!(transaction.recover(), Ok(key(case).address()));
        assert_eq!((transaction.nonce(), transaction.to_bytes()), (case["nonce"].as_u64().unwrap(), bytes));
    }
    assert!(addresses.len() >= 2 && transactions.len() >= 2);
}

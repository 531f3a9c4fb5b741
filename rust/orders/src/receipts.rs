//! Receipts as nodes give them, `eth_getBlockReceipts` and `eth_getTransactionReceipt`: JSON in, ours out. A pure function,
//! for a thread that is not the core's: a full block is megabytes.

use std::fmt;

use serde::{Deserialize, Deserializer, de};
use types::{Address, B256, Bytes};

use crate::{
    chain::{Log, Receipt},
    core::Found,
};

/// Why an answer holds no receipts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no receipts: {reason}")]
pub struct NoReceipts {
    /// What was wrong, and where.
    pub reason: String,
}

#[derive(Deserialize)]
struct Answer {
    result: Option<Vec<Theirs>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Theirs {
    transaction_hash: B256,
    block_hash: B256,
    block_number: Option<Quantity>,
    transaction_index: Quantity,
    status: Quantity,
    gas_used: Quantity,
    effective_gas_price: Quantity,
    logs: Vec<TheirLog>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TheirLog {
    address: Address,
    topics: Vec<B256>,
    data: Bytes,
    log_index: Quantity,
}

/// A number in hex with `0x`.
#[derive(Clone, Copy)]
pub(crate) struct Quantity(pub(crate) u64);

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Hex;

        impl de::Visitor<'_> for Hex {
            type Value = Quantity;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number in hex with 0x, below 2^64")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Quantity, E> {
                let digits = text.strip_prefix("0x").filter(|digits| !digits.starts_with('+'));
                let number = digits.and_then(|digits| u64::from_str_radix(digits, 16).ok());
                number.map(Quantity).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }

        deserializer.deserialize_str(Hex)
    }
}

/// The receipts of one block out of a JSON-RPC answer. One of another block makes all of it worthless.
pub fn read(body: &[u8], block: &B256) -> Result<Vec<Receipt>, NoReceipts> {
    let answer: Answer = serde_json::from_slice(body).map_err(|error| NoReceipts { reason: error.to_string() })?;
    let theirs = answer.result.ok_or_else(|| NoReceipts { reason: "the answer has no result".to_owned() })?;
    if let Some(other) = theirs.iter().find(|receipt| receipt.block_hash != *block) {
        return Err(NoReceipts { reason: format!("a receipt is of block {}", other.block_hash) });
    }
    Ok(theirs.into_iter().map(Theirs::into_ours).collect())
}

#[derive(Deserialize)]
struct One {
    result: Option<Theirs>,
}

/// What `eth_getTransactionReceipt` answered: where the transaction is, and what the block says of it.
pub fn read_one(body: &[u8]) -> Result<Found, NoReceipts> {
    let answer: One = serde_json::from_slice(body).map_err(|error| NoReceipts { reason: error.to_string() })?;
    let theirs = answer.result.ok_or_else(|| NoReceipts { reason: "the answer has no result".to_owned() })?;
    let number = theirs.block_number.ok_or_else(|| NoReceipts { reason: "no block number".to_owned() })?.0;
    Ok(Found { number, block: theirs.block_hash, receipt: theirs.into_ours() })
}

impl Theirs {
    fn into_ours(self) -> Receipt {
        let log = |log: TheirLog| Log {
            address: log.address,
            topics: log.topics,
            data: log.data.to_vec(),
            index: log.log_index.0 as u32,
        };
        Receipt {
            tx_hash: self.transaction_hash,
            tx_index: self.transaction_index.0 as u32,
            success: self.status.0 == 1,
            gas_used: self.gas_used.0,
            gas_price: self.effective_gas_price.0,
            logs: self.logs.into_iter().map(log).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn body(block: &B256) -> String {
        let (hash, address) = (B256::repeat_byte(2), Address::repeat_byte(3));
        format!(
            r#"{{"jsonrpc":"2.0","id":1,"result":[{{"transactionHash":"{hash}","blockHash":"{block}","transactionIndex":"0x1",
            "status":"0x1","gasUsed":"0x5208","effectiveGasPrice":"0x3b9aca00","type":"0x2","logs":[
            {{"address":"{address}","topics":["{hash}"],"data":"0x0102","logIndex":"0x4"}}]}}]}}"#
        )
    }

    #[test]
    fn a_blocks_receipts_are_read() {
        let block = B256::repeat_byte(1);
        let expected = Receipt {
            tx_hash: B256::repeat_byte(2),
            tx_index: 1,
            success: true,
            gas_used: 21_000,
            gas_price: 1_000_000_000,
            logs: vec![Log {
                address: Address::repeat_byte(3),
                topics: vec![B256::repeat_byte(2)],
                data: vec![1, 2],
                index: 4,
            }],
        };
        assert_eq!(read(body(&block).as_bytes(), &block), Ok(vec![expected]));
        assert_eq!(read(br#"{"result":[]}"#, &block), Ok(vec![]));
    }

    #[test]
    fn what_is_no_list_of_this_blocks_receipts_is_refused() {
        let block = B256::repeat_byte(1);
        assert!(read(body(&B256::ZERO).as_bytes(), &block).is_err());
        for answer in ["", "{}", r#"{"result":null}"#, r#"{"error":{"code":1}}"#, r#"{"result":[{}]}"#] {
            assert!(read(answer.as_bytes(), &block).is_err(), "{answer}");
        }
        let wrong = body(&block).replace("0x5208", "0x1ffffffffffffffff");
        assert!(read(wrong.as_bytes(), &block).is_err());
    }

    #[test]
    fn a_receipt_alone_says_where_it_is() {
        let block = B256::repeat_byte(1);
        let list = body(&block).replace(r#""result":["#, r#""result":"#).replace("}]}]}", "}]}}");
        let one = list.replace(r#""transactionIndex""#, r#""blockNumber":"0x7","transactionIndex""#);
        let found = read_one(one.as_bytes()).unwrap();
        assert_eq!((found.number, found.block, found.receipt.gas_used), (7, block, 21_000));
        assert!(read_one(list.as_bytes()).is_err() && read_one(br#"{"result":null}"#).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(read(&bytes, &B256::ZERO).is_err());
        }
    }
}

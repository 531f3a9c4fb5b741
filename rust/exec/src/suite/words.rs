//! The words in which fixtures and the tools of other clients write numbers, bytes and accounts as JSON. Read
//! leniently, as they are written: leading zeros, odd digits, decimal numbers, JSON's own numbers.

use std::{collections::BTreeMap, fmt, str::FromStr};

use evm::BlobParameters;
use serde::{
    Deserialize, Deserializer,
    de::{Error, Visitor},
};
use state::MemoryState;
use types::{Address, Bytes, U256};

/// A number: `0x` and hexadecimal digits, decimal digits, or JSON's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity(pub U256);

impl Quantity {
    /// As 64 bits; what is larger becomes the largest.
    pub fn u64(self) -> u64 {
        self.0.saturating_to()
    }
}

/// Text that is no number of at most 256 bits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a number of at most 256 bits: {0:?}")]
pub struct NotAQuantity(pub String);

impl FromStr for Quantity {
    type Err = NotAQuantity;

    fn from_str(text: &str) -> Result<Self, NotAQuantity> {
        // Some fixtures mark numbers whose size is the point of the test.
        let plain = text.strip_prefix("0x:bigint ").unwrap_or(text);
        let (digits, radix) = plain.strip_prefix("0x").map_or((plain, 10), |digits| (digits, 16));
        let wrong = || NotAQuantity(text.chars().take(80).collect());
        match digits {
            "" => Ok(Self(U256::ZERO)),
            // The parser of numbers would pass over underscores.
            _ if digits.contains('_') => Err(wrong()),
            _ => U256::from_str_radix(digits, radix).map(Self).map_err(|_| wrong()),
        }
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Words;
        impl Visitor<'_> for Words {
            type Value = Quantity;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, in 0x-hex or decimal")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Quantity, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Quantity, E> {
                Ok(Quantity(U256::from(number)))
            }
        }
        deserializer.deserialize_any(Words)
    }
}

/// Bytes as hexadecimal text, with or without 0x.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Data(pub Bytes);

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let wrong =
            || D::Error::custom(format!("not bytes in hexadecimal: {:?}", text.chars().take(80).collect::<String>()));
        Bytes::from_str(&text).map(Self).map_err(|_| wrong())
    }
}

/// An account before or after.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
pub struct AccountWords {
    /// Transactions sent.
    #[serde(default)]
    pub nonce: Quantity,
    /// In wei.
    #[serde(default)]
    pub balance: Quantity,
    /// Its code.
    #[serde(default)]
    pub code: Data,
    /// Its slots.
    #[serde(default)]
    pub storage: BTreeMap<Quantity, Quantity>,
}

/// Limits and price of blobs.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct BlobWords {
    /// Blobs of a block that keep the price.
    pub target: Quantity,
    /// Blobs of a block at most.
    pub max: Quantity,
    /// How slowly the price follows.
    pub base_fee_update_fraction: Quantity,
}

impl From<BlobWords> for BlobParameters {
    fn from(words: BlobWords) -> Self {
        let BlobWords { target, max, base_fee_update_fraction } = words;
        Self { target: target.u64(), max: max.u64(), update_fraction: base_fee_update_fraction.u64() }
    }
}

/// The state that these accounts are.
pub fn state_of(accounts: &BTreeMap<Address, AccountWords>) -> MemoryState {
    let mut state = MemoryState::default();
    for (address, account) in accounts {
        state.insert(*address, account.nonce.u64(), account.balance.0, account.code.0.clone());
        for (slot, value) in &account.storage {
            state.set_storage(*address, slot.0, value.0);
        }
    }
    state
}

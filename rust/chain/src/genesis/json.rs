//! Reading JSON strictly: every value knows the path by which it was reached, so that an error can name it.

use serde_json::{Map, Value};
use types::{Address, B256, Bytes, U256};

use super::GenesisError;

/// A value of a JSON document, with its path from the root.
#[derive(Clone, Debug)]
pub(super) struct Node<'j> {
    pub(super) path: String,
    pub(super) value: &'j Value,
}

type Result<T> = std::result::Result<T, GenesisError>;

impl<'j> Node<'j> {
    pub(super) fn root(value: &'j Value) -> Self {
        Self { path: String::new(), value }
    }

    /// The error that says what should have stood here.
    pub(super) fn wrong(&self, expected: &'static str) -> GenesisError {
        let mut value = self.value.to_string();
        if value.len() > VALUE_SHOWN_BYTES {
            let end = (0..=VALUE_SHOWN_BYTES).rev().find(|end| value.is_char_boundary(*end)).unwrap_or_default();
            value.truncate(end);
            value.push('…');
        }
        GenesisError::Field { path: self.path.clone(), value, expected }
    }

    pub(super) fn object(&self) -> Result<&'j Map<String, Value>> {
        self.value.as_object().ok_or_else(|| self.wrong("an object"))
    }

    pub(super) fn child(&self, name: &str, value: &'j Value) -> Self {
        let dot = if self.path.is_empty() { "" } else { "." };
        Node { path: format!("{}{dot}{name}", self.path), value }
    }

    /// A field of an object; null counts as absent, as it does for geth.
    pub(super) fn field(&self, name: &str) -> Result<Option<Self>> {
        let value = self.object()?.get(name).filter(|value| !value.is_null());
        Ok(value.map(|value| self.child(name, value)))
    }

    pub(super) fn required(&self, name: &'static str) -> Result<Self> {
        let missing = || GenesisError::Missing { path: self.child(name, &Value::Null).path };
        self.field(name)?.ok_or_else(missing)
    }

    /// Refuses fields that nobody knows: a misspelt one must not be ignored.
    pub(super) fn only(&self, known: &[&str]) -> Result<()> {
        match self.object()?.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            Some((name, value)) => Err(self.child(name, value).wrong("no such field")),
            None => Ok(()),
        }
    }

    pub(super) fn bool(&self) -> Result<bool> {
        self.value.as_bool().ok_or_else(|| self.wrong("true or false"))
    }

    /// A number: JSON's own, or a string in decimal or 0x-hex.
    pub(super) fn quantity(&self) -> Result<U256> {
        let wrong = || self.wrong("a number of at most 256 bits, decimal or 0x-hex");
        match self.value {
            Value::Number(number) => number.as_u64().map(U256::from).ok_or_else(wrong),
            Value::String(text) => {
                let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
                    Some(digits) => (digits, 16),
                    None => (text.as_str(), 10),
                };
                if digits.is_empty() || !digits.chars().all(|digit| digit.is_digit(radix)) {
                    return Err(wrong());
                }
                U256::from_str_radix(digits, u64::from(radix)).map_err(|_| wrong())
            }
            _ => Err(wrong()),
        }
    }

    pub(super) fn u64(&self) -> Result<u64> {
        u64::try_from(self.quantity()?).map_err(|_| self.wrong("a number below 2^64"))
    }

    pub(super) fn bytes(&self) -> Result<Bytes> {
        let wrong = || self.wrong("bytes in 0x-hex");
        self.value.as_str().ok_or_else(wrong)?.parse().map_err(|_| wrong())
    }

    pub(super) fn hash(&self) -> Result<B256> {
        let wrong = || self.wrong("32 bytes in 0x-hex");
        self.value.as_str().ok_or_else(wrong)?.parse().map_err(|_| wrong())
    }

    pub(super) fn address(&self) -> Result<Address> {
        let wrong = || self.wrong("an address: 20 bytes in 0x-hex");
        self.value.as_str().ok_or_else(wrong)?.parse().map_err(|_| wrong())
    }

    /// A storage key or value: up to 32 bytes in hex, with or without 0x, padded on the left.
    pub(super) fn word(&self) -> Result<U256> {
        self.value.as_str().and_then(word).ok_or_else(|| self.wrong("at most 32 bytes in hex"))
    }
}

/// Most bytes of a wrong value that an error repeats.
const VALUE_SHOWN_BYTES: usize = 80;

/// Up to 64 hex digits as a number.
pub(super) fn word(text: &str) -> Option<U256> {
    let digits = text.strip_prefix("0x").unwrap_or(text);
    let whole = !digits.is_empty() && digits.len() <= 64 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    if whole { U256::from_str_radix(digits, 16).ok() } else { None }
}

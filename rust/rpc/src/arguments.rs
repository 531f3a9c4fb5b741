//! Parameters of calls: JSON text into the types that methods take.
//!
//! A method is a function of a tuple; [`Arguments`] reads the tuple out of the array, and whatever is wrong is reported
//! with the parameter's index, what was wanted and the value that came. Forms are as strict as geth's: a quantity has no
//! leading zeros, data has two digits a byte, an address has 20 bytes.

use std::borrow::Cow;

use chain::{
    BlockRef,
    types::{
        AccessList, AccessListItem, Address, B256, Bytes, U256,
        primitives::{FixedBytes, hex},
    },
};
use serde_json::value::RawValue;

use crate::{error::RpcError, request::text};

/// One parameter, or a field of one.
pub(crate) trait Argument: Sized {
    /// Reads JSON text; the error says what was wanted and what came instead.
    fn read(json: &str) -> Result<Self, String>;

    /// What it is when it was left out; None: it must be there.
    fn absent() -> Option<Self> {
        None
    }
}

/// All parameters of a call.
pub(crate) trait Arguments: Sized {
    /// Reads the `params` member.
    fn read(params: Option<&str>) -> Result<Self, RpcError>;
}

/// Calls `take` with each field of a JSON object; the error of a field is given its name.
pub(crate) fn each_field<'a>(
    json: &'a str,
    what: &str,
    mut take: impl FnMut(&str, &'a str) -> Result<(), String>,
) -> Result<(), String> {
    let fields: Vec<(String, &'a RawValue)> = serde_json::from_str::<FieldList<'a>>(json)
        .map_err(|_| format!("{what} must be an object, got {}", shown(json)))?
        .0;
    for (name, value) in fields {
        take(&name, value.get()).map_err(|error| format!("{name}: {error}"))?;
    }
    Ok(())
}

/// Each element of a JSON array.
pub(crate) fn elements<'a>(json: &'a str, what: &str) -> Result<Vec<&'a str>, String> {
    let items: Vec<&'a RawValue> =
        serde_json::from_str(json).map_err(|_| format!("{what} must be an array, got {}", shown(json)))?;
    Ok(items.into_iter().map(RawValue::get).collect())
}

/// Enough of a value to recognise it in an error.
pub(crate) fn shown(json: &str) -> Cow<'_, str> {
    const LONGEST: usize = 100;
    match json.char_indices().nth(LONGEST) {
        None => Cow::Borrowed(json),
        Some((end, _)) => Cow::Owned(format!("{}…", &json[..end])),
    }
}

impl Arguments for () {
    fn read(params: Option<&str>) -> Result<Self, RpcError> {
        positions(params, 0).map(|_| ())
    }
}

macro_rules! arguments_of_tuples {
    ($($count:literal: $($name:ident $index:tt),+;)+) => {$(
        impl<$($name: Argument),+> Arguments for ($($name,)+) {
            fn read(params: Option<&str>) -> Result<Self, RpcError> {
                let given = positions(params, $count)?;
                Ok(($(one::<$name>(&given, $index)?,)+))
            }
        }
    )+};
}

arguments_of_tuples! {
    1: A 0;
    2: A 0, B 1;
    3: A 0, B 1, C 2;
    4: A 0, B 1, C 2, D 3;
}

/// The given parameters, at most `most` of them.
fn positions(params: Option<&str>, most: usize) -> Result<Vec<&str>, RpcError> {
    let params = match params {
        None | Some("null") => return Ok(Vec::new()),
        Some(params) => params,
    };
    let given = elements(params, "params").map_err(|_| RpcError::invalid_params("non-array args"))?;
    if given.len() > most {
        return Err(RpcError::invalid_params(format!("too many arguments, want at most {most}")));
    }
    Ok(given)
}

fn one<T: Argument>(given: &[&str], index: usize) -> Result<T, RpcError> {
    let missing = || RpcError::invalid_params(format!("missing value for required argument {index}"));
    match given.get(index) {
        None | Some(&"null") => T::absent().ok_or_else(missing),
        Some(json) => {
            T::read(json).map_err(|error| RpcError::invalid_params(format!("invalid argument {index}: {error}")))
        }
    }
}

impl<T: Argument> Argument for Option<T> {
    fn read(json: &str) -> Result<Self, String> {
        if json == "null" { Ok(None) } else { T::read(json).map(Some) }
    }

    fn absent() -> Option<Self> {
        Some(None)
    }
}

impl<T: Argument> Argument for Vec<T> {
    fn read(json: &str) -> Result<Self, String> {
        let items = elements(json, "this")?;
        items
            .into_iter()
            .enumerate()
            .map(|(at, item)| T::read(item).map_err(|error| format!("[{at}]: {error}")))
            .collect()
    }
}

impl Argument for bool {
    fn read(json: &str) -> Result<Self, String> {
        json.parse().map_err(|_| format!("must be true or false, got {}", shown(json)))
    }
}

impl Argument for f64 {
    fn read(json: &str) -> Result<Self, String> {
        serde_json::from_str(json).map_err(|_| format!("must be a number, got {}", shown(json)))
    }
}

impl Argument for String {
    fn read(json: &str) -> Result<Self, String> {
        text(json).map(Cow::into_owned).ok_or_else(|| format!("must be a string, got {}", shown(json)))
    }
}

impl Argument for u64 {
    fn read(json: &str) -> Result<Self, String> {
        let digits = quantity(json)?;
        Self::from_str_radix(&digits, 16).map_err(|_| format!("hex number above 64 bits: {}", shown(json)))
    }
}

impl Argument for u128 {
    fn read(json: &str) -> Result<Self, String> {
        let digits = quantity(json)?;
        Self::from_str_radix(&digits, 16).map_err(|_| format!("hex number above 128 bits: {}", shown(json)))
    }
}

impl Argument for U256 {
    fn read(json: &str) -> Result<Self, String> {
        let digits = quantity(json)?;
        Self::from_str_radix(&digits, 16).map_err(|_| format!("hex number above 256 bits: {}", shown(json)))
    }
}

/// The digits of a quantity.
fn quantity(json: &str) -> Result<Cow<'_, str>, String> {
    let digits = hex_digits(json)?;
    if digits.is_empty() {
        return Err(format!("hex number without digits: {}", shown(json)));
    }
    if digits.len() > 1 && digits.starts_with('0') {
        return Err(format!("hex number with leading zero digits: {}", shown(json)));
    }
    Ok(digits)
}

/// What follows the `0x` of a JSON string, all of it hex digits.
fn hex_digits(json: &str) -> Result<Cow<'_, str>, String> {
    let digits = match text(json).ok_or_else(|| format!("must be a hex string, got {}", shown(json)))? {
        Cow::Borrowed(text) => without_prefix(text).map(Cow::Borrowed),
        Cow::Owned(text) => without_prefix(&text).map(|digits| Cow::Owned(digits.to_owned())),
    };
    let digits = digits.ok_or_else(|| format!("hex string without 0x prefix: {}", shown(json)))?;
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(format!("invalid hex string: {}", shown(json)));
    }
    Ok(digits)
}

fn without_prefix(text: &str) -> Option<&str> {
    text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))
}

impl<const N: usize> Argument for FixedBytes<N> {
    fn read(json: &str) -> Result<Self, String> {
        let mut bytes = Self::ZERO;
        decode_exact(json, bytes.as_mut_slice())?;
        Ok(bytes)
    }
}

impl Argument for Address {
    fn read(json: &str) -> Result<Self, String> {
        FixedBytes::<20>::read(json).map(Self)
    }
}

fn decode_exact(json: &str, bytes: &mut [u8]) -> Result<(), String> {
    let digits = hex_digits(json)?;
    hex::decode_to_slice(digits.as_bytes(), bytes)
        .map_err(|_| format!("must be 0x and {} hex digits, got {}", 2 * bytes.len(), shown(json)))
}

impl Argument for Bytes {
    fn read(json: &str) -> Result<Self, String> {
        let digits = hex_digits(json)?;
        hex::decode(digits.as_bytes()).map(Self::from).map_err(|_| format!("hex string of odd length: {}", shown(json)))
    }
}

/// A storage slot's key: up to 32 bytes of hex, `0x` and even length not insisted on, as geth takes it.
pub(crate) struct SlotKey(pub(crate) U256);

impl Argument for SlotKey {
    fn read(json: &str) -> Result<Self, String> {
        let key = text(json).ok_or_else(|| format!("storage key must be a hex string, got {}", shown(json)))?;
        let digits = without_prefix(&key).unwrap_or(&key);
        if digits.len() > 64 {
            return Err(format!("storage key too long (want at most 32 bytes): {}", shown(json)));
        }
        if digits.is_empty() {
            return Ok(Self(U256::ZERO));
        }
        let valid = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        let key = valid.then(|| U256::from_str_radix(digits, 16).ok()).flatten();
        key.map(Self).ok_or_else(|| format!("invalid hex in storage key: {}", shown(json)))
    }
}

/// A number from a client that may write it as a quantity, in decimal digits, or as a JSON number.
pub(crate) struct Number(pub(crate) u64);

impl Argument for Number {
    fn read(json: &str) -> Result<Self, String> {
        let wrong = || format!("must be a whole number of at most 64 bits, got {}", shown(json));
        let Some(text) = text(json) else { return json.parse().map(Self).map_err(|_| wrong()) };
        let number = match without_prefix(&text) {
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_hexdigit()) => u64::from_str_radix(digits, 16),
            _ => text.parse(),
        };
        number.map(Self).map_err(|_| wrong())
    }
}

/// A block by its tag or its number.
impl Argument for BlockRef {
    fn read(json: &str) -> Result<Self, String> {
        Ok(match json {
            r#""latest""# => Self::Latest,
            r#""pending""# => Self::Pending,
            r#""earliest""# => Self::Earliest,
            r#""safe""# => Self::Safe,
            r#""finalized""# => Self::Finalized,
            _ => Self::Number(u64::read(json)?),
        })
    }
}

/// The block that a question is about: tag, number, hash, or EIP-1898's object; the newest one where none is named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct At {
    pub(crate) block: BlockRef,
    /// A hash counts only where it is canonical.
    pub(crate) require_canonical: bool,
}

impl Argument for At {
    fn read(json: &str) -> Result<Self, String> {
        const HASH_LENGTH: usize = 68;
        if json.starts_with('{') {
            return Self::read_object(json);
        }
        let block = if json.len() == HASH_LENGTH { B256::read(json)?.into() } else { BlockRef::read(json)? };
        Ok(Self { block, require_canonical: false })
    }

    fn absent() -> Option<Self> {
        Some(Self::default())
    }
}

impl At {
    fn read_object(json: &str) -> Result<Self, String> {
        let (mut number, mut hash, mut require_canonical) = (None, None, false);
        each_field(json, "block", |name, value| {
            match name {
                "blockNumber" => number = Option::<BlockRef>::read(value)?,
                "blockHash" => hash = Option::<B256>::read(value)?,
                "requireCanonical" => require_canonical = bool::read(value)?,
                _ => {}
            }
            Ok(())
        })?;
        match (number, hash.map(BlockRef::from)) {
            (Some(_), Some(_)) => {
                Err("cannot specify both BlockHash and BlockNumber, choose one or the other".to_owned())
            }
            (None, None) => Err(format!("blockNumber or blockHash must be given, got {}", shown(json))),
            (Some(block), None) | (None, Some(block)) => Ok(Self { block, require_canonical }),
        }
    }
}

impl Argument for AccessList {
    fn read(json: &str) -> Result<Self, String> {
        Vec::<AccessListItem>::read(json).map(Self)
    }
}

impl Argument for AccessListItem {
    fn read(json: &str) -> Result<Self, String> {
        let mut item = Self::default();
        each_field(json, "access list entry", |name, value| {
            match name {
                "address" => item.address = Argument::read(value)?,
                "storageKeys" => item.storage_keys = Vec::<B256>::read(value)?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(item)
    }
}

/// An object's fields in the order they came, repeats included.
struct FieldList<'a>(Vec<(String, &'a RawValue)>);

impl<'de> serde::Deserialize<'de> for FieldList<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> serde::de::Visitor<'de> for Fields {
            type Value = FieldList<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut fields = Vec::new();
                while let Some(entry) = map.next_entry::<String, &'de RawValue>()? {
                    fields.push(entry);
                }
                Ok(FieldList(fields))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

#[cfg(test)]
mod tests;

//! What every encoding on disk is made of: whole numbers big-endian, lists behind their count, numbers of 256 bits
//! without their leading zeros. One value has one encoding; a reader refuses every other.

use state::LedgerError;
use types::{Address, B256, Bytes, U256};

use crate::Family;

/// Why bytes are not what the store writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes end inside a field.
    #[error("{missing} bytes are missing")]
    Short {
        /// How many more it would take, at least.
        missing: usize,
    },
    /// Something follows the last field.
    #[error("{0} bytes too many")]
    Trailing(usize),
    /// A field that names a case names none.
    #[error("{field} cannot be {value}")]
    Case {
        /// Which field.
        field: &'static str,
        /// What it held.
        value: u64,
    },
    /// A number written with leading zeros, or longer than its type.
    #[error("a number is not in its shortest form")]
    NotShortest,
    /// A row is filed under a hash that is not its own.
    #[error("what stands there hashes to {is}")]
    WrongName {
        /// Its own.
        is: types::B256,
    },
    /// The RLP part is malformed.
    #[error("malformed RLP: {0}")]
    Rlp(#[from] alloy_rlp::Error),
}

impl DecodeError {
    /// Says where the bytes stood.
    pub(crate) fn at(self, family: Family, key: &[u8]) -> LedgerError {
        LedgerError::Damaged(format!("{} 0x{}: {self}", family.name(), types::primitives::hex::encode(key)))
    }
}

/// Reads fields from the front of some bytes.
pub(crate) struct Input<'a>(pub(crate) &'a [u8]);

impl<'a> Input<'a> {
    pub(crate) fn take(&mut self, length: usize) -> Result<&'a [u8], DecodeError> {
        let (taken, rest) =
            self.0.split_at_checked(length).ok_or_else(|| DecodeError::Short { missing: length - self.0.len() })?;
        self.0 = rest;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        Ok(self.take(N)?.try_into().expect("as many as asked for"))
    }

    pub(crate) fn byte(&mut self) -> Result<u8, DecodeError> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, DecodeError> {
        self.array().map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, DecodeError> {
        self.array().map(u64::from_be_bytes)
    }

    pub(crate) fn hash(&mut self) -> Result<B256, DecodeError> {
        self.array().map(B256::new)
    }

    pub(crate) fn address(&mut self) -> Result<Address, DecodeError> {
        self.array().map(Address::new)
    }

    /// A length (u32), then as many bytes.
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let length = self.u32()? as usize;
        self.take(length)
    }

    /// A length (one byte), then a number in its shortest form.
    pub(crate) fn number(&mut self) -> Result<U256, DecodeError> {
        let length = usize::from(self.byte()?);
        shortest(self.take(length)?)
    }

    /// One byte: 0 for false, 1 for true.
    pub(crate) fn flag(&mut self, field: &'static str) -> Result<bool, DecodeError> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            value => Err(DecodeError::Case { field, value: value.into() }),
        }
    }

    /// A count (u32), then as many items of at least `bytes_min` each: a count that cannot be true allocates nothing.
    pub(crate) fn list<T>(
        &mut self,
        bytes_min: usize,
        item: impl Fn(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Vec<T>, DecodeError> {
        let count = self.u32()? as usize;
        let missing = count.saturating_mul(bytes_min).saturating_sub(self.0.len());
        if missing > 0 {
            return Err(DecodeError::Short { missing });
        }
        (0..count).map(|_| item(self)).collect()
    }

    pub(crate) fn end(self) -> Result<(), DecodeError> {
        if self.0.is_empty() { Ok(()) } else { Err(DecodeError::Trailing(self.0.len())) }
    }
}

/// Reads all of `bytes` as one value.
pub(crate) fn decode<'a, T>(
    bytes: &'a [u8],
    value: impl FnOnce(&mut Input<'a>) -> Result<T, DecodeError>,
) -> Result<T, DecodeError> {
    let mut input = Input(bytes);
    let value = value(&mut input)?;
    input.end()?;
    Ok(value)
}

/// A number from its bytes without leading zeros; none are zero.
pub(crate) fn shortest(bytes: &[u8]) -> Result<U256, DecodeError> {
    if bytes.len() > 32 || bytes.first() == Some(&0) {
        return Err(DecodeError::NotShortest);
    }
    Ok(U256::from_be_slice(bytes))
}

/// A number's bytes without leading zeros.
pub(crate) fn put_shortest(out: &mut Vec<u8>, number: &U256) {
    let bytes = number.to_be_bytes::<32>();
    out.extend_from_slice(&bytes[32 - number.byte_len()..]);
}

/// The twin of [`Input::number`].
pub(crate) fn put_number(out: &mut Vec<u8>, number: &U256) {
    out.push(number.byte_len() as u8);
    put_shortest(out, number);
}

/// The twin of [`Input::bytes`].
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_count(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// A count or length as the store writes it.
pub(crate) fn put_count(out: &mut Vec<u8>, count: usize) {
    let count = u32::try_from(count).expect("nothing in a block comes in billions");
    out.extend_from_slice(&count.to_be_bytes());
}

/// Takes the rest of an input out of RLP.
pub(crate) fn rlp<T: alloy_rlp::Decodable>(input: &mut Input<'_>) -> Result<T, DecodeError> {
    Ok(T::decode(&mut input.0)?)
}

/// Copies what was read.
pub(crate) fn owned(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

#[cfg(test)]
mod tests;

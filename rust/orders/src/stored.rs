//! How values stand in the journal and in snapshots: fields in the listed order, integers little-endian at their full
//! width, addresses and hashes raw, `Option` as a byte 0 or 1 and the value, lists as a u32 count and the values, maps as
//! lists of pairs in ascending key.
//!
//! One encoding for each value, and none that is longer than what it is read from: a count is believed only as far as
//! there are bytes left for it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    hash::{BuildHasher, Hash},
};

use types::{Address, B256, U256};

/// Bytes that are not the value they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed at {left} bytes before the end")]
pub struct Malformed {
    /// How much was not read yet.
    pub left: usize,
}

/// What is left to be read.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a>(pub &'a [u8]);

impl<'a> Source<'a> {
    /// Takes that many bytes.
    pub fn bytes(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (head, tail) = self.0.split_at_checked(count).ok_or(self.malformed())?;
        self.0 = tail;
        Ok(head)
    }

    /// The error that points here.
    pub fn malformed(&self) -> Malformed {
        Malformed { left: self.0.len() }
    }

    fn count(&mut self) -> Result<usize, Malformed> {
        let count = u32::take(self)? as usize;
        if count > self.0.len() { Err(self.malformed()) } else { Ok(count) }
    }
}

/// A value with one encoding.
pub trait Stored: Sized {
    /// Appends it.
    fn put(&self, out: &mut Vec<u8>);
    /// Reads it back.
    fn take(from: &mut Source<'_>) -> Result<Self, Malformed>;

    /// Its bytes.
    fn to_stored(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.put(&mut out);
        out
    }

    /// Reads a value that has all the bytes for itself.
    fn from_stored(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut from = Source(bytes);
        let value = Self::take(&mut from)?;
        if from.0.is_empty() { Ok(value) } else { Err(from.malformed()) }
    }
}

macro_rules! integers {
    ($($integer:ty),*) => {$(
        impl Stored for $integer {
            fn put(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }

            fn take(from: &mut Source<'_>) -> Result<Self, Malformed> {
                let bytes = from.bytes(size_of::<Self>())?;
                Ok(Self::from_le_bytes(bytes.try_into().expect("as many as asked for")))
            }
        }
    )*};
}

integers!(u8, u16, u32, u64, u128, i32, i128);

impl Stored for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn take(from: &mut Source<'_>) -> Result<Self, Malformed> {
        match u8::take(from)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(from.malformed()),
        }
    }
}

impl<const N: usize> Stored for [u8; N] {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    fn take(from: &mut Source<'_>) -> Result<Self, Malformed> {
        Ok(from.bytes(N)?.try_into().expect("as many as asked for"))
    }
}

impl Stored for Address {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.0.put(out);
    }

    fn take(from: &mut Source<'_>) -> Result<Self, Malformed> {
        <[u8; 20]>::take(from).map(Self::new)
    }
}

impl Stored for B256 {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }

    fn take(from: &mut Source<'_>) -> Result<Self, Malformed> {
        <[u8; 32]>::take(from).map(Self::new)
    }
}

impl Stored for U256 {
    fn put(&self, out: &mut Vec<u8>) {
        self.to_le_bytes::<32>().put(out);
    }

    fn take(from: &mut Source<'_>) -> Result<Self, Malformed> {
        <[u8; 32]>::take(from).map(Self::from_le_bytes)
    }
}

impl Stored for String {
    fn put(&self, out: &mut Vec<u8>) {
        (self.len() as u32).put(out);
        out.extend_from_slice(self.as_bytes());
    }

    fn take(from: &mut Source<'_>) -> Result<Self, Malformed> {
        let count = from.count()?;
        let bytes = from.bytes(count)?;
        std::str::from_utf8(bytes).map(str::to_owned).map_err(|_| from.malformed())
    }
}

impl<T: Stored> Stored for Box<T> {
    fn put(&self, out: &mut Vec<u8>) {
        (**self).put(out);
    }

    fn take(from: &mut Source<'_>) -> Result<Self, Malformed> {
        T::take(from).map(Self::new)
    }
}

impl<T: Stored> Stored for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }

    fn take(from: &mut Source<'_>) -> Result<Self, Malformed> {
        if bool::take(from)? { T::take(from).map(Some) } else { Ok(None) }
    }
}

impl<A: Stored, B: Stored> Stored for (A, B) {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
        self.1.put(out);
    }

    fn take(from: &mut Source<'_>) -> Result<Self, Malformed> {
        Ok((A::take(from)?, B::take(from)?))
    }
}

macro_rules! lists {
    ($($list:ident $(: $bound:ident)?),*) => {$(
        impl<T: Stored $(+ $bound)?> Stored for $list<T> {
            fn put(&self, out: &mut Vec<u8>) {
                (self.len() as u32).put(out);
                self.iter().for_each(|value| value.put(out));
            }

            fn take(from: &mut Source<'_>) -> Result<Self, Malformed> {
                (0..from.count()?).map(|_| T::take(from)).collect()
            }
        }
    )*};
}

lists!(Vec, VecDeque, BTreeSet: Ord);

impl<K: Stored + Ord, V: Stored> Stored for BTreeMap<K, V> {
    fn put(&self, out: &mut Vec<u8>) {
        (self.len() as u32).put(out);
        for (key, value) in self {
            key.put(out);
            value.put(out);
        }
    }

    fn take(from: &mut Source<'_>) -> Result<Self, Malformed> {
        (0..from.count()?).map(|_| <(K, V)>::take(from)).collect()
    }
}

impl<K: Stored + Ord + Hash, V: Stored, S: BuildHasher + Default> Stored for HashMap<K, V, S> {
    fn put(&self, out: &mut Vec<u8>) {
        let mut keys: Vec<_> = self.keys().collect();
        keys.sort_unstable();
        (keys.len() as u32).put(out);
        for key in keys {
            key.put(out);
            self[key].put(out);
        }
    }

    fn take(from: &mut Source<'_>) -> Result<Self, Malformed> {
        (0..from.count()?).map(|_| <(K, V)>::take(from)).collect()
    }
}

/// Stores a struct as its fields, in the order given here.
macro_rules! stored {
    ($($name:ident { $($field:ident),* $(,)? })*) => {$(
        impl $crate::stored::Stored for $name {
            fn put(&self, out: &mut Vec<u8>) {
                $($crate::stored::Stored::put(&self.$field, out);)*
            }

            fn take(from: &mut $crate::stored::Source<'_>) -> Result<Self, $crate::stored::Malformed> {
                Ok(Self { $($field: $crate::stored::Stored::take(from)?),* })
            }
        }
    )*};
}

/// Stores an enum without values as its number.
macro_rules! stored_number {
    ($($name:ty: $number:ty),*) => {$(
        impl $crate::stored::Stored for $name {
            fn put(&self, out: &mut Vec<u8>) {
                $crate::stored::Stored::put(&(*self as $number), out);
            }

            fn take(from: &mut $crate::stored::Source<'_>) -> Result<Self, $crate::stored::Malformed> {
                let number = <$number as $crate::stored::Stored>::take(from)?;
                Self::from_number(number).ok_or(from.malformed())
            }
        }
    )*};
}

/// Stores an enum as a byte and the fields of its variant.
macro_rules! stored_choice {
    ($($name:ident { $($tag:literal: $variant:ident $({ $($field:ident),* })? $(($inner:ident))?,)* })*) => {$(
        impl $crate::stored::Stored for $name {
            fn put(&self, out: &mut Vec<u8>) {
                match self {
                    $(Self::$variant $({ $($field),* })? $(($inner))? => {
                        out.push($tag);
                        $($($crate::stored::Stored::put($field, out);)*)?
                        $($crate::stored::Stored::put($inner, out);)?
                    })*
                }
            }

            fn take(from: &mut $crate::stored::Source<'_>) -> Result<Self, $crate::stored::Malformed> {
                Ok(match <u8 as $crate::stored::Stored>::take(from)? {
                    $($tag => {
                        $(let $inner = $crate::stored::Stored::take(from)?;)?
                        Self::$variant $({ $($field: $crate::stored::Stored::take(from)?),* })? $(($inner))?
                    })*
                    _ => return Err(from.malformed()),
                })
            }
        }
    )*};
}

pub(crate) use {stored, stored_choice, stored_number};

stored_number!(crate::states::Sub: u8, crate::failure::FailureCode: u16);
stored_number!(crate::wire::Action: u8, crate::wire::Channel: u8, crate::wire::AttemptKind: u8, crate::wire::FillKind: u8);

//! Answers as JSON text, written straight into bytes.
//!
//! The wire has two forms for what Ethereum calls hex: a *quantity* is a number (`0x` and the fewest digits, zero is
//! `0x0`), *data* are bytes (`0x` and two digits each). Which one a Rust type takes is settled here and nowhere else:
//! integers are quantities, hashes, addresses and byte strings are data. Writing cannot fail, so that an answer that
//! was begun is always finished.

use chain::types::{
    Address, Bloom, Bytes, U256,
    primitives::{FixedBytes, hex},
};

/// Something that stands in an answer.
pub(crate) trait ToJson {
    /// Appends the JSON text of this value.
    fn write(&self, out: &mut Vec<u8>);
}

/// Bytes that are JSON already.
pub(crate) struct Raw<'a>(pub(crate) &'a [u8]);

/// A share, which the wire wants in decimal.
pub(crate) struct Decimal(pub(crate) f64);

/// A whole number that the wire wants in decimal.
pub(crate) struct Plain(pub(crate) u64);

/// An object whose fields are written by a closure, in its order.
pub(crate) struct Fields<F>(pub(crate) F);

/// The object being written.
pub(crate) struct Object<'o> {
    out: &'o mut Vec<u8>,
    open: u8,
}

impl Object<'_> {
    /// Adds a field. Names are ours, so they need no escaping.
    pub(crate) fn field(&mut self, name: &str, value: &(impl ToJson + ?Sized)) -> &mut Self {
        self.out.push(self.open);
        self.open = b',';
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        value.write(self.out);
        self
    }

    /// Adds a field where there is a value; without one the name is left out, which is not the same as null.
    pub(crate) fn maybe(&mut self, name: &str, value: Option<&(impl ToJson + ?Sized)>) -> &mut Self {
        match value {
            Some(value) => self.field(name, value),
            None => self,
        }
    }
}

impl<F: Fn(&mut Object<'_>)> ToJson for Fields<F> {
    fn write(&self, out: &mut Vec<u8>) {
        let mut object = Object { out, open: b'{' };
        (self.0)(&mut object);
        let empty = object.open == b'{';
        out.extend_from_slice(if empty { b"{}" } else { b"}" });
    }
}

/// Appends data: `0x` and two digits a byte.
fn write_data(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(b"\"0x");
    let start = out.len();
    out.resize(start + 2 * bytes.len(), 0);
    hex::encode_to_slice(bytes, &mut out[start..]).expect("two digits were reserved for each byte");
    out.push(b'"');
}

/// Appends a quantity given in big-endian bytes.
fn write_quantity(big_endian: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.extend_from_slice(b"\"0x");
    let mut significant = big_endian.iter().skip_while(|byte| **byte == 0);
    match significant.next() {
        None => out.push(b'0'),
        Some(first) => {
            if *first > 0xf {
                out.push(DIGITS[usize::from(first >> 4)]);
            }
            out.push(DIGITS[usize::from(first & 0xf)]);
        }
    }
    for byte in significant {
        out.extend_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 0xf)]]);
    }
    out.push(b'"');
}

impl ToJson for u64 {
    fn write(&self, out: &mut Vec<u8>) {
        write_quantity(&self.to_be_bytes(), out);
    }
}

impl ToJson for u128 {
    fn write(&self, out: &mut Vec<u8>) {
        write_quantity(&self.to_be_bytes(), out);
    }
}

impl ToJson for U256 {
    fn write(&self, out: &mut Vec<u8>) {
        write_quantity(&self.to_be_bytes::<32>(), out);
    }
}

impl<const N: usize> ToJson for FixedBytes<N> {
    fn write(&self, out: &mut Vec<u8>) {
        write_data(self.as_slice(), out);
    }
}

impl ToJson for Address {
    fn write(&self, out: &mut Vec<u8>) {
        write_data(self.as_slice(), out);
    }
}

impl ToJson for Bloom {
    fn write(&self, out: &mut Vec<u8>) {
        write_data(self.as_slice(), out);
    }
}

impl ToJson for Bytes {
    fn write(&self, out: &mut Vec<u8>) {
        write_data(self, out);
    }
}

impl ToJson for bool {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(if *self { b"true" } else { b"false" });
    }
}

impl ToJson for str {
    fn write(&self, out: &mut Vec<u8>) {
        serde_json::to_writer(out, self).expect("a string is always JSON");
    }
}

impl ToJson for String {
    fn write(&self, out: &mut Vec<u8>) {
        self.as_str().write(out);
    }
}

impl ToJson for Decimal {
    fn write(&self, out: &mut Vec<u8>) {
        serde_json::to_writer(out, &self.0).expect("a number is always JSON");
    }
}

impl ToJson for Plain {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0.to_string().as_bytes());
    }
}

impl ToJson for Raw<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0);
    }
}

impl<T: ToJson> ToJson for Option<T> {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Some(value) => value.write(out),
            None => out.extend_from_slice(b"null"),
        }
    }
}

impl<T: ToJson> ToJson for [T] {
    fn write(&self, out: &mut Vec<u8>) {
        out.push(b'[');
        for (index, item) in self.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            item.write(out);
        }
        out.push(b']');
    }
}

impl<T: ToJson> ToJson for Vec<T> {
    fn write(&self, out: &mut Vec<u8>) {
        self.as_slice().write(out);
    }
}

impl<T: ToJson + ?Sized> ToJson for &T {
    fn write(&self, out: &mut Vec<u8>) {
        (**self).write(out);
    }
}

#[cfg(test)]
mod tests {
    use chain::types::B256;

    use super::*;

    fn text(value: impl ToJson) -> String {
        let mut out = Vec::new();
        value.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn quantities_have_the_fewest_digits() {
        assert_eq!(text(0u64), r#""0x0""#);
        assert_eq!(text(15u64), r#""0xf""#);
        assert_eq!(text(16u64), r#""0x10""#);
        assert_eq!(text(0x100u64), r#""0x100""#);
        assert_eq!(text(u64::MAX), r#""0xffffffffffffffff""#);
        assert_eq!(text(U256::MAX), format!("\"0x{}\"", "f".repeat(64)));
    }

    #[test]
    fn data_keep_every_byte() {
        assert_eq!(text(Bytes::new()), r#""0x""#);
        assert_eq!(text(Bytes::from_static(&[0, 0x0a])), r#""0x000a""#);
        assert_eq!(text(B256::ZERO), format!("\"0x{}\"", "00".repeat(32)));
    }

    #[test]
    fn objects_and_lists_nest() {
        let value = Fields(|object: &mut Object<'_>| {
            object.field("a", &1u64).maybe("b", None::<&u64>).field("c", &None::<u64>).field("d", &vec![true, false]);
        });
        assert_eq!(text(value), r#"{"a":"0x1","c":null,"d":[true,false]}"#);
        assert_eq!(text(Fields(|_: &mut Object<'_>| {})), "{}");
        assert_eq!(text(Vec::<u64>::new()), "[]");
        assert_eq!(text("a\"b\n"), r#""a\"b\n""#);
    }

    proptest::proptest! {
        #[test]
        fn quantities_agree_with_the_plain_formatter(value: u64, wide: [u64; 4]) {
            proptest::prop_assert_eq!(text(value), format!("\"{value:#x}\""));
            let wide = U256::from_limbs(wide);
            proptest::prop_assert_eq!(text(wide), format!("\"{wide:#x}\""));
        }
    }
}

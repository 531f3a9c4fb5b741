//! Receipts, for Ethereum's kinds and ours alike.
//!
//! Encoding follows EIP-2718: the kind's byte (none for legacy), then RLP of
//! `[status or state root, cumulative gas, bloom, logs]`. alloy's envelope knows Ethereum's five kinds only.

use alloy_eips::eip2718::{Decodable2718, Eip2718Error, Eip2718Result, Encodable2718, Typed2718};
use alloy_primitives::{B256, Bloom, Bytes, Log};
use alloy_rlp::{Buf, BufMut, Decodable, Encodable, Header};

/// How a transaction ended, as its receipt tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// From Byzantium on: success (true) or failure.
    Status(bool),
    /// Before Byzantium: the state root after this transaction.
    StateRoot(B256),
}

impl Outcome {
    /// Whether the transaction is known to have succeeded; receipts before Byzantium don't say, and count as success.
    pub fn is_success(&self) -> bool {
        !matches!(self, Self::Status(false))
    }
}

/// What a transaction left behind besides the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// EIP-2718 type of the transaction; 0 for legacy.
    pub kind: u8,
    /// How it ended.
    pub outcome: Outcome,
    /// Gas of the block up to and with this transaction.
    pub cumulative_gas_used: u64,
    /// In the order they were written.
    pub logs: Vec<Log>,
}

impl Receipt {
    /// The bloom filter over this receipt's logs.
    pub fn bloom(&self) -> Bloom {
        let mut bloom = Bloom::ZERO;
        for log in &self.logs {
            bloom.accrue_log(log);
        }
        bloom
    }

    /// The bytes of which the root over a block's receipts is made.
    pub fn to_bytes(&self) -> Bytes {
        self.encoded_2718().into()
    }

    /// Reads what [`to_bytes`](Self::to_bytes) gave, all of it.
    ///
    /// # Errors
    /// Where the bytes are no receipt, or more than one.
    pub fn from_bytes(bytes: &[u8]) -> alloy_rlp::Result<Self> {
        Self::decode_2718_exact(bytes).map_err(|error| match error {
            Eip2718Error::RlpError(error) => error,
            _ => alloy_rlp::Error::Custom("a kind of receipt that does not exist"),
        })
    }

    fn payload_length(&self) -> usize {
        let outcome = match &self.outcome {
            Outcome::Status(status) => status.length(),
            Outcome::StateRoot(root) => root.length(),
        };
        outcome + self.cumulative_gas_used.length() + Bloom::ZERO.length() + self.logs.length()
    }

    fn encode_rlp(&self, out: &mut dyn BufMut) {
        Header { list: true, payload_length: self.payload_length() }.encode(out);
        match &self.outcome {
            Outcome::Status(status) => status.encode(out),
            Outcome::StateRoot(root) => root.encode(out),
        }
        self.cumulative_gas_used.encode(out);
        self.bloom().encode(out);
        self.logs.encode(out);
    }

    fn decode_rlp(kind: u8, buf: &mut &[u8]) -> alloy_rlp::Result<Self> {
        let mut payload = Header::decode_bytes(buf, true)?;
        let outcome = match Header::decode_bytes(&mut payload, false)? {
            [] => Outcome::Status(false),
            [1] => Outcome::Status(true),
            root if root.len() == 32 => Outcome::StateRoot(B256::from_slice(root)),
            _ => return Err(alloy_rlp::Error::Custom("receipt outcome is neither a status nor a root")),
        };
        let cumulative_gas_used = u64::decode(&mut payload)?;
        let bloom = Bloom::decode(&mut payload)?;
        let logs = Vec::<Log>::decode(&mut payload)?;
        if !payload.is_empty() {
            return Err(alloy_rlp::Error::UnexpectedLength);
        }
        let receipt = Self { kind, outcome, cumulative_gas_used, logs };
        if receipt.bloom() != bloom {
            return Err(alloy_rlp::Error::Custom("receipt bloom does not match its logs"));
        }
        Ok(receipt)
    }
}

impl Typed2718 for Receipt {
    fn ty(&self) -> u8 {
        self.kind
    }
}

impl Encodable2718 for Receipt {
    fn encode_2718_len(&self) -> usize {
        let payload_length = self.payload_length();
        usize::from(self.kind != 0) + payload_length + Header { list: true, payload_length }.length()
    }

    fn encode_2718(&self, out: &mut dyn BufMut) {
        if self.kind != 0 {
            out.put_u8(self.kind);
        }
        self.encode_rlp(out);
    }
}

impl Decodable2718 for Receipt {
    fn typed_decode(ty: u8, buf: &mut &[u8]) -> Eip2718Result<Self> {
        if ty == 0 {
            return Err(Eip2718Error::UnexpectedType(0));
        }
        Ok(Self::decode_rlp(ty, buf)?)
    }

    fn fallback_decode(buf: &mut &[u8]) -> Eip2718Result<Self> {
        Ok(Self::decode_rlp(0, buf)?)
    }
}

/// Network form: typed receipts are wrapped in an RLP string.
impl Encodable for Receipt {
    fn encode(&self, out: &mut dyn BufMut) {
        self.network_encode(out);
    }

    fn length(&self) -> usize {
        self.network_len()
    }
}

impl Decodable for Receipt {
    fn decode(buf: &mut &[u8]) -> alloy_rlp::Result<Self> {
        decode_network(buf)
    }
}

/// Reads one network-encoded envelope, strictly: a typed one must be wrapped in an RLP string, with nothing left over.
/// (alloy's own reader also takes unwrapped ones, which a block must not hold.)
pub(crate) fn decode_network<T: Decodable2718>(buf: &mut &[u8]) -> alloy_rlp::Result<T> {
    let first = *buf.first().ok_or(alloy_rlp::Error::InputTooShort)?;
    if first >= alloy_rlp::EMPTY_LIST_CODE {
        return Ok(T::fallback_decode(buf)?);
    }
    let mut inner = Header::decode_bytes(buf, false)?;
    if !inner.has_remaining() {
        return Err(alloy_rlp::Error::InputTooShort);
    }
    let ty = inner.get_u8();
    let value = T::typed_decode(ty, &mut inner)?;
    if inner.is_empty() { Ok(value) } else { Err(alloy_rlp::Error::UnexpectedLength) }
}

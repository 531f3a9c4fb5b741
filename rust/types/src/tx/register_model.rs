//! 0x50: puts a model into the registry.

use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_rlp::{BufMut, Decodable, Encodable, Header, RlpDecodable, RlpEncodable};

/// Registers a model under its artifact's hash.
#[derive(Clone, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub struct RegisterModel {
    /// Hash of the canonical artifact.
    pub model_hash: B256,
    /// Name, framework, shapes and the rest, encoded as the registry documents it.
    pub metadata: Bytes,
    /// Who may run it.
    pub access: AccessPolicy,
}

/// Who may run a model. RLP: `[number, its fields…]`, numbers as in the order here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessPolicy {
    /// Everybody.
    Public,
    /// Its owner.
    Owner,
    /// These accounts.
    Listed(Vec<Address>),
    /// Everybody who pays the owner this many wei a run.
    PayPerUse(U256),
    /// Whoever this contract admits.
    Contract(Address),
}

impl AccessPolicy {
    fn number(&self) -> u8 {
        match self {
            Self::Public => 0,
            Self::Owner => 1,
            Self::Listed(_) => 2,
            Self::PayPerUse(_) => 3,
            Self::Contract(_) => 4,
        }
    }

    fn field(&self) -> Option<&dyn Encodable> {
        match self {
            Self::Public | Self::Owner => None,
            Self::Listed(accounts) => Some(accounts),
            Self::PayPerUse(price) => Some(price),
            Self::Contract(contract) => Some(contract),
        }
    }

    fn payload_length(&self) -> usize {
        self.number().length() + self.field().map_or(0, Encodable::length)
    }
}

impl Encodable for AccessPolicy {
    fn encode(&self, out: &mut dyn BufMut) {
        Header { list: true, payload_length: self.payload_length() }.encode(out);
        self.number().encode(out);
        if let Some(field) = self.field() {
            field.encode(out);
        }
    }

    fn length(&self) -> usize {
        let payload_length = self.payload_length();
        payload_length + Header { list: true, payload_length }.length()
    }
}

impl Decodable for AccessPolicy {
    fn decode(buf: &mut &[u8]) -> alloy_rlp::Result<Self> {
        let mut fields = Header::decode_bytes(buf, true)?;
        let policy = match u8::decode(&mut fields)? {
            0 => Self::Public,
            1 => Self::Owner,
            2 => Self::Listed(Decodable::decode(&mut fields)?),
            3 => Self::PayPerUse(Decodable::decode(&mut fields)?),
            4 => Self::Contract(Decodable::decode(&mut fields)?),
            _ => return Err(alloy_rlp::Error::Custom("unknown access policy")),
        };
        if fields.is_empty() { Ok(policy) } else { Err(alloy_rlp::Error::UnexpectedLength) }
    }
}

//! Our own kinds: EIP-2718 types beside Ethereum's, signed and priced like EIP-1559 transactions.
//!
//! Bytes: `kind ‖ rlp([chain_id, nonce, max_priority_fee_per_gas, max_fee_per_gas, gas_limit, access_list, payload,
//! y_parity, r, s])`, where payload is the list of the kind's own fields, in the order of its struct. The hash that is
//! signed is Keccak-256 of the same without the last three. There is one encoding for each value: what decodes, encodes
//! to the same bytes.
//!
//! A kind is a file beside this one, a variant of [`Payload`] and a row in [`Payload::KINDS`]. What a transaction does
//! is not known here.

use std::sync::OnceLock;

use alloy_eips::{
    eip2718::{Eip2718Error, Eip2718Result},
    eip2930::AccessList,
};
use alloy_primitives::{Address, B256, Bytes, Signature, U256, keccak256};
use alloy_rlp::{BufMut, Decodable, Encodable, Header};

use super::{
    asset_transfer::AssetTransfer, inference_request::InferenceRequest, register_model::RegisterModel,
    submit_gradient::SubmitGradient, update_model::UpdateModel,
};
use crate::{keys::Key, system};

/// What a transaction of our own asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each variant is its struct, documented there")]
pub enum Payload {
    RegisterModel(RegisterModel),
    UpdateModel(UpdateModel),
    InferenceRequest(InferenceRequest),
    SubmitGradient(SubmitGradient),
    AssetTransfer(AssetTransfer),
}

impl Payload {
    /// Every own kind: its EIP-2718 type and its name.
    pub const KINDS: [(u8, &'static str); 5] = [
        (0x50, "RegisterModel"),
        (0x51, "UpdateModel"),
        (0x52, "InferenceRequest"),
        (0x53, "SubmitGradient"),
        (0x54, "AssetTransfer"),
    ];

    /// EIP-2718 type.
    pub fn kind(&self) -> u8 {
        match self {
            Self::RegisterModel(_) => 0x50,
            Self::UpdateModel(_) => 0x51,
            Self::InferenceRequest(_) => 0x52,
            Self::SubmitGradient(_) => 0x53,
            Self::AssetTransfer(_) => 0x54,
        }
    }

    /// Whether a type byte is one of ours.
    pub fn is_own(kind: u8) -> bool {
        Self::KINDS.iter().any(|(own, _)| *own == kind)
    }

    /// The system account that it speaks to.
    pub fn account(&self) -> Address {
        match self {
            Self::RegisterModel(_) | Self::UpdateModel(_) | Self::InferenceRequest(_) => system::MODELS,
            Self::SubmitGradient(_) => system::TRAINING,
            Self::AssetTransfer(_) => system::ASSETS,
        }
    }

    /// RLP of the kind's own fields.
    pub fn to_bytes(&self) -> Bytes {
        let mut out = Vec::with_capacity(self.inner().length());
        self.inner().encode(&mut out);
        out.into()
    }

    fn inner(&self) -> &dyn Encodable {
        match self {
            Self::RegisterModel(inner) => inner,
            Self::UpdateModel(inner) => inner,
            Self::InferenceRequest(inner) => inner,
            Self::SubmitGradient(inner) => inner,
            Self::AssetTransfer(inner) => inner,
        }
    }

    fn decode(kind: u8, buf: &mut &[u8]) -> Eip2718Result<Self> {
        Ok(match kind {
            0x50 => Self::RegisterModel(Decodable::decode(buf)?),
            0x51 => Self::UpdateModel(Decodable::decode(buf)?),
            0x52 => Self::InferenceRequest(Decodable::decode(buf)?),
            0x53 => Self::SubmitGradient(Decodable::decode(buf)?),
            0x54 => Self::AssetTransfer(Decodable::decode(buf)?),
            _ => return Err(Eip2718Error::UnexpectedType(kind)),
        })
    }
}

/// A transaction of our own before it is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TxOwn {
    /// The chain it is for.
    pub chain_id: u64,
    /// The sender's count that it expects.
    pub nonce: u64,
    /// Most wei a unit of gas may give the block's producer.
    pub max_priority_fee_per_gas: u128,
    /// Most wei a unit of gas may cost.
    pub max_fee_per_gas: u128,
    /// Most gas it may use.
    pub gas_limit: u64,
    /// Addresses and slots paid for in advance.
    pub access_list: AccessList,
    /// What it asks for.
    pub payload: Payload,
}

impl TxOwn {
    fn fields(&self) -> [&dyn Encodable; 7] {
        [
            &self.chain_id,
            &self.nonce,
            &self.max_priority_fee_per_gas,
            &self.max_fee_per_gas,
            &self.gas_limit,
            &self.access_list,
            self.payload.inner(),
        ]
    }

    /// What the signer signs.
    pub fn signature_hash(&self) -> B256 {
        let mut out = vec![self.payload.kind()];
        encode_list(&self.fields(), &mut out);
        keccak256(out)
    }

    /// Signs it.
    pub fn sign(self, key: &Key) -> SignedOwn {
        let signature = key.sign(&self.signature_hash());
        SignedOwn::new(self, signature)
    }
}

/// A signed transaction of our own.
#[derive(Clone, Debug)]
pub struct SignedOwn {
    tx: TxOwn,
    signature: Signature,
    hash: OnceLock<B256>,
}

impl PartialEq for SignedOwn {
    fn eq(&self, other: &Self) -> bool {
        self.tx == other.tx && self.signature == other.signature
    }
}

impl Eq for SignedOwn {}

impl SignedOwn {
    /// Joins a transaction with a signature; nothing is verified.
    pub fn new(tx: TxOwn, signature: Signature) -> Self {
        Self { tx, signature, hash: OnceLock::new() }
    }

    /// What was signed.
    pub fn tx(&self) -> &TxOwn {
        &self.tx
    }

    /// The signature.
    pub fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Keccak-256 of the bytes; computed once.
    pub fn hash(&self) -> &B256 {
        self.hash.get_or_init(|| {
            let mut out = Vec::new();
            self.encode(&mut out);
            keccak256(out)
        })
    }

    fn with_fields<T>(&self, then: impl FnOnce(&[&dyn Encodable]) -> T) -> T {
        let [a, b, c, d, e, f, g] = self.tx.fields();
        let (parity, r, s) = (self.signature.v(), self.signature.r(), self.signature.s());
        then(&[a, b, c, d, e, f, g, &parity, &r, &s])
    }

    pub(super) fn length(&self) -> usize {
        self.with_fields(|fields| {
            let payload_length = fields.iter().map(|field| field.length()).sum();
            1 + payload_length + Header { list: true, payload_length }.length()
        })
    }

    pub(super) fn encode(&self, out: &mut dyn BufMut) {
        out.put_u8(self.tx.payload.kind());
        self.with_fields(|fields| encode_list(fields, out));
    }

    /// Reads what follows the type byte.
    pub(super) fn decode(kind: u8, buf: &mut &[u8]) -> Eip2718Result<Self> {
        let mut fields = Header::decode_bytes(buf, true)?;
        let tx = TxOwn {
            chain_id: Decodable::decode(&mut fields)?,
            nonce: Decodable::decode(&mut fields)?,
            max_priority_fee_per_gas: Decodable::decode(&mut fields)?,
            max_fee_per_gas: Decodable::decode(&mut fields)?,
            gas_limit: Decodable::decode(&mut fields)?,
            access_list: Decodable::decode(&mut fields)?,
            payload: Payload::decode(kind, &mut fields)?,
        };
        let parity = bool::decode(&mut fields)?;
        let signature = Signature::new(U256::decode(&mut fields)?, U256::decode(&mut fields)?, parity);
        if !fields.is_empty() {
            return Err(alloy_rlp::Error::UnexpectedLength.into());
        }
        Ok(Self::new(tx, signature))
    }
}

fn encode_list(fields: &[&dyn Encodable], out: &mut dyn BufMut) {
    Header { list: true, payload_length: fields.iter().map(|field| field.length()).sum() }.encode(out);
    for field in fields {
        field.encode(out);
    }
}

//! Transactions. Ethereum's five envelopes come from alloy, our own kinds stand in a file each; [`Transaction`] is the
//! one word for all of them. Its inside is private, so that a further kind is a matter of this room alone: everybody
//! else asks the accessors.

pub mod asset_transfer;
pub mod inference_request;
pub mod own;
pub mod register_model;
pub mod submit_gradient;
pub mod update_model;

use alloy_consensus::{EthereumTxEnvelope, SignableTransaction, Transaction as Fields, TxEip4844};
pub use alloy_consensus::{TxEip1559, TxEip2930, TxEip4844 as TxBlob, TxEip7702, TxLegacy};
use alloy_eips::{
    eip2718::{Decodable2718, Eip2718Error, Eip2718Result, Encodable2718, Typed2718},
    eip2930::AccessList,
    eip7702::SignedAuthorization,
};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256};
use alloy_rlp::{BufMut, Decodable, Encodable};

pub use self::own::{Payload, SignedOwn, TxOwn};
use crate::{
    keys::{self, Key, RecoverError},
    receipt::decode_network,
};

/// Why bytes are no transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransactionError {
    /// The first byte names a kind that nobody knows.
    #[error("transaction type not supported: 0x{0:02x}")]
    UnknownKind(u8),
    /// The bytes are not this kind's RLP.
    #[error("malformed transaction: {0}")]
    Malformed(alloy_rlp::Error),
}

/// A signed transaction of any kind. Cheap to clone: call data is shared, lists are usually empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction(Inner);

#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "Ethereum's kinds are nearly all there are: no allocation for them")]
enum Inner {
    Ethereum(Envelope),
    Own(Box<SignedOwn>),
}

/// Ethereum's envelopes; blob transactions stand without their sidecar, as in blocks.
pub type Envelope = EthereumTxEnvelope<TxEip4844>;

/// Call data of the kinds that have none.
static NO_INPUT: Bytes = Bytes::new();

/// A transaction whose sender is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// What was signed.
    pub transaction: Transaction,
    /// Who signed it.
    pub sender: Address,
}

impl Recovered {
    /// Pairs a transaction with a sender that the caller vouches for.
    pub fn new(transaction: Transaction, sender: Address) -> Self {
        Self { transaction, sender }
    }
}

impl Transaction {
    /// Signs any of alloy's unsigned transactions.
    pub fn sign<T>(unsigned: T, key: &Key) -> Self
    where
        T: SignableTransaction<Signature>,
        Envelope: From<alloy_consensus::Signed<T>>,
    {
        let signature = key.sign(&unsigned.signature_hash());
        Self::from_parts(unsigned, signature)
    }

    /// Joins an unsigned transaction with a signature made elsewhere; nothing is verified.
    pub fn from_parts<T>(unsigned: T, signature: Signature) -> Self
    where
        T: SignableTransaction<Signature>,
        Envelope: From<alloy_consensus::Signed<T>>,
    {
        Self(Inner::Ethereum(unsigned.into_signed(signature).into()))
    }

    /// Reads the bytes of one transaction (EIP-2718 form, as `eth_sendRawTransaction` takes it); nothing may follow.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TransactionError> {
        if bytes.is_empty() {
            return Err(TransactionError::Malformed(alloy_rlp::Error::InputTooShort));
        }
        Self::decode_2718_exact(bytes).map_err(|error| match error {
            Eip2718Error::UnexpectedType(kind) => TransactionError::UnknownKind(kind),
            Eip2718Error::RlpError(error) => TransactionError::Malformed(error),
            _ => TransactionError::Malformed(alloy_rlp::Error::Custom("unknown envelope")),
        })
    }

    /// EIP-2718 bytes.
    pub fn to_bytes(&self) -> Bytes {
        self.encoded_2718().into()
    }

    /// Appends EIP-2718 bytes.
    pub fn write_bytes(&self, out: &mut Vec<u8>) {
        self.encode_2718(out);
    }

    /// How many they are.
    pub fn size_bytes(&self) -> usize {
        self.encode_2718_len()
    }

    /// Alloy's envelope, for those who write it as JSON; None for our own kinds.
    pub fn envelope(&self) -> Option<&Envelope> {
        match &self.0 {
            Inner::Ethereum(tx) => Some(tx),
            Inner::Own(_) => None,
        }
    }

    /// What a transaction of our own asks for; None for Ethereum's kinds.
    #[inline]
    pub fn payload(&self) -> Option<&Payload> {
        match &self.0 {
            Inner::Ethereum(_) => None,
            Inner::Own(own) => Some(&own.tx().payload),
        }
    }

    /// Keccak-256 of the EIP-2718 bytes: the name of the transaction. Computed once.
    pub fn hash(&self) -> B256 {
        match &self.0 {
            Inner::Ethereum(tx) => *tx.tx_hash(),
            Inner::Own(own) => *own.hash(),
        }
    }

    /// What the signer signed.
    pub fn signature_hash(&self) -> B256 {
        match &self.0 {
            Inner::Ethereum(tx) => tx.signature_hash(),
            Inner::Own(own) => own.tx().signature_hash(),
        }
    }

    /// The signature.
    pub fn signature(&self) -> &Signature {
        match &self.0 {
            Inner::Ethereum(tx) => tx.signature(),
            Inner::Own(own) => own.signature(),
        }
    }

    /// Recovers the sender, one libsecp256k1 call; whether high `s` is allowed is for validation to say.
    pub fn recover(&self) -> Result<Address, RecoverError> {
        keys::recover(&self.signature_hash(), self.signature())
    }

    /// EIP-2718 type; 0 for legacy.
    #[inline]
    pub fn kind(&self) -> u8 {
        match &self.0 {
            Inner::Ethereum(tx) => tx.ty(),
            Inner::Own(own) => own.tx().payload.kind(),
        }
    }

    /// The chain it was signed for; None for a legacy transaction without replay protection.
    #[inline]
    pub fn chain_id(&self) -> Option<u64> {
        match &self.0 {
            Inner::Ethereum(tx) => tx.chain_id(),
            Inner::Own(own) => Some(own.tx().chain_id),
        }
    }

    /// The sender's count that this transaction expects.
    #[inline]
    pub fn nonce(&self) -> u64 {
        match &self.0 {
            Inner::Ethereum(tx) => tx.nonce(),
            Inner::Own(own) => own.tx().nonce,
        }
    }

    /// Most gas it may use.
    #[inline]
    pub fn gas_limit(&self) -> u64 {
        match &self.0 {
            Inner::Ethereum(tx) => tx.gas_limit(),
            Inner::Own(own) => own.tx().gas_limit,
        }
    }

    /// Most wei a unit of gas may cost; the gas price of the older kinds.
    #[inline]
    pub fn max_fee_per_gas(&self) -> u128 {
        match &self.0 {
            Inner::Ethereum(tx) => tx.max_fee_per_gas(),
            Inner::Own(own) => own.tx().max_fee_per_gas,
        }
    }

    /// Most wei a unit of gas may give the block's producer; the gas price of the older kinds.
    #[inline]
    pub fn max_priority_fee_per_gas(&self) -> u128 {
        match &self.0 {
            Inner::Ethereum(tx) => tx.priority_fee_or_price(),
            Inner::Own(own) => own.tx().max_priority_fee_per_gas,
        }
    }

    /// Whether it has a fee cap and a tip of its own (EIP-1559 and later kinds).
    #[inline]
    pub fn is_dynamic_fee(&self) -> bool {
        match &self.0 {
            Inner::Ethereum(tx) => tx.is_dynamic_fee(),
            Inner::Own(_) => true,
        }
    }

    /// Most wei a unit of blob gas may cost; None for kinds without blobs.
    #[inline]
    pub fn max_fee_per_blob_gas(&self) -> Option<u128> {
        match &self.0 {
            Inner::Ethereum(tx) => tx.max_fee_per_blob_gas(),
            Inner::Own(_) => None,
        }
    }

    /// What a unit of gas costs at this base fee.
    #[inline]
    pub fn effective_gas_price(&self, base_fee: Option<u64>) -> u128 {
        match &self.0 {
            Inner::Ethereum(tx) => tx.effective_gas_price(base_fee),
            Inner::Own(own) => dynamic_gas_price(own.tx(), base_fee),
        }
    }

    /// Call to an address, or creation.
    #[inline]
    pub fn to(&self) -> TxKind {
        match &self.0 {
            Inner::Ethereum(tx) => tx.kind(),
            Inner::Own(own) => TxKind::Call(own.tx().payload.account()),
        }
    }

    /// Wei moved.
    #[inline]
    pub fn value(&self) -> U256 {
        match &self.0 {
            Inner::Ethereum(tx) => tx.value(),
            Inner::Own(_) => U256::ZERO,
        }
    }

    /// Call data, or creation code.
    #[inline]
    pub fn input(&self) -> &Bytes {
        match &self.0 {
            Inner::Ethereum(tx) => tx.input(),
            Inner::Own(_) => &NO_INPUT,
        }
    }

    /// Addresses and slots paid for in advance (EIP-2930).
    #[inline]
    pub fn access_list(&self) -> Option<&AccessList> {
        match &self.0 {
            Inner::Ethereum(tx) => tx.access_list(),
            Inner::Own(own) => Some(&own.tx().access_list),
        }
    }

    /// Hashes of the blobs (EIP-4844); empty for other kinds.
    #[inline]
    pub fn blob_hashes(&self) -> &[B256] {
        match &self.0 {
            Inner::Ethereum(tx) => tx.blob_versioned_hashes().unwrap_or_default(),
            Inner::Own(_) => &[],
        }
    }

    /// Delegations asked for (EIP-7702); None for other kinds.
    #[inline]
    pub fn authorizations(&self) -> Option<&[SignedAuthorization]> {
        match &self.0 {
            Inner::Ethereum(tx) => tx.authorization_list(),
            Inner::Own(_) => None,
        }
    }
}

/// What a unit of gas costs, by the rule of EIP-1559.
fn dynamic_gas_price(tx: &TxOwn, base_fee: Option<u64>) -> u128 {
    base_fee.map_or(tx.max_fee_per_gas, |base_fee| {
        tx.max_fee_per_gas.min(tx.max_priority_fee_per_gas.saturating_add(base_fee.into()))
    })
}

impl<T> From<T> for Transaction
where
    Envelope: From<T>,
{
    fn from(value: T) -> Self {
        Self(Inner::Ethereum(value.into()))
    }
}

impl From<SignedOwn> for Transaction {
    fn from(own: SignedOwn) -> Self {
        Self(Inner::Own(Box::new(own)))
    }
}

impl Typed2718 for Transaction {
    fn ty(&self) -> u8 {
        self.kind()
    }
}

impl Encodable2718 for Transaction {
    fn encode_2718_len(&self) -> usize {
        match &self.0 {
            Inner::Ethereum(tx) => tx.encode_2718_len(),
            Inner::Own(own) => own.length(),
        }
    }

    fn encode_2718(&self, out: &mut dyn BufMut) {
        match &self.0 {
            Inner::Ethereum(tx) => tx.encode_2718(out),
            Inner::Own(own) => own.encode(out),
        }
    }
}

impl Decodable2718 for Transaction {
    fn typed_decode(ty: u8, buf: &mut &[u8]) -> Eip2718Result<Self> {
        if Payload::is_own(ty) {
            return SignedOwn::decode(ty, buf).map(Self::from);
        }
        // alloy reports an unknown type as malformed RLP.
        if !(1..=4).contains(&ty) {
            return Err(Eip2718Error::UnexpectedType(ty));
        }
        Envelope::typed_decode(ty, buf).map(Self::from)
    }

    fn fallback_decode(buf: &mut &[u8]) -> Eip2718Result<Self> {
        Envelope::fallback_decode(buf).map(Self::from)
    }
}

/// Network form, as in a block's body: typed transactions are wrapped in an RLP string.
impl Encodable for Transaction {
    fn encode(&self, out: &mut dyn BufMut) {
        self.network_encode(out);
    }

    fn length(&self) -> usize {
        self.network_len()
    }
}

impl Decodable for Transaction {
    fn decode(buf: &mut &[u8]) -> alloy_rlp::Result<Self> {
        decode_network(buf)
    }
}

#[cfg(test)]
mod tests;

//! Why a transaction may not enter a block: nothing was charged, nothing changed.

use types::{Address, B256, U256};

use crate::spec::Fork;

/// One reason per rule, with its numbers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// This kind does not exist at this fork.
    #[error("transaction type not supported: 0x{kind:02x} at {fork}")]
    KindNotEnabled {
        /// EIP-2718 type.
        kind: u8,
        /// The block's rules.
        fork: Fork,
    },
    /// Signed for another chain.
    #[error("invalid chain id for signer: have {actual} want {expected}")]
    WrongChain {
        /// This chain.
        expected: u64,
        /// The transaction's.
        actual: u64,
    },
    /// A legacy transaction with a chain id, before replay protection came.
    #[error("replay-protected transaction at {fork}")]
    ProtectedTooEarly {
        /// The block's rules.
        fork: Fork,
    },
    /// `s` is in the upper half of the curve's order.
    #[error("invalid transaction v, r, s values: s {s} is above half the order")]
    HighSignature {
        /// The value.
        s: U256,
    },
    /// The transaction does not fit into what is left of the block.
    #[error("gas limit reached: transaction wants {required}, block has {available} left")]
    BlockGasExceeded {
        /// The transaction's gas limit.
        required: u64,
        /// Gas left in the block.
        available: u64,
    },
    /// More gas than any transaction may ask for.
    #[error("transaction gas limit too high: cap {max}, tx {limit}")]
    GasLimitTooHigh {
        /// The transaction's.
        limit: u64,
        /// The most.
        max: u64,
    },
    /// The gas limit does not even pay for being a transaction.
    #[error("intrinsic gas too low: have {available}, want {required}")]
    InsufficientGas {
        /// The least that this transaction costs.
        required: u64,
        /// Its gas limit.
        available: u64,
    },
    /// The gas limit is below what the call data costs at least.
    #[error("insufficient gas for floor data gas cost: have {available}, want {required}")]
    InsufficientFloorGas {
        /// The least for this call data.
        required: u64,
        /// Its gas limit.
        available: u64,
    },
    /// The fee cap is below the block's base fee.
    #[error("max fee per gas less than block base fee: maxFeePerGas: {max_fee}, baseFee: {base_fee}")]
    FeeTooLow {
        /// The block's.
        base_fee: u64,
        /// The transaction's cap.
        max_fee: u128,
    },
    /// The tip is above the fee cap.
    #[error(
        "max priority fee per gas higher than max fee per gas: maxPriorityFeePerGas: {tip}, maxFeePerGas: {max_fee}"
    )]
    TipAboveFee {
        /// The tip.
        tip: u128,
        /// The cap.
        max_fee: u128,
    },
    /// Not the sender's next nonce.
    #[error("nonce too {}: next nonce {expected}, tx nonce {actual}", if actual < expected { "low" } else { "high" })]
    InvalidNonce {
        /// The sender's next.
        expected: u64,
        /// The transaction's.
        actual: u64,
    },
    /// 2^64 - 1: the sender can never send again.
    #[error("nonce has max value")]
    NonceExhausted,
    /// The sender cannot pay value and the highest cost.
    #[error("insufficient funds for gas * price + value: have {available} want {required}")]
    InsufficientBalance {
        /// Value plus the most that gas and blobs may cost; 2^256 - 1 where that is more.
        required: U256,
        /// What there is.
        available: U256,
    },
    /// Contracts don't sign transactions.
    #[error("sender not an eoa: {sender} has code {code_hash}")]
    SenderHasCode {
        /// Who.
        sender: Address,
        /// Hash of the code.
        code_hash: B256,
    },
    /// Creation code above the limit.
    #[error("max initcode size exceeded: code size {length} limit {max}")]
    InitCodeTooLong {
        /// Bytes.
        length: usize,
        /// Most bytes.
        max: usize,
    },
    /// A blob transaction without blobs.
    #[error("blob transaction missing blob hashes")]
    NoBlobs,
    /// More blobs than a transaction or the block may hold.
    #[error("blob gas exceeded: {count} blobs, {max} at most")]
    TooManyBlobs {
        /// Blobs of the transaction.
        count: usize,
        /// How many there may be.
        max: u64,
    },
    /// A blob hash of unknown version.
    #[error("blob {index} has invalid hash version {version}")]
    BlobVersion {
        /// Which blob.
        index: usize,
        /// First byte of its hash.
        version: u8,
    },
    /// The blob fee cap is below the block's price.
    #[error("max fee per blob gas less than block blob gas fee: maxFeePerBlobGas: {max_fee}, blobGasFee: {base_fee}")]
    BlobFeeTooLow {
        /// The block's.
        base_fee: u128,
        /// The transaction's cap.
        max_fee: u128,
    },
    /// This kind cannot create a contract.
    #[error("transaction of type 0x{kind:02x} cannot create a contract")]
    CannotCreate {
        /// EIP-2718 type.
        kind: u8,
    },
    /// A delegating transaction that delegates nothing.
    #[error("set code transaction with empty authorization list")]
    NoAuthorizations,
}

impl Rejection {
    /// The names under which the public fixtures know this reason.
    pub fn names(&self) -> &'static [&'static str] {
        match self {
            Self::KindNotEnabled { kind: 1, .. } => &["TYPE_1_TX_PRE_FORK", "TYPE_NOT_SUPPORTED"],
            Self::KindNotEnabled { kind: 2, .. } => &["TYPE_2_TX_PRE_FORK", "TYPE_NOT_SUPPORTED"],
            Self::KindNotEnabled { kind: 3, .. } => &["TYPE_3_TX_PRE_FORK", "TYPE_NOT_SUPPORTED"],
            Self::KindNotEnabled { kind: 4, .. } => &["TYPE_4_TX_PRE_FORK", "TYPE_NOT_SUPPORTED"],
            Self::KindNotEnabled { .. } => &["TYPE_NOT_SUPPORTED"],
            Self::WrongChain { .. } => &["INVALID_CHAINID"],
            Self::ProtectedTooEarly { .. } => &["INVALID_SIGNATURE_VRS", "INVALID_CHAINID"],
            Self::HighSignature { .. } => &["INVALID_SIGNATURE_VRS"],
            Self::BlockGasExceeded { .. } => &["GAS_ALLOWANCE_EXCEEDED"],
            Self::GasLimitTooHigh { .. } => &["GAS_LIMIT_EXCEEDS_MAXIMUM"],
            Self::InsufficientGas { .. } => &["INTRINSIC_GAS_TOO_LOW"],
            Self::InsufficientFloorGas { .. } => &["INTRINSIC_GAS_BELOW_FLOOR_GAS_COST", "INTRINSIC_GAS_TOO_LOW"],
            Self::FeeTooLow { .. } => &["INSUFFICIENT_MAX_FEE_PER_GAS"],
            Self::TipAboveFee { .. } => &["PRIORITY_GREATER_THAN_MAX_FEE_PER_GAS"],
            Self::InvalidNonce { expected, actual } if actual < expected => &["NONCE_MISMATCH_TOO_LOW"],
            Self::InvalidNonce { .. } => &["NONCE_MISMATCH_TOO_HIGH"],
            Self::NonceExhausted => &["NONCE_IS_MAX"],
            Self::InsufficientBalance { .. } => &["INSUFFICIENT_ACCOUNT_FUNDS"],
            Self::SenderHasCode { .. } => &["SENDER_NOT_EOA"],
            Self::InitCodeTooLong { .. } => &["INITCODE_SIZE_EXCEEDED"],
            Self::NoBlobs => &["TYPE_3_TX_ZERO_BLOBS"],
            Self::TooManyBlobs { .. } => {
                &["TYPE_3_TX_BLOB_COUNT_EXCEEDED", "TYPE_3_TX_MAX_BLOB_GAS_ALLOWANCE_EXCEEDED"]
            }
            Self::BlobVersion { .. } => &["TYPE_3_TX_INVALID_BLOB_VERSIONED_HASH"],
            Self::BlobFeeTooLow { .. } => &["INSUFFICIENT_MAX_FEE_PER_BLOB_GAS"],
            Self::CannotCreate { kind: 3 } => &["TYPE_3_TX_CONTRACT_CREATION"],
            Self::CannotCreate { .. } => &["TYPE_4_TX_CONTRACT_CREATION"],
            Self::NoAuthorizations => &["TYPE_4_EMPTY_AUTHORIZATION_LIST"],
        }
    }
}

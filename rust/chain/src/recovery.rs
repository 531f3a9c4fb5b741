//! What to do about a transaction that could not be put into a block: one row for each reason, without a wildcard, so
//! that a new reason does not compile until somebody decides.

use evm::Rejection;
use types::B256;

/// Why a transaction that was chosen for a block is not in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// It may not stand in this block.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// One of our own kinds names what is not there, as an asset that nobody has created.
    #[error("not found: {name}, which a transaction of type 0x{kind:02x} names")]
    ContractNotFound {
        /// The transaction's EIP-2718 type.
        kind: u8,
        /// What it names.
        name: B256,
    },
    /// It would fail, and blocks are made without such ones where they can wait (`presimulate`).
    #[error("execution fails; tried {attempts} times")]
    ExecutionFailed {
        /// How often it was tried for a block, this time included.
        attempts: u32,
    },
    /// Executing it met a fault of ours, not of its own.
    #[error("internal fault: {0}")]
    Fault(String),
    /// Its batch, or it alone, needs more memory than a batch may.
    #[error("out of memory: a batch may take {budget} bytes, this one takes {used}")]
    OutOfMemory {
        /// Bytes.
        used: usize,
        /// Most bytes.
        budget: usize,
    },
}

impl Trouble {
    /// How metrics call it.
    pub fn kind(&self) -> &'static str {
        match self {
            // The names under which the public fixtures know it.
            Self::Rejected(rejection) => rejection.names()[0],
            Self::ContractNotFound { .. } => "CONTRACT_NOT_FOUND",
            Self::ExecutionFailed { .. } => "EXECUTION_FAILED",
            Self::Fault(_) => "INTERNAL_FAULT",
            Self::OutOfMemory { .. } => "OUT_OF_MEMORY",
        }
    }
}

/// What happens to the transaction. The later ones of its sender are left out of this block with it, whatever it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// It stays in the pool for a later block.
    Skip,
    /// The sender's queue is put right by the state's nonce: what is below is dropped, what is above waits.
    Reorder,
    /// It leaves the pool: waiting makes it no better.
    Remove,
    /// It is tried again in a later block, each time later, and a bounded number of times.
    Retry,
    /// Its batch is undone and run again one by one, and it is set aside for good.
    SetAside,
    /// Its batch is undone and run again in halves; alone, it is skipped.
    Halve,
}

/// The table.
pub fn recovery(trouble: &Trouble) -> Recovery {
    match trouble {
        Trouble::Rejected(rejection) => match rejection {
            // The next block may have room, or be cheaper, or have other prices.
            Rejection::BlockGasExceeded { .. }
            | Rejection::FeeTooLow { .. }
            | Rejection::BlobFeeTooLow { .. }
            | Rejection::TooManyBlobs { .. }
            | Rejection::InsufficientGas { .. }
            | Rejection::InsufficientFloorGas { .. } => Recovery::Skip,
            Rejection::InvalidNonce { .. } => Recovery::Reorder,
            Rejection::KindNotEnabled { .. }
            | Rejection::WrongChain { .. }
            | Rejection::ProtectedTooEarly { .. }
            | Rejection::HighSignature { .. }
            | Rejection::GasLimitTooHigh { .. }
            | Rejection::TipAboveFee { .. }
            | Rejection::NonceExhausted
            | Rejection::InsufficientBalance { .. }
            | Rejection::SenderHasCode { .. }
            | Rejection::InitCodeTooLong { .. }
            | Rejection::NoBlobs
            | Rejection::BlobVersion { .. }
            | Rejection::CannotCreate { .. }
            | Rejection::NoAuthorizations => Recovery::Remove,
        },
        // Somebody may create it.
        Trouble::ContractNotFound { .. } => Recovery::Skip,
        Trouble::ExecutionFailed { .. } => Recovery::Retry,
        Trouble::Fault(_) => Recovery::SetAside,
        Trouble::OutOfMemory { .. } => Recovery::Halve,
    }
}

//! What to do about a transaction that could not be put into a block: one row for each reason, without a wildcard, so
//! that a new reason does not compile until somebody decides.

use evm::Rejection;

/// What happens to the transaction, and with it to the later ones of its sender in this block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// It stays in the pool for a later block.
    Skip,
    /// The sender's queue is put right by the state's nonce: what is below is dropped, what is above waits.
    Reorder,
    /// It leaves the pool: waiting makes it no better.
    Remove,
}

/// The table.
pub fn recovery(rejection: &Rejection) -> Recovery {
    match rejection {
        // The next block may have room, or be cheaper.
        Rejection::BlockGasExceeded { .. }
        | Rejection::FeeTooLow { .. }
        | Rejection::BlobFeeTooLow { .. }
        | Rejection::TooManyBlobs { .. } => Recovery::Skip,
        Rejection::InvalidNonce { .. } => Recovery::Reorder,
        Rejection::KindNotEnabled { .. }
        | Rejection::WrongChain { .. }
        | Rejection::ProtectedTooEarly { .. }
        | Rejection::HighSignature { .. }
        | Rejection::GasLimitTooHigh { .. }
        | Rejection::InsufficientGas { .. }
        | Rejection::InsufficientFloorGas { .. }
        | Rejection::TipAboveFee { .. }
        | Rejection::NonceExhausted
        | Rejection::InsufficientBalance { .. }
        | Rejection::SenderHasCode { .. }
        | Rejection::InitCodeTooLong { .. }
        | Rejection::NoBlobs
        | Rejection::BlobVersion { .. }
        | Rejection::CannotCreate { .. }
        | Rejection::NoAuthorizations => Recovery::Remove,
    }
}

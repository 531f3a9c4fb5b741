//! What happens to waiting transactions, for those who follow the pool.

use std::sync::Arc;

use types::B256;

use crate::Pooled;

/// Why a transaction left the pool without being included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DropReason {
    /// The pool was full and others pay more.
    Evicted,
    /// Another transaction has used its nonce.
    NonceUsed,
    /// The sender can't pay for it any more.
    Unaffordable,
    /// It could stand in no block.
    Invalid,
    /// Executing it met a fault of ours.
    Faulty,
    /// Somebody asked for it.
    Asked,
    /// The chain went back to a point where it was not here.
    Undone,
}

impl DropReason {
    /// How events and metrics call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Evicted => "evicted",
            Self::NonceUsed => "nonce used",
            Self::Unaffordable => "unaffordable",
            Self::Invalid => "invalid",
            Self::Faulty => "faulty",
            Self::Asked => "asked",
            Self::Undone => "undone",
        }
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was taken.
    Added {
        /// Whether it can be selected; otherwise it stands behind a gap.
        pending: bool,
    },
    /// The gap before it was filled.
    Promoted,
    /// It stands behind a gap now.
    Demoted,
    /// Another one of the same sender and nonce took its place.
    Replaced {
        /// That one's hash.
        by: B256,
    },
    /// It is in a block.
    Included,
    /// It left.
    Dropped(DropReason),
}

impl Change {
    /// How subscribers call it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Added { .. } => "added",
            Self::Promoted => "promoted",
            Self::Demoted => "demoted",
            Self::Replaced { .. } => "replaced",
            Self::Included => "included",
            Self::Dropped(_) => "dropped",
        }
    }

    /// Whether the transaction is in the pool after it.
    pub const fn stays(&self) -> bool {
        matches!(self, Self::Added { .. } | Self::Promoted | Self::Demoted)
    }
}

/// Something that happened to a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// To which.
    pub pooled: Arc<Pooled>,
    /// What.
    pub change: Change,
}

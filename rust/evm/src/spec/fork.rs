//! The forks of Ethereum that change execution, in order.
//!
//! A rule holds from its fork on, so asking is a comparison: `fork >= Fork::Berlin`. Forks that only move the
//! difficulty bomb or the blob parameters are data of the chain spec, not forks here.

use std::{fmt, str::FromStr};

/// A set of execution rules; each is the one before with some changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Fork {
    /// The beginning.
    Frontier,
    /// Creation can fail, DELEGATECALL, low `s` only.
    Homestead,
    /// EIP-150: prices against the 2016 attacks, 63/64 of the gas.
    Tangerine,
    /// EIP-155, 160, 161, 170: replay protection, empty accounts go, code size.
    SpuriousDragon,
    /// REVERT, STATICCALL, precompiles for zero-knowledge proofs, receipts with a status.
    Byzantium,
    /// Shifts, CREATE2, EXTCODEHASH, net gas for SSTORE.
    Constantinople,
    /// Constantinople without net gas.
    Petersburg,
    /// CHAINID, SELFBALANCE, net gas again, dearer trie access.
    Istanbul,
    /// Cold and warm access, typed transactions.
    Berlin,
    /// Base fee, smaller refunds.
    London,
    /// The merge: proof of stake.
    Paris,
    /// PUSH0, withdrawals, init code limit.
    Shanghai,
    /// Blobs, transient storage, SELFDESTRUCT tamed.
    Cancun,
    /// Delegation, BLS, requests, calldata floor.
    Prague,
    /// Gas cap per transaction, CLZ, P-256.
    #[default]
    Osaka,
}

impl Fork {
    /// Every fork, oldest first.
    pub const ALL: [Self; 15] = [
        Self::Frontier,
        Self::Homestead,
        Self::Tangerine,
        Self::SpuriousDragon,
        Self::Byzantium,
        Self::Constantinople,
        Self::Petersburg,
        Self::Istanbul,
        Self::Berlin,
        Self::London,
        Self::Paris,
        Self::Shanghai,
        Self::Cancun,
        Self::Prague,
        Self::Osaka,
    ];

    /// The newest that is built in.
    pub const LATEST: Self = Self::Osaka;

    /// As people write it.
    pub fn name(self) -> &'static str {
        NAMES[self as usize][0]
    }
}

/// Names by fork: ours first, then those of the public fixtures and of other clients.
const NAMES: [&[&str]; Fork::ALL.len()] = [
    &["Frontier"],
    &["Homestead"],
    &["Tangerine", "EIP150", "TangerineWhistle"],
    &["SpuriousDragon", "EIP158"],
    &["Byzantium"],
    &["Constantinople"],
    &["Petersburg", "ConstantinopleFix"],
    &["Istanbul"],
    &["Berlin"],
    &["London"],
    &["Paris", "Merge"],
    &["Shanghai"],
    &["Cancun"],
    &["Prague"],
    &["Osaka"],
];

impl fmt::Display for Fork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No fork has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown fork {0:?}; known are Frontier to Osaka")]
pub struct UnknownFork(pub String);

impl FromStr for Fork {
    type Err = UnknownFork;

    /// Upper and lower case count the same.
    fn from_str(name: &str) -> Result<Self, UnknownFork> {
        let known = |fork: &&Self| NAMES[**fork as usize].iter().any(|known| known.eq_ignore_ascii_case(name));
        Self::ALL.iter().find(known).copied().ok_or_else(|| UnknownFork(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fork_is_found_by_each_of_its_names_and_stands_in_order() {
        for (index, fork) in Fork::ALL.into_iter().enumerate() {
            assert_eq!(fork as usize, index);
            for name in NAMES[index] {
                assert_eq!(name.to_lowercase().parse(), Ok(fork));
            }
        }
        assert_eq!(Fork::ALL.last(), Some(&Fork::LATEST));
        assert_eq!("Olympic".parse::<Fork>(), Err(UnknownFork("Olympic".into())));
        assert_eq!(Fork::SpuriousDragon.to_string(), "SpuriousDragon");
    }
}

//! The block that a transition happens in: what is given, and what follows from the block before by the rules of headers.

use std::collections::BTreeMap;

use evm::{BlockEnv, ChainSpec, Fork, Rules};
use exec::suite::words::Quantity;
use serde::Deserialize;
use types::{Address, B256, Header, U256, Withdrawal};

use super::TransitionError;
use crate::header;

/// `env` of the interface.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Environment {
    current_coinbase: Address,
    current_gas_limit: Quantity,
    pub(super) current_number: Quantity,
    pub(super) current_timestamp: Quantity,
    current_difficulty: Option<Quantity>,
    current_random: Option<Quantity>,
    current_base_fee: Option<Quantity>,
    current_excess_blob_gas: Option<Quantity>,
    parent_difficulty: Option<Quantity>,
    parent_timestamp: Option<Quantity>,
    parent_base_fee: Option<Quantity>,
    parent_gas_used: Option<Quantity>,
    parent_gas_limit: Option<Quantity>,
    parent_excess_blob_gas: Option<Quantity>,
    parent_blob_gas_used: Option<Quantity>,
    parent_uncle_hash: Option<B256>,
    parent_beacon_block_root: Option<B256>,
    #[serde(default)]
    block_hashes: BTreeMap<Quantity, B256>,
    #[serde(default)]
    ommers: Vec<Ommer>,
    withdrawals: Option<Vec<WithdrawalWords>>,
}

#[derive(Clone, Debug, Deserialize)]
struct Ommer {
    delta: Quantity,
    address: Address,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct WithdrawalWords {
    index: Quantity,
    validator_index: Quantity,
    address: Address,
    amount: Quantity,
}

impl Environment {
    /// The block as its transactions see it.
    pub(super) fn block(&self, spec: &ChainSpec, rules: &Rules) -> Result<BlockEnv, TransitionError> {
        let missing = |field: &'static str| TransitionError::Missing { field, fork: rules.fork };
        let (number, timestamp) = (self.current_number.u64(), self.current_timestamp.u64());
        let parent = self.parent(number);
        let merged = rules.has(Fork::Paris);
        let difficulty = match self.current_difficulty {
            _ if merged => U256::ZERO,
            Some(given) => given.0,
            None if self.parent_difficulty.is_none() => return Err(missing("currentDifficulty")),
            None => header::difficulty(timestamp, &parent, spec, rules),
        };
        let base_fee = match self.current_base_fee {
            _ if !rules.has(Fork::London) => None,
            Some(given) => Some(given.u64()),
            None if self.parent_base_fee.is_none() || self.parent_gas_limit.is_none() => {
                return Err(missing("currentBaseFee"));
            }
            None => header::base_fee(&parent, rules),
        };
        let prev_randao = match self.current_random {
            Some(random) if merged => random.0.into(),
            None if merged => return Err(missing("currentRandom")),
            _ => B256::ZERO,
        };
        let excess_blob_gas = rules.has(Fork::Cancun).then(|| match self.current_excess_blob_gas {
            Some(given) => given.u64(),
            None => header::excess_blob_gas(&parent, rules),
        });
        let parent_hash = number.checked_sub(1).and_then(|before| self.block_hash(before));
        let ommers = self.ommers.iter().map(|ommer| (ommer.address, number.saturating_sub(ommer.delta.u64())));
        Ok(BlockEnv {
            number,
            timestamp,
            beneficiary: self.current_coinbase,
            gas_limit: self.current_gas_limit.u64(),
            base_fee,
            difficulty,
            prev_randao,
            excess_blob_gas,
            parent_hash: parent_hash.unwrap_or_default(),
            parent_beacon_root: self.parent_beacon_block_root.filter(|_| rules.has(Fork::Cancun)),
            ommers: ommers.collect(),
            ..BlockEnv::default()
        })
    }

    /// What is known of the block before, as a header.
    fn parent(&self, number: u64) -> Header {
        let word = |field: Option<Quantity>| field.unwrap_or_default();
        Header {
            number: number.saturating_sub(1),
            timestamp: word(self.parent_timestamp).u64(),
            difficulty: word(self.parent_difficulty).0,
            gas_limit: word(self.parent_gas_limit).u64(),
            gas_used: word(self.parent_gas_used).u64(),
            base_fee_per_gas: self.parent_base_fee.map(Quantity::u64),
            excess_blob_gas: self.parent_excess_blob_gas.map(Quantity::u64),
            blob_gas_used: self.parent_blob_gas_used.map(Quantity::u64),
            // Zeros stand for none in the interface.
            ommers_hash: self.parent_uncle_hash.filter(|hash| !hash.is_zero()).unwrap_or(header::NO_OMMERS_HASH),
            ..Header::default()
        }
    }

    pub(super) fn block_hash(&self, number: u64) -> Option<B256> {
        self.block_hashes.get(&Quantity(U256::from(number))).copied()
    }

    /// None before Shanghai.
    pub(super) fn withdrawals(&self, rules: &Rules) -> Result<Option<Vec<Withdrawal>>, TransitionError> {
        if !rules.has(Fork::Shanghai) {
            return Ok(None);
        }
        let missing = TransitionError::Missing { field: "withdrawals", fork: rules.fork };
        let given = self.withdrawals.as_ref().ok_or(missing)?.iter();
        let withdrawals = given.map(|words| Withdrawal {
            index: words.index.u64(),
            validator_index: words.validator_index.u64(),
            address: words.address,
            amount: words.amount.u64(),
        });
        Ok(Some(withdrawals.collect()))
    }
}

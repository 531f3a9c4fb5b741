//! What a header must say, given its parent: the rules of every fork, and the values that follow from them.
//!
//! Each rule exists once, as a function that computes what the value has to be (or between which it may lie): import
//! compares with it, production writes it down. Seals of proof of work are a matter of [`ethash`](crate::ethash).

use std::fmt;

use alloy_eips::eip1559::{BaseFeeParams, calc_next_block_base_fee};
use evm::{
    Fork,
    spec::{ChainSpec, Rules, chain::BLOB_GAS},
};
use types::{B64, B256, Header, U256, primitives::b256};

/// A header, or what belongs to it, is not what it has to be: the field, and both values.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {actual}, expected {expected}")]
pub struct Mismatch {
    /// Which field.
    pub field: Field,
    /// What would be right.
    pub expected: String,
    /// What stands there.
    pub actual: String,
}

macro_rules! fields {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// What of a block can be wrong.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Field { $($(#[$doc])* $name,)* }

        impl Field {
            /// The field's name, as in JSON-RPC.
            pub fn name(self) -> &'static str {
                self.names()[0]
            }

            /// The same as a list of one, which is what reasons are compared by.
            pub(crate) fn names(self) -> &'static [&'static str; 1] {
                match self { $(Self::$name => &[$text],)* }
            }
        }
    };
}

fields! {
    /// The header's height.
    Number = "number",
    /// The header's time.
    Timestamp = "timestamp",
    /// The header's gas limit.
    GasLimit = "gasLimit",
    /// Gas used by the transactions.
    GasUsed = "gasUsed",
    /// The free bytes of the header.
    ExtraData = "extraData",
    /// Proof-of-work difficulty.
    Difficulty = "difficulty",
    /// Proof-of-work nonce; zero after the merge.
    Nonce = "nonce",
    /// What the work came to on its way; before the merge.
    MixHash = "mixHash",
    /// Hash of the ommers.
    OmmersHash = "sha3Uncles",
    /// The ommers themselves.
    Ommers = "uncles",
    /// Who signed the transactions.
    Senders = "senders",
    /// Price of gas.
    BaseFee = "baseFeePerGas",
    /// Root of the transactions.
    TransactionsRoot = "transactionsRoot",
    /// Root of the withdrawals.
    WithdrawalsRoot = "withdrawalsRoot",
    /// The withdrawals themselves.
    Withdrawals = "withdrawals",
    /// Blob gas of the transactions.
    BlobGasUsed = "blobGasUsed",
    /// Running excess of blob gas.
    ExcessBlobGas = "excessBlobGas",
    /// Root of the beacon chain.
    ParentBeaconBlockRoot = "parentBeaconBlockRoot",
    /// Commitment to the requests.
    RequestsHash = "requestsHash",
    /// A field of a fork that is not supported.
    UnknownField = "header field of a later fork",
    /// Root of the receipts.
    ReceiptsRoot = "receiptsRoot",
    /// Filter over the logs.
    LogsBloom = "logsBloom",
    /// Root of the state.
    StateRoot = "stateRoot",
    /// Length of the block's RLP.
    Size = "size",
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Fails unless both are the same.
pub(crate) fn same<T: PartialEq + fmt::Display>(field: Field, expected: T, actual: T) -> Result<(), Mismatch> {
    require(field, actual == expected, expected, actual)
}

/// Fails unless `holds`.
pub(crate) fn require(
    field: Field,
    holds: bool,
    expected: impl fmt::Display,
    actual: impl fmt::Display,
) -> Result<(), Mismatch> {
    if holds {
        return Ok(());
    }
    Err(Mismatch { field, expected: expected.to_string(), actual: actual.to_string() })
}

/// Keccak-256 of the RLP of an empty list: the ommers hash of a block without ommers.
pub(crate) const NO_OMMERS_HASH: B256 = b256!("1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347");

/// Bytes of `extraData` at most.
const EXTRA_DATA_BYTES_MAX: usize = 32;

/// A block's gas limit is at least this.
pub(crate) const GAS_LIMIT_MIN: u64 = 5_000;

/// A block's gas limit is less than this part of its parent's away from it.
const GAS_LIMIT_DIVISOR: u64 = 1_024;

/// Base fee of the first block that has one, in wei.
const INITIAL_BASE_FEE: u64 = 1_000_000_000;

/// How often the gas target fits into the gas limit (EIP-1559).
const ELASTICITY: u64 = 2;

/// What the DAO's supporters wrote into the extra data of the fork's block and the nine that follow it.
const DAO_EXTRA_DATA: &[u8] = b"dao-hard-fork";
const DAO_EXTRA_DATA_BLOCKS: u64 = 10;

/// The lowest difficulty there is.
const DIFFICULTY_MIN: u64 = 131_072;

/// Checks a header against its parent. `rules` are those of the header's block.
pub(crate) fn validate(header: &Header, parent: &Header, spec: &ChainSpec, rules: &Rules) -> Result<(), Mismatch> {
    same(Field::Number, parent.number + 1, header.number)?;
    require(
        Field::Timestamp,
        header.timestamp > parent.timestamp,
        format_args!("more than the parent's {}", parent.timestamp),
        header.timestamp,
    )?;
    validate_gas_limit(header, parent, rules)?;
    require(
        Field::GasUsed,
        header.gas_used <= header.gas_limit,
        format_args!("at most the gas limit {}", header.gas_limit),
        header.gas_used,
    )?;
    validate_extra_data(header, spec)?;
    if rules.has(Fork::Paris) {
        same(Field::Difficulty, U256::ZERO, header.difficulty)?;
        same(Field::Nonce, B64::ZERO, header.nonce)?;
        same(Field::OmmersHash, NO_OMMERS_HASH, header.ommers_hash)?;
    } else {
        same(Field::Difficulty, difficulty(header.timestamp, parent, spec, rules), header.difficulty)?;
    }
    present(Field::BaseFee, rules.has(Fork::London), header.base_fee_per_gas)?;
    if let Some(actual) = header.base_fee_per_gas {
        same(Field::BaseFee, base_fee(parent, rules).unwrap_or_default(), actual)?;
    }
    present(Field::WithdrawalsRoot, rules.has(Fork::Shanghai), header.withdrawals_root)?;
    let cancun = rules.has(Fork::Cancun);
    present(Field::BlobGasUsed, cancun, header.blob_gas_used)?;
    present(Field::ExcessBlobGas, cancun, header.excess_blob_gas)?;
    present(Field::ParentBeaconBlockRoot, cancun, header.parent_beacon_block_root)?;
    if let (Some(used), Some(excess)) = (header.blob_gas_used, header.excess_blob_gas) {
        let max = rules.blobs.max * BLOB_GAS;
        let whole = used <= max && used % BLOB_GAS == 0;
        require(Field::BlobGasUsed, whole, format_args!("a multiple of {BLOB_GAS}, at most {max}"), used)?;
        same(Field::ExcessBlobGas, excess_blob_gas(parent, rules), excess)?;
    }
    present(Field::RequestsHash, rules.has(Fork::Prague), header.requests_hash)?;
    present(Field::UnknownField, false, header.block_access_list_hash)?;
    present(Field::UnknownField, false, header.slot_number)
}

/// A field that stands in the headers of some forks only.
fn present<T: fmt::Display>(field: Field, expected: bool, actual: Option<T>) -> Result<(), Mismatch> {
    let word = |there| if there { "present" } else { "absent" };
    same(field, word(expected), word(actual.is_some()))
}

fn validate_gas_limit(header: &Header, parent: &Header, rules: &Rules) -> Result<(), Mismatch> {
    let (low, high) = gas_limit_bounds(parent, rules);
    let within = (low..=high).contains(&header.gas_limit);
    require(Field::GasLimit, within, format_args!("{low} to {high}"), header.gas_limit)
}

/// Between which values, both allowed, the gas limit of the parent's child lies.
pub(crate) fn gas_limit_bounds(parent: &Header, rules: &Rules) -> (u64, u64) {
    let base = gas_limit_base(parent, rules);
    let step = (base / GAS_LIMIT_DIVISOR).saturating_sub(1);
    // The protocol keeps gas limits below 2^63.
    (base.saturating_sub(step).max(GAS_LIMIT_MIN), base.saturating_add(step).min(i64::MAX as u64))
}

/// London doubled the gas limit along with halving what of it is the target.
fn gas_limit_base(parent: &Header, rules: &Rules) -> u64 {
    let first_with_base_fee = rules.has(Fork::London) && parent.base_fee_per_gas.is_none();
    if first_with_base_fee { parent.gas_limit.saturating_mul(ELASTICITY) } else { parent.gas_limit }
}

fn validate_extra_data(header: &Header, spec: &ChainSpec) -> Result<(), Mismatch> {
    let length = header.extra_data.len();
    let expected = format_args!("at most {EXTRA_DATA_BYTES_MAX} bytes");
    require(Field::ExtraData, length <= EXTRA_DATA_BYTES_MAX, expected, format_args!("{length} bytes"))?;
    let dao = spec.dao.is_some_and(|dao| (dao..dao.saturating_add(DAO_EXTRA_DATA_BLOCKS)).contains(&header.number));
    let right = !dao || *header.extra_data == *DAO_EXTRA_DATA;
    require(Field::ExtraData, right, "\"dao-hard-fork\"", &header.extra_data)
}

/// Base fee of the parent's child; None before London.
pub(crate) fn base_fee(parent: &Header, rules: &Rules) -> Option<u64> {
    if !rules.has(Fork::London) {
        return None;
    }
    let Some(fee) = parent.base_fee_per_gas else { return Some(INITIAL_BASE_FEE) };
    Some(calc_next_block_base_fee(parent.gas_used, parent.gas_limit, fee, BaseFeeParams::ethereum()))
}

/// Excess blob gas of the parent's child (EIP-4844; from Osaka on bounded by what execution costs, EIP-7918).
pub(crate) fn excess_blob_gas(parent: &Header, rules: &Rules) -> u64 {
    let excess = parent.excess_blob_gas.unwrap_or_default();
    let used = parent.blob_gas_used.unwrap_or_default();
    let target = rules.blobs.target * BLOB_GAS;
    let sum = excess.saturating_add(used);
    if sum < target {
        return 0;
    }
    let base_fee = u128::from(parent.base_fee_per_gas.unwrap_or_default());
    let blob_price = rules.blobs.base_fee(excess).saturating_mul(u128::from(BLOB_GAS));
    if rules.has(Fork::Osaka) && BLOB_BASE_COST.saturating_mul(base_fee) > blob_price {
        let part = u128::from(used) * u128::from(rules.blobs.max - rules.blobs.target) / u128::from(rules.blobs.max);
        return excess.saturating_add(u64::try_from(part).unwrap_or(u64::MAX));
    }
    sum - target
}

/// Execution gas that a blob costs at least as much as (EIP-7918).
const BLOB_BASE_COST: u128 = 1 << 13;

/// Proof-of-work difficulty of the parent's child at this time.
pub(crate) fn difficulty(timestamp: u64, parent: &Header, spec: &ChainSpec, rules: &Rules) -> U256 {
    let number = parent.number + 1;
    let step = parent.difficulty >> 11;
    let passed = timestamp.saturating_sub(parent.timestamp);
    let minimum = U256::from(DIFFICULTY_MIN);
    // Frontier: one step up or down. Homestead: down by more the longer it took. Byzantium: ommers count.
    let (up, down) = if rules.has(Fork::Byzantium) {
        let base = if parent.ommers_hash == NO_OMMERS_HASH { 1 } else { 2 };
        balance(base, passed / 9)
    } else if rules.has(Fork::Homestead) {
        balance(1, passed / 10)
    } else {
        balance(1, if passed < 13 { 0 } else { 2 })
    };
    let raised: U256 = parent.difficulty + step * U256::from(up);
    let moved = raised.saturating_sub(step * U256::from(down));
    // The bomb: doubles every 100,000 blocks, and was set back several times.
    let counted = number.saturating_sub(bomb_delay(number, spec, rules));
    match (counted / 100_000).checked_sub(2) {
        Some(exponent) if exponent < 256 => (moved + (U256::ONE << exponent as usize)).max(minimum),
        _ => moved.max(minimum),
    }
}

/// `base - down`, as steps up or steps down, of which there are at most 99.
fn balance(base: u64, down: u64) -> (u64, u64) {
    (base.saturating_sub(down), down.saturating_sub(base).min(99))
}

/// How many blocks the bomb was set back.
fn bomb_delay(number: u64, spec: &ChainSpec, rules: &Rules) -> u64 {
    let by_fork =
        [(Fork::Byzantium, 3_000_000), (Fork::Constantinople, 5_000_000), (Fork::London, 9_700_000)].into_iter();
    let by_fork = by_fork.filter(|(fork, _)| rules.has(*fork)).map(|(_, delay)| delay);
    let glaciers = spec.glaciers.iter().zip([9_000_000, 10_700_000, 11_400_000]);
    let glaciers = glaciers.filter(|(block, _)| block.is_some_and(|block| block <= number)).map(|(_, delay)| delay);
    // A delay by the parent's number: the rules count blocks from the parent's.
    by_fork.chain(glaciers).max().unwrap_or_default()
}

#[cfg(test)]
mod tests;

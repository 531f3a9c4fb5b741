//! Which rules a chain follows when: forks by block, by total difficulty or by time, and the blob parameters.
//!
//! A [`ChainSpec`] is configuration; [`ChainSpec::rules`] is what it says about one block, and what execution takes.

use std::{cell::Cell, sync::Arc};

use types::{Address, B256, U256, system};

use super::{Changes, Custom, Fork};
use crate::interpreter::Instructions;

/// When a fork begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// From this block on.
    Block(u64),
    /// From the first block whose parent's total difficulty reached this (the merge).
    TotalDifficulty(U256),
    /// From the first block with this timestamp or a later one.
    Time(u64),
}

/// How many blobs, and how their price moves (EIP-4844, EIP-7691, EIP-7892).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlobParameters {
    /// Blobs per block at which the price stands still.
    pub target: u64,
    /// Most blobs per block.
    pub max: u64,
    /// The larger, the slower the price moves.
    pub update_fraction: u64,
}

/// Gas of one blob.
pub const BLOB_GAS: u64 = 1 << 17;

/// Wei per unit of blob gas, at least.
pub const MIN_BLOB_BASE_FEE: u64 = 1;

/// Most blobs in one transaction, from Osaka on (EIP-7594).
pub const BLOBS_PER_TRANSACTION_MAX: u64 = 6;

impl BlobParameters {
    /// As Cancun brought them.
    pub const CANCUN: Self = Self { target: 3, max: 6, update_fraction: 3_338_477 };
    /// As Prague brought them.
    pub const PRAGUE: Self = Self { target: 6, max: 9, update_fraction: 5_007_716 };
    /// The first step that moves the parameters alone.
    pub const BPO1: Self = Self { target: 10, max: 15, update_fraction: 8_346_193 };
    /// The second.
    pub const BPO2: Self = Self { target: 14, max: 21, update_fraction: 11_684_671 };

    /// Wei per unit of blob gas, e^(excess / fraction) by the Taylor series that EIP-4844 fixes. Saturates at 2^128 - 1,
    /// far above what anybody can pay.
    ///
    /// The last answer is remembered: an opcode that costs 2 gas asks, and a high price is a long sum.
    pub fn base_fee(&self, excess_blob_gas: u64) -> u128 {
        thread_local! {
            static LAST: Cell<(u64, u64, u128)> = const { Cell::new((0, 1, MIN_BLOB_BASE_FEE as u128)) };
        }
        let fraction = self.update_fraction.max(1);
        let (excess, of, price) = LAST.get();
        if (excess, of) == (excess_blob_gas, fraction) {
            return price;
        }
        let price = exponential(excess_blob_gas, fraction);
        LAST.set((excess_blob_gas, fraction, price));
        price
    }
}

/// e^(excess / fraction), by the series' whole terms.
fn exponential(excess: u64, fraction: u64) -> u128 {
    // e^89 is past 2^128: no need to sum that high.
    if excess / fraction >= 89 {
        return u128::MAX;
    }
    let fraction = U256::from(fraction);
    let excess = U256::from(excess);
    let mut sum = U256::ZERO;
    let mut term = U256::from(MIN_BLOB_BASE_FEE) * fraction;
    let mut step = U256::ONE;
    while !term.is_zero() {
        sum += term;
        term = term * excess / (fraction * step);
        step += U256::ONE;
    }
    u128::try_from(sum / fraction).unwrap_or(u128::MAX)
}

/// What a chain has that Ethereum does not have: own kinds of transactions and the system accounts behind them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Own {
    /// Further assets: their account, and transactions of kind 0x54, from London on.
    pub assets: bool,
}

impl Own {
    /// The system accounts that have to be there from the first block on.
    pub fn accounts(&self) -> impl Iterator<Item = Address> {
        [(self.assets, system::ASSETS)].into_iter().filter(|(enabled, _)| *enabled).map(|(_, address)| address)
    }
}

/// What holds for one block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The execution rules.
    pub fork: Fork,
    /// What transactions and CHAINID name.
    pub chain_id: u64,
    /// Limits and price of blobs; unused before Cancun.
    pub blobs: BlobParameters,
    /// Whose logs are deposits (EIP-6110).
    pub deposit_contract: Address,
    /// This block moves the DAO's balances.
    pub dao: bool,
    /// What Ethereum does not have.
    pub own: Own,
    /// The opcodes and their prices.
    pub instructions: Arc<Instructions>,
}

impl Rules {
    /// Whether the rules of `fork` hold.
    #[inline]
    pub fn has(&self, fork: Fork) -> bool {
        self.fork >= fork
    }

    /// Whether everybody who follows these rules gets the same; else blocks run one transaction after the other.
    #[inline]
    pub fn is_consensus(&self) -> bool {
        self.instructions.custom().is_none_or(Custom::is_consensus)
    }

    /// Wei per unit of blob gas in this block.
    pub fn blob_base_fee(&self, block: &BlockEnv) -> u128 {
        block.blob_base_fee.unwrap_or_else(|| self.blobs.base_fee(block.excess_blob_gas.unwrap_or_default()))
    }
}

/// A block as its transactions see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockEnv {
    /// Height.
    pub number: u64,
    /// Seconds since 1970.
    pub timestamp: u64,
    /// Who gets the fees.
    pub beneficiary: Address,
    /// Most gas of all transactions together.
    pub gas_limit: u64,
    /// Wei per gas that is burned; from London on.
    pub base_fee: Option<u64>,
    /// Before the merge.
    pub difficulty: U256,
    /// From the merge on.
    pub prev_randao: B256,
    /// From Cancun on: this block's own.
    pub excess_blob_gas: Option<u64>,
    /// Wei per unit of blob gas, in place of what follows from the excess: for calls that try another block.
    pub blob_base_fee: Option<u128>,
    /// Hash of the block before.
    pub parent_hash: B256,
    /// From Cancun on.
    pub parent_beacon_root: Option<B256>,
    /// Who else found a block, and its height: before the merge they are rewarded.
    pub ommers: Vec<(Address, u64)>,
}

/// A chain's identity and schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainSpec {
    /// What transactions and CHAINID name.
    pub chain_id: u64,
    /// When each fork begins, oldest first; a fork that is missing begins with the next one that isn't.
    pub forks: Vec<(Fork, Activation)>,
    /// Blob parameters and the time from which they hold, ascending.
    pub blobs: Vec<(u64, BlobParameters)>,
    /// The block that moves the DAO's balances.
    pub dao: Option<u64>,
    /// Blocks at which the difficulty bomb was set back without a change of execution: Muir, Arrow, Gray Glacier.
    pub glaciers: [Option<u64>; 3],
    /// Whose logs are deposits.
    pub deposit_contract: Address,
    /// What it has that Ethereum does not have.
    pub own: Own,
    /// What this chain changed of its forks.
    pub changes: Changes,
}

/// A schedule of forks that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// A fork that begins before the one that it builds on, or that builds on one that never begins.
    #[error("{fork} begins before {after}, which it builds on")]
    ForkOrder {
        /// Which.
        fork: Fork,
        /// The one before.
        after: Fork,
    },
    /// No first fork: something must hold from the first block on.
    #[error("no fork holds from the first block on")]
    NoFork,
    /// Blob parameters that cannot be.
    #[error("blob parameters from time {time}: target {target}, max {max}, update fraction {update_fraction}")]
    Blobs {
        /// From when.
        time: u64,
        /// Blobs at which the price stands still: at most `max`.
        target: u64,
        /// Most blobs: below 2^32.
        max: u64,
        /// Above zero.
        update_fraction: u64,
    },
    /// Two sets of blob parameters that are not in the order of their times.
    #[error("blob parameters from time {time} stand behind later ones")]
    BlobOrder {
        /// From when.
        time: u64,
    },
}

/// Mainnet's deposit contract.
pub const DEPOSIT_CONTRACT: Address = alloy_primitives::address!("00000000219ab540356cbb839cbe05303d7705fa");

impl ChainSpec {
    /// One fork from the first block on: development chains, fixtures.
    pub fn at(chain_id: u64, fork: Fork) -> Self {
        let forks = Fork::ALL.into_iter().filter(|known| *known <= fork).map(|known| {
            let activation = match known {
                Fork::Paris => Activation::TotalDifficulty(U256::ZERO),
                _ if known > Fork::Paris => Activation::Time(0),
                _ => Activation::Block(0),
            };
            (known, activation)
        });
        let blobs = match fork {
            Fork::Prague | Fork::Osaka => vec![(0, BlobParameters::PRAGUE)],
            _ => vec![(0, BlobParameters::CANCUN)],
        };
        Self {
            chain_id,
            forks: forks.collect(),
            blobs,
            dao: None,
            glaciers: [None; 3],
            deposit_contract: DEPOSIT_CONTRACT,
            own: Own::default(),
            changes: Changes::default(),
        }
    }

    /// Ethereum itself.
    pub fn mainnet() -> Self {
        const OSAKA: u64 = 1_764_798_551;
        let blocks = [
            (Fork::Frontier, 0),
            (Fork::Homestead, 1_150_000),
            (Fork::Tangerine, 2_463_000),
            (Fork::SpuriousDragon, 2_675_000),
            (Fork::Byzantium, 4_370_000),
            (Fork::Constantinople, 7_280_000),
            (Fork::Petersburg, 7_280_000),
            (Fork::Istanbul, 9_069_000),
            (Fork::Berlin, 12_244_000),
            (Fork::London, 12_965_000),
            (Fork::Paris, 15_537_394),
        ];
        let times = [
            (Fork::Shanghai, 1_681_338_455),
            (Fork::Cancun, 1_710_338_135),
            (Fork::Prague, 1_746_612_311),
            (Fork::Osaka, OSAKA),
        ];
        let blocks = blocks.map(|(fork, block)| (fork, Activation::Block(block)));
        let times = times.map(|(fork, time)| (fork, Activation::Time(time)));
        Self {
            chain_id: 1,
            forks: blocks.into_iter().chain(times).collect(),
            blobs: vec![
                (1_710_338_135, BlobParameters::CANCUN),
                (1_746_612_311, BlobParameters::PRAGUE),
                (1_765_290_071, BlobParameters::BPO1),
                (1_767_747_671, BlobParameters::BPO2),
            ],
            dao: Some(1_920_000),
            glaciers: [Some(9_200_000), Some(13_773_000), Some(15_050_000)],
            deposit_contract: DEPOSIT_CONTRACT,
            own: Own::default(),
            changes: Changes::default(),
        }
    }

    /// This spec, if its forks and blob parameters can be: each fork builds on the one before it.
    ///
    /// # Errors
    /// The first that cannot.
    pub fn checked(self) -> Result<Self, SpecError> {
        let first = self.forks.first().ok_or(SpecError::NoFork)?.0;
        if first != Fork::Frontier {
            return Err(SpecError::ForkOrder { fork: first, after: Fork::ALL[first as usize - 1] });
        }
        let rank = |activation: &Activation| match *activation {
            Activation::Block(block) => (0, U256::from(block)),
            Activation::TotalDifficulty(_) => (1, U256::ZERO),
            Activation::Time(time) => (2, U256::from(time)),
        };
        for pair in self.forks.windows(2) {
            let [(before, begins), (fork, next)] = pair else { unreachable!("a window of two") };
            // A chain may leave out Constantinople, whose net gas came and went.
            let follows = *fork as usize == *before as usize + 1
                || (*before, *fork) == (Fork::Byzantium, Fork::Petersburg)
                || (*before, *fork) == (Fork::London, Fork::Shanghai);
            if !follows || rank(begins) > rank(next) {
                return Err(SpecError::ForkOrder { fork: *fork, after: Fork::ALL[(*fork as usize).max(1) - 1] });
            }
        }
        let mut latest = 0;
        for (time, BlobParameters { target, max, update_fraction }) in &self.blobs {
            if *time < latest {
                return Err(SpecError::BlobOrder { time: *time });
            }
            latest = *time;
            if target > max || *max > u64::from(u32::MAX) || *update_fraction == 0 {
                let (time, target, max, update_fraction) = (*time, *target, *max, *update_fraction);
                return Err(SpecError::Blobs { time, target, max, update_fraction });
            }
        }
        Ok(self)
    }

    /// The rules of a block. Where the merge goes by total difficulty, a later fork by time tells that it has
    /// happened; between the two only [`ChainSpec::rules_merged`] can know.
    pub fn rules(&self, number: u64, timestamp: u64) -> Rules {
        self.rules_merged(number, timestamp, None)
    }

    /// The rules of a block, given the total difficulty of its parent where the caller knows it.
    pub fn rules_merged(&self, number: u64, timestamp: u64, parent_total_difficulty: Option<U256>) -> Rules {
        let active = |activation: &Activation| match activation {
            Activation::Block(block) => *block <= number,
            Activation::Time(time) => *time <= timestamp,
            // A terminal difficulty of zero is reached before the first block.
            Activation::TotalDifficulty(terminal) => {
                terminal.is_zero() || parent_total_difficulty.is_some_and(|total| total >= *terminal)
            }
        };
        let fork = self.forks.iter().filter(|(_, activation)| active(activation)).map(|(fork, _)| *fork).max();
        let blobs = self.blobs.iter().rev().find(|(time, _)| *time <= timestamp);
        let fork = fork.unwrap_or(Fork::Frontier);
        Rules {
            fork,
            chain_id: self.chain_id,
            blobs: blobs.map_or(BlobParameters::CANCUN, |(_, parameters)| *parameters),
            deposit_contract: self.deposit_contract,
            dao: self.dao == Some(number),
            own: self.own,
            instructions: self.changes.instructions(fork).clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mainnet_changes_its_rules_at_the_first_block_of_each_fork() {
        let spec = ChainSpec::mainnet();
        for (number, time, fork) in [
            (0, 0, Fork::Frontier),
            (1_149_999, 0, Fork::Frontier),
            (1_150_000, 0, Fork::Homestead),
            (7_280_000, 0, Fork::Petersburg),
            (12_964_999, 0, Fork::Berlin),
            (12_965_000, 0, Fork::London),
            (15_537_393, 0, Fork::London),
            (15_537_394, 0, Fork::Paris),
            (19_426_586, 1_710_338_134, Fork::Shanghai),
            (19_426_587, 1_710_338_135, Fork::Cancun),
            (23_935_694, 1_764_798_551, Fork::Osaka),
        ] {
            assert_eq!(spec.rules(number, time).fork, fork, "{number} {time}");
        }
        assert_eq!(spec.rules(23_935_694, 1_764_798_551).blobs, BlobParameters::PRAGUE);
        assert_eq!(spec.rules(24_000_000, 1_765_290_070).blobs, BlobParameters::PRAGUE);
        assert_eq!(spec.rules(24_000_000, 1_765_290_071).blobs, BlobParameters::BPO1);
        assert!(spec.rules(1_920_000, 0).dao && !spec.rules(1_920_001, 0).dao);
    }

    #[test]
    fn the_merge_by_total_difficulty_needs_to_be_told() {
        let mut spec = ChainSpec::at(1, Fork::Paris);
        spec.forks.last_mut().unwrap().1 = Activation::TotalDifficulty(U256::from(100));
        assert_eq!(spec.rules(5, 5).fork, Fork::London);
        assert_eq!(spec.rules_merged(5, 5, Some(U256::from(99))).fork, Fork::London);
        assert_eq!(spec.rules_merged(5, 5, Some(U256::from(100))).fork, Fork::Paris);
    }

    #[test]
    fn one_fork_from_the_first_block_on() {
        for fork in Fork::ALL {
            assert_eq!(ChainSpec::at(7, fork).rules(0, 0).fork, fork);
        }
        assert_eq!(ChainSpec::at(7, Fork::Prague).rules(0, 0).blobs, BlobParameters::PRAGUE);
        assert_eq!(ChainSpec::at(7, Fork::Cancun).rules(0, 0).blobs, BlobParameters::CANCUN);
    }

    #[test]
    fn a_spec_whose_forks_or_blobs_cannot_be_is_refused() {
        let osaka = || ChainSpec::at(7, Fork::Osaka);
        assert_eq!(osaka().checked(), Ok(osaka()));
        assert_eq!(ChainSpec::mainnet().checked(), Ok(ChainSpec::mainnet()));
        let with = |change: fn(&mut ChainSpec)| {
            let mut spec = osaka();
            change(&mut spec);
            spec.checked().unwrap_err()
        };
        let (fork, after) = (Fork::London, Fork::Berlin);
        assert_eq!(with(|spec| spec.forks.clear()), SpecError::NoFork);
        assert_eq!(
            with(|spec| spec.forks.retain(|(fork, _)| *fork != Fork::Berlin)),
            SpecError::ForkOrder { fork, after }
        );
        assert_eq!(with(|spec| spec.forks[8].1 = Activation::Block(1)), SpecError::ForkOrder { fork, after });
        let (time, target, max, update_fraction) = (0, 3, 2, 1);
        assert_eq!(
            with(|spec| spec.blobs[0].1 = BlobParameters { target: 3, max: 2, update_fraction: 1 }),
            SpecError::Blobs { time, target, max, update_fraction }
        );
        assert_eq!(
            with(|spec| spec.blobs = vec![(5, BlobParameters::CANCUN), (4, BlobParameters::PRAGUE)]),
            SpecError::BlobOrder { time: 4 }
        );
    }

    #[test]
    fn the_price_of_blobs_follows_the_excess() {
        // Values of the proposal's own test vectors, with Cancun's fraction.
        for (excess, fee) in [(0, 1), (2_314_057, 1), (2_314_058, 2), (10 << 20, 23)] {
            assert_eq!(BlobParameters::CANCUN.base_fee(excess), fee, "{excess}");
        }
        assert_eq!(BlobParameters::CANCUN.base_fee(u64::MAX), u128::MAX);
        let steps = (0..100).map(|step| BlobParameters::CANCUN.base_fee(step * 3_338_477));
        let steps: Vec<u128> = steps.collect();
        assert!(steps.is_sorted(), "the price never falls as the excess grows");
    }
}

//! What is known of the chain: the last 128 headers, which of them are canonical, and what their receipts said of us.
//!
//! A head that was not seen before and is not below ours is canonical with all its ancestors; a lower one, a repeated one
//! or one that comes late only joins the headers that are known. So heads in any order, and twice, end in the same chain.

use std::collections::{BTreeMap, HashMap};

use types::{Address, B256, U256};

use crate::stored::stored;

/// How many headers are kept: 25 minutes of mainnet, and twice what has ever been reorganised there.
pub const RING: u64 = 128;

/// What the engine reads of a header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Its height.
    pub number: u64,
    /// Its hash.
    pub hash: B256,
    /// The hash of the one before.
    pub parent: B256,
    /// Unix seconds.
    pub timestamp: u64,
    /// Wei for a unit of gas.
    pub base_fee: u64,
    /// By all its transactions.
    pub gas_used: u64,
    /// Most that they may use.
    pub gas_limit: u64,
}

/// What a head did to the canonical chain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// Blocks that are no longer canonical, oldest first.
    pub left: Vec<(u64, B256)>,
    /// Blocks that have become canonical, oldest first.
    pub joined: Vec<(u64, B256)>,
    /// A header that is needed before the head can be linked.
    pub wanted: Option<B256>,
    /// Nothing in common with what was known: there are blocks in between that nobody read.
    pub gap: bool,
}

/// The newest headers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ring {
    known: HashMap<B256, Head>,
    canonical: BTreeMap<u64, B256>,
    /// A head whose ancestors are not all known yet.
    waiting: Option<B256>,
}

stored! {
    Head { number, hash, parent, timestamp, base_fee, gas_used, gas_limit }
    Ring { known, canonical, waiting }
}

impl Ring {
    /// The newest canonical header.
    pub fn head(&self) -> Option<&Head> {
        self.canonical.last_key_value().and_then(|(_, hash)| self.known.get(hash))
    }

    /// Whether a block is canonical at its height.
    pub fn is_canonical(&self, number: u64, hash: &B256) -> bool {
        self.canonical.get(&number) == Some(hash)
    }

    /// The canonical block at a height.
    pub fn at(&self, number: u64) -> Option<&Head> {
        self.canonical.get(&number).and_then(|hash| self.known.get(hash))
    }

    /// The height of a known block.
    pub fn number_of(&self, hash: &B256) -> Option<u64> {
        self.known.get(hash).map(|head| head.number)
    }

    /// The canonical blocks, oldest first.
    pub fn blocks(&self) -> impl Iterator<Item = (u64, B256)> {
        self.canonical.iter().map(|(number, hash)| (*number, *hash))
    }

    /// The lowest height that is known.
    pub fn lowest(&self) -> Option<u64> {
        self.canonical.first_key_value().map(|(number, _)| *number)
    }

    /// Takes a head, or an ancestor that was wanted.
    pub fn insert(&mut self, head: Head) -> Turn {
        if self.known.contains_key(&head.hash) {
            return Turn::default();
        }
        let tip = self.head().copied();
        let floor = tip.map_or(0, |tip| tip.number.saturating_sub(RING - 1));
        if tip.is_some() && head.number < floor {
            return Turn::default();
        }
        self.known.insert(head.hash, head);
        let target = match self.waiting.and_then(|hash| self.known.get(&hash)) {
            Some(waiting) if waiting.number > head.number => *waiting,
            _ if tip.is_none_or(|tip| head.number >= tip.number) => head,
            _ => return Turn::default(),
        };
        let turn = self.turn_to(target);
        self.waiting = turn.wanted.map(|_| target.hash);
        self.forget();
        turn
    }

    fn turn_to(&mut self, target: Head) -> Turn {
        let lowest = target.number.saturating_sub(RING - 1);
        let (mut joined, mut at, mut gap) = (Vec::new(), target, false);
        while !self.is_canonical(at.number, &at.hash) {
            joined.push((at.number, at.hash));
            let first = self.canonical.is_empty() || at.number == 0;
            // Nothing in common within the ring: a new start, after a very long absence.
            if first || at.number == lowest {
                gap = !first;
                break;
            }
            match self.known.get(&at.parent) {
                Some(parent) => at = *parent,
                None => return Turn { wanted: Some(at.parent), ..Turn::default() },
            }
        }
        let fork = joined.last().map_or(at.number + 1, |(number, _)| *number);
        let left: Vec<_> = self.canonical.split_off(&fork).into_iter().collect();
        joined.reverse();
        self.canonical.extend(joined.iter().copied());
        Turn { left, joined, wanted: None, gap }
    }

    fn forget(&mut self) {
        let Some(tip) = self.head().map(|head| head.number) else { return };
        let floor = tip.saturating_sub(RING - 1);
        self.canonical = self.canonical.split_off(&floor);
        // Side branches are few; a flood of unlinked headers is bounded all the same.
        if self.known.len() > 2 * RING as usize || self.known.values().any(|head| head.number < floor) {
            let waiting = self.waiting;
            let crowded = self.known.len() > 4 * RING as usize;
            let canonical = &self.canonical;
            self.known.retain(|hash, head| {
                head.number >= floor
                    && (!crowded || canonical.get(&head.number) == Some(hash) || waiting == Some(*hash))
            });
        }
    }
}

/// A log, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// Who wrote it.
    pub address: Address,
    /// Its topics.
    pub topics: Vec<B256>,
    /// Its data.
    pub data: Vec<u8>,
    /// Its place among the block's.
    pub index: u32,
}

/// What a block says of one of our transactions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Which one.
    pub tx_hash: B256,
    /// Its place in the block.
    pub tx_index: u32,
    /// Whether it succeeded.
    pub success: bool,
    /// Gas used.
    pub gas_used: u64,
    /// Wei paid for a unit of gas.
    pub gas_price: u64,
    /// Its logs.
    pub logs: Vec<Log>,
}

stored! {
    Log { address, topics, data, index }
    Receipt { tx_hash, tx_index, success, gas_used, gas_price, logs }
}

/// What a receipt says of an arbitrage.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taking {
    /// Profit in the token's smallest unit.
    pub realized: i128,
    /// What the event and the token's transfers say, where they differ; the transfers win.
    pub disagreement: Option<(i128, i128)>,
    /// Swaps of the order's pools.
    pub legs: Vec<crate::wire::SwapLeg>,
}

/// Topics of the events that are read.
pub mod topics {
    use types::{B256, primitives::b256};

    /// `Arbitrage(bytes32,address,uint256,uint256)` of the contract.
    pub const ARBITRAGE: B256 = b256!("604e90211df88c3671cb2cb113c3a7c20005d0365524f83886e6140a55e0a283");
    /// `Transfer(address,address,uint256)` of tokens.
    pub const TRANSFER: B256 = b256!("ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef");

    /// What the data of a `Swap` begins with.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Amounts {
        /// In of both tokens, then out of both.
        InsAndOuts,
        /// Of both tokens what the pool got, less than nothing where it gave.
        Signed,
    }

    /// The `Swap` events that legs are read from, with what stands in them: whatever a signal's pools are, the contract
    /// that it calls has swapped in them.
    pub const SWAPS: [(B256, &str, Amounts); 4] = [
        // Uniswap V2 and all that came of it.
        (
            b256!("d78ad95fa46c994b6551d0da85fc275fe613ce37657fb8d5e3d130840159d822"),
            "Swap(address,uint256,uint256,uint256,uint256,address)",
            Amounts::InsAndOuts,
        ),
        // Pools of two curves, stable and not: Solidly, Velodrome, Aerodrome.
        (
            b256!("b3e2773606abfd36b5bd91394b3a54d1398336c65005baf7bf7a05efeffaf75b"),
            "Swap(address,address,uint256,uint256,uint256,uint256)",
            Amounts::InsAndOuts,
        ),
        // Uniswap V3 and other pools with ticks.
        (
            b256!("c42079f94a6350d7e6235f29174924f928cc2ac818eb64fed8004e115fbcca67"),
            "Swap(address,address,int256,int256,uint160,uint128,int24)",
            Amounts::Signed,
        ),
        // PancakeSwap V3, which tells its own fees too.
        (
            b256!("19b47279256b2a23a1665c810c8d55a1758940ee09377d4f8d26497a3577dc83"),
            "Swap(address,address,int256,int256,uint160,uint128,int24,uint128,uint128)",
            Amounts::Signed,
        ),
    ];
}

/// Whose logs are read.
#[derive(Clone, Copy, Debug)]
pub struct Parties<'a> {
    /// The arbitrage contract.
    pub contract: Address,
    /// The order's name on chain.
    pub reference: B256,
    /// Who gets the profit.
    pub recipient: Address,
    /// What it is counted in.
    pub profit_token: Address,
    /// The order's pools.
    pub pools: &'a [Address],
    /// The order's tokens.
    pub tokens: &'a [Address],
}

impl Receipt {
    /// Reads profit and legs.
    pub fn taking(&self, parties: &Parties<'_>) -> Taking {
        let mut taking = Taking::default();
        let (mut said, mut moved) = (None, None::<i128>);
        for log in &self.logs {
            let Some(topic) = log.topics.first() else { continue };
            let party = |index: usize| log.topics.get(index).map(|topic| Address::from_word(*topic));
            if *topic == topics::ARBITRAGE && log.address == parties.contract {
                if log.topics.get(1) == Some(&parties.reference) {
                    said = crate::build::abi::word(&log.data, 1).and_then(signed);
                }
            } else if *topic == topics::TRANSFER && log.address == parties.profit_token {
                let amount = crate::build::abi::word(&log.data, 0).and_then(signed).unwrap_or(0);
                let into = i128::from(party(2) == Some(parties.recipient));
                let out = i128::from(party(1) == Some(parties.recipient));
                if into != out {
                    moved = Some(moved.unwrap_or(0).saturating_add(amount.saturating_mul(into - out)));
                }
            } else if let Some(at) = parties.pools.iter().position(|pool| *pool == log.address) {
                taking.legs.extend(leg(log, *topic, at, parties));
            }
        }
        taking.realized = moved.or(said).unwrap_or(0);
        taking.disagreement = said.zip(moved).filter(|(said, moved)| said != moved);
        taking
    }
}

fn signed(amount: U256) -> Option<i128> {
    i128::try_from(amount).ok()
}

/// Pool `at` swaps between its token of the path and the next one around.
fn leg(log: &Log, topic: B256, at: usize, parties: &Parties<'_>) -> Option<crate::wire::SwapLeg> {
    let count = parties.tokens.len();
    let (one, other) = (*parties.tokens.get(at % count)?, *parties.tokens.get((at + 1) % count)?);
    let (zero, first) = (one.min(other), one.max(other));
    let number = |index| crate::build::abi::word(&log.data, index);
    let (.., amounts) = topics::SWAPS.iter().find(|(known, ..)| *known == topic)?;
    let split = |amount: U256| if amount.bit(255) { (U256::ZERO, amount.wrapping_neg()) } else { (amount, U256::ZERO) };
    let (ins, outs) = match amounts {
        topics::Amounts::InsAndOuts => ([number(0)?, number(1)?], [number(2)?, number(3)?]),
        topics::Amounts::Signed => {
            let ((in0, out0), (in1, out1)) = (split(number(0)?), split(number(1)?));
            ([in0, in1], [out0, out1])
        }
    };
    let zero_in = ins[0] > ins[1];
    let (token_in, token_out) = if zero_in { (zero, first) } else { (first, zero) };
    let side = usize::from(!zero_in);
    Some(crate::wire::SwapLeg {
        pool: log.address,
        token_in,
        token_out,
        log_index: log.index,
        amount_in: ins[side],
        amount_out: outs[1 - side],
    })
}

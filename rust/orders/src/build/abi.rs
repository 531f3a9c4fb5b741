//! Call data of the arbitrage contract's four functions, and what its events and errors say.

use types::{Address, B256, U256, keccak256};

use crate::wire::{Action, Signal};

/// `flashSwap(bytes32,address,address,address,uint256,uint256,address,uint256)`.
pub const FLASH_SWAP: [u8; 4] = selector(0);
/// `flashLoan(bytes32,address,address,address,address,uint256,uint256,address,uint256)`.
pub const FLASH_LOAN: [u8; 4] = selector(1);
/// `poolLoan(…)`, with the arguments of `flashLoan`.
pub const POOL_LOAN: [u8; 4] = selector(2);
/// `route(bytes32,uint8,address,address[],address[],uint256[],bytes4[],uint256,address,uint64,uint64)`.
pub const ROUTE: [u8; 4] = selector(3);

/// Signatures of the functions, with their selectors; a test computes them.
const FUNCTIONS: [(&str, [u8; 4]); 4] = [
    ("flashSwap(bytes32,address,address,address,uint256,uint256,address,uint256)", [0x23, 0x5f, 0xf2, 0x99]),
    ("flashLoan(bytes32,address,address,address,address,uint256,uint256,address,uint256)", [0x2f, 0xfa, 0x5a, 0x69]),
    ("poolLoan(bytes32,address,address,address,address,uint256,uint256,address,uint256)", [0x76, 0xaa, 0x8b, 0xd9]),
    (
        "route(bytes32,uint8,address,address[],address[],uint256[],bytes4[],uint256,address,uint64,uint64)",
        [0x03, 0x1f, 0x7a, 0x1c],
    ),
];

const fn selector(index: usize) -> [u8; 4] {
    FUNCTIONS[index].1
}

/// What of a call is the engine's and not the signal's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Ties the contract's event to the order.
    pub reference: B256,
    /// Least profit in the token's smallest unit.
    pub min_profit: U256,
    /// Who gets the profit.
    pub recipient: Address,
    /// Last second it may run in.
    pub deadline: u64,
    /// Last block it may run in.
    pub max_block: u64,
}

/// Why no call can be made of a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoCall {
    /// The action needs a lender.
    #[error("a loan needs a lender")]
    NoLender,
    /// A raw call without call data.
    #[error("a raw call needs call data")]
    NoCallData,
    /// A route that says nothing of its pools.
    #[error("a route of {pools} pools needs as many hops")]
    NoHops {
        /// How many pools there are.
        pools: usize,
    },
}

/// The name of an order on chain.
pub fn reference(engine_id: &B256, order_id: u64) -> B256 {
    let mut bytes = [0; 40];
    bytes[..32].copy_from_slice(engine_id.as_slice());
    bytes[32..].copy_from_slice(&order_id.to_be_bytes());
    keccak256(bytes)
}

/// The call that does what a signal wants. Two pools, two tokens and one amount go by the short functions, everything else
/// by `route`.
pub fn call(signal: &Signal<'_>, terms: &Terms) -> Result<Vec<u8>, NoCall> {
    let addresses = &signal.addresses;
    let (mut pools, mut tokens, mut amounts) = (addresses.pools(), addresses.tokens(), addresses.amounts());
    let action = signal.identity.action;
    if action == Action::RawCall {
        return signal.raw_call.map(<[u8]>::to_vec).ok_or(NoCall::NoCallData);
    }
    let lender = signal.lender.map(|lender| lender.address);
    if action != Action::FlashSwap && lender.is_none() {
        return Err(NoCall::NoLender);
    }
    let mut words = Words::default();
    words.hash(&terms.reference);
    if (pools.len(), tokens.len(), amounts.len()) == (2, 2, 1) {
        let selector = match action {
            Action::FlashSwap => FLASH_SWAP,
            Action::FlashLoan => FLASH_LOAN,
            _ => POOL_LOAN,
        };
        lender.iter().filter(|_| action != Action::FlashSwap).for_each(|lender| words.address(lender));
        pools.by_ref().for_each(|pool| words.address(&pool));
        // A flash swap borrows the token that the first pool sells, a loan the one that profit is counted in.
        let (base, profit) = (tokens.next().expect("two tokens"), addresses.profit_token());
        words.address(if action == Action::FlashSwap { &base } else { &profit });
        words.number(amounts.next().expect("one amount"));
        words.number(terms.min_profit);
        words.address(&terms.recipient);
        words.number(U256::from(terms.deadline));
        return Ok(words.after(selector));
    }
    if signal.hops().len() != pools.len() {
        return Err(NoCall::NoHops { pools: pools.len() });
    }
    words.number(U256::from(action as u8));
    words.address(&lender.unwrap_or_default());
    // Eleven words of head, then the four lists, each with its length in front.
    let mut at = 11 * 32;
    for length in [pools.len(), tokens.len(), amounts.len(), pools.len()] {
        words.number(U256::from(at));
        at += 32 * (1 + length);
    }
    words.number(terms.min_profit);
    words.address(&terms.recipient);
    words.number(U256::from(terms.deadline));
    words.number(U256::from(terms.max_block));
    words.number(U256::from(pools.len()));
    let count = pools.len();
    pools.for_each(|pool| words.address(&pool));
    words.number(U256::from(tokens.len()));
    tokens.for_each(|token| words.address(&token));
    words.number(U256::from(amounts.len()));
    amounts.for_each(|amount| words.number(amount));
    words.number(U256::from(count));
    signal.hops().for_each(|hop| words.left(&hop.to_bytes()));
    Ok(words.after(ROUTE))
}

/// Words of 32 bytes, with room for a selector in front.
struct Words(Vec<u8>);

impl Default for Words {
    fn default() -> Self {
        let mut bytes = Vec::with_capacity(4 + 32 * 16);
        bytes.resize(4, 0);
        Self(bytes)
    }
}

impl Words {
    fn hash(&mut self, word: &B256) {
        self.0.extend_from_slice(word.as_slice());
    }

    fn number(&mut self, number: U256) {
        self.0.extend_from_slice(&number.to_be_bytes::<32>());
    }

    fn address(&mut self, address: &Address) {
        self.hash(&address.into_word());
    }

    fn left(&mut self, bytes: &[u8; 4]) {
        self.0.extend_from_slice(bytes);
        self.0.extend_from_slice(&[0; 28]);
    }

    fn after(mut self, selector: [u8; 4]) -> Vec<u8> {
        self.0[..4].copy_from_slice(&selector);
        self.0
    }
}

/// Reads a big-endian word of call data or a log's data.
pub fn word(data: &[u8], index: usize) -> Option<U256> {
    data.get(32 * index..32 * (index + 1)).map(U256::from_be_slice)
}

/// What revert data says, for people: `Error(string)`, `Panic(uint256)`, the contract's own errors, else hex.
pub fn revert_reason(data: &[u8]) -> String {
    let (Some(selector), Some(arguments)) = (data.first_chunk::<4>(), data.get(4..)) else {
        return if data.is_empty() { "reverted without data".to_owned() } else { plain(data) };
    };
    let numbers = |count| (0..count).map(|index| word(arguments, index)).collect::<Option<Vec<_>>>();
    match selector {
        [0x08, 0xc3, 0x79, 0xa0] => {
            let text = word(arguments, 1)
                .and_then(|length| usize::try_from(length).ok())
                .and_then(|length| arguments.get(64..64usize.checked_add(length)?));
            text.map_or_else(|| plain(data), |text| String::from_utf8_lossy(text).into_owned())
        }
        [0x4e, 0x48, 0x7b, 0x71] => numbers(1).map_or_else(|| plain(data), |code| format!("Panic({:#x})", code[0])),
        selector => ERRORS
            .iter()
            .find(|(signature, _)| keccak256(signature)[..4] == *selector)
            .and_then(|(signature, count)| {
                let name = signature.split('(').next().unwrap_or_default();
                let shown: Vec<_> = numbers(*count)?.iter().map(U256::to_string).collect();
                Some(format!("{name}({})", shown.join(", ")))
            })
            .unwrap_or_else(|| plain(data)),
    }
}

/// The contract's own errors and how many words they carry.
const ERRORS: [(&str, usize); 5] = [
    ("InsufficientProfit(uint256,uint256)", 2),
    ("Expired(uint256,uint256)", 2),
    ("WrongBlock(uint256,uint256)", 2),
    ("NotOperator()", 0),
    ("BadCallback()", 0),
];

fn plain(data: &[u8]) -> String {
    types::primitives::hex::encode_prefixed(&data[..data.len().min(64)])
}

#[cfg(test)]
mod tests;

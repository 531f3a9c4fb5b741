//! A plain chain with a pool and builders, as nodes show it: the world that the engine is tried in.

use std::collections::BTreeMap;

use execlayer_orders::{
    chain::{Head, Log, Receipt, topics},
    fees::next_base_fee,
};
use types::{Address, B256, Transaction, TxKind, U256, keccak256};

pub const GAS_LIMIT: u64 = 30_000_000;
pub const CONTRACT: Address = Address::repeat_byte(0xcc);
pub const RECIPIENT: Address = Address::repeat_byte(0xdd);
pub const TOKEN: Address = Address::repeat_byte(0x11);

#[derive(Clone)]
pub struct Block {
    pub head: Head,
    pub transactions: Vec<(Transaction, Address, Receipt)>,
}

/// What a node says to bytes it is sent.
pub enum Reply {
    Taken,
    Known,
    Error(&'static str),
}

#[derive(Default)]
pub struct Chain {
    pub blocks: Vec<Block>,
    pub pool: BTreeMap<(Address, u64), Transaction>,
    /// Bundles by the block they are for.
    pub bundles: Vec<(u64, Transaction)>,
    salt: u64,
}

fn sender(transaction: &Transaction) -> Address {
    transaction.recover().unwrap()
}

impl Chain {
    pub fn new() -> Self {
        let mut chain = Self::default();
        chain.mine(0, GAS_LIMIT / 2, true);
        chain
    }

    pub fn head(&self) -> Head {
        self.blocks.last().unwrap().head
    }

    pub fn find(&self, hash: &B256) -> Option<Head> {
        self.blocks.iter().map(|block| block.head).find(|head| head.hash == *hash)
    }

    pub fn nonce(&self, address: &Address) -> u64 {
        self.transactions().filter(|(_, from, _)| from == address).count() as u64
    }

    pub fn transactions(&self) -> impl Iterator<Item = &(Transaction, Address, Receipt)> {
        self.blocks.iter().flat_map(|block| &block.transactions)
    }

    /// `eth_sendRawTransaction`, with the rule of a tenth.
    pub fn send(&mut self, raw: &[u8]) -> Reply {
        let transaction = Transaction::from_bytes(raw).unwrap();
        let from = sender(&transaction);
        if self.transactions().any(|(mined, ..)| mined.hash() == transaction.hash()) {
            return Reply::Known;
        }
        if transaction.nonce() < self.nonce(&from) {
            return Reply::Error("nonce too low");
        }
        match self.pool.get(&(from, transaction.nonce())) {
            Some(held) if held.hash() == transaction.hash() => return Reply::Known,
            Some(held)
                if transaction.max_fee_per_gas() * 10 < held.max_fee_per_gas() * 11
                    || transaction.max_priority_fee_per_gas() * 10 < held.max_priority_fee_per_gas() * 11 =>
            {
                return Reply::Error("replacement transaction underpriced");
            }
            _ => {}
        }
        self.pool.insert((from, transaction.nonce()), transaction);
        Reply::Taken
    }

    /// Adds a block: bundles for it where the builder wins, then the pool, at most `room` transactions.
    pub fn mine(&mut self, room: usize, gas_used: u64, builder: bool) {
        let (number, base_fee, parent) = match self.blocks.last() {
            Some(block) => (block.head.number + 1, next_base_fee(&block.head), block.head.hash),
            None => (100, 1_000_000_000, B256::ZERO),
        };
        self.salt += 1;
        let hash = keccak256([number.to_be_bytes(), self.salt.to_be_bytes()].concat());
        let head = Head { number, hash, parent, base_fee, gas_used, timestamp: number * 12, gas_limit: GAS_LIMIT };
        self.blocks.push(Block { head, transactions: Vec::new() });
        if builder {
            let bundles: Vec<_> = self.bundles.iter().filter(|(target, _)| *target == number).cloned().collect();
            for (_, transaction) in bundles {
                // A builder leaves out what would revert.
                if self.would_succeed(&transaction) {
                    self.include(transaction);
                }
            }
        }
        while self.blocks.last().unwrap().transactions.len() < room {
            let next = self.pool.iter().find(|((from, nonce), transaction)| {
                *nonce == self.nonce(from) && transaction.max_fee_per_gas() >= u128::from(base_fee)
            });
            let Some((key, transaction)) = next.map(|(key, transaction)| (*key, transaction.clone())) else { break };
            self.pool.remove(&key);
            self.include(transaction);
        }
        let counts: BTreeMap<Address, u64> = self.pool.keys().map(|(from, _)| (*from, self.nonce(from))).collect();
        self.pool.retain(|(from, nonce), _| *nonce >= counts[from]);
    }

    fn would_succeed(&self, transaction: &Transaction) -> bool {
        // One in four reverts, whoever asks.
        transaction.to() != TxKind::Call(CONTRACT) || !transaction.hash()[0].is_multiple_of(4)
    }

    fn include(&mut self, transaction: Transaction) {
        let from = sender(&transaction);
        if transaction.nonce() != self.nonce(&from) {
            return;
        }
        let success = self.would_succeed(&transaction);
        let block = self.blocks.last_mut().unwrap();
        if transaction.max_fee_per_gas() < u128::from(block.head.base_fee) {
            return;
        }
        let call = transaction.to() == TxKind::Call(CONTRACT);
        let gas_used = if call { 160_000.min(transaction.gas_limit()) } else { 21_000 };
        let logs = if call && success {
            // The contract pays what it was asked for at least, and a little more.
            let input = transaction.input();
            let profit = U256::from_be_slice(&input[4 + 32 * 5..4 + 32 * 6]) + U256::from(7);
            let word = |address: Address| address.into_word();
            vec![
                Log {
                    address: TOKEN,
                    topics: vec![topics::TRANSFER, word(CONTRACT), word(RECIPIENT)],
                    data: profit.to_be_bytes::<32>().to_vec(),
                    index: 0,
                },
                Log {
                    address: CONTRACT,
                    topics: vec![topics::ARBITRAGE, B256::from_slice(&input[4..36]), word(TOKEN)],
                    data: [U256::ONE.to_be_bytes::<32>(), profit.to_be_bytes::<32>()].concat(),
                    index: 1,
                },
            ]
        } else {
            Vec::new()
        };
        let receipt = Receipt {
            tx_hash: transaction.hash(),
            tx_index: block.transactions.len() as u32,
            success,
            gas_used,
            gas_price: transaction.effective_gas_price(Some(block.head.base_fee)) as u64,
            logs,
        };
        block.transactions.push((transaction, from, receipt));
    }

    /// Drops blocks and goes on from before them, one further than before; their transactions go back into the pool.
    pub fn reorganise(&mut self, depth: usize, room: usize) {
        let depth = depth.min(self.blocks.len() - 1);
        let gone = self.blocks.split_off(self.blocks.len() - depth);
        for (transaction, from, _) in gone.into_iter().flat_map(|block| block.transactions) {
            self.pool.entry((from, transaction.nonce())).or_insert(transaction);
        }
        for _ in 0..=depth {
            self.mine(room, GAS_LIMIT / 2, false);
        }
    }

    /// Profit of the recipient less gas of everything but `fillers`, in wei; a token is a wei.
    pub fn balance(&self, fillers: &[B256]) -> i128 {
        let one = |(transaction, _, receipt): &(Transaction, Address, Receipt)| {
            let profit: U256 = receipt
                .logs
                .iter()
                .filter(|log| log.topics[0] == topics::TRANSFER)
                .map(|log| U256::from_be_slice(&log.data))
                .sum();
            let gas = if fillers.contains(&transaction.hash()) {
                0
            } else {
                i128::from(receipt.gas_used) * i128::from(receipt.gas_price)
            };
            i128::try_from(profit).unwrap() - gas
        };
        self.transactions().map(one).sum()
    }
}

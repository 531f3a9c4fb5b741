//! A made-up chain: blocks with transactions, logs, accounts, slots, code and nodes, as many and as random as a test
//! wants, the same for the same seed. Its `MemoryState` is what a store's readers are compared with.
#![allow(dead_code)] // Each test uses its part.

use std::{collections::BTreeMap, sync::Arc};

use execlayer_store::{Family, Store};
use state::{
    AccountDiff, Commit, Ledger, MemoryState, NodeKey, ReverseDiff, SlotDiff, StateDiff, StoredBlock, Tally, View,
};
use types::{
    Account, Address, B256, BlockId, Body, Bytes, Header, Log, LogData, Outcome, Receipt, Signature, Transaction,
    TxKind, U256, keccak256, tx::TxLegacy,
};

/// Numbers that look random and are the same for the same seed (splitmix64).
#[derive(Clone)]
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.roll() % end
    }

    pub(crate) fn hash(&mut self) -> B256 {
        keccak256(self.roll().to_be_bytes())
    }
}

/// One block of the made-up chain, with the way back.
pub(crate) struct Link {
    pub(crate) block: Arc<StoredBlock>,
    pub(crate) reverse: ReverseDiff,
}

#[derive(Default)]
pub(crate) struct World {
    pub(crate) state: MemoryState,
    pub(crate) nodes: BTreeMap<NodeKey, Bytes>,
    pub(crate) chain: Vec<Link>,
    pub(crate) steps: u64,
}

impl World {
    pub(crate) fn head(&self) -> Option<BlockId> {
        self.chain.last().map(|link| link.block.id)
    }

    /// The commit of a further block; the world moves with it.
    pub(crate) fn extend(&mut self, dice: &mut Dice, changes: u64) -> Commit {
        let block = Arc::new(self.block(dice));
        let diff = self.diff(dice, changes);
        let (nodes, replaced) = self.replace_nodes(dice, changes);
        self.state.apply(&diff);
        self.state.block_hashes.insert(block.id.number, block.id.hash);
        let reverse = ReverseDiff { diff: diff.inverse(), nodes: replaced };
        self.chain.push(Link { block: block.clone(), reverse: reverse.clone() });
        Commit {
            canonical: vec![(block.id.number, Some(block.id.hash))],
            head: Some(block.id),
            reverse: vec![(block.id.hash, reverse)],
            metadata: vec![("height".into(), Some(block.id.number.to_be_bytes().to_vec().into()))],
            blocks: vec![block],
            diff,
            nodes,
            ..Commit::default()
        }
    }

    /// The commit that takes the newest block back and forgets it.
    pub(crate) fn retreat(&mut self) -> Commit {
        let Link { block, reverse } = self.chain.pop().expect("a block to take back");
        self.state.apply(&reverse.diff);
        self.state.block_hashes.remove(&block.id.number);
        for (key, node) in &reverse.nodes {
            match node {
                Some(node) => self.nodes.insert(key.clone(), node.clone()),
                None => self.nodes.remove(key),
            };
        }
        Commit {
            forget: vec![block.id.hash],
            canonical: vec![(block.id.number, None)],
            head: self.head(),
            diff: reverse.diff,
            nodes: reverse.nodes,
            ..Commit::default()
        }
    }

    /// The commit of the world's next step, mostly a block more and sometimes one less; the step's number goes with it
    /// under the name `step`.
    pub(crate) fn step(&mut self, dice: &mut Dice, changes: u64) -> Commit {
        self.steps += 1;
        let retreats = self.chain.len() > 1 && dice.below(5) == 0;
        let mut commit = if retreats { self.retreat() } else { self.extend(dice, changes) };
        commit.metadata.push(("step".into(), Some(self.steps.to_be_bytes().to_vec().into())));
        commit
    }

    fn block(&self, dice: &mut Dice) -> StoredBlock {
        let number = self.chain.len() as u64;
        let (mut transactions, mut senders, mut receipts) = (Vec::new(), Vec::new(), Vec::new());
        for index in 0..dice.below(4) {
            let unsigned = TxLegacy { nonce: dice.below(3), value: U256::from(dice.below(5)), ..TxLegacy::default() };
            let signature = Signature::new(U256::from(1 + dice.below(2)), U256::from(1 + number), false);
            transactions
                .push(Transaction::from_parts(TxLegacy { to: TxKind::Call(address(1)), ..unsigned }, signature));
            senders.push(address(dice.below(9)));
            receipts.push(Receipt {
                kind: 0,
                outcome: match dice.below(3) {
                    0 => Outcome::StateRoot(dice.hash()),
                    status => Outcome::Status(status == 1),
                },
                cumulative_gas_used: 21_000 * (index + 1),
                logs: (0..dice.below(3)).map(|_| log(dice)).collect(),
            });
        }
        let header = Header {
            number,
            parent_hash: self.head().map_or(B256::ZERO, |head| head.hash),
            gas_limit: dice.roll(),
            ..Header::default()
        };
        let id = BlockId { number, hash: header.hash_slow() };
        let body = Body { transactions, ..Body::default() };
        StoredBlock {
            id,
            header,
            body,
            senders,
            receipts,
            total_difficulty: U256::from(number),
            tally: Tally::default(),
        }
    }

    fn diff(&self, dice: &mut Dice, changes: u64) -> StateDiff {
        let mut accounts = BTreeMap::new();
        let mut codes = BTreeMap::new();
        for _ in 0..changes {
            let address = address(dice.below(2 * changes));
            let before = self.state.accounts.get(&address).copied();
            let held = self.state.storage.get(&address);
            let mut slots = BTreeMap::new();
            let after = (dice.below(8) > 0).then(|| {
                let code = Bytes::from(vec![dice.below(3) as u8; 3]);
                let has_code = dice.below(4) == 0;
                let code_hash = if has_code { keccak256(&code) } else { Account::default().code_hash };
                if has_code && !self.state.codes.contains_key(&code_hash) {
                    codes.insert(code_hash, code);
                }
                for _ in 0..dice.below(4) {
                    slots.insert(U256::from(dice.below(6)), U256::from(dice.below(3)));
                }
                Account { nonce: dice.below(300), balance: U256::from(dice.roll()) << dice.below(190), code_hash }
            });
            if after.is_none() {
                slots = held.into_iter().flatten().map(|(key, _)| (*key, U256::ZERO)).collect();
            }
            let slots = slots.into_iter().map(|(key, after)| {
                let before = held.and_then(|slots| slots.get(&key)).copied().unwrap_or_default();
                SlotDiff { key, before, after }
            });
            let slots: Vec<_> = slots.filter(|slot| slot.before != slot.after).collect();
            if before != after || !slots.is_empty() {
                accounts.insert(address, AccountDiff { before, after, slots });
            }
        }
        StateDiff { accounts: accounts.into_iter().collect(), codes: codes.into_iter().collect() }
    }

    #[allow(clippy::type_complexity)]
    fn replace_nodes(
        &mut self,
        dice: &mut Dice,
        changes: u64,
    ) -> (Vec<(NodeKey, Option<Bytes>)>, Vec<(NodeKey, Option<Bytes>)>) {
        let mut written = BTreeMap::new();
        for _ in 0..changes {
            let owner = (dice.below(3) == 0).then(|| keccak256([dice.below(3) as u8]));
            let path = (0..dice.below(5)).map(|_| dice.below(16) as u8).collect();
            let node = (dice.below(4) > 0).then(|| Bytes::from(dice.hash().to_vec()));
            written.insert(NodeKey { owner, path }, node);
        }
        let mut replaced = Vec::new();
        for (key, node) in &written {
            let before = match node {
                Some(node) => self.nodes.insert(key.clone(), node.clone()),
                None => self.nodes.remove(key),
            };
            replaced.push((key.clone(), before));
        }
        (written.into_iter().collect(), replaced)
    }

    /// Asserts that the store holds this world: head, blocks, indices, state, nodes.
    pub(crate) fn assert_held_by(&self, store: &Store) {
        assert_eq!(store.head().unwrap(), self.head());
        for (number, link) in (0..).zip(&self.chain) {
            let id = link.block.id;
            assert_eq!(store.canonical(number).unwrap(), Some(id.hash));
            assert_eq!(store.header(&id.hash).unwrap().as_ref(), Some(&link.block.header));
            assert_eq!(store.block(&id.hash).unwrap().as_ref(), Some(&link.block));
            assert_eq!(store.reverse(&id.hash).unwrap().as_ref(), Some(&link.reverse));
            for (index, transaction) in (0..).zip(&link.block.body.transactions) {
                let (block, place) = store.transaction(&transaction.hash()).unwrap().expect("an indexed transaction");
                // The same transaction may stand in several of these blocks.
                assert!(block != id.hash || link.block.body.transactions[place as usize] == *transaction, "{index}");
            }
        }
        assert_eq!(store.canonical(self.chain.len() as u64).unwrap(), None);
        let reader = store.reader().unwrap();
        assert_eq!(reader.head(), self.head());
        for (address, account) in &self.state.accounts {
            assert_eq!(reader.account(address).unwrap().as_ref(), Some(account));
            assert_eq!(reader.slots(address), self.state.slots(address));
            assert_eq!(reader.has_storage(address), self.state.has_storage(address));
            for (slot, value) in reader.slots(address).unwrap() {
                assert_eq!(reader.storage(address, &slot), Ok(value));
            }
        }
        for (hash, code) in &self.state.codes {
            assert_eq!(reader.code(hash).as_ref(), Ok(code));
        }
        for (key, node) in &self.nodes {
            assert_eq!(reader.node(key).unwrap().as_ref(), Some(node));
        }
        let rows = |family| store.kv().snapshot().unwrap().entries(family).count();
        assert_eq!(rows(Family::Accounts), self.state.accounts.len());
        assert_eq!(rows(Family::Nodes), self.nodes.len());
        assert_eq!(rows(Family::Headers), self.chain.len());
        assert_eq!(store.check().unwrap().faults, []);
    }
}

pub(crate) fn address(number: u64) -> Address {
    Address::from_word(keccak256(number.to_be_bytes()))
}

fn log(dice: &mut Dice) -> Log {
    let topics = (0..dice.below(5)).map(|_| B256::with_last_byte(dice.below(3) as u8)).collect();
    let data = Bytes::from(vec![7; dice.below(40) as usize]);
    Log { address: address(dice.below(3)), data: LogData::new_unchecked(topics, data) }
}

/// Which step of a world a store stands at; 0 before the first.
pub(crate) fn steps_of(store: &Store) -> u64 {
    let step = store.metadata("step").unwrap();
    step.map_or(0, |bytes| u64::from_be_bytes(bytes.as_ref().try_into().unwrap()))
}

/// Every row of every family.
pub(crate) fn dump(store: &Store) -> Vec<(Family, Bytes, Bytes)> {
    let snapshot = store.kv().snapshot().unwrap();
    let of = |family| snapshot.entries(family).map(move |entry| entry.map(|(key, value)| (family, key, value)));
    Family::ALL.into_iter().flat_map(of).collect::<Result<_, _>>().unwrap()
}

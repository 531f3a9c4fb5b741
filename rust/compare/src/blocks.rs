//! Blocks of ten thousand transactions over a state in memory, senders known: plain transfers, and transfers of a token.

use std::time::Duration;

use alloy_primitives::map::{AddressHashMap, HashMap};

use evm::{BlockEnv, ChainSpec, Fork, Rules};
use exec::{BlockOutcome, Mode, execute};
use revm::{
    DatabaseCommit, ExecuteCommitEvm, ExecuteEvm,
    context::TxEnv,
    database::{StateBuilder, states::bundle_state::BundleRetention},
};
use state::{MemoryState, View, ViewError};
use types::{Account, Address, B256, Bytes, Recovered, Signature, Transaction, TxKind, U256, keccak256, tx::TxEip1559};

use crate::{
    contracts, rival,
    row::{print, race, refuse, worked},
};

const TRANSACTIONS: u64 = 10_000;
const BENEFICIARY: Address = Address::repeat_byte(0xfe);
const TOKEN: Address = Address::repeat_byte(0x70);

/// A block's transactions and the state before it.
struct Work {
    rules: Rules,
    env: BlockEnv,
    state: MemoryState,
    ours: Vec<Recovered>,
    theirs: Vec<TxEnv>,
}

/// The state before a block in hash maps, as revm's in-memory database has it: `MemoryState` keeps slots in order, which
/// no execution needs.
struct Flat<'s> {
    state: &'s MemoryState,
    slots: AddressHashMap<HashMap<U256, U256>>,
}

impl<'s> Flat<'s> {
    fn new(state: &'s MemoryState) -> Self {
        let slots = state.storage.iter();
        let slots = slots.map(|(address, slots)| (*address, slots.iter().map(|(key, value)| (*key, *value)).collect()));
        Self { state, slots: slots.collect() }
    }
}

impl View for Flat<'_> {
    fn account(&self, address: &Address) -> Result<Option<Account>, ViewError> {
        self.state.account(address)
    }
    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, ViewError> {
        Ok(self.slots.get(address).and_then(|slots| slots.get(slot)).copied().unwrap_or_default())
    }
    fn code(&self, hash: &B256) -> Result<Bytes, ViewError> {
        self.state.code(hash)
    }
    fn block_hash(&self, number: u64) -> Result<B256, ViewError> {
        self.state.block_hash(number)
    }
    fn slots(&self, address: &Address) -> Result<Vec<(U256, U256)>, ViewError> {
        self.state.slots(address)
    }
}

fn party(role: &str, index: u64) -> Address {
    Address::from_word(keccak256(format!("{role} {index}")))
}

/// Where a mapping in the first slot of a contract's storage keeps what belongs to this account.
fn slot_of(account: Address) -> U256 {
    U256::from_be_bytes(keccak256([account.into_word().0, [0; 32]].concat()).0)
}

impl Work {
    /// Pairs that send `value` wei.
    fn transfers() -> Self {
        Self::new(MemoryState::default(), 21_000, |index, recipient| (recipient, 1_000 + index, Bytes::new()))
    }

    /// Pairs that send a token of which both hold some.
    fn tokens() -> Self {
        let mut state = MemoryState::default();
        state.insert(TOKEN, 1, U256::ZERO, contracts::token());
        for index in 0..TRANSACTIONS {
            state.set_storage(TOKEN, slot_of(party("sender", index)), U256::from(10_u64.pow(18)));
            state.set_storage(TOKEN, slot_of(party("recipient", index)), U256::ONE);
        }
        Self::new(state, 60_000, |index, recipient| {
            let amount = U256::from(1_000 + index);
            (TOKEN, 0, contracts::call("transfer(address,uint256)", &[recipient.into_word().into(), amount]))
        })
    }

    fn new(mut state: MemoryState, gas_limit: u64, sends: impl Fn(u64, Address) -> (Address, u64, Bytes)) -> Self {
        let mut ours = Vec::new();
        for index in 0..TRANSACTIONS {
            let (sender, recipient) = (party("sender", index), party("recipient", index));
            state.insert(sender, index % 5, U256::from(10_u64.pow(18)), Bytes::new());
            state.insert(recipient, 0, U256::ONE, Bytes::new());
            let (to, value, input) = sends(index, recipient);
            let tx = TxEip1559 {
                chain_id: 1,
                nonce: index % 5,
                gas_limit,
                max_fee_per_gas: 100,
                max_priority_fee_per_gas: 2,
                to: TxKind::Call(to),
                value: U256::from(value),
                input,
                ..TxEip1559::default()
            };
            ours.push(Recovered::new(Transaction::from_parts(tx, Signature::test_signature()), sender));
        }
        state.insert(BENEFICIARY, 0, U256::ONE, Bytes::new());
        let env = BlockEnv {
            number: 1,
            timestamp: 1,
            beneficiary: BENEFICIARY,
            gas_limit: gas_limit * TRANSACTIONS,
            base_fee: Some(7),
            excess_blob_gas: Some(0),
            ..BlockEnv::default()
        };
        let theirs = ours.iter().map(rival::transaction).collect();
        Self { rules: ChainSpec::at(1, Fork::Cancun).rules(1, 1), env, state, ours, theirs }
    }

    fn ours(&self) -> (Duration, BlockOutcome) {
        let view = Flat::new(&self.state);
        worked(|| execute(&self.rules, &self.env, &self.ours, &[], &view, Mode::default()).expect("a valid block"))
    }

    /// revm, a commit into the in-memory database after each transaction.
    fn commit_each(&self) -> (Duration, rival::Database) {
        let mut database = rival::database(&self.state);
        let transactions = self.theirs.clone();
        let (time, receipts) = worked(|| {
            let mut evm = rival::machine(&self.rules, &self.env, &mut database);
            let results = transactions.into_iter().map(|tx| evm.transact_commit(tx).expect("a valid transaction"));
            results.collect::<Vec<_>>()
        });
        assert!(receipts.iter().all(|result| result.is_success()));
        (time, database)
    }

    /// revm, all transactions in one journal and one commit at the end.
    fn commit_once(&self) -> (Duration, rival::Database) {
        let mut database = rival::database(&self.state);
        let transactions = self.theirs.clone();
        let (time, receipts) = worked(|| {
            let mut evm = rival::machine(&self.rules, &self.env, &mut database);
            let results = transactions.into_iter().map(|tx| evm.transact_one(tx).expect("a valid transaction"));
            let results = results.collect::<Vec<_>>();
            let changes = evm.finalize();
            database.commit(changes);
            results
        });
        assert!(receipts.iter().all(|result| result.is_success()));
        (time, database)
    }

    /// revm, with the state that keeps a bundle of changes, as reth uses it.
    fn bundle(&self) -> Duration {
        let database = rival::database(&self.state);
        let transactions = self.theirs.clone();
        worked(|| {
            let mut state = StateBuilder::new().with_database(database).with_bundle_update().build();
            let mut evm = rival::machine(&self.rules, &self.env, &mut state);
            let results = transactions.into_iter().map(|tx| evm.transact_commit(tx).expect("a valid transaction"));
            let results = results.collect::<Vec<_>>();
            state.merge_transitions(BundleRetention::Reverts);
            (results, state.take_bundle())
        })
        .0
    }

    /// Both sides must have made the same state.
    fn agrees(&self, outcome: &BlockOutcome, theirs: &rival::Database) -> Result<(), String> {
        let mut ours = self.state.clone();
        ours.apply(&outcome.diff);
        if outcome.receipts.len() as u64 != TRANSACTIONS
            || !outcome.receipts.iter().all(|receipt| receipt.outcome.is_success())
        {
            return Err(format!("{} receipts, or one without success", outcome.receipts.len()));
        }
        for (address, account) in &ours.accounts {
            let Some(held) = theirs.cache.accounts.get(address) else {
                return Err(format!("{address} is missing"));
            };
            if held.info.balance != account.balance || held.info.nonce != account.nonce {
                return Err(format!("{address} differs"));
            }
            let slots = ours.storage.get(address).into_iter().flatten();
            if slots.clone().any(|(key, value)| held.storage.get(key) != Some(value)) {
                return Err(format!("a slot of {address} differs"));
            }
        }
        let accounts = self.state.accounts.len();
        if ours.accounts.len() == accounts { Ok(()) } else { Err(format!("there are not {accounts} accounts")) }
    }

    /// Prints a row against revm's fastest way, and one against a commit per transaction.
    fn race(&self, what: &str, fastest: f64, each: f64) {
        let name = format!("10,000 {what}, senders known");
        let outcome = self.ours().1;
        for theirs in [self.commit_each().1, self.commit_once().1] {
            if let Err(reason) = self.agrees(&outcome, &theirs) {
                return refuse(&name, &reason);
            }
        }
        let times =
            race([&mut || self.ours().0, &mut || self.commit_each().0, &mut || self.commit_once().0, &mut || {
                self.bundle()
            }]);
        let [ours, commits, once, bundle] = times.map(|time| time.as_secs_f64() * 1e6 / TRANSACTIONS as f64);
        eprintln!(
            "µs each of {what}: ours {ours:.3}; revm, commit per transaction {commits:.3}, one commit {once:.3}, bundle {bundle:.3}"
        );
        print(&name, ours, commits.min(once).min(bundle), "revm 43", "µs each", fastest);
        print(&format!("10,000 {what} against a commit per transaction"), ours, commits, "revm 43", "µs each", each);
    }
}

pub fn rows() {
    Work::transfers().race("plain transfers", 1.0, 2.0);
    Work::tokens().race("token transfers", 1.0, 1.3);
}

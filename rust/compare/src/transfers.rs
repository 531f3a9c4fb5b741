//! A block of plain transfers between distinct pairs, senders known, over a state in memory.

use std::time::Duration;

use evm::{BlockEnv, ChainSpec, Fork, Rules};
use exec::{BlockOutcome, Mode, execute};
use revm::{
    Context, DatabaseCommit, ExecuteCommitEvm, ExecuteEvm, MainBuilder, MainContext,
    context::{BlockEnv as TheirBlock, TxEnv},
    context_interface::block::BlobExcessGasAndPrice,
    database::{CacheDB, EmptyDB, StateBuilder, states::bundle_state::BundleRetention},
    primitives::hardfork::SpecId,
    state::AccountInfo,
};
use state::MemoryState;
use types::{Address, Bytes, Recovered, Signature, Transaction, TxKind, U256, keccak256, tx::TxEip1559};

use crate::row::{print, race, refuse, timed};

const TRANSFERS: u64 = 10_000;
const BASE_FEE: u64 = 7;
const BENEFICIARY: Address = Address::repeat_byte(0xfe);

struct Work {
    rules: Rules,
    env: BlockEnv,
    state: MemoryState,
    ours: Vec<Recovered>,
    theirs: Vec<TxEnv>,
}

fn party(role: &str, index: u64) -> Address {
    Address::from_word(keccak256(format!("{role} {index}")))
}

fn work() -> Work {
    let mut state = MemoryState::default();
    let mut ours = Vec::new();
    let mut theirs = Vec::new();
    for index in 0..TRANSFERS {
        let (sender, recipient) = (party("sender", index), party("recipient", index));
        state.insert(sender, index % 5, U256::from(10_u64.pow(18)), Bytes::new());
        state.insert(recipient, 0, U256::from(1), Bytes::new());
        let tx = TxEip1559 {
            chain_id: 1,
            nonce: index % 5,
            gas_limit: 21_000,
            max_fee_per_gas: 100,
            max_priority_fee_per_gas: 2,
            to: TxKind::Call(recipient),
            value: U256::from(1_000 + index),
            ..TxEip1559::default()
        };
        theirs.push(TxEnv {
            tx_type: 2,
            caller: sender,
            gas_limit: tx.gas_limit,
            gas_price: tx.max_fee_per_gas,
            gas_priority_fee: Some(tx.max_priority_fee_per_gas),
            kind: tx.to,
            value: tx.value,
            nonce: tx.nonce,
            chain_id: Some(1),
            ..TxEnv::default()
        });
        ours.push(Recovered::new(Transaction::from_parts(tx, Signature::test_signature()), sender));
    }
    state.insert(BENEFICIARY, 0, U256::from(1), Bytes::new());
    let env = BlockEnv {
        number: 1,
        timestamp: 1,
        beneficiary: BENEFICIARY,
        gas_limit: 1_000_000_000,
        base_fee: Some(BASE_FEE),
        excess_blob_gas: Some(0),
        ..BlockEnv::default()
    };
    Work { rules: ChainSpec::at(1, Fork::Cancun).rules(1, 1), env, state, ours, theirs }
}

impl Work {
    fn ours(&self) -> (Duration, BlockOutcome) {
        timed(|| execute(&self.rules, &self.env, &self.ours, &[], &self.state, Mode::default()).expect("a valid block"))
    }

    fn database(&self) -> CacheDB<EmptyDB> {
        let mut database = CacheDB::new(EmptyDB::default());
        for (address, account) in &self.state.accounts {
            let info = AccountInfo { balance: account.balance, nonce: account.nonce, ..AccountInfo::default() };
            database.insert_account_info(*address, info);
        }
        database
    }

    fn their_block(&self) -> TheirBlock {
        TheirBlock {
            number: U256::from(1),
            timestamp: U256::from(1),
            beneficiary: BENEFICIARY,
            gas_limit: self.env.gas_limit,
            basefee: BASE_FEE,
            prevrandao: Some(Default::default()),
            blob_excess_gas_and_price: Some(BlobExcessGasAndPrice::new(0, 3_338_477)),
            ..TheirBlock::default()
        }
    }

    /// revm, a commit into the in-memory database after each transaction.
    fn commit_each(&self) -> (Duration, CacheDB<EmptyDB>) {
        let mut database = self.database();
        let transactions = self.theirs.clone();
        let (time, receipts) = timed(|| {
            let mut evm = Context::mainnet()
                .modify_cfg_chained(|cfg| cfg.set_spec_and_mainnet_gas_params(SpecId::CANCUN))
                .with_db(&mut database)
                .with_block(self.their_block())
                .build_mainnet();
            let results = transactions.into_iter().map(|tx| evm.transact_commit(tx).expect("a valid transaction"));
            results.collect::<Vec<_>>()
        });
        assert!(receipts.iter().all(|result| result.is_success()));
        (time, database)
    }

    /// revm, all transactions in one journal and one commit at the end.
    fn commit_once(&self) -> (Duration, CacheDB<EmptyDB>) {
        let mut database = self.database();
        let transactions = self.theirs.clone();
        let (time, receipts) = timed(|| {
            let mut evm = Context::mainnet()
                .modify_cfg_chained(|cfg| cfg.set_spec_and_mainnet_gas_params(SpecId::CANCUN))
                .with_db(&mut database)
                .with_block(self.their_block())
                .build_mainnet();
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
        let database = self.database();
        let transactions = self.theirs.clone();
        timed(|| {
            let mut state = StateBuilder::new().with_database(database).with_bundle_update().build();
            let mut evm = Context::mainnet()
                .modify_cfg_chained(|cfg| cfg.set_spec_and_mainnet_gas_params(SpecId::CANCUN))
                .with_db(&mut state)
                .with_block(self.their_block())
                .build_mainnet();
            let results = transactions.into_iter().map(|tx| evm.transact_commit(tx).expect("a valid transaction"));
            let results = results.collect::<Vec<_>>();
            state.merge_transitions(BundleRetention::Reverts);
            (results, state.take_bundle())
        })
        .0
    }

    /// Both sides must have made the same state.
    fn agrees(&self, outcome: &BlockOutcome, theirs: &CacheDB<EmptyDB>) -> Result<(), String> {
        let mut ours = self.state.clone();
        ours.apply(&outcome.diff);
        if outcome.receipts.len() as u64 != TRANSFERS || outcome.gas_used != 21_000 * TRANSFERS {
            return Err(format!("{} receipts, {} gas", outcome.receipts.len(), outcome.gas_used));
        }
        for (address, account) in &ours.accounts {
            let info = theirs.cache.accounts.get(address).map(|account| &account.info);
            if info.is_none_or(|info| info.balance != account.balance || info.nonce != account.nonce) {
                return Err(format!("{address} differs"));
            }
        }
        if ours.accounts.len() as u64 == 2 * TRANSFERS + 1 { Ok(()) } else { Err("accounts are missing".into()) }
    }
}

pub fn rows() {
    const NAME: &str = "10,000 plain transfers, senders known";
    let work = work();
    let outcome = work.ours().1;
    for theirs in [work.commit_each().1, work.commit_once().1] {
        if let Err(reason) = work.agrees(&outcome, &theirs) {
            return refuse(NAME, &reason);
        }
    }
    let [ours, each, once, bundle] =
        race([&mut || work.ours().0, &mut || work.commit_each().0, &mut || work.commit_once().0, &mut || {
            work.bundle()
        }]);
    let micros = |time: Duration| time.as_secs_f64() * 1e6 / TRANSFERS as f64;
    eprintln!(
        "µs per transfer: ours {:.3}; revm, commit per transaction {:.3}, one commit {:.3}, bundle {:.3}",
        micros(ours),
        micros(each),
        micros(once),
        micros(bundle),
    );
    print(NAME, micros(ours), micros(each.min(once).min(bundle)), "revm 43", "µs/transfer", 1.0);
    print(
        "10,000 plain transfers against a commit per transaction",
        micros(ours),
        micros(each),
        "revm 43",
        "µs/transfer",
        2.0,
    );
}

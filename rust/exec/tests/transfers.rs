//! Blocks of plain transfers.

use evm::{BlockEnv, ChainSpec, Fork, Rejection, Rules};
use execlayer_exec::{BlockBuilder, ExecError, Mode, execute};
use state::MemoryState;
use types::{
    Address, Bytes, Recovered, Signature, Transaction, TxKind, U256, Withdrawal,
    tx::{TxEip1559, TxLegacy},
};

const ALICE: Address = Address::repeat_byte(0xa1);
const BOB: Address = Address::repeat_byte(0xb0);
const MINER: Address = Address::repeat_byte(0xcc);
const ETHER: u64 = 1_000_000_000_000_000_000;

fn rules(fork: Fork) -> Rules {
    ChainSpec::at(1, fork).rules(1, 1)
}

fn env() -> BlockEnv {
    BlockEnv {
        number: 1,
        timestamp: 1,
        beneficiary: MINER,
        gas_limit: 100_000,
        base_fee: Some(7),
        excess_blob_gas: Some(0),
        ..BlockEnv::default()
    }
}

fn alice_is_rich() -> MemoryState {
    let mut state = MemoryState::default();
    state.insert(ALICE, 0, U256::from(ETHER), Bytes::new());
    state
}

fn transfer(nonce: u64, value: u64) -> Recovered {
    let tx = TxEip1559 {
        chain_id: 1,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 10,
        max_priority_fee_per_gas: 2,
        to: TxKind::Call(BOB),
        value: U256::from(value),
        ..TxEip1559::default()
    };
    Recovered::new(Transaction::from_parts(tx, Signature::test_signature()), ALICE)
}

#[test]
fn value_moves_the_tip_goes_to_the_beneficiary_and_the_base_fee_burns() {
    let mut state = alice_is_rich();
    let env = env();
    let outcome =
        execute(&rules(Fork::Paris), &env, &[transfer(0, 5), transfer(1, 6)], &[], &state, Mode::default()).unwrap();
    assert_eq!(outcome.gas_used, 42_000);
    let cumulative: Vec<u64> = outcome.receipts.iter().map(|receipt| receipt.cumulative_gas_used).collect();
    assert_eq!(cumulative, [21_000, 42_000]);
    assert!(outcome.receipts.iter().all(|receipt| receipt.kind == 2 && receipt.outcome.is_success()));
    assert_eq!(outcome.fees, U256::from(42_000 * 2));
    assert_eq!(outcome.burned, U256::from(42_000 * 7));
    state.apply(&outcome.diff);
    assert_eq!(state.accounts[&BOB].balance, U256::from(11));
    assert_eq!(state.accounts[&MINER].balance, outcome.fees);
    assert_eq!(state.accounts[&ALICE].nonce, 2);
    assert_eq!(state.accounts[&ALICE].balance, U256::from(ETHER - 11 - 42_000 * 9));
}

#[test]
fn a_refused_transaction_is_named_and_the_block_goes_on_without_it() {
    let state = alice_is_rich();
    let env = env();
    let wrong = ExecError::Rejected { index: 1, rejection: Rejection::InvalidNonce { expected: 1, actual: 5 } };
    let transactions = [transfer(0, 5), transfer(5, 6), transfer(1, 6)];
    assert_eq!(execute(&rules(Fork::Paris), &env, &transactions, &[], &state, Mode::default()), Err(wrong.clone()));
    let rules = rules(Fork::Paris);
    let mut builder = BlockBuilder::new(&rules, &env, &state, Mode::default()).unwrap();
    builder.push(&transactions[0]).unwrap();
    assert_eq!(builder.push(&transactions[1]), Err(wrong));
    builder.push(&transactions[2]).unwrap();
    let outcome = builder.finish(&[]).unwrap();
    let straight = execute(&rules, &env, &[transfer(0, 5), transfer(1, 6)], &[], &state, Mode::default()).unwrap();
    assert_eq!(outcome, straight);
}

#[test]
fn the_block_has_room_for_its_gas_limit_and_not_a_unit_more() {
    let state = alice_is_rich();
    let transactions = [transfer(0, 1), transfer(1, 1)];
    let mut env = BlockEnv { gas_limit: 42_000, ..env() };
    assert!(execute(&rules(Fork::Paris), &env, &transactions, &[], &state, Mode::default()).is_ok());
    env.gas_limit -= 1;
    let rejection = Rejection::BlockGasExceeded { required: 21_000, available: 20_999 };
    assert_eq!(
        execute(&rules(Fork::Paris), &env, &transactions, &[], &state, Mode::default()),
        Err(ExecError::Rejected { index: 1, rejection })
    );
}

#[test]
fn diffs_of_transactions_make_the_diff_of_the_block() {
    let mut state = alice_is_rich();
    let env = env();
    let transactions = [transfer(0, 5), transfer(1, 6)];
    let outcome =
        execute(&rules(Fork::Paris), &env, &transactions, &[], &state, Mode { diffs: true, ..Mode::default() })
            .unwrap();
    let joined = outcome.diffs.iter().fold(state::StateDiff::default(), |sum, diff| sum.then(diff));
    assert_eq!(joined, outcome.diff);
    for diff in &outcome.diffs {
        state.apply(diff);
    }
}

#[test]
fn before_london_the_whole_fee_is_the_beneficiarys() {
    let mut state = alice_is_rich();
    let env = BlockEnv { base_fee: None, ..env() };
    let tx = TxLegacy { gas_limit: 21_000, gas_price: 3, to: TxKind::Call(BOB), ..TxLegacy::default() };
    let tx = Recovered::new(Transaction::from_parts(tx, Signature::test_signature()), ALICE);
    let outcome = execute(&rules(Fork::Frontier), &env, &[tx], &[], &state, Mode::default()).unwrap();
    assert_eq!((outcome.fees, outcome.burned), (U256::from(63_000), U256::ZERO));
    state.apply(&outcome.diff);
    assert!(state.accounts.contains_key(&BOB), "a touched account springs up before empty ones are cleared");
}

#[test]
fn withdrawals_arrive_in_gwei() {
    let mut state = alice_is_rich();
    let withdrawals = [Withdrawal { index: 0, validator_index: 0, address: BOB, amount: 3 }];
    let outcome = execute(&rules(Fork::Shanghai), &env(), &[], &withdrawals, &state, Mode::default()).unwrap();
    state.apply(&outcome.diff);
    assert_eq!(state.accounts[&BOB].balance, U256::from(3_000_000_000_u64));
}

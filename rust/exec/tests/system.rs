//! What a block does around its transactions.

use evm::{BlockEnv, ChainSpec, Fork, Rules, spec::dao};
use execlayer_exec::{ExecError, Mode, execute};
use state::MemoryState;
use types::{
    Address, B256, Bytes, Recovered, Signature, Transaction, TxKind, U256,
    primitives::{address, b256, hex},
    tx::TxLegacy,
};

const ALICE: Address = Address::repeat_byte(0xa1);
const MINER: Address = Address::repeat_byte(0xcc);
const ETHER: u64 = 1_000_000_000_000_000_000;
const HISTORY: Address = address!("0000f90827f1c53a10cb7a02335b175320002935");
const BEACON_ROOTS: Address = address!("000f3df6d732807ef1319fb7b8bb8522d0beac02");
const WITHDRAWALS: Address = address!("00000961ef480eb55e80d19ad83579a64c007002");
const CONSOLIDATIONS: Address = address!("0000bbddc7ce488642fb579f8b00f3a590007251");

/// Keeps in slot 0 the word that it was called with, and in slot 1 who called.
const KEEPER: [u8; 10] = hex!("5f355f553360015500 00");
/// Answers with one byte, 0x2a.
const ANSWERER: [u8; 10] = hex!("602a5f53600160 00f3 00");
const REVERTER: [u8; 4] = hex!("5f5ffd00");

fn rules(fork: Fork) -> Rules {
    ChainSpec::at(1, fork).rules(5, 5)
}

fn env() -> BlockEnv {
    BlockEnv {
        number: 5,
        timestamp: 5,
        beneficiary: MINER,
        gas_limit: 1_000_000,
        parent_hash: B256::repeat_byte(0x11),
        parent_beacon_root: Some(B256::repeat_byte(0x22)),
        ..BlockEnv::default()
    }
}

fn with_code(contracts: &[(Address, &'static [u8])]) -> MemoryState {
    let mut state = MemoryState::default();
    for (address, code) in contracts {
        state.insert(*address, 1, U256::ZERO, Bytes::from_static(code));
    }
    state
}

fn run(fork: Fork, env: &BlockEnv, state: &MemoryState) -> Result<(MemoryState, Vec<Bytes>), ExecError> {
    let outcome = execute(&rules(fork), env, &[], &[], state, Mode::default())?;
    let mut after = state.clone();
    after.apply(&outcome.diff);
    Ok((after, outcome.requests))
}

#[test]
fn rewards_follow_the_fork_and_count_ommers() {
    let uncle = Address::repeat_byte(0xdd);
    let env = BlockEnv { ommers: vec![(uncle, 3)], ..env() };
    for (fork, ethers) in [(Fork::Frontier, 5), (Fork::Byzantium, 3), (Fork::Constantinople, 2), (Fork::London, 2)] {
        let (after, _) = run(fork, &env, &MemoryState::default()).unwrap();
        let reward = ethers * ETHER;
        assert_eq!(after.accounts[&MINER].balance, U256::from(reward + reward / 32), "{fork}");
        assert_eq!(after.accounts[&uncle].balance, U256::from(reward / 8 * 6), "{fork}");
    }
    let (after, _) = run(Fork::Paris, &env, &MemoryState::default()).unwrap();
    assert!(after.accounts.is_empty());
}

#[test]
fn the_dao_block_moves_the_balances_before_its_first_transaction() {
    let mut state = MemoryState::default();
    for address in &dao::ACCOUNTS[..3] {
        state.insert(*address, 0, U256::from(7), Bytes::new());
    }
    state.insert(ALICE, 0, U256::from(ETHER), Bytes::new());
    let mut rules = rules(Fork::Homestead);
    rules.dao = true;
    let tx = TxLegacy { gas_limit: 21_000, gas_price: 1, to: TxKind::Call(MINER), ..TxLegacy::default() };
    let tx = Recovered::new(Transaction::from_parts(tx, Signature::test_signature()), ALICE);
    let outcome = execute(&rules, &env(), &[tx], &[], &state, Mode { diffs: true, ..Mode::default() }).unwrap();
    state.apply(&outcome.diffs[0]);
    assert_eq!(state.accounts[&dao::REFUND].balance, U256::from(21));
    assert!(dao::ACCOUNTS[..3].iter().all(|address| state.accounts[address].balance.is_zero()));
    assert!(!state.accounts.contains_key(&dao::ACCOUNTS[3]));
    assert_eq!(state.accounts[&ALICE].nonce, 1);
}

#[test]
fn the_parents_roots_are_told_to_the_contracts_that_keep_them() {
    let state = with_code(&[
        (HISTORY, &KEEPER),
        (BEACON_ROOTS, &KEEPER),
        (WITHDRAWALS, &ANSWERER),
        (CONSOLIDATIONS, &ANSWERER),
    ]);
    let (after, _) = run(Fork::Prague, &env(), &state).unwrap();
    for (contract, word) in [(HISTORY, env().parent_hash), (BEACON_ROOTS, env().parent_beacon_root.unwrap())] {
        let slots = &after.storage[&contract];
        assert_eq!(slots[&U256::ZERO], U256::from_be_bytes(word.0));
        assert_eq!(slots[&U256::ONE], U256::from_be_slice(evm::transact::SYSTEM_ADDRESS.as_slice()));
    }
    let (after, requests) = run(Fork::Cancun, &env(), &state).unwrap();
    assert!(!after.storage.contains_key(&HISTORY) && after.storage.contains_key(&BEACON_ROOTS));
    assert!(requests.is_empty());
    let (after, _) = run(Fork::Shanghai, &env(), &state).unwrap();
    assert!(after.storage.is_empty());
}

#[test]
fn requests_stand_by_type_and_their_contracts_must_answer() {
    let state = with_code(&[(WITHDRAWALS, &ANSWERER), (CONSOLIDATIONS, &ANSWERER)]);
    let (_, requests) = run(Fork::Prague, &env(), &state).unwrap();
    assert_eq!(requests, [Bytes::from_static(&[1, 0x2a]), Bytes::from_static(&[2, 0x2a])]);
    let state = with_code(&[(WITHDRAWALS, &ANSWERER)]);
    assert_eq!(
        run(Fork::Prague, &env(), &state).unwrap_err(),
        ExecError::SystemContractMissing { contract: CONSOLIDATIONS }
    );
    let state = with_code(&[(WITHDRAWALS, &REVERTER), (CONSOLIDATIONS, &ANSWERER)]);
    assert!(matches!(
        run(Fork::Prague, &env(), &state),
        Err(ExecError::SystemCallFailed { contract: WITHDRAWALS, .. })
    ));
}

/// A contract that logs its call data under the topic of deposits.
fn logger() -> Vec<u8> {
    let topic = b256!("649bbc62d0e31342afea4e5cd82d4049e7e1ee912fc0889aa790803be39038c5");
    [&hex!("365f5f37 7f")[..], topic.as_slice(), &hex!("365fa100")].concat()
}

fn deposit_event() -> Vec<u8> {
    let mut data = Vec::new();
    for offset in [160_u64, 256, 320, 384, 512] {
        data.extend(U256::from(offset).to_be_bytes::<32>());
    }
    for (length, filler) in [(48_usize, 1_u8), (32, 2), (8, 3), (96, 4), (8, 5)] {
        data.extend(U256::from(length).to_be_bytes::<32>());
        data.extend(std::iter::repeat_n(filler, length));
        data.resize(data.len().next_multiple_of(32), 0);
    }
    data
}

#[test]
fn deposits_are_read_from_the_logs_of_their_contract_and_must_be_well_formed() {
    let rules = rules(Fork::Prague);
    let mut state = with_code(&[(WITHDRAWALS, &[0]), (CONSOLIDATIONS, &[0])]);
    state.insert(rules.deposit_contract, 1, U256::ZERO, logger().into());
    state.insert(ALICE, 0, U256::from(ETHER), Bytes::new());
    let block = |data: Vec<u8>| {
        let tx = TxLegacy {
            gas_limit: 500_000,
            gas_price: 1,
            to: TxKind::Call(rules.deposit_contract),
            input: data.into(),
            ..TxLegacy::default()
        };
        let tx = Recovered::new(Transaction::from_parts(tx, Signature::test_signature()), ALICE);
        execute(&rules, &env(), &[tx], &[], &state, Mode::default()).map(|outcome| outcome.requests)
    };
    let request = [vec![0], vec![1; 48], vec![2; 32], vec![3; 8], vec![4; 96], vec![5; 8]].concat();
    assert_eq!(block(deposit_event()), Ok(vec![Bytes::from(request)]));
    let mut short = deposit_event();
    short.pop();
    let mut wrong_offset = deposit_event();
    wrong_offset[31] += 1;
    let mut wrong_length = deposit_event();
    wrong_length[160 + 31] -= 1;
    for data in [short, wrong_offset, wrong_length] {
        assert!(matches!(block(data), Err(ExecError::MalformedDeposit { .. })));
    }
}

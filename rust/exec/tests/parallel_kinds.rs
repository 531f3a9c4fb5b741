//! Transactions of our own in parallel as in sequence: assets that move, payments beside them, calls that look on, access
//! lists that help or mislead.

use evm::{BlockEnv, ChainSpec, Fork};
use execlayer_exec::{Executor, Mode, Parallel, execute, parallel::Report};
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use state::MemoryState;
use types::{
    AccessListItem, Address, B256, Bytes, Payload, Recovered, Signature, Transaction, TxKind, U256, keccak256, system,
    tx::{
        SignedOwn, TxEip1559, TxOwn,
        asset_transfer::{AssetMove, AssetTransfer},
    },
};

const MINER: Address = Address::repeat_byte(0xcc);
/// slot[1] = balance(coinbase); slot[0] += 1
const WATCHER: Address = Address::repeat_byte(0xaa);
const WATCHES: &str = "4131600155600054600101600055";
const PEOPLE: u8 = 10;
const ASSETS: u8 = 3;

fn person(index: u8) -> Address {
    Address::repeat_byte(0x10 + index)
}

fn asset(index: u8) -> B256 {
    keccak256([index])
}

/// Where the assets' account keeps who holds how much.
fn balance_slot(asset: B256, holder: Address) -> U256 {
    let holders = keccak256([asset.0, [0; 32]].concat());
    keccak256([holder.into_word().0, holders.0].concat()).into()
}

/// The last two people own no asset before somebody sends them some.
fn world() -> MemoryState {
    let mut state = MemoryState::default();
    state.insert(system::ASSETS, 1, U256::ZERO, Bytes::from_static(&system::CODE));
    state.insert(WATCHER, 1, U256::ZERO, alloy_primitives::hex::decode(WATCHES).expect("hex").into());
    for index in 0..PEOPLE {
        state.insert(person(index), 0, U256::from(10_u64.pow(18)), Bytes::new());
        for number in (0..ASSETS).filter(|_| index < PEOPLE - 2) {
            state.set_storage(system::ASSETS, balance_slot(asset(number), person(index)), U256::from(500));
        }
    }
    for address in ["00000961ef480eb55e80d19ad83579a64c007002", "0000bbddc7ce488642fb579f8b00f3a590007251"] {
        state.insert(address.parse().expect("an address"), 1, U256::ZERO, Bytes::from_static(&[0]));
    }
    state
}

#[derive(Clone, Debug)]
enum Step {
    /// Assets to people, who may be nobody, with too much of it now and then, and a remark.
    Move(Vec<(u8, u8, u64, bool)>),
    /// Ether to a person, or to whoever has the number beyond.
    Pay(u8, u64),
    /// `transfer` of the assets' account.
    Call(u8, u8, u64),
    /// Looks at the beneficiary's balance; says beforehand which slots, or others.
    Watch(Option<bool>),
}

fn step() -> impl Strategy<Value = (u8, Step)> {
    let one = (0..ASSETS, 0..=PEOPLE, prop_oneof![6 => 1..40_u64, 1 => 400..900_u64], any::<bool>());
    let step = prop_oneof![
        6 => prop::collection::vec(one, 0..4).prop_map(Step::Move),
        4 => (0..PEOPLE + 3, 1..1_000_u64).prop_map(|(to, wei)| Step::Pay(to, wei)),
        2 => (0..ASSETS, 0..PEOPLE, 1..40_u64).prop_map(|(asset, to, amount)| Step::Call(asset, to, amount)),
        1 => any::<Option<bool>>().prop_map(Step::Watch),
    ];
    (0..PEOPLE, step)
}

fn signed(steps: &[(u8, Step)]) -> Vec<Recovered> {
    let mut nonces = [0; PEOPLE as usize];
    let signature = Signature::test_signature();
    let sign = |(sender, step): &(u8, Step)| {
        let nonce = nonces[*sender as usize];
        nonces[*sender as usize] += 1;
        let plain = TxEip1559 {
            chain_id: 1,
            nonce,
            gas_limit: 300_000,
            max_fee_per_gas: 100,
            max_priority_fee_per_gas: 2,
            ..TxEip1559::default()
        };
        let transaction = match step {
            Step::Move(moves) => {
                let moves = moves.iter().map(|(number, to, amount, remark)| AssetMove {
                    asset: asset(*number),
                    recipient: if *to == PEOPLE { Address::ZERO } else { person(*to) },
                    amount: U256::from(*amount),
                    memo: if *remark { Bytes::from_static(b"thanks") } else { Bytes::new() },
                });
                let tx = TxOwn {
                    chain_id: 1,
                    nonce,
                    max_priority_fee_per_gas: 2,
                    max_fee_per_gas: 100,
                    gas_limit: 300_000,
                    access_list: Default::default(),
                    payload: Payload::AssetTransfer(AssetTransfer { moves: moves.collect() }),
                };
                SignedOwn::new(tx, signature).into()
            }
            Step::Pay(to, wei) => {
                let to = TxKind::Call(Address::repeat_byte(0x10 + to));
                Transaction::from_parts(TxEip1559 { to, value: U256::from(*wei), ..plain }, signature)
            }
            Step::Call(number, to, amount) => {
                let words = [asset(*number).0, person(*to).into_word().0, U256::from(*amount).to_be_bytes()];
                let selector = keccak256("transfer(bytes32,address,uint256)");
                let input = [&selector[..4], &words.concat()].concat().into();
                Transaction::from_parts(TxEip1559 { to: TxKind::Call(system::ASSETS), input, ..plain }, signature)
            }
            Step::Watch(listed) => {
                let keys = |right: bool| if right { vec![B256::ZERO] } else { vec![B256::repeat_byte(nonce as u8)] };
                let item = listed.map(|right| AccessListItem { address: WATCHER, storage_keys: keys(right) });
                let access_list = item.into_iter().collect::<Vec<_>>().into();
                let input = Bytes::from_static(&[1, 2, 3, 4]);
                let tx = TxEip1559 { to: TxKind::Call(WATCHER), input, access_list, ..plain };
                Transaction::from_parts(tx, signature)
            }
        };
        Recovered::new(transaction, person(*sender))
    };
    steps.iter().map(sign).collect()
}

fn compare(steps: &[(u8, Step)]) -> Result<Vec<Report>, TestCaseError> {
    let mut spec = ChainSpec::at(1, Fork::Osaka);
    spec.own.assets = true;
    let (rules, state, transactions) = (spec.rules(5, 60), world(), signed(steps));
    let env = BlockEnv {
        number: 5,
        timestamp: 60,
        beneficiary: MINER,
        gas_limit: 1_000_000_000,
        base_fee: Some(7),
        excess_blob_gas: Some(0),
        ..BlockEnv::default()
    };
    let expected = execute(&rules, &env, &transactions, &[], &state, Mode::default()).expect("valid transactions");
    let mut reports = Vec::new();
    for threads in [1, 2, 3, 8] {
        let guessing = Executor::new(Parallel::On, Some(threads));
        for executor in [&guessing, &guessing, &Executor::shuffled(threads, steps.len() as u64)] {
            let done = executor.execute(&rules, &env, &transactions, &[], &state, Mode::default());
            let (outcome, report) = done.map_err(|error| TestCaseError::fail(format!("{threads} threads: {error}")))?;
            prop_assert_eq!(&outcome, &expected, "{} threads", threads);
            reports.push(report);
        }
    }
    Ok(reports)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn assets_move_in_parallel_as_in_sequence(steps in prop::collection::vec(step(), 1..80)) {
        compare(&steps)?;
    }

    #[test]
    fn what_only_moves_and_pays_needs_no_second_run(steps in prop::collection::vec(step(), 1..80)) {
        let known = |step: &Step| matches!(step, Step::Move(_) | Step::Pay(..));
        let steps: Vec<_> = steps.into_iter().filter(|(_, step)| known(step)).collect();
        for (number, report) in compare(&steps)?.into_iter().enumerate() {
            let guessed = number % 3 != 2;
            prop_assert!(!guessed || report.again == 0 && report.sequential == 0, "{:?}", report);
        }
    }
}

#[test]
fn the_blocks_have_moves_in_them_that_succeed_and_fail() {
    let mut runner = TestRunner::deterministic();
    let steps = prop::collection::vec(step(), 200..201).new_tree(&mut runner).expect("steps").current();
    let reports = compare(&steps).expect("as in sequence");
    assert!(reports.iter().any(|report| report.parallel > 0 && report.again > 0), "{reports:?}");
    let mut spec = ChainSpec::at(1, Fork::Osaka);
    spec.own.assets = true;
    let env = BlockEnv { number: 5, timestamp: 60, gas_limit: 1 << 40, base_fee: Some(7), ..BlockEnv::default() };
    let (rules, transactions) = (spec.rules(5, 60), signed(&steps));
    let outcome = execute(&rules, &env, &transactions, &[], &world(), Mode::default()).expect("valid transactions");
    let moves = outcome.receipts.iter().filter(|receipt| receipt.kind == 0x54);
    let (worked, failed): (Vec<_>, Vec<_>) = moves.partition(|receipt| receipt.outcome.is_success());
    assert!(worked.len() > 30 && failed.len() > 5, "{} worked, {} failed", worked.len(), failed.len());
}

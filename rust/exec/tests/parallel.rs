//! The parallel executor's answer is the sequential executor's, whatever the block.

use evm::{BlockEnv, ChainSpec, Fork};
use execlayer_exec::{BlockBuilder, Executor, Mode, Parallel, execute, parallel::Report};
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use state::MemoryState;
use types::{Address, Bytes, Recovered, Signature, Transaction, TxKind, U256, Withdrawal, tx::TxEip1559};

const MINER: Address = Address::repeat_byte(0xcc);
const FORKS: [Fork; 7] =
    [Fork::Byzantium, Fork::Istanbul, Fork::Berlin, Fork::London, Fork::Shanghai, Fork::Cancun, Fork::Osaka];

/// Contracts that look at and change what their call data says, by address. Words of call data: A is the first, B the
/// second.
const CONTRACTS: [(&str, &str); 10] = [
    // slot[A] += 1
    ("counter", "60003580546001019055"),
    // slot[A] = balance(B)
    ("balance", "602035316000355500"),
    // call A with B wei, and keep whether it worked in slot 7
    ("payer", "600080808060203560003562ffffff f1600755"),
    // selfdestruct(A)
    ("mortal", "600035ff"),
    // slot[A] = extcodehash(B)
    ("hash", "6020353f60003555"),
    // slot[A] = 1, then revert
    ("sorry", "6001600035556000 6000fd"),
    // slot[A] = balance(coinbase)
    ("greedy", "413160003555"),
    // slot[A] = create2(B wei, code that pays whoever calls it and dies: `33ff`, salt A)
    ("maker", "6133ff6000526000356002601e6000f56000355500"),
    // slot[A] = create(0 wei, nothing)
    ("founder", "600060006000f060003555"),
    // burn gas until A is nothing left
    ("sink", "5b600056"),
];

fn contract(index: usize) -> Address {
    Address::with_last_byte(0xa0 + index as u8)
}

fn person(index: u8) -> Address {
    Address::repeat_byte(0x10 + index)
}

/// What the creator at `contract(7)` makes with this salt.
fn made(salt: u8) -> Address {
    // The code that runs first is two bytes: it dies at once, so the account has no code unless it dies differently.
    contract(7).create2_from_code(U256::from(salt).to_be_bytes::<32>(), [0x33, 0xff])
}

fn world() -> MemoryState {
    let mut state = MemoryState::default();
    for index in 0..12 {
        // The last ones are poor: they depend on what others pay.
        let wei = if index < 8 { 10_u64.pow(18) } else { 0 };
        state.insert(person(index), 0, U256::from(wei), Bytes::new());
    }
    for (index, (_, code)) in CONTRACTS.iter().enumerate() {
        let code: Bytes = alloy_primitives::hex::decode(code.replace(' ', "")).unwrap().into();
        state.insert(contract(index), 1, U256::from(1_000_000), code);
        state.set_storage(contract(index), U256::from(3), U256::from(index));
    }
    // The contracts that a block calls at its end answer nothing.
    for address in ["00000961ef480eb55e80d19ad83579a64c007002", "0000bbddc7ce488642fb579f8b00f3a590007251"] {
        state.insert(address.parse().unwrap(), 1, U256::ZERO, Bytes::from_static(&[0]));
    }
    state
}

/// One transaction before its nonce is known.
#[derive(Clone, Debug)]
struct Wish {
    sender: u8,
    to: To,
    value: u64,
    words: [u64; 2],
    gas: u64,
    tip: u128,
}

#[derive(Clone, Debug)]
enum To {
    Person(u8),
    Contract(usize),
    Made(u8),
    Miner,
    Fresh(u8),
    Create,
}

fn address_of(word: u64) -> Address {
    match word % 5 {
        0 => person((word / 5 % 12) as u8),
        1 => contract((word / 5 % 10) as usize),
        2 => MINER,
        3 => made((word / 5 % 3) as u8),
        _ => Address::repeat_byte(0x70 + (word / 5 % 4) as u8),
    }
}

fn wish() -> impl Strategy<Value = Wish> {
    let to = prop_oneof![
        4 => (0..12u8).prop_map(To::Person),
        8 => (0..9usize).prop_map(To::Contract),
        1 => Just(To::Contract(9)),
        1 => (0..3u8).prop_map(To::Made),
        1 => Just(To::Miner),
        1 => (0..4u8).prop_map(To::Fresh),
        1 => Just(To::Create),
    ];
    let value = prop_oneof![3 => Just(0u64), 2 => 0..1_000u64, 1 => Just(10_u64.pow(15))];
    let gas = prop_oneof![6 => Just(200_000u64), 1 => 53_000..60_000u64];
    let tip = prop_oneof![3 => Just(0u128), 3 => 1..9u128];
    (0..10u8, to, value, [0..20u64, 0..60u64], gas, tip).prop_map(|(sender, to, value, words, gas, tip)| Wish {
        sender,
        to,
        value,
        words,
        gas,
        tip,
    })
}

/// A block of those wishes that can come true, one after the other; and one more that can't, where asked.
fn transactions(fork: Fork, wishes: &[Wish], spoil: bool, state: &MemoryState) -> Vec<Recovered> {
    let (rules, env) = (ChainSpec::at(1, fork).rules(5, 60), env(fork));
    let mut nonces = [0u64; 16];
    let mut builder = BlockBuilder::new(&rules, &env, state, Mode::default()).unwrap();
    let mut accepted = Vec::new();
    for wish in wishes {
        let tx = signed(fork, wish, nonces[wish.sender as usize]);
        if builder.push(&tx).is_ok() {
            nonces[wish.sender as usize] += 1;
            accepted.push(tx);
        } else if spoil {
            accepted.push(tx);
            break;
        }
    }
    accepted
}

/// By nobody: executors are given senders.
fn signed(fork: Fork, wish: &Wish, nonce: u64) -> Recovered {
    let to = match wish.to {
        To::Person(index) => TxKind::Call(person(index)),
        To::Contract(index) => TxKind::Call(contract(index)),
        To::Made(salt) => TxKind::Call(made(salt)),
        To::Miner => TxKind::Call(MINER),
        To::Fresh(index) => TxKind::Call(Address::repeat_byte(0x70 + index)),
        To::Create => TxKind::Create,
    };
    // Of those contracts that take an address: payer and mortal as the first word, balance and hash as the second.
    let small = |word: u64| U256::from(word % 6);
    let account = |word: u64| address_of(word).into_word().into();
    let words: [U256; 2] = match wish.to {
        To::Contract(1 | 4) => [small(wish.words[0]), account(wish.words[1])],
        To::Contract(2 | 3) => [account(wish.words[1]), small(wish.words[0])],
        _ => [small(wish.words[0]), small(wish.words[1])],
    };
    let input = match wish.to {
        To::Contract(_) => words.iter().flat_map(U256::to_be_bytes::<32>).collect(),
        // 6001600055: slot 0 is 1.
        To::Create => vec![0x60, 1, 0x60, 0, 0x55],
        _ => Vec::new(),
    };
    let tx = TxEip1559 {
        chain_id: 1,
        nonce,
        gas_limit: wish.gas,
        max_fee_per_gas: 100,
        max_priority_fee_per_gas: wish.tip,
        to,
        value: U256::from(wish.value),
        input: input.into(),
        ..TxEip1559::default()
    };
    let transaction = if fork >= Fork::London && nonce.is_multiple_of(3) {
        Transaction::from_parts(tx, Signature::test_signature())
    } else {
        let legacy = types::tx::TxLegacy {
            chain_id: Some(1),
            nonce,
            gas_price: 100,
            gas_limit: tx.gas_limit,
            to: tx.to,
            value: tx.value,
            input: tx.input,
        };
        Transaction::from_parts(legacy, Signature::test_signature())
    };
    Recovered::new(transaction, person(wish.sender))
}

fn env(fork: Fork) -> BlockEnv {
    BlockEnv {
        number: 5,
        timestamp: 60,
        beneficiary: MINER,
        gas_limit: 1_000_000_000,
        base_fee: (fork >= Fork::London).then_some(7),
        excess_blob_gas: (fork >= Fork::Cancun).then_some(0),
        ..BlockEnv::default()
    }
}

/// What each thread count gives, compared with the sequential answer.
fn compare(
    fork: Fork,
    transactions: &[Recovered],
    state: &MemoryState,
    env: &BlockEnv,
) -> Result<Vec<Report>, TestCaseError> {
    let rules = ChainSpec::at(1, fork).rules(5, 60);
    let withdrawals =
        [Withdrawal { index: 0, validator_index: 0, address: person(3), amount: 5 }, Withdrawal::default()];
    let withdrawals = if fork >= Fork::Shanghai { &withdrawals[..] } else { &[] };
    let expected = execute(&rules, env, transactions, withdrawals, state, Mode::default());
    let mut reports = Vec::new();
    for threads in [1, 2, 3, 8] {
        let (guessing, shuffled) =
            (Executor::new(Parallel::On, Some(threads)), Executor::shuffled(threads, transactions.len() as u64));
        // Twice: the second time it has learned.
        for executor in [&guessing, &guessing, &shuffled] {
            let result = executor.execute(&rules, env, transactions, withdrawals, state, Mode::default());
            match (&expected, result) {
                (Ok(expected), Ok((outcome, report))) => {
                    let pairs = expected.diff.accounts.iter().zip(&outcome.diff.accounts);
                    let first =
                        pairs.filter(|(expected, actual)| expected != actual).map(|pair| format!("{pair:#?}")).next();
                    prop_assert_eq!(first, None, "{} threads, {:?}", threads, fork);
                    prop_assert_eq!(expected, &outcome, "{} threads, {:?}", threads, fork);
                    reports.push(report);
                }
                (Err(expected), Err(error)) => prop_assert_eq!(expected, &error),
                (expected, result) => prop_assert!(false, "{:?} is not {:?}", result, expected),
            }
        }
    }
    Ok(reports)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn random_blocks_over_hot_accounts_come_out_as_in_sequence(
        wishes in prop::collection::vec(wish(), 1..120),
        fork in prop::sample::select(&FORKS[..]),
        spoil: bool,
    ) {
        let state = world();
        compare(fork, &transactions(fork, &wishes, spoil, &state), &state, &env(fork))?;
    }
}

#[test]
fn random_blocks_are_no_easy_ones() {
    let mut runner = TestRunner::deterministic();
    let mut sum = Report::default();
    for fork in FORKS {
        let wishes = prop::collection::vec(wish(), 100..101).new_tree(&mut runner).unwrap().current();
        let state = world();
        let transactions = transactions(fork, &wishes, false, &state);
        assert!(transactions.len() > 70, "{} of 100 wishes came true", transactions.len());
        for report in compare(fork, &transactions, &state, &env(fork)).unwrap() {
            sum.parallel += report.parallel;
            sum.sequential += report.sequential;
            sum.again += report.again;
        }
    }
    assert!(sum.parallel > 0 && sum.sequential > 0 && sum.again > 0, "{sum:?}");
}

//! The parallel executor's answer is the sequential executor's, whatever the block.

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use evm::{BlockEnv, ChainSpec, Fork};
use execlayer_exec::{
    BlockBuilder, ExecError, Executor, Mode, Parallel, execute,
    parallel::{Growing, Report, conflicts},
};
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use state::{MemoryState, View, ViewError};
use types::{
    Account, Address, Authorization, B256, Bytes, Key, Recovered, Signature, Transaction, TxKind, U256, Withdrawal,
    tx::{TxEip1559, TxEip7702},
};

const MINER: Address = Address::repeat_byte(0xcc);
const FORKS: [Fork; 7] =
    [Fork::Byzantium, Fork::Istanbul, Fork::Berlin, Fork::London, Fork::Shanghai, Fork::Cancun, Fork::Osaka];

/// Contracts that look at and change what their call data says, by address. Words of call data: A is the first, B the
/// second.
const CONTRACTS: [(&str, &str); 11] = [
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
    // slot[A] = create2(0 wei, code that pays whoever calls it and dies (`33ff`), salt A)
    ("maker", "6a6133ff6000526002601ef3600052600035600b60156000f56000355500"),
    // slot[A] = create(0 wei, nothing)
    ("founder", "600060006000f060003555"),
    // burn gas until A is nothing left
    ("sink", "5b600056"),
    // v = slot[A]; slot[A] = v + 1; slot[2^255 | hash(v, A) % B] += 1
    ("walker", "600035805480600101825560005260205260203560406000200660 0160ff1b178054600101905500"),
];

fn contract(index: usize) -> Address {
    Address::with_last_byte(0xa0 + index as u8)
}

fn key(index: u8) -> Key {
    Key::from_bytes(&B256::repeat_byte(0x10 + index)).unwrap()
}

fn person(index: u8) -> Address {
    static ADDRESSES: LazyLock<Vec<Address>> = LazyLock::new(|| (0..12).map(|index| key(index).address()).collect());
    ADDRESSES[index as usize]
}

/// What the contract "maker" makes with this salt.
fn made(salt: u8) -> Address {
    let code = alloy_primitives::hex!("6133ff6000526002601ef3");
    contract(7).create2_from_code(U256::from(salt).to_be_bytes::<32>(), code)
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
    /// A person's account gets the code of a contract.
    Delegate(u8, usize),
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
        2 => Just(To::Contract(10)),
        1 => (0..3u8).prop_map(To::Made),
        1 => Just(To::Miner),
        1 => (0..4u8).prop_map(To::Fresh),
        1 => Just(To::Create),
        1 => (0..12u8, 0..9usize).prop_map(|(authority, contract)| To::Delegate(authority, contract)),
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
        let Some(tx) = signed(fork, wish, &nonces) else { continue };
        if builder.push(&tx).is_ok() {
            nonces[wish.sender as usize] += 1;
            if let To::Delegate(authority, _) = wish.to {
                nonces[authority as usize] += 1;
            }
            accepted.push(tx);
        } else if spoil {
            accepted.push(tx);
            break;
        }
    }
    accepted
}

/// By nobody: executors are given senders. None for what the fork does not know.
fn signed(fork: Fork, wish: &Wish, nonces: &[u64; 16]) -> Option<Recovered> {
    let nonce = nonces[wish.sender as usize];
    if let To::Delegate(authority, target) = wish.to {
        let own = u64::from(authority == wish.sender);
        let authorization =
            Authorization { chain_id: U256::ONE, address: contract(target), nonce: nonces[authority as usize] + own };
        let signature = key(authority).sign(&authorization.signature_hash());
        let tx = TxEip7702 {
            chain_id: 1,
            nonce,
            gas_limit: 150_000,
            max_fee_per_gas: 100,
            max_priority_fee_per_gas: wish.tip,
            to: person(authority),
            value: U256::from(wish.value),
            authorization_list: vec![authorization.into_signed(signature)],
            input: vec![0; 64].into(),
            ..TxEip7702::default()
        };
        let tx = Transaction::from_parts(tx, Signature::test_signature());
        return (fork >= Fork::Prague).then(|| Recovered::new(tx, person(wish.sender)));
    }
    let to = match wish.to {
        To::Person(index) => TxKind::Call(person(index)),
        To::Contract(index) => TxKind::Call(contract(index)),
        To::Made(salt) => TxKind::Call(made(salt)),
        To::Miner => TxKind::Call(MINER),
        To::Fresh(index) => TxKind::Call(Address::repeat_byte(0x70 + index)),
        To::Create => TxKind::Create,
        To::Delegate(..) => unreachable!("made above"),
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
        // Slot 0 is 1; or dies at once.
        To::Create if wish.value < 500 => vec![0x60, 1, 0x60, 0, 0x55],
        To::Create => vec![0x33, 0xff],
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
    Some(Recovered::new(transaction, person(wish.sender)))
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

    /// Lot by lot as all at once, on one core and on several; a lot that is refused leaves no trace.
    #[test]
    fn blocks_that_grow_by_lots_come_out_as_in_one(
        wishes in prop::collection::vec(wish(), 0..120),
        fork in prop::sample::select(&FORKS[..]),
        cuts in prop::collection::vec(0usize..40, 0..6),
    ) {
        let (state, env) = (world(), env(fork));
        let transactions = transactions(fork, &wishes, false, &state);
        let rules = ChainSpec::at(1, fork).rules(env.number, env.timestamp);
        let paid = [Withdrawal { index: 0, validator_index: 0, address: person(3), amount: 5 }];
        let withdrawals = if rules.has(Fork::Shanghai) { &paid[..] } else { &[] };
        let expected = execute(&rules, &env, &transactions, withdrawals, &state, Mode::default());
        for executor in [Executor::sequential(), Executor::new(Parallel::On, Some(3)), Executor::shuffled(2, 7)] {
            let mut growing = Growing::new(&executor, &rules, &env, &state);
            let mut rest = &transactions[..];
            let mut done = Ok(());
            for cut in &cuts {
                let (lot, after) = rest.split_at((*cut).min(rest.len()));
                rest = after;
                done = done.and_then(|()| growing.push(lot));
                if let Some(first) = transactions.first().filter(|_| growing.outcome().gas_used > 0) {
                    let before = growing.outcome().clone();
                    prop_assert!(growing.push(std::slice::from_ref(first)).is_err(), "it was there already");
                    prop_assert_eq!(growing.outcome(), &before);
                }
            }
            let grown = done.and_then(|()| growing.push(rest)).and_then(|()| growing.finish(withdrawals));
            prop_assert_eq!(grown.is_ok(), expected.is_ok());
            if let (Ok(grown), Ok(expected)) = (&grown, &expected) {
                prop_assert_eq!(grown, expected);
            }
        }
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
        assert!(transactions.len() > 50, "{} of 100 wishes came true", transactions.len());
        for report in compare(fork, &transactions, &state, &env(fork)).unwrap() {
            sum.parallel += report.parallel;
            sum.sequential += report.sequential;
            sum.again += report.again;
        }
    }
    assert!(sum.parallel > 0 && sum.sequential > 0 && sum.again > 0, "{sum:?}");
}

/// A call of one of [`CONTRACTS`] by a person, with nothing but the words.
fn call(sender: u8, nonce: u64, index: usize, words: [U256; 2]) -> Recovered {
    let tx = TxEip1559 {
        chain_id: 1,
        nonce,
        gas_limit: 100_000,
        max_fee_per_gas: 100,
        to: TxKind::Call(contract(index)),
        input: words.iter().flat_map(U256::to_be_bytes::<32>).collect::<Vec<u8>>().into(),
        ..TxEip1559::default()
    };
    Recovered::new(Transaction::from_parts(tx, Signature::test_signature()), person(sender))
}

#[test]
fn ten_thousand_transactions_on_one_account_come_out_as_in_sequence() {
    let mut state = world();
    for index in 0..8 {
        state.insert(person(index), 0, U256::from(10_u64.pow(18)) * U256::from(1_000), Bytes::new());
    }
    let words = |nonce: u64| [U256::from(nonce % 2), U256::ZERO];
    // The counter of one contract; and whoever is paid by everybody pays, too.
    let transactions: Vec<_> = (0..10_000u64).map(|i| call((i % 8) as u8, i / 8, 0, words(i))).collect();
    let env = BlockEnv { gas_limit: u64::MAX, ..env(Fork::Osaka) };
    for report in compare(Fork::Osaka, &transactions, &state, &env).unwrap() {
        assert_eq!(report.parallel + report.sequential, 10_000);
    }
}

/// A call of the walker by somebody who calls nothing else.
fn walk(number: u64, place: u64, range: u64) -> Recovered {
    let call = call(0, 0, 10, [U256::from(place), U256::from(range)]);
    Recovered::new(call.transaction, walker(number))
}

fn walker(number: u64) -> Address {
    Address::from_word(U256::from(u64::MAX - number).into())
}

#[test]
fn conflicts_that_move_when_they_run_again_settle_in_rounds() {
    let (mut state, env, rules) = (world(), env(Fork::Osaka), ChainSpec::at(1, Fork::Osaka).rules(5, 60));
    (0..600).for_each(|number| state.insert(walker(number), 0, U256::from(10_u64.pow(18)), Bytes::new()));
    // One in ten shares a place with another one, and finds there where to go next.
    let transactions: Vec<_> = (0..600)
        .map(|number| match number % 10 {
            0 => walk(number, number / 10 % 30, 60),
            _ => walk(number, 1_000 + number, u64::MAX),
        })
        .collect();
    let expected = execute(&rules, &env, &transactions, &[], &state, Mode::default()).unwrap();
    let mut in_rounds = 0;
    for (threads, seed) in (0..24).map(|seed| ([2, 3, 8][seed as usize % 3], seed)) {
        let executor = Executor::shuffled(threads, seed);
        let (outcome, report) = executor.execute(&rules, &env, &transactions, &[], &state, Mode::default()).unwrap();
        assert_eq!(outcome, expected, "{threads} threads, seed {seed}");
        assert!((1..=60).contains(&report.clashed), "{report:?}");
        assert_eq!(report.parallel, 600, "{report:?}");
        in_rounds += usize::from(report.again > report.clashed);
    }
    assert!(in_rounds > 12, "{in_rounds} of 24 took more than one round");
}

#[test]
fn one_chain_is_seen_before_anybody_is_woken_and_doubted_now_and_then() {
    let (mut state, env, rules) = (world(), env(Fork::Osaka), ChainSpec::at(1, Fork::Osaka).rules(5, 60));
    (0..600).for_each(|number| state.insert(walker(number), 0, U256::from(10_u64.pow(18)), Bytes::new()));
    let block = |place: fn(u64) -> u64| (0..600).map(|number| walk(number, place(number), u64::MAX)).collect();
    let (chain, apart): (Vec<_>, Vec<_>) = (block(|_| 7), block(|number| number));
    let executor = Executor::new(Parallel::Auto, Some(2));
    let run = |transactions: &[Recovered]| {
        let done = executor.execute(&rules, &env, transactions, &[], &state, Mode::default()).unwrap();
        assert_eq!(done.0, execute(&rules, &env, transactions, &[], &state, Mode::default()).unwrap());
        done.1
    };
    let first = run(&chain);
    assert_eq!((first.units, first.sequential), (1, 600), "the first few told that all hang together");
    // None asked who belongs to whom, but one.
    let looked = (0..16).filter(|_| run(&chain).units > 0).count();
    assert_eq!(looked, 1);
    // The same function of the same contract, and nothing in common any more: doubt finds out.
    assert!((0..200).any(|_| run(&apart).parallel > 0), "never found out");
}

#[test]
fn each_transaction_has_a_time_of_its_own_on_one_worker_and_on_several() {
    static LOOKS: AtomicU64 = AtomicU64::new(0);
    // Whoever looks at this clock finds that a millisecond has passed.
    let clock = || Duration::from_millis(LOOKS.fetch_add(1, Relaxed));
    let state = world();
    let rules = ChainSpec::at(1, Fork::Osaka).rules(5, 60);
    let words = |sender: u64| [U256::from(sender), U256::ZERO];
    let transactions: Vec<_> = (0..80u64).map(|i| call((i % 8) as u8, i / 8, 0, words(i % 8))).collect();
    let env = env(Fork::Osaka);
    for parallel in [Parallel::Off, Parallel::On] {
        let timed =
            |executor: Executor| executor.execute(&rules, &env, &transactions, &[], &state, Mode::default()).unwrap().1;
        let report = timed(Executor::new(parallel, Some(2)).timed_by(clock));
        // All but those that ran ahead, to learn from.
        assert!(report.times.count() as usize + 16 >= transactions.len(), "{report:?}");
        assert!(report.times.mean() >= Duration::from_millis(1) && report.times.percentile(99) >= report.times.mean());
        let roughly = Executor::new(parallel, Some(2)).timed_by(clock).timed_roughly();
        assert_eq!(timed(roughly).times.count(), 0);
    }
    let executor = Executor::new(Parallel::On, Some(2)).timed_by(clock);
    let mut growing = Growing::new(&executor, &rules, &env, &state);
    transactions.chunks(40).for_each(|lot| growing.push(lot).unwrap());
    assert!(growing.report().times.count() as usize + 32 >= transactions.len());
}

#[test]
fn what_somebody_pays_can_be_spent_by_the_next() {
    // A poor person's transaction stands right behind the one that pays for it, through a contract.
    let mut transactions = Vec::new();
    for poor in 8..12u8 {
        let rich = poor - 8;
        let wish =
            Wish { sender: rich, to: To::Contract(2), value: 10_u64.pow(16), words: [0, 0], gas: 200_000, tip: 0 };
        let Some(mut payment) = signed(Fork::Osaka, &wish, &[0; 16]) else { panic!("every fork knows calls") };
        let words: [U256; 2] = [person(poor).into_word().into(), U256::from(10_u64.pow(16))];
        payment = Recovered::new(
            Transaction::from_parts(
                TxEip1559 {
                    chain_id: 1,
                    gas_limit: 200_000,
                    max_fee_per_gas: 100,
                    to: payment.transaction.to(),
                    value: payment.transaction.value(),
                    input: words.iter().flat_map(U256::to_be_bytes::<32>).collect::<Vec<u8>>().into(),
                    ..TxEip1559::default()
                },
                Signature::test_signature(),
            ),
            payment.sender,
        );
        transactions.push(payment);
        transactions.push(call(poor, 0, 0, [U256::from(poor), U256::ZERO]));
    }
    let state = world();
    let rules = ChainSpec::at(1, Fork::Osaka).rules(5, 60);
    let env = env(Fork::Osaka);
    execute(&rules, &env, &transactions, &[], &state, Mode::default()).expect("a valid block");
    let reports = compare(Fork::Osaka, &transactions, &state, &env).unwrap();
    // Dealt out at random those who spend come before they are paid, are refused, and run again.
    assert!(reports.iter().any(|report| report.again > 0 && report.parallel == 8), "{reports:?}");
}

/// A state that makes whoever reads one account panic.
struct Trap(MemoryState);

impl View for Trap {
    fn account(&self, address: &Address) -> Result<Option<Account>, ViewError> {
        assert_ne!(*address, contract(4), "trodden on");
        self.0.account(address)
    }
    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, ViewError> {
        self.0.storage(address, slot)
    }
    fn code(&self, hash: &B256) -> Result<Bytes, ViewError> {
        self.0.code(hash)
    }
    fn block_hash(&self, number: u64) -> Result<B256, ViewError> {
        self.0.block_hash(number)
    }
    fn slots(&self, address: &Address) -> Result<Vec<(U256, U256)>, ViewError> {
        self.0.slots(address)
    }
}

#[test]
fn a_panic_in_a_worker_names_the_first_transaction_that_had_one() {
    let trap = Trap(world());
    let rules = ChainSpec::at(1, Fork::Osaka).rules(5, 60);
    let mut transactions: Vec<_> =
        (0..6u8).map(|sender| call(sender, 0, 0, [U256::from(sender), U256::ZERO])).collect();
    transactions[3] = call(3, 0, 4, [U256::ZERO; 2]);
    transactions[5] = call(5, 0, 4, [U256::ZERO; 2]);
    let executor = Executor::shuffled(2, 7);
    let result = executor.execute(&rules, &env(Fork::Osaka), &transactions, &[], &trap, Mode::default());
    let Err(ExecError::Panicked { index: 3, message }) = result else { panic!("{result:?}") };
    assert!(message.contains("trodden on"), "{message}");
    // The workers are none the worse for it.
    transactions.truncate(3);
    executor.execute(&rules, &env(Fork::Osaka), &transactions, &[], &trap, Mode::default()).expect("nobody reads it");
}

#[test]
fn conflicts_name_the_hot_places_and_what_workers_could_do() {
    let rules = ChainSpec::at(1, Fork::Osaka).rules(5, 60);
    // Four count in one slot, one after the other; four more each in their own.
    let transactions: Vec<_> = (0..8u8)
        .map(|sender| call(sender, 0, 0, [U256::from(if sender < 4 { 0 } else { sender }), U256::ZERO]))
        .collect();
    let (outcome, conflicts) = conflicts(&rules, &env(Fork::Osaka), &transactions, &[], &world()).unwrap();
    assert_eq!(outcome, execute(&rules, &env(Fork::Osaka), &transactions, &[], &world(), Mode::default()).unwrap());
    let [(place, 3)] = conflicts.hot[..] else { panic!("{:?}", conflicts.hot) };
    assert_eq!((place.address, place.slot), (contract(0), Some(U256::ZERO)));
    assert_eq!(conflicts.waiting, 3);
    assert_eq!(conflicts.gas, outcome.gas_used);
    assert_eq!(conflicts.time(1), conflicts.gas);
    assert_eq!(conflicts.time(64), conflicts.critical_path);
    assert_eq!(conflicts.time_at(64, &[5, 5, 5, 5, 1, 1, 1, 30]), 30);
    assert_eq!(conflicts.time_at(64, &[5, 5, 5, 5, 1, 1, 1, 1]), 20);
    assert_eq!(conflicts.time_at(2, &[5, 5, 5, 5, 1, 1, 1, 1]), 20);
    assert!(conflicts.speedup(2) > 1.6 && conflicts.speedup(64) < 2.5, "{conflicts:?}");
}

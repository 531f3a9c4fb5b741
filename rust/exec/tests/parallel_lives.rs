//! Contracts that come and go within a block, in parallel as in sequence: CREATE2 onto the same address again and again,
//! deaths in between, reads of whether somebody is there, storage of earlier lives. Other parallel executors have gone
//! wrong here.

use evm::{BlockEnv, ChainSpec, Fork};
use execlayer_exec::{
    ExecError, Executor, Mode, Parallel, execute,
    parallel::{Difference, Report},
};
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use state::{MemoryState, View, ViewError};
use std::sync::atomic::{AtomicUsize, Ordering};
use types::{Account, Address, B256, Bytes, Recovered, Signature, Transaction, TxKind, U256, keccak256, tx::TxEip1559};

const FACTORY: Address = Address::repeat_byte(0xfa);
const WATCHER: Address = Address::repeat_byte(0xaa);
const FORKS: [Fork; 5] = [Fork::Petersburg, Fork::Berlin, Fork::London, Fork::Shanghai, Fork::Osaka];
const SALTS: u8 = 3;
const PEOPLE: u8 = 8;

/// Without call data it counts in slot 0 and keeps what it was paid; with a word it dies and leaves all to that address.
/// `CALLDATASIZE JUMPI(die); SLOAD(0) + 1 SSTORE(0); STOP; die: SELFDESTRUCT(word)`
const MORTAL: &str = "36600e57600054600101600055005b600035ff";

/// CREATE2 of the mortal with the salt of the first word and all the value that came; where the second word is not zero,
/// it is called with itself as call data at once: it dies in the transaction that made it.
fn factory() -> Bytes {
    let init = init_code();
    let mut code = Vec::new();
    // The init code to memory 0.
    for (index, chunk) in init.chunks(32).enumerate() {
        let mut word = [0; 32];
        word[..chunk.len()].copy_from_slice(chunk);
        code.push(0x7f);
        code.extend(word);
        code.extend([0x60, 32 * index as u8, 0x52]);
    }
    // CALLDATALOAD(0); length; 0; CALLVALUE; CREATE2
    code.extend([0x60, 0, 0x35, 0x60, init.len() as u8, 0x60, 0, 0x34, 0xf5]);
    // SSTORE(salt, address)
    code.extend([0x80, 0x60, 0, 0x35, 0x55]);
    // If CALLDATALOAD(32) is zero: stop.
    code.extend([0x60, 32, 0x35, 0x15]);
    let end = code.len() + 3 + 20;
    code.extend([0x60, end as u8, 0x57]);
    // MSTORE(0, CALLDATALOAD(32)); CALL(gas, address, 0, 0, 32, 0, 0)
    code.extend([0x60, 32, 0x35, 0x60, 0, 0x52]);
    code.extend([0x60, 0, 0x60, 0, 0x60, 32, 0x60, 0, 0x60, 0, 0x85, 0x5a, 0xf1, 0x50]);
    while code.len() < end {
        code.push(0x5b);
    }
    code.extend([0x5b, 0x00]);
    code.into()
}

/// Writes 7 to slot 1 and returns the mortal's code.
fn init_code() -> Vec<u8> {
    let mortal = alloy_primitives::hex::decode(MORTAL).expect("hex");
    let mut code = vec![0x60, 7, 0x60, 1, 0x55];
    let begin = code.len() as u8 + 12;
    code.extend([0x60, mortal.len() as u8, 0x60, begin, 0x60, 0, 0x39]);
    code.extend([0x60, mortal.len() as u8, 0x60, 0, 0xf3]);
    code.extend(mortal);
    code
}

/// Keeps hash of code, size of code and balance of the address in the first word, in slots from that word on.
const WATCHES: &str = "600035 80 3f 81 55 80 3b 81 600101 55 80 31 81 600201 55 00";

fn child(salt: u8) -> Address {
    FACTORY.create2(B256::from(U256::from(salt)), keccak256(init_code()))
}

fn person(index: u8) -> Address {
    Address::repeat_byte(0x10 + index)
}

/// `lived`: children that are there before the block, with storage.
fn world(lived: u8) -> MemoryState {
    let mut state = MemoryState::default();
    for index in 0..PEOPLE {
        state.insert(person(index), 0, U256::from(10_u64.pow(18)), Bytes::new());
    }
    state.insert(FACTORY, 1, U256::ZERO, factory());
    let watches = alloy_primitives::hex::decode(WATCHES.replace(' ', "")).expect("hex");
    state.insert(WATCHER, 1, U256::ZERO, watches.into());
    let mortal: Bytes = alloy_primitives::hex::decode(MORTAL).expect("hex").into();
    for salt in (0..SALTS).filter(|salt| lived >> salt & 1 == 1) {
        state.insert(child(salt), 1, U256::from(1_000), mortal.clone());
        state.set_storage(child(salt), U256::ZERO, U256::from(5));
        state.set_storage(child(salt), U256::from(9), U256::from(9));
    }
    for address in ["00000961ef480eb55e80d19ad83579a64c007002", "0000bbddc7ce488642fb579f8b00f3a590007251"] {
        state.insert(address.parse().expect("an address"), 1, U256::ZERO, Bytes::from_static(&[0]));
    }
    state
}

#[derive(Clone, Debug)]
enum Step {
    /// Makes a child; it dies at once where asked, and leaves all to the next child.
    Make { salt: u8, dies: bool, wei: u64 },
    /// A child dies, for the good of somebody: a person, another child, or itself.
    Kill { salt: u8, heir: u8 },
    /// A child counts, and is paid.
    Count { salt: u8, wei: u64 },
    /// Somebody looks whether a child is there.
    Watch { salt: u8 },
    /// Somebody pays a child, there or not.
    Pay { salt: u8, wei: u64 },
}

fn step() -> impl Strategy<Value = (u8, Step)> {
    let salt = || 0..SALTS;
    let wei = || prop_oneof![Just(0_u64), 1..1_000_u64];
    let step = prop_oneof![
        3 => (salt(), any::<bool>(), wei()).prop_map(|(salt, dies, wei)| Step::Make { salt, dies, wei }),
        3 => (salt(), 0..8_u8).prop_map(|(salt, heir)| Step::Kill { salt, heir }),
        3 => (salt(), wei()).prop_map(|(salt, wei)| Step::Count { salt, wei }),
        2 => salt().prop_map(|salt| Step::Watch { salt }),
        1 => (salt(), wei()).prop_map(|(salt, wei)| Step::Pay { salt, wei }),
    ];
    (0..PEOPLE, step)
}

fn signed(steps: &[(u8, Step)]) -> Vec<Recovered> {
    let mut nonces = [0; PEOPLE as usize];
    let word = |address: Address| address.into_word().to_vec();
    let number = |salt: u8| U256::from(salt).to_be_bytes::<32>().to_vec();
    let sign = |(sender, step): &(u8, Step)| {
        let (to, value, input) = match step {
            Step::Make { salt, dies, wei } => {
                let heir = if *dies { word(child((salt + 1) % SALTS)) } else { vec![0; 32] };
                (FACTORY, *wei, [number(*salt), heir].concat())
            }
            Step::Kill { salt, heir } => {
                let heir = if *heir < 4 { person(*heir) } else { child((heir + salt) % SALTS) };
                (child(*salt), 0, word(heir))
            }
            Step::Count { salt, wei } => (child(*salt), *wei, Vec::new()),
            Step::Watch { salt } => (WATCHER, 0, word(child(*salt))),
            Step::Pay { salt, wei } => (child(*salt), *wei, Vec::new()),
        };
        let nonce = &mut nonces[*sender as usize];
        let tx = types::tx::TxLegacy {
            chain_id: Some(1),
            nonce: *nonce,
            gas_price: 100,
            gas_limit: 300_000,
            to: TxKind::Call(to),
            value: U256::from(value),
            input: input.into(),
        };
        *nonce += 1;
        Recovered::new(Transaction::from_parts(tx, Signature::test_signature()), person(*sender))
    };
    steps.iter().map(sign).collect()
}

fn env(fork: Fork) -> BlockEnv {
    BlockEnv {
        number: 5,
        timestamp: 60,
        beneficiary: Address::repeat_byte(0xcc),
        gas_limit: 1_000_000_000,
        base_fee: (fork >= Fork::London).then_some(7),
        excess_blob_gas: (fork >= Fork::Cancun).then_some(0),
        ..BlockEnv::default()
    }
}

fn compare(fork: Fork, steps: &[(u8, Step)], lived: u8) -> Result<Report, TestCaseError> {
    let (state, transactions) = (world(lived), signed(steps));
    let (rules, env) = (ChainSpec::at(1, fork).rules(5, 60), env(fork));
    let expected = execute(&rules, &env, &transactions, &[], &state, Mode::default()).expect("valid transactions");
    let mut sum = Report::default();
    for threads in [1, 2, 3, 8] {
        let seed = u64::from(lived) + steps.len() as u64;
        let executors = [Executor::new(Parallel::On, Some(threads)), Executor::shuffled(threads, seed)];
        for executor in executors.map(|executor| executor.verifying(true)) {
            let done = executor.execute(&rules, &env, &transactions, &[], &state, Mode::default());
            let (outcome, report) = done.map_err(|error| TestCaseError::fail(format!("{threads} threads: {error}")))?;
            prop_assert_eq!(&outcome, &expected, "{} threads, {:?}", threads, fork);
            sum.parallel += report.parallel;
            sum.again += report.again;
        }
    }
    Ok(sum)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn contracts_that_come_and_go_do_so_as_in_sequence(
        steps in prop::collection::vec(step(), 1..60),
        fork in prop::sample::select(&FORKS[..]),
        lived in 0..1_u8 << SALTS,
    ) {
        compare(fork, &steps, lived)?;
    }
}

#[test]
fn the_sequences_have_lives_and_deaths_in_them() {
    let mut runner = TestRunner::deterministic();
    let steps = prop::collection::vec(step(), 200..201).new_tree(&mut runner).expect("steps").current();
    let (rules, env) = (ChainSpec::at(1, Fork::London).rules(5, 60), env(Fork::London));
    let mode = Mode { diffs: true, ..Mode::default() };
    let outcome = execute(&rules, &env, &signed(&steps), &[], &world(1), mode).expect("valid transactions");
    let (mut born, mut died) = (0, 0);
    for diff in &outcome.diffs {
        for salt in 0..SALTS {
            let Some(change) = diff.account(&child(salt)) else { continue };
            let has_code = |account: Option<Account>| account.is_some_and(|account| account.has_code());
            born += usize::from(!has_code(change.before) && has_code(change.after));
            died += usize::from(has_code(change.before) && !has_code(change.after));
        }
    }
    assert!(born > 10 && died > 10, "{born} born, {died} died");
    let report = compare(Fork::London, &steps, 1).expect("as in sequence");
    assert!(report.parallel > 0 && report.again > 0, "{report:?}");
}

/// A state in which the watcher's storage says something else each time it is read.
struct Fickle(MemoryState, AtomicUsize);

impl View for Fickle {
    fn account(&self, address: &Address) -> Result<Option<Account>, ViewError> {
        self.0.account(address)
    }
    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, ViewError> {
        let read = if *address == child(0) { self.1.fetch_add(1, Ordering::Relaxed) } else { 0 };
        Ok(self.0.storage(address, slot)? + U256::from(read))
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
fn a_difference_names_transaction_and_field() {
    let steps =
        [(0, Step::Pay { salt: 1, wei: 1 }), (1, Step::Count { salt: 0, wei: 0 }), (2, Step::Pay { salt: 2, wei: 1 })];
    let (rules, env) = (ChainSpec::at(1, Fork::Osaka).rules(5, 60), env(Fork::Osaka));
    let fickle = || Fickle(world(1), AtomicUsize::new(0));
    let (transactions, mode) = (signed(&steps), Mode::default());
    let executor = Executor::new(Parallel::On, Some(2));
    executor.execute(&rules, &env, &transactions, &[], &fickle(), mode).expect("nobody compares");
    let result = executor.verifying(true).execute(&rules, &env, &transactions, &[], &fickle(), mode);
    let Err(ExecError::Diverged(difference)) = result else { panic!("{result:?}") };
    let Difference { transaction, field, parallel, sequential } = *difference;
    assert_eq!((transaction, parallel.as_str(), sequential.as_str()), (Some(1), "0x6", "0x7"));
    assert_eq!(field, format!("slot 0x0 of {}", child(0)));
}

#[test]
fn a_recipient_with_code_makes_a_block_of_payments_an_ordinary_one() {
    // Payments whose recipients have no code need no footprints; the last one runs code that reads what others wrote.
    let (rules, env) = (ChainSpec::at(1, Fork::Osaka).rules(5, 60), env(Fork::Osaka));
    let pay = |sender: u8, to: Address, wei: u64| {
        let tx = TxEip1559 {
            chain_id: 1,
            gas_limit: 100_000,
            max_fee_per_gas: 100,
            to: TxKind::Call(to),
            value: U256::from(wei),
            ..TxEip1559::default()
        };
        Recovered::new(Transaction::from_parts(tx, Signature::test_signature()), person(sender))
    };
    let shop = Address::repeat_byte(0x77);
    for last in [shop, child(0), person(0), env.beneficiary] {
        let mut transactions: Vec<_> = (0..PEOPLE - 1).map(|sender| pay(sender, shop, 5)).collect();
        transactions.push(pay(PEOPLE - 1, last, 3));
        let state = world(1);
        let expected = execute(&rules, &env, &transactions, &[], &state, Mode::default()).expect("a valid block");
        for threads in [1, 2, 3, 8] {
            let executor = Executor::new(Parallel::On, Some(threads));
            let done = executor.execute(&rules, &env, &transactions, &[], &state, Mode::default());
            let (outcome, report) = done.expect("a valid block");
            assert_eq!((&outcome, report.again), (&expected, 0), "{threads} threads, {last}");
        }
    }
}

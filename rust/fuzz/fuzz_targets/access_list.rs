//! A block access list of whatever bytes the fuzzer finds: what decodes encodes to the same bytes, and a block that is
//! executed by what it says comes out as in sequence. Nothing panics.
//!
//! The block is always the same: people who count in a contract's slots and pay each other. The fuzzer tells what they
//! write, and how many threads believe it.

#![no_main]

use std::sync::LazyLock;

use evm::{BlockEnv, ChainSpec, Fork, Rules};
use exec::{BlockOutcome, Executor, Mode, Parallel, execute, parallel::access_list_of};
use libfuzzer_sys::fuzz_target;
use state::MemoryState;
use types::{Address, Bytes, Recovered, Signature, Transaction, TxKind, U256, rlp, tx::TxLegacy};

const COUNTER: Address = Address::repeat_byte(0xc0);
/// slot[word] += slot[0] + 1
const CODE: [u8; 15] = [0x60, 0, 0x54, 0x60, 1, 1, 0x60, 0, 0x35, 0x54, 1, 0x60, 0, 0x35, 0x55];
const PEOPLE: u8 = 12;

fn person(index: u8) -> Address {
    Address::repeat_byte(0x10 + index)
}

struct Case {
    rules: Rules,
    env: BlockEnv,
    world: MemoryState,
    transactions: Vec<Recovered>,
    expected: BlockOutcome,
}

static CASE: LazyLock<Case> = LazyLock::new(|| {
    let mut world = MemoryState::default();
    world.insert(COUNTER, 1, U256::ZERO, Bytes::from_static(&CODE));
    (0..PEOPLE).for_each(|index| world.insert(person(index), 0, U256::MAX >> 64, Bytes::new()));
    let signed = |index: u8| {
        let (to, input) = match index % 3 {
            0 => (person(index / 3), Vec::new()),
            _ => (COUNTER, U256::from(index % 5).to_be_bytes_vec()),
        };
        let nonce = u64::from(index / PEOPLE);
        let to = TxKind::Call(to);
        let tx = TxLegacy { nonce, gas_limit: 100_000, to, input: input.into(), ..TxLegacy::default() };
        Recovered::new(Transaction::from_parts(tx, Signature::test_signature()), person(index % PEOPLE))
    };
    let rules = ChainSpec::at(1, Fork::Shanghai).rules(1, 1);
    let env = BlockEnv { gas_limit: 1 << 40, ..BlockEnv::default() };
    let transactions: Vec<_> = (0..3 * PEOPLE).map(signed).collect();
    let expected = execute(&rules, &env, &transactions, &[], &world, Mode::default()).expect("a valid block");
    Case { rules, env, world, transactions, expected }
});

fuzz_target!(|data: &[u8]| {
    let [threads, bytes @ ..] = data else { return };
    let Ok(list) = access_list_of(bytes) else { return };
    assert_eq!(rlp::encode(&list), bytes);
    let Case { rules, env, world, transactions, expected } = &*CASE;
    let executor = Executor::new(Parallel::On, Some(1 + usize::from(threads % 4))).told(list);
    let (outcome, _) = executor.execute(rules, env, transactions, &[], world, Mode::default()).expect("a valid block");
    assert!(outcome == *expected, "a list changed the outcome");
});

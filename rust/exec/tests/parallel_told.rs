//! A block access list is worth time when it is right, costs time when it is wrong, and changes nothing else.

use evm::{BlockEnv, ChainSpec, Fork};
use execlayer_exec::{
    Executor, Mode, Parallel, execute,
    parallel::{Report, access_list_of},
};
use proptest::{collection::vec, prelude::*, strategy::ValueTree, test_runner::TestRunner};
use state::{MemoryState, StateDiff};
use types::{
    Address, Bytes, Recovered, Signature, Transaction, TxKind, U256,
    eip7928::{
        AccountChanges, BalanceChange, BlockAccessIndex, BlockAccessList, CodeChange, NonceChange, SlotChanges,
        StorageChange,
    },
    rlp,
    tx::TxEip1559,
};

/// slot[word] += slot[0] + 1: writes one slot, reads another.
const COUNTER: &str = "600054600101600035540160003555";
/// slot[word] += 1
const PLAIN_COUNTER: &str = "600035805460010190550000000000";
const COUNTERS: u8 = 4;
const PEOPLE: u8 = 12;

fn person(index: u8) -> Address {
    Address::repeat_byte(0x10 + index)
}

fn counter(index: u8) -> Address {
    Address::repeat_byte(0xa0 + index)
}

fn world() -> MemoryState {
    let mut state = MemoryState::default();
    for index in 0..PEOPLE {
        state.insert(person(index), 0, U256::from(10_u64.pow(18)), Bytes::new());
    }
    for index in 0..COUNTERS {
        let code = if index == 0 { COUNTER } else { PLAIN_COUNTER };
        state.insert(counter(index), 1, U256::ZERO, alloy_primitives::hex::decode(code).expect("hex").into());
    }
    state
}

fn env() -> BlockEnv {
    BlockEnv {
        number: 5,
        timestamp: 60,
        beneficiary: Address::repeat_byte(0xcc),
        gas_limit: 1 << 40,
        base_fee: Some(7),
        excess_blob_gas: Some(0),
        ..BlockEnv::default()
    }
}

/// Sender, counter or (beyond those) person, and which slot.
type Step = (u8, u8, u8);

fn step() -> impl Strategy<Value = Step> {
    (0..PEOPLE, 0..COUNTERS + 3, 0..5_u8)
}

fn signed(steps: &[Step]) -> Vec<Recovered> {
    let mut nonces = [0; PEOPLE as usize];
    let sign = |&(sender, to, slot): &Step| {
        let nonce = &mut nonces[sender as usize];
        let (to, value, input) = match to {
            to if to < COUNTERS => (counter(to), 0, U256::from(slot).to_be_bytes::<32>().to_vec()),
            to => (person(to), 1, Vec::new()),
        };
        let tx = TxEip1559 {
            chain_id: 1,
            nonce: *nonce,
            gas_limit: 100_000,
            max_fee_per_gas: 100,
            max_priority_fee_per_gas: 2,
            to: TxKind::Call(to),
            value: U256::from(value),
            input: input.into(),
            ..TxEip1559::default()
        };
        *nonce += 1;
        Recovered::new(Transaction::from_parts(tx, Signature::test_signature()), person(sender))
    };
    steps.iter().map(sign).collect()
}

/// The list that diffs of transactions make.
fn list_of(diffs: &[StateDiff]) -> BlockAccessList {
    let mut list: std::collections::BTreeMap<Address, AccountChanges> = Default::default();
    for (index, diff) in (1..).zip(diffs) {
        let block_access_index = BlockAccessIndex(index);
        for (address, change) in &diff.accounts {
            let entry = list.entry(*address).or_insert_with(|| AccountChanges::new(*address));
            let (before, after) = (change.before.unwrap_or_default(), change.after.unwrap_or_default());
            if before.balance != after.balance {
                entry.balance_changes.push(BalanceChange { block_access_index, post_balance: after.balance });
            }
            if before.nonce != after.nonce {
                entry.nonce_changes.push(NonceChange { block_access_index, new_nonce: after.nonce });
            }
            if before.code_hash != after.code_hash {
                entry.code_changes.push(CodeChange { block_access_index, new_code: Bytes::new() });
            }
            for slot in &change.slots {
                let change = StorageChange { block_access_index, new_value: slot.after };
                match entry.storage_changes.iter_mut().find(|changes| changes.slot == slot.key) {
                    Some(changes) => changes.changes.push(change),
                    None => entry.storage_changes.push(SlotChanges { slot: slot.key, changes: vec![change] }),
                }
            }
        }
    }
    list.into_values().collect()
}

/// Which of two things each number of a list becomes, at random: what it is, or some other.
fn spoilt(list: &BlockAccessList, random: &[u64]) -> BlockAccessList {
    let mut random = random.iter().copied().cycle();
    let mut spoil = |index: &mut BlockAccessIndex| {
        let other = random.next().expect("some numbers");
        if other % 3 != 0 {
            *index = BlockAccessIndex(other % 100);
        }
    };
    let mut list = list.clone();
    for account in &mut list {
        account.storage_changes.iter_mut().flat_map(|slot| &mut slot.changes).for_each(|change| {
            spoil(&mut change.block_access_index);
        });
        account.balance_changes.iter_mut().for_each(|change| spoil(&mut change.block_access_index));
        account.nonce_changes.iter_mut().for_each(|change| spoil(&mut change.block_access_index));
    }
    list
}

/// Compares what executors that are told this give with the sequential answer; their figures at two threads.
fn compare(steps: &[Step], tell: impl Fn(BlockAccessList) -> BlockAccessList) -> Result<Report, TestCaseError> {
    let (rules, env, state, transactions) =
        (ChainSpec::at(1, Fork::Cancun).rules(5, 60), env(), world(), signed(steps));
    let run = |mode| execute(&rules, &env, &transactions, &[], &state, mode).expect("valid transactions");
    let list = tell(list_of(&run(Mode { diffs: true, ..Mode::default() }).diffs));
    let expected = run(Mode::default());
    let mut at_two = Report::default();
    for threads in [1, 2, 3, 8] {
        let executor = Executor::new(Parallel::On, Some(threads)).told(list.clone());
        let done = executor.execute(&rules, &env, &transactions, &[], &state, Mode::default());
        let (outcome, report) = done.map_err(|error| TestCaseError::fail(format!("{threads} threads: {error}")))?;
        prop_assert_eq!(&outcome, &expected, "{} threads", threads);
        if threads == 2 {
            at_two = report;
        }
    }
    Ok(at_two)
}

/// What a block of these steps writes.
fn list_of_block(steps: &[Step]) -> BlockAccessList {
    let (rules, state) = (ChainSpec::at(1, Fork::Cancun).rules(5, 60), world());
    let mode = Mode { diffs: true, ..Mode::default() };
    list_of(&execute(&rules, &env(), &signed(steps), &[], &state, mode).expect("valid transactions").diffs)
}

/// Bytes that are no list of anything; those of a list; and those of a list with some bytes changed, cut off or added.
fn spelling() -> impl Strategy<Value = Vec<u8>> {
    let list = || vec(step(), 1..12).prop_map(|steps| rlp::encode(list_of_block(&steps)));
    let changes = vec((any::<prop::sample::Index>(), any::<u8>()), 1..4);
    let spoilt = (list(), changes, any::<prop::sample::Index>(), 0..4_u8).prop_map(|(mut bytes, changes, cut, how)| {
        let length = bytes.len();
        changes.iter().for_each(|(place, byte)| bytes[place.index(length)] = *byte);
        match how {
            0 => bytes.truncate(cut.index(length)),
            1 => bytes.push(changes[0].1),
            _ => {}
        }
        bytes
    });
    prop_oneof![1 => vec(any::<u8>(), 0..200), 1 => list(), 6 => spoilt]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn bytes_of_any_kind_are_a_list_with_one_spelling_or_refused_and_change_no_outcome(
        bytes in spelling(),
        steps in vec(step(), 1..40),
    ) {
        if let Ok(list) = access_list_of(&bytes) {
            prop_assert_eq!(rlp::encode(&list), bytes);
            compare(&steps, |_| list.clone())?;
        }
    }
}

#[test]
fn of_the_spellings_some_are_lists_and_some_are_none() {
    let mut runner = TestRunner::deterministic();
    let spellings = vec(spelling(), 200..201).new_tree(&mut runner).expect("spellings").current();
    let read = spellings.iter().filter(|bytes| access_list_of(bytes).is_ok()).count();
    assert!((40..160).contains(&read), "{read} of 200 are lists");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_right_list_a_wrong_one_and_none_of_any_use_give_the_same(
        steps in vec(step(), 1..80),
        random in vec(any::<u64>(), 1..50),
        strangers in vec(any::<u64>(), 0..20),
    ) {
        compare(&steps, |list| list)?;
        compare(&steps, |list| spoilt(&list, &random))?;
        compare(&steps, |_| {
            let changes = strangers.iter().map(|index| StorageChange {
                block_access_index: BlockAccessIndex(*index),
                new_value: U256::ZERO,
            });
            let changes = vec![SlotChanges { slot: U256::ZERO, changes: changes.collect() }];
            vec![AccountChanges { storage_changes: changes, ..AccountChanges::new(counter(0)) }]
        })?;
    }
}

#[test]
fn a_right_list_finds_every_unit_before_anything_ran() {
    // Everybody counts once; of counters 1 to 3, in two slots each.
    let steps: Vec<Step> = (0..PEOPLE).map(|index| (index, 1 + index % 3, index / 6)).collect();
    let report = compare(&steps, |list| list).expect("as in sequence");
    assert_eq!((report.units, report.unit_max, report.again, report.parallel), (6, 2, 0, 12), "{report:?}");
    // One that says nothing leaves each transaction on its own.
    let report = compare(&steps, |_| Vec::new()).expect("as in sequence");
    assert_eq!((report.units, report.unit_max), (12, 1), "{report:?}");
}

//! Payments to one account wait for nobody, until somebody needs the sum: then it is that of those before.

use evm::{BlockEnv, ChainSpec, Fork};
use execlayer_exec::{BlockOutcome, ExecError, Executor, Mode, Parallel, execute, parallel::Report};
use state::MemoryState;
use types::{Address, B256, Bytes, Recovered, Signature, Transaction, TxKind, U256, tx::TxEip1559};

const PAYMENTS: u64 = 40;
const MINER: Address = Address::repeat_byte(0xcc);
const LOOKER: Address = Address::repeat_byte(0xaa);
const SHOP: Address = Address::repeat_byte(0x77);

fn person(number: u64) -> Address {
    Address::from_word(U256::from(u64::MAX - number).into())
}

fn transaction(sender: Address, to: Address, wei: u64, input: Bytes) -> Recovered {
    let tx = TxEip1559 {
        chain_id: 1,
        gas_limit: 200_000,
        max_fee_per_gas: 100,
        max_priority_fee_per_gas: 3,
        to: TxKind::Call(to),
        value: U256::from(wei),
        input,
        ..TxEip1559::default()
    };
    Recovered::new(Transaction::from_parts(tx, Signature::test_signature()), sender)
}

/// Somebody who needs to know what an account has got.
struct Look {
    name: &'static str,
    /// Who is paid.
    paid: Address,
    /// Code of the looker, or of whom is paid.
    code: (Address, &'static str),
    /// Who looks, and whom it calls.
    by: (Address, Address),
    value: u64,
}

fn looks() -> Vec<Look> {
    let someone = person(PAYMENTS);
    let init = [0x47, 0x60, 0x00, 0x55];
    let made = LOOKER.create2_from_code(B256::ZERO, init);
    let by_looker = |name, paid, code| Look { name, paid, code: (LOOKER, code), by: (someone, LOOKER), value: 0 };
    let by_shop = |name, code| Look { name, paid: SHOP, code: (SHOP, code), by: (someone, SHOP), value: 0 };
    let spends = |name, paid| Look { name, paid, code: (LOOKER, "00"), by: (paid, person(0)), value: 1 };
    vec![
        by_looker("BALANCE", SHOP, "6000353160005500"),
        by_looker("BALANCE of who gets the fees", MINER, "6000353160005500"),
        by_looker("EXTCODEHASH of nobody before", SHOP, "6000353f60005500"),
        by_looker("a call that would make a new account", SHOP, "6000600060006000600160003561fffff160005500"),
        // The contract that it makes keeps its own balance in slot 0.
        by_looker("CREATE2 onto it", made, "634760005560005260006004601c6000f560005500"),
        // With call data only.
        by_shop("SELFBALANCE", "3615600957476000555b00"),
        by_shop("SELFDESTRUCT", "361560075733ff5b00"),
        spends("what was got is spent", SHOP),
        spends("fees are spent", MINER),
    ]
}

fn world(look: &Look) -> MemoryState {
    let mut state = MemoryState::default();
    (0..=PAYMENTS).for_each(|number| state.insert(person(number), 0, U256::from(10_u64.pow(18)), Bytes::new()));
    let code = alloy_primitives::hex::decode(look.code.1).expect("hex");
    state.insert(look.code.0, 1, U256::from(5), code.into());
    state
}

/// Payments, with the look in front of the one with this number.
fn block(look: &Look, at: u64) -> Vec<Recovered> {
    let pay = |number| transaction(person(number), look.paid, 10_u64.pow(9), Bytes::new());
    let mut transactions: Vec<_> = (0..PAYMENTS).map(pay).collect();
    let input = if look.value == 0 { look.paid.into_word().0.into() } else { Bytes::new() };
    transactions.insert(at as usize, transaction(look.by.0, look.by.1, look.value, input));
    transactions
}

fn run(
    executor: Option<&Executor>,
    look: &Look,
    transactions: &[Recovered],
) -> Result<(BlockOutcome, Report), ExecError> {
    let env = BlockEnv {
        number: 5,
        timestamp: 60,
        beneficiary: MINER,
        gas_limit: 1 << 40,
        base_fee: Some(7),
        excess_blob_gas: Some(0),
        ..BlockEnv::default()
    };
    let (rules, state) = (ChainSpec::at(1, Fork::Shanghai).rules(5, 60), world(look));
    match executor {
        Some(executor) => executor.execute(&rules, &env, transactions, &[], &state, Mode::default()),
        None => execute(&rules, &env, transactions, &[], &state, Mode::default()).map(|done| (done, Report::default())),
    }
}

#[test]
fn whoever_needs_the_sum_of_payments_gets_that_of_those_before() {
    for look in looks() {
        let mut outcomes: Vec<Result<BlockOutcome, ExecError>> = Vec::new();
        for at in [0, PAYMENTS / 2, PAYMENTS] {
            let transactions = block(&look, at);
            let expected = run(None, &look, &transactions).map(|done| done.0);
            for threads in [1, 2, 3, 8] {
                for executor in [Executor::new(Parallel::On, Some(threads)), Executor::shuffled(threads, at + 1)] {
                    let outcome = run(Some(&executor), &look, &transactions).map(|done| done.0);
                    assert_eq!(outcome, expected, "{}, {threads} threads, at {at}", look.name);
                }
            }
            outcomes.push(expected);
        }
        // Or it would not matter.
        assert_ne!(changes(&outcomes[0]), changes(&outcomes[1]), "{} sees no difference", look.name);
    }
}

/// All that is left of an outcome, whichever order it came from; None for none.
fn changes(outcome: &Result<BlockOutcome, ExecError>) -> Option<(u64, &state::StateDiff)> {
    outcome.as_ref().ok().map(|outcome| (outcome.gas_used, &outcome.diff))
}

#[test]
fn payments_to_one_account_that_nobody_looks_at_wait_for_nobody() {
    let look = &looks()[0];
    let mut transactions = block(look, PAYMENTS);
    transactions.pop();
    let (outcome, report) =
        run(Some(&Executor::new(Parallel::On, Some(2))), look, &transactions).expect("a valid block");
    assert_eq!(outcome, run(None, look, &transactions).expect("a valid block").0);
    assert_eq!((report.units, report.unit_max, report.again), (40, 1, 0), "{report:?}");
}

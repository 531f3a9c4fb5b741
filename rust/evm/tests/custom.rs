//! Opcodes and precompiles of a chain's own: what they may do, how they fail, and that they change nothing else.

use std::sync::Arc;

use execlayer_evm::{
    BlockEnv, ChainSpec, Changes, CustomError, Executed, Fault, Fork, HaltReason, Outcome, Rejection, Rules,
    TransactError,
    precompiles::Answer,
    spec::{Cause, CustomOpcode, CustomPrecompile, Quit, Site, gas::PRICE_MAX},
    transact::{call, transact},
};
use state::{MemoryState, Overlay};
use types::{Address, Bytes, Recovered, Signature, Transaction, TxKind, U256, tx::TxEip1559};

const CALLER: Address = Address::repeat_byte(0xca);
const CONTRACT: Address = Address::repeat_byte(0xc0);
const PRECOMPILE: Address = Address::repeat_byte(0xbb);

/// A byte that no fork knows.
const BYTE: u8 = 0x0c;

fn opcode(
    gas: u64,
    inputs: u8,
    outputs: u8,
    run: impl Fn(&mut Site<'_, '_, '_, '_>, &[U256]) -> Result<Vec<U256>, Quit> + Send + Sync + 'static,
) -> CustomOpcode {
    CustomOpcode { name: "OWN".into(), gas, inputs, outputs, consensus: true, run: Arc::new(run) }
}

fn rules(changes: Changes) -> Rules {
    let mut spec = ChainSpec::at(1, Fork::Osaka);
    spec.changes = changes;
    spec.rules(1, 1)
}

fn with(opcode: CustomOpcode) -> Rules {
    rules(Changes::default().with_opcode(BYTE, opcode).unwrap())
}

fn world(code: &str) -> MemoryState {
    let mut world = MemoryState::default();
    world.insert(CALLER, 0, U256::from(10).pow(U256::from(18)), Bytes::new());
    world.insert(CONTRACT, 1, U256::ZERO, code.parse().expect("hex"));
    world
}

fn message(gas_limit: u64) -> Recovered {
    let to = TxKind::Call(CONTRACT);
    let unsigned = TxEip1559 { chain_id: 1, gas_limit, to, ..TxEip1559::default() };
    Recovered::new(Transaction::from_parts(unsigned, Signature::new(U256::ONE, U256::ONE, false)), CALLER)
}

/// Two runs, as code is analysed when it runs for the second time; they must agree.
fn run(rules: &Rules, code: &str, gas: u64) -> Result<Executed, TransactError> {
    let world = world(code);
    let block = BlockEnv { gas_limit: 30_000_000, base_fee: Some(0), ..BlockEnv::default() };
    let [first, second] = [(); 2].map(|()| {
        let mut overlay = Overlay::new(&world);
        let executed = transact(rules, &block, &message(gas), &mut overlay);
        assert!(executed.is_ok() || overlay.diff().is_empty(), "a transaction without outcome changes nothing");
        executed
    });
    assert_eq!(first, second);
    first
}

fn word(executed: &Executed) -> U256 {
    match &executed.outcome {
        Outcome::Success { output, .. } => U256::from_be_slice(output),
        other => panic!("{other:?}"),
    }
}

/// What stands behind the opcode: its word is returned.
const RETURN_TOP: &str = "5f5260205ff3";

#[test]
fn an_opcode_takes_its_words_top_first_and_leaves_its_own() {
    let rules = with(opcode(7, 2, 1, |_, words| Ok(vec![words[0] * U256::from(100) + words[1]])));
    // PUSH1 3 PUSH1 4 OWN
    let executed = run(&rules, &format!("600360040c{RETURN_TOP}"), 100_000).unwrap();
    assert_eq!(word(&executed), U256::from(403));
    // Two pushes, the opcode, PUSH0, MSTORE with a word of memory, PUSH1, PUSH0, RETURN.
    assert_eq!(executed.gas_used, 21_000 + 6 + 7 + 2 + 6 + 3 + 2);
    // The last unit of gas, and one less.
    assert!(run(&rules, &format!("600360040c{RETURN_TOP}"), executed.gas_used).unwrap().outcome.is_success());
    let short = run(&rules, &format!("600360040c{RETURN_TOP}"), executed.gas_used - 1).unwrap();
    assert_eq!(short.outcome, Outcome::Halt { reason: HaltReason::OutOfGas });
    let empty = run(&rules, "60030c", 100_000).unwrap();
    assert_eq!(empty.outcome, Outcome::Halt { reason: HaltReason::StackUnderflow });
}

#[test]
fn the_built_in_code_around_it_is_not_touched() {
    let rules = with(opcode(7, 0, 0, |_, _| Ok(vec![])));
    // A loop of 200 rounds before it, which runs analysed: PUSH1 200 JUMPDEST PUSH1 1 SWAP1 SUB DUP1 PUSH1 2 JUMPI.
    let before = "60c85b6001900380600257";
    let (with, without) = (format!("{before}0c"), before.to_owned());
    let [with, without] = [with, without].map(|code| run(&rules, &code, 100_000).unwrap().gas_used);
    assert_eq!(with, without + 7);
    // To a chain that doesn't have it, it is no opcode.
    let plain = run(&ChainSpec::at(1, Fork::Osaka).rules(1, 1), "0c", 100_000).unwrap();
    assert_eq!(plain.outcome, Outcome::Halt { reason: HaltReason::InvalidOpcode(BYTE) });
}

#[test]
fn a_site_reaches_memory_storage_and_gas() {
    let rules = with(opcode(0, 0, 1, |site, _| {
        site.charge(11)?;
        assert_eq!((site.address(), site.caller(), site.origin()), (CONTRACT, CALLER, CALLER));
        let held = site.storage(U256::ONE)?;
        site.set_storage(U256::ONE, U256::from(9))?;
        site.set_memory(U256::from(32), &[0xab])?;
        let memory = site.memory(U256::from(32), U256::ONE)?;
        Ok(vec![held + site.storage(U256::ONE)? + U256::from(memory[0])])
    }));
    let executed = run(&rules, &format!("0c{RETURN_TOP}"), 100_000).unwrap();
    assert_eq!(word(&executed), U256::from(9 + 0xab));
    assert_eq!(executed.gas_used, 21_000 + 11 + 6 + 2 + 3 + 3 + 2);
}

#[test]
fn an_opcode_cannot_write_inside_a_static_call() {
    // Called by another: calls itself, statically, and returns whether that went well. Called by itself: OWN.
    let code = format!("303314601357{}305afa{RETURN_TOP}5b0c00", "5f".repeat(4));
    let writes = with(opcode(0, 0, 0, |site, _| site.set_storage(U256::ONE, U256::ONE).map(|()| vec![])));
    let looks = with(opcode(0, 0, 0, |site, _| site.storage(U256::ONE).map(|_| vec![])));
    assert_eq!(word(&run(&writes, &code, 100_000).unwrap()), U256::ZERO);
    assert_eq!(word(&run(&looks, &code, 100_000).unwrap()), U256::ONE);
}

#[test]
fn an_opcode_may_halt_like_any_other() {
    let rules = with(opcode(0, 0, 0, |_, _| Err(HaltReason::InvalidOpcode(BYTE).into())));
    let executed = run(&rules, "0c", 50_000).unwrap();
    assert_eq!(executed.outcome, Outcome::Halt { reason: HaltReason::InvalidOpcode(BYTE) });
    assert_eq!(executed.gas_used, 50_000);
}

#[test]
fn a_failure_is_an_error_that_names_the_opcode_and_changes_nothing() {
    let fails = with(opcode(0, 0, 0, |_, _| Err(Cause::from("no luck".to_owned()).into())));
    let miscounts = with(opcode(0, 0, 2, |_, _| Ok(vec![U256::ONE])));
    // SSTORE first: it must be undone.
    for (rules, text) in
        [(fails, "opcode 0x0c OWN failed: no luck"), (miscounts, "opcode 0x0c OWN failed: it answered 1 words, not 2")]
    {
        assert!(run(&rules, "6001600155", 100_000).is_ok(), "without the opcode nothing fails");
        match run(&rules, "60016001550c", 100_000) {
            Err(TransactError::Fault(Fault::Custom(failure))) => assert_eq!(failure.to_string(), text),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn bytes_that_are_taken_and_prices_that_cannot_be_are_refused() {
    let own = || opcode(1, 0, 0, |_, _| Ok(vec![]));
    let taken = Changes::default().with_opcode(0x5f, own()).unwrap_err();
    assert_eq!(taken, CustomError::OpcodeTaken { byte: 0x5f, name: "PUSH0".into() });
    let twice = Changes::default().with_opcode(BYTE, own()).unwrap().with_opcode(BYTE, own()).unwrap_err();
    assert_eq!(twice, CustomError::OpcodeTaken { byte: BYTE, name: "OWN".into() });
    let dear = CustomOpcode { gas: PRICE_MAX + 1, ..own() };
    let dear = Changes::default().with_opcode(BYTE, dear).unwrap_err();
    assert_eq!(dear, CustomError::OpcodePrice { name: "OWN".into(), value: PRICE_MAX + 1, maximum: PRICE_MAX });
    assert!(Changes::default().with_opcode(BYTE, CustomOpcode { gas: PRICE_MAX, ..own() }).is_ok());
}

#[test]
fn a_precompile_answers_a_call_and_is_warm() {
    let precompile = |consensus| CustomPrecompile {
        name: "length".into(),
        consensus,
        run: Arc::new(|input, _| {
            let output = U256::from(input.len()).to_be_bytes_vec().into();
            match input.first() {
                Some(0xff) => Err("it begins with 0xff".to_owned().into()),
                _ => Ok(Answer::Success { gas_used: 50, output }),
            }
        }),
    };
    let rules = |consensus| rules(Changes::default().with_precompile(PRECOMPILE, precompile(consensus)));
    // STATICCALL(gas 60, input 0..3, output 0..32), MLOAD and return.
    let call = |size: &str| format!("60205f{size}5f73{}603cfa5f51{RETURN_TOP}", "bb".repeat(20));
    for consensus in [true, false] {
        let rules = rules(consensus);
        assert_eq!(rules.is_consensus(), consensus);
        let executed = run(&rules, &call("6003"), 100_000).unwrap();
        assert_eq!(word(&executed), U256::from(3));
        // Warm: 100 for the call, 50 for the answer.
        assert_eq!(executed.gas_used, 21_000 + 3 + 2 + 3 + 2 + 3 + 3 + 3 + 100 + 50 + 2 + 3 + 2 + 3 + 3 + 2);
    }
    // MSTORE8 0xff first.
    let failing = format!("60ff5f53{}", call("6003"));
    match run(&rules(true), &failing, 100_000) {
        Err(TransactError::Fault(Fault::Custom(failure))) => {
            assert!(failure.to_string().starts_with("precompile length at 0x"), "{failure}");
            assert!(failure.to_string().ends_with("failed: it begins with 0xff"), "{failure}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn changes_are_equal_where_functions_are_the_same() {
    let own = opcode(1, 0, 0, |_, _| Ok(vec![]));
    let [one, same] = [(); 2].map(|()| Changes::default().with_opcode(BYTE, own.clone()).unwrap());
    assert_eq!(one, same);
    assert_ne!(one, Changes::default().with_opcode(BYTE, opcode(1, 0, 0, |_, _| Ok(vec![]))).unwrap());
    assert_ne!(one, Changes::default());
    assert_eq!(one.instructions(Fork::Osaka), same.instructions(Fork::Osaka));
    assert_ne!(one.instructions(Fork::Osaka), Changes::default().instructions(Fork::Osaka));
}

#[test]
fn a_call_may_come_from_a_contract_and_knows_no_limit_of_transactions() {
    let world = world("33");
    let rules = ChainSpec::at(1, Fork::Osaka).rules(1, 1);
    let block = BlockEnv { gas_limit: 1_000_000, base_fee: Some(0), ..BlockEnv::default() };
    let mut sent = message(50_000_000);
    sent.sender = CONTRACT;
    let unsigned =
        TxEip1559 { chain_id: 1, nonce: 1, gas_limit: 50_000_000, to: TxKind::Call(CONTRACT), ..TxEip1559::default() };
    sent.transaction = Transaction::from_parts(unsigned, Signature::new(U256::ONE, U256::ONE, false));
    let mut overlay = Overlay::new(&world);
    let executed = call(&rules, &block, &sent, &mut overlay, None).unwrap();
    assert_eq!((executed.outcome.is_success(), executed.gas_used), (true, 21_002));
    let refused = transact(&rules, &block, &sent, &mut Overlay::new(&world)).unwrap_err();
    let expected = Rejection::BlockGasExceeded { required: 50_000_000, available: 1_000_000 };
    assert_eq!(refused, TransactError::Rejected(expected));
}

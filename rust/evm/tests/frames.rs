//! Messages and creations at the edges of their rules, fork by fork.

use execlayer_evm::{
    BlockEnv, ChainSpec, Fork, HaltReason,
    frame::{FrameResult, Kind, Machine, Message, Status, delegation, delegation_to, run},
};
use state::{MemoryState, Overlay, View};
use types::{Address, Bytes, U256};

const CALLER: Address = Address::repeat_byte(0xca);
const CONTRACT: Address = Address::repeat_byte(0xc0);
const OTHER: Address = Address::repeat_byte(0x07);

/// Runs a message at a fork; the state afterwards is the world's.
fn run_at(fork: Fork, world: &mut MemoryState, message: Message) -> FrameResult {
    let rules = ChainSpec::at(1, fork).rules(1, 1);
    let block = BlockEnv::default();
    let before = world.clone();
    let mut overlay = Overlay::new(&before);
    overlay.begin();
    let mut machine = Machine {
        rules: &rules,
        block: &block,
        overlay: &mut overlay,
        origin: CALLER,
        gas_price: U256::ZERO,
        blob_hashes: &[],
        tracer: None,
    };
    let result = run(&mut machine, message).expect("memory can be read");
    world.apply(&overlay.diff());
    result
}

fn call(gas: u64) -> Message {
    Message {
        kind: Kind::Call,
        is_static: false,
        caller: CALLER,
        target: CONTRACT,
        code_from: CONTRACT,
        value: U256::ZERO,
        input: Bytes::new(),
        gas,
    }
}

fn create(code: &str, gas: u64) -> Message {
    Message { kind: Kind::Create, input: code.parse().expect("hex"), ..call(gas) }
}

fn world(code: &str) -> MemoryState {
    let mut world = MemoryState::default();
    world.insert(CONTRACT, 1, U256::from(10), code.parse().expect("hex"));
    world
}

fn slot(world: &MemoryState, key: u64) -> u64 {
    world.storage(&CONTRACT, &U256::from(key)).expect("memory can be read").to()
}

#[test]
fn calls_nest_1024_deep_and_no_deeper() {
    // Counts in slot 0, then calls itself with all its gas but 100,000.
    let code = "600160005401600055 60006000600060006000 30 620186a05a03 f1".replace(' ', "");
    let mut world = world(&code);
    let result = run_at(Fork::Homestead, &mut world, call(1 << 40));
    assert_eq!(result.status, Status::Success);
    assert_eq!(slot(&world, 0), 1_025, "the transaction's own frame, and 1,024 within");
}

#[test]
fn before_tangerine_a_call_may_ask_for_no_more_than_there_is() {
    // CALL of OTHER with 2^24 - 1 gas; its answer goes to slot 0.
    let code = format!("60006000600060006000 73{} 62ffffff f1 600055", OTHER.to_string().trim_start_matches("0x"));
    let code = code.replace(' ', "");
    let homestead = run_at(Fork::Homestead, &mut world(&code), call(100_000));
    assert_eq!(homestead.status, Status::Halt(HaltReason::OutOfGas));
    let mut after = world(&code);
    assert_eq!(run_at(Fork::Tangerine, &mut after, call(100_000)).status, Status::Success);
    assert_eq!(slot(&after, 0), 1);
}

#[test]
fn a_revert_keeps_gas_and_says_why_a_halt_keeps_nothing() {
    // SSTORE(0, 1), then MSTORE8(0, 7) REVERT(0, 1).
    let mut after = world("6001600055600760005360016000fd");
    let result = run_at(Fork::Osaka, &mut after, call(100_000));
    assert_eq!((result.status, &result.output[..]), (Status::Revert, &[7][..]));
    assert!(result.gas_left > 0 && slot(&after, 0) == 0);
    let mut after = world("6001600055fe");
    let result = run_at(Fork::Osaka, &mut after, call(100_000));
    assert_eq!(result.status, Status::Halt(HaltReason::InvalidOpcode(0xfe)));
    assert_eq!((result.gas_left, slot(&after, 0)), (0, 0));
}

#[test]
fn nothing_changes_inside_a_static_call() {
    for code in ["6001600055", "60006000a0", "600160005d", "600060006000f0", "6000ff"] {
        let message = Message { kind: Kind::StaticCall, is_static: true, ..call(100_000) };
        let result = run_at(Fork::Osaka, &mut world(code), message);
        assert_eq!(result.status, Status::Halt(HaltReason::StaticViolation), "{code}");
    }
}

#[test]
fn frontier_makes_a_contract_without_code_where_the_deposit_is_not_paid() {
    // Returns 32 zero bytes, which cost 6,400 to keep; running takes 12.
    let code = "60206000f3";
    let (frontier, homestead) = (Fork::Frontier, Fork::Homestead);
    let mut after = MemoryState::default();
    let result = run_at(frontier, &mut after, create(code, 6_000));
    assert_eq!((result.status, result.created, result.output.len()), (Status::Success, Some(CONTRACT), 0));
    assert!(result.gas_left > 5_900 && after.accounts.contains_key(&CONTRACT));
    let result = run_at(homestead, &mut MemoryState::default(), create(code, 6_000));
    assert_eq!((result.status, result.gas_left), (Status::Halt(HaltReason::OutOfGas), 0));
    for (gas, succeeds) in [(6_409, true), (6_408, false)] {
        let result = run_at(homestead, &mut MemoryState::default(), create(code, gas));
        assert_eq!(result.status == Status::Success, succeeds, "{gas}");
    }
}

#[test]
fn code_may_be_24576_bytes_long_and_not_begin_with_0xef() {
    let sized = |size: u32| format!("63{size:08x}6000f3");
    for (fork, size, succeeds) in
        [(Fork::SpuriousDragon, 24_576, true), (Fork::SpuriousDragon, 24_577, false), (Fork::Tangerine, 24_577, true)]
    {
        let result = run_at(fork, &mut MemoryState::default(), create(&sized(size), 10_000_000));
        assert_eq!(result.status == Status::Success, succeeds, "{fork} {size}");
    }
    // MSTORE8(0, 0xef) RETURN(0, 1)
    for (fork, status) in [(Fork::Berlin, Status::Success), (Fork::London, Status::Halt(HaltReason::CodeForbidden))] {
        let result = run_at(fork, &mut MemoryState::default(), create("60ef60005360016000f3", 100_000));
        assert_eq!(result.status, status, "{fork}");
    }
}

#[test]
fn a_creation_finds_nonce_code_or_storage_in_its_way() {
    let collides = |world: &mut MemoryState| {
        let result = run_at(Fork::Osaka, world, create("00", 100_000));
        assert!(result.gas_left == 0 || result.status == Status::Success);
        result.status == Status::Halt(HaltReason::CreateCollision)
    };
    assert!(collides(&mut world("00")));
    let mut nonce = MemoryState::default();
    nonce.insert(CONTRACT, 1, U256::ZERO, Bytes::new());
    assert!(collides(&mut nonce));
    let mut storage = MemoryState::default();
    storage.insert(CONTRACT, 0, U256::from(1), Bytes::new());
    storage.set_storage(CONTRACT, U256::from(5), U256::from(6));
    assert!(collides(&mut storage));
    let mut balance = MemoryState::default();
    balance.insert(CONTRACT, 0, U256::from(1), Bytes::new());
    assert!(!collides(&mut balance));
    assert_eq!((balance.accounts[&CONTRACT].nonce, balance.accounts[&CONTRACT].balance), (1, U256::from(1)));
}

#[test]
fn delegated_code_runs_as_the_account_from_prague_on() {
    let mut before = MemoryState::default();
    before.insert(CONTRACT, 1, U256::ZERO, delegation_to(OTHER));
    before.insert(OTHER, 1, U256::ZERO, "6001600055".parse().expect("hex"));
    let mut after = before.clone();
    assert_eq!(run_at(Fork::Prague, &mut after, call(100_000)).status, Status::Success);
    assert_eq!(slot(&after, 0), 1);
    let result = run_at(Fork::Cancun, &mut before, call(100_000));
    assert_eq!(result.status, Status::Halt(HaltReason::InvalidOpcode(0xef)));
    assert_eq!(delegation(&delegation_to(OTHER)), Some(OTHER));
    assert_eq!(delegation(&[0xef, 1, 0, 7]), None);
}

#[test]
fn value_that_the_caller_lacks_costs_no_gas() {
    let message = Message { value: U256::from(1), ..call(50_000) };
    let result = run_at(Fork::Osaka, &mut world("00"), message);
    assert_eq!((result.status, result.gas_left), (Status::Halt(HaltReason::InsufficientBalance), 50_000));
}

//! The analysed form of a code must not be told from the plain loop. Code is laid out when it runs for the second time,
//! so each case runs twice with instructions of its own: first plain, then analysed.

use std::sync::Arc;

use execlayer_evm::{
    BlockEnv, ChainSpec, Fork, GasSchedule, HaltReason, Instructions,
    frame::{FrameResult, Kind, Machine, Message, Status, run},
};
use proptest::prelude::*;
use state::{EmptyAccounts, MemoryState, Overlay, StateDiff};
use types::{Address, Bytes, Log, U256};

const CONTRACT: Address = Address::repeat_byte(0xc0);
const CALLER: Address = Address::repeat_byte(0xca);

/// All that a run leaves behind.
#[derive(Debug, PartialEq)]
struct Trace {
    result: FrameResult,
    logs: Vec<Log>,
    refund: i64,
    diff: StateDiff,
}

/// The code's runs: plain, then analysed.
fn both(fork: Fork, code: &[u8], gas: u64) -> [Trace; 2] {
    let mut rules = ChainSpec::at(1, fork).rules(1, 1);
    rules.instructions = Arc::new(Instructions::new(fork, GasSchedule::of(fork).clone()));
    let block = BlockEnv { number: 1, timestamp: 1, gas_limit: 30_000_000, ..BlockEnv::default() };
    let mut world = MemoryState::default();
    world.insert(CONTRACT, 1, U256::from(1_000), Bytes::copy_from_slice(code));
    world.set_storage(CONTRACT, U256::from(1), U256::from(7));
    world.insert(CALLER, 1, U256::from(1_000), Bytes::new());
    [(); 2].map(|()| {
        let mut overlay = Overlay::new(&world);
        overlay.begin();
        let mut machine = Machine {
            rules: &rules,
            block: &block,
            overlay: &mut overlay,
            origin: CALLER,
            gas_price: U256::ONE,
            blob_hashes: &[],
            tracer: None,
        };
        let message = Message {
            kind: Kind::Call,
            is_static: false,
            caller: CALLER,
            target: CONTRACT,
            code_from: CONTRACT,
            value: U256::from(3),
            input: Bytes::from_static(&[0x11; 40]),
            gas,
        };
        let result = run(&mut machine, message).expect("memory can be read");
        let (logs, refund) = (overlay.logs().to_vec(), overlay.refunded());
        overlay.settle(EmptyAccounts::Cleared).expect("memory can be read");
        Trace { result, logs, refund, diff: overlay.diff() }
    })
}

/// Runs both, demands that they agree, and answers what they agree on.
fn agreed(fork: Fork, code: &[u8], gas: u64) -> FrameResult {
    let [plain, analysed] = both(fork, code, gas);
    assert_eq!(plain, analysed, "{fork} with {gas} gas: {}", Bytes::copy_from_slice(code));
    plain.result
}

/// With every gas from nothing to a little more than enough.
fn agreed_with_any_gas(code: &[u8]) {
    let enough = 100_000;
    let used = enough - agreed(Fork::LATEST, code, enough).gas_left;
    for gas in 0..=used + 1 {
        agreed(Fork::LATEST, code, gas);
    }
}

/// The same at every n-th gas, where all would take long.
fn agreed_steps(code: &[u8], step: usize) {
    let enough = 200_000;
    let used = enough - agreed(Fork::LATEST, code, enough).gas_left;
    for gas in (0..=used + 1).step_by(step).chain([used - 1, used]) {
        agreed(Fork::LATEST, code, gas);
    }
}

fn code(hex: &str) -> Vec<u8> {
    hex.parse::<Bytes>().expect("hex").to_vec()
}

#[test]
fn the_last_unit_of_a_block_and_one_less() {
    // PUSH1 1 PUSH1 2 ADD PUSH1 0 MSTORE STOP: five times 3, and 3 for a word of memory.
    let code = code("6001600201600052");
    assert_eq!(agreed(Fork::LATEST, &code, 18).status, Status::Success);
    assert_eq!(agreed(Fork::LATEST, &code, 17).status, Status::Halt(HaltReason::OutOfGas));
    agreed_with_any_gas(&code);
}

#[test]
fn sstore_looks_at_the_gas_that_is_left_where_it_stands() {
    // PUSH1 7 PUSH1 1 SSTORE (what is there already) and a POP of a PUSH behind it.
    let code = code("6007600155600050");
    for (left, halts) in [(2_300, true), (2_301, false)] {
        let result = agreed(Fork::LATEST, &code, 6 + left);
        assert_eq!(result.status == Status::Halt(HaltReason::OutOfGas), halts, "{left}");
    }
}

#[test]
fn gas_tells_what_is_left_where_it_stands() {
    // GAS PUSH1 0 MSTORE, PUSH1 32 PUSH1 0 RETURN
    let result = agreed(Fork::LATEST, &code("5a60005260206000f3"), 1_000);
    assert_eq!(U256::from_be_slice(&result.output), U256::from(998));
}

#[test]
fn jumps_go_where_they_are_told_or_nowhere() {
    // PUSH1 4 JUMP INVALID JUMPDEST STOP; the same to the INVALID, and through a computed target.
    assert_eq!(agreed(Fork::LATEST, &code("600456fe5b00"), 100).status, Status::Success);
    assert_eq!(agreed(Fork::LATEST, &code("600356fe5b00"), 100).status, Status::Halt(HaltReason::InvalidJump));
    assert_eq!(agreed(Fork::LATEST, &code("60036003015600005b00"), 100).status, Status::Halt(HaltReason::InvalidJump));
    assert_eq!(agreed(Fork::LATEST, &code("600460040156005b00"), 100).status, Status::Halt(HaltReason::InvalidJump));
    assert_eq!(agreed(Fork::LATEST, &code("6004600301565b00"), 100).status, Status::Halt(HaltReason::InvalidJump));
    assert_eq!(agreed(Fork::LATEST, &code("60046002015b5b00"), 100).status, Status::Success);
    // A JUMPDEST inside an immediate is none.
    assert_eq!(agreed(Fork::LATEST, &code("600456605b00"), 100).status, Status::Halt(HaltReason::InvalidJump));
    // JUMPI, taken and not.
    assert_eq!(agreed(Fork::LATEST, &code("6001600657fe5b00"), 100).status, Status::Success);
    assert_eq!(
        agreed(Fork::LATEST, &code("6000600657fe5b00"), 100).status,
        Status::Halt(HaltReason::InvalidOpcode(0xfe))
    );
}

#[test]
fn a_block_that_the_stack_does_not_suit_halts_where_the_plain_loop_does() {
    assert_eq!(agreed(Fork::LATEST, &code("600101"), 100).status, Status::Halt(HaltReason::StackUnderflow));
    // JUMPDEST PUSH1 0 PUSH1 0 JUMP: pushes one word a round until there is no room.
    assert_eq!(agreed(Fork::LATEST, &code("5b6000600056"), 100_000).status, Status::Halt(HaltReason::StackOverflow));
    assert_eq!(agreed(Fork::LATEST, &[0x5f; 1_025], 100_000).status, Status::Halt(HaltReason::StackOverflow));
    assert_eq!(agreed(Fork::LATEST, &[0x5f; 1_024], 100_000).status, Status::Success);
}

#[test]
fn a_loop_comes_out_the_same_with_any_gas() {
    // PUSH1 5 JUMPDEST, PUSH1 1 SWAP1 SUB, DUP1 DUP1 MSTORE, DUP1 PUSH1 2 JUMPI, LOG0 of 32 bytes.
    agreed_with_any_gas(&code("60055b600190038080528060025760206000a0"));
}

#[test]
fn sstore_inside_a_line_sees_its_own_gas_and_not_what_stands_behind_it() {
    // PUSH1 9 PUSH1 1 SSTORE, then a line of ADDs that must not have been paid for.
    let code = code("6009600155600160020160030160040150");
    // 2,100 for the cold slot and 2,900 for the write come after the look at the gas.
    for (left, halts) in [(2_300, true), (2_301, true), (5_000, true), (5_000 + 23, false), (5_000 + 22, true)] {
        let result = agreed(Fork::LATEST, &code, 6 + left);
        assert_eq!(result.status == Status::Halt(HaltReason::OutOfGas), halts, "{left}");
    }
    let warm = |gas| agreed(Fork::Istanbul, &self::code("60076001556001600155600160020150"), gas).status;
    // Istanbul: 800 for writing what is there; the second write asks for more than 2,300 where it stands.
    assert_eq!(warm(6 + 800 + 6 + 2_300), Status::Halt(HaltReason::OutOfGas));
    assert_eq!(warm(6 + 800 + 6 + 5_000 + 11), Status::Success);
    assert_eq!(warm(6 + 800 + 6 + 5_000 + 10), Status::Halt(HaltReason::OutOfGas));
}

#[test]
fn gas_inside_a_line_is_exact_at_every_unit() {
    // PUSH1 1 GAS ADD GAS MUL PUSH0 MSTORE PUSH1 32 PUSH0 RETURN.
    agreed_with_any_gas(&code("60015a015a025f5260205ff3"));
}

#[test]
fn calls_and_creations_inside_a_line_get_the_same_gas() {
    // PUSH1 1, a call of the identity with all but a 64th, ADD, a static call with 700, ADD, PUSH0 MSTORE.
    agreed_with_any_gas(&code(
        "6001602060006020600060006004 5af1 01 60206000602060006004 6102bc fa 01 5f52".replace(' ', "").as_str(),
    ));
    // PUSH1 1, CREATE of nothing, ADD, CREATE2 of nothing, ADD, POP.
    agreed_steps(&code("6001 5f5f5ff0 01 5f5f5f5ff5 01 50".replace(' ', "").as_str()), 97);
}

#[test]
fn operations_that_halt_for_reasons_of_their_own_do_so_where_they_stand() {
    // RETURNDATACOPY of a byte that is not there, behind and before arithmetic.
    agreed_with_any_gas(&code("60016002016001600060003e60030150"));
    // LOG1, TSTORE and TLOAD, MCOPY.
    agreed_with_any_gas(&code("600160206000a160026001 5d 60015c 60005e".replace(' ', "").as_str()));
    // EXP with two bytes, a hash of 40 bytes, SLOAD.
    agreed_with_any_gas(&code("61ffff6003 0a 60286005 20 01 54 50".replace(' ', "").as_str()));
}

/// Bytes that look like code: known opcodes, mostly with words that fit them.
fn program() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        // An operation on small words.
        4 => (prop::collection::vec(0u8..70, 1..5), any::<u8>()).prop_map(|(words, byte)| {
            let mut code: Vec<u8> = words.iter().flat_map(|word| [0x60, *word]).collect();
            code.push(byte);
            code
        }),
        3 => (0x01u8..0x20).prop_map(|byte| vec![byte]),
        3 => (0x80u8..0xa0).prop_map(|byte| vec![byte]),
        2 => Just(vec![0x5b]),
        2 => (0u8..120, prop::bool::ANY).prop_map(|(to, if_)| vec![0x60, to, if if_ { 0x57 } else { 0x56 }]),
        2 => Just(vec![0x5a]),
        1 => (0u8..3, 0u8..3).prop_map(|(slot, value)| vec![0x60, value, 0x60, slot, 0x55]),
        1 => prop::collection::vec(any::<u8>(), 32).prop_map(|word| [&[0x7f][..], &word].concat()),
        // Call itself, or create, with whatever is in memory.
        1 => (0u8..4, 0u8..40).prop_map(|(kind, size)| {
            let call = [0xf1, 0xf2, 0xf4, 0xfa][kind as usize];
            [&[0x60, size, 0x5f, 0x60, size, 0x5f][..], if kind < 2 { &[0x5f] } else { &[] }, &[0x30, 0x5a, call]].concat()
        }),
        1 => (0u8..40).prop_map(|size| vec![0x60, size, 0x5f, 0x5f, 0xf0]),
        1 => any::<u8>().prop_map(|byte| vec![byte]),
    ];
    prop::collection::vec(piece, 1..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn generated_programs_come_out_the_same(
        code in program(),
        fork in prop::sample::select(Fork::ALL.to_vec()),
        gas in prop_oneof![0u64..400, 0u64..60_000],
    ) {
        agreed(fork, &code, gas);
    }

    #[test]
    fn raw_bytes_as_code_come_out_the_same(code in prop::collection::vec(any::<u8>(), 0..300), gas in 0u64..100_000) {
        agreed(Fork::LATEST, &code, gas);
    }
}

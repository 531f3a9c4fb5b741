//! Whole computations: compiled contracts in loops, and a loop of arithmetic and memory in assembly.

use evm::Fork;
use state::MemoryState;
use types::{Bytes, U256};

use crate::{
    call::Call,
    contracts,
    row::{print, refuse},
};

/// Name, code, call data, target.
fn programs() -> Vec<(&'static str, Bytes, Bytes, f64)> {
    let token = |function: &str| contracts::call(function, &[U256::from(2_000)]);
    vec![
        ("2,000 token mints", contracts::token(), token("mintLoop(uint256)"), 1.0),
        ("2,000 token transfers in a loop", contracts::token(), token("transferLoop(uint256)"), 1.0),
        ("2,000 token approvals and transfers", contracts::token(), token("approvalLoop(uint256)"), 1.0),
        ("10,000 hashes", contracts::hashes(), contracts::call("run(uint256)", &[U256::from(10_000)]), 1.0),
        (
            "a picture of 32 by 24 pixels",
            contracts::tracer(),
            contracts::call("render(int256,int256)", &[U256::from(32), U256::from(24)]),
            1.0,
        ),
        ("a loop of arithmetic and memory", arithmetic_and_memory(), Bytes::new(), 1.5),
    ]
}

/// PUSH4 rounds JUMPDEST; DUP1 PUSH1 7 MUL PUSH1 3 ADD PUSH0 MLOAD ADD PUSH0 MSTORE; PUSH1 1 SWAP1 SUB DUP1 PUSH1 5 JUMPI;
/// PUSH1 32 PUSH0 RETURN.
fn arithmetic_and_memory() -> Bytes {
    "63000186a05b806007026003015f51015f52600190038060055760205ff3".parse().expect("hex")
}

/// A row per program.
pub fn rows() {
    for (name, code, input, target) in programs() {
        let mut call = Call::new(Fork::Cancun, MemoryState::default(), code, input);
        match call.agrees() {
            Ok(()) => {
                let [ours, theirs] = call.race().map(|time| time.as_secs_f64() * 1e3);
                print(name, ours, theirs, "revm 43", "ms", target);
            }
            Err(reason) => refuse(name, &reason),
        }
    }
}

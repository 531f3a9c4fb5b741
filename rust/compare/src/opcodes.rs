//! A loop per opcode, made from the opcode table so that none is missing, and a row per family.
//!
//! A loop runs an opcode with operands that suit it, over and over, and lets what it leaves go. What the opcode
//! answers in the end is the call's output, so that both sides are seen to compute the same.

use evm::{
    Fork,
    spec::opcodes::{self as op, OPCODES, Opcode},
};
use state::MemoryState;
use types::{Address, Bytes, U256, keccak256};

use crate::{
    call::{CONTRACT, Call},
    row::{print, refuse},
};

/// Name, target, and the opcodes from one to another that belong to it.
const FAMILIES: [(&str, f64, &[(u8, u8)]); 14] = [
    ("arithmetic", 1.5, &[(op::ADD, op::SIGNEXTEND)]),
    ("comparisons and logic", 1.5, &[(op::LT, op::CLZ)]),
    ("hashes", 1.0, &[(op::KECCAK256, op::KECCAK256)]),
    ("environment", 1.0, &[(op::ADDRESS, op::EXTCODEHASH)]),
    ("block", 1.0, &[(op::BLOCKHASH, op::BLOBBASEFEE)]),
    ("memory", 1.5, &[(op::MLOAD, op::MSTORE8), (op::MSIZE, op::MSIZE), (op::MCOPY, op::MCOPY)]),
    ("storage", 1.0, &[(op::SLOAD, op::SSTORE), (op::TLOAD, op::TSTORE)]),
    ("flow", 1.0, &[(op::JUMP, op::PC), (op::GAS, op::JUMPDEST)]),
    ("pushes and pops", 1.0, &[(op::PUSH0, op::PUSH32), (op::POP, op::POP)]),
    ("duplicates", 1.0, &[(op::DUP1, op::DUP16)]),
    ("exchanges", 1.0, &[(op::SWAP1, op::SWAP16)]),
    ("logs", 1.0, &[(op::LOG0, op::LOG4)]),
    ("calls and creations", 1.0, &[(op::CREATE, op::CALLCODE), (op::DELEGATECALL, op::STATICCALL)]),
    (
        "ends",
        1.0,
        &[
            (op::STOP, op::STOP),
            (op::RETURN, op::RETURN),
            (op::REVERT, op::INVALID),
            (op::SELFDESTRUCT, op::SELFDESTRUCT),
        ],
    ),
];

/// Words on the stack below everything, for DUP and SWAP to reach.
const WORDS: u64 = 17;

/// Where the contract lives whose code is the opcode that ends a frame.
const HELPER: Address = Address::repeat_byte(0x4e);

/// How often an opcode stands in the body of its loop.
const COPIES: usize = 32;

fn push(code: &mut Vec<u8>, word: U256) {
    let length = word.byte_len();
    code.push(op::PUSH0 + length as u8);
    code.extend(&word.to_be_bytes::<32>()[32 - length..]);
}

fn wide(seed: u64) -> U256 {
    keccak256(seed.to_be_bytes()).into()
}

fn address(address: Address) -> U256 {
    address.into_word().into()
}

/// What an opcode takes, top first.
fn operands(byte: u8, opcode: Opcode, copy: u64) -> Vec<U256> {
    let small = |words: &[u64]| words.iter().map(|word| U256::from(*word)).collect();
    match byte {
        op::KECCAK256 => small(&[0, 96]),
        op::MLOAD | op::CALLDATALOAD => small(&[32]),
        op::MSTORE | op::MSTORE8 => vec![U256::from(32), wide(1)],
        op::CALLDATACOPY | op::CODECOPY | op::RETURNDATACOPY | op::MCOPY => small(&[32, 0, 64]),
        op::EXTCODECOPY => vec![address(CONTRACT), U256::from(32), U256::ZERO, U256::from(64)],
        op::BALANCE | op::EXTCODESIZE | op::EXTCODEHASH => vec![address(CONTRACT)],
        op::BLOCKHASH => small(&[999]),
        op::BLOBHASH => small(&[0]),
        op::SLOAD | op::TLOAD => small(&[1]),
        op::SSTORE | op::TSTORE => small(&[1, copy + 1]),
        op::LOG0..=op::LOG4 => {
            let mut words: Vec<U256> = small(&[0, 32]);
            words.extend((2..u64::from(opcode.inputs)).map(wide));
            words
        }
        op::CREATE | op::RETURN | op::REVERT | op::STOP | op::INVALID => small(&[0; 3][..opcode.inputs.into()]),
        op::SELFDESTRUCT => vec![address(CONTRACT)],
        op::CALL | op::CALLCODE => call(&[0]),
        op::DELEGATECALL | op::STATICCALL => call(&[]),
        _ => (0..u64::from(opcode.inputs)).map(wide).collect(),
    }
}

/// Gas, account, `value` where there is one, nothing as input, a word of output.
fn call(value: &[u64]) -> Vec<U256> {
    let mut words = vec![U256::from(20_000), address(HELPER)];
    words.extend(value.iter().chain(&[0, 0, 0, 32]).map(|word| U256::from(*word)));
    words
}

/// The opcode once, between what it needs; what it answers stays on the stack. `at` is where it stands.
fn once(byte: u8, opcode: Opcode, copy: u64, at: usize) -> Vec<u8> {
    let mut code = Vec::new();
    match byte {
        // They find their words below.
        op::DUP1..=op::SWAP16 | op::JUMPDEST => code.push(byte),
        op::POP => code.extend([op::PUSH0, op::POP]),
        // Operands as compiled code has them: words that stand on the stack, of all lengths, and small literals.
        op::ADD..=op::CLZ => {
            for operand in (0..opcode.inputs).rev() {
                match (byte, operand) {
                    (op::SIGNEXTEND | op::BYTE | op::SHL | op::SHR | op::SAR, 0) => code.extend([op::PUSH1, 13]),
                    (op::EXP, 1) => code.extend([op::PUSH1 + 2, 1, 0, 1]),
                    _ => code.push(op::DUP1 + (5 * copy as u8 + 7 * operand) % 16),
                }
            }
            code.push(byte);
        }
        op::PUSH0..=op::PUSH32 => {
            code.push(byte);
            code.extend(&wide(3).to_be_bytes::<32>()[32 - usize::from(opcode.immediate)..]);
        }
        op::JUMP | op::JUMPI => {
            let to = at + 4 + 2 * usize::from(byte == op::JUMPI);
            if byte == op::JUMPI {
                code.extend([op::PUSH1, 1]);
            }
            code.extend([op::PUSH2, (to >> 8) as u8, to as u8, byte, op::JUMPDEST]);
        }
        // A salt that no creation before had.
        op::CREATE2 => code.extend([op::GAS, op::PUSH0, op::PUSH0, op::PUSH0, byte]),
        op::STOP | op::RETURN | op::REVERT | op::INVALID | op::SELFDESTRUCT => {
            let mut words = call(&[0]);
            words[0] = U256::from(6_000);
            words.into_iter().rev().for_each(|word| push(&mut code, word));
            code.push(op::CALL);
        }
        _ => {
            operands(byte, opcode, copy).into_iter().rev().for_each(|word| push(&mut code, word));
            code.push(byte);
        }
    }
    code
}

/// How many words [`once`] leaves.
fn left(byte: u8, opcode: Opcode) -> usize {
    match byte {
        op::STOP | op::RETURN | op::REVERT | op::INVALID | op::SELFDESTRUCT | op::DUP1..=op::DUP16 => 1,
        op::SWAP1..=op::SWAP16 => 0,
        _ => opcode.outputs.into(),
    }
}

/// Words, some memory and some return data; the loop; the last answer as output.
fn looped(byte: u8, opcode: Opcode, rounds: u64, copies: usize) -> Vec<u8> {
    let mut code = Vec::new();
    (0..WORDS).for_each(|word| push(&mut code, wide(word) >> (word % 4 * 64) as usize));
    // The identity's answer: 96 bytes.
    code.extend([op::PUSH1, 96, op::PUSH0, op::PUSH1, 96, op::PUSH0, op::PUSH1, 4, op::GAS, op::STATICCALL, op::POP]);
    push(&mut code, U256::from(rounds));
    // Words that nothing keeps: the counter waits in memory, out of the way of DUP and SWAP.
    let counter = U256::from(128);
    push(&mut code, counter);
    code.push(op::MSTORE);
    let begin = code.len();
    code.push(op::JUMPDEST);
    for copy in 0..copies {
        let at = code.len();
        code.extend(once(byte, opcode, copy as u64, at));
        code.extend(vec![op::POP; left(byte, opcode)]);
    }
    code.extend([op::PUSH1, 1]);
    push(&mut code, counter);
    code.extend([op::MLOAD, op::SUB, op::DUP1]);
    push(&mut code, counter);
    code.push(op::MSTORE);
    push(&mut code, U256::from(begin));
    code.push(op::JUMPI);
    let at = code.len();
    code.extend(once(byte, opcode, 0, at));
    code.extend([op::PUSH0, op::MSTORE, op::PUSH1, 64, op::PUSH0, op::RETURN]);
    code
}

/// What the helper does.
fn helper(byte: u8, opcode: Opcode) -> Vec<u8> {
    let ends = matches!(byte, op::STOP | op::RETURN | op::REVERT | op::INVALID | op::SELFDESTRUCT);
    if !ends {
        return vec![op::PUSH1, 7, op::PUSH0, op::MSTORE, op::PUSH1, 32, op::PUSH0, op::RETURN];
    }
    let mut code = Vec::new();
    operands(byte, opcode, 0).into_iter().rev().for_each(|word| push(&mut code, word));
    code.push(byte);
    code
}

/// Nanoseconds of one opcode on each side.
fn measure(byte: u8, opcode: Opcode) -> Result<[f64; 2], String> {
    // Creations fill the state: few of them.
    let (rounds, copies) = match byte {
        op::CREATE | op::CREATE2 => (20, 8),
        op::EXP | op::LOG0..=op::LOG4 | op::STOP | op::CALL..=op::SELFDESTRUCT => (50, COPIES),
        _ => (200, COPIES),
    };
    let mut state = MemoryState::default();
    state.insert(HELPER, 1, U256::ZERO, helper(byte, opcode).into());
    state.set_storage(CONTRACT, U256::ONE, U256::from(7));
    let code = Bytes::from(looped(byte, opcode, rounds, copies));
    let mut call = Call::new(Fork::Osaka, state, code, Bytes::from_static(&[0x11; 100]));
    call.agrees()?;
    Ok(call.race().map(|time| time.as_secs_f64() * 1e9 / (rounds * copies as u64) as f64))
}

/// A row per family.
pub fn rows() {
    let mut measured = 0;
    for (family, target, ranges) in FAMILIES {
        let name = format!("opcodes: {family}");
        let mut sum = [0.0; 2];
        let mut count = 0;
        for byte in ranges.iter().flat_map(|(from, to)| *from..=*to) {
            let Some(opcode) = OPCODES[byte as usize] else { continue };
            match measure(byte, opcode) {
                Ok([ours, theirs]) => {
                    eprintln!("{:>14} {ours:7.2} {theirs:7.2} ns {:5.2}x", opcode.name, theirs / ours);
                    sum = [sum[0] + ours, sum[1] + theirs];
                    count += 1;
                }
                Err(reason) => return refuse(&name, &format!("{}: {reason}", opcode.name)),
            }
        }
        measured += count;
        print(&name, sum[0] / f64::from(count), sum[1] / f64::from(count), "revm 43", "ns each", target);
    }
    let known = OPCODES.iter().flatten().count();
    assert_eq!(measured as usize, known, "each opcode belongs to one family");
}

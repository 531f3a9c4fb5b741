//! What the opcodes do, one file per family.
//!
//! Every operation has the same shape: take its words, pay for what depends on them, do its work. The loop has
//! checked the stack and taken the opcode's own price before.

mod arithmetic;
mod bitwise;
pub(crate) mod control;
mod division;
mod environment;
mod memory;
mod stack;
pub(crate) mod storage;
mod system;

use types::U256;

use crate::{
    frame::{Frame, Machine},
    interpreter::{
        Flow, Handler,
        blocks::{At, Run},
        stack::Stack,
    },
    spec::opcodes::{self as op, OPCODES, Place},
};

macro_rules! handlers {
    ($($name:ident => $handler:expr,)*) => {
        /// By byte: what the opcode does.
        pub(crate) static HANDLERS: [Option<Handler>; 256] = {
            let mut table: [Option<Handler>; 256] = [None; 256];
            $(table[op::$name as usize] = Some($handler);)*
            table
        };

        /// By byte: the same as a step of an analysed program.
        pub(crate) static STEPS: [Option<Run>; 256] = {
            let mut table: [Option<Run>; 256] = [None; 256];
            $(table[op::$name as usize] = Some(|frame, machine, _, at| step(frame, machine, at, |_| {}, $handler));)*
            table
        };

        /// By byte: the same behind a push, a DUP or a SWAP, as one step. None where [`joins`] says no.
        pub(crate) static JOINED: [Option<Joined>; 256] = {
            let mut table: [Option<Joined>; 256] = [None; 256];
            $(if joins(op::$name) {
                table[op::$name as usize] = Some(Joined {
                    push: |frame, machine, word, at| {
                        step(frame, machine, at, |stack| stack.push(U256::from(word)), $handler)
                    },
                    dup: |frame, machine, depth, at| {
                        step(frame, machine, at, |stack| stack.dup(depth as usize), $handler)
                    },
                    swap: |frame, machine, depth, at| {
                        step(frame, machine, at, |stack| stack.swap(depth as usize), $handler)
                    },
                });
            })*
            table
        };
    };
}

/// An operation joined with the one before it: the argument is the word pushed, or the depth.
#[derive(Clone, Copy)]
pub(crate) struct Joined {
    pub(crate) push: Run,
    pub(crate) dup: Run,
    pub(crate) swap: Run,
}

/// Makes a step of an operation. The stack's height comes and goes in a register: inlined, what an operation stores of
/// it nobody waits for.
#[inline(always)]
fn step(
    frame: &mut Frame,
    machine: &mut Machine<'_, '_>,
    at: At,
    before: impl FnOnce(&mut Stack),
    operation: impl FnOnce(&mut Frame, &mut Machine<'_, '_>) -> Flow,
) -> At {
    frame.stack.set_len(at.height);
    before(&mut frame.stack);
    match operation(frame, machine) {
        Ok(()) => at.up_to(frame.stack.len()),
        Err(exit) => frame.leave(exit, at),
    }
}

/// Whether the opcode is joined with a push, DUP or SWAP before it: where it may stand inside a block, and takes words.
const fn joins(byte: u8) -> bool {
    match OPCODES[byte as usize] {
        Some(opcode) => matches!(opcode.place, Place::Inside) && opcode.inputs > 0,
        None => false,
    }
}

handlers! {
    STOP => control::stop,
    ADD => arithmetic::add,
    MUL => arithmetic::mul,
    SUB => arithmetic::sub,
    DIV => arithmetic::div,
    SDIV => arithmetic::sdiv,
    MOD => arithmetic::r#mod,
    SMOD => arithmetic::smod,
    ADDMOD => arithmetic::addmod,
    MULMOD => arithmetic::mulmod,
    EXP => arithmetic::exp,
    SIGNEXTEND => arithmetic::signextend,
    LT => bitwise::lt,
    GT => bitwise::gt,
    SLT => bitwise::slt,
    SGT => bitwise::sgt,
    EQ => bitwise::eq,
    ISZERO => bitwise::iszero,
    AND => bitwise::and,
    OR => bitwise::or,
    XOR => bitwise::xor,
    NOT => bitwise::not,
    BYTE => bitwise::byte,
    SHL => bitwise::shl,
    SHR => bitwise::shr,
    SAR => bitwise::sar,
    CLZ => bitwise::clz,
    KECCAK256 => memory::hash,
    MLOAD => memory::mload,
    MSTORE => memory::mstore,
    MSTORE8 => memory::mstore8,
    MSIZE => memory::msize,
    MCOPY => memory::mcopy,
    CALLDATACOPY => memory::calldatacopy,
    CODECOPY => memory::codecopy,
    EXTCODECOPY => memory::extcodecopy,
    RETURNDATACOPY => memory::returndatacopy,
    ADDRESS => environment::address,
    BALANCE => environment::balance,
    ORIGIN => environment::origin,
    CALLER => environment::caller,
    CALLVALUE => environment::callvalue,
    CALLDATALOAD => environment::calldataload,
    CALLDATASIZE => environment::calldatasize,
    CODESIZE => environment::codesize,
    GASPRICE => environment::gasprice,
    EXTCODESIZE => environment::extcodesize,
    RETURNDATASIZE => environment::returndatasize,
    EXTCODEHASH => environment::extcodehash,
    BLOCKHASH => environment::blockhash,
    COINBASE => environment::coinbase,
    TIMESTAMP => environment::timestamp,
    NUMBER => environment::number,
    PREVRANDAO => environment::prevrandao,
    GASLIMIT => environment::gaslimit,
    CHAINID => environment::chainid,
    SELFBALANCE => environment::selfbalance,
    BASEFEE => environment::basefee,
    BLOBHASH => environment::blobhash,
    BLOBBASEFEE => environment::blobbasefee,
    SLOAD => storage::sload,
    SSTORE => storage::sstore,
    TLOAD => storage::tload,
    TSTORE => storage::tstore,
    JUMP => control::jump,
    JUMPI => control::jumpi,
    PC => control::pc,
    GAS => control::gas,
    JUMPDEST => control::jumpdest,
    POP => stack::pop,
    PUSH0 => stack::push::<0>,
    PUSH1 => stack::push::<1>,
    PUSH2 => stack::push::<2>,
    PUSH3 => stack::push::<3>,
    PUSH4 => stack::push::<4>,
    PUSH5 => stack::push::<5>,
    PUSH6 => stack::push::<6>,
    PUSH7 => stack::push::<7>,
    PUSH8 => stack::push::<8>,
    PUSH9 => stack::push::<9>,
    PUSH10 => stack::push::<10>,
    PUSH11 => stack::push::<11>,
    PUSH12 => stack::push::<12>,
    PUSH13 => stack::push::<13>,
    PUSH14 => stack::push::<14>,
    PUSH15 => stack::push::<15>,
    PUSH16 => stack::push::<16>,
    PUSH17 => stack::push::<17>,
    PUSH18 => stack::push::<18>,
    PUSH19 => stack::push::<19>,
    PUSH20 => stack::push::<20>,
    PUSH21 => stack::push::<21>,
    PUSH22 => stack::push::<22>,
    PUSH23 => stack::push::<23>,
    PUSH24 => stack::push::<24>,
    PUSH25 => stack::push::<25>,
    PUSH26 => stack::push::<26>,
    PUSH27 => stack::push::<27>,
    PUSH28 => stack::push::<28>,
    PUSH29 => stack::push::<29>,
    PUSH30 => stack::push::<30>,
    PUSH31 => stack::push::<31>,
    PUSH32 => stack::push::<32>,
    DUP1 => stack::dup::<1>,
    DUP2 => stack::dup::<2>,
    DUP3 => stack::dup::<3>,
    DUP4 => stack::dup::<4>,
    DUP5 => stack::dup::<5>,
    DUP6 => stack::dup::<6>,
    DUP7 => stack::dup::<7>,
    DUP8 => stack::dup::<8>,
    DUP9 => stack::dup::<9>,
    DUP10 => stack::dup::<10>,
    DUP11 => stack::dup::<11>,
    DUP12 => stack::dup::<12>,
    DUP13 => stack::dup::<13>,
    DUP14 => stack::dup::<14>,
    DUP15 => stack::dup::<15>,
    DUP16 => stack::dup::<16>,
    SWAP1 => stack::swap::<1>,
    SWAP2 => stack::swap::<2>,
    SWAP3 => stack::swap::<3>,
    SWAP4 => stack::swap::<4>,
    SWAP5 => stack::swap::<5>,
    SWAP6 => stack::swap::<6>,
    SWAP7 => stack::swap::<7>,
    SWAP8 => stack::swap::<8>,
    SWAP9 => stack::swap::<9>,
    SWAP10 => stack::swap::<10>,
    SWAP11 => stack::swap::<11>,
    SWAP12 => stack::swap::<12>,
    SWAP13 => stack::swap::<13>,
    SWAP14 => stack::swap::<14>,
    SWAP15 => stack::swap::<15>,
    SWAP16 => stack::swap::<16>,
    LOG0 => storage::log::<0>,
    LOG1 => storage::log::<1>,
    LOG2 => storage::log::<2>,
    LOG3 => storage::log::<3>,
    LOG4 => storage::log::<4>,
    CREATE => system::create,
    CREATE2 => system::create2,
    CALL => system::call,
    CALLCODE => system::callcode,
    DELEGATECALL => system::delegatecall,
    STATICCALL => system::staticcall,
    RETURN => control::return_,
    REVERT => control::revert,
    INVALID => control::undefined,
    SELFDESTRUCT => system::selfdestruct,
}

// An opcode without an operation, or an operation without an opcode, does not build.
const _: () = {
    let mut byte = 0;
    while byte < 256 {
        assert!(OPCODES[byte].is_some() == HANDLERS[byte].is_some(), "opcodes and operations disagree");
        byte += 1;
    }
};

//! The loop that runs a frame's code, and the table that it runs by.
//!
//! [`Instructions`] has a row per opcode, made once from a fork and its prices: how many words the stack must hold,
//! how many it may hold, what it costs, what it does. The plain loop goes by that row: stack, gas, operation, in that
//! order, every time. It is the meaning of the virtual machine. An operation never checks what its row says; it pays
//! for what depends on its operands, and does its work.

pub(crate) mod blocks;
pub(crate) mod hashes;
pub(crate) mod memory;
pub(crate) mod stack;

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use state::ViewError;
use types::U256;

use crate::{
    analysis::CodeCache,
    frame::{Fault, Frame, Machine},
    instructions::{HANDLERS, control},
    spec::{
        Custom, Fork, custom,
        gas::{GasSchedule, UNDEFINED},
        opcodes::OPCODES,
    },
    trace::Step,
};
use stack::STACK_LIMIT;

/// Why a frame stopped short: all its gas is gone and what it did is undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum HaltReason {
    /// Less gas than the next step costs.
    #[error("out of gas")]
    OutOfGas,
    /// Fewer words on the stack than the opcode takes.
    #[error("stack underflow")]
    StackUnderflow,
    /// More than 1,024 words.
    #[error("stack overflow")]
    StackOverflow,
    /// A byte that is no opcode at this fork.
    #[error("invalid opcode 0x{0:02x}")]
    InvalidOpcode(u8),
    /// A jump to where no JUMPDEST is.
    #[error("invalid jump destination")]
    InvalidJump,
    /// A change inside a static call.
    #[error("write protection")]
    StaticViolation,
    /// RETURNDATACOPY past the end.
    #[error("return data out of bounds")]
    ReturnDataOutOfBounds,
    /// Creation code longer than the limit (EIP-3860).
    #[error("max initcode size exceeded")]
    InitcodeTooLarge,
    /// Code longer than the limit (EIP-170).
    #[error("max code size exceeded")]
    CodeTooLarge,
    /// Code that begins with 0xEF (EIP-3541).
    #[error("invalid code: must not begin with 0xef")]
    CodeForbidden,
    /// A creation where something is already.
    #[error("contract address collision")]
    CreateCollision,
    /// Deeper than 1,024 calls; the gas is not gone.
    #[error("max call depth exceeded")]
    CallTooDeep,
    /// More value than the caller has; the gas is not gone.
    #[error("insufficient balance for transfer")]
    InsufficientBalance,
    /// Input that the precompile does not take.
    #[error("precompile failed")]
    PrecompileFailed,
    /// An opcode of the chain's own says so.
    #[error("custom opcode halted")]
    CustomHalt,
}

/// Why the loop leaves a frame.
#[derive(Debug)]
pub(crate) enum Exit {
    /// The end, with the frame's output.
    Return,
    /// The end, undone, with the frame's output.
    Revert,
    /// Not the end: another frame has to run first.
    Suspend,
    /// Stopped short.
    Halt(HaltReason),
    /// The whole transaction has no outcome.
    Fault(Box<Fault>),
}

impl From<HaltReason> for Exit {
    fn from(reason: HaltReason) -> Self {
        Self::Halt(reason)
    }
}

impl From<ViewError> for Exit {
    fn from(error: ViewError) -> Self {
        Self::Fault(Box::new(error.into()))
    }
}

impl From<Fault> for Exit {
    fn from(fault: Fault) -> Self {
        Self::Fault(Box::new(fault))
    }
}

/// What an operation answers: on with the next, or out of the loop.
pub(crate) type Flow = Result<(), Exit>;

/// An operation. Its row was checked: the stack holds what it takes, there is room for what it leaves, and its price
/// is paid.
pub(crate) type Handler = fn(&mut Frame, &mut Machine<'_, '_>) -> Flow;

/// What the loop knows of an opcode.
#[derive(Clone, Copy)]
pub(crate) struct Row {
    pub(crate) run: Handler,
    pub(crate) gas: u32,
    /// The stack must hold this many words.
    pub(crate) needs: u16,
    /// It must not hold more than this many.
    pub(crate) at_most: u16,
}

/// The opcodes of one fork at one chain's prices, ready to run.
pub struct Instructions {
    fork: Fork,
    schedule: GasSchedule,
    pub(crate) rows: [Row; 256],
    pub(crate) codes: CodeCache,
    custom: Option<Box<Custom>>,
}

impl Instructions {
    /// The fork's own, made once.
    pub fn of(fork: Fork) -> &'static Arc<Self> {
        static BUILT_IN: [OnceLock<Arc<Instructions>>; Fork::ALL.len()] = [const { OnceLock::new() }; Fork::ALL.len()];
        BUILT_IN[fork as usize].get_or_init(|| Arc::new(Self::new(fork, GasSchedule::of(fork).clone())))
    }

    /// At these prices. Keep it: whatever is learned of a bytecode is kept inside.
    pub fn new(fork: Fork, schedule: GasSchedule) -> Self {
        let undefined = Row { run: control::undefined, gas: 0, needs: 0, at_most: STACK_LIMIT as u16 };
        let rows = std::array::from_fn(|byte| match (OPCODES[byte], HANDLERS[byte]) {
            (Some(opcode), Some(run)) if schedule.opcode[byte] != UNDEFINED => Row {
                run,
                gas: schedule.opcode[byte],
                needs: opcode.inputs.into(),
                at_most: (STACK_LIMIT + opcode.inputs as usize - opcode.outputs as usize).min(STACK_LIMIT) as u16,
            },
            _ => undefined,
        });
        Self { fork, schedule, rows, codes: CodeCache::default(), custom: None }
    }

    /// The same, with opcodes and precompiles of a chain's own.
    #[must_use]
    pub fn with_custom(mut self, custom: Custom) -> Self {
        for (byte, opcode) in custom.opcodes() {
            let gas = u32::try_from(opcode.gas).expect("at most PRICE_MAX");
            let (needs, at_most) = (opcode.inputs.into(), opcode.at_most());
            self.rows[byte as usize] = Row { run: custom::run, gas, needs, at_most };
        }
        self.custom = (!custom.is_empty()).then(|| Box::new(custom));
        self
    }

    /// What the chain has beside the fork's own.
    #[inline]
    pub fn custom(&self) -> Option<&Custom> {
        self.custom.as_deref()
    }

    /// Whether the fork has this opcode; custom ones are for the plain loop.
    pub(crate) fn knows(&self, byte: u8) -> bool {
        self.schedule.opcode[byte as usize] != UNDEFINED
    }

    /// Whose opcodes these are.
    pub fn fork(&self) -> Fork {
        self.fork
    }

    /// What they cost.
    pub fn schedule(&self) -> &GasSchedule {
        &self.schedule
    }
}

impl PartialEq for Instructions {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
            || ((self.fork, &self.schedule, &self.custom) == (other.fork, &other.schedule, &other.custom))
    }
}

impl Eq for Instructions {}

impl fmt::Debug for Instructions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Instructions({})", self.fork)
    }
}

/// A length that memory can have; nobody can pay for a longer one.
#[inline(always)]
pub(crate) fn length(word: U256) -> Result<usize, Exit> {
    match *word.as_limbs() {
        [low, 0, 0, 0] if low <= memory::MEMORY_LIMIT as u64 => Ok(low as usize),
        _ => Err(HaltReason::OutOfGas.into()),
    }
}

/// Runs the frame until it ends or waits for another: by its analysed form where it has one and still follows it,
/// else by the plain loop.
pub(crate) fn run(frame: &mut Frame, machine: &mut Machine<'_, '_>) -> Exit {
    if frame.analysed {
        let program = std::ptr::from_ref(frame.code.program().expect("laid out before the frame began"));
        // SAFETY: the program lives as long as the code, which the frame holds; nothing replaces a running frame's code.
        // Holding it here as well would count it up and down at each call and return.
        #[allow(unsafe_code)]
        let program = unsafe { &*program };
        if let Some(exit) = blocks::run(frame, machine, program) {
            return exit;
        }
        frame.analysed = false;
    }
    let ended = if machine.tracer.is_some() { plain::<true>(frame, machine) } else { plain::<false>(frame, machine) };
    match ended {
        Ok(never) => match never {},
        Err(exit) => exit,
    }
}

/// One opcode after the other.
fn plain<const TRACE: bool>(
    frame: &mut Frame,
    machine: &mut Machine<'_, '_>,
) -> Result<std::convert::Infallible, Exit> {
    let rules = machine.rules;
    let rows = &rules.instructions.rows;
    // Held here, so that no operation could have moved it.
    let code = frame.code.clone();
    let bytes = &code.bytes[..];
    loop {
        // Behind the end of the code stands STOP, which is zero.
        let byte = bytes.get(frame.pc).copied().unwrap_or_default();
        let row = &rows[byte as usize];
        if TRACE {
            let before = frame.gas;
            machine.trace_step(frame, byte);
            let flow = step(frame, machine, row);
            machine.trace_stepped(before - frame.gas, &flow);
            flow?;
        } else {
            step(frame, machine, row)?;
        }
    }
}

/// Stack, gas, operation.
#[inline(always)]
fn step(frame: &mut Frame, machine: &mut Machine<'_, '_>, row: &Row) -> Flow {
    let height = frame.stack.len();
    if height < row.needs as usize {
        return Err(HaltReason::StackUnderflow.into());
    }
    if height > row.at_most as usize {
        return Err(HaltReason::StackOverflow.into());
    }
    frame.charge(row.gas.into())?;
    frame.pc += 1;
    (row.run)(frame, machine)
}

impl Machine<'_, '_> {
    fn trace_step(&mut self, frame: &Frame, opcode: u8) {
        let Some(tracer) = &mut self.tracer else { return };
        let custom = self.rules.instructions.custom().and_then(|custom| custom.opcode(opcode));
        tracer.step(&Step {
            pc: frame.pc,
            opcode,
            name: match custom {
                Some(custom) => &custom.name,
                None => OPCODES[opcode as usize].map_or("UNDEFINED", |opcode| opcode.name),
            },
            gas: frame.gas,
            depth: frame.depth + 1,
            stack: frame.stack.words(),
            memory: frame.memory.bytes(),
            returned: &frame.returned,
            refund: self.overlay.refunded(),
            address: frame.message.target,
        });
    }

    fn trace_stepped(&mut self, cost: u64, flow: &Flow) {
        let halt = match flow {
            Err(Exit::Halt(reason)) => Some(*reason),
            _ => None,
        };
        if let Some(tracer) = &mut self.tracer {
            tracer.stepped(cost, halt);
        }
    }
}

#[cfg(test)]
mod tests;

//! The analysed form of a bytecode: basic blocks, checked and paid for once, with their operations laid out as steps.
//!
//! A block is a straight line: it begins at a JUMPDEST or behind an operation that stands last ([`Place::Last`]), and
//! ends with such an operation or before the next JUMPDEST. Its first step looks whether the stack suits the whole
//! line and whether the gas suffices for all its prices, and takes them. If not, the plain loop goes on from there,
//! for the rest of the frame: so the place and reason of a halt are always the plain loop's.
//!
//! Paying for a line in advance shows nowhere. An operation that looks at the gas or that can halt for a reason of its
//! own is the last of its line, where everything up to it, and nothing behind it, has been paid. One in the middle can
//! only run out of gas; then the plain loop would have run out there or further down the same line, with the same
//! result: all gas gone, everything undone.
//!
//! The steps are the operations of the plain loop, not others. A push, DUP or SWAP is joined with the operation behind
//! it into one step (a push where its word fits 64 bits), and a push with the jump that goes to a JUMPDEST it names.

use types::U256;

use super::{Exit, HaltReason, Instructions, Row, stack::STACK_LIMIT};
use crate::{
    analysis::{Code, immediate},
    frame::{Frame, Machine},
    instructions::{JOINED, Joined, STEPS},
    spec::opcodes::{self as op, OPCODES, Opcode, Place},
};

/// Where a program stands: two words, which go from step to step in registers. Through the frame, each step would wait
/// for the one before to have stored the height.
#[derive(Clone, Copy)]
pub(crate) struct At {
    /// Index of the step behind the one that runs.
    next: usize,
    /// Words on the stack; the stack's own length is behind the times between steps that don't use it.
    pub(crate) height: usize,
}

impl At {
    #[inline(always)]
    pub(crate) fn up_to(self, height: usize) -> Self {
        Self { height, ..self }
    }

    #[inline(always)]
    fn jump(self, next: usize) -> Self {
        Self { next, ..self }
    }
}

/// What a step does, with its argument; answers where the program stands then.
pub(crate) type Run = fn(&mut Frame, &mut Machine<'_, '_>, u64, At) -> At;

/// The index of no step: out of the loop.
const LEAVE: usize = usize::MAX;

/// No step begins at this place of the code.
const NOWHERE: u32 = u32::MAX;

#[derive(Clone, Copy)]
struct Step {
    run: Run,
    argument: u64,
}

/// A bytecode's steps.
pub(crate) struct Program {
    steps: Box<[Step]>,
    /// Words that don't fit an argument.
    words: Box<[U256]>,
    /// By place in the code: the step that a jump there goes to.
    entries: Box<[u32]>,
    /// First step and place of each block, ascending.
    blocks: Box<[(u32, u32)]>,
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Program({} steps in {} blocks)", self.steps.len(), self.blocks.len())
    }
}

/// Runs the frame's steps until it ends or waits; None: the plain loop has to go on, at the frame's place.
pub(super) fn run(frame: &mut Frame, machine: &mut Machine<'_, '_>, program: &Program) -> Option<Exit> {
    let mut at = At { next: frame.step, height: frame.stack.len() };
    while let Some(step) = program.steps.get(at.next) {
        at = (step.run)(frame, machine, step.argument, at.jump(at.next + 1));
    }
    frame.exit.take()
}

impl Frame {
    /// Leaves the steps, to come back behind this one if the exit is no end. The stack's length is up to date.
    #[cold]
    #[inline(never)]
    pub(crate) fn leave(&mut self, exit: Exit, at: At) -> At {
        self.step = at.next;
        self.exit = Some(exit);
        at.jump(LEAVE)
    }
}

/// What a block asks for, as its first step's argument.
#[derive(Clone, Copy)]
struct Terms {
    gas: u32,
    needs: u16,
    at_most: u16,
}

impl Terms {
    fn pack(self) -> u64 {
        u64::from(self.gas) | u64::from(self.needs) << 32 | u64::from(self.at_most) << 48
    }

    #[inline(always)]
    fn unpack(argument: u64) -> Self {
        Self { gas: argument as u32, needs: (argument >> 32) as u16, at_most: (argument >> 48) as u16 }
    }
}

#[inline(always)]
fn begin(frame: &mut Frame, _: &mut Machine<'_, '_>, argument: u64, at: At) -> At {
    let terms = Terms::unpack(argument);
    if frame.gas < u64::from(terms.gas) || at.height < terms.needs as usize || at.height > terms.at_most as usize {
        return to_plain_loop(frame, at);
    }
    frame.gas -= u64::from(terms.gas);
    at
}

#[cold]
#[inline(never)]
fn to_plain_loop(frame: &mut Frame, at: At) -> At {
    let blocks = &program(frame).blocks;
    let block = blocks.binary_search_by_key(&(at.next - 1), |(first, _)| *first as usize).expect("a block begins here");
    frame.pc = blocks[block].1 as usize;
    frame.stack.set_len(at.height);
    at.jump(LEAVE)
}

/// Bytes that are no opcode: the plain loop knows what to say.
fn undefined(frame: &mut Frame, _: &mut Machine<'_, '_>, place: u64, at: At) -> At {
    frame.pc = place as usize;
    frame.stack.set_len(at.height);
    at.jump(LEAVE)
}

#[inline(always)]
fn program(frame: &Frame) -> &Program {
    frame.code.program().expect("its steps are running")
}

#[inline(always)]
fn pushed(frame: &mut Frame, word: U256, at: At) -> At {
    frame.stack.set_len(at.height);
    frame.stack.push(word);
    at.up_to(frame.stack.len())
}

fn push(frame: &mut Frame, _: &mut Machine<'_, '_>, word: u64, at: At) -> At {
    pushed(frame, U256::from(word), at)
}

fn push_wide(frame: &mut Frame, _: &mut Machine<'_, '_>, index: u64, at: At) -> At {
    let word = program(frame).words[index as usize];
    pushed(frame, word, at)
}

/// Goes on where a jump to `target` leads.
#[inline(always)]
fn jump_into(frame: &mut Frame, target: U256, at: At) -> At {
    let entry = usize::try_from(target).ok().and_then(|target| program(frame).entries.get(target));
    match entry {
        Some(&entry) if entry != NOWHERE => at.jump(entry as usize),
        _ => frame.leave(HaltReason::InvalidJump.into(), at),
    }
}

/// Looks whether to stop, and does the step again if not. Steps that jump begin with it, when it is due.
#[cold]
#[inline(never)]
fn look(frame: &mut Frame, machine: &mut Machine<'_, '_>, at: At) -> At {
    match frame.check_now(machine) {
        Ok(()) => at.jump(at.next - 1),
        Err(exit) => frame.leave(exit, at),
    }
}

fn jump(frame: &mut Frame, machine: &mut Machine<'_, '_>, _: u64, at: At) -> At {
    if frame.check_is_due() {
        return look(frame, machine, at);
    }
    frame.stack.set_len(at.height);
    let target = frame.stack.pop();
    jump_into(frame, target, at.up_to(frame.stack.len()))
}

fn jumpi(frame: &mut Frame, machine: &mut Machine<'_, '_>, _: u64, at: At) -> At {
    if frame.check_is_due() {
        return look(frame, machine, at);
    }
    frame.stack.set_len(at.height);
    let [target, condition] = frame.stack.take();
    let at = at.up_to(frame.stack.len());
    if condition.is_zero() { at } else { jump_into(frame, target, at) }
}

/// Goes to the block whose first step this is, and begins it at once: one step less on the way.
#[inline(always)]
fn enter(frame: &mut Frame, machine: &mut Machine<'_, '_>, first: u64, at: At) -> At {
    let first = first as usize;
    let terms = program(frame).steps[first].argument;
    begin(frame, machine, terms, at.jump(first + 1))
}

fn jump_to(frame: &mut Frame, machine: &mut Machine<'_, '_>, first: u64, at: At) -> At {
    if frame.check_is_due() {
        return look(frame, machine, at);
    }
    enter(frame, machine, first, at)
}

fn jump_to_if(frame: &mut Frame, machine: &mut Machine<'_, '_>, first: u64, at: At) -> At {
    if frame.check_is_due() {
        return look(frame, machine, at);
    }
    frame.stack.set_len(at.height);
    let condition = frame.stack.pop();
    let at = at.up_to(frame.stack.len());
    if condition.is_zero() { at } else { enter(frame, machine, first, at) }
}

impl Program {
    pub(crate) fn new(code: &Code, instructions: &Instructions) -> Self {
        let mut layout = Layout {
            code,
            instructions,
            steps: Vec::with_capacity(code.bytes.len()),
            words: Vec::new(),
            entries: vec![NOWHERE; code.bytes.len()].into(),
            blocks: Vec::new(),
            jumps: Vec::new(),
            line: None,
        };
        layout.lay_out();
        for jump in layout.jumps {
            let target = &mut layout.steps[jump].argument;
            *target = layout.entries[*target as usize].into();
        }
        Self {
            steps: layout.steps.into(),
            words: layout.words.into(),
            entries: layout.entries,
            blocks: layout.blocks.into(),
        }
    }
}

/// A program that is being laid out.
struct Layout<'c> {
    code: &'c Code,
    instructions: &'c Instructions,
    steps: Vec<Step>,
    words: Vec<U256>,
    entries: Box<[u32]>,
    blocks: Vec<(u32, u32)>,
    /// Steps whose argument is a place of the code, to become the step that begins there.
    jumps: Vec<usize>,
    line: Option<Line>,
}

/// An open block: what it costs so far, and between which heights the stack must be where it begins.
struct Line {
    gas: u64,
    needs: i32,
    at_most: i32,
    /// By how much the stack has grown since.
    grown: i32,
}

impl Line {
    fn count(&mut self, row: &Row, byte: u8) {
        self.gas += u64::from(row.gas);
        self.needs = self.needs.max(i32::from(row.needs) - self.grown);
        self.at_most = self.at_most.min(i32::from(row.at_most) - self.grown);
        let change = |opcode: Opcode| i32::from(opcode.outputs) - i32::from(opcode.inputs);
        self.grown += OPCODES[byte as usize].map_or(0, change);
    }

    /// What no stack or gas can meet sends the block to the plain loop.
    fn terms(&self) -> Terms {
        const NEVER: u16 = u16::MAX;
        match (u32::try_from(self.gas), u16::try_from(self.needs), u16::try_from(self.at_most)) {
            (Ok(gas), Ok(needs), Ok(at_most)) => Terms { gas, needs, at_most },
            _ => Terms { gas: 0, needs: NEVER, at_most: 0 },
        }
    }
}

impl Layout<'_> {
    fn lay_out(&mut self) {
        let bytes = &self.code.bytes;
        let mut pc = 0;
        // Behind a jump or an end nothing is reached but by a jump.
        let mut reached = true;
        while pc < bytes.len() {
            let byte = bytes[pc];
            if byte == op::JUMPDEST {
                self.close();
                self.entries[pc] = self.steps.len() as u32;
                self.count(pc, byte);
                reached = true;
                pc += 1;
            } else if reached {
                (pc, reached) = self.operation(pc, byte);
            } else {
                pc += 1 + immediate(byte);
            }
        }
        if reached {
            // Behind the code stands STOP.
            self.count(pc, op::STOP);
            self.step(STEPS[op::STOP as usize].expect("STOP has a step"), 0);
        }
        self.close();
    }

    /// Lays out one operation, or a push with what it is joined to; answers what comes next, and whether it is
    /// reached from here.
    fn operation(&mut self, pc: usize, byte: u8) -> (usize, bool) {
        let mut last = byte;
        let mut behind = pc + 1 + immediate(byte);
        if byte == op::INVALID || !self.instructions.knows(byte) {
            self.count(pc, op::INVALID);
            self.step(undefined, pc as u64);
            last = op::INVALID;
        } else if (op::PUSH0..=op::PUSH32).contains(&byte) {
            self.count(pc, byte);
            let word = self.pushed(pc, behind);
            if self.join_push(behind, word) {
                last = self.code.bytes[behind];
                behind += 1;
            } else if let Ok(word) = u64::try_from(word) {
                self.step(push, word);
            } else {
                self.words.push(word);
                self.step(push_wide, self.words.len() as u64 - 1);
            }
        } else if (op::DUP1..=op::SWAP16).contains(&byte)
            && let Some((follower, joined)) = self.joined(behind)
        {
            self.count(pc, byte);
            self.count(behind, follower);
            match byte {
                op::DUP1..=op::DUP16 => self.step(joined.dup, u64::from(byte - op::DUP1)),
                _ => self.step(joined.swap, u64::from(byte - op::SWAP1) + 1),
            }
            behind += 1;
        } else {
            self.count(pc, byte);
            match byte {
                op::PC => self.step(push, pc as u64),
                op::JUMP => self.step(jump, 0),
                op::JUMPI => self.step(jumpi, 0),
                _ => self.step(STEPS[byte as usize].expect("an opcode with a row has a step"), 0),
            }
        }
        if OPCODES[last as usize].is_some_and(|opcode| opcode.place == Place::Last) {
            self.close();
        }
        let ends = [op::STOP, op::JUMP, op::RETURN, op::REVERT, op::INVALID, op::SELFDESTRUCT].contains(&last);
        (behind, !ends)
    }

    /// The immediate; zeros stand in for what is behind the end of the code.
    fn pushed(&self, pc: usize, behind: usize) -> U256 {
        let bytes = &self.code.bytes;
        let there = &bytes[pc + 1..behind.min(bytes.len())];
        let mut word = [0; 32];
        let first = 32 - (behind - pc - 1);
        word[first..first + there.len()].copy_from_slice(there);
        U256::from_be_bytes(word)
    }

    /// What stands at `pc`, if it can be joined with what stands before it.
    fn joined(&self, pc: usize) -> Option<(u8, Joined)> {
        let follower = *self.code.bytes.get(pc)?;
        let joined = JOINED[follower as usize].filter(|_| self.instructions.knows(follower))?;
        Some((follower, joined))
    }

    /// Makes one step of a push and the operation behind it, where there is such a step.
    fn join_push(&mut self, pc: usize, word: U256) -> bool {
        let Ok(argument) = u64::try_from(word) else { return false };
        let is_target = || self.code.is_jump_target(usize::try_from(argument).unwrap_or(usize::MAX));
        let (follower, run) = match self.code.bytes.get(pc) {
            Some(&op::JUMP) if is_target() => (op::JUMP, jump_to as Run),
            Some(&op::JUMPI) if is_target() => (op::JUMPI, jump_to_if as Run),
            _ => match self.joined(pc) {
                Some((follower, joined)) => (follower, joined.push),
                None => return false,
            },
        };
        if [op::JUMP, op::JUMPI].contains(&follower) {
            self.jumps.push(self.steps.len());
        }
        self.count(pc, follower);
        self.step(run, argument);
        true
    }

    fn step(&mut self, run: Run, argument: u64) {
        self.steps.push(Step { run, argument });
    }

    /// Adds an opcode to the open block, or opens one with it.
    fn count(&mut self, pc: usize, byte: u8) {
        if self.line.is_none() {
            self.blocks.push((self.steps.len() as u32, pc as u32));
            self.step(begin, 0);
        }
        let empty = Line { gas: 0, needs: 0, at_most: STACK_LIMIT as i32, grown: 0 };
        self.line.get_or_insert(empty).count(&self.instructions.rows[byte as usize], byte);
    }

    fn close(&mut self) {
        if let Some(line) = self.line.take() {
            let (first, _) = *self.blocks.last().expect("an open line has its block");
            self.steps[first as usize].argument = line.terms().pack();
        }
    }
}

//! Every step, kept: what a debugger or a struct log wants to look at afterwards.
//!
//! Stacks lie one after the other in one list, as memories do where they are wanted, so that a step costs no
//! allocation of its own. What is kept is bounded: behind the limit steps are only counted.

use std::collections::BTreeMap;

use types::{Address, U256};

use super::{Shown, Step, Tracer, write_end, write_step};
use crate::{interpreter::HaltReason, spec::opcodes::OPCODES};

/// Bytes of steps, stacks and memories that are kept unless said otherwise: half a million steps with usual stacks.
pub const BYTES_MAX: usize = 256 << 20;

/// A step that ran.
#[derive(Clone, Debug)]
struct Kept {
    pc: usize,
    opcode: u8,
    depth: u16,
    halt: Option<HaltReason>,
    gas: u64,
    cost: u64,
    refund: i64,
    address: Address,
    memory_size: usize,
    /// Where its stack and its memory begin; they end where the next one's begin.
    words: usize,
    bytes: usize,
}

/// A tracer that keeps steps.
#[derive(Clone, Debug)]
pub struct Steps {
    kept: Vec<Kept>,
    words: Vec<U256>,
    bytes: Vec<u8>,
    /// Names that the table of opcodes doesn't have.
    names: BTreeMap<u8, String>,
    memory: bool,
    bytes_max: usize,
    /// Steps that were too many.
    dropped: u64,
}

/// A step that ran, with what it took and why it halted. Its return data are not kept.
#[derive(Clone, Copy, Debug)]
pub struct Stepped<'a> {
    /// As it began.
    pub step: Step<'a>,
    /// Bytes of memory that there were, kept or not.
    pub memory_size: usize,
    /// Gas that it took, a call's own included.
    pub cost: u64,
    /// Why it halted.
    pub halt: Option<HaltReason>,
}

impl Steps {
    /// With or without each step's memory; at most this many bytes.
    pub fn new(memory: bool, bytes_max: usize) -> Self {
        let (kept, words, bytes) = (Vec::new(), Vec::new(), Vec::new());
        Self { kept, words, bytes, names: BTreeMap::new(), memory, bytes_max, dropped: 0 }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// How many more there were, for which there was no room.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// A step, by its place.
    pub fn get(&self, index: usize) -> Option<Stepped<'_>> {
        let kept = self.kept.get(index)?;
        let next = self.kept.get(index + 1);
        let name = match OPCODES[kept.opcode as usize] {
            Some(opcode) => opcode.name,
            None => self.names.get(&kept.opcode).map_or("UNDEFINED", String::as_str),
        };
        let step = Step {
            pc: kept.pc,
            opcode: kept.opcode,
            name,
            gas: kept.gas,
            depth: kept.depth.into(),
            stack: &self.words[kept.words..next.map_or(self.words.len(), |next| next.words)],
            memory: &self.bytes[kept.bytes..next.map_or(self.bytes.len(), |next| next.bytes)],
            returned: &[],
            refund: kept.refund,
            address: kept.address,
        };
        Some(Stepped { step, memory_size: kept.memory_size, cost: kept.cost, halt: kept.halt })
    }

    /// A step as its EIP-3155 line.
    pub fn line(&self, index: usize) -> Option<String> {
        let Stepped { step, memory_size, cost, halt } = self.get(index)?;
        let mut line = String::new();
        let shown = Shown { memory: self.memory, ..Shown::default() };
        write_step(&mut line, &step, memory_size, shown);
        write_end(&mut line, cost, halt);
        Some(line)
    }

    fn size_bytes(&self) -> usize {
        self.kept.len() * size_of::<Kept>() + self.words.len() * size_of::<U256>() + self.bytes.len()
    }
}

impl Tracer for Steps {
    fn step(&mut self, step: &Step<'_>) {
        if self.dropped > 0 || self.size_bytes() > self.bytes_max {
            self.dropped += 1;
            return;
        }
        self.kept.push(Kept {
            pc: step.pc,
            opcode: step.opcode,
            depth: step.depth as u16,
            halt: None,
            gas: step.gas,
            cost: 0,
            refund: step.refund,
            address: step.address,
            memory_size: step.memory.len(),
            words: self.words.len(),
            bytes: self.bytes.len(),
        });
        self.words.extend_from_slice(step.stack);
        if self.memory {
            self.bytes.extend_from_slice(step.memory);
        }
        if OPCODES[step.opcode as usize].is_none() && !self.names.contains_key(&step.opcode) {
            self.names.insert(step.opcode, step.name.to_owned());
        }
    }

    fn stepped(&mut self, cost: u64, halt: Option<HaltReason>) {
        if self.dropped == 0
            && let Some(last) = self.kept.last_mut()
        {
            (last.cost, last.halt) = (cost, halt);
        }
    }
}

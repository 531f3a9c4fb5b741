//! Watching a transaction run, opcode by opcode.
//!
//! A [`Tracer`] hears of every message and of every step; it sees, and changes nothing. Traced transactions run in the
//! plain loop. Without a tracer nothing of this is in the loop: the choice is made at compile time.
//!
//! [`Lines`] writes what other clients write: one JSON object per step, as EIP-3155 has it. [`Steps`] keeps the steps,
//! [`Calls`] the tree of messages; a pair of tracers is a tracer.

mod calls;
mod steps;

use std::fmt::Write;

use types::{Address, U256, primitives::hex};

use crate::{
    frame::{FrameResult, Message, Status},
    interpreter::HaltReason,
};

pub use calls::{Call, Calls};
pub use steps::{BYTES_MAX, Stepped, Steps};

/// A step that is about to run.
#[derive(Clone, Copy, Debug)]
pub struct Step<'a> {
    /// Its place in the code.
    pub pc: usize,
    /// Its byte.
    pub opcode: u8,
    /// Its name, or that there is none.
    pub name: &'a str,
    /// Gas before it.
    pub gas: u64,
    /// 1 for the transaction's own frame.
    pub depth: usize,
    /// Bottom to top.
    pub stack: &'a [U256],
    /// All of it.
    pub memory: &'a [u8],
    /// What the last call returned.
    pub returned: &'a [u8],
    /// The refund counter.
    pub refund: i64,
    /// As whom the code runs.
    pub address: Address,
}

/// Somebody who watches. Methods that do nothing may be left out.
pub trait Tracer {
    /// A step is about to run.
    fn step(&mut self, step: &Step<'_>);

    /// The step ran: what it took (a call's gas included), and why it halted.
    fn stepped(&mut self, cost: u64, halt: Option<HaltReason>);

    /// A message is about to begin; depth 1 is the transaction's own.
    fn enter(&mut self, message: &Message, depth: usize) {
        let _ = (message, depth);
    }

    /// The message ended, be it a precompile's, a refused one, or one to an account without code.
    fn leave(&mut self, result: &FrameResult, depth: usize) {
        let _ = (result, depth);
    }
}

/// Two who watch the same.
impl<A: Tracer, B: Tracer> Tracer for (A, B) {
    fn step(&mut self, step: &Step<'_>) {
        self.0.step(step);
        self.1.step(step);
    }

    fn stepped(&mut self, cost: u64, halt: Option<HaltReason>) {
        self.0.stepped(cost, halt);
        self.1.stepped(cost, halt);
    }

    fn enter(&mut self, message: &Message, depth: usize) {
        self.0.enter(message, depth);
        self.1.enter(message, depth);
    }

    fn leave(&mut self, result: &FrameResult, depth: usize) {
        self.0.leave(result, depth);
        self.1.leave(result, depth);
    }
}

/// What a line holds beside what every line does: each of them can be long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The stack; else there is `null`.
    pub stack: bool,
    /// The memory's bytes.
    pub memory: bool,
    /// What the last call returned.
    pub returned: bool,
}

impl Default for Shown {
    fn default() -> Self {
        Self { stack: true, memory: false, returned: false }
    }
}

/// Writes EIP-3155 lines: hands each finished line, without its line break, to a sink.
pub struct Lines<S> {
    sink: S,
    line: String,
    shown: Shown,
}

impl<S: FnMut(&str)> Lines<S> {
    /// Lines that hold this.
    pub fn new(shown: Shown, sink: S) -> Self {
        Self { sink, line: String::new(), shown }
    }
}

/// A step's line but for its end.
fn write_step(line: &mut String, step: &Step<'_>, memory_size: usize, shown: Shown) {
    let mut write = || -> std::fmt::Result {
        let Step { pc, opcode, gas, depth, .. } = *step;
        write!(line, r#"{{"pc":{pc},"op":{opcode},"gas":"{gas:#x}","memSize":{memory_size},"stack":"#)?;
        if shown.stack {
            line.push('[');
            for (index, word) in step.stack.iter().enumerate() {
                let comma = if index == 0 { "" } else { "," };
                write!(line, r#"{comma}"{word:#x}""#)?;
            }
            line.push(']');
        } else {
            line.push_str("null");
        }
        write!(line, r#","depth":{depth},"refund":{},"opName":""#, step.refund.max(0))?;
        for letter in step.name.chars() {
            // A name of one's own may hold anything.
            match letter {
                '"' | '\\' => write!(line, "\\{letter}")?,
                letter if letter.is_control() => write!(line, "\\u{:04x}", u32::from(letter))?,
                letter => line.push(letter),
            }
        }
        line.push('"');
        let octets = [(shown.memory, "memory", step.memory), (shown.returned, "returnData", step.returned)];
        for (_, name, bytes) in octets.into_iter().filter(|(shown, ..)| *shown) {
            write!(line, r#","{name}":"{}""#, hex::encode_prefixed(bytes))?;
        }
        Ok(())
    };
    write().expect("a string takes everything");
}

/// The end. Cost is known last, and so stands last; the order of an object's fields means nothing.
fn write_end(line: &mut String, cost: u64, halt: Option<HaltReason>) {
    let end = match halt {
        Some(reason) => write!(line, r#","gasCost":"{cost:#x}","error":"{reason}"}}"#),
        None => write!(line, r#","gasCost":"{cost:#x}"}}"#),
    };
    end.expect("a string takes everything");
}

impl<S: FnMut(&str)> Tracer for Lines<S> {
    fn step(&mut self, step: &Step<'_>) {
        self.line.clear();
        write_step(&mut self.line, step, step.memory.len(), self.shown);
    }

    fn stepped(&mut self, cost: u64, halt: Option<HaltReason>) {
        write_end(&mut self.line, cost, halt);
        (self.sink)(&self.line);
    }

    fn leave(&mut self, result: &FrameResult, depth: usize) {
        if depth != 1 {
            return;
        }
        let pass = result.status == Status::Success;
        let line = format!(r#"{{"output":"{}","gasLeft":"{:#x}","pass":{pass}}}"#, result.output, result.gas_left);
        (self.sink)(&line);
    }
}

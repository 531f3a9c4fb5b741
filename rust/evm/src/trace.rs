//! Watching a transaction run, opcode by opcode.
//!
//! A [`Tracer`] hears of every message and of every step; it sees, and changes nothing. Traced transactions run in the
//! plain loop. Without a tracer nothing of this is in the loop: the choice is made at compile time.
//!
//! [`Lines`] writes what other clients write: one JSON object per step, as EIP-3155 has it.

use std::fmt::Write;

use types::{Address, U256};

use crate::{
    frame::{FrameResult, Message, Status},
    interpreter::HaltReason,
};

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

/// Writes EIP-3155 lines: hands each finished line, without its line break, to a sink.
pub struct Lines<S> {
    sink: S,
    line: String,
    /// Whether memory is written out; it can be long.
    memory: bool,
}

impl<S: FnMut(&str)> Lines<S> {
    /// With or without the memory's bytes in each line.
    pub fn new(memory: bool, sink: S) -> Self {
        Self { sink, line: String::new(), memory }
    }

    fn write(&mut self, step: &Step<'_>) -> std::fmt::Result {
        let Step { pc, opcode, gas, depth, .. } = *step;
        self.line.clear();
        write!(self.line, r#"{{"pc":{pc},"op":{opcode},"gas":"{gas:#x}","memSize":{},"stack":["#, step.memory.len())?;
        for (index, word) in step.stack.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            write!(self.line, r#"{comma}"{word:#x}""#)?;
        }
        write!(self.line, r#"],"depth":{depth},"refund":{},"opName":"{}""#, step.refund.max(0), step.name)?;
        if self.memory {
            write!(self.line, r#","memory":"0x"#)?;
            for byte in step.memory {
                write!(self.line, "{byte:02x}")?;
            }
            self.line.push('"');
        }
        Ok(())
    }
}

impl<S: FnMut(&str)> Tracer for Lines<S> {
    fn step(&mut self, step: &Step<'_>) {
        self.write(step).expect("a string takes everything");
    }

    fn stepped(&mut self, cost: u64, halt: Option<HaltReason>) {
        // Cost is known last, and so stands last; the order of an object's fields means nothing.
        let end = match halt {
            Some(reason) => write!(self.line, r#","gasCost":"{cost:#x}","error":"{reason}"}}"#),
            None => write!(self.line, r#","gasCost":"{cost:#x}"}}"#),
        };
        end.expect("a string takes everything");
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

//! Bytecode with the shapes of real one: words that fit what takes them, forward jumps and loops that end, calls with
//! input and output, creations, and an end. Now and then anything at all.

use evm::{
    Fork,
    spec::opcodes::{self as op, OPCODES},
};
use types::{Address, U256};

use super::dice::Dice;

/// Statements in a contract, at most.
const STATEMENTS: u64 = 14;

/// Nested blocks of statements.
const NESTING: u32 = 2;

/// Accounts that programs know of.
pub struct Known<'k> {
    pub fork: Fork,
    pub accounts: &'k [Address],
}

/// A contract's code.
pub fn contract(dice: &mut Dice, known: &Known<'_>) -> Vec<u8> {
    let mut program = Program { code: Vec::new(), height: 0, dice, known };
    let statements = 1 + program.dice.below(STATEMENTS);
    for _ in 0..statements {
        program.statement(NESTING);
    }
    program.end();
    program.code
}

/// A creation's code that fits a word.
pub fn init(dice: &mut Dice) -> Vec<u8> {
    let hex = dice.pick(&[
        // Nothing; code of one STOP; of 10 bytes from the stack; with 0xef in front; 24,577 bytes; the limit itself.
        "",
        "60016000f3",
        "6960016000550000000000600052600a6016f3",
        "60ef60005360016000f3",
        "6160016000f3",
        "6160006000f3",
        // Stores and returns nothing; stores and reverts with a word; halts; runs out of gas.
        "600160015500",
        "600260015560206000fd",
        "60206000fd",
        "fe",
        "5b600056",
        // Leaves everything to the one who called; to itself.
        "33ff",
        "30ff",
        // Calls the one who called; creates a child of its own.
        "6000600060006000600033620186a0f100",
        "600060006000f000",
        // Keeps a log, and transient storage.
        "60206000a06001600255600160025d",
    ]);
    (0..hex.len() / 2).map(|index| u8::from_str_radix(&hex[2 * index..2 * index + 2], 16).expect("hex")).collect()
}

struct Program<'d, 'k> {
    code: Vec<u8>,
    /// Words on the stack, as far as is known.
    height: u64,
    dice: &'d mut Dice,
    known: &'d Known<'k>,
}

/// Operations that take words and leave one.
const PURE: [(u8, u8); 2] = [(op::ADD, op::SIGNEXTEND), (op::LT, op::CLZ)];

impl Program<'_, '_> {
    fn has(&self, byte: u8) -> bool {
        OPCODES[byte as usize].is_some_and(|opcode| opcode.since <= self.known.fork)
    }

    /// The byte, if the fork knows it or chance wants it anyway.
    fn emit(&mut self, byte: u8) {
        self.code.push(byte);
        if let Some(opcode) = OPCODES[byte as usize] {
            self.height = (self.height + u64::from(opcode.outputs)).saturating_sub(u64::from(opcode.inputs));
        }
    }

    fn push(&mut self, word: U256) {
        let mut length = word.byte_len().max(1);
        if word.is_zero() && self.known.fork >= Fork::Shanghai && self.dice.chance(1, 2) {
            length = 0;
        } else if self.dice.chance(1, 20) {
            length = 32;
        }
        self.emit(op::PUSH0 + length as u8);
        self.code.extend(&word.to_be_bytes::<32>()[32 - length..]);
    }

    fn number(&mut self, number: u64) {
        self.push(U256::from(number));
    }

    fn account(&mut self) -> Address {
        if self.dice.chance(1, 6) {
            // A precompile, or one that this fork does not have.
            return Address::with_last_byte(1 + self.dice.below(20) as u8);
        }
        if self.dice.chance(1, 30) {
            return Address::from_word(U256::from(0x100).into());
        }
        self.dice.pick(self.known.accounts)
    }

    /// A place in memory: near, seldom far.
    fn offset(&mut self) -> u64 {
        match self.dice.below(200) {
            0 => 1 << self.dice.below(40),
            1 => u64::MAX - self.dice.below(40),
            2..=40 => self.dice.below(2_000),
            _ => 32 * self.dice.below(6),
        }
    }

    fn size(&mut self) -> u64 {
        match self.dice.below(120) {
            0 => 1 << self.dice.below(36),
            1..=24 => 0,
            25..=60 => self.dice.below(200),
            _ => 32 * (1 + self.dice.below(5)),
        }
    }

    /// One more word on the stack.
    fn value(&mut self) {
        match self.dice.below(14) {
            0..=5 => {
                let word = self.dice.word();
                self.push(word);
            }
            6..=7 if self.height > 0 => {
                let depth = self.dice.below(self.height.min(16)) as u8;
                self.emit(op::DUP1 + depth);
            }
            8 => {
                let account = self.account();
                self.push(account.into_word().into());
                if self.dice.chance(1, 2) {
                    let byte = self.dice.pick(&[op::BALANCE, op::EXTCODESIZE, op::EXTCODEHASH]);
                    if self.has(byte) {
                        self.emit(byte);
                    }
                }
            }
            9 => {
                let slot = self.dice.below(5);
                self.number(slot);
                let byte = if self.has(op::TLOAD) && self.dice.chance(1, 3) { op::TLOAD } else { op::SLOAD };
                self.emit(byte);
            }
            10 => {
                let offset = self.offset();
                self.number(offset);
                let byte = self.dice.pick(&[op::MLOAD, op::CALLDATALOAD]);
                self.emit(byte);
            }
            11 => {
                let byte = self.dice.pick(&[
                    op::ADDRESS,
                    op::ORIGIN,
                    op::CALLER,
                    op::CALLVALUE,
                    op::CALLDATASIZE,
                    op::CODESIZE,
                    op::GASPRICE,
                    op::RETURNDATASIZE,
                    op::COINBASE,
                    op::TIMESTAMP,
                    op::NUMBER,
                    op::PREVRANDAO,
                    op::GASLIMIT,
                    op::CHAINID,
                    op::SELFBALANCE,
                    op::BASEFEE,
                    op::BLOBBASEFEE,
                    op::PC,
                    op::MSIZE,
                    op::GAS,
                ]);
                if self.has(byte) || self.dice.chance(1, 50) {
                    self.emit(byte);
                } else {
                    self.number(1);
                }
            }
            12 => {
                let (offset, size) = (self.offset(), self.size());
                self.number(size);
                self.number(offset);
                self.emit(op::KECCAK256);
            }
            _ => {
                let byte = if self.has(op::BLOBHASH) && self.dice.chance(1, 2) { op::BLOBHASH } else { op::BLOCKHASH };
                let number = if byte == op::BLOBHASH { self.dice.below(4) } else { 700 + self.dice.below(310) };
                self.number(number);
                self.emit(byte);
            }
        }
    }

    /// A computed word on the stack.
    fn computed(&mut self) {
        let (from, to) = self.dice.pick(&PURE);
        let byte = from + self.dice.below(u64::from(to - from) + 1) as u8;
        let Some(opcode) = OPCODES[byte as usize] else { return self.value() };
        if opcode.since > self.known.fork {
            return self.value();
        }
        (0..opcode.inputs).for_each(|_| self.value());
        if self.height > 1 && self.dice.chance(1, 4) {
            let depth = self.dice.below((self.height - 1).min(16)) as u8;
            self.emit(op::SWAP1 + depth);
        }
        self.emit(byte);
    }

    fn statement(&mut self, nesting: u32) {
        match self.dice.below(24) {
            0..=3 => self.computed(),
            4..=6 => {
                self.computed();
                let offset = self.offset();
                self.number(offset);
                let byte = self.dice.pick(&[op::MSTORE, op::MSTORE, op::MSTORE8]);
                self.emit(byte);
            }
            7..=9 => {
                if self.dice.chance(1, 2) {
                    self.computed()
                } else {
                    self.value()
                }
                let slot = self.dice.below(5);
                self.number(slot);
                let byte = if self.has(op::TSTORE) && self.dice.chance(1, 3) { op::TSTORE } else { op::SSTORE };
                self.emit(byte);
            }
            10..=13 => self.call(),
            14 => self.create(),
            15 => self.copy(),
            16 => {
                let topics = self.dice.below(5) as u8;
                (0..topics).for_each(|_| self.value());
                let (offset, size) = (self.offset(), self.size());
                self.number(size);
                self.number(offset);
                self.emit(op::LOG0 + topics);
            }
            17..=18 if nesting > 0 => self.branch(nesting - 1),
            19 if nesting > 0 => self.repeat(nesting - 1),
            20 if self.height > 0 => self.emit(op::POP),
            21 if self.dice.chance(1, 10) => {
                // Anything.
                let byte = self.dice.next() as u8;
                self.emit(byte);
            }
            22 if self.dice.chance(1, 15) => {
                let target = self.dice.below(self.code.len() as u64 + 20);
                self.number(target);
                self.emit(op::JUMP);
            }
            23 if self.dice.chance(1, 4) => self.end(),
            _ => self.value(),
        }
    }

    fn call(&mut self) {
        let kinds = [op::CALL, op::CALL, op::CALL, op::STATICCALL, op::DELEGATECALL, op::CALLCODE];
        let byte = self.dice.pick(&kinds);
        if !self.has(byte) && !self.dice.chance(1, 50) {
            return;
        }
        // Where the answer goes, where the question is.
        for _ in 0..2 {
            let (offset, size) = (self.offset(), self.size());
            self.number(size);
            self.number(offset);
        }
        if byte == op::CALL || byte == op::CALLCODE {
            let value = if self.dice.chance(1, 3) { self.dice.below(4) } else { 0 };
            self.number(value);
        }
        let account = self.account();
        self.push(account.into_word().into());
        match self.dice.below(8) {
            0..=3 => self.emit(op::GAS),
            4..=5 => self.number(30_000),
            6 => {
                let gas = 2_300 + self.dice.below(8);
                self.number(gas);
            }
            _ => {
                let gas = self.dice.below(100_000);
                self.number(gas);
            }
        }
        self.emit(byte);
        if self.has(op::RETURNDATACOPY) && self.dice.chance(1, 4) {
            // All of the answer, or one byte more than there is.
            self.emit(op::RETURNDATASIZE);
            let from = u64::from(self.dice.chance(1, 10));
            self.number(from);
            self.number(0);
            self.emit(op::RETURNDATACOPY);
        }
    }

    fn create(&mut self) {
        let byte = self.dice.pick(&[op::CREATE, op::CREATE2]);
        if !self.has(byte) {
            return;
        }
        let code = init(self.dice);
        let mut word = [0; 32];
        word[..code.len()].copy_from_slice(&code);
        self.push(U256::from_be_bytes(word));
        self.number(0);
        self.emit(op::MSTORE);
        if byte == op::CREATE2 {
            let salt = self.dice.below(2);
            self.number(salt);
        }
        let size = if self.dice.chance(1, 20) { self.size() } else { code.len() as u64 };
        self.number(size);
        self.number(0);
        let value = if self.dice.chance(1, 4) { self.dice.below(3) } else { 0 };
        self.number(value);
        self.emit(byte);
        if self.dice.chance(1, 2) {
            // Call what came of it.
            for _ in 0..5 {
                self.number(0);
            }
            self.emit(op::DUP1 + 5);
            self.number(50_000);
            self.emit(op::CALL);
        }
    }

    fn copy(&mut self) {
        let byte = self.dice.pick(&[op::CALLDATACOPY, op::CODECOPY, op::EXTCODECOPY, op::MCOPY, op::RETURNDATACOPY]);
        if !self.has(byte) {
            return;
        }
        let (to, from, size) = (self.offset(), self.offset(), self.size());
        self.number(size);
        self.number(from);
        self.number(to);
        if byte == op::EXTCODECOPY {
            let account = self.account();
            self.push(account.into_word().into());
        }
        self.emit(byte);
    }

    /// A PUSH2 of a place that is known later; where its bytes are.
    fn later(&mut self) -> usize {
        self.emit(op::PUSH1 + 1);
        self.code.extend([0, 0]);
        self.code.len() - 2
    }

    fn here(&mut self, later: usize) {
        let place = self.code.len();
        self.code[later..later + 2].copy_from_slice(&(place as u16).to_be_bytes());
        self.emit(op::JUMPDEST);
    }

    fn branch(&mut self, nesting: u32) {
        self.computed();
        let later = self.later();
        self.emit(op::JUMPI);
        let height = self.height;
        let statements = 1 + self.dice.below(3);
        (0..statements).for_each(|_| self.statement(nesting));
        self.here(later);
        // One way or the other: as much as is surely there.
        self.height = self.height.min(height);
    }

    fn repeat(&mut self, nesting: u32) {
        let rounds = 1 + self.dice.below(6);
        self.number(rounds);
        let begin = self.code.len() as u64;
        self.emit(op::JUMPDEST);
        let height = self.height;
        let statements = 1 + self.dice.below(3);
        (0..statements).for_each(|_| self.statement(nesting));
        // Only as high as it was can the next round find its counter.
        while self.height > height {
            self.emit(op::POP);
        }
        if self.height < height {
            return;
        }
        self.number(1);
        self.emit(op::SWAP1);
        self.emit(op::SUB);
        self.emit(op::DUP1);
        self.number(begin);
        self.emit(op::JUMPI);
    }

    fn end(&mut self) {
        match self.dice.below(12) {
            0..=5 => {
                let (offset, size) = (self.offset(), self.size());
                self.number(size);
                self.number(offset);
                self.emit(op::RETURN);
            }
            6..=7 if self.has(op::REVERT) => {
                let (offset, size) = (self.offset(), self.size());
                self.number(size);
                self.number(offset);
                self.emit(op::REVERT);
            }
            8 => {
                let account = self.account();
                self.push(account.into_word().into());
                self.emit(op::SELFDESTRUCT);
            }
            9 if self.dice.chance(1, 3) => self.emit(op::INVALID),
            // Through the end of the code.
            10 => {}
            _ => self.emit(op::STOP),
        }
    }
}

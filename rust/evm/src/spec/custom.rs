//! Opcodes and precompiles of a chain's own: a byte or an address, and a function.
//!
//! The function of an opcode gets its words and a [`Site`], through which it reaches memory, storage and gas; the loop
//! has checked the stack and taken the fixed price before, as for any opcode. The function of a precompile gets the
//! input and the gas, and says what it used.
//!
//! Nothing here costs the built-in ones anything: an opcode is a row of the table, and only chains that have a
//! precompile of their own look for one. Code with a custom opcode leaves its analysed form there.
//!
//! A function that is not the same everywhere (a script's) is marked: a chain with one of those is not of
//! [consensus](Custom::is_consensus), runs in the plain loop, and one transaction after the other. A function that fails
//! leaves the transaction without an outcome and the state as it was: [`CustomFailure`].

use std::{any::Any, collections::BTreeMap, fmt, sync::Arc};

use types::{Address, Bytes, U256};

use super::opcodes::OPCODES;
use crate::{
    frame::{Fault, Frame, Machine},
    interpreter::{Exit, Flow, HaltReason, length, stack::STACK_LIMIT},
    precompiles::Answer,
    spec::gas::PRICE_MAX,
};

/// What an opcode's function answers: its words, the top of the stack first.
pub type Operation = dyn Fn(&mut Site<'_, '_, '_, '_>, &[U256]) -> Result<Vec<U256>, Quit> + Send + Sync;

/// What a precompile's function answers, for an input and the gas there is.
pub type Contract = dyn Fn(&Bytes, u64) -> Result<Answer, Cause> + Send + Sync;

/// An opcode of one's own.
#[derive(Clone)]
pub struct CustomOpcode {
    /// As traces show it.
    pub name: String,
    /// What it costs, whatever its operands are.
    pub gas: u64,
    /// Words that it takes.
    pub inputs: u8,
    /// Words that it leaves.
    pub outputs: u8,
    /// Whether everybody has this function and gets the same from it.
    pub consensus: bool,
    /// What it does.
    pub run: Arc<Operation>,
}

/// A precompile of one's own.
#[derive(Clone)]
pub struct CustomPrecompile {
    /// As errors call it.
    pub name: String,
    /// Whether everybody has this function and gets the same from it.
    pub consensus: bool,
    /// What it does.
    pub run: Arc<Contract>,
}

/// An opcode that cannot be registered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CustomError {
    /// The byte is Ethereum's, at some fork, or another custom opcode's.
    #[error("opcode 0x{byte:02x} is taken by {name}")]
    OpcodeTaken {
        /// Which.
        byte: u8,
        /// Who has it.
        name: String,
    },
    /// A price that cannot be charged.
    #[error("opcode {name} cannot cost {value}: it must be at most {maximum}")]
    OpcodePrice {
        /// Which.
        name: String,
        /// What was asked for.
        value: u64,
        /// The most it may be.
        maximum: u64,
    },
}

/// Why a custom function failed, as it says itself, with whatever it wants to hand to who asked.
#[derive(Clone)]
pub struct Cause {
    /// For people.
    pub text: String,
    /// For who knows the function: an exception of another language, say.
    pub value: Option<Arc<dyn Any + Send + Sync>>,
}

/// A custom function failed: the transaction has no outcome, and changed nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} failed: {cause}")]
pub struct CustomFailure {
    /// Which: an opcode or precompile, with its name.
    pub name: String,
    /// Why.
    pub cause: Cause,
}

/// How an opcode's function ends early.
#[derive(Debug)]
pub struct Quit(Early);

#[derive(Debug)]
enum Early {
    Exit(Exit),
    Failed(Cause),
}

/// The opcodes and precompiles that a chain has beside its forks'.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Custom {
    opcodes: BTreeMap<u8, CustomOpcode>,
    /// None: the fork's own precompile is not there.
    precompiles: BTreeMap<Address, Option<CustomPrecompile>>,
}

impl Custom {
    pub(super) fn with_opcode(mut self, byte: u8, opcode: CustomOpcode) -> Result<Self, CustomError> {
        let taken = OPCODES[byte as usize].map(|opcode| opcode.name.to_owned());
        if let Some(name) = taken.or_else(|| self.opcodes.get(&byte).map(|opcode| opcode.name.clone())) {
            return Err(CustomError::OpcodeTaken { byte, name });
        }
        if opcode.gas > PRICE_MAX {
            let CustomOpcode { name, gas: value, .. } = opcode;
            return Err(CustomError::OpcodePrice { name, value, maximum: PRICE_MAX });
        }
        self.opcodes.insert(byte, opcode);
        Ok(self)
    }

    pub(super) fn with_precompile(mut self, address: Address, precompile: CustomPrecompile) -> Self {
        self.precompiles.insert(address, Some(precompile));
        self
    }

    /// The same, but nothing is at `address` any more, whatever the fork has there.
    #[must_use]
    pub fn without_precompile(mut self, address: Address) -> Self {
        self.precompiles.insert(address, None);
        self
    }

    /// The same with what is at `from` at `to`, and nothing at `from`. `built_in` is the fork's own, which counts
    /// where nothing else is at `from`.
    #[must_use]
    pub fn with_moved_precompile(mut self, from: Address, to: Address, built_in: Option<CustomPrecompile>) -> Self {
        let moved = self.precompiles.insert(from, None).unwrap_or(built_in);
        self.precompiles.insert(to, moved);
        self
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.opcodes.is_empty() && self.precompiles.is_empty()
    }

    /// Whether everybody who follows these rules gets the same.
    pub fn is_consensus(&self) -> bool {
        let mut precompiles = self.precompiles.values().flatten();
        self.opcodes.values().all(|opcode| opcode.consensus) && precompiles.all(|precompile| precompile.consensus)
    }

    /// Opcodes by byte.
    pub fn opcodes(&self) -> impl Iterator<Item = (u8, &CustomOpcode)> {
        self.opcodes.iter().map(|(byte, opcode)| (*byte, opcode))
    }

    /// Precompiles by address.
    pub fn precompiles(&self) -> impl Iterator<Item = (&Address, &CustomPrecompile)> {
        self.precompiles.iter().filter_map(|(address, precompile)| Some((address, precompile.as_ref()?)))
    }

    pub(crate) fn opcode(&self, byte: u8) -> Option<&CustomOpcode> {
        self.opcodes.get(&byte)
    }

    /// What is said about an address; None: nothing, so the fork's own counts.
    pub(crate) fn precompile(&self, address: &Address) -> Option<&Option<CustomPrecompile>> {
        self.precompiles.get(address)
    }
}

impl CustomPrecompile {
    pub(crate) fn answer(&self, address: &Address, input: &Bytes, gas: u64) -> Result<Answer, Fault> {
        match (self.run)(input, gas) {
            Ok(Answer::Success { gas_used, .. }) if gas_used > gas => Ok(Answer::OutOfGas),
            Ok(answer) => Ok(answer),
            Err(cause) => Err(CustomFailure { name: format!("precompile {} at {address}", self.name), cause }.into()),
        }
    }
}

/// Where an opcode runs: what it may see and do.
pub struct Site<'f, 'm, 'a, 'v> {
    frame: &'f mut Frame,
    machine: &'m mut Machine<'a, 'v>,
}

impl Site<'_, '_, '_, '_> {
    /// As whom the code runs.
    pub fn address(&self) -> Address {
        self.frame.message.target
    }

    /// Who called.
    pub fn caller(&self) -> Address {
        self.frame.message.caller
    }

    /// Who signed the transaction.
    pub fn origin(&self) -> Address {
        self.machine.origin
    }

    /// Wei that came along.
    pub fn value(&self) -> U256 {
        self.frame.message.value
    }

    /// Call data.
    pub fn input(&self) -> &Bytes {
        &self.frame.message.input
    }

    /// Whether nothing may change.
    pub fn is_static(&self) -> bool {
        self.frame.message.is_static
    }

    /// Gas that is left, the opcode's fixed price taken.
    pub fn gas(&self) -> u64 {
        self.frame.gas
    }

    /// Height of the block.
    pub fn block_number(&self) -> u64 {
        self.machine.block.number
    }

    /// Time of the block.
    pub fn timestamp(&self) -> u64 {
        self.machine.block.timestamp
    }

    /// Takes gas for what depends on the operands; halts where it does not suffice.
    ///
    /// # Errors
    /// To be handed on.
    pub fn charge(&mut self, gas: u64) -> Result<(), Quit> {
        Ok(self.frame.charge(gas)?)
    }

    /// A copy of memory, whose growth is paid for.
    ///
    /// # Errors
    /// To be handed on.
    pub fn memory(&mut self, offset: U256, size: U256) -> Result<Bytes, Quit> {
        Ok(self.frame.read(self.machine, offset, size)?)
    }

    /// All of memory, as it stands.
    pub fn memory_bytes(&self) -> &[u8] {
        self.frame.memory.bytes()
    }

    /// Writes memory, whose growth is paid for.
    ///
    /// # Errors
    /// To be handed on.
    pub fn set_memory(&mut self, offset: U256, bytes: &[u8]) -> Result<(), Quit> {
        let size = length(U256::from(bytes.len()))?;
        let offset = self.frame.reach(self.machine, offset, size)?;
        self.frame.memory.copy_padded(offset, bytes, U256::ZERO, size);
        Ok(())
    }

    /// What a slot of the running contract holds. Costs what [`Site::charge`] takes for it, and warms nothing.
    ///
    /// # Errors
    /// To be handed on.
    pub fn storage(&mut self, slot: U256) -> Result<U256, Quit> {
        let slot = self.machine.overlay.load_slot(self.frame.account, &slot).map_err(Exit::from)?;
        Ok(self.machine.overlay.slot(slot))
    }

    /// Writes a slot of the running contract; halts inside a static call.
    ///
    /// # Errors
    /// To be handed on.
    pub fn set_storage(&mut self, slot: U256, value: U256) -> Result<(), Quit> {
        self.frame.forbid_static()?;
        let slot = self.machine.overlay.load_slot(self.frame.account, &slot).map_err(Exit::from)?;
        self.machine.overlay.set_slot(slot, value);
        Ok(())
    }

    /// What a balance is.
    ///
    /// # Errors
    /// To be handed on.
    pub fn balance(&mut self, address: &Address) -> Result<U256, Quit> {
        let account = self.machine.overlay.load(address).map_err(Exit::from)?;
        Ok(self.machine.overlay.balance(account))
    }
}

/// The handler of every custom opcode.
pub(crate) fn run(frame: &mut Frame, machine: &mut Machine<'_, '_>) -> Flow {
    let byte = frame.code.bytes[frame.pc - 1];
    let rules = machine.rules;
    let opcode = rules.instructions.custom().and_then(|custom| custom.opcode(byte)).expect("it has a row");
    let words: Vec<U256> = (0..opcode.inputs).map(|_| frame.stack.pop()).collect();
    let answered = (opcode.run)(&mut Site { frame, machine }, &words).map_err(|stop| stop.0);
    let failed = |cause| {
        let name = format!("opcode 0x{byte:02x} {}", opcode.name);
        Exit::from(Fault::from(CustomFailure { name, cause }))
    };
    let words = answered.map_err(|early| match early {
        Early::Exit(exit) => exit,
        Early::Failed(cause) => failed(cause),
    })?;
    if words.len() != opcode.outputs as usize {
        let text = format!("it answered {} words, not {}", words.len(), opcode.outputs);
        return Err(failed(text.into()));
    }
    words.into_iter().rev().for_each(|word| frame.stack.push(word));
    Ok(())
}

impl CustomOpcode {
    /// The most words that the stack may hold before it.
    pub(crate) fn at_most(&self) -> u16 {
        (STACK_LIMIT + self.inputs as usize - self.outputs as usize).min(STACK_LIMIT) as u16
    }
}

impl From<Exit> for Quit {
    fn from(exit: Exit) -> Self {
        Self(Early::Exit(exit))
    }
}

/// The frame halts.
impl From<HaltReason> for Quit {
    fn from(reason: HaltReason) -> Self {
        Self(Early::Exit(reason.into()))
    }
}

/// The transaction has no outcome.
impl From<Cause> for Quit {
    fn from(cause: Cause) -> Self {
        Self(Early::Failed(cause))
    }
}

impl From<String> for Cause {
    fn from(text: String) -> Self {
        Self { text, value: None }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, f)
    }
}

/// By what it says.
impl PartialEq for Cause {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Cause {}

impl PartialEq for CustomOpcode {
    fn eq(&self, other: &Self) -> bool {
        let numbers = |opcode: &Self| (opcode.gas, opcode.inputs, opcode.outputs, opcode.consensus);
        self.name == other.name && numbers(self) == numbers(other) && Arc::ptr_eq(&self.run, &other.run)
    }
}

impl Eq for CustomOpcode {}

impl PartialEq for CustomPrecompile {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name && self.consensus == other.consensus && Arc::ptr_eq(&self.run, &other.run)
    }
}

impl Eq for CustomPrecompile {}

impl fmt::Debug for CustomOpcode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, gas, inputs, outputs, consensus, run: _ } = self;
        write!(f, "{name}(gas {gas}, {inputs} in, {outputs} out, consensus {consensus})")
    }
}

impl fmt::Debug for CustomPrecompile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(consensus {})", self.name, self.consensus)
    }
}

//! Frames: message calls and creations inside one transaction.
//!
//! [`run`] runs one message to its end, with everything it calls. Frames stand in a list of their own, not on the
//! native stack, so depth 1,024 costs memory and cannot overflow anything. Each frame has a checkpoint of the overlay:
//! one that fails leaves no trace but its gas.

use std::{mem, sync::Arc};

use state::{AccountId, Checkpoint, Overlay, ViewError};
use types::{Address, B256, Bytes, U256, system};

use crate::{
    analysis::Code,
    assets,
    interpreter::{self, Exit, Flow, HaltReason, memory::Memory, stack::Stack},
    precompiles::{self, Answer},
    spec::{BlockEnv, CustomFailure, Fork, GasSchedule, Rules},
    trace::Tracer,
};

/// Calls within calls.
const DEPTH_LIMIT: usize = 1_024;

/// Gas after which a frame that jumps looks whether it is to stop: a fraction of a millisecond of any code.
const GAS_BETWEEN_CHECKS: u64 = 1 << 16;

/// Most bytes of code, from Spurious Dragon on (EIP-170).
const CODE_LIMIT: usize = 24_576;

/// What the code of a delegated account begins with (EIP-7702); the delegate's address follows.
const DELEGATION: [u8; 3] = [0xef, 0x01, 0x00];

/// The account that this code delegates to, if it does.
pub fn delegation(code: &[u8]) -> Option<Address> {
    let address = code.strip_prefix(&DELEGATION)?;
    (address.len() == 20).then(|| Address::from_slice(address))
}

/// The code that delegates to `address`.
pub fn delegation_to(address: Address) -> Bytes {
    [&DELEGATION[..], address.as_slice()].concat().into()
}

/// What kind of message it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// To an account and its own code.
    Call,
    /// Another's code, as this account.
    CallCode,
    /// Another's code, as this account, in the name of its caller.
    DelegateCall,
    /// A call that may change nothing.
    StaticCall,
    /// Makes a contract.
    Create,
}

/// What one frame is asked to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Which kind.
    pub kind: Kind,
    /// Nothing may change.
    pub is_static: bool,
    /// Who asks.
    pub caller: Address,
    /// As whom the code runs; the address of the contract to make.
    pub target: Address,
    /// Whose code runs; unused for a creation.
    pub code_from: Address,
    /// Wei that come along (a delegate call only shows them).
    pub value: U256,
    /// Call data, or the code that makes the contract.
    pub input: Bytes,
    /// Gas that it may use.
    pub gas: u64,
}

/// How a frame ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Done.
    Success,
    /// Undone, by its own wish.
    Revert,
    /// Undone, with all its gas gone unless the reason says otherwise.
    Halt(HaltReason),
}

/// What a frame leaves to whoever asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameResult {
    /// How it ended.
    pub status: Status,
    /// What it returned, or why it reverted; the code of a contract made.
    pub output: Bytes,
    /// Gas that is left of what it was given.
    pub gas_left: u64,
    /// The contract made.
    pub created: Option<Address>,
}

/// Why a message has no result: none of the code's doing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The state cannot be read.
    #[error(transparent)]
    View(#[from] ViewError),
    /// An opcode or precompile of the chain's own failed.
    #[error(transparent)]
    Custom(#[from] CustomFailure),
}

/// What a transaction's frames run on.
pub struct Machine<'a, 'v> {
    /// The block's rules.
    pub rules: &'a Rules,
    /// The block.
    pub block: &'a BlockEnv,
    /// The state.
    pub overlay: &'a mut Overlay<'v>,
    /// Who signed.
    pub origin: Address,
    /// Wei per gas.
    pub gas_price: U256,
    /// The transaction's blobs.
    pub blob_hashes: &'a [B256],
    /// Who watches.
    pub tracer: Option<&'a mut dyn Tracer>,
}

/// Whom a message is about, found already.
pub(crate) struct Parties {
    pub(crate) caller: AccountId,
    pub(crate) target: AccountId,
    /// What runs.
    pub(crate) code: Arc<Code>,
}

/// A running message.
pub(crate) struct Frame {
    pub(crate) stack: Stack,
    pub(crate) memory: Memory,
    pub(crate) gas: u64,
    pub(crate) pc: usize,
    pub(crate) code: Arc<Code>,
    pub(crate) message: Message,
    /// The target's account.
    pub(crate) account: AccountId,
    /// The account of whoever asks.
    caller: AccountId,
    /// What the last call returned.
    pub(crate) returned: Bytes,
    /// What this frame returns.
    pub(crate) output: Bytes,
    /// What this frame asks for.
    pending: Option<Box<Frame>>,
    /// Follows the analysed form of the code, at `step`; else the plain loop runs, at `pc`.
    pub(crate) analysed: bool,
    pub(crate) step: usize,
    /// Why the analysed form was left.
    pub(crate) exit: Option<Exit>,
    /// With less gas than this, the next jump looks whether to stop.
    check_below: u64,
    /// Where the answer goes that this frame waits for: offset and size in its memory.
    waiting: (usize, usize),
    pub(crate) depth: usize,
    /// Since it began.
    checkpoint: Option<Checkpoint>,
}

/// What became of a message.
enum Opened {
    /// It runs.
    Running(Box<Frame>),
    /// It needed no frame.
    Ended(FrameResult),
}

/// Runs a message, with everything it calls. The overlay holds what it did, if it succeeded.
///
/// # Errors
/// See [`Fault`]; the overlay is then in the middle of things, for the caller to abandon.
pub fn run(machine: &mut Machine<'_, '_>, message: Message) -> Result<FrameResult, Fault> {
    let parties = machine.parties(&message)?;
    let mut frame = match machine.open(Frame::new(message, parties, 0))? {
        Opened::Ended(result) => return Ok(result),
        Opened::Running(frame) => frame,
    };
    // Those that wait for the one that runs, outermost first.
    let mut callers: Vec<Box<Frame>> = Vec::new();
    loop {
        let exit = interpreter::run(&mut frame, machine);
        if let Exit::Suspend = exit {
            let next = frame.pending.take().expect("suspended for a message");
            match machine.open(next)? {
                Opened::Ended(result) => frame.resume(result),
                Opened::Running(next) => callers.push(mem::replace(&mut frame, next)),
            }
            continue;
        }
        let result = machine.close(&mut frame, exit)?;
        if let Some(tracer) = &mut machine.tracer {
            tracer.leave(&result, frame.depth + 1);
        }
        match callers.pop() {
            Some(caller) => {
                spare::put_back(mem::replace(&mut frame, caller));
                frame.resume(result);
            }
            None => {
                spare::put_back(frame);
                return Ok(result);
            }
        }
    }
}

/// Runs what is no code, a function of a system account, as the one frame of a transaction.
///
/// # Errors
/// As [`run`].
pub(crate) fn run_native(
    machine: &mut Machine<'_, '_>,
    message: Message,
    function: impl FnOnce(&mut Frame, &mut Machine<'_, '_>) -> Flow,
) -> Result<FrameResult, Fault> {
    let caller = machine.overlay.load(&message.caller)?;
    let target = machine.overlay.load(&message.target)?;
    let mut frame = Frame::new(message, Parties { caller, target, code: Code::none() }, 0);
    frame.checkpoint = Some(machine.overlay.checkpoint());
    machine.native(&mut frame, function)
}

impl FrameResult {
    fn halt(reason: HaltReason, gas_left: u64) -> Self {
        Self { status: Status::Halt(reason), output: Bytes::new(), gas_left, created: None }
    }

    fn success(output: Bytes, gas_left: u64) -> Self {
        Self { status: Status::Success, output, gas_left, created: None }
    }
}

impl Machine<'_, '_> {
    /// Marks the account as accessed; true if it was cold. Precompiles never are.
    pub(crate) fn warm(&mut self, account: AccountId) -> bool {
        self.overlay.warm(account) && !precompiles::contains(self.rules, &self.overlay.address(account))
    }

    #[inline]
    pub(crate) fn schedule(&self) -> &GasSchedule {
        self.rules.instructions.schedule()
    }

    /// Whether the frame may open another.
    pub(crate) fn has_room(&self, frame: &Frame) -> bool {
        frame.depth < DEPTH_LIMIT
    }

    /// The code that runs for an account, and the one that it delegates to, if it does.
    pub(crate) fn running_code(&mut self, account: AccountId) -> Result<(Arc<Code>, Option<AccountId>), ViewError> {
        let code = self.code(account)?;
        if self.rules.has(Fork::Prague)
            && let Some(delegate) = delegation(&code.bytes)
        {
            let delegate = self.overlay.load(&delegate)?;
            return Ok((self.code(delegate)?, Some(delegate)));
        }
        Ok((code, None))
    }

    /// Finds whom a message is about.
    fn parties(&mut self, message: &Message) -> Result<Parties, ViewError> {
        let caller = self.overlay.load(&message.caller)?;
        let target = self.overlay.load(&message.target)?;
        let code = if message.kind == Kind::Create {
            Arc::new(Code::new(message.input.clone()))
        } else {
            let code_account = self.overlay.load(&message.code_from)?;
            self.running_code(code_account)?.0
        };
        Ok(Parties { caller, target, code })
    }

    /// The account's code, analysed.
    fn code(&mut self, account: AccountId) -> Result<Arc<Code>, ViewError> {
        if !self.overlay.has_code(account) {
            return Ok(Code::none());
        }
        let hash = self.overlay.code_hash(account);
        let overlay = &mut *self.overlay;
        self.rules.instructions.codes.get(hash, || overlay.code(account))
    }

    /// Begins a message, in the sight of whoever watches.
    fn open(&mut self, mut frame: Box<Frame>) -> Result<Opened, Fault> {
        self.overlay.view().check().map_err(ViewError::from)?;
        if let Some(tracer) = &mut self.tracer {
            tracer.enter(&frame.message, frame.depth + 1);
        }
        let Some(result) = self.begin(&mut frame)? else { return Ok(Opened::Running(frame)) };
        if let Some(tracer) = &mut self.tracer {
            tracer.leave(&result, frame.depth + 1);
        }
        spare::put_back(frame);
        Ok(Opened::Ended(result))
    }

    /// Moves the message's value, and asks a precompile. None where the frame has to run.
    fn begin(&mut self, frame: &mut Frame) -> Result<Option<FrameResult>, Fault> {
        let Frame { gas, caller, account, depth, .. } = *frame;
        let Message { kind, value, target, code_from, .. } = frame.message;
        if depth > DEPTH_LIMIT {
            return Ok(Some(FrameResult::halt(HaltReason::CallTooDeep, gas)));
        }
        let moves_value = matches!(kind, Kind::Call | Kind::CallCode | Kind::Create);
        if moves_value && !value.is_zero() && self.overlay.balance(caller) < value {
            return Ok(Some(FrameResult::halt(HaltReason::InsufficientBalance, gas)));
        }
        if kind == Kind::Create {
            return Ok(self.begin_creation(frame)?);
        }
        let checkpoint = self.overlay.checkpoint();
        match kind {
            Kind::Call if !value.is_zero() => {
                self.overlay.transfer(caller, account, value);
            }
            // A touch makes the account, or clears it where it is empty (EIP-161); one that is not needs none.
            Kind::Call | Kind::StaticCall if self.overlay.is_empty(account) => {
                self.overlay.credit(account, U256::ZERO);
            }
            _ => {}
        }
        if self.rules.own.assets && target == system::ASSETS && code_from == system::ASSETS {
            frame.checkpoint = Some(checkpoint);
            return self.native(frame, assets::call).map(Some);
        }
        if let Some(answer) = precompiles::run(self.rules, &code_from, &frame.message.input, gas)? {
            let reason = match answer {
                Answer::Success { gas_used, output } => {
                    self.overlay.commit(checkpoint);
                    return Ok(Some(FrameResult::success(output, gas - gas_used)));
                }
                Answer::OutOfGas => HaltReason::OutOfGas,
                Answer::Failure => HaltReason::PrecompileFailed,
            };
            self.overlay.rollback(checkpoint);
            return Ok(Some(FrameResult::halt(reason, 0)));
        }
        if frame.code.bytes.is_empty() {
            self.overlay.commit(checkpoint);
            return Ok(Some(FrameResult::success(Bytes::new(), gas)));
        }
        frame.checkpoint = Some(checkpoint);
        frame.analysed = self.tracer.is_none() && frame.code.analyse(&self.rules.instructions);
        Ok(None)
    }

    /// Runs a function of ours in a frame that has its checkpoint, and ends that.
    fn native(
        &mut self,
        frame: &mut Frame,
        function: impl FnOnce(&mut Frame, &mut Self) -> Flow,
    ) -> Result<FrameResult, Fault> {
        let exit = match function(frame, self) {
            Ok(()) => Exit::Return,
            Err(exit) => exit,
        };
        self.close(frame, exit)
    }

    /// Begins a creation. The creator's nonce has been counted up before, and stays so whatever happens.
    fn begin_creation(&mut self, frame: &mut Frame) -> Result<Option<FrameResult>, ViewError> {
        let Frame { caller: creator, account, .. } = *frame;
        if self.rules.has(Fork::Berlin) {
            self.overlay.warm(account);
        }
        // Storage alone is in the way, too (EIP-7610).
        if self.overlay.nonce(account) != 0 || self.overlay.has_code(account) || self.overlay.has_storage(account)? {
            return Ok(Some(FrameResult::halt(HaltReason::CreateCollision, 0)));
        }
        frame.checkpoint = Some(self.overlay.checkpoint());
        self.overlay.mark_created(account);
        let nonce = u64::from(self.rules.has(Fork::SpuriousDragon));
        self.overlay.set_nonce(account, nonce);
        self.overlay.transfer(creator, account, frame.message.value);
        // A creation has no call data.
        frame.message.input = Bytes::new();
        Ok(None)
    }

    /// Ends a frame: keeps or undoes what it did.
    fn close(&mut self, frame: &mut Frame, exit: Exit) -> Result<FrameResult, Fault> {
        let exit = match exit {
            Exit::Return if frame.message.kind == Kind::Create => match self.deposit(frame) {
                Ok(()) => Exit::Return,
                Err(exit) => exit,
            },
            exit => exit,
        };
        let checkpoint = frame.checkpoint.take().expect("a frame that ends has begun");
        let output = mem::take(&mut frame.output);
        Ok(match exit {
            Exit::Return => {
                self.overlay.commit(checkpoint);
                let created = (frame.message.kind == Kind::Create).then_some(frame.message.target);
                FrameResult { created, ..FrameResult::success(output, frame.gas) }
            }
            Exit::Revert => {
                self.overlay.rollback(checkpoint);
                FrameResult { status: Status::Revert, output, gas_left: frame.gas, created: None }
            }
            Exit::Halt(reason) => {
                self.overlay.rollback(checkpoint);
                FrameResult::halt(reason, 0)
            }
            Exit::Fault(fault) => return Err(*fault),
            Exit::Suspend => unreachable!("a suspended frame is not closed"),
        })
    }

    /// Keeps the code that a creation returned, if it may be kept and is paid for.
    fn deposit(&mut self, frame: &mut Frame) -> Flow {
        let rules = self.rules;
        if rules.has(Fork::London) && frame.output.first() == Some(&0xef) {
            return Err(HaltReason::CodeForbidden.into());
        }
        if rules.has(Fork::SpuriousDragon) && frame.output.len() > CODE_LIMIT {
            return Err(HaltReason::CodeTooLarge.into());
        }
        let paid = frame.charge(self.schedule().create_byte * frame.output.len() as u64);
        // Frontier's creation that cannot pay makes a contract without code, and keeps the gas.
        match paid {
            Err(exit) if rules.has(Fork::Homestead) => return Err(exit),
            Err(_) => frame.output = Bytes::new(),
            Ok(()) => self.overlay.set_code(frame.account, frame.output.clone()),
        }
        Ok(())
    }
}

impl Frame {
    /// One that has yet to begin. It is written where it stays, word by word: a call is little more than the copies that
    /// are made of it.
    #[inline(always)]
    fn new(message: Message, parties: Parties, depth: usize) -> Box<Self> {
        let mut frame = spare::take().unwrap_or_else(|| Self::empty(parties.target));
        let to = &mut frame.message;
        (to.kind, to.is_static) = (message.kind, message.is_static);
        (to.caller, to.target, to.code_from) = (message.caller, message.target, message.code_from);
        (to.value, to.input, to.gas) = (message.value, message.input, message.gas);
        (frame.caller, frame.account) = (parties.caller, parties.target);
        frame.code = parties.code;
        frame.gas = message.gas;
        frame.check_below = message.gas.saturating_sub(GAS_BETWEEN_CHECKS);
        frame.depth = depth;
        frame
    }

    #[cold]
    fn empty(account: AccountId) -> Box<Self> {
        let message = Message {
            kind: Kind::Call,
            is_static: false,
            caller: Address::ZERO,
            target: Address::ZERO,
            code_from: Address::ZERO,
            value: U256::ZERO,
            input: Bytes::new(),
            gas: 0,
        };
        Box::new(Self {
            stack: Stack::new(),
            memory: Memory::default(),
            gas: 0,
            check_below: 0,
            pc: 0,
            code: Code::none(),
            message,
            account,
            caller: account,
            returned: Bytes::new(),
            output: Bytes::new(),
            pending: None,
            analysed: false,
            step: 0,
            exit: None,
            waiting: (0, 0),
            depth: 0,
            checkpoint: None,
        })
    }

    /// As [`Frame::empty`] makes it, with the room that it has taken and the code that it ran: the next message brings
    /// its own.
    fn clear(&mut self) {
        self.stack.clear();
        self.memory.clear();
        self.pc = 0;
        self.message.input = Bytes::new();
        self.returned = Bytes::new();
        self.output = Bytes::new();
        self.pending = None;
        self.analysed = false;
        self.step = 0;
        self.exit = None;
        self.checkpoint = None;
    }

    /// Waits for another message, whose answer goes to the place in memory.
    #[inline(always)]
    pub(crate) fn wait_for(&mut self, message: Message, parties: Parties, answer: (usize, usize)) -> Flow {
        self.waiting = answer;
        self.pending = Some(Self::new(message, parties, self.depth + 1));
        Err(Exit::Suspend)
    }

    /// Goes on with the answer to what this frame waited for.
    fn resume(&mut self, result: FrameResult) {
        let (offset, size) = self.waiting;
        self.gas += result.gas_left;
        let succeeded = result.status == Status::Success;
        self.stack.push(match result.created {
            Some(address) => U256::from_be_bytes(address.into_word().0),
            None => U256::from(u64::from(succeeded)),
        });
        let written = result.output.len().min(size);
        if result.created.is_some() {
            self.returned = Bytes::new();
        } else {
            self.memory.copy_padded(offset, &result.output, U256::ZERO, written);
            self.returned = result.output;
        }
    }

    /// Pays, or halts.
    #[inline(always)]
    pub(crate) fn charge(&mut self, gas: u64) -> Flow {
        match self.gas.checked_sub(gas) {
            Some(left) => {
                self.gas = left;
                Ok(())
            }
            None => Err(HaltReason::OutOfGas.into()),
        }
    }

    /// Whether it is time to look if this is to stop. Jumps ask: no code runs for long without them or calls.
    #[inline(always)]
    pub(crate) fn check_is_due(&self) -> bool {
        self.gas < self.check_below
    }

    /// Looks.
    #[cold]
    #[inline(never)]
    pub(crate) fn check_now(&mut self, machine: &Machine<'_, '_>) -> Flow {
        self.check_below = self.gas.saturating_sub(GAS_BETWEEN_CHECKS);
        machine.overlay.view().check().map_err(|stopped| ViewError::from(stopped).into())
    }

    /// Pays for started words.
    #[inline]
    pub(crate) fn charge_words(&mut self, price: u64, bytes: usize) -> Flow {
        self.charge(price * bytes.div_ceil(32) as u64)
    }

    /// Makes memory readable, paying for growth; where it begins.
    #[inline(always)]
    pub(crate) fn reach(&mut self, machine: &Machine<'_, '_>, offset: U256, length: usize) -> Result<usize, Exit> {
        self.memory.reach(&mut self.gas, machine.schedule().memory_word, offset, length)
    }

    /// A copy of memory.
    pub(crate) fn read(&mut self, machine: &Machine<'_, '_>, offset: U256, length: U256) -> Result<Bytes, Exit> {
        let length = interpreter::length(length)?;
        let offset = self.reach(machine, offset, length)?;
        Ok(Bytes::copy_from_slice(self.memory.slice(offset, length)))
    }

    /// Takes the three words that every copy into memory has, pays, makes room: where to, where from, how much.
    pub(crate) fn copy_target(&mut self, machine: &Machine<'_, '_>) -> Result<(usize, U256, usize), Exit> {
        let [to, from, size] = self.stack.take();
        let size = interpreter::length(size)?;
        self.charge_words(machine.schedule().copy_word, size)?;
        Ok((self.reach(machine, to, size)?, from, size))
    }

    /// Finds the account that the word names; the first access in the transaction is dearer from Berlin on.
    pub(crate) fn access(&mut self, machine: &mut Machine<'_, '_>, word: U256) -> Result<AccountId, Exit> {
        let account = machine.overlay.load(&Address::from_word(word.into()))?;
        if machine.rules.has(Fork::Berlin) && machine.warm(account) {
            let schedule = machine.schedule();
            self.charge(schedule.account_cold - schedule.account_warm)?;
        }
        Ok(account)
    }

    /// Halts inside a static call.
    #[inline]
    pub(crate) fn forbid_static(&self) -> Flow {
        if self.message.is_static { Err(HaltReason::StaticViolation.into()) } else { Ok(()) }
    }
}

/// Frames that ended, for the thread's next ones: a stack is 32 KiB, and clearing one for each call costs more than most
/// calls do.
#[expect(clippy::vec_box, reason = "a frame stays where it is: it is not moved in and out")]
mod spare {
    use std::cell::RefCell;

    use super::Frame;

    /// Kept per thread: 2 MiB of stacks. Deeper calls than that are rare, and make their own.
    const FRAMES: usize = 64;

    /// Larger memories are given back.
    const MEMORY_BYTES: usize = 1 << 20;

    thread_local! {
        static SPARE: RefCell<Vec<Box<Frame>>> = const { RefCell::new(Vec::new()) };
    }

    pub(super) fn take() -> Option<Box<Frame>> {
        SPARE.with_borrow_mut(Vec::pop)
    }

    pub(super) fn put_back(mut frame: Box<Frame>) {
        if frame.memory.capacity() > MEMORY_BYTES {
            return;
        }
        frame.clear();
        SPARE.with_borrow_mut(|spare| {
            if spare.len() < FRAMES {
                spare.push(frame);
            }
        });
    }
}

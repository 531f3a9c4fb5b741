//! A case on both sides, and what differs.

use std::fmt;

use evm::{Fork, HaltReason, Outcome, TransactError, transact};
use revm::{
    ExecuteEvm,
    context::result::{ExecutionResult, HaltReason as TheirReason, Output},
    state::EvmState,
};
use state::{MemoryState, Overlay};
use types::{Account, Address, Bytes, Log, U256};

use super::case::Case;
use crate::rival;

/// How programs ended.
#[derive(Default)]
pub struct Tally {
    succeeded: u64,
    reverted: u64,
    halted: u64,
    refused: u64,
}

impl Tally {
    pub fn add(&mut self, other: &Self) {
        self.succeeded += other.succeeded;
        self.reverted += other.reverted;
        self.halted += other.halted;
        self.refused += other.refused;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { succeeded, reverted, halted, refused } = self;
        let runs = succeeded + reverted + halted + refused;
        write!(f, "{runs} runs: {succeeded} succeeded, {reverted} reverted, {halted} halted, {refused} were refused")
    }
}

/// What both sides agreed on.
pub struct End {
    /// Gas before refunds; None where the transaction was refused.
    pub spent: Option<u64>,
}

/// How a transaction ended, in words of neither side.
#[derive(Debug)]
enum Way {
    Success { output: Bytes, created: Option<Address> },
    Revert { output: Bytes },
    Halt { reason: &'static str },
}

/// Reasons that stand for each other, ours first, where a halt has two: revm takes an opcode's price before it looks at
/// the stack, or whether the fork has it, calls the underflow of DUP and SWAP an overflow, and looks at the bounds of
/// RETURNDATACOPY and of creation code before that is paid.
const SAME: [[&str; 2]; 6] = [
    ["stack underflow", "stack overflow"],
    ["stack underflow", "out of gas"],
    ["stack overflow", "out of gas"],
    ["out of gas", "return data"],
    ["out of gas", "init code too large"],
    ["invalid opcode", "out of gas"],
];

impl Way {
    fn is(&self, theirs: &Self) -> bool {
        match (self, theirs) {
            (Self::Success { output, created }, Self::Success { output: their, created: their_created }) => {
                output == their && created == their_created
            }
            (Self::Revert { output }, Self::Revert { output: their }) => output == their,
            (Self::Halt { reason }, Self::Halt { reason: their }) => {
                reason == their || SAME.contains(&[*reason, *their])
            }
            _ => false,
        }
    }
}

/// All that a transaction leaves behind.
struct Traces {
    way: Way,
    gas_used: u64,
    refunded: u64,
    logs: Vec<Log>,
    state: MemoryState,
}

/// Runs the case on both sides; says what differs.
pub fn compare(case: &Case, tally: &mut Tally) -> Result<End, String> {
    let theirs = theirs(case);
    let mut ours = None;
    // Plain, then analysed: code is laid out when it runs for the second time.
    for form in ["in the plain loop", "in the analysed form"] {
        ours = ours_once(case)?;
        match (&ours, &theirs) {
            (Some(ours), Ok(theirs)) => {
                if let Some(difference) = difference(ours, theirs) {
                    return Err(format!("{form}: {difference}"));
                }
            }
            (None, Err(_)) => {}
            (Some(_), Err(reason)) => return Err(format!("refused there: {reason}")),
            (None, Ok(_)) => return Err("refused here only".into()),
        }
    }
    match ours.as_ref().map(|traces| &traces.way) {
        None => tally.refused += 1,
        Some(Way::Success { .. }) => tally.succeeded += 1,
        Some(Way::Revert { .. }) => tally.reverted += 1,
        Some(Way::Halt { .. }) => tally.halted += 1,
    }
    Ok(End { spent: ours.map(|traces| traces.gas_used + traces.refunded) })
}

fn difference(ours: &Traces, theirs: &Traces) -> Option<String> {
    let mut parts = Vec::new();
    if !ours.way.is(&theirs.way) {
        parts.push(format!("{:?} here, {:?} there", ours.way, theirs.way));
    }
    if (ours.gas_used, ours.refunded) != (theirs.gas_used, theirs.refunded) {
        let (here, there) = ((ours.gas_used, ours.refunded), (theirs.gas_used, theirs.refunded));
        parts.push(format!("gas and refund {here:?} here, {there:?} there"));
    }
    if ours.logs != theirs.logs {
        parts.push(format!("logs {:?} here, {:?} there", ours.logs, theirs.logs));
    }
    if ours.state == theirs.state {
        return (!parts.is_empty()).then(|| parts.join("; "));
    }
    for address in ours.state.accounts.keys().chain(theirs.state.accounts.keys()) {
        let (here, there) = (ours.state.accounts.get(address), theirs.state.accounts.get(address));
        if here != there {
            parts.push(format!("{address} is {here:?} here, {there:?} there"));
        }
    }
    for address in ours.state.storage.keys().chain(theirs.state.storage.keys()) {
        let (here, there) = (ours.state.storage.get(address), theirs.state.storage.get(address));
        if here != there {
            parts.push(format!("slots of {address} are {here:?} here, {there:?} there"));
        }
    }
    Some(parts.join("; "))
}

fn ours_once(case: &Case) -> Result<Option<Traces>, String> {
    let mut overlay = Overlay::new(&case.state);
    let executed = match transact(&case.rules, &case.env, &case.tx, &mut overlay) {
        Ok(executed) => executed,
        Err(TransactError::Rejected(_)) => return Ok(None),
        Err(fault) => return Err(format!("no outcome here: {fault}")),
    };
    let diff = overlay.diff();
    if diff != overlay.transaction_diff() {
        return Err("the transaction's diff is not that of its block".into());
    }
    let mut state = case.state.clone();
    state.apply(&diff);
    let way = match executed.outcome {
        Outcome::Success { output, created } => Way::Success { output, created },
        Outcome::Revert { output } => Way::Revert { output },
        Outcome::Halt { reason } => Way::Halt { reason: our_reason(reason) },
    };
    // Code is kept by hash, and told by the accounts' hashes.
    state.codes.clear();
    let (gas_used, refunded, logs) = (executed.gas_used, executed.gas_refunded, executed.logs);
    Ok(Some(Traces { way, gas_used, refunded, logs, state }))
}

fn theirs(case: &Case) -> Result<Traces, String> {
    let mut machine = rival::machine(&case.rules, &case.env, rival::database(&case.state));
    let done = machine.transact(rival::transaction(&case.tx)).map_err(|error| error.to_string())?;
    let gas_used = done.result.tx_gas_used();
    let refunded = done.result.gas().inner_refunded();
    let (way, logs) = match done.result {
        ExecutionResult::Success { output, logs, .. } => match output {
            Output::Call(output) => (Way::Success { output, created: None }, logs),
            Output::Create(output, created) => (Way::Success { output, created }, logs),
        },
        ExecutionResult::Revert { output, .. } => (Way::Revert { output }, Vec::new()),
        ExecutionResult::Halt { reason, .. } => (Way::Halt { reason: their_reason(&reason) }, Vec::new()),
    };
    Ok(Traces { way, gas_used, refunded, logs, state: after(case, done.state) })
}

/// The state after revm's changes.
fn after(case: &Case, changes: EvmState) -> MemoryState {
    let mut state = case.state.clone();
    let clears = case.rules.has(Fork::SpuriousDragon);
    for (address, account) in changes {
        if !account.is_touched() {
            continue;
        }
        let info = &account.info;
        if account.is_selfdestructed() || clears && info.is_empty() {
            state.accounts.remove(&address);
            state.storage.remove(&address);
            continue;
        }
        let (nonce, balance, code_hash) = (info.nonce, info.balance, info.code_hash);
        state.accounts.insert(address, Account { nonce, balance, code_hash });
        if account.is_created() {
            state.storage.remove(&address);
        }
        for (key, slot) in &account.storage {
            state.set_storage(address, *key, slot.present_value());
        }
    }
    state.codes.clear();
    debug_assert!(state.storage.values().flat_map(|slots| slots.values()).all(|value| *value != U256::ZERO));
    state
}

fn our_reason(reason: HaltReason) -> &'static str {
    match reason {
        HaltReason::OutOfGas => "out of gas",
        HaltReason::StackUnderflow => "stack underflow",
        HaltReason::StackOverflow => "stack overflow",
        HaltReason::InvalidOpcode(_) => "invalid opcode",
        HaltReason::InvalidJump => "invalid jump",
        HaltReason::StaticViolation => "static",
        HaltReason::ReturnDataOutOfBounds => "return data",
        HaltReason::InitcodeTooLarge => "init code too large",
        HaltReason::CodeTooLarge => "code too large",
        HaltReason::CodeForbidden => "forbidden code",
        HaltReason::CreateCollision => "collision",
        HaltReason::CallTooDeep => "too deep",
        HaltReason::InsufficientBalance => "balance",
        HaltReason::PrecompileFailed => "precompile",
        HaltReason::CustomHalt => "a chain's own",
    }
}

fn their_reason(reason: &TheirReason) -> &'static str {
    match reason {
        TheirReason::OutOfGas(_) => "out of gas",
        TheirReason::StackUnderflow => "stack underflow",
        TheirReason::StackOverflow => "stack overflow",
        TheirReason::OpcodeNotFound | TheirReason::InvalidFEOpcode | TheirReason::NotActivated => "invalid opcode",
        TheirReason::InvalidJump => "invalid jump",
        TheirReason::StateChangeDuringStaticCall | TheirReason::CallNotAllowedInsideStatic => "static",
        TheirReason::OutOfOffset => "return data",
        TheirReason::CreateInitCodeSizeLimit => "init code too large",
        TheirReason::CreateContractSizeLimit => "code too large",
        TheirReason::CreateContractStartingWithEF => "forbidden code",
        TheirReason::CreateCollision => "collision",
        TheirReason::CallTooDeep => "too deep",
        TheirReason::OutOfFunds => "balance",
        TheirReason::PrecompileError | TheirReason::PrecompileErrorWithContext(_) => "precompile",
        TheirReason::NonceOverflow => "nonce overflow",
        TheirReason::OverflowPayment => "overflow payment",
    }
}

//! Many calls on one state, each as if it were the only one, with their outcomes as columns.
//!
//! The calls of a thread share one overlay: what one has read the next need not read again, and what one has changed is
//! taken back before the next begins. Pieces are handed out to threads as they become free; the columns are those of
//! one thread.

use std::{
    ops::Range,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use evm::{Executed, HaltReason, Outcome, Rejection};
use state::{Overlay, Stop};
use types::{Address, Bytes, U256};

use super::{CallError, CallRequest, Desk, Stoppable};
use crate::spare;

/// Calls that a thread takes at once.
const PIECE: usize = 256;

/// An overlay with more accounts and slots than this is emptied between two calls; about 60 MiB.
const ENTRIES_MAX: usize = 200_000;

/// Calls by their numbers.
pub trait Calls: Sync {
    /// How many there are.
    fn count(&self) -> usize;

    /// One of them; `spare` is the thread's own, to put it together in.
    fn call<'a>(&'a self, index: usize, spare: &'a mut CallRequest) -> &'a CallRequest;
}

impl Calls for [CallRequest] {
    fn count(&self) -> usize {
        self.len()
    }

    fn call<'a>(&'a self, index: usize, _: &'a mut CallRequest) -> &'a CallRequest {
        &self[index]
    }
}

/// Calls that differ in recipient, value and data only: nothing else is kept of each, and all data lie in one piece.
#[derive(Clone, Debug, Default)]
pub struct Alike {
    like: CallRequest,
    /// Recipient, value, and where the data end that begin where those before end.
    calls: Vec<(Address, U256, usize)>,
    data: Vec<u8>,
}

impl Alike {
    /// None yet, of so many; all else is as in `like`.
    pub fn new(like: CallRequest, count: usize) -> Self {
        Self { like, calls: Vec::with_capacity(count), data: Vec::new() }
    }

    /// What all are like.
    pub fn like(&self) -> &CallRequest {
        &self.like
    }

    /// One more.
    pub fn push(&mut self, to: Address, value: U256, data: &[u8]) {
        self.data.extend_from_slice(data);
        self.calls.push((to, value, self.data.len()));
    }
}

impl Calls for Alike {
    fn count(&self) -> usize {
        self.calls.len()
    }

    fn call<'a>(&'a self, index: usize, spare: &'a mut CallRequest) -> &'a CallRequest {
        // What a thread holds is either new or the call before.
        if spare.to.is_none() {
            spare.clone_from(&self.like);
        }
        let (to, value, end) = self.calls[index];
        let begin = index.checked_sub(1).map_or(0, |before| self.calls[before].2);
        spare.to = Some(to);
        spare.value = value;
        spare.input = Bytes::copy_from_slice(&self.data[begin..end]);
        spare
    }
}

/// Outcomes of many calls, one entry each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    /// 0: reverted, 1: success, 2: halted, 3: refused before it ran.
    pub status: Vec<u8>,
    /// Index into [`REASONS`] for what halted or was refused; 0 for the others.
    pub reason: Vec<u8>,
    /// Zero for what was refused.
    pub gas_used: Vec<u64>,
    /// Where the call's output ends in `output`; it begins where the one before ends.
    pub ends: Vec<u64>,
    /// All outputs, one after the other.
    pub output: Vec<u8>,
}

/// Why calls halted or were refused, by code; the names of refusals are those of their errors.
pub const REASONS: [&str; 37] = [
    "",
    "out of gas",
    "stack underflow",
    "stack overflow",
    "invalid opcode",
    "invalid jump destination",
    "write protection",
    "return data out of bounds",
    "max initcode size exceeded",
    "max code size exceeded",
    "invalid code: must not begin with 0xef",
    "contract address collision",
    "max call depth exceeded",
    "insufficient balance for transfer",
    "precompile failed",
    "custom opcode halted",
    "KindNotEnabled",
    "WrongChain",
    "ProtectedTooEarly",
    "HighSignature",
    "BlockGasExceeded",
    "GasLimitTooHigh",
    "InsufficientGas",
    "InsufficientFloorGas",
    "FeeTooLow",
    "TipAboveFee",
    "InvalidNonce",
    "NonceExhausted",
    "InsufficientBalance",
    "SenderHasCode",
    "InitCodeTooLong",
    "NoBlobs",
    "TooManyBlobs",
    "BlobVersion",
    "BlobFeeTooLow",
    "CannotCreate",
    "NoAuthorizations",
];

fn halted(reason: HaltReason) -> u8 {
    match reason {
        HaltReason::OutOfGas => 1,
        HaltReason::StackUnderflow => 2,
        HaltReason::StackOverflow => 3,
        HaltReason::InvalidOpcode(_) => 4,
        HaltReason::InvalidJump => 5,
        HaltReason::StaticViolation => 6,
        HaltReason::ReturnDataOutOfBounds => 7,
        HaltReason::InitcodeTooLarge => 8,
        HaltReason::CodeTooLarge => 9,
        HaltReason::CodeForbidden => 10,
        HaltReason::CreateCollision => 11,
        HaltReason::CallTooDeep => 12,
        HaltReason::InsufficientBalance => 13,
        HaltReason::PrecompileFailed => 14,
        HaltReason::CustomHalt => 15,
    }
}

fn refused(rejection: &Rejection) -> u8 {
    match rejection {
        Rejection::KindNotEnabled { .. } => 16,
        Rejection::WrongChain { .. } => 17,
        Rejection::ProtectedTooEarly { .. } => 18,
        Rejection::HighSignature { .. } => 19,
        Rejection::BlockGasExceeded { .. } => 20,
        Rejection::GasLimitTooHigh { .. } => 21,
        Rejection::InsufficientGas { .. } => 22,
        Rejection::InsufficientFloorGas { .. } => 23,
        Rejection::FeeTooLow { .. } => 24,
        Rejection::TipAboveFee { .. } => 25,
        Rejection::InvalidNonce { .. } => 26,
        Rejection::NonceExhausted => 27,
        Rejection::InsufficientBalance { .. } => 28,
        Rejection::SenderHasCode { .. } => 29,
        Rejection::InitCodeTooLong { .. } => 30,
        Rejection::NoBlobs => 31,
        Rejection::TooManyBlobs { .. } => 32,
        Rejection::BlobVersion { .. } => 33,
        Rejection::BlobFeeTooLow { .. } => 34,
        Rejection::CannotCreate { .. } => 35,
        Rejection::NoAuthorizations => 36,
    }
}

impl Columns {
    fn push(&mut self, done: Result<Executed, CallError>) -> Result<(), CallError> {
        let (status, reason, gas_used) = match done {
            Ok(Executed { outcome, gas_used, .. }) => {
                let (status, reason) = match outcome {
                    Outcome::Revert { output } => {
                        self.output.extend_from_slice(&output);
                        (0, 0)
                    }
                    Outcome::Success { output, .. } => {
                        self.output.extend_from_slice(&output);
                        (1, 0)
                    }
                    Outcome::Halt { reason } => (2, halted(reason)),
                };
                (status, reason, gas_used)
            }
            Err(CallError::Rejected(rejection)) => (3, refused(&rejection), 0),
            Err(error) => return Err(error),
        };
        self.status.push(status);
        self.reason.push(reason);
        self.gas_used.push(gas_used);
        self.ends.push(self.output.len() as u64);
        Ok(())
    }

    fn append(&mut self, next: Self) {
        let begin = self.output.len() as u64;
        self.status.extend(next.status);
        self.reason.extend(next.reason);
        self.gas_used.extend(next.gas_used);
        self.ends.extend(next.ends.into_iter().map(|end| begin + end));
        self.output.extend(next.output);
    }

    /// How many calls there are.
    pub fn len(&self) -> usize {
        self.status.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.status.is_empty()
    }
}

impl Desk {
    /// Tries all calls, on at most `threads` threads. Where the chain is not of consensus, one thread does all.
    ///
    /// # Errors
    /// The first call that could not be tried for a reason that is none of the call's: the state cannot be read, or
    /// code of the chain's own failed.
    pub fn batch(&self, calls: &(impl Calls + ?Sized), threads: usize) -> Result<Columns, CallError> {
        let count = calls.count();
        let threads = if self.rules.is_consensus() { threads.clamp(1, count.div_ceil(PIECE).max(1)) } else { 1 };
        let next = AtomicUsize::new(0);
        let pieces = Mutex::new(Vec::new());
        let state = Stoppable::of_current(&*self.state);
        let work = || {
            let mut overlay = spare::take(&state);
            let mut request = CallRequest::default();
            loop {
                let piece = next.fetch_add(1, Ordering::Relaxed);
                let begin = piece * PIECE;
                if begin >= count {
                    break;
                }
                let numbers = begin..count.min(begin + PIECE);
                let done = self.piece(calls, numbers, &mut request, &mut overlay);
                let failed = done.is_err();
                pieces.lock().unwrap_or_else(PoisonError::into_inner).push((piece, done));
                if failed {
                    break;
                }
            }
            spare::put(overlay);
        };
        let stop = Stop::current();
        let helping = || stop.within(work);
        thread::scope(|scope| {
            for _ in 1..threads {
                // A thread that cannot be had is one less.
                let _ = thread::Builder::new().spawn_scoped(scope, helping);
            }
            work();
        });
        let mut pieces = pieces.into_inner().unwrap_or_else(PoisonError::into_inner);
        pieces.sort_unstable_by_key(|(piece, _)| *piece);
        let mut columns = Columns::default();
        for (_, done) in pieces {
            columns.append(done?);
        }
        Ok(columns)
    }

    fn piece(
        &self,
        calls: &(impl Calls + ?Sized),
        numbers: Range<usize>,
        spare: &mut CallRequest,
        overlay: &mut Overlay<'_>,
    ) -> Result<Columns, CallError> {
        let mut columns = Columns::default();
        for number in numbers {
            let request = calls.call(number, spare);
            columns.push(self.run(request, self.gas_limit(request), overlay, None))?;
            overlay.abandon();
            if overlay.entries_capacity() > ENTRIES_MAX {
                *overlay = Overlay::new(overlay.view());
            }
        }
        Ok(columns)
    }
}

//! One Python class for each reason. The classes stand in `execlayer/errors.py`; here is which one a Rust error becomes
//! and which of its numbers become attributes, as one table per Rust enum. A test holds the two lists against each other.
//!
//! The tables are matched without a wildcard: a new reason in Rust does not compile until it has a class.

pub(crate) use std::convert::Infallible as Never;
use std::fmt;

use chain::{
    BlockRef, ChainError, Field, GenesisError, ImportError, MineError, Mismatch, SnapshotFailure, Stopped, SubmitError,
    Trouble,
    blocktest::UnknownNetwork,
    evm::{
        CustomError, CustomFailure, Fault, Fork, GasError, Outcome, Rejection, TransactError,
        spec::{Cause, SpecError, UnknownFork},
    },
    exec::{
        ExecError,
        call::{CallError, OverrideError},
        parallel::Difference,
        suite::{SuiteError, Unreadable},
    },
    pool::{PoolError, journal::JournalError as PoolJournalError},
    state::{
        LedgerError, ViewError,
        roots::{NodeError, ProofError, RootError},
    },
    store::snapshot::{SnapshotError, SnapshotFault},
    transition::TransitionError,
    types::{Address, B256, BlockId, Bytes, RecoverError, TransactionError, U256, keys::InvalidKey, rlp},
};
use orders::{OrderError, StateTransitionError, journal::JournalError, keystore::KeystoreError, wire::WireError};
use pyo3::{
    prelude::*,
    sync::PyOnceLock,
    types::{PyBytes, PyDict},
};
use rpc::NameTaken;

use crate::convert::int;

/// An error that Python can be told.
pub(crate) trait Reason {
    /// The Python exception, ready to be raised.
    fn raise(&self, py: Python<'_>) -> PyErr;
}

impl Reason for PyErr {
    fn raise(&self, py: Python<'_>) -> PyErr {
        self.clone_ref(py)
    }
}

impl Reason for Never {
    fn raise(&self, _: Python<'_>) -> PyErr {
        match *self {}
    }
}

/// The chain was closed.
#[derive(Debug)]
pub(crate) struct Closed;

/// Why a call could not be tried.
#[derive(Debug)]
pub(crate) enum CallFailed {
    Call(CallError),
    Override(OverrideError),
    Chain(ChainError),
}

impl fmt::Display for CallFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Call(error) => error.fmt(f),
            Self::Override(error) => error.fmt(f),
            Self::Chain(error) => error.fmt(f),
        }
    }
}

impl From<CallError> for CallFailed {
    fn from(error: CallError) -> Self {
        Self::Call(error)
    }
}

impl From<OverrideError> for CallFailed {
    fn from(error: OverrideError) -> Self {
        Self::Override(error)
    }
}

impl From<ChainError> for CallFailed {
    fn from(error: ChainError) -> Self {
        Self::Chain(error)
    }
}

/// No canonical block holds this transaction.
#[derive(Debug)]
pub(crate) struct UnknownTransaction {
    pub(crate) hash: B256,
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the chain is closed")
    }
}

impl fmt::Display for UnknownTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "transaction {} is in no block", self.hash)
    }
}

/// A bug of ours.
pub(crate) fn internal(py: Python<'_>, text: &str) -> PyErr {
    exception(py, "InternalError", &format!("bug in execlayer, please report it: {text}"), &[])
}

/// An argument that can't be used.
pub(crate) fn invalid_argument(name: &str, value: &Bound<'_, PyAny>, expected: &str) -> PyErr {
    let py = value.py();
    let build = || -> PyResult<PyErr> {
        let shown = shortened(&value.repr()?.to_string());
        let message = format!("{name} is {shown}, expected {expected}");
        let fields = [
            ("field", name.into_pyobject(py)?.into_any()),
            ("value", value.clone()),
            ("expected", expected.into_pyobject(py)?.into_any()),
        ];
        Ok(exception(py, "InvalidArgument", &message, &fields))
    };
    build().unwrap_or_else(|error| error)
}

/// Most characters of a wrong value that a message repeats.
const VALUE_SHOWN_CHARS: usize = 80;

fn shortened(text: &str) -> String {
    match text.char_indices().nth(VALUE_SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Makes an instance of a class of `execlayer.errors`.
fn exception(py: Python<'_>, class: &str, message: &str, fields: &[(&str, Bound<'_, PyAny>)]) -> PyErr {
    static ERRORS: PyOnceLock<Py<PyModule>> = PyOnceLock::new();
    let build = || -> PyResult<PyErr> {
        let errors = ERRORS.get_or_try_init(py, || py.import("execlayer.errors").map(Bound::unbind))?;
        let kwargs = PyDict::new(py);
        for (name, value) in fields {
            kwargs.set_item(name, value)?;
        }
        Ok(PyErr::from_value(errors.bind(py).getattr(class)?.call((message,), Some(&kwargs))?))
    };
    build().unwrap_or_else(|error| error)
}

/// A number or name that an error carries, as Python sees it.
trait Attribute {
    fn to_python<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>>;
}

macro_rules! attributes {
    ($($type:ty: $value:ident, $py:ident => $python:expr;)*) => {$(
        impl Attribute for $type {
            fn to_python<'py>(&self, $py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
                let $value = self;
                $python
            }
        }
    )*};
}

attributes! {
    bool: value, py => Ok(value.into_pyobject(py)?.to_owned().into_any());
    u8: value, py => Ok(value.into_pyobject(py)?.into_any());
    u32: value, py => Ok(value.into_pyobject(py)?.into_any());
    u64: value, py => Ok(value.into_pyobject(py)?.into_any());
    u128: value, py => Ok(value.into_pyobject(py)?.into_any());
    usize: value, py => Ok(value.into_pyobject(py)?.into_any());
    std::path::PathBuf: value, py => Ok(value.display().to_string().into_pyobject(py)?.into_any());
    std::io::Error: value, py => Ok(value.to_string().into_pyobject(py)?.into_any());
    String: value, py => Ok(value.into_pyobject(py)?.into_any());
    &'static str: value, py => Ok(value.into_pyobject(py)?.into_any());
    U256: value, py => int(py, *value);
    B256: value, py => Ok(value.to_string().into_pyobject(py)?.into_any());
    Address: value, py => Ok(value.to_checksum(None).into_pyobject(py)?.into_any());
    Fork: value, py => Ok(value.to_string().into_pyobject(py)?.into_any());
    Field: value, py => Ok(value.name().into_pyobject(py)?.into_any());
    BlockRef: value, py => Ok(value.to_string().into_pyobject(py)?.into_any());
    BlockId: value, py => Ok(value.hash.to_string().into_pyobject(py)?.into_any());
    orders::Sub: value, py => Ok(value.name().into_pyobject(py)?.into_any());
    orders::Event: value, py => Ok(value.name().into_pyobject(py)?.into_any());
    orders::wire::WireCode: value, py => Ok((*value as u16).into_pyobject(py)?.into_any());
    rlp::Error: value, py => Ok(value.to_string().into_pyobject(py)?.into_any());
    Option<usize>: value, py => Ok(value.into_pyobject(py)?.into_any());
    // A reason inside a reason is an exception as an attribute.
    Rejection: value, py => Ok(value.raise(py).into_value(py).into_bound(py).into_any());
    TransactError: value, py => Ok(value.raise(py).into_value(py).into_bound(py).into_any());
    RecoverError: value, py => Ok(value.raise(py).into_value(py).into_bound(py).into_any());
    ExecError: value, py => Ok(value.raise(py).into_value(py).into_bound(py).into_any());
    Mismatch: value, py => Ok(value.raise(py).into_value(py).into_bound(py).into_any());
    Box<SubmitError>: value, py => Ok(value.raise(py).into_value(py).into_bound(py).into_any());
    NodeError: value, py => Ok(value.to_string().into_pyobject(py)?.into_any());
    SnapshotFault: value, py => Ok(value.to_string().into_pyobject(py)?.into_any());
    // What a call that failed returned: the reason of a revert, nothing of a halt.
    Outcome: value, py => Ok(PyBytes::new(py, if let Self::Revert { output } = value { output } else { &[] }).into_any());
    GasError: value, py => Ok(value.to_string().into_pyobject(py)?.into_any());
    // What the function raised, where it is Python's.
    Cause: value, py => match value.value.as_ref().and_then(|value| value.downcast_ref::<PyErr>()) {
        Some(raised) => Ok(raised.value(py).clone().into_any()),
        None => Ok(value.text.as_str().into_pyobject(py)?.into_any()),
    };
    Bytes: value, py => Ok(PyBytes::new(py, value).into_any());
}

/// Writes the tables out. A row says which class a reason becomes, and which of its values become attributes; what
/// stands behind the arrow only carries a reason of another table.
macro_rules! reasons {
    ($($error:ident {
        $($pattern:pat => $class:ident($($field:ident),*),)*
    } $(=> { $($outer:pat => $inner:ident,)* })?)*) => {
        $(
            impl Reason for $error {
                fn raise(&self, py: Python<'_>) -> PyErr {
                    match self {
                        $($pattern => {
                            let convert = || -> PyResult<Vec<(&str, Bound<'_, PyAny>)>> {
                                Ok(vec![$((stringify!($field), $field.to_python(py)?)),*])
                            };
                            match convert() {
                                Ok(fields) => exception(py, stringify!($class), &self.to_string(), &fields),
                                Err(error) => error,
                            }
                        })*
                        $($($outer => $inner.raise(py),)*)?
                    }
                }
            }
        )*

        /// Every class that the tables name, with its attributes.
        const REASONS: &[(&str, &[&str])] = &[
            ("InternalError", &[]),
            ("InvalidArgument", &["field", "value", "expected"]),
            $($((stringify!($class), &[$(stringify!($field)),*]),)*)*
        ];
    };
}

reasons! {
    Closed {
        Closed => ChainClosed(),
    }
    UnknownTransaction {
        UnknownTransaction { hash } => UnknownTransaction(hash),
    }
    InvalidKey {
        InvalidKey => InvalidKey(),
    }
    NameTaken {
        NameTaken(name) => NameTaken(name),
    }
    GenesisError {
        GenesisError::Json(reason) => GenesisNotJson(reason),
        GenesisError::Missing { path } => GenesisFieldMissing(path),
        GenesisError::Field { path, value, expected } => GenesisFieldInvalid(path, value, expected),
        GenesisError::Gas { path, error: reason } => GenesisPriceInvalid(path, reason),
    }
    TransactionError {
        TransactionError::UnknownKind(kind) => UnknownTransactionKind(kind),
        TransactionError::Malformed(reason) => MalformedTransaction(reason),
    }
    RecoverError {
        RecoverError::OutOfRange => SignatureOutOfRange(),
        RecoverError::NoKey => SignatureWithoutKey(),
        RecoverError::RecoveryId { got } => InvalidRecoveryId(got),
    }
    Rejection {
        Rejection::KindNotEnabled { kind, fork } => KindNotEnabled(kind, fork),
        Rejection::WrongChain { expected, actual } => WrongChain(expected, actual),
        Rejection::ProtectedTooEarly { fork } => ProtectedTooEarly(fork),
        Rejection::HighSignature { s } => HighSignature(s),
        Rejection::BlockGasExceeded { required, available } => BlockGasExceeded(required, available),
        Rejection::GasLimitTooHigh { limit, max } => GasLimitTooHigh(limit, max),
        Rejection::InsufficientGas { required, available } => InsufficientGas(required, available),
        Rejection::InsufficientFloorGas { required, available } => InsufficientFloorGas(required, available),
        Rejection::FeeTooLow { base_fee, max_fee } => FeeTooLow(base_fee, max_fee),
        Rejection::TipAboveFee { tip, max_fee } => TipAboveFee(tip, max_fee),
        Rejection::InvalidNonce { expected, actual } => InvalidNonce(expected, actual),
        Rejection::NonceExhausted => NonceExhausted(),
        Rejection::InsufficientBalance { required, available } => InsufficientBalance(required, available),
        Rejection::SenderHasCode { sender, code_hash } => SenderHasCode(sender, code_hash),
        Rejection::InitCodeTooLong { length, max } => InitCodeTooLong(length, max),
        Rejection::NoBlobs => NoBlobs(),
        Rejection::TooManyBlobs { count, max } => TooManyBlobs(count, max),
        Rejection::BlobVersion { index, version } => BlobVersion(index, version),
        Rejection::BlobFeeTooLow { base_fee, max_fee } => BlobFeeTooLow(base_fee, max_fee),
        Rejection::CannotCreate { kind } => CannotCreate(kind),
        Rejection::NoAuthorizations => NoAuthorizations(),
    }
    UnknownFork {
        UnknownFork(name) => UnknownFork(name),
    }
    SpecError {
        SpecError::ForkOrder { fork, after } => ForkOrder(fork, after),
        SpecError::NoFork => NoFork(),
        SpecError::Blobs { time, target, max, update_fraction } => InvalidBlobs(time, target, max, update_fraction),
        SpecError::BlobOrder { time } => BlobOrder(time),
    }
    GasError {
        GasError::UnknownName(name) => UnknownPrice(name),
        GasError::UnknownSchedule(name) => UnknownSchedule(name),
        GasError::NotAtFork { name, fork } => PriceNotAtFork(name, fork),
        GasError::OutOfRange { name, value, minimum, maximum } => PriceOutOfRange(name, value, minimum, maximum),
        GasError::ColdBelowWarm { cold_name, cold, warm_name, warm } => ColdBelowWarm(cold_name, cold, warm_name, warm),
    }
    CustomError {
        CustomError::OpcodeTaken { byte, name } => OpcodeTaken(byte, name),
        CustomError::OpcodePrice { name, value, maximum } => OpcodePriceOutOfRange(name, value, maximum),
    }
    CustomFailure {
        CustomFailure { name, cause } => CustomCodeFailed(name, cause),
    }
    Fault {} => {
        Fault::View(inner) => inner,
        Fault::Custom(inner) => inner,
    }
    TransactError {} => {
        TransactError::Rejected(inner) => inner,
        TransactError::Fault(inner) => inner,
    }
    ExecError {
        ExecError::Rejected { index, rejection: reason } => RejectedInBlock(index, reason),
        ExecError::SystemContractMissing { contract } => SystemContractMissing(contract),
        ExecError::SystemCallFailed { contract, outcome: _ } => SystemCallFailed(contract),
        ExecError::MalformedDeposit { data } => MalformedDeposit(data),
        ExecError::Panicked { index, message } => TransactionPanicked(index, message),
    } => {
        ExecError::Diverged(inner) => inner,
        ExecError::View(inner) => inner,
        ExecError::Custom(inner) => inner,
    }
    Difference {
        Difference { transaction, field, parallel, sequential } => ExecutionDiverged(transaction, field, parallel, sequential),
    }
    PoolError {
        PoolError::AlreadyKnown(hash) => AlreadyKnown(hash),
        PoolError::NonceTooLow { expected, actual } => NonceTooLow(expected, actual),
        PoolError::ReplacementUnderpriced { required, actual } => ReplacementUnderpriced(required, actual),
        PoolError::InsufficientFunds { required, available } => InsufficientFunds(required, available),
        PoolError::Oversized { actual, limit } => Oversized(actual, limit),
        PoolError::SenderFull { sender, limit } => SenderFull(sender, limit),
        PoolError::Full { tip, transactions } => PoolFull(tip, transactions),
        PoolError::Reserved { sender, blobs } => SenderReserved(sender, blobs),
        PoolError::BlobGap { expected, actual } => BlobGap(expected, actual),
    }
    PoolJournalError {
        PoolJournalError { path, action, reason } => JournalUnwritable(path, action, reason),
    }
    Trouble {
        Trouble::ContractNotFound { kind, name } => ContractNotFound(kind, name),
        Trouble::ExecutionFailed { attempts } => ExecutionFailed(attempts),
        Trouble::Fault(reason) => TransactionFault(reason),
        Trouble::OutOfMemory { used, budget } => BatchOutOfMemory(used, budget),
    } => {
        Trouble::Rejected(inner) => inner,
    }
    Stopped {
        Stopped => Stopped(),
    }
    ViewError {
        ViewError::Unreadable(reason) => StateUnreadable(reason),
        ViewError::Missing { accounts: _, slots: _ } => StateMissing(),
        ViewError::MissingCode(hash) => CodeMissing(hash),
    } => {
        ViewError::Stopped(inner) => inner,
    }
    RootError {
        RootError::Malformed { .. } | RootError::Missing(_) => TrieDamaged(),
        RootError::AccountBefore { .. } | RootError::SlotBefore { .. } | RootError::StorageLeft { .. } => TrieMismatch(),
    } => {
        RootError::Ledger(inner) => inner,
    }
    JournalError {
        JournalError::Io { action, path, reason } => JournalIo(action, path, reason),
        JournalError::Damaged { path, offset } => JournalDamaged(path, offset),
        JournalError::Foreign { path, chain_id, first } => JournalForeign(path, chain_id, first),
        JournalError::Malformed { seq, left } => JournalMalformed(seq, left),
        JournalError::Diverged { seq, expected, actual } => JournalDiverged(seq, expected, actual),
        JournalError::NoConfiguration { seq } => JournalUnconfigured(seq),
        JournalError::Retired { path, first } => JournalRetired(path, first),
        JournalError::SenderInUse { sender, chain_id } => SenderInUse(sender, chain_id),
        JournalError::Stopped => JournalStopped(),
    }
    OrderError {
        OrderError::NotFound { order_id } => OrderNotFound(order_id),
    } => {
        OrderError::Transition(inner) => inner,
    }
    StateTransitionError {
        StateTransitionError { current, attempted, order_id } => StateTransitionError(current, attempted, order_id),
    }
    KeystoreError {
        KeystoreError::Malformed { reason } => KeystoreMalformed(reason),
        KeystoreError::Password => KeystoreLocked(),
    }
    WireError {
        WireError { code, offset } => FrameRefused(code, offset),
    }
    LedgerError {
        LedgerError::InUse { path, pid } => StoreInUse(path, pid),
        LedgerError::Schema { path, found, expected, advice: _ } => StoreSchema(path, found, expected),
        LedgerError::Full { path } => StoreFull(path),
        LedgerError::ReadOnly => StoreReadOnly(),
        LedgerError::Setting { name, value, expected } => StoreSetting(name, value, expected),
        LedgerError::Damaged(reason) => StoreDamaged(reason),
        LedgerError::Io { action, path, reason } => StoreIo(action, path, reason),
    } => {
        LedgerError::Stopped(inner) => inner,
    }
    Mismatch {
        Mismatch { field, expected, actual } => HeaderMismatch(field, expected, actual),
    }
    ChainError {
        ChainError::OtherGenesis { held, given } => OtherGenesis(held, given),
        ChainError::Unfinished { block } => UnfinishedRestore(block),
        ChainError::UnknownBlock(block) => UnknownBlock(block),
        ChainError::StateUnavailable { block, oldest } => StateNotKept(block, oldest),
        ChainError::UnknownAnchor(anchor) => UnknownAnchor(anchor),
        ChainError::TooManyAnchors(limit) => TooManyAnchors(limit),
    } => {
        ChainError::Genesis(inner) => inner,
        ChainError::GenesisHeader(inner) => inner,
        ChainError::Ledger(inner) => inner,
        ChainError::View(inner) => inner,
        ChainError::Root(inner) => inner,
        ChainError::Stopped(inner) => inner,
    }
    SubmitError {} => {
        SubmitError::Malformed(inner) => inner,
        SubmitError::Sender(inner) => inner,
        SubmitError::Rejected(inner) => inner,
        SubmitError::Pool(inner) => inner,
        SubmitError::Journal(inner) => inner,
        SubmitError::Chain(inner) => inner,
    }
    MineError {
        MineError::Transaction { index, error: reason } => RejectedInBlock(index, reason),
    } => {
        MineError::Mismatch(inner) => inner,
        MineError::Execution(inner) => inner,
        MineError::Chain(inner) => inner,
    }
    ImportError {
        ImportError::Malformed(reason) => MalformedBlock(reason),
        ImportError::UnknownParent { block, parent } => UnknownParent(block, parent),
        ImportError::Mismatch { block, mismatch: reason } => InvalidHeader(block, reason),
        ImportError::Sender { block, index, error: reason } => InvalidSender(block, index, reason),
        ImportError::Execution { block, error: reason } => InvalidExecution(block, reason),
        ImportError::Unreadable(reason) => StreamUnreadable(reason),
    } => {
        ImportError::Chain(inner) => inner,
    }
    ProofError {
        ProofError::Hash { index, expected, got } => ProofHashMismatch(index, expected, got),
        ProofError::Short { nodes, expected } => ProofTooShort(nodes, expected),
        ProofError::Long { nodes, used } => ProofTooLong(nodes, used),
        ProofError::Node { index, reason } => ProofNodeInvalid(index, reason),
        ProofError::Value(reason) => ProofValueInvalid(reason),
        ProofError::Key(bytes) => ProofKeyTooLong(bytes),
    }
    SnapshotError {
        SnapshotError::Malformed { offset, fault: reason } => SnapshotMalformed(offset, reason),
        SnapshotError::Stream { offset, reason } => SnapshotUnreadable(offset, reason),
        SnapshotError::TooLarge { what: _, bytes } => SnapshotPartTooLarge(bytes),
    }
    SnapshotFailure {
        SnapshotFailure::NotEmpty => StoreNotEmpty(),
        SnapshotFailure::OtherGenesis { expected, found } => SnapshotOfOtherChain(expected, found),
        SnapshotFailure::OtherBlock { expected, found } => SnapshotOfOtherBlock(expected, found),
        SnapshotFailure::MissingCode { address, code } => SnapshotWithoutCode(address, code),
        SnapshotFailure::Stopped => SnapshotStopped(),
    } => {
        SnapshotFailure::Snapshot(inner) => inner,
        SnapshotFailure::Block(inner) => inner,
        SnapshotFailure::Chain(inner) => inner,
    }
    SuiteError {
        SuiteError::Unreadable(Unreadable { path, reason }) => FileUnreadable(path, reason),
        SuiteError::Stopped { done } => TestsStopped(done),
        SuiteError::Threads { jobs, reason } => NoThreads(jobs, reason),
    }
    TransitionError {
        TransitionError::Network(UnknownNetwork(name)) => UnknownNetwork(name),
        TransitionError::Missing { field, fork } => EnvironmentIncomplete(field, fork),
        TransitionError::Malformed { input, reason } => MalformedInput(input, reason),
        TransitionError::Body { reason } => MalformedBody(reason),
        TransitionError::BlockHash { number } => BlockHashMissing(number),
        TransitionError::Trace(reason) => TraceUnwritable(reason),
    } => {
        TransitionError::View(inner) => inner,
    }
    CallError {
        CallError::GasExceeded { allowance } => GasExceeded(allowance),
        CallError::Unsuccessful(output) => CallUnsuccessful(output),
    } => {
        CallError::Rejected(inner) => inner,
        CallError::Custom(inner) => inner,
        CallError::View(inner) => inner,
    }
    OverrideError {
        OverrideError::StateTwice { address } => StateOverriddenTwice(address),
        OverrideError::NoPrecompile { address } => NoPrecompile(address),
        OverrideError::AlreadyOverridden { address } => AlreadyOverridden(address),
    }
    CallFailed {} => {
        CallFailed::Call(inner) => inner,
        CallFailed::Override(inner) => inner,
        CallFailed::Chain(inner) => inner,
    }
}

/// Which Python class carries which attributes, for the test that compares them with `execlayer/errors.py`.
#[pyfunction]
pub(crate) fn reasons() -> Vec<(&'static str, Vec<&'static str>)> {
    REASONS.iter().map(|(class, fields)| (*class, fields.to_vec())).collect()
}

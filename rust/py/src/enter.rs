//! The one gate between Python and Rust. Whatever the other files of this crate do with a chain goes through here.
//!
//! - [`quick`]: for calls that take less than about 50 µs. The interpreter lock is kept: letting it go and taking it
//!   again costs more than others could win.
//! - [`read`]: for calls that take as little where they find what they look for in memory. A disk may take its time, and
//!   a lock may be held: where one of them may be asked, the interpreter lock is let go.
//! - [`long`]: for everything else. The lock is let go. Where somebody may give up on the answer (see [`Patience`]), the
//!   work goes to a thread of its own, so that this is heard within [`POLL`] and the work stopped; elsewhere it runs where
//!   it was called.
//! - [`wait`]: for what only waits.
//!
//! What always holds: an error becomes the Python class of its reason (see `error.rs`), a panic becomes `InternalError`
//! and goes no further. Work that is stopped is waited for: nothing of it is left running when Python sees the
//! `KeyboardInterrupt`, and a block is in the chain as a whole or not at all.

use std::{
    any::Any,
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc::{RecvTimeoutError, sync_channel},
    thread,
    time::{Duration, Instant},
};

use chain::Stop;
use pyo3::{exceptions::PyRuntimeError, prelude::*};

use crate::error::{Reason, internal};

/// How often a long call looks whether to give up; a person can't tell it from at once.
const POLL: Duration = Duration::from_millis(20);

/// Stack of the thread that works for another one: as much as the main thread has on Linux.
const STACK_BYTES: usize = 8 << 20;

/// Runs work of less than about 50 µs with the interpreter lock held.
pub(crate) fn quick<T, E: Reason>(py: Python<'_>, work: impl FnOnce() -> Result<T, E>) -> PyResult<T> {
    settle(py, catch_unwind(AssertUnwindSafe(work)))
}

/// Where what is read lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// In memory, and nobody else is waited for.
    Memory,
    /// On a disk, or behind a lock that others hold while they work.
    Elsewhere,
}

/// Runs work that takes less than about 50 µs unless the source makes it wait.
pub(crate) fn read<T, E>(py: Python<'_>, source: Source, work: impl FnOnce() -> Result<T, E> + Send) -> PyResult<T>
where
    T: Send,
    E: Reason + Send,
{
    let caught = || catch_unwind(AssertUnwindSafe(work));
    let done = if source == Source::Memory { caught() } else { py.detach(caught) };
    settle(py, done)
}

/// Runs work of any length without the interpreter lock, stopped where the caller gives up on it.
pub(crate) fn long<T, E>(py: Python<'_>, work: impl FnOnce() -> Result<T, E> + Send) -> PyResult<T>
where
    T: Send,
    E: Reason + Send,
{
    let caught = || catch_unwind(AssertUnwindSafe(work));
    let Some(patience) = Patience::of_caller(py)? else {
        let done = py.detach(caught);
        return settle(py, done);
    };
    match py.detach(|| aside(caught, &patience)) {
        (_, Some(given_up)) => Err(given_up),
        (Some(done), None) => settle(py, done),
        (None, None) => Err(internal(py, "no thread could be started for the work")),
    }
}

/// Runs the work on a thread of its own until it is done, and stops it when patience ends: with which exception it did
/// is the second answer. None for the outcome: no thread could be started, and nothing was done.
fn aside<T: Send>(work: impl FnOnce() -> T + Send, patience: &Patience) -> (Option<T>, Option<PyErr>) {
    let (stop, mut given_up) = (Stop::new(), None);
    let within = &stop;
    let done = thread::scope(|scope| {
        let (sender, receiver) = sync_channel(1);
        // The receiver waits for this, whatever happens: it can't fail.
        let deliver = move || drop(sender.send(within.within(work)));
        let worker = thread::Builder::new().name("execlayer".to_owned()).stack_size(STACK_BYTES);
        worker.spawn_scoped(scope, deliver).ok()?;
        loop {
            match receiver.recv_timeout(POLL) {
                Ok(done) => return Some(done),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) if given_up.is_some() => {}
                Err(RecvTimeoutError::Timeout) => {
                    if let Err(raised) = Python::attach(|py| patience.check(py)) {
                        stop.ask();
                        given_up = Some(raised);
                    }
                }
            }
        }
    });
    (done, given_up)
}

/// How a caller gives up on an answer: by Ctrl-C, which Python hears on its main thread, or by the cancellation of a
/// Trio task for which this thread works. Other threads always wait.
enum Patience {
    Signals,
    Trio(Py<PyAny>),
}

impl Patience {
    /// Whose patience counts here; an error where it has ended before the work began.
    fn of_caller(py: Python<'_>) -> PyResult<Option<Self>> {
        if is_main_thread(py) {
            return Ok(Some(Self::Signals));
        }
        // Nobody has Trio's threads who has not imported Trio.
        let modules = py.import("sys")?.getattr("modules")?;
        let Ok(trio) = modules.get_item("trio.from_thread") else { return Ok(None) };
        let check = trio.getattr("check_cancelled")?;
        match check.call0() {
            Ok(_) => Ok(Some(Self::Trio(check.unbind()))),
            // Not a thread of Trio's.
            Err(error) if error.is_instance_of::<PyRuntimeError>(py) => Ok(None),
            Err(cancelled) => Err(cancelled),
        }
    }

    /// Raises what ends it.
    fn check(&self, py: Python<'_>) -> PyResult<()> {
        match self {
            Self::Signals => py.check_signals(),
            Self::Trio(check) => check.call0(py).map(drop),
        }
    }
}

/// Waits for something to happen, in slices short enough that patience is asked between them; no thread is needed for
/// that. `work` waits for at most the time that it is given.
pub(crate) fn wait<T, E>(
    py: Python<'_>,
    timeout: Duration,
    work: impl Fn(Duration) -> Result<Option<T>, E> + Send + Sync,
) -> PyResult<Option<T>>
where
    T: Send,
    E: Reason + Send,
{
    let deadline = Instant::now() + timeout;
    let patience = Patience::of_caller(py)?;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let slice = if patience.is_some() { left.min(POLL) } else { left };
        let caught = || catch_unwind(AssertUnwindSafe(|| work(slice)));
        let done = settle(py, py.detach(caught))?;
        if done.is_some() || slice == left {
            return Ok(done);
        }
        patience.as_ref().map_or(Ok(()), |patience| patience.check(py))?;
    }
}

fn settle<T, E: Reason>(py: Python<'_>, done: Result<Result<T, E>, Box<dyn Any + Send>>) -> PyResult<T> {
    match done {
        Ok(outcome) => outcome.map_err(|error| error.raise(py)),
        Err(panic) => Err(internal(py, &panic_text(&*panic))),
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

/// Python handles signals on its main thread only. Asked once for each thread.
fn is_main_thread(py: Python<'_>) -> bool {
    thread_local!(static MAIN: Cell<Option<bool>> = const { Cell::new(None) });
    MAIN.get().unwrap_or_else(|| {
        let ask = || -> PyResult<bool> {
            let threading = py.import("threading")?;
            let main = threading.call_method0("main_thread")?.getattr("ident")?;
            threading.call_method0("get_ident")?.eq(main)
        };
        let main = ask().unwrap_or(false);
        MAIN.set(Some(main));
        main
    })
}

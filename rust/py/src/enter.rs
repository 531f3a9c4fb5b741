//! The one gate between Python and Rust. Whatever the other files of this crate do with a chain goes through here.
//!
//! - [`quick`]: for calls that take less than about 50 µs. The interpreter lock is kept: letting it go and taking it
//!   again costs more than others could win.
//! - [`long`]: for everything else. The lock is let go. On the main thread the work goes to a thread of its own, so that
//!   Ctrl-C is heard within [`SIGNAL_POLL`] while it runs; elsewhere it runs where it was called.
//! - [`wait`]: for what only waits.
//!
//! What always holds: an error becomes the Python class of its reason (see `error.rs`), a panic becomes `InternalError`
//! and goes no further. Work that is asked to stop and can't is waited for: nothing of it is left running when Python
//! sees the `KeyboardInterrupt`, and a block is in the chain as a whole or not at all.

use std::{
    any::Any,
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{RecvTimeoutError, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use pyo3::prelude::*;

use crate::error::{Reason, internal};

/// How often the main thread looks for signals during a long call; a person can't tell it from at once.
const SIGNAL_POLL: Duration = Duration::from_millis(20);

/// Stack of the thread that works for the main thread: as much as the main thread has on Linux.
const STACK_BYTES: usize = 8 << 20;

/// Tells long work that nobody waits for it any more. Work that can be cut looks at it between two pieces.
#[derive(Debug, Default)]
pub(crate) struct Stop(AtomicBool);

impl Stop {
    pub(crate) fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn ask(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs work of less than about 50 µs with the interpreter lock held.
pub(crate) fn quick<T, E: Reason>(py: Python<'_>, work: impl FnOnce() -> Result<T, E>) -> PyResult<T> {
    settle(py, catch_unwind(AssertUnwindSafe(work)))
}

/// Runs work of any length without the interpreter lock, and hears Ctrl-C meanwhile on the main thread.
pub(crate) fn long<T, E>(py: Python<'_>, work: impl FnOnce(&Stop) -> Result<T, E> + Send) -> PyResult<T>
where
    T: Send,
    E: Reason + Send,
{
    let stop = Stop::default();
    let caught = || catch_unwind(AssertUnwindSafe(|| work(&stop)));
    if !is_main_thread(py) {
        let done = py.detach(caught);
        return settle(py, done);
    }
    match py.detach(|| aside(caught, &stop)) {
        (_, Some(interrupt)) => Err(interrupt),
        (Some(done), None) => settle(py, done),
        (None, None) => Err(internal(py, "no thread could be started for the work")),
    }
}

/// Runs the work on a thread of its own and looks for signals until it is done. The first exception that a signal
/// handler raises asks the work to stop. None for the outcome: no thread could be started, and nothing was done.
fn aside<T: Send>(work: impl FnOnce() -> T + Send, stop: &Stop) -> (Option<T>, Option<PyErr>) {
    let mut interrupt = None;
    let done = thread::scope(|scope| {
        let (sender, receiver) = sync_channel(1);
        // The receiver waits for this, whatever happens: it can't fail.
        let deliver = move || drop(sender.send(work()));
        let worker = thread::Builder::new().name("execlayer".to_owned()).stack_size(STACK_BYTES);
        worker.spawn_scoped(scope, deliver).ok()?;
        loop {
            match receiver.recv_timeout(SIGNAL_POLL) {
                Ok(done) => return Some(done),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) if interrupt.is_some() => {}
                Err(RecvTimeoutError::Timeout) => {
                    if let Err(raised) = Python::attach(|py| py.check_signals()) {
                        stop.ask();
                        interrupt = Some(raised);
                    }
                }
            }
        }
    });
    (done, interrupt)
}

/// Waits for something to happen, in slices short enough that Ctrl-C is heard between them; no thread is needed for
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
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let slice = if is_main_thread(py) { left.min(SIGNAL_POLL) } else { left };
        let caught = || catch_unwind(AssertUnwindSafe(|| work(slice)));
        let done = settle(py, py.detach(caught))?;
        if done.is_some() || slice == left {
            return Ok(done);
        }
        py.check_signals()?;
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

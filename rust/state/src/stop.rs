//! Asking work to stop that takes longer than somebody is willing to wait.
//!
//! Whoever starts the work makes a [`Stop`], runs the work [`within`](Stop::within) it, and may [`ask`](Stop::ask) from
//! any thread. As a cancel scope of Trio does, it surrounds calls instead of going through each one's arguments: a
//! state asks the one around its reader, and the one within which it was made, and answers [`ViewError::Stopped`] from
//! then on. So it reaches execution on any thread the way an unreadable disk does, and leaves as little: nothing.
//!
//! [`ViewError::Stopped`]: crate::ViewError::Stopped

use std::{
    cell::RefCell,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// Nobody waits for the answer any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the work was stopped")]
pub struct Stopped;

/// Stops work from outside. Clones stop the same work; the default is never asked by anybody.
#[derive(Clone, Debug, Default)]
pub struct Stop(Option<Arc<AtomicBool>>);

thread_local! {
    static CURRENT: RefCell<Stop> = const { RefCell::new(Stop(None)) };
}

impl Stop {
    /// One that can be asked.
    pub fn new() -> Self {
        Self(Some(Arc::default()))
    }

    /// The one within which this thread works.
    pub fn current() -> Self {
        CURRENT.with_borrow(Self::clone)
    }

    /// Does work that this stops. Other threads on which the work goes on have to be given it.
    pub fn within<T>(&self, work: impl FnOnce() -> T) -> T {
        let _surrounding = Surrounding(CURRENT.replace(self.clone()));
        work()
    }

    /// [`check`](Self::check) of the one within which this thread works.
    ///
    /// # Errors
    /// [`Stopped`] once it was asked.
    pub fn check_current() -> Result<(), Stopped> {
        CURRENT.with_borrow(Self::check)
    }

    /// Asks the work to stop; it does so at the next place where nothing is left half done.
    pub fn ask(&self) {
        if let Some(asked) = &self.0 {
            asked.store(true, Ordering::Relaxed);
        }
    }

    /// Whether it was asked.
    pub fn is_asked(&self) -> bool {
        self.0.as_ref().is_some_and(|asked| asked.load(Ordering::Relaxed))
    }

    /// On with the work, or not.
    ///
    /// # Errors
    /// [`Stopped`] once it was asked.
    pub fn check(&self) -> Result<(), Stopped> {
        if self.is_asked() { Err(Stopped) } else { Ok(()) }
    }
}

/// What was current before; it is again when this goes, by a panic, too.
struct Surrounding(Stop);

impl Drop for Surrounding {
    fn drop(&mut self) {
        CURRENT.set(std::mem::take(&mut self.0));
    }
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::*;

    #[test]
    fn work_is_stopped_by_the_innermost_around_it_and_by_that_only() {
        let (outer, inner) = (Stop::new(), Stop::new());
        outer.within(|| {
            inner.within(|| {
                outer.ask();
                assert_eq!(Stop::current().check(), Ok(()));
                inner.clone().ask();
                assert_eq!(Stop::current().check(), Err(Stopped));
            });
            assert!(Stop::current().is_asked());
            assert_eq!(Stop::check_current(), Err(Stopped));
        });
        assert!(!Stop::current().is_asked());
    }

    #[test]
    fn a_panic_leaves_nothing_behind() {
        let stop = Stop::new();
        stop.ask();
        catch_unwind(|| stop.within(|| panic!("as if"))).unwrap_err();
        assert!(!Stop::current().is_asked());
    }

    #[test]
    fn what_nobody_made_cannot_be_stopped() {
        let stop = Stop::default();
        stop.ask();
        assert_eq!(stop.check(), Ok(()));
    }
}

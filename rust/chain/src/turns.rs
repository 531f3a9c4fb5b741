//! One after the other, for work that may be long: a lock whose waiters can be stopped.

use std::{
    ops::{Deref, DerefMut},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use state::{Stop, Stopped};

/// How often a waiter looks whether it is to stop.
const STOP_POLL: Duration = Duration::from_millis(10);

/// What only one at a time may work with.
#[derive(Debug)]
pub(crate) struct Turns<T> {
    taken: Mutex<bool>,
    free: Condvar,
    inner: Mutex<T>,
}

/// It is held by whoever has this.
#[derive(Debug)]
pub(crate) struct Turn<'a, T> {
    turns: &'a Turns<T>,
    inner: MutexGuard<'a, T>,
}

impl<T> Turns<T> {
    pub(crate) fn new(inner: T) -> Self {
        Self { taken: Mutex::new(false), free: Condvar::new(), inner: Mutex::new(inner) }
    }

    /// Waits for its turn.
    ///
    /// # Errors
    /// [`Stopped`] where the work that waits was asked to stop.
    pub(crate) fn take(&self) -> Result<Turn<'_, T>, Stopped> {
        let stop = Stop::current();
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        while *taken {
            stop.check()?;
            taken = self.free.wait_timeout(taken, STOP_POLL).unwrap_or_else(PoisonError::into_inner).0;
        }
        *taken = true;
        // Free, or about to be: whoever had it gives it back before `taken` says so.
        Ok(Turn { turns: self, inner: self.inner.lock().unwrap_or_else(PoisonError::into_inner) })
    }
}

impl<T> Deref for Turn<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T> DerefMut for Turn<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

impl<T> Drop for Turn<'_, T> {
    fn drop(&mut self) {
        *self.turns.taken.lock().unwrap_or_else(PoisonError::into_inner) = false;
        self.turns.free.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn many_take_turns_and_none_is_lost() {
        let turns = Turns::new(0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| (0..1_000).for_each(|_| *turns.take().unwrap() += 1));
            }
        });
        assert_eq!(*turns.take().unwrap(), 4_000);
    }

    #[test]
    fn a_waiter_can_be_stopped_and_the_next_one_gets_its_turn() {
        let (turns, stop) = (Turns::new(7), Stop::new());
        let held = turns.take().unwrap();
        thread::scope(|scope| {
            let waiter = scope.spawn(|| stop.within(|| turns.take().map(|turn| *turn)));
            stop.ask();
            assert_eq!(waiter.join().unwrap(), Err(Stopped));
        });
        drop(held);
        assert_eq!(turns.take().map(|turn| *turn), Ok(7));
    }

    #[test]
    fn a_holder_that_panics_gives_it_back() {
        let turns = Turns::new(7);
        thread::scope(|scope| {
            let holder = || {
                let _turn = turns.take().unwrap();
                panic!("as if");
            };
            scope.spawn(holder).join().unwrap_err();
        });
        assert_eq!(turns.take().map(|turn| *turn), Ok(7));
    }
}

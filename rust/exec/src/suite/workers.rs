//! Threads that run cases, and what waits for them.
//!
//! They are not rayon's: one of those that waits for another pool, as a case does whose blocks run on several cores, takes
//! up the next case meanwhile, on top of its own stack, and there the same again.

use std::{
    num::NonZero,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread::{Builder, Scope, available_parallelism},
};

/// Stack of a worker: calls go 1,024 deep.
const STACK_BYTES: usize = 16 << 20;

/// Most workers.
const WORKERS_MAX: usize = 1_024;

/// What one of them does at a time.
pub(super) type Job<'s> = Box<dyn FnOnce(&Workers<'s>) + Send + 's>;

/// What there is to do. The latest goes first, so that a file's cases are done before the next file is opened.
#[derive(Default)]
pub(super) struct Workers<'s> {
    waiting: Mutex<Waiting<'s>>,
    more: Condvar,
}

#[derive(Default)]
struct Waiting<'s> {
    jobs: Vec<Job<'s>>,
    closed: bool,
}

impl<'s> Workers<'s> {
    /// So many threads (0: one for each core), which end when what this gives goes and nothing is left to do.
    ///
    /// # Errors
    /// What the machine says where it gives no more.
    pub(super) fn start<'scope, 'env>(
        &'env self,
        scope: &'scope Scope<'scope, 'env>,
        count: usize,
    ) -> Result<Closed<'env, 's>, String> {
        let count = if count == 0 { available_parallelism().map_or(1, NonZero::get) } else { count };
        let closed = Closed(self);
        for number in 0..count.min(WORKERS_MAX) {
            let thread = Builder::new().name(format!("case {number}")).stack_size(STACK_BYTES);
            thread.spawn_scoped(scope, || self.work()).map_err(|error| error.to_string())?;
        }
        Ok(closed)
    }

    /// Has somebody do this.
    pub(super) fn give(&self, job: Job<'s>) {
        self.waiting().jobs.push(job);
        self.more.notify_one();
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting<'s>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        while let Some(job) = self.next() {
            job(self);
        }
    }

    fn next(&self) -> Option<Job<'s>> {
        let mut waiting = self.waiting();
        loop {
            if let Some(job) = waiting.jobs.pop() {
                return Some(job);
            }
            if waiting.closed {
                return None;
            }
            waiting = self.more.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Lets the workers end.
pub(super) struct Closed<'env, 's>(&'env Workers<'s>);

impl Drop for Closed<'_, '_> {
    fn drop(&mut self) {
        self.0.waiting().closed = true;
        self.0.more.notify_all();
    }
}

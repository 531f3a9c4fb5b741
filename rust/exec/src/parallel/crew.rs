//! The workers: threads that live as long as the process, and one that came with a block to be executed.
//!
//! A block has short stretches that only one worker can walk. Others stay awake through those ([`Crew::lead`]): to wake
//! a thread takes longer than most of them. They do not wait for long, and let go of their core while they do.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use rayon::{ThreadPool, ThreadPoolBuilder, Yield, prelude::*};
use state::Each;

/// How often an idle worker looks for work before it falls asleep: for a millisecond or two.
const LOOKS: usize = 1 << 12;

/// Of these, after how many it offers its core to others each time.
const LOOKS_ALONE: usize = 1 << 8;

/// Items of a list that a worker takes at least before it looks for more.
const ITEMS_MIN: usize = 512;

/// A number of workers.
#[derive(Clone)]
pub(super) struct Crew {
    pool: Arc<ThreadPool>,
}

impl Crew {
    /// So many workers, which all executors of the process share. None where there are no threads to be had: everything
    /// runs in sequence then, which is slower and no error.
    pub(super) fn of(threads: usize) -> Option<Self> {
        static POOLS: Mutex<BTreeMap<usize, Arc<ThreadPool>>> = Mutex::new(BTreeMap::new());
        let mut pools = POOLS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = pools.get(&threads) {
            return Some(Self { pool: pool.clone() });
        }
        let workers = ThreadPoolBuilder::new().num_threads(threads);
        let pool = Arc::new(workers.thread_name(|index| format!("execute {index}")).build().ok()?);
        pools.insert(threads, pool.clone());
        Some(Self { pool })
    }

    /// One of the workers does `work`, and the others what it gives them, wide awake until it is done. Who is late is not
    /// waited for.
    pub(super) fn lead<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let led = || {
            let done = Done(Arc::default());
            // Where there are more workers than cores, one that looks for work is in the way of those that have some.
            if std::thread::available_parallelism().is_ok_and(|cores| self.workers() <= cores.get()) {
                let (leader, done) = (rayon::current_thread_index(), Arc::clone(&done.0));
                rayon::spawn_broadcast(move |context| {
                    if Some(context.index()) != leader {
                        stand_by(&done);
                    }
                });
            }
            work()
        };
        self.pool.install(led)
    }

    /// Does this for each number of a worker, side by side as far as there are workers at hand.
    pub(super) fn all<T: Send>(&self, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
        self.pool.install(|| (0..self.workers()).into_par_iter().with_max_len(1).map(&work).collect())
    }
}

/// Says so when it goes, come what may.
struct Done(Arc<AtomicBool>);

impl Drop for Done {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Does what there is to do, until all is done or there was nothing for a while.
fn stand_by(done: &AtomicBool) {
    let mut looks = 0;
    while looks < LOOKS && !done.load(Ordering::Relaxed) {
        match rayon::yield_now() {
            Some(Yield::Executed) => looks = 0,
            _ => {
                looks += 1;
                if looks > LOOKS_ALONE { std::thread::yield_now() } else { std::hint::spin_loop() }
            }
        }
    }
}

impl Each for Crew {
    fn workers(&self) -> usize {
        self.pool.current_num_threads()
    }

    fn each<T: Sync, R: Send>(&self, items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
        // Long lists hold small items; what there is of others is worth a worker each.
        let least = if items.len() > ITEMS_MIN { ITEMS_MIN } else { 1 };
        self.pool.install(|| items.par_iter().with_min_len(least).map(&work).collect())
    }
}

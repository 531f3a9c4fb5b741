//! Blocks on two workers beside the same blocks in sequence, one JSON object a line:
//! `cargo bench -p execlayer-exec --bench parallel -- --json [--plot FILE]`.
//!
//! Timed is what an executor does: transactions with known senders in, receipts and one merged diff out, guesses and
//! joining included. Both sides take turns and the least time of each counts, so that a slow moment of the machine hits
//! both. A second row says the same by CPU time, for machines that have no two cores to spare: what the calling thread
//! used, and the workers' share of what they used together. Each row notes the median and the 99th percentile of its
//! rounds, how many cores were busy, and the most memory that was held at once. Every answer is compared before anything
//! is timed. What else is known of a block goes to stderr.
//!
//! The model ([`model`]) replays each block on 1 to 64 workers: a table to stderr, a plot, and a row for each block of
//! ten thousand transactions that need not wait for each other.

#![allow(unsafe_code, reason = "a global allocator that counts")]

mod blocks;
mod model;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::{
        LazyLock,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use blocks::Case;
use execlayer_exec::{
    BlockOutcome, Executor, Mode, Parallel, execute,
    parallel::{Report, conflicts},
};
use rustix::time::{ClockId, clock_gettime};

const THREADS: usize = 2;

/// Rounds per side: on a machine that does other things, too, the quietest moment of many is wanted.
const ROUNDS: usize = 40;

fn clock() -> Duration {
    static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
    BEGIN.elapsed()
}

struct Counting;

static COUNTS: AtomicBool = AtomicBool::new(false);
static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator with the arguments it came with.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if COUNTS.load(Ordering::Relaxed) {
            let held = HELD.fetch_add(layout.size(), Ordering::Relaxed).wrapping_add(layout.size());
            // What was there before may go meanwhile, which looks like less than nothing.
            if held < usize::MAX / 2 {
                PEAK.fetch_max(held, Ordering::Relaxed);
            }
        }
        // SAFETY: see above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        if COUNTS.load(Ordering::Relaxed) {
            HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        }
        // SAFETY: see above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Bytes that `work` holds at most beyond what was there.
fn peak<T>(work: impl FnOnce() -> T) -> usize {
    HELD.store(0, Ordering::Relaxed);
    PEAK.store(0, Ordering::Relaxed);
    COUNTS.store(true, Ordering::Relaxed);
    let held = work();
    COUNTS.store(false, Ordering::Relaxed);
    drop(held);
    PEAK.load(Ordering::Relaxed)
}

/// CPU time.
fn cpu(of: ClockId) -> Duration {
    let time = clock_gettime(of);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// What one run took.
#[derive(Clone, Copy)]
struct Took {
    wall: Duration,
    /// CPU time of all threads.
    cpu: Duration,
    /// What it would have taken on free cores: this thread's CPU time, and the others' shared among the workers. Nothing
    /// else that the machine does takes part in it.
    free: Duration,
}

fn took<T>(workers: usize, work: impl FnOnce() -> T) -> (Took, T) {
    let now = || (Instant::now(), cpu(ClockId::ProcessCPUTime), cpu(ClockId::ThreadCPUTime));
    let before = now();
    let result = std::hint::black_box(work());
    let after = now();
    let (cpu, own) = (after.1 - before.1, after.2 - before.2);
    let free = own + cpu.saturating_sub(own) / workers as u32;
    (Took { wall: after.0 - before.0, cpu, free }, result)
}

fn sequential(case: &Case) -> BlockOutcome {
    execute(&case.rules, &case.env, &case.transactions, &[], &case.view, Mode::default()).expect("a valid block")
}

/// What the machine gives to as many sequential executors as there are workers, each with the whole block and none knowing
/// of the others: the time until all are done. Cores share caches, memory and perhaps more.
fn side_by_side(case: &Case) -> Duration {
    let begin = Instant::now();
    let outcomes = std::thread::scope(|scope| {
        let others: Vec<_> = (1..THREADS).map(|_| scope.spawn(|| sequential(case))).collect();
        let own = sequential(case);
        (own, others.into_iter().map(|other| other.join().expect("a valid block")).collect::<Vec<_>>())
    });
    let took = begin.elapsed();
    drop(std::hint::black_box(outcomes));
    took
}

fn parallel(case: &Case, executor: &Executor) -> (BlockOutcome, Report) {
    let done = executor.execute(&case.rules, &case.env, &case.transactions, &[], &case.view, Mode::default());
    done.expect("a valid block")
}

/// An executor that knows the chain's contracts.
fn learned(case: &Case, mode: Parallel, threads: usize, clock: fn() -> Duration) -> Executor {
    let executor = Executor::new(mode, Some(threads)).timed_by(clock).timed_roughly();
    parallel(case, &executor);
    executor
}

fn percentile(times: &[Duration], share: f64) -> Duration {
    times[((times.len() - 1) as f64 * share).round() as usize]
}

fn measure(case: &Case) {
    let name = format!("{}, {THREADS} threads", case.name);
    let executor = learned(case, Parallel::Auto, THREADS, clock);
    let expected = sequential(case);
    if !expected.receipts.iter().all(|receipt| receipt.outcome.is_success()) {
        return println!(r#"{{"name": "{name}", "wrong": "a transaction failed"}}"#);
    }
    for mode in [Parallel::On, Parallel::Auto] {
        if parallel(case, &learned(case, mode, THREADS, clock)).0 != expected {
            return println!(r#"{{"name": "{name}", "wrong": "not what the sequential executor gives"}}"#);
        }
    }
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let (mut reports, mut apart) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        apart.push(side_by_side(case));
        theirs.push(took(1, || sequential(case)).0);
        let (took, outcome) = took(THREADS, || parallel(case, &executor));
        ours.push(took);
        reports.push(outcome.1);
    }
    let report = reports.last().expect("some rounds");
    let least = |of: fn(&Report) -> Duration| reports.iter().map(of).min().expect("some rounds").as_secs_f64() * 1e3;
    let sum = |of: fn(&Took) -> Duration| ours.iter().map(of).sum::<Duration>().as_secs_f64();
    let cores = sum(|took| took.cpu) / sum(|took| took.wall);
    let sorted = |took: &[Took], of: fn(&Took) -> Duration| {
        let mut times: Vec<Duration> = took.iter().map(of).collect();
        times.sort_unstable();
        times
    };
    let free = [&ours, &theirs].map(|took| sorted(took, |took| took.free)[0]);
    let (ours, theirs) = (sorted(&ours, |took| took.wall), sorted(&theirs, |took| took.wall));
    apart.sort_unstable();
    let machine = THREADS as f64 * theirs[0].as_secs_f64() / apart[0].as_secs_f64();
    let each = |time: Duration| time.as_secs_f64() * 1e6 / case.transactions.len() as f64;
    let (our_bytes, their_bytes) = (peak(|| parallel(case, &executor)), peak(|| sequential(case)));
    let bound = {
        let (_, conflicts) =
            conflicts(&case.rules, &case.env, &case.transactions, &[], &case.view).expect("a valid block");
        conflicts.speedup(THREADS)
    };
    eprintln!(
        "{name}: at best {bound:.2}x by its gas; {THREADS} sequential executors side by side do {machine:.2} times as much as one; {} units, largest {}, {} again, {} side by side; ms: {:.2} guessing, {:.2} working, {:.2} checking, {:.2} joining, {:.2} in all, {:.2} lost",
        report.units,
        report.unit_max,
        report.again,
        report.parallel,
        least(|report| report.time_guessing),
        least(|report| report.time_working),
        least(|report| report.time_checking),
        least(|report| report.time_joining),
        least(|report| report.time),
        least(|report| report.time_lost),
    );
    let note = format!(
        "µs each p50 {:.2}, p99 {:.2} (one thread {:.2}, {:.2}); CPU over wall {cores:.2}; peak bytes {:.2} of one thread's",
        each(percentile(&ours, 0.5)),
        each(percentile(&ours, 0.99)),
        each(percentile(&theirs, 0.5)),
        each(percentile(&theirs, 0.99)),
        our_bytes as f64 / their_bytes.max(1) as f64,
    );
    for (name, ours, theirs) in [(format!("{name}, by CPU time"), free[0], free[1]), (name, ours[0], theirs[0])] {
        println!(
            r#"{{"name": "{name}", "kind": "faster", "ours": {:.4}, "theirs": {:.4}, "rival": "one thread", "unit": "µs each", "target": {}, "note": "{note}"}}"#,
            each(ours),
            each(theirs),
            case.target,
        );
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.iter().any(|argument| argument == "--test") {
        return;
    }
    let after = |option: &str| arguments.iter().position(|argument| argument == option).map(|at| &arguments[at + 1]);
    let wanted = after("--case");
    let cases = blocks::cases().into_iter().filter(|case| wanted.is_none_or(|wanted| case.name.contains(wanted)));
    let cases: Vec<Case> = cases.collect();
    cases.iter().for_each(measure);
    let curves: Vec<model::Curve> = cases.iter().map(model::curve).collect();
    model::table(&curves);
    curves.iter().for_each(model::promise);
    if let Some(path) = after("--plot") {
        std::fs::write(path, model::plot(&curves)).expect("the plot's folder can be written");
    }
}

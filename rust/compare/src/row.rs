//! A promise, measured; and how time is taken.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Rounds per side. The sides take turns, so that a slow moment of the machine hits both.
const ROUNDS: usize = 15;

/// Prints what was measured against a rival; `ours` and `theirs` are costs in `unit`.
pub fn print(name: &str, ours: f64, theirs: f64, rival: &str, unit: &str, target: f64) {
    println!(
        r#"{{"name": "{name}", "kind": "faster", "ours": {ours:.4}, "theirs": {theirs:.4}, "rival": "{rival}", "unit": "{unit}", "target": {target}}}"#
    );
}

/// Prints what was measured against a bound, `at_least` or `at_most`.
pub fn bound(name: &str, kind: &str, ours: f64, unit: &str, target: f64) {
    println!(r#"{{"name": "{name}", "kind": "{kind}", "ours": {ours:.4}, "unit": "{unit}", "target": {target}}}"#);
}

/// Prints that an answer was wrong, instead of its time.
pub fn refuse(name: &str, reason: &str) {
    println!(r#"{{"name": "{name}", "wrong": "{reason}"}}"#);
}

/// The least time of each of several ways of doing the same. A side times itself, so that preparing its input does not
/// count.
pub fn race<const N: usize>(mut sides: [&mut dyn FnMut() -> Duration; N]) -> [Duration; N] {
    let mut least = [Duration::MAX; N];
    for _ in 0..ROUNDS {
        for (side, least) in sides.iter_mut().zip(&mut least) {
            *least = (*least).min(side());
        }
    }
    least
}

/// How long `work` takes, and what it gives; dropping that is not counted.
pub fn timed<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let begin = Instant::now();
    let result = std::hint::black_box(work());
    (begin.elapsed(), result)
}

/// How long this thread works at `work`, and what it gives: for what runs on one thread, so that whatever else the machine
/// does takes no part in it.
pub fn worked<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let now = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    };
    let begin = now();
    let result = std::hint::black_box(work());
    (now() - begin, result)
}

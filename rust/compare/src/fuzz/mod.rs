//! Generated programs on both sides: `fuzz COUNT SEED`.
//!
//! Case `i` of a run follows from `SEED + i` alone, so `fuzz 1 N` is that case again. Each case is a small world and a
//! transaction; it runs with gas enough, and once more with a limit at which it may just not suffice. Here it runs twice
//! each time, in the plain loop and in its analysed form. Compared are: refused or not, how it ended and why, gas,
//! refund, output, logs, and every account and slot afterwards.

mod case;
mod dice;
mod program;
mod sides;

use std::{
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use case::Case;
use dice::Dice;
use sides::{End, Tally};

/// Differences that are told in full; after that many something is wrong at large.
const TOLD: usize = 10;

/// Runs programs from `seed` on, on every core; fails where the sides differ.
pub fn run(count: u64, seed: u64) -> ExitCode {
    println!("fuzz: {count} programs from seed {seed}");
    let begin = Instant::now();
    let next = AtomicU64::new(0);
    let differences = Mutex::new(Vec::new());
    let tally = Mutex::new(Tally::default());
    let work = || {
        let mut mine = Tally::default();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= count {
                break;
            }
            let seed = seed.wrapping_add(index);
            if let Err(difference) = one(seed, &mut mine) {
                let mut differences = differences.lock().expect("nobody panicked");
                if differences.len() < TOLD {
                    println!("{difference}\nagain: cargo run --release -- fuzz 1 {seed}\n");
                }
                differences.push(seed);
            }
        }
        tally.lock().expect("nobody panicked").add(&mine);
    };
    std::thread::scope(|scope| {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        (0..threads).for_each(|_| drop(scope.spawn(work)));
    });
    let differences = differences.into_inner().expect("nobody panicked");
    let tally = tally.into_inner().expect("nobody panicked");
    println!("fuzz: seed {seed}, {} s, {tally}; {} differ", begin.elapsed().as_secs(), differences.len());
    if differences.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A case with gas enough, then with a limit near what it took.
fn one(seed: u64, tally: &mut Tally) -> Result<(), String> {
    let mut dice = Dice::new(seed);
    let mut case = Case::new(&mut dice);
    let tell = |case: &Case, reason: String| format!("{reason}\n{case}");
    let End { spent, .. } = sides::compare(&case, tally).map_err(|reason| tell(&case, reason))?;
    let Some(spent) = spent else { return Ok(()) };
    let limit = match dice.below(4) {
        0 => spent,
        1 => spent.saturating_sub(1),
        2 => spent.saturating_sub(dice.below(3_000)),
        _ => dice.below(spent + 1),
    };
    case.limit(limit);
    sides::compare(&case, tally).map_err(|reason| tell(&case, reason))?;
    Ok(())
}

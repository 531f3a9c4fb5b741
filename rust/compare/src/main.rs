//! Ours and revm, side by side on the same work: `cargo run --release -- SECTION`.
//!
//! Prints one JSON object a line for every promise (the rows of `make bench`), remarks to stderr. Every comparison
//! checks that both sides ended in the same state before it times anything.

#[cfg(feature = "batch")]
mod batch;
mod blocks;
mod call;
mod calls;
mod contracts;
mod fuzz;
mod opcodes;
mod programs;
mod rival;
mod roots;
mod row;
mod vectors;

use std::process::ExitCode;

fn main() -> ExitCode {
    let section = std::env::args().nth(1).unwrap_or_default();
    match section.as_str() {
        "blocks" => blocks::rows(),
        "evm" => {
            programs::rows();
            opcodes::rows();
        }
        #[cfg(feature = "batch")]
        "batch" => match std::env::args().nth(2) {
            Some(folder) => batch::rows(folder.as_ref()),
            None => return usage(),
        },
        "calls" => match std::env::args().nth(2) {
            Some(folder) => calls::rows(folder.as_ref()),
            None => return usage(),
        },
        "fuzz" => {
            let mut numbers = std::env::args().skip(2).map(|number| number.parse().ok());
            let (Some(Some(count)), Some(Some(seed))) = (numbers.next(), numbers.next()) else { return usage() };
            return fuzz::run(count, seed);
        }
        "state" => {
            vectors::state();
            roots::lattice();
            roots::rows();
        }
        _ => return usage(),
    }
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    eprintln!("usage: execlayer-compare blocks|evm|state|batch FOLDER|calls FOLDER|fuzz COUNT SEED");
    ExitCode::FAILURE
}

//! Ours and revm, side by side on the same work: `cargo run --release -- SECTION`.
//!
//! Prints one JSON object a line for every promise (the rows of `make bench`), remarks to stderr. Every comparison
//! checks that both sides ended in the same state before it times anything.

mod row;
mod transfers;
mod vectors;

use std::process::ExitCode;

fn main() -> ExitCode {
    let section = std::env::args().nth(1).unwrap_or_default();
    match section.as_str() {
        "blocks" => transfers::rows(),
        "pool" => vectors::pool(),
        "state" => vectors::state(),
        _ => {
            eprintln!("usage: execlayer-compare blocks|pool|state");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

//! The public blockchain tests, through the runner of `execlayer blocktest`, each block in sequence and in parallel. `FIXTURES_MATCH` asks only for chains whose
//! name contains it.

use std::env;

use exec::suite::{Filter, NOT_ASKED_FOR, run_wanted};
use execlayer_chain::blocktest;

#[path = "../../exec/tests/fixtures/mod.rs"]
mod fixtures;

/// Archive, and the chains that it holds.
const ARCHIVES: [(&str, usize); 4] = [
    ("spec-osaka", 1_862),
    ("blockchain-frontier-to-cancun", 3_464),
    ("blockchain-cancun", 456),
    ("spec-prague", 1_425),
];

/// Each block is also executed on so many.
const THREADS: [usize; 4] = [1, 2, 3, 8];

#[test]
fn chains_end_where_all_clients_agreed() {
    let Some(fixtures) = fixtures::Fixtures::find() else { return };
    let filter = Filter { matching: env::var("FIXTURES_MATCH").ok(), ..Filter::default() };
    let paths: Vec<_> = ARCHIVES.iter().map(|(archive, _)| fixtures.archive(archive)).collect();
    let wanted = fixtures.wanted(|name| !name.contains("/state_tests/"));
    let report = run_wanted(&paths, &filter, 0, &|file| blocktest::cases_on(file, &THREADS), &wanted, &mut |_| true)
        .expect("readable archives");
    for failure in &report.failed {
        eprintln!("{failure}");
    }
    eprintln!("{} passed, {} failed, skipped: {:?}", report.passed, report.failed.len(), report.skipped);
    assert!(report.failed.is_empty(), "{} chains failed", report.failed.len());
    assert!(report.skipped.keys().all(|reason| *reason == NOT_ASKED_FOR), "{:?}", report.skipped);
    let floor = if fixtures.all { ARCHIVES.iter().map(|(_, chains)| chains).sum() } else { 1 };
    assert!(report.ran() >= floor || filter != Filter::default(), "{} chains, known are {floor}", report.ran());
}

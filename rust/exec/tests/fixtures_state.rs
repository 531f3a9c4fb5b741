//! The public state tests: one transaction each, by fork. `FIXTURES_MATCH` asks only for cases whose name contains it.

use std::env;

use execlayer_exec::{
    statetest,
    suite::{Filter, NOT_ASKED_FOR, run_wanted},
};

mod fixtures;

/// Archive, and the least number of cases that must have run.
const ARCHIVES: [(&str, usize); 6] = [
    ("state-istanbul-to-cancun", 85_931),
    ("state-cancun", 18_499),
    ("state-prague-osaka-recomputed", 36_120),
    ("state-frontier-to-constantinople", 16_565),
    ("spec-prague", 2_607),
    ("spec-osaka", 4_288),
];

/// Tests of single calls, which `evm` runs; what later archives keep under that name are state tests.
const VM_TESTS: &str = "state-frontier-to-constantinople/VMTests/";

#[test]
fn state_tests_come_out_as_all_clients_agreed() {
    let Some(fixtures) = fixtures::Fixtures::find() else { return };
    let filter = Filter { matching: env::var("FIXTURES_MATCH").ok(), ..Filter::default() };
    // All archives in one go: no core waits for the last case of each.
    let paths: Vec<_> = ARCHIVES.iter().map(|(archive, _)| fixtures.archive(archive)).collect();
    let wanted = fixtures.wanted(|name| !name.contains("/blockchain_tests/") && !name.starts_with(VM_TESTS));
    let report = run_wanted(&paths, &filter, 0, &statetest::cases, &wanted, &mut |_| true).expect("readable archives");
    for failure in &report.failed {
        eprintln!("{failure}");
    }
    eprintln!("{} passed, {} failed, skipped: {:?}", report.passed, report.failed.len(), report.skipped);
    assert!(report.failed.is_empty(), "{} cases failed", report.failed.len());
    assert!(report.skipped.keys().all(|reason| *reason == NOT_ASKED_FOR), "{:?}", report.skipped);
    let floor = if fixtures.all { ARCHIVES.iter().map(|(_, cases)| cases).sum() } else { 1 };
    assert!(report.ran() >= floor || filter != Filter::default(), "{} cases, known are {floor}", report.ran());
}

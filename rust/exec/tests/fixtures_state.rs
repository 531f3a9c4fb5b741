//! The public state tests: one transaction each, by fork. `FIXTURES_MATCH` asks only for cases whose name contains it.

use std::env;

use execlayer_exec::statetest::{Filter, Report, run};
use rayon::prelude::*;

mod fixtures;

/// Archive, the folder in it that holds state tests, and the least number of cases that must have run.
const ARCHIVES: [(&str, &str, usize); 6] = [
    ("state-cancun", "", 18_499),
    ("state-istanbul-to-cancun", "", 85_931),
    ("state-frontier-to-constantinople", "/GeneralStateTests/", 16_500),
    ("state-prague-osaka-recomputed", "", 36_120),
    ("spec-prague", "/state_tests/", 2_607),
    ("spec-osaka", "/state_tests/", 4_288),
];

#[test]
fn state_tests_come_out_as_all_clients_agreed() {
    let Some(fixtures) = fixtures::Fixtures::find() else { return };
    let filter = Filter { matching: env::var("FIXTURES_MATCH").ok(), ..Filter::default() };
    let mut failures = 0;
    for (archive, part, floor) in ARCHIVES {
        let files = fixtures.files(archive, |name| name.contains(part));
        // Handed out one by one, in this order.
        let report = files
            .iter()
            .par_bridge()
            .map(|(path, json)| {
                let mut report = run(json, &filter).unwrap_or_else(|error| panic!("{path}: {error}"));
                for failure in &mut report.failed {
                    failure.case = format!("{path}: {}", failure.case);
                }
                report
            })
            .reduce(Report::default, |mut sum, report| {
                sum.merge(report);
                sum
            });
        for failure in &report.failed {
            eprintln!("{}: {}", failure.case, failure.reason);
        }
        eprintln!("{archive}: {} passed, {} failed, {} skipped", report.passed, report.failed.len(), report.skipped);
        failures += report.failed.len();
        let floor = if fixtures.all && filter.matching.is_none() { floor } else { 0 };
        assert!(report.passed + report.failed.len() >= floor, "{archive}: fewer cases than it is known to hold");
    }
    assert_eq!(failures, 0, "cases failed");
}

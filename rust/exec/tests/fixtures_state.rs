//! The public state tests, straight from their archives in the folder `shared/fixtures` beside the checkout.
//!
//! All of them run when `CI` is `true`; else a sample, every n-th file, so that a developer waits seconds. `FIXTURES`
//! set to `all` or `sample` decides it whatever `CI` says.

use std::{
    collections::BTreeMap,
    env,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use execlayer_exec::statetest::{Filter, Report, run};
use rayon::prelude::*;

/// Archive, the folder in it that holds state tests, and the least number of cases that must have run.
const ARCHIVES: [(&str, &str, usize); 6] = [
    ("state-cancun", "", 18_499),
    ("state-istanbul-to-cancun", "", 85_931),
    ("state-frontier-to-constantinople", "/GeneralStateTests/", 16_500),
    ("state-prague-osaka-recomputed", "", 36_120),
    ("spec-prague", "/state_tests/", 2_607),
    ("spec-osaka", "/state_tests/", 4_288),
];

/// Without CI, one file in so many.
const SAMPLE: usize = 25;

#[test]
fn state_tests_come_out_as_all_clients_agreed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/fixtures");
    let ci = env::var("CI").is_ok_and(|value| value == "true");
    let all = env::var("FIXTURES").map_or(ci, |value| value == "all");
    if !folder.is_dir() {
        assert!(!ci, "the fixtures are missing: {}", folder.display());
        eprintln!("skipped: no fixtures in {}", folder.display());
        return;
    }
    let filter = Filter { matching: env::var("FIXTURES_MATCH").ok(), ..Filter::default() };
    let mut failures = 0;
    for (archive, part, floor) in ARCHIVES {
        let files = read(&folder.join(format!("{archive}.tar.xz")), part);
        let sample: Vec<_> = files.into_iter().step_by(if all { 1 } else { SAMPLE }).collect();
        let report = sample
            .par_iter()
            .map(|(path, json)| {
                let mut report = run(json, &filter).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                for failure in &mut report.failed {
                    failure.case = format!("{}: {}", path.display(), failure.case);
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
        let floor = if all && filter.matching.is_none() { floor } else { 0 };
        assert!(report.passed + report.failed.len() >= floor, "{archive}: fewer cases than it is known to hold");
    }
    assert_eq!(failures, 0, "cases failed");
}

/// The JSON files of a part of the archive, by name.
fn read(path: &Path, part: &str) -> BTreeMap<PathBuf, Vec<u8>> {
    let file = File::open(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut archive = tar::Archive::new(liblzma::read::XzDecoder::new(file));
    let mut files = BTreeMap::new();
    for entry in archive.entries().expect("a readable archive") {
        let mut entry = entry.expect("a readable archive");
        let name = entry.path().expect("a path").into_owned();
        let is_json = name.extension().is_some_and(|extension| extension == "json");
        if !is_json || !name.to_string_lossy().contains(part) {
            continue;
        }
        let mut json = Vec::new();
        entry.read_to_end(&mut json).expect("a readable archive");
        files.insert(name, json);
    }
    files
}

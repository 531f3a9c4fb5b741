use std::{
    fs,
    io::Write,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
};

use proptest::prelude::*;
use tempfile::tempdir;

use super::*;
use crate::statetest;

/// A file of made-up tests: each key is a case, which passes where its value is true.
fn reader(file: &TestFile) -> Result<Vec<Case>, Difference> {
    let tests: BTreeMap<String, bool> =
        serde_json::from_slice(&file.bytes).map_err(|error| Difference::new("the file", error, "cases"))?;
    let case = |(name, passes): (String, bool)| {
        let run = move || same("the value", passes, true);
        Case { fork: name.clone(), name, work: Work::Run(Box::new(run)) }
    };
    Ok(tests.into_iter().map(case).collect())
}

fn all(paths: &[&Path]) -> Result<Report, SuiteError> {
    let paths: Vec<_> = paths.iter().map(|path| path.to_path_buf()).collect();
    run(&paths, &Filter::default(), 2, &reader, &mut |_| true)
}

const FILES: [(&str, &[u8]); 4] = [
    ("b/two.json", br#"{"y": false, "x": true}"#),
    ("a.json", br#"{"one": true}"#),
    ("b/broken.json", br#"{"one": "#),
    ("b/readme.md", b"no test"),
];

fn tarball() -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, content) in FILES {
        let mut header = tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, content).unwrap();
    }
    archive.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut packed = liblzma::write::XzEncoder::new(Vec::new(), 1);
    packed.write_all(bytes).unwrap();
    packed.finish().unwrap()
}

#[test]
fn a_folder_and_each_kind_of_archive_give_the_same_report() {
    let folder = tempdir().unwrap();
    let tests = folder.path().join("tests");
    fs::create_dir_all(tests.join("b")).unwrap();
    for (name, content) in FILES {
        fs::write(tests.join(name), content).unwrap();
    }
    let expected = all(&[&tests]).unwrap();
    assert_eq!(expected.passed, 2);
    let failed: Vec<_> = expected.failed.iter().map(|failure| (failure.file.as_str(), failure.case.as_str())).collect();
    assert_eq!(failed, [("b/broken.json", ""), ("b/two.json", "y")]);
    assert_eq!(expected.failed[1].to_string(), "b/two.json: y: the value is false, should be true");
    // The name says nothing: the first bytes do.
    for (name, bytes) in [("a.tar", tarball()), ("b.bin", gzip(&tarball())), ("c", xz(&tarball()))] {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        assert_eq!(all(&[&path]).unwrap(), expected, "{name}");
    }
    let once = all(&[&tests.join("a.json"), &tests.join("a.json")]).unwrap();
    assert_eq!(once.passed, 2, "each path counts");
}

#[test]
fn what_cannot_be_read_is_named_with_its_path() {
    let folder = tempdir().unwrap();
    let absent = folder.path().join("absent.json");
    assert!(
        matches!(all(&[&absent]), Err(SuiteError::Unreadable(error)) if error.path == absent.display().to_string())
    );
    for (name, bytes) in [("cut.tar.xz", xz(&tarball())), ("cut.tar.gz", gzip(&tarball())), ("cut.tar", tarball())] {
        let path = folder.path().join(name);
        fs::write(&path, &bytes[..600.min(bytes.len() / 2)]).unwrap();
        assert!(matches!(all(&[&path]), Err(SuiteError::Unreadable(error)) if error.path.ends_with(name)), "{name}");
    }
}

#[test]
fn a_case_that_panics_fails_alone() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("a.json"), "{}").unwrap();
    let reader = |_: &TestFile| {
        let case = |name: &str, run: fn() -> Result<(), Difference>| Case {
            name: name.to_owned(),
            fork: String::new(),
            work: Work::Run(Box::new(run)),
        };
        Ok(vec![case("bad", || panic!("on purpose")), case("good", || Ok(()))])
    };
    let report = run(&[folder.path().into()], &Filter::default(), 1, &reader, &mut |_| true).unwrap();
    assert_eq!((report.passed, report.failed.len()), (1, 1));
    assert!(report.failed[0].to_string().contains("on purpose"));
}

#[test]
fn whoever_watches_can_end_it() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("a.json"), "{}").unwrap();
    let gate = Arc::new((Mutex::new(false), Condvar::new()));
    let ran = Arc::new(AtomicUsize::new(0));
    let reader = {
        let (gate, ran) = (Arc::clone(&gate), Arc::clone(&ran));
        move |_: &TestFile| {
            let case = |index: usize| {
                let (gate, ran) = (Arc::clone(&gate), Arc::clone(&ran));
                let run = move || {
                    ran.fetch_add(1, Ordering::SeqCst);
                    let mut open = gate.0.lock().unwrap();
                    while !*open {
                        open = gate.1.wait(open).unwrap();
                    }
                    Ok(())
                };
                Case { name: index.to_string(), fork: String::new(), work: Work::Run(Box::new(run)) }
            };
            Ok((0..1_000).map(case).collect())
        }
    };
    let mut watch = |_: Progress| {
        *gate.0.lock().unwrap() = true;
        gate.1.notify_all();
        false
    };
    let stopped = run(&[folder.path().into()], &Filter::default(), 1, &reader, &mut watch);
    assert!(matches!(stopped, Err(SuiteError::Stopped { done }) if done <= 1_000));
    assert!(ran.load(Ordering::SeqCst) >= 1);
}

#[test]
fn a_filter_goes_by_any_name_of_a_fork_and_by_parts_of_names() {
    let folder = tempdir().unwrap();
    fs::write(folder.path().join("a.json"), r#"{"EIP158": true, "London": true, "LondonToParisAt5": true}"#).unwrap();
    let with = |fork: Option<&str>, matching: Option<&str>| {
        let filter = Filter { fork: fork.map(str::to_owned), matching: matching.map(str::to_owned) };
        let report = run(&[folder.path().into()], &filter, 1, &reader, &mut |_| true).unwrap();
        assert_eq!(report.passed + report.skipped.get(NOT_ASKED_FOR).unwrap_or(&0), 3);
        report.passed
    };
    assert_eq!(with(None, None), 3);
    assert_eq!(with(Some("spuriousdragon"), None), 1);
    assert_eq!(with(Some("London"), None), 1);
    assert_eq!(with(Some("londontoparisat5"), None), 1);
    assert_eq!((with(None, Some("London")), with(None, Some("Cancun")), with(Some("London"), Some("158"))), (2, 0, 0));
}

fn read(bytes: &[u8], named: bool) -> Result<Vec<Case>, Difference> {
    statetest::cases(&TestFile { name: "it".to_owned(), bytes: bytes.to_vec(), named })
}

#[test]
fn tests_of_another_kind_are_skipped_in_a_folder_and_refused_by_name() {
    for other in [r#"{"vm": {"exec": {}, "pre": {}}}"#, "[1, 2]", r#"{"a": 5}"#] {
        let cases = read(other.as_bytes(), false).unwrap();
        assert!(cases.iter().all(|case| matches!(case.work, Work::Skip("no state test"))), "{other}");
        assert!(read(other.as_bytes(), true).is_err(), "{other}");
    }
    assert!(read(b"\x00\x01junk", false).is_err_and(|difference| difference.to_string().contains("not JSON")));
    let cases = read(br#"{"x": {"env": 1, "pre": {}, "transaction": {}, "post": {}}}"#, true).unwrap();
    let Work::Run(run) = cases.into_iter().next().unwrap().work else { panic!("it is to be run") };
    assert!(run().unwrap_err().to_string().contains("malformed"));
}

proptest! {
    /// Whatever the bytes are, a file of them is read or refused.
    #[test]
    fn no_bytes_make_a_reader_panic(start in 0usize..4, bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let folder = tempdir().unwrap();
        let path = folder.path().join("it");
        let start: &[u8] = [&b""[..], &[0x1f, 0x8b, 8, 0], b"\xfd7zXZ\0", br#"{"a": {"env": "#][start];
        fs::write(&path, [start, &bytes].concat()).unwrap();
        if let Ok(report) = run(&[path], &Filter::default(), 1, &statetest::cases, &mut |_| true) {
            prop_assert_eq!(report.passed, 0);
        }
    }

    #[test]
    fn numbers_are_read_in_every_way_they_are_written(number: u64, zeros in 0usize..5) {
        let zeros = "0".repeat(zeros);
        for text in [format!("\"0x{zeros}{number:x}\""), format!("\"{zeros}{number}\""), number.to_string()] {
            prop_assert_eq!(serde_json::from_str::<words::Quantity>(&text).unwrap(), words::Quantity(types::U256::from(number)));
        }
    }

    #[test]
    fn no_text_makes_a_number_panic(text in ".{0,80}") {
        let _ = text.parse::<words::Quantity>();
        let long = "f".repeat(65);
        prop_assert!(["0x".to_owned() + &long, "1_000".to_owned()].iter().all(|text| text.parse::<words::Quantity>().is_err()));
    }
}

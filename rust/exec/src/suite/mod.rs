//! Runs public tests: files of cases, over as many cores as there are, with one answer for each case.
//!
//! A kind of test ([`statetest`](crate::statetest), and `chain`'s blocktest) is a function from a file's bytes to
//! [`Case`]s. Each case is a piece of work of its own: a file with one slow case, or with a thousand, holds nobody up.
//! Whoever reads the files keeps no more than [`HELD_BYTES_MAX`] ahead of the work.
//!
//! What always holds: a case that breaks is a failure and ends nobody else's; failures stand in the order of file and
//! case, however the work was shared out.

pub mod files;
#[cfg(test)]
mod tests;
pub mod transactions;
pub mod words;
mod workers;

use std::{
    any::Any,
    collections::BTreeMap,
    fmt,
    ops::ControlFlow::{Break, Continue},
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

pub use files::{TestFile, Unreadable};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::value::RawValue;
use state::Stop;
use workers::Workers;

/// Bytes of files that were read and whose cases have not all run; a larger file runs alone.
pub const HELD_BYTES_MAX: usize = 32 << 20;

/// How often whoever watches is told.
const TELL: Duration = Duration::from_millis(100);

/// What came out otherwise than the test says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {actual}, should be {expected}")]
pub struct Difference {
    /// Of what.
    pub field: String,
    /// What came out.
    pub actual: String,
    /// What the test says.
    pub expected: String,
    /// More about it, one thing each.
    pub details: Vec<String>,
}

impl Difference {
    /// A difference without details.
    pub fn new(field: impl fmt::Display, actual: impl fmt::Display, expected: impl fmt::Display) -> Self {
        let [field, actual, expected] = [field.to_string(), actual.to_string(), expected.to_string()];
        Self { field, actual, expected, details: Vec::new() }
    }
}

/// Fails unless both are the same.
pub fn same<T: PartialEq + fmt::Display>(field: impl fmt::Display, actual: T, expected: T) -> Result<(), Difference> {
    if actual == expected { Ok(()) } else { Err(Difference::new(field, actual, expected)) }
}

/// What is to be done about a case.
pub enum Work {
    /// Run it.
    Run(Box<dyn FnOnce() -> Result<(), Difference> + Send>),
    /// Nothing, for this reason.
    Skip(&'static str),
}

/// The smallest thing that passes or fails.
pub struct Case {
    /// What its file calls it.
    pub name: String,
    /// The fork, or the change of forks, that it is about.
    pub fork: String,
    /// What to do.
    pub work: Work,
}

/// From a file's bytes to its cases, or why it holds none of this kind.
pub type Reader<'a> = &'a (dyn Fn(&TestFile) -> Result<Vec<Case>, Difference> + Sync);

/// Which cases are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only those of this fork, by any of its names.
    pub fork: Option<String>,
    /// Only those whose name contains this.
    pub matching: Option<String>,
}

impl Filter {
    fn wants(&self, case: &Case) -> bool {
        let fork = |name: &str| name.parse::<evm::Fork>().ok();
        let by_fork = self.fork.as_ref().is_none_or(|wanted| {
            wanted.eq_ignore_ascii_case(&case.fork)
                || fork(wanted).is_some_and(|wanted| fork(&case.fork) == Some(wanted))
        });
        by_fork && self.matching.as_ref().is_none_or(|part| case.name.contains(part.as_str()))
    }
}

/// A case that came out otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Its file.
    pub file: String,
    /// Its name there; empty where the whole file is no test.
    pub case: String,
    /// What differs.
    pub difference: Difference,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, case, difference } = self;
        if case.is_empty() { write!(f, "{file}: {difference}") } else { write!(f, "{file}: {case}: {difference}") }
    }
}

/// How the cases came out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// As the tests say.
    pub passed: usize,
    /// Otherwise; in the order of file and case.
    pub failed: Vec<Failure>,
    /// Not run, by reason.
    pub skipped: BTreeMap<&'static str, usize>,
}

impl Report {
    /// Cases that ran.
    pub fn ran(&self) -> usize {
        self.passed + self.failed.len()
    }
}

/// How far it has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Cases that are known of.
    pub known: usize,
    /// Of those, cases that are done with.
    pub done: usize,
    /// Of those, cases that failed.
    pub failed: usize,
}

/// Why nothing was run, or not all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SuiteError {
    /// A path cannot be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// Whoever watched wants no more.
    #[error("stopped after {done} cases")]
    Stopped {
        /// Cases that had run by then.
        done: usize,
    },
    /// The machine gives no more threads.
    #[error("{jobs} threads cannot be had: {reason}")]
    Threads {
        /// How many were asked for.
        jobs: usize,
        /// What it says.
        reason: String,
    },
}

/// The cases of a file's tests, which stand there by name. A test that has all the `marks` among its fields is of this
/// kind and is planned; others are skipped for `no_test`, unless the file was asked for by name and has none at all.
///
/// # Errors
/// Where the file is not JSON, or should hold such tests and does not.
pub fn cases_of<T: DeserializeOwned>(
    file: &TestFile,
    marks: &[&str],
    no_test: &'static str,
    plan: impl Fn(&str, T) -> Vec<Case>,
) -> Result<Vec<Case>, Difference> {
    let skip = |name: String| Case { name, fork: String::new(), work: Work::Skip(no_test) };
    let wrong = |actual: String| Err(Difference::new("the file", actual, "one of tests by name"));
    let tests: BTreeMap<String, &RawValue> = match serde_json::from_slice(&file.bytes) {
        Ok(tests) => tests,
        Err(error) => match serde_json::from_slice::<IgnoredAny>(&file.bytes) {
            Ok(_) if !file.named => return Ok(vec![skip(String::new())]),
            Ok(_) => return wrong(error.to_string()),
            Err(error) => return wrong(format!("not JSON ({error})")),
        },
    };
    let mut cases = Vec::new();
    for (name, test) in tests {
        let fields: BTreeMap<String, IgnoredAny> = serde_json::from_str(test.get()).unwrap_or_default();
        if !marks.iter().all(|mark| fields.contains_key(*mark)) {
            cases.push(skip(name));
            continue;
        }
        match serde_json::from_str(test.get()) {
            Ok(test) => cases.extend(plan(&name, test)),
            Err(error) => {
                let difference = Difference::new("the test", format_args!("malformed ({error})"), "readable");
                cases.push(Case { name, fork: String::new(), work: Work::Run(Box::new(|| Err(difference))) });
            }
        }
    }
    let any = cases.iter().any(|case| matches!(case.work, Work::Run(_)));
    if any || !file.named { Ok(cases) } else { wrong(format!("without any ({no_test})")) }
}

/// Skipped because of [`Filter`].
pub const NOT_ASKED_FOR: &str = "not asked for";

/// Runs the cases in the JSON files at and below the paths, with so many jobs (0: one for each core). `watch` is told
/// of the progress every tenth of a second, and ends it by answering false.
///
/// # Errors
/// See [`SuiteError`]; a case that fails is none, and a file that is no test is a failure in the report.
pub fn run(
    paths: &[PathBuf],
    filter: &Filter,
    jobs: usize,
    reader: Reader<'_>,
    watch: &mut dyn FnMut(Progress) -> bool,
) -> Result<Report, SuiteError> {
    run_wanted(paths, filter, jobs, reader, &|name| name.ends_with(".json"), watch)
}

/// The same with a choice of files in folders and archives.
///
/// # Errors
/// As [`run`].
pub fn run_wanted(
    paths: &[PathBuf],
    filter: &Filter,
    jobs: usize,
    reader: Reader<'_>,
    wanted: &dyn Fn(&str) -> bool,
    watch: &mut dyn FnMut(Progress) -> bool,
) -> Result<Report, SuiteError> {
    let stop = Stop::current();
    let desk = Desk { filter, reader, stop, books: Mutex::default(), turned: Condvar::new() };
    let workers = Workers::default();
    // This thread reads and waits; the workers run.
    thread::scope(|scope| {
        let _closed = workers.start(scope, jobs).map_err(|reason| SuiteError::Threads { jobs, reason })?;
        let mut read: Result<(), SuiteError> = Ok(());
        for path in paths {
            let mut each = |file: TestFile| {
                if !desk
                    .wait(watch, |books| books.held_bytes == 0 || books.held_bytes + file.bytes.len() <= HELD_BYTES_MAX)
                {
                    return Break(());
                }
                let held = Held::new(&desk, file.bytes.len());
                let desk = &desk;
                workers.give(Box::new(move |workers| desk.open(workers, file, held)));
                Continue(())
            };
            match files::read(path, wanted, &mut each) {
                Ok(Continue(())) => {}
                Ok(Break(())) => break,
                Err(error) => {
                    read = Err(error.into());
                    desk.books().stopped = true;
                    break;
                }
            }
        }
        let whole = desk.wait(watch, |books| books.held_bytes == 0 && books.files == 0);
        let mut books = desk.books();
        read?;
        if !whole {
            return Err(SuiteError::Stopped { done: books.progress.done });
        }
        let mut report = std::mem::take(&mut books.report);
        report.failed.sort_by(|a, b| (&a.file, &a.case).cmp(&(&b.file, &b.case)));
        Ok(report)
    })
}

/// Where reader, workers and watcher meet.
struct Desk<'a> {
    filter: &'a Filter,
    reader: Reader<'a>,
    /// What stops whoever asked for all this, and with it a case that would run for long.
    stop: Stop,
    books: Mutex<Books>,
    /// Something in the books has changed that the reader may wait for.
    turned: Condvar,
}

#[derive(Default)]
struct Books {
    report: Report,
    progress: Progress,
    /// Files whose cases have not all run, and their bytes.
    files: usize,
    held_bytes: usize,
    stopped: bool,
}

impl Desk<'_> {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until it is `ready`, and tells `watch` meanwhile; false where that wants no more.
    fn wait(&self, watch: &mut dyn FnMut(Progress) -> bool, ready: impl Fn(&Books) -> bool) -> bool {
        let mut books = self.books();
        while !books.stopped && !ready(&books) {
            let (held, waited) = self.turned.wait_timeout(books, TELL).unwrap_or_else(PoisonError::into_inner);
            books = held;
            if waited.timed_out() {
                let progress = books.progress;
                drop(books);
                let go_on = watch(progress);
                books = self.books();
                books.stopped |= !go_on || self.stop.is_asked();
            }
        }
        !books.stopped
    }

    /// Reads a file's cases, and gives each to the workers.
    fn open<'s>(&'s self, workers: &Workers<'s>, file: TestFile, held: Held<'s>) {
        let held = Arc::new(held);
        let read = guarded(|| (self.reader)(&file));
        let name: Arc<str> = file.name.clone().into();
        drop(file);
        let cases = match read {
            Ok(cases) => cases,
            Err(difference) => return self.count(&name, String::new(), Err(difference)),
        };
        self.books().progress.known += cases.len();
        for case in cases {
            let reason = match &case.work {
                Work::Skip(reason) => Some(*reason),
                Work::Run(_) if !self.filter.wants(&case) => Some(NOT_ASKED_FOR),
                Work::Run(_) => None,
            };
            let (Work::Run(run), None) = (case.work, reason) else {
                let mut books = self.books();
                *books.report.skipped.entry(reason.unwrap_or(NOT_ASKED_FOR)).or_default() += 1;
                books.progress.done += 1;
                continue;
            };
            let (file, held) = (Arc::clone(&name), Arc::clone(&held));
            workers.give(Box::new(move |_| {
                if !self.books().stopped {
                    let outcome = self.stop.within(|| guarded(run));
                    self.count(&file, case.name, outcome);
                }
                drop(held);
            }));
        }
    }

    fn count(&self, file: &str, case: String, outcome: Result<(), Difference>) {
        let mut books = self.books();
        books.progress.done += 1;
        match outcome {
            Ok(()) => books.report.passed += 1,
            Err(difference) => {
                books.progress.failed += 1;
                books.report.failed.push(Failure { file: file.to_owned(), case, difference });
            }
        }
    }
}

/// A file's place in the books, for as long as one of its cases has not run.
struct Held<'a> {
    desk: &'a Desk<'a>,
    bytes: usize,
}

impl<'a> Held<'a> {
    fn new(desk: &'a Desk<'a>, bytes: usize) -> Self {
        let mut books = desk.books();
        books.files += 1;
        books.held_bytes += bytes;
        Self { desk, bytes }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        let mut books = self.desk.books();
        books.files -= 1;
        books.held_bytes -= self.bytes;
        drop(books);
        self.desk.turned.notify_all();
    }
}

/// A panic in a test's work is a difference like others: it must not hide those of the rest.
fn guarded<T>(work: impl FnOnce() -> Result<T, Difference>) -> Result<T, Difference> {
    let text = |panic: Box<dyn Any + Send>| match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => panic.downcast_ref::<&str>().map_or_else(String::new, |text| (*text).to_owned()),
    };
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        Err(Difference::new("the run", format_args!("a panic ({})", text(panic)), "an outcome"))
    })
}

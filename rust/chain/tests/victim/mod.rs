//! A process that works on a chain until it is killed: the test binary, started again with one test of it. It says a
//! number for each step that it has done.
#![allow(dead_code)] // Each test uses its part.

use std::{
    env,
    io::{BufRead, BufReader, Lines, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Stdio},
};

#[path = "../../../store/tests/kills/mod.rs"]
mod kills;

pub(crate) use kills::kills;

const FOLDER: &str = "VICTIM_FOLDER";

/// In the child: the folder in which it works. None: the test runs among all others, and has nothing to do.
pub(crate) fn folder() -> Option<PathBuf> {
    env::var_os(FOLDER).map(PathBuf::from)
}

/// In the child: a step is done.
pub(crate) fn say(step: u64) {
    // Past the test harness, which would keep the words to itself; at once, so that no kill cuts them in two.
    std::io::stderr().write_all(format!("done {step}\n").as_bytes()).expect("somebody listens");
}

/// The child as the test sees it. Ended when dropped.
pub(crate) struct Victim {
    child: Child,
    lines: Lines<BufReader<ChildStderr>>,
}

impl Victim {
    /// Starts the test of this name in a folder.
    pub(crate) fn start(test: &str, folder: &Path) -> Self {
        let child = Command::new(env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(FOLDER, folder)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = child.unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, lines }
    }

    /// The next step that is done; None at its end.
    pub(crate) fn hear(&mut self) -> Option<u64> {
        let line = self.lines.next()?.unwrap();
        let step = line.strip_prefix("done ").unwrap_or_else(|| panic!("the child says: {line}"));
        Some(step.parse().unwrap())
    }

    /// Kill -9; the last step that was done and not heard of yet.
    pub(crate) fn kill(mut self) -> Option<u64> {
        self.child.kill().unwrap();
        let mut last = None;
        while let Some(step) = self.hear() {
            last = Some(step);
        }
        last
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

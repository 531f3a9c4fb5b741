//! A process of its own that writes a made-up chain: the test binary, started again with one test of it. It obeys
//! lines on its input and answers each step with `acknowledged N` or `failed REASON` once it is done.
#![allow(dead_code)] // Each test uses its part.

use std::{
    env,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use execlayer_store::{Batch, Durability, Family, Options, Store};
use state::Ledger;

use crate::world::{Dice, World, steps_of};

pub(crate) const MIB: usize = 1 << 20;
const SEED: u64 = 7;
const CHANGES: u64 = 100;

const FOLDER: &str = "EXECLAYER_STORE_TEST_FOLDER";
const DURABILITY: &str = "EXECLAYER_STORE_TEST_DURABILITY";

pub(crate) fn options(durability: Durability) -> Options {
    // A batch takes a few steps.
    Options { map_size: MIB, growth: MIB, write_batch_bytes: 64 << 10, durability, ..Options::default() }
}

/// The same chain in every process: a world with its dice, at any step.
pub(crate) struct Script {
    pub(crate) world: World,
    dice: Dice,
}

impl Script {
    pub(crate) fn new() -> Self {
        Self { world: World::default(), dice: Dice(SEED) }
    }

    pub(crate) fn next(&mut self) -> state::Commit {
        self.world.step(&mut self.dice, CHANGES)
    }
}

#[test]
#[ignore = "runs in a process of its own, started by the other tests"]
fn process() {
    let Ok(folder) = env::var(FOLDER) else { return };
    let durability = env::var(DURABILITY).unwrap().parse().unwrap();
    let store = match Store::open(folder, options(durability)) {
        Ok(store) => store,
        Err(error) => return println!("\nfailed {error}"),
    };
    let mut script = Script::new();
    while script.world.steps < steps_of(&store) {
        script.next();
    }
    println!("\nopened");
    let mut bulk = 0u32;
    for line in std::io::stdin().lines() {
        match line.unwrap().as_str() {
            "step" => drop(step(&store, &mut script)),
            // Ends with the first failure, or when somebody ends the process.
            "run" => while step(&store, &mut script) {},
            "bulk" => {
                let mut batch = Batch::default();
                batch.put(Family::Artifacts, bulk.to_be_bytes().to_vec(), vec![1; 4 * MIB]);
                bulk += 1;
                store.kv().write(batch).unwrap();
                println!("acknowledged bulk");
            }
            other => panic!("nobody knows how to {other}"),
        }
    }
}

fn step(store: &Store, script: &mut Script) -> bool {
    let commit = script.next();
    match store.commit(commit) {
        Ok(()) => println!("acknowledged {}", script.world.steps),
        Err(error) => {
            println!("failed {error}");
            return false;
        }
    }
    true
}

/// The other end: a writing process as the test sees it. Ended when dropped.
pub(crate) struct Writer {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Writer {
    pub(crate) fn start(folder: &Path, durability: Durability) -> Self {
        Self::start_by(Command::new(env::current_exe().unwrap()), folder, durability)
    }

    /// Starts through another program, which must end by executing this test binary with the arguments it gets.
    pub(crate) fn start_by(mut command: Command, folder: &Path, durability: Durability) -> Self {
        let child = command
            .args(["writer::process", "--exact", "--ignored", "--nocapture"])
            .env(FOLDER, folder)
            .env(DURABILITY, durability.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut child = child.unwrap();
        let (input, output) = (child.stdin.take(), child.stdout.take().unwrap());
        Self { child, input, output: BufReader::new(output) }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn tell(&mut self, line: &str) {
        writeln!(self.input.as_ref().unwrap(), "{line}").unwrap();
    }

    /// The next line that is ours and not the test harness's; None at the end.
    pub(crate) fn answer(&mut self) -> Option<String> {
        let ours = |line: &String| ["opened", "acknowledged", "failed"].iter().any(|word| line.starts_with(word));
        (&mut self.output).lines().map(|line| line.unwrap()).find(ours)
    }

    /// Lets it write until it fails: the last step acknowledged, and the failure.
    pub(crate) fn fill(&mut self) -> (u64, String) {
        self.tell("run");
        let mut last = 0;
        loop {
            let answer = self.answer().unwrap();
            match acknowledged(&answer) {
                Some(step) => last = step,
                None => return (last, answer),
            }
        }
    }

    /// Closes its input, and waits until it has ended.
    pub(crate) fn end(&mut self) {
        self.input = None;
        while self.answer().is_some() {}
        self.child.wait().unwrap();
    }

    /// Kill -9; returns the last step that was acknowledged since the last look.
    pub(crate) fn kill(&mut self) -> Option<u64> {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let mut last = None;
        while let Some(answer) = self.answer() {
            last = acknowledged(&answer).or(last);
        }
        last
    }
}

pub(crate) fn acknowledged(answer: &str) -> Option<u64> {
    answer.strip_prefix("acknowledged ").map(|step| step.parse().unwrap())
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

//! The engine's process, and the pipe to it: a line in hex for each thing that happens, a line of JSON for what has to be
//! done about it.

use std::{
    fs,
    io::{BufRead, BufReader, Write, stdin, stdout},
    path::{Path, PathBuf},
    process::{ChildStdin, ChildStdout, Command, Stdio},
};

use execlayer_orders::{
    Engine, Input, Now, Output, Want,
    build::{Framing, Wiring},
    journal::{RECORD_HEAD, SEGMENT_BYTES, Snapshot},
    sign::MemorySigner,
    stored::{Source, Stored},
    wire::AuthKeys,
};
use serde_json::{Value, json};
use types::{Address, B256, primitives::hex};

/// A request on its way.
pub struct Sent {
    pub endpoint: u64,
    pub request: u64,
    pub order_id: u64,
    pub body: Value,
}

/// A question.
pub enum Asked {
    Header(B256),
    Receipts(B256),
    Account(Address),
    Presence(u64),
}

/// What an engine said to one step.
#[derive(Default)]
pub struct Told {
    pub sends: Vec<Sent>,
    pub wants: Vec<Asked>,
    pub results: Vec<(u64, Vec<u8>)>,
}

/// An engine in a process of its own.
pub struct Child {
    process: std::process::Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    folder: Option<tempfile::TempDir>,
    pub active: u64,
    pub slots: u64,
}

pub fn signer() -> Box<MemorySigner> {
    let mut signer = MemorySigner::new();
    for secret in super::secrets() {
        signer.add(&secret).unwrap();
    }
    Box::new(signer)
}

/// The folder of the journal, where this process is to be an engine.
pub fn is_child() -> Option<PathBuf> {
    let mut arguments = std::env::args().skip(1);
    (arguments.next().as_deref() == Some("--engine")).then(|| arguments.next().unwrap().into())
}

/// Is an engine until nobody wants one any more.
pub fn serve(folder: &Path) {
    let wiring = Wiring { framings: vec![Framing::Bare; 2], identity: None };
    let auth = AuthKeys::default();
    let mut engine = Engine::open(folder, SEGMENT_BYTES, super::config(), wiring, signer(), auth).unwrap();
    for (count, line) in stdin().lock().lines().enumerate() {
        let bytes = hex::decode(line.unwrap()).unwrap();
        let mut from = Source(&bytes);
        let (now, results) = (Now::take(&mut from).unwrap(), u64::take(&mut from).unwrap());
        let input = Input::take(&mut from).unwrap();
        let outputs = engine.step(now, input).unwrap();
        // A snapshot now and then, so that starts from one are tried as well.
        if count % 16 == 15 {
            let (seq, bytes) = engine.snapshot();
            Snapshot::write(folder, seq, &bytes).unwrap();
        }
        println!("{}", tell(&engine, outputs, results));
        stdout().flush().unwrap();
    }
}

fn tell(engine: &Engine, outputs: Vec<Output>, results: u64) -> Value {
    let (mut sends, mut wants) = (Vec::new(), Vec::new());
    for output in outputs {
        match output {
            Output::Send { endpoint, request, order_id, bytes } => {
                let body: Value = serde_json::from_slice(&bytes).unwrap();
                sends.push(json!([endpoint, request, order_id, body]));
            }
            Output::Want(Want::Header { hash }) => wants.push(json!(["header", hash])),
            Output::Want(Want::Receipts { hash, .. }) => wants.push(json!(["receipts", hash])),
            Output::Want(Want::Account { sender }) => wants.push(json!(["account", sender])),
            Output::Want(Want::Presence { order_id, .. }) => wants.push(json!(["presence", order_id])),
            _ => {}
        }
    }
    let state = engine.core().state();
    let results: Vec<_> =
        state.outbox().from(results).map(|(sequence, frame)| json!([sequence, hex::encode(frame)])).collect();
    let slots: usize = state
        .lanes()
        .iter()
        .map(|(_, lane)| lane.slots.values().filter(|entry| entry.consumed.is_some()).count())
        .sum::<usize>()
        + state.lanes().blocking().len();
    json!({"sends": sends, "wants": wants, "results": results, "active": state.active(), "slots": slots})
}

impl Child {
    pub fn spawn() -> Self {
        Self::on(tempfile::tempdir().unwrap())
    }

    fn on(folder: tempfile::TempDir) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .arg("--engine")
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (process.stdin.take().unwrap(), BufReader::new(process.stdout.take().unwrap()));
        Self { process, input, output, folder: Some(folder), active: 0, slots: 0 }
    }

    fn give(&mut self, now: Now, input: &Input, results: u64) {
        let mut bytes = now.to_stored();
        results.put(&mut bytes);
        input.put(&mut bytes);
        writeln!(self.input, "{}", hex::encode(bytes)).unwrap();
        self.input.flush().unwrap();
    }

    pub fn step(&mut self, now: Now, input: &Input, results: u64) -> Told {
        self.give(now, input, results);
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        let told: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("the engine died over {input:?}"));
        self.active = told["active"].as_u64().unwrap();
        self.slots = told["slots"].as_u64().unwrap();
        read(&told)
    }

    /// Kills it after the step, and leaves only so many of the step's records; gives how many there were.
    pub fn kill_after(&mut self, now: Now, input: &Input, results: u64, kept: u64) -> (u64, Told) {
        let segment = self.segment();
        let before = fs::metadata(&segment).unwrap().len() as usize;
        let told = self.step(now, input, results);
        self.die();
        let bytes = fs::read(&segment).unwrap();
        let mut ends = vec![before];
        while let Some(length) = bytes.get(ends[ends.len() - 1]..).and_then(|rest| rest.first_chunk::<4>()) {
            ends.push(ends[ends.len() - 1] + RECORD_HEAD + u32::from_le_bytes(*length) as usize);
        }
        let records = ends.len() as u64 - 1;
        if kept < records {
            // And a piece of the next record.
            let torn = (ends[kept as usize] + 11).min(bytes.len());
            fs::write(&segment, &bytes[..torn]).unwrap();
            self.forget_snapshots(before);
        }
        self.again();
        (records, told)
    }

    /// A snapshot of what was then cut away cannot be there: it is written after the records that it stands for.
    fn forget_snapshots(&self, before: usize) {
        let segment = fs::metadata(self.segment()).unwrap();
        assert!(segment.len() as usize >= before);
        let folder = self.folder.as_ref().unwrap().path();
        let mut snapshots: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        snapshots.retain(|path| path.extension().is_some_and(|extension| extension == "xls"));
        for path in snapshots {
            fs::remove_file(path).unwrap();
        }
    }

    /// Kills it somewhere in the step; what it says is not heard.
    pub fn kill_within(&mut self, now: Now, input: &Input, spins: u64) {
        self.give(now, input, 1);
        for _ in 0..spins {
            std::hint::spin_loop();
        }
        self.die();
        self.again();
    }

    fn die(&mut self) {
        // SIGKILL.
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    fn again(&mut self) {
        let folder = self.folder.take().unwrap();
        *self = Self::on(folder);
    }

    pub fn end(&mut self) -> tempfile::TempDir {
        self.die();
        self.folder.take().unwrap()
    }

    fn segment(&self) -> PathBuf {
        let folder = self.folder.as_ref().unwrap().path();
        let mut all: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        all.retain(|path| path.extension().is_some_and(|extension| extension == "xlj"));
        all.sort();
        all.pop().unwrap()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // A world that failed leaves no process behind; one that ended has none.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn read(told: &Value) -> Told {
    let list = |name: &str| told[name].as_array().unwrap().clone();
    let hash = |value: &Value| serde_json::from_value::<B256>(value.clone()).unwrap();
    let want = |want: Value| match want[0].as_str().unwrap() {
        "header" => Asked::Header(hash(&want[1])),
        "receipts" => Asked::Receipts(hash(&want[1])),
        "account" => Asked::Account(serde_json::from_value(want[1].clone()).unwrap()),
        _ => Asked::Presence(want[1].as_u64().unwrap()),
    };
    let sent = |sent: Value| Sent {
        endpoint: sent[0].as_u64().unwrap(),
        request: sent[1].as_u64().unwrap(),
        order_id: sent[2].as_u64().unwrap(),
        body: sent[3].clone(),
    };
    let result = |result: Value| (result[0].as_u64().unwrap(), hex::decode(result[1].as_str().unwrap()).unwrap());
    Told {
        sends: list("sends").into_iter().map(sent).collect(),
        wants: list("wants").into_iter().map(want).collect(),
        results: list("results").into_iter().map(result).collect(),
    }
}

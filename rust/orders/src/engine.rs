//! The core with its journal: what a step decided is written before any of it is handed out.
//!
//! A start replays the journal through a new core. Because a core is a function of its inputs, that is the same core;
//! signatures come out of the journal instead of the wallet, and each decision is compared with the one that was written.
//! What a crash cut off after its input is decided again, the same way, and written.

use std::{
    collections::{BTreeMap, VecDeque},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use types::{Address, B256, Signature, Transaction};

use crate::{
    build::Wiring,
    config::Config,
    core::{Core, Input, Note, Now, Output, Want},
    journal::{Entry, Journal, JournalError, Record, Snapshot, Syncer},
    order::Slot,
    presim::{Simulation, Simulator, Trial, TrialEnd},
    sign::{Signer, WalletInaccessible},
    wire::{AuthKeys, ErrorInfo, Frame, Header, Message, Report, WireError},
};

/// A frame that is no message of anybody we know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedFrame {
    /// What was wrong, and where.
    pub error: WireError,
    /// The Nack to send back.
    pub nack: Vec<u8>,
}

/// A core whose decisions are in a journal.
pub struct Engine {
    core: Core,
    journal: Journal,
    auth: AuthKeys,
    simulator: Option<Box<dyn Simulator>>,
    /// Trials whose turn has not come, by order.
    backlog: BTreeMap<u64, Waiting>,
    /// Trials that wait for more of the state, or for a newer one.
    parked: BTreeMap<u64, Waiting>,
    stopped: bool,
}

/// A trial that was asked for.
struct Waiting {
    order_id: u64,
    trial: Trial,
    after: Vec<(u64, Trial)>,
}

impl Engine {
    /// Takes up what a folder's journal says, or begins one. The first step after a restart is the caller's to give:
    /// [`Input::Restarted`], where [`Self::is_new`] says no.
    pub fn open(
        folder: &Path,
        segment_bytes: u64,
        config: Config,
        wiring: Wiring,
        signer: Box<dyn Signer>,
        auth: AuthKeys,
    ) -> Result<Self, JournalError> {
        let chain_id = config.chain_id;
        let replay = Mutex::new(Replay::new(signer, wiring, false));
        let held = || replay.lock().unwrap_or_else(PoisonError::into_inner);
        let mut journal = Journal::open(
            folder,
            chain_id,
            segment_bytes,
            |snapshot| {
                held().begin(snapshot);
                Ok(())
            },
            |record| held().take(record),
        )?;
        let mut replay = replay.into_inner().unwrap_or_else(PoisonError::into_inner);
        let missing = replay.finish()?;
        let mono_ns = replay.last_mono;
        let (core, fresh) = replay.into_core(&config);
        let mut engine_core = core;
        for note in missing {
            journal.add(mono_ns, &Entry::Note(note));
        }
        journal.flush()?;
        // What a crash kept from being handed out is asked for again by `Restarted`.
        engine_core.take_outputs();
        let mut engine = Self {
            core: engine_core,
            journal,
            auth,
            simulator: None,
            backlog: BTreeMap::new(),
            parked: BTreeMap::new(),
            stopped: false,
        };
        if fresh || *engine.core.config() != config {
            let wall_ns = engine.core.state().wall_ns();
            engine.step(Now { mono_ns, wall_ns }, Input::Configured { config: Box::new(config) })?;
        }
        Ok(engine)
    }

    /// Whether nothing but the configuration was ever taken.
    pub fn is_new(&self) -> bool {
        self.journal.next() <= 2
    }

    /// The core, to be looked at.
    pub fn core(&self) -> &Core {
        &self.core
    }

    /// Takes one thing that happened; gives what has to be done, after it was written.
    pub fn step(&mut self, now: Now, input: Input) -> Result<Vec<Output>, JournalError> {
        self.steps(now, [input])
    }

    /// Takes several things that happened at once, with one write for all of them.
    pub fn steps(&mut self, now: Now, inputs: impl IntoIterator<Item = Input>) -> Result<Vec<Output>, JournalError> {
        inputs.into_iter().for_each(|input| self.decide(now, input));
        self.release()
    }

    /// Takes a source's frame. A frame that is no message of anybody we know leaves no trace. `trusted`: it came over a
    /// way that needs no authentication, such as loopback.
    pub fn frame(
        &mut self,
        now: Now,
        bytes: &[u8],
        trusted: bool,
    ) -> Result<Result<Vec<Output>, RefusedFrame>, JournalError> {
        let required = self.core.config().require_auth && !trusted;
        if let Err(error) = inspect(bytes, &self.auth, required) {
            let nack = self.nack(now, bytes, error);
            return Ok(Err(RefusedFrame { error, nack }));
        }
        self.step(now, Input::Frame { bytes: bytes.to_vec() }).map(Ok)
    }

    /// Takes frames that came together, the most profitable first, with one write for all of them. Each gets its refusal
    /// or None, in the order they were given.
    pub fn frames(
        &mut self,
        now: Now,
        frames: &[&[u8]],
        trusted: bool,
    ) -> Result<(Vec<Output>, Vec<Option<RefusedFrame>>), JournalError> {
        let required = self.core.config().require_auth && !trusted;
        let mut ranked = Vec::with_capacity(frames.len());
        let mut refused: Vec<Option<RefusedFrame>> = frames.iter().map(|_| None).collect();
        for (index, bytes) in frames.iter().enumerate() {
            match inspect(bytes, &self.auth, required) {
                Ok(profit) => ranked.push((std::cmp::Reverse(profit), index)),
                Err(error) => refused[index] = Some(RefusedFrame { error, nack: self.nack(now, bytes, error) }),
            }
        }
        ranked.sort_unstable();
        // Frames of one source keep their order: a later sequence before an earlier one would drop that.
        if frames.len() > 1 {
            keep_order_within_sources(&mut ranked, frames);
        }
        for (_, index) in ranked {
            self.decide(now, Input::Frame { bytes: frames[index].to_vec() });
        }
        Ok((self.release()?, refused))
    }

    fn decide(&mut self, now: Now, input: Input) {
        // A signal is tried at once. What a head or the clock has tried again may be much, and waits for its turn.
        let at_once = matches!(input, Input::Frame { .. });
        if matches!(input, Input::Head { .. }) {
            self.state_moved();
        }
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            for waiting in self.record(now, input) {
                if at_once {
                    inputs.extend(self.attempt(waiting));
                } else {
                    self.backlog.insert(waiting.order_id, waiting);
                }
            }
        }
    }

    /// Takes one input, writes it with what was decided, and gives the trials that it asks for.
    fn record(&mut self, now: Now, input: Input) -> Vec<Waiting> {
        if self.stopped {
            return Vec::new();
        }
        self.core.step(now, &input);
        self.journal.add(now.mono_ns, &Entry::Input { wall_ns: now.wall_ns, input });
        for note in self.core.take_notes() {
            self.journal.add(now.mono_ns, &Entry::Note(note));
        }
        if self.simulator.is_none() {
            return Vec::new();
        }
        let waiting = |want| match want {
            Want::Simulate { order_id, trial, after, .. } => Some(Waiting { order_id, trial, after }),
            _ => None,
        };
        self.core.take_trials().into_iter().filter_map(waiting).collect()
    }

    /// Tries an order; what the core has to hear of it, where it could be tried. Else it waits for the state.
    fn attempt(&mut self, waiting: Waiting) -> Option<Input> {
        let simulator = self.simulator.as_mut()?;
        let Waiting { order_id, ref trial, ref after } = waiting;
        if !self.core.is_simulating(order_id) {
            return None;
        }
        let head = self.core.state().ring().head()?.hash;
        let simulation = match simulator.simulate(&head, trial, after) {
            TrialEnd::Done(tried) => self.core.simulation(order_id, tried)?,
            TrialEnd::Unable(reason) => Simulation::Unknown { reason },
            TrialEnd::Missing(missing) => {
                self.core.want_state(order_id, trial.clone(), missing);
                self.parked.insert(order_id, waiting);
                return None;
            }
            TrialEnd::Behind => {
                self.parked.insert(order_id, waiting);
                return None;
            }
        };
        Some(Input::Simulated { order_id, simulation })
    }

    /// Has simulations answered by this one.
    pub fn simulate_on(&mut self, simulator: Box<dyn Simulator>) {
        self.simulator = Some(simulator);
    }

    /// The simulator may know more than before: whatever waits for that has its turn again.
    pub fn state_moved(&mut self) {
        self.backlog.append(&mut self.parked);
    }

    /// Whether there is something to go on with, by [`Self::go_on`].
    pub fn has_more(&self) -> bool {
        self.core.has_more() || !self.backlog.is_empty()
    }

    /// Goes on with what can wait for everything else: a piece of a block, or so many trials.
    pub fn go_on(&mut self, now: Now, trials: usize) -> Result<Vec<Output>, JournalError> {
        if self.core.has_more() {
            self.decide(now, Input::Continue);
            return self.release();
        }
        for _ in 0..trials {
            let Some((_, waiting)) = self.backlog.pop_first() else { break };
            if let Some(input) = self.attempt(waiting) {
                self.decide(now, input);
            }
        }
        self.release()
    }

    fn release(&mut self) -> Result<Vec<Output>, JournalError> {
        if self.stopped {
            return Err(JournalError::Stopped);
        }
        if let Err(error) = self.journal.flush() {
            // Nothing of it may be spoken, and nothing more decided.
            self.stopped = true;
            self.core.take_outputs();
            return Err(error);
        }
        Ok(self.core.take_outputs())
    }

    fn nack(&self, now: Now, bytes: &[u8], error: WireError) -> Vec<u8> {
        let sequence = bytes.get(8..16).map_or(0, |bytes| u64::from_le_bytes(bytes.try_into().expect("eight bytes")));
        let source_id = self.core.config().source_id;
        let header = Header { kind: 0, flags: 0, sequence, sent_unix_ns: now.wall_ns, source_id };
        let report = Report { error: Some(ErrorInfo::new(error.code as u16, error.to_string())), ..Report::default() };
        Message::Nack(report).encode(&header, None)
    }

    /// One request for several of an endpoint's.
    pub fn join(&self, endpoint: u16, requests: &[&[u8]]) -> Vec<u8> {
        self.core.wiring().framing(endpoint).join(requests)
    }

    /// Syncs what was written so far, from any thread.
    pub fn syncer(&self) -> Syncer {
        self.journal.syncer()
    }

    /// The number of the next record.
    pub fn next_record(&self) -> u64 {
        self.journal.next()
    }

    /// The bytes of a snapshot of now, with the record they stand for; [`Snapshot::write`] puts them into the folder.
    pub fn snapshot(&self) -> (u64, Vec<u8>) {
        let seq = self.journal.next() - 1;
        (seq, Snapshot::encode(self.core.config().chain_id, seq, self.core.config(), self.core.state()))
    }

    /// Where the journal lies.
    pub fn folder(&self) -> &Path {
        self.journal.folder()
    }
}

/// Form and authenticity of a frame; gives what its signal hopes for, for the order of a batch.
fn inspect(bytes: &[u8], auth: &AuthKeys, required: bool) -> Result<i128, WireError> {
    let frame = Frame::decode(bytes)?;
    auth.check(&frame, required)?;
    Ok(match Message::decode(&frame)? {
        Message::Signal(signal) => signal.economics.expected_profit_wei,
        // Cancels and heartbeats before all signals.
        _ => i128::MAX,
    })
}

/// Each place of a batch keeps its source; within a source the frames go by their sequence.
fn keep_order_within_sources(ranked: &mut [(std::cmp::Reverse<i128>, usize)], frames: &[&[u8]]) {
    let source = |index: usize| -> [u8; 4] { frames[index][24..28].try_into().expect("the frame was decoded") };
    let mut by_source: BTreeMap<[u8; 4], VecDeque<usize>> = BTreeMap::new();
    for index in 0..frames.len() {
        if ranked.iter().any(|(_, ranked)| *ranked == index) {
            by_source.entry(source(index)).or_default().push_back(index);
        }
    }
    for (_, index) in ranked {
        if let Some(first) = by_source.get_mut(&source(*index)).and_then(VecDeque::pop_front) {
            *index = first;
        }
    }
}

/// Signatures of the group that is being replayed; None where the wallet did not sign.
type Signatures = Arc<Mutex<VecDeque<Option<Signature>>>>;

/// Signs with what is written, and where nothing is left of that with the wallet.
struct Recorded {
    written: Signatures,
    wallet: Box<dyn Signer>,
}

impl Signer for Recorded {
    fn sign(&mut self, sender: Address, hash: &B256) -> Result<Signature, WalletInaccessible> {
        let next = self.written.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        match next {
            Some(Some(signature)) => Ok(signature),
            Some(None) => Err(WalletInaccessible { sender, reason: "as written".to_owned() }),
            None => self.wallet.sign(sender, hash),
        }
    }
}

/// A journal that was proved.
pub struct Verified {
    /// The core that comes out.
    pub core: Core,
    /// The record that it was proved from.
    pub first: u64,
}

/// Replays a journal from its first record, or from the oldest snapshot where that has gone with time; signs everything
/// again, and compares every decision and every signed byte with what is written. None: nothing is written. Changes
/// nothing.
pub fn verify(folder: &Path, chain_id: u64, signer: Box<dyn Signer>) -> Result<Option<Verified>, JournalError> {
    let mut replay = Replay::new(signer, Wiring::default(), true);
    let snapshot = Journal::beginning(folder, chain_id)?;
    let first = snapshot.as_ref().map_or(1, |snapshot| snapshot.seq + 1);
    replay.begin(snapshot);
    Journal::read(folder, chain_id, first, |record| replay.take(record))?;
    replay.finish()?;
    Ok(replay.core.map(|core| Verified { core, first }))
}

/// A journal's records on their way through a new core.
struct Replay {
    core: Option<Core>,
    parts: Option<(Wiring, Box<dyn Signer>)>,
    written: Signatures,
    /// Whether the wallet signs everything again.
    resign: bool,
    group: Option<Record>,
    notes: Vec<Note>,
    last_mono: u64,
}

impl Replay {
    fn new(wallet: Box<dyn Signer>, wiring: Wiring, resign: bool) -> Self {
        Self {
            core: None,
            parts: Some((wiring, wallet)),
            written: Signatures::default(),
            resign,
            group: None,
            notes: Vec::new(),
            last_mono: 0,
        }
    }

    fn begin(&mut self, snapshot: Option<Snapshot>) {
        if let Some(Snapshot { config, state, .. }) = snapshot
            && let Some((wiring, wallet)) = self.parts.take()
        {
            let signer = Box::new(Recorded { written: Arc::clone(&self.written), wallet });
            self.core = Some(Core::resume(config, state, wiring, signer));
        }
    }

    /// Takes the next record.
    fn take(&mut self, record: Record) -> Result<(), JournalError> {
        self.last_mono = record.mono_ns;
        match record.entry {
            Entry::Snapshot => {}
            Entry::Note(note) => self.notes.push(note),
            Entry::Input { .. } => {
                let missing = self.play()?;
                if let Some((seq, note)) = missing
                    .zip(self.group.as_ref())
                    .and_then(|(notes, group)| Some((group.seq, notes.into_iter().next()?)))
                {
                    return Err(JournalError::Diverged {
                        seq,
                        expected: "nothing more".to_owned(),
                        actual: format!("{note:?}"),
                    });
                }
                self.group = Some(record);
            }
        }
        Ok(())
    }

    /// Steps through the group that is complete now; gives the notes that were made and are not written.
    fn play(&mut self) -> Result<Option<Vec<Note>>, JournalError> {
        let Some(group) = &self.group else { return Ok(None) };
        let Entry::Input { input, .. } = &group.entry else { return Ok(None) };
        let written = std::mem::take(&mut self.notes);
        let core = match (&mut self.core, input) {
            (Some(core), _) => core,
            (core, Input::Configured { config }) => {
                let (wiring, wallet) = self.parts.take().expect("taken together with the core's making");
                let signer = Box::new(Recorded { written: Arc::clone(&self.written), wallet });
                core.insert(Core::new((**config).clone(), wiring, signer))
            }
            _ => return Err(JournalError::NoConfiguration { seq: group.seq }),
        };
        // What was signed outside stands in the inputs, and the wallet is not asked for it.
        let is_inside = |slot: &Slot| !core.state().lanes().is_outside(slot.lane);
        let signatures = written.iter().filter(|_| !self.resign).filter_map(|note| match note {
            Note::Signed { raw, slot, .. } if is_inside(slot) => {
                let signature = Transaction::from_bytes(raw).map(|signed| *signed.signature());
                Some(signature.ok())
            }
            Note::Unsigned { slot, .. } if is_inside(slot) => Some(None),
            _ => None,
        });
        *self.written.lock().unwrap_or_else(PoisonError::into_inner) = signatures.collect();
        core.step(group.now(), input);
        core.take_outputs();
        let made = core.take_notes();
        let mut made_now = made.into_iter();
        for expected in written {
            let actual = made_now.next();
            if actual.as_ref() != Some(&expected) {
                let (expected, actual) = (format!("{expected:?}"), format!("{actual:?}"));
                return Err(JournalError::Diverged { seq: group.seq, expected, actual });
            }
        }
        Ok(Some(made_now.collect()))
    }

    /// After the last record: the decisions that a crash cut off.
    fn finish(&mut self) -> Result<Vec<Note>, JournalError> {
        let missing = self.play()?.unwrap_or_default();
        self.group = None;
        Ok(missing)
    }

    /// The core, and whether it is a new one because nothing was written.
    fn into_core(mut self, config: &Config) -> (Core, bool) {
        // The wallet may be asked from now on; nothing written is left.
        self.written.lock().unwrap_or_else(PoisonError::into_inner).clear();
        match (self.core.take(), self.parts.take()) {
            (Some(core), _) => (core, false),
            (None, Some((wiring, wallet))) => (Core::new(config.clone(), wiring, wallet), true),
            (None, None) => unreachable!("a core is made of the parts"),
        }
    }
}

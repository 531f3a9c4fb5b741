//! The order engine as Python sees it: bytes and numbers in, what has to be done out, as plain tuples.
//!
//! Calls are short (a batch of a hundred signals takes some 4 ms) and come from one task, so they keep the interpreter
//! lock; syncing the journal, a snapshot from its encoding on, and reading a block's receipts let it go.

use std::{
    path::PathBuf,
    sync::{Mutex, MutexGuard, PoisonError},
};

use chain::{
    evm::{BlockEnv, Fork},
    state::Used,
    types::{Address, B256, U256},
};
use orders::{
    Config, Engine, Input, Now, SignerAnswer,
    build::{Framing, Wiring},
    chain::{Head, Receipt},
    config::{Conflict, Endpoint, Presim, Relay},
    fees::next_base_fee,
    journal::{JournalError, SEGMENT_BYTES, SenderLocks, Snapshot},
    replies::{Answer, verdict, verdicts},
    sign::MemorySigner,
    states::{Event, TABLE},
    wire::{AuthKey, AuthKeys, Channel},
};
use pyo3::{
    prelude::*,
    types::{PyBytes, PyDict, PyList},
};

use crate::{
    convert::argument,
    enter,
    error::Reason,
    key::PyKey,
    order_state::{AccountRow, HeadState, SlotRow, UsedRows, fetched, rules_of},
    order_told::{hex, place, tell},
};

/// The rows of the state machine: event, sub-states it may happen in, sub-state it leads to, when it happens.
#[pyfunction]
pub(crate) fn order_transitions() -> Vec<(&'static str, Vec<&'static str>, &'static str, &'static str)> {
    TABLE
        .iter()
        .map(|row| (row.name, row.from.iter().map(|sub| sub.name()).collect(), row.to.name(), row.when))
        .collect()
}

/// The sub-states in the order of their numbers, each with its state.
#[pyfunction]
pub(crate) fn order_states() -> Vec<(&'static str, &'static str)> {
    orders::Sub::ALL.iter().map(|sub| (sub.name(), sub.state().name())).collect()
}

/// Whether `r` and `s`, 64 bytes, are a signature of a digest by the sender's key; `s` may be in either half.
#[pyfunction]
pub(crate) fn is_signed_by(sender: &Bound<'_, PyAny>, digest: &Bound<'_, PyAny>, compact: &[u8]) -> PyResult<bool> {
    let (sender, digest) = (argument("sender", sender).address()?, argument("digest", digest).hash()?);
    Ok(orders::sign::completed(compact, &digest, Some(sender)).is_some())
}

/// A block's receipts, read from a node's answer: megabytes, for a thread.
#[pyclass(module = "execlayer._core", frozen)]
pub(crate) struct OrderReceipts {
    block: B256,
    receipts: Vec<Receipt>,
}

#[pymethods]
impl OrderReceipts {
    /// None: it is no JSON-RPC answer with receipts of this block.
    #[staticmethod]
    fn read(py: Python<'_>, block: &Bound<'_, PyAny>, body: &[u8]) -> PyResult<Option<Self>> {
        let block = argument("block", block).hash()?;
        let read = py.detach(|| orders::receipts::read(body, &block));
        Ok(read.ok().map(|receipts| Self { block, receipts }))
    }
}

/// An order engine without its sockets and its clock: both are the caller's.
#[pyclass(name = "OrderEngine", module = "execlayer._core", frozen)]
pub(crate) struct PyOrderEngine {
    engine: Mutex<Engine>,
    newest: HeadState,
    #[expect(dead_code, reason = "held for as long as the engine lives")]
    locks: SenderLocks,
}

/// Monotonic and Unix nanoseconds.
type Clock = (u64, u64);

/// For each frame its Nack, where it was refused.
type Nacks<'py> = Vec<Option<Bound<'py, PyBytes>>>;

/// Order, source, strategy, signal, sub-state, sender, nonce, replacements, ledger.
type OrderRow = (u64, u32, u16, u64, &'static str, Option<String>, Option<u64>, u8, i128);

/// Sender, confirmed nonce, next nonce, unsettled slots, holes among them, frozen, paused, balance in wei.
type LaneRow = (String, Option<u64>, u64, usize, usize, bool, bool, String);

/// Number, hash, parent, timestamp, base fee, gas used, gas limit.
type HeaderRow<'py> = (u64, Bound<'py, PyAny>, Bound<'py, PyAny>, u64, u64, u64, u64);

/// Orders that are tried in one call: some 2 ms.
const TRIED_AT_ONCE: usize = 16;

fn head_of(row: &HeaderRow<'_>) -> PyResult<Head> {
    let (number, hash, parent, timestamp, base_fee, gas_used, gas_limit) = row;
    let (hash, parent) = (argument("hash", hash).hash()?, argument("parent", parent).hash()?);
    let (number, timestamp) = (*number, *timestamp);
    let (base_fee, gas_used, gas_limit) = (*base_fee, *gas_used, *gas_limit);
    Ok(Head { number, hash, parent, timestamp, base_fee, gas_used, gas_limit })
}

fn answer<'a>(status: Option<u16>, body: &'a [u8], why: &'a str) -> Answer<'a> {
    match status {
        Some(200) => Answer::Body(body),
        Some(status) => Answer::Status(status, body),
        None => Answer::Nothing(why),
    }
}

fn now((mono_ns, wall_ns): Clock) -> Now {
    Now { mono_ns, wall_ns }
}

/// Reads the settings that are plain numbers; what is left in the dictionary is nobody's.
macro_rules! plain_settings {
    ($config:ident, $name:ident, $value:ident; $($field:ident),* $(,)?) => {
        match $name.as_str() {
            $(stringify!($field) => {
                $config.$field = $value.extract().map_err(|_| argument(stringify!($field), &$value).wrong("a whole number in range, or a bool where it is a switch"))?;
            })*
            "bump" => $config.bump = $value.extract().map_err(|_| argument("bump", &$value).wrong("a fraction of whole numbers"))?,
            "builders" => $config.builders = $value.extract().map_err(|_| argument("builders", &$value).wrong("a list of names"))?,
            "presim" => $config.presim = choice(&$value, "presim", &[("off", Presim::Off), ("fallback", Presim::Fallback), ("always", Presim::Always)])?,
            "conflict" => $config.conflict = choice(&$value, "conflict", &[("simulate", Conflict::Simulate), ("serialize", Conflict::Serialize), ("ignore", Conflict::Ignore)])?,
            "channel" => $config.channel = choice(&$value, "channel", &[("public", Channel::Public), ("private", Channel::Private), ("hybrid", Channel::Hybrid)])?,
            _ => return Err(argument("settings", &$name.into_pyobject($value.py())?.into_any()).wrong("the name of a setting")),
        }
    };
}

pub(crate) fn choice<T: Copy>(value: &Bound<'_, PyAny>, name: &'static str, choices: &[(&str, T)]) -> PyResult<T> {
    let text: String = value.extract().map_err(|_| argument(name, value).wrong("one of its words"))?;
    let found = choices.iter().find(|(word, _)| *word == text);
    found.map(|(_, choice)| *choice).ok_or_else(|| argument(name, value).wrong("one of its words"))
}

pub(crate) fn apply_settings(config: &mut Config, settings: &Bound<'_, PyDict>) -> PyResult<()> {
    for (name, value) in settings {
        let name: String = name.extract()?;
        plain_settings!(config, name, value;
            source_id, max_concurrent_orders, default_gas_limit, max_gas_price, confirmation_blocks, retry_attempts,
            signal_max_age_ns, submission_deadline_ns, confirmation_deadline_ns, slippage_bps, net_ratio_bps,
            min_net_profit_wei, gas_buffer_pct, max_state_lag, retention_ns, retention_max, private_timeout_ns,
            private_max_blocks, fallback_gas_bps, fallback_public, fanout, min_priority_fee, price_trigger_pct,
            after_blocks, lane_depth, private_sharing, gap_fill_ns, max_order_value_wei, max_capital,
            max_gas_per_hour, max_loss_per_hour_wei, max_failures_in_row, max_keys, max_results, require_auth,
        );
    }
    Ok(())
}

fn addresses(name: &'static str, listed: &Bound<'_, PyAny>) -> PyResult<Vec<Address>> {
    listed.try_iter()?.map(|one| argument(name, &one?).address()).collect()
}

/// How an endpoint is spoken to: the head of its HTTP requests as `execlayer.upstream.codecs.request_head` writes it
/// (empty: bare JSON texts), whether public transactions go there, and the dialect where it is a relay.
type EndpointRow<'py> = (Vec<u8>, bool, Option<Bound<'py, PyAny>>);

const DIALECTS: [(&str, Relay); 3] =
    [("flashbots", Relay::Flashbots), ("replacing", Relay::Replacing), ("transaction", Relay::Transaction)];

#[pymethods]
impl PyOrderEngine {
    /// Takes up what the journal in `folder` says, or begins one.
    #[new]
    #[pyo3(signature = (folder, *, lock_folder, chain_id, contract, recipient, keys, endpoints, outside=None,
        segment=None, settings=None, allowed=None, prices=None, engine_id=None, auth_keys=None,
        relay_identity=None, fork=None))]
    #[expect(clippy::too_many_arguments, reason = "all go by name")]
    fn new(
        py: Python<'_>,
        folder: PathBuf,
        lock_folder: PathBuf,
        chain_id: u64,
        contract: &Bound<'_, PyAny>,
        recipient: &Bound<'_, PyAny>,
        keys: Vec<Bound<'_, PyKey>>,
        endpoints: Vec<EndpointRow<'_>>,
        outside: Option<&Bound<'_, PyAny>>,
        segment: Option<u64>,
        settings: Option<&Bound<'_, PyDict>>,
        allowed: Option<&Bound<'_, PyAny>>,
        prices: Option<&Bound<'_, PyDict>>,
        engine_id: Option<&Bound<'_, PyAny>>,
        auth_keys: Option<Vec<(u32, Vec<u8>)>>,
        relay_identity: Option<&Bound<'_, PyKey>>,
        fork: Option<&str>,
    ) -> PyResult<Self> {
        let fork = fork.map(str::parse::<Fork>).transpose().map_err(|error| error.raise(py))?;
        let newest = HeadState::new(rules_of(chain_id, fork));
        let mut signer = MemorySigner::new();
        let add = |key: &Bound<'_, PyKey>| enter::quick(py, || signer.add(&key.get().0.to_bytes()));
        let mut senders = keys.iter().map(add).collect::<PyResult<Vec<_>>>()?;
        let outside = outside.map_or(Ok(Vec::new()), |outside| addresses("outside", outside))?;
        senders.extend(&outside);
        let (contract, recipient) =
            (argument("contract", contract).address()?, argument("recipient", recipient).address()?);
        let mut config = Config { outside, ..Config::new(chain_id, contract, recipient, senders) };
        config.endpoints.clear();
        let mut wiring = Wiring { framings: Vec::new(), identity: relay_identity.map(|key| key.get().0.clone()) };
        for (head, submit, relay) in endpoints {
            let relay = relay.map_or(Ok(Relay::None), |relay| choice(&relay, "dialect of a relay", &DIALECTS))?;
            config.endpoints.push(Endpoint { submit, relay });
            wiring.framings.push(if head.is_empty() { Framing::Bare } else { Framing::Http(head) });
        }
        if let Some(settings) = settings {
            apply_settings(&mut config, settings)?;
        }
        if let Some(allowed) = allowed {
            config.allowed = addresses("allowed", allowed)?;
        }
        for (token, price) in prices.into_iter().flatten() {
            config.prices.push((argument("prices", &token).address()?, argument("prices", &price).u128()?));
        }
        if let Some(id) = engine_id {
            config.engine_id = argument("engine_id", id).hash()?;
        }
        let auth = AuthKeys::new(auth_keys.into_iter().flatten().map(|(id, secret)| AuthKey::new(id, &secret)));
        enter::long(py, move || {
            let locks = SenderLocks::take(&lock_folder, chain_id, &config.senders)?;
            let mut engine =
                Engine::open(&folder, segment.unwrap_or(SEGMENT_BYTES), config, wiring, Box::new(signer), auth)?;
            engine.simulate_on(Box::new(newest.clone()));
            Ok::<_, JournalError>(Self { engine: Mutex::new(engine), newest, locks })
        })
    }

    /// Whether the journal has just begun: then there is nothing to take up.
    #[getter]
    fn is_new(&self) -> bool {
        self.held().is_new()
    }

    /// Whether signals may be given; a consumer that does not take results pauses the intake.
    #[getter]
    fn intake_is_open(&self) -> bool {
        self.held().core().intake_is_open()
    }

    /// The number of the journal's next record.
    #[getter]
    fn next_record(&self) -> u64 {
        self.held().next_record()
    }

    /// Takes frames that came together. Gives what has to be done, and for each frame its Nack or None.
    fn frames<'py>(
        &self,
        py: Python<'py>,
        clock: Clock,
        frames: Vec<Bound<'py, PyBytes>>,
        trusted: bool,
    ) -> PyResult<(Bound<'py, PyList>, Nacks<'py>)> {
        let bytes: Vec<&[u8]> = frames.iter().map(|frame| frame.as_bytes()).collect();
        let (outputs, refused) = enter::quick(py, || self.held().frames(now(clock), &bytes, trusted))?;
        let nacks = refused.iter().map(|one| one.as_ref().map(|refused| PyBytes::new(py, &refused.nack))).collect();
        Ok((tell(py, outputs)?, nacks))
    }

    /// The last byte of some requests went into their socket.
    fn written<'py>(&self, py: Python<'py>, clock: Clock, requests: Vec<u64>) -> PyResult<Bound<'py, PyList>> {
        let inputs = requests.into_iter().map(|request| Input::Written { request });
        let outputs = enter::quick(py, || self.held().steps(now(clock), inputs))?;
        tell(py, outputs)
    }

    /// A request was answered: the HTTP status (200 where there is none) and the body. Status None: no answer, and why.
    fn replied<'py>(
        &self,
        py: Python<'py>,
        clock: Clock,
        request: u64,
        status: Option<u16>,
        body: &[u8],
    ) -> PyResult<Bound<'py, PyList>> {
        let why = String::from_utf8_lossy(body);
        let hash = self.held().core().state().sent_hash(request).unwrap_or_default();
        self.step(py, clock, Input::Replied { request, verdict: verdict(answer(status, body, &why), &hash) })
    }

    /// One request for several that wait to be written to the same public endpoint: JSON-RPC's batch.
    fn join<'py>(&self, py: Python<'py>, endpoint: u16, requests: Vec<Bound<'py, PyBytes>>) -> Bound<'py, PyBytes> {
        let requests: Vec<&[u8]> = requests.iter().map(|request| request.as_bytes()).collect();
        PyBytes::new(py, &self.held().join(endpoint, &requests))
    }

    /// A batch was answered, or not: as [`Self::replied`], for all of its requests.
    fn replied_all<'py>(
        &self,
        py: Python<'py>,
        clock: Clock,
        requests: Vec<u64>,
        status: Option<u16>,
        body: &[u8],
    ) -> PyResult<Bound<'py, PyList>> {
        let why = String::from_utf8_lossy(body);
        let outputs = enter::quick(py, || {
            let mut engine = self.held();
            let state = engine.core().state();
            let sent: Vec<_> =
                requests.iter().map(|request| (*request, state.sent_hash(*request).unwrap_or_default())).collect();
            let verdicts = verdicts(answer(status, body, &why), &sent);
            let replied = requests.iter().zip(verdicts);
            engine.steps(now(clock), replied.map(|(request, verdict)| Input::Replied { request: *request, verdict }))
        })?;
        tell(py, outputs)
    }

    /// A header: number, hash, parent, timestamp, base fee, gas used, gas limit.
    fn head<'py>(&self, py: Python<'py>, clock: Clock, header: HeaderRow<'py>) -> PyResult<Bound<'py, PyList>> {
        self.step(py, clock, Input::Head { head: head_of(&header)? })
    }

    /// A block's receipts, as [`OrderReceipts`] read them.
    fn receipts<'py>(
        &self,
        py: Python<'py>,
        clock: Clock,
        receipts: &Bound<'py, OrderReceipts>,
    ) -> PyResult<Bound<'py, PyList>> {
        let OrderReceipts { block, receipts } = receipts.get();
        let state = self.held();
        let ours = receipts.iter().filter(|receipt| state.core().state().knows(&receipt.tx_hash)).cloned().collect();
        drop(state);
        self.step(py, clock, Input::Receipts { block: *block, receipts: ours })
    }

    /// Which of a slot's transactions is in a canonical block: what `eth_getTransactionReceipt` answered; None: none of
    /// them is. False: it is no such answer, and nothing was taken.
    #[pyo3(signature = (clock, sender, nonce, body))]
    fn looked_up<'py>(
        &self,
        py: Python<'py>,
        clock: Clock,
        sender: &Bound<'py, PyAny>,
        nonce: u64,
        body: Option<&[u8]>,
    ) -> PyResult<Option<Bound<'py, PyList>>> {
        let sender = argument("sender", sender).address()?;
        let Ok(found) = body.map(orders::receipts::read_one).transpose() else { return Ok(None) };
        self.step(py, clock, Input::LookedUp { sender, nonce, found }).map(Some)
    }

    /// The chain will not go back behind this block.
    fn finalized<'py>(
        &self,
        py: Python<'py>,
        clock: Clock,
        number: u64,
        block: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyList>> {
        let block = argument("block", block).hash()?;
        self.step(py, clock, Input::Finalized { number, block })
    }

    /// What the chain says of some senders, as of a block: their nonces and balances.
    fn accounts<'py>(
        &self,
        py: Python<'py>,
        clock: Clock,
        senders: Vec<(Bound<'py, PyAny>, u64, Bound<'py, PyAny>)>,
        block: (u64, Bound<'py, PyAny>),
    ) -> PyResult<Bound<'py, PyList>> {
        let (number, block) = (block.0, argument("block", &block.1).hash()?);
        let input = |(sender, nonce, balance): (Bound<'py, PyAny>, u64, Bound<'py, PyAny>)| {
            let (sender, balance) = (argument("sender", &sender).address()?, argument("balance", &balance).u256()?);
            Ok(Input::Account { sender, nonce, balance, number, block })
        };
        let inputs = senders.into_iter().map(input).collect::<PyResult<Vec<_>>>()?;
        let outputs = enter::quick(py, || self.held().steps(now(clock), inputs))?;
        tell(py, outputs)
    }

    /// The tip that gets into a block.
    fn tip<'py>(&self, py: Python<'py>, clock: Clock, wei: u64) -> PyResult<Bound<'py, PyList>> {
        self.step(py, clock, Input::Tip { wei })
    }

    /// The accounts and slots of the state that were read lately, for the next block's: of accounts, whether their code
    /// is wanted, too.
    fn state_used(&self) -> UsedRows {
        let Used { accounts, slots } = self.newest.used();
        let accounts = accounts.into_iter().map(|(address, code)| (hex(&address), code)).collect();
        (accounts, slots.iter().map(place).collect())
    }

    /// Another block's state, which orders are tried on from now on: its header as for [`Self::head`], who made it, its
    /// random number, the seconds to the block after it, and what was fetched of it. `grown`: it stands on the block whose
    /// state is here, and what was not fetched is as it was.
    #[pyo3(signature = (header, beneficiary, prev_randao, slot_seconds, accounts, slots, *, grown=false))]
    #[expect(clippy::too_many_arguments, reason = "one for each thing that a block tells")]
    fn turn_state(
        &self,
        header: HeaderRow<'_>,
        beneficiary: &Bound<'_, PyAny>,
        prev_randao: &Bound<'_, PyAny>,
        slot_seconds: u64,
        accounts: Vec<AccountRow<'_>>,
        slots: Vec<SlotRow<'_>>,
        grown: bool,
    ) -> PyResult<()> {
        let head = head_of(&header)?;
        let next = BlockEnv {
            number: head.number + 1,
            timestamp: head.timestamp.saturating_add(slot_seconds.max(1)),
            beneficiary: argument("beneficiary", beneficiary).address()?,
            gas_limit: head.gas_limit,
            base_fee: Some(next_base_fee(&head)),
            difficulty: U256::ZERO,
            prev_randao: argument("prev_randao", prev_randao).hash()?,
            excess_blob_gas: Some(0),
            blob_base_fee: None,
            parent_hash: head.hash,
            parent_beacon_root: None,
            ommers: Vec::new(),
        };
        self.newest.turn(head.hash, next, fetched(accounts, slots)?, grown);
        self.held().state_moved();
        Ok(())
    }

    /// More of a block's state. False: orders are tried on another one's by now.
    fn add_state(
        &self,
        block: &Bound<'_, PyAny>,
        accounts: Vec<AccountRow<'_>>,
        slots: Vec<SlotRow<'_>>,
    ) -> PyResult<bool> {
        let added = self.newest.add(&argument("block", block).hash()?, fetched(accounts, slots)?);
        self.held().state_moved();
        Ok(added)
    }

    /// Whether there is something to go on with, by [`Self::go_on`].
    #[getter]
    fn has_more(&self) -> bool {
        self.held().has_more()
    }

    /// Goes on with what can wait: a few more of a block's receipts, or of the orders that have to be tried.
    fn go_on<'py>(&self, py: Python<'py>, clock: Clock) -> PyResult<Bound<'py, PyList>> {
        let outputs = enter::quick(py, || self.held().go_on(now(clock), TRIED_AT_ONCE))?;
        tell(py, outputs)
    }

    /// How long each simulation took since this was last asked, in seconds.
    fn presim_seconds(&self) -> Vec<f64> {
        self.newest.take_seconds()
    }

    /// An endpoint can be used, or can't.
    fn endpoint<'py>(&self, py: Python<'py>, clock: Clock, endpoint: u16, up: bool) -> PyResult<Bound<'py, PyList>> {
        self.step(py, clock, Input::Endpoint { endpoint, up })
    }

    /// No endpoint that is up to date shows any transaction of this order.
    fn absent<'py>(&self, py: Python<'py>, clock: Clock, order_id: u64) -> PyResult<Bound<'py, PyList>> {
        self.step(py, clock, Input::Absent { order_id })
    }

    /// What a contract reverted with. `approximate`: found out without what stood before it in its block.
    fn reverted<'py>(
        &self,
        py: Python<'py>,
        clock: Clock,
        order_id: u64,
        data: Vec<u8>,
        approximate: bool,
    ) -> PyResult<Bound<'py, PyList>> {
        self.step(py, clock, Input::Reverted { order_id, data, approximate })
    }

    /// Somebody wants an order gone. An error where nothing is left to be done about it.
    fn cancel<'py>(&self, py: Python<'py>, clock: Clock, order_id: u64) -> PyResult<Bound<'py, PyList>> {
        enter::quick(py, || self.held().core().open_to(order_id, Event::CancelSent).map(drop))?;
        self.step(py, clock, Input::Cancel { order_id })
    }

    /// Somebody wants an order faster. An error where nothing is left to be done about it.
    fn speed_up<'py>(&self, py: Python<'py>, clock: Clock, order_id: u64) -> PyResult<Bound<'py, PyList>> {
        enter::quick(py, || self.held().core().open_to(order_id, Event::Replaced).map(drop))?;
        self.step(py, clock, Input::SpeedUp { order_id })
    }

    /// A signer outside gave `r` and `s`, 64 bytes; or none, and why not. `refused`: it was reached and does not want to.
    #[pyo3(signature = (clock, request, compact, why="", refused=false))]
    fn signature<'py>(
        &self,
        py: Python<'py>,
        clock: Clock,
        request: u64,
        compact: Option<Vec<u8>>,
        why: &str,
        refused: bool,
    ) -> PyResult<Bound<'py, PyList>> {
        let reason = why.to_owned();
        let answer = match compact {
            Some(compact) => SignerAnswer::Signed { compact },
            None if refused => SignerAnswer::Refused { reason },
            None => SignerAnswer::Unreachable { reason },
        };
        self.step(py, clock, Input::Signature { request, answer })
    }

    /// Nothing new is taken, or again.
    fn halt<'py>(&self, py: Python<'py>, clock: Clock, on: bool) -> PyResult<Bound<'py, PyList>> {
        self.step(py, clock, Input::Halt { on })
    }

    /// A person has looked at a frozen lane.
    fn thaw<'py>(&self, py: Python<'py>, clock: Clock, sender: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyList>> {
        let sender = argument("sender", sender).address()?;
        self.step(py, clock, Input::Thaw { sender })
    }

    /// Results arrived, up to this sequence.
    fn delivered<'py>(&self, py: Python<'py>, clock: Clock, sequence: u64) -> PyResult<Bound<'py, PyList>> {
        self.step(py, clock, Input::Delivered { sequence })
    }

    /// Time went on.
    fn tick<'py>(&self, py: Python<'py>, clock: Clock) -> PyResult<Bound<'py, PyList>> {
        self.step(py, clock, Input::Tick)
    }

    /// A process took up the work of one that ended.
    fn restarted<'py>(&self, py: Python<'py>, clock: Clock) -> PyResult<Bound<'py, PyList>> {
        self.step(py, clock, Input::Restarted)
    }

    /// Results that wait, from a sequence on: at most `limit` of them.
    fn results<'py>(&self, py: Python<'py>, sequence: u64, limit: usize) -> Vec<(u64, Bound<'py, PyBytes>)> {
        let engine = self.held();
        let waiting = engine.core().state().outbox().from(sequence).take(limit);
        waiting.map(|(sequence, frame)| (sequence, PyBytes::new(py, frame))).collect()
    }

    /// Makes what was written survive a loss of power; for a thread.
    fn sync(&self, py: Python<'_>) -> PyResult<()> {
        let syncer = self.held().syncer();
        enter::long(py, || syncer.sync())
    }

    /// Writes a snapshot, so that a start need not replay what is before it. Gives the number of its record.
    fn snapshot(&self, py: Python<'_>) -> PyResult<u64> {
        enter::long(py, || {
            let (folder, (seq, bytes)) = {
                let engine = self.held();
                (engine.folder().to_owned(), engine.snapshot())
            };
            Snapshot::write(&folder, seq, &bytes).map(|()| seq)
        })
    }

    /// Orders that are not settled: order, source, strategy, signal, sub-state, sender, nonce, replacements, ledger.
    fn orders(&self) -> Vec<OrderRow> {
        let engine = self.held();
        let state = engine.core().state();
        let row = |order: &orders::order::Order| {
            let lane = order.slot.map(|slot| state.lanes().lane(slot.lane));
            (
                order.id,
                order.key.source_id,
                order.key.strategy_id,
                order.key.signal_id,
                order.sub.name(),
                lane.map(|lane| lane.sender.to_checksum(None)),
                order.slot.map(|slot| slot.nonce),
                order.replacements,
                order.ledger,
            )
        };
        state.orders().map(row).collect()
    }

    /// Counters and gauges, by the names of the metrics.
    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let engine = self.held();
        let stats = figures(py, engine.core())?;
        stats.set_item("next_record", engine.next_record())?;
        Ok(stats)
    }

    /// The lanes: sender, confirmed nonce, next nonce, unsettled slots, holes among them, frozen, paused, balance.
    fn lanes(&self) -> Vec<LaneRow> {
        let engine = self.held();
        let row = |lane: &orders::lanes::Lane| {
            let holes = lane.slots.values().filter(|entry| matches!(entry.owner, orders::lanes::Owner::Hole { .. }));
            let balance = lane.balance.to_string();
            let rests = lane.paused || lane.resting;
            let sender = lane.sender.to_checksum(None);
            (sender, lane.confirmed, lane.next, lane.slots.len(), holes.count(), lane.frozen, rests, balance)
        };
        engine.core().state().lanes().iter().map(|(_, lane)| row(lane)).collect()
    }
}

/// Counters and gauges of a core, by the names of the metrics.
pub(crate) fn figures<'py>(py: Python<'py>, core: &orders::Core) -> PyResult<Bound<'py, PyDict>> {
    let state = core.state();
    let counters = state.counters();
    let stats = PyDict::new(py);
    for (name, value) in [
        ("signals_received", counters.signals_received),
        ("orders_created", counters.orders_created),
        ("orders_submitted", counters.orders_submitted),
        ("orders_completed", counters.orders_completed),
        ("orders_failed", counters.orders_failed),
        ("duplicates", counters.duplicates),
        ("sequence_gaps", counters.sequence_gaps),
        ("replacements", counters.replacements),
        ("cancels", counters.cancels),
        ("reorgs", counters.reorgs),
        ("nonce_holes_filled", counters.nonce_holes_filled),
        ("submission_failures", counters.submission_failures),
        ("simulations", counters.simulations),
        ("sim_drift", counters.sim_drift),
        ("active_orders", state.active() as u64),
        ("queue_depth", state.queued() as u64),
        ("results_waiting", state.outbox().len() as u64),
        ("head", state.ring().head().map_or(0, |head| head.number)),
        ("halted", u64::from(state.is_halted())),
        ("cut_off", u64::from(state.is_cut_off())),
    ] {
        stats.set_item(name, value)?;
    }
    stats.set_item("total_gas_wei", counters.total_gas_wei)?;
    stats.set_item("total_realized_wei", counters.total_realized_wei)?;
    let failures: Vec<_> = counters.failures.iter().map(|(code, count)| (*code, *count)).collect();
    stats.set_item("failures", failures)?;
    Ok(stats)
}

impl PyOrderEngine {
    fn held(&self) -> MutexGuard<'_, Engine> {
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn step<'py>(&self, py: Python<'py>, clock: Clock, input: Input) -> PyResult<Bound<'py, PyList>> {
        let outputs = enter::quick(py, || self.held().step(now(clock), input))?;
        tell(py, outputs)
    }
}

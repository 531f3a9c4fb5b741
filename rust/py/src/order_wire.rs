//! XLO/1 as Python writes and reads it: frames of signals, cancels and heartbeats out, what an engine answers in.

use orders::wire::{
    ACK_WANTED, AMOUNTS_MAX, Action, AuthKey, AuthKeys, BundleRef, Channel, Economics, ErrorInfo, Fill, Frame, Header,
    Hop, Identity, Lender, Message, OrderStatus, POOLS_MAX, Report, SignalParts, SwapLeg, TEST, TOKENS_MAX, TxRef,
    WireError,
};
use pyo3::{
    prelude::*,
    types::{PyBytes, PyDict, PyList},
};

use crate::{
    convert::{argument, int},
    enter,
    orders::choice,
};

const ACTIONS: [(&str, Action); 4] = [
    ("flash_swap", Action::FlashSwap),
    ("flash_loan", Action::FlashLoan),
    ("pool_loan", Action::PoolLoan),
    ("raw_call", Action::RawCall),
];

const CHANNELS: [(&str, Channel); 4] = [
    ("default", Channel::Default),
    ("public", Channel::Public),
    ("private", Channel::Private),
    ("hybrid", Channel::Hybrid),
];

fn word<T: Copy + PartialEq>(words: &[(&'static str, T)], value: T) -> &'static str {
    words.iter().find(|(_, known)| *known == value).map_or("", |(word, _)| word)
}

/// Source, sequence and time of a frame, whether an answer is wanted, whether it is a test.
type Envelope = (u32, u64, u64, bool, bool);

fn header((source_id, sequence, sent_unix_ns, ack, test): Envelope) -> Header {
    let flags = if ack { ACK_WANTED } else { 0 } | if test { TEST } else { 0 };
    Header { kind: 0, flags, sequence, sent_unix_ns, source_id }
}

/// What was written is read again: a frame that nobody would take is not handed out.
fn checked<'py>(py: Python<'py>, frame: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    enter::quick(py, || Message::decode(&Frame::decode(frame)?).map(drop))?;
    Ok(PyBytes::new(py, frame))
}

fn secret(auth: Option<(u32, Vec<u8>)>) -> Option<AuthKey> {
    auth.map(|(id, secret)| AuthKey::new(id, &secret))
}

fn addresses<'py>(
    name: &'static str,
    listed: &[Bound<'py, PyAny>],
    most: usize,
) -> PyResult<Vec<chain::types::Address>> {
    let all = listed.iter().take(most + 1).map(|one| argument(name, one).address());
    all.collect()
}

/// The frame of a signal. What is None is the engine's choice; numbers are those of the protocol's fields.
#[pyfunction]
#[pyo3(signature = (envelope, *, signal_id, created_unix_ns, chain_id, expected_profit, expected_profit_wei,
    required_capital, profit_token, pools, tokens, amounts, state_block, strategy_id=0, action="flash_swap",
    channel="default", gas_estimate=0, slippage_bps=None, tip_share_bps=None, max_fee=None, max_priority=None,
    valid_until_block=None, valid_until_ns=None, confidence_bps=0, contract=None, hops=None, raw_call=None, lender=None,
    trace=None, auth=None))]
#[expect(clippy::too_many_arguments, reason = "as many as a signal has fields; all go by name")]
pub(crate) fn encode_signal<'py>(
    py: Python<'py>,
    envelope: Envelope,
    signal_id: u64,
    created_unix_ns: u64,
    chain_id: u64,
    expected_profit: i128,
    expected_profit_wei: i128,
    required_capital: u128,
    profit_token: &Bound<'py, PyAny>,
    pools: Vec<Bound<'py, PyAny>>,
    tokens: Vec<Bound<'py, PyAny>>,
    amounts: Vec<Bound<'py, PyAny>>,
    state_block: u64,
    strategy_id: u16,
    action: &str,
    channel: &str,
    gas_estimate: u64,
    slippage_bps: Option<u16>,
    tip_share_bps: Option<u16>,
    max_fee: Option<u64>,
    max_priority: Option<u64>,
    valid_until_block: Option<u64>,
    valid_until_ns: Option<u64>,
    confidence_bps: u16,
    contract: Option<&Bound<'py, PyAny>>,
    hops: Option<Vec<(u8, bool, u16)>>,
    raw_call: Option<Vec<u8>>,
    lender: Option<(Bound<'py, PyAny>, u8, u16)>,
    trace: Option<[u8; 24]>,
    auth: Option<(u32, Vec<u8>)>,
) -> PyResult<Bound<'py, PyBytes>> {
    let parts = SignalParts {
        identity: Identity {
            signal_id,
            created_unix_ns,
            strategy_id,
            action: choice(action.into_pyobject(py)?.as_any(), "action", &ACTIONS)?,
            channel: choice(channel.into_pyobject(py)?.as_any(), "channel", &CHANNELS)?,
            chain_id,
        },
        economics: Economics {
            expected_profit,
            expected_profit_wei,
            required_capital,
            gas_estimate,
            slippage_bps,
            tip_share_bps,
            max_fee,
            max_priority,
            state_block,
            valid_until_block,
            valid_until_ns,
            confidence_bps,
        },
        contract: contract.map(|contract| argument("contract", contract).address()).transpose()?,
        profit_token: argument("profit_token", profit_token).address()?,
        pools: addresses("pools", &pools, POOLS_MAX)?,
        tokens: addresses("tokens", &tokens, TOKENS_MAX)?,
        amounts: amounts
            .iter()
            .take(AMOUNTS_MAX + 1)
            .map(|amount| argument("amounts", amount).u256())
            .collect::<PyResult<_>>()?,
        hops: hops
            .unwrap_or_default()
            .into_iter()
            .map(|(kind, zero_for_one, fee)| Hop { kind, zero_for_one, fee })
            .collect(),
        raw_call,
        lender: lender
            .map(|(address, kind, fee_bps)| {
                Ok::<_, PyErr>(Lender { address: argument("lender", &address).address()?, kind, fee_bps })
            })
            .transpose()?,
        trace,
    };
    checked(py, &parts.to_frame(&header(envelope), secret(auth).as_ref()))
}

/// The frame that takes a signal back.
#[pyfunction]
#[pyo3(signature = (envelope, *, signal_id, created_unix_ns, chain_id, strategy_id=0, auth=None))]
pub(crate) fn encode_cancel(
    py: Python<'_>,
    envelope: Envelope,
    signal_id: u64,
    created_unix_ns: u64,
    chain_id: u64,
    strategy_id: u16,
    auth: Option<(u32, Vec<u8>)>,
) -> PyResult<Bound<'_, PyBytes>> {
    let (action, channel) = (Action::FlashSwap, Channel::Default);
    let identity = Identity { signal_id, created_unix_ns, strategy_id, action, channel, chain_id };
    checked(py, &Message::Cancel(identity).encode(&header(envelope), secret(auth).as_ref()))
}

/// The frame that says that a source is alive.
#[pyfunction]
#[pyo3(signature = (envelope, *, auth=None))]
pub(crate) fn encode_heartbeat(
    py: Python<'_>,
    envelope: Envelope,
    auth: Option<(u32, Vec<u8>)>,
) -> PyResult<Bound<'_, PyBytes>> {
    checked(py, &Message::Heartbeat.encode(&header(envelope), secret(auth).as_ref()))
}

/// The frame with which a consumer says that it has everything up to a result.
#[pyfunction]
#[pyo3(signature = (envelope, *, auth=None))]
pub(crate) fn encode_ack(
    py: Python<'_>,
    envelope: Envelope,
    auth: Option<(u32, Vec<u8>)>,
) -> PyResult<Bound<'_, PyBytes>> {
    checked(py, &Message::Ack(Report::default()).encode(&header(envelope), secret(auth).as_ref()))
}

/// How many bytes the frame has that a stream goes on with; None while too little of it is there to say.
#[pyfunction]
pub(crate) fn frame_length(py: Python<'_>, data: &[u8]) -> PyResult<Option<usize>> {
    enter::quick(py, || orders::wire::frame_length(data))
}

/// What a frame says, as plain values: `kind`, the header's numbers, and the message's fields by name. With `keys` it has
/// to carry the code of one of them.
#[pyfunction]
#[pyo3(signature = (frame, *, keys=None))]
pub(crate) fn decode_frame<'py>(
    py: Python<'py>,
    frame: &[u8],
    keys: Option<Vec<(u32, Vec<u8>)>>,
) -> PyResult<Bound<'py, PyDict>> {
    let (header, message) = enter::quick(py, || {
        let frame = Frame::decode(frame)?;
        if let Some(keys) = keys {
            AuthKeys::new(keys.iter().map(|(id, secret)| AuthKey::new(*id, secret))).check(&frame, true)?;
        }
        Ok::<_, WireError>((frame.header, Message::decode(&frame)?))
    })?;
    let told = PyDict::new(py);
    told.set_item("sequence", header.sequence)?;
    told.set_item("sent_unix_ns", header.sent_unix_ns)?;
    told.set_item("source_id", header.source_id)?;
    told.set_item("ack", header.wants_ack())?;
    told.set_item("test", header.flags & TEST != 0)?;
    let kind = match &message {
        Message::Signal(signal) => {
            tell_signal(&told, &SignalParts::from(signal))?;
            "signal"
        }
        Message::Cancel(one) => {
            tell_identity(&told, one)?;
            "cancel"
        }
        Message::Heartbeat => "heartbeat",
        Message::Result(report) => tell_report(&told, report, "result")?,
        Message::Update(report) => tell_report(&told, report, "update")?,
        Message::Ack(report) => tell_report(&told, report, "ack")?,
        Message::Nack(report) => tell_report(&told, report, "nack")?,
    };
    told.set_item("kind", kind)?;
    Ok(told)
}

/// Sets plain values under the names of their fields.
macro_rules! tell {
    ($told:expr, $from:expr; $($field:ident),* $(,)?) => {
        $($told.set_item(stringify!($field), $from.$field)?;)*
    };
}

fn tell_identity(told: &Bound<'_, PyDict>, identity: &Identity) -> PyResult<()> {
    tell!(told, identity; signal_id, created_unix_ns, strategy_id, chain_id);
    told.set_item("action", word(&ACTIONS, identity.action))?;
    told.set_item("channel", word(&CHANNELS, identity.channel))
}

fn tell_signal(told: &Bound<'_, PyDict>, signal: &SignalParts) -> PyResult<()> {
    let py = told.py();
    tell_identity(told, &signal.identity)?;
    tell!(
        told, signal.economics;
        expected_profit, expected_profit_wei, required_capital, gas_estimate, slippage_bps, tip_share_bps, max_fee,
        max_priority, state_block, valid_until_block, valid_until_ns, confidence_bps,
    );
    let text = |address: &chain::types::Address| address.to_checksum(None);
    told.set_item("contract", signal.contract.as_ref().map(text))?;
    told.set_item("profit_token", text(&signal.profit_token))?;
    told.set_item("pools", signal.pools.iter().map(text).collect::<Vec<_>>())?;
    told.set_item("tokens", signal.tokens.iter().map(text).collect::<Vec<_>>())?;
    let amounts = signal.amounts.iter().map(|amount| int(py, *amount)).collect::<PyResult<Vec<_>>>()?;
    told.set_item("amounts", amounts)?;
    let hops: Vec<_> = signal.hops.iter().map(|hop| (hop.kind, hop.zero_for_one, hop.fee)).collect();
    told.set_item("hops", hops)?;
    told.set_item("raw_call", signal.raw_call.as_ref().map(|call| PyBytes::new(py, call)))?;
    let lender = signal.lender.map(|lender| (text(&lender.address), lender.kind, lender.fee_bps));
    told.set_item("lender", lender)?;
    told.set_item("trace", signal.trace.map(|trace| PyBytes::new(py, &trace)))
}

fn tell_report(told: &Bound<'_, PyDict>, report: &Report, kind: &'static str) -> PyResult<&'static str> {
    let py = told.py();
    told.set_item("status", report.status.as_ref().map(|status| status_of(py, status)).transpose()?)?;
    told.set_item("error", report.error.as_ref().map(|error| error_of(py, error)).transpose()?)?;
    told.set_item("transactions", list(py, &report.transactions, transaction_of)?)?;
    told.set_item("fills", list(py, &report.fills, fill_of)?)?;
    told.set_item("legs", list(py, &report.legs, leg_of)?)?;
    told.set_item("bundles", list(py, &report.bundles, bundle_of)?)?;
    told.set_item("trace", report.trace.map(|trace| PyBytes::new(py, &trace)))?;
    Ok(kind)
}

fn list<'py, T>(
    py: Python<'py>,
    all: &[T],
    each: impl Fn(Python<'py>, &T) -> PyResult<Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyList>> {
    PyList::new(py, all.iter().map(|one| each(py, one)).collect::<PyResult<Vec<_>>>()?)
}

fn status_of<'py>(py: Python<'py>, status: &OrderStatus) -> PyResult<Bound<'py, PyDict>> {
    use orders::wire::flags;
    let told = PyDict::new(py);
    tell!(
        told, status;
        order_id, signal_id, source_id, strategy_id, replacements, order_seq, event_unix_ns, ns_since_receipt,
    );
    told.set_item("state", status.sub.state().name())?;
    told.set_item("sub", status.sub.name())?;
    told.set_item("failure", status.failure.map(orders::FailureCode::name))?;
    for (name, flag) in [
        ("terminal", flags::TERMINAL),
        ("revoked", flags::REVOKED),
        ("cancel_asked", flags::CANCEL_ASKED),
        ("overdue", flags::OVERDUE),
        ("residual", flags::RESIDUAL),
    ] {
        told.set_item(name, status.flags & flag != 0)?;
    }
    Ok(told)
}

fn error_of<'py>(py: Python<'py>, error: &ErrorInfo) -> PyResult<Bound<'py, PyDict>> {
    let told = PyDict::new(py);
    tell!(told, error; code, category, severity, rpc_code);
    told.set_item("revert", PyBytes::new(py, &error.revert))?;
    told.set_item("text", &error.text)?;
    Ok(told)
}

fn transaction_of<'py>(py: Python<'py>, one: &TxRef) -> PyResult<Bound<'py, PyDict>> {
    let told = PyDict::new(py);
    told.set_item("hash", one.hash.to_string())?;
    told.set_item("sender", one.sender.to_checksum(None))?;
    told.set_item("attempt", ["original", "speed_up", "cancel", "filler"][one.kind as usize])?;
    told.set_item("channel", word(&CHANNELS, one.channel))?;
    tell!(told, one; nonce, max_fee, max_priority, gas_limit, target_block);
    Ok(told)
}

fn fill_of<'py>(py: Python<'py>, fill: &Fill) -> PyResult<Bound<'py, PyDict>> {
    let told = PyDict::new(py);
    told.set_item("fill", ["fill", "reversal", "reinstatement", "late"][fill.kind as usize])?;
    told.set_item("block_hash", fill.block_hash.to_string())?;
    told.set_item("tx_hash", fill.tx_hash.to_string())?;
    told.set_item("profit_token", fill.profit_token.to_checksum(None))?;
    tell!(
        told, fill;
        success, legs, tx_index, block, depth, realized, realized_wei, builder_payment_wei, gas_used, gas_price,
    );
    Ok(told)
}

fn leg_of<'py>(py: Python<'py>, leg: &SwapLeg) -> PyResult<Bound<'py, PyDict>> {
    let told = PyDict::new(py);
    for (name, address) in [("pool", leg.pool), ("token_in", leg.token_in), ("token_out", leg.token_out)] {
        told.set_item(name, address.to_checksum(None))?;
    }
    told.set_item("log_index", leg.log_index)?;
    told.set_item("amount_in", int(py, leg.amount_in)?)?;
    told.set_item("amount_out", int(py, leg.amount_out)?)?;
    Ok(told)
}

fn bundle_of<'py>(py: Python<'py>, bundle: &BundleRef) -> PyResult<Bound<'py, PyDict>> {
    let told = PyDict::new(py);
    told.set_item("bundle_hash", bundle.bundle_hash.to_string())?;
    told.set_item("uuid", PyBytes::new(py, &bundle.uuid))?;
    tell!(told, bundle; target_block, relay, attempts);
    Ok(told)
}

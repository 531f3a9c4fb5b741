//! What other settings would have decided: a journal's inputs, given to the engine as it was and to one that differs, in
//! step.
//!
//! The world is taken to answer the other engine as it answered the first: a reply goes to the request that does the same
//! for the same order, and what a block did with an order's transaction it would have done with the other one, unless
//! that offers less than the block's base fee. What the first engine never did, nobody answers. Orders have the same
//! numbers in both, as each signal gets one.

use std::{collections::BTreeMap, path::Path};

use types::{B256, Transaction};

use crate::{
    build::{Wiring, request::bundle_hash},
    chain::Receipt,
    config::Config,
    core::{Core, Found, Input, Note, Output, Want},
    failure::FailureCode,
    journal::{Entry, Journal, JournalError},
    replies::Verdict,
    sign::Signer,
    states::Sub,
    wire::FillKind,
};

/// How an order went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fate {
    /// Where it is.
    pub sub: Sub,
    /// Why it failed, where it did.
    pub failure: Option<FailureCode>,
    /// Transactions signed for it.
    pub signed: u32,
    /// The highest fee that any of them offers for a unit of gas.
    pub max_fee: u128,
    /// What it made, in wei.
    pub realized_wei: i128,
}

impl Default for Fate {
    fn default() -> Self {
        Self { sub: Sub::Received, failure: None, signed: 0, max_fee: 0, realized_wei: 0 }
    }
}

/// An order that would have gone another way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Which one.
    pub order_id: u64,
    /// How it went.
    pub was: Fate,
    /// How it would have gone.
    pub would: Fate,
}

/// Both engines at the end of the journal.
pub struct WhatIf {
    /// As it was.
    pub was: Core,
    /// As it would have been.
    pub would: Core,
    /// Orders that differ, by number.
    pub differences: Vec<Difference>,
}

/// Plays a journal with its own settings and with changed ones. None: nothing is written. Changes nothing.
pub fn what_if(
    folder: &Path,
    chain_id: u64,
    signers: [Box<dyn Signer>; 2],
    change: impl Fn(Config) -> Config,
) -> Result<Option<WhatIf>, JournalError> {
    let mut signers = signers.into_iter();
    let mut sides: Option<[Side; 2]> = None;
    let mut first = 1;
    // Where the first records have gone with time: each side goes on from the oldest snapshot.
    if let (Some(one), Some(other)) = (Journal::beginning(folder, chain_id)?, Journal::beginning(folder, chain_id)?) {
        first = one.seq + 1;
        let parts = signers.next().zip(signers.next());
        sides = parts.map(|(signer, other_signer)| {
            let was = Core::resume(one.config, one.state, Wiring::default(), signer);
            let would = Core::resume(change(other.config), other.state, Wiring::default(), other_signer);
            both(was, would)
        });
    }
    Journal::read(folder, chain_id, first, |record| {
        let now = record.now();
        let Entry::Input { input, .. } = record.entry else { return Ok(()) };
        if let (None, Input::Configured { config }) = (&sides, &input) {
            let [one, other] = [(); 2].map(|()| signers.next());
            let core = |config, signer| Core::new(config, Wiring::default(), signer);
            sides = one
                .zip(other)
                .map(|(one, other)| both(core((**config).clone(), one), core(change((**config).clone()), other)));
        }
        let Some([was, would]) = &mut sides else { return Err(JournalError::NoConfiguration { seq: record.seq }) };
        let translated = match &input {
            Input::Configured { config } => Some(Input::Configured { config: Box::new(change((**config).clone())) }),
            input => translate(was, would, input),
        };
        was.step(now, &input);
        if let Some(input) = translated {
            would.step(now, &input);
        }
        Ok(())
    })?;
    Ok(sides.map(|[was, would]| {
        let differs = |(order_id, one): (&u64, &Fate)| {
            let other = would.fates.get(order_id).copied().unwrap_or_default();
            (*one != other).then_some(Difference { order_id: *order_id, was: *one, would: other })
        };
        let differences = was.fates.iter().filter_map(differs).collect();
        WhatIf { was: was.core, would: would.core, differences }
    }))
}

/// Nobody has signed what the other one would have sent.
fn both(was: Core, mut would: Core) -> [Side; 2] {
    would.believe_signers();
    [Side::new(was), Side::new(would)]
}

/// What a request does: for which order, where, and the how manyth of its kind it is.
type Errand = (u64, u16, u32);

/// Who signs, among the endpoints.
const SIGNER: u16 = u16::MAX;

/// One engine on its way through the journal.
struct Side {
    core: Core,
    fates: BTreeMap<u64, Fate>,
    errands: BTreeMap<u64, Errand>,
    requests: BTreeMap<Errand, u64>,
    sent: BTreeMap<(u64, u16), u32>,
}

impl Side {
    fn new(core: Core) -> Self {
        let (fates, errands, requests, sent) = Default::default();
        let mut side = Self { core, fates, errands, requests, sent };
        let asked = side.core.state().asked().map(|(request, order_id)| (request, order_id, SIGNER));
        let open: Vec<_> = side.core.state().open_requests().chain(asked).collect();
        for (request, order_id, endpoint) in open {
            side.errand(request, order_id, endpoint);
        }
        side
    }

    fn errand(&mut self, request: u64, order_id: u64, endpoint: u16) {
        let count = self.sent.entry((order_id, endpoint)).or_insert(0);
        *count += 1;
        let errand = (order_id, endpoint, *count);
        self.errands.insert(request, errand);
        self.requests.insert(errand, request);
    }

    fn step(&mut self, now: crate::core::Now, input: &Input) {
        self.core.step(now, input);
        for output in self.core.take_outputs() {
            let (endpoint, request, order_id) = match output {
                Output::Send { endpoint, request, order_id, .. } => (endpoint, request, order_id),
                Output::Want(Want::Signature { request, order_id, .. }) => (SIGNER, request, order_id),
                _ => continue,
            };
            self.errand(request, order_id, endpoint);
        }
        for note in self.core.take_notes() {
            self.note(&note);
        }
    }

    fn note(&mut self, note: &Note) {
        match note {
            Note::Transition { order_id, to, .. } => {
                let state = self.core.state();
                let kept = state.order(*order_id).map(|order| order.failure);
                let over = || state.summaries().next_back().filter(|last| last.order_id == *order_id);
                let failure = kept.unwrap_or_else(|| over().and_then(|last| last.failure));
                let fate = self.fates.entry(*order_id).or_default();
                (fate.sub, fate.failure) = (*to, failure);
            }
            Note::Signed { order_id, raw, .. } if *order_id != 0 => {
                let fate = self.fates.entry(*order_id).or_default();
                fate.signed += 1;
                let fee = Transaction::from_bytes(raw).map_or(0, |signed| signed.max_fee_per_gas());
                fate.max_fee = fate.max_fee.max(fee);
            }
            Note::Filled { order_id, fill } => {
                let sign = if fill.kind == FillKind::Reversal { -1 } else { 1 };
                self.fates.entry(*order_id).or_default().realized_wei += sign * fill.realized_wei;
            }
            _ => {}
        }
    }
}

/// What the other engine would have been told; None: nothing.
fn translate(was: &Side, would: &Side, input: &Input) -> Option<Input> {
    let request = |request: &u64| would.requests.get(was.errands.get(request)?).copied();
    Some(match input {
        Input::Signature { request: number, answer } => {
            Input::Signature { request: request(number)?, answer: answer.clone() }
        }
        Input::Written { request: number } => Input::Written { request: request(number)? },
        Input::Replied { request: number, verdict } => {
            let request = request(number)?;
            let sent = would.core.state().sent_hash(request)?;
            let verdict = match verdict {
                Verdict::Bundled { .. } => Verdict::Bundled { hash: bundle_hash(&sent) },
                verdict => verdict.clone(),
            };
            Input::Replied { request, verdict }
        }
        Input::Receipts { block, receipts } => {
            let base_fee = was.core.state().ring().number_of(block).and_then(|number| base_fee(was, number));
            let receipts = receipts.iter().filter_map(|receipt| other_receipt(was, would, receipt, base_fee));
            Input::Receipts { block: *block, receipts: receipts.collect() }
        }
        Input::LookedUp { sender, nonce, found: Some(found) } => {
            let receipt = other_receipt(was, would, &found.receipt, base_fee(was, found.number));
            let found = receipt.map(|receipt| Found { receipt, ..*found });
            Input::LookedUp { sender: *sender, nonce: *nonce, found }
        }
        Input::Account { sender, nonce, balance, number, block } => {
            // The chain has counted what it did of the other engine's.
            let lanes = would.core.state().lanes();
            let lane = lanes.lane(lanes.find(sender)?);
            let open = lane.slots.iter().find(|(_, entry)| entry.consumed.is_none()).map(|(nonce, _)| *nonce);
            let counted = if lane.confirmed.is_none() { *nonce } else { open.unwrap_or(lane.next) };
            Input::Account { sender: *sender, nonce: counted, balance: *balance, number: *number, block: *block }
        }
        input => input.clone(),
    })
}

fn base_fee(was: &Side, number: u64) -> Option<u64> {
    was.core.state().ring().at(number).map(|head| head.base_fee)
}

/// What the block would have done with the other engine's transaction in the place of this one.
fn other_receipt(was: &Side, would: &Side, receipt: &Receipt, base_fee: Option<u64>) -> Option<Receipt> {
    let (order_id, index) = was.core.state().attempt_of(&receipt.tx_hash)?;
    let attempts = &would.core.state().order(order_id)?.attempts;
    let attempt = attempts.get(index).or(attempts.last())?;
    let base_fee = base_fee.unwrap_or(receipt.gas_price);
    if attempt.offer.max_fee < base_fee {
        return None;
    }
    let tx_hash: B256 = attempt.hash;
    let gas_used = receipt.gas_used.min(attempt.gas_limit);
    Some(Receipt { tx_hash, gas_used, gas_price: attempt.offer.price(base_fee), ..receipt.clone() })
}

#[cfg(test)]
mod tests;

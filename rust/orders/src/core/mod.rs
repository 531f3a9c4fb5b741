//! The core: one step for each thing that happened, from its values to what has to be done about it.
//!
//! - An [`Input`] and a [`Now`] are all that a step knows of the world; [`Output`]s are all that it does. Between
//!   reserving a nonce and handing out signed bytes nothing else can happen.
//! - [`State`] is all that is remembered. It has one encoding, so that a snapshot is a value like any other.
//! - A [`Note`] says what a step decided: transitions, reserved slots, signed bytes, fills. The journal holds inputs and
//!   notes; a replay of the inputs has to make the same notes.

mod absence;
mod answer;
mod bids;
mod head;
mod intake;
mod out;
mod reach;
mod signing;
mod simulate;
mod state;
mod submit;
mod upkeep;

use types::{Address, B256, U256};

pub use self::{
    absence::Found,
    signing::SignerAnswer,
    state::{Counters, State, Summary},
};
use crate::{
    build::Wiring,
    chain::{Head, Receipt},
    config::Config,
    failure::FailureCode,
    order::{Order, Slot},
    presim::{Missing, Simulation, Trial},
    replies::Verdict,
    sign::Signer,
    states::{Event, OrderError, StateTransitionError, Sub},
    stored::{stored, stored_choice},
    timer::Wheel,
    wire::{AttemptKind, Fill},
};

/// What the clocks said when an input came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// A clock that never goes back while a process lives.
    pub mono_ns: u64,
    /// Unix time.
    pub wall_ns: u64,
}

/// What happened outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The engine runs with these settings.
    Configured {
        /// All of them.
        config: Box<Config>,
    },
    /// A frame whose form and authenticity are right.
    Frame {
        /// As it came.
        bytes: Vec<u8>,
    },
    /// The last byte of a request went into a socket.
    Written {
        /// Which one.
        request: u64,
    },
    /// A request was answered, or won't be.
    Replied {
        /// Which one.
        request: u64,
        /// What the answer means.
        verdict: Verdict,
    },
    /// A header: the newest one, or one that was wanted.
    Head {
        /// What it says.
        head: Head,
    },
    /// What a block says of our transactions; none: it holds none of them.
    Receipts {
        /// Which block.
        block: B256,
        /// Ours, in any order.
        receipts: Vec<Receipt>,
    },
    /// The chain will not go back behind this block.
    Finalized {
        /// Its height.
        number: u64,
        /// Its hash.
        block: B256,
    },
    /// What the chain says of a sender.
    Account {
        /// Which one.
        sender: Address,
        /// How many transactions it has sent.
        nonce: u64,
        /// What it owns.
        balance: U256,
        /// As of this height.
        number: u64,
        /// And this block.
        block: B256,
    },
    /// The tip that gets into a block.
    Tip {
        /// Wei for a unit of gas.
        wei: u64,
    },
    /// A simulation has ended.
    Simulated {
        /// Of which order.
        order_id: u64,
        /// How.
        simulation: Simulation,
    },
    /// An endpoint can be used, or can't.
    Endpoint {
        /// Its number.
        endpoint: u16,
        /// Whether it can.
        up: bool,
    },
    /// No endpoint that is up to date shows any transaction of this order.
    Absent {
        /// Which one.
        order_id: u64,
    },
    /// Why a transaction reverted, as far as somebody found out.
    Reverted {
        /// Whose.
        order_id: u64,
        /// What the contract gave back.
        data: Vec<u8>,
        /// Whether that was found out without what stood before it in its block.
        approximate: bool,
    },
    /// Somebody wants an order gone.
    Cancel {
        /// Which one.
        order_id: u64,
    },
    /// Somebody wants an order faster.
    SpeedUp {
        /// Which one.
        order_id: u64,
    },
    /// Nothing new is taken, or again.
    Halt {
        /// Whether it stops.
        on: bool,
    },
    /// A person has looked at a frozen lane.
    Thaw {
        /// Whose.
        sender: Address,
    },
    /// Results arrived.
    Delivered {
        /// Up to this sequence.
        sequence: u64,
    },
    /// Time went on.
    Tick,
    /// A process took up the work of one that ended.
    Restarted,
    /// Somebody has looked for a slot's transactions in the whole chain.
    LookedUp {
        /// Whose slot.
        sender: Address,
        /// Which one.
        nonce: u64,
        /// The one that is in a canonical block; None: none is.
        found: Option<Found>,
    },
    /// Nothing else has to be done first: more of what the last blocks hold can be looked at.
    Continue,
    /// A signer outside has answered.
    Signature {
        /// What it was asked, by the name in [`Want::Signature`].
        request: u64,
        /// What it says.
        answer: SignerAnswer,
    },
}

/// What has to be done outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Write these bytes to an endpoint, say when they are written, and what was answered.
    Send {
        /// Where to.
        endpoint: u16,
        /// Its name in [`Input::Written`] and [`Input::Replied`].
        request: u64,
        /// For whom; zero: a filler.
        order_id: u64,
        /// The whole request.
        bytes: Vec<u8>,
    },
    /// Give this frame back to where the signal came from.
    Answer {
        /// An Ack or Nack.
        bytes: Vec<u8>,
    },
    /// Find something out.
    Want(Want),
    /// Tell a person.
    Alert(Alert),
}

/// A question to the chain or to a simulator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Want {
    /// The header with this hash.
    Header {
        /// Its hash.
        hash: B256,
    },
    /// The receipts of this block.
    Receipts {
        /// Its height.
        number: u64,
        /// Its hash.
        hash: B256,
    },
    /// Nonce and balance of a sender, at the head.
    Account {
        /// Which one.
        sender: Address,
    },
    /// What this call would do on the head.
    Simulate {
        /// For which order.
        order_id: u64,
        /// What would be sent.
        trial: Trial,
        /// After these, of other orders that are under way.
        after: Vec<(u64, Trial)>,
        /// On the state after this block, or a newer head.
        block: B256,
    },
    /// A part of the state that an order can't be tried without.
    State {
        /// Which order.
        order_id: u64,
        /// What would be sent.
        trial: Trial,
        /// What has to be fetched.
        missing: Missing,
    },
    /// Why this transaction reverted.
    Reason {
        /// Whose it is.
        order_id: u64,
        /// Its hash.
        hash: B256,
    },
    /// Whether any endpoint that is up to date shows one of these.
    Presence {
        /// Whose they are.
        order_id: u64,
        /// Their hashes.
        hashes: Vec<B256>,
    },
    /// Which of a slot's transactions is in the chain, however deep.
    Lookup {
        /// Whose slot.
        sender: Address,
        /// Which one.
        nonce: u64,
        /// All that was ever signed for it.
        hashes: Vec<B256>,
    },
    /// A signature by a key that is not here.
    Signature {
        /// Its name in [`Input::Signature`].
        request: u64,
        /// For whom; zero: a filler.
        order_id: u64,
        /// Whose key.
        sender: Address,
        /// The transaction without a signature, as EIP-2718 has it.
        payload: Vec<u8>,
        /// Keccak-256 of that.
        hash: B256,
    },
}

/// Something that a person should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    /// Whether it can't wait.
    pub critical: bool,
    /// What, as alert rules name it.
    pub name: &'static str,
    /// Which order; zero: none.
    pub order_id: u64,
    /// In words.
    pub text: String,
}

/// What a step decided, for the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// An order moved.
    Transition {
        /// Which one.
        order_id: u64,
        /// From where.
        from: Sub,
        /// To where.
        to: Sub,
    },
    /// An order has a slot.
    Reserved {
        /// Which one.
        order_id: u64,
        /// Which slot.
        slot: Slot,
    },
    /// Bytes were signed.
    Signed {
        /// For which order; zero: a filler.
        order_id: u64,
        /// For which slot.
        slot: Slot,
        /// What they are to it.
        kind: AttemptKind,
        /// All of them.
        raw: Vec<u8>,
    },
    /// A wallet did not sign, for now.
    Unsigned {
        /// For which order; zero: a filler.
        order_id: u64,
        /// For which slot.
        slot: Slot,
    },
    /// The ledger of an order changed.
    Filled {
        /// Which one.
        order_id: u64,
        /// By this.
        fill: Fill,
    },
}

stored_choice! {
    Input {
        0: Configured { config },
        1: Frame { bytes },
        2: Written { request },
        3: Replied { request, verdict },
        4: Head { head },
        5: Receipts { block, receipts },
        6: Finalized { number, block },
        7: Account { sender, nonce, balance, number, block },
        8: Tip { wei },
        9: Simulated { order_id, simulation },
        10: Endpoint { endpoint, up },
        11: Absent { order_id },
        12: Reverted { order_id, data, approximate },
        13: Cancel { order_id },
        14: SpeedUp { order_id },
        15: Halt { on },
        16: Thaw { sender },
        17: Delivered { sequence },
        18: Tick,
        19: Restarted,
        20: LookedUp { sender, nonce, found },
        21: Continue,
        22: Signature { request, answer },
    }
    Note {
        0: Transition { order_id, from, to },
        1: Reserved { order_id, slot },
        2: Signed { order_id, slot, kind, raw },
        3: Unsigned { order_id, slot },
        4: Filled { order_id, fill },
    }
}
stored!(Now { mono_ns, wall_ns });

/// What rings for an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    /// It has to be signed by now.
    Submission {
        /// Which one.
        order_id: u64,
    },
    /// It has to be settled by now.
    Confirmation {
        /// Which one.
        order_id: u64,
    },
    /// A relay has to have taken it by now.
    Bids {
        /// Which one.
        order_id: u64,
    },
    /// Send the same bytes once more.
    Resend {
        /// Which one.
        order_id: u64,
    },
    /// A lane's wallet is tried again.
    Wallet {
        /// Which lane's.
        lane: u32,
    },
}

stored_choice! {
    Timer {
        0: Submission { order_id },
        1: Confirmation { order_id },
        2: Bids { order_id },
        3: Resend { order_id },
        4: Wallet { lane },
    }
}

/// An engine without its sockets, clock and disk.
pub struct Core {
    config: Config,
    state: State,
    wiring: Wiring,
    signer: Box<dyn Signer>,
    now: Clocks,
    outputs: Vec<Output>,
    notes: Vec<Note>,
    /// Whether signatures from outside are taken for what they should be.
    believing: bool,
}

/// The times of the step under way.
#[derive(Clone, Copy, Debug, Default)]
struct Clocks {
    /// The engine's own time: never goes back, and goes on while no process lives.
    engine_ns: u64,
    wall_ns: u64,
}

impl Core {
    /// Starts with nothing.
    pub fn new(config: Config, wiring: Wiring, signer: Box<dyn Signer>) -> Self {
        let state = State::new(&config);
        Self::resume(config, state, wiring, signer)
    }

    /// Goes on from a state.
    pub fn resume(config: Config, state: State, wiring: Wiring, signer: Box<dyn Signer>) -> Self {
        let (now, outputs, notes, believing) = Default::default();
        Self { config, state, wiring, signer, now, outputs, notes, believing }
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Whether there is something to go on with, by [`Input::Continue`].
    pub fn has_more(&self) -> bool {
        self.state.has_more
    }

    /// All that is remembered.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// How endpoints are spoken to.
    pub fn wiring(&self) -> &Wiring {
        &self.wiring
    }

    /// Gives the signer another one's place, and that one back.
    pub fn exchange_signer(&mut self, signer: Box<dyn Signer>) -> Box<dyn Signer> {
        std::mem::replace(&mut self.signer, signer)
    }

    /// Takes whatever a signer outside gives for the signature that it should be. For engines whose bytes go nowhere: what
    /// they would have asked for, nobody has signed.
    pub fn believe_signers(&mut self) {
        self.believing = true;
    }

    /// What has to be done, since this was last asked.
    pub fn take_outputs(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.outputs)
    }

    /// What was decided, since this was last asked.
    pub fn take_notes(&mut self) -> Vec<Note> {
        std::mem::take(&mut self.notes)
    }

    /// Takes one thing that happened.
    pub fn step(&mut self, now: Now, input: &Input) {
        self.now = self.state.read_clocks(now, matches!(input, Input::Restarted));
        match input {
            Input::Configured { config } => self.configure((**config).clone()),
            Input::Frame { bytes } => self.take_frame(bytes),
            Input::Written { request } => self.written(*request),
            Input::Replied { request, verdict } => self.replied(*request, verdict),
            Input::Head { head } => self.take_head(*head),
            Input::Receipts { block, receipts } => self.take_receipts(*block, receipts),
            Input::Finalized { number, block } => {
                // On another branch than ours it says nothing of what we saw.
                if self.state.ring.is_canonical(*number, block) {
                    self.finalize(*number);
                }
            }
            Input::Account { sender, nonce, balance, number, block } => {
                self.account(sender, *nonce, *balance, *number, *block);
            }
            Input::Tip { wei } => self.state.tip = *wei,
            Input::Simulated { order_id, simulation } => self.simulated(*order_id, simulation),
            Input::Endpoint { endpoint, up } => self.endpoint(*endpoint, *up),
            Input::Absent { order_id } => self.absent(*order_id),
            Input::Reverted { order_id, data, approximate } => self.explain(*order_id, data, *approximate),
            Input::Cancel { order_id } => self.cancel(*order_id, FailureCode::Cancelled),
            Input::SpeedUp { order_id } => self.raise(*order_id),
            Input::Halt { on } => self.state.halted = *on,
            Input::Thaw { sender } => self.thaw(sender),
            Input::Delivered { sequence } => self.state.outbox.acknowledge(*sequence),
            Input::Tick => self.tick(),
            Input::Restarted => self.restart(),
            Input::LookedUp { sender, nonce, found } => self.looked_up(sender, *nonce, found.as_ref()),
            Input::Continue => self.go_on(),
            Input::Signature { request, answer } => self.answered(*request, answer),
        }
    }

    /// Other settings. Senders may be added; one that is taken away keeps its lane until the next journal.
    fn configure(&mut self, config: Config) {
        self.state.lanes.extend(&config.senders);
        self.state.lanes.set_outside(&config.outside);
        self.state.up.resize(config.endpoints.len(), true);
        self.config = config;
    }

    /// Moves an order where the table allows it; says whether it did.
    fn advance(&mut self, order_id: u64, event: Event) -> bool {
        let Clocks { engine_ns, wall_ns } = self.now;
        let Some(order) = self.state.order_mut(order_id) else { return false };
        let from = order.sub;
        let Ok(seen) = order.apply(event, wall_ns, engine_ns) else { return false };
        let to = order.sub;
        self.notes.push(Note::Transition { order_id, from, to });
        if seen {
            self.state.counters.moved(to.state());
        }
        true
    }

    /// Whether somebody may still change an order by this event; the order that is over says why not.
    pub fn open_to(&self, order_id: u64, event: Event) -> Result<&Order, OrderError> {
        let over = || self.state.summary(order_id).map(|summary| summary.sub);
        match self.order(order_id) {
            Some(order) if !order.state().is_terminal() => Ok(order),
            Some(order) => Err(StateTransitionError { current: order.sub, attempted: event, order_id }.into()),
            None => Err(match over() {
                Some(current) => StateTransitionError { current, attempted: event, order_id }.into(),
                None => OrderError::NotFound { order_id },
            }),
        }
    }

    fn order(&self, order_id: u64) -> Option<&Order> {
        self.state.order(order_id)
    }

    fn alert(&mut self, critical: bool, name: &'static str, order_id: u64, text: String) {
        self.outputs.push(Output::Alert(Alert { critical, name, order_id, text }));
    }

    fn want(&mut self, want: Want) {
        self.outputs.push(Output::Want(want));
    }

    fn wheel(&mut self) -> &mut Wheel<Timer> {
        &mut self.state.wheel
    }
}

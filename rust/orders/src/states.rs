//! The state machine, as one table.
//!
//! A row says which sub-states an event may happen in and where it leads. States follow from sub-states, the eight public
//! transitions follow from the rows, Python reads the same rows, and docs/orders/states.md is drawn from them. What
//! stands in no row is a [`StateTransitionError`] and leaves the order as it was.

use std::fmt::Write;

use crate::wire::numbered;

numbered! {
    /// What the world is told of an order. Only ever goes up, and nothing leaves the last two.
    State {
        /// Accepted; its key is reserved.
        Created = 0,
        /// Passed all gates.
        Validated = 1,
        /// Signed and in the journal; whoever was told has not answered.
        Submitted = 2,
        /// Somebody acknowledged it, or it was seen in a block.
        Pending = 3,
        /// Succeeded on chain, deep enough.
        Completed = 4,
        /// Settled without success, or never left.
        Failed = 5,
    }
}

numbered! {
    /// Where exactly an order is. May move both ways within a state.
    Sub {
        /// Frame accepted.
        Received = 0,
        /// Gates passed.
        Checked = 1,
        /// No lane free, a simulation or a signature under way, or a conflict to be settled first.
        Queued = 2,
        /// Signed and in the journal.
        Intent = 3,
        /// Bytes written.
        Sent = 4,
        /// Outcome of sending unknown.
        Ambiguous = 5,
        /// A node holds it.
        InPool = 6,
        /// A relay holds it.
        InRelay = 7,
        /// Acknowledged once, and now nobody shows it.
        Unseen = 8,
        /// A replacement at a higher fee is on its way.
        Replacing = 9,
        /// A cancel of its slot is on its way.
        Cancelling = 10,
        /// In a canonical block.
        Mined = 11,
        /// Its block left the canonical chain.
        Orphaned = 12,
        /// Succeeded at depth.
        Confirmed = 13,
        /// Succeeded, and the chain has made it final.
        Finalized = 14,
        /// Failed for good.
        Closed = 15,
    }
}

impl Sub {
    /// The state it is part of.
    pub const fn state(self) -> State {
        match self {
            Self::Received => State::Created,
            Self::Checked | Self::Queued => State::Validated,
            Self::Intent | Self::Sent | Self::Ambiguous => State::Submitted,
            Self::InPool
            | Self::InRelay
            | Self::Unseen
            | Self::Replacing
            | Self::Cancelling
            | Self::Mined
            | Self::Orphaned => State::Pending,
            Self::Confirmed | Self::Finalized => State::Completed,
            Self::Closed => State::Failed,
        }
    }

    /// Its name in tables and in Python.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Checked => "checked",
            Self::Queued => "queued",
            Self::Intent => "intent",
            Self::Sent => "sent",
            Self::Ambiguous => "ambiguous",
            Self::InPool => "in_pool",
            Self::InRelay => "in_relay",
            Self::Unseen => "unseen",
            Self::Replacing => "replacing",
            Self::Cancelling => "cancelling",
            Self::Mined => "mined",
            Self::Orphaned => "orphaned",
            Self::Confirmed => "confirmed",
            Self::Finalized => "finalized",
            Self::Closed => "closed",
        }
    }
}

impl State {
    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Created => "Created",
            Self::Validated => "Validated",
            Self::Submitted => "Submitted",
            Self::Pending => "Pending",
            Self::Completed => "Completed",
            Self::Failed => "Failed",
        }
    }

    /// Whether nothing leaves it.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed)
    }
}

/// An event, where it may happen, where it leads, and what it means.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// What happened.
    pub event: Event,
    /// Its name in the diagram and in Python.
    pub name: &'static str,
    /// The sub-states it may happen in.
    pub from: &'static [Sub],
    /// The sub-state it leads to.
    pub to: Sub,
    /// When it happens.
    pub when: &'static str,
}

macro_rules! table {
    ($($event:ident $name:literal: $($from:ident)|+ => $to:ident, $when:literal;)*) => {
        /// What happens to orders.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Event { $(#[doc = $when] $event,)* }

        /// The whole machine.
        pub const TABLE: &[Row] = &[$(Row {
            event: Event::$event,
            name: $name,
            from: &[$(Sub::$from),+],
            to: Sub::$to,
            when: $when,
        },)*];
    };
}

table! {
    Passed "passed": Received => Checked, "all gates passed";
    Refused "refused": Received | Checked | Queued => Closed, "a gate, a deadline, a limit or its source refused it before it was signed";
    Queued "queued": Checked => Queued, "it waits for a lane, a simulation, a signature or a conflicting order";
    Signed "signed": Checked | Queued => Intent, "a slot is reserved, the transaction is signed and in the journal";
    Written "written": Intent => Sent, "the bytes went into a socket";
    Unanswered "unanswered": Intent | Sent => Ambiguous, "time-out, reset, 5xx or a garbled reply: the same bytes go out again";
    Rejected "rejected": Intent | Sent => Closed, "every channel used refused it for good; its slot becomes a hole";
    Acknowledged "acknowledged": Intent | Sent | Ambiguous | InRelay | Unseen | Replacing | Orphaned => InPool, "a node echoed the hash, or knew it already";
    Relayed "relayed": Intent | Sent | Ambiguous | Unseen | Replacing | Orphaned => InRelay, "a relay returned the bundle's hash";
    Vanished "vanished": InPool | Orphaned => Unseen, "no endpoint that is up to date shows it";
    Replaced "replaced": InPool | InRelay | Unseen | Orphaned | Cancelling => Replacing, "signed again: at a higher fee, for the public, or for another slot";
    CancelSent "cancel_sent": InPool | InRelay | Unseen | Replacing | Orphaned => Cancelling, "a transaction that takes its slot is on its way";
    Included "included": Intent | Sent | Ambiguous | InPool | InRelay | Unseen | Replacing | Cancelling | Orphaned => Mined, "a canonical block holds one of its transactions";
    Orphaned "orphaned": Mined => Orphaned, "that block left the canonical chain: the same bytes go out again";
    Succeeded "succeeded": Mined => Confirmed, "status 1, as deep as asked";
    Made "made_final": Confirmed => Finalized, "the chain's finalized block passed it";
    Settled "settled": Mined => Closed, "status 0, or a cancel, as deep as asked";
    Displaced "displaced": Intent | Sent | Ambiguous | InPool | InRelay | Unseen | Replacing | Cancelling | Mined | Orphaned => Closed, "another transaction settled its slot";
    WindowClosed "window_closed": Intent | Sent | Ambiguous | InRelay | Unseen | Replacing | Cancelling | Orphaned => Closed, "no builder included it, and there is no public leg";
}

impl Event {
    /// Its name in tables and in Python.
    pub const fn name(self) -> &'static str {
        TABLE[self as usize].name
    }
}

/// An event that no row allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("order {order_id} is {}/{} and can't take event {}", current.state().name(), current.name(), attempted.name())]
pub struct StateTransitionError {
    /// Where the order is, and stays.
    pub current: Sub,
    /// What was attempted.
    pub attempted: Event,
    /// Which order.
    pub order_id: u64,
}

/// Why an order can't be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// It is none, or so old that only the journal knows it.
    #[error("order {order_id} is not known")]
    NotFound {
        /// What was asked for.
        order_id: u64,
    },
    /// Not where it is now.
    #[error(transparent)]
    Transition(#[from] StateTransitionError),
}

/// Where an event leads from here; None where no row allows it.
pub fn next(from: Sub, event: Event) -> Option<Sub> {
    // Rows stand in the order of the events, so this is an index and a short scan.
    let row = &TABLE[event as usize];
    row.from.contains(&from).then_some(row.to)
}

/// The transitions that the world sees, in the order of the states.
pub fn transitions() -> Vec<(State, State)> {
    let mut seen: Vec<_> = TABLE
        .iter()
        .flat_map(|row| row.from.iter().map(|from| (from.state(), row.to.state())))
        .filter(|(from, to)| from != to)
        .collect();
    seen.sort();
    seen.dedup();
    seen
}

/// The page docs/orders/states.md.
pub fn page() -> String {
    let mut page = String::from(
        "# States of an order\n\nWritten by `make docs` from the table in `rust/orders/src/states.rs`; a test compares \
         them.\n\n```mermaid\nstateDiagram-v2\n    [*] --> Created\n",
    );
    let mut line = |text: std::fmt::Arguments<'_>| page.write_fmt(text).expect("a string takes everything");
    for (from, to) in transitions() {
        line(format_args!("    {} --> {}\n", from.name(), to.name()));
    }
    line(format_args!("    Completed --> [*]\n    Failed --> [*]\n```\n\n"));
    line(format_args!("Within them:\n\n```mermaid\nstateDiagram-v2\n"));
    for state in State::ALL {
        line(format_args!("    state {} {{\n", state.name()));
        for sub in Sub::ALL.iter().filter(|sub| sub.state() == *state) {
            line(format_args!("        {}\n", sub.name()));
        }
        line(format_args!("    }}\n"));
    }
    for row in TABLE {
        for from in row.from {
            line(format_args!("    {} --> {}: {}\n", from.name(), row.to.name(), row.name));
        }
    }
    line(format_args!("```\n\n| event | from | to | when |\n|---|---|---|---|\n"));
    for row in TABLE {
        let from: Vec<_> = row.from.iter().map(|sub| sub.name()).collect();
        line(format_args!("| {} | {} | {} | {} |\n", row.name, from.join(", "), row.to.name(), row.when));
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_world_sees_exactly_eight_transitions() {
        use State::*;
        let eight = [
            (Created, Validated),
            (Created, Failed),
            (Validated, Submitted),
            (Validated, Failed),
            (Submitted, Pending),
            (Submitted, Failed),
            (Pending, Completed),
            (Pending, Failed),
        ];
        assert_eq!(transitions(), eight);
    }

    #[test]
    fn each_event_has_its_row_at_its_number() {
        for (index, row) in TABLE.iter().enumerate() {
            assert_eq!(row.event as usize, index);
        }
    }

    #[test]
    fn nothing_leaves_an_end_but_finality_of_success() {
        for row in TABLE {
            for from in row.from.iter().filter(|from| from.state().is_terminal()) {
                assert_eq!((*from, row.to), (Sub::Confirmed, Sub::Finalized));
            }
        }
    }

    #[test]
    fn every_sub_state_is_reached_and_every_state_but_the_ends_is_left() {
        for sub in Sub::ALL.iter().filter(|sub| **sub != Sub::Received) {
            assert!(TABLE.iter().any(|row| row.to == *sub), "{}", sub.name());
        }
        for sub in Sub::ALL.iter().filter(|sub| !matches!(sub, Sub::Finalized | Sub::Closed)) {
            assert!(TABLE.iter().any(|row| row.from.contains(sub)), "{}", sub.name());
        }
    }

    #[test]
    fn the_page_in_docs_is_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/orders/states.md");
        let written = std::fs::read_to_string(path).expect("docs/orders/states.md");
        assert!(written == page(), "docs/orders/states.md is not what the table says: run `make docs`");
    }
}

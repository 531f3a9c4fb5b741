//! Why orders fail: nineteen codes, the same on the wire, in the journal, in metrics and in Python.

macro_rules! failures {
    ($($name:ident = $number:literal: $text:literal;)*) => {
        /// Why an order failed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u16)]
        pub enum FailureCode { $(#[doc = $text] $name = $number,)* }

        impl FailureCode {
            /// All of them, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The one with this number.
            pub const fn from_number(number: u16) -> Option<Self> {
                match number { $($number => Some(Self::$name),)* _ => None }
            }

            /// Its name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }

            /// What it means, in a few words.
            pub const fn text(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }
        }
    };
}

failures! {
    InsufficientProfit = 1: "not profitable enough after gas";
    StaleSignal = 2: "the signal is too old, or from the future";
    GasPriceTooHigh = 3: "gas costs more than allowed";
    InvalidParameters = 4: "the signal makes no sense";
    TransactionReverted = 5: "the transaction reverted on chain";
    InsufficientFunds = 6: "no sender can pay for the gas";
    TransactionDropped = 7: "the transaction vanished and its slot was settled";
    NetworkTimeout = 8: "no endpoint answered before the slot was settled";
    MEVBundleFailed = 9: "no builder included it in its window";
    CapacityExceeded = 10: "too many orders at once";
    DuplicateSignal = 11: "the signal is already an order";
    SimulationFailed = 12: "the transaction would revert";
    PoolStateMismatch = 13: "computed on a state that is too old";
    DeadlineExpired = 14: "its deadline passed before it was sent";
    NonceConflict = 15: "another writer used the sender's nonce";
    Cancelled = 16: "somebody cancelled it";
    LimitExceeded = 17: "above a limit of value or loss";
    Halted = 18: "the engine is halted";
    Unauthorized = 19: "the signal's sender is not known";
}

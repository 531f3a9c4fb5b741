//! What everything costs: one value per fork, each the one before plus these lines.
//!
//! A schedule has a price per opcode (what it costs whatever its operands are) and named constants (what comes on
//! top). Any of them can be overridden by name. The interpreter builds its table from a schedule once, so an
//! overridden price is read exactly like a built-in one.

use super::{
    Fork,
    opcodes::{self as op, OPCODES},
};

/// The price of an opcode that the fork does not know. Never charged: the opcode halts.
pub const UNDEFINED: u32 = u32::MAX;

/// No price may be above this: sums over any code then fit 64 bits with room to spare.
pub const PRICE_MAX: u64 = 1_000_000_000;

/// An override that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GasError {
    /// Neither an opcode nor a constant.
    #[error("no gas constant is named {0:?}")]
    UnknownName(String),
    /// No ready schedule.
    #[error("no gas schedule is named {0:?}; there is \"citrate\"")]
    UnknownSchedule(String),
    /// The opcode exists, but not at this fork.
    #[error("{name} does not exist at {fork}")]
    NotAtFork {
        /// What was to be priced.
        name: String,
        /// Whose schedule it was.
        fork: Fork,
    },
    /// Outside what can be charged.
    #[error("gas constant {name} cannot be {value}: it must be {minimum} to {maximum}")]
    OutOfRange {
        /// Which constant.
        name: String,
        /// What was asked for.
        value: u64,
        /// The least it may be.
        minimum: u64,
        /// The most it may be.
        maximum: u64,
    },
    /// A first access cheaper than the later ones.
    #[error("{cold_name} ({cold}) is below {warm_name} ({warm})")]
    ColdBelowWarm {
        /// Price of the first access.
        cold_name: &'static str,
        /// Its value.
        cold: u64,
        /// Price of the later ones.
        warm_name: &'static str,
        /// Its value.
        warm: u64,
    },
}

macro_rules! constants {
    ($($(#[$doc:meta])* $name:ident = $frontier:literal,)*) => {
        /// The prices of one fork, or of a chain that changed some of them.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct GasSchedule {
            /// By opcode: what it costs whatever its operands are; [`UNDEFINED`] where the fork does not know it.
            pub opcode: [u32; 256],
            $($(#[$doc])* pub $name: u64,)*
        }

        /// Every constant's name; opcodes can be named as well, in lower case.
        pub const CONSTANTS: &[&str] = &[$(stringify!($name)),*];

        impl GasSchedule {
            const EMPTY: Self = Self { opcode: [UNDEFINED; 256], $($name: $frontier,)* };

            /// A constant by its name.
            pub fn named_price(&self, name: &str) -> Option<u64> {
                match name {
                    $(stringify!($name) => Some(self.$name),)*
                    _ => None,
                }
            }

            fn constant(&mut self, name: &str) -> Option<&mut u64> {
                match name {
                    $(stringify!($name) => Some(&mut self.$name),)*
                    _ => None,
                }
            }
        }
    };
}

// With the values of Frontier; own kinds and later inventions with those of their first schedule.
constants! {
    /// For being a transaction.
    transfer = 21_000,
    /// More for one that creates.
    create_transaction = 0,
    /// Per zero byte of a transaction's data.
    data_zero = 4,
    /// Per other byte of a transaction's data.
    data_nonzero = 68,
    /// Least price per token of a transaction's data: a zero byte is one, another four (EIP-7623).
    data_floor = 0,
    /// Per started 32 bytes of creation code (EIP-3860).
    initcode_word = 0,
    /// Per address of an access list (EIP-2930).
    access_list_address = 2_400,
    /// Per slot of an access list.
    access_list_slot = 1_900,
    /// Per authorization of a delegation (EIP-7702).
    authorization = 25_000,
    /// Given back for an authorization whose account exists.
    authorization_refund = 12_500,
    /// At most the gas used over this is given back.
    refund_quotient = 2,
    /// Per word of memory; the square's divisor, 512, is fixed.
    memory_word = 3,
    /// Per started word copied.
    copy_word = 3,
    /// Per started word hashed.
    keccak_word = 6,
    /// Per byte of EXP's exponent.
    exp_byte = 10,
    /// Per byte logged.
    log_byte = 8,
    /// SLOAD of a slot not accessed before in the transaction (EIP-2929).
    sload_cold = 50,
    /// SSTORE from zero to something.
    sstore_set = 20_000,
    /// Any other SSTORE that changes what the transaction began with.
    sstore_reset = 5_000,
    /// With net gas: SSTORE of what is there, or of what was changed before.
    sstore_noop = 200,
    /// More for a slot not accessed before in the transaction.
    sstore_cold = 0,
    /// Given back for clearing a slot.
    sstore_clear_refund = 15_000,
    /// SSTORE halts with this or less gas left (EIP-2200); 0: it doesn't look.
    sstore_sentry = 0,
    /// An account accessed for the first time in the transaction.
    account_cold = 0,
    /// An account accessed again; part of the opcodes' own prices.
    account_warm = 0,
    /// More for a call with value.
    call_value = 9_000,
    /// Gas that a call with value brings along.
    call_stipend = 2_300,
    /// More for a call that makes an account.
    call_new_account = 25_000,
    /// More for a SELFDESTRUCT whose heir is made by it.
    selfdestruct_new_account = 0,
    /// Given back for a SELFDESTRUCT.
    selfdestruct_refund = 24_000,
    /// Per byte of code kept.
    create_byte = 200,
    /// Registering or updating a model.
    model_register = 100_000,
    /// An inference, whatever its size.
    inference_base = 50_000,
    /// More per started 2^20 bytes of input and model.
    inference_per_mb = 10_000,
    /// More per started million multiply-accumulates.
    inference_per_mmac = 10_000,
    /// Submitting a gradient.
    training_submit = 200_000,
}

impl GasSchedule {
    /// The fork's own.
    pub fn of(fork: Fork) -> &'static Self {
        &HISTORY[fork as usize]
    }

    /// A schedule known by name, as overrides: `citrate`.
    pub fn named(name: &str) -> Option<&'static [(&'static str, u64)]> {
        name.eq_ignore_ascii_case("citrate").then_some(&CITRATE)
    }

    /// The fork's own with some prices changed. Names are those of [`CONSTANTS`] or opcodes in lower case; beside them
    /// `sload` sets the first and later accesses alike, and `sstore` is the price from zero to something.
    ///
    /// # Errors
    /// The first name that nobody knows, or value that cannot be charged; nothing is half applied.
    pub fn with<'a>(fork: Fork, overrides: impl IntoIterator<Item = (&'a str, u64)>) -> Result<Self, GasError> {
        let mut schedule = Self::of(fork).clone();
        for (name, value) in overrides {
            schedule.set(fork, name, value)?;
        }
        for (cold_name, cold, warm_name, warm) in [
            ("sload_cold", schedule.sload_cold, "sload", u64::from(schedule.opcode[op::SLOAD as usize])),
            ("account_cold", schedule.account_cold, "account_warm", schedule.account_warm),
        ] {
            if fork >= Fork::Berlin && cold < warm {
                return Err(GasError::ColdBelowWarm { cold_name, cold, warm_name, warm });
            }
        }
        Ok(schedule)
    }

    /// Whether the fork has a price of this name; false only for an opcode that comes later.
    pub(crate) fn has(fork: Fork, name: &str) -> bool {
        op::by_name(name).is_none_or(|byte| Self::of(fork).opcode[byte as usize] != UNDEFINED)
    }

    fn set(&mut self, fork: Fork, name: &str, value: u64) -> Result<(), GasError> {
        let minimum = u64::from(name == "refund_quotient");
        if !(minimum..=PRICE_MAX).contains(&value) {
            return Err(GasError::OutOfRange { name: name.to_owned(), value, minimum, maximum: PRICE_MAX });
        }
        if name == "sstore" {
            self.sstore_set = value;
        } else if let Some(constant) = self.constant(name) {
            *constant = value;
        } else {
            let byte = op::by_name(name).filter(|_| name.bytes().all(|byte| !byte.is_ascii_uppercase()));
            let byte = byte.ok_or_else(|| GasError::UnknownName(name.to_owned()))?;
            let price = &mut self.opcode[byte as usize];
            if *price == UNDEFINED {
                return Err(GasError::NotAtFork { name: name.to_owned(), fork });
            }
            *price = u32::try_from(value).expect("at most PRICE_MAX");
            if byte == op::SLOAD {
                self.sload_cold = value;
            }
        }
        Ok(())
    }
}

/// A chain whose storage is dear, whose exponent is cheap and whose models have their price.
const CITRATE: [(&str, u64); 12] = [
    ("transfer", 21_000),
    ("sstore", 20_000),
    ("sload", 800),
    ("add", 3),
    ("mul", 5),
    ("div", 5),
    ("exp", 10),
    ("model_register", 100_000),
    ("inference_base", 50_000),
    ("inference_per_mb", 10_000),
    ("inference_per_mmac", 10_000),
    ("training_submit", 200_000),
];

/// Frontier to Osaka.
static HISTORY: [GasSchedule; Fork::ALL.len()] = [
    FRONTIER,
    HOMESTEAD,
    TANGERINE,
    SPURIOUS_DRAGON,
    BYZANTIUM,
    CONSTANTINOPLE,
    PETERSBURG,
    ISTANBUL,
    BERLIN,
    LONDON,
    LONDON, // Paris
    SHANGHAI,
    CANCUN,
    PRAGUE,
    OSAKA,
];

const fn priced(mut schedule: GasSchedule, prices: &[(u8, u32)]) -> GasSchedule {
    let mut index = 0;
    while index < prices.len() {
        schedule.opcode[prices[index].0 as usize] = prices[index].1;
        index += 1;
    }
    schedule
}

const fn priced_range(mut schedule: GasSchedule, first: u8, last: u8, price: u32) -> GasSchedule {
    let mut byte = first as usize;
    while byte <= last as usize {
        schedule.opcode[byte] = price;
        byte += 1;
    }
    schedule
}

const FRONTIER: GasSchedule = {
    let mut schedule = GasSchedule::EMPTY;
    schedule = priced_range(schedule, op::LT, op::BYTE, 3);
    schedule = priced_range(schedule, op::PUSH1, op::PUSH32, 3);
    schedule = priced_range(schedule, op::DUP1, op::DUP16, 3);
    schedule = priced_range(schedule, op::SWAP1, op::SWAP16, 3);
    schedule = priced_range(schedule, op::COINBASE, op::GASLIMIT, 2);
    priced(
        schedule,
        &[
            (op::STOP, 0),
            (op::ADD, 3),
            (op::MUL, 5),
            (op::SUB, 3),
            (op::DIV, 5),
            (op::SDIV, 5),
            (op::MOD, 5),
            (op::SMOD, 5),
            (op::ADDMOD, 8),
            (op::MULMOD, 8),
            (op::EXP, 10),
            (op::SIGNEXTEND, 5),
            (op::KECCAK256, 30),
            (op::ADDRESS, 2),
            (op::BALANCE, 20),
            (op::ORIGIN, 2),
            (op::CALLER, 2),
            (op::CALLVALUE, 2),
            (op::CALLDATALOAD, 3),
            (op::CALLDATASIZE, 2),
            (op::CALLDATACOPY, 3),
            (op::CODESIZE, 2),
            (op::CODECOPY, 3),
            (op::GASPRICE, 2),
            (op::EXTCODESIZE, 20),
            (op::EXTCODECOPY, 20),
            (op::BLOCKHASH, 20),
            (op::POP, 2),
            (op::MLOAD, 3),
            (op::MSTORE, 3),
            (op::MSTORE8, 3),
            (op::SLOAD, 50),
            (op::SSTORE, 0),
            (op::JUMP, 8),
            (op::JUMPI, 10),
            (op::PC, 2),
            (op::MSIZE, 2),
            (op::GAS, 2),
            (op::JUMPDEST, 1),
            (op::LOG0, 375),
            (op::LOG1, 750),
            (op::LOG2, 1_125),
            (op::LOG3, 1_500),
            (op::LOG4, 1_875),
            (op::CREATE, 32_000),
            (op::CALL, 40),
            (op::CALLCODE, 40),
            (op::RETURN, 0),
            (op::INVALID, 0),
            (op::SELFDESTRUCT, 0),
        ],
    )
};

const HOMESTEAD: GasSchedule = {
    let mut schedule = priced(FRONTIER, &[(op::DELEGATECALL, 40)]);
    schedule.create_transaction = 32_000;
    schedule
};

/// EIP-150.
const TANGERINE: GasSchedule = {
    let mut schedule = priced(
        HOMESTEAD,
        &[
            (op::BALANCE, 400),
            (op::EXTCODESIZE, 700),
            (op::EXTCODECOPY, 700),
            (op::SLOAD, 200),
            (op::CALL, 700),
            (op::CALLCODE, 700),
            (op::DELEGATECALL, 700),
            (op::SELFDESTRUCT, 5_000),
        ],
    );
    schedule.sload_cold = 200;
    schedule.selfdestruct_new_account = 25_000;
    schedule
};

/// EIP-160.
const SPURIOUS_DRAGON: GasSchedule = {
    let mut schedule = TANGERINE;
    schedule.exp_byte = 50;
    schedule
};

/// EIP-140, 211, 214.
const BYZANTIUM: GasSchedule = priced(
    SPURIOUS_DRAGON,
    &[(op::RETURNDATASIZE, 2), (op::RETURNDATACOPY, 3), (op::STATICCALL, 700), (op::REVERT, 0)],
);

/// EIP-145, 1014, 1052.
const CONSTANTINOPLE: GasSchedule =
    priced(BYZANTIUM, &[(op::SHL, 3), (op::SHR, 3), (op::SAR, 3), (op::EXTCODEHASH, 400), (op::CREATE2, 32_000)]);

/// Prices stay; net gas for SSTORE, which the fork decides, goes.
const PETERSBURG: GasSchedule = CONSTANTINOPLE;

/// EIP-1344, 1884, 2028, 2200.
const ISTANBUL: GasSchedule = {
    let mut schedule = priced(
        PETERSBURG,
        &[(op::BALANCE, 700), (op::EXTCODEHASH, 700), (op::SLOAD, 800), (op::CHAINID, 2), (op::SELFBALANCE, 5)],
    );
    schedule.data_nonzero = 16;
    schedule.sload_cold = 800;
    schedule.sstore_noop = 800;
    schedule.sstore_sentry = 2_300;
    schedule
};

/// EIP-2929.
const BERLIN: GasSchedule = {
    let mut schedule = priced(
        ISTANBUL,
        &[
            (op::BALANCE, 100),
            (op::EXTCODESIZE, 100),
            (op::EXTCODECOPY, 100),
            (op::EXTCODEHASH, 100),
            (op::SLOAD, 100),
            (op::CALL, 100),
            (op::CALLCODE, 100),
            (op::DELEGATECALL, 100),
            (op::STATICCALL, 100),
        ],
    );
    schedule.account_cold = 2_600;
    schedule.account_warm = 100;
    schedule.sload_cold = 2_100;
    schedule.sstore_cold = 2_100;
    schedule.sstore_noop = 100;
    schedule.sstore_reset = 2_900;
    schedule
};

/// EIP-3198, 3529.
const LONDON: GasSchedule = {
    let mut schedule = priced(BERLIN, &[(op::BASEFEE, 2)]);
    schedule.refund_quotient = 5;
    schedule.sstore_clear_refund = 4_800;
    schedule.selfdestruct_refund = 0;
    schedule
};

/// EIP-3855, 3860.
const SHANGHAI: GasSchedule = {
    let mut schedule = priced(LONDON, &[(op::PUSH0, 2)]);
    schedule.initcode_word = 2;
    schedule
};

/// EIP-1153, 4844, 5656, 7516.
const CANCUN: GasSchedule =
    priced(SHANGHAI, &[(op::BLOBHASH, 3), (op::BLOBBASEFEE, 2), (op::TLOAD, 100), (op::TSTORE, 100), (op::MCOPY, 3)]);

/// EIP-7623.
const PRAGUE: GasSchedule = {
    let mut schedule = CANCUN;
    schedule.data_floor = 10;
    schedule
};

/// EIP-7939.
const OSAKA: GasSchedule = priced(PRAGUE, &[(op::CLZ, 5)]);

// An opcode without a price, or a price without an opcode, does not build.
const _: () = {
    let mut fork = 0;
    while fork < HISTORY.len() {
        let mut byte = 0;
        while byte < 256 {
            let known = match OPCODES[byte] {
                Some(opcode) => opcode.since as usize <= fork,
                None => false,
            };
            assert!(known == (HISTORY[fork].opcode[byte] != UNDEFINED), "opcodes and prices disagree");
            byte += 1;
        }
        fork += 1;
    }
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn citrate_changes_what_it_names_and_nothing_else() {
        let citrate = GasSchedule::named("citrate").unwrap().iter().copied();
        let schedule = GasSchedule::with(Fork::Cancun, citrate).unwrap();
        let mut expected = CANCUN;
        expected.opcode[op::SLOAD as usize] = 800;
        expected.sload_cold = 800;
        assert_eq!(schedule, expected);
        assert_eq!(GasSchedule::named("unheard"), None);
    }

    #[test]
    fn constants_and_opcodes_are_set_by_name() {
        for name in CONSTANTS.iter().filter(|name| !["sload_cold", "account_cold", "account_warm"].contains(name)) {
            let changed = GasSchedule::with(Fork::Osaka, [(*name, 77)]).unwrap();
            assert_ne!(&changed, GasSchedule::of(Fork::Osaka), "{name}");
        }
        let changed = GasSchedule::with(Fork::Osaka, [("keccak256", 31), ("sstore", 1)]).unwrap();
        assert_eq!((changed.opcode[op::KECCAK256 as usize], changed.sstore_set), (31, 1));
    }

    #[test]
    fn nonsense_is_refused_with_its_name_and_number() {
        let with = |name, value| GasSchedule::with(Fork::London, [(name, value)]).unwrap_err();
        assert_eq!(with("sloth", 1), GasError::UnknownName("sloth".into()));
        assert_eq!(with("ADD", 1), GasError::UnknownName("ADD".into()));
        assert_eq!(with("push0", 1), GasError::NotAtFork { name: "push0".into(), fork: Fork::London });
        for (name, value, minimum) in [("add", PRICE_MAX + 1, 0), ("refund_quotient", 0, 1), ("exp_byte", u64::MAX, 0)]
        {
            let expected = GasError::OutOfRange { name: name.to_owned(), value, minimum, maximum: PRICE_MAX };
            assert_eq!(with(name, value), expected);
        }
        let (cold_name, warm_name) = ("account_cold", "account_warm");
        let expected = GasError::ColdBelowWarm { cold_name, cold: 99, warm_name, warm: 100 };
        assert_eq!(with("account_cold", 99), expected);
        assert!(GasSchedule::with(Fork::London, [("add", PRICE_MAX)]).is_ok());
    }
}

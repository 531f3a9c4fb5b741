//! What a chain changed of its forks: prices, opcodes, precompiles.
//!
//! Changes are checked once, when the chain is configured, and become instructions once per fork; execution never sees
//! that there were any. A chain without changes shares the built-in instructions.

use std::sync::{Arc, OnceLock};

use types::Address;

use super::{Custom, CustomError, CustomOpcode, CustomPrecompile, Fork, GasError, GasSchedule};
use crate::interpreter::Instructions;

/// Prices by name, over those of every fork, and opcodes and precompiles of one's own. None: the built-in instructions.
#[derive(Clone, Debug, Default)]
pub struct Changes {
    prices: Vec<(String, u64)>,
    custom: Custom,
    /// By fork, made when first asked for.
    instructions: Arc<[OnceLock<Arc<Instructions>>; Fork::ALL.len()]>,
}

impl Changes {
    /// Prices alone. Names are those that [`GasSchedule::with`] takes. An opcode's price holds from the fork on that
    /// has it.
    ///
    /// # Errors
    /// The first name that nobody knows, or value that cannot be charged.
    pub fn priced<N: Into<String>>(prices: impl IntoIterator<Item = (N, u64)>) -> Result<Self, GasError> {
        let prices = prices.into_iter().map(|(name, value)| (name.into(), value)).collect();
        let changes = Self { prices, ..Self::default() };
        for fork in Fork::ALL {
            changes.schedule(fork)?;
        }
        Ok(changes)
    }

    /// A ready schedule: `citrate`.
    ///
    /// # Errors
    /// No schedule has this name.
    pub fn named(name: &str) -> Result<Self, GasError> {
        let prices = GasSchedule::named(name).ok_or_else(|| GasError::UnknownSchedule(name.to_owned()))?;
        Self::priced(prices.iter().copied())
    }

    /// These, and an opcode of one's own, at every fork.
    ///
    /// # Errors
    /// The byte is taken, or the opcode's numbers cannot be.
    pub fn with_opcode(self, byte: u8, opcode: CustomOpcode) -> Result<Self, CustomError> {
        Ok(Self { custom: self.custom.with_opcode(byte, opcode)?, prices: self.prices, ..Self::default() })
    }

    /// These, and a precompile of one's own, at every fork; one that is there already makes place.
    #[must_use]
    pub fn with_precompile(self, address: Address, precompile: CustomPrecompile) -> Self {
        Self { custom: self.custom.with_precompile(address, precompile), prices: self.prices, ..Self::default() }
    }

    /// Prices that were changed, in order.
    pub fn prices(&self) -> &[(String, u64)] {
        &self.prices
    }

    /// Opcodes and precompiles of one's own.
    pub fn custom(&self) -> &Custom {
        &self.custom
    }

    /// Whether nothing was changed.
    pub fn is_empty(&self) -> bool {
        self.prices.is_empty() && self.custom.is_empty()
    }

    /// The fork's opcodes as this chain has them.
    pub fn instructions(&self, fork: Fork) -> &Arc<Instructions> {
        if self.is_empty() {
            return Instructions::of(fork);
        }
        self.instructions[fork as usize].get_or_init(|| {
            let schedule = self.schedule(fork).expect("checked when it was made");
            Arc::new(Instructions::new(fork, schedule).with_custom(self.custom.clone()))
        })
    }

    fn schedule(&self, fork: Fork) -> Result<GasSchedule, GasError> {
        let known = self.prices.iter().filter(|(name, _)| GasSchedule::has(fork, name));
        GasSchedule::with(fork, known.map(|(name, value)| (name.as_str(), *value)))
    }
}

impl PartialEq for Changes {
    fn eq(&self, other: &Self) -> bool {
        self.prices == other.prices && self.custom == other.custom
    }
}

impl Eq for Changes {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{ChainSpec, opcodes};

    #[test]
    fn a_chain_pays_its_own_prices_from_the_fork_on_that_has_the_opcode() {
        let mut spec = ChainSpec::at(1, Fork::Osaka);
        spec.changes = Changes::priced([("push0", 7), ("add", 4), ("data_zero", 5)]).unwrap();
        let rules = spec.rules(0, 0);
        let schedule = rules.instructions.schedule();
        assert_eq!(schedule.opcode[opcodes::PUSH0 as usize], 7);
        assert_eq!((schedule.opcode[opcodes::ADD as usize], schedule.data_zero), (4, 5));
        assert!(Arc::ptr_eq(&rules.instructions, &spec.clone().rules(1, 1).instructions), "made once");
        let london = spec.changes.instructions(Fork::London).schedule();
        assert_eq!((london.opcode[opcodes::ADD as usize], london.data_zero), (4, 5));
    }

    #[test]
    fn without_changes_the_built_in_instructions_serve() {
        for fork in Fork::ALL {
            assert!(Arc::ptr_eq(Changes::default().instructions(fork), Instructions::of(fork)));
        }
    }

    #[test]
    fn ready_schedules_are_found_by_name_and_nonsense_is_refused() {
        let citrate = Changes::named("Citrate").unwrap();
        assert_eq!(citrate.instructions(Fork::Osaka).schedule().sload_cold, 800);
        assert_eq!(Changes::named("lemon").unwrap_err(), GasError::UnknownSchedule("lemon".into()));
        assert_eq!(Changes::priced([("sloth", 1)]).unwrap_err(), GasError::UnknownName("sloth".into()));
        let error = Changes::priced([("account_warm", 2_601)]).unwrap_err();
        assert!(matches!(error, GasError::ColdBelowWarm { cold: 2_600, warm: 2_601, .. }), "{error}");
    }
}

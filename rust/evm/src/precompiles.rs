//! Contracts that are part of the rules: which there are at which fork, what they cost, what they answer.
//!
//! The cryptography and its prices come from `revm-precompile`; which table holds at which fork is said here. An
//! address of the table is warm from the beginning of every transaction. A chain may have precompiles of its own, which
//! come before the fork's.

mod rounds;

use std::sync::Arc;

use revm_precompile::{Precompile, PrecompileHalt, PrecompileSpecId, PrecompileStatus, Precompiles};
use types::{Address, Bytes};

use crate::{
    frame::Fault,
    spec::{CustomPrecompile, Fork, Rules},
};

/// A precompile's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It answered.
    Success {
        /// At most the gas that was given.
        gas_used: u64,
        /// What it returned.
        output: Bytes,
    },
    /// The gas did not suffice; all of it is gone.
    OutOfGas,
    /// The input is not one it takes; all gas is gone.
    Failure,
}

/// Whether the address is a precompile under these rules.
#[inline]
pub fn contains(rules: &Rules, address: &Address) -> bool {
    match rules.instructions.custom().and_then(|custom| custom.precompile(address)) {
        // Nearly every address fails here.
        None => address[..18] == [0; 18] && table(rules.fork).get(address).is_some(),
        Some(custom) => custom.is_some(),
    }
}

/// The precompiles under these rules.
pub fn addresses(rules: &Rules) -> impl Iterator<Item = &Address> {
    let custom = rules.instructions.custom().into_iter().flat_map(|custom| custom.precompiles());
    let custom = custom.map(|(address, _)| address).filter(|address| table(rules.fork).get(address).is_none());
    table(rules.fork).addresses().filter(|address| contains(rules, address)).chain(custom)
}

/// Asks the precompile at `address`; None where there is none under these rules.
///
/// # Errors
/// One of the chain's own failed.
pub fn run(rules: &Rules, address: &Address, input: &Bytes, gas: u64) -> Result<Option<Answer>, Fault> {
    match rules.instructions.custom().and_then(|custom| custom.precompile(address)) {
        None => Ok(built_in(rules.fork, address, input, gas)),
        Some(custom) => custom.as_ref().map(|precompile| precompile.answer(address, input, gas)).transpose(),
    }
}

/// The fork's own precompile at `address`, to be put somewhere else.
pub fn detached(fork: Fork, address: Address) -> Option<CustomPrecompile> {
    table(fork).get(&address)?;
    let run = move |input: &Bytes, gas| Ok(built_in(fork, &address, input, gas).expect("it is in the table"));
    Some(CustomPrecompile { name: format!("of {fork}"), consensus: true, run: Arc::new(run) })
}

fn built_in(fork: Fork, address: &Address, input: &[u8], gas: u64) -> Option<Answer> {
    if address[..18] != [0; 18] {
        return None;
    }
    let precompile = table(fork).get(address)?;
    let run = || answer(precompile, input, gas);
    Some(if *address == rounds::ADDRESS { rounds::answer(input, gas, run) } else { run() })
}

fn answer(precompile: &Precompile, input: &[u8], gas: u64) -> Answer {
    // A fatal error means that a table of the library could not be set up; a precompile that cannot answer fails.
    let Ok(output) = precompile.execute(input, gas, 0) else {
        return Answer::Failure;
    };
    match output.status {
        PrecompileStatus::Success if output.gas_used <= gas => {
            Answer::Success { gas_used: output.gas_used, output: output.bytes }
        }
        PrecompileStatus::Success | PrecompileStatus::Halt(PrecompileHalt::OutOfGas) => Answer::OutOfGas,
        PrecompileStatus::Revert | PrecompileStatus::Halt(_) => Answer::Failure,
    }
}

fn table(fork: Fork) -> &'static Precompiles {
    Precompiles::new(match fork {
        Fork::Frontier | Fork::Homestead | Fork::Tangerine | Fork::SpuriousDragon => PrecompileSpecId::HOMESTEAD,
        Fork::Byzantium | Fork::Constantinople | Fork::Petersburg => PrecompileSpecId::BYZANTIUM,
        Fork::Istanbul => PrecompileSpecId::ISTANBUL,
        Fork::Berlin | Fork::London | Fork::Paris | Fork::Shanghai => PrecompileSpecId::BERLIN,
        Fork::Cancun => PrecompileSpecId::CANCUN,
        Fork::Prague => PrecompileSpecId::PRAGUE,
        Fork::Osaka => PrecompileSpecId::OSAKA,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{ChainSpec, Changes};

    fn rules(fork: Fork) -> Rules {
        ChainSpec::at(1, fork).rules(0, 0)
    }

    fn at(byte: u8) -> Address {
        Address::with_last_byte(byte)
    }

    #[test]
    fn each_fork_has_its_own_and_no_other() {
        let p256: Address = "0x0000000000000000000000000000000000000100".parse().unwrap();
        for (fork, last) in [
            (Fork::Frontier, 4),
            (Fork::SpuriousDragon, 4),
            (Fork::Byzantium, 8),
            (Fork::Petersburg, 8),
            (Fork::Istanbul, 9),
            (Fork::Shanghai, 9),
            (Fork::Cancun, 10),
            (Fork::Prague, 17),
            (Fork::Osaka, 17),
        ] {
            for byte in 0..=40 {
                assert_eq!(contains(&rules(fork), &at(byte)), (1..=last).contains(&byte), "{fork} {byte}");
            }
            assert_eq!(contains(&rules(fork), &p256), fork == Fork::Osaka);
            assert_eq!(addresses(&rules(fork)).count(), usize::from(last) + usize::from(fork == Fork::Osaka));
        }
    }

    #[test]
    fn gas_to_the_unit() {
        // Identity: 15 and 3 a word.
        let answer = Answer::Success { gas_used: 21, output: Bytes::from_static(&[1; 33]) };
        assert_eq!(built_in(Fork::Frontier, &at(4), &[1; 33], 21), Some(answer));
        assert_eq!(built_in(Fork::Frontier, &at(4), &[1; 33], 20), Some(Answer::OutOfGas));
        assert_eq!(built_in(Fork::Frontier, &at(5), &[], u64::MAX), None);
    }

    #[test]
    fn prices_follow_the_fork() {
        // A modular exponentiation of nothing: dearer from Osaka on.
        let cost = |fork| match built_in(fork, &at(5), &[], u64::MAX) {
            Some(Answer::Success { gas_used, .. }) => gas_used,
            other => panic!("{other:?}"),
        };
        assert_eq!([Fork::Byzantium, Fork::Berlin, Fork::Osaka].map(cost), [0, 200, 500]);
    }

    #[test]
    fn input_that_is_no_point_fails() {
        assert_eq!(built_in(Fork::Byzantium, &at(6), &[0xff; 64], 1_000_000), Some(Answer::Failure));
    }

    #[test]
    fn a_chain_can_move_hide_and_add_precompiles() {
        let add = CustomPrecompile {
            name: "sum".into(),
            consensus: true,
            run: Arc::new(|input, _| {
                let sum = input.iter().fold(0u8, |sum, byte| sum.wrapping_add(*byte));
                Ok(Answer::Success { gas_used: 7, output: vec![sum].into() })
            }),
        };
        let (identity, far) = (at(4), Address::repeat_byte(9));
        let mut spec = ChainSpec::at(1, Fork::Osaka);
        spec.changes = Changes::default().with_precompile(Address::repeat_byte(5), add);
        let mut rules = spec.rules(0, 0);
        let built_in = detached(Fork::Osaka, identity);
        let custom = spec.changes.custom().clone().with_moved_precompile(identity, far, built_in);
        let schedule = rules.instructions.schedule().clone();
        rules.instructions = Arc::new(crate::Instructions::new(Fork::Osaka, schedule).with_custom(custom));
        let input = Bytes::from_static(&[1, 2, 3]);
        let ask = |address: &Address, gas| run(&rules, address, &input, gas).unwrap();
        assert_eq!(ask(&identity, 100), None);
        assert_eq!(ask(&far, 18), Some(Answer::Success { gas_used: 18, output: input.clone() }));
        assert_eq!(ask(&far, 17), Some(Answer::OutOfGas));
        let sum = Answer::Success { gas_used: 7, output: vec![6].into() };
        assert_eq!(ask(&Address::repeat_byte(5), 7), Some(sum));
        assert_eq!(
            ask(&Address::repeat_byte(5), 6),
            Some(Answer::OutOfGas),
            "a function cannot use more than there is"
        );
        assert_eq!((contains(&rules, &identity), contains(&rules, &far)), (false, true));
        assert_eq!(addresses(&rules).count(), addresses(&self::rules(Fork::Osaka)).count() + 1);
    }
}

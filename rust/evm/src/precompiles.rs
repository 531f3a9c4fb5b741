//! Contracts that are part of the rules: which there are at which fork, what they cost, what they answer.
//!
//! The cryptography and its prices come from `revm-precompile`; which table holds at which fork is said here. An
//! address of the table is warm from the beginning of every transaction.

use revm_precompile::{PrecompileHalt, PrecompileSpecId, PrecompileStatus, Precompiles};
use types::{Address, Bytes};

use crate::spec::Fork;

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

/// Whether the address is a precompile at this fork.
#[inline]
pub fn contains(fork: Fork, address: &Address) -> bool {
    // Nearly every address fails here.
    address[..18] == [0; 18] && table(fork).get(address).is_some()
}

/// The precompiles of this fork.
pub fn addresses(fork: Fork) -> impl Iterator<Item = &'static Address> {
    table(fork).addresses()
}

/// Asks the precompile at `address`; None where there is none at this fork.
pub fn run(fork: Fork, address: &Address, input: &[u8], gas: u64) -> Option<Answer> {
    if address[..18] != [0; 18] {
        return None;
    }
    let precompile = table(fork).get(address)?;
    // A fatal error means that a table of the library could not be set up; a precompile that cannot answer fails.
    let Ok(output) = precompile.execute(input, gas, 0) else {
        return Some(Answer::Failure);
    };
    Some(match output.status {
        PrecompileStatus::Success if output.gas_used <= gas => {
            Answer::Success { gas_used: output.gas_used, output: output.bytes }
        }
        PrecompileStatus::Success | PrecompileStatus::Halt(PrecompileHalt::OutOfGas) => Answer::OutOfGas,
        PrecompileStatus::Revert | PrecompileStatus::Halt(_) => Answer::Failure,
    })
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
                assert_eq!(contains(fork, &at(byte)), (1..=last).contains(&byte), "{fork} {byte}");
            }
            assert_eq!(contains(fork, &p256), fork == Fork::Osaka);
            assert_eq!(addresses(fork).count(), usize::from(last) + usize::from(fork == Fork::Osaka));
        }
    }

    #[test]
    fn gas_to_the_unit() {
        // Identity: 15 and 3 a word.
        let answer = Answer::Success { gas_used: 21, output: Bytes::from_static(&[1; 33]) };
        assert_eq!(run(Fork::Frontier, &at(4), &[1; 33], 21), Some(answer));
        assert_eq!(run(Fork::Frontier, &at(4), &[1; 33], 20), Some(Answer::OutOfGas));
        assert_eq!(run(Fork::Frontier, &at(5), &[], u64::MAX), None);
    }

    #[test]
    fn prices_follow_the_fork() {
        // A modular exponentiation of nothing: dearer from Osaka on.
        let cost = |fork| match run(fork, &at(5), &[], u64::MAX) {
            Some(Answer::Success { gas_used, .. }) => gas_used,
            other => panic!("{other:?}"),
        };
        assert_eq!([Fork::Byzantium, Fork::Berlin, Fork::Osaka].map(cost), [0, 200, 500]);
    }

    #[test]
    fn input_that_is_no_point_fails() {
        assert_eq!(run(Fork::Byzantium, &at(6), &[0xff; 64], 1_000_000), Some(Answer::Failure));
    }
}

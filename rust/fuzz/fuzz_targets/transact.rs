//! Code, call data and a transaction made of whatever bytes the fuzzer finds: no panic, and no more gas than was given.
//!
//! The first byte is the fork, two more how the rest is cut: into code, and call data or a whole transaction's bytes.

#![no_main]

use evm::{BlockEnv, ChainSpec, Fork, transact};
use libfuzzer_sys::fuzz_target;
use state::{MemoryState, Overlay};
use types::{Address, Bytes, Recovered, Signature, Transaction, TxKind, U256, tx::TxLegacy};

const SENDER: Address = Address::repeat_byte(0xca);
const CONTRACT: Address = Address::repeat_byte(0xc0);

/// Enough for loops, little enough for many runs a second.
const GAS: u64 = 500_000;

fuzz_target!(|data: &[u8]| {
    let [fork, high, low, rest @ ..] = data else { return };
    let fork = Fork::ALL[usize::from(*fork) % Fork::ALL.len()];
    let (code, other) = rest.split_at(usize::from(u16::from_be_bytes([*high, *low])).min(rest.len()));
    let made = |to, input| {
        let tx = TxLegacy { gas_limit: GAS, to, input, ..TxLegacy::default() };
        Transaction::from_parts(tx, Signature::test_signature())
    };
    let call = made(TxKind::Call(CONTRACT), Bytes::copy_from_slice(other));
    let creation = made(TxKind::Create, Bytes::copy_from_slice(code));
    let raw = Transaction::from_bytes(other).ok().filter(|tx| tx.gas_limit() <= GAS);
    let mut world = MemoryState::default();
    world.insert(CONTRACT, 1, U256::from(5), Bytes::copy_from_slice(code));
    world.insert(SENDER, 0, U256::MAX >> 1, Bytes::new());
    let rules = ChainSpec::at(1, fork).rules(1, 1);
    let block = BlockEnv { gas_limit: 1 << 30, excess_blob_gas: Some(0), ..BlockEnv::default() };
    for tx in [call, creation].into_iter().chain(raw) {
        let limit = tx.gas_limit();
        if let Ok(executed) = transact(&rules, &block, &Recovered::new(tx, SENDER), &mut Overlay::new(&world)) {
            assert!(executed.gas_used <= limit);
        }
    }
});

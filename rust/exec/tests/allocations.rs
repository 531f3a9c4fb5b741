//! A steady run of transfers allocates nothing per transaction: what it needs, the block before has left.

#![allow(unsafe_code, reason = "a global allocator that counts")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use evm::{BlockEnv, ChainSpec, Fork};
use execlayer_exec::{Mode, execute};
use state::MemoryState;
use types::{Address, Bytes, Recovered, Signature, Transaction, TxKind, U256, keccak256, tx::TxEip1559};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator with the arguments it came with.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: see above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: see above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn party(role: &str, index: usize) -> Address {
    Address::from_word(keccak256(format!("{role} {index}")))
}

#[test]
fn blocks_of_transfers_allocate_the_same_whatever_their_length() {
    const LONGEST: usize = 2_000;
    let mut state = MemoryState::default();
    let transactions: Vec<Recovered> = (0..LONGEST)
        .map(|index| {
            state.insert(party("from", index), 0, U256::from(10_u64.pow(18)), Bytes::new());
            let to = TxKind::Call(party("to", index));
            let tx = TxEip1559 { chain_id: 1, gas_limit: 21_000, max_fee_per_gas: 10, to, ..TxEip1559::default() };
            let tx = TxEip1559 { value: U256::from(index + 1), ..tx };
            Recovered::new(Transaction::from_parts(tx, Signature::test_signature()), party("from", index))
        })
        .collect();
    let rules = ChainSpec::at(1, Fork::Cancun).rules(1, 1);
    let env = BlockEnv { gas_limit: 1 << 30, base_fee: Some(7), excess_blob_gas: Some(0), ..BlockEnv::default() };
    let allocations = |length: usize| {
        let before = ALLOCATIONS.get();
        let outcome = execute(&rules, &env, &transactions[..length], &[], &state, Mode::default()).unwrap();
        assert_eq!(outcome.receipts.len(), length);
        assert_eq!(outcome.diff.accounts.len(), 2 * length);
        ALLOCATIONS.get() - before
    };
    // The first block takes the memory that the others use.
    allocations(LONGEST);
    let (short, long) = (allocations(10), allocations(LONGEST));
    assert_eq!(short, long);
    // Receipts, the diff and what sorts it, the parties of some transactions at a time.
    assert!(long <= 16, "{long}");
}

//! Code that would run for hours is stopped from outside, wherever it spends its time.

use std::sync::atomic::{AtomicUsize, Ordering};

use execlayer_evm::{
    BlockEnv, ChainSpec, Fork, HaltReason, TransactError,
    trace::{Step, Tracer},
    transact::{trace, transact},
};
use state::{MemoryState, Overlay, Stopped, View, ViewError};
use types::{Account, Address, B256, Bytes, Key, Recovered, Transaction, TxKind, U256, tx::TxLegacy};

const CONTRACT: Address = Address::repeat_byte(0xc0);

/// Wants the work to stop when it has been asked so many times whether to go on.
struct Impatient {
    world: MemoryState,
    left: AtomicUsize,
}

impl View for Impatient {
    fn account(&self, address: &Address) -> Result<Option<Account>, ViewError> {
        self.world.account(address)
    }
    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, ViewError> {
        self.world.storage(address, slot)
    }
    fn code(&self, hash: &B256) -> Result<Bytes, ViewError> {
        self.world.code(hash)
    }
    fn block_hash(&self, number: u64) -> Result<B256, ViewError> {
        self.world.block_hash(number)
    }
    fn slots(&self, address: &Address) -> Result<Vec<(U256, U256)>, ViewError> {
        self.world.slots(address)
    }
    fn check(&self) -> Result<(), Stopped> {
        let left = self.left.load(Ordering::Relaxed).checked_sub(1).ok_or(Stopped)?;
        self.left.store(left, Ordering::Relaxed);
        Ok(())
    }
}

fn view(code: &str, patience: usize) -> Impatient {
    let mut world = MemoryState::default();
    world.insert(CONTRACT, 1, U256::ZERO, code.parse().expect("hex"));
    Impatient { world, left: AtomicUsize::new(patience) }
}

fn transaction(gas_limit: u64) -> Recovered {
    let key = Key::from_bytes(&B256::repeat_byte(1)).expect("a key");
    let unsigned = TxLegacy { gas_limit, to: TxKind::Call(CONTRACT), ..TxLegacy::default() };
    Recovered::new(Transaction::sign(unsigned, &key), key.address())
}

/// Watches, and does nothing: with it the plain loop runs.
struct Watcher;

impl Tracer for Watcher {
    fn step(&mut self, _: &Step<'_>) {}
    fn stepped(&mut self, _: u64, _: Option<HaltReason>) {}
}

/// Code that goes on for as long as there is gas, and the ways in which it does.
const ENDLESS: [(&str, &str); 6] = [
    ("a jump to a known place", "5b600056"),
    ("a jump on a known condition", "5b6001600057"),
    ("a jump to a computed place", "5b5f5156"),
    ("a jump on a computed condition", "5b60015f5157"),
    ("calls of itself, twice each, without a jump", "5f5f5f5f5f305af15f5f5f5f5f305af1"),
    ("calls of a precompile", "5b5f5f5f5f5f60045af150600056"),
];

#[test]
fn endless_code_is_stopped_and_leaves_nothing() {
    let rules = ChainSpec::at(1, Fork::Cancun).rules(1, 1);
    let block = BlockEnv { gas_limit: u64::MAX, ..BlockEnv::default() };
    let transaction = transaction(1 << 50);
    for (name, code) in ENDLESS {
        for traced in [false, true] {
            let view = view(code, 100);
            let mut overlay = Overlay::new(&view);
            let done = if traced {
                trace(&rules, &block, &transaction, &mut overlay, &mut Watcher)
            } else {
                transact(&rules, &block, &transaction, &mut overlay)
            };
            assert_eq!(done, Err(TransactError::from(ViewError::Stopped(Stopped))), "{name}, traced: {traced}");
            assert!(overlay.diff().is_empty(), "{name}, traced: {traced}");
        }
    }
}

#[test]
fn looking_whether_to_stop_changes_no_outcome() {
    let rules = ChainSpec::at(1, Fork::Cancun).rules(1, 1);
    let block = BlockEnv { gas_limit: u64::MAX, ..BlockEnv::default() };
    let transaction = transaction(3_000_000);
    for (name, code) in ENDLESS {
        let patient = view(code, usize::MAX);
        let seldom = transact(&rules, &block, &transaction, &mut Overlay::new(&patient)).expect("nobody stops it");
        let plain = trace(&rules, &block, &transaction, &mut Overlay::new(&patient.world), &mut Watcher);
        assert_eq!(Ok(&seldom), plain.as_ref(), "{name}");
        assert!(patient.left.load(Ordering::Relaxed) < usize::MAX - 10, "{name}: it looked several times");
    }
}

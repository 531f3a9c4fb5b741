//! Point reads of accounts in a state of 1,000,000 on disk, on one core, and what holding that state takes. One JSON
//! object a line: `cargo bench -p execlayer-store --bench reads -- --json`.
//!
//! *Hot*: accounts that the read cache holds. *Through LMDB*: the cache is off and the file lies in the page cache. Both
//! read in a random order, and every answer is compared. *Memory* is what the process has for itself after accounts and
//! trie were written through a store with its default settings: mapped pages of the file belong to the system.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use execlayer_store::{Durability, Options, Store};
use state::{AccountDiff, Commit, Ledger, StateDiff, roots::trie};
use types::{Account, Address, U256, keccak256};

const ACCOUNTS: u64 = 1_000_000;
const PORTION: u64 = 50_000;

/// Accounts that are read again and again where the cache is measured, and all reads.
const HOT: u64 = 10_000;
const READS: u64 = 1_000_000;
const ROUNDS: usize = 5;

const MIB: f64 = (1 << 20) as f64;

fn row(name: &str, kind: &str, ours: f64, unit: &str, target: f64) {
    println!(r#"{{"name": "{name}", "kind": "{kind}", "ours": {ours:.1}, "unit": "{unit}", "target": {target}}}"#);
}

fn address(index: u64) -> Address {
    Address::from_word(keccak256(index.to_be_bytes()))
}

fn account(index: u64) -> Account {
    Account { nonce: index, balance: U256::from(index) << 40, ..Account::default() }
}

fn fill(folder: &Path) -> Store {
    let store = Store::open(folder, Options { durability: Durability::None, ..Options::default() }).expect("a store");
    for start in (0..ACCOUNTS).step_by(PORTION as usize) {
        let arrive = |index| {
            let change = AccountDiff { before: None, after: Some(account(index)), slots: Vec::new() };
            (address(index), change)
        };
        let mut accounts: Vec<_> = (start..start + PORTION).map(arrive).collect();
        accounts.sort_unstable_by_key(|(address, _)| *address);
        let diff = StateDiff { accounts, codes: Vec::new() };
        let nodes = trie::apply(&*store.reader().expect("a reader"), &diff).expect("a whole trie").nodes;
        store.commit(Commit { diff, nodes, ..Commit::default() }).expect("room");
    }
    store
}

/// How long `work` keeps this thread busy, as far as the system tells: what else the machine does takes no part in it.
/// Elsewhere, how long it takes.
fn busy(work: impl FnOnce()) -> f64 {
    let on_core = || {
        let told = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
        told.split(' ').next()?.parse().ok().map(Duration::from_nanos)
    };
    let (begun, before) = (Instant::now(), on_core());
    work();
    let spent = before.and_then(|before| Some(on_core()? - before));
    spent.unwrap_or_else(|| begun.elapsed()).as_secs_f64()
}

/// Reads a second, on this thread.
fn reads(store: &Store, among: u64) -> f64 {
    // A linear congruence modulo a power of two visits all of them, in no order.
    let pick = |read: u64| read.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407) >> 20;
    let wanted: Vec<_> = (0..READS).map(|read| pick(read) % among).map(|index| (address(index), index)).collect();
    let reader = store.reader().expect("a reader");
    let mut best = f64::MAX;
    for _ in 0..=ROUNDS {
        best = best.min(busy(|| {
            for (address, index) in &wanted {
                let found = reader.account(address).expect("a readable store").expect("an account");
                assert_eq!(found.nonce, *index);
            }
        }));
    }
    READS as f64 / best
}

/// Memory of this process that no other has and no file holds; None where the system does not tell.
fn private_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
}

fn main() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = fill(folder.path());
    if let Some(bytes) = private_bytes() {
        row("private memory after 1,000,000 accounts were written", "at_most", bytes as f64 / MIB, "MiB", 1024.0);
    }
    row("point reads, hot", "at_least", reads(&store, HOT), "a second", 2e6);
    drop(store);
    let uncached = Options { read_cache_bytes: 0, ..Options::default() };
    let store = Store::open(folder.path(), uncached).expect("a store");
    row("point reads through LMDB", "at_least", reads(&store, ACCOUNTS), "a second", 3e5);
}

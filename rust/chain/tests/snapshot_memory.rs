//! How much memory a snapshot takes, in a process of its own: the system counts that of all tests together.
#![cfg(target_os = "linux")]

use std::sync::Arc;

use evm::{ChainSpec, Fork};
use execlayer_chain::{BlockRef, Chain, Genesis, GenesisAccount, Options, SnapshotSummary};
use store::Store;
use types::{Address, U256};

/// Private memory of this process in MiB, as the system counts it.
fn private_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

#[test]
fn memory_stays_bounded_whatever_the_size_of_the_state() {
    const MANY: u64 = 100_000;
    let alloc = (0..MANY).map(|number| {
        let address = Address::from_word(types::keccak256(number.to_be_bytes()));
        (address, GenesisAccount { balance: U256::from(number + 1), ..GenesisAccount::default() })
    });
    let genesis = Genesis::new(ChainSpec::at(7, Fork::Cancun), 30_000_000, alloc.collect());
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let small = store::Options { read_cache_bytes: 1 << 20, ..store::Options::default() };
    let open = |index: usize| Arc::new(Store::open(folders[index].path(), small).unwrap());
    let file = folders[0].path().join("state.snapshot");
    let chain = Chain::open(open(0), genesis.clone(), Options::default()).unwrap();

    // The first part's worth is the base: what comes after it must not add up.
    let (mut first, mut most) = (None, 0);
    let mut watch = |_: &SnapshotSummary| {
        let now = private_mib();
        most = most.max(now.saturating_sub(*first.get_or_insert(now)));
        true
    };
    let mut out = std::io::BufWriter::new(std::fs::File::create(&file).unwrap());
    chain.snapshot(BlockRef::Latest, &mut out, &mut watch).unwrap();
    drop(out);
    let mut input = std::io::BufReader::new(std::fs::File::open(&file).unwrap());
    let second = Chain::restore(open(1), genesis, Options::default(), &mut input, None, &mut watch).unwrap();
    assert_eq!(second.head().id, chain.head().id);
    assert!(most < 64, "{most} MiB more than at the beginning");
}

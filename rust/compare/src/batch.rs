//! A batch of raw transactions, from bytes to a sealed block, without Python: the other side of
//! `asv_bench/promises/scripting.py`, which writes both files and does the same through the Python package.

use std::{fs, path::Path, sync::Arc, time::Duration};

use chain::{Chain, Genesis, MineOptions, Options, Store, Submission, types::Bytes};

use crate::row::timed;

/// Rounds; the least time counts, as on the other side.
const ROUNDS: usize = 7;

/// Prints the seconds that mining takes, and the state root that came of it.
pub fn rows(folder: &Path) {
    let genesis = fs::read_to_string(folder.join("genesis.json")).expect("a genesis");
    let lines = fs::read_to_string(folder.join("transactions.hex")).expect("a file of transactions");
    let raw: Vec<Bytes> = lines.lines().map(|line| line.parse().expect("hex")).collect();
    let mut least = Duration::MAX;
    let mut root = None;
    for _ in 0..ROUNDS {
        let genesis = Genesis::from_json(&genesis).expect("a genesis");
        let chain = Chain::open(Arc::new(Store::memory()), genesis, Options::default()).expect("a chain");
        let (time, mined) = timed(|| {
            let batch = raw.iter().map(|raw| Submission::Raw(raw.clone())).collect();
            chain.mine_batch(batch, MineOptions::at(1)).expect("a block")
        });
        assert_eq!(mined.block.receipts.len(), raw.len());
        least = least.min(time);
        root = Some(mined.block.header.state_root);
    }
    println!(r#"{{"seconds": {}, "state_root": "{}"}}"#, least.as_secs_f64(), root.expect("at least one round"));
}

//! Difficulty against the public vectors, those of each fork and the older ones of whole networks.

use std::collections::BTreeMap;

use exec::suite::words::Quantity;
use serde::Deserialize;
use serde_json::Value;
use types::{B256, Header};

use evm::{Activation, ChainSpec, Fork};

use super::{NO_OMMERS_HASH, difficulty};
use crate::{blocktest::Network, fixtures};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    parent_timestamp: Quantity,
    parent_difficulty: Quantity,
    parent_uncles: Quantity,
    current_timestamp: Quantity,
    current_block_number: Quantity,
    current_difficulty: Quantity,
}

#[test]
fn difficulty_is_that_of_the_public_vectors_at_every_fork() {
    let Some(fixtures) = fixtures::Fixtures::find() else { return };
    let mut count = 0;
    for (file, text) in fixtures.files("primitives", |name| name.contains("/DifficultyTests/")) {
        let tests: BTreeMap<String, BTreeMap<String, Value>> = serde_json::from_slice(&text).unwrap();
        for (fork, cases) in tests.values().flatten().filter(|(name, _)| *name != "_info") {
            let spec = fork.parse::<Network>().unwrap().spec(1, |_| None);
            for (name, case) in cases.as_object().unwrap() {
                let case = Case::deserialize(case).unwrap();
                let number = case.current_block_number.u64();
                let has_uncles = !case.parent_uncles.0.is_zero();
                let parent = Header {
                    number: number - 1,
                    timestamp: case.parent_timestamp.u64(),
                    difficulty: case.parent_difficulty.0,
                    ommers_hash: if has_uncles { B256::ZERO } else { NO_OMMERS_HASH },
                    ..Header::default()
                };
                let timestamp = case.current_timestamp.u64();
                let found = difficulty(timestamp, &parent, &spec, &spec.rules(number, timestamp));
                assert_eq!(found, case.current_difficulty.0, "{file} {fork} {name}");
                count += 1;
            }
        }
    }
    assert!(count >= 18_598, "only {count} cases");
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OldCase {
    parent_timestamp: Quantity,
    parent_difficulty: Quantity,
    /// Hash of the parent's ommers.
    parent_uncles: Option<B256>,
    current_timestamp: Quantity,
    current_block_number: Quantity,
    current_difficulty: Quantity,
}

/// The forks after the first, and the blocks with which they began.
fn network(later: &[(Fork, u64)]) -> ChainSpec {
    let forks = [(Fork::Frontier, 0)].iter().chain(later);
    let forks = forks.map(|(fork, block)| (*fork, Activation::Block(*block))).collect();
    ChainSpec { forks, ..ChainSpec::at(1, Fork::Frontier) }
}

#[test]
fn difficulty_is_that_of_whole_networks_in_the_older_vectors() {
    let Some(fixtures) = fixtures::Fixtures::find() else { return };
    let mainnet = || network(&[(Fork::Homestead, 1_150_000), (Fork::Byzantium, 4_370_000)]);
    let ropsten = [(Fork::Homestead, 0), (Fork::Byzantium, 1_700_000), (Fork::Constantinople, 4_230_000)];
    let files = [
        ("difficulty.json", 14, mainnet()),
        ("difficultyMainNetwork.json", 2_254, mainnet()),
        ("difficultyCustomMainNetwork.json", 360, mainnet()),
        ("difficultyRopsten.json", 2_254, network(&ropsten)),
        ("difficultyCustomHomestead.json", 120, network(&[(Fork::Homestead, 0)])),
    ];
    for (file, least, spec) in files {
        let text = fixtures.file("primitives", &format!("BasicTests/{file}"));
        let cases: BTreeMap<String, OldCase> = serde_json::from_slice(&text).unwrap();
        assert!(cases.len() >= least, "{file}: {} cases", cases.len());
        for (name, case) in cases {
            let number = case.current_block_number.u64();
            let parent = Header {
                number: number - 1,
                timestamp: case.parent_timestamp.u64(),
                difficulty: case.parent_difficulty.0,
                ommers_hash: case.parent_uncles.unwrap_or(NO_OMMERS_HASH),
                ..Header::default()
            };
            let timestamp = case.current_timestamp.u64();
            let found = difficulty(timestamp, &parent, &spec, &spec.rules(number, timestamp));
            assert_eq!(found, case.current_difficulty.0, "{file} {name} at {number}");
        }
    }
}

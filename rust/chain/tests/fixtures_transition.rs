//! The transition tool against the public blockchain tests: each valid block of a chain, from nothing but its inputs and
//! what is known of the block before, has to come out as its header says. The accounts go from block to block as JSON.

use evm::Fork;
use execlayer_chain::transition::{Input, transition};
use serde_json::{Map, Value, json};
use types::{Block, Bytes, Header};

#[path = "../../exec/tests/fixtures/mod.rs"]
mod fixtures;

const ARCHIVES: [&str; 4] = ["blockchain-frontier-to-cancun", "blockchain-cancun", "spec-prague", "spec-osaka"];

#[test]
fn blocks_come_out_of_a_transition_as_their_headers_say() {
    let Some(fixtures) = fixtures::Fixtures::find() else { return };
    // All of them go through the chain; here a sample tells.
    let fixtures = fixtures.sampled();
    let mut blocks = 0;
    for archive in ARCHIVES {
        for (path, json) in fixtures.files(archive, fixtures.wanted(|name| !name.contains("/state_tests/"))) {
            // Blocks of 8 MiB take their time as JSON.
            if json.len() > 4 << 20 {
                continue;
            }
            let tests: Map<String, Value> = serde_json::from_slice(&json).expect("tests by name");
            for (name, test) in &tests {
                blocks += run(test).unwrap_or_else(|reason| panic!("{path} {name}: {reason}"));
            }
        }
    }
    eprintln!("{blocks} blocks");
    assert!(blocks > 150, "only {blocks} blocks ran");
}

fn bytes(value: &Value) -> Bytes {
    value.as_str().expect("hexadecimal text").parse().expect("hexadecimal text")
}

/// How many of the chain's blocks ran.
fn run(test: &Value) -> Result<usize, String> {
    let network = test["network"].as_str().expect("a network");
    let Ok(fork) = network.parse::<Fork>() else { return Ok(0) };
    let first: Block = alloy_rlp::decode_exact(bytes(&test["genesisRLP"])).expect("a block");
    let mut parent = first.header;
    let mut hashes = Map::new();
    hashes.insert("0x0".to_owned(), json!(parent.hash_slow()));
    let mut alloc = test["pre"].clone();
    let mut ran = 0;
    for block in test["blocks"].as_array().expect("blocks") {
        if block.as_object().is_some_and(|block| block.keys().any(|key| key.starts_with("expectException"))) {
            continue;
        }
        let block: Block = alloy_rlp::decode_exact(bytes(&block["rlp"])).expect("a block");
        // Side branches are a chain's affair.
        if block.header.parent_hash != parent.hash_slow() {
            continue;
        }
        let env = env(&block, &parent, &hashes);
        let txs = json!(Bytes::from(alloy_rlp::encode(&block.body.transactions)));
        let blobs = &test["config"]["blobSchedule"][network];
        let blobs = blobs.is_object().then(|| blobs.to_string());
        let texts = [&alloc, &env, &txs].map(ToString::to_string);
        let [alloc_text, env_text, txs_text] = texts.each_ref().map(|text| text.as_bytes());
        let input = Input {
            fork: network,
            chain_id: 1,
            reward: reward(fork),
            alloc: alloc_text,
            env: env_text,
            txs: txs_text,
            blob_params: blobs.as_ref().map(String::as_bytes),
        };
        let out = transition(&input, None).map_err(|error| error.to_string())?;
        compare(&block.header, &out.result).map_err(|reason| format!("block {}: {reason}", block.header.number))?;
        assert_eq!(json!(out.body), txs, "the body goes out as it came in");
        alloc = out.alloc;
        hashes.insert(format!("{:#x}", block.header.number), json!(block.header.hash_slow()));
        parent = block.header;
        ran += 1;
    }
    Ok(ran)
}

fn reward(fork: Fork) -> Option<u128> {
    let ethers = match fork {
        fork if fork >= Fork::Paris => return None,
        fork if fork >= Fork::Constantinople => 2,
        fork if fork >= Fork::Byzantium => 3,
        _ => 5,
    };
    Some(ethers * 1_000_000_000_000_000_000)
}

/// What a block is given, and of its parent what the rest follows from.
fn env(block: &Block, parent: &Header, hashes: &Map<String, Value>) -> Value {
    let header = &block.header;
    let hex = |number: u64| json!(format!("{number:#x}"));
    let ommers = block.body.ommers.iter();
    let ommers: Vec<_> =
        ommers.map(|ommer| json!({"delta": header.number - ommer.number, "address": ommer.beneficiary})).collect();
    let mut env = json!({
        "currentCoinbase": header.beneficiary,
        "currentGasLimit": hex(header.gas_limit),
        "currentNumber": header.number.to_string(),
        "currentTimestamp": header.timestamp,
        "currentRandom": header.mix_hash,
        "parentDifficulty": parent.difficulty,
        "parentTimestamp": hex(parent.timestamp),
        "parentUncleHash": parent.ommers_hash,
        "parentGasLimit": hex(parent.gas_limit),
        "parentGasUsed": hex(parent.gas_used),
        "blockHashes": hashes,
        "ommers": ommers,
    });
    let optional = [
        ("parentBaseFee", parent.base_fee_per_gas),
        ("parentExcessBlobGas", parent.excess_blob_gas),
        ("parentBlobGasUsed", parent.blob_gas_used),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            env[name] = hex(value);
        }
    }
    if let Some(root) = header.parent_beacon_block_root {
        env["parentBeaconBlockRoot"] = json!(root);
    }
    if let Some(withdrawals) = &block.body.withdrawals {
        env["withdrawals"] = json!(withdrawals);
    }
    env
}

fn compare(header: &Header, result: &Value) -> Result<(), String> {
    let hex = |number: u64| json!(format!("{number:#x}"));
    let mut wanted = vec![
        ("stateRoot", json!(header.state_root)),
        ("txRoot", json!(header.transactions_root)),
        ("receiptsRoot", json!(header.receipts_root)),
        ("logsBloom", json!(header.logs_bloom)),
        ("gasUsed", hex(header.gas_used)),
    ];
    if !header.difficulty.is_zero() {
        wanted.push(("currentDifficulty", json!(header.difficulty)));
    }
    wanted.extend(header.base_fee_per_gas.map(|fee| ("currentBaseFee", hex(fee))));
    wanted.extend(header.withdrawals_root.map(|root| ("withdrawalsRoot", json!(root))));
    wanted.extend(header.excess_blob_gas.map(|gas| ("currentExcessBlobGas", hex(gas))));
    wanted.extend(header.blob_gas_used.map(|gas| ("blobGasUsed", hex(gas))));
    wanted.extend(header.requests_hash.map(|hash| ("requestsHash", json!(hash))));
    match wanted.iter().find(|(name, value)| result[name] != *value) {
        Some((name, value)) => Err(format!("{name} is {}, should be {value}", result[name])),
        None if result["rejected"] == json!([]) => Ok(()),
        None => Err(format!("rejected: {}", result["rejected"])),
    }
}

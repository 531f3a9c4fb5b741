//! The valid blocks of the public blockchain tests, executed one after the other without a chain around them: gas,
//! receipts, requests and state root must be those of the header. What a chain refuses is tested where chains are.

use alloy_eips::eip2718::Encodable2718;
use evm::{BlobParameters, BlockEnv, ChainSpec, Fork, Rules, precompiles};
use execlayer_exec::{Mode, execute};
use rayon::prelude::*;
use serde_json::Value;
use state::{
    MemoryState,
    roots::{ordered_root, state_root},
};
use types::{Address, B256, Block, Bytes, Header, Recovered, U256};

mod fixtures;

const ARCHIVES: [&str; 4] = ["blockchain-cancun", "blockchain-frontier-to-cancun", "spec-prague", "spec-osaka"];

#[test]
fn blocks_come_out_as_their_headers_say() {
    let Some(fixtures) = fixtures::Fixtures::find() else { return };
    for archive in ARCHIVES {
        let files = fixtures.files(archive, |name| !name.contains("/state_tests/"));
        let results: Vec<Result<usize, String>> = files
            .iter()
            .par_bridge()
            .flat_map_iter(|(path, json)| {
                let tests: Value = serde_json::from_slice(json).expect("JSON");
                let tests = tests.as_object().expect("tests by name").clone();
                tests
                    .into_iter()
                    .map(move |(name, test)| run(&test).map_err(|reason| format!("{path} {name}: {reason}")))
            })
            .collect();
        let failures: Vec<_> = results.iter().filter_map(|result| result.as_ref().err()).collect();
        let blocks: usize = results.iter().filter_map(|result| result.as_ref().ok()).sum();
        eprintln!("{archive}: {} chains, {blocks} blocks, {} failed", results.len(), failures.len());
        assert!(blocks > 0, "{archive}: nothing ran");
        assert!(failures.is_empty(), "{archive}: {} failed, first {}", failures.len(), failures[0]);
    }
}

fn bytes(value: &Value) -> Bytes {
    value.as_str().expect("hexadecimal text").parse().expect("hexadecimal text")
}

fn quantity(value: &Value) -> U256 {
    let digits = value.as_str().expect("a quantity").trim_start_matches("0x");
    U256::from_str_radix(if digits.is_empty() { "0" } else { digits }, 16).expect("a quantity")
}

/// Executes a chain's valid blocks; how many there were.
fn run(test: &Value) -> Result<usize, String> {
    let network = test["network"].as_str().expect("a network");
    // Chains that change their fork on the way need a chain's schedule.
    let Ok(fork) = network.parse::<Fork>() else { return Ok(0) };
    let mut rules = ChainSpec::at(1, fork).rules(1, 1);
    let blobs = &test["config"]["blobSchedule"][network];
    if blobs.is_object() {
        let field = |name: &str| quantity(&blobs[name]).to::<u64>();
        let update_fraction = field("baseFeeUpdateFraction");
        rules.blobs = BlobParameters { target: field("target"), max: field("max"), update_fraction };
    }
    let mut state = MemoryState::default();
    for (address, account) in test["pre"].as_object().expect("accounts") {
        let address: Address = address.parse().expect("an address");
        let nonce = quantity(&account["nonce"]).to();
        state.insert(address, nonce, quantity(&account["balance"]), bytes(&account["code"]));
        for (slot, value) in account["storage"].as_object().expect("slots") {
            state.set_storage(address, quantity(&Value::from(slot.as_str())), quantity(value));
        }
    }
    let genesis = &test["genesisBlockHeader"];
    let mut head: B256 = genesis["hash"].as_str().expect("a hash").parse().expect("a hash");
    state.block_hashes.insert(0, head);
    let mut executed = 0;
    for block in test["blocks"].as_array().expect("blocks") {
        let refused = block.as_object().is_some_and(|block| block.keys().any(|key| key.starts_with("expectException")));
        let Some(Ok(block)) = (!refused).then(|| alloy_rlp::decode_exact::<Block>(&bytes(&block["rlp"]))) else {
            continue;
        };
        // Side branches are a chain's affair.
        if block.header.parent_hash == head {
            head = block.header.hash_slow();
            execute_block(&rules, &block, &mut state).map_err(|reason| format!("block {executed}: {reason}"))?;
            state.block_hashes.insert(block.header.number, head);
            executed += 1;
        }
    }
    Ok(executed)
}

fn execute_block(rules: &Rules, block: &Block, state: &mut MemoryState) -> Result<(), String> {
    let header = &block.header;
    let senders = block.body.transactions.iter().map(|tx| Ok(Recovered::new(tx.clone(), tx.recover()?)));
    let senders = senders.collect::<Result<Vec<_>, types::RecoverError>>().map_err(|error| error.to_string())?;
    let withdrawals = block.body.withdrawals.clone().unwrap_or_default();
    let outcome = execute(rules, &environment(block), &senders, &withdrawals, state, Mode::default())
        .map_err(|error| error.to_string())?;
    if outcome.gas_used != header.gas_used {
        return Err(format!("gas {}, should be {}", outcome.gas_used, header.gas_used));
    }
    if rules.has(Fork::Byzantium) {
        let receipts = outcome.receipts.iter().map(Encodable2718::encoded_2718);
        if ordered_root(receipts) != header.receipts_root {
            return Err("receipts root differs".to_owned());
        }
    }
    if let Some(expected) = header.requests_hash {
        let digests: Vec<u8> = outcome.requests.iter().flat_map(|request| sha256(request)).collect();
        if sha256(&digests) != expected.0 {
            return Err(format!("requests differ: {:?}", outcome.requests));
        }
    }
    state.apply(&outcome.diff);
    let root = state_root(state);
    if root == header.state_root { Ok(()) } else { Err(format!("state root {root}, should be {}", header.state_root)) }
}

fn environment(block: &Block) -> BlockEnv {
    let header = &block.header;
    BlockEnv {
        number: header.number,
        timestamp: header.timestamp,
        beneficiary: header.beneficiary,
        gas_limit: header.gas_limit,
        base_fee: header.base_fee_per_gas,
        difficulty: header.difficulty,
        prev_randao: header.mix_hash,
        excess_blob_gas: header.excess_blob_gas,
        blob_base_fee: None,
        parent_hash: header.parent_hash,
        parent_beacon_root: header.parent_beacon_block_root,
        ommers: block.body.ommers.iter().map(|ommer: &Header| (ommer.beneficiary, ommer.number)).collect(),
    }
}

fn sha256(input: &[u8]) -> [u8; 32] {
    let rules = ChainSpec::at(1, Fork::Frontier).rules(0, 0);
    match precompiles::run(&rules, &Address::with_last_byte(2), &Bytes::copy_from_slice(input), u64::MAX) {
        Ok(Some(precompiles::Answer::Success { output, .. })) => output[..].try_into().expect("32 bytes"),
        other => panic!("SHA-256 gave {other:?}"),
    }
}

//! The public VM tests: one message each, at Homestead's prices, no value moved and no transaction around it.

use std::collections::BTreeMap;

use execlayer_evm::{
    BlockEnv, ChainSpec, Fork,
    frame::{Kind, Machine, Message, Status, run},
};
use serde_json::Value;
use state::{EmptyAccounts, MemoryState, Overlay};
use types::{Address, B256, Bytes, U256, keccak256};

#[path = "../../exec/tests/fixtures/mod.rs"]
mod fixtures;

/// Tests that the archive is known to hold.
const FLOOR: usize = 600;

#[test]
fn vm_tests_come_out_as_all_clients_agreed() {
    let Some(fixtures) = fixtures::Fixtures::find() else { return };
    let wanted = |name: &str| name.contains("/VMTests/") && name.ends_with(".json");
    let mut count = 0;
    let mut failures = Vec::new();
    for (path, json) in fixtures.files("state-frontier-to-constantinople", wanted) {
        let tests: BTreeMap<String, Value> = serde_json::from_slice(&json).expect("JSON");
        for (name, test) in tests {
            count += 1;
            if let Err(difference) = check(&test) {
                failures.push(format!("{path} {name}: {difference}"));
            }
        }
    }
    assert!(failures.is_empty(), "{} of {count} failed:\n{}", failures.len(), failures.join("\n"));
    assert!(count >= FLOOR, "only {count} tests ran");
}

fn check(test: &Value) -> Result<(), String> {
    let pre = accounts(&test["pre"]);
    let (env, exec) = (&test["env"], &test["exec"]);
    let block = BlockEnv {
        number: number(&env["currentNumber"]).to(),
        timestamp: number(&env["currentTimestamp"]).to(),
        beneficiary: address(&env["currentCoinbase"]),
        gas_limit: number(&env["currentGasLimit"]).to(),
        difficulty: number(&env["currentDifficulty"]),
        ..BlockEnv::default()
    };
    let mut world = pre.clone();
    for back in 1..=block.number.min(256) {
        let past = block.number - back;
        world.block_hashes.insert(past, keccak256(past.to_string()));
    }
    let rules = ChainSpec::at(1, Fork::Homestead).rules(block.number, block.timestamp);
    let mut overlay = Overlay::new(&world);
    overlay.begin();
    let mut machine = Machine {
        rules: &rules,
        block: &block,
        overlay: &mut overlay,
        origin: address(&exec["origin"]),
        gas_price: number(&exec["gasPrice"]),
        blob_hashes: &[],
        tracer: None,
    };
    let target = address(&exec["address"]);
    let message = Message {
        kind: Kind::DelegateCall,
        is_static: false,
        caller: address(&exec["caller"]),
        target,
        code_from: target,
        value: number(&exec["value"]),
        input: bytes(&exec["data"]),
        gas: number(&exec["gas"]).to(),
    };
    let result = run(&mut machine, message).expect("memory can be read");
    let succeeded = result.status == Status::Success;
    let Some(gas) = test.get("gas") else {
        return if succeeded { Err("succeeded".into()) } else { Ok(()) };
    };
    if !succeeded {
        return Err(format!("{:?}", result.status));
    }
    if U256::from(result.gas_left) != number(gas) {
        return Err(format!("{} gas left, not {}", result.gas_left, number(gas)));
    }
    if result.output != bytes(&test["out"]) {
        return Err(format!("output {}", result.output));
    }
    let mut logs = Vec::new();
    alloy_rlp::encode_list(overlay.logs(), &mut logs);
    if B256::from(number(&test["logs"])) != keccak256(logs) {
        return Err("logs differ".into());
    }
    overlay.settle(EmptyAccounts::Stay).expect("memory can be read");
    let mut after = pre;
    after.apply(&overlay.diff());
    let expected = accounts(&test["post"]);
    if (&after.accounts, &after.storage) != (&expected.accounts, &expected.storage) {
        return Err("state differs".into());
    }
    Ok(())
}

fn number(value: &Value) -> U256 {
    U256::from_str_radix(text(value), 16).expect("a number")
}

fn address(value: &Value) -> Address {
    Address::from_word(number(value).into())
}

fn bytes(value: &Value) -> Bytes {
    text(value).parse().expect("bytes")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("text").trim_start_matches("0x")
}

fn accounts(value: &Value) -> MemoryState {
    let mut state = MemoryState::default();
    for (address, account) in value.as_object().expect("accounts") {
        let address: Address = address.parse().expect("an address");
        let (nonce, balance) = (number(&account["nonce"]), number(&account["balance"]));
        state.insert(address, nonce.to(), balance, bytes(&account["code"]));
        for (slot, held) in account["storage"].as_object().expect("slots") {
            let slot = U256::from_str_radix(slot.trim_start_matches("0x"), 16).expect("a slot");
            state.set_storage(address, slot, number(held));
        }
    }
    state
}

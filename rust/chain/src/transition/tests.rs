use serde_json::json;
use types::{Key, keccak256};

use super::*;

const SECRET: &str = "0x4646464646464646464646464646464646464646464646464646464646464646";
const BOB: &str = "0x3535353535353535353535353535353535353535";
const KEEPER: &str = "0x00000000000000000000000000000000000000cc";

fn alice() -> String {
    format!("{:#x}", Key::from_bytes(&SECRET.parse().unwrap()).unwrap().address())
}

fn alloc() -> Value {
    json!({
        alice(): {"balance": "0xde0b6b3a7640000"},
        // Keeps in slot 1 the hash of the block before: SSTORE(1, BLOCKHASH(NUMBER - 1)), and an empty log.
        KEEPER: {"balance": "0", "code": "0x600143034060015560006000a000"},
    })
}

fn env() -> Value {
    json!({
        "currentCoinbase": "0xaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "currentGasLimit": "0x1000000",
        "currentNumber": "7",
        "currentTimestamp": "1000",
        "currentRandom": "0x0",
        "currentDifficulty": "0x20000",
        "currentBaseFee": "7",
        "currentExcessBlobGas": "0",
        "withdrawals": [],
        "blockHashes": {"6": keccak256("six")},
    })
}

fn send(nonce: u64, to: &str) -> Value {
    json!({
        "gas": "0x186a0", "gasPrice": "0xa", "nonce": format!("{nonce:#x}"), "to": to, "value": "0x1",
        "v": "0x0", "r": "0x0", "s": "0x0", "secretKey": SECRET,
    })
}

fn with(fork: &str, reward: Option<u128>, env: &Value, txs: &Value) -> Result<Transition, TransitionError> {
    let (alloc, env, txs) = (alloc().to_string(), env.to_string(), txs.to_string());
    let [alloc, env, txs] = [&alloc, &env, &txs].map(|text| text.as_bytes());
    transition(&Input { fork, chain_id: 1, reward, alloc, env, txs, blob_params: None }, None)
}

#[test]
fn transactions_stand_in_the_block_or_are_told_with_their_reason() {
    let own = json!({"gas": "0x5208", "type": "0x9"});
    let txs = json!([send(0, BOB), send(0, BOB), own, send(1, KEEPER)]);
    let out = with("London", None, &env(), &txs).unwrap();
    let rejected = out.result["rejected"].as_array().unwrap();
    assert_eq!(rejected.iter().map(|one| one["index"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2]);
    assert!(rejected[0]["error"].as_str().unwrap().contains("nonce too low"));
    assert!(rejected[1]["error"].as_str().unwrap().contains("transaction type not supported"));
    let receipts = out.result["receipts"].as_array().unwrap();
    assert_eq!(receipts.len(), 2);
    assert_eq!((&receipts[0]["status"], &receipts[0]["gasUsed"]), (&json!("0x1"), &json!("0x5208")));
    assert_eq!(receipts[1]["logs"].as_array().unwrap().len(), 1);
    assert_eq!(out.alloc[BOB]["balance"], json!("0x1"));
    let slot = B256::with_last_byte(1).to_string();
    assert_eq!(out.alloc[KEEPER]["storage"][slot], json!(keccak256("six")));
    // What went out as RLP gives the same when it comes in.
    let again = with("London", None, &env(), &json!(out.body)).unwrap();
    for field in ["stateRoot", "txRoot", "receiptsRoot", "logsHash"] {
        assert_eq!(again.result[field], out.result[field], "{field}");
    }
}

#[test]
fn the_reward_is_what_is_said_and_none_touches_nobody() {
    let with = |reward| {
        let mut env = env();
        env["ommers"] = json!([{"delta": 1, "address": BOB}, {"delta": "2", "address": KEEPER}]);
        with("Frontier", reward, &env, &json!([])).unwrap().alloc
    };
    let miner = "0xaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    let eighths = with(Some(0x80));
    let [mine, first, second] = [miner, BOB, KEEPER].map(|address| eighths[address]["balance"].clone());
    assert_eq!((mine, first, second), (json!("0x88"), json!("0x70"), json!("0x60")));
    assert_eq!(with(Some(0))[miner], json!({"balance": "0x0"}));
    assert_eq!(with(None).get(miner), None);
}

#[test]
fn what_the_environment_leaves_out_is_named() {
    for (fork, left_out) in [
        ("Berlin", "currentDifficulty"),
        ("London", "currentBaseFee"),
        ("Paris", "currentRandom"),
        ("Shanghai", "withdrawals"),
    ] {
        let mut env = env();
        env.as_object_mut().unwrap().remove(left_out);
        let error = with(fork, None, &env, &json!([])).unwrap_err();
        assert!(matches!(error, TransitionError::Missing { field, .. } if field == left_out), "{error}");
    }
    assert!(matches!(with("Olympic", None, &env(), &json!([])), Err(TransitionError::Network(_))));
}

#[test]
fn a_block_hash_that_was_not_given_ends_it() {
    let mut env = env();
    env["blockHashes"] = json!({});
    let error = with("London", None, &env, &json!([send(0, KEEPER)])).unwrap_err();
    assert_eq!(error, TransitionError::BlockHash { number: 6 });
    assert!(with("London", None, &env, &json!([send(0, BOB)])).is_ok(), "nobody asked");
}

#[test]
fn requests_that_cannot_be_gathered_are_told_with_the_block() {
    let out = with("Prague", None, &env(), &json!([send(0, BOB)])).unwrap();
    assert!(out.result["blockException"].as_str().unwrap().contains("missing"));
    assert_eq!((&out.result["requests"], &out.alloc[BOB]["balance"]), (&json!([]), &json!("0x1")));
}

#[test]
fn inputs_that_are_something_else_are_refused_by_name() {
    let good = (alloc().to_string(), env().to_string(), "[]".to_owned());
    let with = |alloc: &str, env: &str, txs: &str| {
        let [alloc, env, txs] = [alloc, env, txs].map(str::as_bytes);
        let input = Input { fork: "London", chain_id: 1, reward: None, alloc, env, txs, blob_params: None };
        transition(&input, None).unwrap_err()
    };
    for wrong in ["", "7", "\"0x\"", "{\"0x12\": {}}", "[", "\u{0}\u{1}"] {
        assert!(matches!(with(wrong, &good.1, &good.2), TransitionError::Malformed { input: "alloc", .. }), "{wrong}");
    }
    assert!(matches!(with(&good.0, "{}", &good.2), TransitionError::Malformed { input: "env", .. }));
    for wrong in ["7", "{}", "[7]", r#"[{"gas": "lots"}]"#, "\"0xzz\""] {
        assert!(matches!(with(&good.0, &good.1, wrong), TransitionError::Malformed { input: "txs", .. }), "{wrong}");
    }
    assert!(matches!(with(&good.0, &good.1, "\"0xc1c0c0\""), TransitionError::Body { .. }));
}

#[test]
fn a_trace_has_a_line_for_each_step_and_one_for_the_end() {
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);
    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let written = Shared::default();
    let mut opened = Vec::new();
    let mut open = |index, hash| -> io::Result<Box<dyn Write>> {
        opened.push((index, hash));
        Ok(Box::new(written.clone()))
    };
    let (alloc, env, txs) =
        (alloc().to_string(), env().to_string(), json!([send(5, BOB), send(0, KEEPER)]).to_string());
    let [alloc, env, txs] = [&alloc, &env, &txs].map(|text| text.as_bytes());
    let input = Input { fork: "Shanghai", chain_id: 1, reward: None, alloc, env, txs, blob_params: None };
    let out = transition(&input, Some((&mut open, Shown::default()))).unwrap();
    assert_eq!(opened.len(), 1, "a refused transaction has no trace");
    assert_eq!(json!(opened[0].1), out.result["receipts"][0]["transactionHash"]);
    let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<_> = lines.iter().filter_map(|line| line["opName"].as_str()).collect();
    assert_eq!(names.len(), 10, "{names:?}");
    assert_eq!((names[0], names[names.len() - 1]), ("PUSH1", "STOP"));
    let end = &lines[lines.len() - 1];
    assert_eq!((&end["pass"], &end["gasUsed"]), (&json!(true), &out.result["gasUsed"]));
}

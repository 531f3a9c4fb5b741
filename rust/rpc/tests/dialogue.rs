//! Requests and their answers, as a client of a devnet has them.

use std::sync::Arc;

use chain::{
    Chain, Genesis, Options, dev_key,
    state::roots::proof,
    store::Store,
    types::{Address, B256, Bytes, Signature, Transaction, TxKind, U256, tx::TxEip1559},
};
use execlayer_rpc::{Development, Limits, Server};
use proptest::prelude::*;
use serde_json::{Value, json};

const BOB: &str = "0x00000000000000000000000000000000000000b0";

fn server() -> Server {
    let chain = Chain::open(Arc::new(Store::memory()), Genesis::dev([]), Options::default()).unwrap();
    let keys = (0..10).map(dev_key).collect();
    Server::for_development(chain, Limits::default(), Development::new(keys, true))
}

fn ask(server: &Server, method: &str, params: Value) -> Value {
    let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    let answer: Value = serde_json::from_slice(&server.handle(request.to_string().as_bytes())).unwrap();
    assert_eq!(answer["id"], 1);
    answer
}

fn result(server: &Server, method: &str, params: Value) -> Value {
    let answer = ask(server, method, params);
    assert!(answer.get("error").is_none(), "{method}: {answer}");
    answer["result"].clone()
}

fn error(server: &Server, method: &str, params: Value) -> (i64, String) {
    let answer = ask(server, method, params);
    (answer["error"]["code"].as_i64().unwrap(), answer["error"]["message"].as_str().unwrap().to_owned())
}

fn signed(nonce: u64, input: &'static [u8], to: TxKind) -> Bytes {
    let unsigned = TxEip1559 {
        chain_id: 31_337,
        nonce,
        gas_limit: 100_000,
        max_fee_per_gas: 10_000_000_000,
        max_priority_fee_per_gas: 1_000_000_000,
        to,
        value: U256::from(5),
        input: Bytes::from_static(input),
        ..TxEip1559::default()
    };
    Transaction::sign(unsigned, &dev_key(0)).to_bytes()
}

fn bob() -> TxKind {
    TxKind::Call(BOB.parse::<Address>().unwrap())
}

#[test]
fn a_transfer_is_sent_mined_and_looked_up() {
    let server = server();
    assert_eq!(result(&server, "eth_chainId", json!([])), "0x7a69");
    assert_eq!(result(&server, "net_version", json!([])), "31337");
    let hash = result(&server, "eth_sendRawTransaction", json!([signed(0, &[], bob())]));
    assert_eq!(result(&server, "eth_blockNumber", json!([])), "0x1");
    assert_eq!(result(&server, "eth_getBalance", json!([BOB, "latest"])), "0x5");
    assert_eq!(result(&server, "eth_getBalance", json!([BOB, "0x0"])), "0x0");
    let receipt = result(&server, "eth_getTransactionReceipt", json!([hash]));
    assert_eq!((&receipt["status"], &receipt["gasUsed"]), (&json!("0x1"), &json!("0x5208")));
    let found = result(&server, "eth_getTransactionByHash", json!([hash]));
    assert_eq!((&found["blockNumber"], &found["value"]), (&json!("0x1"), &json!("0x5")));
    let block = result(&server, "eth_getBlockByNumber", json!(["latest", false]));
    assert_eq!(block["transactions"], json!([hash]));
    assert_eq!(block["hash"], receipt["blockHash"]);
    let full = result(&server, "eth_getBlockByHash", json!([block["hash"], true]));
    assert_eq!(full["transactions"][0]["hash"], hash);
    assert_eq!(result(&server, "eth_getBlockReceipts", json!(["0x1"])), json!([receipt]));
    let sender = dev_key(0).address();
    assert_eq!(result(&server, "eth_getTransactionCount", json!([sender, "latest"])), "0x1");
    assert_eq!(result(&server, "eth_getTransactionReceipt", json!([format!("0x{}", "00".repeat(32))])), Value::Null);
    let history = result(&server, "eth_feeHistory", json!(["0x2", "latest", [50.0]]));
    assert_eq!(history["baseFeePerGas"].as_array().unwrap().len(), 3);
    assert_eq!(history["reward"][1], json!(["0x3b9aca00"]));
}

#[test]
fn a_proof_holds_under_the_state_root_and_answers_keys_as_they_were_asked() {
    let server = server();
    result(&server, "eth_sendRawTransaction", json!([signed(0, &[], bob())]));
    let whole = format!("0x{:064x}", 5);
    for (address, balance) in [(BOB, "0x5"), ("0x00000000000000000000000000000000000000fe", "0x0")] {
        let proof = result(&server, "eth_getProof", json!([address, ["0x5", whole], "0x1"]));
        assert_eq!(proof["balance"], balance);
        let keys: Vec<_> = proof["storageProof"].as_array().unwrap().iter().map(|slot| &slot["key"]).collect();
        assert_eq!(keys, [&json!("0x5"), &json!(whole)]);
        let root = result(&server, "eth_getBlockByNumber", json!(["0x1", false]))["stateRoot"].clone();
        let root: B256 = serde_json::from_value(root).unwrap();
        let nodes: Vec<Bytes> = serde_json::from_value(proof["accountProof"].clone()).unwrap();
        let account = proof::verify_account(root, &address.parse().unwrap(), &nodes).unwrap();
        assert_eq!(account.map_or(U256::ZERO, |account| account.balance), balance.parse::<U256>().unwrap());
    }
    let many: Vec<_> = (0..1025).map(|slot| format!("0x{slot:x}")).collect();
    assert_eq!(
        error(&server, "eth_getProof", json!([BOB, many])),
        (-32602, "too many keys (got 1025, at most 1024)".into())
    );
    assert_eq!(error(&server, "eth_getProof", json!([BOB, [], "0x9"])), (-32000, "header not found".into()));
}

#[test]
fn totals_tell_what_a_block_burned_and_paid() {
    let server = server();
    result(&server, "eth_sendRawTransaction", json!([signed(0, &[], bob())]));
    let first = result(&server, "execlayer_totals", json!(["0x0"]));
    assert_eq!((&first["burnedSupply"], &first["feesTotal"]), (&json!("0x0"), &json!("0x0")));
    let last = result(&server, "execlayer_totals", json!([]));
    let block = result(&server, "eth_getBlockByNumber", json!(["latest", false]));
    assert_eq!((&last["number"], &last["hash"]), (&json!("0x1"), &block["hash"]));
    let wei = |value: &Value| value.as_str().unwrap().parse::<U256>().unwrap();
    assert_eq!(wei(&last["burned"]), wei(&block["baseFeePerGas"]) * wei(&block["gasUsed"]));
    assert_eq!((&last["burned"], &last["fees"]), (&last["burnedSupply"], &last["feesTotal"]));
    assert!(wei(&last["fees"]) > U256::ZERO && last["latticeHash"] != first["latticeHash"]);
    assert_eq!(error(&server, "execlayer_totals", json!(["0x2"])).0, -32000);
}

#[test]
fn the_node_signs_for_its_own_accounts_only() {
    let server = server();
    let accounts = result(&server, "eth_accounts", json!([]));
    let hash = result(&server, "eth_sendTransaction", json!([{"from": accounts[1], "to": BOB, "value": "0x7"}]));
    assert_eq!(result(&server, "eth_getTransactionReceipt", json!([hash]))["gasUsed"], "0x5208");
    assert_eq!(result(&server, "eth_getBalance", json!([BOB])), "0x7");
    assert_eq!(error(&server, "eth_sendTransaction", json!([{"from": BOB}])), (-32000, "unknown account".into()));
}

#[test]
fn calls_return_revert_and_estimate() {
    let server = server();
    // Init code that returns as code what reverts with one byte: PUSH1 1, PUSH1 0, REVERT.
    const INIT: &[u8] = &[0x64, 0x60, 1, 0x60, 0, 0xfd, 0x60, 0, 0x52, 0x60, 5, 0x60, 27, 0xf3];
    let mut creation = signed_creation(INIT);
    let receipt = {
        let hash = result(&server, "eth_sendRawTransaction", json!([std::mem::take(&mut creation)]));
        result(&server, "eth_getTransactionReceipt", json!([hash]))
    };
    assert_eq!(receipt["status"], "0x1");
    let contract = &receipt["contractAddress"];
    assert_eq!(result(&server, "eth_getCode", json!([contract, "latest"])), "0x60016000fd");
    let answer = ask(&server, "eth_call", json!([{"to": contract}, "latest"]));
    assert_eq!(answer["error"], json!({"code": 3, "message": "execution reverted", "data": "0x00"}));
    assert_eq!(error(&server, "eth_estimateGas", json!([{"to": contract}])).0, 3);
    assert_eq!(result(&server, "eth_estimateGas", json!([{"to": BOB, "value": "0x0"}])), "0x5208");
    assert_eq!(result(&server, "eth_call", json!([{"to": BOB, "data": "0x01"}, "latest"])), "0x");
    let (code, message) = error(&server, "eth_call", json!([{"to": BOB, "data": "0x01", "input": "0x02"}]));
    assert!(code == -32602 && message.contains("not equal"), "{message}");
}

fn signed_creation(init: &'static [u8]) -> Bytes {
    let unsigned = TxEip1559 {
        chain_id: 31_337,
        gas_limit: 200_000,
        max_fee_per_gas: 10_000_000_000,
        to: TxKind::Create,
        input: Bytes::from_static(init),
        ..TxEip1559::default()
    };
    Transaction::sign(unsigned, &dev_key(0)).to_bytes()
}

#[test]
fn mistakes_have_geths_codes_and_words_and_change_nothing() {
    let server = server();
    assert_eq!(error(&server, "eth_nothing", json!([])).0, -32601);
    assert_eq!(error(&server, "eth_getBalance", json!(["0x12"])).0, -32602);
    assert_eq!(error(&server, "eth_sendRawTransaction", json!(["0x02c0"])).0, -32000);
    let later = error(&server, "eth_getBalance", json!([BOB, "0x63"]));
    assert_eq!(later, (-32000, "header not found".into()));
    result(&server, "eth_sendRawTransaction", json!([signed(0, &[], bob())]));
    let (code, message) = error(&server, "eth_sendRawTransaction", json!([signed(0, &[], bob())]));
    assert!(code == -32000 && message.contains("nonce too low"), "{message}");
    let broken: Value = serde_json::from_slice(&server.handle(b"{\"jsonrpc\": ")).unwrap();
    assert_eq!(broken["error"]["code"], -32700);
    assert_eq!(result(&server, "eth_blockNumber", json!([])), "0x1");
}

#[test]
fn a_batch_is_answered_call_by_call_and_notifications_not_at_all() {
    let server = server();
    let batch = br#"[{"jsonrpc":"2.0","id":"a","method":"eth_chainId"},{"jsonrpc":"2.0","method":"eth_chainId"},
        {"jsonrpc":"2.0","id":null,"method":"nope"}]"#;
    let answer: Value = serde_json::from_slice(&server.handle(batch)).unwrap();
    assert_eq!(answer[0], json!({"jsonrpc": "2.0", "id": "a", "result": "0x7a69"}));
    assert_eq!(answer.as_array().unwrap().iter().filter(|one| one["error"]["code"] == -32601).count(), 1);
    assert_eq!(server.handle(br#"{"jsonrpc":"2.0","method":"eth_chainId"}"#), b"");
}

#[test]
fn snapshots_bring_the_chain_back_and_time_can_be_moved() {
    let server = server();
    let snapshot = result(&server, "evm_snapshot", json!([]));
    result(&server, "eth_sendRawTransaction", json!([signed(0, &[], bob())]));
    assert_eq!(result(&server, "evm_revert", json!([snapshot])), true);
    assert_eq!(result(&server, "eth_blockNumber", json!([])), "0x0");
    assert_eq!(result(&server, "evm_revert", json!([snapshot])), false);
    result(&server, "evm_mine", json!([]));
    assert_eq!(result(&server, "eth_blockNumber", json!([])), "0x1");
}

#[test]
fn a_block_of_exactly_these_transactions_can_be_asked_for() {
    let server = server();
    result(&server, "evm_setAutomine", json!([false]));
    let (first, second) = (signed(0, &[], bob()), signed(1, &[], bob()));
    let request = |transactions: Value, blocks: u64| json!([{"transactions": transactions, "blocks": blocks}]);
    for refused in [request(json!([second]), 1), request(json!([first]), 2), request(json!(["0x00"]), 1)] {
        assert_eq!(error(&server, "evm_mine", refused).0.signum(), -1);
        assert_eq!(result(&server, "eth_blockNumber", json!([])), "0x0");
    }
    result(&server, "evm_mine", request(json!([first, second]), 1));
    let block = result(&server, "eth_getBlockByNumber", json!(["0x1", true]));
    let nonces: Vec<&Value> = block["transactions"].as_array().unwrap().iter().map(|one| &one["nonce"]).collect();
    assert_eq!(nonces, ["0x0", "0x1"]);
}

proptest! {
    #[test]
    fn any_bytes_get_an_answer(bytes in prop::collection::vec(any::<u8>(), 0..200), params in ".{0,60}") {
        let server = server();
        let answer = server.handle(&bytes);
        prop_assert!(serde_json::from_slice::<Value>(&answer).is_ok());
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": "eth_call", "params": [params, params]}).to_string();
        let answer: Value = serde_json::from_slice(&server.handle(request.as_bytes())).unwrap();
        prop_assert_eq!(&answer["error"]["code"], &json!(-32602));
    }
}

#[test]
fn a_call_sees_accounts_and_block_as_it_wants_them() {
    let server = server();
    // Returns NUMBER plus slot 0.
    let code = "0x435f54015f5260205ff3";
    let slot = format!("0x{:064x}", 0);
    let accounts = json!({BOB: {"code": code, "stateDiff": {&slot: format!("0x{:064x}", 5)}}});
    let call = json!({"to": BOB});
    let answer = result(&server, "eth_call", json!([call, "latest", accounts, {"number": "0x64"}]));
    assert_eq!(answer, json!(format!("0x{:064x}", 105)));
    let gas = result(&server, "eth_estimateGas", json!([call, "latest", accounts]));
    assert!(gas.as_str().unwrap() > "0x5208", "{gas}");
    let listed = result(&server, "eth_createAccessList", json!([call, "latest", accounts]));
    assert_eq!(listed["accessList"][0]["storageKeys"], json!([slot]));
    // Without them there is nothing to run.
    assert_eq!(result(&server, "eth_call", json!([call, "latest"])), json!("0x"));
    // From an account that has code, which could not send a transaction.
    let from = json!({"to": BOB, "from": BOB});
    assert_eq!(
        result(&server, "eth_call", json!([from, "latest", accounts, {"number": "0x1"}])).as_str().unwrap().len(),
        66
    );
    let twice = json!({BOB: {"state": {}, "stateDiff": {}}});
    let (code, message) = error(&server, "eth_call", json!([call, "latest", twice]));
    assert_eq!(code, -32000);
    assert!(message.contains("has both 'state' and 'stateDiff'"), "{message}");
}

#[test]
fn raw_transactions_of_a_batch_mean_what_they_mean_one_by_one() {
    let nobody = Transaction::from_parts(TxEip1559::default(), Signature::new(U256::from(5), U256::ONE, false));
    let raw = |bytes: Bytes| json!({"method": "eth_sendRawTransaction", "params": [bytes]});
    let count = json!({"method": "eth_getTransactionCount", "params": [dev_key(0).address(), "pending"]});
    let mut calls =
        vec![raw(signed(0, &[], bob())), count.clone(), raw(signed(0, &[], bob())), raw(signed(3, &[], bob()))];
    calls.extend([raw(Bytes::from_static(b"\x02junk")), raw(nobody.to_bytes()), count.clone()]);
    calls.extend([json!({"method": "eth_sendRawTransaction", "params": ["0x0"]}), json!({"method": "eth_nothing"})]);
    // More than one piece, in the order of their nonces.
    calls.extend((1..150).map(|nonce| raw(signed(nonce, &[], bob()))));
    calls.extend([count, json!({"method": "eth_blockNumber"}), json!({"method": "eth_sendRawTransaction"})]);
    for (id, call) in calls.iter_mut().enumerate() {
        call["jsonrpc"] = json!("2.0");
        call["id"] = json!(id);
    }
    let (together, apart) = (server(), server());
    let batch: Value = serde_json::from_slice(&together.handle(json!(calls).to_string().as_bytes())).unwrap();
    let single = calls.iter().map(|call| serde_json::from_slice(&apart.handle(call.to_string().as_bytes())).unwrap());
    assert_eq!(batch, Value::Array(single.collect()));
    let [one, other] = [&together, &apart].map(|server| server.chain().head().id.number);
    assert_eq!(one, other);
    assert!(one > 100, "most of them were mined");
}

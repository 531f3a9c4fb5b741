//! What clients that can be pushed to are told of the pool.

use std::{sync::Arc, time::Duration};

use chain::{
    Chain, Genesis, Options, Submission, dev_key,
    pool::DropReason,
    store::Store,
    types::{Address, B256, Transaction, TxKind, U256, tx::TxEip1559},
};
use execlayer_rpc::{Development, Limits, Replies, Server, Session};
use serde_json::{Value, json};

fn server() -> Server {
    let chain = Chain::open(Arc::new(Store::memory()), Genesis::dev([]), Options::default()).unwrap();
    Server::for_development(chain, Limits::default(), Development::new(vec![dev_key(0)], false))
}

fn signed(sender: usize, nonce: u64, tip: u128) -> Transaction {
    let unsigned = TxEip1559 {
        chain_id: 31_337,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 100_000_000_000 + tip,
        max_priority_fee_per_gas: tip,
        to: TxKind::Call(Address::repeat_byte(0xb0)),
        value: U256::ONE,
        ..TxEip1559::default()
    };
    Transaction::sign(unsigned, &dev_key(sender))
}

fn ask(server: &Server, session: &Session, method: &str, params: Value) -> Value {
    let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    let answer = server.handle_with(request.to_string().as_bytes(), Some(session), &Replies::new());
    serde_json::from_slice(&answer).unwrap()
}

fn subscribe(server: &Server, session: &Session, params: Value) -> Value {
    ask(server, session, "eth_subscribe", params)["result"].clone()
}

/// All that a subscription is told, in order.
fn told(server: &Server, session: &Session, subscription: &Value) -> Vec<Value> {
    let messages = std::iter::from_fn(|| Some(session.notifications(server)).filter(|some| !some.is_empty()));
    let read = messages.flatten().map(|message| serde_json::from_slice::<Value>(&message).unwrap());
    let own = read.filter(|message| message["params"]["subscription"] == *subscription);
    own.map(|message| message["params"]["result"].clone()).collect()
}

fn submit(server: &Server, transaction: &Transaction) -> B256 {
    server.chain().submit(vec![Submission::Signed(transaction.clone())]).remove(0).unwrap()
}

#[test]
fn pending_transactions_are_told_when_their_turn_has_come() {
    let server = server();
    let [hashes, full] = [Session::new(&server), Session::new(&server)];
    let by_hash = subscribe(&server, &hashes, json!(["newPendingTransactions"]));
    let whole = subscribe(&server, &full, json!(["newPendingTransactions", true]));
    let behind = submit(&server, &signed(0, 1, 5));
    assert_eq!(told(&server, &hashes, &by_hash), [] as [Value; 0]);
    let first = submit(&server, &signed(0, 0, 5));
    // Nobody but who makes blocks sees a private one.
    server.chain().submit_private(vec![Submission::Signed(signed(1, 0, 5))]).remove(0).unwrap();
    assert_eq!(told(&server, &hashes, &by_hash), [json!(first), json!(behind)]);
    let objects = told(&server, &full, &whole);
    assert_eq!(objects.iter().map(|one| &one["hash"]).collect::<Vec<_>>(), [&json!(first), &json!(behind)]);
    let sender = dev_key(0).address();
    assert_eq!((&objects[1]["nonce"], &objects[1]["blockHash"]), (&json!("0x1"), &Value::Null));
    assert_eq!(objects[0]["from"].as_str().unwrap(), format!("{sender:#x}"));
    // What was dropped before anybody asked is of no use to anybody, what was mined is.
    let dropped = submit(&server, &signed(0, 2, 5));
    server.chain().drop_transaction(&dropped);
    let mined = submit(&server, &signed(2, 0, 5));
    server.mine().unwrap();
    assert_eq!(told(&server, &hashes, &by_hash), [json!(dropped), json!(mined)]);
    assert_eq!(told(&server, &full, &whole)[0]["blockNumber"], json!("0x1"));
    assert_eq!(ask(&server, &hashes, "eth_unsubscribe", json!([by_hash]))["result"], json!(true));
    submit(&server, &signed(2, 1, 5));
    assert_eq!(hashes.notifications(&server), [] as [Vec<u8>; 0]);
    let refused = ask(&server, &hashes, "eth_subscribe", json!(["newPendingTransactions", 7]));
    assert_eq!(refused["error"]["code"], json!(-32602));
}

#[test]
fn events_tell_what_becomes_of_what_waits_in_order() {
    let server = server();
    let session = Session::new(&server);
    let events = subscribe(&server, &session, json!(["poolEvents"]));
    let [behind, first, better, other] =
        [signed(0, 1, 5), signed(0, 0, 5), signed(0, 0, 20_000_000_000), signed(1, 0, 5)];
    for transaction in [&behind, &first, &better, &other] {
        submit(&server, transaction);
    }
    server.chain().drop_transaction(&other.hash());
    server.mine().unwrap();
    let told = told(&server, &session, &events);
    let seen: Vec<_> = told.iter().map(|event| (event["change"].as_str().unwrap(), event["hash"].clone())).collect();
    let of = |change, transaction: &Transaction| (change, json!(transaction.hash()));
    let expected = [
        of("added", &behind),
        of("added", &first),
        of("promoted", &behind),
        of("replaced", &first),
        of("added", &better),
        of("added", &other),
        of("dropped", &other),
        of("included", &better),
        of("included", &behind),
    ];
    assert_eq!(seen, expected);
    assert_eq!((&told[0]["standing"], &told[1]["standing"]), (&json!("queued"), &json!("pending")));
    assert_eq!((&told[3]["by"], &told[6]["reason"]), (&json!(better.hash()), &json!(DropReason::Asked.name())));
    assert_eq!((&told[0]["from"], &told[0]["nonce"]), (&json!(dev_key(0).address()), &json!("0x1")));
}

#[test]
fn whoever_waits_hears_of_the_pool_only_while_somebody_follows_it() {
    let server = server();
    let [waiting, following] = [Session::new(&server), Session::new(&server)];
    submit(&server, &signed(0, 0, 5));
    assert!(!waiting.wait(&server, Duration::ZERO));
    let subscription = subscribe(&server, &following, json!(["newPendingTransactions"]));
    submit(&server, &signed(0, 1, 5));
    assert!(waiting.wait(&server, Duration::ZERO) && !waiting.wait(&server, Duration::ZERO));
    assert_eq!(told(&server, &following, &subscription).len(), 1);
    ask(&server, &following, "eth_unsubscribe", json!([subscription]));
    submit(&server, &signed(0, 2, 5));
    assert!(!waiting.wait(&server, Duration::ZERO));
    server.mine().unwrap();
    assert!(waiting.wait(&server, Duration::ZERO));
}

#[test]
fn much_at_once_comes_in_pieces_and_nothing_is_lost() {
    let server = server();
    let session = Session::new(&server);
    let subscription = subscribe(&server, &session, json!(["newPendingTransactions"]));
    let batch = (0..2_500).map(|nonce| Submission::Signed(signed(0, nonce, 5))).collect();
    assert!(server.chain().submit(batch).iter().all(Result::is_ok));
    assert_eq!(session.notifications(&server).len(), 1_000);
    assert_eq!(told(&server, &session, &subscription).len(), 1_500);
}

//! JSON-RPC requests, framed as each endpoint wants them.
//!
//! A body is written once; the head of its HTTP request is made by whoever owns the endpoint, when it is configured, so
//! that a request costs two copies and the length's digits.

use std::fmt::Write;

use types::{B256, Key, keccak256, primitives::hex};

use crate::{config::Relay, sign::relay_signature};

/// How an endpoint wants its requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Framing {
    /// HTTP/1.1: the head up to and with `Content-Length: `. Its owner wrote it, authorisations and all.
    Http(Vec<u8>),
    /// One JSON text after the other, as over a pipe or in WebSocket messages.
    Bare,
}

impl Framing {
    /// The request's bytes.
    pub fn frame(&self, body: &[u8], signature: Option<&str>) -> Vec<u8> {
        match self {
            Self::Bare => body.to_vec(),
            Self::Http(head) => {
                let mut out = Vec::with_capacity(head.len() + body.len() + 256);
                out.extend_from_slice(head);
                out.extend_from_slice(body.len().to_string().as_bytes());
                out.extend_from_slice(b"\r\n");
                if let Some(signature) = signature {
                    out.extend_from_slice(b"X-Flashbots-Signature: ");
                    out.extend_from_slice(signature.as_bytes());
                    out.extend_from_slice(b"\r\n");
                }
                out.extend_from_slice(b"\r\n");
                out.extend_from_slice(body);
                out
            }
        }
    }

    /// The body of a request that was framed so.
    fn body<'a>(&self, request: &'a [u8]) -> &'a [u8] {
        match self {
            Self::Bare => request,
            Self::Http(_) => {
                let end = request.windows(4).position(|four| four == b"\r\n\r\n");
                end.map_or(&[], |end| &request[end + 4..])
            }
        }
    }

    /// One request for all of these, as JSON-RPC's batch.
    pub fn join(&self, requests: &[&[u8]]) -> Vec<u8> {
        let bodies: Vec<_> = requests.iter().map(|request| self.body(request)).collect();
        self.frame(&[b"[", &*bodies.join(&b","[..]), b"]"].concat(), None)
    }
}

/// What of the endpoints is not the journal's business: addresses, headers, secrets.
#[derive(Debug, Default)]
pub struct Wiring {
    /// By the number of the endpoint.
    pub framings: Vec<Framing>,
    /// Signs requests to relays.
    pub identity: Option<Key>,
}

impl Wiring {
    /// A request to an endpoint; to a relay it is signed.
    pub fn frame(&self, endpoint: u16, body: &[u8], relay: bool) -> Vec<u8> {
        let signature = self.identity.as_ref().filter(|_| relay).map(|identity| relay_signature(identity, body));
        self.framing(endpoint).frame(body, signature.as_deref())
    }

    /// How an endpoint wants its requests.
    pub fn framing(&self, endpoint: u16) -> &Framing {
        self.framings.get(usize::from(endpoint)).unwrap_or(&Framing::Bare)
    }
}

fn put(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).expect("a string takes everything");
}

fn body(id: u64, method: &str, params: impl FnOnce(&mut String)) -> Vec<u8> {
    let mut text = String::with_capacity(1536);
    put(&mut text, format_args!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":["#));
    params(&mut text);
    text.push_str("]}");
    text.into_bytes()
}

/// Appends bytes in hex, by the vector code of `const-hex`.
fn put_hex(text: &mut String, bytes: &[u8]) {
    text.push_str(&hex::encode_prefixed(bytes));
}

/// `eth_sendRawTransaction`.
pub fn send_transaction(id: u64, raw: &[u8]) -> Vec<u8> {
    body(id, "eth_sendRawTransaction", |text| {
        text.push('"');
        put_hex(text, raw);
        text.push('"');
    })
}

/// What relays take at most in a bundle. Ours are one transaction each, whose call came in one frame.
pub const BUNDLE_BYTES_MAX: usize = 300_000;
const _: () = assert!(crate::wire::MAX_FRAME + 1024 <= BUNDLE_BYTES_MAX, "a call, a signature and some numbers");

/// So many blocks ahead relays keep a private transaction; what asks for more is cut by them without a word.
pub const PRIVATE_BLOCKS_MAX: u64 = 25;

/// A transaction offered to builders for a block.
#[derive(Clone, Copy, Debug)]
pub struct Bid<'a> {
    /// Its bytes.
    pub raw: &'a [u8],
    /// The block; the last one, where a relay takes it for several.
    pub block: u64,
    /// Unix seconds after which no block may have it.
    pub max_timestamp: u64,
    /// The name it can be taken back by.
    pub uuid: [u8; 16],
    /// Who else may have it; empty: as the relay likes.
    pub builders: &'a [String],
}

impl Bid<'_> {
    /// The request in a relay's dialect.
    pub fn request(&self, relay: Relay, id: u64) -> Vec<u8> {
        let Self { raw, block, max_timestamp, uuid, builders } = self;
        if relay == Relay::Transaction {
            return body(id, "eth_sendPrivateTransaction", |text| {
                text.push_str(r#"{"tx":""#);
                put_hex(text, raw);
                put(text, format_args!(r#"","maxBlockNumber":"{block:#x}"}}"#));
            });
        }
        body(id, "eth_sendBundle", |text| {
            text.push_str(r#"{"txs":[""#);
            put_hex(text, raw);
            put(text, format_args!(r#""],"blockNumber":"{block:#x}","maxTimestamp":{max_timestamp},"#));
            put(text, format_args!(r#""revertingTxHashes":[],"replacementUuid":"{}""#, uuid_text(uuid)));
            if !builders.is_empty() {
                let names = serde_json::to_string(builders).expect("texts are JSON");
                put(text, format_args!(r#","builders":{names}"#));
            }
            text.push('}');
        })
    }
}

/// The wish that a bid be forgotten, in a relay's dialect.
pub fn withdraw(relay: Relay, id: u64, block: u64, uuid: &[u8; 16], hash: &B256) -> Vec<u8> {
    let uuid = uuid_text(uuid);
    match relay {
        Relay::Transaction => body(id, "eth_cancelPrivateTransaction", |text| {
            put(text, format_args!(r#"{{"txHash":"{hash}"}}"#));
        }),
        Relay::Replacing => body(id, "eth_sendBundle", |text| {
            put(text, format_args!(r#"{{"txs":[],"blockNumber":"{block:#x}","replacementUuid":"{uuid}"}}"#));
        }),
        Relay::None | Relay::Flashbots => body(id, "eth_cancelBundle", |text| {
            put(text, format_args!(r#"{{"replacementUuid":"{uuid}"}}"#));
        }),
    }
}

/// The name of an order's bundle for a block: a function of both, so that a restart knows it.
pub fn bundle_uuid(engine_id: &B256, order_id: u64, block: u64) -> [u8; 16] {
    let hash = keccak256([engine_id.as_slice(), &order_id.to_be_bytes(), &block.to_be_bytes()].concat());
    let mut uuid: [u8; 16] = *hash.first_chunk().expect("a hash has 32 bytes");
    // Version 8 is for names made by a rule of one's own (RFC 9562).
    uuid[6] = uuid[6] & 0x0f | 0x80;
    uuid[8] = uuid[8] & 0x3f | 0x80;
    uuid
}

fn uuid_text(uuid: &[u8; 16]) -> String {
    let digits = hex::encode(uuid);
    let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
    parts.join("-")
}

/// The name of a bundle of one transaction at relays.
pub fn bundle_hash(hash: &B256) -> B256 {
    keccak256(hash)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn parsed(body: &[u8]) -> Value {
        serde_json::from_slice(body).unwrap()
    }

    #[test]
    fn bodies_are_json_rpc() {
        assert_eq!(
            parsed(&send_transaction(7, &[2, 0xab])),
            json!({"jsonrpc": "2.0", "id": 7, "method": "eth_sendRawTransaction", "params": ["0x02ab"]})
        );
        let uuid = bundle_uuid(&B256::ZERO, 1, 2);
        let text = uuid_text(&uuid);
        assert_eq!(text.len(), 36);
        assert_eq!((&text[14..15], uuid[8] >> 6), ("8", 2));
        assert_ne!(uuid, bundle_uuid(&B256::ZERO, 1, 3));
        let builders = ["one \"quoted\"".to_owned()];
        let bid = Bid { raw: &[2], block: 17, max_timestamp: 99, uuid, builders: &[] };
        let bundle = json!({"txs": ["0x02"], "blockNumber": "0x11", "maxTimestamp": 99, "revertingTxHashes": [],
                            "replacementUuid": text});
        let hash = B256::repeat_byte(7);
        let taken_back = |relay| parsed(&withdraw(relay, 9, 17, &uuid, &hash));
        for relay in [Relay::Flashbots, Relay::Replacing] {
            assert_eq!(parsed(&bid.request(relay, 8))["params"], json!([bundle]));
        }
        let shared = parsed(&Bid { builders: &builders, ..bid }.request(Relay::Flashbots, 8));
        assert_eq!(shared["params"][0]["builders"], json!(builders));
        let cancel = taken_back(Relay::Flashbots);
        assert_eq!(
            (&cancel["method"], &cancel["params"]),
            (&json!("eth_cancelBundle"), &json!([{"replacementUuid": text}]))
        );
        let empty = taken_back(Relay::Replacing);
        assert_eq!(empty["params"], json!([{"txs": [], "blockNumber": "0x11", "replacementUuid": text}]));
        let private = parsed(&bid.request(Relay::Transaction, 8));
        assert_eq!(private["method"], "eth_sendPrivateTransaction");
        assert_eq!(private["params"], json!([{"tx": "0x02", "maxBlockNumber": "0x11"}]));
        let cancel = taken_back(Relay::Transaction);
        assert_eq!(
            (&cancel["method"], &cancel["params"]),
            (&json!("eth_cancelPrivateTransaction"), &json!([{"txHash": hash}]))
        );
    }

    #[test]
    fn http_heads_carry_the_length_and_the_relays_signature() {
        let identity = Key::from_bytes(&B256::repeat_byte(1)).unwrap();
        let framing = Framing::Http(b"POST /path HTTP/1.1\r\nHost: host:1\r\nContent-Length: ".to_vec());
        let wiring = Wiring { framings: vec![framing, Framing::Bare], identity: Some(identity) };
        let plain = String::from_utf8(wiring.frame(0, b"{}", false)).unwrap();
        assert_eq!(plain, "POST /path HTTP/1.1\r\nHost: host:1\r\nContent-Length: 2\r\n\r\n{}");
        let signed = String::from_utf8(wiring.frame(0, b"{}", true)).unwrap();
        assert!(signed.contains("\r\nX-Flashbots-Signature: 0x"), "{signed}");
        assert_eq!(wiring.frame(1, b"{}", true), b"{}");
    }

    #[test]
    fn requests_are_joined_to_a_batch_in_their_order() {
        let framing = Framing::Http(b"POST / HTTP/1.1\r\nContent-Length: ".to_vec());
        for framing in [framing, Framing::Bare] {
            let requests: Vec<_> = (1..=3).map(|id| framing.frame(&send_transaction(id, &[2]), None)).collect();
            let joined = framing.join(&requests.iter().map(Vec::as_slice).collect::<Vec<_>>());
            let batch = parsed(framing.body(&joined));
            let ids: Vec<_> = batch.as_array().unwrap().iter().map(|call| call["id"].as_u64().unwrap()).collect();
            assert_eq!(ids, [1, 2, 3]);
        }
    }
}

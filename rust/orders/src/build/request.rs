//! JSON-RPC requests, framed as each endpoint wants them.
//!
//! A body is written once; the head of its HTTP request was made when the endpoint was configured, so that a request
//! costs two copies and the length's digits.

use std::fmt::Write;

use types::{B256, Key, keccak256, primitives::hex};

use crate::sign::relay_signature;

/// How an endpoint wants its requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Framing {
    /// HTTP/1.1: everything of the head but the length, each line with its line end.
    Http(Vec<u8>),
    /// One JSON text after the other, as over a pipe or in WebSocket messages.
    Bare,
}

impl Framing {
    /// A kept-alive POST. `extra` are lines of the head, such as an authorisation, without line ends.
    pub fn http(host: &str, path: &str, extra: &[String]) -> Self {
        let mut head = format!("POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n");
        for line in extra {
            head.push_str(line);
            head.push_str("\r\n");
        }
        Self::Http(head.into_bytes())
    }

    /// The request's bytes.
    pub fn frame(&self, body: &[u8], signature: Option<&str>) -> Vec<u8> {
        match self {
            Self::Bare => body.to_vec(),
            Self::Http(head) => {
                let mut out = Vec::with_capacity(head.len() + body.len() + 256);
                out.extend_from_slice(head);
                if let Some(signature) = signature {
                    out.extend_from_slice(b"X-Flashbots-Signature: ");
                    out.extend_from_slice(signature.as_bytes());
                    out.extend_from_slice(b"\r\n");
                }
                out.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes());
                out.extend_from_slice(body);
                out
            }
        }
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
        self.framings.get(usize::from(endpoint)).unwrap_or(&Framing::Bare).frame(body, signature.as_deref())
    }
}

fn body(id: u64, method: &str, params: impl FnOnce(&mut String)) -> Vec<u8> {
    let mut text = String::with_capacity(1536);
    write!(text, r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":["#).expect("a string takes everything");
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

/// `eth_sendBundle` with one transaction for one block.
pub fn send_bundle(id: u64, raw: &[u8], block: u64, max_timestamp: u64, uuid: &[u8; 16]) -> Vec<u8> {
    body(id, "eth_sendBundle", |text| {
        text.push_str(r#"{"txs":[""#);
        put_hex(text, raw);
        let uuid = uuid_text(uuid);
        write!(
            text,
            r#""],"blockNumber":"{block:#x}","maxTimestamp":{max_timestamp},"revertingTxHashes":[],"replacementUuid":"{uuid}"}}"#
        )
        .expect("a string takes everything");
    })
}

/// `eth_cancelBundle`.
pub fn cancel_bundle(id: u64, uuid: &[u8; 16]) -> Vec<u8> {
    let uuid = uuid_text(uuid);
    body(id, "eth_cancelBundle", |text| {
        write!(text, r#"{{"replacementUuid":"{uuid}"}}"#).expect("a string takes everything");
    })
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
        assert_eq!(
            parsed(&send_bundle(8, &[2], 17, 99, &uuid))["params"],
            json!([{"txs": ["0x02"], "blockNumber": "0x11", "maxTimestamp": 99, "revertingTxHashes": [],
                    "replacementUuid": text}])
        );
        assert_eq!(parsed(&cancel_bundle(9, &uuid))["params"], json!([{"replacementUuid": text}]));
    }

    #[test]
    fn http_heads_carry_the_length_and_the_relays_signature() {
        let identity = Key::from_bytes(&B256::repeat_byte(1)).unwrap();
        let framing = Framing::http("host:1", "/path", &["Authorization: Bearer x".to_owned()]);
        let wiring = Wiring { framings: vec![framing, Framing::Bare], identity: Some(identity) };
        let plain = String::from_utf8(wiring.frame(0, b"{}", false)).unwrap();
        assert_eq!(
            plain,
            "POST /path HTTP/1.1\r\nHost: host:1\r\nContent-Type: application/json\r\nAuthorization: Bearer x\r\n\
             Content-Length: 2\r\n\r\n{}"
        );
        let signed = String::from_utf8(wiring.frame(0, b"{}", true)).unwrap();
        assert!(signed.contains("\r\nX-Flashbots-Signature: 0x"), "{signed}");
        assert_eq!(wiring.frame(1, b"{}", true), b"{}");
    }
}

//! What a node's or relay's reply means. Clients word the same cause differently, so this is a table of patterns; what no
//! pattern matches is ambiguous, and nothing ambiguous ever frees a slot.

use std::collections::HashMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use types::B256;

use crate::{
    failure::FailureCode,
    stored::{stored_choice, stored_number},
    wire::numbered,
};

numbered! {
    /// Clients whose wording is known.
    Dialect {
        /// go-ethereum.
        Geth = 0,
        /// Reth.
        Reth = 1,
        /// Nethermind.
        Nethermind = 2,
        /// Besu.
        Besu = 3,
        /// Erigon.
        Erigon = 4,
        /// Anvil.
        Anvil = 5,
        /// Hardhat.
        Hardhat = 6,
    }
}

numbered! {
    /// What is to be done about a reply that is not an acceptance.
    Class {
        /// The node holds it already.
        Accepted = 0,
        /// The slot may be settled: look up all its hashes.
        Settle = 1,
        /// A replacement has to offer more.
        Underpriced = 2,
        /// The market has moved away from the offer.
        Fee = 3,
        /// Nobody can pay, or the signature was damaged on the way.
        Funds = 4,
        /// The transaction can't be right anywhere.
        Invalid = 5,
        /// Not now, or not here.
        BackOff = 6,
        /// It may have been taken, or not.
        Ambiguous = 7,
    }
}

/// What a reply says, without what it was said in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The hash was echoed, or is held already.
    Accepted,
    /// A relay named the bundle.
    Bundled {
        /// As the relay names it.
        hash: B256,
    },
    /// Anything else.
    Refused {
        /// What is to be done.
        class: Class,
        /// The node's code; zero where there is none.
        code: i32,
        /// The node's words, cut.
        text: String,
    },
}

impl Class {
    /// The failure of an order that was refused so by every channel; None where that is no refusal for good.
    pub const fn failure(self) -> Option<FailureCode> {
        match self {
            Self::Funds => Some(FailureCode::InsufficientFunds),
            Self::Invalid => Some(FailureCode::InvalidParameters),
            _ => None,
        }
    }
}

use Dialect::{Anvil, Besu, Erigon, Geth, Hardhat, Nethermind, Reth};

/// Wordings in lower case, what they mean, and who says so. The first that is found in a message decides.
pub const PATTERNS: &[(&str, Class, &[Dialect])] = &[
    ("already known", Class::Accepted, &[Geth, Reth, Besu, Erigon]),
    ("alreadyknown", Class::Accepted, &[Nethermind, Erigon]),
    ("already imported", Class::Accepted, &[Anvil]),
    ("known transaction", Class::Accepted, &[Hardhat, Besu]),
    ("transaction already exists", Class::Accepted, &[Erigon]),
    ("nonce too low", Class::Settle, &[Geth, Reth, Erigon, Anvil, Hardhat]),
    ("nonce is too low", Class::Settle, &[Besu, Nethermind]),
    ("oldnonce", Class::Settle, &[Nethermind]),
    ("nonce_too_low", Class::Settle, &[Besu]),
    ("nonce too far in the future", Class::BackOff, &[Nethermind, Besu]),
    ("nonce too high", Class::BackOff, &[Geth, Hardhat]),
    ("nonce gap", Class::BackOff, &[Nethermind, Geth]),
    ("noncegap", Class::BackOff, &[Nethermind]),
    ("replacement transaction underpriced", Class::Underpriced, &[Geth, Reth, Anvil, Hardhat, Besu]),
    ("could not replace existing tx", Class::Underpriced, &[Erigon]),
    ("replacementnotallowed", Class::Underpriced, &[Nethermind]),
    ("replacement fee too low", Class::Underpriced, &[Hardhat]),
    ("underpriced replacement", Class::Underpriced, &[Besu]),
    ("max fee per gas less than block base fee", Class::Fee, &[Geth, Reth, Anvil]),
    ("too low for the next block", Class::Fee, &[Hardhat]),
    ("fee cap less than block base fee", Class::Fee, &[Geth, Erigon]),
    ("feetoolow", Class::Fee, &[Nethermind]),
    ("transaction underpriced", Class::Fee, &[Geth, Reth, Erigon]),
    ("gas tip cap", Class::Fee, &[Geth]),
    ("gas price below", Class::Fee, &[Besu]),
    ("gas price is below", Class::Fee, &[Besu]),
    ("tip too low", Class::Fee, &[Erigon]),
    ("insufficient funds", Class::Funds, &[Geth, Reth, Erigon, Anvil]),
    ("insufficientfunds", Class::Funds, &[Nethermind]),
    ("upfront cost exceeds account balance", Class::Funds, &[Besu]),
    ("doesn't have enough funds", Class::Funds, &[Hardhat]),
    ("intrinsic gas", Class::Invalid, &[Geth, Reth, Besu, Erigon, Anvil]),
    ("gas limit is too low", Class::Invalid, &[Nethermind]),
    ("requires at least", Class::Invalid, &[Hardhat]),
    ("exceeds block gas limit", Class::Invalid, &[Geth, Reth, Besu, Hardhat]),
    ("gas limit exceeded", Class::Invalid, &[Nethermind]),
    ("gaslimitexceeded", Class::Invalid, &[Nethermind]),
    ("gas limit too high", Class::Invalid, &[Geth, Reth, Anvil]),
    ("exceeds transaction gas cap", Class::Invalid, &[Hardhat]),
    ("exceeds the configured cap", Class::Invalid, &[Geth, Erigon]),
    ("oversized data", Class::Invalid, &[Geth, Reth]),
    ("rlp: ", Class::Invalid, &[Geth, Erigon]),
    ("transaction type not supported", Class::Invalid, &[Geth, Reth, Erigon]),
    ("invalid chain id", Class::Invalid, &[Reth, Anvil]),
    ("invalid sender", Class::Invalid, &[Geth, Erigon]),
    ("wrong chainid", Class::Invalid, &[Besu]),
    ("incompatible eip-155", Class::Invalid, &[Hardhat]),
    ("txpool is full", Class::BackOff, &[Geth, Reth]),
    ("pool is full", Class::BackOff, &[Anvil, Reth, Erigon]),
    ("account limit exceeded", Class::BackOff, &[Geth]),
    ("future transaction tries to replace pending", Class::BackOff, &[Geth]),
    ("in-flight transaction limit reached", Class::BackOff, &[Geth]),
    ("discarded due to exceeding", Class::BackOff, &[Reth]),
    ("rate limit", Class::BackOff, &[Geth]),
    ("too many requests", Class::BackOff, &[Geth]),
];

/// What these words and code mean.
pub fn classify(code: i32, message: &str) -> Class {
    let lower = message.to_lowercase();
    let found = PATTERNS.iter().find(|(pattern, ..)| lower.contains(*pattern)).map(|(_, class, _)| *class);
    found.unwrap_or(if matches!(code, -32005 | 429) { Class::BackOff } else { Class::Ambiguous })
}

/// How a request ended, as whoever owns the socket saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer<'a> {
    /// A body with status 200.
    Body(&'a [u8]),
    /// A body with another status.
    Status(u16, &'a [u8]),
    /// No answer in time, a reset connection, or none at all.
    Nothing(&'a str),
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    code: i64,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
struct Bundle {
    #[serde(rename = "bundleHash")]
    hash: B256,
}

/// Most bytes of a node's words that are kept.
const TEXT_MAX: usize = 200;

fn refused(class: Class, code: i32, text: &str) -> Verdict {
    Verdict::Refused { class, code, text: text.chars().take(TEXT_MAX).collect() }
}

/// What an answer to sending `sent` means.
pub fn verdict(answer: Answer<'_>, sent: &B256) -> Verdict {
    let body = match answer {
        Answer::Body(body) => body,
        Answer::Status(429, _) => return refused(Class::BackOff, 429, "too many requests"),
        Answer::Status(status, body) => match serde_json::from_slice::<Body<'_>>(body) {
            // Some nodes answer errors of JSON-RPC with a status of their own.
            Ok(Body { error: Some(_), .. }) if status < 500 => body,
            _ => return refused(Class::Ambiguous, status.into(), "HTTP status"),
        },
        Answer::Nothing(why) => return refused(Class::Ambiguous, 0, why),
    };
    match serde_json::from_slice::<Body<'_>>(body) {
        Ok(Body { error: Some(error), .. }) => {
            let code = i32::try_from(error.code).unwrap_or(0);
            match classify(code, &error.message) {
                Class::Accepted => Verdict::Accepted,
                class => refused(class, code, &error.message),
            }
        }
        Ok(Body { result: Some(result), .. }) => {
            if let Ok(hash) = serde_json::from_str::<B256>(result.get()) {
                return if hash == *sent { Verdict::Accepted } else { refused(Class::Ambiguous, 0, "another hash") };
            }
            match serde_json::from_str::<Bundle>(result.get()) {
                Ok(bundle) => Verdict::Bundled { hash: bundle.hash },
                Err(_) => refused(Class::Ambiguous, 0, "a result that is no hash"),
            }
        }
        _ => refused(Class::Ambiguous, 0, "not JSON-RPC"),
    }
}

#[derive(Deserialize)]
struct Numbered {
    id: u64,
}

/// What the answer to a batch means for each of its requests: a number and what it sent. What the answer does not tell
/// apart decides nothing.
pub fn verdicts(answer: Answer<'_>, sent: &[(u64, B256)]) -> Vec<Verdict> {
    let whole = match verdict(answer, &B256::ZERO) {
        busy @ Verdict::Refused { class: Class::BackOff, .. } => busy,
        Verdict::Refused { text, .. } => refused(Class::Ambiguous, 0, &text),
        _ => refused(Class::Ambiguous, 0, "one answer to a batch"),
    };
    let parts: Vec<&RawValue> = match answer {
        Answer::Body(body) => serde_json::from_slice(body).unwrap_or_default(),
        _ => Vec::new(),
    };
    let by_id: HashMap<u64, &RawValue> =
        parts.iter().filter_map(|part| Some((serde_json::from_str::<Numbered>(part.get()).ok()?.id, *part))).collect();
    let one = |(id, hash): &(u64, B256)| match by_id.get(id) {
        Some(part) => verdict(Answer::Body(part.get().as_bytes()), hash),
        None => whole.clone(),
    };
    sent.iter().map(one).collect()
}

stored_number!(Class: u8);
stored_choice! {
    Verdict {
        0: Accepted,
        1: Bundled { hash },
        2: Refused { class, code, text },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn class(message: &str) -> Class {
        classify(-32000, message)
    }

    #[test]
    fn clients_in_their_own_words() {
        for (message, expected) in [
            ("already known", Class::Accepted),
            ("AlreadyKnown", Class::Accepted),
            ("transaction already imported", Class::Accepted),
            ("Known transaction: 0xabc", Class::Accepted),
            ("nonce too low: next nonce 5, tx nonce 4", Class::Settle),
            ("Nonce too low. Expected nonce to be 5 but got 4.", Class::Settle),
            ("OldNonce, Current nonce: 5, nonce of rejected tx: 4", Class::Settle),
            ("replacement transaction underpriced", Class::Underpriced),
            (
                "Replacement transaction underpriced. A gasPrice/maxFeePerGas of at least 1 is necessary",
                Class::Underpriced,
            ),
            ("could not replace existing tx", Class::Underpriced),
            ("transaction underpriced: gas tip cap 1, minimum needed 2", Class::Fee),
            ("max fee per gas less than block base fee: address 0x1", Class::Fee),
            ("insufficient funds for gas * price + value", Class::Funds),
            ("Upfront cost exceeds account balance", Class::Funds),
            ("Sender doesn't have enough funds to send tx. The max upfront cost is: 1", Class::Funds),
            ("intrinsic gas too low: gas 20000, minimum needed 21000", Class::Invalid),
            ("exceeds block gas limit", Class::Invalid),
            ("txpool is full", Class::BackOff),
            ("the tower leans", Class::Ambiguous),
        ] {
            assert_eq!(class(message), expected, "{message}");
        }
        assert_eq!(classify(-32005, "daily request count exceeded"), Class::BackOff);
    }

    #[test]
    fn every_pattern_is_lower_case_and_found_by_itself() {
        for (pattern, class, dialects) in PATTERNS {
            assert_eq!(*pattern, pattern.to_lowercase(), "{dialects:?}");
            assert_eq!(classify(0, pattern), *class, "{pattern}");
        }
        for dialect in Dialect::ALL {
            for class in [Class::Accepted, Class::Settle, Class::Underpriced, Class::Funds] {
                let says =
                    |(_, said, dialects): &&(&str, Class, &[Dialect])| *said == class && dialects.contains(dialect);
                assert!(PATTERNS.iter().any(|row| says(&row)), "{dialect:?} has no words for {class:?}");
            }
        }
    }

    #[test]
    fn only_the_echoed_hash_is_an_acceptance() {
        let sent = B256::repeat_byte(7);
        let echo = format!(r#"{{"jsonrpc":"2.0","id":1,"result":"{sent}"}}"#);
        assert_eq!(verdict(Answer::Body(echo.as_bytes()), &sent), Verdict::Accepted);
        let ambiguous = |answer| match verdict(answer, &sent) {
            Verdict::Refused { class, .. } => class == Class::Ambiguous,
            _ => false,
        };
        assert!(!ambiguous(Answer::Body(echo.as_bytes())));
        let other = format!(r#"{{"result":"{}"}}"#, B256::ZERO);
        for body in [other.as_bytes(), b"", b"{}", b"[]", b"null", b"\xff", br#"{"result":5}"#, br#"{"error":"x"}"#] {
            assert!(ambiguous(Answer::Body(body)), "{:?}", String::from_utf8_lossy(body));
        }
        assert!(ambiguous(Answer::Status(502, b"bad gateway")));
        assert!(ambiguous(Answer::Status(500, br#"{"error":{"code":-32000,"message":"intrinsic gas too low"}}"#)));
        assert!(ambiguous(Answer::Nothing("timeout")));
        let bundle = format!(r#"{{"result":{{"bundleHash":"{sent}"}}}}"#);
        assert_eq!(verdict(Answer::Body(bundle.as_bytes()), &sent), Verdict::Bundled { hash: sent });
        let low = br#"{"error":{"code":-32000,"message":"nonce too low"}}"#;
        assert!(matches!(verdict(Answer::Status(400, low), &sent), Verdict::Refused { class: Class::Settle, .. }));
    }

    #[test]
    fn a_batch_is_answered_in_any_order_and_what_is_missing_is_ambiguous() {
        let hashes: Vec<_> = (1..=4).map(|id| (id, B256::repeat_byte(id as u8))).collect();
        let body = format!(
            r#"[{{"id":3,"error":{{"code":-32000,"message":"nonce too low"}}}},{{"id":1,"result":"{}"}},{{"id":4,"result":"{}"}}]"#,
            hashes[0].1, hashes[0].1,
        );
        let class = |verdict: &Verdict| match verdict {
            Verdict::Refused { class, .. } => Some(*class),
            _ => None,
        };
        let all = |answer| verdicts(answer, &hashes).iter().map(class).collect::<Vec<_>>();
        let ambiguous = Some(Class::Ambiguous);
        assert_eq!(all(Answer::Body(body.as_bytes())), [None, ambiguous, Some(Class::Settle), ambiguous]);
        assert_eq!(all(Answer::Nothing("timeout")), [ambiguous; 4]);
        assert_eq!(all(Answer::Status(429, b"")), [Some(Class::BackOff); 4]);
        let whole = br#"{"id":null,"error":{"code":-32600,"message":"invalid sender"}}"#;
        assert_eq!(all(Answer::Body(whole)), [ambiguous; 4], "one error for all refuses none of them for good");
    }

    proptest! {
        #[test]
        fn unknown_words_never_refuse_for_good(message in "[q-z ]{0,60}", code in any::<i32>()) {
            prop_assert_eq!(classify(code, &message).failure(), None);
        }

        #[test]
        fn any_body_gives_a_verdict(body in prop::collection::vec(any::<u8>(), 0..100)) {
            let refused = matches!(verdict(Answer::Body(&body), &B256::ZERO), Verdict::Refused { class: Class::Ambiguous, .. });
            prop_assert!(refused);
        }
    }
}

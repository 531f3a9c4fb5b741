//! What goes wrong on the wire, with geth's codes and words: clients match on both.

use chain::types::Bytes;

use crate::json::{Fields, Object, ToJson};

/// An error as a client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RpcError {
    /// JSON-RPC's code, geth's where the standard leaves it open.
    pub code: i64,
    /// One line for people.
    pub message: String,
    /// What programs may need besides the code, as JSON: the revert data, for one.
    pub data: Option<String>,
}

impl RpcError {
    /// The bytes are not JSON.
    pub(crate) fn parse() -> Self {
        Self::new(-32700, "parse error")
    }

    /// JSON, but no request.
    pub(crate) fn invalid_request(message: &str) -> Self {
        Self::new(-32600, message)
    }

    /// Nobody serves this method.
    pub(crate) fn unknown_method(name: &str) -> Self {
        Self::new(-32601, format!("the method {name} does not exist/is not available"))
    }

    /// `eth_subscribe` where nothing can be pushed, as over HTTP.
    pub(crate) fn no_notifications() -> Self {
        Self::new(-32601, "notifications not supported")
    }

    /// The parameters are not what the method takes.
    pub(crate) fn invalid_params(message: impl Into<String>) -> Self {
        Self::new(-32602, message)
    }

    /// Our fault.
    pub(crate) fn internal(message: impl Into<String>) -> Self {
        Self::new(-32603, message)
    }

    /// The request was understood and refused.
    pub(crate) fn refused(message: impl Into<String>) -> Self {
        Self::new(-32000, message)
    }

    /// More than one request may ask for.
    pub(crate) fn limit_exceeded(message: impl Into<String>) -> Self {
        Self::new(-32005, message)
    }

    /// The answer is larger than one may be.
    pub(crate) fn answer_too_large() -> Self {
        Self::new(-32003, "response too large")
    }

    /// A call that reverted: code 3, with the returned bytes for whoever can decode them.
    pub(crate) fn reverted(output: &Bytes) -> Self {
        let message = match revert_reason(output) {
            Some(reason) => format!("execution reverted: {reason}"),
            None => "execution reverted".to_owned(),
        };
        let mut data = Vec::new();
        output.write(&mut data);
        Self { data: Some(String::from_utf8(data).expect("hex is ASCII")), ..Self::new(3, message) }
    }

    /// An error with a code of the caller's choice.
    pub fn new(code: i64, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), data: None }
    }
}

impl ToJson for RpcError {
    fn write(&self, out: &mut Vec<u8>) {
        let code = self.code.to_string();
        Fields(|object: &mut Object<'_>| {
            object.field("code", &crate::json::Raw(code.as_bytes())).field("message", &self.message);
            object.maybe("data", self.data.as_ref().map(|data| crate::json::Raw(data.as_bytes())).as_ref());
        })
        .write(out);
    }
}

/// The text of Solidity's `Error(string)`, or the name of its `Panic(uint256)`.
pub fn revert_reason(output: &[u8]) -> Option<String> {
    const ERROR: [u8; 4] = [0x08, 0xc3, 0x79, 0xa0];
    const PANIC: [u8; 4] = [0x4e, 0x48, 0x7b, 0x71];
    let (selector, body) = output.split_first_chunk::<4>()?;
    match *selector {
        ERROR => {
            let start = word(body, 0)?.checked_add(32)?;
            let length = word(body, start - 32)?;
            let text = body.get(start..start.checked_add(length)?)?;
            Some(String::from_utf8_lossy(text).into_owned())
        }
        PANIC => {
            let code = word(body, 0)?;
            let name = PANICS.iter().find(|(known, _)| *known == code).map(|(_, name)| *name);
            Some(name.map_or_else(|| format!("unknown panic code: {code:#x}"), str::to_owned))
        }
        _ => None,
    }
}

/// Solidity's panic codes, in geth's words.
const PANICS: &[(usize, &str)] = &[
    (0x00, "generic panic"),
    (0x01, "assert(false)"),
    (0x11, "arithmetic underflow or overflow"),
    (0x12, "division or modulo by zero"),
    (0x21, "enum overflow"),
    (0x22, "invalid encoded storage byte array accessed"),
    (0x31, "out-of-bounds array access; popping on an empty array"),
    (0x32, "out-of-bounds access of an array or bytesN"),
    (0x41, "out of memory"),
    (0x51, "uninitialized function"),
];

/// The 32-byte word at `start`, where it fits a small number.
fn word(body: &[u8], start: usize) -> Option<usize> {
    let word = body.get(start..start.checked_add(32)?)?;
    let (high, low) = word.split_at(28);
    let fits = high.iter().all(|byte| *byte == 0);
    fits.then(|| u32::from_be_bytes(low.try_into().expect("four bytes are left")) as usize)
}

#[cfg(test)]
mod tests {
    use chain::types::primitives::hex;

    use super::*;

    fn message(output: &str) -> String {
        RpcError::reverted(&hex::decode(output).unwrap().into()).message
    }

    #[test]
    fn reverts_tell_their_reason() {
        let error = format!("08c379a0{:064x}{:064x}{:0<64}", 32, 5, hex::encode("hello"));
        assert_eq!(message(&error), "execution reverted: hello");
        assert_eq!(message(&format!("4e487b71{:064x}", 0x11)), "execution reverted: arithmetic underflow or overflow");
        assert_eq!(message(&format!("4e487b71{:064x}", 0x99)), "execution reverted: unknown panic code: 0x99");
        assert_eq!(message(""), "execution reverted");
        assert_eq!(message("deadbeef"), "execution reverted");
    }

    #[test]
    fn a_reason_that_lies_about_its_length_is_left_out() {
        assert_eq!(message(&format!("08c379a0{:064x}{:064x}", 32, 5)), "execution reverted");
        assert_eq!(message(&format!("08c379a0{:064x}", 0xffff_ffffu32)), "execution reverted");
        assert_eq!(message(&format!("08c379a0{}", "f".repeat(64))), "execution reverted");
    }

    #[test]
    fn errors_are_written_as_geth_writes_them() {
        let mut out = Vec::new();
        RpcError::reverted(&Bytes::from_static(&[1])).write(&mut out);
        assert_eq!(String::from_utf8(out).unwrap(), r#"{"code":3,"message":"execution reverted","data":"0x01"}"#);
        let mut out = Vec::new();
        RpcError::unknown_method("eth_\"").write(&mut out);
        let expected = r#"{"code":-32601,"message":"the method eth_\" does not exist/is not available"}"#;
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}

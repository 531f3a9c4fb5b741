//! From request bytes to calls: JSON-RPC 2.0's envelope, read as geth reads it.
//!
//! Nothing is copied: a call borrows from the request. An id is kept as the text it came in and is echoed as such, so
//! that a client gets back `1.0` or `"7"` exactly as it wrote them. One bad call in a batch spoils only itself.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::error::RpcError;

/// A request body.
#[derive(Debug)]
pub(crate) enum Request<'a> {
    /// One call, which gets one answer.
    Single(Call<'a>),
    /// Several, answered in one array.
    Batch {
        /// The calls, at most as many as the limit.
        calls: Vec<Call<'a>>,
        /// How many there were.
        length: usize,
    },
}

/// One call of a request.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    /// As it was written; None: nobody waits for an answer.
    pub(crate) id: Option<&'a str>,
    /// Name and parameters, or why this is no call.
    pub(crate) content: Result<(Cow<'a, str>, Option<&'a str>), RpcError>,
}

/// The members of a request object, still as JSON text. Absent and null are different things.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Members<'a> {
    #[serde(borrow, deserialize_with = "present")]
    jsonrpc: Option<&'a RawValue>,
    #[serde(borrow, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(borrow, deserialize_with = "present")]
    method: Option<&'a RawValue>,
    #[serde(borrow, deserialize_with = "present")]
    params: Option<&'a RawValue>,
}

fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

/// Reads a request body; of a batch at most `batch_length` calls are kept, the rest is counted.
pub(crate) fn read(body: &[u8], batch_length: usize) -> Result<Request<'_>, RpcError> {
    if first_byte(body) != Some(b'[') {
        return read_call(body).map(Request::Single);
    }
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let Bounded { items, length } = deserializer
        .deserialize_seq(BoundedVisitor(batch_length))
        .and_then(|items| deserializer.end().map(|()| items))
        .map_err(|_| RpcError::parse())?;
    let calls = items.into_iter().map(|item| read_call(item.get().as_bytes())).collect::<Result<_, _>>()?;
    Ok(Request::Batch { calls, length })
}

fn read_call(body: &[u8]) -> Result<Call<'_>, RpcError> {
    // A struct may also be read from an array of its members, which JSON-RPC does not know.
    let members = match first_byte(body) {
        Some(b'{') => serde_json::from_slice::<Members<'_>>(body).map(Some),
        _ => serde_json::from_slice::<IgnoredAny>(body).map(|_| None),
    };
    match members {
        Ok(Some(members)) => Ok(members.into_call()),
        Err(error) if !error.is_data() => Err(RpcError::parse()),
        Ok(None) | Err(_) => Ok(Call { id: Some("null"), content: Err(invalid()) }),
    }
}

fn first_byte(body: &[u8]) -> Option<u8> {
    body.iter().copied().find(|byte| !byte.is_ascii_whitespace())
}

fn invalid() -> RpcError {
    RpcError::invalid_request("invalid request")
}

impl<'a> Members<'a> {
    fn into_call(self) -> Call<'a> {
        let id = self.id.map(RawValue::get).filter(|id| !id.starts_with(['{', '[']));
        let method = self.method.and_then(|method| text(method.get())).filter(|name| !name.is_empty());
        match (self.jsonrpc.map(RawValue::get), method) {
            (Some(r#""2.0""#), Some(method)) if id.is_some() || self.id.is_none() => {
                Call { id, content: Ok((method, self.params.map(RawValue::get))) }
            }
            _ => Call { id: id.or(Some("null")), content: Err(invalid()) },
        }
    }
}

/// The text of a JSON string, borrowed where nothing is escaped.
pub(crate) fn text(json: &str) -> Option<Cow<'_, str>> {
    let inner = json.strip_prefix('"')?.strip_suffix('"')?;
    if !inner.contains('\\') { Some(Cow::Borrowed(inner)) } else { serde_json::from_str(json).ok() }
}

/// The first items of an array, and how many there were.
struct Bounded<'a> {
    items: Vec<&'a RawValue>,
    length: usize,
}

struct BoundedVisitor(usize);

impl<'de> Visitor<'de> for BoundedVisitor {
    type Value = Bounded<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of calls")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Bounded<'de>, A::Error> {
        let mut items = Vec::new();
        while items.len() < self.0 {
            match sequence.next_element::<&RawValue>()? {
                Some(item) => items.push(item),
                None => return Ok(Bounded { length: items.len(), items }),
            }
        }
        let mut length = items.len();
        while sequence.next_element::<IgnoredAny>()?.is_some() {
            length += 1;
        }
        Ok(Bounded { items, length })
    }
}

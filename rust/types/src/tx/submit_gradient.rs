//! 0x53: hands in a gradient for the current round of a training job.

use alloy_primitives::{B256, Bytes};
use alloy_rlp::{BufMut, Decodable, Encodable, Header, RlpDecodable, RlpEncodable};

/// One account's gradient for one round.
#[derive(Clone, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub struct SubmitGradient {
    /// Which job.
    pub job_id: B256,
    /// Which round of it.
    pub round: u64,
    /// The gradient.
    pub gradient: Gradient,
    /// How many samples it was computed from.
    pub samples: u64,
    /// The nonce that solves the proof of work.
    pub work_nonce: u64,
}

/// A gradient's bytes, or the hash of an artifact that holds them. RLP: `[0, bytes]` or `[1, hash]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gradient {
    /// The bytes themselves.
    Bytes(Bytes),
    /// A recorded artifact.
    Artifact(B256),
}

impl Gradient {
    fn parts(&self) -> (u8, &dyn Encodable) {
        match self {
            Self::Bytes(bytes) => (0, bytes),
            Self::Artifact(hash) => (1, hash),
        }
    }
}

impl Encodable for Gradient {
    fn encode(&self, out: &mut dyn BufMut) {
        let (number, field) = self.parts();
        Header { list: true, payload_length: number.length() + field.length() }.encode(out);
        number.encode(out);
        field.encode(out);
    }

    fn length(&self) -> usize {
        let (number, field) = self.parts();
        let payload_length = number.length() + field.length();
        payload_length + Header { list: true, payload_length }.length()
    }
}

impl Decodable for Gradient {
    fn decode(buf: &mut &[u8]) -> alloy_rlp::Result<Self> {
        let mut fields = Header::decode_bytes(buf, true)?;
        let gradient = match u8::decode(&mut fields)? {
            0 => Self::Bytes(Decodable::decode(&mut fields)?),
            1 => Self::Artifact(Decodable::decode(&mut fields)?),
            _ => return Err(alloy_rlp::Error::Custom("a gradient is bytes or an artifact")),
        };
        if fields.is_empty() { Ok(gradient) } else { Err(alloy_rlp::Error::UnexpectedLength) }
    }
}

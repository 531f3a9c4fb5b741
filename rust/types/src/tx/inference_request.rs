//! 0x52: runs a model and writes its output into the receipt.

use alloy_primitives::{B256, Bytes, U256};
use alloy_rlp::{RlpDecodable, RlpEncodable};

/// Runs a model on one input.
#[derive(Clone, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub struct InferenceRequest {
    /// Which model.
    pub model_id: B256,
    /// The input tensor in canonical encoding.
    pub input: Bytes,
    /// Most gas the inference itself may use.
    pub max_inference_gas: u64,
    /// Most wei the owner may be paid.
    pub max_price: U256,
}

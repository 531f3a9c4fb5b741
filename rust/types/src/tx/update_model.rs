//! 0x51: appends a version to a model.

use alloy_primitives::B256;
use alloy_rlp::{RlpDecodable, RlpEncodable};

/// Appends a version; the older ones stay runnable.
#[derive(Clone, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub struct UpdateModel {
    /// Which model.
    pub model_id: B256,
    /// Hash of the new version's artifact.
    pub version_hash: B256,
    /// What changed, for people.
    pub changelog: String,
}

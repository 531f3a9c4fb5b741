//! 0x54: moves several assets at once, all or nothing.

use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_rlp::{RlpDecodable, RlpEncodable};

/// Moves each listed amount, or none of them.
#[derive(Clone, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub struct AssetTransfer {
    /// In the order they are done.
    pub moves: Vec<AssetMove>,
}

/// One amount of one asset to one recipient.
#[derive(Clone, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub struct AssetMove {
    /// Which asset.
    pub asset: B256,
    /// Who gets it.
    pub recipient: Address,
    /// In the asset's smallest unit.
    pub amount: U256,
    /// A remark for the recipient; empty where there is none.
    pub memo: Bytes,
}

//! An account is Ethereum's account, nothing more: models, assets and permissions are storage of system accounts.

use alloy_primitives::{B256, U256, b256};
use alloy_rlp::{RlpDecodable, RlpEncodable};
use serde::{Deserialize, Serialize};

/// Keccak-256 of no bytes: the code hash of an account without code.
pub const EMPTY_CODE_HASH: B256 = b256!("c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470");

/// Root of a trie without entries: Keccak-256 of the empty RLP string.
pub const EMPTY_ROOT: B256 = b256!("56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421");

/// What execution sees of an account. Storage is read slot by slot; the storage root belongs to the trie alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// Transactions sent, or contracts created, from this address.
    pub nonce: u64,
    /// In wei.
    pub balance: U256,
    /// Keccak-256 of the code.
    pub code_hash: B256,
}

impl Default for Account {
    fn default() -> Self {
        Self { nonce: 0, balance: U256::ZERO, code_hash: EMPTY_CODE_HASH }
    }
}

impl Account {
    /// An account that only holds `balance` wei.
    pub fn with_balance(balance: U256) -> Self {
        Self { balance, ..Self::default() }
    }

    /// No nonce, no balance, no code: what EIP-161 calls empty (storage is not asked).
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.nonce == 0 && self.balance.is_zero() && !self.has_code()
    }

    /// Whether there is code to run.
    #[inline]
    pub fn has_code(&self) -> bool {
        self.code_hash != EMPTY_CODE_HASH
    }
}

/// The account as the state trie's leaf holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub struct LeafAccount {
    /// See [`Account::nonce`].
    pub nonce: u64,
    /// See [`Account::balance`].
    pub balance: U256,
    /// Root of the account's storage trie.
    pub storage_root: B256,
    /// See [`Account::code_hash`].
    pub code_hash: B256,
}

impl LeafAccount {
    /// Joins what execution knows with what the trie knows.
    pub fn new(account: &Account, storage_root: B256) -> Self {
        Self { nonce: account.nonce, balance: account.balance, storage_root, code_hash: account.code_hash }
    }

    /// The part that execution sees.
    pub fn account(&self) -> Account {
        Account { nonce: self.nonce, balance: self.balance, code_hash: self.code_hash }
    }
}

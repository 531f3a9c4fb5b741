//! The words of the system: account, transaction, block, receipt, log, key.
//!
//! Every other room speaks in these. Encodings are Ethereum's, to the byte; hashes are computed once and kept.
//! Nothing here knows a rule of execution: what a transaction may do is `evm`'s, what a block may hold is `chain`'s.

pub mod account;
pub mod block;
pub mod keys;
pub mod receipt;
pub mod system;
pub mod tx;

pub use account::{Account, EMPTY_CODE_HASH, EMPTY_ROOT, LeafAccount};
pub use alloy_consensus::{Header, Sealed};
pub use alloy_eips::{
    eip2930::{AccessList, AccessListItem},
    eip4895::{Withdrawal, Withdrawals},
    eip7702::{Authorization, SignedAuthorization},
    eip7928,
};
pub use alloy_primitives::{
    self as primitives, Address, B64, B256, Bloom, Bytes, Log, LogData, Signature, TxKind, U256, keccak256,
};
pub use alloy_rlp as rlp;
pub use block::{Block, BlockId, Body};
pub use keys::{Key, RecoverError};
pub use receipt::{Outcome, Receipt};
pub use tx::{Payload, Recovered, Transaction, TransactionError};

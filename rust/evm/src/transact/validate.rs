//! What must hold before anything is charged.
//!
//! Two steps, so that the pool can take the first without a state: [`form`] looks at the transaction and the block,
//! [`sender`] at the account that pays. Every rule is one line with its own [`Rejection`].

use types::{Account, Address, Bytes, Transaction, TxKind, U256, keys::HALF_ORDER};

use super::{Checks, Rejection, intrinsic};
use crate::{
    frame::delegation,
    spec::{
        BlockEnv, Fork, Rules,
        chain::{BLOB_GAS, BLOBS_PER_TRANSACTION_MAX},
    },
};

/// Most gas a transaction may ask for from Osaka on (EIP-7825).
pub const GAS_LIMIT_MAX: u64 = 1 << 24;

/// Most bytes of creation code from Shanghai on (EIP-3860).
pub const INIT_CODE_MAX: usize = 2 * 24_576;

/// First byte of a blob's hash: a KZG commitment.
const BLOB_HASH_VERSION: u8 = 1;

/// What a well-formed transaction costs in this block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// Gas for being a transaction.
    pub intrinsic_gas: u64,
    /// Least gas for this call data; zero before Prague.
    pub floor_gas: u64,
    /// Wei per gas.
    pub gas_price: u128,
    /// Blob gas.
    pub blob_gas: u64,
    /// Wei per blob gas.
    pub blob_price: u128,
}

impl Terms {
    /// Wei for the blobs.
    pub fn blob_fee(&self) -> U256 {
        U256::from(self.blob_gas) * U256::from(self.blob_price)
    }
}

/// Everything that can be said without the state.
pub fn form(rules: &Rules, block: &BlockEnv, tx: &Transaction) -> Result<Terms, Rejection> {
    form_as(Checks::Block, rules, block, tx)
}

/// The same, of a transaction or of a call.
pub(super) fn form_as(checks: Checks, rules: &Rules, block: &BlockEnv, tx: &Transaction) -> Result<Terms, Rejection> {
    let limited = checks == Checks::Block;
    let kind = tx.kind();
    if !kind_enabled(rules, kind) {
        return Err(Rejection::KindNotEnabled { kind, fork: rules.fork });
    }
    if let Some(actual) = tx.chain_id() {
        if !rules.has(Fork::SpuriousDragon) {
            return Err(Rejection::ProtectedTooEarly { fork: rules.fork });
        }
        if actual != rules.chain_id {
            return Err(Rejection::WrongChain { expected: rules.chain_id, actual });
        }
    }
    let s = tx.signature().s();
    if rules.has(Fork::Homestead) && s > HALF_ORDER {
        return Err(Rejection::HighSignature { s });
    }
    if limited && tx.gas_limit() > block.gas_limit {
        return Err(Rejection::BlockGasExceeded { required: tx.gas_limit(), available: block.gas_limit });
    }
    if limited && rules.has(Fork::Osaka) && tx.gas_limit() > GAS_LIMIT_MAX {
        return Err(Rejection::GasLimitTooHigh { limit: tx.gas_limit(), max: GAS_LIMIT_MAX });
    }
    if tx.nonce() == u64::MAX {
        return Err(Rejection::NonceExhausted);
    }
    let gas_price = fees(block, tx)?;
    let creates = tx.to() == TxKind::Create;
    if creates && rules.has(Fork::Shanghai) && tx.input().len() > INIT_CODE_MAX {
        return Err(Rejection::InitCodeTooLong { length: tx.input().len(), max: INIT_CODE_MAX });
    }
    if creates && matches!(kind, 3 | 4) {
        return Err(Rejection::CannotCreate { kind });
    }
    if tx.authorizations().is_some_and(<[_]>::is_empty) {
        return Err(Rejection::NoAuthorizations);
    }
    let (blob_gas, blob_price) = blobs(rules, block, tx)?;
    let (intrinsic_gas, floor_gas) = intrinsic::gas(rules, tx);
    if tx.gas_limit() < intrinsic_gas {
        return Err(Rejection::InsufficientGas { required: intrinsic_gas, available: tx.gas_limit() });
    }
    if tx.gas_limit() < floor_gas {
        return Err(Rejection::InsufficientFloorGas { required: floor_gas, available: tx.gas_limit() });
    }
    Ok(Terms { intrinsic_gas, floor_gas, gas_price, blob_gas, blob_price })
}

/// The paying account against the transaction. `code` is the account's.
pub fn sender(tx: &Transaction, address: Address, account: &Account, code: &Bytes) -> Result<(), Rejection> {
    // EIP-3607; EIP-7702 lets delegating accounts go on sending.
    if account.has_code() && delegation(code).is_none() {
        return Err(Rejection::SenderHasCode { sender: address, code_hash: account.code_hash });
    }
    payer(tx, account)
}

/// The paying account's nonce and balance against the transaction.
pub fn payer(tx: &Transaction, account: &Account) -> Result<(), Rejection> {
    if tx.nonce() != account.nonce {
        return Err(Rejection::InvalidNonce { expected: account.nonce, actual: tx.nonce() });
    }
    let required = cost_max(tx);
    if account.balance < required {
        return Err(Rejection::InsufficientBalance { required, available: account.balance });
    }
    Ok(())
}

/// Value plus the most that gas and blobs may cost: what the sender must own. 2^256 - 1 where it is more.
pub fn cost_max(tx: &Transaction) -> U256 {
    // Both products stay below 2^192.
    let gas = U256::from(tx.gas_limit()) * U256::from(tx.max_fee_per_gas());
    let cost = gas.saturating_add(tx.value());
    match tx.max_fee_per_blob_gas() {
        Some(fee) => cost.saturating_add(U256::from(BLOB_GAS * tx.blob_hashes().len() as u64) * U256::from(fee)),
        None => cost,
    }
}

fn kind_enabled(rules: &Rules, kind: u8) -> bool {
    let fork = rules.fork;
    match kind {
        0 => true,
        1 => fork >= Fork::Berlin,
        2 => fork >= Fork::London,
        3 => fork >= Fork::Cancun,
        4 => fork >= Fork::Prague,
        0x54 => rules.own.assets && fork >= Fork::London,
        _ => false,
    }
}

/// What a unit of gas costs.
fn fees(block: &BlockEnv, tx: &Transaction) -> Result<u128, Rejection> {
    let max_fee = tx.max_fee_per_gas();
    let tip = tx.max_priority_fee_per_gas();
    if tx.is_dynamic_fee() && tip > max_fee {
        return Err(Rejection::TipAboveFee { tip, max_fee });
    }
    let Some(base_fee) = block.base_fee else {
        return Ok(max_fee);
    };
    if max_fee < u128::from(base_fee) {
        return Err(Rejection::FeeTooLow { base_fee, max_fee });
    }
    // Not above: the sum is capped before it can pass 2^128.
    Ok(if tip >= max_fee - u128::from(base_fee) { max_fee } else { tip + u128::from(base_fee) })
}

/// Blob gas and its price.
fn blobs(rules: &Rules, block: &BlockEnv, tx: &Transaction) -> Result<(u64, u128), Rejection> {
    let Some(max_fee) = tx.max_fee_per_blob_gas() else {
        return Ok((0, 0));
    };
    let hashes = tx.blob_hashes();
    if hashes.is_empty() {
        return Err(Rejection::NoBlobs);
    }
    let per_transaction = if rules.has(Fork::Osaka) { BLOBS_PER_TRANSACTION_MAX } else { u64::MAX };
    let max = rules.blobs.max.min(per_transaction);
    if hashes.len() as u64 > max {
        return Err(Rejection::TooManyBlobs { count: hashes.len(), max });
    }
    if let Some(index) = hashes.iter().position(|hash| hash[0] != BLOB_HASH_VERSION) {
        return Err(Rejection::BlobVersion { index, version: hashes[index][0] });
    }
    let base_fee = rules.blob_base_fee(block);
    if max_fee < base_fee {
        return Err(Rejection::BlobFeeTooLow { base_fee, max_fee });
    }
    Ok((BLOB_GAS * hashes.len() as u64, base_fee))
}

//! One transaction from beginning to end: validate, charge, run, settle.
//!
//! [`transact`] changes the overlay and answers what happened; the overlay's [`transaction_diff`] tells the change
//! itself. A transaction that is refused, or that meets an unreadable state, leaves the overlay as it was.
//!
//! [`transaction_diff`]: state::Overlay::transaction_diff

mod intrinsic;
mod rejection;
pub mod validate;

use state::{AccountId, EmptyAccounts, Overlay, ViewError};
use types::{Account, Address, Bytes, Log, Recovered, TxKind, U256};

pub use rejection::Rejection;
pub use validate::Terms;

use crate::spec::{BlockEnv, Fork, Rules};

/// What a transaction did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executed {
    /// How it ended.
    pub outcome: Outcome,
    /// Gas paid for, refunds taken off.
    pub gas_used: u64,
    /// Gas given back for cleaning up.
    pub gas_refunded: u64,
    /// Blob gas paid for.
    pub blob_gas_used: u64,
    /// Wei per gas.
    pub gas_price: u128,
    /// Wei that the beneficiary got.
    pub tip: U256,
    /// Wei that nobody has any more: base fee, blob fee, balances of destroyed accounts.
    pub burned: U256,
    /// In the order they were written; none unless it succeeded.
    pub logs: Vec<Log>,
}

/// How a transaction that entered the block ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It did what it does.
    Success {
        /// What the call returned; the code of a created contract.
        output: Bytes,
        /// The contract that it created.
        created: Option<Address>,
    },
}

impl Outcome {
    /// Whether the receipt says success.
    pub fn is_success(&self) -> bool {
        matches!(self, Self::Success { .. })
    }
}

/// Why there is no outcome.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransactError {
    /// The transaction may not enter this block.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The state cannot be read.
    #[error(transparent)]
    View(#[from] ViewError),
    /// Contracts cannot be run by this build.
    #[error("{0} has code, which this build cannot run")]
    CodeNotRunnable(Address),
}

/// Validates and executes one transaction.
pub fn transact(
    rules: &Rules,
    block: &BlockEnv,
    tx: &Recovered,
    overlay: &mut Overlay<'_>,
) -> Result<Executed, TransactError> {
    let terms = validate::form(rules, block, &tx.transaction)?;
    overlay.begin();
    let executed = run(rules, block, tx, &terms, overlay);
    if executed.is_err() {
        overlay.abandon();
    }
    executed
}

fn run(
    rules: &Rules,
    block: &BlockEnv,
    tx: &Recovered,
    terms: &Terms,
    overlay: &mut Overlay<'_>,
) -> Result<Executed, TransactError> {
    let sender = overlay.load(&tx.sender)?;
    let account = overlay.account(sender).copied().unwrap_or_default();
    let code = if account.has_code() { overlay.code(sender)? } else { Bytes::new() };
    validate::sender(&tx.transaction, tx.sender, &account, &code)?;
    match tx.transaction.to() {
        TxKind::Call(to) => {
            let recipient = overlay.load(&to)?;
            if overlay.has_code(recipient) {
                return Err(TransactError::CodeNotRunnable(to));
            }
            transfer(rules, block, tx, terms, overlay, sender, recipient)
        }
        TxKind::Create => Err(TransactError::CodeNotRunnable(Address::ZERO)),
    }
}

/// Value to an account without code: nothing can look, so the sender's fee and value are one write.
fn transfer(
    rules: &Rules,
    block: &BlockEnv,
    tx: &Recovered,
    terms: &Terms,
    overlay: &mut Overlay<'_>,
    sender: AccountId,
    recipient: AccountId,
) -> Result<Executed, TransactError> {
    let gas_used = terms.intrinsic_gas.max(terms.floor_gas);
    let value = tx.transaction.value();
    let fee = U256::from(gas_used) * U256::from(terms.gas_price);
    let blob_fee = U256::from(terms.blob_gas) * U256::from(terms.blob_price);
    overlay.write(sender, |account: &mut Account| {
        account.nonce += 1;
        account.balance -= value + fee + blob_fee;
    });
    overlay.credit(recipient, value);
    let base_fee = U256::from(gas_used) * U256::from(block.base_fee.unwrap_or_default());
    let tip = fee - base_fee;
    let beneficiary = overlay.load(&block.beneficiary)?;
    overlay.credit(beneficiary, tip);
    let empty = if rules.has(Fork::SpuriousDragon) { EmptyAccounts::Cleared } else { EmptyAccounts::Stay };
    let destroyed = overlay.settle(empty)?;
    Ok(Executed {
        outcome: Outcome::Success { output: Bytes::new(), created: None },
        gas_used,
        gas_refunded: 0,
        blob_gas_used: terms.blob_gas,
        gas_price: terms.gas_price,
        tip,
        burned: base_fee + blob_fee + destroyed,
        logs: overlay.take_logs(),
    })
}

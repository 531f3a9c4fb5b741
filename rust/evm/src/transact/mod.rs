//! One transaction from beginning to end: validate, charge, run, settle.
//!
//! [`transact`] changes the overlay and answers what happened; the overlay's [`transaction_diff`] tells the change
//! itself. A transaction that is refused, or that meets an unreadable state, leaves the overlay as it was.
//!
//! [`transaction_diff`]: state::Overlay::transaction_diff

mod asset_transfer;
mod authorize;
mod intrinsic;
mod rejection;
mod settle;
mod system;
pub mod validate;

use state::{AccountId, Overlay, ViewError};
use types::{Address, Bytes, Log, Payload, Recovered, TxKind, U256};

pub use rejection::Rejection;
pub use system::{SYSTEM_ADDRESS, system_call};
pub use validate::Terms;

use crate::{
    frame::{self, Fault, FrameResult, Kind, Machine, Message, Status},
    interpreter::HaltReason,
    precompiles,
    spec::{BlockEnv, Fork, Rules},
    trace::Tracer,
};

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
    /// The code undid everything and says why.
    Revert {
        /// What it says.
        output: Bytes,
    },
    /// The code broke a rule; everything is undone and the gas is gone.
    Halt {
        /// Which rule.
        reason: HaltReason,
    },
}

impl Outcome {
    /// Whether the receipt says success.
    pub fn is_success(&self) -> bool {
        matches!(self, Self::Success { .. })
    }
}

impl From<FrameResult> for Outcome {
    fn from(result: FrameResult) -> Self {
        match result.status {
            Status::Success => Self::Success { output: result.output, created: result.created },
            Status::Revert => Self::Revert { output: result.output },
            Status::Halt(reason) => Self::Halt { reason },
        }
    }
}

/// Why there is no outcome.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransactError {
    /// The transaction may not enter this block.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The state cannot be read, or code of the chain's own failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl From<ViewError> for TransactError {
    fn from(error: ViewError) -> Self {
        Self::Fault(error.into())
    }
}

/// What a transaction has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checks {
    /// Fit for a block.
    Block,
    /// A call that nobody signed: whoever sends it may be a contract, and no limit on a transaction's gas holds.
    Call,
}

/// Validates and executes one transaction.
pub fn transact(
    rules: &Rules,
    block: &BlockEnv,
    tx: &Recovered,
    overlay: &mut Overlay<'_>,
) -> Result<Executed, TransactError> {
    watched(rules, block, tx, overlay, Checks::Block, None)
}

/// The same, step by step in the sight of `tracer`.
pub fn trace(
    rules: &Rules,
    block: &BlockEnv,
    tx: &Recovered,
    overlay: &mut Overlay<'_>,
    tracer: &mut dyn Tracer,
) -> Result<Executed, TransactError> {
    watched(rules, block, tx, overlay, Checks::Block, Some(tracer))
}

/// Executes a call that nobody signed (see [`Checks::Call`]), in the sight of a tracer if there is one.
pub fn call(
    rules: &Rules,
    block: &BlockEnv,
    tx: &Recovered,
    overlay: &mut Overlay<'_>,
    tracer: Option<&mut dyn Tracer>,
) -> Result<Executed, TransactError> {
    watched(rules, block, tx, overlay, Checks::Call, tracer)
}

fn watched(
    rules: &Rules,
    block: &BlockEnv,
    tx: &Recovered,
    overlay: &mut Overlay<'_>,
    checks: Checks,
    tracer: Option<&mut dyn Tracer>,
) -> Result<Executed, TransactError> {
    overlay.view().check().map_err(ViewError::from)?;
    let terms = validate::form_as(checks, rules, block, &tx.transaction)?;
    overlay.begin();
    let executed = execute(rules, block, tx, &terms, overlay, checks, tracer);
    if executed.is_err() {
        overlay.abandon();
    }
    executed
}

fn execute(
    rules: &Rules,
    block: &BlockEnv,
    tx: &Recovered,
    terms: &Terms,
    overlay: &mut Overlay<'_>,
    checks: Checks,
    tracer: Option<&mut dyn Tracer>,
) -> Result<Executed, TransactError> {
    let sender = overlay.load(&tx.sender)?;
    let account = overlay.account(sender).unwrap_or_default();
    match checks {
        Checks::Block => {
            let code = if account.has_code() { overlay.code(sender)? } else { Bytes::new() };
            validate::sender(&tx.transaction, tx.sender, &account, &code)?;
        }
        Checks::Call => validate::payer(&tx.transaction, &account)?,
    }
    let (gas, outcome) = match code_free_recipient(rules, tx, overlay, tracer.is_some())? {
        Some(recipient) => transfer(tx, terms, overlay, sender, recipient),
        None => run(rules, block, tx, terms, overlay, sender, tracer)?,
    };
    let (tip, burned) = settle::settle(rules, block, terms, overlay, gas)?;
    Ok(Executed {
        outcome,
        gas_used: gas.used,
        gas_refunded: gas.refunded,
        blob_gas_used: terms.blob_gas,
        gas_price: terms.gas_price,
        tip,
        burned,
        logs: overlay.take_logs(),
    })
}

/// Whom a transaction pays that can run nothing, unseen.
#[inline]
fn code_free_recipient(
    rules: &Rules,
    tx: &Recovered,
    overlay: &mut Overlay<'_>,
    is_watched: bool,
) -> Result<Option<AccountId>, ViewError> {
    if let TxKind::Call(to) = tx.transaction.to()
        && tx.transaction.authorizations().is_none()
        && !precompiles::contains(rules, &to)
        && !is_watched
    {
        let recipient = overlay.load(&to)?;
        return Ok((!overlay.has_code(recipient)).then_some(recipient));
    }
    Ok(None)
}

/// Value to an account without code: nothing can look, so the sender's fee and value are one write.
#[inline]
fn transfer(
    tx: &Recovered,
    terms: &Terms,
    overlay: &mut Overlay<'_>,
    sender: AccountId,
    recipient: AccountId,
) -> (settle::Gas, Outcome) {
    let gas = settle::Gas::unrefunded(terms.intrinsic_gas, terms);
    let value = tx.transaction.value();
    let cost = value + gas.fee(terms) + terms.blob_fee();
    overlay.write(sender, |nonce, balance| {
        *nonce += 1;
        *balance -= cost;
    });
    overlay.credit(recipient, value);
    (gas, Outcome::Success { output: Bytes::new(), created: None })
}

/// Everything else: charge the most that it may cost, run, give back what was not used.
fn run(
    rules: &Rules,
    block: &BlockEnv,
    tx: &Recovered,
    terms: &Terms,
    overlay: &mut Overlay<'_>,
    sender: AccountId,
    tracer: Option<&mut dyn Tracer>,
) -> Result<(settle::Gas, Outcome), Fault> {
    let transaction = &tx.transaction;
    let gas_price = U256::from(terms.gas_price);
    let charged = U256::from(transaction.gas_limit()) * gas_price + terms.blob_fee();
    overlay.write(sender, |nonce, balance| {
        *nonce += 1;
        *balance -= charged;
    });
    overlay.warm(sender);
    if rules.has(Fork::Shanghai) {
        // EIP-3651.
        let beneficiary = overlay.load(&block.beneficiary)?;
        overlay.warm(beneficiary);
    }
    for item in transaction.access_list().into_iter().flat_map(|list| list.iter()) {
        let account = overlay.load(&item.address)?;
        overlay.warm(account);
        for key in &item.storage_keys {
            let slot = overlay.load_slot(account, &(*key).into())?;
            overlay.warm_slot(slot);
        }
    }
    authorize::authorize(rules, tx, overlay)?;
    let gas = transaction.gas_limit() - terms.intrinsic_gas;
    let message = match transaction.to() {
        TxKind::Call(to) => {
            let recipient = overlay.load(&to)?;
            overlay.warm(recipient);
            if rules.has(Fork::Prague)
                && overlay.has_code(recipient)
                && let Some(delegate) = frame::delegation(&overlay.code(recipient)?)
            {
                let delegate = overlay.load(&delegate)?;
                overlay.warm(delegate);
            }
            Message {
                kind: Kind::Call,
                is_static: false,
                caller: tx.sender,
                target: to,
                code_from: to,
                value: transaction.value(),
                input: transaction.input().clone(),
                gas,
            }
        }
        TxKind::Create => {
            let target = tx.sender.create(transaction.nonce());
            Message {
                kind: Kind::Create,
                is_static: false,
                caller: tx.sender,
                target,
                code_from: target,
                value: transaction.value(),
                input: transaction.input().clone(),
                gas,
            }
        }
    };
    let blob_hashes = transaction.blob_hashes();
    // For as long as the rest lives.
    let tracer = tracer.map(|tracer| tracer as &mut dyn Tracer);
    let mut machine = Machine { rules, block, overlay, origin: tx.sender, gas_price, blob_hashes, tracer };
    let result = match transaction.payload() {
        Some(Payload::AssetTransfer(transfer)) => asset_transfer::run(&mut machine, message, transfer)?,
        _ => frame::run(&mut machine, message)?,
    };
    let gas = settle::Gas::refunded(rules, transaction.gas_limit() - result.gas_left, overlay.refunded(), terms);
    overlay.credit(sender, U256::from(transaction.gas_limit() - gas.used) * gas_price);
    Ok((gas, result.into()))
}

#[cfg(test)]
mod tests;

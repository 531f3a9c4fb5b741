//! Transactions on their way in.

use chain::{
    BlockRef, Submission,
    exec::call::BlockOverrides,
    types::{B256, Bytes, Transaction, TxKind, tx::TxEip1559, tx::TxLegacy},
};

use super::{call::CallForm, fees};
use crate::{Context, arguments::Arguments as _, context::RecoveredBatch, error::RpcError};

/// As clients call [`send_raw`].
const SEND_RAW: &str = "eth_sendRawTransaction";

pub(super) fn send_raw(context: &Context<'_>, (bytes,): (Bytes,)) -> Result<B256, RpcError> {
    match context.recovered.get(&bytes) {
        Some(Ok(recovered)) => submit(context, recovered.clone().into()),
        Some(Err(error)) => Err(RpcError::refused(error.to_string())),
        None => submit(context, bytes.into()),
    }
}

/// The senders of all raw transactions of a batch.
pub(crate) fn recover_batch<'a>(calls: impl Iterator<Item = (&'a str, Option<&'a str>)>) -> RecoveredBatch {
    let raw = calls.filter(|(name, _)| *name == SEND_RAW).filter_map(|(_, params)| <(Bytes,)>::read(params).ok());
    let raw: Vec<Bytes> = raw.map(|(bytes,)| bytes).collect();
    let batch = raw.iter().cloned().map(Submission::Raw).collect();
    // Where it was stopped, no call will ask any more.
    let recovered = chain::recover(batch).unwrap_or_default();
    raw.into_iter().zip(recovered).collect()
}

pub(super) fn send(context: &Context<'_>, (form,): (CallForm,)) -> Result<B256, RpcError> {
    let signed = sign(context, form)?;
    submit(context, signed.into())
}

/// Fills in what was left out, and signs for one of the node's accounts.
fn sign(context: &Context<'_>, form: CallForm) -> Result<Transaction, RpcError> {
    let chain = context.chain();
    let chain_id = chain.spec().chain_id;
    if let Some(given) = form.chain_id.filter(|given| *given != chain_id) {
        return Err(RpcError::invalid_params(format!("chainId does not match node's (have={given}, want={chain_id})")));
    }
    let from = form.from.ok_or_else(|| RpcError::invalid_params("missing field: from"))?;
    let key = context.development()?.key(&from).ok_or_else(|| RpcError::refused("unknown account"))?;
    let nonce = form.nonce.map_or_else(|| chain.next_nonce(&from), Ok)?;
    let to = form.to.map_or(TxKind::Create, TxKind::Call);
    let value = form.value.unwrap_or_default();
    let input = form.input.clone().unwrap_or_default();
    let access_list = form.access_list.clone().unwrap_or_default();
    let gas_limit = match form.gas {
        Some(gas) => gas,
        None => {
            let free =
                CallForm { gas_price: None, max_fee_per_gas: None, max_priority_fee_per_gas: None, ..form.clone() };
            chain.desk(BlockRef::Pending, &BlockOverrides::default())?.estimate_gas(&free.request())?
        }
    };
    let base_fee = chain.next_base_fee();
    if form.gas_price.is_some() || base_fee.is_none() {
        let gas_price = form.gas_price.map_or_else(|| fees::gas_price(context, ()), Ok)?;
        let unsigned = TxLegacy { chain_id: Some(chain_id), nonce, gas_price, gas_limit, to, value, input };
        return Ok(Transaction::sign(unsigned, key));
    }
    let tip = form.max_priority_fee_per_gas.map_or_else(|| fees::max_priority_fee(context, ()), Ok)?;
    // A cap that lasts while the base fee doubles, as geth fills it in.
    let cap = form.max_fee_per_gas.unwrap_or_else(|| tip.saturating_add(2 * u128::from(base_fee.unwrap_or_default())));
    if cap < tip {
        let message = format!("maxFeePerGas ({cap}) < maxPriorityFeePerGas ({tip})");
        return Err(RpcError::invalid_params(message));
    }
    let unsigned = TxEip1559 {
        chain_id,
        nonce,
        gas_limit,
        max_fee_per_gas: cap,
        max_priority_fee_per_gas: tip,
        to,
        value,
        access_list,
        input,
    };
    Ok(Transaction::sign(unsigned, key))
}

/// Into the pool, and into a block at once where the devnet mines by itself and the transaction can be included.
fn submit(context: &Context<'_>, transaction: Submission) -> Result<B256, RpcError> {
    let chain = context.chain();
    let mut answers = chain.submit(vec![transaction]);
    let hash =
        answers.pop().expect("one answer for one transaction").map_err(|error| RpcError::refused(error.to_string()))?;
    if let Ok(development) = context.development()
        && development.automine()
        && is_ready(context, &hash)
    {
        development.mine(chain)?;
    }
    Ok(hash)
}

/// Whether the next block would take it: its turn among the sender's, and a fee cap that reaches the base fee.
fn is_ready(context: &Context<'_>, hash: &B256) -> bool {
    let base_fee = context.chain().next_base_fee().unwrap_or_default();
    let pool = context.chain().pool();
    pool.get(hash).is_some_and(|waiting| waiting.fee_cap >= u128::from(base_fee)) && pool.is_pending(hash)
}

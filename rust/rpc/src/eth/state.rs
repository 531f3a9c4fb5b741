//! What accounts hold at a block.

use chain::{
    BlockRef,
    state::View,
    types::{Address, B256, Bytes, U256},
};

use crate::{
    Context,
    arguments::{At, SlotKey},
    error::RpcError,
};

pub(super) fn balance(context: &Context<'_>, (address, at): (Address, At)) -> Result<U256, RpcError> {
    Ok(context.state(at)?.balance(&address)?)
}

pub(super) fn nonce(context: &Context<'_>, (address, at): (Address, At)) -> Result<u64, RpcError> {
    match at.block {
        BlockRef::Pending => Ok(context.chain().next_nonce(&address)?),
        _ => Ok(context.state(at)?.nonce(&address)?),
    }
}

pub(super) fn code(context: &Context<'_>, (address, at): (Address, At)) -> Result<Bytes, RpcError> {
    let state = context.state(at)?;
    match state.account(&address)? {
        Some(account) if account.has_code() => Ok(state.code(&account.code_hash)?),
        _ => Ok(Bytes::new()),
    }
}

pub(super) fn storage(context: &Context<'_>, (address, slot, at): (Address, SlotKey, At)) -> Result<B256, RpcError> {
    Ok(context.state(at)?.storage(&address, &slot.0)?.into())
}

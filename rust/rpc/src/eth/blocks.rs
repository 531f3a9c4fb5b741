//! Blocks, and what stands in them. What does not exist is null, not an error.

use std::sync::Arc;

use chain::{BlockRef, state::StoredBlock, types::B256};

use crate::{
    Context,
    arguments::At,
    error::RpcError,
    forms::{BlockForm, OwnedReceipt, OwnedTransaction, ReceiptsForm},
};

pub(super) fn by_hash(
    context: &Context<'_>,
    (hash, full): (B256, Option<bool>),
) -> Result<Option<BlockForm>, RpcError> {
    let full = full.unwrap_or_default();
    Ok(context.block(hash.into())?.map(|block| BlockForm { block, full }))
}

pub(super) fn by_number(
    context: &Context<'_>,
    (number, full): (BlockRef, Option<bool>),
) -> Result<Option<BlockForm>, RpcError> {
    let full = full.unwrap_or_default();
    Ok(context.block(number)?.map(|block| BlockForm { block, full }))
}

pub(super) fn receipts<'a>(context: &Context<'a>, (at,): (At,)) -> Result<Option<ReceiptsForm<'a>>, RpcError> {
    let spec = context.chain().spec();
    Ok(context.block_at(at)?.map(|block| ReceiptsForm { block, spec }))
}

pub(super) fn transaction_count_by_hash(context: &Context<'_>, (hash,): (B256,)) -> Result<Option<u64>, RpcError> {
    count(context, hash.into(), |block| block.body.transactions.len())
}

pub(super) fn transaction_count_by_number(
    context: &Context<'_>,
    (number,): (BlockRef,),
) -> Result<Option<u64>, RpcError> {
    count(context, number, |block| block.body.transactions.len())
}

pub(super) fn ommer_count_by_hash(context: &Context<'_>, (hash,): (B256,)) -> Result<Option<u64>, RpcError> {
    count(context, hash.into(), |block| block.body.ommers.len())
}

pub(super) fn ommer_count_by_number(context: &Context<'_>, (number,): (BlockRef,)) -> Result<Option<u64>, RpcError> {
    count(context, number, |block| block.body.ommers.len())
}

fn count(context: &Context<'_>, block: BlockRef, of: impl Fn(&StoredBlock) -> usize) -> Result<Option<u64>, RpcError> {
    Ok(context.block(block)?.map(|block| of(&block) as u64))
}

pub(super) fn transaction_by_hash_and_index(
    context: &Context<'_>,
    (hash, index): (B256, u64),
) -> Result<Option<OwnedTransaction>, RpcError> {
    Ok(context.block(hash.into())?.and_then(|block| at(block, index)))
}

pub(super) fn transaction_by_number_and_index(
    context: &Context<'_>,
    (number, index): (BlockRef, u64),
) -> Result<Option<OwnedTransaction>, RpcError> {
    Ok(context.block(number)?.and_then(|block| at(block, index)))
}

fn at(block: Arc<StoredBlock>, index: u64) -> Option<OwnedTransaction> {
    let index = usize::try_from(index).ok().filter(|index| *index < block.body.transactions.len())?;
    Some(OwnedTransaction::Mined { block, index })
}

pub(super) fn transaction(context: &Context<'_>, (hash,): (B256,)) -> Result<Option<OwnedTransaction>, RpcError> {
    if let Some((block, index)) = context.located(&hash)? {
        return Ok(Some(OwnedTransaction::Mined { block, index }));
    }
    let pool = context.chain().pool();
    let waiting = pool.get(&hash).filter(|waiting| !waiting.private);
    Ok(waiting.map(|waiting| OwnedTransaction::Waiting(Box::new(waiting.transaction.clone()))))
}

pub(super) fn receipt<'a>(context: &Context<'a>, (hash,): (B256,)) -> Result<Option<OwnedReceipt<'a>>, RpcError> {
    let spec = context.chain().spec();
    Ok(context.located(&hash)?.map(|(block, index)| OwnedReceipt { block, index, spec }))
}

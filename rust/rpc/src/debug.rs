//! `debug_*`: what blocks consist of, as bytes. Who follows a chain imports them.

use chain::types::{B256, Block, Bytes, Receipt, rlp};

use crate::{Context, arguments::At, error::RpcError, methods::methods};

methods! {
    debug_getRawBlock("block or hash") Long block, "A block's RLP; null where there is none.";
    debug_getRawHeader("block or hash") Long header, "The RLP of a block's header.";
    debug_getRawReceipts("block or hash") Long receipts, "The receipts of a block as its root is made of them.";
    debug_getRawTransaction("hash") Long transaction, "A transaction's bytes, mined or waiting.";
}

fn block(context: &Context<'_>, (at,): (At,)) -> Result<Option<Bytes>, RpcError> {
    let encoded = |header, body| Bytes::from(rlp::encode(Block { header, body }));
    Ok(context.block_at(at)?.map(|block| encoded(block.header.clone(), block.body.clone())))
}

fn header(context: &Context<'_>, (at,): (At,)) -> Result<Option<Bytes>, RpcError> {
    Ok(context.block_at(at)?.map(|block| rlp::encode(&block.header).into()))
}

fn receipts(context: &Context<'_>, (at,): (At,)) -> Result<Option<Vec<Bytes>>, RpcError> {
    let block = context.block_at(at)?;
    Ok(block.map(|block| block.receipts.iter().map(Receipt::to_bytes).collect()))
}

fn transaction(context: &Context<'_>, (hash,): (B256,)) -> Result<Option<Bytes>, RpcError> {
    if let Some((block, index)) = context.located(&hash)? {
        return Ok(Some(block.body.transactions[index].to_bytes()));
    }
    let pool = context.chain().pool();
    let waiting = pool.get(&hash).filter(|waiting| !waiting.private);
    Ok(waiting.map(|waiting| waiting.transaction.transaction.to_bytes()))
}

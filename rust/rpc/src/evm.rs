//! `evm_*`: what a devnet's clients do to the chain. Served only where the server was made for development.

use chain::{Anchor, ChainError, types::Bytes};

use crate::{
    Context,
    arguments::{Argument, Number, each_field},
    error::RpcError,
    json::Plain,
    methods::methods,
};

methods! {
    evm_increaseTime("seconds") Quick increase_time, "Moves the clock of the next blocks forward; by how much it is ahead in all.";
    evm_mine("options?") Long mine, "Makes a block of what waits, or several: a timestamp, or `{timestamp, blocks, transactions}`.";
    evm_revert("snapshot") Long revert, "Returns to a snapshot, which is spent then; whether there was one.";
    evm_setAutomine("on") Quick set_automine, "Whether a transaction gets a block at once.";
    evm_setNextBlockTimestamp("timestamp") Quick set_next_timestamp, "Sets the time of the next block.";
    evm_snapshot() Long snapshot, "Sets a point to return to; its number.";
}

/// What `evm_mine` may be told: the time of the (first) block, how many, and, for a single one, exactly which signed
/// transactions stand in it.
struct MineRequest {
    timestamp: Option<u64>,
    blocks: u64,
    transactions: Option<Vec<Bytes>>,
}

impl Argument for MineRequest {
    fn read(json: &str) -> Result<Self, String> {
        let mut request = Self { timestamp: None, blocks: 1, transactions: None };
        if !json.starts_with('{') {
            request.timestamp = Some(Number::read(json)?.0);
            return Ok(request);
        }
        each_field(json, "options", |name, value| {
            match name {
                "timestamp" => request.timestamp = Option::<Number>::read(value)?.map(|number| number.0),
                "blocks" => request.blocks = Number::read(value)?.0,
                "transactions" => request.transactions = Option::read(value)?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(request)
    }
}

fn mine(context: &Context<'_>, (request,): (Option<MineRequest>,)) -> Result<u64, RpcError> {
    let request = request.unwrap_or(MineRequest { timestamp: None, blocks: 1, transactions: None });
    let (development, chain) = (context.development()?, context.chain());
    let most = context.limits().blocks_mined;
    if request.blocks > most {
        return Err(RpcError::invalid_params(format!("blocks: at most {most} at once, got {}", request.blocks)));
    }
    if request.transactions.is_some() && request.blocks != 1 {
        return Err(RpcError::invalid_params(format!("transactions: for one block, not {}", request.blocks)));
    }
    if let Some(timestamp) = request.timestamp {
        development.set_next(chain, timestamp)?;
    }
    if let Some(transactions) = request.transactions {
        development.mine_exactly(chain, transactions)?;
        return Ok(0);
    }
    for _ in 0..request.blocks {
        development.mine(chain)?;
    }
    Ok(0)
}

fn snapshot(context: &Context<'_>, (): ()) -> Result<u64, RpcError> {
    // Clients take the number 0 for none.
    Ok(context.chain().anchor()?.0 + 1)
}

fn revert(context: &Context<'_>, (id,): (Number,)) -> Result<bool, RpcError> {
    let Some(anchor) = id.0.checked_sub(1).map(Anchor) else { return Ok(false) };
    match context.chain().undo(anchor) {
        Ok(_) => Ok(true),
        Err(ChainError::UnknownAnchor(_)) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn increase_time(context: &Context<'_>, (seconds,): (Number,)) -> Result<Plain, RpcError> {
    Ok(Plain(context.development()?.advance(seconds.0)))
}

fn set_next_timestamp(context: &Context<'_>, (timestamp,): (Number,)) -> Result<Option<bool>, RpcError> {
    context.development()?.set_next(context.chain(), timestamp.0)?;
    Ok(None)
}

fn set_automine(context: &Context<'_>, (on,): (bool,)) -> Result<Option<bool>, RpcError> {
    context.development()?.set_automine(on);
    Ok(None)
}

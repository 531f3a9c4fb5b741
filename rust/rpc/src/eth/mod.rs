//! `eth_*`: the chain as every client asks for it. The methods stand by what they read: state, blocks, fees, logs; what
//! they run: calls; and what they send.

mod blocks;
mod call;
mod fees;
mod logs;
mod overrides;
mod proof;
mod send;
mod state;

use chain::{BlockRef, ChainError, types::Address};

pub(crate) use logs::Filter;
pub(crate) use send::recover_batch;

use crate::{
    Context, arguments::Argument, error::RpcError, forms::OwnedTransaction, methods::methods, session::Kind,
    txpool::whole,
};

methods! {
    eth_accounts() Quick accounts, "Accounts that this node signs for.";
    eth_blobBaseFee() Quick fees::blob_base_fee, "Wei per unit of blob gas in the next block.";
    eth_blockNumber() Quick block_number, "Number of the newest block.";
    eth_call("call", "block?", "state overrides?", "block overrides?") Long call::call, "What a call would return, without a transaction.";
    eth_chainId() Quick chain_id, "The chain's number, as transactions name it.";
    eth_createAccessList("call", "block?", "state overrides?") Long call::create_access_list, "The access list that covers all that a call touches, and what the call costs with it.";
    eth_estimateGas("call", "block?", "state overrides?", "block overrides?") Long call::estimate_gas, "The least gas limit with which a call succeeds.";
    eth_feeHistory("blocks", "newest block", "percentiles?") Long fees::fee_history, "Fees and tips of past blocks.";
    eth_gasPrice() Quick fees::gas_price, "A gas price that the next blocks should take.";
    eth_getBalance("address", "block?") Quick state::balance, "Wei that an account holds.";
    eth_getBlockByHash("block hash", "full?") Long blocks::by_hash, "A block, with hashes of its transactions or all of them.";
    eth_getBlockByNumber("block", "full?") Long blocks::by_number, "A block, with hashes of its transactions or all of them.";
    eth_getBlockReceipts("block") Long blocks::receipts, "The receipts of all transactions of a block.";
    eth_getBlockTransactionCountByHash("block hash") Long blocks::transaction_count_by_hash, "How many transactions a block holds.";
    eth_getBlockTransactionCountByNumber("block") Long blocks::transaction_count_by_number, "How many transactions a block holds.";
    eth_getCode("address", "block?") Quick state::code, "An account's code.";
    eth_getLogs("filter") Long logs::logs, "Logs of a range of blocks, by address and topics.";
    eth_getProof("address", "slots", "block?") Long proof::proof, "An account and slots of it, with the trie nodes that prove them.";
    eth_getStorageAt("address", "slot", "block?") Quick state::storage, "The value of a storage slot, 32 bytes.";
    eth_getTransactionByBlockHashAndIndex("block hash", "index") Long blocks::transaction_by_hash_and_index, "A transaction by its place.";
    eth_getTransactionByBlockNumberAndIndex("block", "index") Long blocks::transaction_by_number_and_index, "A transaction by its place.";
    eth_getTransactionByHash("hash") Long blocks::transaction, "A transaction, mined or waiting.";
    eth_getTransactionCount("address", "block?") Quick state::nonce, "An account's nonce; with `pending`, waiting transactions are counted.";
    eth_getTransactionReceipt("hash") Long blocks::receipt, "How a mined transaction ended; null while it is not mined.";
    eth_getUncleCountByBlockHash("block hash") Long blocks::ommer_count_by_hash, "How many ommers a block names.";
    eth_getUncleCountByBlockNumber("block") Long blocks::ommer_count_by_number, "How many ommers a block names.";
    eth_maxPriorityFeePerGas() Quick fees::max_priority_fee, "A tip that the next blocks should take.";
    eth_pendingTransactions() Long pending_transactions, "Waiting transactions of accounts that this node signs for.";
    eth_sendRawTransaction("transaction") Long send::send_raw, "Takes a signed transaction; its hash.";
    eth_sendTransaction("transaction") Long send::send, "Signs a transaction for one of this node's accounts and takes it; its hash.";
    eth_subscribe("what", "filter?") Quick subscribe, "Pushes `newHeads`, `logs`, `newPendingTransactions` or `poolEvents` from here on; WebSocket and IPC only.";
    eth_syncing() Quick syncing, "Whether the node is catching up: never.";
    eth_unsubscribe("subscription") Quick unsubscribe, "Ends a subscription; whether there was one.";
}

impl From<ChainError> for RpcError {
    fn from(error: ChainError) -> Self {
        match error {
            ChainError::UnknownBlock(BlockRef::Hash(_)) => Self::refused("header for hash not found"),
            ChainError::UnknownBlock(_) => Self::refused("header not found"),
            other => Self::refused(other.to_string()),
        }
    }
}

impl From<chain::state::ViewError> for RpcError {
    fn from(error: chain::state::ViewError) -> Self {
        ChainError::from(error).into()
    }
}

fn accounts(context: &Context<'_>, (): ()) -> Result<Vec<Address>, RpcError> {
    Ok(context.keys().iter().map(chain::types::Key::address).collect())
}

fn block_number(context: &Context<'_>, (): ()) -> Result<u64, RpcError> {
    Ok(context.chain().head().id.number)
}

fn chain_id(context: &Context<'_>, (): ()) -> Result<u64, RpcError> {
    Ok(context.chain().spec().chain_id)
}

fn pending_transactions(context: &Context<'_>, (): ()) -> Result<Vec<OwnedTransaction>, RpcError> {
    let pool = context.chain().pool();
    let own = context.keys().iter().map(chain::types::Key::address);
    let shown = |address| pool.pending(&address).filter(|pooled| !pooled.private).map(whole).collect::<Vec<_>>();
    Ok(own.flat_map(shown).collect())
}

fn syncing(_: &Context<'_>, (): ()) -> Result<bool, RpcError> {
    Ok(false)
}

/// A filter, kept as text until it is known what it belongs to.
struct Options(String);

impl Argument for Options {
    fn read(json: &str) -> Result<Self, String> {
        Ok(Self(json.to_owned()))
    }
}

fn subscribe(context: &Context<'_>, (kind, options): (String, Option<Options>)) -> Result<u64, RpcError> {
    let Some(session) = context.session() else { return Err(RpcError::no_notifications()) };
    let invalid = |error| RpcError::invalid_params(format!("invalid argument 1: {error}"));
    let full = |options: Option<Options>| match options {
        Some(Options(json)) => bool::read(&json).map_err(invalid),
        None => Ok(false),
    };
    let kind = match kind.as_str() {
        "newHeads" => Kind::NewHeads,
        "logs" => Kind::Logs(options.map_or(Ok(Filter::default()), |json| Filter::read(&json.0)).map_err(invalid)?),
        "newPendingTransactions" => Kind::PendingTransactions { full: full(options)? },
        "poolEvents" => Kind::PoolEvents,
        other => return Err(RpcError::invalid_params(format!("no \"{other}\" subscription in eth namespace"))),
    };
    session.subscribe(context.server, kind, context.limits().subscriptions)
}

fn unsubscribe(context: &Context<'_>, (id,): (u64,)) -> Result<bool, RpcError> {
    match context.session() {
        None => Err(RpcError::no_notifications()),
        Some(session) if session.unsubscribe(id) => Ok(true),
        Some(_) => Err(RpcError::refused("subscription not found")),
    }
}

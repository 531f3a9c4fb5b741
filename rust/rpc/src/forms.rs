//! Blocks, transactions, receipts and logs as clients read them: geth's field names, one form for each, wherever it
//! stands in an answer.

use std::sync::Arc;

use chain::{
    evm::spec::ChainSpec,
    state::StoredBlock,
    types::{
        AccessListItem, Address, B256, Block, Header, Log, Outcome, Payload, Receipt, Recovered, SignedAuthorization,
        Transaction, U256, Withdrawal, primitives::TxKind,
    },
};

use crate::json::{Fields, Object, ToJson};

/// A block of `eth_getBlockBy…`.
pub(crate) struct BlockForm {
    pub(crate) block: Arc<StoredBlock>,
    /// Whole transactions instead of their hashes.
    pub(crate) full: bool,
}

/// A header of a subscription to new heads: the block without what is in it.
pub(crate) struct HeaderForm<'a>(pub(crate) &'a StoredBlock);

/// Where a transaction stands.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) block: &'a StoredBlock,
    pub(crate) index: usize,
}

/// A transaction; one that waits stands nowhere yet.
pub(crate) struct TransactionForm<'a> {
    pub(crate) transaction: &'a Transaction,
    pub(crate) sender: Address,
    pub(crate) place: Option<Place<'a>>,
}

/// The receipt of the transaction at this place.
pub(crate) struct ReceiptForm<'a> {
    pub(crate) place: Place<'a>,
    pub(crate) spec: &'a ChainSpec,
}

/// A log with its place: of which transaction, and which one it is of the block's logs.
pub(crate) struct LogForm<'a> {
    pub(crate) log: &'a Log,
    pub(crate) place: Place<'a>,
    pub(crate) index: usize,
    /// Its block is no longer canonical.
    pub(crate) removed: bool,
}

impl ToJson for BlockForm {
    fn write(&self, out: &mut Vec<u8>) {
        let block = &*self.block;
        Fields(|object: &mut Object<'_>| {
            write_header(object, &block.header, block.id.hash);
            object.field("size", &(Block::rlp_length_for(&block.header, &block.body) as u64));
            let places = (0..block.body.transactions.len()).map(|index| Place { block, index });
            if self.full {
                object.field("transactions", &places.map(TransactionForm::at).collect::<Vec<_>>());
            } else {
                let hashes: Vec<_> = block.body.transactions.iter().map(Transaction::hash).collect();
                object.field("transactions", &hashes);
            }
            let ommers: Vec<_> = block.body.ommers.iter().map(Header::hash_slow).collect();
            object.field("uncles", &ommers);
            object.maybe("withdrawals", block.body.withdrawals.as_ref().map(|list| &list.0));
        })
        .write(out);
    }
}

impl ToJson for HeaderForm<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        Fields(|object: &mut Object<'_>| write_header(object, &self.0.header, self.0.id.hash)).write(out);
    }
}

fn write_header(object: &mut Object<'_>, header: &Header, hash: B256) {
    object
        .field("number", &header.number)
        .field("hash", &hash)
        .field("parentHash", &header.parent_hash)
        .field("nonce", &header.nonce)
        .field("mixHash", &header.mix_hash)
        .field("sha3Uncles", &header.ommers_hash)
        .field("logsBloom", &header.logs_bloom)
        .field("stateRoot", &header.state_root)
        .field("miner", &header.beneficiary)
        .field("difficulty", &header.difficulty)
        .field("extraData", &header.extra_data)
        .field("gasLimit", &header.gas_limit)
        .field("gasUsed", &header.gas_used)
        .field("timestamp", &header.timestamp)
        .field("transactionsRoot", &header.transactions_root)
        .field("receiptsRoot", &header.receipts_root)
        .maybe("baseFeePerGas", header.base_fee_per_gas.as_ref())
        .maybe("withdrawalsRoot", header.withdrawals_root.as_ref())
        .maybe("blobGasUsed", header.blob_gas_used.as_ref())
        .maybe("excessBlobGas", header.excess_blob_gas.as_ref())
        .maybe("parentBeaconBlockRoot", header.parent_beacon_block_root.as_ref())
        .maybe("requestsHash", header.requests_hash.as_ref());
}

impl ToJson for Withdrawal {
    fn write(&self, out: &mut Vec<u8>) {
        Fields(|object: &mut Object<'_>| {
            object
                .field("index", &self.index)
                .field("validatorIndex", &self.validator_index)
                .field("address", &self.address)
                .field("amount", &self.amount);
        })
        .write(out);
    }
}

impl<'a> TransactionForm<'a> {
    /// The transaction that stands there.
    pub(crate) fn at(place: Place<'a>) -> Self {
        let Place { block, index } = place;
        Self { transaction: &block.body.transactions[index], sender: block.senders[index], place: Some(place) }
    }
}

impl ToJson for TransactionForm<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { transaction, sender, place } = self;
        let header = place.map(|place| &place.block.header);
        Fields(|object: &mut Object<'_>| {
            object
                .field("blockHash", &place.map(|place| place.block.id.hash))
                .field("blockNumber", &header.map(|header| header.number))
                .field("blockTimestamp", &header.map(|header| header.timestamp))
                .field("transactionIndex", &place.map(|place| place.index as u64))
                .field("hash", &transaction.hash())
                .field("type", &u64::from(transaction.kind()))
                .field("from", sender)
                .field("to", &transaction.to())
                .field("nonce", &transaction.nonce())
                .field("gas", &transaction.gas_limit())
                .field("value", &transaction.value())
                .field("input", transaction.input());
            // What a mined one paid, and what a waiting one may pay.
            let price = match header {
                Some(header) => transaction.effective_gas_price(header.base_fee_per_gas),
                None => transaction.max_fee_per_gas(),
            };
            object.field("gasPrice", &price);
            if transaction.is_dynamic_fee() {
                object
                    .field("maxFeePerGas", &transaction.max_fee_per_gas())
                    .field("maxPriorityFeePerGas", &transaction.max_priority_fee_per_gas());
            }
            if let Some(fee) = transaction.max_fee_per_blob_gas() {
                object.field("maxFeePerBlobGas", &fee).field("blobVersionedHashes", transaction.blob_hashes());
            }
            object
                .maybe("accessList", transaction.access_list().map(|list| &list.0))
                .maybe("authorizationList", transaction.authorizations())
                .maybe("chainId", transaction.chain_id().as_ref());
            if let Some(payload) = transaction.payload() {
                let name = Payload::KINDS.iter().find(|(kind, _)| *kind == payload.kind()).map(|(_, name)| *name);
                object.maybe("kind", name).field("raw", &transaction.to_bytes());
            }
            write_signature(object, transaction);
        })
        .write(out);
    }
}

/// Typed transactions name the parity twice, as clients of either time expect; legacy ones have the old `v` alone.
fn write_signature(object: &mut Object<'_>, transaction: &Transaction) {
    let signature = transaction.signature();
    let parity = u64::from(signature.v());
    if transaction.kind() == 0 {
        // EIP-155: the chain is part of `v`.
        let base =
            transaction.chain_id().map_or(U256::from(27), |chain| U256::from(chain) * U256::from(2) + U256::from(35));
        object.field("v", &(base + U256::from(parity)));
    } else {
        object.field("yParity", &parity).field("v", &parity);
    }
    object.field("r", &signature.r()).field("s", &signature.s());
}

impl ToJson for TxKind {
    fn write(&self, out: &mut Vec<u8>) {
        self.to().write(out);
    }
}

impl ToJson for AccessListItem {
    fn write(&self, out: &mut Vec<u8>) {
        Fields(|object: &mut Object<'_>| {
            object.field("address", &self.address).field("storageKeys", &self.storage_keys);
        })
        .write(out);
    }
}

impl ToJson for SignedAuthorization {
    fn write(&self, out: &mut Vec<u8>) {
        Fields(|object: &mut Object<'_>| {
            object
                .field("chainId", &self.chain_id)
                .field("address", &self.address)
                .field("nonce", &self.nonce)
                .field("yParity", &u64::from(self.y_parity()))
                .field("r", &self.r())
                .field("s", &self.s());
        })
        .write(out);
    }
}

impl Place<'_> {
    fn receipt(&self) -> &Receipt {
        &self.block.receipts[self.index]
    }

    /// Logs of the block that come before this transaction's.
    fn logs_before(&self) -> usize {
        self.block.receipts[..self.index].iter().map(|receipt| receipt.logs.len()).sum()
    }

    fn gas_used(&self) -> u64 {
        let before = self.index.checked_sub(1).map_or(0, |index| self.block.receipts[index].cumulative_gas_used);
        self.receipt().cumulative_gas_used - before
    }
}

impl ToJson for ReceiptForm<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { place, spec } = self;
        let Place { block, index } = *place;
        let (header, receipt) = (&block.header, place.receipt());
        let (transaction, sender) = (&block.body.transactions[index], block.senders[index]);
        let first = place.logs_before();
        let logs = receipt.logs.iter().enumerate();
        let logs: Vec<_> =
            logs.map(|(at, log)| LogForm { log, place: *place, index: first + at, removed: false }).collect();
        Fields(|object: &mut Object<'_>| {
            object
                .field("blockHash", &block.id.hash)
                .field("blockNumber", &header.number)
                .field("transactionHash", &transaction.hash())
                .field("transactionIndex", &(index as u64))
                .field("type", &u64::from(receipt.kind))
                .field("from", &sender)
                .field("to", &transaction.to())
                .field("contractAddress", &transaction.to().is_create().then(|| sender.create(transaction.nonce())))
                .field("gasUsed", &place.gas_used())
                .field("cumulativeGasUsed", &receipt.cumulative_gas_used)
                .field("effectiveGasPrice", &transaction.effective_gas_price(header.base_fee_per_gas))
                .field("logs", &logs)
                .field("logsBloom", &receipt.bloom());
            match &receipt.outcome {
                Outcome::Status(success) => object.field("status", &u64::from(*success)),
                Outcome::StateRoot(root) => object.field("root", root),
            };
            if let (Some(excess), count @ 1..) = (header.excess_blob_gas, transaction.blob_hashes().len() as u64) {
                let blobs = spec.rules(header.number, header.timestamp).blobs;
                object
                    .field("blobGasUsed", &(count * chain::evm::spec::chain::BLOB_GAS))
                    .field("blobGasPrice", &blobs.base_fee(excess));
            }
        })
        .write(out);
    }
}

impl ToJson for LogForm<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { log, place: Place { block, index: transaction }, index, removed } = self;
        Fields(|object: &mut Object<'_>| {
            object
                .field("address", &log.address)
                .field("topics", log.data.topics())
                .field("data", &log.data.data)
                .field("blockNumber", &block.header.number)
                .field("blockHash", &block.id.hash)
                .field("blockTimestamp", &block.header.timestamp)
                .field("transactionHash", &block.body.transactions[*transaction].hash())
                .field("transactionIndex", &(*transaction as u64))
                .field("logIndex", &(*index as u64))
                .field("removed", removed);
        })
        .write(out);
    }
}

/// Every receipt of a block.
pub(crate) struct ReceiptsForm<'a> {
    pub(crate) block: Arc<StoredBlock>,
    pub(crate) spec: &'a ChainSpec,
}

impl ToJson for ReceiptsForm<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        let places = (0..self.block.receipts.len()).map(|index| Place { block: &self.block, index });
        places.map(|place| ReceiptForm { place, spec: self.spec }).collect::<Vec<_>>().write(out);
    }
}

/// A transaction that owns what it is made of.
pub(crate) enum OwnedTransaction {
    Mined { block: Arc<StoredBlock>, index: usize },
    Waiting(Box<Recovered>),
}

impl ToJson for OwnedTransaction {
    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Mined { block, index } => TransactionForm::at(Place { block, index: *index }).write(out),
            Self::Waiting(waiting) => {
                let Recovered { transaction, sender } = &**waiting;
                TransactionForm { transaction, sender: *sender, place: None }.write(out);
            }
        }
    }
}

/// A receipt that owns the block it stands in.
pub(crate) struct OwnedReceipt<'a> {
    pub(crate) block: Arc<StoredBlock>,
    pub(crate) index: usize,
    pub(crate) spec: &'a ChainSpec,
}

impl ToJson for OwnedReceipt<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        ReceiptForm { place: Place { block: &self.block, index: self.index }, spec: self.spec }.write(out);
    }
}

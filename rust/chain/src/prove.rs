//! Proofs out of the chain: what an account or slot held after a block, and what stands in a block's lists. Whoever has
//! the block's header can check them without a chain, with [`state::roots::proof`].

use alloy_eips::Encodable2718;
use state::roots::proof::{self, AccountProof, SlotProof};
use types::{Address, B256, BlockId, Bytes, U256};

use crate::{BlockRef, Chain, ChainError};

/// What the state after a block says of an account and of some of its slots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvenAccount {
    /// Which block.
    pub block: BlockId,
    /// The root that its header names.
    pub state_root: B256,
    /// The account, or that there is none.
    pub account: AccountProof,
    /// The slots that were asked for, in that order.
    pub slots: Vec<(U256, SlotProof)>,
}

/// An item of a list of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProvenItem {
    /// Which block.
    pub block: BlockId,
    /// The root over the list that its header names.
    pub root: B256,
    /// The item's place.
    pub index: usize,
    /// Its EIP-2718 bytes.
    pub item: Bytes,
    /// From the root down.
    pub nodes: Vec<Bytes>,
}

/// A list that a header has a root of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockList {
    /// Transactions.
    Transactions,
    /// Receipts, and with them the logs.
    Receipts,
}

impl Chain {
    /// Proves an account and slots of it, or that they are not there, after any block of the history window.
    ///
    /// # Errors
    /// [`ChainError::UnknownBlock`]; [`ChainError::StateUnavailable`] where the history window has passed it.
    pub fn prove(&self, address: &Address, slots: &[U256], block: BlockRef) -> Result<ProvenAccount, ChainError> {
        let state = self.at(block)?;
        let block = state.id();
        let slot = |slot: &U256| Ok((*slot, proof::prove_slot(&state, address, slot)?));
        Ok(ProvenAccount {
            block,
            state_root: self.header(block.into())?.state_root,
            account: proof::prove_account(&state, address)?,
            slots: slots.iter().map(slot).collect::<Result<_, ChainError>>()?,
        })
    }

    /// Proves that a transaction, or its receipt, stands in its canonical block; None where it is in none.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn prove_item(&self, list: BlockList, transaction: &B256) -> Result<Option<ProvenItem>, ChainError> {
        let Some(found) = self.transaction(transaction)? else { return Ok(None) };
        let (block, index) = (found.block, found.index);
        let (root, mut items): (_, Vec<_>) = match list {
            BlockList::Transactions => {
                let items = block.body.transactions.iter().map(Encodable2718::encoded_2718);
                (block.header.transactions_root, items.collect())
            }
            BlockList::Receipts => {
                let items = block.receipts.iter().map(Encodable2718::encoded_2718);
                (block.header.receipts_root, items.collect())
            }
        };
        let nodes = proof::prove_item(&items, index);
        Ok(Some(ProvenItem { block: block.id, root, index, item: items.swap_remove(index).into(), nodes }))
    }
}

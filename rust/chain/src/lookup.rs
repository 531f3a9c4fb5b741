//! Finding blocks and transactions by their names, and the fees of the block that comes next.

use std::sync::Arc;

use evm::Fork;
use state::{LedgerError, StoredBlock};
use types::{B256, Header, U256};

use crate::{BlockRef, Chain, ChainError, header};

/// A transaction's place in the canonical chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// The block that holds it, with its receipt.
    pub block: Arc<StoredBlock>,
    /// Its index there.
    pub index: usize,
}

impl Chain {
    /// A block, with receipts and senders.
    ///
    /// # Errors
    /// [`ChainError::UnknownBlock`] where there is none.
    pub fn block(&self, block: BlockRef) -> Result<Arc<StoredBlock>, ChainError> {
        let id = self.id(block)?;
        self.held(&id.hash)?.ok_or(ChainError::UnknownBlock(block))
    }

    /// The block with this hash, if it is there. Nearly always the head is wanted, which needs no reading.
    pub(crate) fn held(&self, hash: &B256) -> Result<Option<Arc<StoredBlock>>, LedgerError> {
        let head = self.head();
        if head.id.hash == *hash { Ok(Some(Arc::clone(&head.block))) } else { self.ledger().block(hash) }
    }

    /// A block's header.
    ///
    /// # Errors
    /// [`ChainError::UnknownBlock`] where there is none.
    pub fn header(&self, block: BlockRef) -> Result<Header, ChainError> {
        if matches!(block, BlockRef::Latest | BlockRef::Pending) {
            return Ok(self.head().header.clone());
        }
        let id = self.id(block)?;
        self.ledger().header(&id.hash)?.ok_or(ChainError::UnknownBlock(block))
    }

    /// Where a transaction stands; None where it is in no canonical block.
    ///
    /// # Errors
    /// Where the ledger cannot be read.
    pub fn transaction(&self, hash: &B256) -> Result<Option<Located>, ChainError> {
        let Some((block, index)) = self.ledger().transaction(hash)? else { return Ok(None) };
        // Between the two look-ups the chain may have moved on, and the block been forgotten.
        let Some(block) = self.ledger().block(&block)? else { return Ok(None) };
        Ok(Some(Located { block, index: index as usize }))
    }

    /// Base fee of the block that comes after the head; None before London.
    pub fn next_base_fee(&self) -> Option<u64> {
        let head = self.head();
        self.fees_after(&head.header, head.total_difficulty).0
    }

    /// Wei per blob gas in the block that comes after the head; None before Cancun.
    pub fn next_blob_base_fee(&self) -> Option<u128> {
        let head = self.head();
        self.fees_after(&head.header, head.total_difficulty).1
    }

    /// Base fee and blob base fee of a block's child, a second later.
    ///
    /// # Errors
    /// [`ChainError::UnknownBlock`] where there is no such block.
    pub fn base_fees_after(&self, block: BlockRef) -> Result<(Option<u64>, Option<u128>), ChainError> {
        let parent = self.block(block)?;
        Ok(self.fees_after(&parent.header, parent.total_difficulty))
    }

    fn fees_after(&self, parent: &Header, total_difficulty: U256) -> (Option<u64>, Option<u128>) {
        let rules = self.spec().rules_merged(
            parent.number.saturating_add(1),
            parent.timestamp.saturating_add(1),
            Some(total_difficulty),
        );
        let blobs = rules.has(Fork::Cancun).then(|| rules.blobs.base_fee(header::excess_blob_gas(parent, &rules)));
        (header::base_fee(parent, &rules), blobs)
    }
}

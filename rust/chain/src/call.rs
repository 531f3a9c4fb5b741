//! Where calls are tried that nobody signed: on the state after a block, as the last thing in that block.

use evm::ChainSpec;
use exec::call::{BlockOverrides, Desk};

use crate::{BlockRef, Chain, ChainError, execute, header};

impl Chain {
    /// A desk on the state after a block, which sees that block but for what is wanted to be different; rules follow
    /// the height and time that it sees. [`BlockRef::Pending`] is the block that would come next, a second after the
    /// head.
    ///
    /// # Errors
    /// Where the block is not known, or its state not kept.
    pub fn desk(&self, block: BlockRef, overrides: &BlockOverrides) -> Result<Desk, ChainError> {
        self.desk_by(block, overrides, None)
    }

    /// The same by other rules than the chain's, where some are given.
    ///
    /// # Errors
    /// See [`Chain::desk`].
    pub fn desk_by(
        &self,
        block: BlockRef,
        overrides: &BlockOverrides,
        spec: Option<&ChainSpec>,
    ) -> Result<Desk, ChainError> {
        let state = self.at(block)?;
        let stored = self.block(state.id().into())?;
        let mut header = stored.header.clone();
        if block == BlockRef::Pending {
            let rules = self.next_rules(header.timestamp.saturating_add(1));
            header.base_fee_per_gas = header::base_fee(&stored.header, &rules);
            header.excess_blob_gas = header.excess_blob_gas.map(|_| header::excess_blob_gas(&stored.header, &rules));
            header.parent_hash = stored.id.hash;
            header.number += 1;
            header.timestamp += 1;
        }
        let mut environment = execute::environment(&header, &[]);
        overrides.apply(&mut environment);
        Ok(Desk::new(
            spec.unwrap_or(self.spec()),
            environment,
            Some(stored.total_difficulty),
            std::sync::Arc::new(state),
        ))
    }
}

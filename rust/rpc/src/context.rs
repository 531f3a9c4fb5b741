//! What a method sees besides its parameters, and the questions about the chain that many methods ask. What does not
//! exist is None here: most methods answer null then.

use std::{collections::HashMap, sync::Arc};

use chain::{
    BlockRef, BlockState, Chain, ChainError, Stop, SubmitError,
    state::StoredBlock,
    types::{B256, Bytes, Header, Key, Recovered},
};

use crate::{Limits, Server, Session, arguments::At, development::Development, error::RpcError};

/// One call's surroundings.
pub(crate) struct Context<'a> {
    pub(crate) server: &'a Server,
    pub(crate) session: Option<&'a Session>,
    /// Of raw transactions in this request, by their bytes: recovered together, since one after the other costs some
    /// nine times as much. One that is missing has to be recovered for itself.
    pub(crate) recovered: RecoveredBatch,
}

/// What is known of raw transactions beforehand.
pub(crate) type RecoveredBatch = HashMap<Bytes, Result<Recovered, SubmitError>>;

impl<'a> Context<'a> {
    pub(crate) fn chain(&self) -> &'a Arc<Chain> {
        self.server.chain()
    }

    pub(crate) fn limits(&self) -> &'a Limits {
        self.server.limits()
    }

    /// What a devnet can do; refused elsewhere, where its methods are not served either.
    pub(crate) fn development(&self) -> Result<&'a Development, RpcError> {
        self.server.development().ok_or_else(|| RpcError::refused("not a development chain"))
    }

    /// Keys that this node signs with.
    pub(crate) fn keys(&self) -> &'a [Key] {
        self.server.development().map_or(&[], Development::keys)
    }

    /// The client's session, where it can be pushed to.
    pub(crate) fn session(&self) -> Option<&'a Session> {
        self.session
    }

    /// The state after a block.
    pub(crate) fn state(&self, at: At) -> Result<BlockState, RpcError> {
        Ok(self.chain().at(self.checked(at)?)?)
    }

    /// Which block is meant; refused where it had to be canonical and is not.
    pub(crate) fn checked(&self, at: At) -> Result<BlockRef, RpcError> {
        self.check_canonical(at)?;
        Ok(at.block)
    }

    /// A block.
    pub(crate) fn block(&self, block: BlockRef) -> Result<Option<Arc<StoredBlock>>, RpcError> {
        // Long searches go from block to block.
        Stop::current().check().map_err(ChainError::from)?;
        known(self.chain().block(block))
    }

    /// See [`Context::block`].
    pub(crate) fn block_at(&self, at: At) -> Result<Option<Arc<StoredBlock>>, RpcError> {
        self.check_canonical(at)?;
        self.block(at.block)
    }

    /// A block's header.
    pub(crate) fn header(&self, block: BlockRef) -> Result<Option<Header>, RpcError> {
        Stop::current().check().map_err(ChainError::from)?;
        known(self.chain().header(block))
    }

    /// The block of a mined transaction, and its place there.
    pub(crate) fn located(&self, hash: &B256) -> Result<Option<(Arc<StoredBlock>, usize)>, RpcError> {
        Ok(self.chain().transaction(hash)?.map(|located| (located.block, located.index)))
    }

    fn check_canonical(&self, at: At) -> Result<(), RpcError> {
        if at.require_canonical && !self.chain().is_canonical(&self.chain().id(at.block)?)? {
            return Err(RpcError::refused("hash is not currently canonical"));
        }
        Ok(())
    }
}

fn known<T>(answer: Result<T, ChainError>) -> Result<Option<T>, RpcError> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(ChainError::UnknownBlock(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

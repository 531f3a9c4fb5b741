//! Trying orders on a chain of this process: the block that would come next, on the newest state.

use std::sync::Arc;

use chain::{
    BlockRef, Chain,
    evm::Outcome,
    exec::call::{BlockOverrides, CallRequest, Desk},
    types::{B256, Bytes, U256},
};
use orders::{
    chain::Log,
    presim::{Simulator, Trial, Tried},
};

/// Tries calls on a chain's head.
pub(crate) struct ChainSimulator {
    chain: Arc<Chain>,
    /// The desk of the newest head that was tried on, and that head.
    desk: Option<(B256, Desk)>,
}

impl ChainSimulator {
    pub(crate) fn new(chain: Arc<Chain>) -> Self {
        Self { chain, desk: None }
    }

    /// The desk on the newest head, and that head.
    fn desk(&mut self) -> Option<&(B256, Desk)> {
        let head = self.chain.head().id.hash;
        if self.desk.as_ref().is_none_or(|(block, _)| *block != head) {
            let desk = self.chain.desk(BlockRef::Pending, &BlockOverrides::default()).ok()?;
            // A head that came in between is the desk's: its parent says which one that was.
            self.desk = (self.chain.head().id.hash == head).then_some((head, desk));
        }
        self.desk.as_ref()
    }
}

impl Simulator for ChainSimulator {
    fn simulate(&mut self, trial: &Trial, after: &[(u64, Trial)]) -> Option<Tried> {
        let (block, desk) = self.desk()?;
        let most = desk.block().gas_limit;
        let request = |trial: &Trial| CallRequest {
            from: trial.from,
            to: Some(trial.to),
            gas_limit: Some(trial.gas_limit.min(most)),
            input: Bytes::copy_from_slice(&trial.input),
            ..CallRequest::default()
        };
        let requests: Vec<_> = after.iter().map(|(_, rival)| rival).chain([trial]).map(request).collect();
        let (executed, diff) = desk.in_turn(&requests).ok()?.pop()?;
        // Nothing is paid for the gas of a call, so what the producer got is a payment.
        let producer = diff.account(&desk.block().beneficiary);
        let wei = |account: Option<chain::types::Account>| account.map_or(U256::ZERO, |account| account.balance);
        let paid = producer.map_or(U256::ZERO, |change| wei(change.after).saturating_sub(wei(change.before)));
        let (success, output) = match executed.outcome {
            Outcome::Success { output, .. } => (true, output.to_vec()),
            Outcome::Revert { output } => (false, output.to_vec()),
            Outcome::Halt { .. } => (false, Vec::new()),
        };
        let log = |(index, log): (usize, &chain::types::Log)| Log {
            address: log.address,
            topics: log.topics().to_vec(),
            data: log.data.data.to_vec(),
            index: index as u32,
        };
        Some(Tried {
            block: *block,
            success,
            gas: executed.gas_used,
            output,
            logs: executed.logs.iter().enumerate().map(log).collect(),
            payment: u128::try_from(paid).unwrap_or(u128::MAX),
        })
    }
}

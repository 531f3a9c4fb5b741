//! How much gas a call needs.

use evm::{Fork, HaltReason, Outcome, transact::validate::GAS_LIMIT_MAX};
use types::U256;

use super::{CallError, CallRequest, Desk};

/// Gas of the cheapest call there is.
const CALL_GAS_MIN: u64 = 21_000;

impl Desk {
    /// The least gas limit with which the call succeeds, as a transaction.
    ///
    /// # Errors
    /// [`CallError::GasExceeded`] where no limit suffices; [`CallError::Unsuccessful`] where it reverts or halts for
    /// another reason with all the gas there is.
    pub fn estimate_gas(&self, request: &CallRequest) -> Result<u64, CallError> {
        self.over(|overlay| {
            let allowance = self.allowance(request)?;
            let most = self.run(request, allowance, overlay, None)?;
            match most.outcome {
                Outcome::Success { .. } => {}
                Outcome::Halt { reason: HaltReason::OutOfGas } => return Err(CallError::GasExceeded { allowance }),
                outcome => return Err(CallError::Unsuccessful(outcome)),
            }
            // It fails with less than it used in the end, and succeeds with all: the border lies between.
            let (mut fails, mut succeeds) = (most.gas_used.saturating_sub(1).max(self.least() - 1), allowance);
            // Most calls need just what they use, plus what refunds gave back and a 64th for calls within.
            let guess = u128::from(most.gas_used + most.gas_refunded) * 64 / 63;
            let guess = u64::try_from(guess).unwrap_or(u64::MAX);
            let mut probe = if guess < succeeds { guess } else { fails + (succeeds - fails) / 2 };
            while fails + 1 < succeeds {
                overlay.abandon();
                let enough = match self.run(request, probe, overlay, None) {
                    Ok(executed) => executed.outcome.is_success(),
                    Err(CallError::Rejected(_)) => false,
                    Err(error) => return Err(error),
                };
                *if enough { &mut succeeds } else { &mut fails } = probe;
                probe = fails + (succeeds - fails) / 2;
            }
            Ok(succeeds)
        })
    }

    /// Gas that no call can do without.
    fn least(&self) -> u64 {
        CALL_GAS_MIN.min(self.rules.instructions.schedule().transfer).max(1)
    }

    /// The most gas that a transaction like this could have: what it says or the block has, what a transaction may
    /// have, and what the caller can pay for.
    fn allowance(&self, request: &CallRequest) -> Result<u64, CallError> {
        let said = request.gas_limit.filter(|limit| *limit >= self.least());
        let most = if self.rules.has(Fork::Osaka) { GAS_LIMIT_MAX } else { u64::MAX };
        let limit = said.unwrap_or(self.block.gas_limit).min(most);
        let price = request.price_max();
        if price == 0 {
            return Ok(limit);
        }
        let balance = self.state.account(&request.from)?.unwrap_or_default().balance;
        let for_gas = balance.saturating_sub(request.value) / U256::from(price);
        Ok(u64::try_from(for_gas).unwrap_or(u64::MAX).min(limit))
    }
}

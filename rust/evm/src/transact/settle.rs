//! What is due at the end: refunds, the beneficiary's share, what burns, and the accounts that go.

use state::{EmptyAccounts, Overlay, ViewError};
use types::U256;

use super::Terms;
use crate::spec::{BlockEnv, Fork, Rules};

/// The gas that a transaction pays for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gas {
    pub(super) used: u64,
    pub(super) refunded: u64,
}

impl Gas {
    /// Nothing was cleaned up.
    pub(super) fn unrefunded(spent: u64, terms: &Terms) -> Self {
        Self { used: spent.max(terms.floor_gas), refunded: 0 }
    }

    /// Refunds are bounded by a share of what was spent (EIP-3529), and never go below the floor (EIP-7623).
    pub(super) fn refunded(rules: &Rules, spent: u64, refund: i64, terms: &Terms) -> Self {
        let refunded = u64::try_from(refund).unwrap_or(0).min(spent / rules.instructions.schedule().refund_quotient);
        Self { used: (spent - refunded).max(terms.floor_gas), refunded }
    }

    /// Wei that it costs.
    pub(super) fn fee(&self, terms: &Terms) -> U256 {
        U256::from(self.used) * U256::from(terms.gas_price)
    }
}

/// Pays the beneficiary and lets accounts go; the sender has paid. Answers what the beneficiary got, and what nobody has
/// any more.
#[inline]
pub(super) fn settle(
    rules: &Rules,
    block: &BlockEnv,
    terms: &Terms,
    overlay: &mut Overlay<'_>,
    gas: Gas,
) -> Result<(U256, U256), ViewError> {
    let base_fee = U256::from(gas.used) * U256::from(block.base_fee.unwrap_or_default());
    let tip = gas.fee(terms) - base_fee;
    let beneficiary = overlay.load(&block.beneficiary)?;
    overlay.credit(beneficiary, tip);
    let empty = if rules.has(Fork::SpuriousDragon) { EmptyAccounts::Cleared } else { EmptyAccounts::Stay };
    let destroyed = overlay.settle(empty)?;
    Ok((tip, base_fee + terms.blob_fee() + destroyed))
}

//! What gas costs next, and what is offered for it. Whole numbers, rounded against ourselves.

use crate::chain::Head;

/// The next block's base fee, exactly as the chain computes it (EIP-1559).
pub fn next_base_fee(head: &Head) -> u64 {
    let target = head.gas_limit / 2;
    if target == 0 {
        return head.base_fee;
    }
    let change = |distance: u64| (u128::from(head.base_fee) * u128::from(distance) / u128::from(target) / 8) as u64;
    if head.gas_used > target {
        head.base_fee.saturating_add(change(head.gas_used - target).max(1))
    } else {
        head.base_fee - change(target - head.gas_used)
    }
}

/// What is offered for a unit of gas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offer {
    /// At most this to everybody.
    pub max_fee: u64,
    /// At most this to the block's producer; never above `max_fee`.
    pub tip: u64,
}

impl Offer {
    /// What a unit costs at this base fee.
    pub fn price(&self, base_fee: u64) -> u64 {
        self.max_fee.min(base_fee.saturating_add(self.tip))
    }

    /// What takes the place of a transaction: both numbers at least so much (9/8, as a rule) of the highest ever
    /// broadcast, and one wei more. Pools ask for a tenth more, some for more than that.
    pub fn replacing(&self, highest: Self, bump: (u32, u32)) -> Self {
        let tip = self.tip.max(raised(highest.tip, bump));
        Self { max_fee: self.max_fee.max(raised(highest.max_fee, bump)).max(tip), tip }
    }

    /// After "underpriced" in spite of that: five quarters.
    pub fn insisting(&self, highest: Self) -> Self {
        let more = |fee: u64| fee.saturating_add(fee.div_ceil(4));
        let tip = self.tip.max(more(highest.tip));
        Self { max_fee: self.max_fee.max(more(highest.max_fee)).max(tip), tip }
    }

    /// Both numbers by so many basis points.
    pub fn scaled(&self, bps: u64) -> Self {
        let scale = |fee: u64| u64::try_from((u128::from(fee) * u128::from(bps)).div_ceil(10_000)).unwrap_or(u64::MAX);
        Self { max_fee: scale(self.max_fee), tip: scale(self.tip) }
    }

    /// Not above a bound.
    pub fn capped(&self, bound: u64) -> Self {
        Self { max_fee: self.max_fee.min(bound), tip: self.tip.min(bound) }
    }
}

fn raised(fee: u64, (over, under): (u32, u32)) -> u64 {
    u64::try_from((u128::from(fee) * u128::from(over)).div_ceil(u128::from(under.max(1))) + 1).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn head(base_fee: u64, gas_used: u64) -> Head {
        Head { base_fee, gas_used, gas_limit: 30_000_000, ..Head::default() }
    }

    #[test]
    fn the_base_fee_moves_by_an_eighth_at_most() {
        assert_eq!(next_base_fee(&head(1_000_000_000, 30_000_000)), 1_125_000_000);
        assert_eq!(next_base_fee(&head(1_000_000_000, 15_000_000)), 1_000_000_000);
        assert_eq!(next_base_fee(&head(1_000_000_000, 0)), 875_000_000);
        assert_eq!(next_base_fee(&head(7, 15_000_001)), 8);
        assert_eq!(next_base_fee(&Head { gas_limit: 0, ..head(7, 0) }), 7);
    }

    proptest! {
        #[test]
        fn a_replacement_is_a_tenth_above_on_both(
            max_fee in 0u64..u64::MAX / 2, tip in 0u64..u64::MAX / 2, low in any::<(u64, u64)>(),
            bump in prop::sample::select(&[(9, 8), (11, 10), (5, 4), (2, 1)]),
        ) {
            let highest = Offer { max_fee: max_fee.max(tip), tip };
            let suggested = Offer { max_fee: low.0 / 4, tip: low.1 / 4 };
            for next in [suggested.replacing(highest, bump), suggested.insisting(highest)] {
                prop_assert!(u128::from(next.tip) * 10 >= u128::from(highest.tip) * 11);
                prop_assert!(u128::from(next.max_fee) * 10 >= u128::from(highest.max_fee) * 11);
                prop_assert!(next.tip <= next.max_fee);
            }
        }
    }
}

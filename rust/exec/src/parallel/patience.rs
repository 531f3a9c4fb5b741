//! When `auto` leaves blocks to one core because others before them were better off there.

/// Blocks that are left to one core at most before one is tried again.
const PAUSE_MAX: u32 = 63;

/// Of blocks that look like one chain of transactions, one in so many is looked at closely all the same: what was learned
/// may be true no longer.
const DOUBT: u32 = 16;

/// What became of recent blocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Patience {
    /// Blocks that the next one that does not pay makes wait, about.
    pause: u32,
    /// Blocks that still wait.
    left: u32,
    /// Blocks that looked like one chain.
    chains: u32,
}

impl Patience {
    /// Whether to try the next block.
    pub(super) fn tries(&mut self) -> bool {
        let tries = self.left == 0;
        self.left = self.left.saturating_sub(1);
        tries
    }

    /// Whether to believe that the next block is one chain.
    pub(super) fn believes(&mut self) -> bool {
        self.chains = (self.chains + 1) % DOUBT;
        self.chains != 0
    }

    /// A block was tried: whether that paid. Each time in a row that it does not, twice as many blocks are left alone.
    pub(super) fn remember(&mut self, paid: bool) {
        self.pause = if paid { self.pause / 2 } else { (2 * self.pause + 1).min(PAUSE_MAX) };
        self.left = if paid { 0 } else { self.pause };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_in_vain_are_tried_ever_more_rarely_until_one_pays() {
        let mut patience = Patience::default();
        let mut waits = |paid| {
            patience.remember(paid);
            (0..).take_while(|_| !patience.tries()).count()
        };
        assert_eq!([(); 8].map(|()| waits(false)), [1, 3, 7, 15, 31, 63, 63, 63]);
        assert_eq!(waits(true), 0);
        assert_eq!([waits(false), waits(false)], [63, 63]);
        assert_eq!([(); 6].map(|()| waits(true)), [0; 6]);
        assert_eq!(waits(false), 1);
    }

    #[test]
    fn one_chain_in_sixteen_is_looked_at() {
        let mut patience = Patience::default();
        let believed = (0..160).filter(|_| patience.believes()).count();
        assert_eq!(believed, 150);
    }
}

//! A timer wheel driven by the caller's clock: setting a timer and a tick without a due one are O(1).
//!
//! Timers are never taken back: whoever hears one looks whether it still matters. One that is due in a past tick rings
//! at the next. Those of one tick ring in the order they were set, so that a replay hears them in the same order.

use crate::stored::{Malformed, Source, Stored};

/// Length of a tick.
pub const TICK_NS: u64 = 100_000_000;

/// Places on the wheel: 51.2 s, longer than all but the confirmation deadline; later timers stay for further rounds.
const PLACES: usize = 512;

/// Timers that carry a `T`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wheel<T> {
    tick: u64,
    places: Vec<Vec<(u64, T)>>,
}

impl<T> Default for Wheel<T> {
    fn default() -> Self {
        Self { tick: 0, places: (0..PLACES).map(|_| Vec::new()).collect() }
    }
}

impl<T> Wheel<T> {
    /// Rings at the first tick at or after `at_ns`.
    pub fn set(&mut self, at_ns: u64, what: T) {
        let tick = at_ns.div_ceil(TICK_NS).max(self.tick + 1);
        self.places[(tick % PLACES as u64) as usize].push((tick, what));
    }

    /// Moves on to `now_ns` and gives what is due.
    pub fn advance(&mut self, now_ns: u64) -> Vec<T> {
        let target = now_ns / TICK_NS;
        let mut due = Vec::new();
        // After a long pause one round visits every place.
        let first = self.tick.max(target.saturating_sub(PLACES as u64)) + 1;
        for tick in first..=target {
            let place = &mut self.places[(tick % PLACES as u64) as usize];
            if place.iter().any(|(at, _)| *at <= target) {
                let (ripe, later) = std::mem::take(place).into_iter().partition(|(at, _)| *at <= target);
                *place = later;
                due.extend::<Vec<_>>(ripe);
            }
        }
        self.tick = self.tick.max(target);
        due.sort_by_key(|(at, _)| *at);
        due.into_iter().map(|(_, what)| what).collect()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.places.iter().map(Vec::len).sum()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<T: Stored> Stored for Wheel<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.tick.put(out);
        self.places.put(out);
    }

    fn take(from: &mut Source<'_>) -> Result<Self, Malformed> {
        let (tick, places) = (u64::take(from)?, <Vec<Vec<(u64, T)>>>::take(from)?);
        if places.len() == PLACES { Ok(Self { tick, places }) } else { Err(from.malformed()) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_timer_rings_once_and_never_early(
            timers in prop::collection::vec(0u64..200_000_000_000, 1..50),
            steps in prop::collection::vec(0u64..80_000_000_000, 1..10),
        ) {
            let mut wheel = Wheel::default();
            timers.iter().for_each(|at| wheel.set(*at, *at));
            let (mut now, mut rung) = (0, Vec::new());
            for step in steps.into_iter().chain([300_000_000_000]) {
                now += step;
                for at in wheel.advance(now) {
                    prop_assert!(at <= now);
                    rung.push(at);
                }
                prop_assert!(timers.iter().filter(|at| **at + TICK_NS <= now).count() <= rung.len());
            }
            rung.sort_unstable();
            let mut all = timers.clone();
            all.sort_unstable();
            prop_assert_eq!(rung, all);
            prop_assert!(wheel.is_empty());
        }
    }
}

//! Which signals were already taken: one entry for each key until no copy of the signal could still pass the age gate.
//!
//! Bounded: when it is full, new signals are refused. Forgetting a key early could execute a signal twice.

use std::collections::{HashMap, VecDeque};

use crate::{failure::FailureCode, states::Sub, stored::stored};

/// What makes two signals the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Who sent it.
    pub source_id: u32,
    /// Which of the source's strategies.
    pub strategy_id: u16,
    /// The source's name for it.
    pub signal_id: u64,
}

/// How an order ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// Where it stopped.
    pub sub: Sub,
    /// Why it failed, where it did.
    pub failure: Option<FailureCode>,
    /// Flags of its status.
    pub flags: u8,
    /// How many reports were made of it.
    pub reports: u32,
}

/// The order that a key became.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its name.
    pub order_id: u64,
    /// How it ended, once nothing else is kept of it.
    pub end: Option<End>,
}

/// The keys of the last while, with the orders that they became.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Window {
    orders: HashMap<Key, Known>,
    ages: VecDeque<(u64, Key)>,
}

stored! {
    Key { source_id, strategy_id, signal_id }
    End { sub, failure, flags, reports }
    Known { order_id, end }
    Window { orders, ages }
}

impl Window {
    /// The order that a key became.
    pub fn get(&self, key: &Key) -> Option<Known> {
        self.orders.get(key).copied()
    }

    /// Remembers how a key's order ended, for as long as the key is remembered.
    pub fn end(&mut self, key: &Key, end: End) {
        if let Some(known) = self.orders.get_mut(key) {
            known.end = Some(end);
        }
    }

    /// Remembers a key until `until_ns`; times never go down.
    pub fn insert(&mut self, key: Key, order_id: u64, until_ns: u64) {
        if self.orders.insert(key, Known { order_id, end: None }).is_none() {
            self.ages.push_back((until_ns, key));
        }
    }

    /// Forgets what is older.
    pub fn expire(&mut self, now_ns: u64) {
        while let Some((_, key)) = self.ages.pop_front_if(|(until, _)| *until <= now_ns) {
            self.orders.remove(&key);
        }
    }

    /// How many keys are remembered.
    pub fn len(&self) -> usize {
        self.orders.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.orders.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_known_until_its_time_and_not_after() {
        let key = |signal_id| Key { source_id: 1, strategy_id: 2, signal_id };
        let mut window = Window::default();
        window.insert(key(1), 10, 100);
        window.insert(key(2), 11, 200);
        window.expire(99);
        let order = |window: &Window, signal_id| window.get(&key(signal_id)).map(|known| known.order_id);
        assert_eq!((order(&window, 1), order(&window, 2), window.len()), (Some(10), Some(11), 2));
        window.expire(100);
        assert_eq!((order(&window, 1), order(&window, 2)), (None, Some(11)));
        let end = End { sub: Sub::Closed, failure: Some(FailureCode::StaleSignal), flags: 1, reports: 1 };
        window.end(&key(2), end);
        window.end(&key(1), end);
        assert_eq!((window.get(&key(2)).and_then(|known| known.end), window.get(&key(1))), (Some(end), None));
        window.expire(200);
        assert!(window.is_empty());
    }
}

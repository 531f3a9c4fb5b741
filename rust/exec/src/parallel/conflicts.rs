//! Why a block is as parallel as it is: which accounts and slots it fights over, and what any number of workers could
//! make of it.
//!
//! The block runs in sequence with footprints. A transaction has to wait for those before it whose touch of a place
//! clashes with its own; nothing else is an order. From that and a cost per transaction follow the critical path (as
//! many workers as wanted) and the time that a number of workers takes when an idle one always takes the first transaction
//! that need not wait.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap},
};

use alloy_primitives::map::HashMap;
use evm::{BlockEnv, Rules};
use state::{Place, Touch, View};
use types::{Address, Recovered, U256, Withdrawal};

use crate::{BlockBuilder, BlockOutcome, ExecError, Mode};

/// A place, by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HotPlace {
    /// Whose place.
    pub address: Address,
    /// None: the account itself.
    pub slot: Option<U256>,
}

/// What stands in the way of parallel execution.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conflicts {
    /// Places where transactions wait for others, with how many do, most first.
    pub hot: Vec<(HotPlace, usize)>,
    /// Transactions that wait for another one.
    pub waiting: usize,
    /// Gas of all transactions.
    pub gas: u64,
    /// Gas of the longest chain of transactions that wait for each other.
    pub critical_path: u64,
    order: Order,
    costs: Vec<u64>,
}

/// Executes the block and tells both what came of it and what stood in the way.
pub fn conflicts(
    rules: &Rules,
    env: &BlockEnv,
    transactions: &[Recovered],
    withdrawals: &[Withdrawal],
    view: &dyn View,
) -> Result<(BlockOutcome, Conflicts), ExecError> {
    let mut builder = BlockBuilder::new(rules, env, view, Mode::default())?;
    builder.overlay.track();
    let mut costs = Vec::with_capacity(transactions.len());
    for transaction in transactions {
        builder.overlay.begin_footprint();
        costs.push(builder.push(transaction)?.gas_used);
        builder.overlay.end_footprint();
    }
    let footprints = builder.overlay.take_footprints();
    let mut numbers: HashMap<Place, u32> = HashMap::default();
    let mut names = Vec::new();
    let touches = (0..footprints.len()).map(|transaction| {
        let ordered =
            footprints.of(transaction).iter().filter(|footprint| footprints.touch(footprint.place).is_ordered());
        let numbered = ordered.map(|footprint| {
            let number = *numbers.entry(footprint.place).or_insert_with(|| {
                names.push(match footprint.place {
                    Place::Account(account) => HotPlace { address: builder.overlay.address(account), slot: None },
                    Place::Slot(slot) => {
                        let (account, key) = builder.overlay.slot_key(slot);
                        HotPlace { address: builder.overlay.address(account), slot: Some(key) }
                    }
                });
                names.len() as u32 - 1
            });
            (number, footprint.touch)
        });
        numbered.collect()
    });
    let touches: Vec<Vec<(u32, Touch)>> = touches.collect();
    let (order, waiting) = Order::new(&touches, names.len());
    let mut hot: Vec<(HotPlace, usize)> = names.into_iter().zip(waiting).filter(|(_, waiting)| *waiting > 0).collect();
    hot.sort_by_key(|(place, waiting)| (Reverse(*waiting), *place));
    let conflicts = Conflicts {
        hot,
        waiting: order.waits[..order.transactions].iter().filter(|waits| **waits > 0).count(),
        gas: costs.iter().sum(),
        critical_path: order.time(usize::MAX, &costs),
        order,
        costs,
    };
    Ok((builder.finish(withdrawals)?, conflicts))
}

/// What a transaction does at a place, as far as order goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Any number side by side.
    Reading,
    /// Any number side by side.
    Adding,
    /// One at a time.
    Writing,
}

impl Phase {
    fn of(touch: Touch) -> Self {
        match touch {
            touch if touch.is_write() || touch.has(Touch::ALL_SLOTS) => Self::Writing,
            touch if touch.has(Touch::CREDIT) => Self::Adding,
            _ => Self::Reading,
        }
    }
}

/// A place while the block is walked.
#[derive(Default)]
struct Walked {
    phase: Option<Phase>,
    /// Behind what everybody of this phase waits.
    door: Option<usize>,
    /// The phase so far.
    inside: Vec<usize>,
}

/// Who waits for whom: steps are the transactions, and behind them doors, which cost nothing and open when everybody of
/// a place's phase is through. So a thousand payments and a look at their sum are two thousand edges, not a million.
#[derive(Clone, Debug, Default, PartialEq)]
struct Order {
    transactions: usize,
    /// By step: those that wait for it.
    followers: Vec<Vec<u32>>,
    /// By step: how many it waits for.
    waits: Vec<u32>,
}

impl Order {
    /// From what each transaction touches, by numbers of places; and how many waited at each place.
    fn new(touches: &[Vec<(u32, Touch)>], places: usize) -> (Self, Vec<usize>) {
        let mut order = Self {
            transactions: touches.len(),
            followers: vec![Vec::new(); touches.len()],
            waits: vec![0; touches.len()],
        };
        let mut walked: Vec<Walked> = Vec::new();
        walked.resize_with(places, Walked::default);
        let mut waiting = vec![0; places];
        for (transaction, touches) in touches.iter().enumerate() {
            for (place, touch) in touches {
                let at = &mut walked[*place as usize];
                let phase = Phase::of(*touch);
                if at.phase.is_some_and(|before| before != phase || phase == Phase::Writing) {
                    let door = order.followers.len();
                    order.followers.push(Vec::new());
                    order.waits.push(0);
                    at.inside.drain(..).for_each(|step| order.wait(door, step));
                    at.door = Some(door);
                }
                at.phase = Some(phase);
                at.inside.push(transaction);
                if let Some(door) = at.door {
                    order.wait(transaction, door);
                    waiting[*place as usize] += 1;
                }
            }
        }
        (order, waiting)
    }

    fn wait(&mut self, step: usize, before: usize) {
        self.followers[before].push(step as u32);
        self.waits[step] += 1;
    }

    /// When all is done, if idle workers always take the first transaction that need not wait.
    fn time(&self, workers: usize, costs: &[u64]) -> u64 {
        assert_eq!(costs.len(), self.transactions, "one cost for each transaction");
        let mut waits = self.waits.clone();
        let mut ready: BTreeSet<usize> = BTreeSet::new();
        let mut open: Vec<usize> = (0..waits.len()).filter(|step| waits[*step] == 0).collect();
        let mut running = BinaryHeap::new();
        let mut now = 0;
        loop {
            while let Some(step) = open.pop() {
                if step < self.transactions {
                    ready.insert(step);
                    continue;
                }
                self.done(step, &mut waits, &mut open);
            }
            while running.len() < workers.max(1)
                && let Some(step) = ready.pop_first()
            {
                running.push(Reverse((now + costs[step], step)));
            }
            let Some(Reverse((end, step))) = running.pop() else { return now };
            now = end;
            self.done(step, &mut waits, &mut open);
        }
    }

    fn done(&self, step: usize, waits: &mut [u32], open: &mut Vec<usize>) {
        for follower in &self.followers[step] {
            waits[*follower as usize] -= 1;
            if waits[*follower as usize] == 0 {
                open.push(*follower as usize);
            }
        }
    }
}

impl Conflicts {
    /// What `workers` need for the block if each transaction costs its gas.
    pub fn time(&self, workers: usize) -> u64 {
        self.order.time(workers, &self.costs)
    }

    /// The same with costs of the caller's own.
    ///
    /// # Panics
    /// If there are not as many costs as transactions.
    pub fn time_at(&self, workers: usize, costs: &[u64]) -> u64 {
        self.order.time(workers, costs)
    }

    /// How many times faster than one worker this many could be.
    pub fn speedup(&self, workers: usize) -> f64 {
        self.gas as f64 / self.time(workers).max(1) as f64
    }
}

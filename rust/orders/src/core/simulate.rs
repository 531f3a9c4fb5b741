//! Trying orders: before they are signed, again when the head moves, and before more is paid for them.

use super::{Core, Output, Want};
use crate::{
    build::abi,
    chain::Receipt,
    config::{Conflict, Presim},
    failure::FailureCode,
    fees::next_base_fee,
    gates,
    order::Order,
    presim::{Missing, Passed, Simulation, Trial, Tried},
    states::Event,
    stored::{stored, stored_choice},
    wire::AttemptKind,
};

/// Most waiting orders that are tried again at one head; the others are when it is their turn.
const TRIED_AT_ONCE: usize = 64;

/// What is to be done once a simulation has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Give it a slot.
    Place,
    /// Offer more for it.
    SpeedUp,
    /// Show it to everybody, after builders did not take it.
    GoPublic,
    /// Sign it for another slot, after a sibling took its own.
    Move,
}

/// A simulation under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trying {
    /// What for.
    pub(super) purpose: Purpose,
    /// The head when it was asked for.
    pub(super) number: u64,
    /// The orders that it comes after.
    pub(super) after: Vec<u64>,
}

stored_choice! {
    Purpose {
        0: Place,
        1: SpeedUp,
        2: GoPublic,
        3: Move,
    }
}
stored!(Trying { purpose, number, after });

impl Core {
    /// Whether an order may not be signed before it was tried: as configured, on a state as new as is asked of signals,
    /// and after all that is under way in its pools.
    pub(super) fn is_untried(&self, order_id: u64) -> bool {
        let Some(order) = self.order(order_id) else { return false };
        let head = self.state.ring.head().map_or(0, |head| head.number);
        let wanted = match self.config.presim {
            Presim::Off => false,
            Presim::Always => true,
            Presim::Fallback => {
                !self.before(order_id).is_empty() || !gates::is_fresh(&self.config, order.state_block, head)
            }
        };
        let holds = |passed: &Passed| {
            gates::is_fresh(&self.config, passed.number, head)
                && self.before(order_id).iter().all(|rival| passed.after.contains(rival))
        };
        wanted && !order.passed.as_ref().is_some_and(holds)
    }

    /// The live orders that an order has to pay after.
    fn before(&self, order_id: u64) -> Vec<u64> {
        if self.config.conflict == Conflict::Simulate {
            self.rivals(order_id).into_iter().collect()
        } else {
            Vec::new()
        }
    }

    /// Asks what an order would do now.
    pub(super) fn simulate(&mut self, order_id: u64, purpose: Purpose) {
        let after = self.before(order_id);
        let Some(head) = self.state.ring.head() else { return };
        let (number, block) = (head.number, head.hash);
        let Some(trial) = self.order(order_id).map(|order| self.trial(order)) else { return };
        let rivals = after.iter().filter_map(|rival| self.order(*rival));
        let before = rivals.map(|rival| (rival.id, self.trial(rival))).collect();
        self.state.counters.simulations += 1;
        self.state.simulating.insert(order_id, Trying { purpose, number, after });
        self.want(Want::Simulate { order_id, trial, after: before, block });
    }

    fn trial(&self, order: &Order) -> Trial {
        let slot = order.slot.map(|slot| self.state.lanes.lane(slot.lane).sender);
        let from = slot.or(self.config.senders.first().copied()).unwrap_or_default();
        // What is not signed yet gets as much gas as it may need: how much that is, is to be found out.
        let gas_limit = if order.slot.is_some() { order.gas_limit } else { gates::GAS_LIMIT_MAX };
        Trial { from, to: order.contract, input: order.input.clone(), gas_limit }
    }

    /// Takes the trials out of what has to be done.
    pub(crate) fn take_trials(&mut self) -> Vec<Want> {
        let is_trial = |output: &mut Output| matches!(output, Output::Want(Want::Simulate { .. }));
        let taken = self.outputs.extract_if(.., is_trial);
        taken.filter_map(|output| if let Output::Want(want) = output { Some(want) } else { None }).collect()
    }

    /// Has somebody fetch a part of the state.
    pub(crate) fn want_state(&mut self, order_id: u64, trial: Trial, missing: Missing) {
        self.want(Want::State { order_id, trial, missing });
    }

    /// Whether somebody waits for a simulation of this order.
    pub(crate) fn is_simulating(&self, order_id: u64) -> bool {
        self.state.simulating.contains_key(&order_id)
    }

    /// What a trial says of an order.
    pub fn simulation(&self, order_id: u64, tried: Tried) -> Option<Simulation> {
        self.order(order_id).map(|order| tried.simulation(&self.parties(order)))
    }

    pub(super) fn simulated(&mut self, order_id: u64, simulation: &Simulation) {
        let Some(Trying { purpose, number, after }) = self.state.simulating.remove(&order_id) else { return };
        match simulation {
            Simulation::Reverted { data } => self.failed(order_id, purpose, data, abi::revert_reason(data)),
            Simulation::Unknown { reason } => self.failed(order_id, purpose, &[], reason.clone()),
            Simulation::Passed { gas, peak, profit, payment, block } => {
                let number = self.state.ring.number_of(block).unwrap_or(number);
                let head = self.state.ring.head().map_or(0, |head| head.number);
                if !gates::is_fresh(&self.config, number, head) {
                    return self.simulate(order_id, purpose);
                }
                let Some(order) = self.state.order_mut(order_id) else { return };
                order.passed =
                    Some(Passed { number, block: *block, gas: *gas, profit: *profit, payment: *payment, after });
                match purpose {
                    Purpose::Place => self.reckon(order_id, *gas, *peak, *payment),
                    Purpose::SpeedUp => self.raise_now(order_id),
                    Purpose::GoPublic => self.fall_back(order_id),
                    Purpose::Move => {
                        if !self.move_now(order_id) {
                            self.lose(order_id, FailureCode::MEVBundleFailed.text().to_owned());
                        }
                    }
                }
            }
        }
    }

    fn failed(&mut self, order_id: u64, purpose: Purpose, data: &[u8], reason: String) {
        if let Some(order) = self.state.order_mut(order_id) {
            order.revert = data[..data.len().min(crate::wire::REVERT_MAX)].to_vec();
        }
        match purpose {
            Purpose::Place => {
                let head = self.state.ring.head().map_or(0, |head| head.number);
                let known = self.order(order_id).map_or(head, |order| order.state_block);
                if gates::is_fresh(&self.config, known, head) {
                    return self.close(order_id, Event::Refused, FailureCode::SimulationFailed, reason);
                }
                // A signal that was computed so long ago is only believed where it passes.
                let refusal = gates::Refusal::PoolStateMismatch { expected: known, current: head };
                self.close(order_id, Event::Refused, refusal.code(), format!("{refusal}: {reason}"));
            }
            // The signal has turned false: what is out there would only burn gas.
            Purpose::SpeedUp => self.cancel(order_id, FailureCode::SimulationFailed),
            Purpose::GoPublic | Purpose::Move => self.lose(order_id, reason),
        }
    }

    /// No builder took it, and nobody else shall.
    fn lose(&mut self, order_id: u64, reason: String) {
        self.close(order_id, Event::WindowClosed, FailureCode::MEVBundleFailed, reason);
    }

    /// Gas and payment are known now: the bound on the fee is for them, and the order still has to pay.
    fn reckon(&mut self, order_id: u64, gas: u64, peak: u64, payment: u128) {
        let limit = gates::gas_limit(&self.config, peak);
        let base = self.state.ring.head().map_or(0, next_base_fee);
        let (ratio, threshold) = (i128::from(self.config.net_ratio_bps), i128::from(self.config.min_net_profit_wei));
        let Some(order) = self.state.order_mut(order_id) else { return };
        let least = u128::from(order.fee_bound) * u128::from(order.gas_limit);
        let least = least.saturating_sub(payment);
        let price = base.saturating_add(order.offer.tip);
        order.gas_limit = limit;
        order.fee_bound = u64::try_from(least / u128::from(limit)).unwrap_or(u64::MAX);
        let paid = i128::try_from(payment).unwrap_or(i128::MAX);
        let net = order.expected_wei.saturating_sub(i128::from(gas) * i128::from(price)).saturating_sub(paid);
        let share = order.expected_wei / 10_000 * ratio;
        order.offer = order.offer.capped(order.fee_bound);
        let refusal = if order.fee_bound < price {
            let worst = i128::try_from(least).unwrap_or(i128::MAX) - i128::from(limit) * i128::from(price);
            Some(gates::Refusal::InsufficientProfit { profit: worst, threshold })
        } else {
            (net < share).then_some(gates::Refusal::InsufficientProfit { profit: net, threshold: share })
        };
        match refusal {
            Some(refusal) => self.close(order_id, Event::Refused, refusal.code(), refusal.to_string()),
            None => self.pump(),
        }
    }

    /// Makes an order faster, after another look at whether it still pays.
    pub(super) fn raise(&mut self, order_id: u64) {
        if self.config.presim == Presim::Off {
            return self.raise_now(order_id);
        }
        if self.order(order_id).is_some_and(Order::is_out) && !self.state.simulating.contains_key(&order_id) {
            self.simulate(order_id, Purpose::SpeedUp);
        }
    }

    fn raise_now(&mut self, order_id: u64) {
        if !self.speed_up(order_id) {
            self.ask_presence(order_id);
        }
    }

    /// A head has come: those that wait are tried on it.
    pub(super) fn try_again(&mut self) {
        if self.config.presim == Presim::Off {
            return;
        }
        let waiting = self.state.queue.iter().map(|(_, order_id)| *order_id);
        let idle = waiting.filter(|order_id| !self.state.simulating.contains_key(order_id));
        let tried = |order_id: &u64| self.order(*order_id).is_some_and(|order| order.passed.is_some());
        for order_id in idle.filter(tried).take(TRIED_AT_ONCE).collect::<Vec<_>>() {
            self.simulate(order_id, Purpose::Place);
        }
    }

    /// A first transaction in the block after the one it was tried on has to do what was foretold.
    pub(super) fn compare(&mut self, order_id: u64, block: u64, kind: AttemptKind, receipt: &Receipt, realized: i128) {
        let is_call = matches!(kind, AttemptKind::Original | AttemptKind::SpeedUp);
        let parent = self.state.ring.at(block).map(|head| head.parent);
        let Some(passed) = self.order(order_id).and_then(|order| order.passed.as_ref()) else { return };
        let same = is_call && receipt.tx_index == 0 && passed.after.is_empty() && parent == Some(passed.block);
        let (gas, profit) = (passed.gas, passed.profit);
        if same && (!receipt.success || receipt.gas_used != gas || realized != profit) {
            let text = format!(
                "foretold: {gas} gas, profit {profit}; done: {} gas, profit {realized}, success {}",
                receipt.gas_used, receipt.success
            );
            self.state.counters.sim_drift += 1;
            self.alert(true, "sim_drift", order_id, text);
        }
    }
}

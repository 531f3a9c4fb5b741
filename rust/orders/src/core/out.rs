//! What leaves: reports into the outbox, acknowledgements to sources.

use super::{Core, Output};
use crate::{
    failure::FailureCode,
    order::{Attempt, Order},
    states::State,
    window::{End, Key, Known},
    wire::{BundleRef, Channel, ErrorInfo, Fill, Header, Message, OrderStatus, Report, SwapLeg, TEST, flags},
};

impl Core {
    pub(super) fn status(&self, order: &Order) -> OrderStatus {
        let terminal = if order.state().is_terminal() { flags::TERMINAL } else { 0 };
        OrderStatus {
            order_id: order.id,
            signal_id: order.key.signal_id,
            source_id: order.key.source_id,
            strategy_id: order.key.strategy_id,
            sub: order.sub,
            failure: order.failure,
            replacements: order.replacements,
            flags: order.flags | terminal,
            order_seq: order.reports,
            event_unix_ns: self.now.wall_ns,
            ns_since_receipt: self.now.engine_ns.saturating_sub(order.received_ns),
        }
    }

    /// Where the order of a signal is, or how it ended.
    pub(super) fn known_status(&self, key: &Key) -> Option<OrderStatus> {
        let Known { order_id, end } = self.state.window.get(key)?;
        if let Some(order) = self.order(order_id) {
            return Some(self.status(order));
        }
        let End { sub, failure, flags, reports } = end?;
        Some(OrderStatus {
            order_id,
            signal_id: key.signal_id,
            source_id: key.source_id,
            strategy_id: key.strategy_id,
            sub,
            failure,
            replacements: 0,
            flags: flags | flags::TERMINAL,
            order_seq: reports,
            event_unix_ns: self.now.wall_ns,
            ns_since_receipt: 0,
        })
    }

    fn describe(&self, order: &Order) -> Report {
        let error = order.failure.map(|code| ErrorInfo {
            revert: order.revert.clone(),
            ..ErrorInfo::new(code as u16, order.reason.clone())
        });
        let reference = |one: &Attempt| one.reference(self.state.lanes.lane(one.slot.lane).sender);
        Report {
            status: Some(self.status(order)),
            transactions: order.attempts.iter().map(reference).collect(),
            error,
            bundles: self.bundles(order),
            trace: order.trace,
            ..Report::default()
        }
    }

    fn bundles(&self, order: &Order) -> Vec<BundleRef> {
        let Some(bidding) = order.bidding else { return Vec::new() };
        let private = order.attempts.iter().filter(|attempt| attempt.channel == Channel::Private);
        let relays =
            self.config.endpoints.iter().enumerate().filter(|(_, end)| end.relay != crate::config::Relay::None);
        private
            .flat_map(|attempt| {
                relays.clone().map(|(relay, _)| BundleRef {
                    bundle_hash: crate::build::request::bundle_hash(&attempt.hash),
                    uuid: crate::build::request::bundle_uuid(&self.config.engine_id, order.id, bidding.last_block),
                    target_block: bidding.last_block,
                    relay: relay as u16,
                    attempts: 1,
                })
            })
            .collect()
    }

    /// Reports where an order is, with what changed in its ledger. The last report of an order, and any correction after
    /// it, is a result; all others are updates.
    pub(super) fn report(&mut self, order_id: u64, fill: Option<Fill>, legs: Vec<SwapLeg>) {
        let Some(order) = self.state.order_mut(order_id) else { return };
        order.reports += 1;
        let Some(order) = self.state.order(order_id) else { return };
        let mut report = self.describe(order);
        report.fills.extend(fill);
        report.legs = legs;
        let frame = self.result_frame(order.state(), report);
        self.state.outbox.push(frame);
    }

    /// Reports an order that never had a place.
    pub(super) fn report_refused(&mut self, order: &Order) {
        let frame = self.result_frame(order.state(), self.describe(order));
        self.state.outbox.push(frame);
    }

    fn result_frame(&self, state: State, report: Report) -> Vec<u8> {
        let header = Header { sequence: self.state.outbox.next(), ..self.header() };
        let message = if state.is_terminal() { Message::Result(report) } else { Message::Update(report) };
        message.encode(&header, None)
    }

    fn header(&self) -> Header {
        Header { kind: 0, flags: 0, sequence: 0, sent_unix_ns: self.now.wall_ns, source_id: self.config.source_id }
    }

    /// Answers a frame that wanted an answer, with what is known of its order.
    pub(super) fn acknowledge(&mut self, to: &Header, status: Option<OrderStatus>) {
        if to.wants_ack() {
            let report = Report { status, ..Report::default() };
            let header = Header { sequence: to.sequence, flags: to.flags & TEST, ..self.header() };
            self.outputs.push(Output::Answer { bytes: Message::Ack(report).encode(&header, None) });
        }
    }

    /// Refuses a frame that wanted an answer.
    pub(super) fn refuse_frame(&mut self, to: &Header, code: FailureCode, text: &str) {
        if to.wants_ack() {
            let error = Some(ErrorInfo::new(code as u16, text));
            let header = Header { sequence: to.sequence, flags: to.flags & TEST, ..self.header() };
            self.outputs.push(Output::Answer {
                bytes: Message::Nack(Report { error, ..Report::default() }).encode(&header, None),
            });
        }
    }
}

//! Whether the chain can be seen: while no node is left nothing new is taken, and when one is back not before it is
//! known again what the chain did meanwhile. What is out is looked after all the same.

use super::Core;
use crate::config::Relay;

impl Core {
    /// An endpoint can be used, or can't. With the last node every count of nonces becomes hearsay.
    pub(super) fn endpoint(&mut self, endpoint: u16, up: bool) {
        let Some(known) = self.state.up.get_mut(usize::from(endpoint)) else { return };
        *known = up;
        if !self.has_node() && self.state.recount.is_none() {
            self.state.recount = Some(self.state.lanes.iter().map(|(lane, _)| lane).collect());
        }
    }

    fn has_node(&self) -> bool {
        let nodes = self.config.endpoints.iter().zip(&self.state.up).filter(|(end, _)| end.relay == Relay::None);
        nodes.into_iter().any(|(_, up)| *up)
    }

    /// A sender was counted. One that is counted while there is no node was asked before that.
    pub(super) fn counted(&mut self, lane: u32) {
        let has_node = self.has_node();
        if let Some(recount) = self.state.recount.as_mut().filter(|_| has_node) {
            recount.remove(&lane);
        }
    }

    /// Takes signals again, where every sender was counted since, and what blocks hold of ours was looked at.
    pub(super) fn reconcile(&mut self) {
        let Some(recount) = &self.state.recount else { return };
        let head = self.state.ring.head().map_or(0, |head| head.number);
        let settled = self.state.lookups.is_empty() && self.is_matched_through(head);
        if recount.is_empty() && settled && self.has_node() {
            self.state.recount = None;
        }
    }
}

//! Points to which the chain can return.
//!
//! Setting one costs nothing: it notes the head and shares the pool, which is copied only when it changes afterwards.
//! While an anchor is set, the way back to it is kept, however long the chain grows.

use std::{collections::BTreeMap, sync::Arc};

use pool::Pool;
use types::BlockId;

use crate::{Chain, ChainError, Head};

/// Names a point of one chain. A later anchor has a greater number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Anchor(pub u64);

/// Anchors set at one time: more than any nesting of tests needs.
const ANCHORS_MAX: usize = 4096;

#[derive(Debug)]
struct Point {
    head: BlockId,
    pool: Arc<Pool>,
    /// Blocks that came since, up to the next anchor.
    added: Vec<BlockId>,
}

#[derive(Debug, Default)]
pub(crate) struct Anchors {
    next: u64,
    set: BTreeMap<u64, Point>,
}

impl Anchors {
    /// A block came that was not there before.
    pub(crate) fn added(&mut self, id: BlockId) {
        if let Some(mut last) = self.set.last_entry() {
            last.get_mut().added.push(id);
        }
    }

    /// The lowest block to which somebody may return.
    pub(crate) fn lowest(&self) -> Option<u64> {
        self.set.values().map(|point| point.head.number).min()
    }
}

impl Chain {
    /// Sets a point to return to. Anchors nest.
    ///
    /// # Errors
    /// [`ChainError::TooManyAnchors`].
    ///
    /// # Resources
    /// Until it is undone or [released](Self::release), the ways back of all later blocks are kept.
    pub fn anchor(&self) -> Result<Anchor, ChainError> {
        let mut writer = self.take_turn()?;
        let anchors = &mut writer.anchors;
        if anchors.set.len() >= ANCHORS_MAX {
            return Err(ChainError::TooManyAnchors(ANCHORS_MAX));
        }
        let point = Point { head: self.head().id, pool: self.waiting().shared(), added: Vec::new() };
        anchors.set.insert(anchors.next, point);
        anchors.next += 1;
        Ok(Anchor(anchors.next - 1))
    }

    /// Returns chain, pool and head to what they were when the anchor was set, and forgets what came since. The anchor,
    /// and all that were set after it, are gone then.
    ///
    /// # Errors
    /// [`ChainError::UnknownAnchor`]; nothing has changed then.
    pub fn undo(&self, anchor: Anchor) -> Result<Arc<Head>, ChainError> {
        let mut writer = self.take_turn()?;
        let point = writer.anchors.set.get(&anchor.0).ok_or(ChainError::UnknownAnchor(anchor.0))?;
        let (head, pool) = (point.head, Arc::clone(&point.pool));
        let added = writer.anchors.set.range(anchor.0..).flat_map(|(_, point)| point.added.iter().copied()).collect();
        let head = self.move_head(&mut writer, head, None, added)?;
        writer.anchors.set.split_off(&anchor.0);
        self.waiting().restore(pool);
        Ok(head)
    }

    /// Forgets an anchor without returning to it; what came since stays. False where it is not set.
    ///
    /// # Errors
    /// None but [`Stopped`](state::Stopped), while others change the chain.
    pub fn release(&self, anchor: Anchor) -> Result<bool, ChainError> {
        let mut writer = self.take_turn()?;
        let anchors = &mut writer.anchors;
        let Some(point) = anchors.set.remove(&anchor.0) else { return Ok(false) };
        // What came since it came since the one before it, too.
        if let Some((_, outer)) = anchors.set.range_mut(..anchor.0).next_back() {
            outer.added.extend(point.added);
        }
        Ok(true)
    }
}

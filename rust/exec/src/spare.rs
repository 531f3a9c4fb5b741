//! The overlay that the last block on this thread has left, for the next one: its memory is taken already.

use std::{cell::RefCell, sync::LazyLock};

use state::{MemoryState, Overlay, View};

/// An overlay with room for more accounts or slots than this is let go; about 60 MiB.
const ENTRIES_MAX: usize = 200_000;

static NOTHING: LazyLock<MemoryState> = LazyLock::new(MemoryState::default);

thread_local! {
    static SPARE: RefCell<Option<Overlay<'static>>> = const { RefCell::new(None) };
}

/// An overlay over `view` that knows nothing yet.
pub(crate) fn take(view: &dyn View) -> Overlay<'_> {
    match SPARE.take() {
        Some(spare) => spare.rebase(view),
        None => Overlay::new(view),
    }
}

/// Leaves an overlay to the next block.
pub(crate) fn put(overlay: Overlay<'_>) {
    if overlay.entries_capacity() <= ENTRIES_MAX {
        SPARE.set(Some(overlay.rebase(&*NOTHING)));
    }
}

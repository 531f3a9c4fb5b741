//! Overlays that blocks have left, for the next ones: their memory is taken already.

use std::sync::{LazyLock, Mutex, PoisonError};

use state::{MemoryState, Overlay, View};

/// An overlay with room for more accounts or slots than this is let go; about 60 MiB.
const ENTRIES_MAX: usize = 200_000;

/// Overlays kept: one for each core of a usual machine.
const SPARES_MAX: usize = 16;

static NOTHING: LazyLock<MemoryState> = LazyLock::new(MemoryState::default);

static SPARES: Mutex<Vec<Overlay<'static>>> = Mutex::new(Vec::new());

/// An overlay over `view` that knows nothing yet.
pub(crate) fn take(view: &dyn View) -> Overlay<'_> {
    let spare = SPARES.lock().unwrap_or_else(PoisonError::into_inner).pop();
    spare.map_or_else(|| Overlay::new(view), |spare| spare.rebase(view))
}

/// Leaves an overlay to another block.
pub(crate) fn put(overlay: Overlay<'_>) {
    if overlay.entries_capacity() <= ENTRIES_MAX {
        let overlay = overlay.rebase(&*NOTHING);
        let mut spares = SPARES.lock().unwrap_or_else(PoisonError::into_inner);
        if spares.len() < SPARES_MAX {
            spares.push(overlay);
        }
    }
}

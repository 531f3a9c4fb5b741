//! What blocks have left for the next ones: its memory is taken already, and no thread waits for pages of it.

use std::sync::{LazyLock, Mutex, PoisonError};

use state::{MemoryState, Overlay, View};

use crate::parallel::Ran;

/// An overlay with room for more accounts or slots than this is let go; about 60 MiB.
const ENTRIES_MAX: usize = 200_000;

/// Outcomes of this many transactions are kept room for.
const OUTCOMES_MAX: usize = 50_000;

/// Of each kind so many are kept: one for each core of a usual machine.
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

/// What a transaction did; None where it was refused.
pub(crate) type Ended = Option<Ran>;

static OUTCOMES: Mutex<Vec<Vec<Ended>>> = Mutex::new(Vec::new());

/// An empty list for outcomes.
pub(crate) fn take_outcomes() -> Vec<Ended> {
    OUTCOMES.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
}

/// Leaves a list of outcomes to another block.
pub(crate) fn put_outcomes(mut outcomes: Vec<Ended>) {
    outcomes.clear();
    if outcomes.capacity() <= OUTCOMES_MAX {
        let mut spares = OUTCOMES.lock().unwrap_or_else(PoisonError::into_inner);
        if spares.len() < SPARES_MAX {
            spares.push(outcomes);
        }
    }
}

//! Frames of signals on their way from the doors to the core.

use std::sync::{Mutex, MutexGuard, PoisonError};

use orders::channel::{Channel, Loss, Rank};
use pyo3::{prelude::*, types::PyBytes};

/// A frame, when it came, and where from.
struct Arrived {
    frame: Py<PyBytes>,
    mono_ns: u64,
    origin: Py<PyAny>,
}

/// Where a frame came from that was lost, its Nack, and whether its time was over.
type Lost<'py> = (Py<PyAny>, Bound<'py, PyBytes>, bool);

/// Where frames came from that follow each other, when the first of them came, and the frames.
type Taken = (Py<PyAny>, u64, Vec<Py<PyBytes>>);

/// Frames that wait for the core, so many and no more.
#[pyclass(name = "OrderChannel", module = "execlayer._core", frozen)]
pub(crate) struct PyOrderChannel {
    channel: Mutex<Channel<Arrived>>,
    max_age_ns: u64,
    source_id: u32,
}

#[pymethods]
impl PyOrderChannel {
    /// `max_age_ns`: how old a signal may be; `source_id`: the engine's, for Nacks.
    #[new]
    fn new(capacity: usize, max_age_ns: u64, source_id: u32) -> Self {
        Self { channel: Mutex::new(Channel::new(capacity)), max_age_ns, source_id }
    }

    fn __len__(&self) -> usize {
        self.held().len()
    }

    /// Puts frames of one origin in; gives those that are lost for it.
    fn put<'py>(
        &self,
        py: Python<'py>,
        clock: (u64, u64),
        frames: Vec<Bound<'py, PyBytes>>,
        origin: &Bound<'py, PyAny>,
    ) -> Vec<Lost<'py>> {
        let (mono_ns, wall_ns) = clock;
        let mut channel = self.held();
        let put = |frame: Bound<'py, PyBytes>| {
            let rank = Rank::of(frame.as_bytes(), self.max_age_ns);
            let arrived = Arrived { frame: frame.unbind(), mono_ns, origin: origin.clone().unbind() };
            channel.put(wall_ns, rank, arrived)
        };
        let lost: Vec<_> = frames.into_iter().filter_map(put).collect();
        lost.into_iter().map(|(arrived, loss)| self.tell(py, arrived, loss, wall_ns)).collect()
    }

    /// Takes up to so many, in the order they are to be served; what follows each other and has one origin together.
    fn take(&self, limit: usize) -> Vec<Taken> {
        let mut taken: Vec<Taken> = Vec::new();
        for Arrived { frame, mono_ns, origin } in self.held().take(limit) {
            match taken.last_mut() {
                Some((last, began, frames)) if last.is(&origin) => {
                    *began = mono_ns.min(*began);
                    frames.push(frame);
                }
                _ => taken.push((origin, mono_ns, vec![frame])),
            }
        }
        taken
    }

    /// Gives everything up.
    fn close<'py>(&self, py: Python<'py>, clock: (u64, u64)) -> Vec<Lost<'py>> {
        let gone = self.held().clear();
        gone.into_iter().map(|arrived| self.tell(py, arrived, Loss::Closed, clock.1)).collect()
    }
}

impl PyOrderChannel {
    fn held(&self) -> MutexGuard<'_, Channel<Arrived>> {
        self.channel.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell<'py>(&self, py: Python<'py>, arrived: Arrived, loss: Loss, wall_ns: u64) -> Lost<'py> {
        let nack = loss.nack(arrived.frame.as_bytes(py), wall_ns, self.source_id);
        (arrived.origin, PyBytes::new(py, &nack), loss == Loss::Expired)
    }
}

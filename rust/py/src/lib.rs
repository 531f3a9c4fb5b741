//! The door: what Python sees of the chain. Knows no rule of it.

use pyo3::prelude::*;

/// The Rust side of `execlayer`.
#[pymodule(name = "_core", gil_used = false)]
fn core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))
}

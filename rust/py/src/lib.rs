//! The door: what Python sees of the chain. Converts, calls, maps the error; knows no rule of the chain.

mod block;
mod chain;
mod convert;
mod crypto;
mod enter;
mod error;
mod evm;
mod execution;
mod heads;
mod key;
mod log;
mod mined;
mod order_channel;
mod order_replay;
mod order_state;
mod order_told;
mod order_wire;
mod orders;
mod outcome;
mod pool;
mod proof;
mod receipt;
mod rpc;
mod settings;
mod show;
mod signers;
mod snapshot;
mod spec;
mod tools;
mod tools_chain;
mod tools_run;
mod trace;
mod transaction;

/// The Rust side of `execlayer`.
#[pyo3::pymodule(name = "_core", gil_used = false)]
mod core {
    use pyo3::prelude::*;

    #[pymodule_export]
    use super::{
        block::{PyBlock, Receipts, Transactions},
        chain::PyChain,
        crypto::{keccak256, recover},
        error::reasons,
        evm::{PyDesk, PyState},
        execution::{PyConflicts, PyExecution},
        heads::{PyHeadChange, PyHeads},
        key::PyKey,
        log::PyLog,
        mined::PyMined,
        order_channel::PyOrderChannel,
        order_replay::{replay_orders, verify_orders},
        order_wire::{decode_frame, encode_ack, encode_cancel, encode_heartbeat, encode_signal, frame_length},
        orders::{OrderReceipts, PyOrderEngine, is_signed_by, order_states, order_transitions},
        outcome::PyOutcome,
        pool::{PyCandidates, PyPool, PyPoolEvents},
        proof::{prove_account, prove_item, verify_account, verify_item, verify_key, verify_receipt, verify_slot},
        receipt::PyReceipt,
        rpc::{PyRpc, PySession},
        signers::{senders, signers},
        snapshot::{PySnapshot, check_snapshot, restore_snapshot, write_snapshot},
        spec::{PySite, PySpec},
        tools::{blocktest, statetest, transition},
        tools_chain::{export_blocks, import_blocks, store_check, store_compact, store_stat},
        tools_run::run_code,
        trace::{PySteps, PyTrace},
        transaction::PyTransaction,
    };

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}

//! Where a chain lives: blocks, the state at the head, trie nodes, indices and ways back, on disk or in memory.
//!
//! - [`Store`] is a [`state::Ledger`]: one [`state::Commit`] becomes one atomic [`Batch`].
//! - [`Kv`] is the small key-value face below, with two implementations: [`Memory`] and [`Lmdb`].
//! - [`Family`] names the ordered maps; `docs/storage.md` says what stands in them, byte by byte.
//!
//! Knows no rule of execution: it keeps what it is given.
//!
//! ```
//! use state::{Commit, Ledger};
//! use types::{B256, BlockId};
//!
//! let store = execlayer_store::Store::memory();
//! assert_eq!(store.head()?, None);
//! let genesis = BlockId { number: 0, hash: B256::repeat_byte(1) };
//! store.commit(Commit { head: Some(genesis), ..Commit::default() })?;
//! assert_eq!(store.head()?, Some(genesis));
//! # Ok::<(), state::LedgerError>(())
//! ```

mod accounts;
mod blocks;
mod cache;
mod check;
mod encoding;
mod families;
mod folder;
mod kv;
mod ledger;
mod lmdb;
mod memory;
mod migrate;
mod options;
mod reader;
pub mod snapshot;
mod sorted;

pub use blocks::LogName;
pub use check::Check;
pub use encoding::DecodeError;
pub use families::{Family, SCHEMA};
pub use kv::{Batch, Change, Entries, Entry, FamilyStat, KEY_BYTES_MAX, Kv, RANGE_DELETE_KEYS_MAX, Snapshot, Stat};
pub use ledger::Store;
pub use lmdb::Lmdb;
pub use memory::Memory;
pub use options::{Durability, Options};

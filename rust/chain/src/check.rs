//! Whether the state that a ledger holds is the one that its head stands for: read twice, once as rows and once as the
//! trie, with each node held against its hash. Takes as long as reading all of it, and no memory to speak of.

use alloy_rlp::Decodable;
use kernels::keccak256_many;
use state::{Ledger, StateReader, Stop, StoredBlock, roots};
use types::{Account, B256, BlockId, EMPTY_ROOT, LeafAccount, U256, keccak256};

use crate::ChainError;

/// Rows read between two looks at whether anybody still waits.
const PORTION: usize = 4_096;

/// What a look at a whole state came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateCheck {
    /// The block whose state it is; None: there is no chain yet.
    pub block: Option<BlockId>,
    /// Accounts among the rows.
    pub accounts: u64,
    /// Slots among the rows.
    pub slots: u64,
    /// What is wrong. Empty: all is well.
    pub faults: Vec<StateFault>,
}

/// What is wrong with a state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateFault {
    /// The rows are not those that the chain's blocks led to.
    #[error("the lattice hash of all rows is {found}, but that of the head's state is {expected}")]
    Lattice {
        /// As noted with the head.
        expected: B256,
        /// Of the rows.
        found: B256,
    },
    /// The trie is another one.
    #[error("the root of the stored trie is {found}, but the head's header says {expected}")]
    Root {
        /// As in the header.
        expected: B256,
        /// Of the nodes.
        found: B256,
    },
    /// An account's storage is another one than the account's leaf says.
    #[error("the root of the storage of account {account} (a hash) is {found}, but its leaf says {expected}")]
    StorageRoot {
        /// Hash of the address.
        account: B256,
        /// As in the leaf.
        expected: B256,
        /// Of the nodes.
        found: B256,
    },
    /// Rows and trie hold different things.
    #[error("{rows} {what} are among the rows, {leaves} in the trie, and they are not the same")]
    Apart {
        /// Accounts or slots.
        what: &'static str,
        /// How many rows.
        rows: u64,
        /// How many leaves.
        leaves: u64,
    },
    /// The trie cannot be walked to its end.
    #[error(transparent)]
    Trie(#[from] roots::RootError),
    /// An entry of the trie is none of a state.
    #[error("the trie's entry {key} is damaged: {reason}")]
    Entry {
        /// Its key.
        key: B256,
        /// What is wrong.
        reason: alloy_rlp::Error,
    },
}

/// Many things, whatever their order: how many, and the sum of their hashes.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Heap {
    count: u64,
    sum: U256,
}

impl Heap {
    fn add(&mut self, parts: &[&[u8]]) {
        self.count += 1;
        self.sum = self.sum.wrapping_add(U256::from_be_bytes(keccak256(parts.concat()).0));
    }

    fn add_account(&mut self, key: &B256, account: &Account) {
        let Account { nonce, balance, code_hash } = account;
        self.add(&[key.as_slice(), &nonce.to_be_bytes(), &balance.to_be_bytes::<32>(), code_hash.as_slice()]);
    }

    fn add_slot(&mut self, owner: &B256, key: &B256, value: &U256) {
        self.add(&[owner.as_slice(), key.as_slice(), &value.to_be_bytes::<32>()]);
    }
}

/// All accounts and slots, once from the rows and once from the trie.
#[derive(Default, PartialEq, Eq)]
struct Contents {
    accounts: Heap,
    slots: Heap,
}

/// Reads the whole state of the head and says what is wrong with it.
///
/// # Errors
/// Only where reading itself fails; what is wrong with what was read stands in the answer.
pub fn check_state(ledger: &dyn Ledger) -> Result<StateCheck, ChainError> {
    let state = ledger.reader()?;
    let Some(head) = state.head() else { return Ok(StateCheck::default()) };
    let block = ledger.block(&head.hash)?.ok_or(ChainError::UnknownBlock(head.into()))?;
    let mut faults = Vec::new();
    let rows = read_rows(&*state, &block, &mut faults)?;
    let mut leaves = Contents::default();
    match walk(&*state, &block, &mut leaves, &mut faults) {
        Ok(()) if rows == leaves => {}
        Ok(()) => {
            let pairs = [("accounts", rows.accounts, leaves.accounts), ("slots", rows.slots, leaves.slots)];
            let apart = pairs.into_iter().filter(|(_, rows, leaves)| rows != leaves);
            faults.extend(apart.map(|(what, rows, leaves)| StateFault::Apart {
                what,
                rows: rows.count,
                leaves: leaves.count,
            }));
        }
        Err(Ended::Chain(error)) => return Err(error),
        Err(Ended::Fault(fault)) => faults.push(*fault),
    }
    Ok(StateCheck { block: Some(head), accounts: rows.accounts.count, slots: rows.slots.count, faults })
}

fn read_rows(
    state: &dyn StateReader,
    block: &StoredBlock,
    faults: &mut Vec<StateFault>,
) -> Result<Contents, ChainError> {
    let (mut rows, mut lattice, mut after) = (Contents::default(), roots::Lattice::default(), None);
    loop {
        Stop::check_current()?;
        let page = state.accounts_after(after, PORTION)?;
        let addresses: Vec<&[u8]> = page.iter().map(|(address, _)| address.as_slice()).collect();
        let mut keys = vec![B256::ZERO; page.len()];
        keccak256_many(&addresses, &mut keys);
        for ((address, account), key) in page.iter().zip(&keys) {
            lattice.add_account(address, account);
            rows.accounts.add_account(key, account);
            let mut from = None;
            loop {
                let slots = state.slots_after(address, from, PORTION)?;
                for (slot, value) in &slots {
                    lattice.add_slot(address, slot, value);
                    rows.slots.add_slot(key, &keccak256(slot.to_be_bytes::<32>()), value);
                }
                if slots.len() < PORTION {
                    break;
                }
                Stop::check_current()?;
                from = slots.last().map(|(slot, _)| *slot);
            }
        }
        if page.len() < PORTION {
            break;
        }
        after = page.last().map(|(address, _)| *address);
    }
    let (expected, found) = (block.tally.lattice, lattice.checksum());
    if expected != found {
        faults.push(StateFault::Lattice { expected, found });
    }
    Ok(rows)
}

/// Why a walk did not come to its end.
enum Ended {
    Chain(ChainError),
    Fault(Box<StateFault>),
}

impl From<StateFault> for Ended {
    fn from(fault: StateFault) -> Self {
        Self::Fault(Box::new(fault))
    }
}

impl From<roots::RootError> for Ended {
    fn from(error: roots::RootError) -> Self {
        match error {
            // The disk, not what stands on it.
            roots::RootError::Ledger(error) => Self::Chain(error.into()),
            damaged => StateFault::from(damaged).into(),
        }
    }
}

fn walk(
    state: &dyn StateReader,
    block: &StoredBlock,
    leaves: &mut Contents,
    faults: &mut Vec<StateFault>,
) -> Result<(), Ended> {
    let (expected, found) = (block.header.state_root, roots::trie::stored_root(state)?);
    if expected != found {
        faults.push(StateFault::Root { expected, found });
    }
    for (index, entry) in roots::Entries::up(state, None, None)?.enumerate() {
        if index % PORTION == 0 {
            Stop::check_current().map_err(|stopped| Ended::Chain(stopped.into()))?;
        }
        let (key, value) = entry?;
        let owner = B256::left_padding_from(&key);
        let leaf: LeafAccount = decode(owner, &value)?;
        let account = Account { nonce: leaf.nonce, balance: leaf.balance, code_hash: leaf.code_hash };
        leaves.accounts.add_account(&owner, &account);
        walk_storage(state, owner, leaf.storage_root, leaves)?;
    }
    Ok(())
}

fn walk_storage(state: &dyn StateReader, owner: B256, expected: B256, leaves: &mut Contents) -> Result<(), Ended> {
    let found = roots::trie::stored_storage_root(state, owner)?;
    if expected != found {
        return Err(StateFault::StorageRoot { account: owner, expected, found }.into());
    }
    if found == EMPTY_ROOT {
        return Ok(());
    }
    for (index, entry) in roots::Entries::up(state, Some(owner), None)?.enumerate() {
        if index % PORTION == PORTION - 1 {
            Stop::check_current().map_err(|stopped| Ended::Chain(stopped.into()))?;
        }
        let (key, value) = entry?;
        let key = B256::left_padding_from(&key);
        leaves.slots.add_slot(&owner, &key, &decode(key, &value)?);
    }
    Ok(())
}

fn decode<T: Decodable>(key: B256, value: &[u8]) -> Result<T, StateFault> {
    alloy_rlp::decode_exact(value).map_err(|reason| StateFault::Entry { key, reason })
}

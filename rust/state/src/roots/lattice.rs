//! The accounts lattice hash: a commitment to the whole state that is a sum over its parts.
//!
//! Every account and every slot that is not zero has an element, 1,024 lanes of 16 bits that BLAKE3 draws from its
//! content; the commitment is their sum, lane by lane modulo 2^16. So an update subtracts what was and adds what is, in
//! time that only the change decides; order does not matter; and sums of parts (threads, shards, snapshots) merge.
//!
//! | element | bytes that BLAKE3 hashes, of which the first 2,048 bytes of output are the lanes in little-endian |
//! |---|---|
//! | account | 0x00, address 20, nonce 8 little-endian, balance 32 big-endian, code hash 32 |
//! | slot | 0x01, address 20, key 32 big-endian, value 32 big-endian |
//!
//! An account that does not exist has no element; an existing empty one has. Other account spaces take other first bytes.

use kernels::lattice::{self, Element, LANES, Lanes};
use rayon::prelude::*;
use types::{Account, Address, B256, U256};

use crate::{AccountDiff, MemoryState, StateDiff};

const ACCOUNT_DOMAIN: u8 = 0x00;
const SLOT_DOMAIN: u8 = 0x01;

/// Accounts that one core sums up before the sums merge: some 100 µs.
const BATCH_ACCOUNTS: usize = 128;

/// The commitment, all lanes of it.
///
/// ```
/// use execlayer_state::{MemoryState, roots::Lattice};
///
/// let mut state = MemoryState::default();
/// state.insert(types::Address::ZERO, 1, types::U256::from(100), types::Bytes::new());
/// let mut lattice = Lattice::default();
/// lattice.apply(&state.to_diff());
/// assert_eq!(lattice.checksum(), Lattice::of(&state).checksum());
/// lattice.apply(&state.to_diff().inverse());
/// assert_eq!(lattice, Lattice::default());
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Lattice {
    lanes: Box<Lanes>,
}

impl Default for Lattice {
    /// The commitment to a state that holds nothing.
    fn default() -> Self {
        Self { lanes: Box::new([0; LANES]) }
    }
}

impl std::fmt::Debug for Lattice {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Lattice({})", self.checksum())
    }
}

impl Lattice {
    /// How many bytes [`Self::to_bytes`] gives.
    pub const BYTES: usize = 2 * LANES;

    /// The commitment to a whole state.
    pub fn of(state: &MemoryState) -> Self {
        let mut lattice = Self::default();
        lattice.apply(&state.to_diff());
        lattice
    }

    /// Moves the commitment along with a state that `diff` changes. The diff's inverse moves it back.
    pub fn apply(&mut self, diff: &StateDiff) {
        if diff.accounts.len() <= BATCH_ACCOUNTS {
            return diff.accounts.iter().for_each(|(address, change)| self.change(address, change));
        }
        let changed = diff.accounts.par_chunks(BATCH_ACCOUNTS).fold(Self::default, |mut part, accounts| {
            accounts.iter().for_each(|(address, change)| part.change(address, change));
            part
        });
        let changed = changed.reduce(Self::default, |mut one, other| {
            one.merge(&other);
            one
        });
        self.merge(&changed);
    }

    fn change(&mut self, address: &Address, change: &AccountDiff) {
        if change.before != change.after {
            if let Some(before) = &change.before {
                draw(&account_input(address, before), |element| lattice::subtract(&mut self.lanes, element));
            }
            if let Some(after) = &change.after {
                self.add_account(address, after);
            }
        }
        for slot in &change.slots {
            if !slot.before.is_zero() {
                let input = slot_input(address, &slot.key, &slot.before);
                draw(&input, |element| lattice::subtract(&mut self.lanes, element));
            }
            self.add_slot(address, &slot.key, &slot.after);
        }
    }

    /// Adds an account that was not in the sum: for a pass over a whole state, as a snapshot is.
    pub fn add_account(&mut self, address: &Address, account: &Account) {
        draw(&account_input(address, account), |element| lattice::add(&mut self.lanes, element));
    }

    /// Adds a slot that was not in the sum; a value of zero adds nothing.
    pub fn add_slot(&mut self, address: &Address, key: &U256, value: &U256) {
        if !value.is_zero() {
            draw(&slot_input(address, key, value), |element| lattice::add(&mut self.lanes, element));
        }
    }

    /// Adds the commitment to another part of the same state.
    pub fn merge(&mut self, part: &Self) {
        lattice::add(&mut self.lanes, &part.to_bytes());
    }

    /// BLAKE3-256 of the lanes: what two nodes compare.
    pub fn checksum(&self) -> B256 {
        B256::new(*blake3::hash(&self.to_bytes()).as_bytes())
    }

    /// The lanes in little-endian, for storing.
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        for (pair, lane) in bytes.as_chunks_mut::<2>().0.iter_mut().zip(self.lanes.iter()) {
            *pair = lane.to_le_bytes();
        }
        bytes
    }

    /// What [`Self::to_bytes`] gave. Any bytes are some sum.
    pub fn from_bytes(bytes: &[u8; Self::BYTES]) -> Self {
        let mut lattice = Self::default();
        lattice::add(&mut lattice.lanes, bytes);
        lattice
    }
}

fn account_input(address: &Address, account: &Account) -> [u8; 93] {
    let mut input = [0; 93];
    input[0] = ACCOUNT_DOMAIN;
    input[1..21].copy_from_slice(address.as_slice());
    input[21..29].copy_from_slice(&account.nonce.to_le_bytes());
    input[29..61].copy_from_slice(&account.balance.to_be_bytes::<32>());
    input[61..].copy_from_slice(account.code_hash.as_slice());
    input
}

fn slot_input(address: &Address, key: &U256, value: &U256) -> [u8; 85] {
    let mut input = [0; 85];
    input[0] = SLOT_DOMAIN;
    input[1..21].copy_from_slice(address.as_slice());
    input[21..53].copy_from_slice(&key.to_be_bytes::<32>());
    input[53..].copy_from_slice(&value.to_be_bytes::<32>());
    input
}

/// Draws an element and hands it on, from a buffer that it never leaves.
fn draw(input: &[u8], hand_on: impl FnOnce(&Element)) {
    let mut element = [0; 2 * LANES];
    blake3::Hasher::new().update(input).finalize_xof().fill(&mut element);
    hand_on(&element);
}

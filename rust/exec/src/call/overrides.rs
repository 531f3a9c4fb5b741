//! What somebody wants to be different for a call: accounts and the block.
//!
//! The state stays as it is: [`Overridden`] is a view through which the wanted accounts are seen.

use std::{collections::BTreeMap, sync::Arc};

use alloy_primitives::map::{AddressHashMap, B256HashMap};
use evm::{BlockEnv, Instructions, Rules, precompiles};
use state::{Stopped, View, ViewError};
use types::{Account, Address, B256, Bytes, EMPTY_CODE_HASH, U256, keccak256};

/// An account as somebody wants it; what is not said stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountOverride {
    /// Wei.
    pub balance: Option<U256>,
    /// Transactions sent.
    pub nonce: Option<u64>,
    /// Its code.
    pub code: Option<Bytes>,
    /// All its storage: slots that are not named hold nothing.
    pub state: Option<BTreeMap<U256, U256>>,
    /// Some of its storage.
    pub state_diff: Option<BTreeMap<U256, U256>>,
    /// For a precompile: where it is instead.
    pub move_precompile_to: Option<Address>,
}

/// Accounts as somebody wants them, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateOverrides(pub BTreeMap<Address, AccountOverride>);

/// Wishes that contradict each other.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OverrideError {
    /// All of the storage and some of it at once.
    #[error("account {address} has both 'state' and 'stateDiff'")]
    StateTwice {
        /// Whose.
        address: Address,
    },
    /// Only a precompile can be moved.
    #[error("account {address} is not a precompile")]
    NoPrecompile {
        /// Which was to be.
        address: Address,
    },
    /// A precompile was to be moved to an account that has wishes of its own, or where another one went.
    #[error("account {address} is already overridden")]
    AlreadyOverridden {
        /// Where it was to go.
        address: Address,
    },
}

impl StateOverrides {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The rules with precompiles moved. One whose account is overridden is not there any more.
    pub(super) fn rules(&self, mut rules: Rules) -> Result<Rules, OverrideError> {
        let mut custom = rules.instructions.custom().cloned().unwrap_or_default();
        let mut targets = Vec::new();
        for (address, account) in &self.0 {
            let is_precompile = precompiles::contains(&rules, address);
            match account.move_precompile_to {
                Some(to) => {
                    if !is_precompile {
                        return Err(OverrideError::NoPrecompile { address: *address });
                    }
                    if self.0.contains_key(&to) || targets.contains(&to) {
                        return Err(OverrideError::AlreadyOverridden { address: to });
                    }
                    targets.push(to);
                    custom = custom.with_moved_precompile(*address, to, precompiles::detached(rules.fork, *address));
                }
                None if is_precompile => custom = custom.without_precompile(*address),
                None => {}
            }
        }
        if rules.instructions.custom().map_or(!custom.is_empty(), |before| *before != custom) {
            let schedule = rules.instructions.schedule().clone();
            rules.instructions = Arc::new(Instructions::new(rules.fork, schedule).with_custom(custom));
        }
        Ok(rules)
    }

    /// The state with these accounts.
    pub(super) fn over(&self, base: Arc<dyn View>) -> Result<Overridden, OverrideError> {
        let mut overridden = Overridden { base, accounts: AddressHashMap::default(), codes: B256HashMap::default() };
        for (address, account) in &self.0 {
            if account.state.is_some() && account.state_diff.is_some() {
                return Err(OverrideError::StateTwice { address: *address });
            }
            let code_hash = account.code.as_ref().map(|code| {
                if code.is_empty() {
                    return EMPTY_CODE_HASH;
                }
                let hash = keccak256(code);
                overridden.codes.insert(hash, code.clone());
                hash
            });
            let wanted = Wanted {
                balance: account.balance,
                nonce: account.nonce,
                code_hash,
                wiped: account.state.is_some(),
                slots: account.state.clone().or_else(|| account.state_diff.clone()).unwrap_or_default(),
            };
            overridden.accounts.insert(*address, wanted);
        }
        Ok(overridden)
    }
}

/// A state seen through wishes.
pub(super) struct Overridden {
    base: Arc<dyn View>,
    accounts: AddressHashMap<Wanted>,
    codes: B256HashMap<Bytes>,
}

struct Wanted {
    balance: Option<U256>,
    nonce: Option<u64>,
    code_hash: Option<B256>,
    /// Nothing of the storage underneath is there.
    wiped: bool,
    slots: BTreeMap<U256, U256>,
}

impl Wanted {
    fn changes_nothing(&self) -> bool {
        let Self { balance, nonce, code_hash, wiped, slots } = self;
        balance.is_none() && nonce.is_none() && code_hash.is_none() && !wiped && slots.is_empty()
    }
}

impl View for Overridden {
    fn account(&self, address: &Address) -> Result<Option<Account>, ViewError> {
        let base = self.base.account(address)?;
        let Some(wanted) = self.accounts.get(address).filter(|wanted| !wanted.changes_nothing()) else {
            return Ok(base);
        };
        let base = base.unwrap_or_default();
        Ok(Some(Account {
            nonce: wanted.nonce.unwrap_or(base.nonce),
            balance: wanted.balance.unwrap_or(base.balance),
            code_hash: wanted.code_hash.unwrap_or(base.code_hash),
        }))
    }

    fn storage(&self, address: &Address, slot: &U256) -> Result<U256, ViewError> {
        match self.accounts.get(address) {
            None => self.base.storage(address, slot),
            Some(wanted) => match wanted.slots.get(slot) {
                Some(value) => Ok(*value),
                None if wanted.wiped => Ok(U256::ZERO),
                None => self.base.storage(address, slot),
            },
        }
    }

    fn code(&self, hash: &B256) -> Result<Bytes, ViewError> {
        self.codes.get(hash).map_or_else(|| self.base.code(hash), |code| Ok(code.clone()))
    }

    fn block_hash(&self, number: u64) -> Result<B256, ViewError> {
        self.base.block_hash(number)
    }

    fn slots(&self, address: &Address) -> Result<Vec<(U256, U256)>, ViewError> {
        let Some(wanted) = self.accounts.get(address) else { return self.base.slots(address) };
        let base = if wanted.wiped { Vec::new() } else { self.base.slots(address)? };
        let mut slots: BTreeMap<_, _> = base.into_iter().collect();
        slots.extend(&wanted.slots);
        Ok(slots.into_iter().filter(|(_, value)| !value.is_zero()).collect())
    }

    fn has_storage(&self, address: &Address) -> Result<bool, ViewError> {
        match self.accounts.get(address) {
            None => self.base.has_storage(address),
            Some(_) => Ok(!self.slots(address)?.is_empty()),
        }
    }

    fn check(&self) -> Result<(), Stopped> {
        self.base.check()
    }
}

/// A block as somebody wants it; what is not said stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockOverrides {
    /// Height.
    pub number: Option<u64>,
    /// Seconds since 1970.
    pub timestamp: Option<u64>,
    /// Most gas.
    pub gas_limit: Option<u64>,
    /// Who gets the fees.
    pub beneficiary: Option<Address>,
    /// What PREVRANDAO gives.
    pub prev_randao: Option<B256>,
    /// What DIFFICULTY gives, before the merge.
    pub difficulty: Option<U256>,
    /// Wei per gas that is burned.
    pub base_fee: Option<u64>,
    /// Wei per blob gas.
    pub blob_base_fee: Option<u128>,
}

impl BlockOverrides {
    /// Changes what is wanted.
    pub fn apply(&self, block: &mut BlockEnv) {
        fn set<T: Copy>(place: &mut T, wanted: Option<T>) {
            *place = wanted.unwrap_or(*place);
        }
        set(&mut block.number, self.number);
        set(&mut block.timestamp, self.timestamp);
        set(&mut block.gas_limit, self.gas_limit);
        set(&mut block.beneficiary, self.beneficiary);
        set(&mut block.prev_randao, self.prev_randao);
        set(&mut block.difficulty, self.difficulty);
        block.base_fee = self.base_fee.or(block.base_fee);
        block.blob_base_fee = self.blob_base_fee.or(block.blob_base_fee);
    }
}

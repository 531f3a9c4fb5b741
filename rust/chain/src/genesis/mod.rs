//! The first block and the rules of a chain, as geth's `genesis.json` describes them.
//!
//! Reading is strict: an unknown field, a number out of range, a fork before the one that it follows is a
//! [`GenesisError`] with the path of the field, what stood there and what was expected. What was read once cannot be
//! wrong later.

mod config;
mod dev;
mod json;
mod predeploys;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde_json::Value;
use state::{MemoryState, roots};
use types::{
    Address, B64, B256, Block, BlockId, Body, Bytes, EMPTY_ROOT, Header, U256, Withdrawals, primitives::b256, system,
};

pub use dev::{DEV_CHAIN_ID, DEV_KEYS, dev_key};
use evm::{ChainSpec, Fork};
use json::Node;

/// Why a genesis cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GenesisError {
    /// The text is not JSON.
    #[error("genesis is not JSON: {0}")]
    Json(String),
    /// A field that must be there is not.
    #[error("genesis: {path} is missing")]
    Missing {
        /// Where it should be.
        path: String,
    },
    /// A field does not hold what it should.
    #[error("genesis: {path} is {value}, expected {expected}")]
    Field {
        /// Where it is.
        path: String,
        /// What stands there (the beginning of it where it is long).
        value: String,
        /// What should.
        expected: &'static str,
    },
    /// A price that cannot be.
    #[error("genesis: {path}: {error}")]
    Gas {
        /// Where it is.
        path: String,
        /// What is wrong with it.
        error: evm::GasError,
    },
}

/// An account of the first state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GenesisAccount {
    /// In wei.
    pub balance: U256,
    /// Usually zero.
    pub nonce: u64,
    /// Its code, if any.
    pub code: Bytes,
    /// Slots that are not zero.
    pub storage: BTreeMap<U256, U256>,
}

/// How a chain begins. Equal values make equal chains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Genesis {
    /// Which rules hold when.
    spec: ChainSpec,
    /// The first header, all but the state root, which follows from the accounts.
    header: Header,
    /// The first accounts.
    alloc: BTreeMap<Address, GenesisAccount>,
    /// The root that follows from them: a chain asks for it more than once, and large ones take a while.
    root: B256,
}

/// SHA-256 of nothing: the requests hash of a block without requests.
pub(crate) const EMPTY_REQUESTS_HASH: B256 = b256!("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");

/// Base fee of a first block that names none, in wei (EIP-1559).
const INITIAL_BASE_FEE: u64 = 1_000_000_000;

/// Gas limit of a first block that names none, as for geth.
const DEFAULT_GAS_LIMIT: u64 = 4_712_388;

const FIELDS: [&str; 17] = [
    "config",
    "nonce",
    "timestamp",
    "extraData",
    "gasLimit",
    "difficulty",
    "mixHash",
    "coinbase",
    "alloc",
    "number",
    "gasUsed",
    "parentHash",
    "baseFeePerGas",
    "excessBlobGas",
    "blobGasUsed",
    "parentBeaconBlockRoot",
    "execlayer",
];

impl Genesis {
    /// Reads geth's `genesis.json`.
    ///
    /// ```
    /// let text = r#"{"config": {"chainId": 5, "homesteadBlock": "soon"}, "difficulty": "0x1", "alloc": {}}"#;
    /// let error = execlayer_chain::Genesis::from_json(text).unwrap_err().to_string();
    /// assert_eq!(
    ///     error,
    ///     r#"genesis: config.homesteadBlock is "soon", expected a number of at most 256 bits, decimal or 0x-hex"#
    /// );
    /// ```
    ///
    /// # Errors
    /// [`GenesisError`] for the first field that is wrong.
    pub fn from_json(text: &str) -> Result<Self, GenesisError> {
        Self::from_json_under(text, None)
    }

    /// The same under rules that are given, where some are: `config` then doesn't count, and may be left out.
    ///
    /// # Errors
    /// [`GenesisError`] for the first field that is wrong.
    pub fn from_json_under(text: &str, spec: Option<ChainSpec>) -> Result<Self, GenesisError> {
        let value: Value = serde_json::from_str(text).map_err(|error| GenesisError::Json(error.to_string()))?;
        let root = Node::root(&value);
        root.only(&FIELDS)?;
        let spec = match spec {
            Some(spec) => spec,
            None => config::read(&root.required("config")?)?,
        };
        if let Some(ours) = root.field("execlayer")? {
            // The place for what Ethereum does not have; so far nothing of it can be set.
            ours.only(&[])?;
        }
        let header = read_header(&root, &spec)?;
        let mut alloc = BTreeMap::new();
        let accounts = root.required("alloc")?;
        for (key, value) in accounts.object()? {
            let node = accounts.child(key, value);
            let name = Value::String(key.clone());
            let address = Node { path: node.path.clone(), value: &name }.address()?;
            let account = read_account(&node)?;
            if spec.own.accounts().any(|own| own == address) && (account.nonce != 0 || !account.code.is_empty()) {
                return Err(node.wrong("an account without nonce and code: it is a system account"));
            }
            if alloc.insert(address, account).is_some() {
                return Err(node.wrong("each address once"));
            }
        }
        add_system_accounts(&spec, &mut alloc);
        let root = roots::state_root(&state_of(&alloc));
        Ok(Self { spec, header, alloc, root })
    }

    /// A chain of one's own: these rules, and these accounts in a first block with this gas limit.
    pub fn new(spec: ChainSpec, gas_limit: u64, mut alloc: BTreeMap<Address, GenesisAccount>) -> Self {
        add_system_accounts(&spec, &mut alloc);
        let mut header = Header { gas_limit, ..empty_header() };
        complete(&mut header, &spec);
        let root = roots::state_root(&state_of(&alloc));
        Self { spec, header, alloc, root }
    }

    /// Begins with this header instead; its state root has to be the one of the accounts, which is checked when a chain
    /// is opened.
    #[must_use]
    pub fn with_header(mut self, header: Header) -> Self {
        self.header = header;
        self
    }

    /// The state root that the header names by itself; None where it was left to the accounts.
    pub(crate) fn named_state_root(&self) -> Option<B256> {
        (!self.header.state_root.is_zero()).then_some(self.header.state_root)
    }

    /// The first accounts.
    pub fn alloc(&self) -> &BTreeMap<Address, GenesisAccount> {
        &self.alloc
    }

    /// The rules as execution wants them.
    pub fn spec(&self) -> &ChainSpec {
        &self.spec
    }

    /// The first state.
    pub fn state(&self) -> MemoryState {
        state_of(&self.alloc)
    }

    /// The first block.
    pub fn block(&self) -> Block {
        let header = Header { state_root: self.root, ..self.header.clone() };
        let withdrawals = header.withdrawals_root.map(|_| Withdrawals::default());
        Block { header, body: Body { withdrawals, ..Body::default() } }
    }

    /// The first block's number and hash.
    pub fn id(&self) -> BlockId {
        let header = self.block().header;
        BlockId { number: header.number, hash: header.hash_slow() }
    }
}

fn state_of(alloc: &BTreeMap<Address, GenesisAccount>) -> MemoryState {
    let mut state = MemoryState::default();
    for (address, account) in alloc {
        state.insert(*address, account.nonce, account.balance, account.code.clone());
        for (slot, value) in &account.storage {
            state.set_storage(*address, *slot, *value);
        }
    }
    state
}

/// With a nonce and code they are never empty, so no touch deletes them, and pass Solidity's code check.
fn add_system_accounts(spec: &ChainSpec, alloc: &mut BTreeMap<Address, GenesisAccount>) {
    for address in spec.own.accounts() {
        let account = alloc.entry(address).or_default();
        account.nonce = 1;
        account.code = Bytes::from_static(&system::CODE);
    }
}

fn empty_header() -> Header {
    Header { gas_limit: DEFAULT_GAS_LIMIT, state_root: B256::ZERO, ..Header::default() }
}

/// Sets the fields that the forks of the first block ask for and that nobody has set.
fn complete(header: &mut Header, spec: &ChainSpec) {
    let fork = spec.rules(header.number, header.timestamp).fork;
    if fork >= Fork::London {
        header.base_fee_per_gas.get_or_insert(INITIAL_BASE_FEE);
    }
    if fork >= Fork::Shanghai {
        header.withdrawals_root.get_or_insert(EMPTY_ROOT);
    }
    if fork >= Fork::Cancun {
        header.excess_blob_gas.get_or_insert(0);
        header.blob_gas_used.get_or_insert(0);
        header.parent_beacon_block_root.get_or_insert(B256::ZERO);
    }
    if fork >= Fork::Prague {
        header.requests_hash.get_or_insert(EMPTY_REQUESTS_HASH);
    }
}

fn read_header(root: &Node<'_>, spec: &ChainSpec) -> Result<Header, GenesisError> {
    let mut header = empty_header();
    let number = |name| root.field(name)?.map(|node| node.u64()).transpose();
    let fork = spec.rules(0, number("timestamp")?.unwrap_or_default()).fork;

    header.number = number("number")?.unwrap_or_default();
    if let Some(node) = root.field("number")?.filter(|_| header.number != 0) {
        return Err(node.wrong("0: the first block has no number"));
    }
    header.timestamp = number("timestamp")?.unwrap_or_default();
    header.gas_used = number("gasUsed")?.unwrap_or_default();
    header.gas_limit = number("gasLimit")?.unwrap_or(DEFAULT_GAS_LIMIT);
    header.nonce = B64::from(number("nonce")?.unwrap_or_default());
    header.difficulty = root.required("difficulty")?.quantity()?;
    if let Some(node) = root.field("extraData")? {
        header.extra_data = node.bytes()?;
    }
    if let Some(node) = root.field("mixHash")? {
        header.mix_hash = node.hash()?;
    }
    if let Some(node) = root.field("parentHash")? {
        header.parent_hash = node.hash()?;
    }
    if let Some(node) = root.field("coinbase")? {
        header.beneficiary = node.address()?;
    }
    // Fields of later forks: allowed only where the first block already follows those.
    for (name, since, place) in [
        ("baseFeePerGas", Fork::London, &mut header.base_fee_per_gas),
        ("excessBlobGas", Fork::Cancun, &mut header.excess_blob_gas),
        ("blobGasUsed", Fork::Cancun, &mut header.blob_gas_used),
    ] {
        if let Some(node) = root.field(name)? {
            if fork < since {
                return Err(node.wrong("absent: the first block's fork does not have it"));
            }
            *place = Some(node.u64()?);
        }
    }
    if let Some(node) = root.field("parentBeaconBlockRoot")? {
        if fork < Fork::Cancun {
            return Err(node.wrong("absent: the first block's fork does not have it"));
        }
        header.parent_beacon_block_root = Some(node.hash()?);
    }
    complete(&mut header, spec);
    Ok(header)
}

fn read_account(node: &Node<'_>) -> Result<GenesisAccount, GenesisError> {
    // A secret key beside an account, as some tools write it, is of no use to the chain.
    node.only(&["balance", "nonce", "code", "storage", "secretKey"])?;
    let mut account = GenesisAccount { balance: node.required("balance")?.quantity()?, ..GenesisAccount::default() };
    if let Some(nonce) = node.field("nonce")? {
        account.nonce = nonce.u64()?;
    }
    if let Some(code) = node.field("code")? {
        account.code = code.bytes()?;
    }
    if let Some(storage) = node.field("storage")? {
        for (key, value) in storage.object()? {
            let entry = storage.child(key, value);
            let slot = json::word(key).ok_or_else(|| entry.wrong("a key of at most 32 bytes in hex"))?;
            let value = entry.word()?;
            if !value.is_zero() {
                account.storage.insert(slot, value);
            }
        }
    }
    Ok(account)
}

//! Ethereum's public blockchain tests: chains of good and bad blocks, side branches and forks on the way, through
//! [`Chain::import_rlp`]. A bad block must be refused for the reason that the test names.
//!
//! [`cases`] reads a file for [`suite::run`](exec::suite::run); each chain is a case. Nothing here panics on a malformed
//! file: it is a failure that names the place.

mod network;
mod reasons;

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock},
};

use exec::{
    Executor, Parallel,
    suite::{
        Case, Difference, TestFile, Work, cases_of, same,
        words::{AccountWords, BlobWords, Data, Quantity, state_of},
    },
};
use serde::Deserialize;
use serde_json::Value;
use state::{View, ViewError, roots::state_root};
use store::Store;
use types::{Address, B256, Block};

pub use network::{Network, UnknownNetwork};

use crate::{BlockRef, Chain, Ethash, Genesis, GenesisAccount, ImportError, Options, block_of};

/// Every chain whose seals count is of the first epoch, whose cache takes longer to make than most chains to run.
static SEALS: LazyLock<Arc<Ethash>> = LazyLock::new(Arc::default);

/// The cases of one file.
///
/// # Errors
/// Where it is no file of tests.
pub fn cases(file: &TestFile) -> Result<Vec<Case>, Difference> {
    cases_on(file, &[])
}

/// The same where each block, good or bad, is also executed on so many threads each, whatever its length: with the same
/// result or refusal.
///
/// # Errors
/// Where it is no file of tests.
pub fn cases_on(file: &TestFile, threads: &'static [usize]) -> Result<Vec<Case>, Difference> {
    let keys = &["network", "genesisRLP", "pre", "blocks", "lastblockhash"];
    cases_of(file, keys, "no blockchain test", |name, test| plan(name, test, threads))
}

fn plan(name: &str, test: Test, threads: &'static [usize]) -> Vec<Case> {
    let (name, fork) = (name.to_owned(), test.network.clone());
    vec![Case { name, fork, work: Work::Run(Box::new(move || test.run(threads))) }]
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Test {
    network: String,
    #[serde(default)]
    config: Config,
    #[serde(rename = "genesisRLP")]
    genesis_rlp: Data,
    genesis_block_header: Named,
    pre: BTreeMap<Address, AccountWords>,
    blocks: Vec<BlockWords>,
    lastblockhash: B256,
    post_state: Option<BTreeMap<Address, AccountWords>>,
    post_state_hash: Option<B256>,
    #[serde(default)]
    seal_engine: SealEngine,
}

/// Whether seals of proof of work count.
#[derive(Clone, Copy, Default, Deserialize)]
enum SealEngine {
    #[default]
    NoProof,
    Ethash,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    chainid: Option<Quantity>,
    #[serde(default)]
    blob_schedule: BTreeMap<String, BlobWords>,
}

#[derive(Deserialize)]
struct Named {
    hash: B256,
}

#[derive(Deserialize)]
struct BlockWords {
    rlp: Data,
    /// Among them why the block must be refused, under one of several names.
    #[serde(flatten)]
    others: BTreeMap<String, Value>,
}

impl BlockWords {
    fn exception(&self) -> Option<&str> {
        let named = self.others.iter().find(|(key, _)| key.starts_with("expectException"));
        named.map(|(_, reason)| reason.as_str().unwrap_or_default())
    }
}

impl Test {
    /// Imports a chain's blocks as they come, and compares where that leads.
    fn run(&self, threads: &[usize]) -> Result<(), Difference> {
        let unusable = |field: &str, error: &dyn std::fmt::Display| Difference::new(field, error, "usable");
        let network: Network = self.network.parse().map_err(|error| unusable("network", &error))?;
        let spec = network.spec(self.config.chainid.map_or(1, Quantity::u64), |name| {
            self.config.blob_schedule.get(name).map(|blobs| (*blobs).into())
        });
        let first: Block =
            alloy_rlp::decode_exact(&self.genesis_rlp.0).map_err(|error| unusable("genesisRLP", &error))?;
        let alloc = self.pre.iter().map(|(address, account)| (*address, genesis_account(account))).collect();
        let genesis = Genesis::new(spec, first.header.gas_limit, alloc).with_header(first.header);
        let seals = match self.seal_engine {
            SealEngine::NoProof => None,
            SealEngine::Ethash => Some(Arc::clone(&SEALS)),
        };
        let chain = Chain::open(Arc::new(Store::memory()), genesis, Options { seals, ..Options::default() })
            .map_err(|error| unusable("genesisBlockHeader", &error))?;
        let executors: Vec<_> =
            threads.iter().map(|threads| Executor::new(Parallel::On, Some(*threads)).verifying(true)).collect();
        same("genesisBlockHeader.hash", chain.genesis_id().hash, self.genesis_block_header.hash)?;
        for (index, block) in self.blocks.iter().enumerate() {
            let field = format!("blocks[{index}]");
            let imported = chain.import_rlp(&block.rlp.0);
            for executor in &executors {
                replay(&chain, &field, &block.rlp.0, executor, imported.as_ref().err())?;
            }
            match (imported, block.exception()) {
                (Ok(_), None) => {}
                (Ok(_), Some(reason)) => {
                    return Err(Difference::new(field, "taken", format_args!("refused ({reason})")));
                }
                (Err(error), None) => return Err(Difference::new(field, format_args!("refused ({error})"), "taken")),
                (Err(error), Some(reason)) if reasons::is_reason(&error, reason) => {}
                (Err(error), Some(reason)) => {
                    let found = reasons::found(&error).join("|");
                    return Err(Difference::new(field, format_args!("refused for {found} ({error})"), reason));
                }
            }
        }
        let head = chain.head();
        same("lastblockhash", head.id.hash, self.lastblockhash)?;
        if let Some(root) = self.post_state_hash {
            same("postStateHash", head.header.state_root, root)?;
        }
        self.post_state.as_ref().map_or(Ok(()), |accounts| compare(&chain, accounts))
    }
}

/// Executes a block anew on several threads, which must end as its import did.
fn replay(
    chain: &Chain,
    field: &str,
    rlp: &[u8],
    executor: &Executor,
    refused: Option<&ImportError>,
) -> Result<(), Difference> {
    // What is no block has nothing to execute.
    let Ok(block) = block_of(rlp) else { return Ok(()) };
    let shown = |refused: Option<&ImportError>| refused.map_or_else(|| "taken".to_owned(), |error| format!("{error}"));
    let replayed = chain.replay(block, executor).err();
    same(format!("{field} on {} threads", executor.threads()), shown(replayed.as_ref()), shown(refused))
}

fn genesis_account(account: &AccountWords) -> GenesisAccount {
    GenesisAccount {
        balance: account.balance.0,
        nonce: account.nonce.u64(),
        code: account.code.0.clone(),
        storage: account.storage.iter().map(|(slot, value)| (slot.0, value.0)).collect(),
    }
}

/// Every account, and by the root that there is no other.
fn compare(chain: &Chain, expected: &BTreeMap<Address, AccountWords>) -> Result<(), Difference> {
    let unreadable = |error: &dyn std::fmt::Display| Difference::new("the state", error, "readable");
    let state = chain.at(BlockRef::Latest).map_err(|error| unreadable(&error))?;
    let ask = |held: Result<_, ViewError>| held.map_err(|error| unreadable(&error));
    for (address, account) in expected {
        let at = |field: &str| format!("postState {address} {field}");
        same(at("balance"), ask(state.balance(address))?, account.balance.0)?;
        let nonce = state.nonce(address).map_err(|error| unreadable(&error))?;
        same(at("nonce"), nonce, account.nonce.u64())?;
        let code = state.code_at(address).map_err(|error| unreadable(&error))?;
        same(at("code"), code, account.code.0.clone())?;
        for (slot, value) in &account.storage {
            same(at(&format!("slot {:#x}", slot.0)), ask(state.storage(address, &slot.0))?, value.0)?;
        }
    }
    same("root of postState", chain.head().header.state_root, state_root(&state_of(expected)))
}

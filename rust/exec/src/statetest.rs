//! Ethereum's public state tests: one transaction in one environment, at several forks.
//!
//! A file names tests, a test is a template with outcomes by fork; each (fork, data, gas, value) is a case. The format is
//! described in the fixtures' README. [`cases`] reads a file for [`suite::run`](crate::suite::run). Nothing here panics
//! on a malformed file: it is a failure that names the place.

use std::{
    collections::{BTreeMap, BTreeSet},
    str::FromStr,
    sync::Arc,
};

use evm::{BlockEnv, ChainSpec, Fork, Rejection, TransactError, transact};
use serde::Deserialize;
use state::{MemoryState, Overlay, roots::state_root};
use types::{AccessList, Address, B256, Key, Recovered, Transaction, U256, keccak256};

use crate::suite::{
    Case, Difference, TestFile, Work, cases_of, same,
    transactions::{AuthorizationWords, PLACEHOLDER, TransactionWords},
    words::{AccountWords, BlobWords, Data, Quantity, state_of},
};

/// The cases of one file.
///
/// # Errors
/// Where it is no file of tests.
pub fn cases(file: &TestFile) -> Result<Vec<Case>, Difference> {
    cases_of(file, &["env", "pre", "transaction", "post"], "no state test", plan)
}

fn plan(name: &str, mut test: Test) -> Vec<Case> {
    let post = std::mem::take(&mut test.post);
    let test = Arc::new(test);
    let each = |(fork, outcomes): (String, Vec<Expected>)| {
        let test = &test;
        let cases: Vec<_> = outcomes
            .into_iter()
            .map(|expected| {
                let Indexes { data, gas, value } = expected.indexes;
                let test = Arc::clone(test);
                let known = Fork::from_str(&fork);
                let run = move || match known {
                    Ok(fork) => test.run(fork, &expected),
                    Err(error) => Err(Difference::new("the fork", error, "a known one")),
                };
                Case {
                    name: format!("{name} {fork} d{data} g{gas} v{value}"),
                    fork: fork.clone(),
                    work: Work::Run(Box::new(run)),
                }
            })
            .collect();
        cases
    };
    post.into_iter().flat_map(each).collect()
}

#[derive(Deserialize)]
struct Test {
    env: Env,
    pre: BTreeMap<Address, AccountWords>,
    transaction: Template,
    post: BTreeMap<String, Vec<Expected>>,
    config: Option<Config>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Env {
    current_coinbase: Address,
    #[serde(default)]
    current_difficulty: Quantity,
    current_gas_limit: Quantity,
    current_number: Quantity,
    current_timestamp: Quantity,
    current_base_fee: Option<Quantity>,
    current_random: Option<Quantity>,
    current_excess_blob_gas: Option<Quantity>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Template {
    data: Vec<Data>,
    gas_limit: Vec<String>,
    value: Vec<String>,
    nonce: Quantity,
    to: String,
    sender: Option<Address>,
    secret_key: Option<B256>,
    gas_price: Option<Quantity>,
    max_fee_per_gas: Option<Quantity>,
    max_priority_fee_per_gas: Option<Quantity>,
    max_fee_per_blob_gas: Option<Quantity>,
    blob_versioned_hashes: Option<Vec<B256>>,
    access_lists: Option<Vec<Option<AccessList>>>,
    authorization_list: Option<Vec<AuthorizationWords>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Expected {
    indexes: Indexes,
    hash: B256,
    logs: B256,
    txbytes: Option<Data>,
    expect_exception: Option<String>,
    state: Option<BTreeMap<Address, AccountWords>>,
}

#[derive(Deserialize)]
struct Indexes {
    data: usize,
    gas: usize,
    value: usize,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    #[serde(default)]
    blob_schedule: BTreeMap<String, BlobWords>,
    chainid: Option<Quantity>,
}

/// Why a case did not enter the block.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error(transparent)]
    Rejected(Rejection),
    /// It is not even a transaction.
    #[error("{0}")]
    Malformed(String),
}

impl Test {
    fn run(&self, fork: Fork, expected: &Expected) -> Result<(), Difference> {
        let mut rules = ChainSpec::at(1, fork).rules(0, 0);
        if let Some(config) = &self.config {
            if let Some(id) = config.chainid {
                rules.chain_id = id.u64();
            }
            let by_name = |(name, _): &(&String, &BlobWords)| Fork::from_str(name) == Ok(fork);
            if let Some((_, blobs)) = config.blob_schedule.iter().find(by_name) {
                rules.blobs = (*blobs).into();
            }
        }
        let block = self.env.block(fork);
        let mut state = state_of(&self.pre);
        for number in block.number.saturating_sub(256)..block.number {
            state.block_hashes.insert(number, keccak256(number.to_string()));
        }
        let mut overlay = Overlay::new(&state);
        let executed = match self.transaction(expected) {
            Err(reason) => Err(Refused::Malformed(reason)),
            Ok(tx) => match transact(&rules, &block, &tx, &mut overlay) {
                Ok(executed) => Ok(executed),
                Err(TransactError::Rejected(rejection)) => Err(Refused::Rejected(rejection)),
                Err(error) => return Err(Difference::new("the state", error, "readable")),
            },
        };
        let diff = overlay.diff();
        state.apply(&diff);
        match_exception(executed.as_ref().err(), expected.expect_exception.as_deref())?;
        if executed.is_err() && fork < Fork::SpuriousDragon {
            // The tests were made with an inclusion fee of zero even then, which creates the beneficiary.
            state.accounts.entry(block.beneficiary).or_default();
        }
        let logs = executed.map(|executed| executed.logs).unwrap_or_default();
        same("logs hash", keccak256(alloy_rlp::encode(&logs)), expected.logs)?;
        same("state root", state_root(&state), expected.hash).map_err(|mut difference| {
            let wanted = expected.state.as_ref().map(state_of);
            difference.details = wanted.map(|wanted| compare(&state, &wanted)).unwrap_or_default();
            difference
        })
    }

    /// The transaction of a case: as signed, where the file has it, else made from the template.
    fn transaction(&self, expected: &Expected) -> Result<Recovered, String> {
        if let Some(bytes) = &expected.txbytes {
            let tx = Transaction::from_bytes(&bytes.0).map_err(|error| error.to_string())?;
            let sender = tx.recover().map_err(|error| error.to_string())?;
            return Ok(Recovered::new(tx, sender));
        }
        self.transaction.build(&expected.indexes)
    }
}

impl Env {
    fn block(&self, fork: Fork) -> BlockEnv {
        let merged = fork >= Fork::Paris;
        BlockEnv {
            number: self.current_number.u64(),
            timestamp: self.current_timestamp.u64(),
            beneficiary: self.current_coinbase,
            gas_limit: self.current_gas_limit.u64(),
            base_fee: self.current_base_fee.filter(|_| fork >= Fork::London).map(Quantity::u64),
            difficulty: if merged { U256::ZERO } else { self.current_difficulty.0 },
            prev_randao: self.current_random.filter(|_| merged).map_or(B256::ZERO, |random| random.0.into()),
            excess_blob_gas: self.current_excess_blob_gas.filter(|_| fork >= Fork::Cancun).map(Quantity::u64),
            blob_base_fee: None,
            ..BlockEnv::default()
        }
    }
}

impl Template {
    fn build(&self, indexes: &Indexes) -> Result<Recovered, String> {
        let entry = |list: &Vec<String>, index: usize| {
            let text = list.get(index).ok_or("index out of range")?;
            Quantity::from_str(text).map_err(|error| error.to_string())
        };
        let input = self.data.get(indexes.data).ok_or("index out of range")?.clone();
        let access_list = self.access_lists.as_ref().and_then(|lists| lists.get(indexes.data)?.clone());
        let words = TransactionWords {
            nonce: self.nonce,
            gas_limit: entry(&self.gas_limit, indexes.gas)?,
            gas_price: self.gas_price,
            max_fee_per_gas: self.max_fee_per_gas,
            max_priority_fee_per_gas: self.max_priority_fee_per_gas,
            max_fee_per_blob_gas: self.max_fee_per_blob_gas,
            to: Some(self.to.clone()),
            value: entry(&self.value, indexes.value)?,
            input,
            access_list,
            blob_versioned_hashes: self.blob_versioned_hashes.clone(),
            authorization_list: self.authorization_list.clone(),
            ..TransactionWords::default()
        };
        let sender = match (self.sender, &self.secret_key) {
            (Some(sender), _) => sender,
            (None, Some(secret)) => Key::from_bytes(secret).map_err(|error| error.to_string())?.address(),
            (None, None) => return Err("neither sender nor secret key".to_owned()),
        };
        // The sender is known: nobody looks at the signature.
        let tx = words.with(1, None, PLACEHOLDER).map_err(|error| error.to_string())?;
        Ok(Recovered::new(tx, sender))
    }
}

/// Whether a transaction was refused where it should be, and for the reason that is named.
fn match_exception(refused: Option<&Refused>, expected: Option<&str>) -> Result<(), Difference> {
    let differs = |actual: String, expected: &str| Err(Difference::new("exception", actual, expected));
    match (refused, expected) {
        (None, None) => Ok(()),
        (None, Some(exception)) => differs("none".to_owned(), exception),
        (Some(refused), None) => differs(refused.to_string(), "none"),
        (Some(refused @ Refused::Rejected(rejection)), Some(exception)) => {
            let named = |name: &str| exception.split('|').any(|part| part.rsplit('.').next() == Some(name));
            // Older files name no reason of ours.
            let old = !exception.contains("TransactionException.");
            if old || rejection.names().iter().any(|name| named(name)) {
                return Ok(());
            }
            differs(format!("{} ({refused})", rejection.names().join("|")), exception)
        }
        (Some(Refused::Malformed(_)), Some(_)) => Ok(()),
    }
}

/// Accounts and slots that are not as they should be, one line each.
fn compare(ours: &MemoryState, theirs: &MemoryState) -> Vec<String> {
    let mut lines = Vec::new();
    let addresses: BTreeSet<_> = ours.accounts.keys().chain(theirs.accounts.keys()).collect();
    for address in addresses {
        let (a, b) = (ours.accounts.get(address), theirs.accounts.get(address));
        if a != b {
            lines.push(format!("{address} is {a:?}, should be {b:?}"));
        }
        let slots = |state: &MemoryState| state.storage.get(address).cloned().unwrap_or_default();
        let (ours, theirs) = (slots(ours), slots(theirs));
        for slot in ours.keys().chain(theirs.keys()).collect::<BTreeSet<_>>() {
            let held = |slots: &BTreeMap<U256, U256>| slots.get(slot).copied().unwrap_or_default();
            if held(&ours) != held(&theirs) {
                lines.push(format!("{address} slot {slot:#x} is {:#x}, should be {:#x}", held(&ours), held(&theirs)));
            }
        }
    }
    lines
}

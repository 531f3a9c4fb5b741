//! Runs Ethereum's public state tests: one transaction in one environment, at several forks.
//!
//! A file names tests, a test is a template with outcomes by fork; each (fork, data, gas, value) is a case. The format is
//! described in the fixtures' README. Nothing here panics on a malformed file: it is an error that names the place.

use std::{collections::BTreeMap, str::FromStr};

use evm::{BlobParameters, BlockEnv, ChainSpec, Fork, Rejection, TransactError, transact};
use serde::{Deserialize, Deserializer, de::Error as _};
use state::{MemoryState, Overlay, roots::state_root};
use types::{
    AccessList, Address, B256, Bytes, Key, Recovered, Signature, SignedAuthorization, Transaction, TxKind, U256,
    keccak256,
    tx::{TxBlob, TxEip1559, TxEip2930, TxEip7702, TxLegacy},
};

/// Which cases to run.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only this fork.
    pub fork: Option<Fork>,
    /// Only cases whose name contains this.
    pub matching: Option<String>,
}

/// A case that came out otherwise than the file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Test, fork and indices.
    pub case: String,
    /// What differs.
    pub reason: String,
}

/// How a file's cases came out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// As the file says.
    pub passed: usize,
    /// Otherwise.
    pub failed: Vec<Failure>,
    /// Not asked for.
    pub skipped: usize,
}

impl Report {
    /// Adds another file's cases.
    pub fn merge(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed.extend(other.failed);
        self.skipped += other.skipped;
    }
}

/// A file that is no state test.
#[derive(Debug, thiserror::Error)]
#[error("not a state test: {0}")]
pub struct MalformedTest(#[from] serde_json::Error);

/// Runs the cases of one file.
pub fn run(json: &[u8], filter: &Filter) -> Result<Report, MalformedTest> {
    let tests: BTreeMap<String, Test> = serde_json::from_slice(json)?;
    let mut report = Report::default();
    for (name, test) in &tests {
        for (fork, outcomes) in &test.post {
            for expected in outcomes {
                let Indexes { data, gas, value } = expected.indexes;
                let case = format!("{name} {fork} d{data} g{gas} v{value}");
                let known = Fork::from_str(fork).ok();
                let wanted = filter.fork.is_none_or(|wanted| known == Some(wanted))
                    && filter.matching.as_ref().is_none_or(|part| case.contains(part.as_str()));
                if !wanted {
                    report.skipped += 1;
                    continue;
                }
                let result = match known {
                    Some(fork) => test.run(fork, expected),
                    None => Err(format!("unknown fork {fork}")),
                };
                match result {
                    Ok(()) => report.passed += 1,
                    Err(reason) => report.failed.push(Failure { case, reason }),
                }
            }
        }
    }
    Ok(report)
}

#[derive(Deserialize)]
struct Test {
    env: Env,
    pre: BTreeMap<Address, PreAccount>,
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
struct PreAccount {
    nonce: Quantity,
    balance: Quantity,
    code: Data,
    storage: BTreeMap<Quantity, Quantity>,
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
    authorization_list: Option<Vec<TemplateAuthorization>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TemplateAuthorization {
    chain_id: Quantity,
    address: Address,
    nonce: Quantity,
    y_parity: Option<Quantity>,
    v: Option<Quantity>,
    r: Quantity,
    s: Quantity,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Expected {
    indexes: Indexes,
    hash: B256,
    logs: B256,
    txbytes: Option<Data>,
    expect_exception: Option<String>,
    state: Option<BTreeMap<Address, PreAccount>>,
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
    blob_schedule: BTreeMap<String, BlobSchedule>,
    chainid: Option<Quantity>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct BlobSchedule {
    target: Quantity,
    max: Quantity,
    base_fee_update_fraction: Quantity,
}

/// A number as hexadecimal text, with or without leading zeros.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Quantity(U256);

impl Quantity {
    fn u64(self) -> u64 {
        self.0.saturating_to()
    }

    fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("0x").unwrap_or(text);
        if digits.is_empty() {
            return Some(Self(U256::ZERO));
        }
        U256::from_str_radix(digits, 16).ok().map(Self)
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| D::Error::custom(format!("not a quantity: {text:?}")))
    }
}

/// Bytes as hexadecimal text.
#[derive(Clone, Debug, Default)]
struct Data(Bytes);

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = Bytes::from_str(&text).map_err(|_| D::Error::custom(format!("not hexadecimal: {text:?}")))?;
        Ok(Self(bytes))
    }
}

/// Why a case did not enter the block.
enum Refused {
    Rejected(Rejection),
    /// It is not even a transaction.
    Malformed(String),
}

impl Test {
    fn run(&self, fork: Fork, expected: &Expected) -> Result<(), String> {
        let mut rules = ChainSpec::at(1, fork).rules(0, 0);
        if let Some(config) = &self.config {
            if let Some(id) = config.chainid {
                rules.chain_id = id.u64();
            }
            let by_name = |(name, _): &(&String, &BlobSchedule)| Fork::from_str(name) == Ok(fork);
            if let Some((_, blobs)) = config.blob_schedule.iter().find(by_name) {
                rules.blobs = BlobParameters {
                    target: blobs.target.u64(),
                    max: blobs.max.u64(),
                    update_fraction: blobs.base_fee_update_fraction.u64(),
                };
            }
        }
        let block = self.env.block(fork);
        let mut state = memory_state(&self.pre);
        for number in block.number.saturating_sub(256)..block.number {
            state.block_hashes.insert(number, keccak256(number.to_string()));
        }
        let mut overlay = Overlay::new(&state);
        let executed = match self.transaction(expected) {
            Err(reason) => Err(Refused::Malformed(reason)),
            Ok(tx) => match transact(&rules, &block, &tx, &mut overlay) {
                Ok(executed) => Ok(executed),
                Err(TransactError::Rejected(rejection)) => Err(Refused::Rejected(rejection)),
                Err(error) => return Err(error.to_string()),
            },
        };
        let diff = overlay.diff();
        state.apply(&diff);
        match (&executed, &expected.expect_exception) {
            (Ok(_), None) => {}
            (Ok(_), Some(exception)) => return Err(format!("accepted, but should be refused: {exception}")),
            (Err(Refused::Rejected(rejection)), Some(exception)) => {
                let named = |name: &str| exception.split('|').any(|part| part.rsplit('.').next() == Some(name));
                // Older files name no reason of ours.
                if exception.contains("TransactionException.") && !rejection.names().iter().any(|name| named(name)) {
                    return Err(format!("refused because {rejection}, should be {exception}"));
                }
            }
            (Err(Refused::Malformed(_)), Some(_)) => {}
            (Err(Refused::Rejected(rejection)), None) => return Err(format!("refused: {rejection}")),
            (Err(Refused::Malformed(reason)), None) => return Err(reason.clone()),
        }
        if executed.is_err() && fork < Fork::SpuriousDragon {
            // The tests were made with an inclusion fee of zero even then, which creates the beneficiary.
            state.accounts.entry(block.beneficiary).or_default();
        }
        let logs = executed.map(|executed| executed.logs).unwrap_or_default();
        let hash = keccak256(alloy_rlp::encode(&logs));
        if hash != expected.logs {
            return Err(format!("logs hash {hash}, should be {}", expected.logs));
        }
        let root = state_root(&state);
        if root != expected.hash {
            let detail = expected.state.as_ref().map(|accounts| difference(&state, &memory_state(accounts)));
            return Err(format!("state root {root}, should be {}{}", expected.hash, detail.unwrap_or_default()));
        }
        Ok(())
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
            Quantity::parse(text).ok_or_else(|| format!("not a quantity: {text}"))
        };
        let u128 = |quantity: Option<Quantity>| {
            u128::try_from(quantity.unwrap_or_default().0).map_err(|_| "a price is above 2^128".to_owned())
        };
        let nonce = u64::try_from(self.nonce.0).map_err(|_| "nonce is above 2^64")?;
        let gas_limit = u64::try_from(entry(&self.gas_limit, indexes.gas)?.0).map_err(|_| "gas limit is above 2^64")?;
        let value = entry(&self.value, indexes.value)?.0;
        let input = self.data.get(indexes.data).ok_or("index out of range")?.0.clone();
        let to = match self.to.as_str() {
            "" => TxKind::Create,
            text => TxKind::Call(Address::from_str(text).map_err(|error| error.to_string())?),
        };
        let callee = to.to().copied().unwrap_or_default();
        let access_list = self.access_lists.as_ref().and_then(|lists| lists.get(indexes.data)?.clone());
        let chain_id = 1;
        let gas_price = u128(self.gas_price)?;
        let max_fee_per_gas = u128(self.max_fee_per_gas)?;
        let max_priority_fee_per_gas = u128(self.max_priority_fee_per_gas)?;
        // The sender is known: a signature that merely looks like one will do.
        let signature = Signature::new(U256::ONE, U256::ONE, false);
        let tx = if let Some(authorizations) = &self.authorization_list {
            let tx = TxEip7702 {
                chain_id,
                nonce,
                gas_limit,
                max_fee_per_gas,
                max_priority_fee_per_gas,
                to: callee,
                value,
                access_list: access_list.unwrap_or_default(),
                authorization_list: authorizations.iter().map(TemplateAuthorization::build).collect(),
                input,
            };
            Transaction::from_parts(tx, signature)
        } else if self.max_fee_per_blob_gas.is_some() || self.blob_versioned_hashes.is_some() {
            if to == TxKind::Create {
                return Err("a blob transaction cannot create".to_owned());
            }
            let tx = TxBlob {
                chain_id,
                nonce,
                gas_limit,
                max_fee_per_gas,
                max_priority_fee_per_gas,
                to: callee,
                value,
                access_list: access_list.unwrap_or_default(),
                blob_versioned_hashes: self.blob_versioned_hashes.clone().unwrap_or_default(),
                max_fee_per_blob_gas: u128(self.max_fee_per_blob_gas)?,
                input,
            };
            Transaction::from_parts(tx, signature)
        } else if self.max_fee_per_gas.is_some() {
            let access_list = access_list.unwrap_or_default();
            let tx = TxEip1559 {
                chain_id,
                nonce,
                gas_limit,
                max_fee_per_gas,
                max_priority_fee_per_gas,
                to,
                value,
                access_list,
                input,
            };
            Transaction::from_parts(tx, signature)
        } else if let Some(access_list) = access_list {
            let tx = TxEip2930 { chain_id, nonce, gas_price, gas_limit, to, value, access_list, input };
            Transaction::from_parts(tx, signature)
        } else {
            let tx = TxLegacy { chain_id: None, nonce, gas_price, gas_limit, to, value, input };
            Transaction::from_parts(tx, signature)
        };
        let sender = match (self.sender, &self.secret_key) {
            (Some(sender), _) => sender,
            (None, Some(secret)) => Key::from_bytes(secret).map_err(|error| error.to_string())?.address(),
            (None, None) => return Err("neither sender nor secret key".to_owned()),
        };
        Ok(Recovered::new(tx, sender))
    }
}

impl TemplateAuthorization {
    fn build(&self) -> SignedAuthorization {
        let inner = types::Authorization { chain_id: self.chain_id.0, address: self.address, nonce: self.nonce.u64() };
        let parity = self.y_parity.or(self.v).unwrap_or_default();
        SignedAuthorization::new_unchecked(inner, parity.0.saturating_to(), self.r.0, self.s.0)
    }
}

fn memory_state(accounts: &BTreeMap<Address, PreAccount>) -> MemoryState {
    let mut state = MemoryState::default();
    for (address, account) in accounts {
        state.insert(*address, account.nonce.u64(), account.balance.0, account.code.0.clone());
        for (slot, value) in &account.storage {
            state.set_storage(*address, slot.0, value.0);
        }
    }
    state
}

/// Names what is not as it should be.
fn difference(ours: &MemoryState, theirs: &MemoryState) -> String {
    let mut text = String::new();
    let addresses: std::collections::BTreeSet<_> = ours.accounts.keys().chain(theirs.accounts.keys()).collect();
    for address in addresses {
        let (a, b) = (ours.accounts.get(address), theirs.accounts.get(address));
        if a != b {
            text += &format!("\n  {address}: {a:?}, should be {b:?}");
        }
        let (a, b) = (ours.storage.get(address), theirs.storage.get(address));
        if a != b {
            text += &format!("\n  {address}: storage {a:?}, should be {b:?}");
        }
    }
    text
}

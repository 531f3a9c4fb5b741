//! The public blockchain tests: chains of good and bad blocks, side branches and forks on the way, through
//! [`Chain::import_rlp`]. A bad block must be refused for the reason that the test names.

use std::{collections::BTreeMap, env, sync::Arc};

use evm::{Activation, BlobParameters, ChainSpec, Fork};
use exec::ExecError;
use execlayer_chain::{BlockRef, Chain, Genesis, GenesisAccount, ImportError, Options};
use rayon::prelude::*;
use serde_json::{Map, Value};
use state::{MemoryState, View, roots::state_root};
use store::Store;
use types::{Address, B256, Block, Bytes, U256};

#[path = "../../exec/tests/fixtures/mod.rs"]
mod fixtures;

/// Archive, and the chains that it holds.
const ARCHIVES: [(&str, usize); 4] = [
    ("blockchain-cancun", 456),
    ("blockchain-frontier-to-cancun", 3_464),
    ("spec-prague", 1_425),
    ("spec-osaka", 1_862),
];

/// Chains that do not run: a part of their names, and why.
const SKIPPED: [(&str, &str); 1] = [("wrongMixHash", "proof of work's seals are not verified")];

/// What of a block we may have found wrong, and the reasons that the fixtures, old and new, then name. A block can be
/// wrong in more than one way, and which is found first is nobody's rule. For transactions we know the newer names.
const REASONS: &[(&[&str], &[&str])] = &[
    (&["extraData"], &["EXTRA_DATA_INVALID_DAO", "EXTRA_DATA_TOO_BIG", "ExtraDataTooBig"]),
    (&["gasUsed"], &["GAS_USED_OVERFLOW", "INVALID_GAS_USED", "InvalidGasUsed"]),
    (&["gasUsed", "gasLimit", "GAS_ALLOWANCE_EXCEEDED"], &["TooMuchGasUsed", "BlockGasLimitReached"]),
    (&["gasLimit"], &["INVALID_GASLIMIT", "InvalidGasLimit", "InvalidGasLimit2"]),
    (&["number"], &["INVALID_BLOCK_NUMBER", "InvalidNumber"]),
    (&["timestamp"], &["INVALID_BLOCK_TIMESTAMP_OLDER_THAN_PARENT", "InvalidTimestamp", "InvalidTimestampOlderParent"]),
    (
        &["difficulty"],
        &[
            "InvalidDifficulty",
            "PostParisDifficultyIsNot0",
            "IMPORT_IMPOSSIBLE_DIFFICULTY_OVER_PARIS",
            "IMPORT_IMPOSSIBLE_PARIS_WRONG_POS",
            "IMPORT_IMPOSSIBLE_PARIS_WRONG_POW",
            "3675PoSBlockRejected",
        ],
    ),
    (&["difficulty", "sha3Uncles"], &["3675PreParis1559BlockRejected"]),
    (
        &["baseFeePerGas"],
        &[
            "1559BlockImportImpossible_BaseFeeWrong",
            "INVALID_BASEFEE_PER_GAS",
            "IMPORT_IMPOSSIBLE_LONDON_WRONG_PARENT",
            "IMPORT_IMPOSSIBLE_LEGACY_WRONG_PARENT",
            "IMPORT_IMPOSSIBLE_LEGACY",
        ],
    ),
    (
        &["withdrawalsRoot"],
        &[
            "IMPORT_IMPOSSIBLE_SHANGHAI",
            "IMPORT_IMPOSSIBLE_PARIS_OVER_SHANGHAI",
            "INVALID_WITHDRAWALS_ROOT",
            "InvalidWithdrawals",
        ],
    ),
    (
        &["blobGasUsed"],
        &["INCORRECT_BLOB_GAS_USED", "BLOB_GAS_USED_ABOVE_LIMIT", "TYPE_3_TX_MAX_BLOB_GAS_ALLOWANCE_EXCEEDED"],
    ),
    (&["excessBlobGas"], &["INCORRECT_EXCESS_BLOB_GAS"]),
    (&["requestsHash"], &["INVALID_REQUESTS"]),
    (&["transactionsRoot"], &["INVALID_TRANSACTIONS_ROOT", "InvalidTransactionsRoot"]),
    (&["receiptsRoot"], &["INVALID_RECEIPTS_ROOT", "InvalidReceiptsStateRoot"]),
    (&["stateRoot"], &["INVALID_STATE_ROOT"]),
    (&["stateRoot", "receiptsRoot"], &["InvalidStateRoot"]),
    (&["size"], &["RLP_BLOCK_LIMIT_EXCEEDED"]),
    (&["parentHash"], &["UNKNOWN_PARENT", "UNKNOWN_PARENT_ZERO", "UnknownParent", "UnknownParent2"]),
    (&["RLP", "withdrawals"], &["RLP_STRUCTURES_ENCODING", "RLP_ExpectedAsList"]),
    (&["RLP"], &["INPUT_UNMARSHAL_ERROR", "INPUT_UNMARSHAL_ADDRESS_ERROR"]),
    (&["sha3Uncles"], &["IMPORT_IMPOSSIBLE_UNCLES_OVER_PARIS", "PostParisUncleHashIsNotEmpty", "InvalidUnclesHash"]),
    (
        &["uncles"],
        &[
            "InvalidUncleParentHash",
            "UNCLE_PARENT_INCORRECT",
            "UncleInChain",
            "UncleIsAncestor",
            "UncleIsBrother",
            "UncleParentIsNotAncestor",
            "UncleTooOld",
            "TooManyUncles",
        ],
    ),
    (&["INSUFFICIENT_MAX_FEE_PER_GAS"], &["TR_FeeCapLessThanBlocks"]),
    (&["INSUFFICIENT_MAX_FEE_PER_GAS", "INSUFFICIENT_ACCOUNT_FUNDS"], &["TR_FeeCapLessThanBlocksORNoFunds"]),
    (&["GAS_ALLOWANCE_EXCEEDED"], &["TR_GasLimitReached"]),
    (&["INTRINSIC_GAS_TOO_LOW"], &["TR_IntrinsicGas"]),
    (&["INSUFFICIENT_ACCOUNT_FUNDS"], &["TR_NoFunds"]),
    (&["INSUFFICIENT_ACCOUNT_FUNDS", "INTRINSIC_GAS_TOO_LOW"], &["TR_NoFundsOrGas"]),
    (&["NONCE_MISMATCH_TOO_HIGH"], &["TR_NonceTooHigh"]),
    (&["NONCE_MISMATCH_TOO_LOW"], &["TR_NonceTooLow"]),
    (&["PRIORITY_GREATER_THAN_MAX_FEE_PER_GAS"], &["TR_TipGtFeeCap"]),
    (&["SENDER_NOT_EOA", "INSUFFICIENT_ACCOUNT_FUNDS"], &["SenderNotEOAorNoCASH"]),
];

#[test]
fn chains_end_where_all_clients_agreed() {
    let Some(fixtures) = fixtures::Fixtures::find() else { return };
    let matching = env::var("FIXTURES_MATCH").unwrap_or_default();
    let mut failed = 0;
    for (archive, floor) in ARCHIVES {
        let files = fixtures.files(archive, |name| !name.contains("/state_tests/"));
        let results: Vec<Result<bool, String>> = files
            .par_iter()
            .flat_map_iter(|(path, json)| {
                let tests: Map<String, Value> = serde_json::from_slice(json).expect("tests by name");
                let tests = tests.into_iter().filter(|(name, _)| name.contains(&matching));
                tests.map(move |(name, test)| {
                    if SKIPPED.iter().any(|(part, _)| name.contains(part)) {
                        return Ok(false);
                    }
                    run(&test).map(|()| true).map_err(|reason| format!("{path} {name}: {reason}"))
                })
            })
            .collect();
        let failures: Vec<_> = results.iter().filter_map(|result| result.as_ref().err()).collect();
        for failure in &failures {
            eprintln!("{failure}");
        }
        let skipped = results.iter().filter(|result| **result == Ok(false)).count();
        eprintln!("{archive}: {} chains, {skipped} skipped, {} failed", results.len(), failures.len());
        failed += failures.len();
        let floor = if fixtures.all && matching.is_empty() { floor } else { 0 };
        assert!(results.len() >= floor, "{archive}: fewer chains than it is known to hold");
    }
    assert_eq!(failed, 0, "chains failed");
}

/// Imports a chain's blocks as they come, and compares where that leads.
fn run(test: &Value) -> Result<(), String> {
    let accounts = accounts(&test["pre"]);
    let first = bytes(&test["genesisRLP"]);
    let first: Block = alloy_rlp::decode_exact(&first).map_err(|error| format!("genesisRLP: {error}"))?;
    let genesis = Genesis::new(spec(test), first.header.gas_limit, accounts).with_header(first.header);
    let chain = Chain::open(Arc::new(Store::memory()), genesis, Options::default());
    let chain = chain.map_err(|error| format!("genesisBlockHeader: {error}"))?;
    equal("genesisBlockHeader.hash", chain.genesis_id().hash, hash(&test["genesisBlockHeader"]["hash"]))?;
    for (index, block) in test["blocks"].as_array().expect("blocks").iter().enumerate() {
        let fields = block.as_object().expect("a block");
        let expected = fields.iter().find(|(key, _)| key.starts_with("expectException"));
        let expected = expected.map(|(_, reason)| reason.as_str().expect("a reason"));
        match (chain.import_rlp(&bytes(&block["rlp"])), expected) {
            (Ok(_), None) => {}
            (Err(error), None) => return Err(format!("blocks[{index}]: refused: {error}")),
            (Ok(_), Some(reason)) => return Err(format!("blocks[{index}]: taken, should be refused: {reason}")),
            (Err(error), Some(reason)) if is_reason(&error, reason) => {}
            (Err(error), Some(reason)) => {
                return Err(format!("blocks[{index}]: refused because {error}, should be {reason}"));
            }
        }
    }
    let head = chain.head();
    equal("lastblockhash", head.id.hash, hash(&test["lastblockhash"]))?;
    match test.get("postStateHash") {
        Some(root) => equal("postStateHash", head.header.state_root, hash(root)),
        None => compare_state(&chain, &test["postState"]),
    }
}

/// Every account, and by the root that there is no other.
fn compare_state(chain: &Chain, expected: &Value) -> Result<(), String> {
    let state = chain.at(BlockRef::Latest).map_err(|error| error.to_string())?;
    let unreadable = |error: state::ViewError| error.to_string();
    let mut all = MemoryState::default();
    for (address, account) in accounts(expected) {
        let at = |field: &str| format!("postState {address} {field}");
        equal(&at("balance"), state.balance(&address).map_err(unreadable)?, account.balance)?;
        equal(&at("nonce"), state.nonce(&address).map_err(unreadable)?, account.nonce)?;
        equal(&at("code"), state.code_at(&address).map_err(unreadable)?, account.code.clone())?;
        all.insert(address, account.nonce, account.balance, account.code);
        for (slot, value) in account.storage {
            equal(&at(&format!("slot {slot}")), state.storage(&address, &slot).map_err(unreadable)?, value)?;
            all.set_storage(address, slot, value);
        }
    }
    equal("root of postState", chain.head().header.state_root, state_root(&all))
}

/// Whether the block was refused for one of the reasons that the test names, joined by `|` or `OR`.
fn is_reason(error: &ImportError, names: &str) -> bool {
    let found: &[&str] = match error {
        ImportError::Malformed(_) => &["RLP"],
        ImportError::UnknownParent { .. } => &["parentHash"],
        ImportError::Mismatch { mismatch, .. } => &[mismatch.field.name()],
        ImportError::Sender { .. } => &["INVALID_SIGNATURE_VRS"],
        ImportError::Execution { error: ExecError::Rejected { rejection, .. }, .. } => rejection.names(),
        ImportError::Execution { error: ExecError::SystemContractMissing { .. }, .. } => &["SYSTEM_CONTRACT_EMPTY"],
        ImportError::Execution { error: ExecError::SystemCallFailed { .. }, .. } => &["SYSTEM_CONTRACT_CALL_FAILED"],
        ImportError::Execution { error: ExecError::MalformedDeposit { .. }, .. } => &["INVALID_DEPOSIT_EVENT_LAYOUT"],
        // Not the block's fault, so never what a test expects.
        ImportError::Execution { .. } | ImportError::Unreadable(_) | ImportError::Chain(_) => &[],
    };
    names.split('|').any(|full| {
        let name = full.rsplit('.').next().unwrap_or(full);
        let ours = REASONS.iter().filter(|(_, theirs)| theirs.contains(&name)).flat_map(|(ours, _)| *ours);
        let mut known: Vec<_> = ours.copied().chain([name]).collect();
        // Headers of the older files leave bad transactions out, so that the root is wrong as well.
        if ["TransactionException.", "TR_", "SenderNotEOA"]
            .iter()
            .any(|of_transaction| full.starts_with(of_transaction))
        {
            known.push("transactionsRoot");
        }
        found.iter().any(|found| known.contains(found))
    })
}

/// The schedule of a `network`: one fork, or `AToBAtN`.
fn spec(test: &Value) -> ChainSpec {
    let network = test["network"].as_str().expect("a network");
    let chain_id = test["config"].get("chainid").map_or(1, |id| quantity(id).to());
    let blobs = |name: &str| {
        let blobs = test["config"]["blobSchedule"].get(name)?;
        let field = |name: &str| quantity(&blobs[name]).to::<u64>();
        let update_fraction = field("baseFeeUpdateFraction");
        Some(BlobParameters { target: field("target"), max: field("max"), update_fraction })
    };
    let (from, switch) = match network.split_once("To") {
        Some((from, rest)) => (from, rest.split_once("At")),
        None => (network, None),
    };
    let mut spec = ChainSpec::at(chain_id, fork(from));
    if from == "ArrowGlacier" {
        spec.glaciers = [Some(0), Some(0), None];
    }
    if let Some(blobs) = blobs(from) {
        spec.blobs = vec![(0, blobs)];
    }
    let Some((to, at)) = switch else { return spec };
    let activation = match (at.strip_prefix("Time"), at.strip_prefix("Diff")) {
        (Some(time), _) => Activation::Time(time.replace('k', "000").parse().expect("a time")),
        (_, Some(total)) => Activation::TotalDifficulty(number(total)),
        _ => Activation::Block(at.parse().expect("a block")),
    };
    if let (Activation::Block(block), "Dao") = (activation, to) {
        spec.dao = Some(block);
        return spec;
    }
    let passed = Fork::ALL.into_iter().filter(|known| fork(from) < *known && *known <= fork(to));
    spec.forks.extend(passed.map(|known| (known, activation)));
    if let (Activation::Time(time), Some(blobs)) = (activation, blobs(to)) {
        spec.blobs.push((time, blobs));
    }
    spec
}

/// The execution rules of a name; some names change only blobs, or only difficulty.
fn fork(name: &str) -> Fork {
    match name {
        "ArrowGlacier" => Fork::London,
        "BPO1" | "BPO2" => Fork::Osaka,
        _ => name.parse().expect("a fork"),
    }
}

fn accounts(value: &Value) -> BTreeMap<Address, GenesisAccount> {
    let accounts = value.as_object().expect("accounts").iter();
    let read = accounts.map(|(address, account)| {
        let storage = account["storage"].as_object().expect("slots").iter();
        let account = GenesisAccount {
            balance: quantity(&account["balance"]),
            nonce: quantity(&account["nonce"]).to(),
            code: bytes(&account["code"]),
            storage: storage.map(|(slot, value)| (number(slot), quantity(value))).collect(),
        };
        (address.parse().expect("an address"), account)
    });
    read.collect()
}

fn bytes(value: &Value) -> Bytes {
    value.as_str().expect("hexadecimal text").parse().expect("hexadecimal text")
}

fn hash(value: &Value) -> B256 {
    let hash = value.as_str().expect("a hash");
    hash.parse().expect("a hash")
}

fn quantity(value: &Value) -> U256 {
    number(value.as_str().expect("a quantity"))
}

fn number(text: &str) -> U256 {
    let digits = text.trim_start_matches("0x");
    U256::from_str_radix(if digits.is_empty() { "0" } else { digits }, 16).expect("a quantity")
}

fn equal<T: PartialEq + std::fmt::Display>(field: &str, actual: T, expected: T) -> Result<(), String> {
    if actual == expected { Ok(()) } else { Err(format!("{field} is {actual}, should be {expected}")) }
}

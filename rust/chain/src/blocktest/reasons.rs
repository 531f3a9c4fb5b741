//! Which reasons of ours are which reasons of the public tests.

use exec::ExecError;

use crate::ImportError;

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
    (&["mixHash", "nonce"], &["InvalidBlockNonce"]),
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

/// Whether the block was refused for one of the reasons that the test names, joined by `|` or `OR`.
pub(super) fn is_reason(error: &ImportError, names: &str) -> bool {
    let found = found(error);
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

/// What we found wrong, in words of the table.
pub(super) fn found(error: &ImportError) -> &'static [&'static str] {
    match error {
        ImportError::Malformed(_) => &["RLP"],
        ImportError::UnknownParent { .. } => &["parentHash"],
        ImportError::Mismatch { mismatch, .. } => mismatch.field.names(),
        ImportError::Sender { .. } => &["INVALID_SIGNATURE_VRS"],
        ImportError::Execution { error: ExecError::Rejected { rejection, .. }, .. } => rejection.names(),
        ImportError::Execution { error: ExecError::SystemContractMissing { .. }, .. } => &["SYSTEM_CONTRACT_EMPTY"],
        ImportError::Execution { error: ExecError::SystemCallFailed { .. }, .. } => &["SYSTEM_CONTRACT_CALL_FAILED"],
        ImportError::Execution { error: ExecError::MalformedDeposit { .. }, .. } => &["INVALID_DEPOSIT_EVENT_LAYOUT"],
        // Not the block's fault, so never what a test expects.
        ImportError::Execution { .. } | ImportError::Unreadable(_) | ImportError::Chain(_) => &[],
    }
}

//! What a block does by itself, around its transactions: contracts it calls, balances it moves, requests it gathers.

use evm::{BlockEnv, Fault, Fork, Outcome, Rules, spec::dao, system_call};
use state::{EmptyAccounts, Overlay, ViewError};
use types::{Address, B256, Bytes, Receipt, U256, Withdrawal};

use crate::{ExecError, Reward};

/// Keeps the beacon chain's roots (EIP-4788).
const BEACON_ROOTS: Address = alloy_primitives::address!("000f3df6d732807ef1319fb7b8bb8522d0beac02");

/// Keeps the hashes of past blocks (EIP-2935).
const HISTORY: Address = alloy_primitives::address!("0000f90827f1c53a10cb7a02335b175320002935");

/// The contracts that gather requests, with the type that stands in front of what they answer (EIP-7002, EIP-7251).
const GATHERERS: [(u8, Address); 2] = [
    (1, alloy_primitives::address!("00000961ef480eb55e80d19ad83579a64c007002")),
    (2, alloy_primitives::address!("0000bbddc7ce488642fb579f8b00f3a590007251")),
];

/// The type of deposits among the requests (EIP-6110).
const DEPOSITS: u8 = 0;

/// DepositEvent(bytes,bytes,bytes,bytes,bytes).
const DEPOSIT_EVENT: B256 = alloy_primitives::b256!("649bbc62d0e31342afea4e5cd82d4049e7e1ee912fc0889aa790803be39038c5");

/// A deposit's fields in the event's data: where each one's offset stands, that offset, and how many bytes it has.
const DEPOSIT_FIELDS: [(usize, usize, usize); 5] =
    [(0, 160, 48), (32, 256, 32), (64, 320, 8), (96, 384, 96), (128, 512, 8)];

/// Bytes of the event's data.
const DEPOSIT_EVENT_LENGTH: usize = 576;

const WEI_PER_GWEI: u64 = 1_000_000_000;

/// What comes before the first transaction.
pub(crate) fn open(rules: &Rules, env: &BlockEnv, overlay: &mut Overlay<'_>) -> Result<(), Fault> {
    if rules.dao {
        overlay.begin();
        let refund = overlay.load(&dao::REFUND)?;
        for address in &dao::ACCOUNTS {
            let account = overlay.load(address)?;
            let balance = overlay.balance(account);
            // Of accounts that don't exist nothing is moved, and none springs up.
            if !balance.is_zero() {
                overlay.transfer(account, refund, balance);
            }
        }
    }
    // The first block of all has nothing behind it. A chain may live without these contracts: nothing is called then.
    if rules.has(Fork::Prague) && env.number > 0 {
        call(rules, env, HISTORY, env.parent_hash, overlay)?;
    }
    if rules.has(Fork::Cancun)
        && let Some(root) = env.parent_beacon_root
    {
        call(rules, env, BEACON_ROOTS, root, overlay)?;
    }
    Ok(())
}

fn call(rules: &Rules, env: &BlockEnv, contract: Address, word: B256, overlay: &mut Overlay<'_>) -> Result<(), Fault> {
    let account = overlay.load(&contract)?;
    if overlay.has_code(account) {
        system_call(rules, env, contract, Bytes::copy_from_slice(word.as_slice()), overlay)?;
    }
    Ok(())
}

/// What comes after the last transaction: rewards or withdrawals.
pub(crate) fn pay(
    rules: &Rules,
    env: &BlockEnv,
    reward: Reward,
    withdrawals: &[Withdrawal],
    overlay: &mut Overlay<'_>,
) -> Result<(), ViewError> {
    overlay.begin();
    let reward = match reward {
        Reward::ByFork => by_fork(rules.fork),
        Reward::Wei(wei) => Some(wei),
        Reward::Nothing => None,
    };
    if let Some(reward) = reward {
        for (ommer, number) in &env.ommers {
            let account = overlay.load(ommer)?;
            // An ommer is one to six blocks old, which `chain` has checked; an older one gets nothing.
            let share = 8_u64.saturating_sub(env.number.saturating_sub(*number));
            overlay.credit(account, reward * U256::from(share) / U256::from(8));
        }
        let account = overlay.load(&env.beneficiary)?;
        overlay.credit(account, reward + reward * U256::from(env.ommers.len()) / U256::from(32));
    }
    for withdrawal in withdrawals {
        let account = overlay.load(&withdrawal.address)?;
        overlay.credit(account, U256::from(withdrawal.amount) * U256::from(WEI_PER_GWEI));
    }
    let empty = if rules.has(Fork::SpuriousDragon) { EmptyAccounts::Cleared } else { EmptyAccounts::Stay };
    overlay.settle(empty)?;
    Ok(())
}

/// Wei for finding a block; None from the merge on.
fn by_fork(fork: Fork) -> Option<U256> {
    const ETHER: u64 = 1_000_000_000_000_000_000;
    let ethers = match fork {
        fork if fork >= Fork::Paris => return None,
        fork if fork >= Fork::Constantinople => 2,
        fork if fork >= Fork::Byzantium => 3,
        _ => 5,
    };
    Some(U256::from(ethers) * U256::from(ETHER))
}

/// What the execution layer asks of the consensus layer, by type; a type with nothing to ask is left out (EIP-7685).
pub(crate) fn requests(
    rules: &Rules,
    env: &BlockEnv,
    receipts: &[Receipt],
    overlay: &mut Overlay<'_>,
) -> Result<Vec<Bytes>, ExecError> {
    let mut requests = Vec::new();
    if !rules.has(Fork::Prague) {
        return Ok(requests);
    }
    let deposits = deposits(rules, receipts)?;
    if !deposits.is_empty() {
        requests.push(typed(DEPOSITS, &deposits));
    }
    for (kind, contract) in GATHERERS {
        let account = overlay.load(&contract)?;
        if !overlay.has_code(account) {
            return Err(ExecError::SystemContractMissing { contract });
        }
        match system_call(rules, env, contract, Bytes::new(), overlay)? {
            Outcome::Success { output, .. } if output.is_empty() => {}
            Outcome::Success { output, .. } => requests.push(typed(kind, &output)),
            outcome => return Err(ExecError::SystemCallFailed { contract, outcome }),
        }
    }
    Ok(requests)
}

fn typed(kind: u8, payload: &[u8]) -> Bytes {
    [&[kind], payload].concat().into()
}

/// Every deposit that the contract logged, one after the other.
fn deposits(rules: &Rules, receipts: &[Receipt]) -> Result<Vec<u8>, ExecError> {
    let mut deposits = Vec::new();
    for log in receipts.iter().flat_map(|receipt| &receipt.logs) {
        if log.address != rules.deposit_contract || log.topics().first() != Some(&DEPOSIT_EVENT) {
            continue;
        }
        let data = &log.data.data;
        if data.len() != DEPOSIT_EVENT_LENGTH {
            return Err(ExecError::MalformedDeposit { data: data.clone() });
        }
        let word = |at: usize| U256::from_be_slice(&data[at..at + 32]);
        for (head, offset, length) in DEPOSIT_FIELDS {
            if word(head) != U256::from(offset) || word(offset) != U256::from(length) {
                return Err(ExecError::MalformedDeposit { data: data.clone() });
            }
            deposits.extend_from_slice(&data[offset + 32..offset + 32 + length]);
        }
    }
    Ok(deposits)
}

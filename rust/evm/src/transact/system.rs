//! Calls that belong to the block and to no transaction (EIP-4788, EIP-2935, EIP-7002, EIP-7251).

use state::{EmptyAccounts, Overlay};
use types::{Address, Bytes, U256};

use super::Outcome;
use crate::{
    frame::{self, Fault, Kind, Machine, Message},
    spec::{BlockEnv, Rules},
};

/// Who calls.
pub const SYSTEM_ADDRESS: Address = alloy_primitives::address!("fffffffffffffffffffffffffffffffffffffffe");

/// Gas that such a call may use; it counts for nothing else.
const GAS: u64 = 30_000_000;

/// Calls a contract in the name of the block: no fee, no nonce, no beneficiary. Counts as a transaction of its own for
/// the overlay.
pub fn system_call(
    rules: &Rules,
    block: &BlockEnv,
    contract: Address,
    data: Bytes,
    overlay: &mut Overlay<'_>,
) -> Result<Outcome, Fault> {
    overlay.begin();
    let account = overlay.load(&contract)?;
    overlay.warm(account);
    let message = Message {
        kind: Kind::Call,
        is_static: false,
        caller: SYSTEM_ADDRESS,
        target: contract,
        code_from: contract,
        value: U256::ZERO,
        input: data,
        gas: GAS,
    };
    let (origin, gas_price) = (SYSTEM_ADDRESS, U256::ZERO);
    let mut machine = Machine { rules, block, overlay, origin, gas_price, blob_hashes: &[], tracer: None };
    let result = frame::run(&mut machine, message)?;
    overlay.settle(EmptyAccounts::Cleared)?;
    Ok(result.into())
}

//! Trying an order before it is signed: the very call that would be signed, on the newest state, after the orders that
//! are under way and use the same pools.
//!
//! The core asks ([`crate::Want::Simulate`]) and takes a [`Simulation`]; it never waits. A [`Simulator`] in the same
//! process answers within the step; where there is none, or it has no answer, whoever drives the engine asks a node
//! (`eth_simulateV1`, whose answer [`read`] reads). Either way the answer stands in the journal as an input, so that a
//! replay needs no state of a chain.

use serde::Deserialize;
use types::{Address, B256, Bytes, U256, primitives::address};

use crate::{
    chain::{Log, Parties, Receipt, topics},
    receipts::{NoReceipts, Quantity},
    stored::{stored, stored_choice},
};

/// A call to be tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// Who would send it.
    pub from: Address,
    /// Whom it calls.
    pub to: Address,
    /// With what.
    pub input: Vec<u8>,
    /// And how much gas.
    pub gas_limit: u64,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tried {
    /// The block on whose state it was tried.
    pub block: B256,
    /// Whether it succeeded.
    pub success: bool,
    /// Gas used, as a transaction.
    pub gas: u64,
    /// What the contract gave back.
    pub output: Vec<u8>,
    /// Its logs.
    pub logs: Vec<Log>,
    /// Paid to the block's producer directly, in wei.
    pub payment: u128,
}

/// How a simulation ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Simulation {
    /// It would succeed.
    Passed {
        /// With this much gas.
        gas: u64,
        /// With this profit, in the token's smallest unit; None: nobody looked.
        profit: Option<i128>,
        /// Paying this much to the block's producer, in wei.
        payment: u128,
        /// On the state after this block; zero: nobody said.
        block: B256,
    },
    /// It would not.
    Reverted {
        /// And give this back.
        data: Vec<u8>,
    },
}

stored_choice! {
    Simulation {
        0: Passed { gas, profit, payment, block },
        1: Reverted { data },
    }
}

/// Tries calls on the newest state that it has.
pub trait Simulator: Send {
    /// What `trial` does after those of other orders. None: it can't tell, and somebody else should be asked.
    fn simulate(&mut self, trial: &Trial, after: &[(u64, Trial)]) -> Option<Tried>;
}

impl Tried {
    /// What the engine has to know of it.
    pub fn simulation(self, parties: &Parties<'_>) -> Simulation {
        if !self.success {
            return Simulation::Reverted { data: self.output };
        }
        let Self { gas, logs, payment, block, .. } = self;
        let receipt = Receipt { tx_hash: B256::ZERO, tx_index: 0, success: true, gas_used: gas, gas_price: 0, logs };
        Simulation::Passed { gas, profit: Some(receipt.taking(parties).realized), payment, block }
    }
}

/// A simulation that an order passed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    /// The height of the head when it was asked for.
    pub number: u64,
    /// The block on whose state it ran; zero: nobody said.
    pub block: B256,
    /// Gas used.
    pub gas: u64,
    /// Profit, where somebody looked.
    pub profit: Option<i128>,
    /// Paid to the block's producer directly.
    pub payment: u128,
    /// The orders that it came after.
    pub after: Vec<u64>,
}

stored!(Passed { number, block, gas, profit, payment, after });

/// Where nodes put transfers of wei among the logs, when they are asked to.
const WEI: Address = address!("eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee");

#[derive(Deserialize)]
struct Answer {
    result: Option<Vec<Block>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Block {
    parent_hash: B256,
    #[serde(default)]
    miner: Address,
    calls: Vec<Call>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Call {
    status: Quantity,
    gas_used: Quantity,
    #[serde(default)]
    return_data: Bytes,
    #[serde(default)]
    logs: Vec<TheirLog>,
    error: Option<Failure>,
}

#[derive(Deserialize)]
struct Failure {
    #[serde(default)]
    data: Option<Bytes>,
}

#[derive(Deserialize)]
struct TheirLog {
    address: Address,
    topics: Vec<B256>,
    data: Bytes,
}

/// What `eth_simulateV1` says of the last call of its first block.
pub fn read(body: &[u8]) -> Result<Tried, NoReceipts> {
    let wrong = |reason: &str| NoReceipts { reason: reason.to_owned() };
    let answer: Answer = serde_json::from_slice(body).map_err(|error| wrong(&error.to_string()))?;
    let blocks = answer.result.ok_or_else(|| wrong("the answer has no result"))?;
    let Block { parent_hash: block, miner, calls } =
        blocks.into_iter().next().ok_or_else(|| wrong("no block was simulated"))?;
    let call = calls.into_iter().next_back().ok_or_else(|| wrong("no call was simulated"))?;
    let paid = |log: &TheirLog| {
        let to = log.topics.get(2).map(|topic| Address::from_word(*topic));
        let is_payment = log.address == WEI && log.topics.first() == Some(&topics::TRANSFER) && to == Some(miner);
        let amount = crate::build::abi::word(&log.data, 0).filter(|_| is_payment).unwrap_or(U256::ZERO);
        u128::try_from(amount).unwrap_or(u128::MAX)
    };
    let payment = call.logs.iter().map(paid).fold(0, u128::saturating_add);
    let output = match call.error.and_then(|error| error.data) {
        Some(data) if call.return_data.is_empty() => data.to_vec(),
        _ => call.return_data.to_vec(),
    };
    let logs = call.logs.into_iter().enumerate().map(|(index, log)| Log {
        address: log.address,
        topics: log.topics,
        data: log.data.to_vec(),
        index: index as u32,
    });
    let success = call.status.0 == 1;
    Ok(Tried { block, success, gas: call.gas_used.0, output, logs: logs.collect(), payment })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_last_call_of_a_simulated_block_is_read() {
        let (parent, miner) = (B256::repeat_byte(1), Address::repeat_byte(2));
        let (transfer, to) = (topics::TRANSFER, miner.into_word());
        let amount = format!("0x{:064x}", 77);
        let body = format!(
            r#"{{"result":[{{"parentHash":"{parent}","miner":"{miner}","calls":[
            {{"status":"0x0","gasUsed":"0x1","returnData":"0x"}},
            {{"status":"0x1","gasUsed":"0x5208","returnData":"0x01","logs":[
            {{"address":"{WEI}","topics":["{transfer}","{parent}","{to}"],"data":"{amount}"}}]}}]}}]}}"#
        );
        let tried = read(body.as_bytes()).unwrap();
        assert_eq!((tried.block, tried.success, tried.gas, tried.payment), (parent, true, 21_000, 77));
        let reverted = format!(
            r#"{{"result":[{{"parentHash":"{parent}","calls":[
            {{"status":"0x0","gasUsed":"0x1","returnData":"0x","error":{{"code":3,"data":"0xab"}}}}]}}]}}"#
        );
        let tried = read(reverted.as_bytes()).unwrap();
        assert_eq!((tried.success, tried.output), (false, vec![0xab]));
        for wrong in ["", "{}", r#"{"result":[]}"#, r#"{"error":{"code":-32601}}"#] {
            assert!(read(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(read(&bytes).is_err());
        }
    }
}

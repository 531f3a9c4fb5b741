//! What a call asks for, and the transaction that it becomes.

use evm::{BlockEnv, Fork, Rules};
use types::{
    AccessList, Address, B256, Bytes, Signature, SignedAuthorization, Transaction, TxKind, U256,
    tx::{TxBlob, TxEip1559, TxEip2930, TxEip7702, TxLegacy},
};

/// A call that nobody signed. What is not said is the most generous: all the gas there is, at no price.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CallRequest {
    /// Who calls.
    pub from: Address,
    /// Who is called; None: a contract is created.
    pub to: Option<Address>,
    /// Most gas; None: as much as the block has.
    pub gas_limit: Option<u64>,
    /// Wei per gas; with a price, the caller must be able to pay it. No price at all: free, and BASEFEE is zero.
    pub gas_price: Option<u128>,
    /// Most wei per gas, in place of a price.
    pub max_fee_per_gas: Option<u128>,
    /// Most wei per gas for the block's producer.
    pub max_priority_fee_per_gas: Option<u128>,
    /// Wei moved, which the caller must have.
    pub value: U256,
    /// Call data, or creation code.
    pub input: Bytes,
    /// Addresses and slots that are warm.
    pub access_list: AccessList,
    /// Hashes of blobs (EIP-4844).
    pub blob_hashes: Vec<B256>,
    /// Most wei per blob gas; None: as much as it costs.
    pub max_fee_per_blob_gas: Option<u128>,
    /// Delegations (EIP-7702).
    pub authorizations: Vec<SignedAuthorization>,
}

impl CallRequest {
    /// Fee cap and tip.
    fn fees(&self) -> (u128, u128) {
        match self.gas_price {
            Some(price) => (price, price),
            None => (self.max_fee_per_gas.unwrap_or_default(), self.max_priority_fee_per_gas.unwrap_or_default()),
        }
    }

    /// Most wei that a unit of gas may cost the caller.
    pub(super) fn price_max(&self) -> u128 {
        self.fees().0
    }

    /// Whether its gas has no price.
    pub(super) fn is_free(&self) -> bool {
        self.fees() == (0, 0)
    }

    /// The transaction of the simplest kind that can say all this.
    pub(super) fn transaction(&self, rules: &Rules, block: &BlockEnv, nonce: u64, gas_limit: u64) -> Transaction {
        // Nobody signed, and nobody asks: the sender is given.
        let signature = Signature::new(U256::ONE, U256::ONE, false);
        let Self { value, .. } = *self;
        let (input, access_list) = (self.input.clone(), self.access_list.clone());
        let (max_fee_per_gas, max_priority_fee_per_gas) = self.fees();
        let gas_price = max_fee_per_gas;
        let chain_id = rules.chain_id;
        let to = self.to.map_or(TxKind::Create, TxKind::Call);
        if !self.authorizations.is_empty() {
            let authorization_list = self.authorizations.clone();
            let to = self.to.unwrap_or_default();
            let unsigned = TxEip7702 {
                chain_id,
                nonce,
                gas_limit,
                max_fee_per_gas,
                max_priority_fee_per_gas,
                to,
                value,
                access_list,
                authorization_list,
                input,
            };
            return Transaction::from_parts(unsigned, signature);
        }
        if !self.blob_hashes.is_empty() {
            let unsigned = TxBlob {
                chain_id,
                nonce,
                gas_limit,
                max_fee_per_gas,
                max_priority_fee_per_gas,
                to: self.to.unwrap_or_default(),
                value,
                access_list,
                blob_versioned_hashes: self.blob_hashes.clone(),
                max_fee_per_blob_gas: self.max_fee_per_blob_gas.unwrap_or_else(|| rules.blob_base_fee(block)),
                input,
            };
            return Transaction::from_parts(unsigned, signature);
        }
        if block.base_fee.is_some() {
            let unsigned = TxEip1559 {
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
            return Transaction::from_parts(unsigned, signature);
        }
        if rules.has(Fork::Berlin) {
            let unsigned = TxEip2930 { chain_id, nonce, gas_price, gas_limit, to, value, access_list, input };
            return Transaction::from_parts(unsigned, signature);
        }
        let unsigned = TxLegacy { chain_id: None, nonce, gas_price, gas_limit, to, value, input };
        Transaction::from_parts(unsigned, signature)
    }
}

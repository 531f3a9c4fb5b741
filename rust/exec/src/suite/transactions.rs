//! Transactions as JSON, the way fixtures and transition tools write them: fields that may be missing, and a signature or
//! the key to make one.

use std::str::FromStr;

use serde::Deserialize;
use types::{
    AccessList, Address, Authorization, B256, Key, Signature, SignedAuthorization, Transaction, TxKind, U256,
    tx::{TxBlob, TxEip1559, TxEip2930, TxEip7702, TxLegacy},
};

use types::keys::InvalidKey;

use super::words::{Data, Quantity};

/// The fields of a transaction of any of Ethereum's kinds.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct TransactionWords {
    /// EIP-2718 type; without it the other fields tell.
    #[serde(rename = "type")]
    pub kind: Option<Quantity>,
    /// The chain it is for.
    pub chain_id: Option<Quantity>,
    /// The sender's count.
    #[serde(default)]
    pub nonce: Quantity,
    /// Most gas.
    #[serde(alias = "gas")]
    pub gas_limit: Quantity,
    /// Wei per gas, of the older kinds.
    pub gas_price: Option<Quantity>,
    /// Most wei per gas.
    pub max_fee_per_gas: Option<Quantity>,
    /// Most wei per gas for the beneficiary.
    pub max_priority_fee_per_gas: Option<Quantity>,
    /// Most wei per blob gas.
    pub max_fee_per_blob_gas: Option<Quantity>,
    /// Whom it calls; nobody: it creates.
    pub to: Option<String>,
    /// Wei moved.
    #[serde(default)]
    pub value: Quantity,
    /// Call data or creation code.
    #[serde(default, alias = "data")]
    pub input: Data,
    /// What is warm.
    pub access_list: Option<AccessList>,
    /// Names of its blobs.
    pub blob_versioned_hashes: Option<Vec<B256>>,
    /// Who delegates to whom.
    pub authorization_list: Option<Vec<AuthorizationWords>>,
    /// The signature's `v`.
    pub v: Option<Quantity>,
    /// The signature's parity.
    #[serde(alias = "y_parity")]
    pub y_parity: Option<Quantity>,
    /// The signature's `r`.
    pub r: Option<Quantity>,
    /// The signature's `s`.
    pub s: Option<Quantity>,
    /// What to sign with, where there is no signature.
    pub secret_key: Option<B256>,
    /// Whether a legacy transaction is to be signed for its chain alone (EIP-155).
    pub protected: Option<bool>,
}

/// One delegation.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct AuthorizationWords {
    chain_id: Quantity,
    address: Address,
    nonce: Quantity,
    #[serde(alias = "y_parity")]
    y_parity: Option<Quantity>,
    v: Option<Quantity>,
    r: Quantity,
    s: Quantity,
}

/// Words that are no transaction.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrongWords {
    /// A number does not fit its field.
    #[error("{0} is too large")]
    TooLarge(&'static str),
    /// What stands in `to` is nobody.
    #[error("to is {0:?}, expected an address")]
    To(String),
    /// Nobody has defined such a kind.
    #[error("transaction type not supported: {0}")]
    Kind(U256),
    /// This kind has to call somebody. (The end is what `fill` looks for.)
    #[error(
        "transaction of type {0} must not create: input string too short for common.Address, decoding into (types.{1}).To"
    )]
    Creates(u8, &'static str),
    /// No parity, and no `v` with one in it.
    #[error("invalid transaction v, r, s values: v {0}")]
    V(U256),
    /// The secret is no key.
    #[error(transparent)]
    Key(#[from] InvalidKey),
}

impl TransactionWords {
    /// The signed transaction: with the signature that is there, or one made with the key. A legacy one is signed for
    /// `chain_id` where it is to be `protected` and does not say otherwise.
    ///
    /// # Errors
    /// [`WrongWords`] for the first that is wrong.
    pub fn signed(&self, chain_id: u64, protected: bool) -> Result<Transaction, WrongWords> {
        let [v, r, s] = [self.v.or(self.y_parity), self.r, self.s].map(|word| word.unwrap_or_default().0);
        if let Some(secret) = &self.secret_key
            && v.is_zero()
            && r.is_zero()
            && s.is_zero()
        {
            let key = Key::from_bytes(secret)?;
            let bound = (self.protected.unwrap_or(protected) && protected).then_some(chain_id);
            let hash = self.with(chain_id, bound, PLACEHOLDER)?.signature_hash();
            return self.with(chain_id, bound, key.sign(&hash));
        }
        let parity = self.y_parity.map_or(v, |parity| parity.0);
        let (odd, bound) = match u64::try_from(v).map_err(|_| WrongWords::V(v))? {
            _ if parity <= U256::ONE => (parity == U256::ONE, self.legacy_chain(v)),
            27 | 28 => (v == U256::from(28), None),
            // EIP-155.
            over @ 35.. => ((over - 35) % 2 == 1, Some((over - 35) / 2)),
            _ => return Err(WrongWords::V(v)),
        };
        self.with(chain_id, bound, Signature::new(r, s, odd))
    }

    /// The chain of a legacy transaction whose parity is known, by its `v`.
    fn legacy_chain(&self, v: U256) -> Option<u64> {
        let over: U256 = v.checked_sub(U256::from(35))?;
        u64::try_from(over / U256::from(2)).ok()
    }

    /// The transaction with a signature that is not looked at. `bound` is the chain of a legacy transaction.
    ///
    /// # Errors
    /// As [`signed`](Self::signed).
    pub fn with(&self, chain_id: u64, bound: Option<u64>, signature: Signature) -> Result<Transaction, WrongWords> {
        let u64 = |field: &'static str, word: Quantity| u64::try_from(word.0).map_err(|_| WrongWords::TooLarge(field));
        let u128 = |field: &'static str, word: Option<Quantity>| {
            u128::try_from(word.unwrap_or_default().0).map_err(|_| WrongWords::TooLarge(field))
        };
        let chain_id = self.chain_id.map_or(Ok(chain_id), |id| u64("chainId", id))?;
        let (nonce, gas_limit) = (u64("nonce", self.nonce)?, u64("gas", self.gas_limit)?);
        let (value, input) = (self.value.0, self.input.0.clone());
        let to = match self.to.as_deref() {
            None | Some("" | "0x") => TxKind::Create,
            Some(text) => TxKind::Call(Address::from_str(text).map_err(|_| WrongWords::To(text.to_owned()))?),
        };
        let access_list = self.access_list.clone();
        let gas_price = u128("gasPrice", self.gas_price)?;
        let max_fee_per_gas = u128("maxFeePerGas", self.max_fee_per_gas)?;
        let max_priority_fee_per_gas = u128("maxPriorityFeePerGas", self.max_priority_fee_per_gas)?;
        let kind = self.kind();
        let Ok(kind) = u8::try_from(kind) else { return Err(WrongWords::Kind(kind)) };
        Ok(match kind {
            0 => {
                let tx = TxLegacy { chain_id: bound, nonce, gas_price, gas_limit, to, value, input };
                Transaction::from_parts(tx, signature)
            }
            1 => {
                let access_list = access_list.unwrap_or_default();
                let tx = TxEip2930 { chain_id, nonce, gas_price, gas_limit, to, value, access_list, input };
                Transaction::from_parts(tx, signature)
            }
            2 => {
                let tx = TxEip1559 {
                    chain_id,
                    nonce,
                    gas_limit,
                    max_fee_per_gas,
                    max_priority_fee_per_gas,
                    to,
                    value,
                    access_list: access_list.unwrap_or_default(),
                    input,
                };
                Transaction::from_parts(tx, signature)
            }
            3 => {
                let tx = TxBlob {
                    chain_id,
                    nonce,
                    gas_limit,
                    max_fee_per_gas,
                    max_priority_fee_per_gas,
                    to: *to.to().ok_or(WrongWords::Creates(3, "BlobTx"))?,
                    value,
                    access_list: access_list.unwrap_or_default(),
                    blob_versioned_hashes: self.blob_versioned_hashes.clone().unwrap_or_default(),
                    max_fee_per_blob_gas: u128("maxFeePerBlobGas", self.max_fee_per_blob_gas)?,
                    input,
                };
                Transaction::from_parts(tx, signature)
            }
            4 => {
                let delegations = self.authorization_list.iter().flatten();
                let tx = TxEip7702 {
                    chain_id,
                    nonce,
                    gas_limit,
                    max_fee_per_gas,
                    max_priority_fee_per_gas,
                    to: *to.to().ok_or(WrongWords::Creates(4, "SetCodeTx"))?,
                    value,
                    access_list: access_list.unwrap_or_default(),
                    authorization_list: delegations.map(AuthorizationWords::build).collect(),
                    input,
                };
                Transaction::from_parts(tx, signature)
            }
            other => return Err(WrongWords::Kind(U256::from(other))),
        })
    }

    fn kind(&self) -> U256 {
        let by_field = [
            (4, self.authorization_list.is_some()),
            (3, self.max_fee_per_blob_gas.is_some() || self.blob_versioned_hashes.is_some()),
            (2, self.max_fee_per_gas.is_some()),
            (1, self.access_list.is_some()),
        ];
        let told = by_field.iter().find(|(_, there)| *there).map_or(0, |(kind, _)| *kind);
        self.kind.map_or(U256::from(told), |kind| kind.0)
    }
}

/// A signature that merely looks like one: for transactions whose sender is known, or that are still to be signed.
pub(crate) const PLACEHOLDER: Signature = Signature::new(U256::ONE, U256::ONE, false);

impl AuthorizationWords {
    fn build(&self) -> SignedAuthorization {
        let inner = Authorization { chain_id: self.chain_id.0, address: self.address, nonce: self.nonce.u64() };
        let parity = self.y_parity.or(self.v).unwrap_or_default();
        SignedAuthorization::new_unchecked(inner, parity.0.saturating_to(), self.r.0, self.s.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(json: &str) -> TransactionWords {
        serde_json::from_str(json).unwrap()
    }

    const SECRET: &str = "0x4646464646464646464646464646464646464646464646464646464646464646";

    #[test]
    fn a_key_signs_and_the_signature_says_whose() {
        let key = Key::from_bytes(&SECRET.parse().unwrap()).unwrap();
        let to = "0x3535353535353535353535353535353535353535";
        for more in [
            r#""gasPrice": "0x1""#,
            r#""gasPrice": 1, "accessList": []"#,
            r#""maxFeePerGas": "0x1""#,
            r#""maxFeePerGas": "0x1", "maxFeePerBlobGas": "1", "blobVersionedHashes": []"#,
            r#""maxFeePerGas": "0x1", "authorizationList": []"#,
        ] {
            let json = format!(r#"{{"gas": "0x5208", "to": "{to}", "secretKey": "{SECRET}", {more}}}"#);
            let signed = words(&json).signed(7, true).unwrap();
            assert_eq!((signed.recover(), signed.chain_id()), (Ok(key.address()), Some(7)), "{more}");
        }
        let legacy = format!(r#"{{"gas": 21000, "secretKey": "{SECRET}"}}"#);
        assert_eq!(words(&legacy).signed(7, false).unwrap().chain_id(), None);
        let free = legacy.replace('{', r#"{"protected": false, "#);
        assert_eq!(words(&free).signed(7, true).unwrap().chain_id(), None);
    }

    #[test]
    fn a_legacy_v_says_the_chain_and_the_parity() {
        let with = |v: u64| words(&format!(r#"{{"gas": "1", "v": {v}, "r": "1", "s": "1"}}"#)).signed(9, true);
        for (v, chain, odd) in [(27, None, false), (28, None, true), (37, Some(1), false), (38, Some(1), true)] {
            let signed = with(v).unwrap();
            assert_eq!((signed.chain_id(), signed.signature().v()), (chain, odd), "{v}");
        }
        assert_eq!(with(29).unwrap_err(), WrongWords::V(U256::from(29)));
    }

    #[test]
    fn what_is_no_transaction_is_named() {
        let wrong = |json: &str| words(json).signed(1, true).unwrap_err();
        assert_eq!(wrong(r#"{"gas": "0x10000000000000000"}"#), WrongWords::TooLarge("gas"));
        assert_eq!(wrong(r#"{"gas": "1", "to": "0x12"}"#), WrongWords::To("0x12".to_owned()));
        assert_eq!(wrong(r#"{"gas": "1", "type": "0x9"}"#), WrongWords::Kind(U256::from(9)));
        assert_eq!(wrong(r#"{"gas": "1", "type": 3, "to": null}"#), WrongWords::Creates(3, "BlobTx"));
        assert_eq!(wrong(r#"{"gas": "1", "authorizationList": []}"#), WrongWords::Creates(4, "SetCodeTx"));
    }

    proptest! {
        #[test]
        fn no_signature_makes_it_panic(v: u64, parity in prop::option::of(any::<u8>()), kind in 0u8..6) {
            let parity = parity.map_or("null".to_owned(), |parity| parity.to_string());
            let json = format!(r#"{{"gas": 1, "type": {kind}, "v": {v}, "yParity": {parity}, "r": 1, "s": 1}}"#);
            if let Ok(signed) = words(&json).signed(1, true) {
                prop_assert_eq!(signed.kind(), kind);
            }
        }
    }
}

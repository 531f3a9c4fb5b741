//! What a call wants to be different: the accounts and the block of geth's override sets.

use std::collections::BTreeMap;

use chain::{
    exec::call::{AccountOverride, BlockOverrides, StateOverrides},
    types::{Address, Authorization, B256, SignedAuthorization, U256},
};

use crate::arguments::{Argument, each_field, shown};

impl Argument for StateOverrides {
    fn read(json: &str) -> Result<Self, String> {
        let mut accounts = BTreeMap::new();
        each_field(json, "state override", |name, value| {
            let address = key::<Address>(name)?;
            accounts.insert(address, AccountOverride::read(value)?);
            Ok(())
        })?;
        Ok(Self(accounts))
    }
}

impl Argument for AccountOverride {
    fn read(json: &str) -> Result<Self, String> {
        let mut account = Self::default();
        each_field(json, "account override", |name, value| {
            match name {
                "balance" => account.balance = Argument::read(value)?,
                "nonce" => account.nonce = Argument::read(value)?,
                "code" => account.code = Argument::read(value)?,
                "state" => account.state = Option::<Slots>::read(value)?.map(|slots| slots.0),
                "stateDiff" => account.state_diff = Option::<Slots>::read(value)?.map(|slots| slots.0),
                "movePrecompileToAddress" => account.move_precompile_to = Argument::read(value)?,
                _ => {}
            }
            Ok(())
        })?;
        Ok(account)
    }
}

/// Storage, whose keys and values are 32 bytes each.
struct Slots(BTreeMap<U256, U256>);

impl Argument for Slots {
    fn read(json: &str) -> Result<Self, String> {
        let mut slots = BTreeMap::new();
        each_field(json, "storage", |name, value| {
            slots.insert(key::<B256>(name)?.into(), B256::read(value)?.into());
            Ok(())
        })?;
        Ok(Self(slots))
    }
}

/// The name of a field as a value of its own.
fn key<T: Argument>(name: &str) -> Result<T, String> {
    let text = serde_json::to_string(name).map_err(|error| error.to_string())?;
    T::read(&text)
}

impl Argument for BlockOverrides {
    fn read(json: &str) -> Result<Self, String> {
        let mut block = Self::default();
        // Older clients say coinbase, random and baseFee.
        each_field(json, "block override", |name, value| {
            match name {
                "number" => block.number = Argument::read(value)?,
                "time" => block.timestamp = Argument::read(value)?,
                "gasLimit" => block.gas_limit = Argument::read(value)?,
                "feeRecipient" | "coinbase" => block.beneficiary = Argument::read(value)?,
                "prevRandao" | "random" => block.prev_randao = Argument::read(value)?,
                "difficulty" => block.difficulty = Argument::read(value)?,
                "baseFeePerGas" | "baseFee" => block.base_fee = Argument::read(value)?,
                "blobBaseFee" => block.blob_base_fee = Argument::read(value)?,
                "beaconRoot" | "withdrawals" if value != "null" => {
                    return Err("not supported for this method".to_owned());
                }
                _ => {}
            }
            Ok(())
        })?;
        Ok(block)
    }
}

impl Argument for SignedAuthorization {
    fn read(json: &str) -> Result<Self, String> {
        let (mut chain_id, mut address, mut nonce) = (None::<U256>, None::<Address>, None::<u64>);
        let (mut parity, mut r, mut s) = (None::<u64>, None::<U256>, None::<U256>);
        each_field(json, "authorization", |name, value| {
            match name {
                "chainId" => chain_id = Argument::read(value)?,
                "address" => address = Argument::read(value)?,
                "nonce" => nonce = Argument::read(value)?,
                "yParity" | "v" => parity = Argument::read(value)?,
                "r" => r = Argument::read(value)?,
                "s" => s = Argument::read(value)?,
                _ => {}
            }
            Ok(())
        })?;
        let read = || {
            let unsigned = Authorization { chain_id: chain_id?, address: address?, nonce: nonce? };
            Some(Self::new_unchecked(unsigned, u8::try_from(parity?).ok()?, r?, s?))
        };
        read().ok_or_else(|| format!("chainId, address, nonce, yParity, r and s must be given, got {}", shown(json)))
    }
}

#[cfg(test)]
mod tests {
    use chain::types::Bytes;

    use super::*;

    #[test]
    fn accounts_are_read_field_by_field_and_wrong_ones_are_named() {
        let address = "0x00000000000000000000000000000000000000aa";
        let slot = format!("0x{:064x}", 1);
        let text = format!(
            r#"{{"{address}": {{"balance": "0x5", "nonce": "0x1", "code": "0x60", "stateDiff": {{"{slot}": "{slot}"}},
                "state": null, "movePrecompileToAddress": "{address}"}}}}"#
        );
        let StateOverrides(accounts) = StateOverrides::read(&text).unwrap();
        let account = &accounts[&address.parse::<Address>().unwrap()];
        assert_eq!((account.balance, account.nonce), (Some(U256::from(5)), Some(1)));
        assert_eq!(account.code, Some(Bytes::from_static(&[0x60])));
        assert_eq!(account.state_diff, Some(BTreeMap::from([(U256::from(1), U256::from(1))])));
        assert_eq!((account.state.clone(), account.move_precompile_to), (None, Some(address.parse().unwrap())));
        for (text, wrong) in [
            (r#"{"0xaa": {}}"#.to_owned(), "0xaa: must be 0x and 40 hex digits"),
            (format!(r#"{{"{address}": {{"nonce": "5"}}}}"#), "nonce: hex string without 0x prefix"),
            (format!(r#"{{"{address}": {{"state": {{"0x1": "{slot}"}}}}}}"#), "0x1: must be 0x and 64 hex digits"),
            ("[]".to_owned(), "state override must be an object"),
        ] {
            let error = StateOverrides::read(&text).unwrap_err();
            assert!(error.contains(wrong), "{text}: {error}");
        }
    }

    #[test]
    fn a_block_is_read_by_its_new_names_and_its_old_ones() {
        let new = r#"{"number": "0x10", "time": "0x20", "feeRecipient": "0x00000000000000000000000000000000000000aa",
            "baseFeePerGas": "0x7", "blobBaseFee": "0x8"}"#;
        let old = new.replace("feeRecipient", "coinbase").replace("baseFeePerGas", "baseFee");
        let read = BlockOverrides::read(new).unwrap();
        assert_eq!(
            (read.number, read.timestamp, read.base_fee, read.blob_base_fee),
            (Some(16), Some(32), Some(7), Some(8))
        );
        assert_eq!(BlockOverrides::read(&old).unwrap(), read);
        assert!(BlockOverrides::read(r#"{"withdrawals": []}"#).unwrap_err().contains("withdrawals: not supported"));
        assert_eq!(BlockOverrides::read(r#"{"beaconRoot": null}"#), Ok(BlockOverrides::default()));
    }
}

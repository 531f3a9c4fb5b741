//! The development chain: Osaka's rules from the first block on, ten well-known accounts with ether.

use std::collections::BTreeMap;

use evm::{Fork, spec::ChainSpec};
use types::{Address, B256, Key, U256, primitives::b256};

use super::{Genesis, GenesisAccount, predeploys::system_contracts};

/// Chain id of the development chain: the one that development tools expect.
pub const DEV_CHAIN_ID: u64 = 31_337;

/// Secret keys of the development accounts: `m/44'/60'/0'/0/0` to `9` of the mnemonic "test test test test test test test
/// test test test test junk". Everybody knows them: never send them anything of worth.
pub const DEV_KEYS: [B256; 10] = [
    b256!("ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80"),
    b256!("59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"),
    b256!("5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a"),
    b256!("7c852118294e51e653712a81e05800f419141751be58f605c371e15141b007a6"),
    b256!("47e179ec197488593b187f80a00eb0da91f1b9d0b13f8733639f19c30a34926a"),
    b256!("8b3a350cf5c34c9194ca85829a2df0ec3153be0318b5e2d3348e872092edffba"),
    b256!("92db14e403b83dfe3df233f83dfa3a0d7096f21ca9b0d6d6b8d88b2b4ec1564e"),
    b256!("4bbbf85ce3377467afe5d46f804f221813b2bb87f24d81f60f1fcdbf7cbf4356"),
    b256!("dbda1821b80551c9d65939329250298aa3472ba22feea921c0cf5d620ea67b97"),
    b256!("2a871d0798f97d79848a013d4936a73bf4cc922c825d33c1cf7073dff6d409c6"),
];

/// What each development account starts with: 10,000 ether, in wei.
const DEV_BALANCE: u128 = 10_000 * 10u128.pow(18);

/// Gas of a development block: what development tools expect.
const DEV_GAS_LIMIT: u64 = 30_000_000;

/// The key of a development account.
///
/// # Panics
/// Where `index` is not below the length of [`DEV_KEYS`].
pub fn dev_key(index: usize) -> Key {
    Key::from_bytes(&DEV_KEYS[index]).expect("the table holds keys")
}

impl Genesis {
    /// The development chain, with these further accounts beside the ten.
    pub fn dev(accounts: impl IntoIterator<Item = (Address, GenesisAccount)>) -> Self {
        Self::dev_under(ChainSpec::at(DEV_CHAIN_ID, Fork::Osaka), accounts)
    }

    /// The same under other rules.
    pub fn dev_under(spec: ChainSpec, accounts: impl IntoIterator<Item = (Address, GenesisAccount)>) -> Self {
        let funded = || GenesisAccount { balance: U256::from(DEV_BALANCE), ..GenesisAccount::default() };
        let mut alloc: BTreeMap<_, _> = (0..DEV_KEYS.len()).map(|index| (dev_key(index).address(), funded())).collect();
        alloc.extend(system_contracts());
        alloc.extend(accounts);
        Self::new(spec, DEV_GAS_LIMIT, alloc)
    }

    /// The development chain as `genesis.json` says it, but for the rules: `config` is left out.
    pub fn dev_json() -> String {
        let alloc = Self::dev([]).alloc.into_iter().map(|(address, account)| {
            let fields = serde_json::json!({
                "balance": format!("{:#x}", account.balance),
                "nonce": format!("{:#x}", account.nonce),
                "code": account.code.to_string(),
            });
            (address.to_string(), fields)
        });
        let alloc: serde_json::Map<_, _> = alloc.collect();
        serde_json::json!({ "difficulty": "0x0", "gasLimit": format!("{DEV_GAS_LIMIT:#x}"), "alloc": alloc })
            .to_string()
    }
}

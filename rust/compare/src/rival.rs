//! revm's side of a comparison: the same state, block and transactions in its own words.

use evm::{BlockEnv, Fork, Rules};
use revm::{
    Context, MainBuilder, MainContext, MainnetEvm,
    bytecode::Bytecode,
    context::{BlockEnv as TheirBlock, TxEnv, either::Either},
    context_interface::block::BlobExcessGasAndPrice,
    database::{CacheDB, EmptyDB},
    handler::MainnetContext,
    primitives::hardfork::SpecId,
    state::AccountInfo,
};
use state::MemoryState;
use types::{Account, Recovered};

/// Its in-memory database.
pub type Database = CacheDB<EmptyDB>;

/// Its name of the fork; None for Constantinople, whose storage prices it does not have.
pub fn spec(fork: Fork) -> Option<SpecId> {
    Some(match fork {
        Fork::Frontier => SpecId::FRONTIER,
        Fork::Homestead => SpecId::HOMESTEAD,
        Fork::Tangerine => SpecId::TANGERINE,
        Fork::SpuriousDragon => SpecId::SPURIOUS_DRAGON,
        Fork::Byzantium => SpecId::BYZANTIUM,
        Fork::Constantinople => return None,
        Fork::Petersburg => SpecId::PETERSBURG,
        Fork::Istanbul => SpecId::ISTANBUL,
        Fork::Berlin => SpecId::BERLIN,
        Fork::London => SpecId::LONDON,
        Fork::Paris => SpecId::MERGE,
        Fork::Shanghai => SpecId::SHANGHAI,
        Fork::Cancun => SpecId::CANCUN,
        Fork::Prague => SpecId::PRAGUE,
        Fork::Osaka => SpecId::OSAKA,
    })
}

/// The state, code analysed already.
pub fn database(state: &MemoryState) -> Database {
    let mut database = CacheDB::new(EmptyDB::default());
    for (address, account) in &state.accounts {
        let Account { nonce, balance, code_hash } = *account;
        let code = state.codes.get(&code_hash).cloned().unwrap_or_default();
        let info = AccountInfo { balance, nonce, code_hash, code: Some(Bytecode::new_raw(code)), ..Default::default() };
        database.insert_account_info(*address, info);
    }
    for (address, slots) in &state.storage {
        for (key, value) in slots {
            database.insert_account_storage(*address, *key, *value).expect("memory can be written");
        }
    }
    for (number, hash) in &state.block_hashes {
        database.cache.block_hashes.insert(types::U256::from(*number), *hash);
    }
    database
}

/// Its machine over a database.
///
/// # Panics
/// Where [`spec`] knows no such fork.
pub fn machine<D: revm::Database>(rules: &Rules, env: &BlockEnv, database: D) -> MainnetEvm<MainnetContext<D>> {
    let spec = spec(rules.fork).expect("a fork that both know");
    let excess = env.excess_blob_gas.unwrap_or_default();
    let block = TheirBlock {
        number: types::U256::from(env.number),
        timestamp: types::U256::from(env.timestamp),
        beneficiary: env.beneficiary,
        gas_limit: env.gas_limit,
        basefee: env.base_fee.unwrap_or_default(),
        difficulty: env.difficulty,
        prevrandao: Some(env.prev_randao),
        blob_excess_gas_and_price: Some(BlobExcessGasAndPrice::new(excess, rules.blobs.update_fraction)),
        ..TheirBlock::default()
    };
    Context::mainnet()
        .modify_cfg_chained(|cfg| {
            cfg.set_spec_and_mainnet_gas_params(spec);
            cfg.chain_id = rules.chain_id;
            cfg.blob_base_fee_update_fraction = Some(rules.blobs.update_fraction);
            cfg.max_blobs_per_tx = Some(rules.blobs.max.min(evm::spec::chain::BLOBS_PER_TRANSACTION_MAX));
        })
        .with_db(database)
        .with_block(block)
        .build_mainnet()
}

/// The transaction.
pub fn transaction(tx: &Recovered) -> TxEnv {
    let Recovered { transaction, sender } = tx;
    TxEnv {
        tx_type: transaction.kind(),
        caller: *sender,
        gas_limit: transaction.gas_limit(),
        gas_price: transaction.max_fee_per_gas(),
        gas_priority_fee: transaction.is_dynamic_fee().then(|| transaction.max_priority_fee_per_gas()),
        kind: transaction.to(),
        value: transaction.value(),
        data: transaction.input().clone(),
        nonce: transaction.nonce(),
        chain_id: transaction.chain_id(),
        access_list: transaction.access_list().cloned().unwrap_or_default(),
        blob_hashes: transaction.blob_hashes().to_vec(),
        max_fee_per_blob_gas: transaction.max_fee_per_blob_gas().unwrap_or_default(),
        authorization_list: transaction
            .authorizations()
            .unwrap_or_default()
            .iter()
            .cloned()
            .map(Either::Left)
            .collect(),
    }
}

//! Blocks that a stranger offers to a development chain: refused with a reason, or known; the chain stays as it was.
//!
//! The input is taken as it is, and as changes to blocks that are right, so that the fuzzer gets behind the RLP: nine bytes
//! each, which field and its new value.

#![no_main]

use std::sync::{Arc, LazyLock};

use chain::{Chain, Genesis, Imported, MineOptions, Options, Store};
use libfuzzer_sys::fuzz_target;
use types::{Address, B256, Block, Bloom, Bytes, Header, U256};

fn open() -> Arc<Chain> {
    Chain::open(Arc::new(Store::memory()), Genesis::dev([]), Options::default()).expect("memory does not fail")
}

/// A chain of three blocks, and the block that would come next.
static WORLD: LazyLock<(Arc<Chain>, Block)> = LazyLock::new(|| {
    let (maker, chain) = (open(), open());
    let blocks = [12, 24, 36, 48].map(|time| {
        let block = maker.mine(MineOptions::at(time)).expect("a block").block;
        Block { header: block.header.clone(), body: block.body.clone() }
    });
    let [older @ .., next] = blocks;
    for block in older {
        assert_eq!(chain.import(block), Ok(Imported::Head { removed: 0 }));
    }
    (chain, next)
});

/// Sets one field of a header.
fn change(header: &mut Header, field: u8, value: u64) {
    let word = B256::from(U256::from(value));
    // Every fork has fields that others must not have.
    let optional = (value % 3 > 0).then_some(value);
    match field % 22 {
        0 => header.parent_hash = word,
        1 => header.ommers_hash = word,
        2 => header.beneficiary = Address::from_word(word),
        3 => header.state_root = word,
        4 => header.transactions_root = word,
        5 => header.receipts_root = word,
        6 => header.logs_bloom = Bloom::left_padding_from(word.as_slice()),
        7 => header.difficulty = U256::from(value) << (value % 256) as usize,
        8 => header.number = value,
        9 => header.gas_limit = value,
        10 => header.gas_used = value,
        11 => header.timestamp = value,
        12 => header.extra_data = Bytes::from(vec![7; (value % 40) as usize]),
        13 => header.mix_hash = word,
        14 => header.nonce = value.to_be_bytes().into(),
        15 => header.base_fee_per_gas = optional,
        16 => header.withdrawals_root = optional.map(|_| word),
        17 => header.blob_gas_used = optional,
        18 => header.excess_blob_gas = optional,
        19 => header.parent_beacon_block_root = optional.map(|_| word),
        20 => header.requests_hash = optional.map(|_| word),
        _ => header.gas_limit = header.gas_limit.wrapping_add(value % 4096).wrapping_sub(2048),
    }
}

fuzz_target!(|data: &[u8]| {
    let (chain, next) = &*WORLD;
    let before = chain.head().id;
    let _ = chain.import_stream(&mut &*data, &mut |_| true);
    if chain.import_rlp(data).is_err() {
        assert_eq!(chain.head().id, before);
    }
    let mut block = next.clone();
    for bytes in data.chunks_exact(9) {
        change(&mut block.header, bytes[0], u64::from_be_bytes(bytes[1..].try_into().expect("8 bytes")));
    }
    // All that an import checks, and nothing of it is kept: some changes leave a block that is right.
    let right = block == *next;
    assert!(chain.replay(block, chain.executor()).is_ok() || !right);
});

//! Seals against the public vectors, and around the border of what is work enough.

use serde_json::Value;
use types::{Bytes, primitives::hex};

use super::*;
use crate::fixtures;

#[test]
fn caches_mixes_and_results_are_those_of_the_public_vectors() {
    let Some(fixtures) = fixtures::Fixtures::find() else { return };
    let tests: Value = serde_json::from_slice(&fixtures.file("primitives", "PoWTests/ethash_tests.json")).unwrap();
    let cases = tests.as_object().unwrap();
    assert!(cases.len() >= 2);
    let ethash = Ethash::default();
    for (name, case) in cases {
        let text = |key: &str| case[key].as_str().unwrap();
        let header: Header = alloy_rlp::decode_exact(text("header").parse::<Bytes>().unwrap()).unwrap();
        let hash = |key: &str| text(key).parse::<B256>().unwrap();
        assert_eq!(hex::encode(header.nonce), text("nonce"), "{name}");
        assert_eq!(hash("mixHash"), header.mix_hash, "{name}");
        assert_eq!(seal_hash(&header), hash("header_hash"), "{name}");
        assert_eq!(hash("seed"), B256::ZERO, "{name}: of the first epoch");
        let cache = ethash.cache(header.number / EPOCH_BLOCKS).unwrap();
        assert_eq!(cache.items.len() as u64 * ITEM_BYTES, case["cache_size"].as_u64().unwrap(), "{name}");
        assert_eq!(u64::from(cache.pages) * PAGE_BYTES, case["full_size"].as_u64().unwrap(), "{name}");
        assert_eq!(keccak256(cache.items.iter().flat_map(bytes).collect::<Vec<_>>()), hash("cache_hash"), "{name}");
        assert_eq!(cache.hash(seal_hash(&header), header.nonce), (header.mix_hash, hash("result")), "{name}");
        a_seal_is_good_up_to_its_difficulty(&ethash, header, hash("result"));
    }
}

/// The seal's result is below 2^256, so that for small difficulties it is always work enough.
fn a_seal_is_good_up_to_its_difficulty(ethash: &Ethash, mut header: Header, result: B256) {
    let sealed = seal_hash(&header);
    let cache = ethash.cache(0).unwrap();
    let result = U256::from_be_bytes(result.0);
    let hardest = U256::MAX / result;
    assert!(most(hardest) >= result && most(hardest + U256::ONE) < result);

    // Another difficulty is another header with another result, so a nonce is looked for as a miner would.
    header.difficulty = U256::from(2);
    header.nonce = (0u64..)
        .map(|nonce| B64::from(nonce.to_be_bytes()))
        .find(|nonce| {
            let (mix, result) = cache.hash(seal_hash(&header), *nonce);
            header.mix_hash = mix;
            U256::from_be_bytes(result.0) <= most(header.difficulty)
        })
        .unwrap();
    assert_ne!(seal_hash(&header), sealed);
    assert!(ethash.verify(&header).is_ok());

    let field = |header: &Header| match ethash.verify(header) {
        Err(SealError::Mismatch(mismatch)) => mismatch.field,
        _ => panic!("a seal that is none is good"),
    };
    header.mix_hash.0[31] ^= 1;
    assert_eq!(field(&header), Field::MixHash);
    header.mix_hash.0[31] ^= 1;
    header.difficulty = U256::MAX;
    header.mix_hash = cache.hash(seal_hash(&header), header.nonce).0;
    assert_eq!(field(&header), Field::Nonce);
}

#[test]
fn the_work_that_is_enough_is_two_to_the_256_over_the_difficulty() {
    for (difficulty, expected) in [
        (0, U256::MAX),
        (1, U256::MAX),
        (2, U256::ONE << 255),
        (3, U256::MAX / U256::from(3)),
        (131_072, U256::ONE << 239),
        (131_073, U256::MAX / U256::from(131_073)),
    ] {
        assert_eq!(most(U256::from(difficulty)), expected, "{difficulty}");
    }
    assert_eq!(most(U256::MAX), U256::ONE);
}

#[test]
fn caches_and_datasets_grow_by_primes() {
    // Epochs 0, 1 and 2,047, from the tables that other clients carry.
    let bytes = |(bytes, growth), unit, epoch| units((bytes, growth), unit, epoch) * unit;
    assert_eq!([0, 1].map(|epoch| bytes(CACHE_BYTES, ITEM_BYTES, epoch)), [16_776_896, 16_907_456]);
    assert_eq!([0, 1].map(|epoch| bytes(DATASET_BYTES, PAGE_BYTES, epoch)), [1_073_739_904, 1_082_130_304]);
    assert_eq!(bytes(CACHE_BYTES, ITEM_BYTES, 2_047), 285_081_536);
    assert_eq!(bytes(DATASET_BYTES, PAGE_BYTES, 2_047), 18_245_220_736);
    assert!([3, 5, 7, 11, 262_139].into_iter().all(is_prime) && ![9, 15, 25, 262_141].into_iter().any(is_prime));
}

#[test]
fn a_height_that_nobody_mined_is_refused_before_any_memory_is_taken() {
    let header = Header { number: EPOCHS_MAX * EPOCH_BLOCKS, difficulty: U256::ONE, ..Header::default() };
    let Err(SealError::Mismatch(mismatch)) = Ethash::default().verify(&header) else { panic!("it was verified") };
    assert_eq!(mismatch.to_string(), "number is 61440000, expected at most 61439999 where seals are verified");
}

#[test]
fn making_a_cache_can_be_given_up() {
    let stop = Stop::new();
    stop.ask();
    assert!(stop.within(|| Ethash::default().cache(0)).is_err());
}

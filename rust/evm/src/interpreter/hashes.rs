//! Hashes of two words, remembered: where a mapping keeps its entries.
//!
//! A contract that reads an entry and then writes it hashes the same 64 bytes twice in a row, and hashing is a quarter
//! of what a token's transfer costs. Each thread remembers the last inputs, by place: whoever comes to a taken place
//! takes it. An input is compared whole, so the answer is always the hash; the gas is charged before.

use std::cell::RefCell;

use types::{B256, keccak256};

/// Inputs that are remembered: 24 KiB a thread.
const PLACES: usize = 256;

/// Two words, as memory holds them.
type Words = [u8; 64];

/// Keccak-256 of 64 zeros: what an untouched place remembers.
const OF_ZEROS: B256 = alloy_primitives::b256!("ad3228b676f7d3cd4284a5443f17f1962b36e491b30a40b2405849e597ba5fb5");

thread_local! {
    static REMEMBERED: RefCell<[(Words, B256); PLACES]> = const { RefCell::new([([0; 64], OF_ZEROS); PLACES]) };
}

/// Where a mapping's entry is remembered: by the low ends of its key and of the mapping's slot, which differ most.
#[inline]
fn place(words: &Words) -> usize {
    let low = |end: usize| u64::from_le_bytes(words[end - 8..end].try_into().expect("eight bytes"));
    // The golden ratio's bits spread neighbours apart.
    let mixed = (low(32) ^ low(64).rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 56) as usize % PLACES
}

/// Keccak-256 of the two words.
#[inline]
pub(crate) fn of_two_words(words: &Words) -> B256 {
    REMEMBERED.with_borrow_mut(|remembered| {
        let (input, hash) = &mut remembered[place(words)];
        if input != words {
            *input = *words;
            *hash = keccak256(words);
        }
        *hash
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_is_the_hash_whoever_had_the_place_before() {
        let words = |seed: u64| {
            let mut words = [0; 64];
            words[24..32].copy_from_slice(&(seed % 700).to_be_bytes());
            words[56..].copy_from_slice(&(seed % 3).to_be_bytes());
            words
        };
        // More inputs than places, each several times.
        for seed in 0..5_000 {
            let words = words(seed);
            assert_eq!(of_two_words(&words), keccak256(words), "{seed}");
            assert_eq!(of_two_words(&words), keccak256(words), "{seed}");
        }
        assert_eq!(OF_ZEROS, keccak256([0; 64]));
    }

    #[test]
    fn entries_of_one_mapping_spread_over_the_places() {
        let mut taken = [0; PLACES];
        for key in 0_u64..1_024 {
            let mut words = [0; 64];
            words[24..32].copy_from_slice(&key.to_be_bytes());
            taken[place(&words)] += 1;
        }
        assert!(taken.iter().all(|count| *count < 32), "{taken:?}");
    }
}

//! Ethash: the seals of proof of work, verified from a cache that an epoch's number gives.
//!
//! Whoever mines holds a dataset of gigabytes; whoever verifies computes the 128 items of it that a seal depends on, each
//! from 256 items of the cache. A cache takes 16 MiB at first and grows with the epochs; it is made in some tenths of a
//! second and kept for the blocks of its epoch. Seals are not searched for here: blocks made by this chain bear none.

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
};

use lru::LruCache;
use sha3::{Digest, Keccak512};
use state::{Stop, Stopped};
use types::{B64, B256, Header, U256, keccak256};

use crate::header::{Field, Mismatch, require, same};

/// Blocks that share a cache.
const EPOCH_BLOCKS: u64 = 30_000;

/// Nobody mined beyond: proof of work ended in epoch 517. A cache of the last of these takes 272 MiB.
const EPOCHS_MAX: u64 = 2_048;

/// Two, because the blocks and ommers on both sides of an epoch's border come mixed.
const CACHES_MAX: NonZeroUsize = NonZeroUsize::new(2).unwrap();

/// Bytes of the first epoch's cache and dataset, nearly, and by how much each epoch adds.
const CACHE_BYTES: (u64, u64) = (1 << 24, 1 << 17);
const DATASET_BYTES: (u64, u64) = (1 << 30, 1 << 23);

/// How often a cache is mixed after it was filled.
const CACHE_ROUNDS: usize = 3;

/// Items of the cache behind an item of the dataset.
const PARENTS: u32 = 256;

/// Pages of the dataset that a seal depends on, of two items each.
const ACCESSES: u32 = 64;

/// Words of an item, of 32 bits each.
const WORDS: usize = 16;
const ITEM_BYTES: u64 = 4 * WORDS as u64;
const PAGE_BYTES: u64 = 2 * ITEM_BYTES;

type Item = [u32; WORDS];

/// Verifies seals, and keeps the caches that it needs for that. Several chains can share one.
pub struct Ethash {
    caches: Mutex<LruCache<u64, Arc<Cache>>>,
}

impl Default for Ethash {
    fn default() -> Self {
        Self { caches: Mutex::new(LruCache::new(CACHES_MAX)) }
    }
}

impl std::fmt::Debug for Ethash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ethash").finish_non_exhaustive()
    }
}

/// Why a seal was not found good.
pub(crate) enum SealError {
    /// It is none.
    Mismatch(Mismatch),
    /// Nobody waits for the answer any more.
    Stopped(Stopped),
}

impl From<Mismatch> for SealError {
    fn from(mismatch: Mismatch) -> Self {
        Self::Mismatch(mismatch)
    }
}

impl Ethash {
    /// Checks that the header's mix follows from its nonce, and that the work was as hard as the difficulty says.
    pub(crate) fn verify(&self, header: &Header) -> Result<(), SealError> {
        let last = EPOCHS_MAX * EPOCH_BLOCKS - 1;
        let known = format_args!("at most {last} where seals are verified");
        require(Field::Number, header.number <= last, known, header.number)?;
        let cache = self.cache(header.number / EPOCH_BLOCKS).map_err(SealError::Stopped)?;
        let (mix, result) = cache.hash(seal_hash(header), header.nonce);
        same(Field::MixHash, mix, header.mix_hash)?;
        let most = most(header.difficulty);
        let result = U256::from_be_bytes(result.0);
        Ok(require(
            Field::Nonce,
            result <= most,
            format_args!("one whose work is at most {most:#x}"),
            format_args!("{} with {result:#x}", header.nonce),
        )?)
    }

    fn cache(&self, epoch: u64) -> Result<Arc<Cache>, Stopped> {
        // Held while a cache is made: whoever else needs it waits rather than make it, too.
        let mut caches = self.caches.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cache) = caches.get(&epoch) {
            return Ok(Arc::clone(cache));
        }
        let cache = Arc::new(Cache::of(epoch)?);
        caches.put(epoch, Arc::clone(&cache));
        Ok(cache)
    }
}

/// The whole part of 2^256 divided by the difficulty: the largest result that is work enough.
fn most(difficulty: U256) -> U256 {
    if difficulty <= U256::ONE {
        return U256::MAX;
    }
    // 2^256 itself has one bit too many.
    difficulty.wrapping_neg() / difficulty + U256::ONE
}

/// What is sealed: the header without its seal.
fn seal_hash(header: &Header) -> B256 {
    let mut fields = Vec::with_capacity(600);
    let out: &mut dyn alloy_rlp::BufMut = &mut fields;
    let encoded: [&dyn alloy_rlp::Encodable; 13] = [
        &header.parent_hash,
        &header.ommers_hash,
        &header.beneficiary,
        &header.state_root,
        &header.transactions_root,
        &header.receipts_root,
        &header.logs_bloom,
        &header.difficulty,
        &header.number,
        &header.gas_limit,
        &header.gas_used,
        &header.timestamp,
        &header.extra_data,
    ];
    encoded.iter().for_each(|field| field.encode(out));
    if let Some(fee) = &header.base_fee_per_gas {
        alloy_rlp::Encodable::encode(fee, out);
    }
    let mut list = Vec::with_capacity(fields.len() + 4);
    alloy_rlp::Header { list: true, payload_length: fields.len() }.encode(&mut list);
    list.extend_from_slice(&fields);
    keccak256(list)
}

/// What the items of an epoch's dataset follow from.
struct Cache {
    items: Vec<Item>,
    /// Pages of the dataset.
    pages: u32,
}

impl Cache {
    fn of(epoch: u64) -> Result<Self, Stopped> {
        let (items, pages) = (units(CACHE_BYTES, ITEM_BYTES, epoch), units(DATASET_BYTES, PAGE_BYTES, epoch));
        let seed = (0..epoch).fold(B256::ZERO, |seed, _| keccak256(seed));
        let mut filled = Vec::with_capacity(items as usize);
        filled.push(keccak512(seed.as_slice()));
        for index in 1..items as usize {
            filled.push(keccak512_of(&filled[index - 1]));
        }
        for _ in 0..CACHE_ROUNDS {
            Stop::check_current()?;
            for index in 0..filled.len() {
                let before = &filled[index.checked_sub(1).unwrap_or(filled.len() - 1)];
                let other = &filled[filled[index][0] as usize % filled.len()];
                filled[index] = keccak512_of(&std::array::from_fn(|word| before[word] ^ other[word]));
            }
        }
        Ok(Self { items: filled, pages: u32::try_from(pages).expect("there are few epochs") })
    }

    /// An item of the dataset.
    fn item(&self, index: u32) -> Item {
        let mut mix = self.items[index as usize % self.items.len()];
        mix[0] ^= index;
        mix = keccak512_of(&mix);
        for parent in 0..PARENTS {
            let from = fnv(index ^ parent, mix[parent as usize % WORDS]);
            let other = &self.items[from as usize % self.items.len()];
            mix.iter_mut().zip(other).for_each(|(word, other)| *word = fnv(*word, *other));
        }
        keccak512_of(&mix)
    }

    /// The mix and the result for what is sealed and a nonce.
    fn hash(&self, sealed: B256, nonce: B64) -> (B256, B256) {
        let mut seed = [0; 40];
        seed[..32].copy_from_slice(sealed.as_slice());
        seed[32..].copy_from_slice(nonce.as_slice());
        seed[32..].reverse();
        let seed = keccak512(&seed);
        let mut mix: [u32; 2 * WORDS] = std::array::from_fn(|word| seed[word % WORDS]);
        for access in 0..ACCESSES {
            let page = fnv(access ^ seed[0], mix[access as usize % mix.len()]) % self.pages;
            for (half, index) in mix.chunks_exact_mut(WORDS).zip(2 * page..) {
                half.iter_mut().zip(self.item(index)).for_each(|(word, other)| *word = fnv(*word, other));
            }
        }
        let mut compressed = B256::ZERO;
        for (bytes, words) in compressed.chunks_exact_mut(4).zip(mix.chunks_exact(4)) {
            let word = words[1..].iter().fold(words[0], |word, next| fnv(word, *next));
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        let result = keccak256([&bytes(&seed)[..], compressed.as_slice()].concat());
        (compressed, result)
    }
}

/// The largest prime number of units that fits into an epoch's bytes with one to spare.
fn units((bytes, growth): (u64, u64), unit: u64, epoch: u64) -> u64 {
    let mut units = (bytes + growth * epoch) / unit - 1;
    while !is_prime(units) {
        units -= 2;
    }
    units
}

/// Whether an odd number above 2 is prime.
fn is_prime(number: u64) -> bool {
    (3..).step_by(2).take_while(|divisor| divisor * divisor <= number).all(|divisor| !number.is_multiple_of(divisor))
}

/// Mixes two words; the hash of Fowler, Noll and Vo was its model.
fn fnv(one: u32, other: u32) -> u32 {
    one.wrapping_mul(0x0100_0193) ^ other
}

fn keccak512(bytes: &[u8]) -> Item {
    let digest = Keccak512::digest(bytes);
    std::array::from_fn(|word| u32::from_le_bytes(digest[4 * word..4 * word + 4].try_into().expect("4 bytes")))
}

fn keccak512_of(item: &Item) -> Item {
    keccak512(&bytes(item))
}

fn bytes(item: &Item) -> [u8; ITEM_BYTES as usize] {
    let mut bytes = [0; ITEM_BYTES as usize];
    for (bytes, word) in bytes.chunks_exact_mut(4).zip(item) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests;

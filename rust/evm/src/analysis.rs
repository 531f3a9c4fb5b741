//! What is known of a bytecode before it runs.

use std::{
    cell::RefCell,
    sync::{
        Arc, OnceLock, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use alloy_primitives::map::B256HashMap;
use types::{B256, Bytes};

use crate::{
    interpreter::{Instructions, blocks::Program},
    spec::{
        Custom,
        opcodes::{JUMPDEST, OPCODES},
    },
};

/// A bytecode, with what is known of it. A clone shares the latter: each thread counts references to a clone of its own,
/// lest all of them write where all of them read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Code {
    pub(crate) bytes: Bytes,
    known: Arc<Known>,
}

#[derive(Debug, Default)]
struct Known {
    /// The places that a jump may go to: one bit per byte.
    jump_targets: Box<[u64]>,
    has_run: AtomicBool,
    program: OnceLock<Program>,
}

impl Code {
    /// No bytes. Each thread has its own, lest they all count in one place.
    pub(crate) fn none() -> Arc<Self> {
        thread_local! {
            static NONE: Arc<Code> = Arc::default();
        }
        NONE.with(Arc::clone)
    }

    pub(crate) fn new(bytes: Bytes) -> Self {
        let mut jump_targets = vec![0u64; bytes.len().div_ceil(64)].into_boxed_slice();
        let mut pc = 0;
        while pc < bytes.len() {
            let byte = bytes[pc];
            if byte == JUMPDEST {
                jump_targets[pc / 64] |= 1 << (pc % 64);
            }
            pc += 1 + immediate(byte);
        }
        Self { bytes, known: Arc::new(Known { jump_targets, ..Known::default() }) }
    }

    /// Lays out the steps, when the code runs for the second time: whoever runs once isn't worth it. Whether there are
    /// any now; a chain that is not of consensus has none. The instructions must be the same each time.
    pub(crate) fn analyse(&self, instructions: &Instructions) -> bool {
        if !instructions.custom().is_none_or(Custom::is_consensus) {
            return false;
        }
        if self.program().is_some() {
            return true;
        }
        let again = self.known.has_run.swap(true, Ordering::Relaxed);
        if again {
            self.known.program.get_or_init(|| Program::new(self, instructions));
        }
        again
    }

    /// The steps.
    #[inline]
    pub(crate) fn program(&self) -> Option<&Program> {
        self.known.program.get()
    }

    /// Whether a jump may go there: a JUMPDEST that is no other opcode's immediate.
    #[inline]
    pub(crate) fn is_jump_target(&self, pc: usize) -> bool {
        self.known.jump_targets.get(pc / 64).is_some_and(|bits| bits >> (pc % 64) & 1 == 1)
    }
}

/// Bytes behind the opcode that belong to it, whatever the fork: only PUSH1 to PUSH32 have any.
#[inline]
pub(crate) fn immediate(byte: u8) -> usize {
    OPCODES[byte as usize].map_or(0, |opcode| opcode.immediate as usize)
}

/// Bytes of code kept, over all shards: some 170 contracts of the largest size, some thousands of the usual. Laid out
/// as steps they take up to sixteen times that.
const CACHE_LIMIT: usize = 8 << 20;

const SHARDS: usize = 16;

/// Analysed code by its hash, shared between threads and bounded: a shard that is full starts anew. Before it lies what
/// a thread asked for last, which takes no lock: calls go to few contracts.
#[derive(Debug)]
pub(crate) struct CodeCache {
    /// No other cache's; a code's steps are those of one cache's instructions.
    number: u64,
    shards: [RwLock<Shard>; SHARDS],
}

impl Default for CodeCache {
    fn default() -> Self {
        static CACHES: AtomicU64 = AtomicU64::new(0);
        Self { number: CACHES.fetch_add(1, Ordering::Relaxed), shards: Default::default() }
    }
}

/// Codes that each thread has at hand: few enough to hold on to, whatever became of their cache.
const RECENT: usize = 32;

/// Of which cache, by which hash; the thread's own clone.
type Recent = Option<(u64, B256, Arc<Code>)>;

thread_local! {
    /// By the hash's last byte.
    static LAST_ASKED: RefCell<[Recent; RECENT]> = const { RefCell::new([const { None }; RECENT]) };
}

#[derive(Debug, Default)]
struct Shard {
    codes: B256HashMap<Code>,
    size: usize,
}

impl CodeCache {
    /// The code with this hash, fetched and analysed if it is not at hand.
    pub(crate) fn get<E>(&self, hash: B256, fetch: impl FnOnce() -> Result<Bytes, E>) -> Result<Arc<Code>, E> {
        LAST_ASKED.with(|recent| {
            // Fetching runs code of others, which may ask, too.
            let place = hash[31] as usize % RECENT;
            if let Some((number, held, code)) = &recent.borrow()[place]
                && (*number, held) == (self.number, &hash)
            {
                return Ok(code.clone());
            }
            let code = Arc::new(self.get_shared(hash, fetch)?);
            recent.borrow_mut()[place] = Some((self.number, hash, code.clone()));
            Ok(code)
        })
    }

    fn get_shared<E>(&self, hash: B256, fetch: impl FnOnce() -> Result<Bytes, E>) -> Result<Code, E> {
        let shard = &self.shards[hash[31] as usize % SHARDS];
        if let Some(code) = shard.read().unwrap_or_else(PoisonError::into_inner).codes.get(&hash) {
            return Ok(code.clone());
        }
        let code = Code::new(fetch()?);
        let mut shard = shard.write().unwrap_or_else(PoisonError::into_inner);
        shard.size += code.bytes.len();
        if shard.size > CACHE_LIMIT / SHARDS {
            shard.codes.clear();
            shard.size = code.bytes.len();
        }
        shard.codes.insert(hash, code.clone());
        Ok(code)
    }
}

#[cfg(test)]
mod tests {
    use types::keccak256;

    use super::*;

    fn code(byte: u8) -> (B256, Bytes) {
        let bytes = Bytes::from(vec![byte; 3]);
        (keccak256(&bytes), bytes)
    }

    #[test]
    fn code_is_fetched_once_a_cache_whatever_was_asked_for_in_between() {
        let (one, other) = (CodeCache::default(), CodeCache::default());
        for cache in [&one, &other] {
            for round in 0..2 {
                for byte in 0..=255 {
                    let (hash, bytes) = code(byte);
                    let mut fetched = false;
                    let got = cache.get::<()>(hash, || {
                        fetched = true;
                        Ok(bytes.clone())
                    });
                    assert_eq!((got.unwrap().bytes.clone(), fetched), (bytes, round == 0));
                }
            }
        }
        let (hash, _) = code(7);
        let [first, again, others] = [&one, &one, &other].map(|cache| cache.get(hash, || Err(())).unwrap());
        assert!(Arc::ptr_eq(&first, &again), "the same, with what is known of it");
        assert!(!Arc::ptr_eq(&first, &others), "another cache's steps are for other instructions");
    }

    #[test]
    fn what_cannot_be_fetched_is_asked_for_again() {
        let cache = CodeCache::default();
        let (hash, bytes) = code(1);
        assert_eq!(cache.get(hash, || Err("unreadable")).unwrap_err(), "unreadable");
        assert_eq!(cache.get::<()>(hash, || Ok(bytes.clone())).unwrap().bytes, bytes);
    }
}

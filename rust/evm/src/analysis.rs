//! What is known of a bytecode before it runs.

use std::sync::{Arc, PoisonError, RwLock};

use alloy_primitives::map::B256HashMap;
use types::{B256, Bytes};

use crate::spec::opcodes::{JUMPDEST, OPCODES};

/// A bytecode, with the places that a jump may go to.
#[derive(Debug, Default)]
pub(crate) struct Code {
    pub(crate) bytes: Bytes,
    /// One bit per byte.
    jump_targets: Box<[u64]>,
}

impl Code {
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
        Self { bytes, jump_targets }
    }

    /// Whether a jump may go there: a JUMPDEST that is no other opcode's immediate.
    #[inline]
    pub(crate) fn is_jump_target(&self, pc: usize) -> bool {
        self.jump_targets.get(pc / 64).is_some_and(|bits| bits >> (pc % 64) & 1 == 1)
    }
}

/// Bytes behind the opcode that belong to it, whatever the fork: only PUSH1 to PUSH32 have any.
#[inline]
pub(crate) fn immediate(byte: u8) -> usize {
    OPCODES[byte as usize].map_or(0, |opcode| opcode.immediate as usize)
}

/// Bytes of code kept, over all shards.
const CACHE_LIMIT: usize = 64 << 20;

const SHARDS: usize = 16;

/// Analysed code by its hash, shared between threads and bounded: a shard that is full starts anew.
#[derive(Debug, Default)]
pub(crate) struct CodeCache {
    shards: [RwLock<Shard>; SHARDS],
}

#[derive(Debug, Default)]
struct Shard {
    codes: B256HashMap<Arc<Code>>,
    size: usize,
}

impl CodeCache {
    /// The code with this hash, fetched and analysed if it is not at hand.
    pub(crate) fn get<E>(&self, hash: B256, fetch: impl FnOnce() -> Result<Bytes, E>) -> Result<Arc<Code>, E> {
        let shard = &self.shards[hash[31] as usize % SHARDS];
        if let Some(code) = shard.read().unwrap_or_else(PoisonError::into_inner).codes.get(&hash) {
            return Ok(code.clone());
        }
        let code = Arc::new(Code::new(fetch()?));
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

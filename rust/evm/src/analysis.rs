//! What is known of a bytecode before it runs.

use std::sync::{
    Arc, OnceLock, PoisonError, RwLock,
    atomic::{AtomicBool, Ordering},
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

/// A bytecode, with the places that a jump may go to.
#[derive(Debug, Default)]
pub(crate) struct Code {
    pub(crate) bytes: Bytes,
    /// One bit per byte.
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
        Self { bytes, jump_targets, ..Self::default() }
    }

    /// Lays out the steps, when the code runs for the second time: whoever runs once isn't worth it. Whether there are
    /// any now; a chain that is not of consensus has none. The instructions must be the same each time.
    pub(crate) fn analyse(&self, instructions: &Instructions) -> bool {
        if !instructions.custom().is_none_or(Custom::is_consensus) {
            return false;
        }
        if self.program.get().is_some() {
            return true;
        }
        let again = self.has_run.swap(true, Ordering::Relaxed);
        if again {
            self.program.get_or_init(|| Program::new(self, instructions));
        }
        again
    }

    /// The steps.
    #[inline]
    pub(crate) fn program(&self) -> Option<&Program> {
        self.program.get()
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

/// Bytes of code kept, over all shards: some 170 contracts of the largest size, some thousands of the usual. Laid out
/// as steps they take up to sixteen times that.
const CACHE_LIMIT: usize = 8 << 20;

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

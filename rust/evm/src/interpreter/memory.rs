//! The memory of a frame: bytes that spring up zero, a word at a time, and are paid for before they do.

use types::U256;

use super::{Exit, HaltReason};

/// No gas that a block could hold pays for more; whoever is given more gas than that still halts here.
pub(crate) const MEMORY_LIMIT: usize = 1 << 32;

#[derive(Clone, Debug, Default)]
pub(crate) struct Memory {
    bytes: Vec<u8>,
    /// Gas paid for this size.
    paid: u64,
}

impl Memory {
    /// Empty again, at the beginning of the price list.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.paid = 0;
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Makes `offset..offset + length` readable, paying for growth, and answers where it begins. Nothing of length
    /// zero grows anything, wherever it is said to be.
    #[inline(always)]
    pub(crate) fn reach(&mut self, gas: &mut u64, price: u64, offset: U256, length: usize) -> Result<usize, Exit> {
        if length == 0 {
            return Ok(0);
        }
        let [low, 0, 0, 0] = *offset.as_limbs() else {
            return Err(HaltReason::OutOfGas.into());
        };
        match usize::try_from(low).ok().and_then(|offset| offset.checked_add(length)) {
            Some(end) if end <= self.bytes.len() => Ok(low as usize),
            Some(end) => {
                self.grow(gas, price, end)?;
                Ok(low as usize)
            }
            None => Err(HaltReason::OutOfGas.into()),
        }
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, gas: &mut u64, price: u64, end: usize) -> Result<(), Exit> {
        if end > MEMORY_LIMIT {
            return Err(HaltReason::OutOfGas.into());
        }
        let words = end.div_ceil(32) as u64;
        let total = price * words + words * words / 512;
        let more = total - self.paid;
        *gas = gas.checked_sub(more).ok_or(HaltReason::OutOfGas)?;
        self.paid = total;
        let size = words as usize * 32;
        if self.bytes.capacity() < size {
            // Doubling, for loops that grow word by word; a request that the machine cannot serve is a halt.
            let more = size.max(self.bytes.capacity() * 2).max(4_096) - self.bytes.len();
            self.bytes.try_reserve_exact(more).map_err(|_| HaltReason::OutOfGas)?;
        }
        self.bytes.resize(size, 0);
        Ok(())
    }

    #[inline(always)]
    pub(crate) fn word(&self, offset: usize) -> U256 {
        let bytes: &[u8; 32] = self.bytes[offset..offset + 32].try_into().expect("32 bytes");
        U256::from_be_bytes(*bytes)
    }

    #[inline(always)]
    pub(crate) fn set_word(&mut self, offset: usize, word: U256) {
        self.bytes[offset..offset + 32].copy_from_slice(&word.to_be_bytes::<32>());
    }

    #[inline(always)]
    pub(crate) fn set_byte(&mut self, offset: usize, byte: u8) {
        self.bytes[offset] = byte;
    }

    /// Bytes within what was reached before; nothing for length zero.
    #[inline]
    pub(crate) fn slice(&self, offset: usize, length: usize) -> &[u8] {
        if length == 0 { &[] } else { &self.bytes[offset..offset + length] }
    }

    /// Writes `length` bytes at `offset` from `source` at `from`; beyond its end there are zeros.
    pub(crate) fn copy_padded(&mut self, offset: usize, source: &[u8], from: U256, length: usize) {
        if length == 0 {
            return;
        }
        let from = usize::try_from(from).map_or(source.len(), |from| from.min(source.len()));
        let available = (source.len() - from).min(length);
        let target = &mut self.bytes[offset..offset + length];
        target[..available].copy_from_slice(&source[from..from + available]);
        target[available..].fill(0);
    }

    pub(crate) fn copy_within(&mut self, to: usize, from: usize, length: usize) {
        if length != 0 {
            self.bytes.copy_within(from..from + length, to);
        }
    }
}

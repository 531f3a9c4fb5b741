//! The stack of a frame: up to 1,024 words.
//!
//! Bounds are the loop's business: it checks an opcode's row (or a whole block's) before anything runs. Here indices
//! are masked, so that a wrong row could give a wrong word but never touch foreign memory, and costs no branch.

use types::U256;

/// Words that fit.
pub(crate) const STACK_LIMIT: usize = 1_024;

const MASK: usize = STACK_LIMIT - 1;

#[derive(Clone, Debug)]
pub(crate) struct Stack {
    words: Box<[U256; STACK_LIMIT]>,
    length: usize,
}

impl Stack {
    pub(crate) fn new() -> Self {
        let words = vec![U256::ZERO; STACK_LIMIT].into_boxed_slice();
        Self { words: words.try_into().expect("that many words"), length: 0 }
    }

    /// Empty again; the words stay where they are, unseen.
    pub(crate) fn clear(&mut self) {
        self.length = 0;
    }

    #[inline(always)]
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// Takes the height from whoever carried it in a register.
    #[inline(always)]
    pub(crate) fn set_len(&mut self, length: usize) {
        self.length = length;
    }

    #[inline(always)]
    pub(crate) fn push(&mut self, word: U256) {
        self.words[self.length & MASK] = word;
        self.length += 1;
    }

    #[inline(always)]
    pub(crate) fn pop(&mut self) -> U256 {
        self.length = self.length.wrapping_sub(1);
        copy(&self.words[self.length & MASK])
    }

    /// The first `N` words from the top, taken.
    #[inline(always)]
    pub(crate) fn take<const N: usize>(&mut self) -> [U256; N] {
        std::array::from_fn(|_| self.pop())
    }

    /// The word at this depth; 0 is the top.
    #[inline(always)]
    pub(crate) fn at(&mut self, depth: usize) -> &mut U256 {
        &mut self.words[self.length.wrapping_sub(1 + depth) & MASK]
    }

    #[inline(always)]
    pub(crate) fn top(&mut self) -> &mut U256 {
        self.at(0)
    }

    /// Puts in the place of the top what `of` makes of it.
    #[inline(always)]
    pub(crate) fn change(&mut self, of: impl FnOnce(U256) -> U256) {
        let top = self.top();
        *top = of(copy(top));
    }

    /// Takes the first `N` words from the top and leaves the one below them to become what comes of all, where they
    /// stand: bottom to top.
    #[inline(always)]
    pub(crate) fn fold<const N: usize>(&mut self, into: impl FnOnce(&[U256; N], &mut U256)) {
        self.length = self.length.wrapping_sub(N);
        let (below, taken) = self.words.split_at_mut(self.length & MASK);
        if let (Some(result), Some(taken)) = (below.last_mut(), taken.first_chunk()) {
            into(taken, result);
        }
    }

    /// A copy of the word at this depth on top.
    #[inline(always)]
    pub(crate) fn dup(&mut self, depth: usize) {
        self.push(copy(&self.words[self.length.wrapping_sub(1 + depth) & MASK]));
    }

    /// Bottom to top.
    pub(crate) fn words(&self) -> &[U256] {
        &self.words[..self.length]
    }

    /// Exchanges the top with the word at this depth.
    #[inline(always)]
    pub(crate) fn swap(&mut self, depth: usize) {
        let top = self.length.wrapping_sub(1);
        let below = top.wrapping_sub(depth);
        let (first, second) = (copy(&self.words[top & MASK]), copy(&self.words[below & MASK]));
        self.words[top & MASK] = second;
        self.words[below & MASK] = first;
    }
}

/// Reads a word limb by limb, as arithmetic writes it. Two 16-byte loads, which the compiler would make of a copy, wait
/// until four 8-byte stores have left for the cache: some 5 ns where this takes none.
#[inline(always)]
#[allow(unsafe_code)]
pub(crate) fn copy(word: &U256) -> U256 {
    let limbs = word.as_limbs();
    // SAFETY: a reference is valid to read from; volatile only keeps the four loads apart.
    U256::from_limbs(std::array::from_fn(|index| unsafe { std::ptr::read_volatile(&limbs[index]) }))
}

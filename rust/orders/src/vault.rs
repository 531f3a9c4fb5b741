//! Memory for secrets: pages of their own, never written to swap where the system allows that, overwritten when they go.

use std::mem;

use region::LockGuard;
use zeroize::Zeroize;

/// A page has at least this many bytes, and is a multiple of them, wherever we run.
const PAGE_BYTES: usize = 4096;
const SECRET_BYTES: usize = 32;
const SECRETS: usize = PAGE_BYTES / SECRET_BYTES;

#[repr(align(4096))]
struct Page([[u8; SECRET_BYTES]; SECRETS]);

/// One page of secrets. The lock goes before the page does.
struct Locked {
    lock: Option<LockGuard>,
    page: Box<Page>,
    used: usize,
}

impl Locked {
    fn new() -> Self {
        let page = Box::new(Page([[0; SECRET_BYTES]; SECRETS]));
        // The limit on locked memory may be zero; keys work all the same, and `is_locked` tells.
        let lock = region::lock(page.0.as_ptr(), mem::size_of::<Page>()).ok();
        Self { lock, page, used: 0 }
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        self.page.0.iter_mut().for_each(|secret| secret.zeroize());
    }
}

/// Where a secret lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place(usize);

/// Secrets of 32 bytes.
#[derive(Default)]
pub(crate) struct Vault(Vec<Locked>);

impl Vault {
    /// Keeps a secret.
    pub(crate) fn put(&mut self, secret: &[u8; SECRET_BYTES]) -> Place {
        if self.0.last().is_none_or(|page| page.used == SECRETS) {
            self.0.push(Locked::new());
        }
        let index = self.0.len() - 1;
        let page = &mut self.0[index];
        page.page.0[page.used] = *secret;
        page.used += 1;
        Place(index * SECRETS + page.used - 1)
    }

    /// A secret, where it lies.
    pub(crate) fn get(&self, place: Place) -> &[u8; SECRET_BYTES] {
        &self.0[place.0 / SECRETS].page.0[place.0 % SECRETS]
    }

    /// Whether none of it can go to swap.
    pub(crate) fn is_locked(&self) -> bool {
        self.0.iter().all(|page| page.lock.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_lie_on_pages_of_their_own_and_are_found_again() {
        let mut vault = Vault::default();
        let secret = |index: usize| [index as u8; SECRET_BYTES];
        let places: Vec<_> = (0..=2 * SECRETS).map(|index| vault.put(&secret(index))).collect();
        for (index, place) in places.iter().enumerate() {
            assert_eq!(*vault.get(*place), secret(index));
        }
        assert_eq!(vault.0.len(), 3);
        assert_eq!(vault.0[0].page.0.as_ptr() as usize % PAGE_BYTES, 0);
        assert!(vault.is_locked(), "the system grants a few pages to everybody");
    }
}

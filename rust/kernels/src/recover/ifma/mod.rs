//! Recovery by eights with AVX-512's 52-bit multiply-add.
//!
//! What is known when this is entered: the processor has the instructions, which [`recover`] asserts. From there on
//! every function is compiled for them, so that the compiler itself keeps out who must not come in.
//!
//! From the bottom up: [`lanes`] (numbers in vectors), [`field`] and [`scalar`] (arithmetic modulo p and n),
//! [`invert`], [`curve`] (points), [`multiples`] (tables), [`schedule`] (the main loop), [`batch`] (the whole way).

mod batch;
mod curve;
mod field;
mod invert;
mod lanes;
mod multiples;
mod scalar;
mod schedule;
#[cfg(test)]
mod tests;

use std::sync::LazyLock;

use self::multiples::Fixed;
use super::{PublicKey, RecoverError, SignedHash};

/// Whether this processor has all that the kernels use.
pub(super) fn is_available() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512ifma")
}

/// The tables, made at first use; that takes as long as a few signatures.
static FIXED: LazyLock<Fixed> = LazyLock::new(|| {
    assert!(is_available(), "the processor lacks the instructions");
    // SAFETY: the processor has the features that the function is compiled for.
    unsafe { Fixed::new(multiples::start()) }
});

/// Recovers all, into as many `keys`.
///
/// # Panics
/// Where [`is_available`] is false.
pub(super) fn recover(signed: &[SignedHash], keys: &mut [Result<PublicKey, RecoverError>]) {
    assert!(is_available(), "the processor lacks the instructions");
    // SAFETY: the processor has the features that the function is compiled for.
    unsafe { batch::recover(&FIXED, signed, keys) };
}

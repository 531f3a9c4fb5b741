//! One inversion for many residues: products forwards, one inverse, quotients backwards.
//!
//! The eight lanes of the last product are multiplied together by turning them about, so that a single number is left
//! to invert; the extended Euclid for that is ruint's. None of the residues may be zero: a zero would spread to all.

use alloy_primitives::U256;

use super::field::Fe;
use super::lanes::{Lanes, lanes, splat, words};
use super::scalar::Scalar;

/// The field's p.
pub(super) const PRIME: U256 =
    U256::from_limbs([0xffff_fffe_ffff_fc2f, 0xffff_ffff_ffff_ffff, 0xffff_ffff_ffff_ffff, 0xffff_ffff_ffff_ffff]);
/// The group's n.
pub(super) const ORDER: U256 =
    U256::from_limbs([0xbfd2_5e8c_d036_4141, 0xbaae_dce6_af48_a03b, 0xffff_ffff_ffff_fffe, 0xffff_ffff_ffff_ffff]);
/// 2^260 mod n.
const RADIX: U256 = U256::from_limbs([0x02da_1732_fc9b_ebf0, 0x5512_3195_0b75_fc44, 0x0000_0000_0000_0014, 0]);

/// Replaces elements by their inverses.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
pub(super) fn invert_elements(values: &mut [Fe]) {
    let inverse = |value: Fe| {
        let value = lowest(value.to_canonical());
        Fe::from_packed(everywhere(value.inv_mod(PRIME).expect("not zero modulo a prime")))
    };
    invert_all(values, |a, b| a.mul(b).carry(), |a, turn| a.permuted(turn), inverse);
}

/// Replaces scalars r by 2^260 / r: multiplying by that with [`Scalar::mul`] divides by r.
///
/// `Scalar::mul` is the product of a group too, with 2^260 as its one: there r has the inverse 2^520 / r. One factor of
/// 2^260 is left out of the single inversion and so is missing from all.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
pub(super) fn invert_scalars(values: &mut [Scalar]) {
    let inverse = |value: Scalar| {
        let inverse = (lowest(value.to_packed()) % ORDER).inv_mod(ORDER).expect("not zero modulo a prime");
        Scalar::from_packed(everywhere(inverse.mul_mod(RADIX, ORDER)))
    };
    invert_all(values, |a, b| a.mul(b), |a, turn| a.permuted(turn), inverse);
}

#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
#[inline]
fn invert_all<T: Copy>(
    values: &mut [T],
    product: impl Fn(&T, &T) -> T,
    turned: impl Fn(&T, Lanes) -> T,
    inverse: impl Fn(T) -> T,
) {
    let Some((first, rest)) = values.split_first() else { return };
    let mut products = Vec::with_capacity(values.len());
    products.push(*first);
    for value in rest {
        products.push(product(&products[products.len() - 1], value));
    }

    // In each lane: the product of the other seven, and of all eight.
    let one = products[products.len() - 1];
    let by_four = turned(&one, lanes([4, 5, 6, 7, 0, 1, 2, 3]));
    let two = product(&one, &by_four);
    let by_two = turned(&two, lanes([2, 3, 0, 1, 6, 7, 4, 5]));
    let four = product(&two, &by_two);
    let by_one = turned(&four, lanes([1, 0, 3, 2, 5, 4, 7, 6]));
    let others = product(&product(&by_four, &by_two), &by_one);
    let mut quotient = product(&inverse(product(&four, &by_one)), &others);

    for i in (1..values.len()).rev() {
        let value = values[i];
        values[i] = product(&quotient, &products[i - 1]);
        quotient = product(&quotient, &value);
    }
    values[0] = quotient;
}

/// The number in the lowest lane.
fn lowest(packed: [Lanes; 4]) -> U256 {
    U256::from_limbs(packed.map(|word| words(word)[0]))
}

/// A number in all lanes.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn everywhere(value: U256) -> [Lanes; 4] {
    let [a, b, c, d] = *value.as_limbs();
    [splat(a), splat(b), splat(c), splat(d)]
}

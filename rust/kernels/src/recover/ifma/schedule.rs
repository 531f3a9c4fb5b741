//! The main loop: u1 · (−G) + u2 · R for a block of points, all lanes in step.
//!
//! u2 is split in two numbers of 130 bits (times R and λ R) and read in windows of 5 bits, u1 cut in two of 132 bits
//! (times −G and −2^128 G) and read in windows of 11. All digits are odd, so every lane adds at every window: 126
//! positions, 125 doublings, 52 and 24 additions.
//!
//! The sum starts at a point of which nobody knows the logarithm and that is taken off at the end. Without it the sum
//! would begin at infinity and pass through small multiples of R, where additions meet equal points.

use super::curve::{Affine, Jacobian, Wide, each};
use super::field::Fe;
use super::lanes::{Lanes, Row, WIDTH, splat};
use super::multiples::{Fixed, PointRows, elements, generator_rows, odd_multiples_of_block, point_rows};
use super::scalar::{Odd, Scalar};

/// Bits of a digit of u2's halves.
const POINT_WINDOW: usize = 5;
/// Bits of a digit of u1's halves.
const GENERATOR_WINDOW: usize = 11;
/// 26 windows.
const POINT_BITS: usize = 130;
/// 12 windows.
const GENERATOR_BITS: usize = 132;
/// The lowest bit of the highest window: so often the start is doubled.
pub(super) const TOP_BIT: usize = POINT_BITS - POINT_WINDOW;

/// Odd multiples of a point that digits of either sign need.
pub(super) const POINT_ROWS: usize = 1 << (POINT_WINDOW - 1);
/// The same for each of the generator's two bases.
pub(super) const GENERATOR_ROWS: usize = 1 << (GENERATOR_WINDOW - 1);

/// u2 · R − u1 · G for affine points R.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
pub(super) fn combine<const N: usize>(
    fixed: &Fixed,
    [x, y]: &[Wide<N>; 2],
    u1: &[Scalar; N],
    u2: &[Scalar; N],
) -> Jacobian<N> {
    let mut rows: [PointRows; N] = [[Row(splat(0)); WIDTH * POINT_ROWS]; N];
    let scale = odd_multiples_of_block(x, y, &mut rows);
    let mut split = [u2[0].split::<POINT_BITS>(); N];
    let mut cut = [u1[0].cut::<GENERATOR_BITS>(); N];
    for g in 1..N {
        split[g] = u2[g].split::<POINT_BITS>();
        cut[g] = u1[g].cut::<GENERATOR_BITS>();
    }

    let mut sum = brought_to(fixed.start, &scale);
    for bit in (0..=TOP_BIT).rev() {
        if bit < TOP_BIT {
            sum.double();
        }
        if bit % POINT_WINDOW == 0 {
            sum.add(&digits::<N, POINT_WINDOW>(&split, 0, bit, |g, index| point_rows(&rows[g], index)));
            sum.add(&digits::<N, POINT_WINDOW>(&split, 1, bit, |g, index| point_rows(&rows[g], index)).endomorphism());
        }
        if bit % GENERATOR_WINDOW == 0 {
            // The generator's multiples are of the true curve, where the sum's Z is this one.
            let [low, high] = &fixed.generator;
            let z = each!(|g| sum.z[g].mul(&scale[g]).carry());
            let digit = digits::<N, GENERATOR_WINDOW>(&cut, 0, bit, |_, index| generator_rows(low, index));
            let growth = sum.add_scaled(&digit, &z);
            let z = each!(|g| z[g].mul(&growth[g]).carry());
            let digit = digits::<N, GENERATOR_WINDOW>(&cut, 1, bit, |_, index| generator_rows(high, index));
            sum.add_scaled(&digit, &z);
        }
    }
    sum.z = each!(|g| sum.z[g].mul(&scale[g]).carry());
    let (x, y) = elements([fixed.finish; WIDTH]);
    sum.add(&Affine { x: [x; N], y: [y; N], negative: [0; N] });
    sum
}

/// The points that the digits at `bit` stand for.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
#[inline]
fn digits<const N: usize, const WINDOW: usize>(
    odd: &[[Odd; 2]; N],
    half: usize,
    bit: usize,
    rows: impl Fn(usize, Lanes) -> (Fe, Fe),
) -> Affine<N> {
    let zero = [Fe::small(0); N];
    let mut digits = Affine { x: zero, y: zero, negative: [0; N] };
    for (g, odd) in odd.iter().enumerate() {
        let (index, negative) = odd[half].window::<WINDOW>(bit);
        (digits.x[g], digits.y[g]) = rows(g, index);
        digits.negative[g] = negative;
    }
    digits
}

/// A fixed point as it appears on the curve whose Z is `scale`.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn brought_to<const N: usize>(point: Row, scale: &Wide<N>) -> Jacobian<N> {
    let (x, y) = elements([point; WIDTH]);
    let square = each!(|g| scale[g].square().carry());
    let cube = each!(|g| square[g].mul(&scale[g]).carry());
    Jacobian {
        x: each!(|g| x.mul(&square[g]).carry()),
        y: each!(|g| y.mul(&cube[g]).carry()),
        z: each!(|g| Fe::small(1)),
    }
}

//! Odd multiples of points, in rows of 64 bytes from which each lane takes its own.
//!
//! Of the points R of a block: 1 R, 3 R … 31 R, made anew for every block and left on an isomorphic curve, where they
//! all have the same Z and so are affine without any inversion. Of the generator: a table of 128 KiB made once.

use alloy_primitives::keccak256;
use secp256k1::{PublicKey, SECP256K1, Scalar, SecretKey, constants};

use super::curve::{Affine, Jacobian, Wide, each};
use super::field::Fe;
use super::invert::invert_elements;
use super::lanes::{Lanes, Row, WIDTH, from_rows, to_rows, words};
use super::schedule::{GENERATOR_ROWS, POINT_ROWS, TOP_BIT};

/// What never changes.
pub(super) struct Fixed {
    /// Odd multiples of −G and of −2^128 G: the hash enters with a minus sign.
    pub(super) generator: [Box<[Row; GENERATOR_ROWS]>; 2],
    /// Where the sum starts: a point of which nobody knows the logarithm, so that no input can be made to meet it.
    pub(super) start: Row,
    /// What has become of the start at the end, negated.
    pub(super) finish: Row,
}

/// The first point whose x is the hash of a sentence and a counter, with an even y: nothing in it could be chosen.
pub(super) fn start() -> PublicKey {
    (0u8..=255)
        .find_map(|counter| {
            let x = keccak256([b"batched recovery starts here".as_slice(), &[counter]].concat());
            PublicKey::from_slice(&[&[2], x.as_slice()].concat()).ok()
        })
        .expect("half of all x belong to a point")
}

impl Fixed {
    /// Tables with a given start.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub(super) fn new(start: PublicKey) -> Self {
        let one = SecretKey::from_byte_array(constants::ONE).expect("one is a key");
        let minus_generator = PublicKey::from_secret_key(SECP256K1, &one).negate(SECP256K1);
        Self {
            generator: odd_multiples([minus_generator, times_power_of_two(minus_generator, 128)]),
            start: row(&start),
            finish: row(&times_power_of_two(start, TOP_BIT).negate(SECP256K1)),
        }
    }
}

/// The point times 2^exponent.
pub(super) fn times_power_of_two(point: PublicKey, exponent: usize) -> PublicKey {
    let mut power = [0; 32];
    power[31 - exponent / 8] = 1 << (exponent % 8);
    let power = Scalar::from_be_bytes(power).expect("below the order");
    point.mul_tweak(SECP256K1, &power).expect("no multiple of the order")
}

/// 1 P, 3 P, 5 P … of two points: eight at a time, each eight the ones before plus 16 P, one inversion for all.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn odd_multiples(points: [PublicKey; 2]) -> [Box<[Row; GENERATOR_ROWS]>; 2] {
    let zero = [Fe::small(0); 2];
    let mut step = Affine { x: zero, y: zero, negative: [0; 2] };
    let mut sum = Jacobian { x: zero, y: zero, z: [Fe::small(1); 2] };
    for (g, point) in points.into_iter().enumerate() {
        let add = |a: &PublicKey, b: &PublicKey| a.combine(b).expect("not infinity");
        let twice = add(&point, &point);
        let mut multiple = point;
        let first = core::array::from_fn(|_| {
            let this = row(&multiple);
            multiple = add(&multiple, &twice);
            this
        });
        (sum.x[g], sum.y[g]) = elements(first);
        // The ninth odd multiple, 17 P, less P.
        let sixteen = row(&add(&multiple, &point.negate(SECP256K1)));
        (step.x[g], step.y[g]) = elements([sixteen; WIDTH]);
    }
    let mut sums = Vec::with_capacity(2 * GENERATOR_ROWS / WIDTH);
    for _ in 0..GENERATOR_ROWS / WIDTH {
        sums.extend(sum.groups());
        sum.add(&step);
    }
    let mut inverses: Vec<Fe> = sums.iter().map(|sum| sum.z[0]).collect();
    invert_elements(&mut inverses);
    let mut rows = [Vec::with_capacity(GENERATOR_ROWS), Vec::with_capacity(GENERATOR_ROWS)];
    for (i, (sum, inverse)) in sums.iter().zip(&inverses).enumerate() {
        rows[i % 2].extend(sum.over(inverse));
    }
    rows.map(|rows| rows.into_boxed_slice().try_into().unwrap_or_else(|_| unreachable!("as many as counted")))
}

/// The point's coordinates.
fn row(point: &PublicKey) -> Row {
    let bytes = point.serialize_uncompressed();
    let coordinate = |from: usize| bytes[from..from + 32].try_into().expect("32 bytes");
    Row::from_numbers(coordinate(1), coordinate(33))
}

/// Odd multiples of the points of a group, lane by lane.
pub(super) type PointRows = [Row; WIDTH * POINT_ROWS];

/// Makes the odd multiples of affine points and returns the Z that they share: row i of a lane is (2 i + 1) R with its
/// x in units of Z² and its y in units of Z³.
///
/// 2 R is added over and over, in Meloni's way: sum and summand leave with the same Z, so adding needs no Z at all. The
/// factors by which Z grew bring the earlier multiples to the last one's Z afterwards.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
pub(super) fn odd_multiples_of_block<const N: usize>(x: &Wide<N>, y: &Wide<N>, rows: &mut [PointRows; N]) -> Wide<N> {
    // 2 R and R, both with Z = 2 y.
    let b = each!(|g| y[g].square().times::<2>().carry());
    let m = each!(|g| x[g].square().times::<3>().carry());
    let mut xs = [each!(|g| x[g].mul(&b[g]).times::<2>().carry()); POINT_ROWS];
    let mut ys = [each!(|g| b[g].square().times::<2>().carry()); POINT_ROWS];
    let mut x2 = each!(|g| m[g].square().minus(&xs[0][g]).minus(&xs[0][g]).carry());
    let t = each!(|g| xs[0][g].minus(&x2[g]).carry());
    let mut y2 = each!(|g| m[g].mul(&t[g]).minus(&ys[0][g]).carry());

    let mut growth = [x2; POINT_ROWS];
    for i in 1..POINT_ROWS {
        let (x1, y1) = (xs[i - 1], ys[i - 1]);
        let dx = each!(|g| x2[g].minus(&x1[g]).carry());
        let dy = each!(|g| y2[g].minus(&y1[g]).carry());
        let c = each!(|g| dx[g].square().carry());
        growth[i] = dx;
        x2 = each!(|g| x2[g].mul(&c[g]).carry());
        let w = each!(|g| x1[g].mul(&c[g]).carry());
        xs[i] = each!(|g| dy[g].square().minus(&x2[g]).minus(&w[g]).carry());
        let dw = each!(|g| x2[g].minus(&w[g]).carry());
        y2 = each!(|g| y2[g].mul(&dw[g]).carry());
        let t = each!(|g| x2[g].minus(&xs[i][g]).carry());
        ys[i] = each!(|g| dy[g].mul(&t[g]).minus(&y2[g]).carry());
    }

    let mut scale = each!(|g| Fe::small(1));
    for i in (0..POINT_ROWS).rev() {
        let square = each!(|g| scale[g].square().carry());
        let cube = each!(|g| square[g].mul(&scale[g]).carry());
        for g in 0..N {
            let x = xs[i][g].mul(&square[g]).carry().to_packed();
            let y = ys[i][g].mul(&cube[g]).carry().to_packed();
            for (lane, row) in to_rows(x, y).into_iter().enumerate() {
                rows[g][lane * POINT_ROWS + i] = row;
            }
        }
        if i > 0 {
            scale = each!(|g| scale[g].mul(&growth[i][g]).carry());
        }
    }
    each!(|g| scale[g].mul(&y[g]).times::<2>().carry())
}

/// Each lane's row from its own part of the group's table.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
#[inline]
pub(super) fn point_rows(rows: &PointRows, index: Lanes) -> (Fe, Fe) {
    let index = words(index);
    let row = |lane: usize| rows[lane * POINT_ROWS + index[lane] as usize % POINT_ROWS];
    elements([row(0), row(1), row(2), row(3), row(4), row(5), row(6), row(7)])
}

/// Each lane's row from the common table.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
#[inline]
pub(super) fn generator_rows(rows: &[Row; GENERATOR_ROWS], index: Lanes) -> (Fe, Fe) {
    elements(words(index).map(|index| rows[index as usize % GENERATOR_ROWS]))
}

/// The coordinates that eight rows hold.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
#[inline]
pub(super) fn elements(rows: [Row; WIDTH]) -> (Fe, Fe) {
    let (x, y) = from_rows(rows);
    (Fe::from_packed(x), Fe::from_packed(y))
}

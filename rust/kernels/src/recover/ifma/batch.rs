//! The whole way from signatures to keys, in three steps over up to [`CHUNK`] signatures at a time.
//!
//! 1. *Lift*: values out of range are refused, the rest gives an x; those without a y are refused here, so that a
//!    batch of nonsense costs a square root each and no more.
//! 2. *Divide*: u1 = z / r and u2 = s / r with one inversion modulo n for all.
//! 3. *Combine*: u2 · R − u1 · G block by block, then one inversion modulo p for all. Where Z is zero the sum met
//!    equal or opposite points or the key is infinity: the plain way decides these.

use core::arch::x86_64::*;

use super::curve::{Jacobian, Wide, each, square_root};
use super::field::Fe;
use super::invert::{invert_elements, invert_scalars};
use super::lanes::{Row, WIDTH, from_rows, to_rows};
use super::multiples::Fixed;
use super::scalar::Scalar;
use super::schedule::combine;
use crate::recover::{PublicKey, RecoverError, SignedHash, range, single};

/// Signatures that share their inversions; more would only cost memory.
const CHUNK: usize = 256;

/// A signature whose values are in range.
#[derive(Clone, Copy)]
struct Candidate {
    /// Where it stands in the input.
    index: usize,
    /// Whether y is odd.
    odd: bool,
    /// r and s.
    rs: Row,
    /// The hash and the point's x.
    zx: Row,
    /// The point, once lifted.
    point: Row,
}

/// Eight scalars u1 and u2, and the points that they belong to.
struct Group {
    u1: Scalar,
    u2: Scalar,
    x: Fe,
    y: Fe,
}

/// Works through `count` groups, two at a time while there are two: `step::<1 or 2>(…)` from group `at` on. A group
/// alone takes a quarter longer; three or four together are no faster than two.
macro_rules! in_blocks {
    ($count:expr, |$at:ident| $step:ident($($argument:expr),*)) => {{
        let count = $count;
        for $at in (0..count).step_by(2) {
            match count - $at {
                1 => $step::<1>($($argument),*),
                _ => $step::<2>($($argument),*),
            }
        }
    }};
}

/// Recovers all, into as many `keys`, and returns how many were left to the plain way.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
pub(super) fn recover(fixed: &Fixed, signed: &[SignedHash], keys: &mut [Result<PublicKey, RecoverError>]) -> usize {
    let mut undecided = 0;
    for (signed, keys) in signed.chunks(CHUNK).zip(keys.chunks_mut(CHUNK)) {
        let mut candidates = Vec::with_capacity(signed.len());
        for (index, signed) in signed.iter().enumerate() {
            match range::x_of(signed) {
                Ok(x) => candidates.push(candidate(index, signed, &x)),
                Err(error) => keys[index] = Err(error),
            }
        }
        lift_all(&mut candidates, keys);
        let groups = divide_all(&candidates);
        let mut sums = Vec::with_capacity(groups.len());
        in_blocks!(groups.len(), |at| combine_block(fixed, &groups[at..], &mut sums));
        undecided += finish(&sums, &candidates, signed, keys);
    }
    undecided
}

#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn candidate(index: usize, signed: &SignedHash, x: &[u8; 32]) -> Candidate {
    let rs = Row::from_numbers(&signed.r, &signed.s);
    let zx = Row::from_numbers(&signed.hash, x);
    Candidate { index, odd: signed.recovery_id & 1 == 1, rs, zx, point: rs }
}

/// A part of each candidate of a group; where there are fewer than eight, the last one again.
fn rows_of(group: &[Candidate], part: impl Fn(&Candidate) -> Row) -> [Row; WIDTH] {
    core::array::from_fn(|lane| part(&group[lane.min(group.len() - 1)]))
}

/// Finds the points; who has none is refused and leaves the candidates.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn lift_all(candidates: &mut Vec<Candidate>, keys: &mut [Result<PublicKey, RecoverError>]) {
    let mut lifted = Vec::with_capacity(candidates.len());
    in_blocks!(candidates.len().div_ceil(WIDTH), |at| lift_block(&mut candidates[at * WIDTH..], &mut lifted));
    let mut lifted = lifted.into_iter();
    candidates.retain(|candidate| {
        let lifted = lifted.next().unwrap_or(false);
        if !lifted {
            keys[candidate.index] = Err(RecoverError::NoKey);
        }
        lifted
    });
}

/// Lifts the first `N` groups and says of each candidate whether it has a point.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn lift_block<const N: usize>(candidates: &mut [Candidate], lifted: &mut Vec<bool>) {
    let seven = Fe::small(7);
    let mut x: Wide<N> = [seven; N];
    let mut odd = [0; N];
    for (g, group) in candidates.chunks(WIDTH).take(N).enumerate() {
        let (_, packed) = from_rows(rows_of(group, |candidate| candidate.zx));
        x[g] = Fe::from_packed(packed);
        for (lane, candidate) in group.iter().enumerate() {
            odd[g] |= __mmask8::from(candidate.odd) << lane;
        }
    }
    let square = each!(|g| x[g].square().carry());
    let curve = each!(|g| square[g].mul(&x[g]).plus(&seven).carry());
    let root = square_root(&curve);
    for (g, group) in candidates.chunks_mut(WIDTH).take(N).enumerate() {
        let on_curve = root[g].square().minus(&curve[g]).carry().zero_lanes();
        let y = root[g].with_parity(odd[g]);
        let points = to_rows(x[g].to_packed(), y);
        for (lane, candidate) in group.iter_mut().enumerate() {
            candidate.point = points[lane];
            lifted.push(on_curve >> lane & 1 == 1);
        }
    }
}

/// u1 = z / r, u2 = s / r for every group of eight.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn divide_all(candidates: &[Candidate]) -> Vec<Group> {
    let mut inverses: Vec<Scalar> = Vec::with_capacity(candidates.len().div_ceil(WIDTH));
    let mut groups = Vec::with_capacity(inverses.capacity());
    for group in candidates.chunks(WIDTH) {
        let (r, s) = from_rows(rows_of(group, |candidate| candidate.rs));
        let (z, _) = from_rows(rows_of(group, |candidate| candidate.zx));
        let (x, y) = from_rows(rows_of(group, |candidate| candidate.point));
        inverses.push(Scalar::from_packed(r));
        groups.push(Group {
            u1: Scalar::from_packed(z),
            u2: Scalar::from_packed(s),
            x: Fe::from_packed(x),
            y: Fe::from_packed(y),
        });
    }
    invert_scalars(&mut inverses);
    for (group, inverse) in groups.iter_mut().zip(&inverses) {
        group.u1 = group.u1.mul(inverse);
        group.u2 = group.u2.mul(inverse);
    }
    groups
}

#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
#[inline(never)] // Merged into its caller the main loop becomes 4 % slower.
fn combine_block<const N: usize>(fixed: &Fixed, groups: &[Group], sums: &mut Vec<Jacobian<1>>) {
    let x = each!(|g| groups[g].x);
    let y = each!(|g| groups[g].y);
    let mut u1 = [groups[0].u1; N];
    let mut u2 = [groups[0].u2; N];
    for g in 1..N {
        (u1[g], u2[g]) = (groups[g].u1, groups[g].u2);
    }
    sums.extend(combine(fixed, &[x, y], &u1, &u2).groups());
}

/// Divides by Z² and Z³ and writes the keys; returns how many needed the plain way.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn finish(
    sums: &[Jacobian<1>],
    candidates: &[Candidate],
    signed: &[SignedHash],
    keys: &mut [Result<PublicKey, RecoverError>],
) -> usize {
    let one = Fe::small(1);
    let mut infinite = Vec::with_capacity(sums.len());
    let mut undecided = 0;
    let mut inverses = Vec::with_capacity(sums.len());
    for sum in sums {
        let zero = sum.z[0].zero_lanes();
        infinite.push(zero);
        inverses.push(Fe::select(zero, &one, &sum.z[0]));
    }
    invert_elements(&mut inverses);
    for (i, group) in candidates.chunks(WIDTH).enumerate() {
        let rows = sums[i].over(&inverses[i]);
        for ((lane, candidate), row) in group.iter().enumerate().zip(rows) {
            keys[candidate.index] = if infinite[i] >> lane & 1 == 1 {
                undecided += 1;
                single::recover(&signed[candidate.index])
            } else {
                Ok(PublicKey(row.to_bytes()))
            };
        }
    }
    undecided
}

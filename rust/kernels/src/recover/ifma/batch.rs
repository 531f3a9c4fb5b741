//! The whole way from signatures to keys, in three steps over up to [`CHUNK`] signatures at a time.
//!
//! 1. *Lift*: values out of range are refused, the rest gives an x; those without a y are refused here, so that a batch of
//!    nonsense costs a square root each and no more.
//! 2. *Divide*: u1 = z / r and u2 = s / r with one inversion modulo n for all.
//! 3. *Combine*: u2 · R − u1 · G block by block, then one inversion modulo p for all. Where Z is zero the sum met equal or
//!    opposite points or the key is infinity: the plain way decides these.

use core::arch::x86_64::*;

use super::curve::{Jacobian, Wide, each, square_root};
use super::field::Fe;
use super::invert::{invert_elements, invert_scalars};
use super::lanes::{Row, WIDTH, from_rows, lanes, to_rows, words};
use super::multiples::Fixed;
use super::scalar::Scalar;
use super::schedule::combine;
use crate::recover::{PublicKey, RecoverError, SignedHash, range, single};

/// Signatures that share their inversions; more would only cost memory.
const CHUNK: usize = 1024;

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

/// Works through `count` groups in blocks of one to four, as even as may be: `$step::<N>(first group)`.
macro_rules! in_blocks {
    ($count:expr, |$at:ident| $step:ident($($argument:expr),*)) => {{
        let count = $count;
        let mut $at = 0;
        let mut blocks = count.div_ceil(4);
        while blocks > 0 {
            let size = (count - $at).div_ceil(blocks);
            match size {
                1 => $step::<1>($($argument),*),
                2 => $step::<2>($($argument),*),
                3 => $step::<3>($($argument),*),
                _ => $step::<4>($($argument),*),
            }
            $at += size;
            blocks -= 1;
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
    let rs = row(&signed.r, &signed.s);
    Candidate { index, odd: signed.recovery_id & 1 == 1, rs, zx: row(&signed.hash, x), point: rs }
}

/// Two big-endian numbers as a row.
fn row(first: &[u8; 32], second: &[u8; 32]) -> Row {
    let word = |bytes: &[u8; 32], at: usize| u64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
    let [a, b] = [first, second].map(|bytes| [word(bytes, 24), word(bytes, 16), word(bytes, 8), word(bytes, 0)]);
    Row(lanes([a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3]]))
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
fn combine_block<const N: usize>(fixed: &Fixed, groups: &[Group], sums: &mut Vec<Jacobian<1>>) {
    let x = each!(|g| groups[g].x);
    let y = each!(|g| groups[g].y);
    let mut u1 = [groups[0].u1; N];
    let mut u2 = [groups[0].u2; N];
    for g in 1..N {
        (u1[g], u2[g]) = (groups[g].u1, groups[g].u2);
    }
    let sum = combine(fixed, &[x, y], &u1, &u2);
    for g in 0..N {
        sums.push(Jacobian { x: [sum.x[g]], y: [sum.y[g]], z: [sum.z[g]] });
    }
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
        let square = inverses[i].square().carry();
        let cube = square.mul(&inverses[i]).carry();
        let x = sums[i].x[0].mul(&square).carry().to_canonical();
        let y = sums[i].y[0].mul(&cube).carry().to_canonical();
        for ((lane, candidate), row) in group.iter().enumerate().zip(to_rows(x, y)) {
            keys[candidate.index] = if infinite[i] >> lane & 1 == 1 {
                undecided += 1;
                single::recover(&signed[candidate.index])
            } else {
                Ok(key(row))
            };
        }
    }
    undecided
}

/// The row's two numbers, big-endian.
fn key(row: Row) -> PublicKey {
    let mut bytes = [0; 64];
    let words = words(row.0);
    for (i, word) in words[..4].iter().rev().chain(words[4..].iter().rev()).enumerate() {
        bytes[8 * i..8 * i + 8].copy_from_slice(&word.to_be_bytes());
    }
    PublicKey(bytes)
}

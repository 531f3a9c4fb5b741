//! Points of y² = x³ + 7 in Jacobian coordinates (x = X/Z², y = Y/Z³), `N` groups of eight at a time.
//!
//! Every formula works through all groups before its next step: the steps of one group depend on each other, those of
//! the others fill the gaps.
//!
//! Nothing here branches on values. An addition of equal or opposite points gives Z = 0, and Z stays 0 through all that
//! follows: whoever divides by Z at the end sees it.

use core::arch::x86_64::__mmask8;

use super::field::Fe;
use super::lanes::{Row, WIDTH, to_rows};

/// The cube root of one modulo p that λ belongs to: λ (x, y) = (β x, y).
const BETA: [u64; 5] = [0x96c28719501ee, 0x7512f58995c13, 0xc3434e99cf049, 0x7106e64479ea, 0x7ae96a2b657c];

/// One element for each group.
pub(super) type Wide<const N: usize> = [Fe; N];

/// Works an expression out for every group.
macro_rules! each {
    (|$g:ident| $body:expr) => {{
        let mut out = [Fe::small(0); N];
        #[allow(clippy::needless_range_loop)]
        for $g in 0..N {
            out[$g] = $body;
        }
        out
    }};
}
pub(super) use each;

/// Points with their common form; Z = 0 stands for infinity and for "ask somebody else".
#[derive(Clone, Copy)]
pub(super) struct Jacobian<const N: usize> {
    pub(super) x: Wide<N>,
    pub(super) y: Wide<N>,
    pub(super) z: Wide<N>,
}

/// Affine points, each to be subtracted instead of added where its lane is in `negative`.
#[derive(Clone, Copy)]
pub(super) struct Affine<const N: usize> {
    pub(super) x: Wide<N>,
    pub(super) y: Wide<N>,
    pub(super) negative: [__mmask8; N],
}

impl<const N: usize> Affine<N> {
    /// The points times λ.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    pub(super) fn endomorphism(mut self) -> Self {
        let beta = Fe::splat(BETA);
        self.x = each!(|g| self.x[g].mul(&beta).carry());
        self
    }
}

impl<const N: usize> Jacobian<N> {
    /// Three products, three squares, and one of both in one.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    pub(super) fn double(&mut self) {
        // With b = 2 Y²: X' = e² − 2d, Y' = e (d − X') − 2 b², Z' = 2 Y Z for e = 3 X², d = 2 X b.
        let b = each!(|g| self.y[g].square().times::<2>().carry());
        let e = each!(|g| self.x[g].square().times::<3>().carry());
        self.z = each!(|g| self.z[g].mul(&self.y[g]).times::<2>().carry());
        let d = each!(|g| self.x[g].mul(&b[g]).times::<2>().carry());
        self.x = each!(|g| e[g].square().minus(&d[g]).minus(&d[g]).carry());
        let t = each!(|g| self.x[g].minus(&d[g]).carry());
        self.y = each!(|g| b[g].square_columns().doubled().plus(&e[g], &t[g]).fold().negated().carry());
    }

    /// Adds affine points of the same curve.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    pub(super) fn add(&mut self, other: &Affine<N>) {
        let z = self.z;
        self.add_scaled(other, &z);
    }

    /// Adds affine points of the curve on which our points have the third coordinate `z`; Z itself belongs to an
    /// isomorphic curve. Returns the factor by which Z, and so `z`, has grown.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    #[inline]
    pub(super) fn add_scaled(&mut self, other: &Affine<N>, z: &Wide<N>) -> Wide<N> {
        let zz = each!(|g| z[g].square().carry());
        let h = each!(|g| other.x[g].mul(&zz[g]).minus(&self.x[g]).carry());
        let zzz = each!(|g| zz[g].mul(&z[g]).carry());
        let hh = each!(|g| h[g].square().carry());
        let r = each!(|g| other.y[g].mul(&zzz[g]).negated_where(other.negative[g]).minus(&self.y[g]).carry());
        self.z = each!(|g| self.z[g].mul(&h[g]).carry());
        let hhh = each!(|g| hh[g].mul(&h[g]).carry());
        let v = each!(|g| hh[g].mul(&self.x[g]).carry());
        self.x = each!(|g| r[g].square().minus(&hhh[g]).minus(&v[g]).minus(&v[g]).carry());
        let t = each!(|g| self.x[g].minus(&v[g]).carry());
        self.y = each!(|g| r[g].columns(&t[g]).plus(&self.y[g], &hhh[g]).fold().negated().carry());
        h
    }
}

impl<const N: usize> Jacobian<N> {
    /// Each group alone.
    pub(super) fn groups(&self) -> [Jacobian<1>; N] {
        core::array::from_fn(|g| Jacobian { x: [self.x[g]], y: [self.y[g]], z: [self.z[g]] })
    }
}

impl Jacobian<1> {
    /// The affine coordinates of one group, given 1 / Z.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    pub(super) fn over(&self, inverse: &Fe) -> [Row; WIDTH] {
        let square = inverse.square().carry();
        let cube = square.mul(inverse).carry();
        let x = self.x[0].mul(&square).carry().to_canonical();
        let y = self.y[0].mul(&cube).carry().to_canonical();
        to_rows(x, y)
    }
}

/// The square roots that there are: raises to (p + 1) / 4. Whoever asks squares the answer to see whether there is one.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
#[inline]
pub(super) fn square_root<const N: usize>(a: &Wide<N>) -> Wide<N> {
    // (p + 1) / 4 is, from the top: 223 ones, a zero, 22 ones, 0000 11 00.
    let x2 = multiply(&squared(a, 1), a);
    let x3 = multiply(&squared(&x2, 1), a);
    let x6 = multiply(&squared(&x3, 3), &x3);
    let x9 = multiply(&squared(&x6, 3), &x3);
    let x11 = multiply(&squared(&x9, 2), &x2);
    let x22 = multiply(&squared(&x11, 11), &x11);
    let x44 = multiply(&squared(&x22, 22), &x22);
    let x88 = multiply(&squared(&x44, 44), &x44);
    let x176 = multiply(&squared(&x88, 88), &x88);
    let x220 = multiply(&squared(&x176, 44), &x44);
    let x223 = multiply(&squared(&x220, 3), &x3);
    let t = multiply(&squared(&x223, 23), &x22);
    squared(&multiply(&squared(&t, 6), &x2), 2)
}

#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn multiply<const N: usize>(a: &Wide<N>, b: &Wide<N>) -> Wide<N> {
    each!(|g| a[g].mul(&b[g]).carry())
}

/// `a` squared `times` times.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn squared<const N: usize>(a: &Wide<N>, times: usize) -> Wide<N> {
    let mut a = *a;
    for _ in 0..times {
        a = each!(|g| a[g].square().carry());
    }
    a
}

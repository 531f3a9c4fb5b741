//! The arithmetic against big integers, the points against libsecp256k1, and every exceptional meeting of points.

use alloy_primitives::{U256, U512};
use secp256k1::{PublicKey as Point, SECP256K1, SecretKey};

use super::FIXED;
use super::batch;
use super::curve::{Affine, Jacobian, square_root};
use super::field::Fe;
use super::invert::{ORDER, PRIME, invert_elements, invert_scalars};
use super::lanes::{Lanes, MASK_52, Row, WIDTH, lanes, words};
use super::multiples::{Fixed, PointRows, odd_multiples_of_block, times_power_of_two};
use super::scalar::Scalar;
use super::schedule::{POINT_ROWS, TOP_BIT, combine};
use crate::recover::tests::Random;
use crate::recover::{RecoverError, SignedHash, single};

/// Runs a test's body with the instructions, or says why it cannot.
macro_rules! with_vectors {
    ($body:ident) => {
        if super::is_available() {
            // SAFETY: the processor has what the body is compiled for.
            unsafe { $body() }
        } else {
            println!("skipped: the processor lacks the 52-bit multiply-add");
        }
    };
}

fn packed(values: [U256; WIDTH]) -> [Lanes; 4] {
    core::array::from_fn(|word| lanes(values.map(|value| value.as_limbs()[word])))
}

fn unpacked(packed: [Lanes; 4]) -> [U256; WIDTH] {
    core::array::from_fn(|lane| U256::from_limbs(packed.map(|word| words(word)[lane])))
}

fn modulo(value: U512, modulus: U256) -> U256 {
    (value % U512::from(modulus)).to()
}

/// The values of limbs of up to 64 bits.
fn value_of(limbs: [u64; 5]) -> U512 {
    limbs.into_iter().enumerate().fold(U512::ZERO, |sum, (i, limb)| sum + (U512::from(limb) << (52 * i)))
}

/// Numbers near every edge that reduction knows, then random ones.
fn numbers(random: &mut Random, count: usize) -> Vec<U256> {
    let mut numbers = vec![U256::ZERO, U256::MAX, U256::ONE << 255, (U256::ONE << 128) - U256::ONE];
    for edge in [PRIME, ORDER, U256::from((1u64 << 32) + 977), U256::ONE << 208, U256::ONE << 128] {
        numbers.extend((0..3).map(|by| edge - U256::ONE + U256::from(by)));
    }
    while numbers.len() < count {
        numbers.push(U256::from_be_bytes(random.bytes()));
    }
    numbers
}

#[test]
fn field_arithmetic_agrees_with_big_integers() {
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    fn body() {
        let numbers = numbers(&mut Random(11), 64);
        let wide = |value: U256| U512::from(value);
        let p = wide(PRIME);
        for (i, a) in numbers.iter().enumerate() {
            for others in numbers.chunks_exact(WIDTH) {
                let b: [U256; WIDTH] = others.try_into().unwrap();
                // One more operand, another for each pair.
                let c = numbers[(i * 7 + 3) % numbers.len()];
                let [fa, fb, fc] = [[*a; WIDTH], b, [c; WIDTH]].map(|values| Fe::from_packed(packed(values)));
                let check = |what: &str, got: Fe, expected: &dyn Fn(U256) -> U512| {
                    assert_eq!(
                        unpacked(got.to_canonical()),
                        b.map(|b| modulo(expected(b), PRIME)),
                        "{what} of {a}, {b:?}, {c}"
                    );
                };
                let times = |a: U256, b: U256| wide(a.mul_mod(b, PRIME));
                check("product", fa.mul(&fb).carry(), &|b| times(*a, b));
                check("square", fb.square().carry(), &|b| times(b, b));
                check("difference", fa.minus(&fb).carry(), &|b| wide(*a) + p + p - wide(b));
                check("product less two", fa.mul(&fb).minus(&fc).minus(&fb).carry(), &|b| {
                    times(*a, b) + p + p + p + p - wide(c) - wide(b)
                });
                check("product and one", fa.mul(&fb).plus(&fc).carry(), &|b| times(*a, b) + wide(c));
                check("twice", fa.mul(&fb).times::<2>().carry(), &|b| times(*a, b) * U512::from(2));
                check("three times", fb.square().times::<3>().carry(), &|b| times(b, b) * U512::from(3));
                check(
                    "two products, negated",
                    fb.square_columns().doubled().plus(&fa, &fc).fold().negated().carry(),
                    &|b| p * U512::from(3) - times(b, b) * U512::from(2) - times(*a, c),
                );
                check("negated in some lanes", fa.mul(&fb).negated_where(0xff).carry(), &|b| p - times(*a, b));
                check("not negated", fa.mul(&fb).negated_where(0).carry(), &|b| times(*a, b));
                let below = unpacked(fb.to_packed());
                assert_eq!(below.map(|b| modulo(wide(b), PRIME)), b.map(|b| modulo(wide(b), PRIME)));
                let zero =
                    b.iter().enumerate().fold(0, |mask, (lane, b)| mask | u8::from((*b % PRIME).is_zero()) << lane);
                assert_eq!(fb.zero_lanes(), zero);
            }
        }
    }
    with_vectors!(body);
}

#[test]
fn the_largest_limbs_stay_within_their_bounds() {
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    fn body() {
        let limbs = [MASK_52, MASK_52, MASK_52, MASK_52, (1 << 50) - 1];
        let value = value_of(limbs) % U512::from(PRIME);
        let (fe, p) = (Fe::splat(limbs), U512::from(PRIME));
        let square = value * value % p;
        let check =
            |got: Fe, expected: U512| assert_eq!(unpacked(got.to_canonical()), [modulo(expected, PRIME); WIDTH]);
        check(fe.minus(&Fe::small(0)).carry(), value);
        check(Fe::small(0).minus(&fe).minus(&fe).minus(&fe).carry(), (p - value) * U512::from(3));
        check(fe.mul(&fe).times::<3>().plus(&fe).carry(), square * U512::from(3) + value);
        check(fe.square_columns().doubled().plus(&fe, &fe).fold().carry(), square * U512::from(3));
        let negated = fe.square_columns().doubled().plus(&fe, &fe).fold().negated().minus(&fe).minus(&fe).minus(&fe);
        check(negated.carry(), (p - square + p - value) * U512::from(3));
    }
    with_vectors!(body);
}

#[test]
fn square_roots_are_found_where_there_are_any() {
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    fn body() {
        for values in numbers(&mut Random(12), 64).chunks_exact(WIDTH) {
            let values: [U256; WIDTH] = values.try_into().unwrap();
            let fe = Fe::from_packed(packed(values));
            let square = fe.square().carry();
            let [root] = square_root(&[square]);
            assert_eq!(root.square().minus(&square).carry().zero_lanes(), 0xff);
            // −1 has no root modulo p, so of a square's negative there is none either; zero is its own.
            let [root] = square_root(&[Fe::small(0).minus(&square).carry()]);
            let negative = root.square().plus(&square).carry().zero_lanes();
            assert_eq!(negative, square.zero_lanes());
            for odd in [0, 0x5a, 0xff] {
                let chosen = unpacked(fe.with_parity(odd));
                for (lane, chosen) in chosen.into_iter().enumerate() {
                    let value = values[lane] % PRIME;
                    assert!(chosen == value || chosen == PRIME - value || value.is_zero());
                    assert!(value.is_zero() || chosen.bit(0) == (odd >> lane & 1 == 1));
                }
            }
        }
    }
    with_vectors!(body);
}

#[test]
fn scalar_arithmetic_agrees_with_big_integers() {
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    fn body() {
        let numbers = numbers(&mut Random(13), 64);
        let radix = modulo(U512::ONE << 260, ORDER);
        for a in &numbers {
            for others in numbers.chunks_exact(WIDTH) {
                let b: [U256; WIDTH] = others.try_into().unwrap();
                let product = Scalar::from_packed(packed([*a; WIDTH])).mul(&Scalar::from_packed(packed(b)));
                let got = unpacked(product.to_packed()).map(|got| got.mul_mod(radix, ORDER));
                assert_eq!(got, b.map(|b| a.mul_mod(b, ORDER)), "{a} times {b:?}");
            }
        }
    }
    with_vectors!(body);
}

#[test]
fn windows_of_a_scalar_add_up_to_it() {
    /// Σ ± (2 i + 1) 2^bit over the windows of a half, modulo n.
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    fn sums<const WINDOW: usize>(half: &super::scalar::Odd, bits: usize) -> [U256; WIDTH] {
        let mut sums = [U256::ZERO; WIDTH];
        for bit in (0..bits).step_by(WINDOW) {
            let (index, negative) = half.window::<WINDOW>(bit);
            for (lane, index) in words(index).into_iter().enumerate() {
                assert!(index < 1 << (WINDOW - 1));
                let digit = (U256::from(2 * index + 1) << bit) % ORDER;
                let digit = if negative >> lane & 1 == 1 { ORDER - digit } else { digit };
                sums[lane] = sums[lane].add_mod(digit, ORDER);
            }
        }
        sums
    }

    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    fn body() {
        let lambda: U256 = "0x5363ad4cc05c30e0a5261c028812645a122e22ea20816678df02967c1b23bd72".parse().unwrap();
        let mut random = Random(14);
        let mut numbers = numbers(&mut random, 64);
        // Small ones, and multiples of λ: where the halves change sign.
        for i in 0..32u64 {
            let near = U256::from(i) << (i * 6);
            numbers.extend([near, lambda.mul_mod(near, ORDER), ORDER - near, lambda.mul_mod(ORDER - near, ORDER)]);
        }
        for values in numbers.chunks_exact(WIDTH) {
            let values: [U256; WIDTH] = values.try_into().unwrap();
            let scalar = Scalar::from_packed(packed(values));
            let expected = values.map(|value| value % ORDER);
            let [first, second] = scalar.split::<130>();
            let (first, second) = (sums::<5>(&first, 130), sums::<5>(&second, 130));
            let [low, high] = scalar.cut::<132>();
            let (low, high) = (sums::<11>(&low, 132), sums::<11>(&high, 132));
            for lane in 0..WIDTH {
                let split = first[lane].add_mod(second[lane].mul_mod(lambda, ORDER), ORDER);
                assert_eq!(split, expected[lane]);
                let cut = low[lane].add_mod(high[lane].mul_mod(U256::ONE << 128, ORDER), ORDER);
                assert_eq!(cut, expected[lane]);
            }
        }
    }
    with_vectors!(body);
}

#[test]
fn one_inversion_inverts_all() {
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    fn body() {
        let numbers: Vec<U256> = numbers(&mut Random(15), 64)
            .into_iter()
            .map(|n| if n % PRIME * (n % ORDER) == U256::ZERO { U256::ONE } else { n })
            .collect();
        let groups: Vec<[U256; WIDTH]> = numbers.chunks_exact(WIDTH).map(|group| group.try_into().unwrap()).collect();
        for count in 0..groups.len() {
            let groups = &groups[..count];
            let mut elements: Vec<Fe> = groups.iter().map(|group| Fe::from_packed(packed(*group))).collect();
            let mut scalars: Vec<Scalar> = groups.iter().map(|group| Scalar::from_packed(packed(*group))).collect();
            invert_elements(&mut elements);
            invert_scalars(&mut scalars);
            for ((group, element), scalar) in groups.iter().zip(elements).zip(scalars) {
                let inverse = group.map(|value| (value % PRIME).inv_mod(PRIME).unwrap());
                assert_eq!(unpacked(element.to_canonical()), inverse);
                let quotient = Scalar::from_packed(packed([U256::from(3); WIDTH])).mul(&scalar).to_packed();
                let inverse = group.map(|value| (value % ORDER).inv_mod(ORDER).unwrap().mul_mod(U256::from(3), ORDER));
                assert_eq!(unpacked(quotient).map(|quotient| quotient % ORDER), inverse);
            }
        }
    }
    with_vectors!(body);
}

/// A multiple of the generator, the multiplier modulo n and not zero.
fn multiple(of: U256) -> Point {
    Point::from_secret_key(SECP256K1, &SecretKey::from_byte_array((of % ORDER).to_be_bytes()).unwrap())
}

fn coordinates(point: &Point) -> [U256; 2] {
    let bytes = point.serialize_uncompressed();
    [U256::from_be_slice(&bytes[1..33]), U256::from_be_slice(&bytes[33..])]
}

/// One point for all lanes.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn everywhere(point: &Point) -> [[Fe; 1]; 2] {
    coordinates(point).map(|value| [Fe::from_packed(packed([value; WIDTH]))])
}

/// The points of a group, none at infinity.
#[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
fn affine(sum: &Jacobian<1>) -> [[U256; 2]; WIDTH] {
    let mut inverse = [sum.z[0]];
    invert_elements(&mut inverse);
    let square = inverse[0].square().carry();
    let cube = square.mul(&inverse[0]).carry();
    let x = unpacked(sum.x[0].mul(&square).carry().to_canonical());
    let y = unpacked(sum.y[0].mul(&cube).carry().to_canonical());
    core::array::from_fn(|lane| [x[lane], y[lane]])
}

#[test]
fn points_add_and_double_as_in_libsecp256k1() {
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    fn body() {
        let mut random = Random(16);
        for _ in 0..20 {
            let (a, b) = (multiple(U256::from_be_bytes(random.bytes())), multiple(U256::from_be_bytes(random.bytes())));
            let ([x, y], [bx, by]) = (everywhere(&a), everywhere(&b));
            let mut sum = Jacobian { x, y, z: [Fe::small(1)] };
            sum.double();
            sum.double();
            // Added in the lower lanes, subtracted in the upper ones.
            sum.add(&Affine { x: bx, y: by, negative: [0xf0] });
            let four = times_power_of_two(a, 2);
            let expected = [four.combine(&b).unwrap(), four.combine(&b.negate(SECP256K1)).unwrap()];
            let expected = expected.map(|point| coordinates(&point));
            assert_eq!(affine(&sum), core::array::from_fn(|lane| expected[lane / 4]));
            // Equal and opposite points end with Z = 0 and stay there.
            let [x, y] = everywhere(&a);
            let mut sum = Jacobian { x, y, z: [Fe::small(1)] };
            sum.add(&Affine { x, y, negative: [0xf0] });
            assert_eq!(sum.z[0].zero_lanes(), 0xff);
            sum.double();
            sum.add(&Affine { x: bx, y: by, negative: [0] });
            assert_eq!(sum.z[0].zero_lanes(), 0xff);
        }
    }
    with_vectors!(body);
}

#[test]
fn odd_multiples_are_those_of_libsecp256k1() {
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    fn body() {
        let point = multiple(U256::from(0x1234_5678));
        let [x, y] = everywhere(&point);
        let mut rows: Box<[PointRows; 1]> = Box::new([[Row(lanes([0; 8])); WIDTH * POINT_ROWS]]);
        let z = odd_multiples_of_block(&x, &y, &mut rows);
        for i in 0..POINT_ROWS as u64 {
            let (x, y) = super::multiples::point_rows(&rows[0], lanes([i; WIDTH]));
            let expected = coordinates(&multiple(U256::from(0x1234_5678 * (2 * i + 1))));
            assert_eq!(affine(&Jacobian { x: [x], y: [y], z }), [expected; WIDTH]);
        }
    }
    with_vectors!(body);
}

#[test]
fn the_generator_s_table_holds_its_odd_multiples() {
    if !super::is_available() {
        println!("skipped: the processor lacks the 52-bit multiply-add");
        return;
    }
    let [low, high] = &FIXED.generator;
    for (i, (low, high)) in low.iter().zip(high.iter()).enumerate() {
        for (row, exponent) in [(low, 0), (high, 128)] {
            let of = (U256::from(2 * i + 1) << exponent) % ORDER;
            let [x, y] = coordinates(&multiple(ORDER - of));
            let expected = [*x.as_limbs(), *y.as_limbs()].concat();
            assert_eq!(words(row.0).as_slice(), expected.as_slice());
        }
    }
}

/// A signature with u1 and u2 as wanted and R = k G.
fn crafted(k: U256, u1: U256, u2: U256) -> SignedHash {
    let [x, y] = coordinates(&multiple(k));
    let r = x % ORDER;
    let id = u8::from(y.bit(0)) | u8::from(x >= ORDER) << 1;
    let bytes = |value: U256| value.mul_mod(r, ORDER).to_be_bytes();
    SignedHash { hash: bytes(u1), r: r.to_be_bytes(), s: bytes(u2), recovery_id: id }
}

/// What the batched way and the plain way say, with a start of the caller's choice; and in how many lanes Z became 0.
fn with_start(start: Point, signed: &[SignedHash]) -> usize {
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    fn body(start: Point, signed: &[SignedHash]) -> usize {
        let fixed = Fixed::new(start);
        let mut keys = vec![Err(RecoverError::NoKey); signed.len()];
        let undecided = batch::recover(&fixed, signed, &mut keys);
        for (signed, key) in signed.iter().zip(keys) {
            assert_eq!(key, single::recover(signed), "{signed:x?}");
        }
        undecided
    }
    // SAFETY: the only caller asks for the features first.
    unsafe { body(start, signed) }
}

#[test]
fn every_exceptional_meeting_is_seen_and_decided_by_libsecp256k1() {
    if !super::is_available() {
        println!("skipped: the processor lacks the 52-bit multiply-add");
        return;
    }
    let mut random = Random(17);
    let mut any = || U256::from_be_bytes(random.bytes()) % ORDER;
    let k = any();
    let times = |a: U256, b: U256| a.mul_mod(b, ORDER);
    let minus = |a: U256| ORDER - a;

    // At the first window: the start is a multiple of R that some digit adds or subtracts.
    let signed: Vec<_> = (0..256).map(|_| crafted(k, any(), any())).collect();
    for of in [1, 3, 5] {
        let start = multiple(times(k, U256::from(of)));
        let met = with_start(start, &signed);
        assert!((1..signed.len()).contains(&met), "{met} of {} met {of} R", signed.len());
        assert!(with_start(start.negate(SECP256K1), &signed) > 0);
    }
    // The same with λ R, met by the second half's digits; then the first half's top digit has passed already, so most
    // lanes miss it.
    let lambda: U256 = "0x5363ad4cc05c30e0a5261c028812645a122e22ea20816678df02967c1b23bd72".parse().unwrap();
    let mut met = 0;
    for digit in [1, 3] {
        // Start + digit R = λ R for the lanes with these digits.
        let start = multiple(times(k, lambda - U256::from(digit)));
        met += with_start(start, &signed);
    }
    assert!(met > 0);
    // At the end: u2 R − u1 G is the start's last multiple, so that the sum meets what is taken off it, or is twice
    // that.
    let s = any();
    let last = times(s, U256::ONE << TOP_BIT);
    for wanted in [U256::ZERO, minus(times(last, U256::from(2)))] {
        let signed: Vec<_> = (0..40)
            .map(|_| {
                let u1 = any();
                let u2 = times(wanted.add_mod(u1, ORDER), k.inv_mod(ORDER).unwrap());
                crafted(k, u1, u2)
            })
            .collect();
        assert_eq!(with_start(multiple(s), &signed), signed.len());
    }
    // And with the start of the product nothing is met but infinity.
    let signed: Vec<_> = (0..40).map(|_| crafted(k, any(), any())).collect();
    assert_eq!(with_start(multiple(s), &signed), 0);
}

#[test]
fn a_block_gives_the_sum_for_chosen_scalars() {
    #[target_feature(enable = "avx512f,avx512dq,avx512ifma")]
    fn body() {
        let mut random = Random(18);
        let k = U256::from_be_bytes(random.bytes()) % ORDER;
        let point = everywhere(&multiple(k));
        let numbers = numbers(&mut random, 40);
        for values in numbers.chunks_exact(WIDTH) {
            let u2: [U256; WIDTH] = values.try_into().unwrap();
            let u1 = U256::from_be_bytes(random.bytes()) % ORDER;
            let [u1s, u2s] = [[u1; WIDTH], u2].map(|values| [Scalar::from_packed(packed(values))]);
            let sum = combine(&FIXED, &point, &u1s, &u2s);
            let expected = u2.map(|u2| coordinates(&multiple(k.mul_mod(u2, ORDER).add_mod(ORDER - u1, ORDER))));
            assert_eq!(affine(&sum), expected);
        }
    }
    with_vectors!(body);
}

use proptest::prelude::*;

use super::*;

/// Numbers of every kind: any bits at all, so NaNs with payloads, infinities, subnormals, both zeros, and plain ones.
fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<u64>().prop_map(f64::from_bits),
        0.0..1e12,
        prop_oneof![
            Just(0.0),
            Just(-0.0),
            Just(1.0),
            Just(-1.0),
            Just(f64::INFINITY),
            Just(f64::NEG_INFINITY),
            Just(f64::NAN),
            Just(f64::from_bits(0xfff8_0000_0000_1234)),
            Just(f64::MIN_POSITIVE),
            Just(f64::from_bits(1)),
            Just(f64::MAX),
            Just(std::f64::consts::FRAC_1_SQRT_2),
            Just(std::f64::consts::SQRT_2),
        ],
    ]
}

/// What this machine can run.
fn available() -> impl Iterator<Item = Simd> {
    Simd::ALL.into_iter().filter(|simd| simd.is_available())
}

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// A column that starts `offset` values into its allocation, so that vectors are loaded unaligned.
fn column(values: &[f64], offset: usize) -> Vec<f64> {
    let mut column = vec![0.0; offset];
    column.extend_from_slice(values);
    column
}

proptest! {
    #[test]
    fn every_instruction_set_ranks_with_the_same_bits(
        rows in prop::collection::vec((number(), number()), 0..201),
        fee in number(),
        boost in number(),
        median in number(),
        offset in 0usize..8,
    ) {
        let (tips, boosts): (Vec<f64>, Vec<f64>) = rows.into_iter().unzip();
        let weights = RankWeights { fee, boost, median };
        let mut expected = vec![0.0; tips.len()];
        portable::rank(&tips, &boosts, weights, &mut expected);
        for simd in available() {
            let (tips, boosts) = (column(&tips, offset), column(&boosts, offset));
            let mut ranks = vec![0.0; tips.len()];
            rank_batch_with(simd, &tips[offset..], &boosts[offset..], weights, &mut ranks[offset..]).unwrap();
            prop_assert_eq!(bits(&ranks[offset..]), bits(&expected), "{:?}", simd);
        }
    }

    #[test]
    fn every_instruction_set_scores_with_the_same_bits(
        rows in prop::collection::vec((number(), 0u8..8), 0..201),
        priorities in prop::array::uniform8(number()),
        offset in 0usize..8,
    ) {
        let (fees, classes): (Vec<f64>, Vec<u8>) = rows.into_iter().unzip();
        let mut expected = vec![0.0; fees.len()];
        portable::score(&fees, &classes, &priorities, &mut expected);
        for simd in available() {
            let fees = column(&fees, offset);
            let mut scores = vec![0.0; fees.len()];
            score_batch_with(simd, &fees[offset..], &classes, &priorities, &mut scores[offset..]).unwrap();
            prop_assert_eq!(bits(&scores[offset..]), bits(&expected), "{:?}", simd);
        }
    }

    #[test]
    fn the_logarithm_is_right_to_ten_digits(x in any::<u64>().prop_map(f64::from_bits)) {
        let ours = portable::log2(x);
        let theirs = x.log2();
        if theirs.is_nan() {
            prop_assert_eq!(ours.to_bits(), CANONICAL_NAN);
        } else if theirs.is_infinite() {
            prop_assert_eq!(ours, theirs);
        } else {
            prop_assert!((ours - theirs).abs() < 1e-10, "{} {} {}", x, ours, theirs);
        }
    }

    /// A higher tip never ranks lower: the polynomial has no dents that matter.
    #[test]
    fn ranks_rise_with_tips(tip in 0.0f64..1e15, factor in 1.000_001f64..10.0) {
        let weights = RankWeights { fee: 0.5, boost: 0.5, median: 1e9 };
        let mut ranks = [0.0; 2];
        rank_batch(&[tip, tip * factor + 1.0], &[1.0, 1.0], weights, &mut ranks).unwrap();
        prop_assert!(ranks[0] < ranks[1]);
    }
}

/// Whatever a number can be: NaNs of both signs and with payloads, infinities, subnormals and their neighbours, zeros.
const SPECIAL: [u64; 16] = [
    0x7ff8_0000_0000_0000,
    0xfff8_0000_0000_1234,
    0x7ff0_0000_0000_0001,
    0x7ff0_0000_0000_0000,
    0xfff0_0000_0000_0000,
    0x0000_0000_0000_0000,
    0x8000_0000_0000_0000,
    0x0000_0000_0000_0001,
    0x800f_ffff_ffff_ffff,
    0x000f_ffff_ffff_ffff,
    0x0010_0000_0000_0000,
    0x3fe6_a09e_667f_3bcc,
    0x3fe6_a09e_667f_3bcd,
    0x3ff0_0000_0000_0000,
    0xbff0_0000_0000_0000,
    0x7fef_ffff_ffff_ffff,
];

/// A column in which special numbers stand between ordinary ones, at every place of a register as the length changes.
fn mixed(length: usize, step: usize) -> Vec<f64> {
    let number =
        |at: usize| if at.is_multiple_of(3) { f64::from_bits(SPECIAL[at * step % 16]) } else { at as f64 * 1.7e9 };
    (length..2 * length).map(number).collect()
}

/// Every length from nothing to 200 at every offset from a register's alignment, each instruction set: whole registers,
/// a rest, only a rest.
#[test]
fn every_length_and_alignment_has_the_portable_bits() {
    let weights = RankWeights { fee: 0.3, boost: 0.7, median: 2e9 };
    let priorities = [1.0, 0.5, f64::INFINITY, 4.0, f64::NAN, -1.0, 0.0, f64::from_bits(1)];
    for length in 0..=200 {
        let (tips, boosts) = (mixed(length, 1), mixed(length, 5));
        let classes: Vec<u8> = (0..length).map(|at| (at * 7 % CLASSES) as u8).collect();
        let (mut ranks, mut scores) = (vec![0.0; length], vec![0.0; length]);
        portable::rank(&tips, &boosts, weights, &mut ranks);
        portable::score(&tips, &classes, &priorities, &mut scores);
        for (simd, offset) in available().flat_map(|simd| (0..8).map(move |offset| (simd, offset))) {
            let (tips, boosts) = (column(&tips, offset), column(&boosts, offset));
            let mut out = vec![7.0; offset + length];
            rank_batch_with(simd, &tips[offset..], &boosts[offset..], weights, &mut out[offset..]).unwrap();
            assert_eq!(bits(&out[offset..]), bits(&ranks), "{simd:?} {length} {offset}");
            score_batch_with(simd, &tips[offset..], &classes, &priorities, &mut out[offset..]).unwrap();
            assert_eq!(bits(&out[offset..]), bits(&scores), "{simd:?} {length} {offset}");
            assert!(out[..offset].iter().all(|before| *before == 7.0), "nothing else is written");
        }
    }
}

/// Which vector code the tests cover depends on the machine that they run on. This says it, and that of an architecture
/// which every machine of its kind has must be among it, entered by its own name.
#[test]
fn the_vector_code_of_this_architecture_is_what_runs() {
    let names: Vec<_> = available().map(Simd::name).collect();
    println!("vector code that these tests run: {}; chosen: {}", names.join(", "), Simd::chosen().name());
    assert_eq!(Simd::from_environment(), Ok(Simd::chosen()));
    assert_eq!(Simd::Neon.is_available(), cfg!(target_arch = "aarch64"));
    #[cfg(target_arch = "aarch64")]
    {
        let weights = RankWeights { fee: 0.3, boost: 0.7, median: 2e9 };
        let priorities = [1.0, 0.5, f64::INFINITY, 4.0, f64::NAN, -1.0, 0.0, f64::from_bits(1)];
        let (tips, boosts) = (mixed(200, 1), mixed(200, 5));
        let classes: Vec<u8> = (0..200).map(|at| (at * 7 % CLASSES) as u8).collect();
        let (mut expected, mut given) = ([0.0; 200], [0.0; 200]);
        portable::rank(&tips, &boosts, weights, &mut expected);
        neon::rank(&tips, &boosts, weights, &mut given);
        assert_eq!(bits(&given), bits(&expected));
        portable::score(&tips, &classes, &priorities, &mut expected);
        neon::score(&tips, &classes, &priorities, &mut given);
        assert_eq!(bits(&given), bits(&expected));
    }
}

#[test]
fn a_powers_logarithm_is_its_exponent() {
    let subnormal = (0..52).map(|at| (1u64 << at, f64::from(at) - 1074.0));
    let normal = (1u32..2047).map(|at| (u64::from(at) << 52, f64::from(at) - 1023.0));
    for (bits, exponent) in subnormal.chain(normal) {
        assert_eq!(portable::log2(f64::from_bits(bits)), exponent);
    }
}

#[test]
fn unequal_lengths_and_unknown_classes_are_named_and_change_nothing() {
    let mut scores = [7.0; 3];
    let error = score_batch(&[1.0; 3], &[0; 2], &[1.0; 8], &mut scores).unwrap_err();
    assert_eq!(error.to_string(), "fees has 3 entries and classes has 2");
    let error = score_batch(&[1.0; 3], &[0, 8, 9], &[1.0; 8], &mut scores).unwrap_err();
    assert_eq!(error, ScoreError::Class { index: 1, class: 8 });
    assert_eq!(error.to_string(), "classes[1] is 8; known classes are 0 to 7");
    let weights = RankWeights { fee: 0.5, boost: 0.5, median: 1.0 };
    let error = rank_batch(&[1.0; 2], &[1.0; 3], weights, &mut scores[..2]).unwrap_err();
    assert_eq!(error.to_string(), "tips has 2 entries and boosts has 3");
    assert_eq!(scores, [7.0; 3]);
}

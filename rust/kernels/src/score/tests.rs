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

/// Every length from nothing to 200, each instruction set: whole registers, a rest, only a rest.
#[test]
fn every_length_is_whole() {
    let tips: Vec<f64> = (0..200).map(|at| f64::from(at) * 1.7e9).collect();
    let boosts: Vec<f64> = (0..200).map(|at| 0.5 + f64::from(at % 16) * 0.1).collect();
    let weights = RankWeights { fee: 0.3, boost: 0.7, median: 2e9 };
    for length in 0..=200 {
        let mut expected = vec![0.0; length];
        portable::rank(&tips[..length], &boosts[..length], weights, &mut expected);
        for simd in available() {
            let mut ranks = vec![f64::NAN; length];
            rank_batch_with(simd, &tips[..length], &boosts[..length], weights, &mut ranks).unwrap();
            assert_eq!(ranks, expected, "{simd:?} {length}");
        }
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

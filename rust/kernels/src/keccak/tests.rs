//! Every instruction set of this machine against the plain hash.

use proptest::prelude::*;

use super::*;

fn available() -> impl Iterator<Item = Simd> {
    Simd::ALL.into_iter().filter(|simd| simd.is_available())
}

fn assert_equal_everywhere(inputs: &[&[u8]]) {
    let expected: Vec<B256> = inputs.iter().map(keccak256).collect();
    for simd in available() {
        let mut outputs = vec![B256::ZERO; inputs.len()];
        keccak256_many_with(simd, inputs, &mut outputs);
        assert_eq!(outputs, expected, "{simd:?}");
    }
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index * 131 + len * 17) as u8).collect()
}

#[test]
fn every_length_hashes_like_the_plain_hash() {
    for len in 0..600 {
        assert_equal_everywhere(&[&bytes(len)[..]; 9]);
    }
}

#[test]
fn all_lengths_in_one_call_hash_like_the_plain_hash() {
    let inputs: Vec<Vec<u8>> = (0..600).map(bytes).collect();
    let mut inputs: Vec<&[u8]> = inputs.iter().map(Vec::as_slice).collect();
    assert_equal_everywhere(&inputs);
    inputs.reverse();
    assert_equal_everywhere(&inputs);
}

#[test]
fn any_number_of_inputs_is_taken() {
    let input = bytes(200);
    for count in 0..40 {
        assert_equal_everywhere(&vec![&input[..]; count]);
    }
}

#[test]
#[should_panic(expected = "one output for each input")]
fn an_output_too_few_is_a_bug() {
    keccak256_many(&[&[]], &mut []);
}

proptest! {
    #[test]
    fn mixed_inputs_hash_like_the_plain_hash(
        inputs in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..700), 0..40),
    ) {
        assert_equal_everywhere(&inputs.iter().map(Vec::as_slice).collect::<Vec<_>>());
    }
}

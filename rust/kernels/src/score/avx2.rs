//! Four lanes of AVX2.

use std::arch::x86_64::*;

use super::lanes::instructions;

instructions! {
    features: "avx2",
    lanes: 4,
    registers: __m256d, __m256i, __m256d,
    casts: _mm256_castpd_si256, _mm256_castsi256_pd,
    load: _mm256_loadu_pd,
    store: _mm256_storeu_pd,
    all: _mm256_set1_pd,
    numbers: {
        add: _mm256_add_pd,
        sub: _mm256_sub_pd,
        mul: _mm256_mul_pd,
    },
    bits: {
        add_bits: _mm256_add_epi64,
        sub_bits: _mm256_sub_epi64,
        and_bits: _mm256_and_si256,
        or_bits: _mm256_or_si256,
    },
    exponent_bits: _mm256_srli_epi64::<52>,
    masks: {
        below: _mm256_cmp_pd::<_CMP_LT_OQ>,
        equals: _mm256_cmp_pd::<_CMP_EQ_OQ>,
    },
    is_nan: |x| _mm256_cmp_pd::<_CMP_UNORD_Q>(x, x),
    select: |mask, yes, no| _mm256_blendv_pd(no, yes, mask),
    look_up: |table, classes| {
        let classes = _mm256_cvtepu8_epi64(_mm_cvtsi32_si128(classes.cast::<i32>().read_unaligned()));
        _mm256_i64gather_pd::<8>(table.as_ptr(), classes)
    },
}

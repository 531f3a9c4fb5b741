//! Eight lanes of AVX-512, F and BW.

use std::arch::x86_64::*;

use super::lanes::instructions;

instructions! {
    features: "avx512f,avx512bw",
    lanes: 8,
    registers: __m512d, __m512i, __mmask8,
    casts: _mm512_castpd_si512, _mm512_castsi512_pd,
    load: _mm512_loadu_pd,
    store: _mm512_storeu_pd,
    all: _mm512_set1_pd,
    numbers: {
        add: _mm512_add_pd,
        sub: _mm512_sub_pd,
        mul: _mm512_mul_pd,
    },
    bits: {
        add_bits: _mm512_add_epi64,
        sub_bits: _mm512_sub_epi64,
        and_bits: _mm512_and_epi64,
        or_bits: _mm512_or_epi64,
    },
    exponent_bits: _mm512_srli_epi64::<52>,
    masks: {
        below: _mm512_cmp_pd_mask::<_CMP_LT_OQ>,
        equals: _mm512_cmp_pd_mask::<_CMP_EQ_OQ>,
    },
    is_nan: |x| _mm512_cmp_pd_mask::<_CMP_UNORD_Q>(x, x),
    select: |mask, yes, no| _mm512_mask_blend_pd(mask, no, yes),
    look_up: |table, classes| {
        let classes = _mm512_cvtepu8_epi64(_mm_loadl_epi64(classes.cast()));
        _mm512_permutexvar_pd(classes, _mm512_loadu_pd(table.as_ptr()))
    },
}

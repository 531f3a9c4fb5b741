//! Two lanes of NEON.

use std::arch::aarch64::*;

use super::lanes::instructions;

instructions! {
    features: "neon",
    lanes: 2,
    registers: float64x2_t, uint64x2_t, uint64x2_t,
    casts: vreinterpretq_u64_f64, vreinterpretq_f64_u64,
    load: vld1q_f64,
    store: vst1q_f64,
    all: vdupq_n_f64,
    numbers: {
        add: vaddq_f64,
        sub: vsubq_f64,
        mul: vmulq_f64,
    },
    bits: {
        add_bits: vaddq_u64,
        sub_bits: vsubq_u64,
        and_bits: vandq_u64,
        or_bits: vorrq_u64,
    },
    exponent_bits: vshrq_n_u64::<52>,
    masks: {
        below: vcltq_f64,
        equals: vceqq_f64,
    },
    is_nan: |x| veorq_u64(vceqq_f64(x, x), vdupq_n_u64(u64::MAX)),
    select: |mask, yes, no| vbslq_f64(mask, yes, no),
    look_up: |table, classes| {
        let pair = [table[usize::from(*classes)], table[usize::from(*classes.add(1))]];
        vld1q_f64(pair.as_ptr())
    },
}

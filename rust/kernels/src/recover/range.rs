//! What is checked before any arithmetic: the values' ranges, and the x that r stands for.

use super::{RecoverError, SignedHash};

/// The group's order n.
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0xba, 0xae, 0xdc,
    0xe6, 0xaf, 0x48, 0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x41,
];
/// p − n: r + n is a coordinate only for r below this.
const PRIME_LESS_ORDER: [u8; 32] = [
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0x45, 0x51, 0x23, 0x19, 0x50, 0xb7, 0x5f, 0xc4, 0x40, 0x2d,
    0xa1, 0x72, 0x2f, 0xc9, 0xba, 0xee,
];

/// The x of the point that the signature names: r, or r + n for the recovery identifiers 2 and 3.
pub(super) fn x_of(signed: &SignedHash) -> Result<[u8; 32], RecoverError> {
    if signed.recovery_id > 3 {
        return Err(RecoverError::InvalidRecoveryId { got: signed.recovery_id });
    }
    // Big-endian numbers compare as their bytes do.
    for value in [&signed.r, &signed.s] {
        if *value == [0; 32] || *value >= ORDER {
            return Err(RecoverError::OutOfRange);
        }
    }
    if signed.recovery_id < 2 {
        return Ok(signed.r);
    }
    if signed.r >= PRIME_LESS_ORDER {
        return Err(RecoverError::NoKey);
    }
    let mut x = [0; 32];
    let mut carry = 0;
    for i in (0..32).rev() {
        carry += u16::from(signed.r[i]) + u16::from(ORDER[i]);
        x[i] = carry as u8;
        carry >>= 8;
    }
    Ok(x)
}
